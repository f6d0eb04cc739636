//! Paths into the value of a field, such as `tags.owner`, `rules[*].port` or `labels["app.kubernetes.io/name"]`: what
//! lies under one keeps the value that it had, or forces a replacement when it changes.

use crate::plan::diff::Difference;
use crate::value::Value;

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'a> {
    /// A key of a map, or an index of a list in digits.
    Key(&'a str),
    /// All keys or indices.
    Any,
}

/// Whether the path leads to or into the field.
pub(crate) fn leads_into(path: &str, field: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The steps of a path after the field's name. What is no path ends where it stops being one.
fn segments(path: &str) -> Vec<Segment<'_>> {
    let mut rest = path.find(['.', '[']).map_or("", |at| &path[at..]);
    let mut all = Vec::new();
    let segment = |text| if text == "*" { Segment::Any } else { Segment::Key(text) };
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let Some((key, after)) = quoted.split_once("\"]") else { break };
            all.push(Segment::Key(key));
            rest = after;
        } else if let Some(index) = rest.strip_prefix('[') {
            let Some((index, after)) = index.split_once(']') else { break };
            all.push(segment(index));
            rest = after;
        } else {
            let key = rest.strip_prefix('.').unwrap_or(rest);
            let end = key.find(['.', '[']).unwrap_or(key.len());
            if end > 0 {
                all.push(segment(&key[..end]));
            }
            rest = &key[end..];
        }
    }
    all
}

/// Puts what `was` has at the path into `wanted`. The path begins with the field's name; a path that leads nowhere is
/// not an error.
pub(crate) fn keep(wanted: &mut Value, was: &Value, path: &str) {
    keep_at(wanted, was, &segments(path));
}

fn keep_at(wanted: &mut Value, was: &Value, segments: &[Segment<'_>]) {
    let Some((first, rest)) = segments.split_first() else {
        *wanted = was.clone();
        return;
    };
    if let (Value::Secret(inner), Value::Secret(was)) = (&*wanted, was) {
        let mut inner = inner.reveal().clone();
        keep_at(&mut inner, was.reveal(), segments);
        *wanted = inner.into_secret();
        return;
    }
    match (wanted, was) {
        (Value::Map(wanted), Value::Map(was)) => {
            let keys: Vec<String> = match first {
                Segment::Any => was.keys().chain(wanted.keys()).cloned().collect(),
                Segment::Key(key) => vec![(*key).to_owned()],
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
            for (at, (to, from)) in wanted.iter_mut().zip(was).enumerate() {
                if is_index(*first, at) {
                    keep_at(to, from, rest);
                }
            }
        }
        _ => {}
    }
}

fn is_index(segment: Segment<'_>, at: usize) -> bool {
    match segment {
        Segment::Any => true,
        Segment::Key(key) => key.parse() == Ok(at),
    }
}

/// How what lies under the path differs.
pub(crate) fn difference(was: &Value, wanted: &Value, path: &str) -> Difference {
    difference_at(Some(was), Some(wanted), &segments(path))
}

fn difference_at(was: Option<&Value>, wanted: Option<&Value>, segments: &[Segment<'_>]) -> Difference {
    let (was, wanted) = (was.unwrap_or(&Value::Null), wanted.unwrap_or(&Value::Null));
    if was.has_digest() && segments.is_empty() {
        return super::diff::compare(was, wanted);
    }
    let (was, wanted) = (was.reveal(), wanted.reveal());
    let Some((first, rest)) = segments.split_first() else { return super::diff::compare(was, wanted) };
    if let Value::Unknown { .. } | Value::Expr(_) = wanted {
        return Difference::Unknown;
    }
    let mut worst = Difference::Same;
    let mut below = |was: Option<&Value>, wanted: Option<&Value>| {
        if was.is_some() || wanted.is_some() {
            worst = worst.max(difference_at(was, wanted, rest));
        }
    };
    // What has become a list, or stopped being a map, has nothing in common with what it was.
    let (was_list, wanted_list) = (list(was), list(wanted));
    for at in 0..was_list.len().max(wanted_list.len()) {
        if is_index(*first, at) {
            below(was_list.get(at), wanted_list.get(at));
        }
    }
    let key_of = |map: &Value, key: &str| match map {
        Value::Map(map) => map.get(key).cloned(),
        _ => None,
    };
    let keys: Vec<&str> = match first {
        Segment::Key(key) => vec![key],
        Segment::Any => keys(was).chain(keys(wanted)).collect(),
    };
    for key in keys {
        below(key_of(was, key).as_ref(), key_of(wanted, key).as_ref());
    }
    worst
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::List(items) => items,
        _ => &[],
    }
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    let map = match value {
        Value::Map(map) => Some(map),
        _ => None,
    };
    map.into_iter().flat_map(|map| map.keys().map(String::as_str))
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
            (r#"{"a":1,"b":2}"#, r#"{"a":8,"b":9}"#, "tags[*]", r#"{"a":8,"b":9}"#),
            (r#"{"a.b":1,"a":{"b":2}}"#, r#"{"a.b":8,"a":{"b":9}}"#, "tags[\"a.b\"]", r#"{"a.b":8,"a":{"b":2}}"#),
            (r#"{"a.b":1,"a":{"b":2}}"#, r#"{"a.b":8,"a":{"b":9}}"#, "tags.a.b", r#"{"a.b":1,"a":{"b":9}}"#),
            (r#"{"m":{"x":1},"n":{"x":2}}"#, r#"{"m":{"x":8},"o":{"x":9}}"#, "f.*.x", r#"{"m":{"x":8},"n":{"x":2}}"#),
            (r#"{"a":1}"#, r#"{"a":2}"#, "tags[", r#"{"a":2}"#),
        ] {
            let mut value = tree(wanted);
            keep(&mut value, &tree(was), path);
            assert_eq!(value, tree(expected), "{path}");
        }
    }

    #[test]
    fn a_change_is_seen_where_a_path_leads_and_nowhere_else() {
        use Difference::{Changed, Same, Unknown};
        let was = r#"{"a":{"x":1,"y":2},"l":[{"p":1},{"p":2}],"app.io/name":"web"}"#;
        for (wanted, path, expected) in [
            (r#"{"a":{"x":1,"y":9},"l":[{"p":1},{"p":2}],"app.io/name":"web"}"#, "f.a.x", Same),
            (r#"{"a":{"x":1,"y":9},"l":[{"p":1},{"p":2}],"app.io/name":"web"}"#, "f.a.y", Changed),
            (r#"{"a":{"x":1,"y":9},"l":[{"p":1},{"p":2}],"app.io/name":"web"}"#, "f.a.*", Changed),
            (r#"{"a":{"x":1,"y":9},"l":[{"p":1},{"p":2}],"app.io/name":"web"}"#, "f[*].y", Changed),
            (r#"{"a":{"x":1,"y":9},"l":[{"p":1},{"p":2}],"app.io/name":"web"}"#, "f.l", Same),
            (r#"{"a":{"x":1,"y":2},"l":[{"p":1},{"p":3}],"app.io/name":"web"}"#, "f.l[*].p", Changed),
            (r#"{"a":{"x":1,"y":2},"l":[{"p":1},{"p":3}],"app.io/name":"web"}"#, "f.l[0].p", Same),
            (r#"{"a":{"x":1,"y":2},"l":[{"p":1},{"p":2},{"p":3}],"app.io/name":"web"}"#, "f.l[*].p", Changed),
            (r#"{"a":{"x":1,"y":2},"l":[{"p":1}],"app.io/name":"web"}"#, "f.l[1]", Changed),
            (r#"{"a":{"x":1,"y":2},"l":[],"app.io/name":"db"}"#, "f[\"app.io/name\"]", Changed),
            (r#"{"a":{"x":1,"y":2},"l":[],"app.io/name":"db"}"#, "f.app", Same),
            (r#"{"a":[1]}"#, "f.a.x", Changed),
            (r#"{}"#, "f.no.such[3]", Same),
        ] {
            assert_eq!(difference(&tree(was), &tree(wanted), path), expected, "{path} in {wanted}");
        }
        let mut later = tree(was);
        if let Value::Map(map) = &mut later {
            map.insert("a".into(), Value::Unknown { secret: false });
        }
        assert_eq!(difference(&tree(was), &later, "f.a.x"), Unknown);
        assert_eq!(difference(&tree(was), &later, "f.l[*].p"), Same);
        let hidden = |text: &str| tree(text).into_secret();
        assert_eq!(difference(&hidden(r#"{"a":1,"b":1}"#), &hidden(r#"{"a":2,"b":1}"#), "f.a"), Changed);
        assert_eq!(difference(&hidden(r#"{"a":1,"b":1}"#), &hidden(r#"{"a":2,"b":1}"#), "f.b"), Same);
        let mut wanted = hidden(r#"{"a":2,"b":2}"#);
        keep(&mut wanted, &hidden(r#"{"a":1,"b":1}"#), "f.a");
        assert_eq!(wanted.reveal(), &tree(r#"{"a":1,"b":2}"#));
    }
}
