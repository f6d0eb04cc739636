//! The rescue file: what could not be written into the state, kept beside it until it is merged.

use std::io;
use std::path::Path;

use serde_json::value::RawValue;

use super::{Batch, Store};
use crate::audit::Told;
use crate::seal::{NAME, base64};
use crate::state::backend::BackendError;
use crate::state::codec::Codec;
use crate::state::error::StateError;
use crate::state::format::{self, RescuedV1};
use crate::state::model::{Change, Key};
use crate::state::records;

impl Store {
    /// Writes changes that could not be committed into a local file, sealed, together with those of earlier calls.
    /// [`Store::merge_rescue`] brings them back.
    ///
    /// # Errors
    /// When a value cannot be sealed, or the file cannot be written.
    pub fn rescue(&mut self, path: &Path, changes: &[Change]) -> Result<(), StateError> {
        let codec = Codec::new(&self.sealer);
        for change in changes {
            let (key, text) = match change {
                Change::Put(record) => (record.key(), Some(records::encode(&codec, record)?)),
                Change::Remove(key) => (key.clone(), None),
            };
            self.rescued.insert(key, text);
        }
        let mut list = Vec::with_capacity(self.rescued.len());
        for (key, text) in &self.rescued {
            let was = self.set.texts.get(key).and_then(|text| format::mac_of(text)).map(|mac| base64(&mac));
            let put = match text {
                Some(text) => Some(RawValue::from_string(text.clone()).map_err(|error| StateError::Malformed {
                    place: path.display().to_string(),
                    detail: error.to_string(),
                })?),
                None => None,
            };
            let name = match self.sealer.is_whole() {
                true => self.sealer.name(&key.text()),
                false => key.text(),
            };
            list.push(RescuedV1 { key: name, was, put });
        }
        let told =
            self.told.iter().filter_map(|told| RawValue::from_string(told.to_rescue(&self.sealer)).ok()).collect();
        let text = format::write_rescue(&self.sealer, list, told)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        folder
            .map_or(Ok(()), crate::state::local::prepare_folder)
            .and_then(|()| crate::state::local::write_private(path, text.as_bytes()))
            .map_err(|source| file_error("write", path, source))
    }

    /// Commits what a rescue file holds, as one entry, and removes the file. Says how many changes that were.
    ///
    /// # Errors
    /// When the file is not whole or of another stack, when a record that it changes has been changed otherwise since,
    /// or when the commit fails. The file is then still there.
    pub async fn merge_rescue(&mut self, path: &Path) -> Result<usize, StateError> {
        if self.lease.is_none() {
            return Err(StateError::NotLocked);
        }
        let place = || format!("`{}`", path.display());
        let text = std::fs::read_to_string(path).map_err(|source| file_error("read", path, source))?;
        let codec = Codec::new(&self.sealer);
        let mut batch = Batch::new();
        let mut conflicts = Vec::new();
        let (changes, told) = format::read_rescue(&self.sealer, &text, &place)?;
        for change in changes {
            let put = match change.put {
                Some(raw) => Some(records::decode(&codec, raw.get(), &place).map(|read| (raw, read.record))?),
                None => None,
            };
            let key = match &put {
                Some((_, record)) => record.key(),
                None if change.key.starts_with(NAME) => match self.set.names.get(&*change.key) {
                    Some(key) => key.clone(),
                    // It is not there, so there is nothing to remove.
                    None => continue,
                },
                None => Key::parse(&change.key).ok_or_else(|| StateError::Malformed {
                    place: place(),
                    detail: format!("`{}` is no key", change.key.escape_debug()),
                })?,
            };
            let now = self.set.texts.get(&key);
            let same = match &put {
                Some((_, record)) => self.set.holds(&codec, &key, record),
                // What came and went within the run that was rescued was never there.
                None => now.is_none() || change.was.is_none(),
            };
            if same {
                continue;
            }
            if now.and_then(|text| format::mac_of(text)).map(|mac| base64(&mac)) != change.was {
                conflicts.push(format!("`{}`", change.key));
                continue;
            }
            batch.insert(key, put.map(|(raw, _)| raw.get().to_owned()));
        }
        if !conflicts.is_empty() {
            return Err(StateError::RescueConflict { place: place(), records: conflicts.join(", ") });
        }
        // What was told may be there: of an append that was kept, and whose answer was lost.
        let told = told.iter().filter_map(|told| Told::rescued(&self.sealer, told.get()));
        self.told.extend(told.filter(|told| !self.set.lines.iter().any(|line| line.contains(told.inner()))));
        let merged = batch.len();
        self.append(batch).await?;
        self.commit_told().await?;
        std::fs::remove_file(path).map_err(|source| file_error("remove", path, source))?;
        Ok(merged)
    }
}

fn file_error(what: &'static str, path: &Path, source: io::Error) -> StateError {
    BackendError::Io { what, place: format!("`{}`", path.display()), source }.into()
}
