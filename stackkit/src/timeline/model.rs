//! What the page shows of a run: bars, the slots that they took, what each waited for, and the path that the run's
//! length hung on.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use serde::Serialize;

use super::{MarkKind, Outcome, Recording, Track};
use crate::event::Verb;
use crate::plan::{Plan, PlanNode, Step, Why};

/// A step that began later than it could have has waited, from this on.
const WAITED: Duration = Duration::from_millis(5);

/// How many warnings the page shows.
const MOST_WARNINGS: usize = 20;

/// Times are milliseconds since the first step could start.
#[derive(Debug, Serialize)]
pub(super) struct Model {
    pub(super) operation: &'static str,
    pub(super) stack: String,
    /// How it ended: `done`, `failed`, `cancelled`, `cut off`, or that nothing was done.
    pub(super) outcome: &'static str,
    /// When the page was made, in seconds since 1970.
    pub(super) made: u64,
    /// How long the whole run took.
    pub(super) took: f64,
    /// How long it took until there was a plan, and from then to the first step, which may be a question.
    pub(super) planning: f64,
    pub(super) asking: f64,
    /// How many resources were read before planning, and how many were not as recorded.
    pub(super) read: usize,
    pub(super) drifted: usize,
    /// From the first step's beginning to the last one's end.
    pub(super) span: f64,
    pub(super) unchanged: usize,
    pub(super) warnings: Vec<String>,
    pub(super) lanes: usize,
    /// In the order in which they began; what never began stands last.
    pub(super) steps: Vec<StepView>,
    /// Indices into `steps`, first to last.
    pub(super) path: Vec<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct StepView {
    pub(super) urn: String,
    pub(super) verb: &'static str,
    pub(super) outcome: &'static str,
    /// When everything before it was done, when it was its turn, when the call began, and when its result was durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ready: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) began: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lane: Option<usize>,
    /// The step that it could start after, and why; and the one whose slot it took, where it waited for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<(usize, &'static str)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slot_of: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) reasons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<String>,
    /// When, what, how long it lasts, and whether it is `said`, a `retry` or a `hook`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) marks: Vec<(f64, String, Option<f64>, &'static str)>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) critical: bool,
}

/// What a step of the plan could start after.
#[derive(Clone, Copy, Default)]
struct Turn {
    ready: Duration,
    /// The step that was heard of last before it.
    after: Option<(usize, Why)>,
}

impl Model {
    pub(super) fn of(run: &Recording, now: Duration) -> Self {
        let ended = run.finished.as_ref().map_or(now, |(at, _)| *at);
        let tracks: Vec<Track> = run.tracks.iter().map(|track| drawn_until(track, ended)).collect();
        let first = tracks.iter().filter_map(|track| track.began).min();
        let zero = first.unwrap_or(ended);
        let last = tracks.iter().filter_map(|track| track.ended).max().unwrap_or(zero);
        let millis = |at: Duration| round(at.as_secs_f64() - zero.as_secs_f64());
        let mut model = Self {
            operation: run.operation.map_or("run", crate::event::Operation::name),
            stack: run.stack.clone(),
            outcome: outcome(run),
            made: crate::clock::now(),
            took: round(ended.as_secs_f64()),
            planning: round(run.planned.unwrap_or(ended).as_secs_f64()),
            asking: run.planned.and_then(|at| Some(round((first? - at.min(first?)).as_secs_f64()))).unwrap_or_default(),
            read: run.refreshed.unwrap_or_default(),
            drifted: run.drifted,
            span: millis(last),
            unchanged: 0,
            warnings: run.warnings.iter().take(MOST_WARNINGS).cloned().collect(),
            lanes: 0,
            steps: Vec::new(),
            path: Vec::new(),
        };
        let Some(plan) = &run.plan else { return model };
        model.unchanged = plan.summary().same;

        let turns = turns(plan, &tracks, zero);
        let mut order: Vec<usize> = (0..tracks.len()).filter(|at| tracks[*at].outcome != Outcome::Quiet).collect();
        order.sort_by_key(|at| (tracks[*at].began.is_none(), tracks[*at].began, tracks[*at].ended, *at));
        let mut view_of = vec![None; tracks.len()];
        order.iter().enumerate().for_each(|(view, step)| view_of[*step] = Some(view));
        let view_at = |step: usize| view_of.get(step).copied().flatten();
        let lanes = lanes(&order, &tracks);
        model.lanes = lanes.iter().flatten().max().map_or(0, |lane| lane + 1);
        let slots = slots(&order, &tracks, &turns);
        for (view, step) in order.iter().copied().enumerate() {
            let (track, turn) = (&tracks[step], &turns[step]);
            let node = plan.steps.node_weight(NodeIndex::new(step)).and_then(|step| plan.nodes.get(node_of(step)));
            let urn = track.read.as_ref().or(node.map(|node| &node.urn));
            model.steps.push(StepView {
                urn: urn.map_or_else(String::new, ToString::to_string),
                verb: track.verb.map_or("", Verb::name),
                outcome: match track.outcome {
                    Outcome::Running => "running",
                    Outcome::Failed => "failed",
                    Outcome::Skipped => "skipped",
                    Outcome::Quiet | Outcome::Done => "done",
                },
                // What a read waited for is no part of the plan.
                ready: track
                    .began
                    .map(|began| millis(if track.read.is_some() { began } else { turn.ready.min(began) })),
                began: track.began.map(millis),
                started: track.started.map(millis),
                ended: track.ended.map(millis),
                lane: lanes[view],
                after: turn.after.and_then(|(step, why)| Some((view_at(step)?, reason(why)))),
                slot_of: slots[view].and_then(view_at),
                reasons: node.map(|node| reasons(node, track.verb)).unwrap_or_default(),
                because: track.because.clone(),
                marks: track
                    .marks
                    .iter()
                    .map(|mark| {
                        let kind = match mark.kind {
                            MarkKind::Said => "said",
                            MarkKind::Retry => "retry",
                            MarkKind::Hook => "hook",
                        };
                        let lasts = mark.lasts.map(|lasts| round(lasts.as_secs_f64()));
                        (millis(mark.at), mark.text.clone(), lasts, kind)
                    })
                    .collect(),
                critical: false,
            });
        }
        model.find_path();
        model
    }

    /// Back from what ended last: to what freed its slot if it waited for one, else to what it had to come after.
    fn find_path(&mut self) {
        let ended = |view: &StepView| view.ended.unwrap_or(f64::MIN);
        let last = (0..self.steps.len())
            .filter(|at| self.steps[*at].ended.is_some())
            .max_by(|a, b| ended(&self.steps[*a]).total_cmp(&ended(&self.steps[*b])));
        let mut next = last;
        while let Some(at) = next {
            let step = &mut self.steps[at];
            if std::mem::replace(&mut step.critical, true) {
                break;
            }
            self.path.push(at);
            next = step.slot_of.or(step.after.map(|(before, _)| before));
        }
        self.path.reverse();
    }
}

/// Milliseconds, to the microsecond.
fn round(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

fn outcome(run: &Recording) -> &'static str {
    match &run.finished {
        Some((_, summary)) if summary.cancelled => "cancelled",
        Some((_, summary)) if summary.failed > 0 => "failed",
        Some((_, summary)) if !summary.has_changes() => "nothing to do",
        Some(_) => "done",
        None if run.tracks.iter().any(|track| track.outcome != Outcome::Quiet) => "cut off",
        None => "not begun",
    }
}

fn node_of(step: &Step) -> usize {
    let (Step::Ensure(node) | Step::Delete(node, _)) = step;
    *node
}

/// What is still running is drawn up to the end.
fn drawn_until(track: &Track, end: Duration) -> Track {
    let mut track = track.clone();
    if track.outcome == Outcome::Running {
        track.began = track.began.or(track.started);
        track.ended = Some(end);
    }
    track
}

/// When each step could start, and after what. Steps that nobody heard of take no time and pass on what they waited for.
fn turns(plan: &Plan, tracks: &[Track], zero: Duration) -> Vec<Turn> {
    let mut turns = vec![Turn { ready: zero, after: None }; tracks.len()];
    for node in toposort(&plan.steps, None).unwrap_or_default() {
        let mut turn = Turn { ready: zero, after: None };
        for edge in plan.steps.edges_directed(node, Direction::Incoming) {
            let before = edge.source().index();
            let (at, by) = match tracks[before].ended {
                Some(at) => (at, Some((before, *edge.weight()))),
                None => (turns[before].ready, turns[before].after),
            };
            if at > turn.ready || (turn.after.is_none() && at == turn.ready) {
                turn = Turn { ready: at, after: by };
            }
        }
        turns[node.index()] = turn;
    }
    turns
}

/// The slot that each step took: the first that was free.
fn lanes(order: &[usize], tracks: &[Track]) -> Vec<Option<usize>> {
    let mut free: BTreeSet<usize> = BTreeSet::new();
    let mut busy: BTreeSet<(Duration, usize)> = BTreeSet::new();
    let mut count = 0;
    let mut lane_of = |step: &usize| {
        let (began, ended) = (tracks[*step].began?, tracks[*step].ended?);
        while let Some((until, lane)) = busy.first().copied().filter(|(until, _)| *until <= began) {
            busy.remove(&(until, lane));
            free.insert(lane);
        }
        let lane = free.pop_first().unwrap_or_else(|| {
            count += 1;
            count - 1
        });
        busy.insert((ended, lane));
        Some(lane)
    };
    order.iter().map(&mut lane_of).collect()
}

/// For steps that waited although everything before them was done: what ended last before they began.
fn slots(order: &[usize], tracks: &[Track], turns: &[Turn]) -> Vec<Option<usize>> {
    let mut ends: Vec<(Duration, usize)> =
        order.iter().filter_map(|step| Some((tracks[*step].ended?, *step))).collect();
    ends.sort_unstable();
    let mut seen = HashSet::new();
    order
        .iter()
        .map(|step| {
            let began = tracks[*step].began.filter(|_| tracks[*step].read.is_none())?;
            let ready = turns[*step].ready;
            if began.saturating_sub(ready) < WAITED {
                return None;
            }
            let before = ends.partition_point(|(end, _)| *end <= began);
            let candidates = ends[..before].iter().rev().take_while(|(end, _)| *end > ready);
            // Each end frees one slot; where several began at once, each took another one's.
            let all: Vec<usize> = candidates.take(64).map(|(_, freed)| *freed).filter(|freed| freed != step).collect();
            all.iter().copied().find(|freed| seen.insert(*freed)).or(all.first().copied())
        })
        .collect()
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Refers => "it refers to it",
        Why::StillUsed => "that still used it",
        Why::CreateFirst => "its successor is made first",
        Why::DeleteFirst => "the old one is deleted first",
    }
}

fn reasons(node: &PlanNode, verb: Option<Verb>) -> Vec<String> {
    if !node.reasons.is_empty() {
        return node.reasons.clone();
    }
    let reason = match verb {
        Some(Verb::Create) => "it is new",
        Some(Verb::Delete | Verb::Forget) if node.declared.is_none() => "it is not in the program any more",
        _ => return Vec::new(),
    };
    vec![reason.into()]
}
