//! `Set<T>`: a collection whose order and repetitions mean nothing.

use std::cmp::Ordering;
use std::ops::Deref;

use crate::input::{FromItems, IntoInput};
use crate::property::{DecodeError, Flows, Property, PropertyField, Sampler};
use crate::secret::Secret;
use crate::value::Value;

/// A collection that is compared without regard to order and repetitions. It is written like a list:
/// `["a", "b"]`, `[&x.id]`.
#[derive(Clone, Debug, Default)]
pub struct Set<T>(Vec<T>);

impl<T> Set<T> {
    /// The elements, in the order in which they were given.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T> Deref for Set<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}
impl<T> From<Vec<T>> for Set<T> {
    fn from(items: Vec<T>) -> Self {
        Self(items)
    }
}
impl<T> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}
impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
impl<T: Property> PartialEq for Set<T> {
    fn eq(&self, other: &Self) -> bool {
        Self::canonical(self.to_value()) == Self::canonical(other.to_value())
    }
}

impl<T: Property> Property for Set<T> {
    type Mark = T::Mark;
    type Hidden = Secret<Set<T>>;
    fn to_value(&self) -> Value {
        self.0.to_value()
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        Vec::from_value(value).map(Self)
    }
    fn canonical(value: Value) -> Value {
        match value {
            Value::List(items) => {
                let mut items: Vec<Value> = items.into_iter().map(T::canonical).collect();
                items.sort_by(order);
                items.dedup();
                Value::List(items)
            }
            other => other,
        }
    }
    fn describe_items() -> Option<&'static [PropertyField]> {
        T::describe()
    }
    fn type_name() -> String {
        format!("Set<{}>", T::type_name())
    }
    fn sample(sampler: &Sampler) -> Value {
        Vec::<T>::sample(sampler)
    }
    fn wipe(&mut self) {
        self.0.wipe();
    }
}

impl<E: IntoInput<T>, T> FromItems<E> for Set<T> {
    fn collect(items: impl Iterator<Item = E>) -> Value {
        <Vec<T> as FromItems<E>>::collect(items)
    }
}
impl<E, U: FromItems<E>> IntoInput<U> for Set<E> {
    fn into_value(self) -> Value {
        U::collect(self.into_iter())
    }
}
impl<T> Flows<Set<T>> for Vec<T> {}
impl<T> Flows<Option<Set<T>>> for Vec<T> {}
impl<T> Flows<Vec<T>> for Set<T> {}
impl<T> Flows<Option<Vec<T>>> for Set<T> {}

/// A total order of trees. What is not known yet comes last and stays in its order.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::UInt(a), Value::UInt(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::List(a), Value::List(b)) => {
            let first = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
            first.unwrap_or(a.len().cmp(&b.len()))
        }
        (Value::Map(a), Value::Map(b)) => {
            let members = a.iter().zip(b).map(|((key_a, a), (key_b, b))| key_a.cmp(key_b).then_with(|| order(a, b)));
            members.into_iter().find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
        }
        (Value::Secret(a), Value::Secret(b)) => order(a.reveal(), b.reveal()),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::UInt(_) => 3,
        Value::Float(_) => 4,
        Value::Text(_) => 5,
        Value::List(_) => 6,
        Value::Map(_) => 7,
        Value::Secret(_) | Value::Digest(_) => 8,
        Value::Expr(_) | Value::Unknown { .. } => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cidr, Input, Output};

    #[test]
    fn order_and_repetitions_mean_nothing() {
        let a: Set<String> = ["b", "a", "b"].map(String::from).into_iter().collect();
        let b: Set<String> = ["a", "b"].map(String::from).into_iter().collect();
        assert_eq!(a, b);
        assert_eq!(a.to_value(), Value::List(vec![Value::text("b"), Value::text("a"), Value::text("b")]));
        assert_ne!(a, Set::from(vec!["a".to_owned()]));
    }

    #[test]
    fn elements_are_compared_by_their_own_canonical_form() {
        let blocks = Value::List(vec![Value::text("fd00::/8"), Value::text("FD00::/8"), Value::text("10.0.0.0/8")]);
        let expected = Value::List(vec![Value::text("10.0.0.0/8"), Value::text("fd00::/8")]);
        assert_eq!(Set::<Cidr>::canonical(blocks), expected);
    }

    #[test]
    fn the_order_of_trees_is_total() {
        let map = |key: &str, n| Value::Map([(key.to_owned(), Value::Int(n))].into());
        let ordered = [
            Value::Int(-1),
            Value::Int(2),
            Value::UInt(u64::MAX),
            Value::text("a"),
            Value::List(vec![Value::Int(1)]),
            Value::List(vec![Value::Int(1), Value::Int(2)]),
            map("a", 1),
            map("a", 2),
            map("b", 0),
            Value::text("x").into_secret(),
            Value::Unknown { secret: false },
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(order(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_set_is_written_like_a_list() {
        let out = Output::known("x".to_owned());
        assert_eq!(Input::<Set<String>>::new([&out]).0, Value::List(vec![Value::text("x")]));
        assert_eq!(Input::<Option<Set<Cidr>>>::new(vec!["10.0.0.0/8"]).0, Value::List(vec![Value::text("10.0.0.0/8")]));
        let list = Output::known(vec!["x".to_owned()]);
        assert_eq!(Input::<Set<String>>::new(&list).0, Value::List(vec![Value::text("x")]));
    }
}
