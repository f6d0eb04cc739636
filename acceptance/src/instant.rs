//! When to kill: instants spread over a run, told by what the run has printed so far.
//!
//! A clock alone does not hit on a busy machine: a run takes twice as long as the one that was measured, and every kill
//! lands in its first half. So an instant is a line of output and a while after it: the same place of the run, however
//! long it takes to get there.

use std::fmt;
use std::time::Duration;

use crate::Random;

/// How a run went: when it printed each line, and when it ended.
#[derive(Debug, Clone, Default)]
pub struct Course {
    lines: Vec<Duration>,
    took: Duration,
}

impl Course {
    /// From the times of its lines since its start, and its length.
    pub fn new(mut lines: Vec<Duration>, took: Duration) -> Self {
        lines.sort_unstable();
        Self { lines, took }
    }

    /// Where a run is after a part of its time, 0 to 1.
    pub fn at(&self, part: f64) -> Moment {
        let after = self.took.mul_f64(part.clamp(0.0, 1.0));
        let line = self.lines.partition_point(|time| *time <= after);
        let before = line.checked_sub(1).and_then(|last| self.lines.get(last)).copied().unwrap_or_default();
        Moment { line, then: after.saturating_sub(before) }
    }
}

/// A place in a run: after so many lines of output, and a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// How many lines have been printed.
    pub line: usize,
    /// How long after the last of them, or after the start where there is none.
    pub then: Duration,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms after line {}", self.then.as_millis(), self.line)
    }
}

/// Instants spread evenly over a run, with a random part, so that rounds do not always hit the same places.
#[derive(Debug)]
pub struct Instants {
    random: Random,
    course: Course,
    times: u32,
    hits: u32,
    /// How often this instant came too late.
    misses: i32,
}

impl Instants {
    /// So many of them over a run that goes like this one.
    pub fn new(random: Random, course: Course, times: u32) -> Self {
        Self { random, course, times, hits: 0, misses: 0 }
    }

    /// The next one; none when there were enough hits.
    #[allow(clippy::should_implement_trait, reason = "what comes next depends on what became of the last one")]
    pub fn next(&mut self) -> Option<Moment> {
        if self.hits >= self.times {
            return None;
        }
        let part = (f64::from(self.hits) + self.random.fraction()) / f64::from(self.times);
        // The end of a short run comes sooner or later by more than the last instants are apart: a miss is tried earlier.
        Some(self.course.at(part * 0.9_f64.powi(self.misses)))
    }

    /// The run was killed.
    pub fn hit(&mut self) {
        self.hits += 1;
        self.misses = 0;
    }

    /// The run ended before: it goes like this now.
    pub fn missed(&mut self, course: Course) {
        self.course = course;
        self.misses += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn a_part_of_a_run_is_a_line_and_a_while() {
        let course = Course::new(vec![ms(40), ms(10), ms(40)], ms(100));
        let at = |part| {
            let Moment { line, then } = course.at(part);
            (line, then)
        };
        assert_eq!(at(0.05), (0, ms(5)));
        assert_eq!(at(0.25), (1, ms(15)));
        assert_eq!(at(0.5), (3, ms(10)));
        assert_eq!(at(1.0), (3, ms(60)));
        assert_eq!(Course::default().at(0.5).then, Duration::ZERO);
    }

    #[test]
    fn instants_cover_the_run_and_end_with_the_last_hit() {
        let mut instants = Instants::new(Random::new(1), Course::new(Vec::new(), ms(100)), 10);
        let mut all = Vec::new();
        while let Some(moment) = instants.next() {
            all.push(moment.then);
            instants.hit();
        }
        assert_eq!(all.len(), 10);
        for (slice, then) in all.iter().enumerate() {
            let slice = slice as u64;
            assert!(*then >= ms(slice * 10) && *then < ms((slice + 1) * 10), "{all:?}");
        }
        let mut instants = Instants::new(Random::new(1), Course::new(Vec::new(), ms(100)), 1);
        assert!(instants.next().is_some());
        instants.missed(Course::new(Vec::new(), ms(10)));
        assert!(instants.next().is_some_and(|moment| moment.then < ms(9)));
        instants.missed(Course::new(Vec::new(), ms(10)));
        assert!(instants.next().is_some_and(|moment| moment.then < Duration::from_micros(8_100)));
    }
}
