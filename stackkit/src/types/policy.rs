//! `JsonPolicy`: an access policy in the shape that AWS made common, compared by what it allows.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value as Document};

use super::json::{compact, parse, wipe};
use crate::property::{DecodeError, Open, Plain, Property, Sampler};
use crate::secret::Secret;
use crate::value::Value;

/// An access policy. Beyond [`super::Json`], these are equal:
///
/// - one statement and a list of that one statement;
/// - one action, resource, principal or condition value and a list of that one;
/// - lists of these in another order or with repetitions;
/// - a truth value or a number in a condition and its text;
/// - the principal `"*"` and `{"AWS": "*"}`; an account's number and the ARN of its root.
///
/// The version is part of a policy: left out it is not filled in, because then an older one holds.
#[derive(Clone)]
pub struct JsonPolicy(Document);

impl JsonPolicy {
    /// The document as it was written.
    pub fn as_value(&self) -> &Document {
        &self.0
    }

    fn canonical_text(&self) -> String {
        compact(&canonical(self.0.clone()))
    }
}

fn canonical(policy: Document) -> Document {
    let Document::Object(mut policy) = policy else { return policy };
    if let Some(statements) = policy.remove("Statement") {
        let statements = match statements {
            Document::Array(items) => items,
            one => vec![one],
        };
        policy.insert("Statement".into(), Document::Array(statements.into_iter().map(statement).collect()));
    }
    Document::Object(policy)
}

fn statement(statement: Document) -> Document {
    let Document::Object(statement) = statement else { return statement };
    Document::Object(
        statement
            .into_iter()
            .map(|(key, value)| {
                let value = match key.as_str() {
                    "Action" | "NotAction" | "Resource" | "NotResource" => sorted(value, |item| item),
                    "Principal" | "NotPrincipal" => principal(value),
                    "Condition" => each_member(value, |values| each_member(values, |value| sorted(value, condition))),
                    _ => value,
                };
                (key, value)
            })
            .collect(),
    )
}

fn principal(value: Document) -> Document {
    match value {
        Document::String(all) if all == "*" => {
            Document::Object(Map::from_iter([("AWS".to_owned(), Document::Array(vec![all.into()]))]))
        }
        other => each_member(other, |value| sorted(value, account)),
    }
}

/// The number of the account where the principal is an account's root, in whatever partition.
fn account(principal: Document) -> Document {
    let root = principal.as_str().and_then(|arn| {
        let [prefix, _, service, region, account, resource] =
            <[&str; 6]>::try_from(arn.split(':').collect::<Vec<_>>()).ok()?;
        (prefix == "arn" && service == "iam" && region.is_empty() && resource == "root").then(|| account.to_owned())
    });
    root.map_or(principal, Document::String)
}

fn condition(value: Document) -> Document {
    match value {
        Document::Bool(_) | Document::Number(_) => Document::String(value.to_string()),
        other => other,
    }
}

fn each_member(value: Document, f: impl Fn(Document) -> Document) -> Document {
    match value {
        Document::Object(map) => Document::Object(map.into_iter().map(|(key, value)| (key, f(value))).collect()),
        other => other,
    }
}

fn sorted(value: Document, each: impl Fn(Document) -> Document) -> Document {
    let items = match value {
        Document::Array(items) => items,
        one => vec![one],
    };
    let mut items: Vec<Document> = items.into_iter().map(each).collect();
    items.sort_by_cached_key(compact);
    items.dedup();
    Document::Array(items)
}

impl PartialEq for JsonPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.canonical_text() == other.canonical_text()
    }
}

impl From<Document> for JsonPolicy {
    fn from(document: Document) -> Self {
        Self(document)
    }
}

impl FromStr for JsonPolicy {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map(Self)
    }
}

impl fmt::Display for JsonPolicy {
    /// As it was written, but compact and with the keys of objects in order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&compact(&self.0))
    }
}

impl fmt::Debug for JsonPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Property for JsonPolicy {
    type Mark = Open;
    type Hidden = Secret<JsonPolicy>;
    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        parse(value).map(Self)
    }
    fn canonical(value: Value) -> Value {
        match parse(&value) {
            Ok(document) => Value::Text(JsonPolicy(document).canonical_text()),
            Err(_) => value,
        }
    }
    fn type_name() -> String {
        "JsonPolicy".into()
    }
    fn sample(_: &Sampler) -> Value {
        Value::text(r#"{"Statement":[],"Version":"2012-10-17"}"#)
    }
    fn wipe(&mut self) {
        wipe(&mut self.0);
    }
}
impl Plain for JsonPolicy {}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(a: &str, b: &str) -> bool {
        let texts = JsonPolicy::canonical(Value::text(a)) == JsonPolicy::canonical(Value::text(b));
        assert_eq!(texts, a.parse::<JsonPolicy>().unwrap() == b.parse::<JsonPolicy>().unwrap());
        texts
    }

    #[test]
    fn what_allows_the_same_is_equal() {
        let same = [
            (r#"{"Statement":{"Action":"s3:*"}}"#, r#"{"Statement":[{"Action":["s3:*"]}]}"#),
            (r#"{"Statement":[{"Resource":["b","a","b"]}]}"#, r#"{"Statement":[{"Resource":["a","b"]}]}"#),
            (r#"{"Statement":[{"Principal":"*"}]}"#, r#"{"Statement":[{"Principal":{"AWS":["*"]}}]}"#),
            (
                r#"{"Statement":[{"Principal":{"AWS":"123456789012"}}]}"#,
                r#"{"Statement":[{"Principal":{"AWS":["arn:aws-cn:iam::123456789012:root"]}}]}"#,
            ),
            (
                r#"{"Statement":[{"Condition":{"Bool":{"aws:SecureTransport":false}}}]}"#,
                r#"{"Statement":[{"Condition":{"Bool":{"aws:SecureTransport":["false"]}}}]}"#,
            ),
        ];
        for (a, b) in same {
            assert!(equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn what_does_not_is_not() {
        let different = [
            (r#"{"Statement":[{"Action":"s3:Get*"}]}"#, r#"{"Statement":[{"Action":"s3:Put*"}]}"#),
            (r#"{"Statement":[],"Version":"2012-10-17"}"#, r#"{"Statement":[]}"#),
            (r#"{"Statement":[{"Action":"a"}]}"#, r#"{"Statement":[{"NotAction":"a"}]}"#),
            (
                r#"{"Statement":[{"Principal":{"AWS":"123456789012"}}]}"#,
                r#"{"Statement":[{"Principal":{"AWS":"arn:aws:iam::123456789012:role/root"}}]}"#,
            ),
        ];
        for (a, b) in different {
            assert!(!equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_policy_keeps_how_it_was_written() {
        let policy: JsonPolicy = r#"{"Statement": {"Action": "b"}}"#.parse().unwrap();
        assert_eq!(policy.to_string(), r#"{"Statement":{"Action":"b"}}"#);
    }
}
