//! State of stacks in Google Cloud Storage: `gs://BUCKET/PREFIX`.
//!
//! ```sh
//! cargo run -- up --backend 'gs://acme-infrastructure/orders?create=true&project=acme'   # the first time: makes the bucket
//! cargo run -- up --backend gs://acme-infrastructure/orders
//! ```
//!
//! | option of the URL | meaning | default |
//! |---|---|---|
//! | `create` | `true`: makes the bucket if it is not there, versioned and closed | `false` |
//! | `project` | the project that a bucket is made in | `GOOGLE_CLOUD_PROJECT` |
//! | `location` | where a bucket is made, such as `europe-west3` | Google's, `US` |
//! | `endpoint` | a server other than Google's; one that begins with `http://` is sent no credentials | `STORAGE_EMULATOR_HOST` |
//! | `ttl` | how long a lock outlives a dead process, such as `30s` | `30s` |
//! | `keep` | how many folded states are kept for `state history` | `20` |
//! | `accept` | what the bucket may lack: `versioning`, `uniform-access`, `public-access-prevention`, separated by commas | nothing |
//!
//! A bucket is refused before a stack's first lock is made in it when it keeps no old versions, when its objects may have
//! access lists of their own, or when it does not itself enforce public access prevention (a policy of the organisation is
//! not seen). Cloud Storage always encrypts what it stores. A bucket that `create` makes deletes old versions below
//! `PREFIX/locks/` after a day and those below `PREFIX/stacks/` after 90; what is not old stays.
//!
//! The permissions needed are those of the role `roles/storage.objectUser`, and `storage.buckets.get`; making a bucket
//! takes `storage.buckets.create` too.
//!
//! The log and its lock are those of [`stackkit::state::objects`]. Writes are multipart uploads of the JSON API under
//! `ifGenerationMatch`; reads are the XML API's, whose one answer has an object's bytes, generation and metadata. Cloud
//! Storage takes one write a second of one object, which a lock that is taken and given back at once waits for.

mod bucket;
mod client;
mod url;

use std::sync::Arc;

use stackkit::state::backend::BackendError;
use stackkit::state::objects::ObjectPlace;
use stackkit::state::place::{BackendKind, BackendUrl, Place};

use client::Client;

/// `gs://BUCKET/PREFIX`: the kind of backend, for `#[stackkit::main(backends(…))]`.
#[derive(Debug, Clone, Copy)]
pub struct GcsState;

impl BackendKind for GcsState {
    const SCHEMES: &'static [&'static str] = &["gs"];

    async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        let options = url::Options::read(&url)?;
        let settings = options.settings;
        Ok(Arc::new(ObjectPlace::new(Arc::new(Client::open(&url, options)?), settings)))
    }
}
