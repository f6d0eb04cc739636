//! `MemoryBackend`: a log in memory, for mocks, simulations and tests, with a hook that can fail or cut an append.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::{
    AuditPart, AuditStore, Backend, BackendError, Holder, Lease, Loaded, Position, check_stack_name, snapshot_position,
};
use super::format;
use super::place::Place;
use crate::context::BoxFuture;

/// Called with every entry before it is kept; an error is what the append returns.
pub type BeforeAppend = dyn FnMut(&[u8]) -> Result<(), BackendError> + Send;

/// A log in memory. Its clones are the same log, as two processes would see it.
#[derive(Clone, Default)]
pub struct MemoryBackend(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    log: Loaded,
    holder: Option<Holder>,
    /// Parts of audit logs, with the lineages of their stacks.
    audit: Vec<(String, AuditPart)>,
    appended: u64,
    /// What a crash left of an append that it cut short.
    torn: Vec<u8>,
    before_append: Option<Box<BeforeAppend>>,
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("position", &self.inner().log.position).finish_non_exhaustive()
    }
}

struct MemoryLease {
    holder: Holder,
    inner: Arc<Mutex<Inner>>,
}

impl fmt::Debug for MemoryLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLease").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Lease for MemoryLease {
    fn holder(&self) -> &Holder {
        &self.holder
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.holder.as_ref().is_some_and(|holder| holder.id == self.holder.id) {
            inner.holder = None;
        }
    }
}

impl MemoryBackend {
    /// A log with this content, such as a copy of another one cut short.
    pub fn with(log: Loaded) -> Self {
        Self(Arc::new(Mutex::new(Inner { log, ..Inner::default() })))
    }

    /// A copy of what it holds.
    pub fn log(&self) -> Loaded {
        self.inner().log.clone()
    }

    /// What a process reads that comes now: the log, and whatever the last append left behind it.
    fn read(&self) -> Result<Loaded, BackendError> {
        let inner = self.inner();
        let mut log = inner.log.clone();
        if !inner.torn.is_empty() {
            let damaged = || BackendError::Corrupt("the end of the log was edited or damaged".into());
            let left = super::local::lines(&inner.torn).ok_or_else(damaged)?;
            log.torn = left.torn;
            log.entries.extend(left.entries);
            log.position = Position(position(log.snapshot.as_deref(), &log.entries));
        }
        Ok(log)
    }

    /// How many bytes have ever been appended.
    pub fn appended(&self) -> u64 {
        self.inner().appended
    }

    /// Calls this before each append from now on. An error is what the append returns, and nothing is kept then.
    pub fn before_append(&self, hook: impl FnMut(&[u8]) -> Result<(), BackendError> + Send + 'static) {
        self.inner().before_append = Some(Box::new(hook));
    }

    /// Calls nothing before appends from now on.
    pub fn clear_before_append(&self) {
        self.inner().before_append = None;
    }

    /// Keeps the beginning of an entry, as a process leaves it that dies while it appends.
    pub(crate) fn tear(&self, entry: &[u8], bytes: usize) {
        self.inner().torn = entry.get(..bytes).unwrap_or(entry).to_vec();
    }

    /// Keeps a snapshot beside the entries that it holds, as a process leaves them that dies while it folds.
    pub(crate) fn fold_half(&self, snapshot: &[u8]) {
        self.inner().log.snapshot = Some(snapshot.to_vec());
    }

    /// Ends the lease of whoever holds it, as time does for a dead process.
    pub(crate) fn expire(&self) {
        self.inner().holder = None;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A writer begins with the end of the log as it was read: whole, and rid of what was cut short.
    fn mend(&mut self) {
        let torn = std::mem::take(&mut self.torn);
        if let Some(left) = super::local::lines(&torn) {
            self.log.entries.extend(left.entries);
            self.log.position = Position(position(self.log.snapshot.as_deref(), &self.log.entries));
        }
    }

    fn check(&self, lease: &dyn Lease, expected: Position) -> Result<(), BackendError> {
        match &self.holder {
            Some(holder) if holder.id == lease.holder().id => {}
            Some(holder) => return Err(BackendError::Lost(Some(Box::new(holder.clone())))),
            None => return Err(BackendError::Lost(None)),
        }
        if self.log.position != expected {
            return Err(BackendError::Moved { expected, found: self.log.position });
        }
        Ok(())
    }
}

impl Backend for MemoryBackend {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>> {
        Box::pin(async move { self.read() })
    }

    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>> {
        Box::pin(async move {
            let mut inner = self.inner();
            if let Some(other) = &inner.holder {
                return Err(BackendError::Locked(Box::new(other.clone())));
            }
            inner.holder = Some(holder.clone());
            Ok(Arc::new(MemoryLease { holder, inner: Arc::clone(&self.0) }) as Arc<dyn Lease>)
        })
    }

    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        Box::pin(async move {
            // The hook runs without the lock, so that it may look at the log.
            let hook = self.inner().before_append.take();
            if let Some(mut hook) = hook {
                let verdict = hook(entry);
                self.inner().before_append.get_or_insert(hook);
                verdict?;
            }
            let mut inner = self.inner();
            inner.mend();
            inner.check(lease, expected)?;
            inner.log.entries.push(entry.to_vec());
            inner.log.torn = 0;
            inner.log.position.0 += 1;
            inner.appended += entry.len() as u64;
            Ok(inner.log.position)
        })
    }

    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut inner = self.inner();
            inner.mend();
            inner.check(lease, expected)?;
            inner.log.position = snapshot_position(snapshot).map_or(expected, |position| position.max(expected));
            inner.log.snapshot = Some(snapshot.to_vec());
            inner.log.entries.clear();
            Ok(())
        })
    }

    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut inner = self.inner();
            match &inner.holder {
                Some(holder) if holder.id == holder_id => {
                    inner.holder = None;
                    Ok(())
                }
                holder => Err(super::lock::not_that_lock(holder_id, holder.as_ref())),
            }
        })
    }

    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut inner = self.inner();
            inner.check(lease, inner.log.position)?;
            inner.log = Loaded::default();
            Ok(())
        })
    }

    fn audit(&self) -> Option<&dyn AuditStore> {
        Some(self)
    }
}

impl AuditStore for MemoryBackend {
    fn keep_audit<'a>(
        &'a self,
        lease: &'a dyn Lease,
        lineage: &'a str,
        part: &'a AuditPart,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut inner = self.inner();
            inner.check(lease, inner.log.position)?;
            inner.audit.push((lineage.to_owned(), part.clone()));
            Ok(())
        })
    }

    fn load_audit<'a>(&'a self, lineage: &'a str, from: u64) -> BoxFuture<'a, Result<Vec<String>, BackendError>> {
        Box::pin(async move {
            let inner = self.inner();
            let of = |(other, part): &&(String, AuditPart)| other == lineage && part.last >= from;
            let mut parts: Vec<_> = inner.audit.iter().filter(of).map(|(_, part)| part.clone()).collect();
            parts.sort_by_key(|part| (part.first, part.last));
            Ok(parts.into_iter().map(|part| part.text).collect())
        })
    }
}

/// Logs in memory, by the names of their stacks. Its clones are the same place, as two processes would see it.
#[derive(Debug, Clone, Default)]
pub struct MemoryPlace(Arc<Mutex<BTreeMap<String, MemoryBackend>>>);

impl Place for MemoryPlace {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn stack(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        check_stack_name(name)?;
        let mut stacks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(stacks.entry(name.to_owned()).or_default().clone()))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, BackendError>> {
        Box::pin(async move {
            let stacks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let held = |backend: &MemoryBackend| {
                let inner = backend.inner();
                !inner.log.is_empty()
            };
            Ok(stacks.iter().filter(|(_, backend)| held(backend)).map(|(name, _)| name.clone()).collect())
        })
    }
}

impl Loaded {
    /// The same log cut after a number of entries, as if the process had been killed there.
    #[must_use]
    pub fn prefix(&self, entries: usize) -> Self {
        let entries = self.entries[..entries.min(self.entries.len())].to_vec();
        Self {
            position: Position(position(self.snapshot.as_deref(), &entries)),
            snapshot: self.snapshot.clone(),
            entries,
            torn: 0,
        }
    }
}

/// The position that a snapshot and the entries beside it reach, by their first bytes.
pub(crate) fn position(snapshot: Option<&[u8]>, entries: &[Vec<u8>]) -> u64 {
    let held = snapshot.and_then(format::snapshot_position).unwrap_or(0);
    let last = entries.last().and_then(|entry| format::entry_position(entry)).unwrap_or(0);
    held.max(last)
}
