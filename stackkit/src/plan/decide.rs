//! What will be done to each resource, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::catalog::{Catalog, TypeEntry};
use crate::diagnostic::Diagnostic;
use crate::options::Options;
use crate::plan::values::{record_values, state_values};
use crate::plan::{Action, Plan, PlanInput, PlanNode, PlannedOutput, order};
use crate::property::DecodeError;
use crate::resource::Values;
use crate::schema::{Role, Schema};
use crate::stack::{Declarations, Declared};
use crate::state::model::{Instance, ResourceRecord, State, Status};
use crate::urn::Urn;
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

/// How the desired inputs of a resource differ from what is recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diff {
    pub(crate) changes: Vec<FieldChange>,
}

impl Diff {
    fn replaces(&self) -> bool {
        self.changes.iter().any(|c| c.forces_replacement && c.certain)
    }
    fn may_replace(&self) -> bool {
        self.changes.iter().any(|c| c.forces_replacement)
    }
    fn updates(&self) -> bool {
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
pub(crate) fn diff(schema: &Schema, record: &ResourceRecord, desired: &[Value], options: &Options) -> Diff {
    let before = baseline(schema, record);
    let mut changes = Vec::new();
    for (index, field) in schema.inputs() {
        let (Some(was), Some(wanted)) = (before.get(index), desired.get(index)) else { continue };
        // An optional input that is unset is not managed; unsetting one that was managed is a change.
        if wanted.is_null() && (field.computed || was.is_null() || !record.inputs.contains_key(field.name)) {
            continue;
        }
        if field.write_only && record.status == Status::Incomplete {
            continue;
        }
        if options.ignore_changes.iter().any(|path| path == field.name) {
            continue;
        }
        let canonical_was = (field.ty.canonical)(was.clone());
        let mut canonical_wanted = (field.ty.canonical)(wanted.clone());
        for path in options.ignore_changes.iter().filter(|path| in_field(path, field.name)) {
            crate::plan::ignore::keep(&mut canonical_wanted, &canonical_was, path);
        }
        let difference = compare(&canonical_was, &canonical_wanted);
        if difference == Difference::Same {
            continue;
        }
        changes.push(FieldChange {
            field: field.name,
            before: was.clone(),
            after: wanted.clone(),
            forces_replacement: field.replace
                || (field.ty.replaces)(&canonical_was, &canonical_wanted)
                || options.replace_on_changes.iter().any(|name| name == field.name),
            drifted: record.drifted.contains(field.name),
            certain: difference == Difference::Changed,
        });
    }
    Diff { changes }
}

fn keep_ignored(value: &mut Value, field: &str, record: &ResourceRecord, options: &Options) {
    for path in &options.ignore_changes {
        // What somebody else made of an ignored path is kept: sending the recorded value would undo it.
        let values = if record.drifted.contains(field) { &record.seen } else { &record.inputs };
        let was = || values.get(field).cloned().unwrap_or_default();
        if path == field {
            *value = was();
        } else if in_field(path, field) {
            crate::plan::ignore::keep(value, &was(), path);
        }
    }
}

fn in_field(path: &str, field: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.starts_with(['.', '[']))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Difference {
    Same,
    Unknown,
    Changed,
}

fn compare(was: &Value, wanted: &Value) -> Difference {
    match (was, wanted) {
        (_, Value::Unknown { .. } | Value::Expr(_)) => Difference::Unknown,
        (Value::List(a), Value::List(b)) if a.len() == b.len() => worst(a.iter().zip(b).map(|(a, b)| compare(a, b))),
        (Value::Map(a), Value::Map(b)) if a.len() == b.len() && a.keys().eq(b.keys()) => {
            worst(a.values().zip(b.values()).map(|(a, b)| compare(a, b)))
        }
        (Value::Secret(a), Value::Secret(b)) => compare(a.reveal(), b.reveal()),
        (a, b) if a == b => Difference::Same,
        _ => Difference::Changed,
    }
}

fn worst(all: impl Iterator<Item = Difference>) -> Difference {
    all.fold(Difference::Same, |worst, next| match (worst, next) {
        (Difference::Changed, _) | (_, Difference::Changed) => Difference::Changed,
        (Difference::Unknown, _) | (_, Difference::Unknown) => Difference::Unknown,
        _ => Difference::Same,
    })
}

/// The fields of a resource after an action, as far as they are known before it.
fn outputs_after(schema: &Schema, action: &Action, desired: &[Value], prior: Option<&ResourceRecord>) -> Values {
    let prior_values = prior.map(|record| record_values(schema, record));
    let whole = prior.is_some_and(|record| record.status != Status::Incomplete);
    let made_anew = match action {
        Action::Create | Action::Replace { .. } => true,
        Action::Same | Action::Record | Action::Update | Action::Import { .. } => false,
        Action::Delete | Action::Forget => true,
    };
    schema
        .fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let unknown = Value::Unknown { secret: field.ty.secret };
            let was = || prior_values.as_ref().and_then(|values| values.get(index)).cloned();
            match field.role {
                Role::Input => {
                    let wanted = desired.get(index).cloned().unwrap_or_default();
                    match wanted {
                        Value::Null if field.computed => match was() {
                            Some(seen) if !made_anew => seen,
                            _ => unknown,
                        },
                        wanted => wanted,
                    }
                }
                Role::Output if made_anew => unknown,
                Role::Output if field.volatile && matches!(action, Action::Update) => unknown,
                // A create that was cut short may not have said it yet.
                Role::Output => was().filter(|value| whole || !value.is_null()).unwrap_or(unknown),
            }
        })
        .collect()
}

struct Known<'a> {
    values: &'a [Values],
    declared: &'a Declarations,
}

impl Lookup for Known<'_> {
    fn attr(&self, resource: u32, field: u16) -> Value {
        let values = self.values.get(resource as usize);
        match values.and_then(|values| values.get(field as usize)) {
            Some(value) => value.clone(),
            None => {
                let secret = self
                    .declared
                    .resources
                    .get(resource as usize)
                    .and_then(|declared| declared.schema.fields.get(field as usize))
                    .is_some_and(|field| field.ty.secret);
                Value::Unknown { secret }
            }
        }
    }
}

/// Makes the plan.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let mut diagnostics = Vec::new();
    let dependencies = order::dependencies(input.declared, &mut diagnostics);
    let sequence = order::sequence(input.declared, &dependencies, &mut diagnostics);
    let current = Current::of(input, &mut diagnostics);

    let count = input.declared.resources.len();
    let mut known: Vec<Values> = vec![Values::new(); count];
    let mut nodes: Vec<Option<PlanNode>> = vec![None; count];
    for index in sequence {
        let node = declared_node(input, &current, &dependencies, &mut known, &nodes, index, &mut diagnostics);
        if let Some(slot) = nodes.get_mut(index as usize) {
            *slot = Some(node);
        }
    }
    let mut nodes: Vec<PlanNode> = nodes.into_iter().flatten().collect();
    propagate_delete_first(input, &dependencies, &mut nodes);
    let claimed: BTreeSet<Instance> = nodes.iter().filter_map(|node| node.prior).collect();
    let owned = owned(input, &current, &claimed);
    nodes.extend(departed_nodes(input, &claimed, &owned));

    let outputs = planned_outputs(input, &known, &mut diagnostics);
    let steps = order::steps(input, &nodes, &dependencies, &owned, &mut diagnostics);
    let mut plan = Plan { nodes, steps, outputs, diagnostics, known, dependencies };
    guard(input, &mut plan);
    plan
}

/// The instances of the state by the resource that they are, and by name.
struct Current<'a> {
    live: HashMap<&'a Urn, &'a ResourceRecord>,
    by_declared: Vec<Option<&'a ResourceRecord>>,
}

impl<'a> Current<'a> {
    fn of(input: &PlanInput<'a>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let live: HashMap<&Urn, &ResourceRecord> = input
            .state
            .resources
            .values()
            .filter(|record| record.status != Status::PendingDelete)
            .map(|record| (&record.urn, record))
            .collect();
        let mut claims: HashMap<Urn, &Declared> = HashMap::new();
        let by_declared = input
            .declared
            .resources
            .iter()
            .map(|declared| {
                if let Some(record) = live.get(&declared.urn) {
                    return Some(*record);
                }
                for alias in &declared.options().aliases {
                    let old = alias_urn(declared, alias);
                    if input.declared.index(&old).is_some() {
                        diagnostics.push(
                            Diagnostic::invalid(format!("its alias `{old}` is a resource of this program"))
                                .on(&declared.urn)
                                .help("remove the alias, or the other declaration")
                                .at(declared.at),
                        );
                        continue;
                    }
                    if let Some(first) = claims.insert(old.clone(), declared) {
                        diagnostics.push(
                            Diagnostic::invalid(format!("`{old}` is also claimed as an alias by {}", first.urn))
                                .on(&declared.urn)
                                .at(declared.at),
                        );
                    } else if let Some(record) = live.get(&old) {
                        return Some(*record);
                    }
                }
                None
            })
            .collect();
        Self { live, by_declared }
    }

    fn of_declared(&self, index: u32) -> Option<&'a ResourceRecord> {
        self.by_declared.get(index as usize).copied().flatten()
    }
}

fn alias_urn(declared: &Declared, alias: &str) -> Urn {
    Urn::parse(alias).unwrap_or_else(|| Urn::new(declared.schema.type_name, alias))
}

fn declared_node(
    input: &PlanInput<'_>,
    current: &Current<'_>,
    dependencies: &[Vec<u32>],
    known: &mut [Values],
    done: &[Option<PlanNode>],
    index: u32,
    diagnostics: &mut Vec<Diagnostic>,
) -> PlanNode {
    let declared = &input.declared.resources[index as usize];
    let schema = declared.schema;
    let recorded = current.of_declared(index);
    let imported = input.imports.get(&index);
    // What is deleted already and waits for its successor has no values to compare with.
    let present = recorded.filter(|record| record.status != Status::PendingReplacement).or(imported);
    let mut node = PlanNode {
        urn: declared.urn.clone(),
        declared: Some(index),
        prior: recorded.map(|record| record.instance),
        action: Action::Create,
        certain: true,
        reasons: Vec::new(),
        changes: Vec::new(),
        follows: Vec::new(),
    };
    let Some(entry) = input.catalog.get(schema.type_name) else {
        diagnostics.push(Diagnostic::invalid(Catalog::not_linked(schema.type_name)).on(&declared.urn).at(declared.at));
        return node;
    };
    let lookup = Known { values: known, declared: input.declared };
    let desired = match desired_inputs(declared, entry, present, &lookup) {
        Ok(desired) => desired,
        Err(errors) => {
            diagnostics.extend(errors.into_iter().map(|error| error.into_diagnostic(declared)));
            return node;
        }
    };
    match present {
        None => {
            if recorded.is_some() {
                node.reasons.push("its predecessor was deleted for a replacement that did not finish".into());
            }
            node.changes = initial(declared, &desired);
        }
        Some(record) => {
            let options = declared.options();
            let delete_first = delete_first(declared, record, &desired);
            let diff = diff(schema, record, &desired, options);
            let forced = input.options.replace.iter().any(|target| names(target, &declared.urn));
            let moved = record.provider != declared.provider_instance();
            node.action = diff.action(record, delete_first.is_some());
            node.certain = match node.action {
                Action::Replace { .. } => diff.replaces(),
                Action::Update => diff.updates() || record.status == Status::Incomplete,
                _ => true,
            };
            if forced || moved {
                node.action = Action::Replace { delete_first: delete_first.is_some() };
                node.certain = true;
            }
            node.reasons = reasons(&diff, record, forced, moved);
            if let (Action::Replace { .. }, Some(why)) = (&node.action, delete_first) {
                node.reasons.push(why);
            }
            if matches!(node.action, Action::Replace { .. })
                && node.certain
                && options.retain_on_delete
                && let Some(field) = schema.name_field().and_then(|name| fixed_name(declared, record, &desired, name))
            {
                diagnostics.push(
                    Diagnostic::refused(format!(
                        "it is to be replaced, and its old instance is to be retained, but both would have the same `{field}`"
                    ))
                    .on(&declared.urn)
                    .field(field)
                    .help("choose another name, or let the engine make it")
                    .at(declared.at),
                );
            }
            if imported.is_some() {
                let id = options.import.clone().unwrap_or_default();
                if matches!(node.action, Action::Replace { .. }) {
                    diagnostics.push(
                        Diagnostic::refused(format!(
                            "`{id}` cannot be imported as declared: {} would need a replacement",
                            diff.changes
                                .iter()
                                .filter(|change| change.forces_replacement)
                                .map(|change| format!("`{}`", change.field))
                                .collect::<Vec<_>>()
                                .join(", ")
                        ))
                        .on(&declared.urn)
                        .help("declare these fields as they are")
                        .at(declared.at),
                    );
                }
                node.action = Action::Import { id };
            } else if node.action == Action::Same && needs_recording(input, declared, record, dependencies, done, index)
            {
                node.action = Action::Record;
            }
            node.changes = diff.changes;
            if protected(declared) && node.certain && matches!(node.action, Action::Replace { .. }) {
                diagnostics.push(refused_by_protection(&declared.urn, "replaced", &node.reasons).at(declared.at));
            }
        }
    }
    if let Some(slot) = known.get_mut(index as usize) {
        *slot = outputs_after(schema, &node.action, &desired, present);
        if matches!(node.action, Action::Replace { .. } | Action::Create)
            && let Some(name) = schema.name_field()
            && declared.values.get(name).is_some_and(Value::is_null)
            && let Some(value) = slot.get_mut(name)
        {
            // A new instance gets a new name, which the engine makes when it gets there.
            *value = Value::Unknown { secret: false };
        }
    }
    node
}

/// Whether the target of an option names the resource: its URN, its name, or its path.
pub(crate) fn names(target: &str, urn: &Urn) -> bool {
    target == urn.as_str() || target == urn.name() || target == urn.path()
}

pub(crate) fn protected(declared: &Declared) -> bool {
    declared.options().protect.unwrap_or(declared.schema.stateful)
}

fn refused_by_protection(urn: &Urn, what: &str, reasons: &[String]) -> Diagnostic {
    let why = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
    Diagnostic::refused(format!("it is protected and would be {what}{why}")).on(urn).help(
        "if that is meant, take the protection off with `.unprotected()` on its declaration and run `up`, then try again",
    )
}

/// Why the old instance must be deleted before its successor is made, if it must.
pub(crate) fn delete_first(declared: &Declared, record: &ResourceRecord, desired: &[Value]) -> Option<String> {
    let schema = declared.schema;
    if declared.options().delete_before_replace == Some(true) {
        return Some("the program says that the old one is deleted first".into());
    }
    if let Some(field) = schema.name_field().and_then(|name| fixed_name(declared, record, desired, name)) {
        return Some(format!("its `{field}` is fixed by the program, so that the old one is deleted first"));
    }
    let of_type = schema.delete_before_replace && declared.options().delete_before_replace.is_none();
    of_type.then(|| "of this type the old one is deleted first".into())
}

/// The field of the physical name, where the program gives a name that the recorded instance has already.
fn fixed_name(declared: &Declared, record: &ResourceRecord, desired: &[Value], name: usize) -> Option<&'static str> {
    let field = declared.schema.fields.get(name)?;
    let set_by_user = declared.values.get(name).is_some_and(|value| !value.is_null());
    let wanted = desired.get(name)?;
    let unchanged = record
        .inputs
        .get(field.name)
        .is_some_and(|was| (field.ty.canonical)(was.clone()) == (field.ty.canonical)(wanted.clone()));
    (set_by_user && unchanged).then_some(field.name)
}

/// What the program gives a new resource. Defaults are left out: nobody chose them here.
fn initial(declared: &Declared, desired: &[Value]) -> Vec<FieldChange> {
    declared
        .schema
        .inputs()
        .filter(|(index, field)| field.name_mark || declared.values.get(*index).is_some_and(|given| !given.is_null()))
        .filter_map(|(index, field)| {
            let after = desired.get(index).filter(|value| !value.is_null())?.clone();
            Some(FieldChange {
                field: field.name,
                before: Value::Null,
                after,
                forces_replacement: false,
                drifted: false,
                certain: true,
            })
        })
        .collect()
}

fn reasons(diff: &Diff, record: &ResourceRecord, forced: bool, moved: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if record.status == Status::Incomplete {
        reasons.push("an earlier run did not finish it".into());
    }
    if forced {
        reasons.push("you asked for its replacement".into());
    }
    if moved {
        reasons.push(format!("it moves away from the provider instance `{}`", record.provider));
    }
    for change in &diff.changes {
        let field = change.field;
        reasons.push(match (change.forces_replacement, change.certain, change.drifted) {
            (true, true, false) => format!("`{field}` changed, and it cannot change in place"),
            (true, true, true) => format!("`{field}` was changed from outside, and it cannot change in place"),
            (true, false, _) => format!("`{field}` is known only after apply, and it cannot change in place"),
            (false, true, true) => format!("`{field}` was changed from outside"),
            (false, true, false) => format!("`{field}` changed"),
            (false, false, _) => format!("`{field}` is known only after apply"),
        });
    }
    reasons
}

/// Whether options or dependencies of an unchanged resource differ from what is recorded.
fn needs_recording(
    input: &PlanInput<'_>,
    declared: &Declared,
    record: &ResourceRecord,
    dependencies: &[Vec<u32>],
    done: &[Option<PlanNode>],
    index: u32,
) -> bool {
    if record.urn != declared.urn || recorded_options(input.declared, declared) != record.options {
        return true;
    }
    let mut instances = BTreeSet::new();
    for dependency in dependencies.get(index as usize).into_iter().flatten() {
        match done.get(*dependency as usize).and_then(Option::as_ref) {
            Some(PlanNode { prior: Some(prior), action, .. })
                if !matches!(action, Action::Create | Action::Replace { .. }) =>
            {
                instances.insert(*prior);
            }
            // It will have a new instance, whose number nobody knows yet.
            _ => return true,
        }
    }
    instances != record.dependencies
}

/// The options of a declaration that are recorded in the state.
pub(crate) fn recorded_options(all: &Declarations, declared: &Declared) -> crate::state::model::RecordedOptions {
    let options = declared.options();
    crate::state::model::RecordedOptions {
        protect: protected(declared),
        retain_on_delete: options.retain_on_delete,
        deleted_with: options
            .deleted_with
            .and_then(|owner| all.resources.get(owner as usize))
            .map(|owner| owner.urn.clone()),
        delete_before_replace: options.delete_before_replace.unwrap_or(declared.schema.delete_before_replace),
        delete_timeout: options.delete_timeout,
    }
}

/// What uses a resource that is deleted first, and is replaced too, is deleted before it: its old instance stands on
/// the one that goes, and its successor waits for the one that comes.
fn propagate_delete_first(input: &PlanInput<'_>, dependencies: &[Vec<u32>], nodes: &mut [PlanNode]) {
    let first = Action::Replace { delete_first: true };
    let mut open: VecDeque<usize> = (0..nodes.len()).filter(|index| nodes[*index].action == first).collect();
    if open.is_empty() {
        return;
    }
    let node_of: HashMap<Instance, usize> =
        nodes.iter().enumerate().filter_map(|(index, node)| Some((node.prior?, index))).collect();
    let mut users: HashMap<usize, Vec<usize>> = HashMap::new();
    for record in input.state.resources.values() {
        let Some(user) = node_of.get(&record.instance) else { continue };
        for used in record.dependencies.iter().filter_map(|used| node_of.get(used)) {
            users.entry(*used).or_default().push(*user);
        }
    }
    let mut reach = order::Reach::new(dependencies);
    while let Some(cause) = open.pop_front() {
        let (urn, certain) = (nodes[cause].urn.clone(), nodes[cause].certain);
        let roots = if nodes[cause].follows.is_empty() { vec![cause] } else { nodes[cause].follows.clone() };
        for user in users.get(&cause).into_iter().flatten().copied() {
            let Some(node) = nodes.get_mut(user) else { continue };
            let Action::Replace { delete_first } = node.action else { continue };
            // What decides by itself whether it is deleted first, and certainly is, needs no other cause.
            if (delete_first && node.certain) || !reach.reaches(user as u32, cause as u32) {
                continue;
            }
            if !delete_first {
                node.reasons.push(format!("{urn} is deleted first, and its replacement follows from that"));
            } else if node.follows.is_empty() {
                node.follows.push(user);
            }
            node.action = first.clone();
            let before = (node.certain, node.follows.len());
            if certain {
                node.certain = true;
                node.follows.clear();
            } else if !node.certain {
                node.follows.extend(&roots);
                node.follows.sort_unstable();
                node.follows.dedup();
            }
            if !delete_first || before != (node.certain, node.follows.len()) {
                open.push_back(user);
            }
        }
    }
}

fn departed_nodes(
    input: &PlanInput<'_>,
    claimed: &BTreeSet<Instance>,
    owned: &BTreeMap<Instance, Instance>,
) -> Vec<PlanNode> {
    let mut nodes = Vec::new();
    for record in input.state.resources.values() {
        if claimed.contains(&record.instance) {
            continue;
        }
        let mut node = PlanNode {
            urn: record.urn.clone(),
            declared: None,
            prior: Some(record.instance),
            action: Action::Delete,
            certain: true,
            reasons: Vec::new(),
            changes: Vec::new(),
            follows: Vec::new(),
        };
        node.reasons.push(match record.status {
            Status::PendingDelete => "it was replaced, and its deletion did not finish".into(),
            Status::PendingReplacement => "it is deleted already, and is no longer in the program".into(),
            _ if input.options.operation == Some(crate::event::Operation::Destroy) => "the stack is destroyed".into(),
            _ => "it is no longer in the program".into(),
        });
        if record.status == Status::PendingReplacement {
            node.action = Action::Forget;
        } else if record.options.retain_on_delete {
            node.action = Action::Forget;
            node.reasons.push("it is to be retained".into());
        } else if owned.contains_key(&record.instance) {
            node.action = Action::Forget;
            node.reasons.push("it is deleted together with its owner".into());
        }
        nodes.push(node);
    }
    nodes
}

/// The instance whose deletion takes a record along: the last of its owners that is deleted indeed, not one that stays
/// or is only forgotten.
fn last_owner(record: &ResourceRecord, current: &Current<'_>, claimed: &BTreeSet<Instance>) -> Option<Instance> {
    let mut last = None;
    let mut record = record;
    // The bound ends circles, which owners of different versions of a program can make.
    for _ in 0..64 {
        let owner = record.options.deleted_with.as_ref().and_then(|owner| current.live.get(owner));
        let Some(owner) = owner.filter(|owner| !claimed.contains(&owner.instance)) else { return last };
        if !owner.options.retain_on_delete {
            last = Some(owner.instance);
        }
        record = owner;
    }
    None
}

/// What goes with an owner, by instance. What stands on something else that must go before the owner cannot wait for
/// the owner, and is deleted like anything else.
fn owned(input: &PlanInput<'_>, current: &Current<'_>, claimed: &BTreeSet<Instance>) -> BTreeMap<Instance, Instance> {
    let departed = input.state.resources.values().filter(|record| {
        !claimed.contains(&record.instance)
            && record.options.deleted_with.is_some()
            && !record.options.retain_on_delete
            && !matches!(record.status, Status::PendingReplacement | Status::PendingDelete)
    });
    let mut owned: BTreeMap<Instance, Instance> =
        departed.filter_map(|record| Some((record.instance, last_owner(record, current, claimed)?))).collect();
    if owned.is_empty() {
        return owned;
    }
    let roots: BTreeSet<Instance> = owned.values().copied().collect();
    owned.retain(|instance, _| !roots.contains(instance));
    let mut users: HashMap<Instance, Vec<Instance>> = HashMap::new();
    for record in input.state.resources.values() {
        for used in &record.dependencies {
            users.entry(*used).or_default().push(record.instance);
        }
    }
    for root in roots {
        let mut open = vec![root];
        let mut before: BTreeSet<Instance> = BTreeSet::new();
        while let Some(next) = open.pop() {
            for user in users.get(&next).into_iter().flatten() {
                if owned.get(user) == Some(&root) {
                    if next == root {
                        continue;
                    }
                    owned.remove(user);
                }
                if before.insert(*user) {
                    open.push(*user);
                }
            }
        }
    }
    owned
}

fn planned_outputs(input: &PlanInput<'_>, known: &[Values], diagnostics: &mut Vec<Diagnostic>) -> Vec<PlannedOutput> {
    let lookup = Known { values: known, declared: input.declared };
    let mut outputs: BTreeMap<&str, PlannedOutput> = BTreeMap::new();
    for (name, value) in &input.state.outputs {
        outputs.insert(name, PlannedOutput { name: name.clone(), before: Some(value.clone()), after: None });
    }
    for output in &input.declared.outputs {
        let after = match output.value.resolve(&lookup) {
            Ok(value) => value,
            Err(error) => {
                diagnostics.push(Diagnostic::invalid(error.to_string()).field(&output.name).at(output.at));
                Value::Unknown { secret: false }
            }
        };
        outputs
            .entry(&output.name)
            .or_insert_with(|| PlannedOutput { name: output.name.clone(), before: None, after: None })
            .after = Some(after);
    }
    outputs.into_values().collect()
}

fn guard(input: &PlanInput<'_>, plan: &mut Plan) {
    let mut found = Vec::new();
    for target in &input.options.replace {
        if !plan.nodes.iter().any(|node| node.declared.is_some() && names(target, &node.urn)) {
            found.push(
                Diagnostic::invalid(format!("`{target}` is to be replaced, and the program does not declare it"))
                    .help("name a resource by its URN, path or name"),
            );
        }
    }
    for node in &plan.nodes {
        let Some(record) = node.prior.and_then(|prior| input.state.resources.get(&prior)) else { continue };
        // What is deleted together with its owner is forgotten by the state, and gone all the same.
        let goes = match node.action {
            Action::Delete => true,
            Action::Forget => record.status != Status::PendingReplacement && !record.options.retain_on_delete,
            _ => false,
        };
        if node.declared.is_none() && goes && record.options.protect && record.status != Status::PendingDelete {
            found.push(refused_by_protection(&node.urn, "deleted", &node.reasons));
        }
        if node.action == (Action::Replace { delete_first: true })
            && let Some(declared) = node.declared.and_then(|index| input.declared.resources.get(index as usize))
            && protected(declared)
            && !found.iter().chain(&plan.diagnostics).any(|d| d.urn.as_ref() == Some(&node.urn))
        {
            found.push(refused_by_protection(&node.urn, "replaced", &node.reasons).at(declared.at));
        }
        if matches!(node.action, Action::Delete | Action::Update | Action::Replace { .. })
            && input.catalog.get(record.urn.type_name()).is_none()
        {
            found.push(Diagnostic::invalid(Catalog::not_linked(record.urn.type_name())).on(&record.urn));
        }
    }
    let destructive: Vec<&PlanNode> =
        plan.nodes.iter().filter(|node| matches!(node.action, Action::Delete | Action::Replace { .. })).collect();
    if input.options.no_destroy {
        found.extend(destructive.iter().map(|node| {
            Diagnostic::refused(format!("`--no-destroy` refuses to {} it", node.action.name())).on(&node.urn)
        }));
    }
    if let Some(limit) = input.options.max_deletes
        && destructive.len() > limit
    {
        found.push(Diagnostic::refused(format!(
            "the plan deletes or replaces {} resources, and the limit is {limit}",
            destructive.len()
        )));
    }
    if input.options.expect_no_changes && plan.has_changes() {
        let changed = plan.nodes.iter().filter(|node| !matches!(node.action, Action::Same | Action::Record)).count();
        found.push(Diagnostic::refused(format!("no changes were expected, and the plan has {changed}")));
    }
    plan.diagnostics.extend(found);
}

/// The state that a planner sees must have one present instance a resource.
#[allow(dead_code, reason = "asserted by the engine's own checks in tests")]
pub(crate) fn one_present_instance(state: &State) -> bool {
    let mut seen = BTreeSet::new();
    state
        .resources
        .values()
        .filter(|record| record.status != Status::PendingDelete)
        .all(|record| seen.insert(record.urn.clone()))
}
