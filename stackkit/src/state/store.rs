//! `Store`: the keyed set of records over a backend's log. It checks everything that it reads, and every write is one
//! entry that is durable before the call returns.

mod rescue;
mod told;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::backend::{Backend, BackendError, Holder, Lease, Loaded, Position};
use super::codec::Codec;
use super::error::StateError;
use super::format::{self, AuditHead, Digest, EntryOut, Head};
use super::model::{AuditRecord, Change, Key, OutputRecord, Record, State};
use super::records;
use super::seen::Seen;
use crate::audit::{self, Told};
use crate::seal::{Code, NAME, Purpose, Sealer, base64, hex, random};
use crate::value::Value;

/// Journals below this are never worth folding in the middle of a run: 1 MiB.
const SMALL_JOURNAL: usize = 1024 * 1024;

/// So many entries that only tell of something are folded away, also where the state is large.
const MANY_LINES: u64 = 32;

/// The records of a stack, in memory and in a backend's log.
///
/// A commit that is dropped before it returns leaves the store behind its log, and every later commit is refused.
pub struct Store {
    backend: Arc<dyn Backend>,
    sealer: Arc<Sealer>,
    lease: Option<Arc<dyn Lease>>,
    writer: String,
    set: Set,
    rescued: BTreeMap<Key, Option<String>>,
    /// What was told and goes into the audit log with the next entry.
    told: Vec<Told>,
    /// Whether anything of it is in the log since the lock was taken.
    begun: bool,
    /// What this machine keeps of where the state stands.
    seen: Option<Seen>,
}

/// Everything that was read, kept as it was written: a record that does not change keeps its bytes. The records that
/// the texts say are the caller's: a second copy of them would double what a run takes of memory.
struct Set {
    texts: BTreeMap<Key, Box<str>>,
    /// What the records are called in a log that is sealed as a whole, in the order of its snapshot.
    names: BTreeMap<Box<str>, Key>,
    position: u64,
    chain: Code,
    /// The position of the snapshot that was read, and the chain codes from there on.
    folded: u64,
    trail: Vec<Code>,
    digest: Digest,
    size: usize,
    /// Entries that the snapshot does not hold, and their bytes.
    entries: usize,
    journal: usize,
    torn: usize,
    /// Where the audit log ends, and the entry that changed a record last.
    audit: AuditHead,
    /// Lines of the audit log that are in the journal alone.
    lines: Vec<String>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("backend", &self.backend)
            .field("position", &self.set.position)
            .field("records", &self.set.texts.len())
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

impl Drop for Store {
    /// Only what is durable has a position, so a run that failed says the truth here too.
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            // A folder that cannot be written costs the next run this check, and nothing else.
            let _ = seen.note(self);
        }
    }
}

/// The changes of a batch that are any: the new text, or none for a removal.
type Batch = BTreeMap<Key, Option<String>>;

impl Store {
    /// Reads a stack's log and checks all of it: codes, chain, digest, lineage, positions; every seal is opened. Takes
    /// no lock. Nothing there at all is an empty state.
    ///
    /// # Errors
    /// When it cannot be read, or is not what this stack's writers wrote.
    pub async fn open(backend: Arc<dyn Backend>, sealer: Arc<Sealer>) -> Result<(Self, State), StateError> {
        let loaded = backend.load().await?;
        let (set, state) = Set::read(&loaded, &sealer, &backend.describe())?;
        let mut writer = [0; 8];
        random(&mut writer)?;
        let (rescued, told) = (BTreeMap::new(), Vec::new());
        let (lease, seen) = (None, None);
        let mut store = Self { backend, sealer, lease, writer: hex(&writer), set, rescued, told, begun: false, seen };
        store.follow();
        Ok((store, state))
    }

    /// Takes the lock, and reads again if the log has moved since it was opened: the state as it is now, if it had.
    ///
    /// # Errors
    /// When somebody else holds it, or what is there now cannot be read.
    pub async fn lock(&mut self, holder: Holder) -> Result<Option<State>, StateError> {
        let lease = self.backend.acquire(holder).await?;
        let loaded = self.backend.load().await?;
        let moved = loaded.position.0 != self.set.position || last_chain(&loaded) != self.set.last_chain();
        if loaded.position.0 < self.set.position {
            return Err(StateError::WentBack { before: self.set.position, now: loaded.position.0 });
        }
        let mut now = None;
        if moved {
            let (set, state) = Set::read(&loaded, &self.sealer, &self.backend.describe())?;
            (self.set, now) = (set, Some(state));
        } else {
            self.set.measure(&loaded);
        }
        self.lease = Some(lease);
        (self.told, self.begun) = (Vec::new(), false);
        self.settle().await?;
        Ok(now)
    }

    /// What is sealed as a whole goes on so, also where an old header says nothing of it.
    fn follow(&mut self) {
        if self.set.is_whole() == Some(true) && !self.sealer.is_whole() {
            self.sealer = Arc::new(Sealer::clone(&self.sealer).whole(true));
        }
    }

    /// Writes everything anew where it is to be sealed as a whole and is not yet: whoever wants that writes it into the
    /// header first, so where they were cut short, the next who has the lock goes on.
    async fn settle(&mut self) -> Result<(), StateError> {
        self.follow();
        if self.set.is_whole() == Some(false) && self.sealer.is_whole() {
            self.rekey(Arc::clone(&self.sealer)).await?;
        }
        Ok(())
    }

    /// Checks that the state is not behind what this machine has seen of it, and keeps from now on where it stands.
    ///
    /// # Errors
    /// As [`Seen::check`].
    pub fn watch(&mut self, seen: Seen) -> Result<(), StateError> {
        seen.check(self)?;
        self.seen = Some(seen);
        Ok(())
    }

    /// Gives the lock back.
    pub fn unlock(&mut self) {
        self.lease = None;
    }

    /// Who this store holds the lock as, if it does.
    pub fn holder(&self) -> Option<&Holder> {
        self.lease.as_deref().map(|lease| lease.holder())
    }

    /// The lock, if this store holds it.
    pub(crate) fn lease(&self) -> Option<Arc<dyn Lease>> {
        self.lease.clone()
    }

    /// The records, made anew of their texts: for checks, and for who has no copy of what [`Store::open`] gave.
    ///
    /// # Errors
    /// When a seal does not open, which it did when the text was read or written.
    pub fn state(&self) -> Result<State, StateError> {
        let codec = Codec::new(&self.sealer);
        let place = || "memory".to_owned();
        let mut state = State::default();
        for text in self.set.texts.values() {
            state.apply(Change::Put(records::decode(&codec, text, &place)?.record));
        }
        Ok(state)
    }

    /// The stack's identity for its whole life.
    pub fn lineage(&self) -> &str {
        self.sealer.lineage()
    }

    /// How many entries have ever been appended.
    pub fn position(&self) -> Position {
        Position(self.set.position)
    }

    /// A code of everything that was ever written, as it stands now.
    pub fn fingerprint(&self) -> String {
        base64(&self.set.chain)
    }

    /// The code of everything that was written up to a position, as far as the log that was read tells.
    pub(crate) fn fingerprint_at(&self, position: u64) -> Option<String> {
        let at = usize::try_from(position.checked_sub(self.set.folded)?).ok()?;
        self.set.trail.get(at).map(|chain| base64(chain))
    }

    /// Entries that the snapshot does not hold, or that it holds and that were not tidied away.
    pub(crate) fn unfolded(&self) -> usize {
        self.set.entries
    }

    /// Bytes at the end of the log that a crash had cut short when it was read. They count as never written.
    pub fn torn(&self) -> usize {
        self.set.torn
    }

    /// The sealer.
    pub fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Makes the changes durable as one entry, all or none. A put that equals what is stored is dropped, and an empty
    /// rest writes nothing. The cost depends on the changes alone, not on how many records there are.
    ///
    /// # Errors
    /// When the lock is not held, a value cannot be sealed, or the backend fails. The state is then as before; what
    /// happened in the world can be kept with [`Store::rescue`].
    pub async fn commit(&mut self, changes: &[Change]) -> Result<(), StateError> {
        if self.lease.is_none() {
            return Err(StateError::NotLocked);
        }
        let batch = self.encode(changes)?;
        self.append(batch).await
    }

    /// Folds the journal into the snapshot. Writes nothing if there is no entry since the last one.
    ///
    /// # Errors
    /// When the lock is not held, or the backend fails; the log is then as before.
    pub async fn fold(&mut self) -> Result<(), StateError> {
        if self.set.entries == 0 {
            return Ok(());
        }
        let lease = self.lease.as_deref().ok_or(StateError::NotLocked)?;
        let text = self.snapshot();
        self.keep_lines(lease).await?;
        self.backend.compact(lease, Position(self.set.position), text.as_bytes()).await?;
        (self.set.size, self.set.entries, self.set.journal, self.set.torn) = (text.len(), 0, 0, 0);
        self.set.lines.clear();
        Ok(())
    }

    /// Folds the journal, and rids the log of the beginning of an entry that a crash left at its end, which a fold does
    /// where there are entries and an append does in any case.
    ///
    /// # Errors
    /// As [`Store::fold`].
    pub(crate) async fn tidy(&mut self) -> Result<(), StateError> {
        if self.set.torn > 0 && self.set.position > 0 {
            let lease = self.lease.as_deref().ok_or(StateError::NotLocked)?;
            self.keep_lines(lease).await?;
            self.backend.compact(lease, Position(self.set.position), self.snapshot().as_bytes()).await?;
            (self.set.entries, self.set.journal, self.set.torn) = (0, 0, 0);
            self.set.lines.clear();
        }
        self.fold().await
    }

    /// Seals every record anew, under another data key of the same stack or in another form, as one snapshot that takes the
    /// place of everything before it, or not at all. It takes a position of its own, so that whoever has read the log under the
    /// old key sees that it has moved.
    ///
    /// # Errors
    /// When the lock is not held, or the backend fails. What [`data_key_of`] finds in the log then says which it is.
    pub(crate) async fn rekey(&mut self, sealer: Arc<Sealer>) -> Result<(), StateError> {
        let lease = self.lease.as_deref().ok_or(StateError::NotLocked)?;
        self.keep_lines(lease).await?;
        if self.set.position == 0 {
            self.sealer = sealer;
            return Ok(());
        }
        let mut set = Set::empty();
        {
            let (old, new) = (Codec::new(&self.sealer), Codec::new(&sealer));
            let place = || "memory".to_owned();
            for (key, text) in &self.set.texts {
                let text = records::encode(&new, &records::decode(&old, text, &place)?.record)?;
                if let Some(mac) = format::mac_of(&text) {
                    set.digest.add(&sealer, &records::name(key, &text), &mac);
                }
                set.insert(key.clone(), text.into_boxed_str());
            }
        }
        set.audit = self.set.audit;
        if set.audit.lines > 0 && sealer.key_id() != self.sealer.key_id() {
            // The lines so far stay as they are, and what they were bound with comes along.
            let (data_key, lines) = (self.sealer.key_id().to_owned(), set.audit.lines);
            let bound = Value::Text(base64(&**self.sealer.audit_key())).into_secret();
            let record = Record::Audit(AuditRecord { data_key, lines, key: bound });
            let text = records::encode(&Codec::new(&sealer), &record)?;
            let key = record.key();
            if let Some(mac) = format::mac_of(&text) {
                set.digest.add(&sealer, &records::name(&key, &text), &mac);
            }
            set.insert(key, text.into_boxed_str());
        }
        set.position = self.set.position + 1;
        set.chain = sealer.code(Purpose::Chain, &[b"rotation", &self.set.chain]);
        set.audit.changed = (set.position, set.chain);
        set.begin();
        let text = set.snapshot(&sealer);
        self.backend.compact(lease, Position(self.set.position), text.as_bytes()).await?;
        set.size = text.len();
        (self.set, self.sealer) = (set, sealer);
        Ok(())
    }

    /// The records as a snapshot, sealed as they are kept.
    pub fn snapshot(&self) -> String {
        self.set.snapshot(&self.sealer)
    }

    /// Reads another snapshot of the same stack, and checks all of it. `place` names it in errors.
    ///
    /// # Errors
    /// When it is not what this stack's writers wrote.
    pub fn read_snapshot(&self, snapshot: &[u8], place: &str) -> Result<State, StateError> {
        let position = Position(format::snapshot_position(snapshot).unwrap_or_default());
        let loaded = Loaded { snapshot: Some(snapshot.to_vec()), entries: Vec::new(), torn: 0, position };
        Ok(Set::read(&loaded, &self.sealer, place)?.1)
    }

    /// Puts a snapshot into an empty log, which goes on from its position.
    ///
    /// # Errors
    /// When the lock is not held, when something is in the log, or when the backend fails.
    pub async fn move_in(&mut self, snapshot: &[u8]) -> Result<(), StateError> {
        let lease = self.lease.as_deref().ok_or(StateError::NotLocked)?;
        if self.set.position != 0 {
            let (expected, found) = (Position(0), Position(self.set.position));
            return Err(BackendError::Moved { expected, found }.into());
        }
        let position = Position(format::snapshot_position(snapshot).unwrap_or_default());
        let loaded = Loaded { snapshot: Some(snapshot.to_vec()), entries: Vec::new(), torn: 0, position };
        let (set, _) = Set::read(&loaded, &self.sealer, "what is moved in")?;
        self.backend.compact(lease, Position(0), snapshot).await?;
        self.set = set;
        self.settle().await
    }

    /// Whether the journal has outgrown the snapshot, so that reading it again would cost more than folding it.
    pub fn needs_fold(&self) -> bool {
        // Where nothing but lines of the audit log comes, no run folds them away.
        let lines_alone = match self.set.entries {
            0 => 0,
            _ => self.set.position.saturating_sub(self.set.audit.changed.0),
        };
        let due = if self.set.size < SMALL_JOURNAL { lines_alone > 0 } else { lines_alone > MANY_LINES };
        (self.set.journal > SMALL_JOURNAL && self.set.journal > 2 * self.set.size) || due
    }

    /// Deletes everything that the backend holds of the stack.
    ///
    /// # Errors
    /// When the lock is not held, or the backend fails.
    pub async fn delete(&mut self) -> Result<(), StateError> {
        let lease = self.lease.as_deref().ok_or(StateError::NotLocked)?;
        // The audit log outlives the state.
        self.keep_lines(lease).await?;
        self.backend.delete(lease).await?;
        self.set = Set::empty();
        Ok(())
    }

    /// Forgets what this machine has seen of the state, which is no more.
    pub(crate) fn forget(&mut self) {
        if let Some(seen) = self.seen.take() {
            // What is left there is of a lineage that never comes back.
            let _ = seen.forget(self.sealer.lineage());
        }
    }

    /// The last change of each key that changes anything, as text.
    fn encode(&self, changes: &[Change]) -> Result<Batch, StateError> {
        let mut last: BTreeMap<Key, Option<&Record>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Put(record) => last.insert(record.key(), Some(record)),
                Change::Remove(key) => last.insert(key.clone(), None),
            };
        }
        let codec = Codec::new(&self.sealer);
        let mut batch = Batch::new();
        for (key, record) in last {
            match record {
                Some(record) if !self.set.holds(&codec, &key, record) => {
                    batch.insert(key, Some(records::encode(&codec, record)?));
                }
                None if self.set.texts.contains_key(&key) => {
                    batch.insert(key, None);
                }
                _ => {}
            }
        }
        Ok(batch)
    }

    async fn append(&mut self, batch: Batch) -> Result<(), StateError> {
        if batch.is_empty() { Ok(()) } else { self.write(batch).await }
    }

    /// Appends an entry with these changes and with everything that was told.
    async fn write(&mut self, batch: Batch) -> Result<(), StateError> {
        let lease = self.lease.as_deref().ok_or(StateError::NotLocked)?;
        let set = &self.set;
        let mut digest = set.digest;
        for (key, put) in &batch {
            if let Some(text) = set.texts.get(key)
                && let Some(mac) = format::mac_of(text)
            {
                digest.remove(&self.sealer, &records::name(key, text), &mac);
            }
            if let Some(text) = put
                && let Some(mac) = format::mac_of(text)
            {
                digest.add(&self.sealer, &records::name(key, text), &mac);
            }
        }
        let gone = batch.iter().filter(|(_, put)| put.is_none()).map(|(key, _)| key);
        let mut del: Vec<String> = gone
            .map(|key| set.texts.get(key).map_or_else(|| key.text(), |text| records::name(key, text).into_owned()))
            .collect();
        let mut put: Vec<&str> = batch.values().flatten().map(|text| &**text).collect();
        if self.sealer.is_whole() {
            // Their order would tell which are of one kind.
            del.sort_unstable();
            put.sort_unstable();
        }
        let mut audit = set.audit;
        let mut lines = Vec::with_capacity(self.told.len());
        for told in &self.told {
            audit.lines += 1;
            let (line, chain) = audit::write(&self.sealer, audit.lines, &audit.chain, told);
            audit.chain = chain;
            lines.push(line);
        }
        let (text, chain) = format::write_entry(
            &self.sealer,
            EntryOut {
                position: set.position + 1,
                nonce: &self.writer,
                prev: &set.chain,
                put: &mut put.into_iter(),
                del,
                audit: &lines,
                digest,
            },
        );
        let reached = self.backend.append(lease, Position(set.position), text.as_bytes()).await?;
        if reached.0 != set.position + 1 {
            return Err(BackendError::Moved { expected: Position(set.position + 1), found: reached }.into());
        }
        let set = &mut self.set;
        (set.position, set.chain, set.digest) = (reached.0, chain, digest);
        if !batch.is_empty() {
            audit.changed = (reached.0, chain);
        }
        self.begun |= !lines.is_empty();
        self.told.clear();
        set.audit = audit;
        set.lines.extend(lines);
        set.entries += 1;
        set.journal += text.len() + 1;
        for (key, put) in batch {
            match put {
                Some(text) => set.insert(key, text.into_boxed_str()),
                None => set.remove(&key),
            }
        }
        Ok(())
    }
}

impl State {
    /// All records, but for keys of the audit log: these are no part of what a stack is, and stay when a state is put in
    /// the place of another.
    pub fn records(&self) -> Vec<Record> {
        let outputs = self
            .outputs
            .iter()
            .map(|(name, value)| Record::Output(OutputRecord { name: name.clone(), value: value.clone() }));
        let mut all: Vec<Record> = self.stack.iter().cloned().map(Record::Stack).collect();
        all.extend(self.providers.values().cloned().map(Record::Provider));
        all.extend(self.resources.values().cloned().map(|record| Record::Resource(Box::new(record))));
        all.extend(self.intents.values().cloned().map(|record| Record::Intent(Box::new(record))));
        all.extend(outputs);
        all
    }

    /// Whether exactly this record is there.
    pub fn holds(&self, record: &Record) -> bool {
        match record {
            Record::Stack(stack) => self.stack.as_ref() == Some(stack),
            Record::Provider(provider) => self.providers.get(&provider.name) == Some(provider),
            Record::Resource(resource) => self.resources.get(&resource.instance) == Some(&**resource),
            Record::Intent(intent) => self.intents.get(&intent.instance) == Some(&**intent),
            Record::Output(output) => self.outputs.get(&output.name) == Some(&output.value),
            Record::Audit(audit) => self.audit.get(&audit.data_key) == Some(audit),
        }
    }
}

impl Set {
    fn empty() -> Self {
        Self {
            texts: BTreeMap::new(),
            names: BTreeMap::new(),
            position: 0,
            chain: [0; 32],
            folded: 0,
            trail: vec![[0; 32]],
            digest: Digest::default(),
            size: 0,
            entries: 0,
            journal: 0,
            torn: 0,
            audit: AuditHead::default(),
            lines: Vec::new(),
        }
    }

    fn insert(&mut self, key: Key, text: Box<str>) {
        if let Some(name) = records::whole_name(&text) {
            self.names.insert(name.into(), key.clone());
        }
        self.texts.insert(key, text);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(text) = self.texts.remove(key)
            && let Some(name) = records::whole_name(&text)
        {
            self.names.remove(name);
        }
    }

    /// Whether the records are sealed as a whole; `None` where there are none.
    fn is_whole(&self) -> Option<bool> {
        (!self.texts.is_empty()).then_some(!self.names.is_empty())
    }

    /// The trail begins where the set stands now.
    fn begin(&mut self) {
        (self.folded, self.trail) = (self.position, vec![self.chain]);
    }

    fn snapshot(&self, sealer: &Sealer) -> String {
        let (position, count) = (self.position, self.texts.len() as u64);
        let head = Head { position, chain: self.chain, count, digest: self.digest, audit: self.audit.written() };
        let size = self.texts.values().map(|text| text.len() + 2).sum();
        let mut keys = self.texts.keys();
        let mut named = self.names.values();
        let keys: &mut dyn Iterator<Item = &Key> = if self.names.is_empty() { &mut keys } else { &mut named };
        format::write_snapshot(sealer, &head, size, keys.filter_map(|key| self.texts.get(key)).map(|text| &**text))
    }

    /// Whether exactly this record is there. Ciphertexts of equal records differ, so it is opened to be compared.
    fn holds(&self, codec: &Codec<'_>, key: &Key, record: &Record) -> bool {
        let place = || "memory".to_owned();
        self.texts
            .get(key)
            .is_some_and(|text| records::decode(codec, text, &place).is_ok_and(|decoded| decoded.record == *record))
    }

    fn read(loaded: &Loaded, sealer: &Sealer, place: &str) -> Result<(Self, State), StateError> {
        let (mut set, mut state) = (Self::empty(), State::default());
        let codec = Codec::new(sealer);
        if let Some(bytes) = &loaded.snapshot {
            let place = || format!("the snapshot in {place}");
            set.read_snapshot(&mut state, sealer, &codec, text(bytes, &place)?, &place)?;
        }
        for (index, bytes) in loaded.entries.iter().enumerate() {
            let place = || format!("journal entry {} of {} in {place}", index + 1, loaded.entries.len());
            set.read_entry(&mut state, sealer, &codec, text(bytes, &place)?, loaded.snapshot.is_some(), &place)?;
        }
        if loaded.position.0 != set.position {
            return Err(StateError::EntriesMissing {
                place: format!("the journal in {place}"),
                expected: set.position,
                found: loaded.position.0,
            });
        }
        set.measure(loaded);
        Ok((set, state))
    }

    fn read_snapshot(
        &mut self,
        state: &mut State,
        sealer: &Sealer,
        codec: &Codec<'_>,
        text: &str,
        place: &dyn Fn() -> String,
    ) -> Result<(), StateError> {
        let (snapshot, chain, audit) = format::read_snapshot(sealer, text, place)?;
        for raw in &snapshot.records {
            let decoded = records::decode(codec, raw.get(), place)?;
            let key = decoded.record.key();
            let name = records::name(&key, raw.get());
            let late = match records::whole_name(raw.get()) {
                Some(name) => self.names.last_key_value().is_some_and(|(last, _)| &**last >= name),
                None => self.texts.last_key_value().is_some_and(|(last, _)| *last >= key),
            };
            if late {
                return Err(StateError::RecordOrder { place: place(), record: format!("`{name}`") });
            }
            self.digest.add(sealer, &name, &decoded.mac);
            self.insert(key, raw.get().into());
            state.apply(Change::Put(decoded.record));
        }
        if !snapshot.holds(self.texts.len(), self.digest) {
            return Err(StateError::SetEdited { place: place() });
        }
        (self.position, self.chain) = (snapshot.position, chain);
        self.audit = audit.unwrap_or(AuditHead { changed: (snapshot.position, chain), ..AuditHead::default() });
        self.begin();
        Ok(())
    }

    fn read_entry(
        &mut self,
        state: &mut State,
        sealer: &Sealer,
        codec: &Codec<'_>,
        text: &str,
        folded: bool,
        place: &dyn Fn() -> String,
    ) -> Result<(), StateError> {
        let entry = match format::read_entry(sealer, text, place) {
            // A crash while the data key was changed leaves entries of the old one, which the snapshot holds.
            Err(StateError::ForeignKey { .. })
                if folded
                    && self.entries == 0
                    && format::entry_position(text.as_bytes()).is_some_and(|n| n <= self.position) =>
            {
                return Ok(());
            }
            entry => entry?,
        };
        // A crash between writing the snapshot and emptying the journal leaves entries that the snapshot holds.
        if folded && self.entries == 0 && entry.n <= self.position {
            return Ok(());
        }
        if entry.n <= self.position {
            return Err(StateError::EntryRepeated { place: place(), found: entry.n });
        }
        if entry.n > self.position + 1 {
            return Err(StateError::EntriesMissing { place: place(), expected: self.position + 1, found: entry.n });
        }
        self.chain = entry.follows(sealer, text, &self.chain, place)?;
        for raw in &entry.put {
            let decoded = records::decode(codec, raw.get(), place)?;
            let key = decoded.record.key();
            self.forget(sealer, &key);
            self.digest.add(sealer, &records::name(&key, raw.get()), &decoded.mac);
            self.insert(key, raw.get().into());
            state.apply(Change::Put(decoded.record));
        }
        for name in &entry.del {
            let key = match name.starts_with(NAME) {
                true => self.names.get(&**name).cloned(),
                false => Key::parse(name),
            };
            let key = key.ok_or_else(|| StateError::EntryEdited { place: place() })?;
            self.forget(sealer, &key);
            self.remove(&key);
            state.apply(Change::Remove(key));
        }
        if !entry.leaves(self.digest) {
            return Err(StateError::SetEdited { place: place() });
        }
        for raw in &entry.audit {
            let line = raw.get();
            let edited = || StateError::EntryEdited { place: place() };
            self.audit.chain = format::split_code(line, "chain").ok_or_else(edited)?.1;
            self.audit.lines = audit::number_of(line).ok_or_else(edited)?;
            self.lines.push(line.to_owned());
        }
        if !entry.put.is_empty() || !entry.del.is_empty() {
            self.audit.changed = (entry.n, self.chain);
        }
        self.position = entry.n;
        self.trail.push(self.chain);
        self.entries += 1;
        Ok(())
    }

    /// Takes a record out of the digest.
    fn forget(&mut self, sealer: &Sealer, key: &Key) {
        if let Some(text) = self.texts.get(key)
            && let Some(mac) = format::mac_of(text)
        {
            self.digest.remove(sealer, &records::name(key, text), &mac);
        }
    }

    /// Notes how large snapshot and journal are, which says when folding is due. Entries that the snapshot holds count
    /// too, so that a fold tidies them away.
    fn measure(&mut self, loaded: &Loaded) {
        self.size = loaded.snapshot.as_ref().map_or(0, Vec::len);
        self.entries = loaded.entries.len();
        self.journal = loaded.entries.iter().map(|entry| entry.len() + 1).sum();
        self.torn = loaded.torn;
    }

    fn last_chain(&self) -> Option<String> {
        (self.position > 0).then(|| base64(&self.chain))
    }
}

/// The chain code that the end of a log claims. It is only compared: what differs is read and checked.
fn last_chain(loaded: &Loaded) -> Option<String> {
    format::chain_of(last(loaded)?)
}

/// The id of the data key that the end of a log claims to be written with; `None` where nothing is there.
pub(crate) fn data_key_of(loaded: &Loaded) -> Option<String> {
    format::key_of(last(loaded)?)
}

/// What was written last: an entry that the snapshot does not hold, or the snapshot.
fn last(loaded: &Loaded) -> Option<&[u8]> {
    let entry = loaded.entries.last().map(|bytes| bytes.as_slice());
    let bytes = match (entry, &loaded.snapshot) {
        (Some(entry), snapshot) => {
            let held = snapshot.as_deref().and_then(format::snapshot_position);
            match (format::entry_position(entry), held, snapshot) {
                (Some(n), Some(held), Some(snapshot)) if n <= held => snapshot.as_slice(),
                _ => entry,
            }
        }
        (None, Some(snapshot)) => snapshot.as_slice(),
        (None, None) => return None,
    };
    Some(bytes)
}

fn text<'a>(bytes: &'a [u8], place: &dyn Fn() -> String) -> Result<&'a str, StateError> {
    std::str::from_utf8(bytes).map_err(|error| StateError::Malformed { place: place(), detail: error.to_string() })
}
