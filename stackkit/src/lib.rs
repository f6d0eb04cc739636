//! Infrastructure as code as an ordinary Rust library.

// The macros name this crate by `::stackkit`, within it too.
extern crate self as stackkit;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod context;
pub mod error;
pub mod input;
pub mod output;
pub mod property;
pub mod provider;
pub mod resource;
pub mod schema;
mod secret;
pub mod state;
pub mod types;
pub mod urn;
pub mod value;

pub use context::Context;
pub use error::{Error, ErrorKind, ProviderError};
pub use input::{Input, IntoInput};
pub use output::{Output, join};
pub use property::Property;
pub use provider::Provider;
pub use resource::{Created, Found, Intent, Managed, Ops, Outcome, Resource};
pub use secret::Secret;
pub use stackkit_macros::{Properties, cidr, main, program, resource, test, text};
pub use types::{CaselessText, Cidr, Id, Json, JsonPolicy, Set};
pub use urn::Urn;
pub use value::Value;
