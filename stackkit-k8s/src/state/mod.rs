//! State of stacks in Kubernetes: `k8s://NAMESPACE`.
//!
//! ```sh
//! kubectl create namespace infra-state
//! cargo run -- up --backend k8s://infra-state
//! kubectl -n infra-state get leases                                   # who is at work, and since when
//! kubectl -n infra-state get secrets -L stackkit.dev/state
//! ```
//!
//! | option of the URL | meaning | default |
//! |---|---|---|
//! | `context` | the context of the kubeconfig | the current one |
//! | `kubeconfig` | path of the kubeconfig, from the stack's folder | `KUBECONFIG`, else `~/.kube/config`, else the pod's service account |
//! | `ttl` | how long a lock outlives a dead process, such as `30s` | `30s` |
//! | `keep` | how many folded states are kept for `state history` | `5` |
//!
//! The log of a stack is Secrets, its lock a Lease. Entries and folded states are Secrets that are created and never
//! changed, so that the API server refuses the second of two writers; what a Secret cannot hold (1 MiB) is several of
//! them, which count from the moment when the first one is marked whole. A namespace of its own is best: who may list
//! Secrets there reads all of them.
//!
//! | object | name | label |
//! |---|---|---|
//! | an entry | `stackkit-<stack>.log.<N>` | `stackkit.dev/state: <stack>` |
//! | a folded state | `stackkit-<stack>.snap.<N>-<P>` | `stackkit.dev/state: <stack>` |
//! | lines of the audit log | `stackkit-<stack>.audit.<E>.<F>-<L>` | `stackkit.dev/state: <stack>` |
//! | a part of any of these | its name, `.<uid>.<number>` | `stackkit.dev/state-part: <stack>` |
//! | one whose parts are still being written | its name | `stackkit.dev/state-begun: <stack>` |
//! | the lock, a Lease | `stackkit-<stack>` | `stackkit.dev/state-lock: <stack>` |
//!
//! Capitals, `_` and `.` of a stack's name are `--` and two hexadecimal digits there; the annotation `stackkit.dev/key`
//! has it as it is. `access` prints the Role that each of the three roles of people takes.

mod access;
mod lock;
mod names;
mod secrets;
mod store;
mod url;

use std::sync::Arc;

use stackkit::state::backend::BackendError;
use stackkit::state::objects::ObjectPlace;
use stackkit::state::place::{BackendKind, BackendUrl, Place};

use store::Store;

/// `k8s://NAMESPACE`: the kind of backend, for `#[stackkit::main(backends(…))]`.
#[derive(Debug, Clone, Copy)]
pub struct KubernetesState;

impl BackendKind for KubernetesState {
    const SCHEMES: &'static [&'static str] = &["k8s"];

    async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        let options = url::Options::read(&url)?;
        let settings = options.settings;
        let store = Store::connect(&url, options).await?;
        Ok(Arc::new(ObjectPlace::new(Arc::new(store), settings)))
    }
}
