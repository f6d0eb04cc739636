//! `Session`: requests to Google's HTTP APIs, with a token where one is to be sent.

use std::time::Duration;

use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, redirect};
use stackkit::error::ErrorKind;

use crate::Error;

/// Longest time to make a connection, and of one request.
const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(60);
/// How often a request that changes nothing twice is sent again.
const ATTEMPTS: u32 = 4;
/// The longest time that a service may ask to wait for between two of them.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    http: Client,
    /// Nobody, at a server of tests.
    credentials: Option<Credentials>,
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The answer if it is no error.
    pub(crate) fn checked(self, permission: &str) -> Result<Self, Error> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(Error::answered(permission, status, &self.body).after(self.retry_after())),
        }
    }

    /// How long the service asks to wait.
    fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }
}

impl Session {
    /// With the application default credentials, for this scope.
    pub(crate) fn open(scope: &str) -> Result<Self, Error> {
        let credentials = Builder::default().with_scopes([scope]).build();
        let credentials = credentials.map_err(|error| Error::no_token(false, &error))?;
        Ok(Self { http: client()?, credentials: Some(credentials) })
    }

    /// With credentials of one's own.
    #[cfg(any(feature = "keys", feature = "secrets"))]
    pub(crate) fn with(credentials: Credentials) -> Result<Self, Error> {
        Ok(Self { http: client()?, credentials: Some(credentials) })
    }

    /// Without any: for servers of tests, which are spoken to in the clear.
    #[cfg(feature = "state")]
    pub(crate) fn anonymous() -> Result<Self, Error> {
        Ok(Self { http: client()?, credentials: None })
    }

    pub(crate) fn http(&self) -> &Client {
        &self.http
    }

    /// Sends a request once. `permission` is what it needs, for messages.
    pub(crate) async fn send(&self, permission: &str, request: RequestBuilder) -> Result<Answer, Error> {
        let request = match &self.credentials {
            None => request,
            Some(credentials) => request.headers(token(credentials).await?),
        };
        let answer = request.send().await.map_err(|error| Error::unanswered(permission, error))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| Error::unanswered(permission, error))?.to_vec();
        Ok(Answer { status, headers, body })
    }

    /// Sends a request that changes nothing twice, again where that may help. An answer is given back if its status is
    /// among those `expected`; any other that is an error is one.
    pub(crate) async fn ask(
        &self,
        permission: &str,
        expected: &[u16],
        request: impl Fn() -> RequestBuilder + Send + Sync,
    ) -> Result<Answer, Error> {
        let mut attempt = 0;
        loop {
            let error = match self.send(permission, request()).await {
                Ok(answer) if expected.contains(&answer.status) => return Ok(answer),
                Ok(answer) => match answer.checked(permission) {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let asked = error.asked_to_wait().unwrap_or_default();
            if !error.may_pass() || attempt >= ATTEMPTS || asked > PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(asked.max(Duration::from_millis(50) * 3_u32.pow(attempt))).await;
            attempt += 1;
        }
    }
}

fn client() -> Result<Client, Error> {
    Client::builder()
        .connect_timeout(CONNECT)
        .timeout(REQUEST)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("stackkit/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("there can be no HTTPS client: {error}")))
}

/// The headers that say who asks.
async fn token(credentials: &Credentials) -> Result<HeaderMap, Error> {
    match credentials.headers(Default::default()).await {
        Ok(CacheableResource::New { data, .. }) => Ok(data),
        // It is said only to who has some already.
        Ok(CacheableResource::NotModified) => Err(Error::new(ErrorKind::Transient, "the credentials gave no token")),
        Err(error) => Err(Error::no_token(error.is_transient(), &error)),
    }
}
