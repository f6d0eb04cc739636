//! What will be done to each resource, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::plan::departed::{departed_nodes, owned};
use crate::plan::diff::{Diff, FieldChange, TRIGGER, desired_inputs, diff, trigger, was_never_told};
use crate::plan::guard::{guard, refused_by_protection};
use crate::plan::reads::open_reads;
use crate::plan::select::Selection;
use crate::plan::values::{fill_in_declared, record_values};
use crate::plan::{Action, Glob, Known, Plan, PlanInput, PlanNode, PlannedOutput, order};
use crate::resource::Values;
use crate::schema::{Field, Role, Schema};
use crate::stack::{Declarations, Declared};
use crate::state::model::{Instance, ResourceRecord, State, Status};
use crate::urn::Urn;
use crate::value::Value;

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

/// Makes the plan.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let mut diagnostics = Vec::new();
    let dependencies = order::dependencies(input.declared, &mut diagnostics);
    let sequence = order::sequence(input.declared, &dependencies, &mut diagnostics);
    let current = Current::of(input.declared, input.state, &mut diagnostics);
    let selection = Selection::of(input, &current, &dependencies, &mut diagnostics);

    let count = input.declared.resources.len();
    let mut known: Vec<Values> = vec![Values::new(); count];
    let mut nodes: Vec<Option<PlanNode>> = vec![None; count];
    for index in sequence {
        let selected = selection.as_ref().is_none_or(|selection| selection.has_declared(index));
        let mut node = if selected {
            declared_node(input, &current, &dependencies, &mut known, &nodes, index, &mut diagnostics)
        } else {
            left_out(input, &current, &mut known, index)
        };
        node.reasons.extend(selection.as_ref().and_then(|selection| selection.reason(&node)).map(str::to_owned));
        if let Some(slot) = nodes.get_mut(index as usize) {
            *slot = Some(node);
        }
    }
    let mut nodes: Vec<PlanNode> = nodes.into_iter().flatten().collect();
    propagate_delete_first(input, &dependencies, &mut nodes);
    let claimed: BTreeSet<Instance> = nodes.iter().filter_map(|node| node.prior).collect();
    let mut staying = claimed.clone();
    if let Some(selection) = &selection {
        staying.extend(input.state.resources.keys().filter(|instance| !selection.has_departed(**instance)));
    }
    let owned = owned(input, &current, &staying);
    nodes.extend(departed_nodes(input, &claimed, &owned, selection.as_ref()));
    let selected = selection.as_ref().map(|selection| selection.summed_up(&nodes));
    if let Some(selection) = &selection {
        diagnostics.extend(selection.dangling(input, &nodes));
    }

    let outputs = planned_outputs(input, &nodes, &known, &mut diagnostics);
    let steps = order::steps(input, &nodes, &dependencies, &owned, &mut diagnostics);
    let (ready, reads) = open_reads(input, &nodes, &known, &mut diagnostics);
    let (advice, unjudged) = Default::default();
    let mut plan =
        Plan { nodes, steps, reads, outputs, selected, diagnostics, ready, advice, unjudged, known, dependencies };
    plan.nodes.iter_mut().for_each(|node| crate::policy::explain(input.declared, node));
    guard(input, &mut plan);
    crate::policy::judge(input, &mut plan);
    crate::check::judge_plan(input, &mut plan);
    plan
}

/// The instances of the state by the resource that they are, and by name.
pub(super) struct Current<'a> {
    pub(super) live: HashMap<&'a Urn, &'a ResourceRecord>,
    by_declared: Vec<Option<&'a ResourceRecord>>,
}

impl<'a> Current<'a> {
    pub(super) fn of(declared: &'a Declarations, state: &'a State, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let live: HashMap<&Urn, &ResourceRecord> = state
            .resources
            .values()
            .filter(|record| record.status != Status::PendingDelete)
            .map(|record| (&record.urn, record))
            .collect();
        let mut claims: HashMap<Urn, u32> = HashMap::new();
        let mut by_declared = Vec::with_capacity(declared.resources.len());
        for (index, resource) in declared.resources.iter().enumerate() {
            let mut present = live.get(&resource.urn).copied();
            for old in resource.options().aliases.iter().map(|alias| alias_urn(resource, alias)) {
                let wrong = |message: String| Diagnostic::invalid(message).on(&resource.urn).at(resource.at);
                if declared.index(&old).is_some() {
                    diagnostics.push(
                        wrong(format!("its alias `{old}` is a resource of this program"))
                            .help("remove the alias, or the other declaration"),
                    );
                    continue;
                }
                match claims.insert(old.clone(), index as u32).and_then(|first| declared.resources.get(first as usize))
                {
                    Some(first) if first.urn != resource.urn => diagnostics.push(
                        wrong(format!("`{old}` is also claimed as an alias by {}", first.urn))
                            .help("only one resource can have been it: remove the alias from the other"),
                    ),
                    _ => present = present.or_else(|| live.get(&old).copied()),
                }
            }
            by_declared.push(present);
        }
        Self { live, by_declared }
    }

    pub(super) fn of_declared(&self, index: u32) -> Option<&'a ResourceRecord> {
        self.by_declared.get(index as usize).copied().flatten()
    }
}

/// The type of each recorded instance that the program renames to another type.
pub(crate) type Retyped = HashMap<Instance, &'static str>;

/// What the program renames to another type. Until that is recorded, it is read and brought up to date as the new one.
pub(crate) fn retyped(declared: &Declarations, state: &State) -> Retyped {
    if declared.resources.iter().all(|resource| resource.options().aliases.is_empty()) {
        return Retyped::new();
    }
    let current = Current::of(declared, state, &mut Vec::new());
    let claims = declared.resources.iter().zip(&current.by_declared);
    claims
        .filter_map(|(resource, record)| Some((resource.schema.type_name, (*record)?)))
        .filter(|(type_name, record)| record.urn.type_name() != *type_name)
        .map(|(type_name, record)| (record.instance, type_name))
        .collect()
}

/// The type under which a record is read.
pub(crate) fn type_of<'a>(record: &'a ResourceRecord, retyped: &Retyped) -> &'a str {
    retyped.get(&record.instance).copied().unwrap_or_else(|| record.urn.type_name())
}

/// Why what keeps its name cannot be replaced while its old instance is retained.
pub(crate) fn same_name(field: &str) -> String {
    format!("it is to be replaced, and its old instance is to be retained, but both would have the same `{field}`")
}

/// The way out of [`same_name`].
pub(crate) const SAME_NAME_HELP: &str = "choose another name, or let the engine make it";

pub(crate) fn alias_urn(declared: &Declared, alias: &str) -> Urn {
    Urn::parse(alias).unwrap_or_else(|| Urn::new(declared.schema.type_name, alias))
}

/// The node of a declaration that the selection leaves out. What is recorded of it is the truth for what refers to it.
fn left_out(input: &PlanInput<'_>, current: &Current<'_>, known: &mut [Values], index: u32) -> PlanNode {
    let declared = &input.declared.resources[index as usize];
    let recorded = current.of_declared(index);
    let values = recorded.filter(|record| record.status != Status::PendingReplacement);
    if let Some(record) = values {
        let mut own = record_values(declared.schema, record);
        fill_in_declared(declared, record, &mut own, &Known { values: known, declared: input.declared });
        if let Some(slot) = known.get_mut(index as usize) {
            *slot = own;
        }
    }
    PlanNode {
        urn: declared.urn.clone(),
        declared: Some(index),
        prior: recorded.map(|record| record.instance),
        action: Action::Same,
        certain: true,
        reasons: Vec::new(),
        changes: Vec::new(),
        left_out: true,
        follows: Vec::new(),
    }
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
        left_out: false,
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
    let mut only_hooks = false;
    let trigger = match trigger(declared, &lookup) {
        Ok(trigger) => trigger,
        Err(error) => {
            diagnostics.push(error.into_diagnostic(declared).field(TRIGGER));
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
            let diff = diff(schema, record, &desired, options, trigger.as_ref());
            let forced = input.options.replace.iter().any(|target| Glob::new(target).matches(&declared.urn));
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
            node.reasons = reasons(&diff, schema, record, forced, moved);
            if record.urn != declared.urn {
                node.reasons.push(format!("it is renamed from {}", record.urn));
            }
            if let (Action::Replace { .. }, Some(why)) = (&node.action, delete_first) {
                node.reasons.push(why);
            }
            if matches!(node.action, Action::Replace { .. })
                && node.certain
                && options.retain_on_delete
                && let Some(field) = fixed_name(declared, record, &desired)
            {
                diagnostics.push(
                    Diagnostic::refused(same_name(field))
                        .on(&declared.urn)
                        .field(field)
                        .help(SAME_NAME_HELP)
                        .at(declared.at),
                );
            }
            if imported.is_some() {
                let id = record.id.clone();
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
            } else if node.action == Action::Same
                && crate::hook::left(&options.hooks, record.options.hook_due).is_some()
            {
                only_hooks = true;
                node.action = Action::Update;
                node.reasons.push("its hooks did not come to their end in an earlier run, and run again".into());
            } else if node.action == Action::Same
                && (recorded_options(input.declared, declared, trigger) != record.options
                    || needs_recording(declared, record, dependencies, done, index)
                    || schema.inputs().any(|(_, field)| was_never_told(field, record) || keeps_too_much(field, record)))
            {
                node.action = Action::Record;
            }
            node.changes = diff.changes;
            if protected(declared) && node.certain && matches!(node.action, Action::Replace { .. }) {
                diagnostics.push(refused_by_protection(&declared.urn, "replaced", &node.reasons).at(declared.at));
            }
        }
    }
    if node.action.calls() {
        node.reasons.extend(crate::transform::reasons(input.declared, index, &node.changes));
    }
    if let Some(slot) = known.get_mut(index as usize) {
        // Hooks alone leave everything as it is.
        let action = if only_hooks { &Action::Same } else { &node.action };
        *slot = outputs_after(schema, action, &desired, present);
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

/// Why the old instance must be deleted before its successor is made, if it must.
pub(crate) fn delete_first(declared: &Declared, record: &ResourceRecord, desired: &[Value]) -> Option<String> {
    let schema = declared.schema;
    if declared.options().delete_before_replace == Some(true) {
        return Some("the program says that the old one is deleted first".into());
    }
    if let Some(field) = fixed_name(declared, record, desired) {
        return Some(format!("its `{field}` is fixed by the program, so that the old one is deleted first"));
    }
    let of_type = schema.delete_before_replace && declared.options().delete_before_replace.is_none();
    of_type.then(|| "of this type the old one is deleted first".into())
}

/// The field of the physical name, where the program gives a name that the recorded instance has already.
pub(crate) fn fixed_name(declared: &Declared, record: &ResourceRecord, desired: &[Value]) -> Option<&'static str> {
    let name = declared.schema.name_field()?;
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

fn reasons(diff: &Diff, schema: &Schema, record: &ResourceRecord, forced: bool, moved: bool) -> Vec<String> {
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
        // What the type could change in place is replaced because the program says so.
        let of_type = schema.index(field).and_then(|at| schema.fields.get(at)).is_some_and(|field| {
            field.replace
                || (field.ty.replaces)(
                    &(field.ty.canonical)(change.before.clone()),
                    &(field.ty.canonical)(change.after.clone()),
                )
        });
        let why = if of_type { "it cannot change in place" } else { "the program replaces it then" };
        reasons.push(match (change.forces_replacement, change.certain, change.drifted) {
            (true, true, _) if field == TRIGGER => "the value that triggers its replacement changed".into(),
            (true, false, _) if field == TRIGGER => {
                "the value that triggers its replacement is known only after apply".into()
            }
            (true, true, false) => format!("`{field}` changed, and {why}"),
            (true, true, true) => format!("`{field}` was changed from outside, and {why}"),
            (true, false, _) => format!("`{field}` is known only after apply, and {why}"),
            (false, true, true) => format!("`{field}` was changed from outside"),
            (false, true, false) => format!("`{field}` changed"),
            (false, false, _) => format!("`{field}` is known only after apply"),
        });
    }
    reasons
}

/// Whether the state has more of an input than it should: one of an earlier version has the secret itself.
fn keeps_too_much(field: &Field, record: &ResourceRecord) -> bool {
    field.is_unkept() && record.inputs.get(field.name).is_some_and(Value::holds_secret)
}

/// Whether name or dependencies of an unchanged resource differ from what is recorded.
fn needs_recording(
    declared: &Declared,
    record: &ResourceRecord,
    dependencies: &[Vec<u32>],
    done: &[Option<PlanNode>],
    index: u32,
) -> bool {
    if record.urn != declared.urn {
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

/// The options of a declaration that are recorded in the state, with the value of its trigger.
pub(crate) fn recorded_options(
    all: &Declarations,
    declared: &Declared,
    replace_trigger: Option<Value>,
) -> crate::state::model::RecordedOptions {
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
        hook_due: None,
        replace_trigger,
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

fn planned_outputs(
    input: &PlanInput<'_>,
    nodes: &[PlanNode],
    known: &[Values],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<PlannedOutput> {
    let lookup = Known { values: known, declared: input.declared };
    let partial = nodes.iter().any(|node| node.left_out);
    let mut outputs: BTreeMap<&str, PlannedOutput> = BTreeMap::new();
    for (name, value) in &input.state.outputs {
        // While something is left out nobody knows what an output that is not declared stood for.
        let after = partial.then(|| value.clone());
        outputs.insert(name, PlannedOutput { name: name.clone(), before: Some(value.clone()), after });
    }
    for output in &input.declared.outputs {
        let mut of_nothing = false;
        output.value.references(&mut |resource| {
            let node = nodes.get(resource as usize);
            of_nothing |=
                node.is_some_and(|node| node.left_out && known.get(resource as usize).is_none_or(Vec::is_empty));
        });
        if of_nothing {
            continue;
        }
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
