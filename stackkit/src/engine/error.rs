//! `RunError`: how a run can end other than well, and the exit status that says so.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::event::Summary;
use crate::seal::{KeyTrouble, SealError};
use crate::state::StateError;

/// Why a run did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The program, its config, a policy or a check is against it. Nothing was touched.
    #[error(transparent)]
    Diagnostics(#[from] Diagnostics),
    /// Some steps failed; events said which and why.
    #[error("{} failed, {} skipped", steps(.0.failed), steps(.0.skipped))]
    Failed(Summary),
    /// The run was cancelled. Everything that was begun was finished and recorded.
    #[error("cancelled; {} not started", steps(.0.skipped))]
    Cancelled(Summary),
    /// The user said no.
    #[error("declined; nothing was changed")]
    Declined,
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// A key is missing or wrong.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The configuration file cannot be read.
    #[error("{0}")]
    Config(String),
    /// The state could not be written in the middle of the run.
    #[error("the state could not be written: {error}; what happened meanwhile is kept, sealed, in {rescue}: {merge}")]
    Unsaved {
        /// Why it could not be written.
        error: String,
        /// Where the rest is.
        rescue: String,
        /// How it is merged back.
        merge: String,
    },
    /// There is no such stack.
    #[error("there is no stack `{stack}` in {dir}: `up` makes one, `stack list` shows those that there are")]
    NoStack {
        /// Its name.
        stack: String,
        /// Where it was looked for.
        dir: String,
    },
}

fn steps(count: usize) -> String {
    if count == 1 { "1 step".into() } else { format!("{count} steps") }
}

impl RunError {
    /// One diagnostic as an error.
    pub(crate) fn one(diagnostic: Diagnostic) -> Self {
        RunError::Diagnostics(Diagnostics(vec![diagnostic]))
    }

    /// The exit status of the command: 1 failed, 3 refused before anything was touched, 130 cancelled.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Diagnostics(diagnostics) if diagnostics.refused() => 3,
            RunError::State(StateError::Backend(error)) if error.is_locked() || error.is_denied() => 3,
            RunError::Seal(SealError::Provider { trouble: KeyTrouble::Denied, .. }) => 3,
            RunError::State(StateError::RolledBack { .. } | StateError::OtherHistory { .. }) => 3,
            RunError::Cancelled(_) => 130,
            _ => 1,
        }
    }
}
