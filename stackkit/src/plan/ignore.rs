//! Paths of `ignore_changes`: what lies under one keeps the value that it had.

use crate::value::Value;

/// Puts what `was` has at the path into `wanted`. The path begins with the field's name; a path that leads nowhere is
/// not an error.
pub(crate) fn keep(wanted: &mut Value, was: &Value, path: &str) {
    let rest = path.find(['.', '[']).map_or("", |at| &path[at..]);
    let segments: Vec<&str> =
        rest.split(['.', '[']).map(|s| s.trim_end_matches(']')).filter(|s| !s.is_empty()).collect();
    keep_at(wanted, was, &segments);
}

fn keep_at(wanted: &mut Value, was: &Value, segments: &[&str]) {
    let Some((first, rest)) = segments.split_first() else {
        *wanted = was.clone();
        return;
    };
    match (wanted, was) {
        (Value::Map(wanted), Value::Map(was)) => {
            let keys: Vec<String> = if *first == "*" {
                was.keys().chain(wanted.keys()).cloned().collect()
            } else {
                vec![(*first).to_owned()]
            };
            for key in keys {
                match (wanted.get_mut(&key), was.get(&key)) {
                    (Some(to), Some(from)) => keep_at(to, from, rest),
                    (None, Some(from)) if rest.is_empty() => {
                        wanted.insert(key, from.clone());
                    }
                    (Some(_), None) if rest.is_empty() => {
                        wanted.remove(&key);
                    }
                    _ => {}
                }
            }
        }
        (Value::List(wanted), Value::List(was)) => {
            for (at, to) in wanted.iter_mut().enumerate() {
                if (*first == "*" || first.parse() == Ok(at))
                    && let Some(from) = was.get(at)
                {
                    keep_at(to, from, rest);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Value {
        fn of(json: &serde_json::Value) -> Value {
            match json {
                serde_json::Value::Array(items) => Value::List(items.iter().map(of).collect()),
                serde_json::Value::Object(map) => Value::Map(map.iter().map(|(k, v)| (k.clone(), of(v))).collect()),
                serde_json::Value::Number(n) => Value::Int(n.as_i64().unwrap_or_default()),
                other => Value::text(other.as_str().unwrap_or_default()),
            }
        }
        of(&serde_json::from_str(text).expect("JSON"))
    }

    #[test]
    fn paths_reach_into_maps_lists_and_wildcards() {
        for (wanted, was, path, expected) in [
            (r#"{"a":1,"b":2}"#, r#"{"a":9,"b":8}"#, "tags.a", r#"{"a":9,"b":2}"#),
            (r#"{"b":2}"#, r#"{"a":9,"b":8}"#, "tags.a", r#"{"a":9,"b":2}"#),
            (r#"{"a":1,"b":2}"#, r#"{"b":8}"#, "tags.a", r#"{"b":2}"#),
            (
                r#"[{"p":1,"q":1},{"p":2,"q":2}]"#,
                r#"[{"p":7,"q":7},{"p":8,"q":8}]"#,
                "rules[*].p",
                r#"[{"p":7,"q":1},{"p":8,"q":2}]"#,
            ),
            (r#"[1,2,3]"#, r#"[7,8,9]"#, "list[1]", r#"[1,8,3]"#),
            (r#"{"a":1}"#, r#"{"a":2}"#, "tags.no.such[3]", r#"{"a":1}"#),
        ] {
            let mut value = tree(wanted);
            keep(&mut value, &tree(was), path);
            assert_eq!(value, tree(expected), "{path}");
        }
    }
}
