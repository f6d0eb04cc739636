//! `FileSecret`: a secret in a file that somebody else writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stackkit_macros::lookup;

use super::{Local, disk};
use crate::context::Context;
use crate::error::Error;
use crate::lookup::{Answer, Lookup, secret_of};
use crate::secret::Secret;

/// A secret in a file, such as one that a container or a CI job mounts. One line break at its end does not count.
///
/// ```
/// # use stackkit::prelude::*;
/// # #[stackkit::program]
/// # async fn program(stack: &mut Stack) -> Result<()> {
/// let password = stack.data("db-password", local::FileSecret::new("/run/secrets/db.json").field("password"));
/// stack.add("db-password", local::SecretFile::new("password", &password.value));
/// # Ok(())
/// # }
/// ```
#[lookup("local:FileSecret")]
pub struct FileSecret {
    /// Where it is; a relative path is taken from the stack's folder.
    pub path: String,
    /// Which part of it, where it holds JSON: a key, or a pointer such as `/db/password` (RFC 6901).
    pub field: Option<String>,
    /// Whether its bytes are given as base64, for what is no text. Nothing is taken off at its end then.
    #[lookup(default = false)]
    pub base64: bool,
    /// The secret.
    #[lookup(output)]
    pub value: Secret<String>,
}

impl Lookup for FileSecret {
    type Provider = Local;

    async fn look_up(_: &Local, cx: &Context, args: &FileSecretArgs) -> Answer<Self> {
        let path = &args.path;
        let Some(seen) = disk::read_file(cx, path).await? else {
            return Err(Error::not_found(format!(
                "there is no file `{path}` in {}: put the secret there",
                cx.dir().display()
            )));
        };
        let text = if args.base64 {
            Secret::new(STANDARD.encode(seen.bytes()))
        } else {
            let text = seen.secret_text(path).map_err(|_| {
                Error::invalid(format!("`{path}` does not hold text in UTF-8: take its bytes with `.base64(true)`"))
            })?;
            let line = text.reveal().strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
            line.map(|line| Secret::new(line.to_owned())).unwrap_or(text)
        };
        let value = secret_of(text, args.field.as_deref())
            .map_err(|error| Error::invalid(format!("the file `{path}` {error}")))?;
        Ok(FileSecretState { args: args.clone(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::local::testing::{args, context};

    #[tokio::test]
    async fn a_file_is_read_whole_in_part_or_as_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        let read = async |question: FileSecret| {
            FileSecret::look_up(&local, &cx, &args(question)).await.map(|state| state.value.reveal().clone())
        };
        write("a", b"hunter2\n");
        assert_eq!(read(FileSecret::new("a")).await.unwrap(), "hunter2");
        write("a", b"two\r\n\n");
        assert_eq!(read(FileSecret::new("a")).await.unwrap(), "two\r\n");
        write("j", br#"{"user":"app","db":{"password":"x/y","port":5432}}"#);
        assert_eq!(read(FileSecret::new("j").field("user")).await.unwrap(), "app");
        assert_eq!(read(FileSecret::new("j").field("/db/port")).await.unwrap(), "5432");
        let error = read(FileSecret::new("j").field("pass")).await.unwrap_err().to_string();
        assert_eq!(error, "the file `j` has no field `pass`; it has `db`, `user`");
        let error = read(FileSecret::new("a").field("pass")).await.unwrap_err().to_string();
        assert!(error.starts_with("the file `a` is no JSON") && !error.contains("two"), "{error}");
        write("b", &[0xff, 0]);
        let error = read(FileSecret::new("b")).await.unwrap_err().to_string();
        assert!(error.contains(".base64(true)"), "{error}");
        assert_eq!(read(FileSecret::new("b").base64(true)).await.unwrap(), "/wA=");
        let error = read(FileSecret::new("none")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains("`none`"), "{error}");
    }
}
