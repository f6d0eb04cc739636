//! moto, a server that answers as AWS does: its start, its end, its log of calls and its faults.

mod account;
mod install;

use std::{fs, io, process::ExitStatus, sync::OnceLock, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Error, http,
    process::{Process, Start, Stdout},
};
pub use account::Credentials;
pub(crate) use install::install;

/// What runs, and what it imports.
const WRAPPER: (&str, &str) = ("moto_serialised.py", include_str!("../python/moto_serialised.py"));
const JUDGE: (&str, &str) = ("moto_iam.py", include_str!("../python/moto_iam.py"));

/// Longest time from the start of the process to its first request; a cold disk makes the imports slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A moto server of one's own: AWS as far as moto plays it, empty but for the default VPC.
///
/// It serves one request at a time, because moto loses writes under concurrent ones. Dropping it ends the server, and so
/// does the death of the process, be it by `SIGKILL`.
///
/// ```no_run
/// let moto = test_servers::Moto::start()?;
/// for (name, value) in moto.env() {
///     println!("export {name}={value}");
/// }
/// # Ok::<_, test_servers::Error>(())
/// ```
#[derive(Debug)]
pub struct Moto {
    process: Process,
    port: u16,
    endpoint: String,
    // Last: the log and the wrapper lie here, so it goes after the server.
    _scratch: TempDir,
}

impl Moto {
    /// Starts a server on a free port of 127.0.0.1; installs moto first if it is not there (about a minute, once).
    ///
    /// # Errors
    ///
    /// [`Error::Install`] where moto cannot be installed, [`Error::Start`] where it does not start.
    pub fn start() -> Result<Self, Error> {
        Self::start_on(0)
    }

    /// As [`start`](Self::start), on a port of the caller's choice; 0 is a free one.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and [`Error::PortTaken`] where somebody else listens on that port.
    pub fn start_on(port: u16) -> Result<Self, Error> {
        let python = install()?;
        let scratch = tempfile::Builder::new()
            .prefix("stackkit-moto-")
            .tempdir()
            .map_err(Error::file(std::env::temp_dir(), "create a temporary folder in"))?;
        for (name, text) in [WRAPPER, JUDGE] {
            let path = scratch.path().join(name);
            fs::write(&path, text).map_err(Error::file(&path, "write"))?;
        }
        let wrapper = scratch.path().join(WRAPPER.0);
        let mut process = Process::start(Start {
            name: "moto",
            program: &python,
            arguments: vec![wrapper.into(), "--port".into(), port.to_string().into()],
            log: scratch.path().join("moto.log"),
            stdout: Stdout::Read,
            scratch: Some(scratch.path()),
        })?;
        let port = match process.number("port", PATIENCE) {
            Ok(port) => port,
            Err(_) if process.log().contains("in use") => {
                return Err(Error::PortTaken { server: "moto".to_owned(), port });
            }
            Err(error) => return Err(error),
        };
        Ok(Self { process, port, endpoint: format!("http://127.0.0.1:{port}"), _scratch: scratch })
    }

    /// One server for all tests of a process, started by the first that asks for it.
    ///
    /// It ends with the process. Tests that share it must not count on an empty account: they look for their own tags.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start). A failure is remembered too: every later call tells the same.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<Moto, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Where the server listens, such as `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Environment under which AWS SDKs and the `aws` command use this server and nothing else of AWS.
    ///
    /// The configuration files of whoever runs the test are shut out, so that no test reaches a real account.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        environment(self.endpoint())
    }

    /// Names of the calls that the server received, oldest first, such as `ec2:CreateVpc` or `s3:PutObject`.
    ///
    /// The service is the one that the request was signed for (`elasticfilesystem`, not `efs`). Calls that a fault hit
    /// are among them. A request that is no known operation appears as `service:METHOD /path`.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer.
    pub fn calls(&self) -> Result<Vec<String>, Error> {
        Ok(self.call_log()?.into_iter().map(|call| call.name).collect())
    }

    /// The calls that the server received, oldest first, with what became of each.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer.
    pub fn call_log(&self) -> Result<Vec<Call>, Error> {
        let log = self.control("GET", "/_stackkit/calls", "")?;
        let calls = log.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(calls
            .iter()
            .map(|call| Call {
                name: call["call"].as_str().unwrap_or_default().to_owned(),
                fault: call["fault"].as_str().map(str::to_owned),
                status: call["status"].as_u64().and_then(|status| u16::try_from(status).ok()),
            })
            .collect())
    }

    /// Empties the log of calls.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer.
    pub fn clear_calls(&self) -> Result<(), Error> {
        self.control("DELETE", "/_stackkit/calls", "").map(drop)
    }

    /// Replaces the faults: calls that match one go wrong from now on. The first that hits wins.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer, or where a pattern is not a regular expression.
    pub fn inject(&self, faults: &[Fault]) -> Result<(), Error> {
        let faults: Vec<Value> = faults.iter().map(Fault::to_json).collect();
        self.control("PUT", "/_stackkit/faults", &Value::from(faults).to_string()).map(drop)
    }

    /// Removes all faults.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer.
    pub fn clear_faults(&self) -> Result<(), Error> {
        self.control("DELETE", "/_stackkit/faults", "").map(drop)
    }

    /// Empties the account: every resource is gone but the default VPC and what belongs to it.
    ///
    /// The log of calls and the faults stay.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer.
    pub fn reset(&self) -> Result<(), Error> {
        self.moto_api("/moto-api/reset", "")
    }

    /// From now on every call needs the permission of a user's or role's policies; make those before.
    ///
    /// The wrapper judges in moto's place, as IAM's user guide says: explicit denials, actions, and for S3 and KMS
    /// resources and the conditions `StringEquals` and `StringLike` too, with `IfExists` or without. Of other services no
    /// resource is known, so a statement about theirs counts where it says `*` alone. Policies of buckets and keys are not
    /// looked at, nor are signatures. What a policy says beyond that is answered by 501, so that no test rests on it.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer.
    pub fn enforce_iam(&self) -> Result<(), Error> {
        self.control("PUT", "/_stackkit/iam", "true").map(drop)
    }

    /// Undoes [`enforce_iam`](Self::enforce_iam): every call is allowed again.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer.
    pub fn ignore_iam(&self) -> Result<(), Error> {
        self.control("PUT", "/_stackkit/iam", "false").map(drop)
    }

    /// Blocks until the server ends by itself, which it does only when something outside kills it.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] where the operating system cannot tell.
    pub fn wait(mut self) -> Result<ExitStatus, Error> {
        self.process.wait()
    }

    /// Asks the wrapper.
    fn control(&self, method: &str, path: &str, body: &str) -> Result<Value, Error> {
        let body = self.ask(method, path, "application/json", body)?;
        serde_json::from_str(&body).map_err(|error| self.refused(method, path, &error.to_string()))
    }

    /// Asks moto's own control paths.
    fn moto_api(&self, path: &str, body: &str) -> Result<(), Error> {
        self.ask("POST", path, "text/plain", body).map(drop)
    }

    fn ask(&self, method: &str, path: &str, content_type: &str, body: &str) -> Result<String, Error> {
        let answer = http::request(self.port, method, path, content_type, body)
            .map_err(|error: io::Error| self.refused(method, path, &error.to_string()))?;
        if answer.status != 200 {
            return Err(self.refused(method, path, &format!("{} {}", answer.status, answer.body)));
        }
        Ok(answer.body)
    }

    fn refused(&self, method: &str, path: &str, detail: &str) -> Error {
        Error::Ask {
            server: format!("moto at {}", self.endpoint),
            request: format!("{method} {path}"),
            detail: detail.to_owned(),
        }
    }
}

/// Environment for a server in AWS's place.
pub(crate) fn environment(endpoint: &str) -> Vec<(&'static str, String)> {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// A call that the server received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Service and operation, such as `ec2:CreateVpc`.
    pub name: String,
    /// The mode of the fault that hit it, as the wrapper spells it (`throttle`, `drop_after`, …).
    pub fault: Option<String>,
    /// The HTTP status of the answer; 0 where a fault dropped the connection, `None` while the call runs.
    pub status: Option<u16>,
}

/// Something that goes wrong with calls of a certain name.
///
/// ```
/// use test_servers::{Fault, FaultMode};
///
/// // The second and the third attempt to create any kind of gateway are throttled.
/// let fault = Fault::on("ec2:Create.*Gateway", FaultMode::Throttle).skip(1).times(2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a fault does nothing until it is injected"]
pub struct Fault {
    call: String,
    mode: FaultMode,
    skip: u32,
    times: u32,
}

/// In which way a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultMode {
    /// The service says that it is asked too often, in its own words; nothing is done.
    Throttle,
    /// The service answers 500, an internal failure; nothing is done.
    Status500,
    /// The service answers 503, unavailable; nothing is done.
    Status503,
    /// The connection is closed before the call is done.
    DropBefore,
    /// The call is done, then the connection is closed without an answer: the caller cannot know.
    DropAfter,
    /// The call is held for this long, then done. Other calls go on meanwhile.
    Delay(Duration),
}

impl Fault {
    /// Hits the next call whose whole name, such as `ec2:CreateVpc`, matches a regular expression (in Python's syntax).
    pub fn on(call: impl Into<String>, mode: FaultMode) -> Self {
        Self { call: call.into(), mode, skip: 0, times: 1 }
    }

    /// Lets this many matching calls pass first.
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Hits this many calls instead of one.
    pub fn times(mut self, calls: u32) -> Self {
        self.times = calls;
        self
    }

    fn to_json(&self) -> Value {
        let (mode, seconds) = match self.mode {
            FaultMode::Throttle => ("throttle", 0.0),
            FaultMode::Status500 => ("500", 0.0),
            FaultMode::Status503 => ("503", 0.0),
            FaultMode::DropBefore => ("drop_before", 0.0),
            FaultMode::DropAfter => ("drop_after", 0.0),
            FaultMode::Delay(time) => ("delay", time.as_secs_f64()),
        };
        json!({"call": self.call, "mode": mode, "skip": self.skip, "times": self.times, "seconds": seconds})
    }
}
