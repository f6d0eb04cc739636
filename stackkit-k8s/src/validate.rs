//! Checks of an object's inputs that need no cluster, beyond what their types say.

use stackkit::Value;
use stackkit::resource::Problem;

use crate::kind::{Object, ObjectArgs};
use crate::{ANNOTATION_URN, LABEL_LINEAGE, LABEL_TOKEN};

/// Kinds whose names are paths of their own, such as `system:controller:x`.
const LOOSE_NAMES: [&str; 4] = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

pub(crate) fn validate<K: Object>(args: &ObjectArgs<K>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let kind = K::KIND;
    if let Some(name) = args.values().first().and_then(Value::as_text) {
        let fits = if LOOSE_NAMES.contains(&kind.kind) { loose_name(name) } else { subdomain(name) };
        if !fits {
            problems.push(Problem::new(
                "name",
                format!(
                    "`{}` cannot be the name of a {}: use lower-case letters, digits, `-` and `.`",
                    name.escape_debug(),
                    kind.kind
                ),
            ));
        }
    }
    for (field, index, own) in [
        ("labels", kind.labels, [LABEL_LINEAGE, LABEL_TOKEN].as_slice()),
        ("annotations", kind.annotations(), [ANNOTATION_URN].as_slice()),
    ] {
        if let Some(Value::Map(map)) = args.values().get(index) {
            for key in map.keys().filter(|key| own.contains(&key.as_str())) {
                problems.push(Problem::new(
                    field,
                    format!("`{key}` is how StackKit finds its objects: choose another key"),
                ));
            }
        }
    }
    if kind.kind == "Secret" {
        let keys = |wire: &str| {
            let index = kind.inputs.iter().find(|(_, slot)| slot.wire == wire).map(|(index, _)| *index);
            match index.and_then(|index| args.values().get(index)) {
                Some(Value::Map(map)) => map.keys().cloned().collect::<Vec<_>>(),
                _ => Vec::new(),
            }
        };
        let bytes = keys("data");
        for key in keys("stringData").into_iter().filter(|key| bytes.contains(key)) {
            problems.push(Problem::new("string_data", format!("`{key}` is in `data` as well: set it once")));
        }
    }
    problems
}

fn subdomain(name: &str) -> bool {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            bytes.first().is_some_and(|c| edge(*c))
                && bytes.last().is_some_and(|c| edge(*c))
                && bytes.iter().all(|c| edge(*c) || *c == b'-')
        })
}

fn loose_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%']) && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_subdomains() {
        for good in ["a", "web-1", "a.b.c", "0"] {
            assert!(subdomain(good), "{good}");
        }
        for bad in ["", "Web", "a_b", "-a", "a-", "a..b", "a/b", "ä"] {
            assert!(!subdomain(bad), "{bad}");
        }
        assert!(loose_name("system:controller:x"));
        assert!(!loose_name("a/b"));
    }
}
