//! State: what the engine knows of what it made, as a keyed set of records over an append-only log.

pub mod backend;
mod codec;
mod error;
#[cfg(any(test, fuzzing))]
mod forge;
mod format;
pub mod lease;
pub mod local;
mod lock;
pub mod memory;
pub mod model;
pub mod objects;
pub mod place;
mod records;
mod rename;
mod seen;
pub(crate) mod store;
pub(crate) mod unverified;
mod verify;

pub use error::StateError;
#[cfg(test)]
pub(crate) use forge::count_rescued;
#[cfg(any(test, fuzzing))]
pub(crate) use forge::{sign_entry, sign_record, sign_records};
pub(crate) use format::{add_code, audit_lines_of, split_code};
pub use local::{LocalBackend, LocalPlace};
pub use memory::{MemoryBackend, MemoryPlace};
pub use model::State;
pub(crate) use rename::renamed;
pub use seen::Seen;
pub use store::Store;
pub use verify::verify;
