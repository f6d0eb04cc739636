//! HashiCorp Vault and OpenBao for [StackKit](stackkit): secrets of the KV engine, read and written, and keys of the transit
//! engine for the secrets of stacks.
//!
//! ```no_run
//! use stackkit::prelude::*;
//! use stackkit_vault::{Vault, kv};
//!
//! #[stackkit::main(providers(Vault))]
//! async fn shop(stack: &mut Stack) -> Result<()> {
//!     let card = stack.data("card", kv::SecretValue::new("shop/card").field("key")); // read, and never kept
//!     let password = stack.add("db", local::RandomPassword::new(32));
//!     stack.add("db", kv::Secret::new([("password", &password.value)]).path("shop/db"));
//!     stack.add("card", local::SecretFile::new("card", &card.value));
//!     Ok(())
//! }
//! ```
//!
//! A key that opens stacks:
//!
//! ```no_run
//! use stackkit::prelude::*;
//! use stackkit_vault::Transit;
//!
//! #[stackkit::main(keys(Transit))]
//! async fn shop(stack: &mut Stack) -> Result<()> {
//!     let password = stack.add("db", local::RandomPassword::new(32));
//!     stack.output("password", &password.value);
//!     Ok(())
//! }
//! ```
//!
//! `secrets add vault:transit/infra` lets the key `infra` of the engine mounted at `transit` open a stack. Where the
//! server is and who asks comes from the environment, never from a file that somebody else may have edited:
//!
//! | what | where it is looked for |
//! |---|---|
//! | address | `BAO_ADDR`, `VAULT_ADDR` |
//! | token | `BAO_TOKEN`, `VAULT_TOKEN`, `~/.vault-token` |
//! | namespace | `BAO_NAMESPACE`, `VAULT_NAMESPACE` |
//! | certificate authority | `BAO_CACERT`, `VAULT_CACERT` |
//!
//! Opening takes `update` on `MOUNT/decrypt/KEY`; wrapping takes `update` on `MOUNT/encrypt/KEY` and `read` on
//! `MOUNT/keys/KEY`.
//!
//! | module | what it holds |
//! |---|---|
//! | `provider` | [`Vault`], the provider `vault`, and its [`Settings`] |
//! | [`kv`] | secrets of the KV engine: [`kv::SecretValue`] reads, [`kv::Secret`] writes |
//! | `error` | [`Error`], with the kind by which the engine decides what is next |
//! | `server` | [`Server`]: address and token |
//! | `transit` | [`Transit`] and [`TransitKey`]: wrapping and unwrapping |

mod error;
pub mod kv;
mod provider;
mod server;
mod transit;

pub use error::Error;
pub use provider::{Settings, Vault};
pub use server::Server;
pub use transit::{Transit, TransitKey};
