//! Values as JSON text: the plain form that goes into a seal, and the stored form in which every secret is a seal.
//!
//! Null, truth values, numbers, text, lists and maps are themselves. A map with one key that begins with a single `$`
//! is a mark; a user's key that begins with `$` gets another one in front.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Place, SealError};
use crate::value::{SecretValue, Value};

/// The mark of a sealed value in the stored form.
const SEALED: &str = "$sealed";
/// The mark of a secret within a secret, in the plain form.
const SECRET: &str = "$secret";
/// The mark of a digest in the place of a secret, in the plain form.
const DIGEST: &str = "$digest";
/// The mark of a number that is not finite: its IEEE 754 bits as sixteen hexadecimal digits.
const FLOAT: &str = "$float";
/// JSON readers refuse what is nested deeper than 128; a record adds a few levels of its own.
const DEEPEST: usize = 100;

/// What is wrong with a value or a text, and at which path.
#[derive(Debug)]
pub(crate) struct Problem {
    path: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Unfit(&'static str),
    Malformed(String),
    Seal(SealError),
}

impl Problem {
    /// The error, once the place is known whose section the path lies in.
    pub(crate) fn at(self, place: Place<'_>) -> SealError {
        let path = format!("{}{}", place.path, self.path);
        let place = place.at(&path).to_string();
        match self.what {
            What::Unfit(detail) => SealError::Unfit { place, detail },
            What::Malformed(detail) => SealError::Malformed { place, detail },
            What::Seal(error) => error,
        }
    }
}

/// Writes the seal of a secret at a path.
pub(crate) type Seal<'a> = dyn FnMut(&SecretValue, &str, &mut Vec<u8>) -> Result<(), SealError> + 'a;
/// Opens the seal at a path.
pub(crate) type Open<'a> = dyn Fn(&str, &str) -> Result<Value, SealError> + 'a;

/// An upper bound of what [`write_plain`] writes.
pub(crate) fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text_size(text),
        Value::List(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Map(map) => 2 + map.iter().map(|(key, item)| text_size(key) + size(item) + 3).sum::<usize>(),
        Value::Secret(secret) => size(secret.reveal()) + 16,
        Value::Digest(_) => 128,
        _ => 32,
    }
}

fn text_size(text: &str) -> usize {
    2 + text
        .bytes()
        .map(|byte| if byte < 0x20 { 6 } else { 1 + usize::from(byte == b'"' || byte == b'\\') })
        .sum::<usize>()
}

/// Writes the plain form.
pub(crate) fn write_plain(value: &Value, out: &mut Vec<u8>) -> Result<(), Problem> {
    Writer { out, path: String::new(), depth: 0, seal: None }.write(value)
}

/// Writes the stored form of a map of fields, whose secrets `seal` writes.
pub(crate) fn write_fields(
    fields: &BTreeMap<String, Value>,
    out: &mut Vec<u8>,
    seal: &mut Seal<'_>,
) -> Result<(), Problem> {
    Writer { out, path: String::new(), depth: 0, seal: Some(seal) }.map(fields)
}

/// Writes the stored form of a value, whose secrets `seal` writes.
pub(crate) fn write_stored(value: &Value, out: &mut Vec<u8>, seal: &mut Seal<'_>) -> Result<(), Problem> {
    Writer { out, path: String::new(), depth: 0, seal: Some(seal) }.write(value)
}

struct Writer<'a, 'b> {
    out: &'a mut Vec<u8>,
    path: String,
    depth: usize,
    seal: Option<&'a mut Seal<'b>>,
}

impl Writer<'_, '_> {
    fn unfit(&self, detail: &'static str) -> Problem {
        Problem { path: self.path.clone(), what: What::Unfit(detail) }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, text: &str) -> Result<(), Problem> {
        serde_json::to_writer(&mut *self.out, text).map_err(|_| self.unfit("it is no text"))
    }

    fn nested(&mut self) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.unfit("it is nested more than 100 levels deep"));
        }
        Ok(())
    }

    fn write(&mut self, value: &Value) -> Result<(), Problem> {
        use std::io::Write as _;
        match value {
            Value::Null => self.raw("null"),
            Value::Bool(true) => self.raw("true"),
            Value::Bool(false) => self.raw("false"),
            Value::Int(number) => drop(write!(self.out, "{number}")),
            Value::UInt(number) => drop(write!(self.out, "{number}")),
            // Rust's debug form is the shortest that reads back as the same number, and always shows that it is no
            // whole number.
            Value::Float(number) if number.is_finite() => drop(write!(self.out, "{number:?}")),
            Value::Float(number) => drop(write!(self.out, "{{\"{FLOAT}\":\"{:016x}\"}}", number.to_bits())),
            Value::Text(text) => self.text(text)?,
            Value::List(items) => {
                self.nested()?;
                self.raw("[");
                let length = self.path.len();
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.raw(",");
                    }
                    let _ = fmt::Write::write_fmt(&mut self.path, format_args!("/{index}"));
                    self.write(item)?;
                    self.path.truncate(length);
                }
                self.raw("]");
                self.depth -= 1;
            }
            Value::Map(map) => self.map(map)?,
            Value::Secret(secret) => match &mut self.seal {
                Some(seal) => {
                    self.out.extend_from_slice(b"{\"$sealed\":\"");
                    seal(secret, &self.path, self.out)
                        .map_err(|error| Problem { path: self.path.clone(), what: What::Seal(error) })?;
                    self.raw("\"}");
                }
                None => {
                    self.nested()?;
                    self.raw("{\"$secret\":");
                    self.write(secret.reveal())?;
                    self.raw("}");
                    self.depth -= 1;
                }
            },
            // A digest tells nothing of its secret to whoever has no key: it stands within a seal alone.
            Value::Digest(digest) if self.seal.is_none() => {
                let text = digest.text();
                drop(write!(self.out, "{{\"{DIGEST}\":\"{text}\"}}"));
            }
            Value::Digest(_) => {
                return Err(self.unfit("it is a digest outside a seal; this is a mistake in the engine"));
            }
            Value::Expr(_) | Value::Unknown { .. } => {
                return Err(self.unfit("it is not resolved yet; this is a mistake in the engine"));
            }
        }
        Ok(())
    }

    fn map(&mut self, map: &BTreeMap<String, Value>) -> Result<(), Problem> {
        self.nested()?;
        self.raw("{");
        let length = self.path.len();
        for (index, (key, item)) in map.iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            if key.starts_with('$') {
                self.text(&format!("${key}"))?;
            } else {
                self.text(key)?;
            }
            self.raw(":");
            push_segment(&mut self.path, key);
            self.write(item)?;
            self.path.truncate(length);
        }
        self.raw("}");
        self.depth -= 1;
        Ok(())
    }
}

/// Appends a segment to a JSON pointer.
pub(crate) fn push_segment(path: &mut String, key: &str) {
    path.push('/');
    for letter in key.chars() {
        match letter {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            other => path.push(other),
        }
    }
}

/// Reads the plain form.
pub(crate) fn read_plain(text: &[u8]) -> Result<Value, Problem> {
    Reader { path: RefCell::default(), open: None, failed: RefCell::default() }.read(text)
}

/// Reads the stored form, whose seals `open` opens.
pub(crate) fn read_stored(text: &str, open: &Open<'_>) -> Result<Value, Problem> {
    Reader { path: RefCell::default(), open: Some(open), failed: RefCell::default() }.read(text.as_bytes())
}

/// Reads the stored form of a map of fields.
pub(crate) fn read_fields(text: &str, open: &Open<'_>) -> Result<BTreeMap<String, Value>, Problem> {
    match read_stored(text, open)? {
        Value::Map(map) => Ok(map),
        _ => Err(Problem { path: String::new(), what: What::Malformed("it is no map".into()) }),
    }
}

struct Reader<'a> {
    path: RefCell<String>,
    open: Option<&'a Open<'a>>,
    failed: RefCell<Option<SealError>>,
}

impl Reader<'_> {
    fn read(&self, text: &[u8]) -> Result<Value, Problem> {
        let mut json = serde_json::Deserializer::from_slice(text);
        self.deserialize(&mut json).and_then(|value| json.end().map(|()| value)).map_err(|error| Problem {
            path: self.path.take(),
            what: match self.failed.take() {
                Some(failure) => What::Seal(failure),
                // The message of the JSON reader could quote the text, which may be a secret's.
                None if self.open.is_none() => What::Malformed("it is not the JSON of a value".into()),
                None => What::Malformed(error.to_string()),
            },
        })
    }

    fn marked<'de, A: MapAccess<'de>>(&self, mark: &str, map: &mut A) -> Result<Value, A::Error> {
        match (mark, self.open) {
            (SEALED, Some(open)) => {
                let token: Cow<'de, str> = map.next_value()?;
                open(&self.path.borrow(), &token).map_err(|error| {
                    *self.failed.borrow_mut() = Some(error);
                    A::Error::custom("a seal does not open")
                })
            }
            (SECRET, None) => map.next_value_seed(self).map(|inner| Value::Secret(SecretValue::new(inner))),
            (DIGEST, None) => {
                let text: Cow<'de, str> = map.next_value()?;
                let digest = crate::digest::Digest::parse(&text);
                digest.map(Value::Digest).ok_or_else(|| A::Error::custom("a $digest needs a key and a code"))
            }
            (FLOAT, _) => {
                let digits: Cow<'de, str> = map.next_value()?;
                match u64::from_str_radix(&digits, 16) {
                    Ok(bits) if digits.len() == 16 => Ok(Value::Float(f64::from_bits(bits))),
                    _ => Err(A::Error::custom("a $float needs sixteen hexadecimal digits")),
                }
            }
            _ => Err(A::Error::custom("a map has a mark that this program does not know")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        let length = self.path.borrow().len();
        loop {
            let _ = fmt::Write::write_fmt(&mut *self.path.borrow_mut(), format_args!("/{}", items.len()));
            match seq.next_element_seed(self)? {
                Some(item) => items.push(item),
                None => break,
            }
            self.path.borrow_mut().truncate(length);
        }
        self.path.borrow_mut().truncate(length);
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = BTreeMap::new();
        let length = self.path.borrow().len();
        while let Some(written) = map.next_key::<Cow<'de, str>>()? {
            let key = match written.strip_prefix('$') {
                None => written.into_owned(),
                Some(user) if user.starts_with('$') => user.to_owned(),
                Some(_) => {
                    let value = self.marked(&written, &mut map)?;
                    if !fields.is_empty() || map.next_key::<Cow<'de, str>>()?.is_some() {
                        return Err(A::Error::custom("a mark stands beside other keys"));
                    }
                    return Ok(value);
                }
            };
            push_segment(&mut self.path.borrow_mut(), &key);
            let value = map.next_value_seed(self)?;
            self.path.borrow_mut().truncate(length);
            if fields.insert(key, value).is_some() {
                return Err(A::Error::custom("a map has a key twice"));
            }
        }
        Ok(Value::Map(fields))
    }
}
