//! The audit log: who did what to a stack, when and why, a line an event. Each line is bound to all before it by a code
//! that takes the stack's data key.
//!
//! A line is on its way for one run: it is made durable with the change that it tells of, in the same entry of the
//! state's journal, and when the journal is folded it moves to where the backend keeps lines for good. The snapshot says
//! how many there are and how the last one ends, so that lines that are missing at the end are missed. A run that changes
//! nothing writes nothing, here neither. Lines say names, verbs and reasons, and no values. In a state that is sealed as a
//! whole they are sealed too.

mod line;
mod verify;
mod who;

pub use line::{Counts, Event, Line, Outcome, Reading};
pub(crate) use line::{Told, merged, number_of, write};
pub use verify::{Fault, Report};
pub(crate) use verify::{Head, Keys, verify};
pub use who::Who;
