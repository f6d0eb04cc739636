//! The screen of a run: plan, progress, failures and summary for people, in place on a terminal and as plain lines elsewhere.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::diagnostic::DiagnosticKind;
use crate::event::{Event, Listener, Operation, Summary, Verb};
use crate::plan::{Action, Plan, Step};
use crate::ui::Verbosity;
use crate::ui::live::{Progress, erase, frame};
use crate::ui::paint::symbol;
use crate::ui::plan::{PlanStyle, done_line, render_plan};
use crate::ui::text::{clean, clean_lines, count, duration, shorten, wrap};
use crate::urn::Urn;

/// How often a terminal is redrawn, and after how long a plain screen says that something is still running.
const FRAME: Duration = Duration::from_millis(100);
const STILL: Duration = Duration::from_secs(30);
/// How many skipped resources are named at the end.
const SKIPPED_SHOWN: usize = 5;
/// From how many calls on only every tenth part of them is told, not each.
const MANY: usize = 500;

/// What a screen is drawn with.
#[derive(Debug, Clone, Copy)]
pub struct ScreenOptions {
    /// Colours, width and how much is said.
    pub style: PlanStyle,
    /// How many rows the terminal has; none where the output is no terminal, and then nothing is redrawn.
    pub rows: Option<usize>,
    /// Whether the plan is drawn when it is made; a caller that draws it otherwise turns it off.
    pub plan: bool,
}

impl Default for ScreenOptions {
    fn default() -> Self {
        Self { style: PlanStyle::default(), rows: None, plan: true }
    }
}

/// A listener that draws a run for people. Dropping it leaves the terminal as a finished run does.
pub struct Screen {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

struct Shared {
    options: ScreenOptions,
    state: Mutex<State>,
    closed: Condvar,
}

struct State {
    out: Box<dyn Write + Send>,
    /// Text that scrolls by before the next frame.
    pending: String,
    /// How many lines of the last frame stand on the screen.
    drawn: usize,
    progress: Progress,
    operation: Operation,
    began: Instant,
    failed: Vec<Failure>,
    skipped: Vec<(Urn, Verb, String)>,
    notes: HashMap<Urn, String>,
    closed: bool,
}

struct Failure {
    urn: Urn,
    verb: Verb,
    error: String,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Screen {
    /// Onto a stream. What cannot be written, because nobody reads any more, is dropped.
    pub fn new(out: impl Write + Send + 'static, options: ScreenOptions) -> Self {
        let state = State {
            out: Box::new(out),
            pending: String::new(),
            drawn: 0,
            progress: Progress::default(),
            operation: Operation::Up,
            began: Instant::now(),
            failed: Vec::new(),
            skipped: Vec::new(),
            notes: HashMap::new(),
            closed: false,
        };
        let shared = Arc::new(Shared { options, state: Mutex::new(state), closed: Condvar::new() });
        let ticking = Arc::clone(&shared);
        let ticker = std::thread::Builder::new().name("screen".into()).spawn(move || tick(&ticking)).ok();
        Self { shared, ticker }
    }

    /// Prints text between what scrolled by and what is running.
    pub fn print(&self, text: &str) {
        let mut state = self.shared.lock();
        state.pending.push_str(text);
        self.shared.flush(&mut state);
    }

    /// Takes the living part off the screen, before something else is printed or asked.
    pub fn pause(&self) {
        let mut state = self.shared.lock();
        state.progress.phase = None;
        self.shared.flush(&mut state);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.progress = Progress::default();
            state.closed = true;
            self.shared.flush(&mut state);
        }
        self.shared.closed.notify_all();
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
    }
}

fn tick(shared: &Shared) {
    let mut state = shared.lock();
    while !state.closed {
        let wait = if shared.options.rows.is_some() { FRAME } else { Duration::from_secs(1) };
        state = match shared.closed.wait_timeout(state, wait) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
        if state.closed {
            break;
        }
        if shared.options.rows.is_none() && shared.options.style.verbosity > Verbosity::Quiet {
            tell_what_still_runs(&mut state, Instant::now());
        }
        if shared.options.rows.is_some() || !state.pending.is_empty() {
            shared.flush(&mut state);
        }
    }
}

fn tell_what_still_runs(state: &mut State, now: Instant) {
    let State { progress, pending, .. } = state;
    for ((_, urn), running) in &mut progress.running {
        if now.saturating_duration_since(running.told) >= STILL {
            running.told = now;
            let since = duration(now.saturating_duration_since(running.since));
            let note = running.note.as_deref().map(|note| format!(": {}", clean(note))).unwrap_or_default();
            let _ = writeln!(pending, "     {} {}: still running after {since}{note}", running.verb.name(), name(urn));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is pending, and the living part below it.
    fn flush(&self, state: &mut State) {
        let Some(rows) = self.options.rows else {
            let text = std::mem::take(&mut state.pending);
            if !text.is_empty() {
                let _ = state.out.write_all(text.as_bytes()).and_then(|()| state.out.flush());
            }
            return;
        };
        let lines = if self.options.style.verbosity == Verbosity::Quiet || state.closed {
            Vec::new()
        } else {
            let now = Instant::now();
            let elapsed = now.saturating_duration_since(state.began);
            // A window may have been made smaller since the screen was opened.
            let (columns, rows) = terminal_size::terminal_size()
                .map_or((self.options.style.columns, rows), |(w, h)| (usize::from(w.0), usize::from(h.0)));
            frame(&state.progress, elapsed, now, self.options.style.paint, columns, rows)
        };
        if lines.is_empty() && state.drawn == 0 && state.pending.is_empty() {
            return;
        }
        let mut text = erase(state.drawn);
        text.push_str(&std::mem::take(&mut state.pending));
        for line in &lines {
            let _ = writeln!(text, "{line}");
        }
        state.drawn = lines.len();
        let _ = state.out.write_all(text.as_bytes()).and_then(|()| state.out.flush());
    }
}

impl Listener for Screen {
    fn event(&self, event: &Event) {
        let mut state = self.shared.lock();
        state.take(event, &self.shared.options, Instant::now());
        // A terminal is written to by the ticker, so that ten thousand steps do not make ten thousand frames.
        if self.shared.options.rows.is_none() || matches!(event, Event::Planned { .. } | Event::Finished { .. }) {
            self.shared.flush(&mut state);
        }
    }
}

fn name(urn: &Urn) -> String {
    format!("{} {}", clean(urn.type_name()), clean(urn.path()))
}

fn action_of(verb: Verb) -> Action {
    match verb {
        Verb::Create => Action::Create,
        Verb::Update => Action::Update,
        Verb::Replace => Action::Replace { delete_first: false },
        Verb::Delete => Action::Delete,
        Verb::Import => Action::Import { id: String::new() },
        Verb::Record => Action::Record,
        Verb::Forget => Action::Forget,
        // It changes nothing, like something that stays the same.
        Verb::Read => Action::Same,
    }
}

fn done_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "created",
        Verb::Update => "updated",
        Verb::Replace => "replaced",
        Verb::Delete => "deleted",
        Verb::Import => "imported",
        Verb::Record => "recorded",
        Verb::Forget => "forgotten",
        Verb::Read => "read",
    }
}

/// How many calls a plan will make.
fn steps(plan: &Plan) -> usize {
    let acts =
        |node: usize| plan.nodes.get(node).is_some_and(|node| !matches!(node.action, Action::Same | Action::Record));
    plan.steps
        .node_weights()
        .filter(|step| match step {
            Step::Ensure(node) => acts(*node),
            Step::Delete(..) => true,
        })
        .count()
}

impl State {
    fn say(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.pending, "{}", text.as_ref());
    }

    fn take(&mut self, event: &Event, options: &ScreenOptions, now: Instant) {
        let paint = options.style.paint;
        let verbosity = options.style.verbosity;
        let quiet = verbosity == Verbosity::Quiet;
        let verbose = verbosity == Verbosity::Verbose;
        match event {
            Event::Started { operation, .. } => {
                self.operation = *operation;
                self.began = now;
                self.progress = Progress::default();
                self.failed.clear();
                self.skipped.clear();
            }
            Event::Warning { urn, message } => {
                let about = urn.as_ref().map(|urn| format!("{}: ", name(urn))).unwrap_or_default();
                self.block(&paint.yellow("warning: "), 9, &format!("{about}{message}"), options);
            }
            Event::Advice { urn, message, .. } => {
                let about = urn.as_ref().map(|urn| format!("{}: ", name(urn))).unwrap_or_default();
                self.block(&paint.yellow("warning: "), 9, &format!("{about}{message}"), options);
            }
            Event::CheckFailed { message, at } => {
                self.block(&paint.red(" ✗ failed  "), 11, &format!("{message} [{at}]"), options);
            }
            Event::Recovered { .. } | Event::Drifted { .. } | Event::Refreshing { .. } | Event::Reading { .. }
                if quiet => {}
            Event::Recovered { urn, message } => {
                self.block(&paint.cyan(" ↺ recovered  "), 14, &format!("{}: {message}", name(urn)), options);
            }
            Event::Refreshing { count: number } => {
                let text = format!("Reading {}", count(*number, "resource"));
                if verbose && options.rows.is_none() {
                    self.say(&text);
                }
                self.progress.phase = Some(text);
            }
            Event::Reading { count: number } => {
                let text = format!("Looking up {}", count(*number, "value"));
                if verbose && options.rows.is_none() {
                    self.say(&text);
                }
                self.progress.phase = Some(text);
            }
            Event::Drifted { urn, fields, gone } => {
                let fields: Vec<_> = fields.iter().map(|field| format!("`{}`", clean(field))).collect();
                let what = match (gone, fields.is_empty()) {
                    (true, _) => "is gone".to_owned(),
                    (false, true) => "is not as recorded".to_owned(),
                    (false, false) => format!("changed from outside: {}", fields.join(", ")),
                };
                self.block(&paint.yellow(" ! drift  "), 10, &format!("{} {what}", name(urn)), options);
            }
            Event::Planned { plan } => {
                self.progress.phase = None;
                self.progress.total = steps(plan);
                // A plan that rests on a mistake is not worth a look.
                let sound = plan.diagnostics.iter().all(|found| found.kind == DiagnosticKind::Refused);
                if options.plan && !quiet && sound && self.operation != Operation::Preview {
                    self.pending.push_str(&render_plan(plan, self.operation, options.style));
                }
            }
            Event::StepStarted { urn, verb } => {
                if verbose && options.rows.is_none() {
                    self.say(format!("   … {} {}", verb.name(), name(urn)));
                }
                if *verb != Verb::Record {
                    self.progress.start(urn.clone(), *verb, now);
                }
            }
            Event::HookStarted { urn, point } => {
                if self.progress.find(urn).is_none() {
                    self.progress.start(urn.clone(), point.verb(), now);
                }
                if let Some(running) = self.progress.find(urn) {
                    running.note = Some(format!("hook {}", point.name().replace('_', " ")));
                }
            }
            Event::HookDone { urn, point, elapsed } => {
                if point.is_before() {
                    self.progress.end(urn, point.verb());
                }
                if !quiet && (verbose || self.progress.total <= MANY) {
                    let time = duration(*elapsed);
                    let point = point.name().replace('_', " ");
                    self.say(paint.dim(format!("     hook {point}: {} ({time})", name(urn))));
                }
            }
            // The step that fails with it tells why.
            Event::HookFailed { urn, point, .. } => self.progress.end(urn, point.verb()),
            Event::Progress { urn, message } => {
                if let Some(running) = self.progress.find(urn) {
                    running.note = Some(message.clone());
                }
                let news = self.notes.insert(urn.clone(), message.clone()).as_ref() != Some(message);
                if news && !quiet && (options.rows.is_none() || verbose) {
                    self.say(paint.dim(format!("     {}: {}", name(urn), clean(message))));
                }
            }
            Event::Retrying { urn, attempt, delay, error } => {
                let text = format!("attempt {attempt} failed, next one in {}: {}", duration(*delay), clean(error));
                if let Some(running) = self.progress.find(urn) {
                    running.note = Some(text.clone());
                }
                if !quiet {
                    self.block(&paint.yellow(" ↻ "), 3, &format!("{}: {text}", name(urn)), options);
                }
            }
            Event::StepDone { urn, verb, elapsed } => {
                self.progress.end(urn, *verb);
                self.notes.remove(urn);
                // Neither is a change of anything that the plan counts.
                if let Verb::Record | Verb::Read = verb {
                    if verbose {
                        let sign = if *verb == Verb::Record { '*' } else { '↓' };
                        self.say(paint.dim(format!(" {sign}   {:<9} {}", done_word(*verb), name(urn))));
                    }
                    return;
                }
                self.progress.done += 1;
                if self.progress.total > MANY && !verbose {
                    let Progress { done, total, .. } = self.progress;
                    let tenth = |done: usize| done * 10 / total;
                    if !quiet && options.rows.is_none() && done < total && tenth(done) > tenth(done - 1) {
                        self.say(format!("     {done} of {total} done"));
                    }
                    return;
                }
                if !quiet {
                    let action = action_of(*verb);
                    let sign = paint.action(&action, format!("{:<3}", symbol(&action)));
                    let word = paint.action(&action, format!("{:<9}", done_word(*verb)));
                    let time = paint.dim(format!("({})", duration(*elapsed)));
                    self.say(format!(" {sign} {word} {} {time}", name(urn)));
                }
            }
            Event::StepFailed { urn, verb, elapsed, error } => {
                self.progress.end(urn, *verb);
                self.progress.failed += 1;
                let first = clean_lines(error).next().unwrap_or_default();
                let room = options.style.columns.saturating_sub(8).max(40);
                let text = format!("{} {} failed after {}", verb.name(), name(urn), duration(*elapsed));
                self.say(format!(" {}   {}", paint.red("✗"), paint.red(text)));
                self.say(format!("     {}", shorten(&first, room)));
                self.failed.push(Failure { urn: urn.clone(), verb: *verb, error: error.clone() });
            }
            Event::StepSkipped { urn, verb, because } => {
                if verbose {
                    let text = format!("     skipped   {} {}: {}", verb.name(), name(urn), clean(because));
                    self.say(paint.dim(text));
                }
                self.skipped.push((urn.clone(), *verb, because.clone()));
            }
            Event::Cancelling { running } => {
                self.progress.cancelling = true;
                let what = match running {
                    0 => "nothing new starts".to_owned(),
                    number => format!("nothing new starts; waiting for {} to end", count(*number, "running call")),
                };
                self.say(paint.yellow(format!("Stopping: {what} (again to stop at once)")));
            }
            Event::Finished { summary } => {
                self.progress = Progress::default();
                if self.operation != Operation::Preview {
                    self.finish(summary, options);
                }
            }
        }
    }

    /// A text of several lines behind a head that takes so many columns.
    fn block(&mut self, head: &str, indent: usize, text: &str, options: &ScreenOptions) {
        let columns = options.style.columns.saturating_sub(indent).max(40);
        let mut head = head.to_owned();
        for text in clean_lines(text) {
            for line in wrap(&text, columns) {
                self.say(format!("{head}{line}"));
                head = " ".repeat(indent);
            }
        }
    }

    fn finish(&mut self, summary: &Summary, options: &ScreenOptions) {
        let paint = options.style.paint;
        let failed = std::mem::take(&mut self.failed);
        if !failed.is_empty() {
            self.say(format!("\n{}", paint.bold(paint.red("Failed"))));
            for Failure { urn, verb, error } in &failed {
                self.say(format!(" {} {} {}", paint.red("✗"), verb.name(), paint.bold(name(urn))));
                self.block("     ", 5, error, options);
            }
        }
        let skipped = std::mem::take(&mut self.skipped);
        if !skipped.is_empty() {
            self.say(format!("\n{}", paint.bold("Not done")));
            for (urn, verb, because) in skipped.iter().take(SKIPPED_SHOWN) {
                self.block("   ", 5, &format!("{} {}: {because}", verb.name(), name(urn)), options);
            }
            if skipped.len() > SKIPPED_SHOWN {
                self.say(format!("   … and {} more", skipped.len() - SKIPPED_SHOWN));
            }
        }
        if options.style.verbosity == Verbosity::Quiet && failed.is_empty() && !summary.cancelled {
            return;
        }
        let nothing = !summary.has_changes() && summary.failed + summary.skipped == 0 && !summary.cancelled;
        if nothing && options.plan && matches!(self.operation, Operation::Up | Operation::Destroy) {
            // The plan has said so.
            return;
        }
        let line = done_line(summary, self.operation, paint);
        let state = match (summary.cancelled, summary.failed) {
            (true, _) => paint.bold(paint.yellow("Cancelled")),
            (false, 0) => paint.bold(paint.green("Done")),
            _ => paint.bold(paint.red("Failed")),
        };
        self.say(format!("\n{state} in {}: {line}", duration(summary.duration)));
        let command = self.operation.name();
        if summary.cancelled {
            self.block(
                "",
                0,
                &format!("Everything that ended is recorded. Run `{command}` again to go on from here."),
                options,
            );
        } else if summary.failed > 0 {
            let text = format!(
                "Everything else is recorded. Remove the cause and run `{command}` again: it goes on from here."
            );
            self.block("", 0, &text, options);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);
    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("the test's own lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn check(events: &[Event], options: ScreenOptions, expected: &str) {
        let buffer = Buffer::default();
        let screen = Screen::new(buffer.clone(), options);
        events.iter().for_each(|event| screen.event(event));
        drop(screen);
        let text = String::from_utf8(buffer.0.lock().expect("the test's own lock").clone()).expect("text");
        assert_eq!(text, expected, "\n{text}");
    }

    fn failing_run() -> Vec<Event> {
        let [a, b, c] = ["a", "b", "c"].map(|name| Urn::new("acme:Thing", name));
        let second = Duration::from_secs(1);
        vec![
            Event::Started { operation: Operation::Up, stack: "dev".into() },
            Event::Drifted { urn: a.clone(), fields: vec!["content".into()], gone: false },
            Event::StepStarted { urn: a.clone(), verb: Verb::Update },
            Event::StepStarted { urn: b.clone(), verb: Verb::Create },
            Event::Progress { urn: b.clone(), message: "waiting: pending".into() },
            Event::Progress { urn: b.clone(), message: "waiting: pending".into() },
            Event::StepDone { urn: a, verb: Verb::Update, elapsed: second },
            Event::Retrying { urn: b.clone(), attempt: 1, delay: second * 2, error: "throttled".into() },
            Event::StepFailed {
                urn: b,
                verb: Verb::Create,
                elapsed: second * 3,
                error: "denied: no right to create\n\u{1b}]0;evil\u{7}".into(),
            },
            Event::StepSkipped { urn: c, verb: Verb::Create, because: "acme:Thing::b failed".into() },
            Event::Finished {
                summary: Summary { update: 1, failed: 1, skipped: 1, duration: second * 4, ..Summary::default() },
            },
        ]
    }

    #[test]
    fn plain_lines_tell_the_run() {
        check(
            &failing_run(),
            ScreenOptions::default(),
            r" ! drift  acme:Thing a changed from outside: `content`
     acme:Thing b: waiting: pending
 ~   updated   acme:Thing a (1.0 s)
 ↻ acme:Thing b: attempt 1 failed, next one in 2.0 s: throttled
 ✗   create acme:Thing b failed after 3.0 s
     denied: no right to create

Failed
 ✗ create acme:Thing b
     denied: no right to create
     \u{1b}]0;evil\u{7}

Not done
   create acme:Thing c: acme:Thing::b failed

Failed in 4.0 s: 1 updated, 1 failed, 1 skipped
Everything else is recorded. Remove the cause and run `up` again: it goes on
from here.
",
        );
    }

    #[test]
    fn quiet_says_only_what_is_wrong() {
        let style = PlanStyle { verbosity: Verbosity::Quiet, ..PlanStyle::default() };
        let options = ScreenOptions { style, ..ScreenOptions::default() };
        check(
            &[
                Event::Started { operation: Operation::Up, stack: "dev".into() },
                Event::StepDone { urn: Urn::new("t", "n"), verb: Verb::Create, elapsed: Duration::ZERO },
                Event::Finished { summary: Summary { create: 1, ..Summary::default() } },
            ],
            options,
            "",
        );
    }

    #[test]
    fn a_cancelled_run_says_how_to_go_on() {
        check(
            &[
                Event::Started { operation: Operation::Destroy, stack: "dev".into() },
                Event::Cancelling { running: 2 },
                Event::Finished { summary: Summary { delete: 3, cancelled: true, ..Summary::default() } },
            ],
            ScreenOptions::default(),
            "\
Stopping: nothing new starts; waiting for 2 running calls to end (again to stop at once)

Cancelled in 0 ms: 3 deleted
Everything that ended is recorded. Run `destroy` again to go on from here.
",
        );
    }

    #[test]
    fn nobody_reading_is_no_panic() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let screen = Screen::new(Closed, ScreenOptions::default());
        failing_run().iter().for_each(|event| screen.event(event));
        assert_eq!(screen.shared.lock().progress.running.len(), 0);
    }
}
