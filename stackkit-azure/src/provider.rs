//! `Azure`: the provider, its settings, and its clients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::credentials::TokenCredential;
use azure_core::http::ClientOptions;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use stackkit::error::ErrorKind;
use stackkit::provider::NoSettings;
use stackkit::resource::Ops;
use stackkit::{Provider, types};

use crate::error::Error;
use crate::{credential, keyvault};

/// A connection to Azure: who asks. Cheap to clone.
#[derive(Clone)]
pub struct Azure(Arc<Inner>);

struct Inner {
    credential: Arc<dyn TokenCredential>,
    options: ClientOptions,
    /// One a vault, for each keeps the token that its vault asked for.
    secrets: Mutex<BTreeMap<String, Arc<SecretClient>>>,
}

impl fmt::Debug for Azure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("credential", &self.0.credential).finish_non_exhaustive()
    }
}

impl Azure {
    /// With credentials and a transport of one's own, for programs that embed the engine and for tests.
    pub fn with_credential(credential: Arc<dyn TokenCredential>, options: ClientOptions) -> Self {
        Self(Arc::new(Inner { credential, options, secrets: Mutex::default() }))
    }

    /// The client of a vault's secrets.
    pub(crate) fn secrets(&self, vault: &str) -> Result<Arc<SecretClient>, Error> {
        let mut clients = self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(vault) {
            return Ok(Arc::clone(client));
        }
        let options = SecretClientOptions { client_options: self.0.options.clone(), ..SecretClientOptions::default() };
        let made = SecretClient::new(vault, Arc::clone(&self.0.credential), Some(options));
        let client = Arc::new(made.map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("`{}`: {}", vault.escape_debug(), crate::answer::chain(&error)))
        })?);
        clients.insert(vault.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

impl Provider for Azure {
    const NAME: &'static str = "azure";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![keyvault::Secret];
    type Settings = NoSettings;
    type Error = Error;

    async fn connect((): NoSettings) -> Result<Self, Error> {
        let credential = credential::from_env()
            .map_err(|problem| Error::new(ErrorKind::Invalid, format!("provider `azure`: {problem}")))?;
        Ok(Self::with_credential(credential, crate::client_options()))
    }

    /// None: the name of a vault is unique in the world and part of every id, and a vault refuses whoever comes from
    /// another tenant, so that nothing can seem to have vanished.
    async fn identity(&self) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
