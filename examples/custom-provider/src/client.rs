//! A client of the service: one request a connection, JSON both ways, and errors that say what to do next.

use std::time::Duration;

use serde_json::Value;
use stackkit::{Ephemeral, ErrorKind, ProviderError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// Why a request did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// Nobody said what token to use.
    #[error("there is no token for the service: set `api_token` of the provider, or ACME_TOKEN")]
    NoToken,
    /// The endpoint is not one.
    #[error("`{0}` is no address of the service: expected `http://HOST:PORT`")]
    Endpoint(String),
    /// No connection: nothing can have happened.
    #[error("cannot connect to the service at {0} (is `acme-api` running?)")]
    Unreachable(String, #[source] std::io::Error),
    /// The request may have been carried out.
    #[error("the service at {0} did not answer")]
    NoAnswer(String),
    /// The service said no.
    #[error("the service says {status}: {message}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// Its reason.
        message: String,
    },
    /// The answer lacks a field.
    #[error("the answer of the service has no `{0}`")]
    Incomplete(&'static str),
}

impl ProviderError for AcmeError {
    /// What the engine does next depends on this alone.
    fn kind(&self) -> ErrorKind {
        match self {
            AcmeError::Unreachable(..) => ErrorKind::Transient,
            AcmeError::NoAnswer(_) | AcmeError::Incomplete(_) => ErrorKind::UnknownOutcome,
            AcmeError::NoToken | AcmeError::Refused { status: 401 | 403, .. } => ErrorKind::Denied,
            AcmeError::Refused { status: 404, .. } => ErrorKind::NotFound,
            AcmeError::Refused { status: 409, .. } => ErrorKind::Conflict,
            AcmeError::Refused { status: 429, .. } => ErrorKind::Throttled,
            AcmeError::Refused { status: 500.., .. } => ErrorKind::Transient,
            AcmeError::Endpoint(_) | AcmeError::Refused { .. } => ErrorKind::Invalid,
        }
    }
}

pub(crate) struct Client {
    address: String,
    token: Ephemeral<String>,
}

impl Client {
    pub(crate) fn new(endpoint: &str, token: Ephemeral<String>) -> Result<Self, AcmeError> {
        let address = endpoint.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        match address {
            Some(address) if address.contains(':') => Ok(Self { address: address.to_owned(), token }),
            _ => Err(AcmeError::Endpoint(endpoint.to_owned())),
        }
    }

    /// One request. The answer of a 2xx is its body.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, AcmeError> {
        let unreachable = |error| AcmeError::Unreachable(self.address.clone(), error);
        let mut stream = TcpStream::connect(&self.address).await.map_err(unreachable)?;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            self.token.reveal(),
            body.len()
        );
        // From here on the service may have got the request: only an answer says what it did with it.
        let mut answer = Vec::new();
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_end(&mut answer).await
        };
        let no_answer = || AcmeError::NoAnswer(self.address.clone());
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| no_answer())?.map_err(|_| no_answer())?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(no_answer)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(no_answer)?;
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        match status {
            200..300 => Ok(body),
            _ => Err(AcmeError::Refused { status, message: body["error"].as_str().unwrap_or("no reason").to_owned() }),
        }
    }
}
