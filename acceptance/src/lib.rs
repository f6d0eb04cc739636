//! Whole programs under test, as their users run them: a folder of their own, real processes, real kills, and a search
//! for traces of secrets in everything that they wrote, printed, or showed in the arguments of a process.
//!
//! | module | what it holds |
//! |---|---|
//! | `canary` | [`Canary`], a secret of some [`Shape`] that is recognised in every spelling; [`Canaries`], many at once |
//! | `draw` | [`Draw`], what a program that is to be killed declares |
//! | `instant` | [`Course`] and [`Instants`]: when to kill |
//! | `running` | [`Running`], a command that runs |
//! | `random` | [`Random`], numbers that follow from a seed |

mod canary;
mod draw;
mod instant;
mod itself;
pub mod planted;
mod random;
pub mod remote;
pub mod roles;
mod running;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use canary::{Canaries, Canary, Shape, Wanted};
pub use draw::Draw;
pub use instant::{Course, Instants, Moment};
pub use itself::itself;
pub use random::Random;
pub use running::{Running, Signal};
use serde_json::Value;
use tempfile::TempDir;

/// How long one command may take before the test fails: longer than any of them takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A program, a folder for its stack, and everything that it has printed there.
#[derive(Debug)]
pub struct Sandbox {
    program: PathBuf,
    folder: TempDir,
    env: Vec<(String, String)>,
    printed: Mutex<Vec<u8>>,
    arguments: Mutex<BTreeSet<Vec<u8>>>,
}

/// What a command gets beside its arguments.
#[derive(Default, Clone, Copy)]
struct Extra<'a> {
    input: Option<&'a str>,
    env: &'a [(&'a str, &'a str)],
    without: Option<&'a str>,
    shell: Option<&'a str>,
}

/// A command that ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; none if it was killed.
    pub code: Option<i32>,
    /// What it printed as its result.
    pub stdout: String,
    /// What it printed beside that.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
    /// When it printed each of its lines.
    pub course: Course,
    command: String,
}

impl Ran {
    /// Whether it was killed while it ran.
    pub fn killed(&self) -> bool {
        self.code.is_none()
    }

    /// The command and everything that it printed, for a message.
    pub fn told(&self) -> String {
        let Self { command, code, stdout, stderr, .. } = self;
        format!("`{command}` ended with {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }

    /// The command, if it ended with this status.
    ///
    /// # Panics
    /// When it ended otherwise; the message shows what it printed.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit status {code}: {}", self.told());
        self
    }

    /// The last line of its JSON events.
    ///
    /// # Panics
    /// When its last line is no summary.
    #[track_caller]
    pub fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        match serde_json::from_str::<Value>(last) {
            Ok(value) if value["type"] == "summary" => value,
            _ => panic!("`{}` did not end with a summary, but with: {last}\n{}", self.command, self.stderr),
        }
    }

    /// One count of the summary.
    ///
    /// # Panics
    /// When there is no summary, or no such count in it.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let summary = self.summary();
        match summary[name].as_u64() {
            Some(count) => count,
            None => panic!("the summary has no `{name}`: {summary}"),
        }
    }
}

impl Sandbox {
    /// A program (`env!("CARGO_BIN_EXE_…")`) in an empty folder, with keys of its own.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no folder for the stack: {error}"),
        };
        let home = folder.path().join("home");
        let sandbox = Self {
            program: program.into(),
            env: vec![
                ("HOME".into(), home.display().to_string()),
                ("XDG_CONFIG_HOME".into(), home.join("config").display().to_string()),
                ("XDG_CACHE_HOME".into(), home.join(".cache").display().to_string()),
                ("XDG_STATE_HOME".into(), home.join(".local/state").display().to_string()),
                ("NO_COLOR".into(), "1".into()),
            ],
            folder,
            printed: Mutex::default(),
            arguments: Mutex::default(),
        };
        if let Err(error) = std::fs::create_dir_all(sandbox.stack()) {
            panic!("no folder for the stack: {error}");
        }
        sandbox
    }

    /// Adds environment variables, such as those of a test server.
    #[must_use]
    pub fn with_env<K: Into<String>, V: Into<String>>(mut self, env: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env.extend(env.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// The same folder with another program, which may have a stack of its own in it.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// The folder where the stack's files are.
    pub fn stack(&self) -> PathBuf {
        self.folder.path().join("stack")
    }

    /// Leaves the folder where it is, to be looked at.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// The whole folder: stack and keys.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self, args: &[&str], extra: Extra<'_>) -> Running<'_> {
        let mut command = match extra.shell {
            None => Command::new(&self.program),
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", script]).arg(&self.program);
                shell
            }
        };
        command
            .args(args)
            .current_dir(self.stack())
            .envs(self.env.iter().filter(|(key, _)| extra.without != Some(key)).map(|(key, value)| (key, value)))
            .envs(extra.env.iter().copied())
            .stdin(if extra.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{} does not start: {error}", self.program.display()),
        };
        if let (Some(input), Some(mut pipe)) = (extra.input, child.stdin.take())
            && let Err(error) = pipe.write_all(input.as_bytes())
        {
            panic!("{} does not read its input: {error}", self.program.display());
        }
        Running::new(self, child, args.join(" "))
    }

    /// Starts a command and leaves it running.
    ///
    /// # Panics
    /// When it does not start.
    pub fn begin(&self, args: &[&str]) -> Running<'_> {
        self.start(args, Extra::default())
    }

    /// Runs a command to its end in a shell, where `$0` is the program and `$@` are its arguments: what limits or
    /// connects it comes before or after `"$0" "$@"`.
    ///
    /// # Panics
    /// As [`Sandbox::run`].
    pub fn run_in_shell(&self, script: &str, args: &[&str]) -> Ran {
        self.follow(args, Extra { shell: Some(script), ..Extra::default() }, None)
    }

    /// Runs a command of the program to its end.
    ///
    /// # Panics
    /// When it does not start, or takes longer than five minutes.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.follow(args, Extra::default(), None)
    }

    /// Runs a command with something on its standard input.
    ///
    /// # Panics
    /// As [`Sandbox::run`].
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        self.follow(args, Extra { input: Some(input), ..Extra::default() }, None)
    }

    /// Runs a command with other environment variables than those of the sandbox.
    ///
    /// # Panics
    /// As [`Sandbox::run`].
    pub fn run_with_env(&self, args: &[&str], env: &[(&str, &str)]) -> Ran {
        self.follow(args, Extra { env, ..Extra::default() }, None)
    }

    /// Runs a command without one of the sandbox's environment variables.
    ///
    /// # Panics
    /// As [`Sandbox::run`].
    pub fn run_without_env(&self, name: &str, args: &[&str]) -> Ran {
        self.follow(args, Extra { without: Some(name), ..Extra::default() }, None)
    }

    /// Runs a command and kills it (SIGKILL), and what it started, at a moment of its course, unless it has ended by then.
    ///
    /// # Panics
    /// When it does not start, or takes longer than five minutes.
    pub fn kill_at(&self, args: &[&str], moment: Moment) -> Ran {
        self.follow(args, Extra::default(), Some(moment))
    }

    fn follow(&self, args: &[&str], extra: Extra<'_>, kill: Option<Moment>) -> Ran {
        let mut running = self.start(args, extra);
        let mut due = None;
        while !running.has_ended() {
            if let (Some(moment), None) = (kill, due) {
                due = running.reached(moment.line).map(|since| since + moment.then);
            }
            let elapsed = running.elapsed();
            if due.is_some_and(|due| elapsed >= due) {
                running.kill();
                break;
            }
            std::thread::sleep(due.map_or(POLL, |due| due.saturating_sub(elapsed).min(POLL)));
        }
        running.end()
    }

    /// Keeps the arguments of the process and of its children, which every user of the machine can read.
    fn note_arguments(&self, process: u32) {
        let mut seen = self.arguments.lock().unwrap_or_else(PoisonError::into_inner);
        let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        for id in std::iter::once(process.to_string()).chain(children.split_whitespace().map(str::to_owned)) {
            if let Ok(arguments) = std::fs::read(format!("/proc/{id}/cmdline")) {
                seen.insert(arguments);
            }
        }
    }

    /// Everything that a canary was found in: files of the stack and of the keys and their names, what was printed, and
    /// arguments of processes. Files that `may_hold` it are left out: those whose purpose it is.
    pub fn traces(&self, wanted: &impl Wanted, may_hold: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.folder.path().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let shown = path.display().to_string();
                if may_hold.iter().any(|name| shown.ends_with(name)) {
                    continue;
                }
                let mut bytes = std::fs::read(&path).unwrap_or_default();
                bytes.extend_from_slice(shown.as_bytes());
                found.extend(wanted.find_in(&bytes).into_iter().map(|how| format!("{shown} ({how})")));
            }
        }
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend(wanted.find_in(&printed).into_iter().map(|how| format!("what was printed ({how})")));
        for arguments in self.arguments.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            found
                .extend(wanted.find_in(arguments).into_iter().map(|how| format!("the arguments of a process ({how})")));
        }
        found
    }

    /// Kills `command` at `times` different instants spread over its run, each time followed by the same command to its
    /// end, and then by `check`. Between rounds `reset` brings back the situation before. `usual` is a whole run of the
    /// command; a round that ended before its kill replaces it, and does not count. `STACKKIT_KILL_SEED` repeats the
    /// instants of a test that failed.
    ///
    /// # Panics
    /// When a command that follows a kill does not end well, or the command is too short to be killed.
    pub fn kill_at_random(
        &self,
        command: &[&str],
        usual: &Ran,
        times: u32,
        mut reset: impl FnMut(),
        mut check: impl FnMut(&str),
    ) {
        let seed = std::env::var("STACKKIT_KILL_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.or_else(|| getrandom::u64().ok()).unwrap_or_default();
        let mut instants = Instants::new(Random::new(seed), usual.course.clone(), times);
        for _ in 0..times * 4 {
            let Some(moment) = instants.next() else { return };
            reset();
            let cut = self.kill_at(command, moment);
            if !cut.killed() {
                instants.missed(cut.course);
                continue;
            }
            instants.hit();
            let again = self.run(command);
            let what = format!("STACKKIT_KILL_SEED={seed}, killed {moment}");
            assert!(again.code == Some(0), "{what}, and it did not end well afterwards: {}", again.told());
            check(&what);
        }
        assert!(instants.next().is_none(), "STACKKIT_KILL_SEED={seed}: the command is too short to be killed so often");
    }
}
