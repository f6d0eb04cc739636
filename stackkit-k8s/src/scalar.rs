//! Scalars that Kubernetes has beside the usual ones: amounts, numbers or names, bytes, and trees without a schema.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stackkit::property::{DecodeError, Flows, FromText, Open, Property, Sampler};
use stackkit::{IntoInput, Secret, Value};

/// An amount of a resource, such as `500m`, `2` or `1Gi`. Two spellings of one amount are equal: `1000m` is `1`.
#[derive(Debug, Clone)]
pub struct Quantity(String);

impl Quantity {
    /// From its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        match (parse(&self.0), parse(&other.0)) {
            (Some(a), Some(b)) => a == b,
            _ => self.0 == other.0,
        }
    }
}

/// Billionths of a quantity, the finest that the server keeps; finer parts are rounded away from zero, as there.
pub(crate) fn parse(text: &str) -> Option<i128> {
    let digits = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (sign, number) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.contains(['+', '-']) {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let fraction_digits = u32::try_from(fraction.len()).ok()?;
    let (factor, exponent): (i128, i32) = match suffix {
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "" => (1, 0),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        other => (1, other.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let scaled = digits.checked_mul(factor)?;
    let shift = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction_digits).ok()?)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let nano = if shift >= 0 {
        scaled.checked_mul(power)?
    } else {
        scaled.div_euclid(power) + i128::from(scaled % power != 0)
    };
    Some(sign * nano)
}

impl Property for Quantity {
    type Mark = Open;
    type Hidden = Secret<Quantity>;
    fn to_value(&self) -> Value {
        Value::text(&self.0)
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let text = match value {
            Value::Text(text) => text.clone(),
            Value::Int(n) => n.to_string(),
            Value::UInt(n) => n.to_string(),
            Value::Float(n) => n.to_string(),
            other => return Err(DecodeError::expected("a quantity such as `500m` or `1Gi`", other)),
        };
        match parse(&text) {
            Some(_) => Ok(Self(text)),
            None => Err(DecodeError::new(format!("`{text}` is not a quantity such as `500m`, `2` or `1Gi`"))),
        }
    }
    fn canonical(value: Value) -> Value {
        match Self::from_value(&value).ok().and_then(|quantity| parse(&quantity.0)) {
            Some(nano) if nano % 1_000_000_000 == 0 => Value::Text((nano / 1_000_000_000).to_string()),
            Some(nano) => Value::Text(format!("{nano}n")),
            None => value,
        }
    }
    fn type_name() -> String {
        "Quantity".into()
    }
    fn sample(sampler: &Sampler) -> Value {
        Value::Text((sampler.number() % 100).to_string())
    }
}
impl FromText for Quantity {}
impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
impl IntoInput<Quantity> for Quantity {
    fn into_value(self) -> Value {
        self.to_value()
    }
}
impl IntoInput<Option<Quantity>> for Quantity {
    fn into_value(self) -> Value {
        self.to_value()
    }
}
impl IntoInput<Quantity> for i32 {
    fn into_value(self) -> Value {
        Value::Text(self.to_string())
    }
}
impl Flows<Quantity> for String {}

/// A number or a name, as a port is: `8080` and `"http"` both fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A name, or a share such as `25%`.
    Text(String),
}

impl Property for IntOrString {
    type Mark = Open;
    type Hidden = Secret<IntOrString>;
    fn to_value(&self) -> Value {
        match self {
            Self::Int(n) => Value::Int(i64::from(*n)),
            Self::Text(text) => Value::text(text),
        }
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Text(text) => Ok(Self::Text(text.clone())),
            Value::Int(_) | Value::UInt(_) => i32::from_value(value).map(Self::Int),
            other => Err(DecodeError::expected("a whole number or text", other)),
        }
    }
    fn type_name() -> String {
        "IntOrString".into()
    }
    fn sample(sampler: &Sampler) -> Value {
        i32::sample(sampler)
    }
}
impl FromText for IntOrString {}
impl Flows<IntOrString> for i32 {}
impl Flows<IntOrString> for u16 {}
impl Flows<IntOrString> for String {}

macro_rules! number_or_name {
    ($($source:ty)*) => {$(
        impl IntoInput<IntOrString> for $source {
            fn into_value(self) -> Value {
                self.to_value()
            }
        }
    )*};
}
number_or_name!(i32 u16 String IntOrString);

/// Bytes. On the wire, and where it is written as text, they are in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteString(Vec<u8>);

impl ByteString {
    /// From the bytes themselves.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Property for ByteString {
    type Mark = Open;
    type Hidden = Secret<ByteString>;
    fn to_value(&self) -> Value {
        Value::Text(STANDARD.encode(&self.0))
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let Value::Text(text) = value else { return Err(DecodeError::expected("bytes in base64", value)) };
        STANDARD.decode(text.trim()).map(Self).map_err(|_| {
            DecodeError::new("not base64: give the bytes with `ByteString::new`, or text in `string_data`")
        })
    }
    fn canonical(value: Value) -> Value {
        Self::from_value(&value).map_or(value, |bytes| bytes.to_value())
    }
    fn type_name() -> String {
        "ByteString".into()
    }
    fn sample(sampler: &Sampler) -> Value {
        Self::new(sampler.text()).to_value()
    }
    fn wipe(&mut self) {
        self.0.fill(0);
    }
}
impl FromText for ByteString {}

macro_rules! as_itself {
    ($ty:ident: $($wanted:ty => $hide:ident),* $(,)?) => {$(
        impl IntoInput<$wanted> for $ty {
            fn into_value(self) -> Value {
                as_itself!(@$hide self.to_value())
            }
        }
    )*};
    (@plain $value:expr) => { $value };
    (@hidden $value:expr) => { $value.into_secret() };
}
as_itself!(ByteString: ByteString => plain, Option<ByteString> => plain, Secret<ByteString> => hidden,
    Option<Secret<ByteString>> => hidden);

/// A tree that the server has no schema for, such as the default of a custom resource's field.
#[derive(Debug, Clone, PartialEq)]
pub struct Json(Value);

impl Json {
    /// The tree.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl From<serde_json::Value> for Json {
    fn from(json: serde_json::Value) -> Self {
        Self(crate::body::from_json(&json))
    }
}

impl Property for Json {
    type Mark = Open;
    type Hidden = Secret<Json>;
    fn to_value(&self) -> Value {
        self.0.clone()
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        crate::shape::Ty::Json.check(value)?;
        Ok(Self(value.clone()))
    }
    fn type_name() -> String {
        "Json".into()
    }
    fn sample(_: &Sampler) -> Value {
        Value::Map(std::collections::BTreeMap::new())
    }
}
as_itself!(Json: Json => plain, Option<Json> => plain);

impl IntoInput<Json> for serde_json::Value {
    fn into_value(self) -> Value {
        crate::body::from_json(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_amount_has_one_form() {
        for (a, b) in [
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("1.5Gi", "1536Mi"),
            ("+2", "2"),
            ("0", "0m"),
            ("1n", "0.000000001"),
            ("12E", "12000P"),
        ] {
            let canonical = |text: &str| Quantity::canonical(Value::text(text));
            assert_eq!(canonical(a), canonical(b), "{a} and {b}");
            assert_eq!(Quantity::new(a), Quantity::new(b));
        }
        assert_ne!(Quantity::new("1G"), Quantity::new("1Gi"));
        assert_eq!(Quantity::canonical(Value::Int(2)), Quantity::canonical(Value::text("2000m")));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "Gi", "1.2.3", "1 Gi", "1gi", "ten", "1-2", "1ee3"] {
            assert!(Quantity::from_value(&Value::text(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_is_a_number_or_a_name() {
        assert_eq!(IntOrString::from_value(&Value::Int(80)), Ok(IntOrString::Int(80)));
        assert_eq!(IntOrString::from_value(&Value::text("80")), Ok(IntOrString::Text("80".into())));
        assert!(IntOrString::from_value(&Value::Bool(true)).is_err());
    }

    #[test]
    fn bytes_are_base64_as_text() {
        assert_eq!(ByteString::new("hi").to_value(), Value::text("aGk="));
        assert_eq!(ByteString::from_value(&Value::text("aGk=")), Ok(ByteString::new("hi")));
        assert!(ByteString::from_value(&Value::text("not base64!")).is_err());
    }
}
