//! Trials of a backend: what every place for states has to hold to, tried on a real one.
//!
//! A backend of one's own is tried in a test of its own without the usual harness (`harness = false` in Cargo.toml),
//! because its writers are processes that are killed and stopped:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//! use stackkit::state::LocalPlace;
//! use stackkit::testing::backend::{Trial, Tried, worker};
//!
//! /// Opens the place at a URL. Runs in every process of the trial.
//! fn open(url: &str) -> Tried {
//!     let folder = url.trim_start_matches("file://").to_owned();
//!     Tried::new(async move { Ok(Arc::new(LocalPlace::new(folder)) as _) })
//! }
//!
//! fn main() -> ExitCode {
//!     if let Some(status) = worker(open) {
//!         return status; // This process is one of the trial's writers.
//!     }
//!     Trial::new("file:///tmp/trial").locks_of_the_system().rounds(50).main()
//! }
//! ```
//!
//! Two writers, a reader and their faults run side by side: each round takes the lock, reads, appends one entry, and now
//! and then folds. A tenth of the rounds goes wrong: the process is killed before or after its append, is stopped past
//! the end of its lease and woken again, or does not get the answer to its append. At the end no append that was
//! acknowledged is missing, none that was refused is there, nobody wrote after another had taken its lock, no call of a
//! provider would have begun without the lock, and no lock needed a hand.

mod checks;
mod rounds;
mod worker;

use std::ffi::OsString;
use std::future::Future;
use std::sync::Arc;

pub use rounds::{Report, Trial};
pub use worker::worker;

use crate::context::BoxFuture;
use crate::state::backend::BackendError;
use crate::state::place::Place;

/// A place on trial, as one process of the trial has it.
pub struct Tried {
    place: BoxFuture<'static, Result<Arc<dyn Place>, BackendError>>,
    lose_answer: Option<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tried").field("loses_answers", &self.lose_answer.is_some()).finish_non_exhaustive()
    }
}

impl Tried {
    /// A place, opened by this future on the trial's own runtime.
    pub fn new(open: impl Future<Output = Result<Arc<dyn Place>, BackendError>> + Send + 'static) -> Self {
        Self { place: Box::pin(open), lose_answer: None }
    }

    /// With a way to lose the answer to this process's next append, after the place has kept it.
    #[must_use]
    pub fn losing_answers(mut self, lose: impl Fn() + Send + Sync + 'static) -> Self {
        self.lose_answer = Some(Box::new(lose));
        self
    }
}

/// A variable of the environment for the processes of a trial.
type Variable = (OsString, OsString);
