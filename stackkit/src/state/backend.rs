//! `Backend`: where a stack's log is kept. A backend stores bytes; it knows nothing of records or keys.
//!
//! What every backend has to hold to, and how one is written and tried, stands at [`crate::testing::backend`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access::{Grant, Role};
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

impl Loaded {
    /// Whether there is no state: neither a folded one nor an entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.entries.is_empty()
    }
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

/// A folded state that a backend has kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// What [`Backend::load_version`] takes.
    pub id: String,
    /// The position that it holds everything up to.
    pub position: Position,
    /// When it was written by the store's clock, in seconds since 1970; `None` where the store does not say.
    pub at: Option<u64>,
    /// Its size in bytes, where the store knows it without reading it.
    pub size: Option<u64>,
}

/// What can go wrong with a backend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Somebody else holds the lease.
    #[error("the stack is locked by {} (process {}) for `{}`: wait for it to end, or, if it is dead, run `state unlock {}`", .0.who, .0.pid, .0.operation, .0.id)]
    Locked(Box<Holder>),
    /// Somebody else holds a lease that ends by itself when nobody renews it.
    #[error("the stack is locked by {} (process {}) for `{}`: wait for it to end; if it is dead, its lock ends by itself within {} s, or at once by `state unlock {}`", holder.who, holder.pid, holder.operation, within.as_secs().max(1), holder.id)]
    Leased {
        /// Who.
        holder: Box<Holder>,
        /// When the lease ends at the latest, if it is not renewed.
        within: Duration,
    },
    /// This writer held the lease and holds it no more: it expired and somebody else took it, or it was unlocked.
    #[error("this run lost its lock{}: nothing more is written and nothing more is called; run the command again", taken_by(.0.as_deref()))]
    Lost(Option<Box<Holder>>),
    /// The place cannot be used as it is; the message says what to do.
    #[error("{0}")]
    Unfit(String),
    /// The store lets whoever asks do less than that.
    #[error("cannot {what} {place}: {source}; run `access` to see which rights that takes")]
    Denied {
        /// What was attempted.
        what: &'static str,
        /// The file, bucket or table.
        place: String,
        /// The store's words.
        source: std::io::Error,
    },
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

fn taken_by(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| {
        format!(" to {} (process {}, `{}`)", holder.who, holder.pid, holder.operation)
    })
}

impl BackendError {
    /// An error of a service or of its client.
    pub fn service(
        what: &'static str,
        place: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Io { what, place: place.into(), source: std::io::Error::other(source) }
    }

    /// A refusal of a store, because of who asks.
    pub fn denied(
        what: &'static str,
        place: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Denied { what, place: place.into(), source: std::io::Error::other(source) }
    }

    /// Whether the store refused it because of who asks.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// What [`Backend::unlock`] answers when the stack is not held under that id.
    pub fn no_such_lock(id: &str, holder: Option<&Holder>) -> Self {
        super::lock::not_that_lock(id, holder)
    }

    /// Whether somebody else holds the lease.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked(_) | Self::Leased { .. })
    }
}

/// The position that a snapshot holds everything up to, by its first bytes; `None` where it is none.
pub fn snapshot_position(snapshot: &[u8]) -> Option<Position> {
    super::format::snapshot_position(snapshot).map(Position)
}

/// That a stack's name may be part of a path or key: it leads nowhere else.
///
/// # Errors
/// When it holds anything but letters, digits, `-`, `_` and `.`, or begins with a `.`.
pub fn check_stack_name(name: &str) -> Result<(), BackendError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(BackendError::Unfit(format!(
            "`{}` cannot be the name of a stack: use letters, digits, `-`, `_` and `.`, and no `.` in front",
            name.escape_debug()
        )));
    }
    Ok(())
}

/// A lease: the right to append. Dropping it gives it back.
pub trait Lease: Send + Sync + fmt::Debug {
    /// Who holds it.
    fn holder(&self) -> &Holder;

    /// That it is still held, which is asked before every call of a provider. Costs nothing while the lease is fresh by
    /// this process's own clock; after that the store is asked. A lock that cannot expire is always held.
    ///
    /// # Errors
    /// [`BackendError::Lost`] when it is not, and whatever keeps the store from telling.
    fn confirm(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Lines of the audit log that are kept together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPart {
    /// The number of the first line.
    pub first: u64,
    /// The number of the last line.
    pub last: u64,
    /// The lines, each ended by a line feed.
    pub text: String,
}

/// Where lines of a stack's audit log are kept, apart from its state: they outlive it.
///
/// The lines of a part are in the stack's log already when it is kept, so a writer that lost its lock keeps nothing that
/// is not so. A crash may come between this and the fold that empties the journal; the next part then begins with the
/// same lines again.
pub trait AuditStore: Send + Sync {
    /// Keeps lines of the stack with this lineage beside those that are there; durable on return. Nothing that is there
    /// is ever changed. What is there already just as it is given may be kept once more or not.
    fn keep_audit<'a>(
        &'a self,
        lease: &'a dyn Lease,
        lineage: &'a str,
        part: &'a AuditPart,
    ) -> BoxFuture<'a, Result<(), BackendError>>;

    /// The texts of the parts that are there of the stack with this lineage, in the order of their first lines, and of
    /// their last ones where these are the same. Parts that end before line `from` may be left out.
    fn load_audit<'a>(&'a self, lineage: &'a str, from: u64) -> BoxFuture<'a, Result<Vec<String>, BackendError>>;
}

/// A place that keeps the log of one stack.
///
/// - `append` and `compact` by anybody but the present holder fail, whatever that writer believes: the store refuses
///   them, not the writer's clock.
/// - A position only grows. An append that failed may have been kept all the same, if its answer was lost; the backend
///   finds that out by reading again, and only reports a failure when it cannot.
/// - An entry is one line of JSON text and a snapshot is text; both are to be kept byte for byte.
/// - A load sees one moment: never a snapshot with entries that do not follow it.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Where it is, for messages, such as `file:///srv/infra/.stackkit`. Passwords of its URL are not in it.
    fn describe(&self) -> String;
    /// Reads all of it. Takes no lease. Nothing there is an empty log.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>>;
    /// Takes the lease, or says who has it. One that has expired is taken over.
    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>>;
    /// Appends one entry after the position that the caller read; durable on return.
    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>>;
    /// Replaces snapshot and entries by a snapshot that holds everything up to the position; durable on return. Into an
    /// empty log a snapshot of any position may be put: the log goes on from [`snapshot_position`].
    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>>;
    /// Ends a lease by its holder's id, also one of a dead process. Whoever held it cannot write any more.
    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>>;
    /// Deletes everything of the stack.
    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Where lines of the audit log are kept for good; `None` where the place has no room for them, and no audit log is
    /// written then.
    fn audit(&self) -> Option<&dyn AuditStore> {
        None
    }

    /// What makes the store let somebody do what a role does with this stack, and no more; `None` where nothing is known
    /// of that. Nothing is asked of the store.
    fn access(&self, role: Role) -> Option<Grant> {
        let _ = role;
        None
    }

    /// Where beside the log a run keeps, sealed, what it could not append; `None` for the folder of local states.
    fn rescue_path(&self) -> Option<PathBuf> {
        None
    }

    /// The folded states that are kept, newest first. None where the place keeps no old ones.
    fn history(&self) -> BoxFuture<'_, Result<Vec<Version>, BackendError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// One of the folded states of [`Backend::history`].
    fn load_version<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Vec<u8>, BackendError>> {
        let error = BackendError::Unfit(format!(
            "{} keeps no old versions: use version control or backups of it",
            self.describe()
        ));
        let _ = id;
        Box::pin(std::future::ready(Err(error)))
    }
}
