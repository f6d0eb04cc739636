//! A command that runs: what it prints is read while it does, and it can be sent signals.

use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

use crate::{Course, LIMIT, POLL, Ran, Sandbox};

/// A command that was started and is not waited for yet. Dropping it kills it.
#[derive(Debug)]
pub struct Running<'a> {
    sandbox: &'a Sandbox,
    command: String,
    child: Child,
    started: Instant,
    status: Option<ExitStatus>,
    streams: [Stream; 2],
    lines: Arc<Mutex<Vec<Duration>>>,
}

/// What a command has written to standard output, or to standard error.
#[derive(Debug)]
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    /// Reads a pipe to its end, and notes when each line came.
    fn of(pipe: Option<impl Read + Send + 'static>, started: Instant, lines: &Arc<Mutex<Vec<Duration>>>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let (lines, target) = (Arc::clone(lines), Arc::clone(&bytes));
        let reader = std::thread::spawn(move || {
            let Some(mut pipe) = pipe else { return };
            let mut chunk = vec![0; 64 * 1024];
            // What could not be read any more was not printed for anybody.
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                let now = started.elapsed();
                let chunk = chunk.get(..count).unwrap_or_default();
                let ends = chunk.iter().filter(|byte| **byte == b'\n').count();
                lock(&target).extend_from_slice(chunk);
                lock(&lines).extend(std::iter::repeat_n(now, ends));
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }
}

impl<'a> Running<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox, mut child: Child, command: String) -> Self {
        let started = Instant::now();
        let lines = Arc::default();
        let streams =
            [Stream::of(child.stdout.take(), started, &lines), Stream::of(child.stderr.take(), started, &lines)];
        Self { sandbox, command, child, started, status: None, streams, lines }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How long it has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When it printed so many lines; nothing while it has not.
    pub(crate) fn reached(&self, line: usize) -> Option<Duration> {
        match line.checked_sub(1) {
            None => Some(Duration::ZERO),
            Some(before) => lock(&self.lines).get(before).copied(),
        }
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// When it takes longer than five minutes.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.sandbox.note_arguments(self.child.id());
            match self.child.try_wait() {
                Ok(status) => self.status = status,
                Err(error) => panic!("cannot wait for `{}`: {error}", self.command),
            }
            if self.status.is_none() && self.elapsed() > LIMIT {
                self.kill();
                panic!("`{}` took longer than {} s: {}", self.command, LIMIT.as_secs(), self.so_far());
            }
        }
        self.status.is_some()
    }

    /// Waits until it has printed a text.
    ///
    /// # Panics
    /// When it ends before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |running| running.streams.iter().any(|stream| stream.text().contains(text)));
    }

    /// Waits until something is the case, which `what` names.
    ///
    /// # Panics
    /// When the command ends before.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        while !is_so(self) {
            let ended = self.has_ended();
            // What it printed last may be read after its end is seen.
            assert!(!ended || self.is_so_at_the_end(&mut is_so), "it ended before {what}: {}", self.so_far());
            std::thread::sleep(POLL);
        }
    }

    fn is_so_at_the_end(&mut self, is_so: &mut impl FnMut(&Self) -> bool) -> bool {
        self.drain();
        is_so(self)
    }

    /// Sends it a signal, and what it started too, as a terminal does.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.pid() {
            // It may have ended by itself.
            let _ = kill_process_group(id, signal).or_else(|_| kill_process(id, signal));
        }
    }

    /// Kills it, and what it started: nothing of a run survives the loss of its machine.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.status = self.child.wait().ok();
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn so_far(&self) -> String {
        let [stdout, stderr] = &self.streams;
        format!("`{}`\n--- stdout\n{}\n--- stderr\n{}", self.command, stdout.text(), stderr.text())
    }

    fn drain(&mut self) {
        for reader in self.streams.iter_mut().filter_map(|stream| stream.reader.take()) {
            // A reader that panicked has read what there was.
            let _ = reader.join();
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes longer than five minutes.
    pub fn end(mut self) -> Ran {
        while !self.has_ended() {
            std::thread::sleep(POLL);
        }
        let took = self.elapsed();
        self.drain();
        let [stdout, stderr] = &self.streams;
        let mut printed = lock(&self.sandbox.printed);
        printed.extend_from_slice(&lock(&stdout.bytes));
        printed.extend_from_slice(&lock(&stderr.bytes));
        Ran {
            code: self.status.filter(|status| status.signal().is_none()).and_then(|status| status.code()),
            stdout: stdout.text(),
            stderr: stderr.text(),
            took,
            course: Course::new(std::mem::take(&mut lock(&self.lines)), took),
            command: self.command.clone(),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.kill();
        }
    }
}
