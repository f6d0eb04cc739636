//! `Store`: a namespace as a place of objects, and the requests that all of it is made of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::Value as Wire;
use stackkit::ErrorKind;
use stackkit::access::{Grant, Role};
use stackkit::context::BoxFuture;
use stackkit::error::ProviderError as _;
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Listed, Object, Objects, Put, When, Write};
use stackkit::state::place::BackendUrl;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};
use tokio::task::JoinSet;

use super::names::{KEY, Named, SIZE, named, selector};
use super::url::Options;
use super::{access, lock, secrets};
use crate::body::{items_at, text_at};
use crate::client::{Answered, Api, Call, JSON, escape};
use crate::error::{Error, Reason};
use crate::provider::connect;

/// Media type of a list of metadata alone, which reads no content from the server.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Objects of one page of a list.
const PAGE: usize = 500;
/// How often something that may be repeated is attempted.
const ATTEMPTS: u32 = 5;
/// How many objects are deleted at once.
const DELETES: usize = 8;

/// A namespace with the states of stacks. Cheap to clone.
#[derive(Clone)]
pub(super) struct Store(Arc<Inner>);

struct Inner {
    api: Api,
    place: String,
    namespace: String,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("place", &self.0.place).finish_non_exhaustive()
    }
}

impl Store {
    pub(super) async fn connect(url: &BackendUrl, options: Options) -> Result<Self, BackendError> {
        let settings =
            crate::Settings { kubeconfig: options.kubeconfig, context: options.context, ..crate::Settings::default() };
        let (api, _) = connect(&settings).await.map_err(|error| url.unfit(&error.to_string()))?;
        Ok(Self(Arc::new(Inner { api, place: url.to_string(), namespace: options.namespace })))
    }

    pub(super) fn place(&self) -> &str {
        &self.0.place
    }

    /// The path of a Secret, or of all of them.
    pub(super) fn secret(&self, name: Option<&str>) -> String {
        self.path("/api/v1", "secrets", name)
    }

    /// The path of a Lease, or of all of them.
    pub(super) fn lease(&self, name: Option<&str>) -> String {
        self.path("/apis/coordination.k8s.io/v1", "leases", name)
    }

    fn path(&self, group: &str, plural: &str, name: Option<&str>) -> String {
        let collection = format!("{group}/namespaces/{}/{plural}", escape(&self.0.namespace));
        match name {
            Some(name) => format!("{collection}/{}", escape(name)),
            None => collection,
        }
    }

    /// One request that writes.
    pub(super) async fn send(&self, method: Method, path: String, body: &Wire) -> Result<Answered, Error> {
        let action = format!("{} in namespace {}", verb(&method), self.0.namespace);
        let body = Some((JSON, body.to_string().into_bytes()));
        self.0.api.answer(Call { action: &action, method, path, body }, JSON).await
    }

    /// Reads something, again after failures that pass; `None` where it is not there.
    pub(super) async fn read(&self, path: String) -> Result<Option<Answered>, BackendError> {
        match self.retried(&path, JSON).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if refused(&error) == Some(Reason::NotFound) => Ok(None),
            Err(error) => Err(self.error("read", error)),
        }
    }

    /// Reads something, once.
    pub(super) async fn once(&self, path: String) -> Result<Answered, Error> {
        let action = format!("read in namespace {}", self.0.namespace);
        self.0.api.answer(Call { action: &action, method: Method::GET, path, body: None }, JSON).await
    }

    async fn retried(&self, path: &str, accept: &'static str) -> Result<Answered, Error> {
        let action = format!("read in namespace {}", self.0.namespace);
        let mut attempt = 1;
        loop {
            let call = Call { action: &action, method: Method::GET, path: path.to_owned(), body: None };
            match self.0.api.answer(call, accept).await {
                Err(error) if passes(&error) && attempt < ATTEMPTS => pause(attempt, &error).await,
                result => return result,
            }
            attempt += 1;
        }
    }

    /// The metadata of all Secrets with these labels, as of one moment.
    pub(super) async fn metadata(&self, selector: &str) -> Result<(Vec<Wire>, Option<i64>), BackendError> {
        let mut attempt = 1;
        loop {
            match self.pages(selector).await {
                // The moment that the list was of is too long ago for the server to go on with.
                Err(Error::Refused { answer, .. }) if answer.code == 410 && attempt < ATTEMPTS => attempt += 1,
                result => return result.map_err(|error| self.error("list", error)),
            }
        }
    }

    async fn pages(&self, selector: &str) -> Result<(Vec<Wire>, Option<i64>), Error> {
        let base = format!("{}?labelSelector={}&limit={PAGE}", self.secret(None), escape(selector));
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let mut page = self.retried(&format!("{base}{next}"), METADATA).await?;
            let now = moment(page.date.as_deref());
            let more = text_at(&page.body, "metadata.continue").filter(|token| !token.is_empty());
            let more = more.map(|token| format!("&continue={}", escape(token)));
            if let Some(Wire::Array(items)) = page.body.get_mut("items").map(Wire::take) {
                all.extend(items);
            }
            match more {
                Some(more) => next = more,
                None => return Ok((all, now)),
            }
        }
    }

    /// Deletes a Secret, as this version or whatever it is, and with it the parts that it owns.
    pub(super) async fn delete(&self, name: &str, version: Option<&str>) -> Result<(), Error> {
        let mut options = serde_json::json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
        });
        if let (Some(version), Some(options)) = (version, options.as_object_mut()) {
            options.insert("preconditions".into(), serde_json::json!({ "resourceVersion": version }));
        }
        let mut attempt = 1;
        loop {
            match self.send(Method::DELETE, self.secret(Some(name)), &options).await {
                Ok(_) => return Ok(()),
                Err(error) if refused(&error) == Some(Reason::NotFound) => return Ok(()),
                // It is another version now: somebody else's business.
                Err(error) if version.is_some() && refused(&error) == Some(Reason::Stale) => return Ok(()),
                Err(error) if passes(&error) && attempt < ATTEMPTS => pause(attempt, &error).await,
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    pub(super) fn error(&self, what: &'static str, error: Error) -> BackendError {
        let namespace = &self.0.namespace;
        match refused(&error) {
            Some(Reason::Forbidden) => BackendError::denied(what, self.place(), error),
            Some(Reason::NoNamespace) => BackendError::Unfit(format!(
                "there is no namespace `{namespace}` for the state in {}: make it with `kubectl create namespace {namespace}`",
                self.place()
            )),
            _ => BackendError::service(what, self.place(), error),
        }
    }

    /// What a failed write says of its outcome.
    fn unsure(&self, error: Error) -> Result<Put, BackendError> {
        let passes = passes(&error);
        let error = self.error("write", error);
        if passes { Ok(Put::Unsure(error)) } else { Err(error) }
    }
}

/// Why the API server refused, if it did.
pub(super) fn refused(error: &Error) -> Option<Reason> {
    match error {
        Error::Refused { answer, .. } => Some(answer.reason),
        _ => None,
    }
}

/// Whether another attempt may end otherwise.
fn passes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Transient | ErrorKind::Throttled | ErrorKind::UnknownOutcome)
}

async fn pause(attempt: u32, error: &Error) {
    let own = Duration::from_millis(50) * 3_u32.pow(attempt.min(4) - 1);
    tokio::time::sleep(error.retry_after().unwrap_or(own).clamp(own, Duration::from_secs(10))).await;
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::DELETE => "delete",
        _ => "update",
    }
}

/// An annotation of an object.
pub(super) fn annotation<'a>(object: &'a Wire, name: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

/// The moment of an answer, in seconds since 1970.
pub(super) fn moment(date: Option<&str>) -> Option<i64> {
    OffsetDateTime::parse(date?, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp)
}

/// A moment as objects say it, in seconds since 1970.
pub(super) fn timestamp(text: Option<&str>) -> Option<i64> {
    OffsetDateTime::parse(text?, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

impl Objects for Store {
    fn describe(&self) -> String {
        self.place().to_owned()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BackendError>> {
        Box::pin(async move {
            match named(key) {
                Some(Named::Secret { name, .. }) => secrets::get(self, &name).await,
                Some(Named::Lease { name, .. }) => lock::get(self, &name).await,
                None => Ok(None),
            }
        })
    }

    fn put<'a>(&'a self, write: Write<'a>) -> BoxFuture<'a, Result<Put, BackendError>> {
        Box::pin(async move {
            let put = match (named(write.key), write.when) {
                (Some(Named::Lease { name, stack }), _) => lock::put(self, &name, &stack, write).await,
                (Some(Named::Secret { name, stack }), When::Absent) => secrets::put(self, &name, &stack, write).await,
                // Entries and folded states never change, and the API server sees to it.
                (Some(Named::Secret { .. }), When::Is(_)) | (None, _) => {
                    let key = write.key.escape_debug();
                    return Err(BackendError::Unfit(format!("`{key}` in {} cannot be rewritten", self.place())));
                }
            };
            match put {
                Ok(Some(version)) => Ok(Put::Kept(version)),
                Ok(None) => Ok(Put::Refused),
                Err(error) => self.unsure(error),
            }
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Listed>, BackendError>> {
        Box::pin(async move {
            let (items, _) = self.metadata(&selector(prefix)).await?;
            let listed = |item: &Wire| {
                Some(Listed {
                    key: annotation(item, KEY).filter(|key| key.starts_with(prefix))?.to_owned(),
                    size: annotation(item, SIZE)?.parse().ok()?,
                    at: timestamp(text_at(item, "metadata.creationTimestamp")).and_then(|at| u64::try_from(at).ok()),
                })
            };
            Ok(items.iter().filter_map(listed).collect())
        })
    }

    fn access(&self, stack: &str, role: Role) -> Option<Grant> {
        Some(access::grant(&self.0.namespace, self.place(), stack, role))
    }

    fn delete<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut names = keys.iter().filter_map(|key| match named(key)? {
                Named::Secret { name, .. } => Some(name),
                Named::Lease { .. } => None,
            });
            let mut deletes = JoinSet::new();
            loop {
                while deletes.len() < DELETES {
                    let Some(name) = names.next() else { break };
                    let store = self.clone();
                    deletes.spawn(async move { Store::delete(&store, &name, None).await });
                }
                let Some(done) = deletes.join_next().await else { break };
                let done = done.map_err(|error| BackendError::service("delete in", self.place(), error))?;
                done.map_err(|error| self.error("delete in", error))?;
            }
            secrets::tidy(self).await
        })
    }
}

/// The time at which a manager last changed an object, by the server's clock.
pub(super) fn written(object: &Wire, manager: &str) -> Option<i64> {
    let entries = items_at(object, "metadata.managedFields").iter();
    let own = entries.filter(|entry| text_at(entry, "manager") == Some(manager));
    own.filter_map(|entry| timestamp(text_at(entry, "time"))).max()
}
