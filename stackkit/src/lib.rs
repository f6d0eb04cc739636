//! Infrastructure as code as an ordinary Rust library.

// The macros name this crate by `::stackkit`, within it too.
extern crate self as stackkit;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod access;
mod apply;
pub mod audit;
mod catalog;
pub mod check;
pub mod cli;
mod clock;
pub mod component;
mod config;
pub mod connections;
pub mod context;
mod declaration;
pub mod diagnostic;
mod digest;
pub mod durations;
pub mod engine;
mod ephemeral;
pub mod error;
pub mod event;
pub mod foreign;
pub mod graph;
pub mod hook;
#[cfg(test)]
mod hostile;
mod ids;
pub mod input;
pub mod local;
pub mod lookup;
mod nearest;
mod options;
pub mod output;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod parsers;
pub mod plan;
pub mod policy;
pub mod prelude;
mod program;
pub mod property;
pub mod provider;
mod read;
mod recover;
mod refresh;
pub mod resource;
mod saved;
pub mod schema;
mod scrub;
pub mod seal;
mod secret;
pub mod stack;
pub mod state;
pub mod testing;
pub mod timeline;
pub mod transform;
pub mod types;
pub mod ui;
pub mod urn;
pub mod value;

pub use catalog::{Catalog, TypeEntry};
pub use component::{Component, Scope};
pub use context::Context;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use digest::Digest;
pub use ephemeral::Ephemeral;
pub use error::{Error, ErrorKind, ProviderError};
pub use hook::Hook;
pub use input::{Input, IntoInput};
pub use lookup::Lookup;
pub use options::{Guard, Options};
pub use output::{Output, join};
pub use program::{Program, ProgramError, Result};
pub use property::Property;
pub use provider::Provider;
pub use read::{Answered, Existing, LookUp, Reference};
pub use resource::{Created, Found, Intent, Managed, Ops, Outcome, Resource};
pub use secret::Secret;
pub use stack::{Handle, Stack};
pub use stackkit_macros::{Properties, cidr, json, lookup, main, program, resource, test, text};
pub use transform::Declaration;
pub use types::{CaselessText, Cidr, Id, Json, JsonPolicy, Set};
pub use urn::Urn;
pub use value::Value;
