//! Diff: the inputs that the program wants, and how they differ from what is recorded.

use crate::catalog::TypeEntry;
use crate::diagnostic::Diagnostic;
use crate::options::Options;
use crate::plan::values::state_values;
use crate::plan::{Action, paths};
use crate::property::DecodeError;
use crate::resource::Values;
use crate::schema::{Field, Role, Schema};
use crate::stack::Declared;
use crate::state::model::{ResourceRecord, Status};
use crate::value::{EvalError, Lookup, Value};

/// One field that differs between what is and what the program wants.
#[derive(Debug, Clone)]
pub struct FieldChange {
    /// The field.
    pub field: &'static str,
    /// What it is.
    pub before: Value,
    /// What it will be.
    pub after: Value,
    /// Whether the change forces a replacement.
    pub forces_replacement: bool,
    /// Whether `before` is what somebody else made of it.
    pub drifted: bool,
    /// Whether it is certain that it changes; not where `after` is not known yet.
    pub certain: bool,
}

/// What a change of `Handle::replace_trigger` is called among the changes of fields.
pub(crate) const TRIGGER: &str = "replace_trigger";

/// The value that the program named as a trigger, as far as it is known. Nothing triggers nothing.
///
/// # Errors
/// A closure of the program failed.
pub(crate) fn trigger(declared: &Declared, lookup: &dyn Lookup) -> Result<Option<Value>, DesiredError> {
    let trigger = declared.options().replace_trigger.as_ref();
    let resolved = trigger.map(|trigger| trigger.resolve(lookup)).transpose().map_err(DesiredError::Eval)?;
    Ok(resolved.filter(|value| !value.is_null()))
}

/// How the desired inputs of a resource differ from what is recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diff {
    pub(crate) changes: Vec<FieldChange>,
}

impl Diff {
    pub(crate) fn replaces(&self) -> bool {
        self.changes.iter().any(|c| c.forces_replacement && c.certain)
    }
    fn may_replace(&self) -> bool {
        self.changes.iter().any(|c| c.forces_replacement)
    }
    pub(crate) fn updates(&self) -> bool {
        self.changes.iter().any(|c| c.certain)
    }
    /// The action that the difference asks for once everything is known.
    pub(crate) fn action(&self, record: &ResourceRecord, delete_first: bool) -> Action {
        if self.may_replace() {
            Action::Replace { delete_first }
        } else if !self.changes.is_empty() || record.status == Status::Incomplete {
            Action::Update
        } else {
            Action::Same
        }
    }
}

/// Why desired inputs could not be determined.
pub(crate) enum DesiredError {
    /// A closure of the program failed.
    Eval(EvalError),
    /// A value does not fit its field.
    Field(&'static str, DecodeError),
    /// A required input has no value.
    Missing(&'static str),
    /// The type's own check found something.
    Problem(crate::resource::Problem),
}

impl DesiredError {
    pub(crate) fn into_diagnostic(self, declared: &Declared) -> Diagnostic {
        match self {
            DesiredError::Eval(error) => Diagnostic::invalid(error.to_string()),
            DesiredError::Field(field, error) => {
                let path = std::iter::once(field.to_owned()).chain(error.path).collect::<Vec<_>>().join(".");
                Diagnostic::invalid(error.message).field(path)
            }
            DesiredError::Missing(field) => {
                Diagnostic::invalid("a required input has no value").field(field).help(format!("set `{field}`"))
            }
            DesiredError::Problem(problem) => Diagnostic::invalid(problem.message).field(problem.field),
        }
        .on(&declared.urn)
        .at(declared.at)
    }
}

/// The inputs that the program wants: references resolved, defaults filled in, an unset name taken from the record,
/// computed inputs left null, and all of it checked as far as it is known.
pub(crate) fn desired_inputs(
    declared: &Declared,
    entry: &TypeEntry,
    prior: Option<&ResourceRecord>,
    lookup: &dyn Lookup,
) -> Result<Values, Vec<DesiredError>> {
    let schema = declared.schema;
    let mut errors = Vec::new();
    let mut values = Values::with_capacity(schema.fields.len());
    for (field, given) in schema.fields.iter().zip(&declared.values) {
        if field.role == Role::Output {
            values.push(Value::Null);
            continue;
        }
        let mut value = match given.resolve(lookup) {
            Ok(value) => value,
            Err(error) => {
                errors.push(DesiredError::Eval(error));
                Value::Unknown { secret: field.ty.secret }
            }
        };
        if value.is_null() {
            if let Some(default) = field.default {
                value = default();
            } else if field.name_mark {
                // What is there keeps the name that it has, or was adopted with; a new one gets one at its turn.
                let has =
                    |record: &ResourceRecord| record.inputs.get(field.name).or(record.seen.get(field.name)).cloned();
                value = prior.map_or(Value::Unknown { secret: false }, |record| has(record).unwrap_or_default());
            } else if field.required {
                errors.push(DesiredError::Missing(field.name));
            }
        } else if let Err(error) = (field.ty.check)(&value)
            && !error.unknown
        {
            errors.push(DesiredError::Field(field.name, error));
        }
        if let Some(record) = prior {
            keep_ignored(&mut value, field.name, record, declared.options());
        }
        values.push(value);
    }
    if errors.is_empty() && values.iter().all(Value::is_known) {
        errors.extend(entry.ops.validate(&values).into_iter().map(DesiredError::Problem));
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// What the recorded resource is compared by: the inputs of its last operation, with what is known to differ in
/// reality. Of an instance whose create was cut short, only what was seen counts.
fn baseline(schema: &Schema, record: &ResourceRecord) -> Values {
    if record.status == Status::Incomplete {
        return state_values(schema, record);
    }
    schema
        .fields
        .iter()
        .map(|field| {
            let value = if record.drifted.contains(field.name) {
                record.seen.get(field.name)
            } else {
                record.inputs.get(field.name)
            };
            value.cloned().unwrap_or_default()
        })
        .collect()
}

/// Compares desired inputs with a record.
pub(crate) fn diff(
    schema: &Schema,
    record: &ResourceRecord,
    desired: &[Value],
    options: &Options,
    trigger: Option<&Value>,
) -> Diff {
    let before = baseline(schema, record);
    let mut changes = Vec::new();
    for (index, field) in schema.inputs() {
        let (Some(was), Some(wanted)) = (before.get(index), desired.get(index)) else { continue };
        // An optional input that is unset is not managed; unsetting one that was managed is a change.
        if wanted.is_null() && (field.computed || was.is_null() || !record.inputs.contains_key(field.name)) {
            continue;
        }
        if field.write_only && (record.status == Status::Incomplete || was_never_told(field, record)) {
            continue;
        }
        let canonical_was = (field.ty.canonical)(was.clone());
        let mut canonical_wanted = (field.ty.canonical)(wanted.clone());
        for path in options.ignore_changes.iter().filter(|path| paths::leads_into(path, field.name)) {
            paths::keep(&mut canonical_wanted, &canonical_was, path);
        }
        let difference = compare(&canonical_was, &canonical_wanted);
        if difference == Difference::Same {
            continue;
        }
        let of_type = field.replace || (field.ty.replaces)(&canonical_was, &canonical_wanted);
        let watched = options.replace_on_changes.iter().filter(|path| paths::leads_into(path, field.name));
        let asked = watched.map(|path| paths::difference(&canonical_was, &canonical_wanted, path)).max();
        let asked = asked.unwrap_or(Difference::Same);
        changes.push(FieldChange {
            field: field.name,
            before: was.clone(),
            after: wanted.clone(),
            forces_replacement: of_type || asked != Difference::Same,
            drifted: record.drifted.contains(field.name),
            // Of a change that only may reach what forces a replacement, no more than that can be said.
            certain: difference == Difference::Changed && (of_type || asked != Difference::Unknown),
        });
    }
    changes.extend(trigger.and_then(|wanted| triggered(record, wanted)));
    Diff { changes }
}

/// Whether nobody knows what the thing has in an input that its API never returns, and that it must have: it was
/// adopted. What the program says is taken for what it has.
pub(crate) fn was_never_told(field: &Field, record: &ResourceRecord) -> bool {
    field.write_only && field.required && !record.inputs.contains_key(field.name)
}

/// The change of the value that the program named as a trigger. The first one that is recorded triggers nothing: the
/// resource was made when nobody had named any.
fn triggered(record: &ResourceRecord, wanted: &Value) -> Option<FieldChange> {
    let was = record.options.replace_trigger.as_ref()?;
    let difference = compare(was, wanted);
    (difference != Difference::Same).then(|| FieldChange {
        field: TRIGGER,
        before: was.clone(),
        after: wanted.clone(),
        forces_replacement: true,
        drifted: false,
        certain: difference == Difference::Changed,
    })
}

fn keep_ignored(value: &mut Value, field: &str, record: &ResourceRecord, options: &Options) {
    for path in &options.ignore_changes {
        // What somebody else made of an ignored path is kept: sending the recorded value would undo it.
        let values = if record.drifted.contains(field) { &record.seen } else { &record.inputs };
        let was = || values.get(field).cloned().unwrap_or_default();
        // What is not kept cannot be sent again; that it is not compared is all that can be done.
        if paths::leads_into(path, field) && !was().has_digest() {
            paths::keep(value, &was(), path);
        }
    }
}

/// How two values differ; the greater one wins where several are looked at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    Same,
    Unknown,
    Changed,
}

pub(super) fn compare(was: &Value, wanted: &Value) -> Difference {
    match (was, wanted) {
        (_, Value::Unknown { .. } | Value::Expr(_)) => Difference::Unknown,
        (Value::List(a), Value::List(b)) if a.len() == b.len() => worst(a.iter().zip(b).map(|(a, b)| compare(a, b))),
        (Value::Map(a), Value::Map(b)) if a.len() == b.len() && a.keys().eq(b.keys()) => {
            worst(a.values().zip(b.values()).map(|(a, b)| compare(a, b)))
        }
        // Of a part that is not known yet no digest can be made.
        (Value::Secret(a), Value::Secret(b)) if matches!(a.reveal(), Value::Digest(_)) => match b.reveal() {
            value if !value.is_known() => Difference::Unknown,
            _ if was.fits(wanted) => Difference::Same,
            _ => Difference::Changed,
        },
        (Value::Secret(a), Value::Secret(b)) => compare(a.reveal(), b.reveal()),
        (a, b) if a == b => Difference::Same,
        _ => Difference::Changed,
    }
}

fn worst(all: impl Iterator<Item = Difference>) -> Difference {
    all.max().unwrap_or(Difference::Same)
}
