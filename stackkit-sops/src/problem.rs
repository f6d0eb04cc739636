//! `Problem`: what is wrong with a file, to stand after its name.

use stackkit::Error;
use stackkit::error::ErrorKind;

/// What is wrong with a file. Nothing of its values is in it, only their paths.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) kind: ErrorKind,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Invalid, text: text.into() }
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self { kind: ErrorKind::NotFound, text: text.into() }
    }

    pub(crate) fn denied(text: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Denied, text: text.into() }
    }

    /// The error of the file at a path.
    pub(crate) fn of(self, path: &str) -> Error {
        Error::new(self.kind, format!("the file `{}` {}", path.escape_debug(), self.text))
    }
}

/// A name from a file as messages show it: no control characters, and not without end.
pub(crate) fn shown(name: &str) -> String {
    const LONGEST: usize = 200;
    let mut text: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}
