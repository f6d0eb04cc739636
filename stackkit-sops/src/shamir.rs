//! Parts of a data key put together: Shamir's secret sharing over GF(2^8), as SOPS splits a key among key groups. The last
//! byte of a part is where its polynomials were evaluated.

use zeroize::Zeroizing;

/// What the parts come to at 0, byte by byte; nothing where they do not belong together.
pub(crate) fn combine(parts: &[Zeroizing<Vec<u8>>]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, first) = parts.first()?.split_last()?;
    let mut whole = Zeroizing::new(vec![0; first.len()]);
    for (at, part) in parts.iter().enumerate() {
        let (x, values) = part.split_last()?;
        if values.len() != whole.len() || *x == 0 {
            return None;
        }
        let mut weight = 1;
        for (_, other) in parts.iter().enumerate().filter(|(other, _)| *other != at) {
            let other = other.last()?;
            if other == x {
                return None;
            }
            // In this field subtraction is addition.
            weight = times(weight, times(*other, inverse(other ^ x)));
        }
        for (sum, value) in whole.iter_mut().zip(values) {
            *sum ^= times(*value, weight);
        }
    }
    Some(whole)
}

/// The product modulo x^8 + x^4 + x^3 + x + 1, in a time that does not depend on the factors.
fn times(a: u8, b: u8) -> u8 {
    let mut product = 0u8;
    for bit in (0..8).rev() {
        product = (product << 1) ^ (0x1b & 0u8.wrapping_sub(product >> 7)) ^ (a & 0u8.wrapping_sub((b >> bit) & 1));
    }
    product
}

/// The 254th power: the inverse of all but 0.
fn inverse(a: u8) -> u8 {
    let mut power = a;
    for _ in 0..6 {
        power = times(times(power, power), a);
    }
    times(power, power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_but_zero_has_an_inverse() {
        for a in 1..=u8::MAX {
            assert_eq!(times(a, inverse(a)), 1, "{a}");
        }
        assert_eq!(times(0x53, 0xca), 1);
    }

    #[test]
    fn parts_of_a_line_meet_at_zero() {
        // f(x) = 0x42 + 0x17 x for the first byte, 0x99 + 0x01 x for the second.
        let part = |x: u8| Zeroizing::new(vec![0x42 ^ times(0x17, x), 0x99 ^ x, x]);
        assert_eq!(combine(&[part(7), part(200)]).unwrap().as_slice(), [0x42, 0x99]);
        assert_eq!(combine(&[part(1), part(2), part(3)]).unwrap().as_slice(), [0x42, 0x99]);
        assert!(combine(&[part(7), part(7)]).is_none(), "the same part twice");
        assert!(combine(&[part(7), Zeroizing::new(vec![1, 2])]).is_none(), "of another length");
        assert!(combine(&[Zeroizing::new(Vec::new())]).is_none() && combine(&[]).is_none());
    }
}
