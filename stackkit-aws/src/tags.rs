//! Tags: what a program asks for and the engine's own, on the wire and back. The provider's default tags are among what
//! is asked for: the engine puts them there.

use std::collections::BTreeMap;

use stackkit::Context;
use stackkit::resource::Problem;

/// Keys and values.
pub(crate) type Tags = BTreeMap<String, String>;

/// What the engine's own tags begin with. They are never shown as drift and never taken off.
const ENGINE: &str = "stackkit:";
/// What AWS's own tags begin with. Nobody else can change them.
const AMAZON: &str = "aws:";

/// All tags of a new resource: the program's, the engine's over them.
pub(crate) fn of_new(cx: &Context, asked: &Tags) -> Tags {
    let mut all = asked.clone();
    all.extend(cx.tags().map(|(key, value)| (key.to_owned(), value)));
    all
}

/// The tags as the program would have to declare them: without the engine's and AWS's.
pub(crate) fn declared(seen: impl IntoIterator<Item = (String, String)>) -> Tags {
    seen.into_iter().filter(|(key, _)| !key.starts_with(ENGINE) && !key.starts_with(AMAZON)).collect()
}

/// The lineage of another stack that says, by its tags, that a resource is its own.
#[cfg(any(feature = "ec2", feature = "rds", feature = "s3"))]
pub(crate) fn claimant(cx: &Context, seen: impl IntoIterator<Item = (String, String)>) -> Option<String> {
    let lineage = seen.into_iter().find(|(key, _)| key == "stackkit:lineage").map(|(_, value)| value);
    lineage.filter(|lineage| lineage != cx.lineage())
}

/// What it takes to get from the recorded tags to those asked for.
pub(crate) struct Change {
    /// Tags to set; setting one again changes nothing.
    pub(crate) set: Tags,
    /// Keys to take off.
    pub(crate) remove: Vec<String>,
}

/// The change between what was recorded and what is asked for; `None` where there is none. Tags that somebody else put
/// on since are left alone until a refresh has shown them.
pub(crate) fn change(recorded: &Tags, asked: &Tags) -> Option<Change> {
    if recorded == asked {
        return None;
    }
    let remove = recorded.keys().filter(|key| !asked.contains_key(*key)).cloned().collect();
    Some(Change { set: asked.clone(), remove })
}

/// Whether what bears the intended name is what the interrupted create made: its tags say so, or it has none of the
/// engine's and its name was found free just before.
#[cfg(any(feature = "rds", feature = "secretsmanager", feature = "ssm"))]
pub(crate) fn is_ours<R: stackkit::Managed>(cx: &Context, intent: &stackkit::Intent<R>, tags: &Tags) -> bool {
    let token = tags.get("stackkit:token");
    let same_stack = tags.get("stackkit:lineage").map(String::as_str) == Some(cx.lineage());
    (same_stack && token == Some(&intent.token)) || (token.is_none() && intent.name_was_free == Some(true))
}

/// What AWS would refuse about these tags.
pub(crate) fn problems(tags: &Tags) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, value) in tags {
        if key.starts_with(ENGINE) || key.to_ascii_lowercase().starts_with(AMAZON) {
            let what = format!("the key `{key}` begins with a reserved prefix: use one without `aws:` and `stackkit:`");
            problems.push(Problem::new("tags", what));
        }
        if key.is_empty() || key.chars().count() > 128 {
            problems.push(Problem::new("tags", format!("the key `{key}` must have 1 to 128 characters")));
        }
        if value.chars().count() > 256 {
            problems.push(Problem::new("tags", format!("the value of `{key}` has more than 256 characters")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_the_program_declares_is_shown() {
        let seen = tags(&[("stackkit:urn", "x"), ("aws:x", "y"), ("env", "prod")]);
        assert_eq!(declared(seen), tags(&[("env", "prod")]));
    }

    #[test]
    fn a_change_sets_what_is_asked_for_and_takes_off_what_left_the_program() {
        assert!(change(&tags(&[("a", "b")]), &tags(&[("a", "b")])).is_none());
        let change =
            change(&tags(&[("a", "b"), ("env", "dev")]), &tags(&[("c", "d"), ("env", "prod")])).expect("differs");
        assert_eq!(change.set, tags(&[("c", "d"), ("env", "prod")]));
        assert_eq!(change.remove, ["a"]);
    }

    #[test]
    fn reserved_keys_are_refused() {
        assert_eq!(problems(&tags(&[("stackkit:urn", "x"), ("AWS:y", "z"), ("ok", "fine")])).len(), 2);
    }
}
