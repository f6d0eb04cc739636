//! Mutations of genuine keys and age files, and what the fuzzer kept of them.

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

/// `STACKKIT_UPDATE=1` writes the corpus anew.
fn write_corpus() {
    use age::secrecy::ExposeSecret as _;
    use std::io::Write as _;
    let folder = parsers::corpus();
    fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    let key: age::x25519::Identity = include_str!("../tests/corpus/key.txt").trim().parse().unwrap();
    write("recipient", key.to_public().to_string().as_bytes());
    write(
        "private",
        format!("# a key\n{}\n", age::x25519::Identity::generate().to_string().expose_secret()).as_bytes(),
    );
    for name in ["ed25519", "ed25519.pub", "rsa.pub", "protected"] {
        write(name, &fs::read(folder.join("../../keys").join(name)).unwrap());
    }
    for (name, format) in [("file", age::armor::Format::Binary), ("armored", age::armor::Format::AsciiArmor)] {
        let recipient = key.to_public();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
        let output = age::armor::ArmoredWriter::wrap_output(Vec::new(), format).unwrap();
        let mut writer = encryptor.wrap_output(output).unwrap();
        writer.write_all(b"sesame").unwrap();
        write(name, &writer.finish().and_then(|armor| armor.finish()).unwrap());
    }
}

#[test]
fn every_file_of_the_corpora_is_read_or_refused() {
    if std::env::var_os("STACKKIT_UPDATE").is_some() {
        write_corpus();
    }
    let fuzzed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzzed/age");
    for bytes in [files(&parsers::corpus()), files(&fuzzed)].concat() {
        parsers::age(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_keys_and_files(
        which in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..4u8), 1..5),
    ) {
        let corpus = files(&parsers::corpus());
        let mut bytes = which.get(&corpus).clone();
        for (at, to, byte, kind) in edits {
            let (a, b) = (at.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let (from, to) = (a.min(b), a.max(b));
            match kind {
                0 if from < bytes.len() => bytes[from] = byte,
                1 => drop(bytes.drain(from..to)),
                2 => {
                    let again = bytes[from..to].to_vec();
                    bytes.splice(from..from, again);
                }
                _ => bytes.insert(from, byte),
            }
        }
        parsers::age(&bytes);
    }
}
