//! `Json`: a document that is compared by its structure.

use std::fmt;
use std::str::FromStr;

use crate::property::{DecodeError, Open, Plain, Property, Sampler};
use crate::secret::Secret;
use crate::value::Value;

/// A JSON document. Two of them are equal when their structure is, whatever their spaces and the order of their keys.
#[derive(Clone, PartialEq)]
pub struct Json(serde_json::Value);

impl Json {
    /// The parsed document.
    pub fn as_value(&self) -> &serde_json::Value {
        &self.0
    }

    /// The parsed document.
    pub fn into_value(self) -> serde_json::Value {
        self.0
    }
}

/// Parses the text of a property.
pub(super) fn parse(value: &Value) -> Result<serde_json::Value, DecodeError> {
    match value {
        Value::Text(text) => serde_json::from_str(text).map_err(|e| DecodeError::new(format!("not valid JSON: {e}"))),
        other => Err(DecodeError::expected("text with JSON", other)),
    }
}

/// The document without spaces and with the keys of every object in order.
pub(super) fn compact(document: &serde_json::Value) -> String {
    let mut out = String::new();
    write(document, &mut out);
    out
}

// Written here because another crate of a program can switch serde_json to keeping keys as they came.
fn write(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        serde_json::Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (at, (key, item)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::Value::from(key.as_str()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

impl From<serde_json::Value> for Json {
    fn from(document: serde_json::Value) -> Self {
        Self(document)
    }
}

impl FromStr for Json {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map(Self)
    }
}

impl fmt::Display for Json {
    /// Compact, with the keys of objects in order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&compact(&self.0))
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Property for Json {
    type Mark = Open;
    type Hidden = Secret<Json>;
    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        parse(value).map(Self)
    }
    fn canonical(value: Value) -> Value {
        match parse(&value) {
            Ok(document) => Value::Text(compact(&document)),
            Err(_) => value,
        }
    }
    fn type_name() -> String {
        "Json".into()
    }
    fn sample(_: &Sampler) -> Value {
        Value::text("{}")
    }
    fn wipe(&mut self) {
        wipe(&mut self.0);
    }
}
impl Plain for Json {}

/// Overwrites all text in a document.
pub(super) fn wipe(document: &mut serde_json::Value) {
    use zeroize::Zeroize;
    match document {
        serde_json::Value::String(text) => text.zeroize(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(wipe),
        serde_json::Value::Object(map) => map.values_mut().for_each(wipe),
        _ => {}
    }
    *document = serde_json::Value::Null;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_decides() {
        let a = Value::text(r#"{ "b": [1, 2], "a": "x\"y" }"#);
        let b = Value::text(r#"{"a":"x\"y","b":[1,2]}"#);
        assert_eq!(Json::canonical(a.clone()), b);
        assert_eq!(Json::from_value(&a), Json::from_value(&b));
        assert_ne!(Json::canonical(Value::text("[1,2]")), Json::canonical(Value::text("[2,1]")));
        assert_eq!(Json::canonical(Value::text("{")), Value::text("{"));
    }

    #[test]
    fn what_is_no_json_is_said_to_be_none() {
        let error = Json::from_value(&Value::text("{")).unwrap_err();
        assert!(error.message.starts_with("not valid JSON: "), "{error}");
        assert!("{".parse::<Json>().is_err());
    }
}
