//! `Mode`: the permission bits of a file, written in octal as everyone writes them.

use std::fmt;

use crate::property::{DecodeError, FromText, Open, Plain, Property, Sampler};
use crate::secret::Secret;
use crate::value::Value;

/// Permission bits of a file or folder, such as `0644`. Written as octal text or made of a number: `"0644"`, `"644"`
/// and `Mode(0o644)` are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Mode {
    /// The number.
    pub fn bits(self) -> u32 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = !digits.is_empty() && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        u32::from_str_radix(digits, 8).ok().filter(|bits| octal && *bits <= 0o7777).map(Self)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Property for Mode {
    type Mark = Open;
    type Hidden = Secret<Mode>;
    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let Some(text) = value.as_text() else {
            return Err(DecodeError::expected("permission bits as octal text, such as \"0644\"", value));
        };
        Self::parse(text).ok_or_else(|| {
            DecodeError::new(format!(
                "`{}` is no permission bits: write them in octal, such as \"0644\"",
                text.escape_debug()
            ))
        })
    }
    fn canonical(value: Value) -> Value {
        match Self::from_value(&value) {
            Ok(mode) => mode.to_value(),
            Err(_) => value,
        }
    }
    fn type_name() -> String {
        "Mode".into()
    }
    fn sample(_: &Sampler) -> Value {
        Value::text("0644")
    }
}
impl Plain for Mode {}
impl FromText for Mode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_of_writing_a_mode_are_equal() {
        for text in ["0644", "644", "0o644"] {
            assert_eq!(Mode::from_value(&Value::text(text)).unwrap(), Mode(0o644));
            assert_eq!(Mode::canonical(Value::text(text)), Value::text("0644"));
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in ["", "rw-r--r--", "0888", "77777", "+644", "-1"] {
            assert!(Mode::from_value(&Value::text(text)).is_err(), "{text}");
        }
        assert!(Mode::from_value(&Value::Int(644)).is_err());
    }
}
