//! What a store tells the audit log: lines on their way, those in the journal, and verifying all of them.

use super::{Batch, Store};
use crate::audit::{self, Told};
use crate::seal::{Code, base64, unbase64};
use crate::state::backend::{AuditPart, Lease, Position};
use crate::state::codec::Codec;
use crate::state::error::StateError;
use crate::state::model::{Change, Key, Record};
use crate::state::records;

impl Store {
    /// Position and fingerprint of when a record changed last: lines of the audit log alone leave them as they are. A
    /// saved plan names them.
    pub(crate) fn changed(&self) -> (Position, String) {
        let (position, chain) = self.set.audit.changed;
        (Position(position), base64(&chain))
    }

    /// Tells the audit log something, at a moment in seconds since 1970. It becomes durable with the next change, or
    /// with [`Store::commit_told`].
    pub(crate) fn tell(&mut self, at: u64, event: &audit::Event) {
        if self.backend.audit().is_none() {
            return;
        }
        let run = self.lease.as_deref().map_or("", |lease| &lease.holder().id);
        self.told.extend(Told::new(at, run, event));
    }

    /// Makes durable what was told, where nothing else changes. Where there is no state yet there is no audit log either.
    ///
    /// # Errors
    /// When the lock is not held, or the backend fails.
    pub(crate) async fn commit_told(&mut self) -> Result<(), StateError> {
        if self.told.is_empty() || self.set.position == 0 {
            return Ok(());
        }
        self.write(Batch::new()).await
    }

    /// The last word of a run. Of a run that wrote nothing, nothing is written.
    ///
    /// # Errors
    /// As [`Store::commit_told`].
    pub(crate) async fn conclude(&mut self, at: u64, event: &audit::Event) -> Result<(), StateError> {
        if !std::mem::take(&mut self.begun) {
            self.told.clear();
            return Ok(());
        }
        self.tell(at, event);
        self.commit_told().await?;
        self.begun = false;
        Ok(())
    }

    /// Whether the backend keeps an audit log.
    pub(crate) fn keeps_audit(&self) -> bool {
        self.backend.audit().is_some()
    }

    /// Lines of the audit log that are in the journal alone.
    pub(crate) fn lines(&self) -> &[String] {
        &self.set.lines
    }

    /// Verifies the whole audit log against the state.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn verify_audit(&self) -> Result<audit::Report, StateError> {
        let Some(store) = self.backend.audit() else { return Ok(audit::Report::default()) };
        let parts = store.load_audit(self.lineage(), 1).await?;
        let keys = self.audit_keys()?;
        let head = audit::Head { lines: self.set.audit.lines, chain: self.set.audit.chain };
        Ok(audit::verify(&audit::merged(&parts, &self.set.lines), &keys, head))
    }

    /// What lines of the audit log are bound with, also those of before a change of the data key.
    ///
    /// # Errors
    /// As [`Store::state`].
    pub(crate) fn audit_keys(&self) -> Result<audit::Keys, StateError> {
        let mut keys = audit::Keys::new(&self.sealer);
        for (id, record) in self.state()?.audit {
            let key = record.key.reveal().as_text().and_then(unbase64).and_then(|key| Code::try_from(key).ok());
            if let Some(key) = key {
                keys.add(&id, zeroize::Zeroizing::new(key));
            }
        }
        Ok(keys)
    }

    /// Commits what a refresh found, and tells of each resource that is not as it was recorded.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub(crate) async fn commit_found(&mut self, at: u64, changes: &[Change]) -> Result<(), StateError> {
        if self.lease.is_none() {
            return Err(StateError::NotLocked);
        }
        let batch = self.encode(changes)?;
        for change in changes {
            let event = match change {
                Change::Put(record @ Record::Resource(found)) if batch.contains_key(&record.key()) => {
                    audit::Event::Found {
                        urn: found.urn.to_string(),
                        instance: found.instance.to_string(),
                        fields: found.drifted.iter().cloned().collect(),
                        gone: false,
                    }
                }
                Change::Remove(key @ Key::Resource(instance)) => {
                    let Some(text) = self.set.texts.get(key) else { continue };
                    let was = records::decode(&Codec::new(&self.sealer), text, &|| "memory".to_owned())?.record;
                    let Record::Resource(was) = was else { continue };
                    let urn = was.urn.to_string();
                    audit::Event::Found { urn, instance: instance.to_string(), fields: Vec::new(), gone: true }
                }
                _ => continue,
            };
            self.tell(at, &event);
        }
        self.append(batch).await
    }

    /// Keeps for good the lines that are in the journal, which is about to be emptied.
    pub(super) async fn keep_lines(&self, lease: &dyn Lease) -> Result<(), StateError> {
        let lines = &self.set.lines;
        let (Some(store), false) = (self.backend.audit(), lines.is_empty()) else { return Ok(()) };
        let last = self.set.audit.lines;
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        lines.iter().for_each(|line| text.extend([line, "\n"]));
        let part = AuditPart { first: (last + 1).saturating_sub(lines.len() as u64), last, text };
        Ok(store.keep_audit(lease, self.lineage(), &part).await?)
    }
}
