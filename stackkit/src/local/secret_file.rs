//! `SecretFile`: the one way in which a secret gets into a plain file.

use stackkit_macros::resource;

use super::disk::{self, Content};
use super::{Local, Mode};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Found, Intent, Managed, Problem};
use crate::secret::Secret;

/// A text file with a secret in it, readable by its owner alone from the moment it exists.
///
/// This is the only type that writes a secret to a disk in plain text; search for it to find every such file. Beyond
/// that it behaves like [`File`](super::File); its content is read back, as a secret, to notice edits.
#[resource("local:SecretFile", delete_before_replace)]
pub struct SecretFile {
    /// Where it is; a relative path is taken from the stack's folder. The folder it is in must be there.
    #[resource(replace)]
    pub path: String,
    /// What it holds.
    pub content: Secret<String>,
    /// Its permission bits: `0600`, or `0400` for a file that nothing is to write to.
    #[resource(default = "0600")]
    pub mode: Mode,
}

impl Managed for SecretFile {
    type Provider = Local;

    async fn create(_: &Local, cx: &Context, args: &SecretFileArgs) -> Result<Created<Self>, Error> {
        disk::create_file(cx, &args.path, Content::Secret(args.content.clone()), args.mode).await?;
        Ok(Created::new(args.path.clone(), SecretFileState { args: args.clone() }))
    }

    async fn read(
        _: &Local,
        cx: &Context,
        id: &str,
        _: Option<&SecretFileState>,
    ) -> Result<Option<SecretFileState>, Error> {
        let Some(seen) = disk::read_file(cx, id).await? else { return Ok(None) };
        let content = Secret::new(seen.text());
        Ok(Some(SecretFileState { args: SecretFileArgs { path: id.to_owned(), content, mode: seen.mode } }))
    }

    async fn update(
        _: &Local,
        cx: &Context,
        id: &str,
        _: &SecretFileState,
        args: &SecretFileArgs,
    ) -> Result<SecretFileState, Error> {
        disk::replace_file(cx, id, Content::Secret(args.content.clone()), args.mode).await?;
        Ok(SecretFileState { args: args.clone() })
    }

    async fn delete(_: &Local, cx: &Context, id: &str, _: &SecretFileState) -> Result<(), Error> {
        disk::delete_file(cx, id).await
    }

    /// As for a [`File`](super::File): one that is there with exactly its content, where there was nothing before, is
    /// ours.
    async fn find(_: &Local, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let args = &intent.args;
        if disk::clear_and_check_free(cx, &args.path).await? || intent.name_was_free != Some(true) {
            return Ok(Found::Nothing);
        }
        Ok(match disk::read_file(cx, &args.path).await? {
            Some(seen) if seen.is(&Content::Secret(args.content.clone())) => {
                Found::Ours(Created::new(args.path.clone(), SecretFileState { args: args.clone() }))
            }
            _ => Found::Nothing,
        })
    }

    async fn is_name_free(_: &Local, cx: &Context, args: &SecretFileArgs) -> Result<Option<bool>, Error> {
        disk::clear_and_check_free(cx, &args.path).await.map(Some)
    }

    fn validate(args: &SecretFileArgs) -> Vec<Problem> {
        let mut problems = disk::path_problems("path", &args.path);
        if !matches!(args.mode.bits(), 0o600 | 0o400) {
            problems.push(Problem::new(
                "mode",
                format!("{} lets others at the secret, or nobody: use \"0600\" or \"0400\"", args.mode),
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::local::testing::{args, context, intent};

    #[tokio::test]
    async fn only_its_owner_may_read_it_and_edits_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx, path) = (Local::new(), context(dir.path()), dir.path().join("key"));
        let wanted = args(SecretFile::new("key", "hunter2"));
        let made = SecretFile::create(&local, &cx, &wanted).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "hunter2");
        assert!(!format!("{made:?}").contains("hunter2"));

        fs::write(&path, "edited").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let seen = SecretFile::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().unwrap();
        assert_eq!((seen.content.reveal().as_str(), seen.mode), ("edited", Mode(0o644)));

        SecretFile::update(&local, &cx, &made.id, &seen, &wanted).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "hunter2");
        SecretFile::delete(&local, &cx, &made.id, &seen).await.unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_interrupted_write_leaves_no_secret_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        let wanted = args(SecretFile::new("key", "hunter2"));
        fs::write(dir.path().join(".key.stackkit-tmp"), "hunter").unwrap();
        let found = SecretFile::find(&local, &cx, &intent(&wanted, Some(true))).await.unwrap();
        assert!(matches!(found, Found::Nothing));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        SecretFile::create(&local, &cx, &wanted).await.unwrap();
        let found = SecretFile::find(&local, &cx, &intent(&wanted, Some(true))).await.unwrap();
        assert!(matches!(found, Found::Ours(_)));
    }

    #[test]
    fn a_mode_that_lets_others_in_is_a_problem() {
        let problems = |mode: u32| SecretFile::validate(&args(SecretFile::new("key", "x").mode(Mode(mode))));
        assert_eq!(problems(0o640)[0].field, "mode");
        assert!(problems(0o400).is_empty() && problems(0o600).is_empty());
    }
}
