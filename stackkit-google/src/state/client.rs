//! `Client`: the few requests that a state needs, with their outcomes told apart.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use stackkit::context::BoxFuture;
use stackkit::error::ErrorKind;
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Listed, Object, Objects, Put, When, Write};
use stackkit::state::place::BackendUrl;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;

use super::bucket;
use super::url::Options;
use crate::Error;
use crate::session::{Answer, Session};

const SERVICE: &str = "https://storage.googleapis.com";
/// The variable of the client libraries for a server in Google's place.
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";
/// The metadata that tells one write from another.
const WRITER: &str = "writer";
/// How many objects a listing's page has, at most: as many as Google gives.
const PAGE: &str = "1000";
/// How many objects are deleted at once.
const DELETES: usize = 16;

/// A bucket and a prefix in it.
#[derive(Debug)]
pub(super) struct Client {
    session: Session,
    service: Url,
    place: String,
    options: Options,
}

/// One page of a listing.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    items: Vec<Item>,
    #[serde(rename = "nextPageToken")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    /// A number, as text.
    size: String,
    updated: Option<String>,
}

/// What an upload answers.
#[derive(Deserialize)]
struct Uploaded {
    generation: String,
}

impl Client {
    pub(super) fn open(url: &BackendUrl, options: Options) -> Result<Self, BackendError> {
        let emulator = std::env::var(EMULATOR).ok().filter(|text| !text.is_empty());
        let emulator = emulator.map(|text| if text.contains("://") { text } else { format!("http://{text}") });
        let endpoint = options.endpoint.clone().or(emulator);
        // A token is nothing to send in the clear.
        let anonymous = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let endpoint = endpoint.unwrap_or_else(|| SERVICE.to_owned());
        let service = Url::parse(&endpoint).ok().filter(|service| !service.cannot_be_a_base());
        let service = service.ok_or_else(|| url.unfit(&format!("`{}` is no address", endpoint.escape_debug())))?;
        let scope = match options.create {
            true => "https://www.googleapis.com/auth/devstorage.full_control",
            false => "https://www.googleapis.com/auth/devstorage.read_write",
        };
        let session = if anonymous { Session::anonymous() } else { Session::open(scope) };
        let place = url.to_string();
        let session = session.map_err(|error| BackendError::service("open", &place, error))?;
        Ok(Self { session, service, place, options })
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// A key below the prefix.
    pub(super) fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.options.prefix)
    }

    /// The address of something: these words, each a segment of the path.
    fn address<'a>(&self, words: impl IntoIterator<Item = &'a str>, query: &[(&str, &str)]) -> Url {
        let mut url = self.service.clone();
        // It has a path: that was looked at when it was opened.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(words);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The address of something in the JSON API.
    pub(super) fn api(&self, words: &[&str], query: &[(&str, &str)]) -> Url {
        self.address(["storage", "v1"].into_iter().chain(words.iter().copied()), query)
    }

    pub(super) fn no_bucket(&self) -> BackendError {
        BackendError::Unfit(format!(
            "there is no bucket `{}`: add `?create=true` to the URL once, which makes it versioned and closed to the public",
            self.options.bucket
        ))
    }

    pub(super) fn error(&self, what: &'static str, error: Error) -> BackendError {
        if error.kind() == ErrorKind::Denied {
            return BackendError::denied(what, &self.place, error);
        }
        BackendError::service(what, &self.place, error)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BackendError> {
        const PERMISSION: &str = "storage.objects.get";
        let key = self.key(key);
        let url = self.address(std::iter::once(self.options.bucket.as_str()).chain(key.split('/')), &[]);
        let answer = self.session.ask(PERMISSION, &[404], || self.session.http().get(url.clone())).await;
        let answer = answer.map_err(|error| self.error("read", error))?;
        if answer.status == 404 {
            let no_bucket = String::from_utf8_lossy(&answer.body).contains("NoSuchBucket");
            return if no_bucket && !self.options.create { Err(self.no_bucket()) } else { Ok(None) };
        }
        let version = answer.header("x-goog-generation").map(str::to_owned);
        let version = version.ok_or_else(|| self.error("read", Error::lacks(PERMISSION, "generation")))?;
        let writer = answer.header("x-goog-meta-writer").map(str::to_owned);
        let age = age(&answer);
        Ok(Some(Object { body: answer.body, version, writer, age }))
    }

    async fn put(&self, write: Write<'_>) -> Result<Put, BackendError> {
        const PERMISSION: &str = "storage.objects.create";
        let key = self.key(write.key);
        let generation = match write.when {
            When::Absent => "0",
            When::Is(version) => version,
        };
        let words = ["upload", "storage", "v1", "b", &self.options.bucket, "o"];
        let query = [("uploadType", "multipart"), ("ifGenerationMatch", generation), ("fields", "generation")];
        let about = json!({ "name": key, "contentType": "application/json", "metadata": { WRITER: write.writer } });
        let (kind, body) = multipart(&about.to_string(), write.body);
        let request = self.session.http().post(self.address(words, &query)).header("content-type", kind).body(body);
        let answer = match self.session.send(PERMISSION, request).await {
            Ok(answer) => answer,
            Err(error) if error.may_pass() => return Ok(Put::Unsure(self.error("write", error))),
            Err(error) => return Err(self.error("write", error)),
        };
        match answer.status {
            200..=299 => Ok(match serde_json::from_slice::<Uploaded>(&answer.body) {
                Ok(uploaded) => Put::Kept(uploaded.generation),
                Err(_) => Put::Unsure(self.error("write", Error::lacks(PERMISSION, "generation"))),
            }),
            412 => Ok(Put::Refused),
            // Of an object that is gone, or of the bucket.
            404 if matches!(write.when, When::Is(_)) => Ok(Put::Refused),
            404 => Err(self.no_bucket()),
            status => {
                let error = Error::answered(PERMISSION, status, &answer.body);
                // Two writes of one object at the same moment may be told of a conflict.
                let passes = error.may_pass() || error.kind() == ErrorKind::Conflict;
                let error = self.error("write", error);
                if passes { Ok(Put::Unsure(error)) } else { Err(error) }
            }
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, BackendError> {
        const PERMISSION: &str = "storage.objects.list";
        let prefix = self.key(prefix);
        let mut objects = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let fields = ("fields", "items(name,size,updated),nextPageToken");
            let mut query = vec![("prefix", prefix.as_str()), ("maxResults", PAGE), fields];
            query.extend(next.as_deref().map(|next| ("pageToken", next)));
            let url = self.api(&["b", &self.options.bucket, "o"], &query);
            let answer = self.session.ask(PERMISSION, &[404], || self.session.http().get(url.clone())).await;
            let answer = answer.map_err(|error| self.error("list", error))?;
            match answer.status {
                404 if self.options.create => return Ok(Vec::new()),
                404 => return Err(self.no_bucket()),
                _ => {}
            }
            let page: Page = serde_json::from_slice(&answer.body)
                .map_err(|_| self.error("list", Error::lacks(PERMISSION, "listing")))?;
            for item in page.items {
                let Some(key) = item.name.strip_prefix(&self.options.prefix) else { continue };
                let size = item.size.parse().map_err(|_| self.error("list", Error::lacks(PERMISSION, "size")))?;
                let at = item.updated.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
                let at = at.and_then(|at| u64::try_from(at.unix_timestamp()).ok());
                objects.push(Listed { key: key.to_owned(), size, at });
            }
            next = page.next.filter(|next| !next.is_empty());
            if next.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Deletes objects, some at a time: the JSON API takes one a request.
    async fn delete(&self, keys: &[String]) -> Result<(), BackendError> {
        for some in keys.chunks(DELETES) {
            let mut requests = JoinSet::new();
            for key in some {
                let url = self.api(&["b", &self.options.bucket, "o", &self.key(key)], &[]);
                let session = self.session.clone();
                requests.spawn(async move {
                    session.ask("storage.objects.delete", &[404], || session.http().delete(url.clone())).await
                });
            }
            while let Some(result) = requests.join_next().await {
                let result = result.map_err(|error| BackendError::service("delete in", &self.place, error))?;
                result.map_err(|error| self.error("delete in", error))?;
            }
        }
        Ok(())
    }
}

/// How long ago an object was written, both moments by the service's clock, in whole seconds.
fn age(answer: &Answer) -> Option<Duration> {
    let time = |name: &str| httpdate::parse_http_date(answer.header(name)?).ok();
    let (now, written) = (time("date")?, time("last-modified")?);
    Some(now.duration_since(written).unwrap_or_default())
}

/// The body of a multipart upload, and its content type.
fn multipart(about: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut boundary = "stackkit".to_owned();
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    while holds(body, &format!("--{boundary}")) || about.contains(&boundary) {
        boundary.push('-');
    }
    let mut bytes = Vec::with_capacity(body.len() + about.len() + 200);
    for (kind, part) in [("application/json; charset=UTF-8", about.as_bytes()), ("application/json", body)] {
        bytes.extend_from_slice(format!("--{boundary}\r\ncontent-type: {kind}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/related; boundary={boundary}"), bytes)
}

impl Objects for Client {
    fn describe(&self) -> String {
        self.place.clone()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(bucket::prepare(self))
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
        Box::pin(self.delete(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_has_two_parts_whatever_is_in_them() {
        let (kind, bytes) = multipart(r#"{"name":"a"}"#, b"--stackkit");
        assert_eq!(kind, "multipart/related; boundary=stackkit-");
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            "--stackkit-\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{\"name\":\"a\"}\r\n\
             --stackkit-\r\ncontent-type: application/json\r\n\r\n--stackkit\r\n--stackkit---\r\n"
        );
        // An empty object is one.
        assert!(String::from_utf8_lossy(&multipart("{}", b"").1).ends_with("\r\n\r\n\r\n--stackkit--\r\n"));
    }
}
