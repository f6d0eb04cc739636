//! Values in stored form: every secret a seal bound to its place. Only a `Codec`, and so only a `Sealer`, makes
//! `SealedJson`, which is the one type of value that a persisted record holds.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::seal::{Place, Scratch, SealError, Sealer, json};
use crate::value::Value;

/// The JSON of a value in which every secret is sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SealedJson(Box<RawValue>);

/// Seals and opens the values of records, with buffers that are used again.
#[derive(Debug)]
pub(crate) struct Codec<'a> {
    pub(crate) sealer: &'a Sealer,
    scratch: RefCell<Scratch>,
    /// Whether every seal stays as it is.
    shut: bool,
}

impl<'a> Codec<'a> {
    pub(crate) fn new(sealer: &'a Sealer) -> Self {
        Self { sealer, scratch: RefCell::default(), shut: false }
    }

    /// One that opens no seal: what is sealed is read as a secret that nobody knows. It is there to be shown, and its
    /// sealer seals nothing that anybody could open.
    pub(crate) fn shut(sealer: &'a Sealer) -> Self {
        Self { sealer, scratch: RefCell::default(), shut: true }
    }

    fn opened(&self, place: Place<'_>, token: &str) -> Result<Value, SealError> {
        match self.shut {
            true => Ok(Value::sealed()),
            false => self.sealer.open_with(place, token, &mut self.scratch.borrow_mut()),
        }
    }

    /// A value in stored form.
    pub(crate) fn seal(&self, place: Place<'_>, value: &Value) -> Result<SealedJson, SealError> {
        let mut out = Vec::with_capacity(64);
        json::write_stored(value, &mut out, &mut |secret, path, out| {
            self.sealer.seal_into(place.at(path), secret.reveal(), out, &mut self.scratch.borrow_mut())
        })
        .map_err(|problem| problem.at(place))?;
        finish(place, out)
    }

    /// Fields in stored form; none where there are none.
    pub(crate) fn seal_fields(
        &self,
        place: Place<'_>,
        fields: &BTreeMap<String, Value>,
    ) -> Result<Option<SealedJson>, SealError> {
        if fields.is_empty() {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(256);
        json::write_fields(fields, &mut out, &mut |secret, path, out| {
            self.sealer.seal_into(place.at(path), secret.reveal(), out, &mut self.scratch.borrow_mut())
        })
        .map_err(|problem| problem.at(place))?;
        finish(place, out).map(Some)
    }

    /// The value that a stored form stands for.
    pub(crate) fn open(&self, place: Place<'_>, stored: &SealedJson) -> Result<Value, SealError> {
        json::read_stored(stored.0.get(), &|path, token| self.opened(place.at(path), token))
            .map_err(|problem| problem.at(place))
    }

    /// The text of a record, sealed as a whole.
    pub(crate) fn seal_record(&self, name: &str, text: &str) -> Result<String, SealError> {
        let mut out = Vec::with_capacity(text.len() * 4 / 3 + 96);
        self.sealer.seal_record(name, text, &mut out, &mut self.scratch.borrow_mut())?;
        String::from_utf8(out)
            .map_err(|_| SealError::Unfit { place: format!("record {name}"), detail: "it is no text" })
    }

    /// The text of a record that was sealed as a whole; `None` where it does not open.
    pub(crate) fn open_record(&self, name: &str, token: &str) -> Option<String> {
        self.sealer.open_record(name, token, &mut self.scratch.borrow_mut())
    }

    /// The fields that a stored form stands for.
    pub(crate) fn open_fields(
        &self,
        place: Place<'_>,
        stored: Option<&SealedJson>,
    ) -> Result<BTreeMap<String, Value>, SealError> {
        let Some(stored) = stored else { return Ok(BTreeMap::new()) };
        json::read_fields(stored.0.get(), &|path, token| self.opened(place.at(path), token))
            .map_err(|problem| problem.at(place))
    }
}

fn finish(place: Place<'_>, out: Vec<u8>) -> Result<SealedJson, SealError> {
    String::from_utf8(out)
        .ok()
        .and_then(|text| RawValue::from_string(text).ok())
        .map(SealedJson)
        .ok_or_else(|| SealError::Unfit { place: place.to_string(), detail: "it is no text" })
}
