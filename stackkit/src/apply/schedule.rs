//! Which step is next: of those whose predecessors are done, the one with the longest path behind it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::plan::{Step, Why};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Ready,
    Started,
    /// Ready a second time: what waited for it has gone on long ago.
    Again,
    Restarted,
    Done,
    Poisoned,
}

/// The order in which steps start. It keeps no slot free while a step is ready.
pub(crate) struct Schedule {
    stages: Vec<Stage>,
    open_predecessors: Vec<u32>,
    path: Vec<u32>,
    ready: BinaryHeap<(u32, Reverse<u32>)>,
}

impl Schedule {
    /// `weight` says how long a step is thought to take: one for a call, nothing for what only touches the state.
    pub(crate) fn new(steps: &DiGraph<Step, Why>, weight: impl Fn(&Step) -> u32) -> Self {
        let count = steps.node_count();
        let mut path = vec![0u32; count];
        // A plan with a circle has diagnostics and is not applied; without an order nothing becomes ready.
        for node in toposort(steps, None).unwrap_or_default().into_iter().rev() {
            let longest = steps.neighbors(node).map(|next| path[next.index()]).max().unwrap_or(0);
            path[node.index()] = longest + weight(&steps[node]);
        }
        let open_predecessors: Vec<u32> = (0..count)
            .map(|index| steps.neighbors_directed(NodeIndex::new(index), Direction::Incoming).count() as u32)
            .collect();
        let mut schedule =
            Self { stages: vec![Stage::Waiting; count], open_predecessors, path, ready: BinaryHeap::new() };
        for index in 0..count {
            if schedule.open_predecessors[index] == 0 {
                schedule.make_ready(index);
            }
        }
        schedule
    }

    fn make_ready(&mut self, index: usize) {
        if self.stages[index] == Stage::Waiting {
            self.stages[index] = Stage::Ready;
            self.ready.push((self.path[index], Reverse(index as u32)));
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the next step.
    pub(crate) fn next(&mut self) -> Option<NodeIndex> {
        while let Some((_, Reverse(index))) = self.ready.pop() {
            let stage = &mut self.stages[index as usize];
            if matches!(*stage, Stage::Ready | Stage::Again) {
                *stage = if *stage == Stage::Ready { Stage::Started } else { Stage::Restarted };
                return Some(NodeIndex::new(index as usize));
            }
        }
        None
    }

    /// Readies steps once more that were done without anything having been done; whether there are any.
    pub(crate) fn again(&mut self, steps: impl Iterator<Item = NodeIndex>) -> bool {
        for step in steps {
            if self.stages[step.index()] == Stage::Done {
                self.stages[step.index()] = Stage::Again;
                self.ready.push((self.path[step.index()], Reverse(step.index() as u32)));
            }
        }
        self.has_ready()
    }

    /// A step that was taken but not started after all.
    pub(crate) fn put_back(&mut self, step: NodeIndex) {
        self.stages[step.index()] = Stage::Waiting;
    }

    /// The node of the plan that a step is about.
    pub(crate) fn node_of(&self, steps: &DiGraph<Step, Why>, step: NodeIndex) -> usize {
        match steps[step] {
            Step::Ensure(node) | Step::Delete(node, _) => node,
        }
    }

    /// A step is done: what waited for it alone becomes ready.
    pub(crate) fn done(&mut self, steps: &DiGraph<Step, Why>, step: NodeIndex) {
        let stage = &mut self.stages[step.index()];
        if std::mem::replace(stage, Stage::Done) == Stage::Restarted {
            return;
        }
        for next in steps.neighbors(step) {
            let open = &mut self.open_predecessors[next.index()];
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.make_ready(next.index());
            }
        }
    }

    /// A step failed: everything after it is left out, and returned.
    pub(crate) fn poison(&mut self, steps: &DiGraph<Step, Why>, step: NodeIndex) -> Vec<NodeIndex> {
        self.stages[step.index()] = Stage::Poisoned;
        let mut skipped = Vec::new();
        let mut open = vec![step];
        while let Some(from) = open.pop() {
            for next in steps.neighbors(from) {
                if matches!(self.stages[next.index()], Stage::Waiting | Stage::Ready) {
                    self.stages[next.index()] = Stage::Poisoned;
                    skipped.push(next);
                    open.push(next);
                }
            }
        }
        skipped.sort_unstable();
        skipped
    }

    /// The steps that never got their turn.
    pub(crate) fn rest(&self) -> Vec<NodeIndex> {
        self.stages
            .iter()
            .enumerate()
            .filter(|(_, stage)| matches!(stage, Stage::Waiting | Stage::Ready))
            .map(|(index, _)| NodeIndex::new(index))
            .collect()
    }
}
