//! The lock of a stack: an object that its holder rewrites, each time on the condition that nobody else has. Whether it
//! has ended is judged by the store's clock alone: the moment of the answer, and that at which the object was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Object, Objects, When, Write, put};
use crate::context::BoxFuture;
use crate::state::backend::{BackendError, Holder};
use crate::state::lease::Keeper;

/// How often a lock that changes under one's hands is looked at again.
const ATTEMPTS: u32 = 8;

/// What the object says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Words {
    stackkit: u64,
    /// Nobody, where it was given back.
    holder: Option<Holder>,
    /// How long it lasts after it was written.
    ttl_ms: u64,
    /// Makes each writing another object.
    beat: u64,
    /// Whether the holder before may still write: the next one has to put something in its way first.
    fence: bool,
}

/// A lock, taken.
pub(super) struct Taken {
    pub(super) lock: Arc<Lock>,
    /// Whether the holder before may still write.
    pub(super) fence: bool,
}

/// One's own lock.
pub(super) struct Lock {
    objects: Arc<dyn Objects>,
    key: String,
    holder: Holder,
    /// What marks the writes as this one's: a holder and whoever ends its lock must not take each other's for their own.
    writer: String,
    ttl: Duration,
    /// The version of the object that is one's own, and how often it was written.
    mine: tokio::sync::Mutex<(String, u64)>,
    /// Whether the next holder has to keep this one out: until the one before is kept out, and when the outcome of a
    /// write is not known.
    fence: AtomicBool,
}

/// What is there.
struct There {
    words: Words,
    version: String,
    /// How long it lasts; none if it has ended.
    left: Option<Duration>,
}

fn read(objects: &dyn Objects, object: &Object) -> Result<There, BackendError> {
    let words: Words = serde_json::from_slice(&object.body).map_err(|error| {
        BackendError::Corrupt(format!("the lock in {} cannot be read: {error}", objects.describe()))
    })?;
    let ttl = Duration::from_millis(words.ttl_ms);
    let age = object.age.ok_or_else(|| {
        let place = objects.describe();
        BackendError::Unfit(format!("{place} does not say what time it is: locks cannot be judged there"))
    })?;
    // Both times may be cut to seconds, and clocks of one store may differ a little.
    let slack = Duration::from_secs(2) + ttl / 20;
    let left = (ttl + slack).checked_sub(age);
    Ok(There { left: left.filter(|left| !left.is_zero()), version: object.version.clone(), words })
}

/// Who holds the lock now.
pub(super) async fn present(objects: &dyn Objects, stack: &str) -> Result<Option<Holder>, BackendError> {
    Ok(match objects.get(&key(stack)).await? {
        Some(object) => read(objects, &object)?.words.holder,
        None => None,
    })
}

fn key(stack: &str) -> String {
    format!("locks/{stack}")
}

/// Takes the lock of a stack, also over one that has ended. The place is looked at before the first lock of a stack is
/// made.
pub(super) async fn take(
    objects: &Arc<dyn Objects>,
    stack: &str,
    holder: Holder,
    ttl: Duration,
) -> Result<Taken, BackendError> {
    let key = key(stack);
    for _ in 0..ATTEMPTS {
        let there = match objects.get(&key).await? {
            Some(object) => Some(read(&**objects, &object)?),
            None => None,
        };
        let (beat, fence) = match &there {
            None => (0, false),
            Some(there) => match (&there.words.holder, there.left) {
                (Some(other), Some(within)) if other.id != holder.id => {
                    return Err(BackendError::Leased { holder: Box::new(other.clone()), within });
                }
                (Some(other), _) => (there.words.beat, there.words.fence || other.id != holder.id),
                (None, _) => (there.words.beat, there.words.fence),
            },
        };
        if there.is_none() {
            objects.prepare().await?;
        }
        let lock = Lock {
            objects: Arc::clone(objects),
            key: key.clone(),
            holder: holder.clone(),
            writer: holder.id.clone(),
            ttl,
            mine: tokio::sync::Mutex::new((String::new(), beat)),
            fence: AtomicBool::new(fence),
        };
        let when = there.as_ref().map_or(When::Absent, |there| When::Is(&there.version));
        if lock.write(when, Some(&holder)).await? {
            return Ok(Taken { lock: Arc::new(lock), fence });
        }
    }
    Err(BackendError::Unfit(format!("the lock in {} changes all the time: run the command again", objects.describe())))
}

/// Ends a lock by its holder's id, and keeps that holder out by `fence`. No other writer has the name `writer`.
pub(super) async fn end<F>(
    objects: &Arc<dyn Objects>,
    stack: &str,
    id: &str,
    writer: &str,
    fence: impl Fn() -> F,
) -> Result<(), BackendError>
where
    F: Future<Output = Result<(), BackendError>>,
{
    let key = key(stack);
    for _ in 0..ATTEMPTS {
        let there = match objects.get(&key).await? {
            Some(object) => Some(read(&**objects, &object)?),
            None => None,
        };
        let holder = there.as_ref().and_then(|there| there.words.holder.clone());
        let (Some(there), Some(holder)) = (there, holder.clone().filter(|holder| holder.id == id)) else {
            return Err(BackendError::no_such_lock(id, holder.as_ref()));
        };
        let lock = Lock {
            objects: Arc::clone(objects),
            key: key.clone(),
            holder,
            writer: writer.to_owned(),
            ttl: Duration::from_millis(there.words.ttl_ms),
            mine: tokio::sync::Mutex::new((String::new(), there.words.beat)),
            fence: AtomicBool::new(true),
        };
        if lock.write(When::Is(&there.version), None).await? {
            return fence().await;
        }
    }
    Err(BackendError::Unfit(format!("the lock in {} is alive: end its process", objects.describe())))
}

impl Lock {
    /// Whether it is held under this id.
    pub(super) fn is(&self, id: &str) -> bool {
        self.holder.id == id
    }

    /// The holder before cannot write any more.
    pub(super) fn fenced(&self) {
        self.fence.store(false, Ordering::SeqCst);
    }

    /// It is not known what became of a write of this holder.
    pub(super) fn unsure(&self) {
        self.fence.store(true, Ordering::SeqCst);
    }

    /// Writes the object on a condition. Says whether the condition held.
    async fn write(&self, when: When<'_>, holder: Option<&Holder>) -> Result<bool, BackendError> {
        let mut mine = self.mine.lock().await;
        self.write_held(&mut mine, when, holder).await
    }

    async fn write_held(
        &self,
        mine: &mut (String, u64),
        when: When<'_>,
        holder: Option<&Holder>,
    ) -> Result<bool, BackendError> {
        let words = Words {
            stackkit: 1,
            holder: holder.cloned(),
            ttl_ms: u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX),
            beat: mine.1.wrapping_add(1),
            fence: self.fence.load(Ordering::SeqCst),
        };
        let body = serde_json::to_vec(&words).map_err(|error| BackendError::Corrupt(error.to_string()))?;
        let writer = format!("{} {}", self.writer, words.beat);
        let write = Write { key: &self.key, when, body: &body, writer: &writer };
        let Some(version) = put(&*self.objects, write).await? else { return Ok(false) };
        *mine = (version, words.beat);
        Ok(true)
    }

    /// Rewrites one's own object; says who has it if it is one's own no more.
    async fn rewrite(&self, holder: Option<&Holder>) -> Result<(), BackendError> {
        let mut mine = self.mine.lock().await;
        for _ in 0..ATTEMPTS {
            let version = mine.0.clone();
            if self.write_held(&mut mine, When::Is(&version), holder).await? {
                return Ok(());
            }
            // An earlier writing of one's own may have been kept after it was given up.
            match self.objects.get(&self.key).await? {
                None => return Err(BackendError::Lost(None)),
                Some(object) => {
                    let there = read(&*self.objects, &object)?;
                    match there.words.holder {
                        Some(other) if other.id == self.holder.id => *mine = (there.version, there.words.beat),
                        other => return Err(BackendError::Lost(other.map(Box::new))),
                    }
                }
            }
        }
        Err(BackendError::Unfit(format!("the lock in {} changes all the time", self.objects.describe())))
    }
}

/// Keeps a lock that is shared with the log that writes under it.
pub(super) struct Kept(pub(super) Arc<Lock>);

impl Keeper for Kept {
    fn renew(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move { self.0.rewrite(Some(&self.0.holder)).await })
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // What is not given back ends by itself.
            let _ = self.0.rewrite(None).await;
        })
    }
}
