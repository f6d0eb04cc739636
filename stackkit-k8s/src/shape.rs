//! The static description of what an object's fields look like, and what is read off it: checks of shape, the form in
//! which values are compared, and where secrets stand.

use std::collections::BTreeMap;

use stackkit::property::{DecodeError, Property};
use stackkit::{Secret, Value};

use crate::scalar::{ByteString, IntOrString, Json, Quantity};

/// A map with text keys.
pub type Map<T> = BTreeMap<String, T>;

/// What a field holds.
#[derive(Clone, Copy)]
#[doc(hidden)]
pub enum Ty {
    /// Anything: a tree that the server gives no schema for.
    Json,
    /// A truth value.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text.
    Text,
    /// An amount such as `500m` or `1Gi`.
    Quantity,
    /// A number or text.
    IntOrString,
    /// Bytes, in base64.
    Bytes,
    /// An object with fields of its own.
    Struct(fn() -> &'static Struct),
    /// A list of one type.
    List(&'static Ty),
    /// A map of one type.
    Map(&'static Ty),
    /// A secret.
    Hidden(&'static Ty),
}

/// How the server merges a list.
#[derive(Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub enum Merge {
    /// As one value; also what is not a list.
    Atomic,
    /// As a set of scalars.
    Set,
    /// By these keys of its elements.
    Keyed(&'static [&'static str]),
}

/// An object type.
#[doc(hidden)]
pub struct Struct {
    /// Its name.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Slot],
}

/// A field of an object type.
#[derive(Clone, Copy)]
#[doc(hidden)]
pub struct Slot {
    /// Its name on the wire.
    pub wire: &'static str,
    /// What it holds.
    pub ty: Ty,
    /// How it merges, if it is a list.
    pub merge: Merge,
}

/// A Rust type that a field may have.
#[doc(hidden)]
pub trait Shape: Property {
    /// Its description.
    const TY: Ty;
}

macro_rules! shapes {
    ($($rust:ty => $ty:ident),* $(,)?) => {$(
        impl Shape for $rust {
            const TY: Ty = Ty::$ty;
        }
    )*};
}
shapes!(String => Text, bool => Bool, i32 => Int, i64 => Int, f64 => Float, Quantity => Quantity,
    IntOrString => IntOrString, ByteString => Bytes, Json => Json);

impl<T: Shape> Shape for Vec<T> {
    const TY: Ty = Ty::List(&T::TY);
}
impl<T: Shape> Shape for Map<T> {
    const TY: Ty = Ty::Map(&T::TY);
}
impl<T: Shape> Shape for Secret<T> {
    const TY: Ty = Ty::Hidden(&T::TY);
}

impl Struct {
    /// The field of that name on the wire.
    pub fn slot(&self, wire: &str) -> Option<&'static Slot> {
        self.fields.iter().find(|slot| slot.wire == wire)
    }
}

impl Ty {
    /// Checks that a tree has this shape. What is definitely wrong is reported before what is not known yet.
    ///
    /// # Errors
    /// When it has another shape, or a part of it is not known yet.
    pub fn check(&self, value: &Value) -> Result<(), DecodeError> {
        if matches!(value, Value::Expr(_) | Value::Unknown { .. }) {
            return Err(DecodeError::expected("a value", value));
        }
        match self {
            Ty::Json => json_only(value),
            Ty::Bool => bool::from_value(value).map(drop),
            Ty::Int => i64::from_value(value).map(drop),
            Ty::Float => f64::from_value(value).map(drop),
            Ty::Text => String::from_value(value).map(drop),
            Ty::Quantity => Quantity::from_value(value).map(drop),
            Ty::IntOrString => IntOrString::from_value(value).map(drop),
            Ty::Bytes => ByteString::from_value(value).map(drop),
            Ty::Hidden(inner) => inner.check(value.reveal()),
            Ty::List(item) => match value {
                Value::List(items) => {
                    each(items.iter().enumerate().map(|(at, v)| (at.to_string(), v)), |_, v| item.check(v))
                }
                other => Err(DecodeError::expected("a list", other)),
            },
            Ty::Map(item) => match value {
                Value::Map(map) => each(map.iter().map(|(k, v)| (k.clone(), v)), |_, v| item.check(v)),
                other => Err(DecodeError::expected("a map", other)),
            },
            Ty::Struct(info) => {
                let info = info();
                let Value::Map(map) = value else {
                    return Err(DecodeError::expected(&format!("a `{}`", info.name), value));
                };
                each(map.iter().map(|(k, v)| (k.clone(), v)), |key, v| match info.slot(key) {
                    Some(_) if v.is_null() => Ok(()),
                    Some(slot) => slot.ty.check(v),
                    None => Err(DecodeError::new(format!("`{}` has no such field", info.name))),
                })
            }
        }
    }

    /// The form in which two values are compared: amounts by what they amount to, sets in one order, and what is empty
    /// as if it were not there. An empty object keeps its meaning (`emptyDir: {}`), and so does an atomic list.
    pub fn canonical(&self, merge: Merge, value: Value) -> Value {
        match (self, value) {
            (Ty::Quantity, value) => Quantity::canonical(value),
            (Ty::Bytes, value) => ByteString::canonical(value),
            (Ty::Hidden(inner), Value::Secret(secret)) => inner.canonical(merge, secret.reveal().clone()).into_secret(),
            (Ty::List(item), Value::List(items)) => {
                let mut items: Vec<_> = items.into_iter().map(|v| item.canonical(Merge::Atomic, v)).collect();
                if merge == Merge::Set && items.iter().all(|v| v.as_text().is_some()) {
                    items.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
                    items.dedup();
                }
                Value::List(items)
            }
            (Ty::Map(item), Value::Map(map)) => {
                Value::Map(map.into_iter().map(|(k, v)| (k, item.canonical(Merge::Atomic, v))).collect())
            }
            (Ty::Struct(info), Value::Map(map)) => {
                let info = info();
                let fields = map.into_iter().filter_map(|(key, v)| {
                    let Some(slot) = info.slot(&key) else { return Some((key, v)) };
                    let v = slot.ty.canonical(slot.merge, v);
                    (!slot.is_absent(&v)).then_some((key, v))
                });
                Value::Map(fields.collect())
            }
            (_, value) => value,
        }
    }
}

impl Slot {
    /// Whether the server treats this canonical value as if the field were not there.
    pub fn is_absent(&self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::List(items) => items.is_empty() && self.merge != Merge::Atomic,
            Value::Map(map) => map.is_empty() && matches!(self.ty, Ty::Map(_)),
            _ => false,
        }
    }
}

fn json_only(value: &Value) -> Result<(), DecodeError> {
    match value {
        Value::Expr(_) | Value::Unknown { .. } | Value::Secret(_) => Err(DecodeError::expected("a plain value", value)),
        Value::List(items) => each(items.iter().enumerate().map(|(at, v)| (at.to_string(), v)), |_, v| json_only(v)),
        Value::Map(map) => each(map.iter().map(|(k, v)| (k.clone(), v)), |_, v| json_only(v)),
        _ => Ok(()),
    }
}

fn each<'a>(
    parts: impl Iterator<Item = (String, &'a Value)>,
    check: impl Fn(&str, &Value) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut unknown = None;
    for (key, part) in parts {
        match check(&key, part) {
            Ok(()) => {}
            Err(error) if error.unknown => unknown = Some(error.inside(key)),
            Err(error) => return Err(error.inside(key)),
        }
    }
    unknown.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::v1::{Container, PodSpec, ServicePort};
    use serde_json::json;

    fn canonical<T: Shape>(json: serde_json::Value) -> Value {
        T::canonical(crate::body::from_json(&json))
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let pod =
            |cpu: serde_json::Value| json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": cpu}}}]});
        assert_eq!(canonical::<PodSpec>(pod(json!("1000m"))), canonical::<PodSpec>(pod(json!(1))));
        assert_ne!(canonical::<PodSpec>(pod(json!("1"))), canonical::<PodSpec>(pod(json!("1100m"))));
        assert_eq!(
            canonical::<PodSpec>(json!({"containers": [], "tolerations": [], "nodeSelector": {}, "hostname": null})),
            canonical::<PodSpec>(json!({"tolerations": []})),
            "an empty list or map is as good as none"
        );
    }

    #[test]
    fn an_empty_object_keeps_its_meaning() {
        let volume = |source: serde_json::Value| json!({"volumes": [{"name": "v", "emptyDir": source}]});
        assert_ne!(canonical::<PodSpec>(volume(json!({}))), canonical::<PodSpec>(volume(json!(null))));
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_path() {
        for (json, message) in [
            (
                json!({"containers": [{"name": "a", "image": 1}]}),
                "`containers.0.image`: expected text, found a whole number",
            ),
            (json!({"contaners": []}), "`contaners`: `PodSpec` has no such field"),
            (
                json!({"containers": [{"resources": {"limits": {"cpu": "much"}}}]}),
                "`containers.0.resources.limits.cpu`: `much` is not a quantity such as `500m`, `2` or `1Gi`",
            ),
        ] {
            let error = PodSpec::from_value(&crate::body::from_json(&json)).expect_err("it does not fit");
            assert_eq!(error.to_string(), message);
        }
        assert!(ServicePort::from_value(&crate::body::from_json(&json!({"port": 80, "targetPort": "http"}))).is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_before_what_is_unknown() {
        let unknown = |image: Value| {
            let Value::Map(mut map) = Container::new("a").to_value() else { panic!("an object") };
            map.insert("image".into(), Value::Unknown { secret: false });
            map.insert("workingDir".into(), image);
            Container::from_value(&Value::Map(map)).expect_err("not all of it is known")
        };
        assert!(unknown(Value::text("/")).unknown);
        assert!(!unknown(Value::Int(1)).unknown);
    }
}
