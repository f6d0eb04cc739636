//! The oracle of hooks: which must have run before a call, and before what depends on it.

use stackkit::event::Verb;
use stackkit::hook::HookPoint;
use stackkit::testing::CloudCall;

use crate::order::Judge;
use crate::program::{Item, Ran};

fn has(item: &Item, point: HookPoint) -> bool {
    item.hooks.contains(&point)
}

/// Judges the hooks of a run by the calls that it made.
pub fn check(judge: &Judge<'_>, calls: &[CloudCall], ran: &[Ran]) -> Result<(), String> {
    if let Some(stray) = ran.iter().find(|ran| !judge.declared(&ran.urn).is_some_and(|item| has(item, ran.point))) {
        return Err(format!("a hook ran that the program does not have: {stray:?}"));
    }
    let own: Vec<(usize, &CloudCall)> = calls.iter().enumerate().filter(|(_, call)| !call.late).collect();
    for (at, call) in &own {
        let Some(item) = judge.declared(&call.urn) else { continue };
        let before = match call.verb {
            Verb::Create => HookPoint::BeforeCreate,
            Verb::Update => HookPoint::BeforeUpdate,
            Verb::Delete => HookPoint::BeforeDelete,
            _ => continue,
        };
        // What goes is known by its id: its successor may have the same name.
        let of_it = |ran: &&Ran| ran.urn == call.urn && (call.verb == Verb::Create || ran.id == call.id);
        let passed =
            ran.iter().filter(of_it).any(|ran| ran.point == before && ran.ended.is_some_and(|ended| ended <= *at));
        if has(item, before) && item.urn() == call.urn && !passed {
            return Err(format!("{} {} came before its hook {}", call.verb.name(), call.urn, before.name()));
        }
        if call.verb == Verb::Delete {
            continue;
        }
        for used in item.uses.iter().filter_map(|(of, _)| judge.items.get(of)) {
            for (verb, after) in [(Verb::Create, HookPoint::AfterCreate), (Verb::Update, HookPoint::AfterUpdate)] {
                let made = own.iter().find(|(then, call)| then < at && call.verb == verb && call.urn == used.urn());
                let passed = |ran: &Ran| {
                    ran.urn == used.urn() && ran.point == after && ran.ended.is_some_and(|ended| ended <= *at)
                };
                if made.is_some() && has(used, after) && !ran.iter().any(passed) {
                    let (verb, after) = (call.verb.name(), after.name());
                    return Err(format!("{verb} {} came before the hook {after} of {}", call.urn, used.urn()));
                }
            }
        }
    }
    Ok(())
}
