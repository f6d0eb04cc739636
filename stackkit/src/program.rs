//! `Program`: a user's function with the providers linked to it, and the error type that it returns.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use crate::context::BoxFuture;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::provider::Linked;
use crate::read::Outside;
use crate::seal::LinkedKeys;
use crate::stack::{Declarations, Stack};
use crate::state::place::LinkedBackend;
use crate::value::Value;

/// What a program returns.
pub type Result<T, E = ProgramError> = std::result::Result<T, E>;

/// An error of a program: any error converts to it with `?`.
pub struct ProgramError(Diagnostics);

impl ProgramError {
    /// From a message.
    pub fn msg(message: impl Into<String>) -> Self {
        Self(Diagnostics(vec![Diagnostic::invalid(message)]))
    }

    /// From a message and its place in the program.
    pub(crate) fn located(message: impl Into<String>, at: &Location<'_>) -> Self {
        Self(Diagnostics(vec![Diagnostic::invalid(message).at(at)]))
    }

    pub(crate) fn from_diagnostics(diagnostics: Vec<Diagnostic>) -> Self {
        Self(Diagnostics(diagnostics))
    }
}

impl fmt::Debug for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<E: std::error::Error> From<E> for ProgramError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self::msg(message)
    }
}

type Run = for<'a> fn(&'a mut Stack) -> BoxFuture<'a, Result<()>>;

/// A program: made by `#[stackkit::main]` or `#[stackkit::program]` out of an `async fn` that takes `&mut Stack`.
#[derive(Clone, Copy)]
pub struct Program {
    name: &'static str,
    run: Run,
    providers: &'static [Linked],
    /// What else is linked stands in lists like this one: one list a kind of thing, filled by the macro's argument of the
    /// same name and read by a method of the same name.
    backends: &'static [LinkedBackend],
    backend: Option<&'static str>,
    keys: &'static [LinkedKeys],
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What `#[stackkit::main]` and `#[stackkit::program]` leave in the function's place, so that `Test::of(orders)` reads.
impl<F: Fn() -> Program> From<F> for Program {
    fn from(program: F) -> Self {
        program()
    }
}

impl Program {
    /// From a name, a function and the linked providers. The local provider is always linked.
    pub const fn new(name: &'static str, run: Run, providers: &'static [Linked]) -> Self {
        Self { name, run, providers, backends: &[], backend: None, keys: &[] }
    }

    /// With these kinds of backends linked: `#[stackkit::main(backends(…))]`.
    #[must_use]
    pub const fn with_backends(mut self, backends: &'static [LinkedBackend]) -> Self {
        self.backends = backends;
        self
    }

    /// With its state at this URL where nothing else is said: `#[stackkit::main(backend = "…")]`.
    #[must_use]
    pub const fn with_backend(mut self, url: &'static str) -> Self {
        self.backend = Some(url);
        self
    }

    /// With these kinds of keys linked: `#[stackkit::main(keys(…))]`.
    #[must_use]
    pub const fn with_keys(mut self, keys: &'static [LinkedKeys]) -> Self {
        self.keys = keys;
        self
    }

    /// The kinds of keys that are linked. Key files and passphrases always are, and are not among them.
    pub fn keys(&self) -> &'static [LinkedKeys] {
        self.keys
    }

    /// The kinds of backends that are linked. Folders always are, and are not among them.
    pub fn backends(&self) -> &'static [LinkedBackend] {
        self.backends
    }

    /// URL of the backend where nothing else is said.
    pub fn backend(&self) -> Option<&'static str> {
        self.backend
    }

    /// Name of the package that the program is in: a stack belongs to one program.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its providers, the local one included.
    pub fn providers(&self) -> Vec<Linked> {
        let mut all = vec![Linked::of::<crate::local::Local>()];
        all.extend(self.providers.iter().copied().filter(|linked| linked.name != "local"));
        all
    }

    /// Runs the program to its end and returns what it declared.
    ///
    /// # Errors
    /// All diagnostics together, those of the program's own error included. A panic is one of them.
    pub async fn declare(
        &self,
        stack: &str,
        dir: &Path,
        config: BTreeMap<String, Value>,
    ) -> std::result::Result<Declarations, Diagnostics> {
        self.declare_with(stack, dir, config, None).await
    }

    /// [`Program::declare`] with somebody who answers what the program asks.
    pub(crate) async fn declare_with(
        &self,
        stack: &str,
        dir: &Path,
        config: BTreeMap<String, Value>,
        outside: Option<Arc<Outside>>,
    ) -> std::result::Result<Declarations, Diagnostics> {
        let mut target = Stack::new(stack, dir, config, outside);
        let result = (self.run)(&mut target).await;
        let mut declared = target.finish();
        if let Err(ProgramError(Diagnostics(mut more))) = result {
            declared.diagnostics.append(&mut more);
        }
        if declared.diagnostics.is_empty() {
            crate::policy::remedy(&mut declared);
        }
        if declared.diagnostics.is_empty() { Ok(declared) } else { Err(Diagnostics(declared.diagnostics)) }
    }
}
