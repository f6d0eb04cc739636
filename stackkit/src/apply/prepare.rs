//! What a step needs, decided at its turn: everything that it refers to is known by now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use petgraph::graph::NodeIndex;
use tokio::time::Instant;

use crate::apply::call::{Ask, Call, DEFAULT_TIMEOUT, Prior};
use crate::apply::{Executor, Prepared, Running};
use crate::catalog::{Catalog, TypeEntry};
use crate::event::Verb;
use crate::hook;
use crate::plan::{self, Action, Plan, PlanNode, Step};
use crate::provider::Connection;
use crate::resource::Values;
use crate::stack::Declared;
use crate::state::model::{
    Change, HookDue, Instance, IntentKind, IntentRecord, Key, Record, RecordedOptions, ResourceRecord, Status,
};
use crate::value::Value;

impl Executor<'_> {
    pub(super) async fn prepare(&mut self, step: NodeIndex, node: usize) -> Prepared {
        let plan: &Plan = self.job.plan;
        let Some(planned) = plan.nodes.get(node) else { return Prepared::Done(Vec::new(), None) };
        match plan.steps.node_weight(step) {
            Some(Step::Ensure(_)) => self.prepare_ensure(step, node, planned).await,
            Some(Step::Delete(_, instance)) => self.prepare_delete(step, node, planned, *instance).await,
            None => Prepared::Done(Vec::new(), None),
        }
    }

    async fn prepare_ensure(&mut self, step: NodeIndex, node: usize, planned: &PlanNode) -> Prepared {
        if planned.action == Action::Same {
            return Prepared::Done(Vec::new(), None);
        }
        let declarations = self.job.declared;
        let catalog: &Catalog = self.job.catalog;
        let Some((index, declared)) =
            planned.declared.and_then(|index| Some((index, declarations.resources.get(index as usize)?)))
        else {
            return Prepared::Done(Vec::new(), None);
        };
        let verb = self.planned_verb(node).unwrap_or(Verb::Record);
        let Some(entry) = catalog.get(declared.schema.type_name) else {
            return Prepared::Failed(verb, Catalog::not_linked(declared.schema.type_name));
        };
        let recorded = planned.prior.and_then(|prior| self.job.state.resources.get(&prior)).cloned();
        let mut changes = Vec::new();
        let present = match (&planned.action, self.job.imports.get(&index)) {
            (Action::Import { .. }, Some(found)) => {
                let mut record = found.clone();
                record.instance = self.job.ids.instance();
                Some(record)
            }
            _ => recorded.clone().filter(|record| matches!(record.status, Status::Live | Status::Incomplete)),
        };
        let desired = match plan::desired_inputs(declared, entry, present.as_ref(), &self.lookup()) {
            Ok(desired) => desired,
            Err(errors) => {
                let messages: Vec<_> =
                    errors.into_iter().map(|error| error.into_diagnostic(declared).to_string()).collect();
                return Prepared::Failed(verb, messages.join("; "));
            }
        };
        self.job.scrubber.learn_all(&desired);
        let trigger = match plan::trigger(declared, &self.lookup()) {
            Ok(trigger) => trigger,
            Err(error) => return Prepared::Failed(verb, error.into_diagnostic(declared).to_string()),
        };
        if trigger.as_ref().is_some_and(|trigger| !trigger.is_known()) {
            return Prepared::Failed(verb, "what triggers its replacement is still not known at its turn".into());
        }
        trigger.iter().for_each(|trigger| self.job.scrubber.learn(trigger));
        let Some(mut record) = present else {
            return self.prepare_create(step, node, index, declared, entry, desired, recorded).await;
        };
        if let Action::Import { .. } = planned.action {
            record.dependencies = self.dependency_instances(index);
            record.options = self.recorded_options(declared);
            match self.connection(&record.provider).await {
                Ok((_, more)) => changes.extend(more),
                Err(error) => return Prepared::Failed(verb, error),
            }
            if let Some(deleted) = &recorded {
                // What was adopted takes the place of an instance that waited for its successor.
                changes.push(Change::Remove(Key::Resource(deleted.instance)));
                changes.extend(self.without_dependency(deleted.instance, Some(record.instance)));
            }
            self.instances[node] = Some(record.instance);
        }
        let diff = plan::diff(declared.schema, &record, &desired, declared.options(), trigger.as_ref());
        let delete_first = plan::delete_first(declared, &record, &desired).is_some();
        let action = match &planned.action {
            Action::Replace { .. } if planned.certain => planned.action.clone(),
            Action::Import { .. } if diff.changes.is_empty() => Action::Same,
            // More than was planned waits for the next plan, as with what was planned to stay as it is.
            Action::Record => Action::Same,
            _ => diff.action(&record, delete_first),
        };
        match (&planned.action, &action) {
            (_, Action::Same) => {
                let mut settled = record.clone();
                settled.status = Status::Live;
                settled.urn = declared.urn.clone();
                settled.dependencies = self.dependency_instances(index);
                settled.options = self.recorded_options(declared);
                settled.options.hook_due = hook::left(&declared.options().hooks, record.options.hook_due);
                if planned.action != Action::Record || diff.changes.is_empty() {
                    settled.inputs = plan::recorded_inputs(declared.schema, &desired, &record.inputs);
                    settled.drifted.clear();
                }
                let inputs = &settled.inputs;
                settled.seen.retain(|name, seen| {
                    let field = declared.schema.index(name).map(|at| &declared.schema.fields[at]);
                    // What is as it was given is not worth noting, and what nobody gave is ours only where it is computed.
                    field.is_some_and(|field| match inputs.get(name) {
                        Some(given) => (field.ty.canonical)(given.clone()) != (field.ty.canonical)(seen.clone()),
                        None => field.computed,
                    })
                });
                let mut values = plan::record_values(declared.schema, &settled);
                plan::fill_in(declared.schema, &mut values, &desired);
                self.values[index as usize] = values;
                let imported = matches!(planned.action, Action::Import { .. });
                let left = settled.options.hook_due.map(|due| (due, settled.id.clone()));
                if imported || Some(&settled) != self.job.state.resources.get(&settled.instance) {
                    changes.push(Change::Put(Record::Resource(Box::new(settled))));
                }
                if let Some((due, id)) = left {
                    let mut values = plan::state_values(declared.schema, &record);
                    plan::fill_in(declared.schema, &mut values, &desired);
                    let left = (due, id, values, changes);
                    return self.prepare_left_hooks(step, node, declared, entry, &record, left).await;
                }
                Prepared::Done(changes, imported.then_some(Verb::Import))
            }
            (Action::Update | Action::Import { .. } | Action::Replace { .. }, Action::Update) => {
                if matches!(planned.action, Action::Import { .. }) {
                    changes.push(Change::Put(Record::Resource(Box::new(record.clone()))));
                }
                self.prepare_update(step, node, index, declared, entry, desired, record, changes).await
            }
            (Action::Replace { .. }, Action::Replace { .. }) => {
                if plan::protected(declared) {
                    return Prepared::Failed(
                        Verb::Replace,
                        "it is protected, and what became known during the run would replace it: take the protection \
                         off with `.unprotected()`, or keep the inputs that cannot change in place"
                            .into(),
                    );
                }
                if let Some(refusal) = self.refused_deletion(node) {
                    return Prepared::Failed(Verb::Replace, refusal);
                }
                self.prepare_create(step, node, index, declared, entry, desired, Some(record)).await
            }
            (planned, found) => Prepared::Failed(
                verb,
                format!(
                    "it would take a `{}`, and the plan says `{}`: run the command again for a new plan",
                    found.name(),
                    planned.name()
                ),
            ),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one step, each of another kind")]
    async fn prepare_create(
        &mut self,
        step: NodeIndex,
        node: usize,
        index: u32,
        declared: &Declared,
        entry: &TypeEntry,
        mut args: Values,
        predecessor: Option<ResourceRecord>,
    ) -> Prepared {
        let verb = self.planned_verb(node).unwrap_or(Verb::Create);
        let schema = declared.schema;
        let instance = self.job.ids.instance();
        let mut by_engine = true;
        if let Some(name) = schema.name_field() {
            by_engine = declared.values.get(name).is_some_and(Value::is_null);
            if by_engine && let Some(slot) = args.get_mut(name) {
                *slot = Value::Text(physical_name(&self.job.info.stack, declared.urn.path(), instance));
            }
        }
        if let Some(field) = unknown_field(declared, &args) {
            return Prepared::Failed(verb, format!("field `{field}` is still not known at its turn"));
        }
        // Where the plan could not know yet that it comes to this, it could not refuse.
        if let Some(old) = &predecessor
            && declared.options().retain_on_delete
            && let Some(field) = plan::fixed_name(declared, old, &args)
        {
            return Prepared::Failed(verb, format!("{}: {}", plan::same_name(field), plan::SAME_NAME_HELP));
        }
        if let Some(refusal) = self.refusal(node, index, &args) {
            return Prepared::Failed(verb, refusal);
        }
        let provider = declared.provider_instance();
        let (connection, mut changes) = match self.connection(provider).await {
            Ok(found) => found,
            Err(error) => return Prepared::Failed(verb, error),
        };
        let mut intent = IntentRecord {
            instance,
            urn: declared.urn.clone(),
            provider: provider.to_owned(),
            kind: IntentKind::Create,
            token: self.job.ids.token(),
            inputs: plan::recorded_inputs(schema, &args, &BTreeMap::new()),
            schema_version: schema.version,
            id: None,
            name_was_free: by_engine.then_some(true),
            at: self.job.info.clock.now(),
            dependencies: self.dependency_instances(index),
            options: self.recorded_options(declared),
            replaces: predecessor.map(|record| record.instance),
        };
        let hooks = declared.options().hooks.clone();
        intent.options.hook_due = hook::due(&hooks, HookDue::Create, None);
        let limit = declared.options().create_timeout.or(schema.create_timeout);
        let call = self.call(connection, entry, declared, instance, &intent.token, limit);
        let mut running = Box::new(Running {
            step,
            node,
            instance,
            verb,
            started: Instant::now(),
            ask: Ask::Create { args: args.clone(), name_was_free: intent.name_was_free },
            args: args.clone(),
            call,
            intent: Some(intent),
            hooks,
        });
        if by_engine {
            changes.extend(self.begin(&mut running));
        } else {
            running.ask = Ask::IsNameFree { args };
        }
        Prepared::Call(changes, running)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one step, each of another kind")]
    async fn prepare_update(
        &mut self,
        step: NodeIndex,
        node: usize,
        index: u32,
        declared: &Declared,
        entry: &TypeEntry,
        args: Values,
        record: ResourceRecord,
        mut changes: Vec<Change>,
    ) -> Prepared {
        if let Some(field) = unknown_field(declared, &args) {
            return Prepared::Failed(Verb::Update, format!("field `{field}` is still not known at its turn"));
        }
        if let Some(refusal) = self.refusal(node, index, &args) {
            return Prepared::Failed(Verb::Update, refusal);
        }
        let (connection, more) = match self.connection(&record.provider).await {
            Ok(found) => found,
            Err(error) => return Prepared::Failed(Verb::Update, error),
        };
        changes.extend(more);
        let mut intent = IntentRecord {
            instance: record.instance,
            urn: declared.urn.clone(),
            provider: record.provider.clone(),
            kind: IntentKind::Update,
            token: self.job.ids.token(),
            inputs: plan::recorded_inputs(declared.schema, &args, &record.inputs),
            schema_version: declared.schema.version,
            id: Some(record.id.clone()),
            name_was_free: None,
            at: self.job.info.clock.now(),
            dependencies: self.dependency_instances(index),
            options: self.recorded_options(declared),
            replaces: None,
        };
        let hooks = declared.options().hooks.clone();
        intent.options.hook_due = hook::due(&hooks, HookDue::Update, record.options.hook_due);
        let limit = declared.options().update_timeout.or(declared.schema.update_timeout);
        let call = self.call(connection, entry, declared, record.instance, &intent.token, limit);
        let mut running = Box::new(Running {
            step,
            node,
            instance: record.instance,
            verb: Verb::Update,
            started: Instant::now(),
            ask: Ask::Update {
                id: record.id.clone(),
                prior: Prior {
                    values: plan::told_values(declared.schema, &record, &args, declared.options()),
                    partial: record.status == Status::Incomplete,
                },
                args: args.clone(),
            },
            args,
            call,
            intent: Some(intent),
            hooks,
        });
        changes.extend(self.begin(&mut running));
        Prepared::Call(changes, running)
    }

    async fn prepare_delete(
        &mut self,
        step: NodeIndex,
        node: usize,
        planned: &PlanNode,
        instance: Instance,
    ) -> Prepared {
        let Some(record) = self.job.state.resources.get(&instance).cloned() else {
            return Prepared::Done(Vec::new(), None);
        };
        let catalog: &Catalog = self.job.catalog;
        match &planned.action {
            Action::Forget => {
                let mut changes = vec![Change::Remove(Key::Resource(instance))];
                changes.extend(self.without_dependency(instance, None));
                return Prepared::Done(changes, Some(Verb::Forget));
            }
            // The successor turned out not to be needed.
            Action::Replace { delete_first: false } if record.status != Status::PendingDelete => {
                return Prepared::Done(Vec::new(), None);
            }
            Action::Replace { delete_first: true } if !planned.certain => {
                let due = match &planned.follows[..] {
                    [] => self.will_replace(node),
                    roots => roots.iter().any(|root| self.will_replace(*root)),
                };
                if !due && record.status != Status::PendingDelete {
                    return Prepared::Done(Vec::new(), None);
                }
                if due && let Some(refusal) = self.refused_deletion(node) {
                    return Prepared::Failed(Verb::Delete, refusal);
                }
            }
            _ => {}
        }
        let declared = planned.declared.and_then(|index| self.job.declared.resources.get(index as usize));
        if declared.is_some_and(|declared| declared.options().retain_on_delete) {
            return Prepared::Done(self.gone(node, instance), Some(Verb::Forget));
        }
        // What is renamed is recorded under its old name, and perhaps an old type, until something is done to it.
        let urn = declared.map_or(&record.urn, |declared| &declared.urn);
        let Some(entry) = catalog.get(urn.type_name()) else {
            return Prepared::Failed(Verb::Delete, Catalog::not_linked(urn.type_name()));
        };
        let (connection, mut changes) = match self.connection(&record.provider).await {
            Ok(found) => found,
            Err(error) => return Prepared::Failed(Verb::Delete, error),
        };
        let intent = IntentRecord {
            instance,
            urn: urn.clone(),
            provider: record.provider.clone(),
            kind: IntentKind::Delete,
            token: self.job.ids.token(),
            inputs: Default::default(),
            schema_version: record.schema_version,
            id: Some(record.id.clone()),
            name_was_free: None,
            at: self.job.info.clock.now(),
            dependencies: BTreeSet::new(),
            options: RecordedOptions::default(),
            replaces: None,
        };
        let prior = Prior {
            values: plan::state_values(entry.schema, &record),
            // An old instance does not say any more whether it was whole; what it has will tell.
            partial: record.status == Status::Incomplete || plan::lacks_outputs(entry.schema, &record),
        };
        self.job.scrubber.learn_all(&prior.values);
        let call = Call {
            connection,
            ty: entry.ty,
            schema: entry.schema,
            urn: urn.clone(),
            instance,
            token: intent.token.as_str().into(),
            timeout: record.options.delete_timeout.or(entry.schema.delete_timeout).unwrap_or(DEFAULT_TIMEOUT),
            info: Arc::clone(&self.job.info),
            messages: self.messages.clone(),
            lease: self.job.durable.lease().map(|lease| Arc::downgrade(&lease)),
        };
        let mut running = Box::new(Running {
            step,
            node,
            instance,
            verb: Verb::Delete,
            started: Instant::now(),
            ask: Ask::Delete { id: record.id.clone(), prior },
            args: Values::new(),
            call,
            intent: Some(intent),
            hooks: self.hooks(planned, &record.urn),
        });
        changes.extend(self.begin(&mut running));
        Prepared::Call(changes, running)
    }

    /// Whether the inputs of a node, which are known by now, ask for its replacement.
    fn will_replace(&self, node: usize) -> bool {
        let plan = self.job.plan;
        let Some(planned) = plan.nodes.get(node) else { return false };
        let declared = planned.declared.and_then(|index| self.job.declared.resources.get(index as usize));
        let record = planned.prior.and_then(|prior| self.job.state.resources.get(&prior));
        let (Some(declared), Some(record)) = (declared, record) else { return false };
        if record.status == Status::PendingReplacement {
            return true;
        }
        let Some(entry) = self.job.catalog.get(declared.schema.type_name) else { return false };
        let Ok(desired) = plan::desired_inputs(declared, entry, Some(record), &self.lookup()) else { return false };
        let Ok(trigger) = plan::trigger(declared, &self.lookup()) else { return false };
        let diff = plan::diff(declared.schema, record, &desired, declared.options(), trigger.as_ref());
        matches!(diff.action(record, true), Action::Replace { .. })
    }

    fn call(
        &self,
        connection: Arc<dyn Connection>,
        entry: &TypeEntry,
        declared: &Declared,
        instance: Instance,
        token: &str,
        limit: Option<Duration>,
    ) -> Call {
        Call {
            connection,
            ty: entry.ty,
            schema: entry.schema,
            urn: declared.urn.clone(),
            instance,
            token: token.into(),
            timeout: limit.unwrap_or(DEFAULT_TIMEOUT),
            info: Arc::clone(&self.job.info),
            messages: self.messages.clone(),
            lease: self.job.durable.lease().map(|lease| Arc::downgrade(&lease)),
        }
    }

    /// The connection of a provider instance, and what is to be recorded of it.
    pub(super) async fn connection(&mut self, instance: &str) -> Result<(Arc<dyn Connection>, Vec<Change>), String> {
        let declared = self.job.declared.providers.iter().find(|provider| provider.name == instance);
        let settings = match declared {
            Some(provider) => provider.settings.resolve(&self.lookup()).map_err(|error| error.to_string())?,
            None => self.job.state.providers.get(instance).map(|record| record.settings.clone()).unwrap_or_default(),
        };
        if !settings.is_known() {
            return Err(format!("settings of the provider instance `{instance}` are still not known"));
        }
        self.job.scrubber.learn(&settings);
        let connection =
            self.job.connections.get(instance, &settings, self.job.state).await.map_err(|error| error.to_string())?;
        let record = self.job.connections.record(instance);
        let changed = record.filter(|record| self.job.state.providers.get(instance) != Some(record));
        Ok((connection, changed.map(|record| Change::Put(Record::Provider(record))).into_iter().collect()))
    }

    /// The options of a declaration as they are recorded, with its trigger as it is now.
    fn recorded_options(&self, declared: &Declared) -> RecordedOptions {
        let trigger = plan::trigger(declared, &self.lookup()).ok().flatten();
        plan::recorded_options(self.job.declared, declared, trigger)
    }

    /// The present instances of what a declared resource refers to.
    pub(super) fn dependency_instances(&self, index: u32) -> BTreeSet<Instance> {
        let all = self.job.plan.dependencies.get(index as usize);
        all.into_iter().flatten().filter_map(|to| self.instances.get(*to as usize).copied().flatten()).collect()
    }

    /// Records that refer to an instance, referring to its successor (or to nothing) instead.
    pub(super) fn without_dependency(&mut self, gone: Instance, successor: Option<Instance>) -> Vec<Change> {
        let mut changes = Vec::new();
        for user in self.dependents.remove(&gone).unwrap_or_default() {
            let Some(record) = self.job.state.resources.get(&user) else { continue };
            if record.dependencies.contains(&gone) {
                let mut record = record.clone();
                record.dependencies.remove(&gone);
                record.dependencies.extend(successor);
                changes.push(Change::Put(Record::Resource(Box::new(record))));
            }
        }
        changes
    }
}

impl Running {
    /// The change that makes the intent durable; none once it has been taken.
    pub(super) fn take_intent(&mut self) -> Option<Change> {
        self.intent.take().map(|intent| Change::Put(Record::Intent(Box::new(intent))))
    }
}

fn unknown_field(declared: &Declared, args: &[Value]) -> Option<&'static str> {
    declared.schema.fields.iter().zip(args).find(|(_, value)| !value.is_known()).map(|(field, _)| field.name)
}

/// A name that no other instance has: stack, name and the instance's number, in the letters that most clouds take,
/// at most 60 of them.
pub(crate) fn physical_name(stack: &str, name: &str, instance: Instance) -> String {
    let clean = |text: &str| -> String {
        let mapped: String =
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        // Some clouds refuse two hyphens in a row.
        mapped.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    };
    let mut base = format!("{}-{}", clean(stack), clean(name));
    base.truncate(51);
    // Some clouds want a letter first.
    if !base.starts_with(|c: char| c.is_ascii_lowercase()) {
        base.insert(0, 'x');
    }
    format!("{}-{:08x}", base.trim_end_matches('-'), instance.0 as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn physical_names_are_clean_and_short() {
        let name = physical_name("Prod", "Main__DB.1", Instance(0xabcdef12));
        assert_eq!(name, "prod-main-db-1-abcdef12");
        let long = physical_name("a", &"x".repeat(200), Instance(1));
        assert_eq!(long.len(), 60, "{long}");
        assert!(physical_name("1", "2", Instance(0)).starts_with("x1-2-"));
    }
}
