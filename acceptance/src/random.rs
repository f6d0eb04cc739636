//! Numbers that follow from a seed, so that what was drawn can be drawn again.

/// A source of numbers: SplitMix64, small and good enough to choose cases with.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another source, for a part of the work that must not depend on how much the others draw.
    #[must_use]
    pub fn part(&self, number: u64) -> Self {
        let mut part = Self(self.0 ^ number.wrapping_mul(0xd605_bbb5_8c8a_bcd5));
        Self(part.number())
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to 1, with 1 left out.
    pub fn fraction(&mut self) -> f64 {
        let bits = u32::try_from(self.number() >> 32).unwrap_or_default();
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, chance: u8) -> bool {
        self.number() % 100 < u64::from(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |mut random: Random| [random.number(), random.number(), random.number()];
        assert_eq!(draw(Random::new(7)), draw(Random::new(7)));
        assert_ne!(draw(Random::new(7)), draw(Random::new(8)));
        assert_eq!(draw(Random::new(7).part(1)), draw(Random::new(7).part(1)));
        assert_ne!(draw(Random::new(7).part(1)), draw(Random::new(7).part(2)));
        let mut random = Random::new(1);
        assert!((0..1000).map(|_| random.fraction()).all(|fraction| (0.0..1.0).contains(&fraction)));
        let hits = (0..1000).filter(|_| random.percent(30)).count();
        assert!((250..350).contains(&hits), "{hits}");
    }
}
