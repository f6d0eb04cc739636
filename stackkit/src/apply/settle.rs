//! What becomes of a step once its call has ended: records, values for dependents, and what may start next.

use std::collections::{BTreeMap, HashSet};

use petgraph::graph::NodeIndex;
use tokio::task::{Id, JoinError};

use crate::apply::call::{Answer, Ask};
use crate::apply::{Executor, Running};
use crate::audit::Outcome;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Verb};
use crate::plan::{self, Action};
use crate::read::Behind;
use crate::resource::Values;
use crate::state::model::{Change, Instance, IntentRecord, Key, OutputRecord, Record, ResourceRecord, Status};
use crate::value::Value;

impl Executor<'_> {
    pub(super) async fn ended(&mut self, ended: Result<(Id, Result<Answer, Error>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => {
                let what = if error.is_panic() { "the provider panicked" } else { "the call was dropped" };
                let message = format!("{what}: its outcome is not known, and the next run looks what became of it");
                (error.id(), Err(Error::new(ErrorKind::UnknownOutcome, message)))
            }
        };
        let Some(mut running) = self.running.remove(&id) else { return };
        match result {
            Ok(Answer::NameIsFree(Some(false))) => {
                let message = "something of this name exists already, and it is not this stack's: adopt it with \
                               `.import(\"ID\")` on the declaration, or choose another name";
                self.fail(running.step, running.call.urn.clone(), running.verb, running.started.elapsed(), message);
            }
            Ok(Answer::NameIsFree(free)) => {
                if let Some(intent) = &mut running.intent {
                    intent.name_was_free = free;
                    intent.at = self.job.info.clock.now();
                }
                running.ask = Ask::Create { args: running.args.clone(), name_was_free: free };
                let intent = self.begin(&mut running);
                self.record(intent.into_iter().collect());
                self.starts.push(Box::new(running));
            }
            Ok(Answer::Created { id, values }) => self.created(running, id, &values),
            Ok(Answer::Updated(values)) => self.updated(running, &values),
            Ok(Answer::Deleted) => self.deleted(running),
            Ok(Answer::HooksRan) => self.hooks_ran(running),
            Err(error) => self.call_failed(running, &error),
        }
    }

    fn created(&mut self, running: Running, id: String, values: &Values) {
        let Some(intent) = self.job.state.intents.get(&running.instance).cloned() else { return };
        let mut record = new_record(&intent, id, Status::Live);
        plan::absorb(running.call.schema, &mut record, Some(&running.args), values);
        self.job.scrubber.learn_all(values);
        let problems = self.problems(&running, &mut record, None, values);
        let mut changes = vec![Change::Remove(Key::Intent(running.instance))];
        changes.extend(self.made(&intent, record.clone()));
        self.set_values(running.node, &record, &running.args);
        self.tell_done(running.node, running.verb, Some(running.instance));
        self.record(changes);
        if problems.is_some() {
            // What is due to hooks stays recorded, and runs once the resource is as it should be.
            return self.ends(running, problems);
        }
        self.conclude(running, &record.id, values);
    }

    /// The record of a new instance, and what that means for the one that it replaces.
    fn made(&mut self, intent: &IntentRecord, record: ResourceRecord) -> Vec<Change> {
        let mut changes = vec![Change::Put(Record::Resource(Box::new(record)))];
        let old = intent.replaces.and_then(|old| self.job.state.resources.get(&old)).cloned();
        match old {
            Some(old) if old.status == Status::PendingReplacement => {
                changes.push(Change::Remove(Key::Resource(old.instance)));
                changes.extend(self.without_dependency(old.instance, Some(intent.instance)));
            }
            Some(old) => {
                // By now it is known by its new name, under which it can be deleted when the alias is gone.
                let mut old = ResourceRecord { status: Status::PendingDelete, urn: intent.urn.clone(), ..old };
                // Whether it is deleted or left alone is for the program that replaced it to say.
                old.options.retain_on_delete = intent.options.retain_on_delete;
                changes.push(Change::Put(Record::Resource(Box::new(old))));
            }
            None => {}
        }
        changes
    }

    fn updated(&mut self, running: Running, values: &Values) {
        let Some(intent) = self.job.state.intents.get(&running.instance).cloned() else { return };
        let Some(mut record) = self.job.state.resources.get(&running.instance).cloned() else { return };
        let prior = record.clone();
        record.status = Status::Live;
        record.urn = intent.urn;
        record.dependencies = intent.dependencies;
        record.options = intent.options;
        plan::absorb(running.call.schema, &mut record, Some(&running.args), values);
        self.job.scrubber.learn_all(values);
        self.warn_of_unplanned_outputs(&running, &prior.outputs, &record);
        let problems = self.problems(&running, &mut record, Some(&prior), values);
        self.set_values(running.node, &record, &running.args);
        let id = record.id.clone();
        self.tell_done(running.node, running.verb, Some(running.instance));
        self.record(vec![
            Change::Remove(Key::Intent(running.instance)),
            Change::Put(Record::Resource(Box::new(record))),
        ]);
        if problems.is_some() {
            // What is due to hooks stays recorded, and runs once the resource is as it should be.
            return self.ends(running, problems);
        }
        self.conclude(running, &id, values);
    }

    /// An output that the plan took for stable and that changed all the same: recorded, and said.
    fn warn_of_unplanned_outputs(
        &mut self,
        running: &Running,
        before: &BTreeMap<String, Value>,
        record: &ResourceRecord,
    ) {
        for (_, field) in running.call.schema.outputs() {
            let was = before.get(field.name);
            if !field.volatile && was.is_some() && was != record.outputs.get(field.name) {
                let message = format!(
                    "the output `{}` changed with an update, which its type does not announce: what was planned with \
                     the old value is brought up to date by the next `up`",
                    field.name
                );
                self.emit(Event::Warning { urn: Some(record.urn.clone()), message });
            }
        }
    }

    fn deleted(&mut self, running: Running) {
        let mut changes = vec![Change::Remove(Key::Intent(running.instance))];
        changes.extend(self.gone(running.node, running.instance));
        self.tell_done(running.node, running.verb, Some(running.instance));
        self.record(changes);
        self.conclude(running, "", &[]);
    }

    /// What becomes of the record of an instance that is deleted, or forgotten for good.
    pub(super) fn gone(&mut self, node: usize, instance: Instance) -> Vec<Change> {
        let awaits_successor = self
            .job
            .plan
            .nodes
            .get(node)
            .is_some_and(|node| node.action == (Action::Replace { delete_first: true }) && node.declared.is_some());
        match self.job.state.resources.get(&instance).cloned() {
            Some(record) if awaits_successor && record.status != Status::PendingDelete => {
                let planned = self.job.plan.nodes.get(node);
                let urn = planned.map_or_else(|| record.urn.clone(), |node| node.urn.clone());
                let record = ResourceRecord {
                    urn,
                    status: Status::PendingReplacement,
                    id: String::new(),
                    outputs: BTreeMap::new(),
                    ..record
                };
                vec![Change::Put(Record::Resource(Box::new(record)))]
            }
            _ => {
                let mut changes = vec![Change::Remove(Key::Resource(instance))];
                changes.extend(self.without_dependency(instance, None));
                changes
            }
        }
    }

    fn call_failed(&mut self, running: Running, error: &Error) {
        let intent = self.job.state.intents.get(&running.instance).cloned();
        let open = error.kind() == ErrorKind::UnknownOutcome;
        let mut changes = Vec::new();
        match (&running.ask, intent) {
            (Ask::Create { .. }, Some(intent)) => match intent.id.clone() {
                // It exists, whatever became of the rest of its creation.
                Some(id) => {
                    let mut record = new_record(&intent, id, Status::Incomplete);
                    record.inputs = intent.inputs.clone();
                    changes.push(Change::Remove(Key::Intent(running.instance)));
                    changes.extend(self.made(&intent, record));
                }
                None if open => {}
                None => changes.push(Change::Remove(Key::Intent(running.instance))),
            },
            (Ask::Update { .. }, Some(_)) => {
                if !open {
                    changes.push(Change::Remove(Key::Intent(running.instance)));
                }
                if let Some(record) = self.job.state.resources.get(&running.instance).cloned() {
                    // Nobody knows how far it came: the inputs stay the old ones, and the next `up` updates again.
                    let record = ResourceRecord { status: Status::Incomplete, ..record };
                    changes.push(Change::Put(Record::Resource(Box::new(record))));
                }
            }
            (Ask::Delete { .. }, Some(_)) if !open => changes.push(Change::Remove(Key::Intent(running.instance))),
            _ => {}
        }
        self.record(changes);
        let elapsed = running.started.elapsed();
        let message = super::hooks::told(&running.ask, error.message());
        let outcome = if open { Outcome::Unknown } else { Outcome::Failed };
        let urn = running.call.urn.clone();
        self.tell_failed(&urn, Some(running.instance), running.verb, outcome, &message);
        self.failed(running.step, urn, running.verb, elapsed, &message);
    }

    /// A step is done: counts it, tells of it once it is durable, and lets its successors go.
    pub(super) fn settled(
        &mut self,
        step: NodeIndex,
        node: usize,
        verb: Option<Verb>,
        started: Option<tokio::time::Instant>,
    ) {
        let planned = self.job.plan.nodes.get(node);
        match verb {
            Some(Verb::Create) => self.summary.create += 1,
            Some(Verb::Update) => match planned.map(|node| &node.action) {
                Some(Action::Import { .. }) => self.summary.import += 1,
                _ => self.summary.update += 1,
            },
            Some(Verb::Replace) => self.summary.replace += 1,
            Some(Verb::Import) => self.summary.import += 1,
            // The deletion of a replaced instance is part of its replacement.
            Some(Verb::Forget) if planned.is_some_and(|node| node.action == Action::Forget) => self.summary.forget += 1,
            Some(Verb::Delete) if planned.is_some_and(|node| node.action == Action::Delete) => self.summary.delete += 1,
            Some(Verb::Delete | Verb::Forget | Verb::Record | Verb::Read) => {}
            None => {
                // An action that was not certain and turned out not to be needed.
                let not_needed = planned
                    .is_some_and(|node| !matches!(node.action, Action::Same | Action::Record) && !self.is_delete(step));
                if not_needed {
                    self.summary.same += 1;
                }
            }
        }
        if !self.is_delete(step)
            && let Some(reached) = self.reached.get_mut(node)
        {
            *reached = true;
        }
        if let Some(verb) = verb {
            let elapsed = started.map(|started| started.elapsed()).unwrap_or_default();
            let urn = self.urn(node);
            self.emit(Event::StepDone { urn, verb, elapsed });
        }
        self.schedule.done(&self.job.plan.steps, step);
    }

    fn is_delete(&self, step: NodeIndex) -> bool {
        matches!(self.job.plan.steps.node_weight(step), Some(plan::Step::Delete(..)))
    }

    fn set_values(&mut self, node: usize, record: &ResourceRecord, args: &[Value]) {
        let Some(planned) = self.job.plan.nodes.get(node) else { return };
        let Some(declared) = planned.declared else { return };
        if let Some(schema) = self.job.declared.resources.get(declared as usize).map(|declared| declared.schema) {
            let mut values = plan::record_values(schema, record);
            plan::fill_in(schema, &mut values, args);
            self.values[declared as usize] = values;
        }
        self.instances[node] = Some(record.instance);
    }

    /// Records the stack's outputs as far as they are known now; what depends on something that failed stays as it was.
    pub(super) fn record_outputs(&mut self) {
        let mut changes = Vec::new();
        let behind = Behind::of(self.job.declared);
        for output in &self.job.declared.outputs {
            let mut reached = true;
            let mut there = |resource: u32| reached &= self.reached.get(resource as usize) == Some(&true);
            behind.resources(&output.value, &mut there);
            if !reached {
                continue;
            }
            let Ok(value) = output.value.resolve(&self.lookup()) else { continue };
            if value.is_known() && self.job.state.outputs.get(&output.name) != Some(&value) {
                changes.push(Change::Put(Record::Output(OutputRecord { name: output.name.clone(), value })));
            }
        }
        // A run that did not come to its end, or is not about everything, says nothing of outputs that it does not know.
        let whole = self.summary.failed == 0 && self.summary.skipped == 0 && self.stopping.is_none();
        if whole && !self.job.plan.is_partial() {
            let declared: HashSet<&str> = self.job.declared.outputs.iter().map(|output| output.name.as_str()).collect();
            let gone = self.job.state.outputs.keys().filter(|name| !declared.contains(name.as_str()));
            changes.extend(gone.map(|name| Change::Remove(Key::Output(name.clone()))));
        }
        self.record(changes);
    }

    /// Drops provider instances that no resource was made with any more.
    pub(super) fn drop_unused_providers(&mut self) {
        let state = &self.job.state;
        let unused: Vec<_> = state
            .providers
            .keys()
            .filter(|name| {
                !state.resources.values().any(|record| record.provider == **name)
                    && !state.intents.values().any(|intent| intent.provider == **name)
            })
            .map(|name| Change::Remove(Key::Provider(name.clone())))
            .collect();
        self.record(unused);
    }
}

/// The record of an instance that an intent made.
pub(crate) fn new_record(intent: &IntentRecord, id: String, status: Status) -> ResourceRecord {
    ResourceRecord {
        instance: intent.instance,
        urn: intent.urn.clone(),
        id,
        provider: intent.provider.clone(),
        status,
        schema_version: intent.schema_version,
        inputs: intent.inputs.clone(),
        outputs: BTreeMap::new(),
        seen: BTreeMap::new(),
        drifted: Default::default(),
        dependencies: intent.dependencies.clone(),
        options: intent.options.clone(),
    }
}
