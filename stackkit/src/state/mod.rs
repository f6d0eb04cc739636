//! State: what the engine knows of what it made, as a keyed set of records over an append-only log.

pub mod backend;
pub mod model;
