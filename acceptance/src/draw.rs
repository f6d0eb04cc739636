//! What a program that is to be killed declares: chosen by a seed, and changed a little with every step.

use crate::Random;

/// A seed, and how many changes have been made to what it chose.
///
/// Every answer depends on the seed, the step and the name alone, so that one thing changes whatever becomes of others.
#[derive(Debug, Clone)]
pub struct Draw {
    random: Random,
    step: u32,
}

impl Draw {
    /// What the seed chose, after so many steps.
    pub fn new(seed: u64, step: u32) -> Self {
        Self { random: Random::new(seed), step }
    }

    /// How often something has changed so far, where each step changes it with this chance in percent.
    pub fn version(&self, what: &str, percent: u8) -> u32 {
        let mut random = self.random_of(what);
        (0..self.step).map(|_| u32::from(random.percent(percent))).sum()
    }

    /// Whether something is there: a few things come and go from step to step.
    pub fn has(&self, what: &str, percent: u8) -> bool {
        let mut random = self.random_of(what);
        let at_first = !random.percent(percent);
        (0..self.step).fold(at_first, |there, _| there != random.percent(percent))
    }

    fn random_of(&self, what: &str) -> Random {
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.random.part(what.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_changes_some_and_keeps_the_rest() {
        let names: Vec<String> = (0..200).map(|number| format!("thing {number}")).collect();
        let versions = |step| -> Vec<u32> {
            let draw = Draw::new(3, step);
            names.iter().map(|name| draw.version(name, 25)).collect()
        };
        assert!(versions(0).iter().all(|version| *version == 0));
        for step in 0..5 {
            let (before, after) = (versions(step), versions(step + 1));
            let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            assert!((25..80).contains(&changed), "{changed}");
            assert!(before.iter().zip(&after).all(|(before, after)| before == after || before + 1 == *after));
        }
        let there = |step| names.iter().filter(|name| Draw::new(3, step).has(name, 10)).count();
        assert!((0..5).all(|step| (120..200).contains(&there(step))));
        assert_ne!(
            names.iter().map(|name| Draw::new(3, 0).has(name, 10)).collect::<Vec<_>>(),
            names.iter().map(|name| Draw::new(3, 1).has(name, 10)).collect::<Vec<_>>()
        );
    }
}
