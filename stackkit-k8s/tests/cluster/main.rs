//! The provider against a genuine control plane. All tests of this binary share one cluster, and take a namespace each.

mod crud;
mod program;
mod waiting;

use stackkit::resource::Fields;
use stackkit::{Context, Created, Managed, Provider, Resource, Urn};
use stackkit_k8s::core::v1 as core;
use stackkit_k8s::{Error, Kubernetes, ObjectArgs, ObjectState, Settings};

/// The cluster and a provider for it.
pub(crate) struct Cluster {
    pub(crate) server: &'static test_servers::Kubernetes,
    pub(crate) k8s: Kubernetes,
    pub(crate) namespace: String,
}

impl Cluster {
    pub(crate) async fn new(namespace: &str) -> Self {
        Self::with(namespace, Settings { patience: Some(2), ..Settings::default() }).await
    }

    pub(crate) async fn with(namespace: &str, settings: Settings) -> Self {
        let server = test_servers::Kubernetes::shared().unwrap_or_else(|error| panic!("{error}"));
        let settings = Settings {
            kubeconfig: Some(server.kubeconfig().display().to_string()),
            namespace: Some(namespace.into()),
            ..settings
        };
        let k8s = Kubernetes::connect(settings).await.expect("the kubeconfig is good");
        let cluster = Self { server, k8s, namespace: namespace.into() };
        cluster.create("namespace", core::Namespace::new().name(namespace)).await.expect("the namespace is new");
        cluster
    }

    pub(crate) async fn create<R: Object>(&self, name: &str, draft: R) -> Result<Created<R>, Error> {
        R::create(&self.k8s, &cx::<R>(name), &args(draft)).await
    }

    pub(crate) async fn update<R: Object>(
        &self,
        name: &str,
        made: &Created<R>,
        draft: R,
    ) -> Result<ObjectState<R>, Error> {
        R::update(&self.k8s, &cx::<R>(name), &made.id, &made.state, &args(draft)).await
    }

    pub(crate) async fn read<R: Object>(&self, made: &Created<R>) -> Option<ObjectState<R>> {
        R::read(&self.k8s, &cx::<R>("read"), &made.id, Some(&made.state)).await.expect("it can be read")
    }

    pub(crate) async fn delete<R: Object>(&self, name: &str, made: &Created<R>) -> Result<(), Error> {
        R::delete(&self.k8s, &cx::<R>(name), &made.id, &made.state).await
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["-n", self.namespace.as_str()], arguments].concat();
        self.server.kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn json(&self, kind: &str, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json", "--show-managed-fields"])).expect("JSON")
    }
}

pub(crate) trait Object: stackkit_k8s::Object + Managed<Provider = Kubernetes> {}
impl<T: stackkit_k8s::Object + Managed<Provider = Kubernetes>> Object for T {}

/// A context for a resource of that name, whose token is the same for the same name.
pub(crate) fn cx<R: Resource>(name: &str) -> Context {
    Context::detached(Urn::new(R::SCHEMA.type_name, name), &format!("token-{name}"))
}

pub(crate) fn args<R: Object>(draft: R) -> ObjectArgs<R> {
    ObjectArgs::from_values(&draft.into_values()).unwrap_or_else(|error| panic!("{error}"))
}
