//! What a plan still has to read: what could be read now, and what only the apply can know enough to read.

use crate::diagnostic::Diagnostic;
use crate::plan::{Action, Known, PlanInput, PlanNode};
use crate::read::{Behind, FIRST, Subject};
use crate::resource::Values;
use crate::urn::Urn;

/// A read that is made during the apply, because it needs something that is made or changed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRead {
    /// Type and name of what is read.
    pub urn: Urn,
}

/// A read that could be made before planning goes on: index of its declaration, and what it is asked with.
#[derive(Debug, Clone)]
pub(crate) struct ReadyRead {
    pub(crate) read: usize,
    pub(crate) inputs: Values,
}

/// Sorts the reads that have not been made.
pub(super) fn open_reads(
    input: &PlanInput<'_>,
    nodes: &[PlanNode],
    known: &[Values],
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<ReadyRead>, Vec<PlannedRead>) {
    let (mut ready, mut later) = (Vec::new(), Vec::new());
    let declared = input.declared;
    let behind = Behind::of(declared);
    let lookup = Known { values: known, declared };
    for (index, read) in declared.reads.iter().enumerate() {
        if input.state.resources.values().any(|record| record.urn == read.urn) {
            diagnostics.push(
                Diagnostic::refused(
                    "it is a resource of this stack, and the program only reads it now: it would be deleted",
                )
                .on(&read.urn)
                .help("to keep it and give it up, run `state rm` on it first; else declare it under another name")
                .at(read.at),
            );
        }
        if read.is_found() || matches!(read.subject, Subject::Stack { .. }) {
            continue;
        }
        let (needs, circular) = behind.needs(FIRST + index as u32);
        if circular {
            diagnostics.push(
                Diagnostic::invalid("it is read through a provider instance whose settings depend on it")
                    .on(&read.urn)
                    .help("read it through another provider instance")
                    .at(read.at),
            );
            continue;
        }
        // What it depends on may change what is read, also where the id stays the same.
        let settled = needs.iter().all(|resource| {
            nodes.get(*resource as usize).is_some_and(|node| matches!(node.action, Action::Same | Action::Record))
        });
        let settings = read.provider_instance().and_then(|instance| declared.settings_of(instance));
        let settings_known =
            || settings.is_none_or(|settings| settings.resolve(&lookup).is_ok_and(|value| value.is_known()));
        match read.resolved(&lookup) {
            Err(error) => diagnostics.push(Diagnostic::invalid(error.to_string()).on(&read.urn).at(read.at)),
            Ok(Some(inputs)) if settled && settings_known() => ready.push(ReadyRead { read: index, inputs }),
            Ok(_) => later.push(PlannedRead { urn: read.urn.clone() }),
        }
    }
    (ready, later)
}
