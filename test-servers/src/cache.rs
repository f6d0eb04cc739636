//! The folder that installed servers live in, who may write there, and how an installing command is run.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::{Error, process::SUPERVISE};

/// The folder that installed servers live in: `STACKKIT_SERVERS_CACHE`, or else `~/.cache/stackkit/servers`.
///
/// It is created if it is not there.
///
/// # Errors
///
/// [`Error::NoCache`] where neither that variable nor `HOME` is set, [`Error::File`] where it cannot be created.
pub fn cache_folder() -> Result<PathBuf, Error> {
    let folder = match (set(env::var_os("STACKKIT_SERVERS_CACHE")), set(env::var_os("HOME"))) {
        (Some(folder), _) => std::path::absolute(&folder).map_err(Error::file(folder, "make absolute"))?,
        (None, Some(home)) => Path::new(&home).join(".cache/stackkit/servers"),
        (None, None) => return Err(Error::NoCache),
    };
    fs::create_dir_all(&folder).map_err(Error::file(&folder, "create"))?;
    Ok(folder)
}

/// An empty variable counts as one that is not set.
fn set(value: Option<std::ffi::OsString>) -> Option<std::ffi::OsString> {
    value.filter(|value| !value.is_empty())
}

/// What is being installed, for messages.
pub(crate) struct Recipe {
    /// Name and version, such as `moto 5.2.1`.
    pub(crate) what: &'static str,
    /// The argument of `install` that installs it, also the name of its lock.
    pub(crate) argument: &'static str,
}

impl Recipe {
    /// Runs `install` alone among all processes that share the cache folder.
    ///
    /// `install` must look once more whether somebody else has done the work while this process waited.
    pub(crate) fn alone<T>(&self, cache: &Path, install: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let path = cache.join(format!("{}.lock", self.argument));
        let lock = File::create(&path).map_err(Error::file(&path, "create"))?;
        if lock.try_lock().is_err() {
            progress(&format!("another process is installing {}, waiting for it", self.what));
            lock.lock().map_err(Error::file(&path, "lock"))?;
        }
        self.sweep(cache)?;
        install()
    }

    /// A folder to install into before it is moved into place; gone when it is dropped.
    pub(crate) fn unfinished(&self, cache: &Path) -> Result<TempDir, Error> {
        tempfile::Builder::new()
            .prefix(&self.unfinished_prefix())
            .tempdir_in(cache)
            .map_err(Error::file(cache, "create a temporary folder in"))
    }

    /// Removes what installations left that were killed. The lock is held, so none of it is still in use.
    fn sweep(&self, cache: &Path) -> Result<(), Error> {
        for entry in fs::read_dir(cache).map_err(Error::file(cache, "list"))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&self.unfinished_prefix()) {
                // It may be about to vanish by itself; what stays is tried again next time.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }

    fn unfinished_prefix(&self) -> String {
        format!(".installing-{}-", self.argument)
    }

    /// An installation that failed.
    pub(crate) fn failed(&self, detail: impl Into<String>) -> Error {
        Error::Install {
            what: self.what.to_owned(),
            detail: detail.into(),
            command: format!("cargo run -p test-servers -- install {}", self.argument),
        }
    }

    /// Runs one step of the installation and says so on stderr. It does not outlive this process.
    pub(crate) fn step(&self, title: &str, command: &Command) -> Result<(), Error> {
        progress(title);
        let start = Instant::now();
        let failed = |error| self.failed(format!("{title}: {error}"));
        let mut child = supervised(command).spawn().map_err(|error| failed(format!("cannot run /bin/sh: {error}")))?;
        // Waiting for the output would close it, and closing it ends the step.
        let leash = child.stdin.take();
        let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
        drop(leash);
        if !output.status.success() {
            let said = tail(&String::from_utf8_lossy(&output.stderr));
            return Err(failed(format!("{}: {said}", output.status)));
        }
        progress(&format!("{title}: done in {:.0} s", start.elapsed().as_secs_f64()));
        Ok(())
    }
}

/// The same command under the shell that ends it when the pipe on its stdin closes.
fn supervised(command: &Command) -> Command {
    let mut supervised = Command::new("/bin/sh");
    supervised
        .args(["-c", SUPERVISE, "supervise", "log", ""])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(folder) = command.get_current_dir() {
        supervised.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => supervised.env(name, value),
            None => supervised.env_remove(name),
        };
    }
    supervised
}

/// Writes a line to stderr past the capture of the test harness: an installation takes minutes and should not be silent.
pub(crate) fn progress(line: &str) {
    // Nothing is lost when nobody can read it.
    let _ = writeln!(io::stderr(), "test-servers: {line}");
}

/// The last lines of a log, short enough for an error message.
pub(crate) fn tail(text: &str) -> String {
    const LINES: usize = 15;
    const CHARACTERS: usize = 3000;
    let lines: Vec<&str> = text.trim().lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    let skip = last.chars().count().saturating_sub(CHARACTERS);
    last.chars().skip(skip).collect()
}

/// A short name for a set of inputs, the same for every build of this crate (64-bit FNV-1a).
pub(crate) fn fingerprint(inputs: &[&str]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in inputs.iter().flat_map(|input| input.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// Where on `PATH` a program is.
pub(crate) fn on_path(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program.as_ref())).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_tell_where_one_input_ends() {
        assert_eq!(fingerprint(&["ab", "c"]), fingerprint(&["ab", "c"]));
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }

    #[test]
    fn the_end_of_a_log_is_what_an_error_shows() {
        let log = (0..100).map(|line| format!("line {line}\n")).collect::<String>();
        let shown = tail(&log);
        assert!(shown.starts_with("line 85") && shown.ends_with("line 99"), "{shown}");
        assert_eq!(tail(&"ä".repeat(5000)).chars().count(), 3000);
    }
}
