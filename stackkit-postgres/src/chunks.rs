//! A folded state in pieces of some dozens of records. Where a piece ends is decided by the text around it alone, so that
//! a change of one record changes one piece or two, and all others are found in the database already.

use sha2::{Digest as _, Sha256};

/// A piece ends after one line in so many, on average.
const LINES: u64 = 64;
/// A piece never holds more lines than this.
const MOST: usize = 512;

/// A piece and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub(crate) hash: [u8; 32],
    pub(crate) body: &'a [u8],
}

/// Takes a text apart. The pieces one after the other are the text.
pub(crate) fn split(text: &[u8]) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut begin, mut end, mut lines) = (0, 0, 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        lines += 1;
        if lines == MOST || mixed(line).is_multiple_of(LINES) || end == text.len() {
            let body = text.get(begin..end).unwrap_or_default();
            chunks.push(Chunk { hash: Sha256::digest(body).into(), body });
            (begin, lines) = (end, 0);
        }
    }
    chunks
}

/// FNV-1a, with its high bits mixed into the low ones. It decides where pieces end and nothing else.
fn mixed(line: &[u8]) -> u64 {
    let hash = line
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn text(lines: impl Iterator<Item = u32>) -> Vec<u8> {
        lines.flat_map(|line| format!("{{\"record\":{line}}},\n").into_bytes()).collect()
    }

    fn hashes(text: &[u8]) -> BTreeSet<[u8; 32]> {
        split(text).iter().map(|chunk| chunk.hash).collect()
    }

    #[test]
    fn the_pieces_are_the_text() {
        for text in [Vec::new(), b"one".to_vec(), b"one\n".to_vec(), b"\n\n".to_vec(), text(0..5000)] {
            let joined: Vec<u8> = split(&text).iter().flat_map(|chunk| chunk.body.to_vec()).collect();
            assert_eq!(joined, text);
        }
        let same = b"same\n".repeat(5000);
        assert!(split(&same).iter().all(|chunk| chunk.body.len() <= MOST * 5), "equal lines do not make one piece");
    }

    #[test]
    fn a_changed_line_changes_few_pieces() {
        let before = text(0..10_000);
        let pieces = split(&before).len();
        assert!((80..320).contains(&pieces), "{pieces} pieces");
        for changed in [0, 17, 5000, 9999] {
            let after = text((0..10_000).map(|line| if line == changed { 1_000_000 } else { line }));
            let new = hashes(&after).difference(&hashes(&before)).count();
            assert!((1..=2).contains(&new), "line {changed}: {new} new pieces");
            let without = text((0..10_000).filter(|line| *line != changed));
            assert!(hashes(&without).difference(&hashes(&before)).count() <= 2);
        }
    }
}
