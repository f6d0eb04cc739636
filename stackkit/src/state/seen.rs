//! `Seen`: how far this machine has seen each state. Nothing inside a state can tell that all of it was put back to an
//! earlier moment; what was seen of it before can.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::StateError;
use super::store::Store;
use crate::seal::private_folder;
use crate::user;

/// The version of the files; another one says nothing.
const VERSION: u32 = 1;

/// Longer files are not ours.
const LONGEST: u64 = 4096;

/// A folder of its user with a file for each state that was read here: its position, and the code of everything up to
/// there. A machine that has never read a state knows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    folder: PathBuf,
}

/// Where a state stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    stackkit: u32,
    position: u64,
    chain: String,
}

impl Mark {
    fn of(store: &Store) -> Self {
        Self { stackkit: VERSION, position: store.position().0, chain: store.fingerprint() }
    }
}

impl Seen {
    /// What is kept in a folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// `$XDG_STATE_HOME/stackkit/seen`, or in `~/.local/state`; `None` where the user has neither.
    pub fn of_user() -> Option<Self> {
        Some(Self::new(user::folder("XDG_STATE_HOME", ".local/state")?.join("stackkit/seen")))
    }

    /// That a state is not behind what was seen of it, and goes on from there.
    ///
    /// # Errors
    /// [`StateError::RolledBack`] and [`StateError::OtherHistory`].
    pub fn check(&self, store: &Store) -> Result<(), StateError> {
        let Some(seen) = self.read(store.lineage()) else { return Ok(()) };
        let (place, now) = (store.backend().describe(), store.position().0);
        if now < seen.position {
            return Err(StateError::RolledBack { place, seen: seen.position, now });
        }
        match store.fingerprint_at(seen.position) {
            Some(chain) if chain != seen.chain => Err(StateError::OtherHistory { place, position: seen.position }),
            _ => Ok(()),
        }
    }

    /// Keeps where a state stands, unless it was seen further on.
    ///
    /// # Errors
    /// When the file cannot be written; what is known is then as before.
    pub fn note(&self, store: &Store) -> io::Result<()> {
        let now = Mark::of(store);
        match self.read(store.lineage()) {
            Some(seen) if seen.position > now.position || seen == now => Ok(()),
            _ if now.position == 0 => Ok(()),
            _ => self.write(store.lineage(), &now),
        }
    }

    /// Goes on from where a state stands, wherever it was seen before: that position, if it was.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn accept(&self, store: &Store) -> io::Result<Option<u64>> {
        let seen = self.read(store.lineage());
        self.write(store.lineage(), &Mark::of(store))?;
        Ok(seen.map(|seen| seen.position))
    }

    /// Forgets a state that is no more.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget(&self, lineage: &str) -> io::Result<()> {
        match fs::remove_file(self.path(lineage)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A lineage is a UUID wherever it comes from a header; what else it may be does not lead out of the folder.
    fn path(&self, lineage: &str) -> PathBuf {
        let name: String = lineage.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        self.folder.join(format!("{name}.json"))
    }

    fn read(&self, lineage: &str) -> Option<Mark> {
        let mut bytes = Vec::new();
        fs::File::open(self.path(lineage)).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|mark: &Mark| mark.stackkit == VERSION)
    }

    fn write(&self, lineage: &str, mark: &Mark) -> io::Result<()> {
        private_folder(&self.folder)?;
        let mut file = tempfile::Builder::new().prefix(".seen").suffix(".tmp").tempfile_in(&self.folder)?;
        file.write_all(serde_json::to_string(mark)?.as_bytes())?;
        file.persist(self.path(lineage)).map_err(|error| error.error)?;
        Ok(())
    }
}
