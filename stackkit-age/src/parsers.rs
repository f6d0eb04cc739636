//! What is made of bytes that somebody else may have written: keys of age and SSH, public and private, and age files. Tests
//! on mutations and the fuzzer call it alike; what must never happen is a panic.

use std::path::{Path, PathBuf};

use crate::identity::Found;
use crate::{Identities, OpenError, Recipient};

/// Where the genuine texts are.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/age")
}

/// The private key that opens the age files of the corpus.
const KEY: &str = include_str!("../tests/corpus/key.txt");

/// A public key, private keys, and an age file. Nothing of a private key stands in what is said of it.
pub fn age(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(recipient) = text.parse::<Recipient>() {
        let again: Recipient = recipient.text().parse().expect("what was read is read again");
        assert_eq!(again.id(), recipient.id());
    }
    let mut found = Found::default();
    if let Err(error) = crate::identity::parse(&text, Path::new("here"), &mut found) {
        let error = error.to_string();
        let longest = text.split_whitespace().max_by_key(|word| word.len()).unwrap_or_default();
        assert!(longest.len() < 40 || !error.contains(longest), "{error}");
    }
    let own = Identities { text: Some(KEY.to_owned().into()), ..Identities::default() };
    match own.open(bytes) {
        Ok(plain) => assert_eq!(*plain, b"sesame"),
        Err(OpenError::Identities(error)) => panic!("{error}"),
        Err(_) => {}
    }
}
