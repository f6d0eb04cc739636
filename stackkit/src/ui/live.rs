//! The living part of a terminal screen: what is running now and for how long, redrawn in place below what scrolled by.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::event::Verb;
use crate::ui::paint::Paint;
use crate::ui::text::{clean, duration, shorten, width};
use crate::urn::Urn;

/// A call that is running.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) verb: Verb,
    pub(crate) since: Instant,
    /// The last thing that it said.
    pub(crate) note: Option<String>,
    /// When a plain screen last said that it is still running.
    pub(crate) told: Instant,
}

/// Everything that the living part shows.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// By start: the first one is the one that runs longest.
    pub(crate) running: BTreeMap<(u64, Urn), Running>,
    pub(crate) started: u64,
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) total: usize,
    /// What is going on before the first call.
    pub(crate) phase: Option<String>,
    pub(crate) cancelling: bool,
}

impl Progress {
    pub(crate) fn start(&mut self, urn: Urn, verb: Verb, now: Instant) {
        self.phase = None;
        self.started += 1;
        self.running.insert((self.started, urn), Running { verb, since: now, note: None, told: now });
    }

    pub(crate) fn find(&mut self, urn: &Urn) -> Option<&mut Running> {
        self.running.iter_mut().find(|((_, other), _)| other == urn).map(|(_, running)| running)
    }

    pub(crate) fn end(&mut self, urn: &Urn, verb: Verb) {
        let key = self.running.iter().find(|((_, other), running)| other == urn && running.verb == verb);
        if let Some(key) = key.map(|(key, _)| key.clone()) {
            self.running.remove(&key);
        }
    }
}

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// The lines of the living part, none of them wider than the terminal.
pub(crate) fn frame(
    progress: &Progress,
    elapsed: Duration,
    now: Instant,
    paint: Paint,
    columns: usize,
    rows: usize,
) -> Vec<String> {
    let columns = columns.max(20);
    let spin = SPINNER[(elapsed.as_millis() / 100) as usize % SPINNER.len()];
    if let Some(phase) = &progress.phase {
        return vec![format!("{} {}", paint.cyan(spin), shorten(phase, columns - 3))];
    }
    if progress.running.is_empty() {
        return Vec::new();
    }
    let room = rows.saturating_sub(4).clamp(1, 10);
    let mut lines = Vec::new();
    for ((_, urn), running) in progress.running.iter().take(room) {
        let time = duration(now.saturating_duration_since(running.since));
        let what = format!("{:<7} {} {}", running.verb.name(), clean(urn.type_name()), clean(urn.path()));
        let note = running.note.as_ref().map(|note| clean(note).into_owned()).unwrap_or_default();
        let left = columns.saturating_sub(width(&time) + 5);
        let what = shorten(&what, left);
        let note = shorten(&note, left.saturating_sub(width(&what) + 2)).into_owned();
        let gap = if note.is_empty() || width(&note) < 4 { String::new() } else { format!("  {}", paint.dim(note)) };
        lines.push(format!("{} {what}  {}{gap}", paint.cyan(spin), paint.bold(time)));
    }
    let more = progress.running.len().saturating_sub(room);
    if more > 0 {
        lines.push(paint.dim(format!("  … and {more} more running")));
    }
    let total = progress.total.max(progress.done + progress.failed + progress.running.len());
    let ended = progress.done + progress.failed;
    let mut text = format!("{ended} of {total} done");
    if progress.failed > 0 {
        let _ = write!(text, ", {} failed", progress.failed);
    }
    if progress.cancelling {
        text.push_str(", stopping");
    }
    let _ = write!(text, "  {}", duration(elapsed));
    let bar_width = columns.saturating_sub(width(&text) + 4).min(30);
    let filled = (bar_width * ended).checked_div(total).unwrap_or_default();
    let bar = format!("{}{}", paint.green("━".repeat(filled)), paint.dim("━".repeat(bar_width - filled)));
    lines.push(format!("{bar}  {}", shorten(&text, columns.saturating_sub(bar_width + 2))));
    lines
}

/// What takes the last frame off the screen: the cursor goes up to its first line, and all below it is cleared.
pub(crate) fn erase(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\r\u{1b}[{lines}A\u{1b}[J") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_shows_what_runs_and_stays_within_the_width() {
        let start = Instant::now();
        let mut progress = Progress { total: 40, done: 10, failed: 1, ..Progress::default() };
        for index in 0..12 {
            progress.start(Urn::new("aws:ec2:Subnet", &format!("s{index}")), Verb::Create, start);
        }
        if let Some(running) = progress.find(&Urn::new("aws:ec2:Subnet", "s1")) {
            running.note = Some("waiting until it is available, which it is not yet, \u{1b}[31mstill pending".into());
        }
        let now = start + Duration::from_secs(63);
        let lines = frame(&progress, Duration::from_secs(70), now, Paint::PLAIN, 60, 8);
        assert_eq!(
            lines,
            [
                "⠋ create  aws:ec2:Subnet s0  1m 03s",
                "⠋ create  aws:ec2:Subnet s1  1m 03s  waiting until it is a…",
                "⠋ create  aws:ec2:Subnet s2  1m 03s",
                "⠋ create  aws:ec2:Subnet s3  1m 03s",
                "  … and 8 more running",
                "━━━━━━━━━━━━━━━━━━━━━━━━━  11 of 40 done, 1 failed  1m 10s",
            ]
        );
        assert!(lines.iter().all(|line| width(line) <= 60));
        progress.end(&Urn::new("aws:ec2:Subnet", "s0"), Verb::Create);
        assert_eq!(progress.running.len(), 11);
    }
}
