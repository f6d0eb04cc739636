//! Diagnostics: everything wrong with a program, its config or its plan, gathered and reported together.

use std::fmt;
use std::panic::Location;

use crate::urn::Urn;

/// One thing that is wrong, with where it stands and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding it is.
    pub kind: DiagnosticKind,
    /// The resource, if it is about one.
    pub urn: Option<Urn>,
    /// The field, if it is about one.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// File, line and column in the program.
    pub at: Option<String>,
    /// Name of the policy, if one found it.
    pub policy: Option<String>,
}

/// What kind of finding a diagnostic is; it decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagnosticKind {
    /// The program or its config is wrong.
    Invalid,
    /// A protection, guard or identity check refuses.
    Refused,
}

impl Diagnostic {
    /// Something wrong with the program.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            kind: DiagnosticKind::Invalid,
            urn: None,
            field: None,
            message: message.into(),
            help: None,
            at: None,
            policy: None,
        }
    }

    /// Something that is refused.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { kind: DiagnosticKind::Refused, ..Self::invalid(message) }
    }

    /// Names the resource.
    #[must_use]
    pub fn on(mut self, urn: &Urn) -> Self {
        self.urn = Some(urn.clone());
        self
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Names the policy that found it.
    #[must_use]
    pub fn policy(mut self, name: impl Into<String>) -> Self {
        self.policy = Some(name.into());
        self
    }

    /// Names the place in the program.
    #[must_use]
    pub fn at(mut self, at: &Location<'_>) -> Self {
        self.at = Some(at.to_string());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.urn {
            write!(f, "{urn}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "`{field}`: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        if let Some(at) = &self.at {
            write!(f, " [{at}]")?;
        }
        Ok(())
    }
}

/// All diagnostics of a program, as one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether anything in it was refused rather than wrong.
    pub fn refused(&self) -> bool {
        self.0.iter().all(|d| d.kind == DiagnosticKind::Refused)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
