//! Random bytes and numbers without bias, from the operating system.

use crate::error::{Error, ErrorKind};

/// Random bytes.
pub(super) fn bytes(count: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; count];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Fills a buffer with random bytes.
pub(super) fn fill(buffer: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(buffer).map_err(|error| {
        Error::new(ErrorKind::Transient, format!("the operating system gives no random numbers: {error}"))
    })
}

/// A random number below `bound`, each equally likely; 0 when `bound` is 0.
pub(super) fn below(bound: usize) -> Result<usize, Error> {
    let bound = bound as u64;
    if bound < 2 {
        return Ok(0);
    }
    // Numbers at the upper end, where a plain remainder would favour the small ones, are drawn again.
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let mut buffer = [0; 8];
        fill(&mut buffer)?;
        let drawn = u64::from_le_bytes(buffer);
        if drawn < fair {
            return Ok((drawn % bound) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_bound_is_drawn_about_equally_often() {
        let mut counts = [0_u32; 5];
        for _ in 0..5000 {
            counts[below(5).unwrap()] += 1;
        }
        // Five standard deviations around the mean of 1000: a fair draw fails here once in a million runs.
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(below(1).unwrap(), 0);
    }
}
