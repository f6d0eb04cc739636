//! `Vault`: the provider, and its settings.

use rustify::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use secrecy::SecretString;
use serde_json::Value as Json;
use stackkit::error::ErrorKind;
use stackkit::resource::Ops;
use stackkit::{Ephemeral, Properties, Provider, types};
use vaultrs::api;
use vaultrs::client::VaultClient;

use crate::error::Error;
use crate::kv;
use crate::server::Server;

/// Settings of the provider. All are optional; what is unset comes from the environment, as the crate's first page says.
#[derive(Debug, Clone, Default, Properties)]
pub struct Settings {
    /// The server, such as `https://vault.example.com:8200`. Unset: `BAO_ADDR`, `VAULT_ADDR`.
    pub address: Option<String>,
    /// The namespace. Unset: `BAO_NAMESPACE`, `VAULT_NAMESPACE`.
    pub namespace: Option<String>,
    /// The token of whoever asks. The state does not keep it. Unset: `BAO_TOKEN`, `VAULT_TOKEN`, `~/.vault-token`.
    pub token: Option<Ephemeral<String>>,
}

/// A connection to Vault or OpenBao.
pub struct Vault {
    client: VaultClient,
    namespace: Option<String>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Vault {
    /// A connection to a server of one's own choice, for programs that embed the engine and for tests.
    ///
    /// # Errors
    /// When the server's address or token is missing or unfit.
    pub fn with_server(server: &Server) -> Result<Self, Error> {
        Ok(Self { client: server.client()?, namespace: server.namespace.clone() })
    }

    pub(crate) fn client(&self) -> &VaultClient {
        &self.client
    }
}

impl Provider for Vault {
    const NAME: &'static str = "vault";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![kv::Secret];
    type Settings = Settings;
    type Error = Error;

    async fn connect(settings: Settings) -> Result<Self, Error> {
        let environment = Server::from_env();
        let given = settings.token.map(|token| SecretString::from(token.reveal().as_str()));
        Self::with_server(&Server {
            address: settings.address.or(environment.address),
            token: given.or(environment.token),
            namespace: settings.namespace.or(environment.namespace),
            ..Server { address: None, token: None, namespace: None, ..environment }
        })
    }

    /// The cluster and the namespace: on another server everything would seem to have vanished.
    async fn identity(&self) -> Result<Option<String>, Error> {
        let health = api::exec_with_no_result(&self.client, Health).await;
        let health = health.map_err(|error| Error::reading(&error, "the server's health", "nothing"))?;
        let cluster = health.get("cluster_id").and_then(Json::as_str).ok_or_else(|| {
            Error::new(ErrorKind::Transient, "the server says nothing of its cluster: it is sealed, or not set up yet")
        })?;
        let namespace = self.namespace.as_deref().map(|namespace| format!("/{}", namespace.trim_matches('/')));
        Ok(Some(format!("vault:{cluster}{}", namespace.unwrap_or_default())))
    }
}

/// How the server is. What it answers differs between Vault and OpenBao; that of a standby is an answer, too.
struct Health;

impl Endpoint for Health {
    type Response = Json;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        "sys/health".into()
    }

    fn query(&self) -> Result<Option<String>, rustify::errors::ClientError> {
        Ok(Some("standbyok=true&perfstandbyok=true".into()))
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::GET
    }
}
