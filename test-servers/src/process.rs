//! One server process, and the small shell that ends it when its owner is gone.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{IpAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Error, cache::tail};

/// The shell script that runs a command until the pipe on its stdin closes.
pub(crate) const SUPERVISE: &str = include_str!("supervise.sh");

/// Longest time a killed server may take to be gone before its whole process group is killed.
const END: Duration = Duration::from_secs(5);

/// A port of a loopback address that nobody listens on at this moment. `server` names who wants it, for the message.
pub(crate) fn free_port(server: &'static str, address: impl Into<IpAddr>) -> Result<u16, Error> {
    let address = address.into();
    let failed = |error: std::io::Error| Error::start(server, format!("there is no free port on {address}: {error}"));
    let listener = TcpListener::bind((address, 0)).map_err(failed)?;
    Ok(listener.local_addr().map_err(failed)?.port())
}

/// How a server is started.
pub(crate) struct Start<'a> {
    /// The server's name, for messages.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: &'a Path,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// File that takes what it writes; appended to.
    pub(crate) log: PathBuf,
    /// Whether its stdout is read here or goes to the log too.
    pub(crate) stdout: Stdout,
    /// Folder to remove when the server is killed, for the case that its owner cannot do it any more.
    pub(crate) scratch: Option<&'a Path>,
}

/// Where a server's stdout goes.
pub(crate) enum Stdout {
    /// To [`Process::number`].
    Read,
    /// To the log.
    Log,
}

/// A running server. Dropping it kills the server and waits until it is gone; the death of this process does the same.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    supervisor: Child,
    /// Closing it ends the server.
    leash: Option<ChildStdin>,
    pid: u32,
    log: PathBuf,
    /// In a mutex only so that a fixture can be shared between threads; nobody locks it.
    lines: Mutex<Receiver<String>>,
}

impl Process {
    /// Starts a server in a process group of its own.
    pub(crate) fn start(start: Start<'_>) -> Result<Self, Error> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&start.log)
            .map_err(Error::file(&start.log, "open for writing"))?;
        let out = match start.stdout {
            Stdout::Read => "pipe",
            Stdout::Log => "log",
        };
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISE, "supervise", out])
            .arg(start.scratch.map_or(OsStr::new(""), Path::as_os_str))
            .arg(start.program)
            .args(&start.arguments)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| Error::start(start.name, format!("cannot run /bin/sh: {error}")))?;
        let leash = supervisor.stdin.take();
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = supervisor.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // Reading goes on when nobody listens any more: a full pipe would stop the server.
                    let _ = sender.send(line);
                }
            });
        }
        let mut process =
            Self { name: start.name, supervisor, leash, pid: 0, log: start.log, lines: Mutex::new(lines) };
        process.pid = process.number("pid", Duration::from_secs(10))?;
        Ok(process)
    }

    /// Waits for a line `KEY NUMBER` on the server's stdout and returns the number.
    ///
    /// Fails with the end of the log when the server ends before, or when `patience` is over.
    pub(crate) fn number<N: std::str::FromStr>(&mut self, key: &str, patience: Duration) -> Result<N, Error> {
        let deadline = Instant::now() + patience;
        loop {
            let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let number = line.strip_prefix(key).and_then(|rest| rest.trim().parse().ok());
                    if let Some(number) = number {
                        return Ok(number);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.failed(&format!("it did not say its {key} within {} s", patience.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.failed("it ended")),
            }
        }
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Fails if the server has ended: with [`Error::PortTaken`] where it could not have the port that it was given.
    pub(crate) fn check(&mut self, port: u16) -> Result<(), Error> {
        let Ok(Some(status)) = self.supervisor.try_wait() else {
            return Ok(());
        };
        if self.log().contains("address already in use") {
            return Err(Error::PortTaken { server: self.name.to_owned(), port });
        }
        Err(self.failed(&format!("it ended: {status}")))
    }

    /// Blocks until the server ends by itself.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus, Error> {
        // `Child::wait` would close stdin, had it not been taken out: that pipe is what keeps the server alive.
        self.supervisor.wait().map_err(|error| Error::start(self.name, format!("cannot wait for it: {error}")))
    }

    /// The whole log so far.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map_or_else(|_| String::new(), |log| String::from_utf8_lossy(&log).into_owned())
    }

    /// An error that names the server and shows the end of its log.
    pub(crate) fn failed(&self, detail: &str) -> Error {
        let log = tail(&self.log());
        let log = if log.is_empty() { "its log is empty".to_owned() } else { format!("its log ends:\n{log}") };
        Error::start(self.name, format!("{detail}; {log}"))
    }

    /// Kills the server and waits until it is gone.
    pub(crate) fn stop(&mut self) {
        if self.leash.take().is_none() {
            return;
        }
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            match self.supervisor.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        // The supervisor has not been waited for, so its process group cannot be anybody else's.
        if let Some(group) = i32::try_from(self.supervisor.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.supervisor.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
