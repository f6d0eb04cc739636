//! Which step is next: of those whose predecessors are done, the one with the longest path behind it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

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
    /// How long it takes from the start of a step to the end of the longest path behind it, in microseconds.
    path: Vec<u64>,
    ready: BinaryHeap<(u64, Reverse<u32>)>,
}

impl Schedule {
    /// `duration` says how long a step is thought to take: nothing for what only touches the state.
    pub(crate) fn new(steps: &DiGraph<Step, Why>, duration: impl Fn(&Step) -> Duration) -> Self {
        let count = steps.node_count();
        let mut path = vec![0u64; count];
        // A plan with a circle has diagnostics and is not applied; without an order nothing becomes ready.
        for node in toposort(steps, None).unwrap_or_default().into_iter().rev() {
            let longest = steps.neighbors(node).map(|next| path[next.index()]).max().unwrap_or(0);
            let own = u64::try_from(duration(&steps[node]).as_micros()).unwrap_or(u64::MAX);
            path[node.index()] = longest.saturating_add(own);
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

    /// A step that was taken and waited for something: it is ready again.
    pub(crate) fn resume(&mut self, step: NodeIndex) {
        let index = step.index();
        self.stages[index] = if self.stages[index] == Stage::Restarted { Stage::Again } else { Stage::Ready };
        self.ready.push((self.path[index], Reverse(index as u32)));
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    /// A graph whose edges go forward, in which each step has a few predecessors among the ones shortly before it.
    fn graph(dice: &mut Dice, count: usize, reach: usize, edges: u64) -> DiGraph<Step, Why> {
        let mut graph = DiGraph::new();
        let nodes: Vec<NodeIndex> = (0..count).map(|index| graph.add_node(Step::Ensure(index))).collect();
        for (index, node) in nodes.iter().enumerate().skip(1) {
            for _ in 0..dice.below(edges + 1) {
                let back = 1 + dice.below(reach.min(index) as u64) as usize;
                graph.add_edge(nodes[index - back], *node, Why::Refers);
            }
        }
        graph
    }

    /// Runs the schedule in simulated time, and checks at every instant that no slot is free while a step is ready.
    fn makespan(graph: &DiGraph<Step, Why>, durations: &[u64], expected: &[u64], slots: usize) -> u64 {
        let mut schedule = Schedule::new(graph, |step| match step {
            Step::Ensure(index) | Step::Delete(index, _) => Duration::from_secs(expected[*index]),
        });
        let mut running: BinaryHeap<(Reverse<u64>, NodeIndex)> = BinaryHeap::new();
        let (mut now, mut done) = (0, vec![false; graph.node_count()]);
        loop {
            while running.len() < slots {
                let Some(step) = schedule.next() else { break };
                let ready = graph.neighbors_directed(step, Direction::Incoming).all(|before| done[before.index()]);
                assert!(ready, "a step started before its predecessors were done");
                running.push((Reverse(now + durations[step.index()]), step));
            }
            if running.len() < slots {
                let waiting = graph.node_indices().filter(|step| {
                    !done[step.index()]
                        && !running.iter().any(|(_, other)| other == step)
                        && graph.neighbors_directed(*step, Direction::Incoming).all(|before| done[before.index()])
                });
                assert_eq!(waiting.count(), 0, "a slot is free and a step is ready");
            }
            let Some((Reverse(at), step)) = running.pop() else { break };
            now = at;
            done[step.index()] = true;
            schedule.done(graph, step);
        }
        assert!(done.iter().all(|done| *done), "a step never ran");
        now
    }

    /// No schedule is shorter than the longest path, nor than the whole work over all slots.
    fn bound(graph: &DiGraph<Step, Why>, durations: &[u64], slots: usize) -> u64 {
        let mut end = vec![0; durations.len()];
        for node in graph.node_indices() {
            let before = graph.neighbors_directed(node, Direction::Incoming).map(|before| end[before.index()]).max();
            end[node.index()] = before.unwrap_or(0) + durations[node.index()];
        }
        let longest = end.into_iter().max().unwrap_or(0);
        longest.max(durations.iter().sum::<u64>().div_ceil(slots as u64))
    }

    /// Rules: 2.
    #[test]
    fn it_conserves_work_and_comes_near_the_shortest_time() {
        let mut dice = Dice(7);
        for (count, reach, edges, slots, spread) in
            [(400, 400, 2, 8, 1), (400, 60, 2, 8, 1), (400, 400, 1, 16, 9), (300, 20, 3, 4, 9), (60, 3, 2, 2, 5)]
        {
            for _ in 0..10 {
                let graph = graph(&mut dice, count, reach, edges);
                let durations: Vec<u64> = (0..count).map(|_| 10 + dice.below(spread * 10)).collect();
                let alike = vec![1; count];
                let (took, bound) = (makespan(&graph, &durations, &alike, slots), bound(&graph, &durations, slots));
                assert!(took * 100 <= bound * 112, "{took} against {bound} on {count} steps and {slots} slots");
            }
        }
    }

    /// Services, each a chain of a network, some parts on it, a slow database and what waits for it.
    fn services(dice: &mut Dice, count: usize) -> (DiGraph<Step, Why>, Vec<u64>) {
        let (mut graph, mut durations) = (DiGraph::new(), Vec::new());
        while graph.node_count() + 8 <= count {
            let mut add = |after: Option<NodeIndex>, duration: u64| {
                let node = graph.add_node(Step::Ensure(graph.node_count()));
                durations.push(duration);
                if let Some(after) = after {
                    graph.add_edge(after, node, Why::Refers);
                }
                node
            };
            let network = add(None, 2 + dice.below(3));
            let parts: Vec<NodeIndex> = (0..4).map(|_| add(Some(network), 1 + dice.below(5))).collect();
            let database = add(Some(parts[0]), 15 + dice.below(60));
            let service = add(Some(database), 5 + dice.below(15));
            add(Some(service), 1);
        }
        (graph, durations)
    }

    /// Trees: each step has a few that stand on it, and durations differ a hundredfold.
    fn trees(dice: &mut Dice, count: usize) -> (DiGraph<Step, Why>, Vec<u64>) {
        let mut graph = DiGraph::new();
        let nodes: Vec<NodeIndex> = (0..count).map(|index| graph.add_node(Step::Ensure(index))).collect();
        // One root alone would leave all other slots free at the beginning, whoever schedules.
        for (index, node) in nodes.iter().enumerate().skip(16) {
            graph.add_edge(nodes[(index - 16) / 3], *node, Why::Refers);
        }
        let durations = (0..count).map(|_| 1 + dice.below(10) * dice.below(10)).collect();
        (graph, durations)
    }

    /// Layers, as of accounts, networks, machines and records, each step on two of the layer before.
    fn layers(dice: &mut Dice, count: usize) -> (DiGraph<Step, Why>, Vec<u64>) {
        let mut graph = DiGraph::new();
        let nodes: Vec<NodeIndex> = (0..count).map(|index| graph.add_node(Step::Ensure(index))).collect();
        let width = count / 5;
        for (index, node) in nodes.iter().enumerate().skip(width) {
            let layer = (index / width - 1) * width;
            for _ in 0..2 {
                graph.update_edge(nodes[layer + dice.below(width as u64) as usize], *node, Why::Refers);
            }
        }
        let durations = (0..count).map(|index| (1 + (index / width) as u64) * (2 + dice.below(9))).collect();
        (graph, durations)
    }

    /// Rules: 2.
    #[test]
    fn with_known_durations_it_is_within_a_twentieth_of_the_shortest_time() {
        let mut dice = Dice(11);
        for shape in [services, trees, layers] {
            for slots in [4, 8, 16] {
                for _ in 0..5 {
                    let (graph, durations) = shape(&mut dice, slots * 50 + 8);
                    let bound = bound(&graph, &durations, slots);
                    let took = makespan(&graph, &durations, &durations, slots);
                    assert!(took * 100 <= bound * 105, "{took} against {bound} on {slots} slots");
                }
            }
        }
    }

    #[test]
    fn a_slow_step_with_little_behind_it_goes_before_a_long_row_of_quick_ones() {
        let mut graph = DiGraph::new();
        let quick: Vec<NodeIndex> = (0..5).map(|index| graph.add_node(Step::Ensure(index))).collect();
        quick.windows(2).for_each(|pair| _ = graph.add_edge(pair[0], pair[1], Why::Refers));
        let slow = graph.add_node(Step::Ensure(5));
        let durations = [1, 1, 1, 1, 1, 60];
        assert_eq!(makespan(&graph, &durations, &durations, 1), 65);
        let mut schedule = Schedule::new(&graph, |step| match step {
            Step::Ensure(index) | Step::Delete(index, _) => Duration::from_secs(durations[*index]),
        });
        assert_eq!(schedule.next(), Some(slow));
        assert_eq!(Schedule::new(&graph, |_| Duration::from_secs(1)).next(), Some(quick[0]));
    }

    #[test]
    fn the_longest_path_goes_first_and_steps_without_a_call_do_not_lengthen_it() {
        // Three quiet steps in a row, and two calls in a row.
        let mut graph = DiGraph::new();
        let quiet: Vec<_> = (0..3).map(|index| graph.add_node(Step::Ensure(index))).collect();
        let calls: Vec<_> = (3..5).map(|index| graph.add_node(Step::Ensure(index))).collect();
        for pair in [(quiet[0], quiet[1]), (quiet[1], quiet[2]), (calls[0], calls[1])] {
            graph.add_edge(pair.0, pair.1, Why::Refers);
        }
        let mut schedule = Schedule::new(&graph, |step| match step {
            Step::Ensure(index) => Duration::from_secs(u64::from(*index >= 3)),
            Step::Delete(..) => Duration::ZERO,
        });
        assert_eq!(schedule.next(), Some(calls[0]));
        assert_eq!(schedule.next(), Some(quiet[0]));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn what_comes_after_a_failure_is_left_out_and_the_rest_goes_on() {
        let mut graph = DiGraph::new();
        let nodes: Vec<_> = (0..4).map(|index| graph.add_node(Step::Ensure(index))).collect();
        graph.add_edge(nodes[0], nodes[1], Why::Refers);
        graph.add_edge(nodes[1], nodes[2], Why::Refers);
        let mut schedule = Schedule::new(&graph, |_| Duration::from_secs(1));
        assert_eq!(schedule.next(), Some(nodes[0]));
        assert_eq!(schedule.poison(&graph, nodes[0]), [nodes[1], nodes[2]]);
        assert_eq!(schedule.next(), Some(nodes[3]));
        schedule.done(&graph, nodes[3]);
        assert_eq!((schedule.next(), schedule.rest()), (None, Vec::new()));
    }
}
