//! Google Cloud for [StackKit](stackkit): state of stacks in a bucket of Cloud Storage, keys of Cloud KMS for their
//! secrets, and secrets of Secret Manager, read and written.
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
//! | `keys` | [`CloudKms`], which wraps the data keys of stacks with a key of Cloud KMS | no |
//! | `secrets` | the provider [`Google`]: [`secretmanager::SecretValue`] reads a secret of Secret Manager, [`secretmanager::Secret`] writes one | no |
//! | `state` | [`GcsState`], which keeps the state of stacks in a bucket | no |
//!
//! A key that opens stacks, and a secret that is passed on:
//!
//! ```no_run
//! # #[cfg(all(feature = "keys", feature = "secrets"))] mod program {
//! use stackkit::prelude::*;
//! use stackkit_google::{CloudKms, Google, secretmanager};
//!
//! #[stackkit::main(providers(Google), keys(CloudKms))]
//! async fn shop(stack: &mut Stack) -> Result<()> {
//!     let card = stack.data("card", secretmanager::SecretValue::new("shop-card")); // read, and never kept
//!     stack.add("card", local::SecretFile::new("card", &card.value));
//!     let password = stack.add("db", local::RandomPassword::new(32));
//!     stack.add("db", secretmanager::Secret::new(&password.value).locations(["europe-west3", "europe-west4"]));
//!     Ok(())
//! }
//! # }
//! ```
//!
//! `secrets add google-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K` lets a key open a stack.
//!
//! Credentials come from Google's application default credentials alone: the file that `GOOGLE_APPLICATION_CREDENTIALS`
//! names, `gcloud auth application-default login`, a workload's identity, or the account of the machine. No setting takes
//! them, so none can end up in a file.
//!
//! State was tried against a server that stores objects. Keys and secrets were tried against answers written from the
//! documentation of the REST APIs of Cloud KMS and Secret Manager, given by a server on the same machine; nothing of them
//! has met the real services.

#[cfg(feature = "keys")]
mod access;
#[cfg(any(feature = "keys", feature = "secrets"))]
mod api;
#[cfg(any(feature = "keys", feature = "secrets", feature = "state"))]
mod error;
#[cfg(feature = "keys")]
mod key;
#[cfg(feature = "secrets")]
mod provider;
#[cfg(feature = "secrets")]
pub mod secretmanager;
#[cfg(any(feature = "keys", feature = "secrets", feature = "state"))]
mod session;
#[cfg(feature = "state")]
pub mod state;

#[cfg(any(feature = "keys", feature = "secrets", feature = "state"))]
pub use error::Error;
#[cfg(feature = "keys")]
pub use key::{CloudKms, CloudKmsKey};
#[cfg(feature = "secrets")]
pub use provider::{Google, Settings};
#[cfg(feature = "state")]
pub use state::GcsState;
