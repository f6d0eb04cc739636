//! Kubernetes objects as resources of a StackKit program: typed, applied on the server, and waited for.
//!
//! | module | what it holds |
//! |---|---|
//! | [`core`], [`apps`], … | the objects of an API group, one feature each |
//! | [`meta`] | what all objects share |
//! | [`Manifest`] | an object of any other kind |
//! | [`Kubernetes`] | the provider and its [`Settings`] |
//! | [`state`] | state of stacks in Secrets and Leases (feature `state`) |
//! | [`Error`] | what can go wrong |
//!
//! Objects and their parts take literals and outputs of other resources alike, at every depth; what is not known yet
//! leaves the rest of an object known.
//!
//! ```
//! use stackkit::prelude::*;
//! use stackkit_k8s::{core::v1 as core, meta::v1 as meta, Kubernetes};
//!
//! #[stackkit::program(providers(Kubernetes))]
//! async fn shop(stack: &mut Stack) -> Result<()> {
//!     let shop = stack.add("shop", core::Namespace::new());
//!     let settings = stack.add("settings", core::ConfigMap::new().namespace(&shop.name).data([("currency", "EUR")]));
//!     let pod = core::PodSpec::new([core::Container::new("web").image("registry.example/web:1").env_from([
//!         core::EnvFromSource::new().config_map_ref(core::ConfigMapEnvSource::new().name(&settings.name)),
//!     ])]);
//!     stack.add("web", core::Pod::new(pod).namespace(&shop.name));
//!     Ok(())
//! }
//! ```
//!
//! Names that are not given are made up by the engine and stay the same; a replacement gets a new one. What a program
//! applies is recorded under its field manager (`stackkit`), never by force: a field that somebody else set is an error
//! that names both. Creates and updates wait until workloads, claims and load balancers are ready, unless the object has
//! the annotation `stackkit.dev/wait: "false"` or the provider's setting `wait` is off.
//!
//! A secret fits where the API has secrets, in `data` and `string_data` of a [`core::v1::Secret`], and nowhere else:
//!
//! ```compile_fail
//! use stackkit::Secret;
//! use stackkit_k8s::core::v1::EnvVar;
//!
//! let password = Secret::new(String::from("…"));
//! EnvVar::new("PASSWORD").value(&password); // a `Secret<String>` does not fit a plain input of type `String`
//! ```
//!
//! | feature | what it holds | default |
//! |---|---|---|
//! | `core` | pods, services, config maps, secrets, namespaces, volumes, … | yes |
//! | `apps` | deployments, stateful sets, daemon sets, replica sets | yes |
//! | `batch` | jobs and cron jobs | yes |
//! | `rbac` | roles and their bindings | yes |
//! | `networking` | ingresses, network policies, … | yes |
//! | `admissionregistration`, `apiextensions`, `apiregistration`, `autoscaling`, `certificates`, `coordination`, `discovery`, `flowcontrol`, `node`, `policy`, `resource`, `scheduling`, `storage` | the group of that name | no |
//! | `state` | state of stacks in a namespace | no |

mod body;
mod client;
mod drift;
mod error;
mod foreign;
mod kind;
mod manifest;
mod mirror;
mod object;
mod pods;
mod provider;
mod registry;
mod replace;
mod scalar;
mod shape;
#[cfg(feature = "state")]
pub mod state;
mod validate;
mod wait;

pub use error::{Answer, Error, Reason};
pub use kind::{Object, ObjectArgs, ObjectState};
pub use manifest::{Manifest, ManifestOutputs};
pub use provider::{Kubernetes, Settings, SettingsInput};
pub use scalar::{ByteString, IntOrString, Json, Quantity};
#[cfg(feature = "state")]
pub use state::KubernetesState;

/// Label of every object: the stack that it belongs to, whatever the stack's name.
pub const LABEL_LINEAGE: &str = "stackkit.dev/lineage";
/// Label of an object that was just made: the attempt that made it.
pub const LABEL_TOKEN: &str = "stackkit.dev/token";
/// Annotation of every object: the resource that it is.
pub const ANNOTATION_URN: &str = "stackkit.dev/urn";
/// Annotation by which a program says, with the value `false`, that an object is not waited for.
pub const ANNOTATION_WAIT: &str = "stackkit.dev/wait";

/// What all objects share: metadata, selectors, references to owners.
pub mod meta {
    pub mod v1;
}

/// Pods, services, config maps, secrets, namespaces, volumes.
#[cfg(feature = "core")]
pub mod core {
    pub mod v1;
}
/// Workloads that run for ever.
#[cfg(feature = "apps")]
pub mod apps {
    pub mod v1;
}
/// Workloads that end.
#[cfg(feature = "batch")]
pub mod batch {
    pub mod v1;
}
/// Who may do what.
#[cfg(feature = "rbac")]
pub mod rbac {
    pub mod v1;
}
/// How traffic gets in, and what may talk to what.
#[cfg(feature = "networking")]
pub mod networking {
    pub mod v1;
}
/// Webhooks and policies that see requests before they are stored.
#[cfg(feature = "admissionregistration")]
pub mod admissionregistration {
    pub mod v1;
}
/// Kinds of one's own.
#[cfg(feature = "apiextensions")]
pub mod apiextensions {
    pub mod v1;
}
/// API servers beside the main one.
#[cfg(feature = "apiregistration")]
pub mod apiregistration {
    pub mod v1;
}
/// How workloads grow and shrink.
#[cfg(feature = "autoscaling")]
pub mod autoscaling {
    pub mod v2;
}
/// Requests for certificates.
#[cfg(feature = "certificates")]
pub mod certificates {
    pub mod v1;
}
/// Leases.
#[cfg(feature = "coordination")]
pub mod coordination {
    pub mod v1;
}
/// Where the endpoints of services are.
#[cfg(feature = "discovery")]
pub mod discovery {
    pub mod v1;
}
/// Which requests come first.
#[cfg(feature = "flowcontrol")]
pub mod flowcontrol {
    pub mod v1;
}
/// Container runtimes.
#[cfg(feature = "node")]
pub mod node {
    pub mod v1;
}
/// What disruptions are allowed.
#[cfg(feature = "policy")]
pub mod policy {
    pub mod v1;
}
/// Devices and claims to them.
#[cfg(feature = "resource")]
pub mod resource {
    pub mod v1;
}
/// Which pods come first.
#[cfg(feature = "scheduling")]
pub mod scheduling {
    pub mod v1;
}
/// Storage classes and drivers.
#[cfg(feature = "storage")]
pub mod storage {
    pub mod v1;
}
