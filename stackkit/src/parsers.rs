//! What is made of bytes that somebody else may have written: one function a kind of file. Tests on mutations (`hostile`)
//! and the fuzzer call them alike. Nothing may panic; what is sealed or signed is the same or refused. Where a code would
//! keep everything else from the parser, the bytes are signed anew, as somebody with the key could.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tempfile::TempDir;

use crate::audit;
use crate::config::file::ConfigFile;
use crate::foreign::{ForeignState, Format};
use crate::saved::Saved;
use crate::seal::{
    Code, Cost, DataKey, Header, KeyFile, KeyOptions, KeyProvider as _, Passphrase, Place, Sealer, Section, WrappedKey,
    config_path, json, unbase64, unlock,
};
use crate::state::backend::{Holder, Loaded, Position, snapshot_position};
use crate::state::model::State;
use crate::state::place::{BackendUrl, redacted};
use crate::state::{MemoryBackend, StateError, Store, sign_entry, sign_record, sign_records, split_code};

/// The lineage of the corpus.
pub(crate) const LINEAGE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// What a file of bytes is given to.
pub type Parser = fn(&[u8]);

/// Every parser by the name of its corpus.
pub const ALL: [(&str, Parser); 13] = [
    ("audit", audit),
    ("config", config),
    ("entry", entry),
    ("foreign", foreign),
    ("header", header),
    ("key", key),
    ("key-file", key_file),
    ("plan", plan),
    ("record", record),
    ("rescue", rescue),
    ("snapshot", snapshot),
    ("url", url),
    ("value", value),
];

/// The data key that everything in the corpus is sealed with.
pub(crate) fn sealer(whole: bool) -> Arc<Sealer> {
    Arc::new(Sealer::new(&DataKey::from_bytes([7; 32]), LINEAGE).whole(whole))
}

pub(crate) fn folder(parser: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(parser)
}

/// The files of a folder, in the order of their names.
pub(crate) fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a file").path())
        .collect();
    paths.sort();
    let all: Vec<_> = paths.iter().map(|path| fs::read(path).expect("a file")).collect();
    assert!(!all.is_empty(), "{} is empty", folder.display());
    all
}

/// The genuine texts for a parser.
pub(crate) fn corpus(parser: &str) -> Vec<Vec<u8>> {
    files(&folder(parser))
}

pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

pub(crate) fn open(snapshot: Option<Vec<u8>>, entries: Vec<Vec<u8>>, position: u64) -> Result<State, StateError> {
    let log = Loaded { snapshot, entries, torn: 0, position: Position(position) };
    block(Store::open(Arc::new(MemoryBackend::with(log)), sealer(false))).map(|(_, state)| state)
}

pub(crate) fn open_snapshot(bytes: Vec<u8>) -> Result<State, StateError> {
    let position = snapshot_position(&bytes).unwrap_or_default().0;
    open(Some(bytes), Vec::new(), position)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A refusal says something that fits on a screen.
fn told(error: impl std::fmt::Display) {
    let error = error.to_string();
    assert!(!error.is_empty() && error.len() < 100_000, "{error}");
}

/// A file of this content in a folder of its own.
fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    fs::write(&path, bytes).expect("written");
    (dir, path)
}

/// A snapshot: it opens as what was written, or not at all.
pub fn snapshot(bytes: &[u8]) {
    static GENUINE: LazyLock<String> = LazyLock::new(|| {
        let state = open_snapshot(corpus("snapshot").swap_remove(0)).expect("it opens");
        format!("{state:?}")
    });
    match open_snapshot(bytes.to_vec()) {
        Ok(state) => assert_eq!(format!("{state:?}"), *GENUINE),
        Err(error) => told(error),
    }
    // What needs no key to be read says what it likes, but comes to an end.
    let loaded = Loaded { snapshot: Some(bytes.to_vec()), entries: Vec::new(), torn: 0, position: Position(1) };
    let _ = crate::state::unverified::read(&loaded, LINEAGE, "here").map_err(told);
}

/// An entry of a journal, as it is and signed anew.
pub fn entry(bytes: &[u8]) {
    static GENUINE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("entry"));
    if !GENUINE.iter().any(|genuine| genuine == bytes) {
        told(open(None, vec![bytes.to_vec()], 1).expect_err("an edited entry"));
    }
    if let Err(error) = open(None, vec![sign_entry(&sealer(false), &text(bytes)).into_bytes()], 1) {
        told(error);
    }
    let loaded = Loaded { snapshot: None, entries: vec![bytes.to_vec()], torn: 0, position: Position(1) };
    let _ = crate::state::unverified::read(&loaded, LINEAGE, "here").map_err(told);
}

/// A record of somebody with the key, alone and beside a genuine one.
pub fn record(bytes: &[u8]) {
    static GENUINE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("record"));
    let other = GENUINE.get(bytes.len() % GENUINE.len()).expect("a record");
    let records = [text(bytes), text(other)];
    let one = open_snapshot(sign_records(&sealer(false), &records[..1]).into_bytes());
    let two = open_snapshot(sign_records(&sealer(false), &records).into_bytes());
    [one, two].into_iter().filter_map(Result::err).for_each(told);
}

/// A rescue file, as it is and signed anew. One that is refused stays.
pub fn rescue(bytes: &[u8]) {
    let signed = sign_record(&sealer(false), &text(bytes)).into_bytes();
    for content in [bytes, &signed] {
        let (_dir, path) = written("dev.rescue", content);
        let merged = block(async {
            let (mut store, _) = Store::open(Arc::new(MemoryBackend::default()), sealer(false)).await.expect("empty");
            store.lock(Holder::new("state repair").expect("a holder")).await.expect("the lock");
            store.merge_rescue(&path).await
        });
        match merged {
            Ok(_) => assert!(!path.exists()),
            Err(error) => {
                told(error);
                assert_eq!(fs::read(&path).expect("it stays"), content);
            }
        }
    }
}

/// A header with what wraps the data key. What was read is written and read again as the same.
pub fn header(bytes: &[u8]) {
    match Header::parse(&text(bytes), "here") {
        Ok(Some(header)) => {
            let again = header.set_in(&text(bytes), "here").expect("what was read is written");
            assert_eq!(Header::parse(&again, "here").expect("it is read again"), Some(header.clone()));
            let (dir, _) = written("other", b"");
            let keys = KeyOptions::default().key_file(dir.path().join("key"));
            KeyFile::at(dir.path().join("key")).ensure().expect("a key file");
            told(block(unlock(&header, &keys)).expect_err("a key of nobody"));
            header.keys.iter().for_each(wrapped);
        }
        Ok(None) => {}
        Err(error) => told(error),
    }
}

/// A key wrapped by a passphrase, where deriving it costs next to nothing.
fn wrapped(key: &WrappedKey) {
    const CHEAP: Cost = Cost { memory: 64, passes: 2, lanes: 2 };
    let within = |name: &str, most: u32| key.number(name).is_some_and(|number| number <= most.into());
    if within("memory", CHEAP.memory) && within("passes", CHEAP.passes) && within("lanes", CHEAP.lanes) {
        told(block(Passphrase::new("not this one".into()).unwrap(key, LINEAGE)).expect_err("another passphrase"));
    }
}

/// The configuration of a stack.
pub fn config(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(config_path(dir.path(), "dev"), bytes).expect("written");
    match ConfigFile::read(dir.path(), "dev") {
        Ok(file) => {
            let _ = file.entries().map_err(told);
            let _ = file.values(Some(&sealer(false))).map_err(told);
            let _ = file.resealed(&sealer(false), &sealer(true)).map_err(told);
        }
        Err(error) => told(error),
    }
    let _ = crate::config::file::backend(dir.path(), "dev").map_err(told);
}

/// A saved plan, as it is and sealed anew by somebody with the key.
pub fn plan(bytes: &[u8]) {
    let (_dir, path) = written("plan", bytes);
    let sealer = sealer(false);
    told(Saved::read(&path, &sealer).expect_err("no seal"));
    let Ok(value) = json::read_plain(bytes) else { return };
    let Ok(token) = sealer.seal(Place::plan(""), &value) else { return };
    fs::write(&path, format!("stackkit-plan 1 {}\n{token}\n", sealer.key_id())).expect("written");
    let _ = Saved::read(&path, &sealer).map_err(told);
}

/// A value, and a sealed one. What was read is written and read again as the same.
pub fn value(bytes: &[u8]) {
    let place = Place { owner: "o", instance: None, section: Section::Output, path: "" };
    if let Ok(value) = json::read_plain(bytes) {
        let mut again = Vec::new();
        if json::write_plain(&value, &mut again).is_ok() {
            let read = json::read_plain(&again).map_err(|problem| problem.at(place)).expect("it is read again");
            assert_eq!(format!("{read:?}"), format!("{value:?}"));
        }
    }
    let _ = sealer(false).open(place, &text(bytes)).map_err(told);
}

/// The URL of a place. Its password does not show.
pub fn url(bytes: &[u8]) {
    let url = text(bytes);
    match BackendUrl::parse(&url, Path::new(".")) {
        Ok(parsed) => drop(format!("{parsed} {parsed:?} {} {}", parsed.authority(), parsed.path())),
        Err(error) => told(error),
    }
    if url.starts_with("postgres://ann:p%40ss@") && url.matches("p%40ss").count() == 1 {
        assert!(!redacted(&url).contains("p%40ss"), "{}", redacted(&url));
    }
}

/// The name of a key.
pub fn key(bytes: &[u8]) {
    let name = text(bytes);
    // A path of its own may lead anywhere: only what is no key file is tried.
    if !name.starts_with("key-file:") {
        let dir = tempfile::tempdir().expect("a folder");
        let _ = KeyOptions::default().named(&name, dir.path()).map_err(told);
    }
}

/// The content of a key file.
pub fn key_file(bytes: &[u8]) {
    let (_dir, path) = written("key", bytes);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    match KeyFile::at(&path).ensure() {
        Ok(made) => assert!(!made),
        Err(error) => {
            // Nothing of a key stands in what is said of it.
            let said = error.to_string();
            let longest = text(bytes).split_whitespace().map(str::to_owned).max_by_key(String::len).unwrap_or_default();
            assert!(longest.len() < 40 || !said.contains(&longest), "{said}");
            told(said);
        }
    }
}

/// The audit log: lines as they are, and each signed anew as the first one.
pub fn audit(bytes: &[u8]) {
    let (text, keys) = (text(bytes), audit::Keys::new(&sealer(false)));
    let parts = [text.clone()];
    let lines = audit::merged(&parts, &parts);
    let report = audit::verify(&lines, &keys, audit::Head { lines: lines.len() as u64, chain: Code::default() });
    report.faults.iter().for_each(told);
    for line in lines {
        audit::number_of(line);
        let Some(read) = audit::Line::parse(line) else { continue };
        assert!(read.key.len() <= line.len());
        let opened = read.opened(&keys, LINEAGE);
        drop((opened.time(), format!("{opened:?}")));
        let Some((body, _)) = split_code(line, "chain") else { continue };
        let signed = crate::state::add_code(format!("{body}}}"), "chain", &|body| {
            sealer(false).code(crate::seal::Purpose::Audit, &[&Code::default(), body])
        });
        let chain = split_code(&signed, "chain").map(|(_, chain)| chain).unwrap_or_default();
        let report = audit::verify(&[&signed], &keys, audit::Head { lines: 1, chain });
        report.faults.iter().for_each(told);
    }
    let _ = unbase64(&text);
}

/// The state of another tool, told by its content and by its name. No passphrase is given: a key takes a second.
pub fn foreign(bytes: &[u8]) {
    for format in [None, Some(Format::Terraform), Some(Format::Pulumi)] {
        match ForeignState::read(bytes, format, None) {
            Ok(state) => assert!(format!("{state:?}").len() < 100 * (bytes.len() + 1000), "it grew out of bounds"),
            Err(error) => told(error),
        }
    }
}
