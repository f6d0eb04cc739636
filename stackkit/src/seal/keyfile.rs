//! `KeyFile`: a wrapping key in a file of the user's own configuration directory, made on first use.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::key::{derive, unwrap_under, wrap_under};
use super::{DataKey, KeyProvider, SealError, WrappedKey, base64, hex, random, unbase64};
use crate::context::BoxFuture;

const KIND: &str = KeyFile::KIND;
const PREFIX: &str = "stackkit-key-1 ";

/// A key file. Its content is 32 random bytes in a line `stackkit-key-1 <base64>`; lines that begin with `#` explain it.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

struct FileKey {
    wrapping: Zeroizing<[u8; 32]>,
    id: String,
}

impl KeyFile {
    /// The kind, as it stands in the header.
    pub const KIND: &'static str = "key-file";

    /// The key file at a path, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file if there is none, and says whether it did. Of two processes that try at once, one makes it and
    /// both use it.
    ///
    /// # Errors
    /// When it cannot be written, or what stands there is not a key file.
    pub fn ensure(&self) -> Result<bool, SealError> {
        if self.path.try_exists().map_err(|source| self.io("look at", source))? {
            return self.read().map(|_| false);
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        private_folder(folder).map_err(|source| SealError::Io {
            what: "make the folder",
            path: folder.into(),
            source,
        })?;
        let mut bytes = Zeroizing::new([0; 32]);
        random(&mut *bytes)?;
        let text = Zeroizing::new(format!(
            "# This key opens the secrets of the stacks that were made with it. Without it they are lost:\n\
             # keep a copy in a safe place. Whoever has it can read them: never commit or mail it.\n\
             # Id: {}\n{PREFIX}{}\n",
            id_of(&bytes),
            base64(&*bytes),
        ));
        let made = (|| {
            let mut file = tempfile::Builder::new().prefix(".key").suffix(".tmp").tempfile_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(&self.path) {
                Ok(_) => sync_folder(folder).map(|()| true),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error.error),
            }
        })()
        .map_err(|source| self.io("write the key file", source))?;
        self.read().map(|_| made)
    }

    fn io(&self, what: &'static str, source: io::Error) -> SealError {
        SealError::Io { what, path: self.path.clone(), source }
    }

    fn read(&self) -> Result<FileKey, SealError> {
        let io = |source| self.io("read the key file", source);
        let malformed = |detail| SealError::KeyFileMalformed { path: self.path.clone(), detail };
        let mut file = fs::File::open(&self.path).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if !about.is_file() {
            return Err(malformed("it is not a regular file"));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            if about.mode() & 0o077 != 0 {
                return Err(SealError::KeyFileReadable { path: self.path.clone(), mode: about.mode() & 0o777 });
            }
        }
        if about.len() > 64 * 1024 {
            return Err(malformed("it is larger than any key file"));
        }
        let mut text = Zeroizing::new(String::with_capacity(about.len() as usize + 1));
        io::Read::read_to_string(&mut file, &mut text).map_err(io)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().ok_or_else(|| malformed("it holds no key"))?;
        if lines.next().is_some() {
            return Err(malformed("it holds more than one key"));
        }
        let encoded =
            line.strip_prefix(PREFIX).ok_or_else(|| malformed("its line does not begin with `stackkit-key-1`"))?;
        let decoded = Zeroizing::new(unbase64(encoded.trim()).unwrap_or_default());
        let bytes: Zeroizing<[u8; 32]> = decoded
            .as_slice()
            .try_into()
            .map(Zeroizing::new)
            .map_err(|_| malformed("its key is not 32 bytes in base64"))?;
        Ok(FileKey { wrapping: derive(&*bytes, &[b"key file"]), id: id_of(&bytes) })
    }
}

fn id_of(bytes: &[u8; 32]) -> String {
    hex(&derive(bytes, &[b"key file id"])[..8])
}

impl KeyProvider for KeyFile {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn wrap<'a>(&'a self, key: &'a DataKey, lineage: &'a str) -> BoxFuture<'a, Result<WrappedKey, SealError>> {
        Box::pin(async move {
            let file = self.read()?;
            let wrapped = wrap_under(&file.wrapping, KIND, &file.id, lineage, key)?;
            Ok(WrappedKey { kind: KIND.into(), id: file.id, wrapped, settings: BTreeMap::new() })
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, lineage: &'a str) -> BoxFuture<'a, Result<DataKey, SealError>> {
        Box::pin(async move {
            let file = self.read().map_err(|error| match error {
                SealError::Io { source, path, .. } if source.kind() == io::ErrorKind::NotFound => {
                    SealError::KeyFileMissing { wanted: wrapped.id.clone(), path }
                }
                other => other,
            })?;
            if file.id != wrapped.id {
                return Err(SealError::KeyFileOther {
                    wanted: wrapped.id.clone(),
                    found: file.id,
                    path: self.path.clone(),
                });
            }
            unwrap_under(&file.wrapping, wrapped, lineage)
                .ok_or_else(|| SealError::WrappedKey { kind: KIND.into(), id: wrapped.id.clone() })
        })
    }
}

/// Makes a folder that only its owner may enter; one that exists is left as it is.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
