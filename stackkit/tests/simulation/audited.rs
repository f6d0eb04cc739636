//! What the audit log of a history must say, whatever died when: all that was done, and nothing that was not.

use std::collections::BTreeSet;

use stackkit::audit::{Event, Line, Outcome};
use stackkit::state::model::{State, Status};

use crate::program::CANARY;

/// Judges the lines of a history by the state that it came to.
pub fn check(lines: &[Line], state: &State) -> Result<(), String> {
    let (mut begun, mut made, mut gone, mut looked) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut dropped = BTreeSet::new();
    for line in lines {
        if line.text.contains(CANARY) {
            return Err(format!("a secret is in the audit log: {}", line.text));
        }
        let is_first = begun.insert(line.run.clone());
        match &line.event {
            Event::Begin { .. } => {}
            Event::Command { of, .. } => dropped.extend(of.iter().cloned()),
            other if is_first => return Err(format!("a run tells of {other:?} before it has begun")),
            Event::Step { instance: Some(instance), verb, outcome, .. } => match (verb.as_str(), outcome) {
                ("delete" | "forget", Outcome::Done) => drop(gone.insert(instance.clone())),
                ("delete" | "forget", _) => {}
                _ => drop(made.insert(instance.clone())),
            },
            Event::Found { instance, gone: true, .. } => drop(gone.insert(instance.clone())),
            Event::Recovered { instance, .. } => drop(looked.insert(instance.clone())),
            _ => {}
        }
    }
    for record in state.resources.values() {
        let instance = record.instance.to_string();
        if !made.contains(&instance) && !looked.contains(&instance) {
            return Err(format!("nobody told of {} ({instance}), which is in the state", record.urn));
        }
        let stands_for_one_to_come = record.status == Status::PendingReplacement;
        if gone.contains(&instance) && !stands_for_one_to_come && !looked.contains(&instance) {
            return Err(format!("{} ({instance}) was told to be gone, and is in the state", record.urn));
        }
    }
    let there: BTreeSet<String> = state.resources.keys().map(ToString::to_string).collect();
    for line in lines {
        let Event::Step { urn, instance: Some(instance), verb, outcome: Outcome::Done, .. } = &line.event else {
            continue;
        };
        let ended = gone.contains(instance) || looked.contains(instance) || dropped.contains(urn);
        if verb != "delete" && verb != "forget" && !there.contains(instance) && !ended {
            return Err(format!("line {} tells of {urn} ({instance}), which is not in the state", line.n));
        }
    }
    Ok(())
}
