//! Scrubbing: no secret that a run has seen leaves it in a message, whoever wrote the message.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;
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
    known: Mutex<Spellings>,
}

/// What is looked for. It is sorted, so that a message is cleaned in about the time that it takes to read it, however
/// many secrets there are.
#[derive(Default)]
struct Spellings {
    texts: BTreeSet<String>,
    all: BTreeSet<String>,
    /// The first bytes of all of them, which rule out most places of a message.
    starts: HashSet<[u8; SHORTEST]>,
}

impl Scrubber {
    /// Remembers every secret in a value.
    pub(crate) fn learn(&self, value: &Value) {
        if !value.has_secret() {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        value.secrets(&mut |secret| {
            secret.reveal().texts(&mut |text| {
                for line in std::iter::once(text).chain(text.lines()) {
                    let line = line.trim();
                    if line.len() >= SHORTEST && !line.starts_with("-----") && !known.texts.contains(line) {
                        known.insert(line);
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
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clean = String::with_capacity(message.len());
        // Up to where the message is copied, and the secret that is being passed over.
        let (mut copied, mut hidden) = (0, 0..0);
        for (at, _) in message.char_indices() {
            let Some(length) = known.longest_at(&message[at..]) else { continue };
            // Secrets that overlap are one gap: no rest of either stays.
            if at >= hidden.end {
                clean.push_str(&message[copied..hidden.start.max(copied)]);
                if hidden.end > hidden.start {
                    clean.push_str("[secret]");
                }
                copied = hidden.end.max(copied);
                hidden = at..at + length;
            } else {
                hidden.end = hidden.end.max(at + length);
            }
        }
        clean.push_str(&message[copied..hidden.start.max(copied)]);
        if hidden.end > hidden.start {
            clean.push_str("[secret]");
        }
        clean.push_str(&message[hidden.end.max(copied)..]);
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

impl Spellings {
    fn insert(&mut self, text: &str) {
        for spelling in spellings(text) {
            if let Some(start) = spelling.as_bytes().first_chunk() {
                self.starts.insert(*start);
                self.all.insert(spelling);
            }
        }
        self.texts.insert(text.to_owned());
    }

    /// The length of the longest spelling that a text begins with.
    fn longest_at(&self, text: &str) -> Option<usize> {
        if !self.starts.contains(text.as_bytes().first_chunk::<SHORTEST>()?) {
            return None;
        }
        let mut rest = text;
        loop {
            let before = self.all.range::<str, _>((Bound::Unbounded, Bound::Included(rest))).next_back()?;
            let alike = rest.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count();
            if alike == before.len() {
                return Some(alike);
            }
            if alike < SHORTEST {
                return None;
            }
            // Whatever else the text begins with is no longer than what it has in common with its neighbour.
            rest = &rest[..rest.floor_char_boundary(alike)];
        }
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        let known = std::mem::take(self.known.get_mut().unwrap_or_else(PoisonError::into_inner));
        for mut text in known.texts.into_iter().chain(known.all) {
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

    fn knowing(secrets: &[&str]) -> Scrubber {
        let scrubber = Scrubber::default();
        secrets.iter().for_each(|secret| scrubber.learn(&Value::text(*secret).into_secret()));
        scrubber
    }

    #[test]
    fn the_longest_is_hidden_and_what_overlaps_as_one() {
        let scrubber = knowing(&["hunter2", "hunter2-and-more", "hunter2-and-less", "more-or-less", "über-alles"]);
        for (message, clean) in [
            ("hunter2", "[secret]"),
            ("<hunter2>", "<[secret]>"),
            ("hunter2 hunter2hunter2", "[secret] [secret][secret]"),
            ("hunter2-and-more", "[secret]"),
            ("hunter2-and-most", "[secret]-and-most"),
            ("hunter2-and-more-or-less!", "[secret]!"),
            ("hunter", "hunter"),
            ("ü über-alles ü", "ü [secret] ü"),
            ("", ""),
        ] {
            assert_eq!(scrubber.scrub(message), clean, "{message}");
        }
    }

    #[test]
    fn it_is_as_a_search_for_each_of_them_would_be() {
        // Few letters, so that secrets and messages have much in common.
        let mut seed = 3u64;
        let mut word = |length: u64| -> String {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (0..length + (seed >> 33) % 4).map(|n| char::from(b'a' + ((seed >> (20 + 2 * n)) & 1) as u8)).collect()
        };
        for _ in 0..300 {
            let secrets: Vec<String> = (0..5).map(|_| word(4)).collect();
            let message = word(18);
            let mut hidden = vec![false; message.len()];
            for secret in secrets.iter().flat_map(|secret| spellings(secret)) {
                for at in (0..message.len()).filter(|at| message[*at..].starts_with(&secret)) {
                    hidden[at..at + secret.len()].fill(true);
                }
            }
            let clean = knowing(&secrets.iter().map(String::as_str).collect::<Vec<_>>()).scrub(&message);
            let kept: String = message.chars().zip(&hidden).filter(|(_, hidden)| !**hidden).map(|(c, _)| c).collect();
            assert_eq!(clean.replace("[secret]", ""), kept, "{message} without {secrets:?}");
        }
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
