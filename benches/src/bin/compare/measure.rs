//! One measured command: CPU of it and all its descendants, wall clock, peak memory, bytes written.
//!
//! The system adds up what children used when they are waited for, and never subtracts: so each command runs under a
//! process of its own, which is this program again, and which has no other child.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// The first argument of the process that measures.
pub const MEASURE: &str = "measure-one";

/// What a command used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Used {
    /// Seconds in user mode, descendants included.
    pub user_s: f64,
    /// Seconds in the kernel, descendants included.
    pub system_s: f64,
    /// Seconds from start to exit.
    pub wall_s: f64,
    /// Peak memory of the largest process, in KiB.
    pub peak_kib: i64,
    /// Bytes that went to the disk's cache to be written, of all processes.
    pub written: u64,
    /// The exit status; -1 where it was ended by a signal.
    pub status: i32,
}

impl Used {
    /// User and system together.
    pub fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

/// A command line with its surroundings.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Program and arguments.
    pub words: Vec<String>,
    /// The environment beside `PATH`; nothing else is inherited.
    pub env: BTreeMap<String, String>,
}

impl Line {
    /// From words.
    pub fn new(words: &[&str]) -> Self {
        Self { words: words.iter().map(|word| (*word).to_owned()).collect(), env: BTreeMap::new() }
    }
}

/// Runs a command in a folder, cold, to its exit.
///
/// # Errors
/// When it cannot be started, takes longer than the limit, or ends with another status than 0.
pub fn measure(line: &Line, dir: &Path, limit: Duration) -> Result<Used, String> {
    let own = std::env::current_exe().map_err(|error| format!("who am I: {error}"))?;
    let mut command = Command::new(own);
    command.arg(MEASURE).arg(limit.as_secs().to_string()).args(&line.words).current_dir(dir);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(&line.env);
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", line.words.join(" ")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let used: Used = serde_json::from_str(said.trim()).map_err(|_| {
        format!("`{}` was not measured: {}", line.words.join(" "), String::from_utf8_lossy(&output.stderr))
    })?;
    if used.status == 0 {
        return Ok(used);
    }
    if used.wall_s >= limit.as_secs_f64() {
        return Err(format!("more than {} s", limit.as_secs()));
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let told: Vec<&str> = told.lines().rev().take(12).collect();
    let told: Vec<&str> = told.into_iter().rev().collect();
    Err(format!("`{}` ended with {}:\n{}", line.words.join(" "), used.status, told.join("\n")))
}

/// The measuring process: runs its arguments, and says what they used on standard output.
pub fn main(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let limit = args.next().and_then(|text| text.parse().ok()).map_or(Duration::MAX, Duration::from_secs);
    let program = args.next().ok_or("nothing to measure")?;
    let before = written()?;
    let started = Instant::now();
    let mut child = Command::new(&program)
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    // A thread of its own ends what takes too long; the wait itself must not add to what is measured.
    let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
    });
    let status = child.wait().map_err(|error| error.to_string())?;
    let wall_s = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let used = Used {
        user_s: seconds(usage.user_time()),
        system_s: seconds(usage.system_time()),
        wall_s,
        peak_kib: usage.max_rss(),
        written: written()?.saturating_sub(before),
        status: status.code().unwrap_or(-1),
    };
    println!("{}", serde_json::to_string(&used).map_err(|error| error.to_string())?);
    Ok(())
}

/// What this process and the children that it waited for have written to files on disk.
fn written() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/self/io").map_err(|error| format!("/proc/self/io: {error}"))?;
    let number = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok());
    number.ok_or_else(|| "/proc/self/io does not say what was written".into())
}
