//! `SopsFile`: a secret in a file that SOPS encrypted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stackkit::lookup::{Answer, Lookup};
use stackkit::{Context, Secret, lookup};

use crate::document::{Document, Sealed};
use crate::format::Format;
use crate::keys;
use crate::path;
use crate::problem::{Problem, shown};
use crate::provider::Sops;
use crate::tree::{Kind, Leaf, Node};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// A secret in a file that SOPS encrypted, read in every run and never kept.
///
/// ```no_run
/// use stackkit::prelude::*;
/// use stackkit_sops::{Sops, SopsFile};
///
/// #[stackkit::main(providers(Sops))]
/// async fn shop(stack: &mut Stack) -> Result<()> {
///     let password = stack.data("db-password", SopsFile::new("secrets.yaml").field("database.password"));
///     stack.add("db-password", local::SecretFile::new("password", &password.value));
///     Ok(())
/// }
/// ```
#[lookup("sops:SopsFile")]
pub struct SopsFile {
    /// Where it is; a relative path is taken from the stack's folder.
    pub path: String,
    /// Which part of it: names with dots between them, and indices of lists, as in `database.password` or
    /// `users[0].name`; or a pointer such as `/database/password` (RFC 6901). Text is given as it is, lists and maps as
    /// JSON. Unset: all of it, as JSON; of a [binary](Format::Binary) file, what it holds.
    pub field: Option<String>,
    /// How it is written. Unset: by its name, as [`Format::of`] says.
    pub format: Option<Format>,
    /// Whether its bytes are given as base64, for what is no text.
    #[lookup(default = false)]
    pub base64: bool,
    /// The secret.
    #[lookup(output)]
    pub value: Secret<String>,
}

impl Lookup for SopsFile {
    type Provider = Sops;

    async fn look_up(sops: &Sops, cx: &Context, args: &SopsFileArgs) -> Answer<Self> {
        let value = read_value(sops, cx.dir().join(&args.path), args).await;
        let value = value.map_err(|problem| problem.of(&args.path))?;
        Ok(SopsFileState { args: args.clone(), value })
    }
}

/// Opens the file at a place, and takes out of it what is asked for.
async fn read_value(sops: &Sops, place: PathBuf, args: &SopsFileArgs) -> Result<Secret<String>, Problem> {
    let format = args.format.unwrap_or_else(|| Format::of(&args.path));
    let name = args.path.clone();
    let sealed = aside(move || Sealed::read(&read(&place)?, format, &name)).await?;
    let key = keys::data_key(&sealed.metadata, &sops.identities, &sealed.file).await?;
    let asked = args.clone();
    aside(move || value(&sealed.open(&key)?, format, &asked)).await
}

/// Work that would keep others waiting.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Problem::invalid(format!("was not read to its end: {error}"))))
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Problem::not_found(format!("is not there: it was looked for at {}", path.display())),
        io::ErrorKind::PermissionDenied => Problem::denied("may not be read: check its mode and its owner"),
        _ => Problem::invalid(format!("cannot be read: {error}")),
    };
    // A pipe would wait for somebody to write.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(Problem::invalid("is no file: name one that SOPS wrote"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Problem::invalid("is larger than 16 MiB: keep secrets in a file of their own"));
    }
    Ok(bytes)
}

/// What is asked for of a file.
pub(crate) fn value(document: &Document, format: Format, asked: &SopsFileArgs) -> Result<Secret<String>, Problem> {
    let whole = if format == Format::Binary { Some("data") } else { None };
    let Some(field) = asked.field.as_deref().or(whole) else {
        return all(document);
    };
    let node = path::find(&document.entries, field)?;
    let name = shown(field);
    if document.plain_is_unchecked && holds_plain(node) {
        return Err(Problem::invalid(format!(
            "holds `{name}` in plain text, which its MAC does not cover (`mac_only_encrypted`), so anybody may have \
             written it: have it encrypted, or let the MAC cover all values"
        )));
    }
    match node {
        Node::Leaf(leaf) if leaf.kind == Kind::Null || leaf.bytes.is_empty() => {
            // What is empty is neither encrypted nor in the MAC: anybody may have put it there.
            Err(Problem::not_found(format!(
                "has nothing in `{name}`: give it the secret with `sops set` or `sops edit`"
            )))
        }
        Node::Leaf(leaf) => text(leaf, &name, asked.base64),
        branch => json(branch, &name),
    }
}

/// All of it, as JSON.
fn all(document: &Document) -> Result<Secret<String>, Problem> {
    if document.plain_is_unchecked && document.entries.iter().any(|(_, node)| holds_plain(node)) {
        return Err(Problem::invalid(
            "holds values in plain text, which its MAC does not cover (`mac_only_encrypted`): name the part that is \
             wanted with `.field(…)`",
        ));
    }
    let fields = document.entries.iter().map(|(name, node)| Some((name.clone(), node.to_json()?)));
    let fields: Option<serde_json::Map<_, _>> = fields.collect();
    fields.map(|fields| Secret::new(serde_json::Value::Object(fields).to_string())).ok_or_else(|| not_text("a value"))
}

fn text(leaf: &Leaf, name: &str, base64: bool) -> Result<Secret<String>, Problem> {
    if base64 {
        return Ok(Secret::new(STANDARD.encode(leaf.plain())));
    }
    let text = std::str::from_utf8(leaf.plain()).map_err(|_| not_text(&format!("`{name}`")))?;
    Ok(Secret::new(text.to_owned()))
}

fn json(node: &Node, name: &str) -> Result<Secret<String>, Problem> {
    node.to_json().map(|json| Secret::new(json.to_string())).ok_or_else(|| not_text(&format!("`{name}`")))
}

fn not_text(what: &str) -> Problem {
    Problem::invalid(format!("holds {what} that is no text in UTF-8: take its bytes with `.base64(true)`"))
}

/// Whether some of it stands in the file as it is.
fn holds_plain(node: &Node) -> bool {
    match node {
        Node::Map(entries) => entries.iter().any(|(_, node)| holds_plain(node)),
        Node::List(items) => items.iter().any(holds_plain),
        Node::Leaf(leaf) => !leaf.encrypted && leaf.kind != Kind::Null && !leaf.bytes.is_empty(),
    }
}
