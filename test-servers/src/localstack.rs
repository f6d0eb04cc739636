//! localstack-core, which judges conditional writes to S3 as S3 does; its KMS and Secrets Manager come along.

mod install;

use std::{
    net::Ipv6Addr,
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
const PATIENCE: Duration = Duration::from_secs(180);

/// A localstack server of one's own: S3, KMS and Secrets Manager, empty.
///
/// It listens on `[::1]` alone: given a name or an address of the older kind, it would listen on all of them. Dropping it
/// ends the server, and so does the death of the process.
///
/// ```no_run
/// let localstack = test_servers::Localstack::start()?;
/// for (name, value) in localstack.env() {
///     println!("export {name}={value}");
/// }
/// # Ok::<_, test_servers::Error>(())
/// ```
#[derive(Debug)]
pub struct Localstack {
    process: Process,
    endpoint: String,
    // Last: the log and the server's files lie here, so it goes after the server.
    _scratch: TempDir,
}

impl Localstack {
    /// Starts a server on a free port of `[::1]`; installs localstack first if it is not there (minutes, once).
    ///
    /// # Errors
    ///
    /// [`Error::Install`] where it cannot be installed, [`Error::Start`] where it does not start.
    pub fn start() -> Result<Self, Error> {
        let python = install()?;
        let scratch = tempfile::Builder::new()
            .prefix("stackkit-localstack-")
            .tempdir()
            .map_err(Error::file(std::env::temp_dir(), "create a temporary folder in"))?;
        let port = free_port("localstack", Ipv6Addr::LOCALHOST)?;
        // Nothing is fetched or sent: no certificate, no statistics, no names.
        let settings = [
            format!("GATEWAY_LISTEN=[::1]:{port}"),
            format!("FILESYSTEM_ROOT={}", scratch.path().join("files").display()),
            "OVERRIDE_IN_DOCKER=0".to_owned(),
            "SERVICES=s3,kms,secretsmanager,sts".to_owned(),
            "EAGER_SERVICE_LOADING=1".to_owned(),
            "SKIP_SSL_CERT_DOWNLOAD=1".to_owned(),
            "DISABLE_EVENTS=1".to_owned(),
            "DNS_ADDRESS=0".to_owned(),
            "PYTHONDONTWRITEBYTECODE=1".to_owned(),
        ];
        let mut arguments: Vec<std::ffi::OsString> = settings.into_iter().map(Into::into).collect();
        arguments.extend([python.into(), "-m".into(), "localstack.runtime.main".into()]);
        let process = Process::start(Start {
            name: "localstack",
            program: "/usr/bin/env".as_ref(),
            arguments,
            log: scratch.path().join("localstack.log"),
            stdout: Stdout::Log,
            scratch: Some(scratch.path()),
        })?;
        let mut server = Self { process, endpoint: format!("http://[::1]:{port}"), _scratch: scratch };
        server.wait_until_ready(port)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, port: u16) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.process.check(port)?;
            let answer =
                http::request_to((Ipv6Addr::LOCALHOST, port).into(), "GET", "/_localstack/health", "text/plain", "");
            // A service that is still being loaded would answer late, not wrong.
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.process.failed(&format!("it did not answer within {} s", PATIENCE.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One server for all tests of a process, started by the first that asks for it. It ends with the process.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start). A failure is remembered too: every later call tells the same.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<Localstack, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Where the server listens, such as `http://[::1]:41234`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Environment under which AWS SDKs and the `aws` command use this server and nothing else of AWS.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        crate::moto::environment(self.endpoint())
    }

    /// Blocks until the server ends by itself, which it does only when something outside kills it.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] where the operating system cannot tell.
    pub fn wait(mut self) -> Result<std::process::ExitStatus, Error> {
        self.process.wait()
    }
}
