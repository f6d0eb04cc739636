//! `LocalBackend`: the log of a stack as files in a folder: a snapshot that people may read and commit, a journal, a lock,
//! and a mark that says while the snapshot does not hold all of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::{
    AuditPart, AuditStore, Backend, BackendError, Holder, Lease, Loaded, Position, check_stack_name, snapshot_position,
};
use super::lock::{self, FileLock};
use super::memory::position;
use super::place::Place;
use crate::access::{Grant, Role};
use crate::context::BoxFuture;
use crate::seal::{private_folder, sync_folder};

/// What must not be committed: all but the snapshots.
const GITIGNORE: &str = "*.journal\n*.lock\n*.rescue\n*.tmp\nselected\n";

/// The mark that the journal holds what the snapshot does not. It is not kept out of Git: whoever commits the snapshot
/// meanwhile sees it, and a copy that has it and no journal is refused.
const UNFOLDED: &str = "unfolded";

/// What the mark says to people.
const UNFOLDED_TEXT: &str = "A run is under way here, or was cut short: what it did is in the journal beside this file, which is not committed.\n\
     Do not commit the state as it is now. `state repair`, or the next run that ends in order, removes this file.\n";

/// The state of one stack in a folder: `<stack>.state.json`, `<stack>.journal`, `<stack>.lock`, and `<stack>.unfolded` while
/// the journal holds what the snapshot does not, and the audit log in `<stack>.audit/<lineage>.jsonl`.
///
/// Its calls do their file operations on the calling thread. An append is a few kilobytes and one `fdatasync`, a
/// fraction of a millisecond on a solid-state disk; handing it to another thread and back costs about as much, on the
/// critical path of every step.
#[derive(Debug, Clone)]
pub struct LocalBackend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    stack: String,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    id: String,
    _lock: FileLock,
    /// Opened by the first append.
    journal: Option<Journal>,
}

/// The journal as this holder left it: whatever lies beyond `length` is an append that failed half-way.
#[derive(Debug)]
struct Journal {
    file: File,
    length: u64,
    position: u64,
    /// Whether the mark is there.
    marked: bool,
}

#[derive(Debug)]
struct LocalLease {
    holder: Holder,
    inner: Arc<Inner>,
}

impl Lease for LocalLease {
    fn holder(&self) -> &Holder {
        &self.holder
    }
}

impl Drop for LocalLease {
    fn drop(&mut self) {
        let mut held = self.inner.held();
        if held.as_ref().is_some_and(|held| held.id == self.holder.id) {
            *held = None;
        }
    }
}

impl LocalBackend {
    /// The state of a stack in a folder. Nothing is made before the first lock.
    pub fn new(dir: impl Into<PathBuf>, stack: &str) -> Self {
        Self(Arc::new(Inner { dir: dir.into(), stack: stack.to_owned(), held: Mutex::new(None) }))
    }

    /// The file of the snapshot.
    pub fn snapshot_path(&self) -> PathBuf {
        self.0.path("state.json")
    }

    /// The file of the journal.
    pub fn journal_path(&self) -> PathBuf {
        self.0.path("journal")
    }

    /// Where a rescue file belongs if the folder itself can still be written.
    pub fn rescue_path(&self) -> PathBuf {
        self.0.path("rescue")
    }
}

/// What the bytes of a journal are.
pub(crate) struct Lines {
    pub(crate) entries: Vec<Vec<u8>>,
    /// Length of the whole entries with their line ends.
    length: usize,
    /// Whether the last whole entry lacks its line end.
    open: bool,
    pub(crate) torn: usize,
}

/// Splits a journal into its entries. What a crash can leave at its end is the beginning of an entry, or zeros; anything
/// else there is damage, and dropping it could lose an entry: `None`.
pub(crate) fn lines(journal: &[u8]) -> Option<Lines> {
    let (whole, tail) = match journal.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => journal.split_at(end + 1),
        None => (&[][..], journal),
    };
    let mut lines = Lines {
        entries: whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
        length: whole.len(),
        open: false,
        torn: tail.len(),
    };
    lines.entries.pop();
    let tail = &tail[..tail.iter().rposition(|byte| *byte != 0).map_or(0, |end| end + 1)];
    let mut values = serde_json::Deserializer::from_slice(tail).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        None => {}
        Some(Err(error)) if error.is_eof() => {}
        Some(Ok(_)) if values.byte_offset() == tail.len() => {
            lines.length += tail.len();
            lines.torn -= tail.len();
            lines.open = true;
            lines.entries.push(tail.to_vec());
        }
        Some(_) => return None,
    }
    Some(lines)
}

/// Makes a folder for local states, closed to others, and keeps out of Git what does not belong there.
pub(crate) fn prepare_folder(dir: &Path) -> io::Result<()> {
    private_folder(dir)?;
    match OpenOptions::new().write(true).create_new(true).open(dir.join(".gitignore")) {
        Ok(mut file) => file.write_all(GITIGNORE.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

impl Inner {
    /// The stack's name becomes part of file names, so it must not lead anywhere else.
    fn check_name(&self) -> Result<(), BackendError> {
        check_stack_name(&self.stack)
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.dir.join(format!("{}.{extension}", self.stack))
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, what: &'static str, extension: &str, source: io::Error) -> BackendError {
        BackendError::Io { what, place: format!("`{}`", self.path(extension).display()), source }
    }

    fn load(&self) -> Result<Loaded, BackendError> {
        self.check_name()?;
        // The journal comes first: a holder writes the snapshot before it empties the journal, so in this order no
        // entry is in neither.
        let journal = read(&self.path("journal")).map_err(|source| self.error("read", "journal", source))?;
        let snapshot = read(&self.path("state.json")).map_err(|source| self.error("read", "state.json", source))?;
        if journal.is_none() && self.path(UNFOLDED).exists() {
            return Err(BackendError::Unfit(format!(
                "`{}` is not here, and `{}` says that it holds what the snapshot does not: run `state repair` where the \
                 journal is and commit the state after that; where it is lost for good, remove the second file, and \
                 `refresh` and `import` find what the state lacks",
                self.path("journal").display(),
                self.path(UNFOLDED).display()
            )));
        }
        let lines = self.lines(&journal.unwrap_or_default())?;
        let position = Position(position(snapshot.as_deref(), &lines.entries));
        Ok(Loaded { snapshot, entries: lines.entries, torn: lines.torn, position })
    }

    fn lines(&self, journal: &[u8]) -> Result<Lines, BackendError> {
        lines(journal).ok_or_else(|| {
            BackendError::Corrupt(format!(
                "the end of `{}` was edited or damaged: restore it from a backup, together with the snapshot beside it",
                self.path("journal").display()
            ))
        })
    }

    fn acquire(self: &Arc<Self>, holder: Holder) -> Result<Arc<dyn Lease>, BackendError> {
        self.check_name()?;
        let folder = |source| BackendError::Io { what: "make", place: format!("`{}`", self.dir.display()), source };
        let is_new = !self.dir.try_exists().map_err(folder)?;
        prepare_folder(&self.dir).map_err(folder)?;
        if let Some(parent) = self.dir.parent().filter(|parent| is_new && !parent.as_os_str().is_empty()) {
            sync_folder(parent).map_err(folder)?;
        }
        let lock = lock::take(&self.path("lock"), &holder)?;
        // A process that died just after it had folded left the mark behind.
        if fs::metadata(self.path("journal")).is_ok_and(|journal| journal.len() == 0) {
            self.unmark()?;
        }
        *self.held() = Some(Held { id: holder.id.clone(), _lock: lock, journal: None });
        Ok(Arc::new(LocalLease { holder, inner: Arc::clone(self) }))
    }

    /// The journal of this holder, opened and rid of what a crash left at its end.
    fn journal<'a>(&self, held: &'a mut Held) -> Result<&'a mut Journal, BackendError> {
        if held.journal.is_none() {
            held.journal = Some(self.open_journal()?);
        }
        held.journal.as_mut().ok_or_else(lost)
    }

    fn open_journal(&self) -> Result<Journal, BackendError> {
        let failed = |source| self.error("open", "journal", source);
        let path = self.path("journal");
        let is_new = !path.try_exists().map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        if is_new {
            sync_folder(&self.dir).map_err(failed)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let lines = self.lines(&bytes)?;
        let snapshot = read(&self.path("state.json")).map_err(|source| self.error("read", "state.json", source))?;
        let position = position(snapshot.as_deref(), &lines.entries);
        let mut journal = Journal { file, length: lines.length as u64, position, marked: false };
        if lines.torn > 0 {
            journal.file.set_len(journal.length).map_err(failed)?;
        }
        if lines.open {
            journal.file.write_all(b"\n").map_err(failed)?;
            journal.length += 1;
        }
        Ok(journal)
    }

    fn append(&self, lease: &dyn Lease, expected: Position, entry: &[u8]) -> Result<Position, BackendError> {
        let failed = |source| self.error("write", "journal", source);
        let mut held = self.held();
        let held = held.as_mut().filter(|held| held.id == lease.holder().id).ok_or_else(lost)?;
        let journal = self.journal(held)?;
        if journal.position != expected.0 {
            return Err(BackendError::Moved { expected, found: Position(journal.position) });
        }
        // Every writer holds the lock, so a longer file is what an append of this process left when it failed.
        let length = journal.file.metadata().map_err(failed)?.len();
        if length > journal.length {
            journal.file.set_len(journal.length).map_err(failed)?;
        } else if length < journal.length {
            return Err(BackendError::Corrupt(format!(
                "`{}` became shorter while this run held it: nothing more is written",
                self.path("journal").display()
            )));
        }
        if !journal.marked {
            fs::write(self.path(UNFOLDED), UNFOLDED_TEXT).map_err(failed)?;
            journal.marked = true;
        }
        let mut line = Vec::with_capacity(entry.len() + 1);
        line.extend_from_slice(entry);
        line.push(b'\n');
        journal.file.write_all(&line).map_err(failed)?;
        journal.file.sync_data().map_err(failed)?;
        journal.length += line.len() as u64;
        journal.position += 1;
        Ok(Position(journal.position))
    }

    fn compact(&self, lease: &dyn Lease, expected: Position, snapshot: &[u8]) -> Result<(), BackendError> {
        let mut held = self.held();
        let held = held.as_mut().filter(|held| held.id == lease.holder().id).ok_or_else(lost)?;
        let journal = self.journal(held)?;
        if journal.position != expected.0 {
            return Err(BackendError::Moved { expected, found: Position(journal.position) });
        }
        write_private(&self.path("state.json"), snapshot)
            .map_err(|source| self.error("write", "state.json", source))?;
        // A crash here is harmless: entries that the snapshot holds are passed over when they are read.
        let emptied = journal.file.set_len(0).and_then(|()| journal.file.sync_data());
        journal.length = 0;
        journal.position =
            snapshot_position(snapshot).map_or(journal.position, |position| position.0.max(journal.position));
        emptied.map_err(|source| self.error("empty", "journal", source))?;
        journal.marked = false;
        self.unmark()
    }

    fn unmark(&self) -> Result<(), BackendError> {
        match fs::remove_file(self.path(UNFOLDED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error("remove", UNFOLDED, error)),
            _ => Ok(()),
        }
    }

    /// The audit log of the stack with a lineage, which becomes part of a file name.
    fn audit_path(&self, lineage: &str) -> Result<PathBuf, BackendError> {
        self.check_name()?;
        check_stack_name(lineage)?;
        Ok(self.path("audit").join(format!("{lineage}.jsonl")))
    }

    /// Appends what is not there yet. The lock of the system cannot be lost, so that nobody else writes.
    fn keep_audit(&self, lease: &dyn Lease, lineage: &str, part: &AuditPart) -> Result<(), BackendError> {
        self.held().as_ref().filter(|held| held.id == lease.holder().id).ok_or_else(lost)?;
        let path = self.audit_path(lineage)?;
        append_lines(&path, &part.text).map_err(|source| BackendError::Io {
            what: "write",
            place: format!("`{}`", path.display()),
            source,
        })
    }

    fn load_audit(&self, lineage: &str) -> Result<Vec<String>, BackendError> {
        let path = self.audit_path(lineage)?;
        let failed = |source| BackendError::Io { what: "read", place: format!("`{}`", path.display()), source };
        let bytes = read(&path).map_err(failed)?.unwrap_or_default();
        // What a crash cut short is in the journal still.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
        Ok(if text.is_empty() { Vec::new() } else { vec![text] })
    }

    fn unlock(&self, holder_id: &str) -> Result<(), BackendError> {
        self.check_name()?;
        let path = self.path("lock");
        match lock::holder(&path).map_err(|source| self.error("read", "lock", source))? {
            Some(holder) if holder.id == holder_id => Err(BackendError::Unfit(format!(
                "the lock is held by process {} of {}, which is alive: end that process, and its lock is free by itself",
                holder.pid, holder.who
            ))),
            holder => Err(lock::not_that_lock(holder_id, holder.as_ref())),
        }
    }

    fn delete(&self, lease: &dyn Lease) -> Result<(), BackendError> {
        let mut held = self.held();
        let held = held.as_mut().filter(|held| held.id == lease.holder().id).ok_or_else(lost)?;
        held.journal = None;
        // The journal goes first: alone it would be refused, while a snapshot alone is a state.
        for extension in [UNFOLDED, "journal", "state.json", "lock"] {
            match fs::remove_file(self.path(extension)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(self.error("remove", extension, source)),
            }
        }
        sync_folder(&self.dir).map_err(|source| self.error("remove", "state.json", source))
    }
}

impl Backend for LocalBackend {
    fn describe(&self) -> String {
        let dir = std::path::absolute(&self.0.dir).unwrap_or_else(|_| self.0.dir.clone());
        format!("file://{} (stack `{}`)", dir.display(), self.0.stack)
    }

    fn access(&self, role: Role) -> Option<Grant> {
        let dir = std::path::absolute(&self.0.dir).unwrap_or_else(|_| self.0.dir.clone());
        let (dir, stack) = (dir.display(), &self.0.stack);
        let what = match role.deploys() {
            true => format!("a {role} has to be able to read and write the folder {dir} and the files in it"),
            false => format!("a {role} needs to read {dir}/{stack}.state.json and {dir}/{stack}.journal, and no more"),
        };
        let grant = Grant::new(format!("Files in {dir}"), "text", what);
        Some(grant.note(
            "The permissions of the files are all there is: whoever may write the folder may write every stack in it",
        ))
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>> {
        Box::pin(async move { self.0.load() })
    }

    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>> {
        Box::pin(async move { self.0.acquire(holder) })
    }

    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        Box::pin(async move { self.0.append(lease, expected, entry) })
    }

    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move { self.0.compact(lease, expected, snapshot) })
    }

    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move { self.0.unlock(holder_id) })
    }

    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move { self.0.delete(lease) })
    }

    fn rescue_path(&self) -> Option<PathBuf> {
        Some(LocalBackend::rescue_path(self))
    }

    fn audit(&self) -> Option<&dyn AuditStore> {
        Some(self)
    }
}

impl AuditStore for LocalBackend {
    fn keep_audit<'a>(
        &'a self,
        lease: &'a dyn Lease,
        lineage: &'a str,
        part: &'a AuditPart,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move { self.0.keep_audit(lease, lineage, part) })
    }

    fn load_audit<'a>(&'a self, lineage: &'a str, _: u64) -> BoxFuture<'a, Result<Vec<String>, BackendError>> {
        Box::pin(async move { self.0.load_audit(lineage) })
    }
}

/// Appends lines to a file, without those that stand at its end already. What a crash cut short at its end goes.
fn append_lines(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    private_folder(folder)?;
    let is_new = !path.try_exists()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if is_new {
        sync_folder(folder)?;
    }
    // Lines that are there already are no more than those that are to be, and one that is cut short is one of them.
    let length = file.metadata()?.len();
    let mut from = length.saturating_sub(2 * text.len() as u64 + 1);
    let mut end = Vec::new();
    let whole = loop {
        file.seek(io::SeekFrom::Start(from))?;
        end.clear();
        file.read_to_end(&mut end)?;
        match end.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => break at + 1,
            None if from == 0 => break 0,
            None => from = 0,
        }
    };
    end.truncate(whole);
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    let there = ends.rev().find(|length| end.ends_with(&text.as_bytes()[..*length])).unwrap_or(0);
    let keep = from + whole as u64;
    if keep < length {
        file.set_len(keep)?;
    }
    file.seek(io::SeekFrom::Start(keep))?;
    file.write_all(&text.as_bytes()[there..])?;
    file.sync_all()
}

fn lost() -> BackendError {
    BackendError::Lost(None)
}

/// A folder with the states of stacks: `file://DIR`.
#[derive(Debug, Clone)]
pub struct LocalPlace {
    dir: PathBuf,
}

impl LocalPlace {
    /// The states in a folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }
}

impl Place for LocalPlace {
    fn describe(&self) -> String {
        format!("file://{}", std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone()).display())
    }

    fn stack(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        check_stack_name(name)?;
        Ok(Arc::new(LocalBackend::new(&self.dir, name)))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, BackendError>> {
        Box::pin(async move {
            let failed = |source| BackendError::Io { what: "read", place: format!("`{}`", self.dir.display()), source };
            let files = match fs::read_dir(&self.dir) {
                Ok(files) => files,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(failed(error)),
            };
            let mut names = std::collections::BTreeSet::new();
            for file in files {
                let file = file.map_err(failed)?.file_name();
                let Some(file) = file.to_str() else { continue };
                let name = [".state.json", ".journal"].iter().find_map(|end| file.strip_suffix(end));
                names.extend(name.filter(|name| check_stack_name(name).is_ok()).map(str::to_owned));
            }
            Ok(names.into_iter().collect())
        })
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file that only its owner may read, as a whole or not at all; durable on return.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".state-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}
