//! What the macros' expansions refer to: re-exports and the helpers in which their logic compiles once. Not public API.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

pub use std::time::Duration;

pub use crate::context::BoxFuture;
pub use crate::ephemeral::Ephemeral;
pub use crate::input::IntoInput;
use crate::output::TextPart;
pub use crate::output::{Output, json, text};
pub use crate::property::{
    DecodeError, Flows, FromText, Lasting, Mark, Open, Plain, Property, PropertyField, Sampler, TypeInfo,
};
pub use crate::provider::Linked;
pub use crate::resource::{Fields, Resource, Values, field};
pub use crate::schema::{Field, Role, Schema};
pub use crate::seal::LinkedKeys;
pub use crate::secret::Secret;
pub use crate::state::place::LinkedBackend;
use crate::types::Cidr;
pub use crate::value::Value;

/// The fields of a struct of properties that is being built.
pub type Members = BTreeMap<String, Value>;

/// That the type of a field of a resource may be kept.
pub fn lasting<T: Lasting>() {}

/// Values of a draft in which nothing is set.
pub fn blank(len: usize) -> Values {
    vec![Value::Null; len]
}

/// A draft as `Debug` shows it: the fields that are set, secrets redacted.
pub fn debug_draft(schema: &Schema, values: &[Value], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = schema.type_name.rsplit(':').next().unwrap_or(schema.type_name);
    let mut out = f.debug_struct(name);
    for (field, value) in schema.fields.iter().zip(values).filter(|(_, value)| !value.is_null()) {
        out.field(field.name, value);
    }
    out.finish()
}

/// Sets one member; null leaves it as it is, so that an optional one keeps its default.
pub fn put(members: &mut Members, name: &str, value: Value) {
    if !value.is_null() {
        members.insert(name.to_owned(), value);
    }
}

/// The tree of a struct: members that are null are left out.
pub fn map_of(fields: &[PropertyField], values: Vec<Value>) -> Value {
    let mut members = Members::new();
    for (field, value) in fields.iter().zip(values) {
        put(&mut members, field.name, value);
    }
    Value::Map(members)
}

/// The members of a tree.
pub fn as_map(value: &Value) -> Result<&Members, DecodeError> {
    match value {
        Value::Map(members) => Ok(members),
        other => Err(DecodeError::expected("a map", other)),
    }
}

/// Reads one member; one that is missing has its default.
pub fn member<T: Property>(field: &PropertyField, members: &Members) -> Result<T, DecodeError> {
    let result = match members.get(field.name).filter(|value| !value.is_null()) {
        Some(value) => T::from_value(value),
        None => match field.default {
            Some(default) => T::from_value(&default()),
            None => T::from_value(&Value::Null)
                .map_err(|_| DecodeError::new(format!("missing: a value of type `{}` is required", T::type_name()))),
        },
    };
    result.map_err(|e| e.inside(field.name))
}

/// The canonical form of a struct's tree: member by member, defaults filled in, nulls left out.
pub fn canonical_map(fields: &[PropertyField], value: Value) -> Value {
    let Value::Map(mut members) = value else { return value };
    let mut canonical = Members::new();
    for field in fields {
        let value = members.remove(field.name).filter(|value| !value.is_null());
        if let Some(value) = value.or_else(|| field.default.map(|default| default())) {
            put(&mut canonical, field.name, (field.canonical)(value));
        }
    }
    members.retain(|_, value| !value.is_null());
    canonical.append(&mut members);
    Value::Map(canonical)
}

/// Made-up data for a struct, member by member.
pub fn sample_map(fields: &[PropertyField], sampler: &Sampler) -> Value {
    map_of(fields, fields.iter().map(|field| (field.sample)(&sampler.field(field.name))).collect())
}

/// Index of the text among those that are allowed.
pub fn one_of(texts: &[&str], value: &Value) -> Result<usize, DecodeError> {
    let Value::Text(text) = value else { return Err(DecodeError::expected("text", value)) };
    texts.iter().position(|known| known == text).ok_or_else(|| {
        let known = texts.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        DecodeError::new(format!("expected one of {known}, found `{text}`"))
    })
}

/// A part of a `text!`: checked here, so that an error points at the part.
pub fn text_part<T: TextPart + ?Sized>(part: &T) -> &T {
    part
}

/// An IPv4 block that `cidr!` has checked.
pub const fn cidr_v4(octets: [u8; 4], prefix: u8) -> Cidr {
    Cidr::v4(octets, prefix)
}

/// An IPv6 block that `cidr!` has checked.
pub const fn cidr_v6(segments: [u16; 8], prefix: u8) -> Cidr {
    Cidr::v6(segments, prefix)
}

/// Runs a test's future on a runtime of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("the test's runtime cannot be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cidr, Id, Output, Properties, Resource, cidr, text};

    /// A thing of the core's own.
    #[crate::resource("local:Probe", crate = "crate")]
    struct Probe {
        block: Cidr,
        settings: Option<Settings>,
        #[resource(output)]
        id: Id<Self>,
    }

    #[derive(Clone, Debug, Properties)]
    #[property(crate = "crate")]
    struct Settings {
        size: u32,
    }

    #[crate::test(crate = "crate")]
    async fn the_macros_work_within_the_core() {
        let id: Output<Id<Probe>> = Probe::outputs(0).id;
        let draft = Probe::new(cidr!("10.0.0.0/8")).settings(Settings::new(5));
        assert_eq!(format!("{draft:?}"), r#"Probe { block: "10.0.0.0/8", settings: {"size": 5} }"#);
        let _: Output<String> = text!("{id}");
    }
}
