//! One process of a trial: it does what it is told, line by line, and tells what became of it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{Tried, checks};
use crate::state::backend::{Backend, BackendError, Holder, Loaded, Position};
use crate::state::lease::settled;
use crate::state::place::Place;

/// The variable that tells a process that it is part of a trial, with the URL of the place.
pub(super) const URL: &str = "STACKKIT_TRIAL_URL";
/// The stack that writers contend for.
const STACK: &str = "contended";
/// A writer folds the log in one round of so many.
const FOLD: u64 = 16;

/// Does the work of a trial's process if this is one, and gives its exit status.
pub fn worker(open: fn(&str) -> Tried) -> Option<ExitCode> {
    let url = std::env::var(URL).ok()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let tried = open(&url);
            let place = tried.place.await.map_err(|error| error.to_string())?;
            Worker { place, lose_answer: tried.lose_answer, lines: lines() }.run().await
        }),
        Err(error) => Err(error.to_string()),
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("broken {}", error.replace('\n', " ")));
            ExitCode::FAILURE
        }
    })
}

/// What one append says: who, which of its appends, and under which lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Append {
    pub(super) writer: u32,
    pub(super) round: u64,
    pub(super) holder: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    stackkit: u64,
    n: u64,
    append: Append,
}

#[derive(Serialize, Deserialize)]
struct Folded {
    stackkit: u64,
    position: u64,
    appends: Vec<Append>,
}

/// The text of an entry.
pub(super) fn entry(n: u64, append: &Append) -> Vec<u8> {
    serde_json::to_vec(&Entry { stackkit: 1, n, append: append.clone() }).unwrap_or_default()
}

/// The text of a snapshot.
pub(super) fn snapshot(position: u64, appends: &[Append]) -> Vec<u8> {
    let appends: Vec<String> = appends.iter().filter_map(|append| serde_json::to_string(append).ok()).collect();
    format!("{{\n\"stackkit\": 1,\n\"position\": {position},\n\"appends\": [\n{}\n]\n}}\n", appends.join(",\n"))
        .into_bytes()
}

/// Everything that was ever appended, in order. Says what does not fit together.
pub(super) fn appends(loaded: &Loaded) -> Result<Vec<Append>, String> {
    let mut position = 0;
    let mut all = Vec::new();
    if let Some(bytes) = &loaded.snapshot {
        let folded: Folded =
            serde_json::from_slice(bytes).map_err(|error| format!("the snapshot is damaged: {error}"))?;
        (position, all) = (folded.position, folded.appends);
    }
    let held = position;
    for bytes in &loaded.entries {
        let entry: Entry = serde_json::from_slice(bytes).map_err(|error| format!("an entry is damaged: {error}"))?;
        // A crash after the snapshot was written may leave entries that it holds.
        if entry.n <= held && position == held {
            continue;
        }
        if entry.n != position + 1 {
            return Err(format!("entry {} follows position {position}", entry.n));
        }
        position = entry.n;
        all.push(entry.append);
    }
    if loaded.position != Position(position) {
        return Err(format!("the log says position {}, and its entries reach {position}", loaded.position.0));
    }
    Ok(all)
}

/// What goes wrong in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Something happens to the process between taking the lock and appending.
    Before,
    /// … between appending and calling.
    After,
    /// The answer to the append gets lost.
    LostAnswer,
}

impl Fault {
    pub(super) const ALL: [(Self, &'static str); 4] =
        [(Self::None, "none"), (Self::Before, "before"), (Self::After, "after"), (Self::LostAnswer, "lost")];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(fault, _)| *fault == self).map_or("none", |(_, name)| name)
    }

    fn named(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == name).map_or(Self::None, |(fault, _)| *fault)
    }
}

struct Worker {
    place: Arc<dyn Place>,
    lose_answer: Option<Box<dyn Fn() + Send + Sync>>,
    lines: mpsc::UnboundedReceiver<String>,
}

/// Lines of standard input. A process that is stopped reads none.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more when the trial was ended.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

impl Worker {
    async fn run(mut self) -> Result<(), String> {
        while let Some(line) = self.lines.recv().await {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["checks", locks] => checks::all(&*self.place, *locks == "system").await?,
                ["losing"] => say(if self.lose_answer.is_some() { "yes" } else { "no" }),
                ["round", writer, round, fault] => {
                    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
                    let writer = u32::try_from(number(writer)?).map_err(|error| error.to_string())?;
                    self.round(writer, number(round)?, Fault::named(fault)).await?;
                }
                ["read"] => self.read().await?,
                ["verify"] => {
                    let loaded = self.backend()?.load().await.map_err(|error| error.to_string())?;
                    for append in appends(&loaded)? {
                        say(&format!("entry {} {} {}", append.writer, append.round, append.holder));
                    }
                }
                _ => return Err(format!("`{line}` is no command of a trial")),
            }
            say("done");
        }
        Ok(())
    }

    fn backend(&self) -> Result<Arc<dyn Backend>, String> {
        self.place.stack(STACK).map_err(|error| error.to_string())
    }

    /// Waits until the trial has done to this process what it wanted to.
    async fn at(&mut self) {
        say("at");
        self.lines.recv().await;
    }

    async fn round(&mut self, writer: u32, round: u64, fault: Fault) -> Result<(), String> {
        let backend = self.backend()?;
        let mut wait = round.wrapping_mul(7 + u64::from(writer) * 6) % 17;
        let mut attempts = 0;
        let holder = Holder::new("trial").map_err(|error| error.to_string())?;
        let lease = loop {
            match backend.acquire(holder.clone()).await {
                Ok(lease) => break lease,
                Err(error) if error.is_locked() => {
                    // Said again and again: whoever waits for it may have begun to wait after the first time.
                    if attempts % 20 == 0 {
                        say(&format!("blocked {error}"));
                    }
                    attempts += 1;
                }
                Err(error) => return Err(format!("the lock cannot be taken: {error}")),
            }
            wait = wait * 3 % 29 + 3;
            tokio::time::sleep(Duration::from_millis(wait)).await;
        };
        say(&format!("held {}", holder.id));
        let loaded = backend.load().await.map_err(|error| error.to_string())?;
        let mut known = appends(&loaded)?;
        if fault == Fault::Before {
            self.at().await;
        }
        let append = Append { writer, round, holder: holder.id };
        if let (Fault::LostAnswer, Some(lose)) = (fault, &self.lose_answer) {
            lose();
        }
        let position = loaded.position;
        match backend.append(&*lease, position, &entry(position.0 + 1, &append)).await {
            Ok(reached) if reached.0 == position.0 + 1 => say("appended"),
            Ok(reached) => return Err(format!("an append after position {} reached {}", position.0, reached.0)),
            Err(error) => {
                let fenced = matches!(error, BackendError::Lost(_) | BackendError::Moved { .. });
                say(&format!("{} {error}", if fenced { "refused" } else { "failed" }));
                drop(lease);
                settled().await;
                return Ok(());
            }
        }
        known.push(append);
        if fault == Fault::After {
            self.at().await;
        }
        match lease.confirm().await {
            Ok(()) => say("call"),
            Err(_) => say("nocall"),
        }
        if round % FOLD == FOLD - 1 {
            let position = Position(position.0 + 1);
            if let Err(error) = backend.compact(&*lease, position, &snapshot(position.0, &known)).await {
                say(&format!("nofold {error}"));
            }
        }
        drop(lease);
        settled().await;
        Ok(())
    }

    /// Reads without a lock until told to stop: whatever it sees is one moment, and no moment is earlier than the last.
    async fn read(&mut self) -> Result<(), String> {
        let backend = self.backend()?;
        let mut seen = 0;
        let mut reads: u64 = 0;
        while let Err(mpsc::error::TryRecvError::Empty) = self.lines.try_recv() {
            let loaded = backend.load().await.map_err(|error| format!("a reader failed: {error}"))?;
            let all = appends(&loaded).map_err(|error| format!("a reader saw no one moment: {error}"))?;
            if all.len() < seen {
                return Err(format!("a reader saw {} appends after {seen}", all.len()));
            }
            if all.iter().collect::<BTreeSet<_>>().len() != all.len() {
                return Err("a reader saw an append twice".into());
            }
            seen = all.len();
            reads += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        say(&format!("read {reads}"));
        Ok(())
    }
}
