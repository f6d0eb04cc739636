//! `ReadFile`: a text file that somebody else writes.

use sha2::{Digest as _, Sha256};
use stackkit_macros::lookup;

use super::random_id::to_hex;
use super::{Local, disk};
use crate::context::Context;
use crate::error::Error;
use crate::lookup::{Answer, Lookup};

/// A text file, read and never written. What it holds is taken for public; [`FileSecret`](super::FileSecret) is for
/// secrets.
#[lookup("local:ReadFile")]
pub struct ReadFile {
    /// Where it is; a relative path is taken from the stack's folder.
    pub path: String,
    /// What it holds.
    #[lookup(output)]
    pub content: String,
    /// SHA-256 of its bytes, in hexadecimal.
    #[lookup(output)]
    pub sha256: String,
}

impl Lookup for ReadFile {
    type Provider = Local;

    async fn look_up(_: &Local, cx: &Context, args: &ReadFileArgs) -> Answer<Self> {
        let path = &args.path;
        let Some(seen) = disk::read_file(cx, path).await? else {
            return Err(Error::not_found(format!("there is no file `{path}` in {}", cx.dir().display())));
        };
        let sha256 = to_hex(&Sha256::digest(seen.bytes()));
        Ok(ReadFileState { args: args.clone(), content: seen.text(), sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::local::testing::{args, context};

    #[tokio::test]
    async fn a_file_is_read_and_a_missing_one_named() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        std::fs::write(dir.path().join("a"), "hello").unwrap();
        let read = ReadFile::look_up(&local, &cx, &args(ReadFile::new("a"))).await.unwrap();
        assert_eq!((&*read.content, read.sha256.len()), ("hello", 64));
        let error = ReadFile::look_up(&local, &cx, &args(ReadFile::new("b"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains("`b`"), "{error}");
    }
}
