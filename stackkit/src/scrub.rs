//! Scrubbing: no secret that a run has seen leaves it in a message, whoever wrote the message.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroize;

use crate::value::Value;

/// Shorter texts are not replaced: they would be found in every other word.
const SHORTEST: usize = 4;

/// Longer messages are cut, in bytes: some services answer an error with the whole page that they would have shown.
const LONGEST: usize = 16 * 1024;

/// The secrets that a run has seen, and their usual spellings.
#[derive(Default)]
pub(crate) struct Scrubber {
    texts: Mutex<BTreeSet<String>>,
}

impl Scrubber {
    /// Remembers every secret in a value.
    pub(crate) fn learn(&self, value: &Value) {
        if !value.has_secret() {
            return;
        }
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        value.secrets(&mut |secret| {
            secret.reveal().texts(&mut |text| {
                for line in std::iter::once(text).chain(text.lines()) {
                    let line = line.trim();
                    if line.len() >= SHORTEST && !line.starts_with("-----") {
                        texts.insert(line.to_owned());
                    }
                }
            });
        });
    }

    /// [`Scrubber::learn`] for many.
    pub(crate) fn learn_all<'a>(&self, values: impl IntoIterator<Item = &'a Value>) {
        values.into_iter().for_each(|value| self.learn(value));
    }

    /// The message without any secret in it, and without what of it nobody would read.
    pub(crate) fn scrub(&self, message: &str) -> String {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clean = message.to_owned();
        // Long ones first: a secret may be part of another.
        let mut by_length: Vec<&String> = texts.iter().collect();
        by_length.sort_by_key(|text| std::cmp::Reverse(text.len()));
        for text in by_length {
            for mut spelling in spellings(text) {
                if clean.contains(&spelling) {
                    clean = clean.replace(&spelling, "[secret]");
                }
                spelling.zeroize();
            }
        }
        cut(clean)
    }
}

/// The beginning of what is too long to be read, and how much is left out.
fn cut(mut message: String) -> String {
    let whole = message.len();
    if whole > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or_default();
        message.truncate(end);
        message.push_str(&format!(" … ({} more bytes)", whole - end));
    }
    message
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        let texts = std::mem::take(self.texts.get_mut().unwrap_or_else(PoisonError::into_inner));
        for mut text in texts {
            text.zeroize();
        }
    }
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scrubber")
    }
}

fn spellings(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let quoted = json.trim_matches('"').to_owned();
    let debug = format!("{text:?}").trim_matches('"').to_owned();
    let percent = text
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => (byte as char).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let hex = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![
        text.to_owned(),
        quoted,
        debug,
        percent,
        STANDARD.encode(text),
        STANDARD_NO_PAD.encode(text),
        URL_SAFE_NO_PAD.encode(text),
        hex,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_replaced() {
        let scrubber = Scrubber::default();
        let secret = "p4ss w\"ord/ü";
        scrubber.learn(&Value::List(vec![Value::text(secret).into_secret()]));
        for spelling in spellings(secret) {
            let clean = scrubber.scrub(&format!("server said: <{spelling}>"));
            assert_eq!(clean, "server said: <[secret]>", "{spelling}");
        }
        assert_eq!(scrubber.scrub("nothing here"), "nothing here");
    }

    #[test]
    fn what_nobody_would_read_is_cut() {
        let scrubber = Scrubber::default();
        let long = "ä".repeat(1024 * 1024);
        let cut = scrubber.scrub(&long);
        assert!(cut.len() < LONGEST + 40 && cut.ends_with("ä … (2080768 more bytes)"), "{}", cut.len());
        let short = "b".repeat(LONGEST);
        assert_eq!(scrubber.scrub(&short), short);
    }
}
