//! Time: on a clock of its own, no slot is free while a step is ready, and what takes long does not wait for the end.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stackkit::testing::Test;

use crate::program::{How, Item, Ty, declare, program};

/// A thing of a graph: what it uses, and how many seconds its create takes.
#[derive(Clone, Debug)]
struct Node {
    uses: Vec<usize>,
    takes: u64,
}

/// Names of things, by number.
fn name(index: usize) -> &'static str {
    static NAMES: std::sync::OnceLock<Vec<&'static str>> = std::sync::OnceLock::new();
    NAMES.get_or_init(|| (0..1000).map(|index| &*Box::leak(format!("n{index:03}").into_boxed_str())).collect())[index]
}

fn items(graph: &[Node]) -> Vec<Item> {
    let item = |(index, node): (usize, &Node)| Item {
        uses: node.uses.iter().map(|used| (name(*used), How::SoftId)).collect(),
        ..Item::plain(name(index), Ty::Node)
    };
    graph.iter().enumerate().map(item).collect()
}

/// When each create began and ended, in milliseconds.
async fn spans(graph: &[Node], slots: usize) -> Vec<(u64, u64)> {
    declare(&items(graph));
    let test = Test::of(program).parallel(slots);
    for (index, node) in graph.iter().enumerate() {
        test.cloud().takes(name(index), Duration::from_secs(node.takes));
    }
    test.up().await.expect_ok();
    let millis = |at: Duration| at.as_millis() as u64;
    let spans: BTreeMap<String, (u64, u64)> = test
        .cloud()
        .spans()
        .into_iter()
        .map(|(urn, began, ended)| (urn.name().to_owned(), (millis(began), millis(ended))))
        .collect();
    (0..graph.len()).map(|index| spans[name(index)]).collect()
}

/// No slot is free while a step is ready: whatever starts later than it could starts when all slots were taken until then.
fn conserves(graph: &[Node], spans: &[(u64, u64)], slots: usize) -> Result<(), String> {
    for (index, node) in graph.iter().enumerate() {
        let ready = node.uses.iter().map(|used| spans[*used].1).max().unwrap_or(0);
        let (began, _) = spans[index];
        if began < ready {
            return Err(format!("{} began at {began}, and could at {ready}", name(index)));
        }
        // The number of running calls changes only where one ends or begins.
        let instants = spans.iter().flat_map(|(began, ended)| [*began, *ended]).chain([ready]);
        for at in instants.filter(|at| (ready..began).contains(at)) {
            let busy = spans.iter().filter(|(began, ended)| *began <= at && at < *ended).count();
            if busy < slots {
                return Err(format!(
                    "{} was ready at {ready} and began at {began}; at {at} only {busy} ran",
                    name(index)
                ));
            }
        }
    }
    Ok(())
}

/// No schedule is shorter than the longest path, nor than the whole work over all slots.
fn bound(graph: &[Node], slots: usize) -> u64 {
    let mut ends: Vec<u64> = Vec::new();
    for node in graph {
        let ready = node.uses.iter().map(|used| ends[*used]).max().unwrap_or(0);
        ends.push(ready + node.takes * 1000);
    }
    let work: u64 = graph.iter().map(|node| node.takes * 1000).sum();
    ends.into_iter().max().unwrap_or(0).max(work.div_ceil(slots as u64))
}

fn graphs() -> impl Strategy<Value = (Vec<Node>, usize)> {
    let node = (proptest::collection::vec(any::<prop::sample::Index>(), 0..4), 0..20u64);
    let nodes = proptest::collection::vec(node, 1..60).prop_map(|nodes| {
        let node = |(index, (uses, takes)): (usize, (Vec<prop::sample::Index>, u64))| {
            let mut uses: Vec<usize> = uses.iter().filter(|_| index > 0).map(|used| used.index(index)).collect();
            uses.sort_unstable();
            uses.dedup();
            Node { uses, takes }
        };
        nodes.into_iter().enumerate().map(node).collect()
    });
    (nodes, 1..9usize)
}

/// Rules: 2.
#[test]
fn no_slot_is_free_while_a_step_is_ready() {
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&graphs(), |(graph, slots)| {
        let spans = super::simulated(spans(&graph, slots));
        conserves(&graph, &spans, slots).map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One thing that everything else uses.
fn fan_out(dice: &mut Dice) -> Vec<Node> {
    (0..420).map(|index| Node { uses: if index > 0 { vec![0] } else { vec![] }, takes: 1 + dice.below(90) }).collect()
}

/// Layers of random width; each thing uses some of the layer before.
fn layers(dice: &mut Dice) -> Vec<Node> {
    let mut graph: Vec<Node> = Vec::new();
    let mut before = 0..0;
    while graph.len() < 480 {
        let begin = graph.len();
        for _ in 0..(4 + dice.below(36)).min(480 - begin as u64) {
            let width = before.len() as u64;
            let mut uses: Vec<usize> =
                (0..(1 + dice.below(3)).min(width)).map(|_| before.start + dice.below(width) as usize).collect();
            uses.sort_unstable();
            uses.dedup();
            graph.push(Node { uses, takes: 1 + dice.below(60) });
        }
        before = begin..graph.len();
    }
    graph
}

/// A long chain, with branches that hang on its links.
fn chain(dice: &mut Dice) -> Vec<Node> {
    let mut graph: Vec<Node> = Vec::new();
    let mut link = None;
    for _ in 0..60 {
        let uses: Vec<usize> = link.into_iter().collect();
        link = Some(graph.len());
        graph.push(Node { uses, takes: 20 + dice.below(20) });
        for _ in 0..6 {
            graph.push(Node { uses: link.into_iter().collect(), takes: 1 + dice.below(60) });
        }
    }
    graph
}

/// Rules: 2.
#[test]
fn three_shapes_take_little_more_than_the_shortest_time() {
    type Shape = (&'static str, fn(&mut Dice) -> Vec<Node>);
    const SHAPES: [Shape; 3] = [("fan-out", fan_out), ("layers", layers), ("chain", chain)];
    let mut table = Vec::new();
    for (shape, make) in SHAPES {
        for seed in 1..=5 {
            let (graph, slots) = (make(&mut Dice(seed)), 8);
            assert!(graph.len() >= 50 * slots, "{shape}: {} steps", graph.len());
            let spans = super::simulated(spans(&graph, slots));
            let took = spans.iter().map(|(_, ended)| *ended).max().unwrap_or(0);
            let bound = bound(&graph, slots);
            table.push((shape, seed, took, bound, took * 1000 / bound));
        }
    }
    let worst = table.iter().map(|(.., permille)| *permille).max().unwrap_or(0);
    assert!(worst <= 1050, "{table:#?}");
}
