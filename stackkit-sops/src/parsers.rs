//! What is made of bytes that somebody else may have written: one function a kind of file. Tests on mutations and the fuzzer
//! call them alike; what must never happen is a panic.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use stackkit_age::Identities;

use crate::document::{Document, Sealed};
use crate::format::Format;
use crate::keys;
use crate::problem::Problem;
use crate::tree::{Entries, Node};

/// The private key that opens the corpus.
const KEY: &str = include_str!("../tests/corpus/key.txt");

/// Where the genuine files are.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/sops")
}

static IDENTITIES: LazyLock<Identities> =
    LazyLock::new(|| Identities { text: Some(KEY.to_owned().into()), ..Identities::default() });

fn open(bytes: &[u8], format: Format) -> Result<Document, Problem> {
    let sealed = Sealed::read(bytes, format, "file")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let key = runtime.block_on(keys::data_key(&sealed.metadata, &IDENTITIES, "file"))?;
    sealed.open(&key)
}

/// What is sealed in the corpus: paths and values.
static GENUINE: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let mut sealed = Vec::new();
    for file in std::fs::read_dir(corpus()).into_iter().flatten().flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let document = open(&bytes, Format::of(&name)).expect("a genuine file");
        collect(&document.entries, "", &mut sealed);
    }
    assert!(!sealed.is_empty());
    sealed
});

fn collect(entries: &Entries, path: &str, out: &mut Vec<(String, Vec<u8>)>) {
    entries.iter().for_each(|(name, node)| collect_node(node, &format!("{path}{name}:"), out));
}

fn collect_node(node: &Node, path: &str, out: &mut Vec<(String, Vec<u8>)>) {
    match node {
        Node::Map(entries) => collect(entries, path, out),
        Node::List(items) => items.iter().for_each(|node| collect_node(node, path, out)),
        Node::Leaf(leaf) if leaf.encrypted => out.push((path.to_owned(), leaf.bytes.to_vec())),
        Node::Leaf(_) => {}
    }
}

/// A file of SOPS, in each of its formats. What opens says nothing but what was sealed, at its place.
pub fn sops(bytes: &[u8]) {
    for format in [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini] {
        match open(bytes, format) {
            Ok(document) => {
                let mut sealed = Vec::new();
                collect(&document.entries, "", &mut sealed);
                for one in &sealed {
                    assert!(GENUINE.contains(one), "{}", one.0);
                }
            }
            Err(problem) => assert!(!problem.text.is_empty() && problem.text.len() < 10_000, "{}", problem.text),
        }
    }
}
