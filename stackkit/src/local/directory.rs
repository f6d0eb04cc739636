//! `Directory`: a folder on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use stackkit_macros::resource;

use super::{Local, Mode, disk};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::resource::{Created, Found, Intent, Managed, Problem};

/// A folder. The folder that it is in must be there; declare a chain of folders one by one, each built from the `path`
/// of the one before, and every one of them is made, and goes, in its order.
///
/// It is deleted only when nothing is in it, unless `force` says otherwise. An existing one is adopted by
/// `.import("path")`.
#[resource("local:Directory", delete_before_replace)]
pub struct Directory {
    /// Where it is; a relative path is taken from the stack's folder.
    #[resource(replace)]
    pub path: String,
    /// Its permission bits.
    #[resource(default = "0755")]
    pub mode: Mode,
    /// Whether deleting it deletes everything in it, whoever put it there.
    #[resource(default = false)]
    pub force: bool,
}

impl Managed for Directory {
    type Provider = Local;

    async fn create(_: &Local, cx: &Context, args: &DirectoryArgs) -> Result<Created<Self>, Error> {
        let (target, wanted) = (disk::locate(cx, &args.path), args.clone());
        disk::blocking(move || {
            let failed = |error| disk::failed("make the folder", &wanted.path, &error);
            match fs::create_dir(&target) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(disk::taken(&wanted.path)),
                Err(error) => Err(failed(error)),
                Ok(()) => set_mode(&target, wanted.mode).and_then(|()| disk::sync_parent(&target)).map_err(failed),
            }
        })
        .await?;
        Ok(Created::new(args.path.clone(), DirectoryState { args: args.clone() }))
    }

    async fn read(
        _: &Local,
        cx: &Context,
        id: &str,
        prior: Option<&DirectoryState>,
    ) -> Result<Option<DirectoryState>, Error> {
        let (target, path) = (disk::locate(cx, id), id.to_owned());
        let force = prior.is_some_and(|prior| prior.force);
        disk::blocking(move || match disk::look(&target).map_err(|e| disk::failed("read", &path, &e))? {
            None => Ok(None),
            Some(meta) if !meta.is_dir() => Err(Error::new(
                ErrorKind::Conflict,
                format!("`{path}` is {} now, and no folder: move it away", disk::kind_of(&meta)),
            )),
            Some(meta) => Ok(Some(DirectoryState { args: DirectoryArgs { path, mode: disk::mode_of(&meta), force } })),
        })
        .await
    }

    async fn update(
        _: &Local,
        cx: &Context,
        id: &str,
        _: &DirectoryState,
        args: &DirectoryArgs,
    ) -> Result<DirectoryState, Error> {
        let (target, path, mode) = (disk::locate(cx, id), id.to_owned(), args.mode);
        disk::blocking(move || set_mode(&target, mode).map_err(|e| disk::failed("set the permissions of", &path, &e)))
            .await?;
        Ok(DirectoryState { args: args.clone() })
    }

    async fn delete(_: &Local, cx: &Context, id: &str, prior: &DirectoryState) -> Result<(), Error> {
        let (target, path, force) = (disk::locate(cx, id), id.to_owned(), prior.force);
        disk::blocking(move || {
            let Some(meta) = disk::look(&target).map_err(|e| disk::failed("read", &path, &e))? else { return Ok(()) };
            if !meta.is_dir() {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("`{path}` is {} now, and no folder: move it away", disk::kind_of(&meta)),
                ));
            }
            let removed = if force { fs::remove_dir_all(&target) } else { fs::remove_dir(&target) };
            match removed {
                Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Err(not_empty(&target, &path)),
                Err(error) => Err(disk::failed("delete", &path, &error)),
                Ok(()) => disk::sync_parent(&target).map_err(|e| disk::failed("delete", &path, &e)),
            }
        })
        .await
    }

    /// An empty folder where there was nothing before is ours: nobody could put anything into ours before its create
    /// was known to have ended.
    async fn find(_: &Local, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        if intent.name_was_free != Some(true) {
            return Ok(Found::Nothing);
        }
        let (target, args) = (disk::locate(cx, &intent.args.path), intent.args.clone());
        disk::blocking(move || {
            let failed = |error| disk::failed("read", &args.path, &error);
            let ours = match disk::look(&target).map_err(failed)? {
                Some(meta) if meta.is_dir() => fs::read_dir(&target).map_err(failed)?.next().is_none(),
                _ => false,
            };
            if !ours {
                return Ok(Found::Nothing);
            }
            // The process may have died between making it and giving it its permissions.
            set_mode(&target, args.mode).map_err(failed)?;
            Ok(Found::Ours(Created::new(args.path.clone(), DirectoryState { args })))
        })
        .await
    }

    async fn is_name_free(_: &Local, cx: &Context, args: &DirectoryArgs) -> Result<Option<bool>, Error> {
        let (target, path) = (disk::locate(cx, &args.path), args.path.clone());
        disk::blocking(move || Ok(Some(disk::look(&target).map_err(|e| disk::failed("read", &path, &e))?.is_none())))
            .await
    }

    fn validate(args: &DirectoryArgs) -> Vec<Problem> {
        disk::path_problems("path", &args.path)
    }
}

fn set_mode(target: &Path, mode: Mode) -> std::io::Result<()> {
    fs::set_permissions(target, fs::Permissions::from_mode(mode.bits()))
}

fn not_empty(target: &Path, path: &str) -> Error {
    let mut names: Vec<String> = fs::read_dir(target)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| format!("`{}`", entry.file_name().to_string_lossy().escape_debug()))
        .collect();
    names.sort();
    if names.len() > 3 {
        let more = names.len() - 2;
        names.truncate(2);
        names.push(format!("{more} more"));
    }
    Error::new(
        ErrorKind::Conflict,
        format!(
            "the folder `{path}` is not empty (it holds {}): take out what is not ours, or set `.force(true)`, run `up` \
             and delete it then",
            names.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::testing::{args, context, intent};

    #[tokio::test]
    async fn a_folder_lives_from_create_to_delete() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx, path) = (Local::new(), context(dir.path()), dir.path().join("site"));
        let wanted = args(Directory::new("site"));
        assert_eq!(Directory::is_name_free(&local, &cx, &wanted).await.unwrap(), Some(true));
        let made = Directory::create(&local, &cx, &wanted).await.unwrap();
        set_mode(&path, Mode(0o700)).unwrap();
        let seen = Directory::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().unwrap();
        assert_eq!(seen.mode, Mode(0o700));
        Directory::update(&local, &cx, &made.id, &seen, &wanted).await.unwrap();
        let seen = Directory::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().unwrap();
        assert_eq!(seen.mode, Mode(0o755));
        Directory::delete(&local, &cx, &made.id, &seen).await.unwrap();
        Directory::delete(&local, &cx, &made.id, &seen).await.unwrap();
        assert!(!path.exists());
        assert!(Directory::read(&local, &cx, &made.id, Some(&seen)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_in_a_folder_is_only_deleted_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx, path) = (Local::new(), context(dir.path()), dir.path().join("site"));
        let made = Directory::create(&local, &cx, &args(Directory::new("site"))).await.unwrap();
        for name in ["a", "b", "c", "d"] {
            fs::write(path.join(name), "").unwrap();
        }
        let error = Directory::delete(&local, &cx, &made.id, &made.state).await.unwrap_err();
        assert!(error.message().contains("it holds `a`, `b`, 2 more"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let forced = DirectoryState { args: args(Directory::new("site").force(true)) };
        Directory::delete(&local, &cx, &made.id, &forced).await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_an_empty_folder_where_nothing_was_is_taken_for_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx, path) = (Local::new(), context(dir.path()), dir.path().join("site"));
        let wanted = args(Directory::new("site").mode("0750"));
        let find = async |free| Directory::find(&local, &cx, &intent(&wanted, free)).await.unwrap();
        assert!(matches!(find(Some(true)).await, Found::Nothing));
        fs::create_dir(&path).unwrap();
        assert!(matches!(find(Some(false)).await, Found::Nothing));
        assert!(matches!(find(Some(true)).await, Found::Ours(_)));
        assert_eq!(disk::mode_of(&fs::metadata(&path).unwrap()), Mode(0o750));
        fs::write(path.join("a"), "").unwrap();
        assert!(matches!(find(Some(true)).await, Found::Nothing));
        let error = Directory::create(&local, &cx, &wanted).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
}
