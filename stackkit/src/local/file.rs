//! `File`: a text file that anyone may read.

use sha2::{Digest as _, Sha256};
use stackkit_macros::resource;

use super::disk::{self, Content};
use super::random_id::to_hex;
use super::{Local, Mode};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Found, Intent, Managed, Problem};

/// A text file. It is written whole or not at all, and never over a file that is not ours.
///
/// A file that was edited or deleted by somebody else is put right by the next `up`. An existing one is adopted by
/// `.import("path")`. Secrets do not fit into it: for those there is [`SecretFile`](super::SecretFile).
#[resource("local:File", delete_before_replace)]
pub struct File {
    /// Where it is; a relative path is taken from the stack's folder. The folder it is in must be there: a
    /// [`Directory`](super::Directory), say.
    #[resource(replace)]
    pub path: String,
    /// What it holds.
    pub content: String,
    /// Its permission bits.
    #[resource(default = "0644")]
    pub mode: Mode,
    /// SHA-256 of the content, in hexadecimal.
    #[resource(output, volatile)]
    pub sha256: String,
}

impl FileState {
    fn of(args: FileArgs) -> Self {
        let sha256 = to_hex(&Sha256::digest(&args.content));
        Self { args, sha256 }
    }
}

impl Managed for File {
    type Provider = Local;

    async fn create(_: &Local, cx: &Context, args: &FileArgs) -> Result<Created<Self>, Error> {
        disk::create_file(cx, &args.path, Content::Plain(args.content.clone()), args.mode).await?;
        Ok(Created::new(args.path.clone(), FileState::of(args.clone())))
    }

    async fn read(_: &Local, cx: &Context, id: &str, _: Option<&FileState>) -> Result<Option<FileState>, Error> {
        let Some(seen) = disk::read_file(cx, id).await? else { return Ok(None) };
        let args = FileArgs { path: id.to_owned(), content: seen.text(), mode: seen.mode };
        Ok(Some(FileState { args, sha256: to_hex(&Sha256::digest(seen.bytes())) }))
    }

    async fn update(_: &Local, cx: &Context, id: &str, _: &FileState, args: &FileArgs) -> Result<FileState, Error> {
        disk::replace_file(cx, id, Content::Plain(args.content.clone()), args.mode).await?;
        Ok(FileState::of(args.clone()))
    }

    async fn delete(_: &Local, cx: &Context, id: &str, _: &FileState) -> Result<(), Error> {
        disk::delete_file(cx, id).await
    }

    /// A file comes into being with all its content, so one that is there with exactly that, where there was nothing
    /// before, is ours.
    async fn find(_: &Local, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let args = &intent.args;
        if disk::clear_and_check_free(cx, &args.path).await? || intent.name_was_free != Some(true) {
            return Ok(Found::Nothing);
        }
        Ok(match disk::read_file(cx, &args.path).await? {
            Some(seen) if seen.is(&Content::Plain(args.content.clone())) => {
                Found::Ours(Created::new(args.path.clone(), FileState::of(args.clone())))
            }
            _ => Found::Nothing,
        })
    }

    async fn is_name_free(_: &Local, cx: &Context, args: &FileArgs) -> Result<Option<bool>, Error> {
        disk::clear_and_check_free(cx, &args.path).await.map(Some)
    }

    fn validate(args: &FileArgs) -> Vec<Problem> {
        disk::path_problems("path", &args.path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::error::ErrorKind;
    use crate::local::testing::{args, context, intent};

    const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[tokio::test]
    async fn a_file_lives_from_create_to_delete() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx, path) = (Local::new(), context(dir.path()), dir.path().join("a.txt"));
        let wanted = args(File::new("a.txt", "hello"));
        assert_eq!(File::is_name_free(&local, &cx, &wanted).await.unwrap(), Some(true));
        let made = File::create(&local, &cx, &wanted).await.unwrap();
        assert_eq!((made.id.as_str(), made.state.sha256.as_str()), ("a.txt", HELLO_SHA256));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(File::is_name_free(&local, &cx, &wanted).await.unwrap(), Some(false));

        let seen = File::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().unwrap();
        assert_eq!((&*seen.content, seen.mode, &seen.sha256), ("hello", Mode(0o644), &made.state.sha256));

        let changed = args(File::new("a.txt", "bye").mode("0600"));
        File::update(&local, &cx, &made.id, &seen, &changed).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "bye");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        File::delete(&local, &cx, &made.id, &seen).await.unwrap();
        File::delete(&local, &cx, &made.id, &seen).await.unwrap();
        assert!(File::read(&local, &cx, &made.id, Some(&seen)).await.unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn what_somebody_else_did_to_it_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx, path) = (Local::new(), context(dir.path()), dir.path().join("a.txt"));
        let made = File::create(&local, &cx, &args(File::new("a.txt", "hello"))).await.unwrap();
        fs::write(&path, "edited").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let seen = File::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().unwrap();
        assert_eq!((&*seen.content, seen.mode), ("edited", Mode(0o600)));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = File::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap_err();
        assert_eq!(error.message(), "`a.txt` is a folder now, and no file: move it away");
    }

    #[tokio::test]
    async fn a_file_of_somebody_else_is_neither_overwritten_nor_adopted() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx, path) = (Local::new(), context(dir.path()), dir.path().join("a.txt"));
        fs::write(&path, "hello").unwrap();
        let wanted = args(File::new("a.txt", "hello"));
        let error = File::create(&local, &cx, &wanted).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains(".import(\"a.txt\")"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the staged file is gone");
        for not_free in [Some(false), None] {
            let found = File::find(&local, &cx, &intent(&wanted, not_free)).await.unwrap();
            assert!(matches!(found, Found::Nothing), "{found:?}");
        }
    }

    #[tokio::test]
    async fn an_interrupted_create_is_found_by_path_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        let wanted = args(File::new("a.txt", "hello"));
        fs::write(dir.path().join(".a.txt.stackkit-tmp"), "hel").unwrap();
        let found = File::find(&local, &cx, &intent(&wanted, Some(true))).await.unwrap();
        assert!(matches!(found, Found::Nothing), "{found:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "what the killed process left is cleared");

        File::create(&local, &cx, &wanted).await.unwrap();
        let found = File::find(&local, &cx, &intent(&wanted, Some(true))).await.unwrap();
        assert!(matches!(found, Found::Ours(made) if made.id == "a.txt"));
        fs::write(dir.path().join("a.txt"), "by somebody else").unwrap();
        let found = File::find(&local, &cx, &intent(&wanted, Some(true))).await.unwrap();
        assert!(matches!(found, Found::Nothing), "{found:?}");
    }

    #[tokio::test]
    async fn a_missing_folder_is_an_error_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let cx = context(dir.path());
        let error = File::create(&Local::new(), &cx, &args(File::new("no/a.txt", ""))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("`local::Directory`"), "{error}");
    }

    #[test]
    fn paths_that_name_nothing_are_problems() {
        for path in ["", "/", "..", "a/..", "a\nb"] {
            assert_eq!(File::validate(&args(File::new(path, ""))).len(), 1, "{path}");
        }
        assert!(File::validate(&args(File::new("a/b.txt", ""))).is_empty());
    }
}
