//! What somebody with the key of a stack could write: texts of any content, with codes that fit. For tests of the parsers.

#[cfg(test)]
use super::error::StateError;
use super::format::{self, Digest, Head, add_code, split_code};
use crate::seal::{Purpose, Sealer};

/// A record of this body.
pub(crate) fn sign_record(sealer: &Sealer, body: &str) -> String {
    add_code(body.to_owned(), "mac", &|body| sealer.code(Purpose::Record, &[body]))
}

/// A snapshot of records with these bodies, at position 1.
pub(crate) fn sign_records(sealer: &Sealer, bodies: &[String]) -> String {
    let mut digest = Digest::default();
    let records: Vec<String> = bodies.iter().map(|body| sign_record(sealer, body)).collect();
    for record in &records {
        let key = serde_json::from_str::<serde_json::Value>(record).ok();
        let key = key.as_ref().and_then(|record| record["key"].as_str()).unwrap_or_default();
        if let Some(mac) = format::mac_of(record) {
            digest.add(sealer, key, &mac);
        }
    }
    let head = Head { position: 1, chain: [0; 32], count: records.len() as u64, digest, audit: None };
    format::write_snapshot(sealer, &head, 0, records.iter().map(String::as_str))
}

/// An entry of this text, less its code, as the first of a journal.
pub(crate) fn sign_entry(sealer: &Sealer, text: &str) -> String {
    let body = split_code(text, "chain").map_or_else(|| text.to_owned(), |(body, _)| format!("{body}}}"));
    add_code(body, "chain", &|body| sealer.code(Purpose::Chain, &[&[0; 32], body]))
}

/// How many changes a rescue file holds.
#[cfg(test)]
pub(crate) fn count_rescued(sealer: &Sealer, text: &str) -> Result<usize, StateError> {
    format::read_rescue(sealer, text, &|| "the rescue file".to_owned()).map(|(changes, _)| changes.len())
}
