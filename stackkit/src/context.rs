//! `Context`: what a provider's call may know and say while it runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Error;
use crate::urn::Urn;

/// A boxed future, as the erased provider interface returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the engine does with what a running call reports. Implemented by the engine and by tests.
pub trait Reports: Send + Sync {
    /// Makes the id durable; returns once it is.
    fn created<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Error>>;
    /// Shows a line of progress.
    fn progress(&self, message: String);
}

/// Everything a call of a provider knows about its place in the run.
#[derive(Clone)]
pub struct Context {
    pub(crate) shared: Arc<RunInfo>,
    pub(crate) urn: Urn,
    pub(crate) token: Arc<str>,
    pub(crate) timeout: Duration,
    pub(crate) reports: Arc<dyn Reports>,
}

/// What all calls of a run share.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// Name of the stack.
    pub stack: String,
    /// The stack's identity for its whole life, whatever its name.
    pub lineage: String,
    /// The folder that relative paths of the program refer to.
    pub dir: std::path::PathBuf,
    /// Whether absence counts only after a type's settle time. Mocked clouds have none.
    pub settles: bool,
    /// Which second it is.
    pub(crate) clock: Clock,
}

impl RunInfo {
    /// How long after a request the absence of its effect proves nothing.
    pub(crate) fn settle(&self, schema: &crate::schema::Schema) -> Duration {
        if self.settles { schema.settle } else { Duration::ZERO }
    }
}

impl Context {
    /// A context that is not part of a run, for a provider's own tests.
    pub fn detached(urn: Urn, token: &str) -> Self {
        Self::detached_in(urn, token, ".")
    }

    /// [`Context::detached`] with the folder that relative paths are taken from.
    pub fn detached_in(urn: Urn, token: &str, dir: impl Into<std::path::PathBuf>) -> Self {
        struct Silent;
        impl Reports for Silent {
            fn created<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
                Box::pin(std::future::ready(Ok(())))
            }
            fn progress(&self, _: String) {}
        }
        Self {
            shared: Arc::new(RunInfo {
                stack: "test".into(),
                lineage: "test".into(),
                dir: dir.into(),
                settles: true,
                clock: Clock::System,
            }),
            urn,
            token: token.into(),
            timeout: Duration::from_secs(60),
            reports: Arc::new(Silent),
        }
    }

    /// The resource's URN.
    pub fn urn(&self) -> &Urn {
        &self.urn
    }

    /// The resource's name in the program.
    pub fn name(&self) -> &str {
        self.urn.name()
    }

    /// Name of the stack.
    pub fn stack(&self) -> &str {
        &self.shared.stack
    }

    /// The stack's identity for its whole life.
    pub fn lineage(&self) -> &str {
        &self.shared.lineage
    }

    /// The folder that relative paths of the program refer to.
    pub fn dir(&self) -> &std::path::Path {
        &self.shared.dir
    }

    /// The token of this attempt: the same again when the engine repeats a call whose outcome it does not know.
    /// Pass it where the API takes an idempotency token, and as a tag.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The tags by which the engine finds its own resources: lineage, URN and token.
    pub fn tags(&self) -> [(&'static str, String); 3] {
        [
            ("stackkit:lineage", self.shared.lineage.clone()),
            ("stackkit:urn", self.urn.to_string()),
            ("stackkit:token", self.token.to_string()),
        ]
    }

    /// How long the call may take before the engine gives it up.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Makes the id of what was just created durable. Call it before any waiting: from here on a crash loses nothing.
    ///
    /// # Errors
    /// When the state cannot be written; return the error at once.
    pub async fn created(&self, id: &str) -> Result<(), Error> {
        self.reports.created(id).await
    }

    /// Shows a line of progress, such as `waiting for 2 of 3 replicas`.
    pub fn progress(&self, message: impl Into<String>) {
        self.reports.progress(message.into());
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("urn", &self.urn).field("token", &self.token).finish_non_exhaustive()
    }
}
