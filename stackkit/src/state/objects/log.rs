//! `Log`: the log of one stack, as objects.
//!
//! `stacks/NAME/log/N` is entry *N* of a sequence, put only if it is not there. An empty one is no entry: a writer that
//! took over a lock put it in the way of the one before. Those stay for ever, however old, for a writer may sleep for
//! long. `stacks/NAME/snap/N-P` is a folded state: it holds everything before *N* of the sequence, up to position *P*.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::task::JoinSet;

use super::lock::{self, Kept, Lock};
use super::survey::{Folded, Kind, Survey, parse_key};
use super::{Objects, Settings, When, Write, put};
use crate::access::{Grant, Role};
use crate::context::BoxFuture;
use crate::state::backend::{
    AuditPart, AuditStore, Backend, BackendError, Holder, Lease, Loaded, Position, Version, snapshot_position,
};
use crate::state::lease::{Asked, KeptLease};

/// How many entries are read at once.
const READS: usize = 16;
/// How often reading begins anew when a fold takes away what was listed.
const ATTEMPTS: usize = 20;

/// The log of one stack.
pub(super) struct Log {
    objects: Arc<dyn Objects>,
    settings: Settings,
    stack: String,
    writes: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Where the log stands while the lock is held.
    survey: Option<Survey>,
    /// The lock that is held.
    lock: Weak<Lock>,
    /// The folded state that was read last; it never changes under its key.
    snapshot: Option<(String, Arc<Vec<u8>>)>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("objects", &self.objects).field("stack", &self.stack).finish_non_exhaustive()
    }
}

impl Log {
    pub(super) fn new(objects: Arc<dyn Objects>, settings: Settings, stack: &str) -> Self {
        Self { objects, settings, stack: stack.to_owned(), writes: AtomicU64::new(0), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self) -> String {
        format!("stacks/{}/", self.stack)
    }

    fn entry_key(&self, place: u64) -> String {
        format!("{}log/{place:020}", self.folder())
    }

    fn snapshot_key(&self, place: u64, position: u64) -> String {
        format!("{}snap/{place:020}-{position}", self.folder())
    }

    /// Where the audit log of the stack with a lineage is, told by the end of the lineage from the end on.
    fn audit_folder(&self, lineage: &str) -> String {
        let end: String = lineage.chars().rev().filter(|c| matches!(c, 'a'..='z' | '0'..='9')).take(8).collect();
        format!("{}audit/{end}/", self.folder())
    }

    fn writer(&self, holder: &Holder) -> String {
        format!("{} {}", holder.id, self.writes.fetch_add(1, Ordering::Relaxed))
    }

    /// Puts an object that is not there yet; says whether it was not.
    async fn put(&self, key: &str, body: &[u8], writer: &str) -> Result<bool, BackendError> {
        let write = Write { key, when: When::Absent, body, writer };
        Ok(put(&*self.objects, write).await?.is_some())
    }

    /// Where the log stands now.
    async fn survey(&self) -> Result<Survey, BackendError> {
        let folder = self.folder();
        for _ in 0..ATTEMPTS {
            let objects = self.objects.list(&folder).await?;
            let listed: Vec<_> = objects
                .iter()
                .filter_map(|object| Some((parse_key(object.key.strip_prefix(&folder)?)?, object)))
                .collect();
            if let Some(survey) = Survey::of(&listed) {
                return Ok(survey);
            }
        }
        Err(BackendError::Corrupt(format!(
            "objects are missing from the log of {}: bring them back from the store's old versions, or roll back to a version that `state history` lists",
            self.describe()
        )))
    }

    /// Reads all of it; `None` when a fold took away what was listed.
    async fn read(&self) -> Result<Option<(Loaded, Survey)>, BackendError> {
        let survey = self.survey().await?;
        let snapshot = match survey.snapshots.last() {
            None => None,
            Some(folded) => {
                let key = self.snapshot_key(folded.place, folded.position);
                let known =
                    self.known().snapshot.as_ref().filter(|(at, _)| *at == key).map(|(_, bytes)| Arc::clone(bytes));
                let bytes = match known {
                    Some(bytes) => bytes,
                    None => {
                        let Some(object) = self.objects.get(&key).await? else { return Ok(None) };
                        let bytes = Arc::new(object.body);
                        self.known().snapshot = Some((key, Arc::clone(&bytes)));
                        bytes
                    }
                };
                Some(bytes.to_vec())
            }
        };
        let keys = survey.live.iter().map(|place| self.entry_key(*place)).collect();
        let Some(entries) = self.get_all(keys).await?.into_iter().collect() else { return Ok(None) };
        let position = Position(survey.position);
        Ok(Some((Loaded { snapshot, entries, torn: 0, position }, survey)))
    }

    /// Objects in the order of their keys as given, some at once; `None` for each that is not there.
    async fn get_all(&self, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        let mut bodies: Vec<Option<Vec<u8>>> = vec![None; keys.len()];
        let mut reads = JoinSet::new();
        let mut keys = keys.into_iter().enumerate();
        loop {
            while reads.len() < READS {
                let Some((index, key)) = keys.next() else { break };
                let objects = Arc::clone(&self.objects);
                reads.spawn(async move { (index, objects.get(&key).await) });
            }
            let Some(read) = reads.join_next().await else { return Ok(bodies) };
            let (index, object) =
                read.map_err(|error| BackendError::service("read", self.objects.describe(), error))?;
            if let (Some(body), Some(object)) = (bodies.get_mut(index), object?) {
                *body = Some(object.body);
            }
        }
    }

    /// Puts an empty object where the writer before would append.
    async fn fence(&self, writer: &str) -> Result<Survey, BackendError> {
        for _ in 0..ATTEMPTS {
            let mut survey = self.survey().await?;
            // Where an entry of the writer before came first, it is part of the log.
            if self.put(&self.entry_key(survey.next), b"", writer).await? {
                survey.next += 1;
                return Ok(survey);
            }
        }
        Err(BackendError::Unfit(format!("somebody else writes to {} all the time", self.describe())))
    }

    /// Remembers where the log stands for its holder, if it still is that: whoever takes the lock after this was asked puts
    /// something in the way of the next append. What was put there before is in the survey, and in nobody's way.
    async fn remember(&self, lock: &Lock, survey: Survey) -> Result<(), BackendError> {
        let held = lock::present(&*self.objects, &self.stack).await?.is_some_and(|holder| lock.is(&holder.id));
        self.known().survey = held.then_some(survey);
        Ok(())
    }

    /// Where the log stands for its holder, who asks the store but once.
    async fn held(&self, lease: &dyn Lease) -> Result<(Arc<Lock>, Survey), BackendError> {
        let (lock, survey) = {
            let known = self.known();
            (known.lock.upgrade(), known.survey.clone())
        };
        let lock = lock.filter(|lock| lock.is(&lease.holder().id)).ok_or(BackendError::Lost(None))?;
        let survey = match survey {
            Some(survey) => survey,
            None => {
                let survey = self.survey().await?;
                // As in `remember`: what keeps this writer out may be in the survey already.
                self.check_lock(lease).await?;
                survey
            }
        };
        Ok((lock, survey))
    }

    /// Why a write was refused.
    async fn refusal(&self, lease: &dyn Lease, expected: Position) -> BackendError {
        match lock::present(&*self.objects, &self.stack).await {
            Ok(Some(holder)) if holder.id == lease.holder().id => {
                self.known().survey = None;
                match self.survey().await {
                    Ok(survey) => BackendError::Moved { expected, found: Position(survey.position) },
                    Err(error) => error,
                }
            }
            Ok(other) => BackendError::Lost(other.map(Box::new)),
            Err(error) => error,
        }
    }

    async fn append(&self, lease: &dyn Lease, expected: Position, entry: &[u8]) -> Result<Position, BackendError> {
        let (lock, mut survey) = self.held(lease).await?;
        if survey.position != expected.0 {
            return Err(BackendError::Moved { expected, found: Position(survey.position) });
        }
        let key = self.entry_key(survey.next);
        match self.put(&key, entry, &self.writer(lease.holder())).await {
            Ok(true) => {
                survey.live.push(survey.next);
                survey.next += 1;
                survey.position += 1;
                let position = Position(survey.position);
                self.known().survey = Some(survey);
                Ok(position)
            }
            Ok(false) => Err(self.refusal(lease, expected).await),
            Err(error) => {
                // It may still be kept, later than anybody waited.
                lock.unsure();
                self.known().survey = None;
                Err(error)
            }
        }
    }

    /// The store is asked whether the lock is still held. Whoever loses it right after folds what was appended before,
    /// which is what anybody else would fold: nothing that was written is lost by it.
    async fn check_lock(&self, lease: &dyn Lease) -> Result<(), BackendError> {
        match lock::present(&*self.objects, &self.stack).await? {
            Some(holder) if holder.id == lease.holder().id => Ok(()),
            other => Err(BackendError::Lost(other.map(Box::new))),
        }
    }

    async fn compact(&self, lease: &dyn Lease, expected: Position, snapshot: &[u8]) -> Result<(), BackendError> {
        self.check_lock(lease).await?;
        let (lock, mut survey) = self.held(lease).await?;
        if survey.position != expected.0 {
            return Err(BackendError::Moved { expected, found: Position(survey.position) });
        }
        let position = snapshot_position(snapshot).map_or(expected, |position| position.max(expected)).0;
        let key = self.snapshot_key(survey.next, position);
        match self.put(&key, snapshot, &self.writer(lease.holder())).await {
            Ok(true) => {
                survey.snapshots.push(Folded { place: survey.next, position, at: None, size: None });
            }
            Ok(false) => {
                let there = self.objects.get(&key).await?;
                if there.is_none_or(|there| there.body != snapshot) {
                    return Err(self.refusal(lease, expected).await);
                }
            }
            Err(error) => {
                lock.unsure();
                return Err(error);
            }
        }
        survey.position = position;
        let mut gone: Vec<String> =
            survey.live.drain(..).chain(survey.folded.drain(..)).map(|place| self.entry_key(place)).collect();
        let many = survey.snapshots.len().saturating_sub(self.settings.keep);
        gone.extend(survey.snapshots.drain(..many).map(|folded| self.snapshot_key(folded.place, folded.position)));
        {
            let mut known = self.known();
            known.survey = Some(survey);
            known.snapshot = None;
        }
        // What is left by a crash here is passed over, and goes with the next fold.
        self.objects.delete(&gone).await
    }

    async fn delete(&self, lease: &dyn Lease) -> Result<(), BackendError> {
        self.check_lock(lease).await?;
        let survey = self.fence(&self.writer(lease.holder())).await?;
        // Entries go first: alone they would be refused, while a folded state alone is a state.
        let entries: Vec<_> = survey.live.iter().chain(&survey.folded).map(|place| self.entry_key(*place)).collect();
        self.objects.delete(&entries).await?;
        let snapshots: Vec<_> =
            survey.snapshots.iter().rev().map(|folded| self.snapshot_key(folded.place, folded.position)).collect();
        self.objects.delete(&snapshots).await?;
        let mut known = self.known();
        known.survey = None;
        known.snapshot = None;
        Ok(())
    }
}

impl Backend for Log {
    fn describe(&self) -> String {
        format!("{} (stack `{}`)", self.objects.describe(), self.stack)
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>> {
        Box::pin(async move {
            for _ in 0..ATTEMPTS {
                if let Some((loaded, survey)) = self.read().await? {
                    let lock = self.known().lock.upgrade();
                    if let Some(lock) = lock {
                        self.remember(&lock, survey).await?;
                    }
                    return Ok(loaded);
                }
            }
            Err(BackendError::Unfit(format!(
                "{} changes while it is read, time and again: run the command again",
                self.describe()
            )))
        })
    }

    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>> {
        Box::pin(async move {
            let asked = Asked::now();
            let ttl = self.settings.ttl;
            let taken = lock::take(&self.objects, &self.stack, holder.clone(), ttl).await?;
            let writer = self.writer(&holder);
            let lease = KeptLease::new(holder, ttl, asked, Kept(Arc::clone(&taken.lock)));
            {
                let mut known = self.known();
                known.survey = None;
                known.lock = Arc::downgrade(&taken.lock);
            }
            if taken.fence {
                let survey = self.fence(&writer).await?;
                taken.lock.fenced();
                self.remember(&taken.lock, survey).await?;
            }
            Ok(Arc::new(lease) as Arc<dyn Lease>)
        })
    }

    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        Box::pin(self.append(lease, expected, entry))
    }

    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(self.compact(lease, expected, snapshot))
    }

    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let me = Holder::new("unlock").map_err(|error| BackendError::Unfit(error.to_string()))?;
            let fence = || async { self.fence(&self.writer(&me)).await.map(drop) };
            lock::end(&self.objects, &self.stack, holder_id, &me.id, fence).await
        })
    }

    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(self.delete(lease))
    }

    fn access(&self, role: Role) -> Option<Grant> {
        self.objects.access(&self.stack, role)
    }

    fn history(&self) -> BoxFuture<'_, Result<Vec<Version>, BackendError>> {
        Box::pin(async move {
            let survey = self.survey().await?;
            let version = |folded: &Folded| Version {
                id: format!("{}-{}", folded.place, folded.position),
                position: Position(folded.position),
                at: folded.at,
                size: folded.size,
            };
            Ok(survey.snapshots.iter().rev().map(version).collect())
        })
    }

    fn load_version<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Vec<u8>, BackendError>> {
        Box::pin(async move {
            let object = match parse_key(&format!("snap/{id}")) {
                Some(Kind::Snapshot(place, position)) => self.objects.get(&self.snapshot_key(place, position)).await?,
                _ => None,
            };
            object.map(|object| object.body).ok_or_else(|| {
                BackendError::Unfit(format!(
                    "{} has no version `{}`: `state history` lists those that are kept",
                    self.describe(),
                    id.escape_debug()
                ))
            })
        })
    }

    fn audit(&self) -> Option<&dyn AuditStore> {
        Some(self)
    }
}

impl AuditStore for Log {
    fn keep_audit<'a>(
        &'a self,
        lease: &'a dyn Lease,
        lineage: &'a str,
        part: &'a AuditPart,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let key = format!("{}{:012}-{:012}", self.audit_folder(lineage), part.first, part.last);
            if self.put(&key, part.text.as_bytes(), &self.writer(lease.holder())).await? {
                return Ok(());
            }
            // A fold that was cut short has put it already. Anything else there is of a state that was put back since.
            match self.objects.get(&key).await? {
                Some(there) if there.body == part.text.as_bytes() => Ok(()),
                _ => {
                    let key = format!("{key}-{}", lease.holder().since);
                    self.put(&key, part.text.as_bytes(), &self.writer(lease.holder())).await.map(drop)
                }
            }
        })
    }

    fn load_audit<'a>(&'a self, lineage: &'a str, from: u64) -> BoxFuture<'a, Result<Vec<String>, BackendError>> {
        Box::pin(async move {
            let folder = self.audit_folder(lineage);
            // The order of keys is that of the lines. What another order of digits names was not put by this.
            let mut keys: Vec<String> =
                self.objects.list(&folder).await?.into_iter().map(|object| object.key).collect();
            keys.retain(|key| {
                let last = key.strip_prefix(&folder).and_then(|name| name.split('-').nth(1)?.parse::<u64>().ok());
                last.is_none_or(|last| last >= from)
            });
            keys.sort();
            let bodies = self.get_all(keys).await?;
            Ok(bodies.into_iter().flatten().map(|body| String::from_utf8_lossy(&body).into_owned()).collect())
        })
    }
}
