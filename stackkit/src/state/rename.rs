//! Renaming a resource by hand: its records, and everything in the state that speaks of it by name.

use super::model::{Change, Record, State};
use crate::diagnostic::Diagnostic;
use crate::urn::Urn;

/// The changes that make `old` be called `new`.
///
/// # Errors
/// When that cannot be: with the reason and the way out.
pub(crate) fn renamed(state: &State, old: &Urn, new: &Urn) -> Result<Vec<Change>, Diagnostic> {
    if state.intents.values().any(|intent| intent.urn == *old) {
        return Err(Diagnostic::refused("an earlier run was cut short in a call on it, which is found by this name")
            .on(old)
            .help("run `refresh` first: it looks what became of the call"));
    }
    if !state.resources.values().any(|record| record.urn == *old) {
        return Err(Diagnostic::invalid("the state has no such resource")
            .on(old)
            .help("`state list` shows what there is"));
    }
    check_name(old, new)?;
    let taken = state.resources.values().map(|record| &record.urn).chain(state.intents.values().map(|call| &call.urn));
    if taken.into_iter().any(|urn| urn == new) {
        return Err(Diagnostic::refused("the state has a resource of this name already")
            .on(new)
            .help("choose another name, or rename or `state rm` that one first"));
    }
    let mut changes = Vec::new();
    for record in state.resources.values() {
        let mut renamed = record.clone();
        if renamed.urn == *old {
            renamed.urn = new.clone();
        }
        if renamed.options.deleted_with.as_ref() == Some(old) {
            renamed.options.deleted_with = Some(new.clone());
        }
        if renamed != *record {
            changes.push(Change::Put(Record::Resource(Box::new(renamed))));
        }
    }
    for intent in state.intents.values().filter(|intent| intent.options.deleted_with.as_ref() == Some(old)) {
        let mut renamed = intent.clone();
        renamed.options.deleted_with = Some(new.clone());
        changes.push(Change::Put(Record::Intent(Box::new(renamed))));
    }
    Ok(changes)
}

fn check_name(old: &Urn, new: &Urn) -> Result<(), Diagnostic> {
    if new.type_name() != old.type_name() {
        return Err(Diagnostic::invalid(format!(
            "it is of the type {}, and the new name says {}",
            old.type_name(),
            new.type_name()
        ))
        .on(old)
        .help("where a type was renamed, put `.alias(\"the old URN\")` on the declaration and run `up`"));
    }
    let fit = |segment: &str| {
        !segment.is_empty() && !segment.contains(':') && !segment.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    if new.path().split('/').all(fit) {
        Ok(())
    } else {
        let message = format!("`{}` cannot be the name of a resource", new.path().escape_debug());
        Err(Diagnostic::invalid(message).on(old).help("use letters, digits, `-`, `_` and `.`; `/` between components"))
    }
}
