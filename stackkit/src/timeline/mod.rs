//! The timeline of a run: a listener that notes when what happened, and draws it as a page of its own.
//!
//! ```
//! use std::sync::Arc;
//! use stackkit::engine::DeployOptions;
//! use stackkit::timeline::Timeline;
//!
//! let timeline = Arc::new(Timeline::new());
//! let options = DeployOptions { listener: timeline.clone(), ..DeployOptions::default() };
//! // … a run with these options …
//! let page = timeline.html();
//! # assert!(page.starts_with("<!doctype html>"));
//! ```

mod model;
mod page;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Event, Listener, Operation, Summary, Verb};
use crate::hook::HookPoint;
use crate::plan::{Plan, Step};
use crate::urn::Urn;

/// Notes the events of one run, each at the instant at which it came.
#[derive(Debug)]
pub struct Timeline {
    since: Instant,
    run: Mutex<Recording>,
}

/// What is noted of a run. All times are since its beginning.
#[derive(Debug, Default)]
struct Recording {
    operation: Option<Operation>,
    stack: String,
    plan: Option<Arc<Plan>>,
    planned: Option<Duration>,
    refreshed: Option<usize>,
    drifted: usize,
    /// What happened to each step of the plan, by its index there.
    tracks: Vec<Track>,
    /// The steps of a resource: those that delete an old instance, and the one that brings it to what it should be.
    steps: HashMap<(Urn, bool), Vec<usize>>,
    /// The steps of a resource that are running.
    running: HashMap<Urn, Vec<usize>>,
    cancelled: Option<Duration>,
    finished: Option<(Duration, Summary)>,
    warnings: Vec<String>,
}

/// What happened to one step.
#[derive(Debug, Clone, Default)]
struct Track {
    verb: Option<Verb>,
    /// What is read; such a read is no step of the plan.
    read: Option<Urn>,
    /// When it was prepared; before `started` where something had to be found out first.
    began: Option<Duration>,
    /// When the call began.
    started: Option<Duration>,
    /// When its result was durable.
    ended: Option<Duration>,
    outcome: Outcome,
    /// Why it failed, or was left out.
    because: Option<String>,
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Outcome {
    /// Nothing was heard of it.
    #[default]
    Quiet,
    Running,
    Done,
    Failed,
    Skipped,
}

/// Something that happened while a step ran.
#[derive(Debug, Clone)]
struct Mark {
    at: Duration,
    text: String,
    /// How long it lasts: until the next attempt, or until a hook ends.
    lasts: Option<Duration>,
    kind: MarkKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MarkKind {
    /// The call said something.
    Said,
    /// The call failed in passing, and is tried again after a while.
    Retry,
    /// A hook of the program.
    Hook,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// A timeline that begins now.
    pub fn new() -> Self {
        Self { since: Instant::now(), run: Mutex::default() }
    }

    /// The page: one file that fetches nothing, with a chart and a table of what happened so far. Steps that are still
    /// running are drawn up to now.
    pub fn html(&self) -> String {
        page::page(&model::Model::of(&self.run(), self.since.elapsed()))
    }

    fn run(&self) -> MutexGuard<'_, Recording> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Timeline {
    fn event(&self, event: &Event) {
        let at = self.since.elapsed();
        self.run().note(at, event);
    }
}

impl Recording {
    fn note(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Started { operation, stack } => {
                (self.operation, self.stack) = (Some(*operation), stack.clone());
            }
            Event::Warning { urn, message } => {
                self.warnings.push(urn.as_ref().map_or_else(|| message.clone(), |urn| format!("{urn}: {message}")));
            }
            Event::Advice { policy, urn, message } => {
                let on = urn.as_ref().map_or_else(String::new, |urn| format!("{urn}: "));
                self.warnings.push(format!("{on}{message} (policy `{policy}`)"));
            }
            Event::CheckFailed { message, at } => self.warnings.push(format!("check failed: {message} ({at})")),
            Event::Recovered { urn, message } => self.warnings.push(format!("{urn}: {message}")),
            Event::Refreshing { count } => self.refreshed = Some(*count),
            Event::Drifted { .. } => self.drifted += 1,
            Event::Planned { plan } => self.plan(at, plan),
            Event::Cancelling { .. } => self.cancelled = Some(at),
            Event::Finished { summary } => self.finished = Some((at, summary.clone())),
            _ => self.note_step(at, event),
        }
    }

    fn note_step(&mut self, at: Duration, event: &Event) {
        match event {
            Event::StepStarted { urn, verb } => {
                if *verb == Verb::Read {
                    self.steps.entry((urn.clone(), false)).or_default().push(self.tracks.len());
                    self.tracks.push(Track { read: Some(urn.clone()), ..Track::default() });
                }
                let Some(step) = self.step(urn, *verb, Outcome::Quiet) else { return };
                self.running.entry(urn.clone()).or_default().push(step);
                let track = &mut self.tracks[step];
                (track.verb, track.started, track.outcome) = (Some(*verb), Some(at), Outcome::Running);
            }
            Event::Progress { urn, message } => {
                self.mark(urn, Mark { at, text: message.clone(), lasts: None, kind: MarkKind::Said })
            }
            Event::Retrying { urn, attempt, delay, error } => {
                let text = format!("attempt {attempt} failed: {error}");
                self.mark(urn, Mark { at, text, lasts: Some(*delay), kind: MarkKind::Retry });
            }
            Event::HookDone { urn, point, elapsed } => self.hook(at, urn, *point, None, *elapsed),
            Event::HookFailed { urn, point, elapsed, error } => {
                self.hook(at, urn, *point, Some(error), *elapsed);
            }
            Event::StepDone { urn, verb, elapsed } => self.end(at, urn, *verb, *elapsed, Outcome::Done, None),
            Event::StepFailed { urn, verb, elapsed, error } => {
                self.end(at, urn, *verb, *elapsed, Outcome::Failed, Some(error));
            }
            Event::StepSkipped { urn, verb, because } => {
                self.end(at, urn, *verb, Duration::ZERO, Outcome::Skipped, Some(because));
            }
            // What concerns no step.
            _ => {}
        }
    }

    fn plan(&mut self, at: Duration, plan: &Arc<Plan>) {
        self.planned = Some(at);
        self.tracks = vec![Track::default(); plan.steps.node_count()];
        self.steps.clear();
        for (index, step) in plan.steps.node_weights().enumerate() {
            let (Step::Ensure(node) | Step::Delete(node, _)) = step;
            let Some(node) = plan.nodes.get(*node) else { continue };
            let key = (node.urn.clone(), matches!(step, Step::Delete(..)));
            self.steps.entry(key).or_default().push(index);
        }
        self.plan = Some(Arc::clone(plan));
    }

    /// The step that an event speaks of: the first of its kind that is in this condition.
    fn step(&self, urn: &Urn, verb: Verb, outcome: Outcome) -> Option<usize> {
        let deletes = matches!(verb, Verb::Delete | Verb::Forget);
        let steps = self.steps.get(&(urn.clone(), deletes))?;
        steps.iter().copied().find(|step| self.tracks.get(*step).is_some_and(|track| track.outcome == outcome))
    }

    fn mark(&mut self, urn: &Urn, mark: Mark) {
        self.mark_on(urn, Verb::Create, mark);
    }

    fn mark_on(&mut self, urn: &Urn, verb: Verb, mark: Mark) {
        let running = self.running.get(urn).and_then(|running| running.last());
        // What is found out before a call belongs to the step that is to come.
        let step = running.copied().or_else(|| self.step(urn, verb, Outcome::Quiet));
        if let Some(track) = step.and_then(|step| self.tracks.get_mut(step)) {
            track.marks.push(mark);
        }
    }

    /// A hook that has ended now.
    fn hook(&mut self, at: Duration, urn: &Urn, point: HookPoint, error: Option<&String>, took: Duration) {
        let verb = match point {
            HookPoint::BeforeDelete | HookPoint::AfterDelete => Verb::Delete,
            _ => Verb::Update,
        };
        let why = error.map_or_else(String::new, |error| format!(" failed: {error}"));
        let text = format!("hook {}{why}", point.name());
        let mark = Mark { at: at.saturating_sub(took), text, lasts: Some(took), kind: MarkKind::Hook };
        self.mark_on(urn, verb, mark);
    }

    fn end(&mut self, at: Duration, urn: &Urn, verb: Verb, took: Duration, outcome: Outcome, because: Option<&String>) {
        let found = self.step(urn, verb, Outcome::Running).or_else(|| self.step(urn, verb, Outcome::Quiet));
        let Some(step) = found else { return };
        if let Some(running) = self.running.get_mut(urn) {
            running.retain(|other| *other != step);
        }
        let track = &mut self.tracks[step];
        (track.verb, track.outcome, track.because) = (Some(verb), outcome, because.cloned());
        if outcome != Outcome::Skipped {
            let began = at.saturating_sub(took);
            track.began = Some(began.min(track.started.unwrap_or(at)));
            track.ended = Some(at);
        }
    }
}
