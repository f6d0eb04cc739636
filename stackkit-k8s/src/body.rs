//! Between the engine's values and JSON on the wire.

use serde_json::{Map, Number, Value as Wire};
use stackkit::Value;

/// A resolved value as JSON, secrets in plain text: for the request's body and nothing else. Fields that are null are
/// left out.
pub(crate) fn reveal_json(value: &Value) -> Wire {
    match value {
        Value::Null | Value::Digest(_) | Value::Expr(_) | Value::Unknown { .. } => Wire::Null,
        Value::Bool(b) => Wire::Bool(*b),
        Value::Int(n) => Wire::Number((*n).into()),
        Value::UInt(n) => Wire::Number((*n).into()),
        Value::Float(n) => Number::from_f64(*n).map_or(Wire::Null, Wire::Number),
        Value::Text(text) => Wire::String(text.clone()),
        Value::List(items) => Wire::Array(items.iter().map(reveal_json).collect()),
        Value::Map(map) => {
            Wire::Object(map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), reveal_json(v))).collect())
        }
        Value::Secret(secret) => reveal_json(secret.reveal()),
    }
}

/// JSON as a value; nothing in it is marked secret.
pub(crate) fn from_json(json: &Wire) -> Value {
    match json {
        Wire::Null => Value::Null,
        Wire::Bool(b) => Value::Bool(*b),
        Wire::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(n)) => Value::UInt(n),
            (None, None) => Value::Float(n.as_f64().unwrap_or_default()),
        },
        Wire::String(text) => Value::text(text),
        Wire::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Wire::Object(map) => Value::Map(map.iter().map(|(k, v)| (k.clone(), from_json(v))).collect()),
    }
}

/// Looks a dotted path up in JSON.
pub(crate) fn at<'a>(json: &'a Wire, path: &str) -> Option<&'a Wire> {
    path.split('.').try_fold(json, |json, segment| json.get(segment))
}

/// The text at a dotted path.
pub(crate) fn text_at<'a>(json: &'a Wire, path: &str) -> Option<&'a str> {
    at(json, path).and_then(Wire::as_str)
}

/// The number at a dotted path; nothing counts as zero, as it does in a status.
pub(crate) fn count_at(json: &Wire, path: &str) -> i64 {
    at(json, path).and_then(Wire::as_i64).unwrap_or_default()
}

/// The items at a dotted path; none where it is no list.
pub(crate) fn items_at<'a>(json: &'a Wire, path: &str) -> &'a [Wire] {
    at(json, path).and_then(Wire::as_array).map_or(&[], Vec::as_slice)
}

/// An object from pairs.
pub(crate) fn object<const N: usize>(pairs: [(&str, Wire); N]) -> Wire {
    Wire::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
}
