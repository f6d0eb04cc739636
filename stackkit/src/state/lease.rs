//! `KeptLease`: a lease with an end, as remote backends give it: renewed in the background, confirmed before calls, and
//! given back when it is dropped. A backend says how one renewal and the giving back are done; when, is decided here.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::backend::{BackendError, Holder, Lease};
use crate::context::BoxFuture;

/// How long a lease lasts without renewal where nothing else is said.
pub const DEFAULT_TTL: Duration = Duration::from_secs(30);
/// The shortest that a lease may last: the clocks of object stores tell whole seconds.
pub const SHORTEST_TTL: Duration = Duration::from_secs(1);
/// Longest wait for leases to be given back.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a backend renews and ends one lease. Both run on the runtime that the lease was taken on.
pub trait Keeper: Send + Sync + 'static {
    /// Moves the end of the lease to a whole lifetime from now, by the store's clock.
    ///
    /// # Errors
    /// [`BackendError::Lost`] when the lease is another's, which is final; anything else is tried again.
    fn renew(&self) -> BoxFuture<'_, Result<(), BackendError>>;
    /// Gives the lease back. What fails here is not reported: the lease then ends by itself.
    fn release(&self) -> BoxFuture<'_, ()>;
}

/// A moment by two clocks. A stopped machine stands still for the one and a set clock jumps for the other; what counts is
/// the longer time, so that a lease is rather asked for once more than believed for too long.
#[derive(Debug, Clone, Copy)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    fn elapsed(self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

struct Shared {
    holder: Holder,
    ttl: Duration,
    keeper: Box<dyn Keeper>,
    /// When the request was sent by which the lease was last taken or renewed, or who has it now.
    fresh: Mutex<Result<Moment, Option<Box<Holder>>>>,
}

impl Shared {
    fn fresh(&self) -> MutexGuard<'_, Result<Moment, Option<Box<Holder>>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renew(&self) -> Result<(), BackendError> {
        let sent = Moment::now();
        let result = self.keeper.renew().await;
        match &result {
            Ok(()) => {
                let mut fresh = self.fresh();
                if fresh.is_ok() {
                    *fresh = Ok(sent);
                }
            }
            Err(BackendError::Lost(holder)) => *self.fresh() = Err(holder.clone()),
            Err(_) => {}
        }
        result
    }

    /// Renews three times a lifetime, more often after a failure, until the lease is lost or dropped; then gives it back.
    /// One renewal ends before anything else begins: cut off, it could still be done after the lease was given back.
    async fn keep(&self, dropped: CancellationToken) {
        let mut wait = self.ttl / 3;
        loop {
            tokio::select! {
                () = dropped.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
            wait = match self.renew().await {
                Ok(()) => self.ttl / 3,
                Err(BackendError::Lost(_)) => return,
                Err(_) => self.ttl / 12,
            };
        }
        if self.fresh().is_ok() {
            self.keeper.release().await;
        }
    }
}

/// A lease that is renewed in the background as long as this lives.
pub struct KeptLease {
    shared: Arc<Shared>,
    dropped: CancellationToken,
    /// Cancelled when nobody works for the lease any more: given back, lost, or cut off by its runtime's end.
    over: CancellationToken,
}

impl KeptLease {
    /// Keeps a lease that was just taken. `asked` is the moment before the request was sent that took it: the store's
    /// count began later than that, so that this side always gives up first.
    pub fn new(holder: Holder, ttl: Duration, asked: Asked, keeper: impl Keeper) -> Self {
        let shared = Arc::new(Shared { holder, ttl, keeper: Box::new(keeper), fresh: Mutex::new(Ok(asked.0)) });
        let (kept, dropped) = (Arc::clone(&shared), CancellationToken::new());
        let told = dropped.clone();
        let over = CancellationToken::new();
        let ending = over.clone().drop_guard();
        tokio::spawn(async move {
            let _ending = ending;
            kept.keep(told).await;
        });
        Self { shared, dropped, over }
    }
}

/// The moment before a request for a lease was sent.
#[derive(Debug, Clone, Copy)]
pub struct Asked(Moment);

impl Asked {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(Moment::now())
    }
}

impl fmt::Debug for KeptLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptLease").field("holder", &self.shared.holder).field("ttl", &self.shared.ttl).finish()
    }
}

impl Lease for KeptLease {
    fn holder(&self) -> &Holder {
        &self.shared.holder
    }

    fn confirm(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            match &*self.shared.fresh() {
                Err(holder) => return Err(BackendError::Lost(holder.clone())),
                Ok(moment) if moment.elapsed() < self.shared.ttl => return Ok(()),
                Ok(_) => {}
            }
            self.shared.renew().await
        })
    }
}

impl Drop for KeptLease {
    fn drop(&mut self) {
        self.dropped.cancel();
        releases().push(self.over.clone());
    }
}

/// Leases that are on their way back, each cancelled when it is.
fn releases() -> MutexGuard<'static, Vec<CancellationToken>> {
    static RELEASES: Mutex<Vec<CancellationToken>> = Mutex::new(Vec::new());
    RELEASES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until every lease that this process has dropped is given back, at most ten seconds. Runs do it at their end;
/// a program that drops a [`Lease`] itself does it before its runtime ends.
pub async fn settled() {
    let pending = releases().clone();
    let all = async {
        for release in &pending {
            release.cancelled().await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, all).await;
    releases().retain(|release| !release.is_cancelled());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers as it is told, and counts.
    #[derive(Default)]
    struct Store {
        renewals: AtomicUsize,
        releases: AtomicUsize,
        answer: Mutex<Option<BackendError>>,
    }

    impl Store {
        fn answer(&self, error: Option<BackendError>) {
            *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = error;
        }
    }

    struct Teller(Arc<Store>);

    impl Keeper for Teller {
        fn renew(&self) -> BoxFuture<'_, Result<(), BackendError>> {
            self.0.renewals.fetch_add(1, Ordering::SeqCst);
            let answer = match &*self.0.answer.lock().unwrap_or_else(PoisonError::into_inner) {
                None => Ok(()),
                Some(BackendError::Lost(holder)) => Err(BackendError::Lost(holder.clone())),
                Some(_) => Err(BackendError::Unfit("no answer".into())),
            };
            Box::pin(std::future::ready(answer))
        }

        fn release(&self) -> BoxFuture<'_, ()> {
            self.0.releases.fetch_add(1, Ordering::SeqCst);
            Box::pin(std::future::ready(()))
        }
    }

    fn holder() -> Holder {
        Holder::new("up").unwrap_or_else(|error| panic!("{error}"))
    }

    fn aged(by: Duration) -> Asked {
        let now = Moment::now();
        Asked(Moment { steady: now.steady.checked_sub(by).unwrap_or(now.steady), wall: now.wall })
    }

    #[tokio::test]
    async fn a_fresh_lease_asks_nobody_and_a_stale_one_the_store() {
        let store = Arc::new(Store::default());
        let ttl = Duration::from_secs(3600);
        let lease = KeptLease::new(holder(), ttl, Asked::now(), Teller(Arc::clone(&store)));
        lease.confirm().await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(store.renewals.load(Ordering::SeqCst), 0);
        let lease = KeptLease::new(holder(), ttl, aged(ttl), Teller(Arc::clone(&store)));
        lease.confirm().await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(store.renewals.load(Ordering::SeqCst), 1);
        lease.confirm().await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(store.renewals.load(Ordering::SeqCst), 1, "it is fresh again");
    }

    #[tokio::test]
    async fn a_machine_that_slept_does_not_believe_its_lease() {
        let store = Arc::new(Store::default());
        let ttl = Duration::from_secs(3600);
        let now = Moment::now();
        let slept = Moment { steady: now.steady, wall: now.wall.checked_sub(ttl).unwrap_or(now.wall) };
        let lease = KeptLease::new(holder(), ttl, Asked(slept), Teller(Arc::clone(&store)));
        store.answer(Some(BackendError::Lost(None)));
        assert!(matches!(lease.confirm().await, Err(BackendError::Lost(None))));
    }

    #[tokio::test]
    async fn what_is_lost_stays_lost_and_is_not_given_back() {
        let store = Arc::new(Store::default());
        let lease = KeptLease::new(
            holder(),
            Duration::from_secs(3600),
            aged(Duration::from_secs(3600)),
            Teller(Arc::clone(&store)),
        );
        store.answer(Some(BackendError::Lost(None)));
        assert!(lease.confirm().await.is_err());
        store.answer(None);
        assert!(matches!(lease.confirm().await, Err(BackendError::Lost(_))));
        drop(lease);
        settled().await;
        assert_eq!(store.releases.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_keeps_calls_from_starting() {
        let store = Arc::new(Store::default());
        let ttl = Duration::from_secs(3600);
        let lease = KeptLease::new(holder(), ttl, aged(ttl), Teller(Arc::clone(&store)));
        store.answer(Some(BackendError::Unfit(String::new())));
        assert!(lease.confirm().await.is_err());
        store.answer(None);
        lease.confirm().await.unwrap_or_else(|error| panic!("{error}"));
    }

    #[tokio::test]
    async fn it_is_renewed_while_it_lives_and_given_back_once() {
        let store = Arc::new(Store::default());
        let lease = KeptLease::new(holder(), Duration::from_millis(30), Asked::now(), Teller(Arc::clone(&store)));
        while store.renewals.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(lease);
        settled().await;
        assert_eq!(store.releases.load(Ordering::SeqCst), 1);
    }

    /// Takes its time to give the lease back.
    struct Slow(Arc<Store>);

    impl Keeper for Slow {
        fn renew(&self) -> BoxFuture<'_, Result<(), BackendError>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn release(&self) -> BoxFuture<'_, ()> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.0.releases.fetch_add(1, Ordering::SeqCst);
            })
        }
    }

    #[tokio::test]
    async fn two_who_wait_both_wait() {
        let store = Arc::new(Store::default());
        drop(KeptLease::new(holder(), Duration::from_secs(3600), Asked::now(), Slow(Arc::clone(&store))));
        let given_back = || async {
            settled().await;
            store.releases.load(Ordering::SeqCst)
        };
        assert_eq!(tokio::join!(given_back(), given_back()), (1, 1));
    }
}
