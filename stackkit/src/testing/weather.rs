//! `Weather`: what a simulated cloud is like while a program runs on it.

use std::time::Duration;

/// What a simulated cloud is like. The default is fair: every call answers at once, and everything is seen at once.
///
/// Anything else takes time, which passes only in a runtime whose clock is paused: run such tests with
/// `#[tokio::test(start_paused = true)]`, which tokio's feature `test-util` gives. What is seen late, lands late or
/// goes slowly does so within the settle time that the type declares; a type that declares none has no such weather.
///
/// ```
/// use std::time::Duration;
/// use stackkit::testing::Weather;
///
/// let misty = Weather { lag: Duration::from_secs(10), ..Weather::fair() };
/// assert_ne!(misty, Weather::fair());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// What the dice are thrown with: the same seed, the same weather.
    pub seed: u64,
    /// The longest that a call takes.
    pub latency: Duration,
    /// The longest that what was made or changed is not seen.
    pub lag: Duration,
    /// The longest that something deleted is still seen, and holds its name.
    pub slow_deletes: Duration,
    /// The longest that a request of a dead process takes to have its effect; with zero it never has any.
    pub late_effects: Duration,
    /// How many calls of a hundred are throttled.
    pub throttled: u8,
    /// How many replies of a hundred are lost, after or before their effect.
    pub lost_replies: u8,
    /// How many creates of a hundred say their id and fail then.
    pub partial_creates: u8,
    /// Whether things of types declared `at_least_once` cannot be looked for.
    pub forgetful: bool,
    /// Whether a create takes over what has its name already, instead of being refused.
    pub takes_over: bool,
    /// Whether what refers to something that is not there is refused.
    pub strict: bool,
}

impl Weather {
    /// Every call answers at once, and everything is seen at once.
    pub fn fair() -> Self {
        Self::default()
    }

    /// A bit of everything.
    pub fn stormy(seed: u64) -> Self {
        Self {
            seed,
            latency: Duration::from_secs(3),
            lag: Duration::from_secs(20),
            slow_deletes: Duration::from_secs(20),
            late_effects: Duration::from_secs(20),
            throttled: 10,
            lost_replies: 5,
            partial_creates: 3,
            forgetful: true,
            takes_over: seed.is_multiple_of(2),
            strict: true,
        }
    }
}

/// Numbers that are the same for the same seed.
#[derive(Debug, Clone, Default)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // SplitMix64's finaliser.
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether it happens, at so many times of a hundred.
    pub(super) fn percent(&mut self, chance: u8) -> bool {
        chance > 0 && self.number() % 100 < u64::from(chance)
    }

    /// At most so long, and never longer than the other; whole milliseconds.
    pub(super) fn within(&mut self, longest: Duration, bound: Duration) -> Duration {
        let most = longest.min(bound).as_millis() as u64;
        if most == 0 { Duration::ZERO } else { Duration::from_millis(self.number() % (most + 1)) }
    }
}
