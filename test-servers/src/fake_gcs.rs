//! fake-gcs-server, which answers as Google Cloud Storage does.

mod install;

use std::{
    net::Ipv4Addr,
    process::ExitStatus,
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

/// A fake-gcs-server of one's own, empty; what it holds is in memory alone.
///
/// It judges `ifGenerationMatch` as Google does where the upload is `uploadType=multipart`, and ignores it where it is
/// `uploadType=media`. Dropping it ends the server, and so does the death of the process.
///
/// ```no_run
/// let server = test_servers::FakeGcs::start()?;
/// println!("gs://states?endpoint={}", server.endpoint());
/// # Ok::<_, test_servers::Error>(())
/// ```
#[derive(Debug)]
pub struct FakeGcs {
    process: Process,
    port: u16,
    endpoint: String,
    // Last: the log lies here, so it goes after the server.
    _scratch: TempDir,
}

impl FakeGcs {
    /// Starts a server on a free port of 127.0.0.1; installs it first if it is not there (half a minute, once).
    ///
    /// # Errors
    ///
    /// [`Error::Install`] where it cannot be installed, [`Error::Start`] where it does not start.
    pub fn start() -> Result<Self, Error> {
        let program = install()?;
        let scratch = tempfile::Builder::new()
            .prefix("stackkit-fake-gcs-")
            .tempdir()
            .map_err(Error::file(std::env::temp_dir(), "create a temporary folder in"))?;
        let port = free_port("fake-gcs", Ipv4Addr::LOCALHOST)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let arguments = [
            "-backend",
            "memory",
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            &port.to_string(),
            // Whatever its port, that host is Google's.
            "-public-host",
            "127.0.0.1",
            "-external-url",
            &endpoint,
            "-log-level",
            "error",
        ];
        let process = Process::start(Start {
            name: "fake-gcs",
            program: &program,
            arguments: arguments.map(Into::into).into(),
            log: scratch.path().join("fake-gcs.log"),
            stdout: Stdout::Log,
            scratch: Some(scratch.path()),
        })?;
        let mut server = Self { process, port, endpoint, _scratch: scratch };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.process.check(self.port)?;
            let answer = http::request(self.port, "GET", "/storage/v1/b", "text/plain", "");
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
        static SHARED: OnceLock<Result<FakeGcs, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Where the server listens, such as `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Environment under which programs use this server.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![("STORAGE_EMULATOR_HOST", self.endpoint.clone()), ("GOOGLE_CLOUD_PROJECT", "test".to_owned())]
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
