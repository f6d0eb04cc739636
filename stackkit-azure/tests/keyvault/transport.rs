//! `Wire`: what stands in the place of the network. It asks for credentials as Key Vault does, notes each request that has
//! some, and answers as a closure says, or as a test wants the next answers to be.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use azure_core::Bytes;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{AUTHORIZATION, HeaderName, Headers, RETRY_AFTER, WWW_AUTHENTICATE};
use azure_core::http::{
    AsyncRawResponse, ClientOptions, ExponentialRetryOptions, HttpClient, Method, Request, RetryOptions, StatusCode,
    Transport,
};
use azure_core::time::{Duration, OffsetDateTime};
use serde_json::{Value as Json, json};

/// A request that has credentials.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub host: String,
    /// Without a `/` at its end.
    pub path: String,
    pub body: Json,
}

/// An answer, or none at all.
#[derive(Debug, Clone)]
pub enum Reply {
    Answer { status: u16, retry_after: Option<u32>, body: Json },
    Nothing,
}

impl Reply {
    pub fn ok(body: Json) -> Self {
        Self::Answer { status: 200, retry_after: None, body }
    }

    /// An error in the form of Key Vault.
    pub fn error(status: u16, code: &str, inner: Option<&str>, message: &str) -> Self {
        let mut error = json!({ "code": code, "message": message });
        if let Some(inner) = inner {
            error["innererror"] = json!({ "code": inner });
        }
        Self::Answer { status, retry_after: None, body: json!({ "error": error }) }
    }

    pub fn after(self, seconds: u32) -> Self {
        match self {
            Self::Answer { status, body, .. } => Self::Answer { status, retry_after: Some(seconds), body },
            Self::Nothing => Self::Nothing,
        }
    }
}

type Answer = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

struct Inner {
    answer: Answer,
    asked: Mutex<Vec<Asked>>,
    next: Mutex<VecDeque<Reply>>,
}

/// The network.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    pub fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { answer: Box::new(answer), asked: Mutex::default(), next: Mutex::default() }))
    }

    /// What the next requests are answered with, whatever they are.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.0.next).extend(replies);
    }

    /// The requests so far, as `METHOD PATH`. They are forgotten here.
    pub fn asked(&self) -> Vec<String> {
        self.requests().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    /// The requests so far. They are forgotten here.
    pub fn requests(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.0.asked))
    }

    /// Options of a client that is connected to it, and does not wait long before it tries again.
    pub fn options(&self) -> ClientOptions {
        let again = ExponentialRetryOptions {
            initial_delay: Duration::milliseconds(1),
            max_retries: 3,
            ..ExponentialRetryOptions::default()
        };
        ClientOptions {
            transport: Some(Transport::new(Arc::new(self.clone()))),
            retry: RetryOptions::exponential(again),
            ..ClientOptions::default()
        }
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let url = request.url();
        let host = url.host_str().unwrap_or_default().to_owned();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(url.scheme(), "https", "{url}");
        assert!(query.get("api-version").is_some_and(|version| !version.is_empty()), "{url}");
        let body = Bytes::from(request.body());
        let Some(token) = request.headers().get_optional_str(&AUTHORIZATION) else {
            // Whoever does not know yet whom to prove what sends nothing that is worth protecting.
            assert!(body.is_empty(), "a body without credentials");
            let domain = host.split_once('.').map_or("", |(_, domain)| domain);
            let mut headers = Headers::new();
            let challenge = format!(
                "Bearer authorization=\"https://login.microsoftonline.com/tenant\", resource=\"https://{domain}\""
            );
            headers.insert(WWW_AUTHENTICATE, challenge);
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Bytes::new()));
        };
        assert_eq!(token, "Bearer a-token");
        let body = if body.is_empty() { Json::Null } else { serde_json::from_slice(&body)? };
        let asked = Asked { method: request.method(), host, path: url.path().trim_end_matches('/').to_owned(), body };
        lock(&self.0.asked).push(asked.clone());
        let next = lock(&self.0.next).pop_front();
        match next.unwrap_or_else(|| (self.0.answer)(&asked)) {
            Reply::Answer { status, retry_after, body } => {
                let mut headers = Headers::new();
                headers.insert(HeaderName::from_static("content-type"), "application/json");
                if let Some(seconds) = retry_after {
                    headers.insert(RETRY_AFTER, seconds.to_string());
                }
                Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), headers, body.to_string().into_bytes()))
            }
            Reply::Nothing => Err(Error::with_message(ErrorKind::Io, "connection reset by peer")),
        }
    }
}

/// Credentials that are one token, for vaults and managed HSMs alone; or none.
#[derive(Debug)]
pub struct Token(pub bool);

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        assert!(
            matches!(scopes, ["https://vault.azure.net/.default" | "https://managedhsm.azure.net/.default"]),
            "{scopes:?}"
        );
        match self.0 {
            true => Ok(AccessToken::new("a-token", OffsetDateTime::now_utc() + Duration::hours(1))),
            false => {
                Err(Error::with_message(ErrorKind::Credential, "no usable Azure credentials (nobody is logged in)"))
            }
        }
    }
}
