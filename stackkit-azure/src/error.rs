//! `Error`: what a call of Azure met, and the kind by which the engine decides what to do next.

use std::time::Duration;

use stackkit::error::{ErrorKind, ProviderError};

use crate::answer::{SIGN_IN, Told, told};

/// A call of an Azure service that failed.
///
/// The message names what it was about, what the service said, its error code, and a way out where there is a known one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// What to do next depends on this alone.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Of a request about `what`, for which the credentials need `role`.
    pub(crate) fn of(error: &azure_core::Error, what: &str, role: &str) -> Self {
        let answer = told(error);
        let (kind, way) = match answer.told {
            Told::Credentials => (ErrorKind::Denied, SIGN_IN.to_owned()),
            Told::Denied => (ErrorKind::Denied, format!("allow these credentials the role `{role}` on it")),
            Told::Disabled => (ErrorKind::Denied, "enable it".to_owned()),
            Told::NotFound => (ErrorKind::NotFound, "check its name and the vault".to_owned()),
            Told::Recoverable => (
                ErrorKind::Conflict,
                "recover it with `az keyvault secret recover` and adopt it, purge it, or choose another name"
                    .to_owned(),
            ),
            Told::Busy => (ErrorKind::Transient, "the vault is still at work on it".to_owned()),
            Told::Conflict => (ErrorKind::Conflict, "somebody else changed it: run the command again".to_owned()),
            Told::Refused => (ErrorKind::Invalid, "the request can never succeed as it is".to_owned()),
            Told::Throttled => (ErrorKind::Throttled, "the vault asks for patience".to_owned()),
            Told::Unavailable => (ErrorKind::Transient, "the vault is not available".to_owned()),
            Told::Unreachable => (ErrorKind::Transient, "check the vault's name and the network".to_owned()),
            Told::Failed => (ErrorKind::UnknownOutcome, "the service failed somewhere on the way".to_owned()),
        };
        Self { kind, message: format!("{what}: {}; {way}", answer.said), retry_after: answer.retry_after }
    }

    /// A failure after something was made. Nothing may make it again, so no kind is left that would have the call
    /// repeated: the next run finishes what is there.
    pub(crate) fn half_made(self) -> Self {
        match self.kind {
            ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::UnknownOutcome => Self {
                kind: ErrorKind::Conflict,
                message: format!("{}; it is made but not finished: the next `up` finishes it", self.message),
                retry_after: None,
            },
            _ => self,
        }
    }

    /// A member that the service always sends was not in its answer.
    pub(crate) fn lacks(what: &str, member: &str) -> Self {
        Self::new(ErrorKind::UnknownOutcome, format!("{what}: the answer has no `{member}`"))
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
        Self { kind: error.kind(), retry_after: error.retry_after(), message: error.to_string() }
    }
}
