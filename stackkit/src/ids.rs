//! Where instance numbers and tokens come from: the system's random source, or a seed for simulations.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::state::model::Instance;

/// A source of numbers that nobody has used before.
#[derive(Debug)]
pub struct Ids(Option<Mutex<u64>>);

impl Ids {
    /// From the system's random source.
    pub fn random() -> Self {
        Self(None)
    }

    /// The same sequence for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Mutex::new(seed)))
    }

    fn number(&self) -> u64 {
        if let Some(seed) = &self.0 {
            let mut seed = seed.lock().unwrap_or_else(PoisonError::into_inner);
            *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            // SplitMix64's finaliser.
            let mut z = *seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            return z ^ (z >> 31);
        }
        getrandom::u64().unwrap_or_else(|_| {
            // A system without a random source has the clock; instances must only be unlike each other.
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map(|now| now.as_nanos() as u64).unwrap_or_default() ^ u64::from(std::process::id())
        })
    }

    /// A new instance.
    pub fn instance(&self) -> Instance {
        Instance(self.number())
    }

    /// A new token: 32 hexadecimal digits.
    pub fn token(&self) -> String {
        format!("{:016x}{:016x}", self.number(), self.number())
    }
}
