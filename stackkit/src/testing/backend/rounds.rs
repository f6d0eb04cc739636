//! The trial itself: processes, what is done to them, and whether what is left is what they were promised.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Variable;
use super::worker::{Fault, URL};

/// Longest wait for a line of a process: leases end long before.
const PATIENCE: Duration = Duration::from_secs(180);
/// Longest wait for words of the other writer.
const WORDS: Duration = Duration::from_secs(20);
/// One round of so many goes wrong.
const FAULTS: u64 = 10;

/// A trial of a place. See [the module](super).
#[derive(Debug, Clone)]
pub struct Trial {
    url: String,
    variables: Vec<Variable>,
    rounds: u64,
    seed: u64,
    system: bool,
}

/// What a trial saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Rounds of both writers together.
    pub rounds: u64,
    /// Appends that were acknowledged; each is in the log, once.
    pub acknowledged: u64,
    /// Appends that were refused because the lock was lost; none is in the log.
    pub refused: u64,
    /// Processes that were killed while they held the lock.
    pub kills: u64,
    /// Processes that were stopped while they held the lock, and woken when another had taken it.
    pub pauses: u64,
    /// Calls of providers that did not begin, because the lock was lost.
    pub held_back: u64,
    /// Appends whose answer got lost, and that were recognised.
    pub lost_answers: u64,
    /// How often the log was read meanwhile.
    pub reads: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds in {:.1} s: {} appends acknowledged and there, {} refused and not there; {} kills, {} pauses ({} calls held back), {} lost answers; {} reads",
            self.rounds,
            self.elapsed.as_secs_f64(),
            self.acknowledged,
            self.refused,
            self.kills,
            self.pauses,
            self.held_back,
            self.lost_answers,
            self.reads
        )
    }
}

impl Trial {
    /// A trial of the place at a URL. It is to be empty: the trial leaves stacks there.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), variables: Vec::new(), rounds: 30, seed: 1, system: false }
    }

    /// Sets a variable of the environment for the trial's processes.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// How many rounds each of the two writers does; 30 unless set, or what `STACKKIT_TRIAL_ROUNDS` says.
    #[must_use]
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = rounds;
        self
    }

    /// Chooses other rounds to go wrong.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Locks are the operating system's: they end with their process and not while it is stopped.
    #[must_use]
    pub fn locks_of_the_system(mut self) -> Self {
        self.system = true;
        self
    }

    /// Runs it and prints what it saw: the whole of a test's `main`.
    pub fn main(&self) -> ExitCode {
        match self.run() {
            Ok(report) => {
                println!("{report}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("the trial of {} failed: {error}", crate::state::place::redacted(&self.url));
                ExitCode::FAILURE
            }
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// What the place did not hold to.
    pub fn run(&self) -> Result<Report, String> {
        let started = Instant::now();
        let rounds = match std::env::var("STACKKIT_TRIAL_ROUNDS") {
            Ok(text) => text.parse().map_err(|_| format!("STACKKIT_TRIAL_ROUNDS is `{text}`, not a number"))?,
            Err(_) => self.rounds,
        };
        let mut process = Process::start(self)?;
        process.send(if self.system { "checks system" } else { "checks leases" })?;
        process.until("done")?;
        let loses = process.asks("losing")? == "yes";
        let shared = Shared::default();
        let mut reader = Process::start(self)?;
        reader.send("read")?;
        let finished: Vec<Result<Writer<'_>, String>> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|number| {
                    let shared = &shared;
                    scope.spawn(move || {
                        let result = Writer::new(self, number, rounds, loses, shared).and_then(Writer::run);
                        if result.is_err() {
                            shared.failed.store(true, Ordering::SeqCst);
                        }
                        result
                    })
                })
                .collect();
            let panicked = || Err("the trial itself panicked".to_owned());
            writers.into_iter().map(|writer| writer.join().unwrap_or_else(|_| panicked())).collect()
        });
        let mut report = Report::default();
        let mut acknowledged = BTreeSet::new();
        let mut refused = BTreeSet::new();
        for writer in finished {
            let mut writer = writer?;
            report.add(&writer.report);
            acknowledged.append(&mut writer.acknowledged);
            refused.append(&mut writer.refused);
        }
        reader.send("stop")?;
        let read = reader.until("read")?;
        report.reads = read.strip_prefix("read ").and_then(|count| count.parse().ok()).unwrap_or_default();
        process.send("verify")?;
        let mut there = Vec::new();
        loop {
            let line = process.line()?;
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["entry", writer, round, holder] => {
                    there.push(((number(writer)?, number(round)?), (*holder).to_owned()));
                }
                _ => break,
            }
        }
        judge(&there, &acknowledged, &refused)?;
        report.acknowledged = acknowledged.len() as u64;
        report.refused = refused.len() as u64;
        report.elapsed = started.elapsed();
        Ok(report)
    }
}

/// Which append: the number of the writer and that of its round.
type Name = (u64, u64);

/// Whether what is there is what was promised.
fn judge(there: &[(Name, String)], acknowledged: &BTreeSet<Name>, refused: &BTreeSet<Name>) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let mut holders = BTreeSet::new();
    let mut last: Option<&str> = None;
    for (name, holder) in there {
        if !names.insert(*name) {
            return Err(format!("append {} of writer {} is there twice", name.1, name.0));
        }
        if last != Some(holder) && !holders.insert(holder.as_str()) {
            return Err(format!("writer {} wrote after another had taken its lock: append {}", name.0, name.1));
        }
        last = Some(holder);
    }
    if let Some(name) = acknowledged.difference(&names).next() {
        return Err(format!("append {} of writer {} was acknowledged and is lost", name.1, name.0));
    }
    match refused.intersection(&names).next() {
        Some(name) => Err(format!("append {} of writer {} was refused and is there", name.1, name.0)),
        None => Ok(()),
    }
}

impl Report {
    fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.kills += other.kills;
        self.pauses += other.pauses;
        self.held_back += other.held_back;
        self.lost_answers += other.lost_answers;
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// What the writers of a trial know of each other.
#[derive(Default)]
struct Shared {
    /// How often each has taken the lock, and how often it was kept from it.
    held: [AtomicU64; 2],
    blocked: [AtomicU64; 2],
    done: [AtomicBool; 2],
    failed: AtomicBool,
}

struct Writer<'a> {
    trial: &'a Trial,
    number: usize,
    rounds: u64,
    loses: bool,
    shared: &'a Shared,
    process: Process,
    random: u64,
    report: Report,
    acknowledged: BTreeSet<Name>,
    refused: BTreeSet<Name>,
}

/// What is done to a process that waits to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Nothing,
    Kill,
    Pause,
}

impl<'a> Writer<'a> {
    fn new(trial: &'a Trial, number: usize, rounds: u64, loses: bool, shared: &'a Shared) -> Result<Self, String> {
        Ok(Self {
            trial,
            number,
            rounds,
            loses,
            shared,
            process: Process::start(trial)?,
            random: trial.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number as u64 + 1),
            report: Report::default(),
            acknowledged: BTreeSet::new(),
            refused: BTreeSet::new(),
        })
    }

    fn run(mut self) -> Result<Self, String> {
        let mut round = 0;
        let other = 1 - self.number;
        // Rounds go on until the other is done too: whoever is stopped waits for somebody to take its lock.
        while round < self.rounds || !self.shared.done[other].load(Ordering::SeqCst) {
            if self.shared.failed.load(Ordering::SeqCst) {
                break;
            }
            let (fault, deed) = if round < self.rounds { self.choose(round) } else { (Fault::None, Deed::Nothing) };
            self.round(round, fault, deed)
                .map_err(|error| format!("writer {}, round {round}: {error}", self.number))?;
            round += 1;
            if round == self.rounds {
                self.shared.done[self.number].store(true, Ordering::SeqCst);
            }
        }
        self.shared.done[self.number].store(true, Ordering::SeqCst);
        self.report.rounds = round;
        Ok(self)
    }

    /// Every tenth round goes wrong, in each way in turn, so that short trials have all of them.
    fn choose(&mut self, round: u64) -> (Fault, Deed) {
        if round % FAULTS != FAULTS / 2 {
            return (Fault::None, Deed::Nothing);
        }
        let mut ways = vec![
            (Fault::Before, Deed::Kill),
            (Fault::Before, Deed::Pause),
            (Fault::After, Deed::Kill),
            (Fault::After, Deed::Pause),
        ];
        if self.loses {
            ways.insert(1, (Fault::LostAnswer, Deed::Nothing));
        }
        let turn = round / FAULTS + self.number as u64 * 2 + self.random % 2;
        ways[turn as usize % ways.len()]
    }

    fn round(&mut self, round: u64, fault: Fault, deed: Deed) -> Result<(), String> {
        let name = (self.number as u64, round);
        self.process.send(&format!("round {} {round} {}", self.number, fault.name()))?;
        let mut paused = false;
        let others = &self.shared.held[1 - self.number];
        let mut before = others.load(Ordering::SeqCst);
        loop {
            let line = self.process.line()?;
            let word = line.split(' ').next().unwrap_or_default();
            match word {
                "held" => {
                    before = others.load(Ordering::SeqCst);
                    self.shared.held[self.number].fetch_add(1, Ordering::SeqCst);
                }
                "blocked" => drop(self.shared.blocked[self.number].fetch_add(1, Ordering::SeqCst)),
                "at" if deed == Deed::Kill => {
                    self.report.kills += 1;
                    self.process.kill();
                    self.process = Process::start(self.trial)?;
                    return Ok(());
                }
                "at" => {
                    self.pause()?;
                    paused = true;
                    self.process.send("go")?;
                }
                "appended" => {
                    if paused && fault == Fault::Before && !self.trial.system {
                        return Err("it was stopped until another had its lock, and its append was taken".into());
                    }
                    self.report.lost_answers += u64::from(fault == Fault::LostAnswer);
                    self.acknowledged.insert(name);
                }
                // A machine that is too busy for renewals is a pause that nobody ordered.
                "refused" | "nocall" | "nofold" if !paused && !self.taken_since(before) => {
                    return Err(format!("it held the lock, and was told otherwise: {line}"));
                }
                "refused" => drop(self.refused.insert(name)),
                "call" if paused && !self.trial.system => {
                    return Err("it was stopped until another had its lock, and would have called a provider".into());
                }
                "nocall" => self.report.held_back += 1,
                "call" | "nofold" => {}
                "done" => return Ok(()),
                _ => return Err(line),
            }
        }
    }

    /// Whether the other writer has taken the lock since it had done so `before` times. Its own words of that may come a
    /// little later than what follows from it.
    fn taken_since(&self, before: u64) -> bool {
        let deadline = Instant::now() + WORDS;
        while !self.trial.system && Instant::now() < deadline {
            if self.shared.held[1 - self.number].load(Ordering::SeqCst) > before {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Stops the process until somebody else has its lock, or, where a lock does not end, until somebody else was kept
    /// from it; then wakes it.
    fn pause(&mut self) -> Result<(), String> {
        self.report.pauses += 1;
        let other = 1 - self.number;
        let counter = if self.trial.system { &self.shared.blocked[other] } else { &self.shared.held[other] };
        let before = counter.load(Ordering::SeqCst);
        self.process.signal(Signal::Stop)?;
        let deadline = Instant::now() + PATIENCE;
        while counter.load(Ordering::SeqCst) == before {
            if self.shared.failed.load(Ordering::SeqCst) {
                return Err("the other writer failed".into());
            }
            if Instant::now() > deadline {
                return Err("a lock did not end by itself while its holder was stopped".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.process.signal(Signal::Continue)
    }
}

/// A process of a trial. Dropping it kills it.
struct Process {
    child: Child,
    input: ChildStdin,
    lines: Mutex<Receiver<String>>,
}

enum Signal {
    Stop,
    Continue,
}

impl Process {
    fn start(trial: &Trial) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let variables: BTreeMap<_, _> = trial.variables.iter().cloned().collect();
        let mut child = Command::new(program)
            .env(URL, &trial.url)
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("a process of the trial cannot be started: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a process of the trial has no pipes".into());
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, lines: Mutex::new(lines) })
    }

    fn send(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).map_err(|error| {
            // What it said last tells why it is gone.
            let last = self.line().unwrap_or_default();
            format!("a process of the trial is gone: {error}; {last}")
        })
    }

    fn line(&mut self) -> Result<String, String> {
        let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(format!("a process said nothing for {} s", PATIENCE.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Err("a process of the trial ended".into()),
        }
    }

    /// The next line that begins with a word.
    fn until(&mut self, word: &str) -> Result<String, String> {
        let line = self.line()?;
        if line.split(' ').next() == Some(word) { Ok(line) } else { Err(line) }
    }

    fn asks(&mut self, question: &str) -> Result<String, String> {
        self.send(question)?;
        let answer = self.line()?;
        self.until("done")?;
        Ok(answer)
    }

    fn kill(&mut self) {
        // One that has ended by itself is gone too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    #[cfg(unix)]
    fn signal(&self, signal: Signal) -> Result<(), String> {
        use rustix::process::{Pid, kill_process};
        let signal = match signal {
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Continue => rustix::process::Signal::CONT,
        };
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("it has no process id")?;
        kill_process(pid, signal).map_err(|error| format!("a process of the trial cannot be stopped: {error}"))
    }

    #[cfg(not(unix))]
    fn signal(&self, _: Signal) -> Result<(), String> {
        Err("processes can be stopped on Unix alone".into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(writer: u64, round: u64, holder: &str) -> (Name, String) {
        ((writer, round), holder.to_owned())
    }

    /// Rules: 35.
    #[test]
    fn what_breaks_a_promise_is_found() {
        let there = [name(0, 0, "a"), name(1, 0, "b"), name(0, 1, "c"), name(0, 2, "c")];
        let acknowledged = BTreeSet::from([(0, 0), (1, 0), (0, 1)]);
        let refused = BTreeSet::from([(1, 1)]);
        assert_eq!(judge(&there, &acknowledged, &refused), Ok(()));
        let lost = BTreeSet::from([(0, 0), (1, 7)]);
        assert!(judge(&there, &lost, &refused).is_err_and(|error| error.contains("is lost")));
        let written = BTreeSet::from([(0, 2)]);
        assert!(judge(&there, &acknowledged, &written).is_err_and(|error| error.contains("was refused and is there")));
        let twice = [name(0, 0, "a"), name(0, 0, "b")];
        assert!(judge(&twice, &BTreeSet::new(), &refused).is_err_and(|error| error.contains("twice")));
        let late = [name(0, 0, "a"), name(1, 0, "b"), name(0, 1, "a")];
        assert!(judge(&late, &BTreeSet::new(), &refused).is_err_and(|error| error.contains("after another")));
    }
}
