//! State of stacks in Azure Blob Storage: `azblob://ACCOUNT/CONTAINER/PREFIX`.
//!
//! ```sh
//! cargo run -- up --backend 'azblob://acmeinfra/states/orders?create=true'   # the first time: makes the container
//! cargo run -- up --backend azblob://acmeinfra/states/orders
//! ```
//!
//! | option of the URL | meaning | default |
//! |---|---|---|
//! | `create` | `true`: makes the container if it is not there, closed to the public | `false` |
//! | `credential` | `azure_cli` (after `az login`), `managed_identity`, `workload_identity`, `client_secret`, `access_key`, `sas_token` or `bearer_token` | the first that the environment has, see below |
//! | `endpoint` | where the account's containers are, if not at `https://ACCOUNT.blob.core.windows.net` | `AZURE_STORAGE_ENDPOINT` |
//! | `ttl` | how long a lock outlives a dead process, such as `30s` | `30s` |
//! | `keep` | how many folded states are kept for `state history` | `20` |
//! | `accept` | what the place may lack: `versioning`, `private-access`, separated by commas | nothing |
//!
//! | credential | variables of the environment |
//! |---|---|
//! | account key | `AZURE_STORAGE_ACCOUNT_KEY` |
//! | workload identity | `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_FEDERATED_TOKEN_FILE` |
//! | service principal | `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET` |
//! | shared access signature | `AZURE_STORAGE_SAS_TOKEN` |
//! | managed identity | where none of the above is set; `AZURE_CLIENT_ID` chooses one of several |
//!
//! The role `Storage Blob Data Contributor` on the container is enough; making it takes the role on the account.
//!
//! A container is refused before a stack's first lock is made in it when it is open to the public, or when the account
//! keeps no old versions of blobs, which the answer to a write tells. Soft delete is worth having beside that: versions
//! bring back what was overwritten or deleted, soft delete the container itself. Locks are rewritten every few seconds of
//! a run: let a rule of the account's lifecycle management delete versions below `CONTAINER/PREFIX/locks/` after a day, and
//! those below `CONTAINER/PREFIX/stacks/` after, say, 90. Blob Storage always encrypts what it stores.
//!
//! The log and its lock are those of [`stackkit::state::objects`]; Blob Storage judges the conditions of their writes
//! (`If-None-Match: *`, `If-Match`).

mod access;
mod client;
mod clock;
mod container;
mod url;

use std::sync::Arc;

use object_store::azure::MicrosoftAzureBuilder;
use stackkit::state::backend::BackendError;
use stackkit::state::objects::ObjectPlace;
use stackkit::state::place::{BackendKind, BackendUrl, Place};

use client::Client;

/// `azblob://ACCOUNT/CONTAINER/PREFIX`: the kind of backend, for `#[stackkit::main(backends(…))]`.
#[derive(Debug, Clone, Copy)]
pub struct AzureBlobState;

impl BackendKind for AzureBlobState {
    const SCHEMES: &'static [&'static str] = &["azblob"];

    async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        Self::with_builder(&url, MicrosoftAzureBuilder::from_env())
    }
}

impl AzureBlobState {
    /// The same with a builder of one's own, for its credentials. Account, container and transport are set here.
    ///
    /// # Errors
    /// When the URL is none of Blob Storage, or an option of it makes no sense.
    pub fn with_builder(url: &BackendUrl, builder: MicrosoftAzureBuilder) -> Result<Arc<dyn Place>, BackendError> {
        let options = url::Options::read(url)?;
        let settings = options.settings;
        Ok(Arc::new(ObjectPlace::new(Arc::new(Client::open(url, options, builder)?), settings)))
    }
}
