//! Files on disk as the local types need them: written whole or not at all, never over something that is not ours.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::local::Mode;
use crate::resource::Problem;
use crate::secret::Secret;

/// What a file is to hold.
#[derive(Clone)]
pub(super) enum Content {
    /// Anyone who may read the file may see it.
    Plain(String),
    /// Revealed in this module alone, and only into the file.
    Secret(Secret<String>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Content::Plain(text) => text.as_bytes(),
            Content::Secret(secret) => secret.reveal().as_bytes(),
        }
    }
}

/// What a file was found to hold.
pub(super) struct Seen {
    bytes: zeroize::Zeroizing<Vec<u8>>,
    /// Its permission bits.
    pub(super) mode: Mode,
}

impl Seen {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content as text. What is not UTF-8 shows as replacement characters, and so differs from what was written.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The content as a secret.
    pub(super) fn secret_text(&self, path: &str) -> Result<Secret<String>, Error> {
        let text = std::str::from_utf8(&self.bytes)
            .map_err(|_| Error::invalid(format!("`{path}` does not hold text in UTF-8")))?;
        Ok(Secret::new(text.to_owned()))
    }

    /// Whether it is exactly this.
    pub(super) fn is(&self, content: &Content) -> bool {
        *self.bytes == content.bytes()
    }
}

/// Where a path of the program is.
pub(super) fn locate(cx: &Context, path: &str) -> PathBuf {
    cx.dir().join(path)
}

/// What is wrong with a path, whether of a file or a folder.
pub(super) fn path_problems(field: &'static str, path: &str) -> Vec<Problem> {
    let named = Path::new(path).file_name().is_some();
    let message = if path.chars().any(char::is_control) {
        format!("`{}` holds control characters: use a printable path", path.escape_debug())
    } else if !named {
        format!("`{path}` names nothing: give it a last part, as in `folder/name`")
    } else if path.len() > 4096 {
        "it is longer than 4096 bytes".to_owned()
    } else {
        return Vec::new();
    };
    vec![Problem::new(field, message)]
}

/// Says what was being done to which path. A path that is missing where it should be is no "not found": that kind is
/// for the resource itself.
pub(super) fn failed(doing: &str, path: &str, error: &io::Error) -> Error {
    use io::ErrorKind as Io;
    let (kind, hint) = match error.kind() {
        Io::PermissionDenied => (ErrorKind::Denied, ""),
        Io::AlreadyExists | Io::DirectoryNotEmpty => (ErrorKind::Conflict, ""),
        Io::Interrupted | Io::WouldBlock | Io::TimedOut => (ErrorKind::Transient, ""),
        Io::NotFound => (
            ErrorKind::Invalid,
            "; the folder that it is to be in is not there: declare it as a `local::Directory` and build the path from \
             its `path`",
        ),
        _ => (ErrorKind::Invalid, ""),
    };
    Error::new(kind, format!("cannot {doing} `{path}`: {error}{hint}"))
}

/// The error for something that stands where we would make ours.
pub(super) fn taken(path: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "`{path}` exists already: choose another path, move it away, or adopt it with `.import(\"{path}\")`; if it is \
             what this stack had under another name, say so with `.alias(\"OLD NAME\")`"
        ),
    )
}

/// Runs something that waits for a disk where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::UnknownOutcome, format!("work on the disk did not end: {error}")))?
}

/// Makes a file that is not there yet.
pub(super) async fn create_file(cx: &Context, path: &str, content: Content, mode: Mode) -> Result<(), Error> {
    let (target, path) = (locate(cx, path), path.to_owned());
    blocking(move || {
        let staged = stage(&target, &content, mode).map_err(|e| failed("write", &path, &e))?;
        match staged.persist_noclobber(&target) {
            Ok(_) => sync_parent(&target).map_err(|e| failed("write", &path, &e)),
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => Err(taken(&path)),
            Err(refused) => Err(failed("write", &path, &refused.error)),
        }
    })
    .await
}

/// Puts new content into the place of a file.
pub(super) async fn replace_file(cx: &Context, path: &str, content: Content, mode: Mode) -> Result<(), Error> {
    let (target, path) = (locate(cx, path), path.to_owned());
    blocking(move || {
        let staged = stage(&target, &content, mode).map_err(|e| failed("write", &path, &e))?;
        staged.persist(&target).map_err(|refused| failed("write", &path, &refused.error))?;
        sync_parent(&target).map_err(|e| failed("write", &path, &e))
    })
    .await
}

/// Reads a file; `None` when there is nothing.
pub(super) async fn read_file(cx: &Context, path: &str) -> Result<Option<Seen>, Error> {
    let (target, path) = (locate(cx, path), path.to_owned());
    blocking(move || {
        let Some(meta) = look(&target).map_err(|e| failed("read", &path, &e))? else { return Ok(None) };
        if !meta.is_file() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("`{path}` is {} now, and no file: move it away", kind_of(&meta)),
            ));
        }
        match fs::read(&target) {
            Ok(bytes) => Ok(Some(Seen { bytes: bytes.into(), mode: mode_of(&meta) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    })
    .await
}

/// Deletes a file, and what an interrupted write may have left of it. A file that is gone already is deleted.
pub(super) async fn delete_file(cx: &Context, path: &str) -> Result<(), Error> {
    let (target, path) = (locate(cx, path), path.to_owned());
    blocking(move || {
        let both = remove_if_there(&staging_path(&target)).and_then(|()| remove_if_there(&target));
        both.map_err(|e| failed("delete", &path, &e))?;
        match sync_parent(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete", &path, &error)),
            _ => Ok(()),
        }
    })
    .await
}

/// Clears what an interrupted write left beside a file, then looks whether anything stands at its path.
pub(super) async fn clear_and_check_free(cx: &Context, path: &str) -> Result<bool, Error> {
    let (target, path) = (locate(cx, path), path.to_owned());
    blocking(move || {
        remove_if_there(&staging_path(&target)).map_err(|e| failed("delete what was left beside", &path, &e))?;
        Ok(look(&target).map_err(|e| failed("read", &path, &e))?.is_none())
    })
    .await
}

/// What stands at a path, links not followed; `None` when nothing does.
pub(super) fn look(target: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(target) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What something is, for messages.
pub(super) fn kind_of(meta: &fs::Metadata) -> &'static str {
    match meta.file_type() {
        t if t.is_dir() => "a folder",
        t if t.is_symlink() => "a symbolic link",
        t if t.is_file() => "a file",
        _ => "something special",
    }
}

/// The permission bits.
pub(super) fn mode_of(meta: &fs::Metadata) -> Mode {
    Mode(meta.permissions().mode() & 0o7777)
}

/// Makes the entry of a file or folder in its parent durable.
pub(super) fn sync_parent(target: &Path) -> io::Result<()> {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
    }
}

/// Where a file is written before it takes its place. The name is always the same, so that what a killed process left
/// there is found by the next one.
fn staging_path(target: &Path) -> PathBuf {
    target.with_file_name(staging_name(target))
}

fn staging_name(target: &Path) -> std::ffi::OsString {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".stackkit-tmp");
    name
}

/// Writes the content beside its place, readable by nobody else until its own permissions are set.
fn stage(target: &Path, content: &Content, mode: Mode) -> io::Result<NamedTempFile> {
    remove_if_there(&staging_path(target))?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new().prefix(&staging_name(target)).rand_bytes(0).tempfile_in(parent)?;
    staged.write_all(content.bytes())?;
    staged.as_file().set_permissions(fs::Permissions::from_mode(mode.bits()))?;
    staged.as_file().sync_all()?;
    Ok(staged)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(error),
        _ => Ok(()),
    }
}
