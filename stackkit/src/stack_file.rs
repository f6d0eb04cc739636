//! `stackkit.<stack>.toml` as bytes: people edit it, version control keeps it, and several commands may write it at once.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file of a stack as it was read. It is written as a whole or not at all, and only over what was read.
#[derive(Debug)]
pub(crate) struct StackFile {
    path: PathBuf,
    text: Option<String>,
}

impl StackFile {
    /// Reads it; one that does not exist has no text.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), text: text_of(path)? })
    }

    /// Where it stands.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; empty where there is none.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Writes it, durable on return, unless it holds that text already. A link is followed, and an existing file keeps its
    /// mode. Says whether that made a new file.
    ///
    /// # Errors
    /// When it is no longer what was read: then nothing is written. And when it cannot be written.
    pub(crate) fn replace(&mut self, text: String) -> io::Result<bool> {
        let is_new = self.text.is_none();
        if self.text.as_ref() == Some(&text) {
            return Ok(false);
        }
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Other writers of this program wait; an editor does not, and what it has written is seen below. Where a folder
        // cannot be locked, as on some network file systems, what is left unguarded is the moment between the two.
        #[cfg(unix)]
        let folder_lock = fs::File::open(folder)?;
        #[cfg(unix)]
        let _ = folder_lock.lock();
        if text_of(&self.path)? != self.text {
            return Err(io::Error::other(
                "it was changed by something else meanwhile, and is left as it is now: run the command again",
            ));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".stackkit").suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        if let Ok(about) = fs::metadata(&target) {
            file.as_file().set_permissions(about.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        crate::seal::sync_folder(folder)?;
        self.text = Some(text);
        Ok(is_new)
    }
}

fn text_of(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_has_written_is_not_written_over() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("stackkit.dev.toml");
        let (mut one, mut other) = (StackFile::read(&path)?, StackFile::read(&path)?);
        assert!(one.replace("a = 1\n".to_owned())?);
        let refused = other.replace("b = 1\n".to_owned()).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|error| error.contains("run the command again")));
        assert_eq!(fs::read_to_string(&path)?, "a = 1\n");
        assert!(!one.replace("a = 2\n".to_owned())?);
        assert_eq!(fs::read_to_string(&path)?, "a = 2\n");
        Ok(())
    }

    #[test]
    fn of_many_writers_at_once_none_is_lost() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("stackkit.dev.toml");
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|writer| {
                    let path = &path;
                    scope.spawn(move || -> io::Result<()> {
                        for line in 0..20 {
                            loop {
                                let mut file = StackFile::read(path)?;
                                let text = format!("{}{writer}-{line}\n", file.text());
                                match file.replace(text) {
                                    Ok(_) => break,
                                    Err(error) if error.kind() == io::ErrorKind::Other => {}
                                    Err(error) => return Err(error),
                                }
                            }
                        }
                        Ok(())
                    })
                })
                .collect();
            writers.into_iter().try_for_each(|writer| writer.join().expect("no panic"))
        })?;
        assert_eq!(fs::read_to_string(&path)?.lines().count(), 160);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_the_mode_stays() -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir()?;
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("stackkit.dev.toml"));
        fs::write(&real, "a = 1\n")?;
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640))?;
        std::os::unix::fs::symlink(&real, &link)?;
        assert!(!StackFile::read(&link)?.replace("a = 2\n".to_owned())?);
        assert_eq!(fs::read_to_string(&real)?, "a = 2\n");
        assert_eq!(fs::metadata(&real)?.permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link)?.is_symlink());
        Ok(())
    }
}
