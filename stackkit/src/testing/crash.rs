//! Simulated crashes: a run is stopped dead at one point after the other, and the next run must bring it to its end.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::context::BoxFuture;
use crate::state::backend::{Backend, BackendError, Holder, Lease, Loaded, Position};
use crate::state::memory::MemoryBackend;
use crate::state::verify;
use crate::testing::cloud::Cloud;
use crate::testing::{Test, TestRun, What, World};
use crate::urn::Urn;

/// Counts the points that a run passes, and stops the world at a chosen one.
#[derive(Clone, Default)]
pub(super) struct Points(Arc<Counter>);

#[derive(Default)]
struct Counter {
    passed: AtomicU64,
    /// The point at which the world stops, from 1; 0 for never.
    stop_at: AtomicU64,
    stopped: Notify,
    place: std::sync::Mutex<Option<&'static str>>,
}

impl Points {
    /// Passes a point, or never returns.
    pub(super) async fn pass(&self, place: &'static str) {
        let counter = &self.0;
        let passed = counter.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let stop_at = counter.stop_at.load(Ordering::SeqCst);
        if stop_at != 0 && passed >= stop_at {
            if passed == stop_at {
                *counter.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(place);
                counter.stopped.notify_one();
            }
            // Nothing happens any more in a world that has stopped, also not to calls that came later.
            pending::<()>().await;
        }
    }

    fn arm(&self, stop_at: u64) {
        self.0.passed.store(0, Ordering::SeqCst);
        self.0.stop_at.store(stop_at, Ordering::SeqCst);
        *self.0.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    fn place(&self) -> Option<&'static str> {
        *self.0.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A backend that passes a point before and after every durable write.
#[derive(Clone)]
struct Stopping {
    inner: MemoryBackend,
    points: Points,
}

impl std::fmt::Debug for Stopping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Backend for Stopping {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>> {
        self.inner.load()
    }
    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>> {
        self.inner.acquire(holder)
    }
    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        Box::pin(async move {
            self.points.pass("before a durable write").await;
            let result = self.inner.append(lease, expected, entry).await;
            self.points.pass("after a durable write").await;
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
            self.points.pass("before the snapshot").await;
            let result = self.inner.compact(lease, expected, snapshot).await;
            self.points.pass("after the snapshot").await;
            result
        })
    }
    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.unlock(holder_id)
    }
    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.delete(lease)
    }
}

/// What simulated crashes found.
#[derive(Debug, Clone, Default)]
pub struct CrashReport {
    /// How many crashes were simulated.
    pub crashes: usize,
    /// What went wrong, each with the point of its crash.
    pub problems: Vec<String>,
}

impl CrashReport {
    /// Every crash was followed by a run that brought the stack to where a run without a crash brings it, with nothing
    /// made twice, nothing left behind, and the state whole.
    ///
    /// # Panics
    /// When one was not; the message names the points.
    #[track_caller]
    pub fn assert_converges(&self) {
        assert!(self.crashes > 0, "the program does nothing, so that there was nothing to interrupt");
        assert!(
            self.problems.is_empty(),
            "{} of {} crashes did not converge:\n{}",
            self.problems.len(),
            self.crashes,
            self.problems.join("\n")
        );
    }
}

/// More points than any program under test has.
const MANY: u64 = 100_000;

/// Runs an operation that is stopped dead at a point: where it was stopped, or the run if it ended before.
pub(super) async fn killed_at(test: &Test, point: u64, what: What) -> Result<TestRun, &'static str> {
    let points = test.world.cloud.points.clone();
    points.arm(point);
    let backend = Arc::new(Stopping { inner: test.world.backend.clone(), points: points.clone() });
    let ended = tokio::select! {
        run = test.run_on(what, &test.world, backend) => Some(run),
        () = points.0.stopped.notified() => None,
    };
    let place = points.place();
    points.arm(0);
    match (ended, place) {
        (Some(run), None) => Ok(run),
        (_, place) => Err(place.unwrap_or("at an unknown point")),
    }
}

pub(super) async fn simulate(test: &Test, earlier: Option<&Test>) -> CrashReport {
    let mut report = CrashReport::default();
    for (what, says_ids) in [(What::Up, false), (What::Up, true), (What::Destroy, false)] {
        let calm = fresh(test);
        if let Err(problem) = calmly(&calm, earlier, what).await {
            report.problems.push(format!("without any crash: {problem}"));
            return report;
        }
        let expected = calm.world.cloud.urns();
        for stop_at in 1..MANY {
            let shaken = fresh(test);
            shaken.world.cloud.say_ids(says_ids);
            if let Err(problem) = prepared(&shaken, earlier, what).await {
                report.problems.push(format!("without any crash: {problem}"));
                return report;
            }
            let Err(place) = killed_at(&shaken, stop_at, what).await else { break };
            report.crashes += 1;
            if let Err(problem) = recovers(&shaken, what, &expected).await {
                let what = if matches!(what, What::Destroy) { "destroy" } else { "up" };
                report.problems.push(format!("`{what}` stopped at point {stop_at} ({place}): {problem}"));
            }
        }
    }
    report
}

/// Brings a world to where the operation begins.
async fn prepared(test: &Test, earlier: Option<&Test>, what: What) -> Result<(), String> {
    if let Some(earlier) = earlier {
        ended_well(&Test { world: test.world.clone(), ..earlier.clone() }, What::Up).await?;
    }
    if matches!(what, What::Destroy) {
        ended_well(test, What::Up).await?;
    }
    Ok(())
}

async fn calmly(test: &Test, earlier: Option<&Test>, what: What) -> Result<(), String> {
    prepared(test, earlier, what).await?;
    ended_well(test, what).await.map(drop)
}

/// The next run brings everything to its end, and the one after it finds nothing to do.
async fn recovers(test: &Test, what: What, expected: &[Urn]) -> Result<(), String> {
    let run = ended_well(test, what).await?;
    check(test, &run, expected)?;
    let again = ended_well(test, what).await?;
    if again.appended() > 0 {
        let steps: Vec<_> = again.steps().iter().map(|(verb, urn)| format!("{} {urn}", verb.name())).collect();
        return Err(format!("the run after the next one still had something to do: {}", steps.join(", ")));
    }
    Ok(())
}

/// The same test on an empty world.
fn fresh(test: &Test) -> Test {
    let world = World {
        cloud: Cloud::default(),
        backend: MemoryBackend::default(),
        sealer: Arc::clone(&test.world.sealer),
        seed: test.world.seed,
    };
    Test { world, ..test.clone() }
}

async fn ended_well(test: &Test, what: What) -> Result<TestRun, String> {
    let run = test.run(what, &test.world).await;
    match &run.result {
        Ok(_) => Ok(run),
        // What is protected stays, with or without a crash.
        Err(error) if error.exit_code() == 3 => Ok(run),
        Err(error) => Err(format!("{error}; {}", run.failures().join("; "))),
    }
}

fn check(test: &Test, run: &TestRun, expected: &[Urn]) -> Result<(), String> {
    verify(&run.state).map_err(|error| error.to_string())?;
    let there = test.world.cloud.urns();
    if there != expected {
        return Err(format!("the cloud has {there:?}, and without a crash it has {expected:?}"));
    }
    let mut ids = test.world.cloud.ids();
    let mut recorded: Vec<String> = run.state.resources.values().map(|record| record.id.clone()).collect();
    ids.sort();
    recorded.sort();
    if ids != recorded {
        return Err(format!("the cloud has {ids:?}, and the state has {recorded:?}"));
    }
    if !run.state.intents.is_empty() {
        return Err(format!("{} calls are still open", run.state.intents.len()));
    }
    Ok(())
}
