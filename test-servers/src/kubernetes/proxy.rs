//! A way to an API server without TLS.

use std::{
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Error,
    process::{Process, Start, Stdout},
};

/// Longest time until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// `kubectl proxy` on a free port of 127.0.0.1: everybody on this machine is the administrator there. Dropping it ends it.
#[derive(Debug)]
pub struct Proxy {
    // Before its folder.
    _process: Process,
    address: SocketAddr,
    _scratch: TempDir,
}

impl Proxy {
    pub(super) fn start(kubectl: &Path, kubeconfig: &Path) -> Result<Self, Error> {
        let scratch = tempfile::Builder::new()
            .prefix("stackkit-kubectl-proxy-")
            .tempdir()
            .map_err(Error::file(std::env::temp_dir(), "create a temporary folder in"))?;
        let config = format!("--kubeconfig={}", kubeconfig.display());
        let mut process = Process::start(Start {
            name: "kubectl proxy",
            program: kubectl,
            arguments: ["proxy".to_owned(), "--port=0".to_owned(), config].map(Into::into).into(),
            log: scratch.path().join("proxy.log"),
            stdout: Stdout::Log,
            scratch: Some(scratch.path()),
        })?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = process.log();
            let said = log.split_once("Starting to serve on ").and_then(|(_, rest)| rest.split_once('\n'));
            if let Some(address) = said.and_then(|(address, _)| address.trim().parse().ok()) {
                return Ok(Self { _process: process, address, _scratch: scratch });
            }
            process.check(0)?;
            if Instant::now() > deadline {
                return Err(process.failed(&format!("it did not listen within {} s", PATIENCE.as_secs())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
