//! Values on the screen: in one line, and what differs between two of them, path by path. Secrets never come out.

use std::collections::BTreeSet;

use similar::{ChangeTag, TextDiff};

use crate::ui::text::{clean, clean_lines, shorten, width};
use crate::value::Value;

/// What stands for a secret.
pub(crate) const SECRET: &str = "[secret]";
/// What stands for a secret that was not opened.
pub(crate) const SEALED: &str = "(sealed)";
/// What stands for a value that a provider will choose.
pub(crate) const UNKNOWN: &str = "known after apply";
const NONE: &str = "none";
/// How many lines around a changed line of a text are shown.
const CONTEXT: usize = 1;

/// One line of a comparison: a path within a field, and what happens there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The path, such as `tags.owner` or `rules[0].port`.
    pub(crate) path: String,
    /// What happens there.
    pub(crate) what: What,
}

/// What happens at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// It is set, where nothing was.
    Set(String),
    /// It changes.
    Changed(String, String),
    /// A secret changes, and that is all that is said.
    SecretChanged,
    /// A secret of which only a digest is kept is another one than was told last.
    SecretRotated,
    /// An item comes into a list.
    Added(String),
    /// An item leaves a list.
    Removed(String),
    /// Lines of a text change.
    Text(Vec<(Sign, String)>),
}

/// What a line of a text diff is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It stays.
    Same,
    /// It goes.
    Gone,
    /// It comes.
    New,
    /// Lines that stay are left out here.
    Gap,
}

/// A value in one line, however long.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Null => NONE.into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::UInt(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Text(text) => format!("\"{}\"", clean(text)),
        Value::Secret(_) if value.has_sealed() => SEALED.into(),
        Value::Secret(_) | Value::Digest(_) => SECRET.into(),
        Value::Unknown { .. } | Value::Expr(_) => UNKNOWN.into(),
        Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Map(map) if map.is_empty() => "{}".into(),
        Value::Map(map) => {
            let inner: Vec<_> = map.iter().map(|(key, item)| format!("{}: {}", clean(key), show(item))).collect();
            format!("{{ {} }}", inner.join(", "))
        }
    }
}

/// What differs at and below a path. Nothing comes out for equal values.
pub(crate) fn compare(path: &str, before: &Value, after: &Value, out: &mut Vec<Line>) {
    let mut push = |what| out.push(Line { path: path.to_owned(), what });
    match (before, after) {
        (Value::Null, Value::Null) => {}
        (Value::Map(was), Value::Map(will)) => {
            let keys: BTreeSet<&String> = was.keys().chain(will.keys()).collect();
            for key in keys {
                let (a, b) = (was.get(key).unwrap_or(&Value::Null), will.get(key).unwrap_or(&Value::Null));
                compare(&join(path, key), a, b, out);
            }
        }
        (Value::List(was), Value::List(will)) => compare_lists(path, was, will, out),
        // A value that becomes secret, or stops to be one, is hidden on both sides.
        (a, b) if is_secret(a) || is_secret(b) => match (a, b) {
            (Value::Null, Value::Unknown { .. }) => push(What::Set(format!("{UNKNOWN}, {SECRET}"))),
            (Value::Null, _) => push(What::Set(SECRET.into())),
            (_, Value::Null) => push(What::Changed(SECRET.into(), NONE.into())),
            (_, Value::Unknown { .. } | Value::Expr(_)) => push(What::Changed(SECRET.into(), UNKNOWN.into())),
            (a, b) if a.fits(b) => {}
            (a, _) if a.has_digest() => push(What::SecretRotated),
            _ => push(What::SecretChanged),
        },
        (Value::Null, Value::Map(map)) if !map.is_empty() => {
            for (key, item) in map {
                compare(&join(path, key), &Value::Null, item, out);
            }
        }
        (Value::Null, Value::List(items)) if items.iter().any(is_deep) => {
            for (index, item) in items.iter().enumerate() {
                compare(&format!("{path}[{index}]"), &Value::Null, item, out);
            }
        }
        (Value::Null, after) => push(What::Set(summary(after))),
        (Value::Text(a), Value::Text(b)) if a == b => {}
        (Value::Text(a), Value::Text(b)) => match (json(a), json(b)) {
            (Some(a), Some(b)) if a != b => compare(path, &a, &b, out),
            _ if a.contains('\n') || b.contains('\n') => push(What::Text(compare_texts(a, b))),
            _ => push(What::Changed(show(before), show(after))),
        },
        (a, b) if a == b => {}
        (a, b) => push(What::Changed(summary(a), summary(b))),
    }
}

fn is_secret(value: &Value) -> bool {
    matches!(value, Value::Secret(_) | Value::Unknown { secret: true })
}

fn is_deep(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::List(_))
}

fn join(path: &str, key: &str) -> String {
    let key = clean(key);
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    match (path.is_empty(), plain) {
        (true, _) => key.into_owned(),
        (false, true) => format!("{path}.{key}"),
        // Keys such as `app.kubernetes.io/name` would read as paths.
        (false, false) => format!("{path}[\"{key}\"]"),
    }
}

/// A value in one line; a text of several lines by its first one and their number.
fn summary(value: &Value) -> String {
    match value {
        Value::Text(text) if text.trim_end().contains('\n') => {
            let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let first = clean(first.trim());
            let first = shorten(&first, 40);
            let more = if first.ends_with('…') { "" } else { "…" };
            format!("\"{first}{more}\" ({} lines)", text.lines().count())
        }
        other => show(other),
    }
}

fn compare_lists(path: &str, was: &[Value], will: &[Value], out: &mut Vec<Line>) {
    let start = was.iter().zip(will).take_while(|(a, b)| a == b).count();
    let (a, b) = (&was[start..], &will[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    if a.len() == b.len() {
        for (index, (a, b)) in a.iter().zip(b).enumerate() {
            compare(&format!("{path}[{}]", start + index), a, b, out);
        }
        return;
    }
    let mut push = |what| out.push(Line { path: path.to_owned(), what });
    a.iter().filter(|item| !b.contains(item)).for_each(|item| push(What::Removed(summary(item))));
    b.iter().filter(|item| !a.contains(item)).for_each(|item| push(What::Added(summary(item))));
}

fn compare_texts(before: &str, after: &str) -> Vec<(Sign, String)> {
    let one = |text: &str| clean_lines(text).next().unwrap_or_default();
    let mut out = Vec::new();
    let diff = TextDiff::from_lines(before, after);
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            out.push((Sign::Gap, String::new()));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => Sign::Same,
                ChangeTag::Delete => Sign::Gone,
                ChangeTag::Insert => Sign::New,
            };
            out.push((sign, one(change.value())));
        }
    }
    out
}

/// A JSON object or array inside a text, such as an access policy.
fn json(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok().map(from_json)
}

fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::text("null"),
        serde_json::Value::Bool(b) => Value::Bool(b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(n)) => Value::UInt(n),
            _ => Value::Float(n.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(map) => Value::Map(map.into_iter().map(|(k, v)| (k, from_json(v))).collect()),
    }
}

/// Two values side by side in so many columns. What they begin with in common is cut first: the end is what differs.
pub(crate) fn shorten_pair(before: &str, after: &str, columns: usize) -> (String, String) {
    if width(before) + width(after) <= columns {
        return (before.to_owned(), after.to_owned());
    }
    let half = columns / 2;
    let mut common = before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count();
    common = common.saturating_sub(8);
    if common < 8 {
        // Whatever the shorter one leaves, the longer one may use.
        let left = half.min(width(before)).max(columns.saturating_sub(width(after)).max(half).min(width(before)));
        return (shorten(before, left).into_owned(), shorten(after, columns - left).into_owned());
    }
    let cut = |text: &str| {
        let rest: String = text.chars().skip(common).collect();
        shorten(&format!("\"…{rest}"), half.max(12)).into_owned()
    };
    (cut(before), cut(after))
}

/// The plain JSON of a value for programs: a secret is the text `[secret]` unless it is to be shown, and what is not
/// known is null.
pub fn to_json(value: &Value, secrets: Secrets) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null | Value::Unknown { .. } | Value::Expr(_) => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(n) => Json::from(*n),
        Value::UInt(n) => Json::from(*n),
        Value::Float(n) => Json::from(*n),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(|item| to_json(item, secrets)).collect()),
        Value::Map(map) => Json::Object(map.iter().map(|(key, item)| (key.clone(), to_json(item, secrets))).collect()),
        Value::Digest(_) => Json::String(SECRET.into()),
        Value::Secret(_) if value.has_sealed() => Json::String(SEALED.into()),
        Value::Secret(secret) => match secrets {
            Secrets::Hidden => Json::String(SECRET.into()),
            Secrets::Shown => to_json(secret.reveal(), secrets),
        },
    }
}

/// Whether secrets come out in plain text. A person asked for [`Secrets::Shown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They are `[secret]`.
    Hidden,
    /// They are as they are.
    Shown,
}

impl Secrets {
    /// From a `--show-secrets` switch.
    pub fn shown_if(asked: bool) -> Self {
        if asked { Secrets::Shown } else { Secrets::Hidden }
    }
}

/// A value as a person or a shell script takes it: text as it is, everything else as JSON.
pub fn to_text(value: &Value, secrets: Secrets) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Secret(_) if value.has_sealed() => SEALED.into(),
        Value::Secret(_) if secrets == Secrets::Hidden => SECRET.into(),
        Value::Secret(secret) => to_text(secret.reveal(), secrets),
        Value::Unknown { .. } | Value::Expr(_) => UNKNOWN.into(),
        other => to_json(other, secrets).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
        Value::Map(BTreeMap::from(entries.map(|(key, value)| (key.to_owned(), value))))
    }

    fn check(before: Value, after: Value, expected: &[(&str, What)]) {
        let mut lines = Vec::new();
        compare("f", &before, &after, &mut lines);
        let found: Vec<_> = lines.iter().map(|line| (line.path.as_str(), line.what.clone())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn nested_maps_and_lists_go_by_path() {
        let t = Value::text;
        check(
            map([("a", t("x")), ("b", map([("app.io/name", Value::Int(1))]))]),
            map([("a", t("x")), ("b", map([("app.io/name", Value::Int(2))])), ("c", Value::Bool(true))]),
            &[("f.b[\"app.io/name\"]", What::Changed("1".into(), "2".into())), ("f.c", What::Set("true".into()))],
        );
        check(
            Value::List(vec![t("a"), t("b"), t("c")]),
            Value::List(vec![t("a"), t("c"), t("d"), t("e")]),
            &[
                ("f", What::Removed("\"b\"".into())),
                ("f", What::Added("\"d\"".into())),
                ("f", What::Added("\"e\"".into())),
            ],
        );
        check(
            Value::List(vec![map([("port", Value::Int(80))]), t("z")]),
            Value::List(vec![map([("port", Value::Int(81))]), t("z")]),
            &[("f[0].port", What::Changed("80".into(), "81".into()))],
        );
        check(Value::Null, map([("k", t("v"))]), &[("f.k", What::Set("\"v\"".into()))]);
        check(t("x"), Value::Null, &[("f", What::Changed("\"x\"".into(), "none".into()))]);
    }

    #[test]
    fn secrets_say_only_that_they_change() {
        let secret = |text: &str| Value::text(text).into_secret();
        check(secret("old-canary"), secret("new-canary"), &[("f", What::SecretChanged)]);
        check(secret("canary"), secret("canary"), &[]);
        check(Value::Null, secret("canary"), &[("f", What::Set("[secret]".into()))]);
        check(Value::text("canary"), secret("canary"), &[("f", What::SecretChanged)]);
        check(secret("canary"), Value::text("canary"), &[("f", What::SecretChanged)]);
        check(
            secret("canary"),
            Value::Unknown { secret: true },
            &[("f", What::Changed("[secret]".into(), "known after apply".into()))],
        );
        check(
            Value::List(vec![secret("canary")]),
            Value::List(vec![secret("canary"), secret("other")]),
            &[("f", What::Added("[secret]".into()))],
        );
        assert_eq!(to_json(&secret("canary"), Secrets::Hidden), "[secret]");
        assert_eq!(to_text(&secret("canary"), Secrets::Hidden), "[secret]");
        assert_eq!(to_text(&secret("shown"), Secrets::Shown), "shown");
    }

    #[test]
    fn json_inside_a_text_is_compared_as_json() {
        check(
            Value::text(r#"{"Statement":[{"Action":"s3:Get*"}]}"#),
            Value::text(r#"{"Statement":[{"Action":"s3:*"}]}"#),
            &[("f.Statement[0].Action", What::Changed("\"s3:Get*\"".into(), "\"s3:*\"".into()))],
        );
    }

    #[test]
    fn texts_of_lines_are_compared_by_line() {
        let mut lines = Vec::new();
        compare("f", &Value::text("a\nb\nc\nd\ne\nf\n"), &Value::text("a\nB\nc\nd\ne\nF\n"), &mut lines);
        let What::Text(lines) = &lines[0].what else { panic!("{lines:?}") };
        let text: Vec<_> = lines
            .iter()
            .map(|(sign, line)| {
                let sign = match sign {
                    Sign::Same => " ",
                    Sign::Gone => "-",
                    Sign::New => "+",
                    Sign::Gap => "…",
                };
                format!("{sign}{line}")
            })
            .collect();
        assert_eq!(text, [" a", "-b", "+B", " c", "…", " e", "-f", "+F"]);
    }

    #[test]
    fn long_values_are_cut_where_they_are_alike() {
        let a = format!("\"{}one\"", "x".repeat(60));
        let b = format!("\"{}two\"", "x".repeat(60));
        assert_eq!(shorten_pair(&a, &b, 40), ("\"…xxxxxxxxone\"".to_owned(), "\"…xxxxxxxxtwo\"".to_owned()));
        let (a, b) = shorten_pair("\"short\"", &format!("\"{}\"", "y".repeat(60)), 40);
        assert_eq!((a.as_str(), width(&b)), ("\"short\"", 33));
    }
}
