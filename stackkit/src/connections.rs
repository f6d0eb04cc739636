//! Connections to provider instances: opened once a run, after making sure that they lead where the state says.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::context::BoxFuture;
use crate::error::Error;
use crate::provider::{Connection, Linked};
use crate::state::model::{ProviderRecord, State};
use crate::value::Value;

/// Opens connections. Tests replace it to run against mocks or simulated clouds.
pub trait Connector: Send + Sync {
    /// Connects to a linked provider with resolved settings.
    fn connect<'a>(
        &'a self,
        linked: &'a Linked,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, Error>>;
}

/// Connects for real.
#[derive(Debug, Clone, Copy)]
pub struct RealConnector;

impl Connector for RealConnector {
    fn connect<'a>(
        &'a self,
        linked: &'a Linked,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, Error>> {
        linked.connect(settings)
    }
}

/// Why a provider instance cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// It could not be reached, or has no credentials.
    #[error("provider `{instance}`: {message}")]
    Failed {
        /// Name of the provider instance.
        instance: String,
        /// What the provider said.
        message: String,
    },
    /// It leads elsewhere than the state says.
    #[error(
        "provider `{instance}` leads to `{found}`, but the resources of this stack are in `{recorded}`: nothing was read \
         or changed; use the credentials of `{recorded}`, or another stack"
    )]
    Elsewhere {
        /// Name of the provider instance.
        instance: String,
        /// Where the resources are.
        recorded: String,
        /// Where the connection leads.
        found: String,
    },
    /// No such provider is linked.
    #[error("the provider `{provider}` is not linked into this program: name it in `providers(…)`")]
    NotLinked {
        /// The provider's name.
        provider: String,
    },
}

struct Open {
    settings: Value,
    connection: Arc<dyn Connection>,
    identity: Option<String>,
}

/// The connections of a run.
pub(crate) struct Connections {
    catalog: Arc<Catalog>,
    connector: Arc<dyn Connector>,
    open: HashMap<String, Open>,
    failed: HashMap<String, (Value, ConnectError)>,
}

impl Connections {
    pub(crate) fn new(catalog: Arc<Catalog>, connector: Arc<dyn Connector>) -> Self {
        Self { catalog, connector, open: HashMap::new(), failed: HashMap::new() }
    }

    /// The connection of an instance with these settings. A second call with the same settings is free, and a failure
    /// is remembered, so that an endpoint that does not answer is waited for once.
    pub(crate) async fn get(
        &mut self,
        instance: &str,
        settings: &Value,
        state: &State,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        let recorded = || {
            let identity = state.providers.get(instance).and_then(|record| record.identity.clone())?;
            // A call whose end is not known counts: looking for what it made elsewhere would find nothing.
            let used = state.resources.values().any(|record| record.provider == instance)
                || state.intents.values().any(|intent| intent.provider == instance);
            used.then_some(identity)
        };
        self.open(instance, settings, recorded).await
    }

    /// [`Connections::get`] where only the identity is known of what was made with the instance, if anything was.
    pub(crate) async fn open(
        &mut self,
        instance: &str,
        settings: &Value,
        recorded: impl FnOnce() -> Option<String>,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        if let Some(open) = self.open.get(instance)
            && open.settings == *settings
        {
            return Ok(Arc::clone(&open.connection));
        }
        if let Some((tried, error)) = self.failed.get(instance)
            && tried == settings
        {
            return Err(error.clone());
        }
        let result = self.connect(instance, settings, recorded).await;
        match result {
            Ok(open) => {
                let connection = Arc::clone(&open.connection);
                self.open.insert(instance.to_owned(), open);
                Ok(connection)
            }
            Err(error) => {
                self.failed.insert(instance.to_owned(), (settings.clone(), error.clone()));
                Err(error)
            }
        }
    }

    async fn connect(
        &self,
        instance: &str,
        settings: &Value,
        recorded: impl FnOnce() -> Option<String>,
    ) -> Result<Open, ConnectError> {
        let provider = instance.split('/').next().unwrap_or(instance);
        let linked =
            self.catalog.provider(provider).ok_or_else(|| ConnectError::NotLinked { provider: provider.into() })?;
        let failed = |error: Error| ConnectError::Failed { instance: instance.into(), message: error.message().into() };
        let connection = self.connector.connect(linked, settings).await.map_err(failed)?;
        let identity = connection.identity().await.map_err(failed)?;
        match (recorded(), &identity) {
            (Some(recorded), Some(found)) if recorded != *found => {
                Err(ConnectError::Elsewhere { instance: instance.into(), recorded, found: found.clone() })
            }
            _ => Ok(Open { settings: settings.clone(), connection, identity }),
        }
    }

    /// Who and where the open instances are, by name, as far as their providers say.
    pub(crate) fn identities(&self) -> std::collections::BTreeMap<String, String> {
        self.open.iter().filter_map(|(name, open)| Some((name.clone(), open.identity.clone()?))).collect()
    }

    /// What is to be recorded of an open instance.
    pub(crate) fn record(&self, instance: &str) -> Option<ProviderRecord> {
        let open = self.open.get(instance)?;
        Some(ProviderRecord {
            name: instance.to_owned(),
            provider: instance.split('/').next().unwrap_or(instance).to_owned(),
            settings: open.settings.kept(),
            identity: open.identity.clone(),
        })
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("open", &self.open.keys()).finish_non_exhaustive()
    }
}
