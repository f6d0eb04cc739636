//! `Error`: what a request of Vault or OpenBao met, and the kind by which the engine decides what to do next.

use stackkit::error::{ErrorKind, ProviderError};
use vaultrs::error::ClientError;

use crate::server::{Problem, Told, told};

/// A request that failed. The message names the path, what the server said, and a way out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Of a request about `what`, such as a path, for which the token needs `right`. It only reads: that it got no
    /// answer is worth another try.
    pub(crate) fn reading(error: &ClientError, what: &str, right: &str) -> Self {
        let answer = told(error);
        let (kind, way) = match answer.told {
            Told::Credentials => (ErrorKind::Denied, "log in again, or set VAULT_TOKEN or BAO_TOKEN".to_owned()),
            Told::Denied => (ErrorKind::Denied, format!("allow the token {right}, and check mount and namespace")),
            Told::NotFound => (ErrorKind::NotFound, "check mount, path and namespace".to_owned()),
            Told::Refused => (ErrorKind::Invalid, "see the server's log".to_owned()),
            Told::Conflict => (ErrorKind::Conflict, "somebody else wrote it: run the command again".to_owned()),
            Told::Unavailable => (ErrorKind::Transient, "the server is sealed or on standby".to_owned()),
            Told::Unreachable => (ErrorKind::Transient, "check VAULT_ADDR or BAO_ADDR".to_owned()),
            Told::Throttled => (ErrorKind::Throttled, "the server asks for patience".to_owned()),
            Told::Other => (ErrorKind::Transient, "see the server's log".to_owned()),
        };
        Self::new(kind, format!("{what}: {}; {way}", answer.said))
    }

    /// [`Error::reading`] of a request that changes something: without an answer nobody knows whether it did.
    pub(crate) fn writing(error: &ClientError, what: &str, right: &str) -> Self {
        let failed = Self::reading(error, what, right);
        match told(error) {
            answer if matches!(answer.told, Told::Unreachable | Told::Other) && !answer.unsent => {
                Self { kind: ErrorKind::UnknownOutcome, ..failed }
            }
            _ => failed,
        }
    }

    /// What to do next depends on this alone.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl ProviderError for Error {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<stackkit::Error> for Error {
    fn from(error: stackkit::Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let kind = if problem.credentials { ErrorKind::Denied } else { ErrorKind::Invalid };
        Self::new(kind, format!("provider `vault`: {}", problem.detail))
    }
}
