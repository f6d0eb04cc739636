//! OpenBao, the free continuation of Vault: a genuine server in development mode.

mod install;

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    process::{Command, ExitStatus},
    sync::OnceLock,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Error, http,
    process::{Process, Start, Stdout, free_port},
};
pub(crate) use install::install;

/// Longest time from the start of the process to its first answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of OpenBao of one's own, unsealed and empty; what it holds is in memory alone.
///
/// Dropping it ends the server, and so does the death of the process.
///
/// ```no_run
/// let bao = test_servers::OpenBao::start()?;
/// bao.run(&["secrets", "enable", "transit"])?;
/// bao.run(&["write", "-f", "transit/keys/infra"])?;
/// # Ok::<_, test_servers::Error>(())
/// ```
#[derive(Debug)]
pub struct OpenBao {
    process: Process,
    program: PathBuf,
    endpoint: String,
    token: String,
    // Last: the log lies here, so it goes after the server.
    scratch: TempDir,
}

impl OpenBao {
    /// Starts a server on a free port of 127.0.0.1; installs OpenBao first if it is not there (half a minute, once).
    ///
    /// # Errors
    ///
    /// [`Error::Install`] where it cannot be installed, [`Error::Start`] where it does not start.
    pub fn start() -> Result<Self, Error> {
        let program = install()?;
        let scratch = tempfile::Builder::new()
            .prefix("stackkit-openbao-")
            .tempdir()
            .map_err(Error::file(std::env::temp_dir(), "create a temporary folder in"))?;
        let port = free_port("openbao", Ipv4Addr::LOCALHOST)?;
        let token = format!("root-{}-{port}", std::process::id());
        let process = Process::start(Start {
            name: "openbao",
            program: &program,
            arguments: vec![
                "server".into(),
                "-dev".into(),
                "-dev-no-store-token".into(),
                format!("-dev-root-token-id={token}").into(),
                format!("-dev-listen-address=127.0.0.1:{port}").into(),
            ],
            log: scratch.path().join("openbao.log"),
            stdout: Stdout::Log,
            scratch: Some(scratch.path()),
        })?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut server = Self { process, program, endpoint, token, scratch };
        server.wait_until_ready(port)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, port: u16) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.process.check(port)?;
            let answer = http::request(port, "GET", "/v1/sys/health", "application/json", "");
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.process.failed(&format!("it did not answer within {} s", PATIENCE.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One server for all tests of a process, started by the first that asks for it. It ends with the process.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start). A failure is remembered too: every later call tells the same.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<OpenBao, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Where the server listens, such as `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The token of whoever may do everything.
    pub fn root_token(&self) -> &str {
        &self.token
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Environment under which the `bao` command and programs use this server, as its root.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![("BAO_ADDR", self.endpoint.clone()), ("BAO_TOKEN", self.token.clone())]
    }

    /// Runs the `bao` command as the server's root, and returns what it printed.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        let refused = |detail: String| Error::Ask {
            server: format!("openbao at {}", self.endpoint),
            request: format!("bao {}", arguments.join(" ")),
            detail,
        };
        let output = Command::new(&self.program)
            .args(arguments)
            .env("HOME", self.scratch.path())
            .envs(self.env())
            .output()
            .map_err(|error| refused(error.to_string()))?;
        if !output.status.success() {
            return Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Blocks until the server ends by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] where the operating system cannot tell.
    pub fn wait(mut self) -> Result<ExitStatus, Error> {
        self.process.wait()
    }
}
