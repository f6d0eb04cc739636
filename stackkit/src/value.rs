//! The dynamic value tree that inputs and outputs are erased to: known data, secrets, references and unknowns.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroize;

use crate::digest::Digest;

/// A dynamic value.
///
/// It does not implement `Serialize`, and it never will: what reaches a disk goes through
/// [`crate::seal::Sealer`], which is the only maker of the persisted form.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing: an optional input that is unset.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number that fits `i64`.
    Int(i64),
    /// A whole number above `i64::MAX`.
    UInt(u64),
    /// A floating point number.
    Float(f64),
    /// Text.
    Text(String),
    /// An ordered list.
    List(Vec<Value>),
    /// A map; a derived struct is a map of its field names.
    Map(BTreeMap<String, Value>),
    /// A value that must not be shown or stored in plain text.
    Secret(SecretValue),
    /// What is kept of a secret that is not kept; within a secret alone.
    Digest(Digest),
    /// Something that is computed from other resources; gone once the value is resolved.
    Expr(Expr),
    /// A value that is not known before apply.
    Unknown {
        /// Whether the value will be secret.
        secret: bool,
    },
}

/// The content of [`Value::Secret`]: wiped when the last clone is dropped.
#[derive(Clone)]
pub struct SecretValue {
    content: Arc<SecretBox<Value>>,
    ephemeral: bool,
}

impl SecretValue {
    /// Wraps a value; a value that is already secret is not wrapped twice.
    pub fn new(value: Value) -> Self {
        match value {
            Value::Secret(secret) => secret,
            other => Self::of(other, false),
        }
    }

    /// Wraps a value of this run alone, which is never kept.
    pub fn ephemeral(value: Value) -> Self {
        match value {
            Value::Secret(secret) => Self { ephemeral: true, ..secret },
            other => Self::of(other, true),
        }
    }

    fn of(value: Value, ephemeral: bool) -> Self {
        Self { content: Arc::new(SecretBox::new(Box::new(value))), ephemeral }
    }

    /// Whether it is of this run alone.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// The same secret with another content.
    pub(crate) fn with(&self, content: Value) -> Value {
        if self.ephemeral { content.into_ephemeral() } else { content.into_secret() }
    }

    /// The plain content.
    pub fn reveal(&self) -> &Value {
        self.content.expose_secret()
    }
}

impl Zeroize for Value {
    fn zeroize(&mut self) {
        match self {
            Value::Text(text) => text.zeroize(),
            Value::List(items) => items.iter_mut().for_each(Zeroize::zeroize),
            Value::Map(map) => map.values_mut().for_each(Zeroize::zeroize),
            Value::Int(n) => n.zeroize(),
            Value::UInt(n) => n.zeroize(),
            Value::Float(n) => n.zeroize(),
            Value::Bool(b) => b.zeroize(),
            Value::Null | Value::Secret(_) | Value::Digest(_) | Value::Expr(_) | Value::Unknown { .. } => {}
        }
        *self = Value::Null;
    }
}

/// A reference to what a resource has, or a computation over such references.
#[derive(Clone)]
pub enum Expr {
    /// One field of one declared resource, both by index.
    Attr {
        /// Index of the resource in its stack.
        resource: u32,
        /// Index of the field in the type's schema.
        field: u16,
    },
    /// A pure function of other values.
    Computed(Arc<Computed>),
}

/// A pure function of values, evaluated once all of them are known.
pub struct Computed {
    pub(crate) inputs: Vec<Value>,
    pub(crate) secret: bool,
    pub(crate) at: &'static Location<'static>,
    #[allow(clippy::type_complexity, reason = "the one place where this shape is named")]
    pub(crate) run: Box<dyn Fn(Vec<Value>) -> Result<Value, String> + Send + Sync>,
}

/// What values are resolved against.
pub trait Lookup {
    /// The present value of a field of a resource; [`Value::Unknown`] when it is not known yet.
    fn attr(&self, resource: u32, field: u16) -> Value;
}

/// A computation that failed, with the place in the program where it was declared.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message} (in the closure at {at})")]
pub struct EvalError {
    /// What went wrong.
    pub message: String,
    /// Where the closure stands in the user's program.
    pub at: &'static Location<'static>,
}

impl Value {
    /// Text from anything that converts to a string.
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into())
    }

    /// The same value, marked secret; null stays null.
    pub fn into_secret(self) -> Self {
        match self {
            Value::Null => Value::Null,
            Value::Unknown { .. } => Value::Unknown { secret: true },
            Value::Expr(expr) => Value::Expr(Expr::Computed(Arc::new(Computed {
                inputs: vec![Value::Expr(expr)],
                secret: true,
                at: Location::caller(),
                run: Box::new(|mut inputs| Ok(inputs.pop().unwrap_or_default().into_secret())),
            }))),
            other => Value::Secret(SecretValue::new(other)),
        }
    }

    /// The same value, marked as one of this run alone; null stays null.
    pub fn into_ephemeral(self) -> Self {
        match self {
            Value::Null => Value::Null,
            Value::Unknown { .. } => Value::Unknown { secret: true },
            Value::Expr(expr) => Value::Expr(Expr::Computed(Arc::new(Computed {
                inputs: vec![Value::Expr(expr)],
                secret: true,
                at: Location::caller(),
                run: Box::new(|mut inputs| Ok(inputs.pop().unwrap_or_default().into_ephemeral())),
            }))),
            other => Value::Secret(SecretValue::ephemeral(other)),
        }
    }

    /// The same value without what is of this run alone.
    pub(crate) fn kept(&self) -> Self {
        let keeps = |value: &&Value| !matches!(value, Value::Secret(secret) if secret.is_ephemeral());
        match self {
            value if !keeps(&value) => Value::Null,
            Value::List(items) => Value::List(items.iter().map(Value::kept).collect()),
            Value::Map(map) => {
                let kept = map.iter().filter(|(_, item)| keeps(item));
                Value::Map(kept.map(|(key, item)| (key.clone(), item.kept())).collect())
            }
            other => other.clone(),
        }
    }

    /// The same value with a digest in the place of every secret.
    pub(crate) fn digested(&self) -> Self {
        match self {
            Value::Secret(secret) => Value::Secret(SecretValue::new(Value::Digest(Digest::of(secret)))),
            Value::List(items) => Value::List(items.iter().map(Value::digested).collect()),
            Value::Map(map) => Value::Map(map.iter().map(|(key, item)| (key.clone(), item.digested())).collect()),
            other => other.clone(),
        }
    }

    /// Whether another value is what this one stands for: equal, and a digest fits what it was made of.
    pub(crate) fn fits(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Secret(kept), Value::Secret(other)) => match kept.reveal() {
                Value::Digest(digest) => digest.fits(other),
                value => value.fits(other.reveal()),
            },
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.fits(b)),
            (Value::Map(a), Value::Map(b)) => {
                a.keys().eq(b.keys()) && a.values().zip(b.values()).all(|(a, b)| a.fits(b))
            }
            (a, b) => a == b,
        }
    }

    /// Whether a digest stands in it for a secret.
    pub(crate) fn has_digest(&self) -> bool {
        match self {
            Value::Digest(_) => true,
            Value::Secret(secret) => secret.reveal().has_digest(),
            Value::List(items) => items.iter().any(Value::has_digest),
            Value::Map(map) => map.values().any(Value::has_digest),
            _ => false,
        }
    }

    /// Whether a secret stands in it, and no digest in its place.
    pub(crate) fn holds_secret(&self) -> bool {
        match self {
            Value::Secret(secret) => !matches!(secret.reveal(), Value::Digest(_)),
            Value::List(items) => items.iter().any(Value::holds_secret),
            Value::Map(map) => map.values().any(Value::holds_secret),
            _ => false,
        }
    }

    /// A secret that was not opened: it is there, and nobody here knows it.
    pub(crate) fn sealed() -> Self {
        Value::Secret(SecretValue::new(Value::Unknown { secret: true }))
    }

    /// Whether this, or anything in it, is a secret that was not opened.
    pub(crate) fn has_sealed(&self) -> bool {
        match self {
            Value::Secret(secret) => matches!(secret.reveal(), Value::Unknown { .. }),
            Value::List(items) => items.iter().any(Value::has_sealed),
            Value::Map(map) => map.values().any(Value::has_sealed),
            _ => false,
        }
    }

    /// Whether this is [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Looks through a secret mark. The caller is about to use a secret: keep the result out of messages.
    pub fn reveal(&self) -> &Value {
        match self {
            Value::Secret(secret) => secret.reveal(),
            other => other,
        }
    }

    /// The text, if this is plain text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether every part of it is known: neither a reference nor an unknown is left.
    pub fn is_known(&self) -> bool {
        match self {
            Value::Expr(_) | Value::Unknown { .. } => false,
            Value::List(items) => items.iter().all(Value::is_known),
            Value::Map(map) => map.values().all(Value::is_known),
            Value::Secret(secret) => secret.reveal().is_known(),
            _ => true,
        }
    }

    /// Whether any part of it is marked secret.
    pub fn has_secret(&self) -> bool {
        match self {
            Value::Secret(_) | Value::Unknown { secret: true } => true,
            Value::List(items) => items.iter().any(Value::has_secret),
            Value::Map(map) => map.values().any(Value::has_secret),
            Value::Expr(Expr::Computed(computed)) => computed.secret,
            _ => false,
        }
    }

    /// Calls `visit` with the index of every resource that this value refers to.
    pub fn references(&self, visit: &mut dyn FnMut(u32)) {
        match self {
            Value::Expr(Expr::Attr { resource, .. }) => visit(*resource),
            Value::Expr(Expr::Computed(computed)) => {
                // A loop over computations, each of them once: they may be chained without end, and share parts.
                let mut seen = HashSet::new();
                let mut open = vec![computed];
                while let Some(next) = open.pop() {
                    if seen.insert(Arc::as_ptr(next)) {
                        next.inputs.iter().for_each(|input| input.shallow(visit, &mut |inner| open.push(inner)));
                    }
                }
            }
            Value::List(items) => items.iter().for_each(|item| item.references(visit)),
            Value::Map(map) => map.values().for_each(|item| item.references(visit)),
            Value::Secret(secret) => secret.reveal().references(visit),
            _ => {}
        }
    }

    /// Calls `attr` with the index of every resource that it names itself, and `computed` with every computation that
    /// stands in it.
    fn shallow<'a>(&'a self, attr: &mut dyn FnMut(u32), computed: &mut dyn FnMut(&'a Arc<Computed>)) {
        match self {
            Value::Expr(Expr::Attr { resource, .. }) => attr(*resource),
            Value::Expr(Expr::Computed(inner)) => computed(inner),
            Value::List(items) => items.iter().for_each(|item| item.shallow(attr, computed)),
            Value::Map(map) => map.values().for_each(|item| item.shallow(attr, computed)),
            Value::Secret(secret) => secret.reveal().shallow(attr, computed),
            _ => {}
        }
    }

    /// Whether a reference stands anywhere in it.
    pub fn has_references(&self) -> bool {
        match self {
            Value::Expr(_) => true,
            Value::List(items) => items.iter().any(Value::has_references),
            Value::Map(map) => map.values().any(Value::has_references),
            Value::Secret(secret) => secret.reveal().has_references(),
            _ => false,
        }
    }

    /// Calls `visit` with the content of every secret in it.
    pub fn secrets(&self, visit: &mut dyn FnMut(&SecretValue)) {
        match self {
            Value::Secret(secret) => visit(secret),
            Value::List(items) => items.iter().for_each(|item| item.secrets(visit)),
            Value::Map(map) => map.values().for_each(|item| item.secrets(visit)),
            _ => {}
        }
    }

    /// Calls `visit` with every piece of text in it, secret marks looked through.
    pub(crate) fn texts(&self, visit: &mut dyn FnMut(&str)) {
        match self {
            Value::Text(text) => visit(text),
            Value::List(items) => items.iter().for_each(|item| item.texts(visit)),
            Value::Map(map) => map.values().for_each(|item| item.texts(visit)),
            Value::Secret(secret) => secret.reveal().texts(visit),
            _ => {}
        }
    }

    /// Replaces references by what `lookup` knows. Closures run only when all their inputs are known.
    ///
    /// # Errors
    /// When a closure of the program fails or panics.
    pub fn resolve(&self, lookup: &dyn Lookup) -> Result<Value, EvalError> {
        let mut done = HashMap::new();
        let mut open = Vec::new();
        self.shallow(&mut |_| {}, &mut |inner| open.push(inner));
        // Innermost first, and each computation once: they may be chained without end, and share parts.
        while let Some(next) = open.last().copied() {
            if done.contains_key(&Arc::as_ptr(next)) {
                open.pop();
                continue;
            }
            let before = open.len();
            for input in &next.inputs {
                input.shallow(&mut |_| {}, &mut |inner| {
                    if !done.contains_key(&Arc::as_ptr(inner)) {
                        open.push(inner);
                    }
                });
            }
            if open.len() == before {
                let value = next.evaluate(lookup, &done)?;
                done.insert(Arc::as_ptr(next), value);
                open.pop();
            }
        }
        Ok(self.filled_in(lookup, &done))
    }

    /// The value with references replaced; every computation in it is in `done`.
    fn filled_in(&self, lookup: &dyn Lookup, done: &Done) -> Value {
        match self {
            Value::Expr(Expr::Attr { resource, field }) => lookup.attr(*resource, *field),
            Value::Expr(Expr::Computed(computed)) => {
                done.get(&Arc::as_ptr(computed)).cloned().unwrap_or(Value::Unknown { secret: computed.secret })
            }
            Value::List(items) => Value::List(items.iter().map(|item| item.filled_in(lookup, done)).collect()),
            Value::Map(map) => {
                Value::Map(map.iter().map(|(key, item)| (key.clone(), item.filled_in(lookup, done))).collect())
            }
            Value::Secret(secret) if secret.reveal().has_references() => {
                secret.with(secret.reveal().filled_in(lookup, done))
            }
            other => other.clone(),
        }
    }
}

/// Computations that are done, by the place where they stand.
type Done = HashMap<*const Computed, Value>;

impl Computed {
    fn evaluate(&self, lookup: &dyn Lookup, done: &Done) -> Result<Value, EvalError> {
        let inputs: Vec<Value> = self.inputs.iter().map(|input| input.filled_in(lookup, done)).collect();
        if !inputs.iter().all(Value::is_known) {
            return Ok(Value::Unknown { secret: self.secret });
        }
        let run = std::panic::AssertUnwindSafe(|| (self.run)(inputs));
        let result = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err("a closure over outputs panicked".to_owned()))
            .map_err(|message| EvalError { message, at: self.at })?;
        Ok(if self.secret && !result.has_secret() { result.into_secret() } else { result })
    }
}

impl Drop for Computed {
    /// Takes nested computations apart in a loop: a long chain of them must not overflow the stack.
    fn drop(&mut self) {
        let mut open: Vec<Value> = std::mem::take(&mut self.inputs);
        while let Some(value) = open.pop() {
            match value {
                Value::List(items) => open.extend(items),
                Value::Map(map) => open.extend(map.into_values()),
                Value::Expr(Expr::Computed(shared)) => {
                    if let Some(mut last) = Arc::into_inner(shared) {
                        open.append(&mut last.inputs);
                    }
                }
                _ => {}
            }
        }
    }
}

impl PartialEq for Value {
    /// Deep equality. A secret equals only a secret; expressions and unknowns equal nothing.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::UInt(a), Value::UInt(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::Secret(a), Value::Secret(b)) => Arc::ptr_eq(&a.content, &b.content) || a.reveal() == b.reveal(),
            (Value::Digest(a), Value::Digest(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::UInt(n) => write!(f, "{n}"),
            Value::Float(n) => write!(f, "{n}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::List(items) => f.debug_list().entries(items).finish(),
            Value::Map(map) => f.debug_map().entries(map).finish(),
            Value::Secret(_) => f.write_str("[secret]"),
            Value::Digest(digest) => digest.fmt(f),
            Value::Expr(_) => f.write_str("[reference]"),
            Value::Unknown { secret: false } => f.write_str("[unknown]"),
            Value::Unknown { secret: true } => f.write_str("[unknown, secret]"),
        }
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[reference]")
    }
}

impl fmt::Debug for Computed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Computed").field("at", &self.at).field("secret", &self.secret).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_small() {
        assert!(std::mem::size_of::<Value>() <= 32, "{}", std::mem::size_of::<Value>());
    }

    fn chain(length: usize) -> Value {
        let mut value = Value::Expr(Expr::Attr { resource: 7, field: 0 });
        for _ in 0..length {
            value = Value::Expr(Expr::Computed(Arc::new(Computed {
                // Both parts are the same one: evaluated again and again it would never end.
                inputs: vec![value.clone(), value],
                secret: false,
                at: Location::caller(),
                run: Box::new(|mut inputs| Ok(inputs.pop().unwrap_or_default())),
            })));
        }
        value
    }

    #[test]
    fn a_long_chain_of_computations_is_resolved_and_dropped_in_a_loop() {
        struct Seven;
        impl Lookup for Seven {
            fn attr(&self, resource: u32, _: u16) -> Value {
                Value::Int(resource.into())
            }
        }
        let value = chain(100_000);
        assert!(value.has_references());
        let mut found = Vec::new();
        value.references(&mut |resource| found.push(resource));
        found.dedup();
        assert_eq!(found, [7]);
        assert_eq!(value.resolve(&Seven).ok(), Some(Value::Int(7)));
        drop(value);
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let value = Value::List(vec![Value::text("hunter2").into_secret()]);
        assert_eq!(format!("{value:?}"), "[[secret]]");
    }
}
