//! `Input<T>` and `IntoInput<T>`: what may be written where a resource wants a value.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use crate::ephemeral::Ephemeral;
use crate::output::Output;
use crate::property::{Flows, FromText, Plain, Property};
use crate::resource::Resource;
use crate::secret::Secret;
use crate::stack::Handle;
use crate::value::Value;

/// A value for a field: a literal, an output of a resource, or something computed from outputs. Erased at once.
pub struct Input<T>(pub(crate) Value, PhantomData<fn() -> T>);

impl<T> Input<T> {
    /// From anything that fits.
    pub fn new(value: impl IntoInput<T>) -> Self {
        Self::erased(value.into_value())
    }

    /// From a tree that is known to be of the type.
    pub fn erased(value: Value) -> Self {
        Self(value, PhantomData)
    }
}

impl<T> Clone for Input<T> {
    fn clone(&self) -> Self {
        Self::erased(self.0.clone())
    }
}

impl<T> std::fmt::Debug for Input<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What may stand where an input of type `T` is wanted: a plain value, text where the type can be written as text,
/// `&other.output`, and lists and maps of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit an input of type `{T}`",
    label = "expected something that gives `{T}`",
    note = "what fits: a plain value, `&other.field` of a declared resource, a collection of these, a builder"
)]
pub trait IntoInput<T>: Sized {
    /// The erased value.
    fn into_value(self) -> Value;
}

impl<T: Plain> IntoInput<T> for T {
    fn into_value(self) -> Value {
        self.to_value()
    }
}
impl<T: Plain> IntoInput<Option<T>> for T {
    fn into_value(self) -> Value {
        self.to_value()
    }
}
impl<T: Plain> IntoInput<Secret<T>> for T {
    fn into_value(self) -> Value {
        self.to_value().into_secret()
    }
}
impl<T: Plain> IntoInput<Option<Secret<T>>> for T {
    fn into_value(self) -> Value {
        self.to_value().into_secret()
    }
}

impl<T: Plain> IntoInput<Ephemeral<T>> for T {
    fn into_value(self) -> Value {
        self.to_value().into_secret()
    }
}
impl<T: Plain> IntoInput<Option<Ephemeral<T>>> for T {
    fn into_value(self) -> Value {
        self.to_value().into_secret()
    }
}

impl<T: Property + Flows<U>, U> IntoInput<U> for Output<T> {
    fn into_value(self) -> Value {
        T::flow(self.into_tree())
    }
}
impl<T: Property + Flows<U>, U> IntoInput<U> for &Output<T> {
    fn into_value(self) -> Value {
        T::flow(self.clone().into_tree())
    }
}
impl<T: Flows<U>, U> IntoInput<U> for Input<T> {
    fn into_value(self) -> Value {
        T::flow(self.0)
    }
}
impl<T: Property, U> IntoInput<U> for Secret<T>
where
    Secret<T>: Flows<U>,
{
    fn into_value(self) -> Value {
        self.to_value()
    }
}
impl<T: Property, U> IntoInput<U> for &Secret<T>
where
    Secret<T>: Flows<U>,
{
    fn into_value(self) -> Value {
        self.to_value()
    }
}
impl<T: Property, U> IntoInput<U> for Ephemeral<T>
where
    Ephemeral<T>: Flows<U>,
{
    fn into_value(self) -> Value {
        self.to_value()
    }
}
impl<T: Property, U> IntoInput<U> for &Ephemeral<T>
where
    Ephemeral<T>: Flows<U>,
{
    fn into_value(self) -> Value {
        self.to_value()
    }
}
impl<T: FromText> IntoInput<T> for &str {
    fn into_value(self) -> Value {
        T::text_value(self)
    }
}
impl<T: FromText> IntoInput<T> for &String {
    fn into_value(self) -> Value {
        T::text_value(self)
    }
}
impl<T, V: IntoInput<T>> IntoInput<Option<T>> for Option<V> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, IntoInput::into_value)
    }
}

/// Implemented by nothing: it carries the message for a resource that is passed where one of its outputs is meant.
#[diagnostic::on_unimplemented(
    message = "the resource `{Self}` is not a value: pass one of its outputs, such as `&….id`",
    label = "this is the whole resource"
)]
pub trait ResourceAsValue {}
impl<R: Resource + ResourceAsValue, U> IntoInput<U> for Handle<R> {
    fn into_value(self) -> Value {
        Value::Null
    }
}
impl<R: Resource + ResourceAsValue, U> IntoInput<U> for &Handle<R> {
    fn into_value(self) -> Value {
        Value::Null
    }
}

/// A collection type that is made from elements of type `E`.
#[diagnostic::on_unimplemented(
    message = "a collection of `{E}` does not fit an input of type `{Self}`",
    label = "expected `{Self}`"
)]
pub trait FromItems<E> {
    /// The erased collection.
    fn collect(items: impl Iterator<Item = E>) -> Value;
}
impl<E: IntoInput<T>, T> FromItems<E> for Vec<T> {
    fn collect(items: impl Iterator<Item = E>) -> Value {
        Value::List(items.map(IntoInput::into_value).collect())
    }
}
impl<K: Into<String>, V: IntoInput<T>, T> FromItems<(K, V)> for BTreeMap<String, T> {
    fn collect(items: impl Iterator<Item = (K, V)>) -> Value {
        Value::Map(items.map(|(key, value)| (key.into(), value.into_value())).collect())
    }
}
impl<E, U: FromItems<E>> FromItems<E> for Option<U> {
    fn collect(items: impl Iterator<Item = E>) -> Value {
        U::collect(items)
    }
}

impl<E, U: FromItems<E>> IntoInput<U> for Vec<E> {
    fn into_value(self) -> Value {
        U::collect(self.into_iter())
    }
}
impl<E, U: FromItems<E>, const N: usize> IntoInput<U> for [E; N] {
    fn into_value(self) -> Value {
        U::collect(self.into_iter())
    }
}
impl<V, U: FromItems<(String, V)>> IntoInput<U> for BTreeMap<String, V> {
    fn into_value(self) -> Value {
        U::collect(self.into_iter())
    }
}

/// An element of [`list!`](crate::list) or [`map!`](crate::map). It fits an element of type `T` and nothing else: that
/// is how the compiler knows from the input what `T` is.
#[doc(hidden)]
pub struct Item<T>(Value, PhantomData<fn() -> T>);

impl<T> Item<T> {
    /// From anything that fits.
    pub fn new(value: impl IntoInput<T>) -> Self {
        Self(value.into_value(), PhantomData)
    }
}
impl<T> IntoInput<T> for Item<T> {
    fn into_value(self) -> Value {
        self.0
    }
}

/// A list of elements of different shapes: `list![&subnet.id, "subnet-1"]`.
#[macro_export]
macro_rules! list {
    ($($item:expr),* $(,)?) => {
        ::std::vec::Vec::from([$($crate::input::Item::new($item)),*])
    };
}

/// A map of values of different shapes: `map!{ "a" => &x.id, "b" => "text" }`.
#[macro_export]
macro_rules! map {
    ($($key:expr => $value:expr),* $(,)?) => {
        ::std::vec::Vec::from([$(($key, $crate::input::Item::new($value))),*])
    };
}
