//! The counts, and their table.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::world::Difference;

/// What was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An `up` from nothing.
    Up,
    /// An `up` that changes, replaces, adds and deletes.
    Change,
    /// A `destroy`.
    Destroy,
}

impl Operation {
    pub(crate) const ALL: [Self; 3] = [Self::Up, Self::Change, Self::Destroy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "create",
            Self::Change => "change and replace",
            Self::Destroy => "destroy",
        }
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Row {
    kills: u32,
    open: u32,
    orphans: usize,
    duplicates: usize,
    lost: usize,
    hands: usize,
    restless: usize,
}

/// What one kill came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Whether a call was under way, so that the next run had to find out what became of it.
    pub(crate) open: bool,
    pub(crate) difference: Difference,
    /// Why the same command did not do: somebody has to look.
    pub(crate) hand: Option<String>,
    /// What the run after that still wanted to change.
    pub(crate) restless: Option<String>,
}

impl Outcome {
    pub(crate) fn is_fine(&self) -> bool {
        let Difference { orphans, duplicates, lost } = &self.difference;
        orphans.is_empty() && duplicates.is_empty() && lost.is_empty() && self.hand.is_none() && self.restless.is_none()
    }
}

/// All counts of one tool.
#[derive(Debug)]
pub(crate) struct Tally {
    name: &'static str,
    wanted: u32,
    started: Instant,
    rows: [Row; 3],
    missed: u32,
    /// Lanes that did not get to their end.
    pub(crate) broken: usize,
    pub(crate) took: Duration,
}

impl Tally {
    pub(crate) fn new(name: &'static str, wanted: u32, started: Instant) -> Self {
        Self { name, wanted, started, rows: [Row::default(); 3], missed: 0, broken: 0, took: Duration::ZERO }
    }

    fn kills(&self) -> u32 {
        self.rows.iter().map(|row| row.kills).sum()
    }

    /// Whether there were enough kills.
    pub(crate) fn is_enough(&self) -> bool {
        self.kills() >= self.wanted
    }

    /// How often something was found.
    pub(crate) fn findings(&self) -> usize {
        let of = |row: &Row| row.orphans + row.duplicates + row.lost + row.hands + row.restless;
        self.broken + self.rows.iter().map(of).sum::<usize>()
    }

    /// A run ended before its kill.
    pub(crate) fn missed(&mut self) {
        self.missed += 1;
    }

    /// Counts one kill.
    pub(crate) fn count(&mut self, operation: Operation, outcome: &Outcome) {
        let Some(row) = Operation::ALL.iter().position(|one| *one == operation).and_then(|at| self.rows.get_mut(at))
        else {
            return;
        };
        row.kills += 1;
        row.open += u32::from(outcome.open);
        row.orphans += outcome.difference.orphans.len();
        row.duplicates += outcome.difference.duplicates.len();
        row.lost += outcome.difference.lost.len();
        row.hands += usize::from(outcome.hand.is_some());
        row.restless += usize::from(outcome.restless.is_some());
        let kills = self.kills();
        if kills.is_multiple_of(10) || self.is_enough() || !outcome.is_fine() {
            let seconds = self.started.elapsed().as_secs();
            println!("{}: {kills} of {} kills, {} findings, {seconds} s", self.name, self.wanted, self.findings());
        }
    }
}

/// The table, in Markdown.
pub(crate) fn table(columns: &[Tally]) -> String {
    let mut text = String::from(
        "| | killed in | kills | with calls under way | orphans | duplicates | lost from the server | \
         runs that needed a hand | runs that did not settle |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut line = |name: &str, what: &str, row: &Row| {
        let Row { kills, open, orphans, duplicates, lost, hands, restless } = row;
        let _ = writeln!(
            text,
            "| {name} | {what} | {kills} | {open} | {orphans} | {duplicates} | {lost} | {hands} | {restless} |"
        );
    };
    for tally in columns {
        let mut all = Row::default();
        for (operation, row) in Operation::ALL.iter().zip(&tally.rows) {
            line(tally.name, operation.name(), row);
            all.kills += row.kills;
            all.open += row.open;
            all.orphans += row.orphans;
            all.duplicates += row.duplicates;
            all.lost += row.lost;
            all.hands += row.hands;
            all.restless += row.restless;
        }
        line(tally.name, "all", &all);
    }
    for tally in columns {
        let (seconds, missed) = (tally.took.as_secs(), tally.missed);
        let _ = writeln!(text, "\n{}: {seconds} s; {missed} runs ended before their kill and do not count", tally.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_counts() {
        let mut tally = Tally::new("one", 2, Instant::now());
        tally.count(Operation::Up, &Outcome { open: true, ..Outcome::default() });
        assert_eq!((tally.findings(), tally.is_enough()), (0, false));
        let difference =
            Difference { orphans: vec!["a".into(), "b".into()], duplicates: vec!["c".into()], lost: vec!["d".into()] };
        let outcome = Outcome { difference, hand: Some("no".into()), restless: Some("b".into()), open: false };
        assert!(!outcome.is_fine());
        tally.count(Operation::Destroy, &outcome);
        assert_eq!((tally.findings(), tally.is_enough()), (6, true));
        let table = table(&[tally]);
        assert!(table.contains("| one | all | 2 | 1 | 2 | 1 | 1 | 1 | 1 |"), "{table}");
    }
}
