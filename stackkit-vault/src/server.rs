//! `Server`: where Vault or OpenBao is, and who asks it.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;

/// Longest time of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server of Vault or OpenBao. Nothing is asked before a key is needed.
#[derive(Clone, Default)]
#[must_use]
pub struct Server {
    /// Its address, such as `https://vault.example.com:8200`.
    pub address: Option<String>,
    /// The token of whoever asks.
    pub token: Option<SecretString>,
    /// A file that holds the token, where there is none else.
    pub token_file: Option<PathBuf>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Files of certificate authorities to trust, beside the system's.
    pub ca_certs: Vec<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("token", &self.token.as_ref().map(|_| "[secret]"))
            .field("token_file", &self.token_file)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// What the environment says: see the crate's first page. Empty variables count as unset.
    pub fn from_env() -> Self {
        let one = |names: [&str; 2]| {
            names.into_iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
        };
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        Self {
            address: one(["BAO_ADDR", "VAULT_ADDR"]),
            token: one(["BAO_TOKEN", "VAULT_TOKEN"]).map(SecretString::from),
            token_file: home.map(|home| home.join(".vault-token")),
            namespace: one(["BAO_NAMESPACE", "VAULT_NAMESPACE"]),
            ca_certs: one(["BAO_CACERT", "VAULT_CACERT"]).into_iter().collect(),
        }
    }

    /// The client, or what is missing.
    pub(crate) fn client(&self) -> Result<VaultClient, Problem> {
        let address =
            self.address.as_deref().ok_or_else(|| Problem::setup("set VAULT_ADDR or BAO_ADDR to its server"))?;
        let unfit = |why: &str| Problem::setup(format!("its server's address `{}` {why}", shown(address)));
        let url = Url::parse(address).map_err(|_| unfit("is no URL: write it like https://vault.example.com:8200"))?;
        let host = url.host_str().ok_or_else(|| unfit("names no host"))?;
        let near = host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if near => {}
            _ => {
                return Err(unfit(
                    "is not safe: the token and the data key would go over the network in plain text; use https",
                ));
            }
        }
        let mut settings = VaultClientSettingsBuilder::default();
        settings
            .address(url.as_str())
            .token(self.token()?.expose_secret())
            .namespace(self.namespace.clone())
            .timeout(Some(TIMEOUT))
            .ca_certs(self.ca_certs.clone())
            // Whoever sits between could read the data key: there is no way to turn this off.
            .verify(true);
        let settings = settings.build().map_err(|error| Problem::setup(error.to_string()))?;
        VaultClient::new(settings).map_err(|error| Problem::setup(chain(&error)))
    }

    fn token(&self) -> Result<SecretString, Problem> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let missing =
            || Problem::credentials("set VAULT_TOKEN or BAO_TOKEN, or log in with `bao login` or `vault login`");
        let path = self.token_file.as_ref().ok_or_else(missing)?;
        let text = fs::read_to_string(path).map_err(|_| missing())?;
        let token = text.trim();
        if token.is_empty() { Err(missing()) } else { Ok(SecretString::from(token)) }
    }
}

/// Why there is no client.
pub(crate) struct Problem {
    pub(crate) credentials: bool,
    pub(crate) detail: String,
}

impl Problem {
    fn setup(detail: impl Into<String>) -> Self {
        Self { credentials: false, detail: detail.into() }
    }

    fn credentials(detail: impl Into<String>) -> Self {
        Self { credentials: true, detail: detail.into() }
    }
}

/// An address without the password that may be in it.
fn shown(address: &str) -> String {
    let address: String = address.chars().filter(|letter| !letter.is_control()).collect();
    match address.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, host)) => format!("{scheme}://***@{host}"),
        None => address,
    }
}

/// What a server made of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Credentials,
    Denied,
    NotFound,
    Refused,
    Conflict,
    Throttled,
    Unavailable,
    Unreachable,
    Other,
}

/// [`Told`], and what was said.
pub(crate) struct Answer {
    pub(crate) told: Told,
    pub(crate) said: String,
    /// Whether it certainly did not reach the server.
    pub(crate) unsent: bool,
}

pub(crate) fn told(error: &ClientError) -> Answer {
    // What is deleted is answered as missing, with what there was of it instead of errors.
    if let ClientError::RestClientError {
        source: rustify::errors::ClientError::ServerResponseError { code: 404, .. },
    } = error
    {
        return Answer { told: Told::NotFound, said: "status 404".into(), unsent: false };
    }
    let ClientError::APIError { code, errors } = error else {
        let said = chain(error);
        let unreachable = matches!(error, ClientError::RestClientError { .. });
        let unsent =
            unreachable && ["tcp connect error", "dns error", "Connection refused"].iter().any(|t| said.contains(t));
        return Answer { told: if unreachable { Told::Unreachable } else { Told::Other }, said, unsent };
    };
    let said: String = errors.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let has = |part: &str| said.contains(part);
    let told = match code {
        403 if has("invalid token") || has("missing client token") => Told::Credentials,
        403 => Told::Denied,
        404 => Told::NotFound,
        400 if has("key not found") || has("no handler for route") => Told::NotFound,
        400 if has("check-and-set") => Told::Conflict,
        400 => Told::Refused,
        429 => Told::Throttled,
        503 => Told::Unavailable,
        _ => Told::Other,
    };
    let said = if said.is_empty() { format!("status {code}") } else { format!("{said} (status {code})") };
    Answer { told, said, unsent: false }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| (*error).source()) {
        let text = cause.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}
