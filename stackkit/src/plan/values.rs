//! Between the records of the state, which go by field name, and value vectors, which go by field index.

use std::collections::{BTreeMap, BTreeSet};

use crate::options::Options;
use crate::plan::diff::{Difference, compare, was_never_told};
use crate::plan::paths;
use crate::property::Sampler;
use crate::resource::Values;
use crate::schema::{Field, Role, Schema};
use crate::stack::Declarations;
use crate::state::model::{ResourceRecord, Status};
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

/// The fields of a record as a provider would have returned them: inputs as seen, and outputs. What is not kept is a
/// blank.
pub(crate) fn state_values(schema: &Schema, record: &ResourceRecord) -> Values {
    let field_of = |field: &Field| {
        let value = match field.role {
            Role::Input => record.seen.get(field.name).or_else(|| record.inputs.get(field.name)),
            Role::Output => record.outputs.get(field.name),
        };
        match value {
            _ if field.is_unkept() => blank(field, value),
            value => value.cloned().unwrap_or_default(),
        }
    };
    schema.fields.iter().map(field_of).collect()
}

/// What stands for an input that is not kept where a type has to have one: something of its type, and nobody's secret.
fn blank(field: &Field, recorded: Option<&Value>) -> Value {
    match recorded {
        // A state of an earlier version has the value itself.
        Some(value) if !value.has_digest() => value.clone(),
        None if !field.required => Value::Null,
        _ => (field.ty.sample)(&Sampler { seed: "(not-kept)".into() }),
    }
}

/// The inputs of a call whose end is not recorded, as a provider gets them that looks for what became of it.
pub(crate) fn sought_values(schema: &Schema, inputs: &BTreeMap<String, Value>) -> Values {
    let field_of = |field: &Field| match inputs.get(field.name) {
        value if field.is_unkept() => blank(field, value),
        value => value.cloned().unwrap_or_default(),
    };
    schema.fields.iter().map(field_of).collect()
}

/// What an update with these inputs finds before it. An input of which nobody was ever told has what the program says,
/// and so has one that is not kept and did not change; one that changed is a blank.
pub(crate) fn told_values(schema: &Schema, record: &ResourceRecord, args: &[Value], options: &Options) -> Values {
    let mut values = state_values(schema, record);
    for (index, field) in schema.inputs() {
        let (Some(slot), Some(said)) = (values.get_mut(index), args.get(index)) else { continue };
        let never_told = (slot.is_null() || field.is_unkept()) && was_never_told(field, record);
        let ignored = || options.ignore_changes.iter().any(|path| paths::leads_into(path, field.name));
        let same = || record.status != Status::Incomplete && (is_as_told(field, record, said) || ignored());
        if never_told || field.is_unkept() && same() {
            *slot = said.clone();
        }
    }
    values
}

/// Whether an input that is not kept is what it was at the last operation.
fn is_as_told(field: &Field, record: &ResourceRecord, said: &Value) -> bool {
    let recorded = record.inputs.get(field.name).filter(|value| field.is_unkept() && value.has_digest());
    recorded.is_some_and(|was| compare(was, &(field.ty.canonical)(said.clone())) == Difference::Same)
}

/// Puts what is not kept in its place, where it is known what was given.
pub(crate) fn fill_in(schema: &Schema, values: &mut [Value], given: &[Value]) {
    for (index, _) in schema.inputs().filter(|(_, field)| field.is_unkept()) {
        if let (Some(slot), Some(given)) = (values.get_mut(index), given.get(index)) {
            *slot = given.clone();
        }
    }
}

/// What the program gives for the inputs of a record that are not kept, where it is still what was given.
pub(crate) fn fill_in_declared(
    declared: &crate::stack::Declared,
    record: &ResourceRecord,
    values: &mut [Value],
    lookup: &dyn Lookup,
) {
    for (index, field) in declared.schema.inputs().filter(|(_, field)| field.is_unkept()) {
        let Some(Ok(given)) = declared.values.get(index).map(|given| given.resolve(lookup)) else { continue };
        if let Some(slot) = values.get_mut(index).filter(|_| is_as_told(field, record, &given)) {
            *slot = given;
        }
    }
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

/// The fields of a record as references see them: inputs as they were given, computed ones as seen, and outputs. What is
/// not kept is not known.
pub(crate) fn record_values(schema: &Schema, record: &ResourceRecord) -> Values {
    schema.fields.iter().map(|field| field_value(field, record)).collect()
}

/// One field of a record as a reference sees it.
pub(crate) fn field_value(field: &Field, record: &ResourceRecord) -> Value {
    let value = match field.role {
        Role::Input => record.inputs.get(field.name).or_else(|| record.seen.get(field.name)),
        Role::Output => record.outputs.get(field.name),
    };
    match value {
        Some(value) if value.has_digest() => Value::Unknown { secret: true },
        value => value.cloned().unwrap_or_default(),
    }
}

/// The inputs of an operation as they are recorded; unset ones are left out. Of what is not kept there is a digest:
/// that of `before`, where it is still the same.
pub(crate) fn recorded_inputs(
    schema: &Schema,
    values: &[Value],
    before: &BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let mut inputs = named(schema, values, Role::Input);
    for (_, field) in schema.inputs().filter(|(_, field)| field.is_unkept()) {
        let Some(value) = inputs.get_mut(field.name) else { continue };
        let canonical = (field.ty.canonical)(value.clone());
        let same = |was: &&Value| was.has_digest() && compare(was, &canonical) == Difference::Same;
        *value = before.get(field.name).filter(same).cloned().unwrap_or_else(|| canonical.digested());
    }
    inputs
}

/// The inputs that a provider reported, as they are recorded; unset ones are left out, and what is not kept.
pub(crate) fn seen_inputs(schema: &Schema, values: &[Value]) -> BTreeMap<String, Value> {
    let mut inputs = named(schema, values, Role::Input);
    inputs.retain(|name, _| {
        let field = schema.index(name).and_then(|index| schema.fields.get(index));
        field.is_some_and(|field| !field.is_unkept())
    });
    inputs
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
        record.inputs = recorded_inputs(schema, args, &record.inputs);
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

#[cfg(test)]
mod tests {
    use stackkit_macros::resource;

    use super::*;
    use crate::resource::Resource as _;
    use crate::secret::Secret;
    use crate::state::model::{Instance, RecordedOptions};
    use crate::urn::Urn;

    /// A lock.
    #[resource("toy:Lock")]
    struct Lock {
        /// What opens it.
        #[resource(write_only)]
        pin: Secret<String>,
        /// What opens it, too.
        #[resource(write_only)]
        spare_pin: Option<Secret<String>>,
    }

    fn values(pin: &str, spare: Option<&str>) -> Values {
        let spare = spare.map_or(Value::Null, |spare| Value::text(spare).into_secret());
        vec![Value::text(pin).into_secret(), spare]
    }

    fn record(inputs: BTreeMap<String, Value>) -> ResourceRecord {
        ResourceRecord {
            instance: Instance(1),
            urn: Urn::new("toy:Lock", "a"),
            id: "a".into(),
            provider: "toy".into(),
            status: Status::Live,
            schema_version: 1,
            inputs,
            outputs: BTreeMap::new(),
            seen: BTreeMap::new(),
            drifted: BTreeSet::new(),
            dependencies: BTreeSet::new(),
            options: RecordedOptions::default(),
        }
    }

    fn kept(pin: &str, spare: Option<&str>) -> ResourceRecord {
        record(recorded_inputs(Lock::SCHEMA, &values(pin, spare), &BTreeMap::new()))
    }

    fn told(record: &ResourceRecord, args: &[Value]) -> [Option<String>; 2] {
        let values = told_values(Lock::SCHEMA, record, args, &Options::default());
        [0, 1].map(|index| values[index].reveal().as_text().map(str::to_owned))
    }

    #[test]
    fn an_update_finds_what_is_the_same_and_a_blank_for_what_changed() {
        let blank = Some("(not-kept)".to_owned());
        let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
        assert_eq!(told(&kept("a", Some("b")), &values("a", Some("b"))), [a.clone(), b.clone()]);
        assert_eq!(told(&kept("a", Some("b")), &values("x", None)), [blank.clone(), blank.clone()]);
        assert_eq!(told(&kept("a", None), &values("a", Some("b"))), [a.clone(), None]);
        // Of what was cut short nobody knows how far it came.
        let cut = ResourceRecord { status: Status::Incomplete, ..kept("a", None) };
        assert_eq!(told(&cut, &values("a", None)), [blank, None]);
        // Adopted, it is taken to have what it must have.
        assert_eq!(told(&record(BTreeMap::new()), &values("a", Some("b"))), [a.clone(), None]);
        // A state of an earlier version has the value.
        let old = BTreeMap::from([("pin".to_owned(), Value::text("a").into_secret())]);
        assert_eq!(told(&record(old), &values("x", None)), [a.clone(), None]);
        let ignored = Options { ignore_changes: vec!["pin".into()], ..Options::default() };
        let values = told_values(Lock::SCHEMA, &kept("z", None), &values("a", None), &ignored);
        assert_eq!(values[0].reveal().as_text(), Some("a"));
    }

    #[test]
    fn a_digest_stays_while_its_secret_does() {
        let first = recorded_inputs(Lock::SCHEMA, &values("a", Some("b")), &BTreeMap::new());
        let second = recorded_inputs(Lock::SCHEMA, &values("a", Some("c")), &first);
        assert!(second["pin"] == first["pin"] && second["spare_pin"] != first["spare_pin"]);
        assert!(first.values().all(|value| value.has_digest() && !value.holds_secret()));
        assert!(seen_inputs(Lock::SCHEMA, &values("a", None)).is_empty());
        let sought = sought_values(Lock::SCHEMA, &first);
        assert!(sought.iter().all(|value| value.reveal().as_text() == Some("(not-kept)")), "{sought:?}");
        assert!(record_values(Lock::SCHEMA, &record(first)).iter().all(|value| !value.is_known()));
    }
}
