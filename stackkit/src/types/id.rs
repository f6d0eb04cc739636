//! `Id<R>`: the id of a resource of one type, so that ids of two types cannot be swapped.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use crate::property::{DecodeError, Flows, FromText, Open, Plain, Property, Sampler};
use crate::secret::Secret;
use crate::value::Value;

/// The provider's id of a resource of type `R`. An input of type `Id<Vpc>` takes `&vpc.id`, not `&subnet.id`; the id of
/// something that is not managed here can be written as text.
pub struct Id<R>(String, PhantomData<fn() -> R>);

impl<R> Id<R> {
    /// From the provider's text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into(), PhantomData)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<R> Clone for Id<R> {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}
impl<R> PartialEq for Id<R> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<R> Eq for Id<R> {}
impl<R> PartialOrd for Id<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for Id<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<R> Hash for Id<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<R> fmt::Display for Id<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl<R> fmt::Debug for Id<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
impl<R> AsRef<str> for Id<R> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
impl<R> From<String> for Id<R> {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}
impl<R> From<&str> for Id<R> {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}
impl<R> From<Id<R>> for String {
    fn from(id: Id<R>) -> Self {
        id.0
    }
}

impl<R: 'static> Property for Id<R> {
    type Mark = Open;
    type Hidden = Secret<Id<R>>;
    fn to_value(&self) -> Value {
        Value::Text(self.0.clone())
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Text(id) => Ok(Self::new(id.as_str())),
            other => Err(DecodeError::expected("an id", other)),
        }
    }
    fn type_name() -> String {
        let path = std::any::type_name::<R>();
        format!("Id<{}>", path.rsplit("::").next().unwrap_or(path))
    }
    fn sample(sampler: &Sampler) -> Value {
        Value::Text(sampler.text())
    }
}
impl<R: 'static> Plain for Id<R> {}
impl<R: 'static> FromText for Id<R> {}
impl<R: 'static> Flows<String> for Id<R> {}
impl<R: 'static> Flows<Option<String>> for Id<R> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, Output};

    struct Vpc;

    #[test]
    fn an_id_is_text_of_a_type() {
        let id = Id::<Vpc>::new("vpc-1");
        assert_eq!(Id::from_value(&id.to_value()), Ok(id.clone()));
        assert_eq!(Id::<Vpc>::type_name(), "Id<Vpc>");
        assert_eq!((id.to_string(), format!("{id:?}")), ("vpc-1".to_owned(), "\"vpc-1\"".to_owned()));
    }

    #[test]
    fn an_id_fits_its_own_inputs_and_plain_text() {
        let out = Output::known(Id::<Vpc>::new("vpc-1"));
        assert_eq!(Input::<Id<Vpc>>::new(&out).0, Value::text("vpc-1"));
        assert_eq!(Input::<Option<String>>::new(&out).0, Value::text("vpc-1"));
        assert_eq!(Input::<Id<Vpc>>::new("vpc-2").0, Value::text("vpc-2"));
    }
}
