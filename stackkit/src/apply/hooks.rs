//! Hooks of the program around a step: those before the call run before its intent is durable, those after it once its
//! result is. What is still to run after a create or update is recorded with that result.

use std::sync::Arc;

use petgraph::graph::NodeIndex;
use tokio::time::Instant;

use crate::apply::call::{Ask, Call, DEFAULT_TIMEOUT};
use crate::apply::{Executor, Prepared, Running};
use crate::catalog::TypeEntry;
use crate::event::Verb;
use crate::hook::{self, HookPoint, Hooked};
use crate::plan::PlanNode;
use crate::resource::Values;
use crate::stack::Declared;
use crate::state::model::{Change, HookDue, Key, Record, RecordedOptions, ResourceRecord};
use crate::urn::Urn;
use crate::value::Value;

/// What runs after a step, with what it has become.
#[derive(Clone)]
pub(crate) struct After {
    pub(crate) hooks: Vec<Hooked>,
    pub(crate) id: String,
    pub(crate) values: Values,
    pub(crate) prior: Option<Values>,
}

/// What is said of a failure: of a hook after a step, also what became of the resource.
pub(super) fn told(ask: &Ask, error: &str) -> String {
    let Ask::After(after) = ask else { return error.to_owned() };
    match after.hooks.first().map(|hook| hook.point) {
        Some(HookPoint::AfterDelete) => format!("{error}; it is deleted, and the hook does not run again"),
        _ => format!("{error}; it is recorded, and its hooks run again with the next `up`"),
    }
}

impl Executor<'_> {
    /// The hooks of what a step is about: of the declaration of its resource, or those that a destroy ran the program for.
    pub(super) fn hooks(&self, planned: &PlanNode, urn: &Urn) -> Vec<Hooked> {
        let declared = self.job.declared;
        // What an earlier run replaced and did not come to delete is no node of its successor's declaration.
        let index = planned.declared.or_else(|| declared.index(urn));
        match index.and_then(|index| declared.resources.get(index as usize)) {
            Some(resource) => resource.options().hooks.clone(),
            None => declared.departing.get(urn).cloned().unwrap_or_default(),
        }
    }

    /// Readies a call: what must be durable before it starts. With hooks before it, these come first, and nothing is.
    pub(super) fn begin(&self, running: &mut Running) -> Option<Change> {
        let point = match &running.ask {
            Ask::Create { .. } => HookPoint::BeforeCreate,
            Ask::Update { .. } => HookPoint::BeforeUpdate,
            Ask::Delete { .. } => HookPoint::BeforeDelete,
            Ask::IsNameFree { .. } | Ask::Before { .. } | Ask::After(_) => return None,
        };
        let mut hooks = std::mem::take(&mut running.hooks);
        let before = hooks.extract_if(.., |hook| hook.point == point).collect::<Vec<_>>();
        running.hooks = hooks;
        if before.is_empty() {
            return running.take_intent();
        }
        let then = Box::new(running.ask.clone());
        running.ask = Ask::Before { hooks: before, then };
        None
    }

    /// A step whose result is recorded: hooks after it start once that is durable, and without any it is done. What was
    /// deleted is what the call was made with.
    pub(super) fn conclude(&mut self, mut running: Running, id: &str, values: &[Value]) {
        if running.hooks.is_empty() {
            return self.settled(running.step, running.node, Some(running.verb), Some(running.started));
        }
        let (point, id, values, prior) = match &mut running.ask {
            Ask::Update { prior, .. } => {
                let prior = std::mem::take(&mut prior.values);
                (HookPoint::AfterUpdate, id.to_owned(), values.to_vec(), Some(prior))
            }
            Ask::Delete { id, prior } => {
                (HookPoint::AfterDelete, std::mem::take(id), std::mem::take(&mut prior.values), None)
            }
            _ => (HookPoint::AfterCreate, id.to_owned(), values.to_vec(), None),
        };
        let record = self.job.state.resources.get(&running.instance);
        let unfinished = record.is_some_and(|record| record.options.hook_due == Some(HookDue::Create));
        let mut hooks = std::mem::take(&mut running.hooks);
        hooks.retain(|hook| {
            // What is left of its creation runs with the update that brings it to its end.
            hook.point == point || unfinished && point == HookPoint::AfterUpdate && hook.point == HookPoint::AfterCreate
        });
        hooks.sort_by_key(|hook| hook.point != HookPoint::AfterCreate);
        if hooks.is_empty() {
            return self.settled(running.step, running.node, Some(running.verb), Some(running.started));
        }
        running.ask = Ask::After(Box::new(After { hooks, id, values, prior }));
        self.starts.push(Box::new(running));
    }

    /// The hooks of a step ran to their end.
    pub(super) fn hooks_ran(&mut self, mut running: Running) {
        match std::mem::replace(&mut running.ask, Ask::IsNameFree { args: Values::new() }) {
            Ask::Before { then, .. } => {
                running.ask = *then;
                if let Some(intent) = &mut running.intent {
                    intent.at = self.job.info.clock.now();
                }
                let intent = running.take_intent();
                self.record(intent.into_iter().collect());
                self.starts.push(Box::new(running));
            }
            _ => {
                let record = self.job.state.resources.get(&running.instance);
                if let Some(record) = record.filter(|record| record.options.hook_due.is_some()).cloned() {
                    let options = RecordedOptions { hook_due: None, ..record.options };
                    let record = ResourceRecord { options, ..record };
                    self.record(vec![Change::Put(Record::Resource(Box::new(record)))]);
                }
                self.settled(running.step, running.node, Some(running.verb), Some(running.started));
            }
        }
    }

    /// Runs the hooks that an earlier run left, on a resource that is as it should be.
    pub(super) async fn prepare_left_hooks(
        &mut self,
        step: NodeIndex,
        node: usize,
        declared: &Declared,
        entry: &TypeEntry,
        record: &ResourceRecord,
        (due, id, values, mut changes): (HookDue, String, Values, Vec<Change>),
    ) -> Prepared {
        let point = hook::point_of(due);
        let hooks: Vec<Hooked> = declared.options().hooks.iter().filter(|hook| hook.point == point).cloned().collect();
        let (connection, more) = match self.connection(&record.provider).await {
            Ok(found) => found,
            Err(error) => return Prepared::Failed(Verb::Update, error),
        };
        changes.extend(more);
        let token = self.job.ids.token();
        let limit = declared.options().update_timeout;
        let call = Call {
            connection,
            ty: entry.ty,
            schema: entry.schema,
            urn: declared.urn.clone(),
            instance: record.instance,
            token: token.as_str().into(),
            timeout: limit.unwrap_or(DEFAULT_TIMEOUT),
            info: Arc::clone(&self.job.info),
            messages: self.messages.clone(),
            lease: self.job.durable.lease().map(|lease| Arc::downgrade(&lease)),
        };
        let running = Running {
            step,
            node,
            instance: record.instance,
            verb: Verb::Update,
            started: Instant::now(),
            ask: Ask::After(Box::new(After { hooks, id, values, prior: None })),
            args: Values::new(),
            call,
            intent: None,
            hooks: Vec::new(),
        };
        Prepared::Call(changes, Box::new(running))
    }

    /// Gives up what has not become durable: the call that was to follow is not made.
    pub(super) fn drop_unsaved(&mut self, running: &Running) {
        if !matches!(running.ask, Ask::Before { .. } | Ask::After(_)) {
            self.record(vec![Change::Remove(Key::Intent(running.instance))]);
        }
    }
}
