//! Whole programs under test, as their users run them: a folder of their own, real processes, real kills, and a search
//! for traces of secrets in everything that they wrote, printed, or showed in the arguments of a process.

mod canary;
pub mod planted;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use canary::Canary;
use serde_json::Value;
use tempfile::TempDir;

/// How long one command may take before the test fails: longer than any of them takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// A program, a folder for its stack, and everything that it has printed there.
#[derive(Debug)]
pub struct Sandbox {
    program: PathBuf,
    folder: TempDir,
    env: Vec<(String, String)>,
    printed: Arc<Mutex<Vec<u8>>>,
    arguments: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

/// What a command gets beside its arguments.
#[derive(Default, Clone, Copy)]
struct Extra<'a> {
    input: Option<&'a str>,
    env: &'a [(&'a str, &'a str)],
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
    command: String,
}

impl Ran {
    /// The command, if it ended with this status.
    ///
    /// # Panics
    /// When it ended otherwise; the message shows what it printed.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "`{}` ended with {:?}, expected {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        );
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
                ("NO_COLOR".into(), "1".into()),
            ],
            folder,
            printed: Arc::default(),
            arguments: Arc::default(),
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

    /// The whole folder: stack and keys.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self, args: &[&str], extra: Extra<'_>) -> Child {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.stack())
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .envs(extra.env.iter().copied())
            .stdin(if extra.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{} does not start: {error}", self.program.display()),
        };
        if let (Some(input), Some(mut pipe)) = (extra.input, child.stdin.take())
            && let Err(error) = pipe.write_all(input.as_bytes())
        {
            panic!("{} does not read its input: {error}", self.program.display());
        }
        child
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
        self.follow(args, Extra { input: Some(input), env: &[] }, None)
    }

    /// Runs a command with other environment variables than those of the sandbox.
    ///
    /// # Panics
    /// As [`Sandbox::run`].
    pub fn run_with_env(&self, args: &[&str], env: &[(&str, &str)]) -> Ran {
        self.follow(args, Extra { input: None, env }, None)
    }

    /// Runs a command and kills it (SIGKILL) after a while, unless it has ended by then.
    ///
    /// # Panics
    /// When it does not start.
    pub fn kill_after(&self, args: &[&str], after: Duration) -> Ran {
        self.follow(args, Extra::default(), Some(after))
    }

    fn follow(&self, args: &[&str], extra: Extra<'_>, kill: Option<Duration>) -> Ran {
        let started = Instant::now();
        let mut child = self.start(args, extra);
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let code = loop {
            self.note_arguments(child.id());
            match child.try_wait() {
                Ok(Some(status)) => break status.code(),
                Ok(None) => {}
                Err(error) => panic!("cannot wait for {}: {error}", self.program.display()),
            }
            let limit = kill.unwrap_or(LIMIT);
            if started.elapsed() >= limit {
                // A process that ended meanwhile cannot be killed, and need not be.
                let _ = child.kill();
                let _ = child.wait();
                assert!(kill.is_some(), "`{}` took longer than {} s", args.join(" "), LIMIT.as_secs());
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = started.elapsed();
        let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.extend_from_slice(&stdout);
        printed.extend_from_slice(&stderr);
        Ran {
            code,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            took,
            command: args.join(" "),
        }
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

    /// Everything that the canary was found in: files of the stack and of the keys, what was printed, and arguments of
    /// processes. Files that `may_hold` it are left out: those whose purpose it is.
    pub fn traces(&self, canary: &Canary, may_hold: &[&str]) -> Vec<String> {
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
                if let Ok(bytes) = std::fs::read(&path)
                    && let Some(how) = canary.find(&bytes)
                {
                    found.push(format!("{shown} ({how})"));
                }
            }
        }
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend(canary.find(&printed).map(|how| format!("what was printed ({how})")));
        for arguments in self.arguments.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            found.extend(canary.find(arguments).map(|how| format!("the arguments of a process ({how})")));
        }
        found
    }

    /// Kills `command` at `times` different instants spread over its run, each time followed by the same command to its
    /// end, and then by `check`. Between rounds `reset` brings back the situation before. `usual` is how long the command
    /// takes; a round that ended before its kill corrects it, and does not count.
    ///
    /// # Panics
    /// When a command that follows a kill does not end well, or the command is too short to be killed.
    pub fn kill_at_random(
        &self,
        command: &[&str],
        mut usual: Duration,
        times: u32,
        mut reset: impl FnMut(),
        mut check: impl FnMut(&str),
    ) {
        let mut killed = 0;
        for attempt in 0..times * 4 {
            if killed == times {
                return;
            }
            reset();
            // Spread evenly, with a random part, so that rounds do not always hit the same place.
            let slice = usual / times;
            let random = getrandom::u32().unwrap_or(attempt);
            let after = slice * killed + slice.mul_f64(f64::from(random) / f64::from(u32::MAX));
            let cut = self.kill_after(command, after);
            if cut.code.is_some() {
                usual = cut.took.mul_f64(0.9).min(usual);
                continue;
            }
            killed += 1;
            let again = self.run(command);
            let what = format!("round {killed}, killed after {} ms", after.as_millis());
            assert!(
                again.code == Some(0),
                "{what}: `{}` did not end well afterwards\n--- stdout\n{}\n--- stderr\n{}",
                command.join(" "),
                again.stdout,
                again.stderr
            );
            check(&what);
        }
        assert!(killed == times, "only {killed} of {times} rounds were killed: the command is too short");
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could not be read any more was not printed for anybody.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
