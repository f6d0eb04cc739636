//! Between the records of the state, which go by field name, and value vectors, which go by field index.

use std::collections::{BTreeMap, BTreeSet};

use crate::resource::Values;
use crate::schema::{Role, Schema};
use crate::stack::Declarations;
use crate::state::model::ResourceRecord;
use crate::value::{Lookup, Value};

/// References resolve to what is known of each declared resource at this moment: in a plan what it will have, in an
/// apply what it has. What is not known is unknown, and secret where the field is.
pub(crate) struct Known<'a> {
    pub(crate) values: &'a [Values],
    pub(crate) declared: &'a Declarations,
}

impl Lookup for Known<'_> {
    fn attr(&self, resource: u32, field: u16) -> Value {
        if let Some(read) = self.declared.read(resource) {
            return read.field(field);
        }
        let found = self.values.get(resource as usize).and_then(|values| values.get(field as usize));
        found.cloned().unwrap_or_else(|| {
            let declared = self.declared.resources.get(resource as usize);
            let field = declared.and_then(|declared| declared.schema.fields.get(field as usize));
            Value::Unknown { secret: field.is_some_and(|field| field.ty.secret) }
        })
    }
}

/// The fields of a record as a provider would have returned them: inputs as seen, and outputs.
pub(crate) fn state_values(schema: &Schema, record: &ResourceRecord) -> Values {
    schema
        .fields
        .iter()
        .map(|field| match field.role {
            Role::Input => record.seen.get(field.name).or_else(|| record.inputs.get(field.name)),
            Role::Output => record.outputs.get(field.name),
        })
        .map(|value| value.cloned().unwrap_or_default())
        .collect()
}

/// Whether what a provider returned is, field by field, what is recorded, so that there is nothing to [`absorb`].
pub(crate) fn is_as_recorded(schema: &Schema, record: &ResourceRecord, returned: &[Value]) -> bool {
    record.drifted.is_empty()
        && returned.len() == schema.fields.len()
        && schema.fields.iter().zip(returned).all(|(field, now)| {
            let was = match field.role {
                Role::Input if field.write_only => return true,
                Role::Input => record.seen.get(field.name).or_else(|| record.inputs.get(field.name)),
                Role::Output => record.outputs.get(field.name),
            };
            was.unwrap_or(&Value::Null) == now || (was.is_none() && field.role == Role::Input && !field.computed)
        })
}

/// The fields of a record as references see them: inputs as they were given, computed ones as seen, and outputs.
pub(crate) fn record_values(schema: &Schema, record: &ResourceRecord) -> Values {
    schema.fields.iter().map(|field| field_value(field, record)).collect()
}

/// One field of a record as a reference sees it.
pub(crate) fn field_value(field: &crate::schema::Field, record: &ResourceRecord) -> Value {
    match field.role {
        Role::Input => record.inputs.get(field.name).or_else(|| record.seen.get(field.name)),
        Role::Output => record.outputs.get(field.name),
    }
    .cloned()
    .unwrap_or_default()
}

/// The named inputs out of a value vector; unset ones are left out.
pub(crate) fn named_inputs(schema: &Schema, values: &[Value]) -> BTreeMap<String, Value> {
    named(schema, values, Role::Input)
}

/// The named outputs out of a value vector; those that there are not are left out.
pub(crate) fn named_outputs(schema: &Schema, values: &[Value]) -> BTreeMap<String, Value> {
    named(schema, values, Role::Output)
}

fn named(schema: &Schema, values: &[Value], role: Role) -> BTreeMap<String, Value> {
    schema
        .fields
        .iter()
        .zip(values)
        .filter(|(field, value)| field.role == role && !value.is_null())
        .map(|(field, value)| (field.name.to_owned(), value.clone()))
        .collect()
}

/// Puts what a provider returned into a record. `args` are the inputs that it was called with; none when it was only
/// read, and then the record's own inputs stay and every managed difference counts as drift.
pub(crate) fn absorb(
    schema: &Schema,
    record: &mut ResourceRecord,
    args: Option<&[Value]>,
    returned: &[Value],
) -> BTreeSet<String> {
    let mut drifted = BTreeSet::new();
    if let Some(args) = args {
        record.inputs = named_inputs(schema, args);
        record.schema_version = schema.version;
        record.drifted.clear();
    }
    let before = std::mem::take(&mut record.seen);
    let outputs = named_outputs(schema, returned);
    for (index, field) in schema.inputs() {
        let Some(now) = returned.get(index) else { continue };
        let given = record.inputs.get(field.name);
        if field.write_only {
            continue;
        }
        if given.is_none() && !field.computed {
            // Not managed: whatever it is, it is none of ours.
            continue;
        }
        let same = |a: Option<&Value>| {
            let a = a.cloned().unwrap_or_default();
            (field.ty.canonical)(a) == (field.ty.canonical)(now.clone())
        };
        if args.is_none() {
            let last_seen = before.get(field.name).or(given);
            if same(given) {
                // It is as it was given, whatever it was meanwhile.
                record.drifted.remove(field.name);
            } else if given.is_some() && !same(last_seen) {
                drifted.insert(field.name.to_owned());
                record.drifted.insert(field.name.to_owned());
            }
        }
        if !same(given) {
            record.seen.insert(field.name.to_owned(), now.clone());
        }
    }
    if args.is_none() {
        for (name, value) in &outputs {
            if record.outputs.get(name) != Some(value) {
                drifted.insert(name.clone());
            }
        }
    }
    record.outputs = outputs;
    drifted
}

/// Whether a record lacks outputs that its type promises: its create was cut short.
pub(crate) fn lacks_outputs(schema: &Schema, record: &ResourceRecord) -> bool {
    schema
        .outputs()
        .any(|(_, field)| !record.outputs.contains_key(field.name) && (field.ty.check)(&Value::Null).is_err())
}
