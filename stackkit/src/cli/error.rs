//! `Failure`: everything that a command can end with other than well, told in one place, with its exit status.

use std::io::{self, Write as _};

use crate::cli::USAGE;
use crate::config::file::ConfigError;
use crate::diagnostic::{Diagnostic, DiagnosticKind};
use crate::engine::RunError;
use crate::seal::SealError;
use crate::ui::{JsonLines, Paint, Report, render_reports};

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    diagnostics: Vec<Diagnostic>,
    status: u8,
}

impl Failure {
    fn new(message: impl Into<String>, status: u8) -> Self {
        Self { diagnostics: vec![Diagnostic::invalid(message)], status }
    }

    /// Several things are wrong.
    pub(crate) fn several(messages: impl Iterator<Item = String>) -> Self {
        Self { diagnostics: messages.map(Diagnostic::invalid).collect(), status: 1 }
    }

    /// Something went wrong, and has been said.
    pub(crate) fn said() -> Self {
        Self { diagnostics: Vec::new(), status: 1 }
    }

    /// Something went wrong.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(message, 1)
    }

    /// Something went wrong; the way out stands after a colon.
    pub(crate) fn told(message: &str) -> Self {
        Self { diagnostics: vec![split_help(message)], status: 1 }
    }

    /// The arguments make no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message, USAGE)
    }

    /// It is refused, and nothing was touched.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { diagnostics: vec![Diagnostic::refused(message)], status: 3 }
    }

    /// The person said no, or the run was cancelled at the question.
    pub(crate) fn declined(cancelled: bool) -> Self {
        if cancelled {
            Self::new("cancelled; nothing was changed", 130)
        } else {
            Self::new("declined; nothing was changed", 1)
        }
    }

    /// Says the way out.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(last) = self.diagnostics.last_mut() {
            last.help = Some(help.into());
        }
        self
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    /// Tells it to a person on standard error.
    pub(crate) fn print(&self) {
        let reports: Vec<Report> = self.diagnostics.iter().map(Report::from).collect();
        let text = render_reports(&reports, Paint::stderr(), super::columns());
        let mut err = io::stderr().lock();
        let _ = err.write_all(text.as_bytes());
    }

    /// Tells it to a program.
    pub(crate) fn write<W: io::Write + Send>(&self, json: &JsonLines<W>) {
        self.diagnostics.iter().for_each(|diagnostic| json.diagnostic(diagnostic));
    }

    /// Tells it to whoever is there, and gives the exit status.
    pub(crate) fn report(&self, json: bool) -> u8 {
        if json {
            self.write(&JsonLines::new(io::stdout()));
        } else {
            self.print();
        }
        self.status
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let status = error.exit_code();
        let diagnostics = match error {
            RunError::Diagnostics(all) => all.0,
            // The events of the run have said all of it.
            RunError::Failed(_) | RunError::Cancelled(_) => Vec::new(),
            RunError::Seal(SealError::NoneOpens(tried)) => {
                tried.iter().map(|error| split_help(&error.to_string())).collect()
            }
            other => {
                let kind = if status == 3 { DiagnosticKind::Refused } else { DiagnosticKind::Invalid };
                vec![Diagnostic { kind, ..split_help(&other.to_string()) }]
            }
        };
        Self { diagnostics, status }
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        RunError::from(error).into()
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let status = if matches!(error, ConfigError::Key(_)) { USAGE } else { 1 };
        Self { diagnostics: vec![split_help(&error.to_string())], status }
    }
}

/// Errors of keys and states are one sentence: what is wrong, a colon, and the way out. The way out begins with what to
/// do, by which it is found, so that it stands apart on the screen.
fn split_help(message: &str) -> Diagnostic {
    const BEGINNINGS: [&str; 17] = [
        "add ", "bring ", "check ", "choose ", "commit ", "export ", "give ", "copy ", "make ", "put ", "restore ",
        "run ", "set ", "upgrade ", "use ", "wait ", "write ",
    ];
    let mut splits = message.match_indices([':', ';']).filter_map(|(at, _)| {
        let rest = message.get(at + 1..)?.strip_prefix(' ')?;
        BEGINNINGS.iter().any(|beginning| rest.starts_with(beginning)).then_some((at, rest))
    });
    match splits.next() {
        Some((at, help)) => Diagnostic::invalid(&message[..at]).help(help),
        None => Diagnostic::invalid(message),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::event::Summary;

    #[test]
    fn exit_status_and_way_out() {
        let wrong = Failure::from(SealError::WrongPassphrase);
        assert_eq!(wrong.status(), 1);
        assert_eq!(
            wrong.diagnostics[0].message,
            "the passphrase is wrong for this stack, or its [seal] header was edited"
        );
        assert_eq!(wrong.diagnostics[0].help.as_deref(), Some("check STACKKIT_PASSPHRASE or STACKKIT_PASSPHRASE_FILE"));
        let missing = SealError::KeyFileMissing { wanted: "k1".into(), path: PathBuf::from("/nowhere") };
        let missing = Failure::from(missing);
        assert!(missing.diagnostics[0].help.as_deref().is_some_and(|help| help.starts_with("copy the file there")));
        let refused = Diagnostics(vec![Diagnostic::refused("protected")]);
        assert_eq!(Failure::from(RunError::Diagnostics(refused)).status(), 3);
        let cancelled = Failure::from(RunError::Cancelled(Summary::default()));
        assert_eq!((cancelled.status(), cancelled.diagnostics.len()), (130, 0));
        assert_eq!(Failure::from(ConfigError::Key("a b".into())).status(), 64);
    }
}
