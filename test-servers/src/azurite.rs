//! azurite, Microsoft's own emulator of Azure Blob Storage.

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

/// Longest time from the start of the process to its first answer; a cold disk makes the imports slow.
const PATIENCE: Duration = Duration::from_secs(120);
/// The account that the emulator has, and its key, as its documentation names them: they are no secret.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A blob service of azurite's of one's own, empty; what it holds is in memory alone.
///
/// Dropping it ends the server, and so does the death of the process.
///
/// ```no_run
/// let azurite = test_servers::Azurite::start()?;
/// println!("azblob://{}/states?endpoint={}", azurite.account(), azurite.endpoint());
/// # Ok::<_, test_servers::Error>(())
/// ```
#[derive(Debug)]
pub struct Azurite {
    process: Process,
    port: u16,
    endpoint: String,
    // Last: the log lies here, so it goes after the server.
    _scratch: TempDir,
}

impl Azurite {
    /// Starts a server on a free port of 127.0.0.1; installs azurite first if it is not there (about a minute, once).
    ///
    /// # Errors
    ///
    /// [`Error::Install`] where it cannot be installed, [`Error::Start`] where it does not start.
    pub fn start() -> Result<Self, Error> {
        let (node, program) = install()?;
        let scratch = tempfile::Builder::new()
            .prefix("stackkit-azurite-")
            .tempdir()
            .map_err(Error::file(std::env::temp_dir(), "create a temporary folder in"))?;
        let port = free_port("azurite", Ipv4Addr::LOCALHOST)?;
        let mut arguments: Vec<std::ffi::OsString> = vec![program.into(), "--blobPort".into(), port.to_string().into()];
        // Nothing is sent to anybody, and requests of newer clients are served as far as they can be.
        arguments.extend(
            [
                "--blobHost",
                "127.0.0.1",
                "--inMemoryPersistence",
                "--disableTelemetry",
                "--disableProductStyleUrl",
                "--skipApiVersionCheck",
                "--silent",
            ]
            .map(Into::into),
        );
        let process = Process::start(Start {
            name: "azurite",
            program: &node,
            arguments,
            log: scratch.path().join("azurite.log"),
            stdout: Stdout::Log,
            scratch: Some(scratch.path()),
        })?;
        let endpoint = format!("http://127.0.0.1:{port}/{ACCOUNT}");
        let mut server = Self { process, port, endpoint, _scratch: scratch };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.process.check(self.port)?;
            // It answers that nobody has said who he is, but it answers.
            if http::request(self.port, "GET", &format!("/{ACCOUNT}?comp=list"), "text/plain", "").is_ok() {
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
        static SHARED: OnceLock<Result<Azurite, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Where its account's containers are, such as `http://127.0.0.1:41234/devstoreaccount1`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The name of its account.
    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// The key of that account.
    pub fn key(&self) -> &'static str {
        KEY
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Environment under which programs use this server as the holder of its account's key.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        [
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
            ("AZURE_STORAGE_ENDPOINT", &self.endpoint),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
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
