//! Infrastructure as code as an ordinary Rust library.
//!
//! A program declares resources; `cargo run -- up` plans and applies them. Engine, local provider and command line are in
//! this crate; `stackkit-aws`, `stackkit-azure`, `stackkit-google`, `stackkit-k8s` and `stackkit-vault` are providers, and
//! they, `stackkit-postgres` and `stackkit-age` are places for states and kinds of keys.
//!
//! ```no_run
//! use stackkit::prelude::*;
//!
//! #[stackkit::main]
//! async fn site(stack: &mut Stack) -> Result<()> {
//!     let folder = stack.add("site", local::Directory::new("site").mode("0700"));
//!     let password = stack.add("admin", local::RandomPassword::new(24));
//!     // What is computed from a secret is one, and fits only where secrets may be.
//!     let users = text!("admin:{}\n", password.value);
//!     stack.add("users", local::SecretFile::new(text!("{}/users", folder.path), users));
//!     stack.output("password", &password.value);
//!     Ok(())
//! }
//! ```
//!
//! What programs import is in [`prelude`]. What a program can say:
//!
//! | module | what it holds |
//! |---|---|
//! | [`stack`] | [`Stack`], [`Handle`]: declaring resources, provider instances, outputs |
//! | [`component`], [`transform`], [`hook`], [`check`] | what is said of many resources, and what runs or holds around their steps |
//! | [`policy`] | what plans are held to |
//! | [`output`], [`input`], [`mod@types`] | references, what fits where, and values such as [`Cidr`] |
//! | [`local`] | files, random values, certificates and commands |
//! | [`testing`] | the engine on a mocked cloud, for `cargo test`, and trials of backends |
//!
//! What a provider, a backend or a kind of key implements:
//!
//! | module | what it holds |
//! |---|---|
//! | [`provider`], [`mod@resource`], [`mod@lookup`], [`property`], [`schema`] | types of resources, and what answers for them |
//! | [`context`], [`error`] | what a call knows and says, and how it fails |
//! | [`foreign`] | what resources of other tools become |
//! | [`state`] | where states are kept, and what they hold |
//! | [`seal`] | keys, and what they seal |
//! | [`access`] | roles, and what makes stores enforce them |
//!
//! What a program that embeds the engine calls:
//!
//! | module | what it holds |
//! |---|---|
//! | [`engine`] | [`engine::Deployment`]: what each command does |
//! | [`plan`], [`diagnostic`] | plans, and everything that can be wrong |
//! | [`event`], [`ui`], [`timeline`], [`graph`] | what happens, and listeners that show it |
//! | [`audit`] | lines of the audit log |
//! | [`cli`] | the command line, to be flattened into another one |
//!
//! The crate has no features: a provider, a place for states or a kind of keys is a crate, or a feature of one, that the
//! program links by `#[stackkit::main(providers(…), backends(…), keys(…))]`.

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
mod stack_file;
pub mod state;
pub mod testing;
pub mod timeline;
pub mod transform;
pub mod types;
pub mod ui;
pub mod urn;
mod user;
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
