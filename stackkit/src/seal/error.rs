//! What can go wrong with keys and seals. Every message says where, and what to do about it.

use std::path::PathBuf;

/// An error of a key or a seal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
    /// A file could not be read or written.
    #[error("cannot {what} `{}`: {source}", .path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// There is no key file where one was looked for.
    #[error(
        "the stack is sealed with key {wanted}, and there is no key file at `{}`: copy the file there from the machine or person that made the stack, or set STACKKIT_KEY_FILE to where it is",
        .path.display()
    )]
    KeyFileMissing {
        /// The id of the key that the stack is sealed with.
        wanted: String,
        /// The path that was looked at.
        path: PathBuf,
    },
    /// The key file holds another key.
    #[error(
        "the stack is sealed with key {wanted}, but the key file at `{}` holds key {found}: set STACKKIT_KEY_FILE to the file that holds {wanted}",
        .path.display()
    )]
    KeyFileOther {
        /// The id of the key that the stack is sealed with.
        wanted: String,
        /// The id of the key in the file.
        found: String,
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner can read the key file.
    #[error(
        "the key file `{path}` can be read by others than its owner (mode {mode:03o}): run `chmod 600 '{path}'`, and consider its key known to them",
        path = .path.display()
    )]
    KeyFileReadable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no key file of a version that this program knows.
    #[error("`{}` is not a key file that this program can read: {detail}", .path.display())]
    KeyFileMalformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// Neither an explicit nor a default place for a key file is known.
    #[error("there is no home directory to keep a key file in: set STACKKIT_KEY_FILE or STACKKIT_PASSPHRASE")]
    NoKeyPlace,
    /// The passphrase does not open the stack's key.
    #[error(
        "the passphrase is wrong for this stack, or its [seal] header was edited: check STACKKIT_PASSPHRASE or STACKKIT_PASSPHRASE_FILE"
    )]
    WrongPassphrase,
    /// The passphrase is empty.
    #[error("the passphrase is empty: set STACKKIT_PASSPHRASE to four or more words that others cannot guess")]
    EmptyPassphrase,
    /// A passphrase for a stack is one that a guesser tries early.
    #[error(
        "the passphrase is too easy to guess, because {why}: choose four or more words that have nothing to do with each other; whoever has a copy of the stack's file can try as many as they like"
    )]
    WeakPassphrase {
        /// What is weak about it; nothing of the passphrase stands in it.
        why: &'static str,
    },
    /// The stack is sealed with a passphrase, and none was given.
    #[error(
        "the stack is sealed with a passphrase: set STACKKIT_PASSPHRASE, or STACKKIT_PASSPHRASE_FILE to a file that holds it"
    )]
    NoPassphrase,
    /// No source of keys that was given fits any key of the header.
    #[error("the stack's key is wrapped by {wanted}, and nothing that was given opens that: {tried}")]
    NoKey {
        /// The kinds and ids in the header.
        wanted: String,
        /// What was tried.
        tried: String,
    },
    /// The wrapped key does not open, though the wrapping key is the right one.
    #[error(
        "the wrapped key `{id}` ({kind}) of the [seal] header does not open: it was edited, or copied from another stack; restore the header from version control"
    )]
    WrappedKey {
        /// The kind of the wrapping key.
        kind: String,
        /// Its id.
        id: String,
    },
    /// Nothing at hand opens any of the stack's keys.
    #[error("nothing at hand opens the stack's key: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoneOpens(Vec<SealError>),
    /// None of the private keys at hand belongs to a wrapped key.
    #[error("the stack's key is wrapped for {kind} key {id}, and the private key of that is not at hand: {help}")]
    NotHeld {
        /// The kind of the key.
        kind: String,
        /// Its id.
        id: String,
        /// Where a private key is looked for.
        help: String,
    },
    /// A kind of keys is not linked into the program.
    #[error("this program knows no keys of the kind `{kind}` ({there} are linked): {way}")]
    NotLinked {
        /// The kind.
        kind: String,
        /// What is linked.
        there: String,
        /// How it is linked.
        way: String,
    },
    /// A text names no key.
    #[error(
        "`{}` names no key: {detail}; write it like `key-file`, `key-file:PATH`, `passphrase`, `age:RECIPIENT`, `aws-kms:ARN`, `azure-key-vault:URL`, `google-kms:NAME` or `vault:MOUNT/KEY`",
        .text.escape_debug()
    )]
    Spec {
        /// The text.
        text: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A new passphrase was asked for, and none was given.
    #[error("there is no new passphrase: set STACKKIT_NEW_PASSPHRASE to it")]
    NoNewPassphrase,
    /// A key service or a key of another crate failed.
    #[error("the {kind} key `{id}` {trouble}: {detail}")]
    Provider {
        /// The kind of the key.
        kind: String,
        /// Its id.
        id: String,
        /// What kind of failure it is.
        trouble: KeyTrouble,
        /// What was said, and the way out.
        detail: String,
    },
    /// The team's keys cannot be read.
    #[error("the keys for new stacks in `{}` cannot be used: {detail}", .path.display())]
    Team {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The `[seal]` header cannot be used.
    #[error("the [seal] header of {place} cannot be used: {detail}")]
    Header {
        /// The file.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// Somebody who does not hold the data key changed the header, or two versions of it were merged.
    #[error(
        "the keys in the [seal] header were changed by somebody who does not hold the stack's key, or two versions were merged: restore the header from version control, and let `secrets add` and `secrets remove` change it"
    )]
    HeaderEdited,
    /// A newer program wrote it.
    #[error("{place} has format version {found}, and this program knows versions up to {known}: use a newer program")]
    Newer {
        /// What was read.
        place: String,
        /// Its version.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// A sealed value does not open at its place.
    #[error(
        "the sealed value at {place} does not open: it was edited, or moved there from another place, stack or key; restore it from version control or a backup, or set it anew"
    )]
    Opened {
        /// The place of the value.
        place: String,
    },
    /// A value cannot be stored as it is.
    #[error("the value at {place} cannot be stored: {detail}")]
    Unfit {
        /// The place of the value.
        place: String,
        /// Why not.
        detail: &'static str,
    },
    /// What was opened or read is not the text of a value.
    #[error("the value at {place} cannot be read: {detail}")]
    Malformed {
        /// The place of the value.
        place: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// How a key of a service can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyTrouble {
    /// There are no credentials, or they are not valid.
    Credentials,
    /// The credentials may not use the key.
    Denied,
    /// There is no such key.
    NotFound,
    /// The key exists and may not be used now: it is disabled, or waits for its deletion.
    Disabled,
    /// What was wrapped does not open with it: it was edited, or is another stack's.
    Refused,
    /// The service cannot be reached.
    Unreachable,
    /// It is named or set up in a way that cannot work.
    Invalid,
    /// Anything else.
    Other,
}

impl std::fmt::Display for KeyTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Credentials => "cannot be used without valid credentials",
            Self::Denied => "may not be used with these credentials",
            Self::NotFound => "does not exist",
            Self::Disabled => "is disabled",
            Self::Refused => "does not open what the [seal] header holds",
            Self::Unreachable => "cannot be reached",
            Self::Invalid => "cannot be used",
            Self::Other => "failed",
        })
    }
}
