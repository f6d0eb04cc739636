//! What can go wrong while a server is installed, started or asked, and what to do about it.

use std::{io, path::PathBuf};

/// Why a fixture could not do what was asked of it.
///
/// The text always ends in a way out: a command to run, a variable to set, or the server's own last words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no folder to install into.
    #[error("no cache folder: neither STACKKIT_SERVERS_CACHE nor HOME is set; set STACKKIT_SERVERS_CACHE to a folder")]
    NoCache,

    /// A file or folder could not be read or written.
    #[error("{path}: cannot {action}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },

    /// A missing piece could not be installed.
    #[error("cannot install {what}: {detail}; to see it again on its own, run `{command}`")]
    Install {
        /// What was to be installed, with its version.
        what: String,
        /// What went wrong, with the end of the tool's output.
        detail: String,
        /// The command that installs it.
        command: String,
    },

    /// A server did not start, or did not become ready.
    #[error("{server} did not start: {detail}")]
    Start {
        /// The server's name.
        server: String,
        /// What went wrong, with the end of the server's log.
        detail: String,
    },

    /// A port that was free a moment ago was taken before the server had it.
    #[error("{server}: port {port} on 127.0.0.1 is taken; choose another, or let the fixture choose")]
    PortTaken {
        /// The server's name.
        server: String,
        /// The port.
        port: u16,
    },

    /// A running server could not be asked, or refused.
    #[error("{server}: {request}: {detail}")]
    Ask {
        /// The server's name.
        server: String,
        /// What was asked.
        request: String,
        /// What went wrong.
        detail: String,
    },

    /// `kubectl` ended with an error.
    #[error("kubectl {arguments}: {detail}")]
    Kubectl {
        /// The arguments it was called with, separated by spaces.
        arguments: String,
        /// What it wrote to stderr.
        detail: String,
    },
}

impl Error {
    /// For `map_err` on an operation on one file.
    pub(crate) fn file(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, action, source }
    }

    /// A server that did not start.
    pub(crate) fn start(server: &str, detail: impl Into<String>) -> Self {
        Self::Start { server: server.to_owned(), detail: detail.into() }
    }
}
