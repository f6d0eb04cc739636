//! Reads during the apply: what a step needs is read when everything that the read itself needs is there.

use std::collections::BTreeMap;
use std::time::Instant;

use petgraph::graph::NodeIndex;
use tokio::task::JoinSet;

use crate::apply::Executor;
use crate::error::Error;
use crate::event::{Event, Verb};
use crate::plan::{Action, Step};
use crate::read::{Asked, Behind, ask, index_of};
use crate::resource::Values;
use crate::value::Value;

/// Reads that are on their way, and what waits for them.
#[derive(Default)]
pub(super) struct Reading {
    tasks: JoinSet<(usize, Instant, Result<Values, Error>)>,
    waiting: BTreeMap<usize, Vec<NodeIndex>>,
    failed: BTreeMap<usize, String>,
}

/// What a step has to wait for.
pub(super) enum Wait {
    /// Nothing.
    No,
    /// A read that is on its way.
    Read,
    /// It cannot go on.
    Failed(String),
}

impl Reading {
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) async fn next(&mut self) -> Option<(usize, Instant, Result<Values, Error>)> {
        // A provider's panic is an answer of its own; the task itself does nothing that could.
        self.tasks.join_next().await?.ok()
    }
}

impl Executor<'_> {
    /// Starts what a step needs to have read, and says whether it has to wait.
    pub(super) async fn wait_for_reads(&mut self, step: NodeIndex, node: usize) -> Wait {
        if self.job.declared.reads.is_empty() {
            return Wait::No;
        }
        let open = self.open_reads(step, node);
        self.start_reads(&open, Some(step)).await
    }

    /// The reads that a step needs and that have not been made.
    fn open_reads(&self, step: NodeIndex, node: usize) -> Vec<u32> {
        let (declared, plan) = (self.job.declared, self.job.plan);
        let mut open = Vec::new();
        let Some(planned) = plan.nodes.get(node) else { return open };
        let deletes = matches!(plan.steps.node_weight(step), Some(Step::Delete(..)));
        if matches!(planned.action, Action::Same | Action::Delete | Action::Forget) || deletes && planned.certain {
            return open;
        }
        let behind = Behind::of(declared);
        // Whether an old instance is deleted first may be decided where its replacement comes from.
        let of_delete = planned.follows.iter().copied().filter(|_| deletes);
        for index in std::iter::once(node).chain(of_delete) {
            let index = plan.nodes.get(index).and_then(|node| node.declared);
            let Some(resource) = index.and_then(|index| declared.resources.get(index as usize)) else { continue };
            let settings = declared.providers.iter().filter(|provider| provider.name == resource.provider_instance());
            let values = resource.values.iter().chain(settings.map(|provider| &provider.settings));
            values.for_each(|value| behind.open_reads(value, &mut open));
        }
        open
    }

    /// Starts those of these reads of which everything is known.
    async fn start_reads(&mut self, open: &[u32], step: Option<NodeIndex>) -> Wait {
        let mut waits = false;
        let mut stuck = None;
        for index in open.iter().copied().filter_map(index_of) {
            let Some(read) = self.job.declared.reads.get(index) else { continue };
            if let Some(error) = self.reading.failed.get(&index) {
                return Wait::Failed(error.clone());
            }
            if let Some(waiting) = self.reading.waiting.get_mut(&index) {
                // One of them wakes it, and then it looks again.
                waiting.extend(step.filter(|_| !waits));
                waits = true;
                continue;
            }
            let fails = |message: String| format!("{}: {message}", read.urn);
            let inputs = match read.resolved(&self.lookup()) {
                Ok(Some(inputs)) => inputs,
                Ok(None) => {
                    stuck.get_or_insert_with(|| fails("what it is read with is still not known".into()));
                    continue;
                }
                Err(error) => return Wait::Failed(fails(error.to_string())),
            };
            if let Some(problem) = read.problems(&inputs).into_iter().next() {
                return Wait::Failed(problem.to_string());
            }
            self.job.scrubber.learn_all(&inputs);
            let instance = read.provider_instance().unwrap_or_default();
            let connection = match self.connection(instance).await {
                // Nothing is made with it yet: it is recorded with the first thing that is.
                Ok((connection, _)) => connection,
                Err(error) => return Wait::Failed(fails(error)),
            };
            let asked = match Asked::of(read, inputs, connection, self.job.catalog, &self.job.info) {
                Ok(asked) => asked,
                Err(error) => return Wait::Failed(fails(error)),
            };
            self.emit_now(Event::StepStarted { urn: read.urn.clone(), verb: Verb::Read });
            let started = Instant::now();
            self.reading.tasks.spawn(async move { (index, started, ask(asked).await) });
            self.reading.waiting.insert(index, step.filter(|_| !waits).into_iter().collect());
            waits = true;
        }
        match stuck {
            _ if waits => Wait::Read,
            Some(stuck) => Wait::Failed(stuck),
            None => Wait::No,
        }
    }

    /// Takes what was read, and lets go on what waited for it.
    pub(super) fn read_ended(&mut self, index: usize, started: Instant, result: Result<Values, Error>) {
        let Some(read) = self.job.declared.reads.get(index) else { return };
        let (urn, elapsed) = (read.urn.clone(), started.elapsed());
        match result {
            Ok(values) => {
                self.job.scrubber.learn_all(&values);
                read.set(values);
                self.emit(Event::StepDone { urn, verb: Verb::Read, elapsed });
            }
            Err(error) => {
                let error = self.job.scrubber.scrub(error.message());
                self.reading.failed.insert(index, format!("{urn} cannot be read: {error}"));
                self.summary.failed += 1;
                self.emit(Event::StepFailed { urn, verb: Verb::Read, elapsed, error });
                if self.job.limits.fail_fast {
                    self.stopping.get_or_insert("a read failed");
                }
            }
        }
        for step in self.reading.waiting.remove(&index).unwrap_or_default() {
            self.schedule.resume(step);
        }
    }

    /// Makes the reads that no step has asked for and that can be made now: outputs of the stack may need them, and
    /// what is not there is to be told.
    pub(super) async fn read_the_rest(&mut self) {
        if self.stopping.is_some() || self.job.declared.reads.is_empty() {
            return;
        }
        let behind = Behind::of(self.job.declared);
        loop {
            let reads = self.job.declared.reads.iter().enumerate();
            let open: Vec<u32> = reads
                .filter(|(index, read)| !read.is_found() && !self.reading.failed.contains_key(index))
                .map(|(index, _)| crate::read::FIRST + index as u32)
                .filter(|read| {
                    let there = |resource: &u32| self.reached.get(*resource as usize) == Some(&true);
                    behind.needs(*read).0.iter().all(there)
                })
                .collect();
            let mut started = false;
            for read in open {
                match self.start_reads(&[read], None).await {
                    Wait::Read => started = true,
                    Wait::No => {}
                    Wait::Failed(error) => {
                        let Some(index) = index_of(read) else { continue };
                        let unresolved = self.job.declared.reads.get(index).is_some_and(|declared| {
                            declared.inputs().iter().any(|input| !is_known_through(&behind, input))
                        });
                        // It waits for another read, which is on its way or has failed.
                        if !unresolved {
                            self.read_ended(index, Instant::now(), Err(Error::invalid(error)));
                        }
                    }
                }
            }
            if !started {
                return;
            }
            while let Some((index, started, result)) = self.reading.next().await {
                self.read_ended(index, started, result);
            }
        }
    }
}

/// Whether no read in a value is still to be made.
fn is_known_through(behind: &Behind<'_>, value: &Value) -> bool {
    let mut open = Vec::new();
    behind.open_reads(value, &mut open);
    open.is_empty()
}
