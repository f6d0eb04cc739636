//! `Property`: what a field of a resource may be, how it becomes a [`Value`] and comes back, and what may flow where.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroize;

use crate::ephemeral::Ephemeral;
use crate::secret::Secret;
use crate::value::Value;

/// Whether a type carries a secret, at the level of types. [`Open`], [`Hush`] or [`Fleeting`]; sealed.
pub trait Mark: sealed::Sealed + 'static {
    /// What a value computed from this one becomes: itself, or hidden.
    type Of<U: Property>: Property;
    /// The stronger of two marks.
    type Or<M: Mark>: Mark;
    /// The stronger of this mark and [`Hush`].
    type Hushed: Mark;
    /// Whether there is a secret: [`Hush`] or [`Fleeting`].
    const SECRET: bool;
    /// Whether this is [`Fleeting`].
    const FLEETING: bool;

    /// Marks the tree of what was computed of values with this mark.
    fn conceal<U: Property>(value: Value) -> Value;
}

/// The mark of a type with no secret in it.
pub enum Open {}
/// The mark of a type with a secret in it.
pub enum Hush {}
/// The mark of a type with an [`Ephemeral`] value in it, which nothing keeps.
pub enum Fleeting {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Open {}
    impl Sealed for super::Hush {}
    impl Sealed for super::Fleeting {}
}

impl Mark for Open {
    type Of<U: Property> = U;
    type Or<M: Mark> = M;
    type Hushed = Hush;
    const SECRET: bool = false;
    const FLEETING: bool = false;
    fn conceal<U: Property>(value: Value) -> Value {
        value
    }
}

impl Mark for Hush {
    type Of<U: Property> = U::Hidden;
    type Or<M: Mark> = M::Hushed;
    type Hushed = Hush;
    const SECRET: bool = true;
    const FLEETING: bool = false;
    fn conceal<U: Property>(value: Value) -> Value {
        U::hide(value)
    }
}

impl Mark for Fleeting {
    type Of<U: Property> = Ephemeral<U>;
    type Or<M: Mark> = Fleeting;
    type Hushed = Fleeting;
    const SECRET: bool = true;
    const FLEETING: bool = true;
    fn conceal<U: Property>(value: Value) -> Value {
        value.into_ephemeral()
    }
}

/// A mark of what may be kept. Not implemented for [`Fleeting`].
#[diagnostic::on_unimplemented(
    message = "an `Ephemeral` value cannot stand here: it would be kept",
    label = "this is kept",
    note = "an `Ephemeral` value fits an input that is marked `write_only`, or a setting of a provider that is declared \
            as `Ephemeral<_>`"
)]
pub trait Lasts {}
impl Lasts for Open {}
impl Lasts for Hush {}

/// A property type that may be kept: every one without an [`Ephemeral`] value in it.
pub trait Lasting: Property {}
impl<T: Property> Lasting for T where T::Mark: Lasts {}

/// Why a value could not be read as a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Field names and indices from the outside in.
    pub path: Vec<String>,
    /// What is wrong; never the value of a secret.
    pub message: String,
    /// Whether the value is merely not known yet.
    pub unknown: bool,
}

impl DecodeError {
    /// An error at the value itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), unknown: false }
    }

    /// "expected X, found Y", or the marker that the value is not known yet.
    pub fn expected(what: &str, found: &Value) -> Self {
        let kind = match found {
            Value::Expr(_) | Value::Unknown { .. } => {
                return Self { path: Vec::new(), message: "not known yet".into(), unknown: true };
            }
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::UInt(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Secret(_) => "a secret (the field must be declared as `Secret<…>`)",
            Value::Digest(_) => "the digest of a secret that is not kept",
        };
        Self::new(format!("expected {what}, found {kind}"))
    }

    /// The same error, one level further out.
    #[must_use]
    pub fn inside(mut self, segment: impl Into<String>) -> Self {
        self.path.insert(0, segment.into());
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "`{}`: {}", self.path.join("."), self.message)
        }
    }
}

impl std::error::Error for DecodeError {}

/// Makes up values for mocked resources: typed, stable, and telling where they came from.
#[derive(Debug, Clone)]
pub struct Sampler {
    /// Type and name of the resource and the field, joined: the seed of what is made up.
    pub seed: String,
}

impl Sampler {
    /// Text that reads like what it stands for.
    pub fn text(&self) -> String {
        self.seed.clone()
    }

    /// The sampler of a field within the value.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        Self { seed: format!("{}.{name}", self.seed) }
    }

    /// A number that is the same for the same seed.
    pub fn number(&self) -> u64 {
        // FNV-1a: stable between runs and platforms, which the standard hasher does not promise.
        self.seed
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

/// A type that a field of a resource may have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a resource",
    label = "not a property type",
    note = "fields are numbers, text, `bool`, `Option`, `Vec`, `BTreeMap<String, _>`, `Secret<_>`, or a type with `#[derive(Properties)]`"
)]
pub trait Property: Sized + Clone + fmt::Debug + Send + Sync + 'static {
    /// Whether a secret is in it.
    type Mark: Mark;
    /// The type with its whole content hidden.
    type Hidden: Property;

    /// The value as a tree.
    fn to_value(&self) -> Value;

    /// Reads it back.
    ///
    /// # Errors
    /// When the tree has another shape; the error's `unknown` is set where a part is not known yet.
    fn from_value(value: &Value) -> Result<Self, DecodeError>;

    /// The form in which two values are compared: what is equal to the cloud is equal here.
    fn canonical(value: Value) -> Value {
        value
    }

    /// Name of the type for messages and documentation.
    fn type_name() -> String;

    /// Made-up data for a mocked resource.
    fn sample(sampler: &Sampler) -> Value;

    /// Marks the tree of a value of this type secret, where it is not already.
    fn hide(value: Value) -> Value {
        value.into_secret()
    }

    /// Overwrites what it holds in memory.
    fn wipe(&mut self) {}

    /// Whether a field of this type cannot go from one canonical value to the other in place, where only some changes
    /// can. What is not known yet counts as another value: then a replacement may be needed.
    fn replaces(before: &Value, after: &Value) -> bool {
        let _ = (before, after);
        false
    }

    /// The fields, where it is a struct: by them a configuration knows which of its keys are unknown or missing.
    fn describe() -> Option<&'static [PropertyField]> {
        None
    }

    /// The fields of what is in it, where it is a collection of structs.
    fn describe_items() -> Option<&'static [PropertyField]> {
        None
    }
}

/// One field of a struct with `#[derive(Properties)]`.
#[derive(Clone, Copy)]
pub struct PropertyField {
    /// Its key in the value.
    pub name: &'static str,
    /// The documentation comment.
    pub docs: &'static str,
    /// Whether it may be left out: it is an `Option`, or it has a default.
    pub optional: bool,
    /// Whether its type carries a secret.
    pub secret: bool,
    /// Whether its type carries a value that nothing keeps.
    pub ephemeral: bool,
    /// Name of its type, for messages.
    pub type_name: fn() -> String,
    /// Its own fields, where it is a struct.
    pub describe: fn() -> Option<&'static [PropertyField]>,
    /// The fields of what is in it, where it is a collection of structs.
    pub describe_items: fn() -> Option<&'static [PropertyField]>,
    /// The value when it is left out.
    pub default: Option<fn() -> Value>,
    /// The form in which its values are compared.
    pub canonical: fn(Value) -> Value,
    /// Made-up data for mocks.
    pub sample: fn(&Sampler) -> Value,
}

impl PropertyField {
    /// The line of a field of type `T`.
    pub const fn of<T: Property>(
        name: &'static str,
        docs: &'static str,
        optional: bool,
        default: Option<fn() -> Value>,
    ) -> Self {
        Self {
            name,
            docs,
            optional,
            secret: <T::Mark as Mark>::SECRET,
            ephemeral: <T::Mark as Mark>::FLEETING,
            type_name: T::type_name,
            describe: T::describe,
            describe_items: T::describe_items,
            default,
            canonical: T::canonical,
            sample: T::sample,
        }
    }
}

impl fmt::Debug for PropertyField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, (self.type_name)())
    }
}

/// A property type whose plain values may stand for an input as they are. Never `Vec`, `Option`, `Secret` or maps:
/// those convert by their elements.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a plain value nor an output",
    label = "expected text, a number, a type with `#[derive(Properties)]`, or an output of one"
)]
pub trait Plain: Property {}

/// A property type that can be written as text: `"10.0.0.0/16"` for a CIDR block.
#[diagnostic::on_unimplemented(
    message = "a string does not fit an input of type `{Self}`",
    label = "expected `{Self}`, found a string"
)]
pub trait FromText: Property {
    /// The tree for the text; whether it is valid is found when it is decoded.
    fn text_value(text: &str) -> Value {
        Value::text(text)
    }
}

/// A property type with no secret in it.
pub trait NotSecret: Property<Mark = Open> {}
impl<T: Property<Mark = Open>> NotSecret for T {}

/// `Self` may stand where `U` is wanted.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` does not fit an input of type `{U}`",
    label = "expected `{U}`, found an output of `{Self}`"
)]
pub trait Flows<U> {
    /// Marks the tree on the way, where the target is secret and the source is not.
    fn flow(value: Value) -> Value {
        value
    }
}
impl<T> Flows<T> for T {}
impl<T> Flows<Option<T>> for T {}
impl<T: NotSecret> Flows<Secret<T>> for T {
    fn flow(value: Value) -> Value {
        value.into_secret()
    }
}
impl<T: NotSecret> Flows<Option<Secret<T>>> for T {
    fn flow(value: Value) -> Value {
        value.into_secret()
    }
}
impl<T: NotSecret> Flows<Option<Secret<T>>> for Option<T> {
    fn flow(value: Value) -> Value {
        value.into_secret()
    }
}
impl<T: NotSecret> Flows<Ephemeral<T>> for T {
    fn flow(value: Value) -> Value {
        value.into_secret()
    }
}
impl<T: NotSecret> Flows<Option<Ephemeral<T>>> for T {
    fn flow(value: Value) -> Value {
        value.into_secret()
    }
}
impl<T: NotSecret> Flows<Option<Ephemeral<T>>> for Option<T> {
    fn flow(value: Value) -> Value {
        value.into_secret()
    }
}
impl<T: Property> Flows<Ephemeral<T>> for Secret<T> {}
impl<T: Property> Flows<Option<Ephemeral<T>>> for Secret<T> {}
impl<T: Property> Flows<Option<Ephemeral<T>>> for Option<Secret<T>> {}
impl<T: Property + Kept> Flows<T> for Ephemeral<T> {}
impl<T: Property + Kept> Flows<Option<T>> for Ephemeral<T> {}
impl<T: Property + Kept> Flows<Secret<T>> for Ephemeral<T> {}
impl<T: Property + Kept> Flows<Option<Secret<T>>> for Ephemeral<T> {}

/// Implemented by nothing: it carries the message for an ephemeral value that is put where it would be kept.
#[diagnostic::on_unimplemented(
    message = "an `Ephemeral<{Self}>` does not fit this input: the state would keep it",
    label = "this value is of this run alone, and this input is kept",
    note = "an `Ephemeral` value fits an input that is marked `write_only`, or a setting of a provider that is declared \
            as `Ephemeral<_>`"
)]
pub trait Kept {}

impl<T: Property + Declassified> Flows<T> for Secret<T> {}
impl<T: Property + Declassified> Flows<Option<T>> for Secret<T> {}
impl<T: Property + Declassified> Flows<Option<T>> for Option<Secret<T>> {}

/// Implemented by nothing: it carries the message for a secret that is put into a plain input.
#[diagnostic::on_unimplemented(
    message = "a `Secret<{Self}>` does not fit a plain input of type `{Self}`",
    label = "this value is secret, this input is not",
    note = "declare the input as `Secret<{Self}>`, or take the mark off with `.declassify(\"reason\")`"
)]
pub trait Declassified {}

impl Property for () {
    type Mark = Open;
    type Hidden = ();
    fn to_value(&self) -> Value {
        Value::Null
    }
    fn from_value(_: &Value) -> Result<Self, DecodeError> {
        Ok(())
    }
    fn type_name() -> String {
        "()".into()
    }
    fn sample(_: &Sampler) -> Value {
        Value::Null
    }
}

impl Property for String {
    type Mark = Open;
    type Hidden = Secret<String>;
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            other => Err(DecodeError::expected("text", other)),
        }
    }
    fn type_name() -> String {
        "String".into()
    }
    fn sample(sampler: &Sampler) -> Value {
        Value::Text(sampler.text())
    }
    fn wipe(&mut self) {
        self.zeroize();
    }
}
impl Plain for String {}
impl FromText for String {}

impl Property for bool {
    type Mark = Open;
    type Hidden = Secret<bool>;
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Bool(b) => Ok(*b),
            other => Err(DecodeError::expected("a truth value", other)),
        }
    }
    fn type_name() -> String {
        "bool".into()
    }
    fn sample(_: &Sampler) -> Value {
        Value::Bool(false)
    }
    fn wipe(&mut self) {
        self.zeroize();
    }
}
impl Plain for bool {}

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl Property for $int {
            type Mark = Open;
            type Hidden = Secret<$int>;
            fn to_value(&self) -> Value {
                match i64::try_from(*self) {
                    Ok(n) => Value::Int(n),
                    Err(_) => Value::UInt(*self as u64),
                }
            }
            fn from_value(value: &Value) -> Result<Self, DecodeError> {
                let out_of_range = || DecodeError::new(concat!("out of range for `", stringify!($int), "`"));
                match value {
                    Value::Int(n) => <$int>::try_from(*n).map_err(|_| out_of_range()),
                    Value::UInt(n) => <$int>::try_from(*n).map_err(|_| out_of_range()),
                    other => Err(DecodeError::expected("a whole number", other)),
                }
            }
            fn type_name() -> String {
                stringify!($int).into()
            }
            fn sample(sampler: &Sampler) -> Value {
                Value::Int((sampler.number() % 100) as i64)
            }
            fn wipe(&mut self) {
                self.zeroize();
            }
        }
        impl Plain for $int {}
    )*};
}
integers!(u8 u16 u32 u64 i8 i16 i32 i64);

macro_rules! floats {
    ($($float:ty)*) => {$(
        impl Property for $float {
            type Mark = Open;
            type Hidden = Secret<$float>;
            fn to_value(&self) -> Value {
                Value::Float(f64::from(*self))
            }
            fn from_value(value: &Value) -> Result<Self, DecodeError> {
                match value {
                    Value::Float(n) => Ok(*n as $float),
                    Value::Int(n) => Ok(*n as $float),
                    other => Err(DecodeError::expected("a number", other)),
                }
            }
            fn type_name() -> String {
                stringify!($float).into()
            }
            fn sample(sampler: &Sampler) -> Value {
                Value::Float((sampler.number() % 100) as f64)
            }
            fn wipe(&mut self) {
                self.zeroize();
            }
        }
        impl Plain for $float {}
    )*};
}
floats!(f32 f64);

impl<T: Property> Property for Secret<T> {
    type Mark = <T::Mark as Mark>::Hushed;
    type Hidden = Secret<T>;
    fn to_value(&self) -> Value {
        self.reveal().to_value().into_secret()
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Unknown { .. } | Value::Expr(_) => Err(DecodeError::expected("a secret", value)),
            // The message of an inner error may quote what it read.
            known => T::from_value(known.reveal()).map(Secret::new).map_err(|e| DecodeError {
                message: format!("not a valid `{}` (its content is secret)", T::type_name()),
                ..e
            }),
        }
    }
    fn canonical(value: Value) -> Value {
        match value {
            Value::Secret(secret) => secret.with(T::canonical(secret.reveal().clone())),
            other => other,
        }
    }
    fn type_name() -> String {
        format!("Secret<{}>", T::type_name())
    }
    fn sample(sampler: &Sampler) -> Value {
        T::sample(sampler).into_secret()
    }
    fn describe() -> Option<&'static [PropertyField]> {
        T::describe()
    }
    fn describe_items() -> Option<&'static [PropertyField]> {
        T::describe_items()
    }
}
impl<T: FromText> FromText for Secret<T> {
    fn text_value(text: &str) -> Value {
        T::text_value(text).into_secret()
    }
}

impl<T: Property> Property for Option<T> {
    type Mark = T::Mark;
    type Hidden = Option<T::Hidden>;
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Property::to_value)
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Null => Ok(None),
            some => T::from_value(some).map(Some),
        }
    }
    fn canonical(value: Value) -> Value {
        if value.is_null() { value } else { T::canonical(value) }
    }
    fn type_name() -> String {
        format!("Option<{}>", T::type_name())
    }
    fn sample(sampler: &Sampler) -> Value {
        T::sample(sampler)
    }
    fn hide(value: Value) -> Value {
        if value.is_null() { value } else { T::hide(value) }
    }
    fn replaces(before: &Value, after: &Value) -> bool {
        T::replaces(before, after)
    }
    fn wipe(&mut self) {
        if let Some(inner) = self {
            inner.wipe();
        }
    }
    fn describe() -> Option<&'static [PropertyField]> {
        T::describe()
    }
    fn describe_items() -> Option<&'static [PropertyField]> {
        T::describe_items()
    }
}
impl<T: FromText> FromText for Option<T> {
    fn text_value(text: &str) -> Value {
        T::text_value(text)
    }
}

impl<T: Property> Property for Vec<T> {
    type Mark = T::Mark;
    type Hidden = Secret<Vec<T>>;
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(Property::to_value).collect())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| T::from_value(item).map_err(|e| e.inside(at.to_string())))
                .collect(),
            other => Err(DecodeError::expected("a list", other)),
        }
    }
    fn canonical(value: Value) -> Value {
        match value {
            Value::List(items) => Value::List(items.into_iter().map(T::canonical).collect()),
            other => other,
        }
    }
    fn type_name() -> String {
        format!("Vec<{}>", T::type_name())
    }
    fn sample(sampler: &Sampler) -> Value {
        Value::List(vec![T::sample(sampler)])
    }
    fn describe_items() -> Option<&'static [PropertyField]> {
        T::describe()
    }
    fn wipe(&mut self) {
        self.iter_mut().for_each(Property::wipe);
    }
}

impl<T: Property> Property for BTreeMap<String, T> {
    type Mark = T::Mark;
    type Hidden = Secret<BTreeMap<String, T>>;
    fn to_value(&self) -> Value {
        Value::Map(self.iter().map(|(key, item)| (key.clone(), item.to_value())).collect())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Map(map) => map
                .iter()
                .map(|(key, item)| Ok((key.clone(), T::from_value(item).map_err(|e| e.inside(key.as_str()))?)))
                .collect(),
            other => Err(DecodeError::expected("a map", other)),
        }
    }
    fn canonical(value: Value) -> Value {
        match value {
            Value::Map(map) => Value::Map(map.into_iter().map(|(key, item)| (key, T::canonical(item))).collect()),
            other => other,
        }
    }
    fn type_name() -> String {
        format!("BTreeMap<String, {}>", T::type_name())
    }
    fn sample(_: &Sampler) -> Value {
        Value::Map(BTreeMap::new())
    }
    fn describe_items() -> Option<&'static [PropertyField]> {
        T::describe()
    }
    fn wipe(&mut self) {
        self.values_mut().for_each(Property::wipe);
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Property),+> Property for ($($name,)+) {
            type Mark = tuples!(@mark $($name)+);
            type Hidden = Secret<($($name,)+)>;
            fn to_value(&self) -> Value {
                Value::List(vec![$(self.$index.to_value()),+])
            }
            fn from_value(value: &Value) -> Result<Self, DecodeError> {
                let Value::List(items) = value else {
                    return Err(DecodeError::expected("a list", value));
                };
                Ok(($($name::from_value(items.get($index).unwrap_or(&Value::Null))
                    .map_err(|e| e.inside(stringify!($index)))?,)+))
            }
            fn type_name() -> String {
                format!("({})", [$($name::type_name()),+].join(", "))
            }
            fn sample(sampler: &Sampler) -> Value {
                Value::List(vec![$($name::sample(sampler)),+])
            }
            fn wipe(&mut self) {
                $(self.$index.wipe();)+
            }
        }
    };
    (@mark $only:ident) => { $only::Mark };
    (@mark $first:ident $($rest:ident)+) => {
        <$first::Mark as Mark>::Or<tuples!(@mark $($rest)+)>
    };
}
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);

/// What the engine knows of a field's type, erased to function pointers.
#[derive(Clone, Copy)]
pub struct TypeInfo {
    /// Name of the type, for messages.
    pub name: fn() -> String,
    /// Whether the type carries a secret.
    pub secret: bool,
    /// Checks that a value has the type's shape and meaning.
    pub check: fn(&Value) -> Result<(), DecodeError>,
    /// The form in which values are compared.
    pub canonical: fn(Value) -> Value,
    /// Made-up data for mocks.
    pub sample: fn(&Sampler) -> Value,
    /// Marks a value of the type as secret.
    pub hide: fn(Value) -> Value,
    /// Whether a change from the first canonical value to the second forces a replacement.
    pub replaces: fn(&Value, &Value) -> bool,
    /// Its fields, where it is a struct.
    pub describe: fn() -> Option<&'static [PropertyField]>,
    /// The fields of what is in it, where it is a collection of structs.
    pub describe_items: fn() -> Option<&'static [PropertyField]>,
}

impl TypeInfo {
    /// The table of one type.
    pub const fn of<T: Property>() -> Self {
        Self {
            name: T::type_name,
            secret: <T::Mark as Mark>::SECRET,
            check: |value| T::from_value(value).map(drop),
            canonical: T::canonical,
            sample: T::sample,
            hide: T::hide,
            replaces: T::replaces,
            describe: T::describe,
            describe_items: T::describe_items,
        }
    }
}

impl fmt::Debug for TypeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&(self.name)())
    }
}
