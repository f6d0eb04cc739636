//! `Kubernetes`: a connection to one cluster, its settings, and the identity by which the engine knows it again.

use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use stackkit::foreign::{Becomes, ForeignResource};
use stackkit::{Ops, Provider, Secret};

use crate::body::text_at;
use crate::client::Api;
use crate::error::{Error, Reason};

/// The Kubernetes provider: one cluster, by server-side apply.
pub struct Kubernetes {
    pub(crate) api: Api,
    /// The namespace of objects that name none.
    pub(crate) namespace: String,
    /// The name under which the cluster records what this program applies.
    pub(crate) manager: String,
    /// Managers whose fields may be taken over.
    pub(crate) take_over: Vec<String>,
    /// Whether creates and updates wait until an object is ready.
    pub(crate) wait: bool,
    /// How long a pod may fail in a way that could still pass.
    pub(crate) patience: Duration,
    /// Kinds of manifests that were looked up.
    pub(crate) kinds: std::sync::Mutex<std::collections::HashMap<String, &'static crate::kind::Kind>>,
}

impl Provider for Kubernetes {
    const NAME: &'static str = "kubernetes";
    const TYPES: &'static [&'static dyn Ops<Self>] = crate::registry::TYPES;
    type Settings = Settings;
    type Error = Error;

    async fn connect(settings: Settings) -> Result<Self, Error> {
        let (api, default_namespace) = connect(&settings).await?;
        Ok(Self {
            api,
            namespace: settings.namespace.unwrap_or(default_namespace),
            manager: settings.field_manager.unwrap_or_else(|| "stackkit".into()),
            take_over: settings.take_over.unwrap_or_default(),
            wait: settings.wait.unwrap_or(true),
            patience: seconds(settings.patience, 30),
            kinds: std::sync::Mutex::default(),
        })
    }

    /// The uid of the namespace `kube-system`, which lives as long as the cluster; where the credentials may not read
    /// that, the uid of the default namespace.
    async fn identity(&self) -> Result<Option<String>, Error> {
        let own = self.namespace.clone();
        let mut refusal = None;
        for namespace in ["kube-system", own.as_str()] {
            let action = format!("read Namespace {namespace} to tell which cluster this is");
            match self.api.get(&action, format!("/api/v1/namespaces/{}", crate::client::escape(namespace))).await {
                Ok(Some(object)) => {
                    if let Some(uid) = text_at(&object, "metadata.uid") {
                        let mark = if namespace == "kube-system" { String::new() } else { format!("{namespace}:") };
                        return Ok(Some(format!("{mark}{uid}")));
                    }
                }
                Ok(None) => {}
                Err(Error::Refused { action, answer }) if answer.reason == Reason::Forbidden => {
                    refusal.get_or_insert(Error::Refused { action, answer });
                }
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            Error::Settings(format!("{} does not look like a Kubernetes API server", self.api.endpoint))
        }))
    }

    fn foreign(resource: &ForeignResource) -> Option<Becomes> {
        crate::foreign::foreign(resource)
    }
}

fn seconds(given: Option<u32>, default: u32) -> Duration {
    Duration::from_secs(u64::from(given.unwrap_or(default)))
}

/// The API server that the settings lead to, and the namespace of its context.
pub(crate) async fn connect(settings: &Settings) -> Result<(Api, String), Error> {
    let config = config(settings).await?;
    let endpoint = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let namespace = config.default_namespace.clone();
    let client = kube::Client::try_from(config).map_err(|error| {
        Error::Settings(format!("the kubeconfig's entries for {endpoint} do not make a client: {error}"))
    })?;
    Ok((Api { client, endpoint, timeout: seconds(settings.request_timeout, 30) }, namespace))
}

async fn config(settings: &Settings) -> Result<kube::Config, Error> {
    let bad = |what: String, error: &dyn std::error::Error| Error::Settings(format!("{what}: {error}"));
    let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
    let kubeconfig = match (&settings.kubeconfig_content, &settings.kubeconfig) {
        (Some(_), Some(_)) => {
            return Err(Error::Settings("set either `kubeconfig` or `kubeconfig_content`, not both".into()));
        }
        (Some(content), None) => Some(Kubeconfig::from_yaml(content.reveal()).map_err(|_| {
            // What the parser says may quote the credentials.
            Error::Settings("`kubeconfig_content` is not a kubeconfig: give the whole file's text".into())
        })?),
        (None, Some(path)) => Some(
            Kubeconfig::read_from(path)
                .map_err(|error| bad(format!("the kubeconfig `{path}` cannot be read"), &error))?,
        ),
        (None, None) => None,
    };
    let mut config = match kubeconfig {
        Some(kubeconfig) => kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| bad("the kubeconfig cannot be used".into(), &error))?,
        None if settings.context.is_some() => kube::Config::from_kubeconfig(&options)
            .await
            .map_err(|error| bad("the kubeconfig cannot be used".into(), &error))?,
        None => kube::Config::infer().await.map_err(|error| {
            bad("no cluster: set `kubeconfig`, or the variable `KUBECONFIG`, or run inside of one".into(), &error)
        })?,
    };
    // The engine retries; a second layer below it would multiply the attempts.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = None;
    config.write_timeout = None;
    Ok(config)
}

/// Settings of the provider. With none set it connects as `kubectl` would.
#[derive(Debug, Clone, Default, stackkit::Properties)]
pub struct Settings {
    /// Path of a kubeconfig file. Unset: `KUBECONFIG`, else `~/.kube/config`, else the pod's own service account.
    pub kubeconfig: Option<String>,
    /// The text of a kubeconfig, for a cluster that the same program makes.
    pub kubeconfig_content: Option<Secret<String>>,
    /// The context to use instead of the current one.
    pub context: Option<String>,
    /// The namespace of objects that name none. Unset: the context's.
    pub namespace: Option<String>,
    /// The name under which the cluster records who set a field; `stackkit` when unset.
    pub field_manager: Option<String>,
    /// Managers whose fields are taken over when they conflict with the program, such as `kubectl-edit`. Nobody's are
    /// when unset.
    pub take_over: Option<Vec<String>>,
    /// How long one request may take, in seconds; 30 when unset.
    pub request_timeout: Option<u32>,
    /// Whether creates and updates wait until workloads, claims and load balancers are ready; they do when unset.
    pub wait: Option<bool>,
    /// How long a pod may fail in a way that could still pass (an image that cannot be pulled, no node to run on) before
    /// waiting for it ends, in seconds; 30 when unset.
    pub patience: Option<u32>,
}
