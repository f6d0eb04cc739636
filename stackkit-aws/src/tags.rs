//! Tags: what a program asks for, the provider's default tags and the engine's own, on the wire and back.

use std::collections::BTreeMap;

use stackkit::Context;
use stackkit::resource::Problem;

/// Keys and values.
pub(crate) type Tags = BTreeMap<String, String>;

/// What the engine's own tags begin with. They are never shown as drift and never taken off.
const ENGINE: &str = "stackkit:";
/// What AWS's own tags begin with. Nobody else can change them.
const AMAZON: &str = "aws:";
/// Stands where a default tag was taken off the resource, so that the difference shows and is mended.
const TAKEN_OFF: &str = "(taken off)";

/// All tags of a new resource: the defaults, the program's over them, the engine's over both.
pub(crate) fn of_new(cx: &Context, defaults: &Tags, asked: &Tags) -> Tags {
    let mut all = wanted(defaults, asked);
    all.extend(cx.tags().map(|(key, value)| (key.to_owned(), value)));
    all
}

/// The tags that a resource should have besides the engine's.
pub(crate) fn wanted(defaults: &Tags, asked: &Tags) -> Tags {
    let mut all = defaults.clone();
    all.extend(asked.clone());
    all
}

/// The tags as the program would have to declare them: without the engine's, AWS's and the default ones.
///
/// A default tag that is gone or has another value shows, so that it is mended. `asked` is what the program declared
/// last; where that is not known (an import) nothing is said of default tags that are not there.
pub(crate) fn declared(
    seen: impl IntoIterator<Item = (String, String)>,
    defaults: &Tags,
    asked: Option<&Tags>,
) -> Tags {
    let mut rest: Tags =
        seen.into_iter().filter(|(key, _)| !key.starts_with(ENGINE) && !key.starts_with(AMAZON)).collect();
    for (key, value) in defaults {
        if asked.is_some_and(|asked| asked.contains_key(key)) {
            continue;
        }
        match rest.get(key) {
            Some(seen) if seen == value => drop(rest.remove(key)),
            Some(_) => {}
            None if asked.is_some() => drop(rest.insert(key.clone(), TAKEN_OFF.to_owned())),
            None => {}
        }
    }
    rest
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
pub(crate) fn change(defaults: &Tags, recorded: &Tags, asked: &Tags) -> Option<Change> {
    if recorded == asked {
        return None;
    }
    let set = wanted(defaults, asked);
    let remove = recorded.keys().filter(|key| !set.contains_key(*key)).cloned().collect();
    Some(Change { set, remove })
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

    fn shown(seen: &[(&str, &str)], defaults: &[(&str, &str)], asked: Option<&[(&str, &str)]>) -> Tags {
        declared(tags(seen), &tags(defaults), asked.map(tags).as_ref())
    }

    #[test]
    fn only_what_the_program_declares_is_shown() {
        let engine = ("stackkit:urn", "x");
        let defaults: &[_] = &[("env", "prod")];
        assert_eq!(
            shown(&[engine, ("aws:x", "y"), ("env", "prod"), ("a", "b")], defaults, Some(&[])),
            tags(&[("a", "b")])
        );
        // Declared with the default's own value: it stays, or every plan would differ.
        assert_eq!(shown(&[("env", "prod")], defaults, Some(&[("env", "prod")])), tags(&[("env", "prod")]));
        assert_eq!(shown(&[("env", "dev")], defaults, Some(&[])), tags(&[("env", "dev")]));
        assert_eq!(shown(&[], defaults, Some(&[])), tags(&[("env", TAKEN_OFF)]));
        assert_eq!(shown(&[], defaults, None), tags(&[]));
    }

    #[test]
    fn a_change_mends_defaults_and_takes_off_what_left_the_program() {
        let defaults = tags(&[("env", "prod")]);
        assert!(change(&defaults, &tags(&[("a", "b")]), &tags(&[("a", "b")])).is_none());
        let change =
            change(&defaults, &tags(&[("a", "b"), ("env", TAKEN_OFF)]), &tags(&[("c", "d")])).expect("differs");
        assert_eq!(change.set, tags(&[("c", "d"), ("env", "prod")]));
        assert_eq!(change.remove, ["a"]);
    }

    #[test]
    fn reserved_keys_are_refused() {
        assert_eq!(problems(&tags(&[("stackkit:urn", "x"), ("AWS:y", "z"), ("ok", "fine")])).len(), 2);
    }
}
