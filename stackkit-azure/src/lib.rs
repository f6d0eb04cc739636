//! Microsoft Azure for [StackKit](stackkit): state of stacks in a container of Blob Storage.
//!
//! ```no_run
//! # #[cfg(feature = "state")] mod program {
//! use stackkit::prelude::*;
//! use stackkit_azure::AzureBlobState;
//!
//! #[stackkit::main(backends(AzureBlobState))]
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
//! | `state` | [`AzureBlobState`], which keeps the state of stacks in a container | no |
//!
//! Credentials come from the environment, from the identity of the workload or machine, or from `az login`, as
//! [`state`] says. No setting takes them, so none can end up in a file.

#[cfg(feature = "state")]
pub mod state;

#[cfg(feature = "state")]
pub use state::AzureBlobState;
