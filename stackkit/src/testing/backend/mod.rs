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
//!
//! [`requests`] counts what steps and folds ask of the store, however large the stack is; [`measure`] takes their time.

pub(crate) mod checks;
mod measure;
mod rounds;
mod worker;

use std::ffi::OsString;
use std::future::Future;
use std::sync::Arc;

pub use measure::{Measured, Requests, measure, requests};
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::checks;
    use super::worker::{Append, appends, entry, snapshot};
    use crate::state::MemoryPlace;
    use crate::state::backend::{BackendError, Holder, Position};
    use crate::state::place::Place;

    #[tokio::test]
    async fn memory_holds_to_everything() {
        let result = checks::all(&MemoryPlace::default(), false).await;
        assert_eq!(result, Ok(()));
    }

    /// Two writers contend for one log in memory; in every tenth round the lock is ended under its holder's hands and
    /// taken by another, whose append comes first.
    ///
    /// Rules: 35.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_writers_of_one_memory_lose_nothing() {
        let place = MemoryPlace::default();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..2 {
            let place = place.clone();
            writers.spawn(async move { write(&place, writer, 1000).await });
        }
        let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
        while let Some(result) = writers.join_next().await {
            let (mut kept, mut out) = result.unwrap_or_else(|error| panic!("{error}"));
            acknowledged.append(&mut kept);
            refused.append(&mut out);
        }
        let backend = place.stack("contended").unwrap_or_else(|error| panic!("{error}"));
        let there = appends(&backend.load().await.unwrap_or_else(|error| panic!("{error}")));
        let mut there = there.unwrap_or_else(|error| panic!("{error}"));
        assert!(refused.iter().all(|append| !there.contains(append)), "a fenced writer wrote");
        assert!(refused.len() >= 190, "{} rounds lost their lock", refused.len());
        there.sort();
        acknowledged.sort();
        assert!(there == acknowledged, "{} acknowledged, {} there", acknowledged.len(), there.len());
    }

    async fn write(place: &MemoryPlace, writer: u32, rounds: u64) -> (Vec<Append>, Vec<Append>) {
        let backend: Arc<_> = place.stack("contended").unwrap_or_else(|error| panic!("{error}"));
        let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let holder = Holder::new("up").unwrap_or_else(|error| panic!("{error}"));
            let lease = loop {
                match backend.acquire(holder.clone()).await {
                    Ok(lease) => break lease,
                    Err(error) if error.is_locked() => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            };
            let append = Append { writer, round, holder: holder.id.clone() };
            let loaded = backend.load().await.unwrap_or_else(|error| panic!("{error}"));
            if round % 10 == 5 {
                backend.unlock(&holder.id).await.unwrap_or_else(|error| panic!("{error}"));
            }
            let position = loaded.position;
            match backend.append(&*lease, position, &entry(position.0 + 1, &append)).await {
                Ok(_) => acknowledged.push(append.clone()),
                Err(BackendError::Lost(_) | BackendError::Moved { .. }) => {
                    refused.push(append);
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            if round % 16 == 15 {
                let mut all = appends(&loaded).unwrap_or_else(|error| panic!("{error}"));
                all.push(append);
                let position = Position(position.0 + 1);
                let folded = backend.compact(&*lease, position, &snapshot(position.0, &all)).await;
                folded.unwrap_or_else(|error| panic!("{error}"));
            }
        }
        (acknowledged, refused)
    }
}
