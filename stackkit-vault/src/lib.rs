//! Keys of HashiCorp Vault's and OpenBao's transit engine for the secrets of [StackKit](stackkit)'s stacks.
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
//! | `server` | [`Server`]: address and token |
//! | `transit` | [`Transit`] and [`TransitKey`]: wrapping and unwrapping |

mod server;
mod transit;

pub use server::Server;
pub use transit::{Transit, TransitKey};
