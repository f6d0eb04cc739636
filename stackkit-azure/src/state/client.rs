//! `Client`: the few requests that a state needs, with their outcomes told apart.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, Uri};
use object_store::azure::{AzureAuthorizer, AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::{
    Attribute, BackoffConfig, ClientOptions, Error, GetOptions, ObjectStore as _, PutMode, PutOptions, PutPayload,
    PutResult, RetryConfig, UpdateVersion,
};
use stackkit::context::BoxFuture;
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Listed, Object, Objects, Put, When, Write};
use stackkit::state::place::BackendUrl;

use super::clock::{Clocked, Sent};
use super::container;
use super::url::Options;

/// Longest time to make a connection, of one attempt of a request, and of all its attempts.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(60);
const REQUEST: Duration = Duration::from_secs(120);
/// How often a request is sent again.
const AGAIN: usize = 3;
/// The metadata that tells one write from another.
const WRITER: &str = "writer";

/// A container and a prefix in it.
pub(super) struct Client {
    store: MicrosoftAzure,
    /// For what concerns the container itself.
    http: HttpClient,
    /// Its address.
    container: String,
    place: String,
    options: Options,
}

// The store's own would show keys.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("place", &self.place).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Client {
    /// With the credentials that the builder has.
    pub(super) fn open(
        url: &BackendUrl,
        options: Options,
        builder: MicrosoftAzureBuilder,
    ) -> Result<Self, BackendError> {
        let place = url.to_string();
        let mut builder = builder
            .with_use_emulator(false)
            .with_account(&options.account)
            .with_container_name(&options.container)
            .with_http_connector(Clocked)
            .with_retry(RetryConfig { backoff: BackoffConfig::default(), max_retries: AGAIN, retry_timeout: REQUEST });
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        if let Some(credential) = options.credential {
            builder = builder.with_credential_type(credential);
        }
        let service = builder.get_config_value(&AzureConfigKey::Endpoint);
        let service = service.unwrap_or_else(|| format!("https://{}.blob.core.windows.net", options.account));
        let client = ClientOptions::new()
            .with_connect_timeout(CONNECT)
            .with_timeout(ATTEMPT)
            .with_allow_http(service.starts_with("http://"));
        let http = Clocked.connect(&client).map_err(|error| BackendError::service("open", &place, error))?;
        let store = builder.with_client_options(client).build();
        let store = store.map_err(|error| url.unfit(&said(&error)))?;
        let container = format!("{}/{}", service.trim_end_matches('/'), options.container);
        Ok(Self { store, http, container, place, options })
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}{key}", self.options.prefix))
    }

    pub(super) fn no_container(&self) -> BackendError {
        BackendError::Unfit(format!(
            "there is no container `{}` in `{}`: add `?create=true` to the URL once, which makes it closed to the public",
            self.options.container, self.options.account
        ))
    }

    pub(super) fn error(&self, what: &'static str, error: Error) -> BackendError {
        if is_of_no_container(&error) {
            return self.no_container();
        }
        if is_denied(&error) {
            return BackendError::denied(what, &self.place, said(&error));
        }
        BackendError::service(what, &self.place, said(&error))
    }

    /// A request about the container itself: the headers of its answer, or nothing where it is not there.
    pub(super) async fn container(&self, method: Method) -> Result<Option<HeaderMap>, BackendError> {
        let failed = |why: String| BackendError::service("check the container of", &self.place, why);
        let makes = method == Method::PUT;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method;
        let address = format!("{}?restype=container", self.container).parse::<Uri>();
        *request.uri_mut() = address.map_err(|error| failed(error.to_string()))?;
        request.headers_mut().insert("content-length", HeaderValue::from_static("0"));
        let credential = self.store.credentials().get_credential().await;
        let credential = credential.map_err(|error| failed(said(&error)))?;
        AzureAuthorizer::new(&credential, &self.options.account)
            .try_authorize(&mut request)
            .map_err(|error| failed(said(&error)))?;
        let answer = self.http.execute(request).await.map_err(|error| failed(chain(&error)))?;
        let code = answer.headers().get("x-ms-error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
        match answer.status().as_u16() {
            200..=299 => Ok(Some(answer.headers().clone())),
            // Another run made it at the same moment.
            409 if makes && code == "ContainerAlreadyExists" => Ok(Some(HeaderMap::new())),
            404 => Ok(None),
            status @ (401 | 403) => {
                let said = with_way_out(format!("{code} (status {status})"), true);
                Err(BackendError::denied("check the container of", &self.place, said))
            }
            status => Err(failed(format!("{code} (status {status})"))),
        }
    }

    pub(super) async fn write(&self, key: &str, mode: PutMode, body: &[u8], writer: &str) -> Result<PutResult, Error> {
        let mut options = PutOptions::from(mode);
        options.attributes.insert(Attribute::ContentType, "application/json".into());
        options.attributes.insert(Attribute::Metadata(WRITER.into()), writer.to_owned().into());
        self.store.put_opts(&self.path(key), PutPayload::from(body.to_vec()), options).await
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BackendError> {
        let result = match self.store.get_opts(&self.path(key), GetOptions::default()).await {
            Ok(result) => result,
            Err(error @ Error::NotFound { .. }) => {
                let refused = is_of_no_container(&error) && !self.options.create;
                return if refused { Err(self.no_container()) } else { Ok(None) };
            }
            Err(error) => return Err(self.error("read", error)),
        };
        let written = SystemTime::from(result.meta.last_modified);
        let age = result.extensions.get::<Sent>().map(|sent| sent.0.duration_since(written).unwrap_or_default());
        let version = result.meta.e_tag.clone().unwrap_or_default();
        let writer = result.attributes.get(&Attribute::Metadata(WRITER.into())).map(|writer| writer.to_string());
        let body = result.bytes().await.map_err(|error| self.error("read", error))?.to_vec();
        Ok(Some(Object { body, version, writer, age }))
    }

    async fn put(&self, write: Write<'_>) -> Result<Put, BackendError> {
        let mode = match write.when {
            When::Absent => PutMode::Create,
            When::Is(version) => PutMode::Update(UpdateVersion { e_tag: Some(version.to_owned()), version: None }),
        };
        match self.write(write.key, mode, write.body, write.writer).await {
            Ok(PutResult { e_tag: Some(version), .. }) => Ok(Put::Kept(version)),
            Ok(_) => Ok(Put::Unsure(BackendError::service("write", &self.place, "the answer names no version"))),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Put::Refused),
            Err(error @ Error::NotFound { .. }) if matches!(write.when, When::Is(_)) && !is_of_no_container(&error) => {
                Ok(Put::Refused)
            }
            // Whatever the service did not say plainly: no answer, an answer that it is busy.
            Err(error @ Error::Generic { .. }) => Ok(Put::Unsure(self.error("write", error))),
            Err(error) => Err(self.error("write", error)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, BackendError> {
        let listed: Vec<_> = match self.store.list(Some(&self.path(prefix))).try_collect().await {
            Ok(listed) => listed,
            Err(error) if self.options.create && is_of_no_container(&error) => return Ok(Vec::new()),
            Err(error) => return Err(self.error("list", error)),
        };
        let key = |path: &Path| path.as_ref().strip_prefix(&self.options.prefix).map(str::to_owned);
        Ok(listed
            .into_iter()
            .filter_map(|meta| {
                let at = u64::try_from(meta.last_modified.timestamp()).ok();
                Some(Listed { key: key(&meta.location)?, size: meta.size, at })
            })
            .collect())
    }

    /// Deletes blobs, up to 256 a request.
    pub(super) async fn remove(&self, keys: &[String]) -> Result<(), BackendError> {
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key))).collect();
        let mut results = self.store.delete_stream(stream::iter(paths).boxed());
        while let Some(result) = results.next().await {
            match result {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.error("delete in", error)),
            }
        }
        Ok(())
    }
}

/// Whether an error says that the container is not there.
fn is_of_no_container(error: &Error) -> bool {
    error.to_string().contains("ContainerNotFound")
}

/// What an error says, without the store's own words around it, and the way out where there is a known one.
fn said(error: &Error) -> String {
    let text = error.to_string();
    let plain = || {
        let chain = chain(error);
        printable(chain.strip_prefix("Generic MicrosoftAzure error: ").unwrap_or(&chain))
    };
    if text.contains("token request") || text.contains("az account get-access-token") {
        return format!(
            "no usable Azure credentials ({}); set AZURE_STORAGE_ACCOUNT_KEY or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, or run `az login` and add `?credential=azure_cli` to the URL",
            plain()
        );
    }
    if text.contains("(Connect)") {
        return format!("{}; check the network, the account's name and `endpoint`", plain());
    }
    let part = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split(['<', '\n']).next().map(printable)
    };
    let said = match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (Some(code), None) => code,
        (None, _) => plain(),
    };
    with_way_out(said, is_denied(error))
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
}

fn with_way_out(said: String, denied: bool) -> String {
    if denied {
        return format!("{said}; allow these credentials the role `Storage Blob Data Contributor`");
    }
    said
}

/// The messages of an error and its causes, the repetitions left out.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| (*error).source()) {
        let text = cause.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}

/// Text from outside without what a terminal would obey.
fn printable(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    text.trim().trim_end_matches('.').trim_end().to_owned()
}

impl Objects for Client {
    fn describe(&self) -> String {
        self.place.clone()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(container::prepare(self))
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BackendError>> {
        Box::pin(self.get(key))
    }

    fn put<'a>(&'a self, write: Write<'a>) -> BoxFuture<'a, Result<Put, BackendError>> {
        Box::pin(self.put(write))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Listed>, BackendError>> {
        Box::pin(self.list(prefix))
    }

    fn delete<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(self.remove(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_the_service_said() {
        let body = "Server returned non-2xx status code: 403 Forbidden: \u{feff}<?xml version=\"1.0\"?><Error><Code>AuthorizationPermissionMismatch</Code><Message>This request is not authorized.\nRequestId:4d6f\nTime:2026</Message></Error>";
        let error = Error::PermissionDenied { path: "states/x".into(), source: body.into() };
        assert_eq!(
            said(&error),
            "This request is not authorized (AuthorizationPermissionMismatch); allow these credentials the role `Storage Blob Data Contributor`"
        );
        let error =
            Error::Generic { store: "MicrosoftAzure", source: "Error performing token request: no route".into() };
        assert!(said(&error).contains("`?credential=azure_cli`"), "{}", said(&error));
        let error = Error::Generic { store: "MicrosoftAzure", source: "Credential type `x` lacks a setting".into() };
        assert_eq!(said(&error), "Credential type `x` lacks a setting");
        let error = Error::NotFound { path: String::new(), source: "<Code>ContainerNotFound</Code>".into() };
        assert!(is_of_no_container(&error));
    }
}
