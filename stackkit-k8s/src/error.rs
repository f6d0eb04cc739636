//! What can go wrong with an API server, and what kind of failure each answer of it is.

use std::time::Duration;

use serde_json::Value as Wire;
use stackkit::{ErrorKind, error::ProviderError};

use crate::body::{at, items_at, text_at};

/// An error of the Kubernetes provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings do not lead to a cluster.
    #[error("{0}")]
    Settings(String),
    /// Nobody answers.
    #[error(
        "the API server at {endpoint} cannot be reached: {reason}; check that the cluster is up and that the kubeconfig \
         and its context are the right ones"
    )]
    Unreachable {
        /// The API server's URL.
        endpoint: String,
        /// Why, from the connection.
        reason: String,
    },
    /// The connection broke, or the time was up, after the request had gone out.
    #[error("{action}: no answer from the API server at {endpoint}: {reason}")]
    NoAnswer {
        /// What was asked for.
        action: String,
        /// The API server's URL.
        endpoint: String,
        /// Why, from the connection.
        reason: String,
        /// Whether the request changes something.
        writes: bool,
    },
    /// The API server refused.
    #[error("{action}: {answer}")]
    Refused {
        /// What was asked for.
        action: String,
        /// Its answer, classified.
        answer: Box<Answer>,
    },
    /// Somebody else owns fields that the program sets.
    #[error(
        "{action}: {fields}; leave the field to its owner with `.ignore_changes([\"{first}\"])` or by removing it from the \
         program, or take it over by naming its owner in the provider's setting `take_over`"
    )]
    Owned {
        /// What was asked for.
        action: String,
        /// Fields and owners.
        fields: String,
        /// The first field, as the program names it.
        first: String,
    },
    /// There is an object of that name which is not this resource's.
    #[error(
        "{object} exists already and is not this resource's: adopt it with `.import(\"{id}\")`, or choose another name"
    )]
    Taken {
        /// Kind and name.
        object: String,
        /// The id to import it by.
        id: String,
    },
    /// The object is in the cluster but does not get ready.
    #[error("{object} is not ready: {reason}")]
    NotReady {
        /// Kind and name.
        object: String,
        /// Why, as far as the cluster says.
        reason: String,
    },
    /// The object does not go away.
    #[error("{object} is being deleted, but is still there: {reason}")]
    Stuck {
        /// Kind and name.
        object: String,
        /// What it waits for.
        reason: String,
    },
    /// The object that the state knows is gone.
    #[error("{object} is gone, or another object has its name now; refresh the state")]
    Gone {
        /// Kind and name.
        object: String,
    },
    /// The object's predecessor has not gone yet.
    #[error("{object}: an object of that name is still being deleted")]
    StillThere {
        /// Kind and name.
        object: String,
    },
    /// The engine could not record what happened.
    #[error(transparent)]
    Engine(#[from] stackkit::Error),
}

impl ProviderError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Error::Settings(_) | Error::NotReady { .. } | Error::Stuck { .. } => ErrorKind::Invalid,
            Error::Unreachable { .. } | Error::StillThere { .. } => ErrorKind::Transient,
            Error::NoAnswer { writes: true, .. } => ErrorKind::UnknownOutcome,
            Error::NoAnswer { writes: false, .. } => ErrorKind::Transient,
            Error::Refused { answer, .. } => answer.kind,
            Error::Owned { .. } | Error::Taken { .. } => ErrorKind::Conflict,
            Error::Gone { .. } => ErrorKind::NotFound,
            Error::Engine(error) => error.kind(),
        }
    }
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Refused { answer, .. } => answer.retry_after,
            Error::Engine(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// Why the API server refused, more finely than its status code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The body does not fit the kind, or a rule of it.
    Invalid,
    /// A field that cannot change was changed.
    Immutable,
    /// The credentials are not accepted.
    Unauthenticated,
    /// The credentials may not do this.
    Forbidden,
    /// A quota is used up.
    Quota,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The namespace is not there.
    NoNamespace,
    /// The namespace's service account is not there yet.
    NoServiceAccount,
    /// An admission plugin or webhook said no.
    Admission,
    /// The object is not there.
    NotFound,
    /// The API server does not serve that kind (yet).
    NotServed,
    /// There is one of that name.
    AlreadyExists,
    /// There is one of that name, on its way out.
    BeingDeleted,
    /// Another manager owns a field.
    FieldOwned,
    /// It changed since it was read.
    Stale,
    /// It is another object now.
    OtherUid,
    /// Too many requests, or the storage gets ready.
    Throttled,
    /// The server failed and may not fail again.
    Server,
}

/// A refusal, classified.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// Why.
    pub reason: Reason,
    /// The kind that follows for the engine.
    pub kind: ErrorKind,
    /// The server's words, without the values that it quotes.
    pub message: String,
    /// How long it asked to wait.
    pub retry_after: Option<Duration>,
    /// Fields and their owners, where fields are owned by others.
    pub owned: Vec<(String, String)>,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = match self.reason {
            Reason::Immutable => {
                "; it cannot change in place: run with `--replace` and the resource's URN to make it anew"
            }
            Reason::Unauthenticated => "; the credentials of the kubeconfig are not accepted: log in again",
            Reason::NoNamespace => {
                "; declare the namespace in the program and pass `&namespace.name`, so that it is made first"
            }
            Reason::NamespaceTerminating => "; wait until the namespace is gone, then run again",
            Reason::NotServed => {
                "; the cluster does not serve this kind: its version or a custom resource definition is missing"
            }
            Reason::Quota => "; raise the quota or ask for less",
            _ => "",
        };
        write!(f, "{}{why}", self.message)
    }
}

/// What kind of failure an answer is. `writes` is whether the request changes something.
pub(crate) fn classify(code: u16, body: &[u8], retry_after: Option<u64>, writes: bool) -> Answer {
    let status = serde_json::from_slice::<Wire>(body).ok().filter(|json| text_at(json, "kind") == Some("Status"));
    let Some(status) = status else { return without_status(code, body, retry_after, writes) };
    let said = text_at(&status, "message").unwrap_or_default();
    let word = text_at(&status, "reason").unwrap_or_default();
    let causes = items_at(&status, "details.causes");
    let caused = |reason: &str| causes.iter().any(|cause| text_at(cause, "reason") == Some(reason));
    let owned: Vec<(String, String)> = causes
        .iter()
        .filter(|cause| text_at(cause, "reason") == Some("FieldManagerConflict"))
        .map(|cause| {
            let field = text_at(cause, "field").unwrap_or("?").trim_start_matches('.').to_owned();
            (field, owner(text_at(cause, "message").unwrap_or_default()))
        })
        .collect();
    let unsure = if writes { ErrorKind::UnknownOutcome } else { ErrorKind::Transient };
    let (reason, kind) = match code {
        401 => (Reason::Unauthenticated, ErrorKind::Denied),
        403 if caused("NamespaceTerminating") => (Reason::NamespaceTerminating, ErrorKind::Conflict),
        403 if said.contains("exceeded quota") => (Reason::Quota, ErrorKind::Denied),
        403 if said.contains("error looking up service account") => (Reason::NoServiceAccount, ErrorKind::Transient),
        403 if said.contains("cannot ") && said.contains("User \"") => (Reason::Forbidden, ErrorKind::Denied),
        403 => (Reason::Admission, ErrorKind::Invalid),
        404 if text_at(&status, "details.kind") == Some("namespaces") && writes => {
            (Reason::NoNamespace, ErrorKind::Invalid)
        }
        404 => (Reason::NotFound, ErrorKind::NotFound),
        409 if !owned.is_empty() => (Reason::FieldOwned, ErrorKind::Conflict),
        409 if word == "AlreadyExists" && said.contains("object is being deleted") => {
            (Reason::BeingDeleted, ErrorKind::Transient)
        }
        409 if word == "AlreadyExists" => (Reason::AlreadyExists, ErrorKind::Conflict),
        409 if said.contains("uid mismatch")
            || said.contains("Precondition failed: UID")
            || said.contains("UID in the precondition") =>
        {
            (Reason::OtherUid, ErrorKind::NotFound)
        }
        409 => (Reason::Stale, ErrorKind::Conflict),
        410 => (Reason::Stale, ErrorKind::Transient),
        429 => (Reason::Throttled, ErrorKind::Throttled),
        422 if causes.iter().any(|cause| text_at(cause, "field") == Some("metadata.uid")) => {
            (Reason::OtherUid, ErrorKind::NotFound)
        }
        422 if said.contains("immutable") || said.contains("may not change") || said.contains("may not be updated") => {
            (Reason::Immutable, ErrorKind::Invalid)
        }
        500 if never_succeeds(said) => (Reason::Invalid, ErrorKind::Invalid),
        // A webhook that cannot be called stops a request before it is stored.
        500 if said.contains("failed calling webhook") => (Reason::Server, ErrorKind::Transient),
        503 => (Reason::Server, ErrorKind::Transient),
        408 | 500..=599 => (Reason::Server, unsure),
        _ => (Reason::Invalid, ErrorKind::Invalid),
    };
    let seconds = retry_after.or_else(|| at(&status, "details.retryAfterSeconds").and_then(Wire::as_u64));
    Answer {
        code,
        reason,
        kind,
        message: without_values(said, causes),
        retry_after: seconds.map(Duration::from_secs),
        owned,
    }
}

/// Bodies that server-side apply cannot read come back as a failure of the server, without a reason.
fn never_succeeds(message: &str) -> bool {
    [
        "failed to create typed ",
        "failed to create manager for existing fields",
        "failed to convert new object",
        "failed to update object: unable to convert",
        "etcdserver: request is too large",
        "rpc error: code = ResourceExhausted",
        "illegal base64 data",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// An answer that is plain text: an unknown group, a dead aggregated API, or something before the API server.
fn without_status(code: u16, body: &[u8], retry_after: Option<u64>, writes: bool) -> Answer {
    let (reason, kind) = match code {
        401 => (Reason::Unauthenticated, ErrorKind::Denied),
        403 => (Reason::Forbidden, ErrorKind::Denied),
        404 => (Reason::NotServed, ErrorKind::Transient),
        429 => (Reason::Throttled, ErrorKind::Throttled),
        502 | 504 if writes => (Reason::Server, ErrorKind::UnknownOutcome),
        500..=599 => (Reason::Server, ErrorKind::Transient),
        _ => (Reason::Invalid, ErrorKind::Invalid),
    };
    let text: String = String::from_utf8_lossy(body).trim().chars().filter(|c| !c.is_control()).take(120).collect();
    Answer {
        code,
        reason,
        kind,
        message: format!("{code} {text}").trim().to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
        owned: Vec::new(),
    }
}

/// The manager that a conflict names: `conflict with "kubectl-edit" using apps/v1` gives `kubectl-edit`.
fn owner(message: &str) -> String {
    message.split('"').nth(1).unwrap_or("another manager").to_owned()
}

/// The server's words without what it quotes of the request: values may be secret, and a whole pod template is noise.
fn without_values(message: &str, causes: &[Wire]) -> String {
    if causes.is_empty() {
        return cut_value(message);
    }
    let lines: Vec<String> = causes
        .iter()
        .map(|cause| {
            let text = cut_value(text_at(cause, "message").unwrap_or_default());
            match text_at(cause, "field") {
                Some(field) if !field.is_empty() && !text.starts_with(field) => format!("{field}: {text}"),
                _ => text,
            }
        })
        .collect();
    lines.join("; ")
}

/// `Invalid value: {…}: why` becomes `Invalid value: why`.
fn cut_value(message: &str) -> String {
    let mut out = String::new();
    let mut rest = message;
    for mark in ["Invalid value: ", "Duplicate value: ", "Forbidden value: "] {
        if let Some(start) = rest.find(mark) {
            let (head, tail) = rest.split_at(start + mark.len());
            out.push_str(head);
            rest = after_value(tail);
        }
    }
    out.push_str(rest);
    let line: String = out.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() > 500 { line.chars().take(500).chain("…".chars()).collect() } else { line }
}

/// What follows a quoted text, an object or a word.
fn after_value(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' | '[' | '(' if !quoted => depth += 1,
            '}' | ']' | ')' if !quoted => depth = depth.saturating_sub(1),
            ':' if !quoted && depth == 0 => return text[index + 1..].trim_start(),
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(code: u16, reason: &str, message: &str, details: Wire) -> (Reason, ErrorKind) {
        let body = json!({"kind": "Status", "code": code, "reason": reason, "message": message, "details": details});
        let answer = classify(code, body.to_string().as_bytes(), None, true);
        (answer.reason, answer.kind)
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let none = || json!({});
        let cause = |reason: &str| json!({"causes": [{"reason": reason, "field": ".spec.replicas", "message": "conflict with \"hpa\" using apps/v1"}]});
        for (given, expected) in [
            (
                (403, "Forbidden", "configmaps is forbidden: User \"jane\" cannot create resource", none()),
                (Reason::Forbidden, ErrorKind::Denied),
            ),
            (
                (403, "Forbidden", "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1", none()),
                (Reason::Quota, ErrorKind::Denied),
            ),
            (
                (403, "Forbidden", "unable to create new content", cause("NamespaceTerminating")),
                (Reason::NamespaceTerminating, ErrorKind::Conflict),
            ),
            (
                (403, "Forbidden", "only dynamically provisioned pvc can be resized", none()),
                (Reason::Admission, ErrorKind::Invalid),
            ),
            (
                (403, "Forbidden", "error looking up service account a/default", none()),
                (Reason::NoServiceAccount, ErrorKind::Transient),
            ),
            (
                (404, "NotFound", "namespaces \"x\" not found", json!({"kind": "namespaces"})),
                (Reason::NoNamespace, ErrorKind::Invalid),
            ),
            (
                (404, "NotFound", "configmaps \"x\" not found", json!({"kind": "configmaps"})),
                (Reason::NotFound, ErrorKind::NotFound),
            ),
            (
                (409, "Conflict", "Apply failed with 1 conflict", cause("FieldManagerConflict")),
                (Reason::FieldOwned, ErrorKind::Conflict),
            ),
            ((409, "Conflict", "the object has been modified", none()), (Reason::Stale, ErrorKind::Conflict)),
            (
                (409, "Conflict", "uid mismatch: no existing object was found", none()),
                (Reason::OtherUid, ErrorKind::NotFound),
            ),
            (
                (409, "Conflict", "the UID in the precondition (a) does not match the UID in record (b)", none()),
                (Reason::OtherUid, ErrorKind::NotFound),
            ),
            (
                (409, "AlreadyExists", "configmaps \"x\" already exists", none()),
                (Reason::AlreadyExists, ErrorKind::Conflict),
            ),
            (
                (409, "AlreadyExists", "object is being deleted: x", none()),
                (Reason::BeingDeleted, ErrorKind::Transient),
            ),
            ((422, "Invalid", "spec.selector: field is immutable", none()), (Reason::Immutable, ErrorKind::Invalid)),
            ((422, "Invalid", "metadata.name: bad", none()), (Reason::Invalid, ErrorKind::Invalid)),
            (
                (429, "TooManyRequests", "storage is (re)initializing", none()),
                (Reason::Throttled, ErrorKind::Throttled),
            ),
            (
                (
                    500,
                    "",
                    "failed to create typed patch object (a/b; v1): .spec.x: field not declared in schema",
                    none(),
                ),
                (Reason::Invalid, ErrorKind::Invalid),
            ),
            ((500, "", "etcdserver: request is too large", none()), (Reason::Invalid, ErrorKind::Invalid)),
            ((500, "InternalError", "failed calling webhook \"x\"", none()), (Reason::Server, ErrorKind::Transient)),
            ((500, "InternalError", "boom", none()), (Reason::Server, ErrorKind::UnknownOutcome)),
            ((504, "Timeout", "request did not complete", none()), (Reason::Server, ErrorKind::UnknownOutcome)),
        ] {
            let (code, reason, message, details) = given;
            assert_eq!(status(code, reason, message, details), expected, "{code} {message}");
        }
    }

    #[test]
    fn plain_text_is_not_absence() {
        let answer = classify(404, b"404 page not found\n", None, false);
        assert_eq!((answer.reason, answer.kind), (Reason::NotServed, ErrorKind::Transient));
        assert_eq!(classify(503, b"service unavailable", None, true).kind, ErrorKind::Transient);
    }

    #[test]
    fn a_conflict_names_field_and_owner() {
        let body = json!({"kind": "Status", "reason": "Conflict", "message": "Apply failed", "details": {"causes": [
            {"reason": "FieldManagerConflict", "field": ".spec.replicas", "message": "conflict with \"hpa\" using apps/v1"}]}});
        let answer = classify(409, body.to_string().as_bytes(), None, true);
        assert_eq!(answer.owned, [("spec.replicas".to_owned(), "hpa".to_owned())]);
    }

    #[test]
    fn what_the_server_quotes_is_left_out() {
        for (said, shown) in [
            ("data[x]: Invalid value: \"hunter2\": must be short", "data[x]: Invalid value: must be short"),
            (r#"Invalid value: {"a":"hunter2: b"}: field is immutable"#, "Invalid value: field is immutable"),
            (r#"Invalid value: "a \"hunter2\": x": no"#, "Invalid value: no"),
            (
                "Invalid value: core.PodTemplateSpec{A:\"hunter2\", B:[]string{\"x\"}}: field is immutable",
                "Invalid value: field is immutable",
            ),
            ("Required value: must be given", "Required value: must be given"),
        ] {
            assert_eq!(cut_value(said), shown);
        }
    }
}
