//! Mutations of genuine files: nothing panics, and what is sealed is the same or refused.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p stackkit-sops hostile` tries many more than the few of every run.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::parsers;

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// What the fuzzer found worth keeping, beside the genuine ones.
#[test]
fn every_file_of_the_corpora_is_read_or_refused() {
    let fuzzed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzzed/sops");
    for bytes in [files(&parsers::corpus()), files(&fuzzed)].concat() {
        parsers::sops(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_files(
        which in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..5u8), 1..5),
    ) {
        let corpus = files(&parsers::corpus());
        let mut bytes = which.get(&corpus).clone();
        for (at, to, byte, kind) in edits {
            let (a, b) = (at.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 200));
            match kind {
                0 if from < bytes.len() => bytes[from] = byte,
                1 => drop(bytes.drain(from..to)),
                2 => {
                    let again = bytes[from..to].to_vec();
                    bytes.splice(from..from, again);
                }
                3 => bytes.insert(from, byte),
                _ => {
                    // Two lines exchanged: values moved to other names.
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let mut lines: Vec<&str> = text.split('\n').collect();
                    let (x, y) = (a % lines.len(), b % lines.len());
                    lines.swap(x, y);
                    bytes = lines.join("\n").into_bytes();
                }
            }
        }
        parsers::sops(&bytes);
    }
}
