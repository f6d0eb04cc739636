//! `Backend`: where a stack's log is kept. A backend stores bytes; it knows nothing of records or keys.

use std::fmt;
use std::sync::Arc;

use crate::context::BoxFuture;

/// Where a log stands: how many entries have ever been appended. An append names the position that it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

/// What a backend holds.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The folded state, if there is one.
    pub snapshot: Option<Vec<u8>>,
    /// The entries appended since the snapshot was folded, oldest first, each as it was appended.
    pub entries: Vec<Vec<u8>>,
    /// Bytes at the end that are no whole entry: an append that a crash cut short. They count as never written.
    pub torn: usize,
    /// The position after the last entry.
    pub position: Position,
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// A random id of this holding, as `state unlock ID` takes it.
    pub id: String,
    /// User and host.
    pub who: String,
    /// Process id.
    pub pid: u32,
    /// What it is doing, such as `up`.
    pub operation: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

/// What can go wrong with a backend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Somebody else holds the lease.
    #[error("the stack is locked by {} (process {}) for `{}`: wait for it to end, or, if it is dead, run `state unlock {}`", .0.who, .0.pid, .0.operation, .0.id)]
    Locked(Box<Holder>),
    /// The log is not where this writer left it: somebody else wrote.
    #[error("the state moved from position {} to {} while this run held it: another writer was here, so nothing more is written", .expected.0, .found.0)]
    Moved {
        /// Where this writer thought it was.
        expected: Position,
        /// Where it is.
        found: Position,
    },
    /// Reading or writing failed.
    #[error("cannot {what} {place}: {source}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file, bucket or table.
        place: String,
        /// The cause.
        source: std::io::Error,
    },
    /// What is stored is not what a backend of this kind writes.
    #[error("{0}")]
    Corrupt(String),
}

/// A lease: the right to append. Dropping it gives it back.
pub trait Lease: Send + Sync + fmt::Debug {
    /// Who holds it.
    fn holder(&self) -> &Holder;
}

/// A place that keeps a stack's log.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Where it is, for messages, such as `file:///srv/infra/.stackkit`.
    fn describe(&self) -> String;
    /// Reads all of it. Takes no lease.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>>;
    /// Takes the lease, or says who has it.
    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>>;
    /// Appends one entry after the position that the caller read; durable on return.
    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>>;
    /// Replaces snapshot and entries by a snapshot that holds everything up to the position; durable on return.
    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>>;
    /// Ends a lease by its holder's id, also one of a dead process.
    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>>;
    /// Deletes everything of the stack.
    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>>;
}
