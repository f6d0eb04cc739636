//! Microsoft Azure for [StackKit](stackkit): state of stacks in a container of Blob Storage, keys of Key Vault for their
//! secrets, and secrets of Key Vault, read and written.
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
//! | `keys` | [`KeyVault`], which wraps the data keys of stacks with a key of Key Vault or of a managed HSM | no |
//! | `secrets` | the provider [`Azure`]: [`keyvault::SecretValue`] reads a secret of Key Vault, [`keyvault::Secret`] writes one | no |
//! | `state` | [`AzureBlobState`], which keeps the state of stacks in a container | no |
//!
//! A key that opens stacks, and a secret that is passed on:
//!
//! ```no_run
//! # #[cfg(all(feature = "keys", feature = "secrets"))] mod program {
//! use stackkit::prelude::*;
//! use stackkit_azure::{Azure, KeyVault, keyvault};
//!
//! #[stackkit::main(providers(Azure), keys(KeyVault))]
//! async fn shop(stack: &mut Stack) -> Result<()> {
//!     let vault = "https://acme.vault.azure.net";
//!     let card = stack.data("card", keyvault::SecretValue::new(vault, "card")); // read, and never kept
//!     stack.add("card", local::SecretFile::new("card", &card.value));
//!     let password = stack.add("db", local::RandomPassword::new(32));
//!     stack.add("db", keyvault::Secret::new(vault, &password.value).content_type("text/plain"));
//!     Ok(())
//! }
//! # }
//! ```
//!
//! `secrets add azure-key-vault:https://acme.vault.azure.net/keys/infra` lets the key `infra` open a stack.
//!
//! # Credentials
//!
//! No setting takes them, so none can end up in a file. [`state`] says where those of Blob Storage come from. Those of keys
//! and secrets come from the first of these places that has some, as with the `DefaultAzureCredential` of Azure's other
//! SDKs:
//!
//! | place | what is looked at |
//! |---|---|
//! | service principal | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` |
//! | workload identity | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE` |
//! | managed identity | a machine, container or function of Azure; `AZURE_CLIENT_ID` chooses one of several |
//! | Azure CLI | `az login` |
//! | Azure Developer CLI | `azd auth login` |
//!
//! `AZURE_TOKEN_CREDENTIALS` narrows that down: `prod` (the first three), `dev` (the tools), or the name of one, such as
//! `AzureCliCredential`. What the environment sets up in full is meant: where it fails, the places after it are not tried.
//! Tokens go to vaults below Azure's own domains alone.
//!
//! # What was tried
//!
//! State was tried against a server that stores blobs. Keys and secrets were tried against answers written from the
//! documentation of Key Vault's REST API, given to the SDK in the place of its network; nothing of them has met the real
//! service.

#[cfg(feature = "keys")]
mod access;
#[cfg(any(feature = "keys", feature = "secrets"))]
mod answer;
#[cfg(any(feature = "keys", feature = "secrets"))]
mod credential;
#[cfg(feature = "secrets")]
mod error;
#[cfg(feature = "keys")]
mod key;
#[cfg(feature = "secrets")]
pub mod keyvault;
#[cfg(feature = "secrets")]
mod provider;
#[cfg(feature = "state")]
pub mod state;
#[cfg(any(feature = "keys", feature = "secrets"))]
mod vault;

#[cfg(feature = "secrets")]
pub use error::Error;
#[cfg(feature = "keys")]
pub use key::{KeyVault, KeyVaultKey};
#[cfg(feature = "secrets")]
pub use provider::Azure;
#[cfg(feature = "state")]
pub use state::AzureBlobState;

/// How often a request is sent again, and for how long: the engine tries again by itself.
#[cfg(any(feature = "keys", feature = "secrets"))]
fn client_options() -> azure_core::http::ClientOptions {
    use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions};
    use azure_core::time::Duration;

    let again = ExponentialRetryOptions {
        max_retries: 3,
        max_total_elapsed: Duration::seconds(30),
        ..ExponentialRetryOptions::default()
    };
    ClientOptions { retry: RetryOptions::exponential(again), ..ClientOptions::default() }
}
