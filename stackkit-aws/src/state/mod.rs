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
//! What makes it safe are conditional writes: entry *n* of a log is an object that is put only if it is not there. A
//! writer that takes over a lock first puts an empty object where the writer before would append, so that its next append
//! is refused by S3 itself.

mod bucket;
mod client;
mod lock;
mod log;
mod url;

use std::collections::BTreeSet;
use std::sync::Arc;

use stackkit::context::BoxFuture;
use stackkit::state::backend::{Backend, BackendError, check_stack_name};
use stackkit::state::place::{BackendKind, BackendUrl, Place};

use client::Client;
use log::{Log, parse_key};

/// `s3://BUCKET/PREFIX`: the kind of backend, for `#[stackkit::main(backends(…))]`.
#[derive(Debug, Clone, Copy)]
pub struct S3State;

impl BackendKind for S3State {
    const SCHEMES: &'static [&'static str] = &["s3"];

    async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        let options = url::Options::read(&url)?;
        Ok(Arc::new(Bucket(Client::connect(&url, options).await)))
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
        Ok(Arc::new(Bucket(Client::new(url, options, config))))
    }
}

/// A bucket with the states of stacks under a prefix.
#[derive(Debug)]
struct Bucket(Client);

impl Place for Bucket {
    fn describe(&self) -> String {
        self.0.place().to_owned()
    }

    fn stack(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        check_stack_name(name)?;
        Ok(Arc::new(Log::new(self.0.clone(), name)))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, BackendError>> {
        Box::pin(async move {
            let prefix = self.0.key("stacks/");
            let mut names = BTreeSet::new();
            for object in self.0.list(&prefix).await? {
                let Some((name, rest)) = object.key.strip_prefix(&prefix).and_then(|key| key.split_once('/')) else {
                    continue;
                };
                // Of a deleted stack, only what keeps old writers out is left.
                if parse_key(rest).is_some_and(|kind| kind.is_content(object.size)) {
                    names.insert(name.to_owned());
                }
            }
            Ok(names.into_iter().collect())
        })
    }
}
