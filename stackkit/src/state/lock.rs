//! The lock of a local state: an advisory lock of the operating system on a file that says who holds it. The system
//! frees it when its process ends, however that ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::backend::{BackendError, Holder};
use crate::seal::{SealError, hex, random};

impl Holder {
    /// This process, about to do an operation such as `up`.
    ///
    /// # Errors
    /// When the operating system gives no random bytes for the id.
    pub fn new(operation: &str) -> Result<Self, SealError> {
        let mut id = [0; 6];
        random(&mut id)?;
        let variable =
            |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
        let user = variable(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| "unknown user".into());
        let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .or_else(|| variable(&["HOSTNAME", "COMPUTERNAME"]))
            .unwrap_or_else(|| "unknown host".into());
        Ok(Self {
            id: hex(&id),
            who: format!("{user}@{host}"),
            pid: std::process::id(),
            operation: operation.into(),
            since: crate::clock::now(),
        })
    }

    /// Whoever holds a lock without having said who it is.
    fn unknown() -> Self {
        Self { id: "unknown".into(), who: "an unknown user".into(), pid: 0, operation: "unknown".into(), since: 0 }
    }
}

/// A held lock; dropping it frees it.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

/// Takes the lock at a path, or says who has it.
pub(crate) fn take(path: &Path, holder: &Holder) -> Result<FileLock, BackendError> {
    let error = |source| BackendError::Io { what: "lock", place: format!("`{}`", path.display()), source };
    loop {
        let mut file = open(path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(BackendError::Locked(Box::new(read(&mut file).unwrap_or_else(Holder::unknown))));
            }
            Err(TryLockError::Error(source)) => return Err(error(source)),
        }
        // Whoever deleted the stack meanwhile took the file away with it, and a lock on that file guards nothing.
        if !same_file(&file, path) {
            continue;
        }
        file.set_len(0).map_err(error)?;
        file.rewind().map_err(error)?;
        let text = serde_json::to_string(holder).map_err(|source| error(source.into()))?;
        file.write_all(text.as_bytes()).map_err(error)?;
        return Ok(FileLock { file });
    }
}

/// Who holds the lock at a path now, if anybody does.
pub(crate) fn holder(path: &Path) -> io::Result<Option<Holder>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read(&mut file).unwrap_or_else(Holder::unknown))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // An empty file says that nobody holds it. Closing the file would free the lock too, but not before a process
        // that is being started at this moment has closed the copy of it that it began with.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// The error of unlocking what is not held under that id.
pub(crate) fn not_that_lock(id: &str, holder: Option<&Holder>) -> BackendError {
    BackendError::Unfit(match holder {
        Some(holder) => format!(
            "there is no lock with id `{}`: the stack is locked by {} with id {}",
            id.escape_debug(),
            holder.who,
            holder.id
        ),
        None => format!("there is no lock with id `{}`: the stack is not locked", id.escape_debug()),
    })
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(64 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => held.ino() == there.ino() && held.dev() == there.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn same_file(_: &File, path: &Path) -> bool {
    path.exists()
}
