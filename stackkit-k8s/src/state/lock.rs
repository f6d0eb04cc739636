//! The lock of a stack as a Lease, so that `kubectl get leases` shows who is at work. What it says stands in an
//! annotation; the fields of the Lease are made of it. How old it is, the API server's clock says: the date of its answer,
//! and the time at which it noted the last change.

use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::{Value as Wire, json};
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Object, When, Write};
use time::OffsetDateTime;

use super::names::{LOCK, WORDS, WRITER};
use super::store::{Store, annotation, moment, refused, written};
use crate::body::{at, text_at};
use crate::error::{Error, Reason};

/// The name under which the API server notes when a lock was written.
const MANAGER: &str = "stackkit-state";

/// Reads a lock.
pub(super) async fn get(store: &Store, name: &str) -> Result<Option<Object>, BackendError> {
    let Some(answer) = store.read(store.lease(Some(name))).await? else { return Ok(None) };
    let lease = &answer.body;
    let Some(words) = annotation(lease, WORDS) else {
        return Err(BackendError::Unfit(format!(
            "the Lease `{name}` in {} is no lock of a stack: give the state a namespace of its own",
            store.place()
        )));
    };
    let age = moment(answer.date.as_deref()).zip(written(lease, MANAGER)).map(|(now, then)| now.saturating_sub(then));
    Ok(Some(Object {
        body: words.as_bytes().to_vec(),
        version: text_at(lease, "metadata.resourceVersion").unwrap_or_default().to_owned(),
        writer: annotation(lease, WRITER).map(str::to_owned),
        age: age.map(|age| Duration::from_secs(age.max(0).unsigned_abs())),
    }))
}

/// Writes a lock on a condition: its version, or `None` where the condition does not hold.
pub(super) async fn put(store: &Store, name: &str, stack: &str, write: Write<'_>) -> Result<Option<String>, Error> {
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": name,
            "labels": { LOCK: stack, "app.kubernetes.io/managed-by": "stackkit" },
            "annotations": { WORDS: String::from_utf8_lossy(write.body), WRITER: write.writer },
        },
        "spec": spec(write.body),
    });
    let query = format!("?fieldManager={MANAGER}");
    let sent = match write.when {
        When::Absent => store.send(Method::POST, store.lease(None) + &query, &lease).await,
        When::Is(version) => {
            lease["metadata"]["resourceVersion"] = version.into();
            store.send(Method::PUT, store.lease(Some(name)) + &query, &lease).await
        }
    };
    match sent {
        Ok(kept) => Ok(Some(text_at(&kept.body, "metadata.resourceVersion").unwrap_or_default().to_owned())),
        Err(error) => match refused(&error) {
            Some(Reason::AlreadyExists | Reason::Stale | Reason::NotFound | Reason::OtherUid) => Ok(None),
            _ => Err(error),
        },
    }
}

/// The fields of a Lease for what a lock says. Nobody's has none but its last renewal.
fn spec(words: &[u8]) -> Wire {
    let words: Wire = serde_json::from_slice(words).unwrap_or_default();
    let mut spec = json!({ "renewTime": micro(OffsetDateTime::from(SystemTime::now())) });
    let ttl = at(&words, "ttl_ms").and_then(Wire::as_u64).unwrap_or_default();
    if let Some(who) = text_at(&words, "holder.who") {
        let of = |name: &str| text_at(&words, name).unwrap_or_default();
        spec["holderIdentity"] = format!("{who} ({}, {})", of("holder.operation"), of("holder.id")).into();
        spec["leaseDurationSeconds"] = ttl.div_ceil(1000).clamp(1, i32::MAX.unsigned_abs().into()).into();
    }
    let since = at(&words, "holder.since").and_then(Wire::as_i64);
    if let Some(since) = since.and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok()) {
        spec["acquireTime"] = micro(since).into();
    }
    spec
}

/// A time as Leases have it, with microseconds.
fn micro(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_says_what_its_lock_says() {
        let words = br#"{"stackkit":1,"holder":{"id":"0190","who":"ada@laptop","pid":7,"operation":"up","since":1700000000},"ttl_ms":1500,"beat":3,"fence":false}"#;
        let spec = spec(words);
        assert_eq!(spec["holderIdentity"], "ada@laptop (up, 0190)");
        assert_eq!(spec["leaseDurationSeconds"], 2);
        assert_eq!(spec["acquireTime"], "2023-11-14T22:13:20.000000Z");
        let free = super::spec(br#"{"stackkit":1,"holder":null,"ttl_ms":1500,"beat":4,"fence":false}"#);
        assert!(free.get("holderIdentity").is_none() && free.get("renewTime").is_some());
    }
}
