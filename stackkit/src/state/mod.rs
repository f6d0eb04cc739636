//! State: what the engine knows of what it made, as a keyed set of records over an append-only log.

pub mod backend;
mod codec;
mod error;
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
pub(crate) mod store;
pub(crate) mod unverified;
mod verify;

pub use error::StateError;
pub(crate) use format::{add_code, audit_lines_of, split_code};
pub use local::{LocalBackend, LocalPlace};
pub use memory::{MemoryBackend, MemoryPlace};
pub use model::State;
pub(crate) use rename::renamed;
pub use store::Store;
pub use verify::verify;
