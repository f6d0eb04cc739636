//! Errors that providers return, and their kinds: what the engine does next depends on the kind alone.

use std::fmt;
use std::time::Duration;

/// What kind of failure a provider met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for is not there.
    NotFound,
    /// It exists already, or somebody else changed it.
    Conflict,
    /// Too many requests: tried again later.
    Throttled,
    /// The credentials may not do this.
    Denied,
    /// The request can never succeed as it is.
    Invalid,
    /// It failed without effect and may succeed when tried again.
    Transient,
    /// It may or may not have had its effect: the engine looks before it does anything else.
    UnknownOutcome,
}

/// An error type of a provider.
pub trait ProviderError: std::error::Error + Send + Sync + 'static {
    /// The kind, on which the engine acts.
    fn kind(&self) -> ErrorKind;

    /// How long the service asked to wait, if it said so.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// A provider's error, erased; also a ready error type for providers that need none of their own.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind, with a message that says what failed and what to do about it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, source: None }
    }

    /// The request can never succeed as it is.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// What was asked for is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Erases a provider's own error type. The message is the whole chain of causes.
    pub fn erase<E: ProviderError>(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self { kind: error.kind(), retry_after: error.retry_after(), message, source: None }
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// How long the service asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
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

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied => ErrorKind::Denied,
            Io::AlreadyExists => ErrorKind::Conflict,
            Io::Interrupted | Io::WouldBlock | Io::TimedOut => ErrorKind::Transient,
            _ => ErrorKind::Invalid,
        };
        Self::new(kind, error.to_string())
    }
}
