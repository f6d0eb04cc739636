//! What a backend has to hold to, one thing after the other, in one process.

use std::sync::Arc;

use super::worker::{Append, appends, entry, snapshot};
use crate::audit::merged;
use crate::state::backend::{AuditPart, Backend, BackendError, Holder, Lease, Position};
use crate::state::lease::settled;
use crate::state::place::Place;

type Check = Result<(), String>;

/// All checks. `system` says that locks are the operating system's: they end with their process and at no other time.
pub(crate) async fn all(place: &dyn Place, system: bool) -> Check {
    let named = |name: &'static str, result: Check| result.map_err(|error| format!("{name}: {error}"));
    named("an unused name is an empty log", empty(place).await)?;
    named("what is appended is read again", appended(place).await)?;
    named("one writer", one_writer(place).await)?;
    named("an append names the position that it follows", positions(place).await)?;
    named("a lock ended by its id", unlocked(place, system).await)?;
    named("a folded log goes on", folded(place).await)?;
    named("a snapshot of any position begins an empty log", moved_in(place).await)?;
    named("large entries", large(place).await)?;
    named("a deleted stack is gone, and its name free", deleted(place).await)?;
    named("lines of the audit log stay", audited(place).await)?;
    named("names lead nowhere else", names(place))?;
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn stack(place: &dyn Place, name: &str) -> Result<Arc<dyn Backend>, String> {
    place.stack(name).map_err(text)
}

async fn hold(backend: &dyn Backend) -> Result<Arc<dyn Lease>, String> {
    let holder = Holder::new("check").map_err(text)?;
    backend.acquire(holder).await.map_err(text)
}

async fn give_back(lease: Arc<dyn Lease>) {
    drop(lease);
    settled().await;
}

fn append(round: u64) -> Append {
    Append { writer: 0, round, holder: "checks".into() }
}

async fn add(backend: &dyn Backend, lease: &dyn Lease, from: u64, count: u64) -> Check {
    for n in from..from + count {
        let reached = backend.append(lease, Position(n), &entry(n + 1, &append(n))).await.map_err(text)?;
        ensure(reached == Position(n + 1), || format!("append {} reached {}", n + 1, reached.0))?;
    }
    Ok(())
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(why()) }
}

/// How many appends a log holds.
async fn count(backend: &dyn Backend) -> Result<usize, String> {
    Ok(appends(&backend.load().await.map_err(text)?)?.len())
}

async fn empty(place: &dyn Place) -> Check {
    let backend = stack(place, "unused")?;
    let loaded = backend.load().await.map_err(text)?;
    ensure(loaded.snapshot.is_none() && loaded.entries.is_empty() && loaded.position == Position(0), || {
        "something is there".into()
    })?;
    give_back(hold(&*backend).await?).await;
    let list = place.list().await.map_err(text)?;
    ensure(!list.contains(&"unused".to_owned()), || "a stack that nothing was appended to is listed".into())
}

async fn appended(place: &dyn Place) -> Check {
    let backend = stack(place, "appended")?;
    let lease = hold(&*backend).await?;
    add(&*backend, &*lease, 0, 3).await?;
    // Read by another, while the lock is held.
    let loaded = stack(place, "appended")?.load().await.map_err(text)?;
    let expected: Vec<_> = (0..3).map(|n| entry(n + 1, &append(n))).collect();
    ensure(loaded.entries == expected, || "the entries differ from what was appended".into())?;
    ensure(loaded.position == Position(3), || format!("the position is {}", loaded.position.0))?;
    let list = place.list().await.map_err(text)?;
    ensure(list.contains(&"appended".to_owned()), || format!("it is not in the list {list:?}"))?;
    give_back(lease).await;
    Ok(())
}

async fn one_writer(place: &dyn Place) -> Check {
    let (first, second) = (stack(place, "locked")?, stack(place, "locked")?);
    let lease = hold(&*first).await?;
    let holder = Holder::new("second").map_err(text)?;
    match second.acquire(holder.clone()).await {
        Err(BackendError::Locked(other) | BackendError::Leased { holder: other, .. }) => {
            let mine = lease.holder();
            ensure(other.id == mine.id && other.who == mine.who && other.operation == mine.operation, || {
                format!("the holder that it shows is {other:?}, not {mine:?}")
            })?;
        }
        Err(error) => return Err(format!("the second writer was told `{error}`")),
        Ok(_) => return Err("two hold the lock".into()),
    }
    lease.confirm().await.map_err(text)?;
    give_back(lease).await;
    // The very next attempt gets it.
    give_back(second.acquire(holder).await.map_err(text)?).await;
    Ok(())
}

async fn positions(place: &dyn Place) -> Check {
    let backend = stack(place, "positions")?;
    let lease = hold(&*backend).await?;
    add(&*backend, &*lease, 0, 2).await?;
    for wrong in [0, 1, 3] {
        match backend.append(&*lease, Position(wrong), &entry(wrong + 1, &append(9))).await {
            Err(BackendError::Moved { found, .. }) => {
                ensure(found == Position(2), || format!("it says that the position is {}", found.0))?;
            }
            Err(error) => return Err(format!("an append after position {wrong} was told `{error}`")),
            Ok(_) => return Err(format!("an append after position {wrong} was taken at position 2")),
        }
        ensure(backend.compact(&*lease, Position(wrong), &snapshot(wrong, &[])).await.is_err(), || {
            format!("a fold at position {wrong} was taken at position 2")
        })?;
    }
    add(&*backend, &*lease, 2, 1).await?;
    ensure(count(&*backend).await? == 3, || "what was refused is there".into())?;
    give_back(lease).await;
    Ok(())
}

async fn unlocked(place: &dyn Place, system: bool) -> Check {
    let (first, second) = (stack(place, "unlocked")?, stack(place, "unlocked")?);
    let lease = hold(&*first).await?;
    add(&*first, &*lease, 0, 1).await?;
    ensure(second.unlock("no-such-id").await.is_err(), || "an id that nobody has ended the lock".into())?;
    let result = second.unlock(&lease.holder().id).await;
    if system {
        ensure(result.is_err(), || "the lock of a living process was ended".into())?;
        return add(&*first, &*lease, 1, 1).await;
    }
    result.map_err(|error| format!("the lock cannot be ended: {error}"))?;
    // Nobody has taken it yet, and still its holder is out.
    let other = hold(&*second).await?;
    ensure(first.append(&*lease, Position(1), &entry(2, &append(1))).await.is_err(), || {
        "the writer whose lock was ended appends".into()
    })?;
    ensure(first.compact(&*lease, Position(1), &snapshot(1, &[])).await.is_err(), || {
        "the writer whose lock was ended folds".into()
    })?;
    ensure(first.delete(&*lease).await.is_err(), || "the writer whose lock was ended deletes".into())?;
    give_back(lease).await;
    add(&*second, &*other, 1, 1).await?;
    ensure(count(&*second).await? == 2, || "appends are missing".into())?;
    give_back(other).await;
    Ok(())
}

async fn folded(place: &dyn Place) -> Check {
    let backend = stack(place, "folded")?;
    let lease = hold(&*backend).await?;
    for from in [0, 5, 10] {
        add(&*backend, &*lease, from, 5).await?;
        let all: Vec<_> = (0..from + 5).map(append).collect();
        let text_of = snapshot(from + 5, &all);
        backend.compact(&*lease, Position(from + 5), &text_of).await.map_err(text)?;
        let loaded = stack(place, "folded")?.load().await.map_err(text)?;
        ensure(loaded.snapshot.as_deref() == Some(&*text_of), || "the snapshot differs from what was folded".into())?;
        ensure(loaded.entries.is_empty(), || "entries that the snapshot holds are still there".into())?;
        ensure(loaded.position == Position(from + 5), || format!("the position is {}", loaded.position.0))?;
    }
    // Folding twice at one position is no harm: the answer to the first may have been lost.
    let all: Vec<_> = (0..15).map(append).collect();
    backend.compact(&*lease, Position(15), &snapshot(15, &all)).await.map_err(text)?;
    add(&*backend, &*lease, 15, 2).await?;
    give_back(lease).await;
    // Another writer goes on where it ended.
    let other = stack(place, "folded")?;
    let lease = hold(&*other).await?;
    add(&*other, &*lease, 17, 1).await?;
    ensure(count(&*other).await? == 18, || "appends are missing".into())?;
    for version in other.history().await.map_err(text)? {
        let bytes = other.load_version(&version.id).await.map_err(text)?;
        let held = crate::state::backend::snapshot_position(&bytes);
        ensure(held == Some(version.position), || format!("version {} is of position {held:?}", version.id))?;
    }
    give_back(lease).await;
    Ok(())
}

async fn moved_in(place: &dyn Place) -> Check {
    let backend = stack(place, "moved-in")?;
    let lease = hold(&*backend).await?;
    let all: Vec<_> = (0..40).map(append).collect();
    backend.compact(&*lease, Position(0), &snapshot(40, &all)).await.map_err(text)?;
    add(&*backend, &*lease, 40, 1).await?;
    ensure(count(&*backend).await? == 41, || "appends are missing".into())?;
    give_back(lease).await;
    Ok(())
}

async fn large(place: &dyn Place) -> Check {
    let backend = stack(place, "large")?;
    let lease = hold(&*backend).await?;
    let big = Append { holder: "ä".repeat(1024 * 1024), ..append(0) };
    backend.append(&*lease, Position(0), &entry(1, &big)).await.map_err(text)?;
    backend.compact(&*lease, Position(1), &snapshot(1, std::slice::from_ref(&big))).await.map_err(text)?;
    let loaded = backend.load().await.map_err(text)?;
    ensure(appends(&loaded)? == [big], || "it came back otherwise".into())?;
    give_back(lease).await;
    Ok(())
}

async fn deleted(place: &dyn Place) -> Check {
    let backend = stack(place, "deleted")?;
    let lease = hold(&*backend).await?;
    add(&*backend, &*lease, 0, 3).await?;
    backend.compact(&*lease, Position(3), &snapshot(3, &[append(0), append(1), append(2)])).await.map_err(text)?;
    add(&*backend, &*lease, 3, 2).await?;
    backend.delete(&*lease).await.map_err(text)?;
    give_back(lease).await;
    let list = place.list().await.map_err(text)?;
    ensure(!list.contains(&"deleted".to_owned()), || "it is still listed".into())?;
    // Another one of that name begins anew, by another process.
    let backend = stack(place, "deleted")?;
    ensure(count(&*backend).await? == 0, || "something is left".into())?;
    let lease = hold(&*backend).await?;
    add(&*backend, &*lease, 0, 2).await?;
    ensure(count(&*backend).await? == 2, || "the new one is not what was appended".into())?;
    give_back(lease).await;
    Ok(())
}

async fn audited(place: &dyn Place) -> Check {
    let backend = stack(place, "audited")?;
    let Some(store) = backend.audit() else { return Ok(()) };
    let (one, other) = ("0190a0a0-0000-7000-8000-00000000aaaa", "0190a0a0-0000-7000-8000-00000000bbbb");
    let line = |n: u64| format!("{{\"n\":{n},\"text\":\"line {n} ä\"}}");
    let part = |first: u64, last: u64| AuditPart {
        first,
        last,
        text: (first..=last).flat_map(|n| [line(n), "\n".into()]).collect(),
    };
    let lease = hold(&*backend).await?;
    add(&*backend, &*lease, 0, 1).await?;
    // Twice the same, and once more with another line, as after folds that were cut short.
    for (first, last) in [(1, 2), (1, 2), (1, 3), (4, 4), (5, 120)] {
        store.keep_audit(&*lease, one, &part(first, last)).await.map_err(text)?;
    }
    store.keep_audit(&*lease, other, &part(1, 1)).await.map_err(text)?;
    let whole: Vec<_> = (1..=120).map(line).collect();
    let lines = async |backend: &dyn Backend, lineage: &str, from: u64| {
        let Some(store) = backend.audit() else { return Err("it is gone".to_owned()) };
        let parts = store.load_audit(lineage, from).await.map_err(text)?;
        Ok(merged(&parts, &[]).into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let read = lines(&*stack(place, "audited")?, one, 1).await?;
    ensure(read == whole, || format!("{} lines came back otherwise: {:?}", read.len(), read.get(..6)))?;
    let end = lines(&*backend, one, 119).await?;
    ensure(end.ends_with(&whole[118..]), || "the end alone is something else".into())?;
    ensure(lines(&*backend, other, 1).await? == whole[..1], || "two lineages are mixed".into())?;
    ensure(count(&*backend).await? == 1, || "lines are taken for entries".into())?;
    backend.delete(&*lease).await.map_err(text)?;
    give_back(lease).await;
    let read = lines(&*stack(place, "audited")?, one, 1).await?;
    ensure(read == whole, || "it went with the stack".into())?;
    let list = place.list().await.map_err(text)?;
    ensure(!list.contains(&"audited".to_owned()), || "lines alone are taken for a stack".into())
}

fn names(place: &dyn Place) -> Check {
    for name in ["", "..", "../x", "a/b", ".hidden", "a b", "a\nb"] {
        ensure(place.stack(name).is_err(), || format!("`{}` is taken for a stack's name", name.escape_debug()))?;
    }
    for name in ["prod", "prod-eu_1.a", "9"] {
        place.stack(name).map_err(text)?;
    }
    Ok(())
}
