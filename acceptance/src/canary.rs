//! A canary: a random secret that can be recognised in every usual spelling.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A secret of 32 random characters, made for one test.
#[derive(Clone)]
pub struct Canary(String);

impl std::fmt::Debug for Canary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canary")
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self::new()
    }
}

impl Canary {
    /// A new one.
    ///
    /// # Panics
    /// When the system has no random source.
    pub fn new() -> Self {
        let mut bytes = [0u8; 24];
        if let Err(error) = getrandom::fill(&mut bytes) {
            panic!("no random source: {error}");
        }
        Self(STANDARD_NO_PAD.encode(bytes).replace(['+', '/'], "x"))
    }

    /// A secret that the program under test made, to be looked for.
    pub fn of(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    /// The plain text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// How the canary is spelt in the bytes, if it is there: plain, hexadecimal, or base64 in any of its alignments.
    pub fn find(&self, bytes: &[u8]) -> Option<&'static str> {
        let text = self.0.as_bytes();
        let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        if contains(bytes, text) {
            return Some("plain");
        }
        if contains(bytes, hex.as_bytes()) || contains(bytes, hex.to_uppercase().as_bytes()) {
            return Some("hexadecimal");
        }
        for skip in 0..3 {
            // The characters at both ends depend on what stands beside the secret; those between do not.
            let aligned = &text[(3 - skip) % 3..];
            let aligned = &aligned[..aligned.len() / 3 * 3];
            for engine in [&STANDARD, &URL_SAFE_NO_PAD] {
                if aligned.len() >= 12 && contains(bytes, engine.encode(aligned).as_bytes()) {
                    return Some("base64");
                }
            }
        }
        None
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found() {
        let canary = Canary::new();
        let text = canary.reveal();
        assert_eq!(canary.find(b"nothing"), None);
        assert_eq!(canary.find(format!("a{text}b").as_bytes()), Some("plain"));
        for before in ["", "x", "xy", "xyz"] {
            let spelt = STANDARD.encode(format!("{before}{text}:more"));
            assert_eq!(canary.find(format!("<{spelt}>").as_bytes()), Some("base64"), "{before}");
        }
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(canary.find(hex.as_bytes()), Some("hexadecimal"));
    }
}
