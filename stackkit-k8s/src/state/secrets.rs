//! Entries and folded states as Secrets, each created once and never changed.
//!
//! What is too long for one Secret begins as one without content; then its parts are created, which it owns, so that
//! Kubernetes deletes them with it; then it gets the label by which it is found. That last write is refused where somebody
//! has deleted it meanwhile, and whoever wants its name deletes what has only begun: of two, the one that is whole first
//! is there, and the other is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value as Wire, json};
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Object, Write};

use super::names::{BEGUN, KEY, PART, PARTS, SIZE, WHOLE, WRITER};
use super::store::{Store, annotation, refused, timestamp};
use crate::body::text_at;
use crate::error::{Error, Reason};

/// Longest content of one Secret, in bytes. A Secret holds 1 MiB, and etcd takes 1.5 MiB in one request.
const LONGEST: usize = 768 * 1024;
/// The type of the Secrets.
const TYPE: &str = "stackkit.dev/state";
/// What has begun and is not whole after so many seconds is nobody's any more. Should its writer wake up after that, its
/// last write is refused.
const FORGOTTEN: i64 = 3600;

fn part_name(name: &str, uid: &str, number: usize) -> String {
    format!("{name}.{uid}.{number}")
}

fn is_whole(secret: &Wire) -> bool {
    secret.get("metadata").and_then(|metadata| metadata.get("labels")?.get(WHOLE)).is_some()
}

fn content(store: &Store, secret: &Wire) -> Result<Vec<u8>, BackendError> {
    let Some(text) = text_at(secret, "data.body") else { return Ok(Vec::new()) };
    STANDARD.decode(text).map_err(|error| damaged(store, secret, &format!("its content is no base64: {error}")))
}

fn damaged(store: &Store, secret: &Wire, why: &str) -> BackendError {
    let name = text_at(secret, "metadata.name").unwrap_or_default();
    BackendError::Corrupt(format!(
        "the Secret `{name}` in {} is damaged, {why}: restore it from a backup",
        store.place()
    ))
}

/// Reads an object; `None` where there is none that is whole.
pub(super) async fn get(store: &Store, name: &str) -> Result<Option<Object>, BackendError> {
    let Some(answer) = store.read(store.secret(Some(name))).await? else { return Ok(None) };
    let secret = answer.body;
    if !is_whole(&secret) {
        return Ok(None);
    }
    let uid = text_at(&secret, "metadata.uid").unwrap_or_default();
    let mut body = content(store, &secret)?;
    let parts = annotation(&secret, PARTS).and_then(|parts| parts.parse().ok()).unwrap_or(0);
    for number in 0..parts {
        let part = store.read(store.secret(Some(&part_name(name, uid, number)))).await?;
        let Some(part) = part else {
            // A part goes after the whole. Where that is still there, it is not on its way out.
            let again = store.read(store.secret(Some(name))).await?;
            let same = again.is_some_and(|again| text_at(&again.body, "metadata.uid") == Some(uid));
            return if same { Err(damaged(store, &secret, &format!("part {number} is missing"))) } else { Ok(None) };
        };
        body.extend(content(store, &part.body)?);
    }
    if annotation(&secret, SIZE) != Some(body.len().to_string().as_str()) {
        return Err(damaged(store, &secret, "it is not as long as it was"));
    }
    Ok(Some(Object {
        body,
        version: text_at(&secret, "metadata.resourceVersion").unwrap_or_default().to_owned(),
        writer: annotation(&secret, WRITER).map(str::to_owned),
        age: None,
    }))
}

/// Writes an object that is not there yet: its version, or `None` where there is one.
pub(super) async fn put(store: &Store, name: &str, stack: &str, write: Write<'_>) -> Result<Option<String>, Error> {
    let secret = secret(name, stack, write);
    for _ in 0..2 {
        match store.send(Method::POST, store.secret(None), &secret).await {
            Ok(made) if is_whole(&made.body) => return Ok(Some(version(&made.body))),
            Ok(begun) => return finish(store, begun.body, name, stack, write.body).await,
            Err(error) if refused(&error) == Some(Reason::AlreadyExists) => {}
            Err(error) => return Err(error),
        }
        let there = store.look(name).await?;
        match there {
            None => {}
            Some(there) if is_whole(&there) => return Ok(None),
            Some(begun) => store.delete(name, Some(&version(&begun))).await?,
        }
    }
    Err(Error::StillThere { object: format!("Secret {name}") })
}

/// Writes the parts, then what makes them one.
async fn finish(store: &Store, mut begun: Wire, name: &str, stack: &str, body: &[u8]) -> Result<Option<String>, Error> {
    let uid = text_at(&begun, "metadata.uid").unwrap_or_default().to_owned();
    for (number, bytes) in body.chunks(LONGEST).enumerate() {
        let part = json!({
            "apiVersion": "v1", "kind": "Secret", "type": TYPE, "immutable": true,
            "metadata": {
                "name": part_name(name, &uid, number),
                "labels": { PART: stack, "app.kubernetes.io/managed-by": "stackkit" },
                "ownerReferences": [{ "apiVersion": "v1", "kind": "Secret", "name": name, "uid": uid }],
            },
            "data": { "body": STANDARD.encode(bytes) },
        });
        match store.send(Method::POST, store.secret(None), &part).await {
            Ok(_) => {}
            Err(error) if refused(&error) == Some(Reason::AlreadyExists) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(metadata) = begun.get_mut("metadata").and_then(Wire::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(labels) = metadata.get_mut("labels").and_then(Wire::as_object_mut) {
            labels.remove(BEGUN);
            labels.insert(WHOLE.to_owned(), stack.into());
        }
    }
    match store.send(Method::PUT, store.secret(Some(name)), &begun).await {
        Ok(whole) => Ok(Some(version(&whole.body))),
        Err(error) => match refused(&error) {
            Some(Reason::Stale | Reason::NotFound | Reason::OtherUid) => Ok(None),
            _ => Err(error),
        },
    }
}

fn secret(name: &str, stack: &str, write: Write<'_>) -> Wire {
    let parts = if write.body.len() > LONGEST { write.body.len().div_ceil(LONGEST) } else { 0 };
    let mut annotations = json!({ KEY: write.key, SIZE: write.body.len().to_string(), WRITER: write.writer });
    let mut data = json!({});
    if parts > 0 {
        annotations[PARTS] = parts.to_string().into();
    } else if !write.body.is_empty() {
        data["body"] = STANDARD.encode(write.body).into();
    }
    let label = if parts > 0 { BEGUN } else { WHOLE };
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": TYPE, "immutable": true,
        "metadata": {
            "name": name,
            "labels": { label: stack, "app.kubernetes.io/managed-by": "stackkit" },
            "annotations": annotations,
        },
        "data": data,
    })
}

fn version(secret: &Wire) -> String {
    text_at(secret, "metadata.resourceVersion").unwrap_or_default().to_owned()
}

impl Store {
    /// What has a name now, whole or not.
    async fn look(&self, name: &str) -> Result<Option<Wire>, Error> {
        match self.once(self.secret(Some(name))).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(error) if refused(&error) == Some(Reason::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Deletes what has begun, of whatever stack, and was never made whole.
pub(super) async fn tidy(store: &Store) -> Result<(), BackendError> {
    let (begun, now) = store.metadata(BEGUN).await?;
    for secret in begun {
        let since = timestamp(text_at(&secret, "metadata.creationTimestamp"));
        let old = now.zip(since).is_some_and(|(now, since)| now - since > FORGOTTEN);
        if let (true, Some(name)) = (old, text_at(&secret, "metadata.name")) {
            let done = store.delete(name, Some(&version(&secret))).await;
            done.map_err(|error| store.error("delete in", error))?;
        }
    }
    Ok(())
}
