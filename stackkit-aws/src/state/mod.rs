//! State of stacks in S3: `s3://BUCKET/PREFIX`.
//!
//! ```sh
//! cargo run -- up --backend 's3://acme-infrastructure/orders?create=true'   # the first time: makes the bucket
//! cargo run -- up --backend s3://acme-infrastructure/orders
//! ```
//!
//! | option of the URL | meaning | default |
//! |---|---|---|
//! | `region`, `profile`, `endpoint` | as for the provider | `AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` |
//! | `create` | `true`: makes the bucket if it is not there, encrypted, versioned and closed | `false` |
//! | `kms_key` | ARN of the KMS key that objects are encrypted with | the bucket's own encryption |
//! | `ttl` | how long a lock outlives a dead process, such as `30s` | `30s` |
//! | `keep` | how many folded states are kept for `state history` | `20` |
//! | `accept` | what the bucket may lack: `encryption`, `versioning`, `public-access-block`, separated by commas | nothing |
//!
//! A bucket is refused before a stack's first lock is made in it when it does not encrypt what it stores, keeps no old
//! versions, or may be opened to the public. One that `create` makes deletes old versions below `PREFIX/locks/` after a
//! day and those below `PREFIX/stacks/` after 90; what is not old stays.
//!
//! The permissions needed are those that `access` prints for each role. The log and its lock are those of
//! [`stackkit::state::objects`]; S3 judges the conditions of their writes.

mod access;
mod bucket;
mod client;
mod url;

use std::sync::Arc;

use stackkit::state::backend::BackendError;
use stackkit::state::objects::ObjectPlace;
use stackkit::state::place::{BackendKind, BackendUrl, Place};

use client::Client;

/// `s3://BUCKET/PREFIX`: the kind of backend, for `#[stackkit::main(backends(…))]`.
#[derive(Debug, Clone, Copy)]
pub struct S3State;

impl BackendKind for S3State {
    const SCHEMES: &'static [&'static str] = &["s3"];

    async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        let options = url::Options::read(&url)?;
        Ok(place(Client::connect(&url, options).await))
    }
}

impl S3State {
    /// The same with a configuration of one's own: credentials, endpoint, transport. The URL's options for those count
    /// for nothing then.
    ///
    /// # Errors
    /// When the URL is none of S3, or an option of it makes no sense.
    pub fn with_config(url: &BackendUrl, config: &aws_config::SdkConfig) -> Result<Arc<dyn Place>, BackendError> {
        let options = url::Options::read(url)?;
        Ok(place(Client::new(url, options, config)))
    }
}

fn place(client: Client) -> Arc<dyn Place> {
    let settings = client.options().settings;
    Arc::new(ObjectPlace::new(Arc::new(client), settings))
}
