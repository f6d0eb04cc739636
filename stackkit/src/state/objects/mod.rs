//! `Objects`: states of stacks in an object store. The log, its lock and what they rest on are here; a store supplies
//! six calls.
//!
//! A state of one's own on any store that writes on a condition is an implementation of [`Objects`], given to
//! [`ObjectPlace`]:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::{Arc, Mutex, PoisonError};
//! use std::time::Instant;
//! use stackkit::context::BoxFuture;
//! use stackkit::state::backend::BackendError;
//! use stackkit::state::objects::{Listed, Object, ObjectPlace, Objects, Put, Settings, When, Write};
//! use stackkit::state::place::{BackendKind, BackendUrl, Place};
//!
//! /// Objects in memory, each with the number of its version.
//! #[derive(Debug, Default)]
//! struct Shelf(Mutex<BTreeMap<String, (u64, Vec<u8>, String, Instant)>>);
//!
//! impl Objects for Shelf {
//!     fn describe(&self) -> String {
//!         "shelf://".into()
//!     }
//!
//!     fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BackendError>> {
//!         let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
//!         let object = shelf.get(key).map(|(version, body, writer, at)| Object {
//!             body: body.clone(),
//!             version: version.to_string(),
//!             writer: Some(writer.clone()),
//!             age: Some(at.elapsed()),
//!         });
//!         Box::pin(async { Ok(object) })
//!     }
//!
//!     fn put<'a>(&'a self, write: Write<'a>) -> BoxFuture<'a, Result<Put, BackendError>> {
//!         let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
//!         let there = shelf.get(write.key).map(|(version, ..)| *version);
//!         let put = match (write.when, there) {
//!             (When::Absent, Some(_)) | (When::Is(_), None) => Put::Refused,
//!             (When::Is(version), Some(there)) if version != there.to_string() => Put::Refused,
//!             _ => {
//!                 let version = there.unwrap_or_default() + 1;
//!                 let kept = (version, write.body.to_vec(), write.writer.to_owned(), Instant::now());
//!                 shelf.insert(write.key.to_owned(), kept);
//!                 Put::Kept(version.to_string())
//!             }
//!         };
//!         Box::pin(async { Ok(put) })
//!     }
//!
//!     fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Listed>, BackendError>> {
//!         let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
//!         let listed = |(key, (_, body, ..)): (&String, &(u64, Vec<u8>, String, Instant))| Listed {
//!             key: key.clone(),
//!             size: body.len() as u64,
//!             at: None,
//!         };
//!         let all = shelf.iter().filter(|(key, _)| key.starts_with(prefix)).map(listed).collect();
//!         Box::pin(async { Ok(all) })
//!     }
//!
//!     fn delete<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<(), BackendError>> {
//!         let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
//!         keys.iter().for_each(|key| drop(shelf.remove(key)));
//!         Box::pin(async { Ok(()) })
//!     }
//! }
//!
//! /// `shelf://`, forgotten when the process ends.
//! pub struct ShelfState;
//!
//! impl BackendKind for ShelfState {
//!     const SCHEMES: &'static [&'static str] = &["shelf"];
//!
//!     async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
//!         url.allow(&["ttl", "keep"])?;
//!         Ok(Arc::new(ObjectPlace::new(Arc::new(Shelf::default()), Settings::of(&url)?)))
//!     }
//! }
//! ```
//!
//! [`crate::testing::backend`] tries it then, with writers that are killed, stopped and misled.
//!
//! | key | object |
//! |---|---|
//! | `stacks/<stack>/log/<N>` | place `N` of the stack's sequence: one entry, or nothing |
//! | `stacks/<stack>/snap/<N>-<P>` | a folded state: it holds every entry before place `N`, up to position `P` |
//! | `locks/<stack>` | the lock: who holds it, and for how long after it was written |
//! | `stacks/<stack>/audit/<E>/<F>-<L>` | lines `F` to `L` of the audit log; `E` is the end of the lineage, reversed |
//!
//! What makes it safe are the conditions. A place of the sequence is put only if it is not there. A writer that takes
//! over a lock first puts an empty object where the writer before would append, so that its next append is refused by
//! the store itself. The lock is rewritten only as the version that was read.

mod fit;
mod lock;
mod log;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use fit::{Lack, fit};
use log::Log;
use survey::parse_key;

use super::backend::{Backend, BackendError, check_stack_name};
use super::lease::DEFAULT_TTL;
use super::place::{BackendUrl, Place};
use crate::access::{Grant, Role};
use crate::context::BoxFuture;

/// How many folded states are kept where nothing else is said.
pub const DEFAULT_KEEP: usize = 20;
/// How often a write is attempted again. Repeating it is safe: one that was kept is recognised.
const ATTEMPTS: u32 = 4;

/// An object store, or a part of one: a bucket and a prefix in it.
///
/// - Keys are names of ASCII letters, digits, `-`, `_` and `.`, with `/` between them, such as
///   `stacks/prod/log/00000000000000000007`: 60 bytes at most, and the stack's name. What stands before them in the store
///   is its own business.
/// - The store judges the condition of a write and does the write in one: of two at the same moment, one is refused.
/// - What was put or deleted is seen by every [`get`](Self::get) and [`list`](Self::list) that begins after it.
/// - A place that is not there yet, and that [`prepare`](Self::prepare) will make, is an empty one to `get` and `list`.
pub trait Objects: Send + Sync + fmt::Debug + 'static {
    /// Where it is, for messages, such as its URL. Passwords are not in it.
    fn describe(&self) -> String;

    /// That the place is fit to hold states; makes it where it is not there and its URL says so. Asked before the first
    /// lock of each stack is made, and at no other time.
    ///
    /// # Errors
    /// [`BackendError::Unfit`] with what is missing and how it is put right; see [`fit`](fit()).
    fn prepare(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// An object, whole; `None` where there is none.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BackendError>>;

    /// Writes an object on a condition; durable when it is [`Put::Kept`].
    ///
    /// # Errors
    /// What will not be otherwise at the next attempt: a right that is missing, a place that is not there. What may, is
    /// [`Put::Unsure`].
    fn put<'a>(&'a self, write: Write<'a>) -> BoxFuture<'a, Result<Put, BackendError>>;

    /// All objects whose key begins so, in any order. The prefix ends with a `/`: it is `stacks/`, or that and the name of
    /// a stack.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Listed>, BackendError>>;

    /// Deletes objects. One that is gone already is no error.
    fn delete<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<(), BackendError>>;

    /// What [`Backend::access`] says for a stack.
    fn access(&self, stack: &str, role: Role) -> Option<Grant> {
        let _ = (stack, role);
        None
    }
}

/// An object, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its bytes, as they were put.
    pub body: Vec<u8>,
    /// What [`When::Is`] takes: an ETag, a generation, a resource version.
    pub version: String,
    /// The [`writer`](Write::writer) that it was put with.
    pub writer: Option<String>,
    /// How long ago it was written, both moments by the store's clock; `None` where it does not say. Needed of objects
    /// below `locks/` alone: locks end by it. Whole seconds will do.
    pub age: Option<Duration>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key, as it was put.
    pub key: String,
    /// Its size in bytes: exactly, for an empty object means something else than any other.
    pub size: u64,
    /// When it was written by the store's clock, in seconds since 1970, where it says; shown by `state history`.
    pub at: Option<u64>,
}

/// What a write asks for.
#[derive(Debug, Clone, Copy)]
pub enum When<'a> {
    /// The object is not there.
    Absent,
    /// The object is this version.
    Is(&'a str),
}

/// A write on a condition.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Write<'a> {
    /// Where.
    pub key: &'a str,
    /// On what condition.
    pub when: When<'a>,
    /// The bytes. They may be none.
    pub body: &'a [u8],
    /// Some letters, digits, `-` and blanks that no other write has, kept beside the bytes (metadata, an annotation). By
    /// them a write whose answer was lost is known again as one's own.
    pub writer: &'a str,
}

/// What became of a write.
#[derive(Debug)]
pub enum Put {
    /// It was kept, as this version.
    Kept(String),
    /// The condition does not hold. It may be one's own earlier attempt that it met: whoever asked finds out.
    Refused,
    /// It may have been kept or not: no answer came, or one that says to try again later.
    Unsure(BackendError),
}

/// How states are kept in a place of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a lock outlives a dead process; 30 seconds unless set.
    pub ttl: Duration,
    /// How many folded states are kept for `state history`; 20 unless set.
    pub keep: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ttl: DEFAULT_TTL, keep: DEFAULT_KEEP }
    }
}

impl Settings {
    /// The options `ttl` and `keep` of a URL.
    ///
    /// # Errors
    /// When one of them makes no sense.
    pub fn of(url: &BackendUrl) -> Result<Self, BackendError> {
        Ok(Self {
            ttl: url.duration("ttl")?.unwrap_or(DEFAULT_TTL),
            keep: url.number("keep", 1..=500)?.map_or(DEFAULT_KEEP, usize::from),
        })
    }
}

/// States of stacks in a place of objects.
#[derive(Debug, Clone)]
pub struct ObjectPlace {
    objects: Arc<dyn Objects>,
    settings: Settings,
}

impl ObjectPlace {
    /// States in these objects.
    pub fn new(objects: Arc<dyn Objects>, settings: Settings) -> Self {
        Self { objects, settings }
    }
}

impl Place for ObjectPlace {
    fn describe(&self) -> String {
        self.objects.describe()
    }

    fn stack(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        check_stack_name(name)?;
        Ok(Arc::new(Log::new(Arc::clone(&self.objects), self.settings, name)))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, BackendError>> {
        Box::pin(async move {
            let prefix = "stacks/";
            let mut names = BTreeSet::new();
            for object in self.objects.list(prefix).await? {
                let Some((name, rest)) = object.key.strip_prefix(prefix).and_then(|key| key.split_once('/')) else {
                    continue;
                };
                // Of a deleted stack, only what keeps old writers out is left.
                if parse_key(rest).is_some_and(|kind| kind.is_content(object.size)) {
                    names.insert(name.to_owned());
                }
            }
            Ok(names.into_iter().collect())
        })
    }
}

/// Writes an object, and says as which version; `None` where the condition does not hold. What is not sure is tried
/// again a few times, and one's own write is recognised when only its answer was lost.
async fn put(objects: &dyn Objects, write: Write<'_>) -> Result<Option<String>, BackendError> {
    let mut attempt = 0;
    loop {
        let unsure = match objects.put(write).await? {
            Put::Kept(version) => return Ok(Some(version)),
            Put::Refused => None,
            Put::Unsure(error) => Some(error),
        };
        // What answers now is later than whatever became of the write.
        match (objects.get(write.key).await, unsure) {
            (Ok(Some(there)), _) if there.writer.as_deref() == Some(write.writer) => return Ok(Some(there.version)),
            (Ok(_), None) => return Ok(None),
            (Err(error), None) => return Err(error),
            (Ok(_) | Err(_), Some(_)) if attempt < ATTEMPTS => {}
            (Ok(_), Some(error)) | (Err(error), Some(_)) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(50) * 3_u32.pow(attempt)).await;
        attempt += 1;
    }
}
