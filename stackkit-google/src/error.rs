//! `Error`: what a call of Google Cloud met, and the kind by which it is decided what to do next.

use std::time::Duration;

use serde::Deserialize;
use stackkit::error::{ErrorKind, ProviderError};

/// A call of Google Cloud that failed.
///
/// The message names the permission that the call needs (`storage.objects.create`), what the service said, the status,
/// and a way out where there is a known one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// Google's own word for the failure, such as `FAILED_PRECONDITION`.
    #[cfg_attr(not(feature = "keys"), allow(dead_code, reason = "only keys are told apart by it"))]
    status: Option<String>,
    retry_after: Option<Duration>,
}

/// The body of an answer that is an error, as the JSON APIs send it.
#[derive(Deserialize)]
struct Said {
    error: SaidMore,
}

#[derive(Deserialize)]
struct SaidMore {
    message: Option<String>,
    status: Option<String>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None, retry_after: None }
    }

    /// What to do next depends on this alone.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Google's own word for the failure.
    #[cfg(feature = "keys")]
    pub(crate) fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// How long the service asked to wait.
    pub(crate) fn asked_to_wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// With how long the service asked to wait.
    pub(crate) fn after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    /// The same failure with something more to say.
    #[cfg(feature = "secrets")]
    pub(crate) fn because(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// A failure after something was made. Nothing may make it again, so no kind is left that would have the call
    /// repeated: the next run finishes what is there.
    #[cfg(feature = "secrets")]
    pub(crate) fn half_made(self) -> Self {
        if !self.may_pass() {
            return self;
        }
        let half = self.because("it is made but not finished: the next `up` finishes it");
        Self { kind: ErrorKind::Conflict, retry_after: None, ..half }
    }

    /// Whether the same request may go through at another time.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::UnknownOutcome)
    }

    /// No credentials, or none that give a token now.
    pub(crate) fn no_token(transient: bool, said: &(dyn std::error::Error + 'static)) -> Self {
        let kind = if transient { ErrorKind::Transient } else { ErrorKind::Denied };
        // What is around the cause tells at length what is told here at the end.
        let cause = std::iter::successors(Some(said), |error| (*error).source()).last();
        let cause = cause.map(|cause| printable(&cause.to_string())).unwrap_or_default();
        let message = format!(
            "no usable Google Cloud credentials ({cause}); run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
        );
        Self { status: (!transient).then(|| "UNAUTHENTICATED".to_owned()), ..Self::new(kind, message) }
    }

    /// A request that got no answer.
    pub(crate) fn unanswered(permission: &str, error: reqwest::Error) -> Self {
        let unsent = error.is_connect() || error.is_builder();
        let timed_out = error.is_timeout();
        // The address is part of the place's own description.
        let said = chain(&error.without_url());
        match (unsent, timed_out) {
            (true, _) => Self::new(
                ErrorKind::Transient,
                format!("{permission}: the endpoint cannot be reached ({said}); check the network and `endpoint`"),
            ),
            (false, true) => {
                Self::new(ErrorKind::UnknownOutcome, format!("{permission}: the service did not answer in time"))
            }
            (false, false) => {
                Self::new(ErrorKind::UnknownOutcome, format!("{permission}: the connection broke ({said})"))
            }
        }
    }

    /// An answer that is an error.
    pub(crate) fn answered(permission: &str, status: u16, body: &[u8]) -> Self {
        let kind = match status {
            401 | 403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            409 | 412 => ErrorKind::Conflict,
            408 | 429 => ErrorKind::Throttled,
            503 => ErrorKind::Transient,
            500.. => ErrorKind::UnknownOutcome,
            _ => ErrorKind::Invalid,
        };
        let (said, word) = match serde_json::from_slice::<Said>(body) {
            Ok(said) => (said.error.message.unwrap_or_default(), said.error.status),
            Err(_) => (String::from_utf8_lossy(body).chars().take(400).collect(), None),
        };
        let said = printable(&said);
        let said = if said.is_empty() { "no message" } else { &said };
        let mut message = format!("{permission}: {said} (status {status})");
        match status {
            401 => message.push_str(
                "; Google Cloud does not accept these credentials: renew them with `gcloud auth application-default login`",
            ),
            403 => message.push_str(&format!("; the credentials may not do this: allow them `{permission}`")),
            _ => {}
        }
        Self { status: word, ..Self::new(kind, message) }
    }

    /// An answer that lacks what it always has.
    pub(crate) fn lacks(permission: &str, what: &str) -> Self {
        Self::new(ErrorKind::UnknownOutcome, format!("{permission}: the answer has no {what}"))
    }
}

impl ProviderError for Error {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<stackkit::Error> for Error {
    fn from(error: stackkit::Error) -> Self {
        Self::new(error.kind(), error.to_string()).after(error.retry_after())
    }
}

/// The messages of an error and its causes, the repetitions left out.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| (*error).source()) {
        let text = printable(&cause.to_string());
        if !text.is_empty() && !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}

/// Text from outside without what a terminal would obey.
fn printable(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().trim_end_matches('.').trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_says_is_told_with_a_way_out() {
        let body = br#"{"error":{"code":403,"message":"ada@example.com does not have access.","errors":[]}}"#;
        let error = Error::answered("storage.objects.create", 403, body);
        assert_eq!(
            error.to_string(),
            "storage.objects.create: ada@example.com does not have access (status 403); the credentials may not do this: allow them `storage.objects.create`"
        );
        assert_eq!(error.kind(), ErrorKind::Denied);
        let error = Error::answered("storage.objects.get", 500, b"<html>\x1b[31m");
        assert!(error.to_string().contains("<html> [31m"), "{error}");
        assert!(error.may_pass());
        assert_eq!(Error::answered("x", 404, b"").to_string(), "x: no message (status 404)");
    }
}
