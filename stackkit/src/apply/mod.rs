//! The executor: runs a plan's steps as soon as their predecessors are done, and makes every step durable.
//!
//! One task coordinates; provider calls are tasks of their own. What becomes ready together, and what ended together,
//! shares one durable write: the results of a step and the intents of what follows it are in the same record, and no
//! call starts before its intent is durable.

pub(crate) mod call;
mod ceiling;
mod hooks;
mod prepare;
mod reads;
mod schedule;
mod settle;

pub(crate) use settle::new_record;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::call::{Answer, Ask, Call, Message};
use crate::apply::reads::{Reading, Wait};
use crate::apply::schedule::Schedule;
use crate::audit::{self, Outcome};
use crate::catalog::Catalog;
use crate::connections::Connections;
use crate::context::{BoxFuture, RunInfo};
use crate::durations::{self, Durations};
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Listener, Summary, Verb};
use crate::hook::Hooked;
use crate::ids::Ids;
use crate::plan::{Action, Known, Plan, Step};
use crate::resource::Values;
use crate::scrub::Scrubber;
use crate::stack::Declarations;
use crate::state::backend::Lease;
use crate::state::model::{Change, Instance, IntentRecord, Key, Record, ResourceRecord, State, Status};
use crate::urn::Urn;

/// Makes changes durable. The state store implements it; simulations wrap it.
pub(crate) trait Durable: Send {
    /// Durable as a whole on return, or not at all.
    fn commit<'a>(&'a mut self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), String>>;

    /// Tells the audit log something, at a moment in seconds since 1970: durable with the next commit that changes
    /// anything.
    fn tell(&mut self, at: u64, event: &audit::Event) {
        let _ = (at, event);
    }

    /// The lock that a call of a provider needs, where there is one that can be lost.
    fn lease(&self) -> Option<Arc<dyn Lease>> {
        None
    }
}

/// Limits of an apply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many calls run at once.
    pub(crate) parallel: usize,
    /// Whether the first failure stops everything.
    pub(crate) fail_fast: bool,
}

/// Everything an apply needs.
pub(crate) struct Apply<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) declared: &'a Declarations,
    pub(crate) imports: &'a BTreeMap<u32, ResourceRecord>,
    pub(crate) catalog: &'a Catalog,
    pub(crate) connections: &'a mut Connections,
    pub(crate) state: &'a mut State,
    pub(crate) durable: &'a mut dyn Durable,
    pub(crate) listener: &'a dyn Listener,
    pub(crate) scrubber: &'a Scrubber,
    pub(crate) info: Arc<RunInfo>,
    pub(crate) ids: &'a Ids,
    pub(crate) cancel: CancellationToken,
    pub(crate) limits: Limits,
    pub(crate) program: &'a str,
    pub(crate) durations: &'a dyn Durations,
}

/// How an apply ended.
pub(crate) struct Applied {
    pub(crate) summary: Summary,
    /// What could not be made durable, and why the state could not be written.
    pub(crate) unsaved: Option<(Vec<Change>, String)>,
}

/// A call that is on its way.
struct Running {
    step: NodeIndex,
    node: usize,
    instance: Instance,
    verb: Verb,
    started: Instant,
    ask: Ask,
    /// Inputs that the call was made with.
    args: Values,
    call: Call,
    /// What becomes durable before the call; taken when it is on its way there.
    intent: Option<IntentRecord>,
    /// Hooks of the program that are still to run around this step.
    hooks: Vec<Hooked>,
}

/// What a step turned out to need.
enum Prepared {
    /// Nothing more: it is done, with what must become durable.
    Done(Vec<Change>, Option<Verb>),
    /// A provider call, after what must become durable first.
    Call(Vec<Change>, Box<Running>),
    /// It failed before anything was called.
    Failed(Verb, String),
}

struct Executor<'a> {
    job: Apply<'a>,
    schedule: Schedule,
    /// Present values of every declared resource; empty while they are not known.
    values: Vec<Values>,
    dependents: HashMap<Instance, BTreeSet<Instance>>,
    /// The instance that each node has now, once its step is done.
    instances: Vec<Option<Instance>>,
    /// Whether each node's step is done, so that its values are what is, and no longer what was planned.
    reached: Vec<bool>,
    messages: mpsc::UnboundedSender<Message>,
    running: HashMap<Id, Running>,
    tasks: JoinSet<Result<Answer, Error>>,
    /// Changes that are in the state already and durable at the next commit.
    pending: Vec<Change>,
    /// Events to emit, acknowledgements to give and calls to start once `pending` is durable.
    events: Vec<Event>,
    acks: Vec<oneshot::Sender<Result<(), Error>>>,
    #[allow(clippy::vec_box, reason = "it is boxed where it is made, and large")]
    starts: Vec<Box<Running>>,
    reading: Reading,
    summary: Summary,
    stopping: Option<&'static str>,
    unsaved: Option<String>,
}

/// Applies a plan.
pub(crate) async fn apply(job: Apply<'_>) -> Applied {
    let (messages, mut inbox) = mpsc::unbounded_channel();
    let mut dependents: HashMap<Instance, BTreeSet<Instance>> = HashMap::new();
    for record in job.state.resources.values() {
        for used in &record.dependencies {
            dependents.entry(*used).or_default().insert(record.instance);
        }
    }
    for known in &job.plan.known {
        job.scrubber.learn_all(known);
    }
    let instances = job.plan.nodes.iter().map(|node| node.prior.filter(|_| node.declared.is_some())).collect();
    let mut executor = Executor {
        schedule: Schedule::new(&job.plan.steps, |step| durations::of_step(job.plan, step, job.durations)),
        reached: job.plan.nodes.iter().map(|node| node.action == Action::Same).collect(),
        values: job.plan.known.clone(),
        dependents,
        instances,
        messages,
        running: HashMap::new(),
        tasks: JoinSet::new(),
        pending: Vec::new(),
        events: Vec::new(),
        acks: Vec::new(),
        starts: Vec::new(),
        reading: Reading::default(),
        summary: Summary::default(),
        stopping: None,
        unsaved: None,
        job,
    };
    executor.run(&mut inbox).await;
    executor.finish().await
}

impl Executor<'_> {
    async fn run(&mut self, inbox: &mut mpsc::UnboundedReceiver<Message>) {
        loop {
            if self.stopping.is_none() && self.job.cancel.is_cancelled() {
                self.stopping = Some("the run was cancelled");
                self.summary.cancelled = true;
                self.emit(Event::Cancelling { running: self.running.len() });
            }
            if self.stopping.is_none() {
                self.fill().await;
            }
            self.flush().await;
            if self.stopping.is_none() && self.schedule.has_ready() && self.busy() < self.job.limits.parallel {
                continue;
            }
            // A read changes nothing: a run that stops does not wait for one.
            if self.running.is_empty() && (self.reading.len() == 0 || self.stopping.is_some()) {
                if self.stopping.is_none() && self.put_off_deletions() {
                    continue;
                }
                return;
            }
            let cancel = self.job.cancel.clone();
            tokio::select! {
                biased;
                Some(message) = inbox.recv() => self.heard(message),
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
                Some((read, started, result)) = self.reading.next(), if self.reading.len() > 0 => {
                    self.read_ended(read, started, result);
                }
                // The next round begins with what that means.
                () = cancel.cancelled(), if self.stopping.is_none() => {}
            }
            // Whatever else has come by now shares the next durable write.
            while let Ok(message) = inbox.try_recv() {
                self.heard(message);
            }
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.ended(ended).await;
            }
        }
    }

    /// How many slots are taken.
    fn busy(&self) -> usize {
        self.running.len() + self.reading.len()
    }

    /// Prepares ready steps until all slots are taken.
    async fn fill(&mut self) {
        while self.busy() + self.starts.len() < self.job.limits.parallel {
            if self.job.cancel.is_cancelled() || self.stopping.is_some() {
                return;
            }
            let Some(step) = self.schedule.next() else { return };
            let node = self.schedule.node_of(&self.job.plan.steps, step);
            match self.wait_for_reads(step, node).await {
                Wait::No => {}
                Wait::Read => continue,
                Wait::Failed(error) => {
                    let urn = self.urn(node);
                    let verb = self.planned_verb(node).unwrap_or(Verb::Delete);
                    self.fail(step, urn, verb, std::time::Duration::ZERO, &error);
                    continue;
                }
            }
            match self.prepare(step, node).await {
                Prepared::Done(changes, verb) => {
                    if let Some(verb) = verb {
                        self.tell_done(node, verb, instance_of(&changes));
                    }
                    self.record(changes);
                    self.settled(step, node, verb, None);
                }
                Prepared::Call(changes, running) => {
                    self.record(changes);
                    self.starts.push(running);
                }
                Prepared::Failed(verb, error) => {
                    let urn = self.urn(node);
                    self.fail(step, urn, verb, std::time::Duration::ZERO, &error);
                }
            }
        }
    }

    /// Readies deletions of old instances whose turn came before it was known that they would be replaced. Everything
    /// else is done by now, so that only what still uses them stands before them.
    fn put_off_deletions(&mut self) -> bool {
        let (state, plan) = (&self.job.state, self.job.plan);
        let used: BTreeSet<Instance> =
            state.resources.values().flat_map(|record| record.dependencies.iter().copied()).collect();
        let steps = plan.steps.node_indices().filter(|index| match plan.steps[*index] {
            Step::Delete(_, instance) => {
                let status = state.resources.get(&instance).map(|record| record.status);
                status == Some(Status::PendingDelete) && !used.contains(&instance)
            }
            Step::Ensure(_) => false,
        });
        self.schedule.again(steps)
    }

    /// Takes changes into the state; they become durable at the next flush.
    fn record(&mut self, changes: Vec<Change>) {
        for change in changes {
            if let Change::Put(Record::Resource(record)) = &change {
                for used in &record.dependencies {
                    self.dependents.entry(*used).or_default().insert(record.instance);
                }
            }
            self.job.state.apply(change.clone());
            self.pending.push(change);
        }
    }

    /// Makes everything pending durable; then starts calls, gives acknowledgements and emits events.
    async fn flush(&mut self) {
        if self.unsaved.is_none() && !self.pending.is_empty() {
            if self.job.state.stack.is_none() {
                let guard = self.job.declared.guard.clone();
                let stack = crate::state::model::StackRecord { program: self.job.program.to_owned(), guard };
                self.record(vec![Change::Put(Record::Stack(stack))]);
            }
            match self.job.durable.commit(&self.pending).await {
                Ok(()) => self.pending.clear(),
                Err(error) => {
                    self.stopping = Some("the state cannot be written");
                    self.emit(Event::Warning { urn: None, message: error.clone() });
                    self.unsaved = Some(error);
                }
            }
        }
        let saved = self.unsaved.is_none();
        for ack in std::mem::take(&mut self.acks) {
            // A call that has gone meanwhile needs no answer.
            let _ = ack.send(if saved {
                Ok(())
            } else {
                Err(Error::new(ErrorKind::UnknownOutcome, "the state cannot be written"))
            });
        }
        for event in std::mem::take(&mut self.events) {
            self.job.listener.event(&event);
        }
        for running in std::mem::take(&mut self.starts) {
            if saved {
                self.start(*running);
            } else {
                // Its intent is not durable, so the call is not made.
                self.drop_unsaved(&running);
                self.schedule.put_back(running.step);
            }
        }
    }

    fn start(&mut self, running: Running) {
        if matches!(running.ask, Ask::Create { .. } | Ask::Update { .. } | Ask::Delete { .. }) {
            self.emit_now(Event::StepStarted { urn: running.call.urn.clone(), verb: running.verb });
        }
        let task = self.tasks.spawn(running.call.clone().run(running.ask.clone()));
        self.running.insert(task.id(), running);
    }

    fn heard(&mut self, message: Message) {
        match message {
            Message::Created { instance, id, durable } => {
                if let Some(intent) = self.job.state.intents.get(&instance) {
                    let intent = IntentRecord { id: Some(id), ..intent.clone() };
                    self.record(vec![Change::Put(Record::Intent(Box::new(intent)))]);
                }
                self.acks.push(durable);
            }
            Message::Progress { urn, message } => {
                let message = self.job.scrubber.scrub(&message);
                self.emit_now(Event::Progress { urn, message });
            }
            Message::HookStarted { urn, point } => self.emit_now(Event::HookStarted { urn, point }),
            Message::HookEnded { urn, point, elapsed, error: None } => {
                self.emit_now(Event::HookDone { urn, point, elapsed });
            }
            Message::HookEnded { urn, point, elapsed, error: Some(error) } => {
                let error = self.job.scrubber.scrub(&error);
                self.emit_now(Event::HookFailed { urn, point, elapsed, error });
            }
            Message::Retrying { urn, attempt, delay, error } => {
                let error = self.job.scrubber.scrub(&error);
                self.emit_now(Event::Retrying { urn, attempt, delay, error });
            }
        }
    }

    fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    fn emit_now(&self, event: Event) {
        self.job.listener.event(&event);
    }

    fn urn(&self, node: usize) -> Urn {
        self.job.plan.nodes.get(node).map_or_else(|| Urn::new("?", "?"), |node| node.urn.clone())
    }

    /// Tells the audit log of what is recorded at the same time.
    fn tell_done(&mut self, node: usize, verb: Verb, instance: Option<Instance>) {
        let Some(planned) = self.job.plan.nodes.get(node) else { return };
        let event = audit::Event::step(&planned.urn, instance, verb, Outcome::Done, &planned.reasons, None);
        self.job.durable.tell(self.job.info.clock.now(), &event);
    }

    fn fail(&mut self, step: NodeIndex, urn: Urn, verb: Verb, elapsed: std::time::Duration, error: &str) {
        self.tell_failed(&urn, None, verb, Outcome::Failed, error);
        self.failed(step, urn, verb, elapsed, error);
    }

    /// Tells the audit log of what did not come to its end.
    fn tell_failed(&mut self, urn: &Urn, instance: Option<Instance>, verb: Verb, outcome: Outcome, error: &str) {
        let error = self.job.scrubber.scrub(error);
        let event = audit::Event::step(urn, instance, verb, outcome, &[], Some(&error));
        self.job.durable.tell(self.job.info.clock.now(), &event);
    }

    fn failed(&mut self, step: NodeIndex, urn: Urn, verb: Verb, elapsed: std::time::Duration, error: &str) {
        self.summary.failed += 1;
        let error = self.job.scrubber.scrub(error);
        let because = format!("{urn} failed");
        self.emit(Event::StepFailed { urn, verb, elapsed, error });
        if self.job.limits.fail_fast {
            self.stopping.get_or_insert("another step failed");
        }
        for skipped in self.schedule.poison(&self.job.plan.steps, step) {
            self.skip(skipped, &because);
        }
    }

    fn skip(&mut self, step: NodeIndex, because: &str) {
        let Some(step) = self.job.plan.steps.node_weight(step).copied() else { return };
        let (node, verb) = match step {
            Step::Ensure(node) => (node, self.planned_verb(node)),
            Step::Delete(node, _) => match self.job.plan.nodes.get(node).map(|node| &node.action) {
                Some(Action::Delete) => (node, Some(Verb::Delete)),
                Some(Action::Forget) => (node, Some(Verb::Forget)),
                // The deletion of a replaced instance is part of its replacement.
                _ => (node, None),
            },
        };
        if let Some(verb) = verb {
            self.summary.skipped += 1;
            let urn = self.urn(node);
            self.emit(Event::StepSkipped { urn, verb, because: because.to_owned() });
        }
    }

    fn planned_verb(&self, node: usize) -> Option<Verb> {
        match self.job.plan.nodes.get(node)?.action {
            Action::Create => Some(Verb::Create),
            Action::Update => Some(Verb::Update),
            Action::Replace { .. } => Some(Verb::Replace),
            Action::Import { .. } => Some(Verb::Import),
            _ => None,
        }
    }

    async fn finish(mut self) -> Applied {
        let because = self.stopping.unwrap_or("the run ended");
        for step in self.schedule.rest() {
            self.skip(step, because);
        }
        self.read_the_rest().await;
        self.record_outputs();
        self.check_outputs();
        self.drop_unused_providers();
        self.flush().await;
        for node in &self.job.plan.nodes {
            match node.action {
                _ if node.left_out => self.summary.left_out += 1,
                Action::Same | Action::Record => self.summary.same += 1,
                _ => {}
            }
        }
        let unsaved = self.unsaved.take().map(|error| (std::mem::take(&mut self.pending), error));
        Applied { summary: self.summary, unsaved }
    }

    fn lookup(&self) -> Known<'_> {
        Known { values: &self.values, declared: self.job.declared }
    }
}

/// The instance that changes are about.
fn instance_of(changes: &[Change]) -> Option<Instance> {
    changes.iter().find_map(|change| match change {
        Change::Put(Record::Resource(record)) => Some(record.instance),
        Change::Remove(Key::Resource(instance)) => Some(*instance),
        _ => None,
    })
}
