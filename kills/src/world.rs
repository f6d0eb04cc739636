//! What a server holds beside what a state holds.

use std::collections::BTreeSet;

use serde_json::Value;

/// Something that exists: its type as StackKit names it, and its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thing {
    pub(crate) kind: String,
    pub(crate) id: String,
}

impl Thing {
    pub(crate) fn new(kind: &str, id: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), id: id.into() }
    }
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// Where a program's resources live. It is asked directly, and not through a provider of ours.
pub(crate) trait World: Send {
    /// Environment under which a program finds it.
    fn env(&self) -> Vec<(String, String)>;

    /// Everything in it that a program with this seed can have made, whatever tags it has.
    ///
    /// # Errors
    /// When it does not answer.
    fn things(&self, seed: u64, stack: &std::path::Path) -> Result<BTreeSet<Thing>, String>;

    /// Whether what the state has of this type is to be found in it: a random password is not.
    fn holds(&self, kind: &str) -> bool;

    /// The URN that something is tagged with, if it is.
    fn urn_of(&self, _: &Thing) -> Option<String> {
        None
    }

    /// Takes away what a round with a finding left.
    ///
    /// # Errors
    /// When it does not answer.
    fn clear(&mut self, seed: u64) -> Result<(), String>;
}

/// What differs between a world and a state.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// There, and not in the state.
    pub(crate) orphans: Vec<String>,
    /// There, not in the state, and tagged as something that the state has under another id; or twice in the state.
    pub(crate) duplicates: Vec<String>,
    /// In the state, and not there.
    pub(crate) lost: Vec<String>,
}

/// Compares what is there beyond the start with the answer of `state list --json`.
pub(crate) fn compare(world: &dyn World, there: &BTreeSet<Thing>, state: &Value) -> Difference {
    let rows = state.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let known: BTreeSet<Thing> = rows
        .iter()
        .filter(|row| world.holds(row["type"].as_str().unwrap_or_default()))
        .map(|row| Thing { kind: text(row, "type"), id: text(row, "id") })
        .collect();
    let mut urns = BTreeSet::new();
    let mut difference = Difference::default();
    for row in rows {
        if !urns.insert(text(row, "urn")) {
            difference.duplicates.push(format!("{} is twice in the state", text(row, "urn")));
        }
    }
    for thing in there.difference(&known) {
        match world.urn_of(thing).filter(|urn| urns.contains(urn)) {
            Some(urn) => difference.duplicates.push(format!("{thing} beside {urn}")),
            None => difference.orphans.push(thing.to_string()),
        }
    }
    difference.lost = known.difference(there).map(Thing::to_string).collect();
    difference
}
