//! A simulated process: it lives until a chosen instant. From then on nothing that it does reaches the world any more,
//! destructors included.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::context::BoxFuture;
use crate::seal::Sealer;
use crate::state::backend::{AuditPart, AuditStore, Backend, BackendError, Holder, Lease, Loaded, Position};
use crate::state::memory::MemoryBackend;
use crate::state::{Store, verify};

/// Counts the instants of a process, and ends it at a chosen one.
#[derive(Clone, Default)]
pub(super) struct Life(Arc<Inner>);

#[derive(Default)]
struct Inner {
    passed: AtomicU64,
    /// The instant at which it ends, from 1; 0 for never.
    end: u64,
    over: AtomicBool,
    place: Mutex<Option<String>>,
    root: Mutex<Option<Waker>>,
}

impl Life {
    /// A life that ends at an instant, counted from 1; with 0 it does not.
    pub(super) fn until(end: u64) -> Self {
        Self(Arc::new(Inner { end, ..Inner::default() }))
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::SeqCst)
    }

    /// Where it ended.
    pub(super) fn place(&self) -> Option<String> {
        lock(&self.0.place).clone()
    }

    /// Counts an instant; whether the life is over with it.
    pub(super) fn ends(&self, place: impl FnOnce() -> String) -> bool {
        if self.is_over() {
            return true;
        }
        let passed = self.0.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if self.0.end == 0 || passed < self.0.end {
            return false;
        }
        *lock(&self.0.place) = Some(place());
        self.0.over.store(true, Ordering::SeqCst);
        if let Some(root) = lock(&self.0.root).take() {
            root.wake();
        }
        true
    }

    /// Passes an instant, or never returns.
    pub(super) async fn pass(&self, place: impl FnOnce() -> String) {
        if self.ends(place) {
            pending::<()>().await;
        }
    }

    /// Runs a process to its end or to the end of its life (`None`), whichever comes first. Each time that it waits is an
    /// instant too.
    pub(super) async fn live<F: Future>(&self, process: F) -> Option<F::Output> {
        let mut process = Box::pin(process);
        poll_fn(|cx| {
            *lock(&self.0.root) = Some(cx.waker().clone());
            if self.is_over() {
                return Poll::Ready(None);
            }
            match process.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready((!self.is_over()).then_some(output)),
                Poll::Pending if self.ends(|| "while the run waited".into()) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a mortal process keeps its state in: it may die before, in the middle of and after every durable write, and what
/// it leaves is checked at each of them.
#[derive(Clone)]
pub(super) struct Mortal {
    pub(super) inner: MemoryBackend,
    pub(super) life: Life,
    pub(super) sealer: Arc<Sealer>,
    /// What is wrong with what it wrote.
    pub(super) problems: Arc<Mutex<Vec<String>>>,
}

impl std::fmt::Debug for Mortal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Mortal {
    /// The state is whole after every entry of the journal, not only after the last one.
    async fn check(&self) {
        let problem = match Store::open(Arc::new(self.inner.clone()), Arc::clone(&self.sealer)).await {
            Ok((_, state)) => verify(&state).err(),
            Err(error) => Some(error),
        };
        if let Some(problem) = problem {
            let entry = self.inner.log().position.0;
            lock(&self.problems).push(format!("after entry {entry} of the journal: {problem}"));
        }
    }
}

/// A lease that a dead process does not give back.
#[derive(Debug)]
struct MortalLease {
    inner: Option<Arc<dyn Lease>>,
    holder: Holder,
    life: Life,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life").field("over", &self.is_over()).finish_non_exhaustive()
    }
}

impl Lease for MortalLease {
    fn holder(&self) -> &Holder {
        &self.holder
    }
}

impl Drop for MortalLease {
    fn drop(&mut self) {
        if self.life.is_over() {
            std::mem::forget(self.inner.take());
        }
    }
}

impl Backend for Mortal {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>> {
        self.inner.load()
    }
    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>> {
        Box::pin(async move {
            self.life.pass(|| "before it took the lock".into()).await;
            let inner = self.inner.acquire(holder.clone()).await?;
            let lease = MortalLease { inner: Some(inner), holder, life: self.life.clone() };
            self.life.pass(|| "after it took the lock".into()).await;
            Ok(Arc::new(lease) as Arc<dyn Lease>)
        })
    }
    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        Box::pin(async move {
            self.life.pass(|| format!("before entry {} of the journal", expected.0 + 1)).await;
            if self.life.ends(|| format!("in the middle of entry {} of the journal", expected.0 + 1)) {
                let bytes = (self.life.0.end as usize).wrapping_mul(7919) % (entry.len() + 1);
                self.inner.tear(entry, bytes);
                pending::<()>().await;
            }
            // A write takes its time, in which everything else goes on.
            tokio::task::yield_now().await;
            let result = self.inner.append(lease, expected, entry).await;
            tokio::task::yield_now().await;
            self.check().await;
            self.life.pass(|| format!("after entry {} of the journal", expected.0 + 1)).await;
            result
        })
    }
    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.life.pass(|| "before the snapshot".into()).await;
            if self.life.ends(|| "between the snapshot and the end of the journal that it holds".into()) {
                self.inner.fold_half(snapshot);
                self.check().await;
                pending::<()>().await;
            }
            let result = self.inner.compact(lease, expected, snapshot).await;
            self.check().await;
            self.life.pass(|| "after the snapshot".into()).await;
            result
        })
    }
    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.unlock(holder_id)
    }
    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.delete(lease)
    }
    fn audit(&self) -> Option<&dyn AuditStore> {
        Some(self)
    }
}

impl AuditStore for Mortal {
    fn keep_audit<'a>(
        &'a self,
        lease: &'a dyn Lease,
        lineage: &'a str,
        part: &'a AuditPart,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.life.pass(|| "before lines of the audit log are kept".into()).await;
            self.inner.keep_audit(lease, lineage, part).await?;
            self.life.pass(|| "after lines of the audit log are kept".into()).await;
            Ok(())
        })
    }
    fn load_audit<'a>(&'a self, lineage: &'a str, from: u64) -> BoxFuture<'a, Result<Vec<String>, BackendError>> {
        self.inner.load_audit(lineage, from)
    }
}
