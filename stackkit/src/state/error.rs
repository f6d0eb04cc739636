//! `StateError`: what can be wrong with a stored state. Each kind of damage has its own message, which names the place
//! and a way out.

use super::backend::BackendError;
use crate::seal::SealError;

/// An error of the state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The backend failed, or somebody else holds the stack.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A value does not open, or cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A newer program wrote it.
    #[error("{place} has format version {found}, and this program knows versions up to {known}: use a newer program")]
    Newer {
        /// What was read.
        place: String,
        /// Its version.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// It belongs to another stack.
    #[error(
        "{place} belongs to another stack: its lineage is {found}, that of the [seal] header is {expected}; put the stack's own file there, or use the header that belongs to it"
    )]
    ForeignLineage {
        /// What was read.
        place: String,
        /// Its lineage.
        found: String,
        /// The lineage of the stack.
        expected: String,
    },
    /// It was written with another data key.
    #[error(
        "{place} was written with data key {found}, and the [seal] header holds {expected}: bring state and header from the same version, such as by pulling what `secrets rotate` changed"
    )]
    ForeignKey {
        /// What was read.
        place: String,
        /// The id of its data key.
        found: String,
        /// The id of the stack's data key.
        expected: String,
    },
    /// It is sealed as a whole, and was read without a key.
    #[error("{place} is sealed as a whole: without a key of the stack nothing of it can be read")]
    SealedWhole {
        /// What was read.
        place: String,
    },
    /// The end is missing.
    #[error("{place} is cut short: restore it from version control or a backup")]
    Truncated {
        /// What was read.
        place: String,
    },
    /// It is no text of the format.
    #[error("{place} cannot be read: {detail}; it was edited or damaged: restore it from version control or a backup")]
    Malformed {
        /// What was read.
        place: String,
        /// Where and why reading stopped.
        detail: String,
    },
    /// The head of a snapshot does not fit its code.
    #[error("the head of {place} was edited: restore it from version control or a backup")]
    HeadEdited {
        /// What was read.
        place: String,
    },
    /// A record does not fit its code.
    #[error("record {record} in {place} was edited: restore it from version control or a backup")]
    RecordEdited {
        /// What was read.
        place: String,
        /// Key and, for a resource, URN of the record.
        record: String,
    },
    /// Records stand twice, or not in their order.
    #[error(
        "record {record} in {place} stands twice or out of order: restore the file from version control or a backup"
    )]
    RecordOrder {
        /// What was read.
        place: String,
        /// Key of the record.
        record: String,
    },
    /// The records are each whole, but together are not the set that was written.
    #[error(
        "the records in {place} are not the set that was written: some are missing, added or of an older version; restore the file from version control or a backup"
    )]
    SetEdited {
        /// What was read.
        place: String,
    },
    /// Journal entries are missing.
    #[error(
        "{place} lacks entries: {expected} should follow, and {found} does; restore snapshot and journal from the same moment"
    )]
    EntriesMissing {
        /// What was read.
        place: String,
        /// The entry that should come.
        expected: u64,
        /// The entry that comes.
        found: u64,
    },
    /// A journal entry stands twice or too late.
    #[error("entry {found} stands twice or out of order in {place}: restore snapshot and journal from the same moment")]
    EntryRepeated {
        /// What was read.
        place: String,
        /// The entry.
        found: u64,
    },
    /// A journal entry does not fit its code.
    #[error("{place} was edited: restore snapshot and journal from the same moment")]
    EntryEdited {
        /// The entry.
        place: String,
    },
    /// A journal entry was written after another state than the one before it.
    #[error(
        "{place} follows another state than the one before it: snapshot and journal are not from the same moment, or two copies of the state went different ways; keep one, and restore both files of it together"
    )]
    Diverged {
        /// The entry.
        place: String,
    },
    /// The state went back while this run looked at it.
    #[error("the state went back from position {before} to {now} while this run looked at it: run the command again")]
    WentBack {
        /// The position that was read first.
        before: u64,
        /// The position now.
        now: u64,
    },
    /// The state is older than what this machine has seen of it.
    #[error(
        "the state in {place} went back: this machine has seen it at position {seen}, and it is at {now}; restore the newer one, say with `--backend` where it is, or run `state accept` if the older one is meant"
    )]
    RolledBack {
        /// Where it is.
        place: String,
        /// The position that was seen.
        seen: u64,
        /// The position now.
        now: u64,
    },
    /// The state is not a later one of what this machine has seen.
    #[error(
        "the state in {place} is not the one that this machine has seen: what it held at position {position} is something else now, so two copies of it went different ways; restore the other one, or run `state accept` if this one is meant"
    )]
    OtherHistory {
        /// Where it is.
        place: String,
        /// The position at which both were.
        position: u64,
    },
    /// A write without the lease.
    #[error("the state is not locked by this run: nothing is written without the lock")]
    NotLocked,
    /// The records contradict each other.
    #[error("the state contradicts itself: {}", .0.join("; "))]
    Integrity(Vec<String>),
    /// What a rescue file changes was changed otherwise since.
    #[error(
        "the rescue file {place} cannot be merged, because the state has moved on for {records}: `refresh` sees what is real; keep the file until it agrees"
    )]
    RescueConflict {
        /// The file.
        place: String,
        /// The keys of the records.
        records: String,
    },
}
