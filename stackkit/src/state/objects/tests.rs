//! The algorithm on objects in memory, with a store that says what the real ones say on bad days.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::*;
use crate::state::backend::{Holder, Lease, Position};
use crate::state::lease::settled;
use crate::testing::backend::checks;

/// What becomes of the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// It is kept, and the answer is lost.
    LosesAnswer,
    /// It gets lost itself.
    LosesWrite,
    /// It is kept, and its repetition by the client below is what is answered.
    AnswersTheSecond,
    /// The holder of the lock that is written renews it first.
    Renews,
}

#[derive(Debug)]
struct Kept {
    version: u64,
    body: Vec<u8>,
    writer: String,
    at: Instant,
}

#[derive(Debug, Default)]
struct Shelf {
    objects: Mutex<BTreeMap<String, Kept>>,
    days: Mutex<Vec<Day>>,
    puts: AtomicUsize,
    gets: AtomicUsize,
    lists: AtomicUsize,
    prepared: AtomicUsize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    fn keep(&self, write: Write<'_>) -> Put {
        let mut objects = locked(&self.objects);
        let there = objects.get(write.key).map(|kept| kept.version);
        let fits = match write.when {
            When::Absent => there.is_none(),
            When::Is(version) => there.is_some_and(|there| there.to_string() == version),
        };
        if !fits {
            return Put::Refused;
        }
        let version = there.unwrap_or_default() + 1;
        let kept = Kept { version, body: write.body.to_vec(), writer: write.writer.to_owned(), at: Instant::now() };
        objects.insert(write.key.to_owned(), kept);
        Put::Kept(version.to_string())
    }

    /// Writes a lock once more as its holder does.
    fn renew(&self, key: &str) {
        let (version, body) = match locked(&self.objects).get(key) {
            Some(kept) => (kept.version.to_string(), kept.body.clone()),
            None => return,
        };
        let mut words: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let beat = words["beat"].as_u64().unwrap_or_default() + 1;
        words["beat"] = beat.into();
        let writer = format!("{} {beat}", words["holder"]["id"].as_str().unwrap_or_default());
        let body = words.to_string();
        let write = Write { key, when: When::Is(&version), body: body.as_bytes(), writer: &writer };
        assert!(matches!(self.keep(write), Put::Kept(_)));
    }

    fn counts(&self) -> [usize; 3] {
        [&self.puts, &self.gets, &self.lists].map(|count| count.swap(0, Ordering::SeqCst))
    }
}

impl Objects for Shelf {
    fn describe(&self) -> String {
        "shelf://".into()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(())))
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BackendError>> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        let object = locked(&self.objects).get(key).map(|kept| Object {
            body: kept.body.clone(),
            version: kept.version.to_string(),
            writer: Some(kept.writer.clone()),
            age: Some(kept.at.elapsed()),
        });
        Box::pin(async { Ok(object) })
    }

    fn put<'a>(&'a self, write: Write<'a>) -> BoxFuture<'a, Result<Put, BackendError>> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        let unsure = || Put::Unsure(BackendError::Unfit("no answer".into()));
        let day = locked(&self.days).pop();
        let put = match day {
            None => self.keep(write),
            Some(Day::LosesWrite) => unsure(),
            Some(Day::LosesAnswer) => {
                self.keep(write);
                unsure()
            }
            Some(Day::Renews) => {
                self.renew(write.key);
                self.keep(write)
            }
            Some(Day::AnswersTheSecond) => {
                self.keep(write);
                self.keep(write)
            }
        };
        Box::pin(async { Ok(put) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Listed>, BackendError>> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        let objects = locked(&self.objects);
        let listed = objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, kept)| Listed { key: key.clone(), size: kept.body.len() as u64, at: None })
            .collect();
        Box::pin(async { Ok(listed) })
    }

    fn delete<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<(), BackendError>> {
        let mut objects = locked(&self.objects);
        keys.iter().for_each(|key| drop(objects.remove(key)));
        Box::pin(async { Ok(()) })
    }
}

fn place() -> (Arc<Shelf>, ObjectPlace) {
    let shelf = Arc::new(Shelf::default());
    let settings = Settings { ttl: Duration::from_secs(3600), ..Settings::default() };
    (Arc::clone(&shelf), ObjectPlace::new(shelf, settings))
}

fn stack(place: &ObjectPlace) -> Arc<dyn Backend> {
    place.stack("dev").unwrap_or_else(|error| panic!("{error}"))
}

async fn hold(backend: &dyn Backend) -> Arc<dyn Lease> {
    let holder = Holder::new("test").unwrap_or_else(|error| panic!("{error}"));
    backend.acquire(holder).await.unwrap_or_else(|error| panic!("{error}"))
}

fn entry(n: u64) -> Vec<u8> {
    format!(r#"{{"stackkit":1,"n":{n}}}"#).into_bytes()
}

/// Rules: 35.
#[tokio::test]
async fn objects_hold_to_everything() {
    let (_, place) = place();
    assert_eq!(checks::all(&place, false).await, Ok(()));
}

#[tokio::test]
async fn a_step_is_one_write() {
    let (shelf, place) = place();
    let backend = stack(&place);
    let lease = hold(&*backend).await;
    backend.load().await.unwrap_or_else(|error| panic!("{error}"));
    for n in 0..40 {
        shelf.counts();
        let reached = backend.append(&*lease, Position(n), &entry(n + 1)).await;
        assert_eq!(reached.ok(), Some(Position(n + 1)));
        assert_eq!(shelf.counts(), [1, 0, 0], "step {n}");
    }
    // Who takes the lock next reads the log by one listing, one read an entry and one more look at the lock, and looks at
    // the place no more.
    drop(lease);
    settled().await;
    shelf.counts();
    let other = stack(&place);
    let lease = hold(&*other).await;
    other.load().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(shelf.counts(), [1, 42, 1]);
    assert_eq!(shelf.prepared.load(Ordering::SeqCst), 1);
    drop(lease);
    settled().await;
}

#[tokio::test(start_paused = true)]
async fn ones_own_write_is_known_again() {
    let (shelf, place) = place();
    let backend = stack(&place);
    let lease = hold(&*backend).await;
    let days = [
        vec![Day::LosesAnswer],
        vec![Day::LosesWrite; 4],
        vec![Day::AnswersTheSecond],
        // Kept at last, and its answer is lost too.
        vec![Day::LosesAnswer, Day::LosesWrite, Day::LosesWrite],
    ];
    for (n, days) in (0..).zip(days) {
        *locked(&shelf.days) = days.clone();
        let reached = backend.append(&*lease, Position(n), &entry(n + 1)).await;
        assert_eq!(reached.ok(), Some(Position(n + 1)), "{days:?}");
    }
    let loaded = backend.load().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.entries, (1..=4).map(entry).collect::<Vec<_>>());
    drop(lease);
    settled().await;
}

/// A write that was given up may still come: whoever is next puts something in its way.
#[tokio::test(start_paused = true)]
async fn a_write_that_was_given_up_is_kept_out() {
    let (shelf, place) = place();
    let backend = stack(&place);
    let lease = hold(&*backend).await;
    *locked(&shelf.days) = vec![Day::LosesWrite; 9];
    assert!(backend.append(&*lease, Position(0), &entry(1)).await.is_err());
    locked(&shelf.days).clear();
    drop(lease);
    settled().await;
    let lease = hold(&*backend).await;
    let late = Write {
        key: "stacks/dev/log/00000000000000000000",
        when: When::Absent,
        body: &entry(1),
        writer: "the one before",
    };
    assert!(matches!(shelf.keep(late), Put::Refused));
    assert_eq!(backend.append(&*lease, Position(0), &entry(1)).await.ok(), Some(Position(1)));
    drop(lease);
    settled().await;
}

/// Both write the lock with the same count: neither may take the other's write for its own.
#[tokio::test]
async fn a_lock_that_is_renewed_while_it_is_ended_ends() {
    let (shelf, place) = place();
    let backend = stack(&place);
    let lease = hold(&*backend).await;
    *locked(&shelf.days) = vec![Day::Renews];
    backend.unlock(&lease.holder().id).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(locked(&shelf.days).is_empty(), "it was not renewed meanwhile");
    drop(hold(&*stack(&place)).await);
    assert!(backend.append(&*lease, Position(0), &entry(1)).await.is_err());
    drop(lease);
    settled().await;
}

/// It slept between taking the lock and reading: what was put in its way meanwhile is part of what it reads.
#[tokio::test]
async fn who_reads_after_the_lock_was_lost_writes_nothing() {
    let (_, place) = place();
    let (sleeper, other) = (stack(&place), stack(&place));
    let lease = hold(&*sleeper).await;
    other.unlock(&lease.holder().id).await.unwrap_or_else(|error| panic!("{error}"));
    let taken = hold(&*other).await;
    assert!(sleeper.load().await.is_ok());
    let result = sleeper.append(&*lease, Position(0), &entry(1)).await;
    assert!(matches!(result, Err(BackendError::Lost(Some(_)))), "{result:?}");
    assert_eq!(other.append(&*taken, Position(0), &entry(1)).await.ok(), Some(Position(1)));
    drop((lease, taken));
    settled().await;
}

#[test]
fn what_is_lacking_is_said_at_once() {
    assert!(fit("the bucket `acme`", &[]).is_ok());
    let lack = |name, remedy: &str| Lack { name, remedy: remedy.to_owned() };
    let lacks = [lack("versioning", "it keeps no old versions: `do this`"), lack("lock", "it is open: `do that`")];
    let error = fit("the bucket `acme`", &lacks).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(
        error,
        "the bucket `acme` is not fit to hold a state; it keeps no old versions: `do this`; it is open: `do that`; \
         where a store has no such thing, `?accept=versioning,lock` goes without"
    );
}
