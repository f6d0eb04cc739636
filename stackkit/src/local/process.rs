//! Runs a program: its environment, its input, its output, and its end, whichever way that comes.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// How much of the standard output is kept; what goes beyond is read and dropped.
const KEPT_OUTPUT: usize = 1024 * 1024;
/// How much of the end of the standard error is kept.
const KEPT_ERRORS: usize = 64 * 1024;
/// How many lines of the standard error an error message shows, and how many bytes of them.
const SHOWN_LINES: usize = 20;
const SHOWN_BYTES: usize = 4096;
/// For how long output is still read after the program has ended: one that it left running holds the pipes open.
const DRAIN: Duration = Duration::from_millis(500);

/// A program to be run.
pub(super) struct Call<'a> {
    /// The program and its arguments.
    pub(super) argv: Vec<String>,
    /// Where it runs.
    pub(super) dir: PathBuf,
    /// Variables beside those of this process.
    pub(super) environment: Vec<(&'a str, &'a str)>,
    /// Variables that hold secrets.
    pub(super) secret_environment: Vec<(&'a str, &'a Secret<String>)>,
    /// What it reads.
    pub(super) stdin: Option<&'a Secret<String>>,
    /// A file that is locked for as long as the program runs, beyond the death of this process too. It is handed over
    /// as the standard input, so it has no effect where there is another one.
    pub(super) lock: Option<PathBuf>,
}

/// The sign that a program runs: an empty file with a lock that passes on to the program. Gone when the call ends.
struct Sign(PathBuf);

impl Sign {
    fn put_up(path: &Path) -> Result<(Self, File), Error> {
        if still_runs(path)? {
            return Err(still_running());
        }
        let failed = |e| Error::invalid(format!("cannot make the lock `{}`: {e}", path.display()));
        let open = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = open.map_err(failed)?;
        let sign = Self(path.to_owned());
        // A file system without locks is no reason to refuse: then a killed run leaves no trace of its program.
        let _ = file.try_lock();
        Ok((sign, file))
    }
}

impl Drop for Sign {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Whether the program that a killed process started still runs. Clears the sign of one that does not.
pub(super) fn still_runs(path: &Path) -> Result<bool, Error> {
    let Ok(file) = File::open(path) else { return Ok(false) };
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Ok(true);
    }
    std::fs::remove_file(path).map_err(|e| Error::invalid(format!("cannot remove `{}`: {e}", path.display())))?;
    Ok(false)
}

/// The error for a program of a killed run that is in the way.
pub(super) fn still_running() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the program that an earlier run started is still running: wait until it has ended, or end it, and run `up` again",
    )
}

/// Kills a whole process group, unless its leader has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.take() {
            // There is nobody left to tell, and the group may be gone already.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Call<'_> {
    /// Runs it to its end and returns its standard output. When the future is dropped, the program is killed with
    /// everything that it started.
    pub(super) async fn run(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(Error::invalid("there is no program to run: the list is empty"));
        };
        // A relative path with a folder in it is taken from the working folder, on every system.
        let path = if program.contains('/') { self.dir.join(program) } else { PathBuf::from(program) };
        let mut command = tokio::process::Command::new(path);
        command.args(arguments).current_dir(&self.dir).process_group(0).kill_on_drop(true);
        let sign = match &self.lock {
            Some(path) if self.stdin.is_none() => Some(Sign::put_up(path)?),
            _ => None,
        };
        let (_sign, locked) = sign.unzip();
        command.stdin(match locked {
            Some(file) => Stdio::from(file),
            None if self.stdin.is_some() => Stdio::piped(),
            None => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            // The passphrase of the stack, say, is no business of a program that the stack runs.
            if name.to_string_lossy().starts_with("STACKKIT_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().copied());
        for (name, secret) in &self.secret_environment {
            command.env(name, secret.reveal());
        }
        let mut child = command.spawn().map_err(|error| {
            // Not "not found": that kind is for the resource itself.
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Invalid,
            };
            Error::new(kind, format!("cannot run `{program}` in `{}`: {error}", self.dir.display()))
        })?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));

        let mut output = Zeroizing::new(Vec::new());
        let mut errors = Zeroizing::new(Vec::new());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let status = {
            let pipes = async {
                tokio::join!(
                    async {
                        if let (Some(mut pipe), Some(text)) = (stdin, self.stdin) {
                            // A program need not read all that it is given.
                            let _ = pipe.write_all(text.reveal().as_bytes()).await;
                        }
                    },
                    keep_first(stdout, &mut output),
                    keep_last(stderr, &mut errors),
                )
            };
            tokio::pin!(pipes);
            tokio::select! {
                status = child.wait() => {
                    let _ = tokio::time::timeout(DRAIN, &mut pipes).await;
                    status
                }
                _ = &mut pipes => child.wait().await,
            }
        };
        group.0 = None;
        let status = status.map_err(|e| {
            Error::new(ErrorKind::UnknownOutcome, format!("`{program}` was started, and its end is not known: {e}"))
        })?;
        if status.success() {
            return Ok(output);
        }
        let said = last_lines(&self.scrub(&String::from_utf8_lossy(&errors)));
        let said = if said.is_empty() { "; it wrote nothing to stderr".into() } else { format!(":\n{said}") };
        Err(Error::invalid(format!("`{program}` failed with {status}{said}")))
    }

    /// Whether any secret goes into it.
    pub(super) fn has_secrets(&self) -> bool {
        self.stdin.is_some() || !self.secret_environment.is_empty()
    }

    fn scrub(&self, text: &str) -> String {
        let secrets = self.secret_environment.iter().map(|(_, secret)| *secret).chain(self.stdin);
        let mut text = text.to_owned();
        for secret in secrets {
            let lines = secret.reveal().lines().filter(|line| line.len() >= 8);
            for part in std::iter::once(secret.reveal().as_str()).chain(lines).filter(|part| !part.is_empty()) {
                text = text.replace(part, "[secret]");
            }
        }
        text
    }
}

async fn keep_first(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = Zeroizing::new([0; 8192]);
    while let Ok(read @ 1..) = pipe.read(&mut *buffer).await {
        let room = KEPT_OUTPUT.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
}

async fn keep_last(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = Zeroizing::new([0; 8192]);
    while let Ok(read @ 1..) = pipe.read(&mut *buffer).await {
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if kept.len() > 2 * KEPT_ERRORS {
            kept.drain(..kept.len() - KEPT_ERRORS);
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n");
    let mut from = shown.len().saturating_sub(SHOWN_BYTES);
    while !shown.is_char_boundary(from) {
        from += 1;
    }
    shown.get(from..).unwrap_or_default().to_owned()
}
