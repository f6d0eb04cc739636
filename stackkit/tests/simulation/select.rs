//! Selections of runs, and the oracle of what they may touch.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use stackkit::Urn;
use stackkit::plan::PlanOptions;
use stackkit::state::model::State;
use stackkit::testing::CloudCall;

use crate::program::{BOX, Item, name};

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Select {
    targets: Vec<&'static str>,
    excludes: Vec<&'static str>,
    dependents: bool,
}

pub fn select() -> impl Strategy<Value = Select> {
    let glob = || prop_oneof![6 => name(), 1 => Just(BOX)];
    (vec(glob(), 0..3), vec(glob(), 0..2), any::<bool>()).prop_map(|(targets, excludes, dependents)| Select {
        targets,
        excludes,
        dependents,
    })
}

fn matches(globs: &[&str], urn: &Urn) -> bool {
    globs.iter().any(|glob| urn.name() == *glob || *glob == BOX && urn.path().split('/').next() == Some(BOX))
}

/// Which names lead to which.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// Names, and all that they lead to.
fn closure(from: BTreeSet<String>, edges: &Edges) -> BTreeSet<String> {
    let mut all = from.clone();
    let mut open: Vec<String> = from.into_iter().collect();
    while let Some(name) = open.pop() {
        for next in edges.get(&name).into_iter().flatten() {
            if all.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    all
}

impl Select {
    pub fn options(&self) -> PlanOptions {
        let texts = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        PlanOptions {
            targets: texts(&self.targets),
            excludes: texts(&self.excludes),
            target_dependents: self.dependents && !self.targets.is_empty(),
            exclude_dependents: self.dependents && !self.excludes.is_empty(),
            ..PlanOptions::default()
        }
    }

    /// Whether a refusal is of the selection alone.
    pub fn is_refused(&self, text: &str) -> bool {
        ["matches no resource", "it is excluded and not there yet", "it is excluded, and as it is now", "left out"]
            .iter()
            .any(|part| text.contains(part))
    }

    /// Judges a run by the calls that it made: nothing is touched that is excluded, and nothing that no target leads to.
    pub fn check(&self, items: &[Item], before: &State, calls: &[CloudCall]) -> Result<(), String> {
        let own: Vec<&CloudCall> = calls.iter().filter(|call| !call.late).collect();
        if let Some(call) = own.iter().find(|call| matches(&self.excludes, &call.urn)) {
            return Err(format!("{} is excluded, and was touched: {:?}", call.urn, call.verb));
        }
        if self.targets.is_empty() {
            return Ok(());
        }
        let mut needs = Edges::new();
        let mut needed_by = Edges::new();
        let mut edge = |user: &str, used: &str| {
            needs.entry(user.to_owned()).or_default().insert(used.to_owned());
            needed_by.entry(used.to_owned()).or_default().insert(user.to_owned());
        };
        let mut asked = BTreeSet::new();
        for item in items {
            item.uses.iter().for_each(|(of, _)| edge(item.name, of));
            item.with.iter().for_each(|of| edge(item.name, of));
            // A thing that was renamed is also known by what it was.
            item.former().iter().for_each(|old| {
                edge(item.name, old.name());
                edge(old.name(), item.name);
            });
            if matches(&self.targets, &item.urn()) || item.former().iter().any(|old| matches(&self.targets, old)) {
                asked.insert(item.name.to_owned());
            }
        }
        for record in before.resources.values() {
            let used = record.dependencies.iter().filter_map(|used| before.resources.get(used));
            used.for_each(|used| edge(record.urn.name(), used.urn.name()));
            record.options.deleted_with.iter().for_each(|owner| edge(record.urn.name(), owner.name()));
            if matches(&self.targets, &record.urn) {
                asked.insert(record.urn.name().to_owned());
            }
        }
        // What a dead run had begun to make may be there.
        for intent in before.intents.values() {
            let used = intent.dependencies.iter().filter_map(|used| before.resources.get(used));
            used.for_each(|used| edge(intent.urn.name(), used.urn.name()));
            if matches(&self.targets, &intent.urn) {
                asked.insert(intent.urn.name().to_owned());
            }
        }
        if self.dependents {
            asked = closure(asked, &needed_by);
        }
        let allowed = closure(asked, &needs);
        match own.iter().find(|call| !allowed.contains(call.urn.name())) {
            Some(call) => Err(format!("no target leads to {}, and it was touched: {:?}", call.urn, call.verb)),
            None => Ok(()),
        }
    }
}
