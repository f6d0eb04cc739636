//! Keys of [age](https://age-encryption.org) and of SSH for the secrets of [StackKit](stackkit)'s stacks: each person and
//! each CI system has a key pair of their own, and a stack opens with the private half of any key that it lists.
//!
//! ```no_run
//! use stackkit::prelude::*;
//! use stackkit_age::Age;
//!
//! #[stackkit::main(keys(Age))]
//! async fn shop(stack: &mut Stack) -> Result<()> {
//!     let password = stack.add("db", local::RandomPassword::new(32));
//!     stack.output("password", &password.value);
//!     Ok(())
//! }
//! ```
//!
//! `secrets add age:age1…`, `secrets add "age:ssh-ed25519 AAAA… ada@laptop"` and `secrets add age:FILE`, with a file of
//! such lines, let more keys open a stack. The private keys are looked for in this order, and all that are there are tried:
//!
//! | where | what |
//! |---|---|
//! | `STACKKIT_AGE_IDENTITY` | the text of private keys, for CI |
//! | `STACKKIT_AGE_IDENTITY_FILE` | a file of them |
//! | `$XDG_CONFIG_HOME/stackkit/age.txt`, or `~/.config/stackkit/age.txt` | what `age-keygen` writes |
//! | `~/.ssh/id_ed25519`, `~/.ssh/id_rsa` | SSH keys that no passphrase protects |
//!
//! | module | what it holds |
//! |---|---|
//! | `identity` | [`Identities`]: the private keys at hand |
//! | `recipient` | [`Recipient`]: public keys as people write them |
//! | `key` | [`Age`] and [`AgeKey`]: wrapping and unwrapping |

#[cfg(test)]
mod hostile;
mod identity;
mod key;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod parsers;
mod recipient;

pub use identity::{Identities, OpenError};
pub use key::{Age, AgeKey};
pub use recipient::Recipient;
