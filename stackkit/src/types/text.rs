//! `CaselessText`: text in which upper and lower case mean the same.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroize;

use crate::property::{DecodeError, Open, Plain, Property, Sampler};
use crate::secret::Secret;
use crate::value::Value;

/// Text that a service gives back in a case of its own choice: compared without regard to case.
#[derive(Clone, Default)]
pub struct CaselessText(String);

impl CaselessText {
    /// From text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Deref for CaselessText {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl PartialEq for CaselessText {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }
}
impl Eq for CaselessText {}
impl From<String> for CaselessText {
    fn from(text: String) -> Self {
        Self(text)
    }
}
impl From<&str> for CaselessText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
impl fmt::Display for CaselessText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for CaselessText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Property for CaselessText {
    type Mark = Open;
    type Hidden = Secret<CaselessText>;
    fn to_value(&self) -> Value {
        Value::Text(self.0.clone())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        String::from_value(value).map(Self)
    }
    fn canonical(value: Value) -> Value {
        match value {
            Value::Text(text) => Value::Text(text.to_lowercase()),
            other => other,
        }
    }
    fn type_name() -> String {
        "CaselessText".into()
    }
    fn sample(sampler: &Sampler) -> Value {
        String::sample(sampler)
    }
    fn wipe(&mut self) {
        self.0.zeroize();
    }
}
impl Plain for CaselessText {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_means_nothing_and_is_kept() {
        assert_eq!(CaselessText::new("ExAmple"), CaselessText::new("example"));
        assert_ne!(CaselessText::new("a"), CaselessText::new("b"));
        assert_eq!(CaselessText::canonical(Value::text("ExAmple")), Value::text("example"));
        assert_eq!(CaselessText::new("ExAmple").to_value(), Value::text("ExAmple"));
    }
}
