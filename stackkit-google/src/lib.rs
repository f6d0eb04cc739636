//! Google Cloud for [StackKit](stackkit): state of stacks in a bucket of Cloud Storage.
//!
//! ```no_run
//! # #[cfg(feature = "state")] mod program {
//! use stackkit::prelude::*;
//! use stackkit_google::GcsState;
//!
//! #[stackkit::main(backends(GcsState))]
//! async fn orders(stack: &mut Stack) -> Result<()> {
//!     let id = stack.add("id", local::RandomId::new(4));
//!     stack.output("id", &id.hex);
//!     Ok(())
//! }
//! # }
//! ```
//!
//! | feature | what | default |
//! |---|---|---|
//! | `state` | [`GcsState`], which keeps the state of stacks in a bucket | no |
//!
//! Credentials come from Google's application default credentials alone: the file that `GOOGLE_APPLICATION_CREDENTIALS`
//! names, `gcloud auth application-default login`, a workload's identity, or the account of the machine. No setting takes
//! them, so none can end up in a file.

#[cfg(feature = "state")]
mod error;
#[cfg(feature = "state")]
mod session;
#[cfg(feature = "state")]
pub mod state;

#[cfg(feature = "state")]
pub use error::Error;
#[cfg(feature = "state")]
pub use state::GcsState;
