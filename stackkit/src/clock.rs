//! `Clock`: which second it is for what the state records. Waiting is tokio's, whose clock simulations drive themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Where the time of day comes from.
#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Tokio's clock, which a simulation may have paused.
    Simulated {
        /// When the simulated world began.
        began: Instant,
    },
}

/// When simulated worlds begin, in seconds since 1970: numbers of as many digits as real ones.
const SIMULATED_EPOCH: u64 = 1_800_000_000;

impl Clock {
    /// Seconds since 1970.
    pub(crate) fn now(self) -> u64 {
        match self {
            Clock::System => now(),
            Clock::Simulated { began } => SIMULATED_EPOCH + began.elapsed().as_secs(),
        }
    }
}

/// Seconds since 1970 by the machine's clock.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}
