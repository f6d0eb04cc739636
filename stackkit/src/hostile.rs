//! What parsers make of texts that nobody wrote: mutations of a corpus of genuine ones, of what stands in files that people
//! and clouds can change. Nothing may panic; what is sealed or signed is the same or refused. Where a code would keep
//! everything else from the parser, the mutation is signed anew, as somebody with the key could.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p stackkit hostile` tries many more than the few of every run.
//! `STACKKIT_UPDATE=1` writes the corpus, `tests/corpus`, anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::config::file::ConfigFile;
use crate::saved::Saved;
use crate::seal::{
    DataKey, Header, KeyFile, KeyOptions, Passphrase, Place, Sealer, Section, config_path, create_with, json, unlock,
};
use crate::state::backend::{Holder, Loaded, Position, snapshot_position};
use crate::state::model::*;
use crate::state::place::{BackendUrl, redacted};
use crate::state::{MemoryBackend, StateError, Store, count_rescued, sign_entry, sign_record, sign_records};
use crate::urn::Urn;
use crate::value::Value;

const LINEAGE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn sealer(whole: bool) -> Arc<Sealer> {
    Arc::new(Sealer::new(&DataKey::from_bytes([7; 32]), LINEAGE).whole(whole))
}

fn folder(parser: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(parser)
}

/// The corpus of a parser, in the order of its files' names.
fn corpus(parser: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder(parser)).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let all: Vec<_> = paths.iter().map(|path| fs::read(path).expect("a file")).collect();
    assert!(!all.is_empty(), "the corpus of `{parser}` is empty");
    all
}

/// What formats are made of, and numbers at their limits.
const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    ":",
    "\n",
    "\0",
    "$",
    "$$",
    "{\"$sealed\":\"sk1.\"}",
    "{\"$float\":\"7ff8000000000000\"}",
    "{\"$secret\":1}",
    "sk1.",
    "sk2.x",
    "sk1.AAAA",
    "null",
    "true",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "1e999",
    "0.1",
    "r/",
    "w/",
    "r/ffffffffffffffff",
    "i/0000000000000001",
    "ä",
    "\u{2028}",
    "=",
    "[[seal.key]]",
    "[config]",
    "://",
    "?",
    "%",
    "%zz",
    "@",
];

#[derive(Debug, Clone)]
struct Edit {
    kind: u8,
    at: Index,
    to: Index,
    byte: u8,
    word: &'static str,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..8u8, any::<Index>(), any::<Index>(), any::<u8>(), proptest::sample::select(&WORDS[..]))
        .prop_map(|(kind, at, to, byte, word)| Edit { kind, at, to, byte, word });
    proptest::collection::vec(edit, 1..6)
}

fn edited(corpus: &[Vec<u8>], which: Index, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = which.get(corpus).clone();
    for edit in edits {
        let (a, b) = (edit.at.index(bytes.len() + 1), edit.to.index(bytes.len() + 1));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 200));
        match edit.kind {
            0 if from < bytes.len() => bytes[from] = edit.byte,
            1 if from < bytes.len() => bytes[from] ^= 1 << (edit.byte % 8),
            2 => drop(bytes.drain(from..to)),
            3 => drop(bytes.splice(from..from, edit.word.bytes())),
            4 => drop(bytes.splice(from..to, edit.word.bytes())),
            5 => {
                let again = bytes[from..to].to_vec();
                bytes.splice(to..to, again);
            }
            6 => bytes.truncate(a),
            _ => {
                // A piece of another text of the corpus.
                let other = edit.to.get(corpus);
                let start = edit.at.index(other.len() + 1);
                let piece = other[start..(start + 1 + usize::from(edit.byte)).min(other.len())].to_vec();
                bytes.splice(from..from, piece);
            }
        }
    }
    bytes
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn open(snapshot: Option<Vec<u8>>, entries: Vec<Vec<u8>>, position: u64) -> Result<State, StateError> {
    let log = Loaded { snapshot, entries, torn: 0, position: Position(position) };
    block(Store::open(Arc::new(MemoryBackend::with(log)), sealer(false))).map(|(_, state)| state)
}

fn open_snapshot(bytes: Vec<u8>) -> Result<State, StateError> {
    let position = snapshot_position(&bytes).unwrap_or_default().0;
    open(Some(bytes), Vec::new(), position)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A refusal says something that fits on a screen.
fn told(error: impl std::fmt::Display) {
    let error = error.to_string();
    assert!(!error.is_empty() && error.len() < 100_000, "{error}");
}

/// A state with something of everything.
fn everything() -> Vec<Change> {
    let fields = |list: &[(&str, Value)]| -> BTreeMap<String, Value> {
        list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let options = RecordedOptions {
        protect: true,
        deleted_with: Urn::parse("t:T::other"),
        delete_timeout: Some(std::time::Duration::from_secs(3)),
        replace_trigger: Some(Value::List(vec![Value::text("x").into_secret()])),
        hook_due: Some(HookDue::Update),
        ..RecordedOptions::default()
    };
    let values = fields(&[
        ("secret", Value::text("sesame").into_secret()),
        ("list", Value::List(vec![Value::Float(1.5), Value::Int(-3), Value::Null, Value::Bool(true)])),
        ("$odd", Value::Map(fields(&[("$x", Value::Float(f64::NAN)), ("big", Value::UInt(u64::MAX))]))),
    ]);
    let resource = |number: u64, status: Status| {
        Change::Put(Record::Resource(Box::new(ResourceRecord {
            instance: Instance(number),
            urn: Urn::new("t:T", "name/ä"),
            id: format!("id-{number}"),
            provider: "p".into(),
            status,
            schema_version: 2,
            inputs: values.clone(),
            outputs: values.clone(),
            seen: values.clone(),
            drifted: BTreeSet::from(["list".to_owned()]),
            dependencies: BTreeSet::from([Instance(1)]),
            options: options.clone(),
        })))
    };
    vec![
        Change::Put(Record::Stack(StackRecord {
            program: "shop".into(),
            guard: crate::options::Guard { no_destroy: true, max_deletes: Some(3) },
        })),
        Change::Put(Record::Provider(ProviderRecord {
            name: "p".into(),
            provider: "p".into(),
            settings: Value::Map(values.clone()),
            identity: Some("account".into()),
        })),
        resource(1, Status::PendingDelete),
        resource(2, Status::Live),
        Change::Put(Record::Intent(Box::new(IntentRecord {
            instance: Instance(3),
            urn: Urn::new("t:T", "c"),
            provider: "p".into(),
            kind: IntentKind::Create,
            token: "token".into(),
            inputs: values.clone(),
            schema_version: 1,
            id: Some("id".into()),
            name_was_free: Some(false),
            at: 5,
            dependencies: BTreeSet::from([Instance(2)]),
            options,
            replaces: Some(Instance(1)),
        }))),
        Change::Put(Record::Output(OutputRecord { name: "o".into(), value: Value::Map(values) })),
    ]
}

/// Every file of the corpus is what its name says, and opens.
#[test]
fn the_corpus_is_of_the_present_format() {
    if std::env::var_os("STACKKIT_UPDATE").is_some() {
        write_corpus();
    }
    for bytes in corpus("snapshot") {
        assert_eq!(open_snapshot(bytes).expect("it opens").resources.len(), 2);
    }
    for bytes in corpus("entry") {
        assert_eq!(open(None, vec![bytes], 1).expect("it opens").resources.len(), 2);
    }
    for bytes in corpus("record") {
        open_snapshot(sign_records(&sealer(false), &[text(&bytes)]).into_bytes()).expect("it opens");
    }
    for bytes in corpus("rescue") {
        assert_eq!(count_rescued(&sealer(false), &text(&bytes)).expect("it opens"), 6);
    }
    for bytes in corpus("header") {
        Header::parse(&text(&bytes), "here").expect("a header").expect("it is there");
    }
    for bytes in corpus("value") {
        json::read_plain(&bytes).map_err(|_| ()).expect("a value");
    }
    for bytes in corpus("url") {
        BackendUrl::parse(&text(&bytes), Path::new(".")).expect("a URL");
    }
    for parser in ["config", "plan", "key"] {
        assert!(!corpus(parser).is_empty());
    }
}

fn write_corpus() {
    let write = |parser: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder(parser)).expect("a folder");
        fs::write(folder(parser).join(name), bytes).expect("written");
    };
    for (form, whole) in [("values", false), ("whole", true)] {
        let backend = MemoryBackend::default();
        let rescue = tempfile::tempdir().expect("a folder");
        block(async {
            let (mut store, _) = Store::open(Arc::new(backend.clone()), sealer(whole)).await.expect("nothing there");
            store.lock(Holder::new("up").expect("a holder")).await.expect("the lock");
            store.rescue(&rescue.path().join("rescue"), &everything()).expect("a rescue file");
            store.commit(&everything()).await.expect("a commit");
            write("entry", form, &backend.log().entries[0]);
            store.fold().await.expect("a fold");
        });
        let snapshot = backend.log().snapshot.expect("a snapshot");
        write("snapshot", form, &snapshot);
        write("rescue", form, &fs::read(rescue.path().join("rescue")).expect("a rescue file"));
        let records = text(&snapshot);
        for (number, record) in records.lines().filter(|line| line.starts_with("{\"key\"")).enumerate() {
            let body = record.trim_end_matches(',').rsplit_once(",\"mac\":").expect("a code").0;
            write("record", &format!("{form}-{number}"), format!("{body}}}").as_bytes());
        }
    }
    for (name, url) in [
        ("file", "file://.stackkit"),
        ("s3", "s3://acme-infra/a/b?create=true&ttl=30s&region=eu-central-1"),
        ("postgres", "postgres://ann:p%40ss@db.example:5432/infra?ttl=2s&sslmode=verify-full"),
    ] {
        write("url", name, url.as_bytes());
    }
    let mut value = Vec::new();
    let Change::Put(Record::Output(output)) = everything().remove(5) else { unreachable!("an output") };
    let _ = json::write_plain(&output.value, &mut value);
    write("value", "everything", &value);
    write("config", "values", b"[config]\na = 1\nb = [1.5, \"x\", { c = true }]\nt = 2026-01-01T00:00:00Z\n\n[config.deep.er]\nx = \"y\"\n\n[[config.list]]\nn = 1\n\n[state]\nbackend = \"s3://acme/x\"\n");
    let token = sealer(false).seal(Place::config("/secret"), &Value::text("sesame")).expect("sealed");
    write("config", "secret", format!("[config]\nsecret = {{ secret = \"{token}\" }}\n").as_bytes());
    let plan = BTreeMap::from([
        ("program".to_owned(), Value::text("shop")),
        ("stack".to_owned(), Value::text("dev")),
        ("position".to_owned(), Value::Int(3)),
        ("fingerprint".to_owned(), Value::text("x")),
        (
            "options".to_owned(),
            Value::text(serde_json::to_string(&crate::plan::PlanOptions::default()).unwrap_or_default()),
        ),
        ("refresh".to_owned(), Value::Bool(true)),
        ("config".to_owned(), Value::List(vec![Value::List(vec![Value::text("k"), Value::text("v")])])),
        ("declared".to_owned(), output.value.clone()),
        ("plan".to_owned(), output.value),
    ]);
    let mut bytes = Vec::new();
    let _ = json::write_plain(&Value::Map(plan), &mut bytes);
    write("plan", "plan", &bytes);
    for (name, key) in [
        ("file", "key-file:keys/ada"),
        ("passphrase", "passphrase"),
        ("age", "age:age1xyz"),
        ("kms", "aws-kms:alias/x"),
    ] {
        write("key", name, key.as_bytes());
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = KeyFile::at(dir.path().join("key"));
    file.ensure().expect("a key file");
    let words =
        Passphrase::new("four common words here".into()).cost(crate::seal::Cost { memory: 64, passes: 1, lanes: 1 });
    let created = block(create_with(&[&file, &words])).expect("a stack");
    let plain = created.header.set_in("[config]\na = 1 # why\n", "here").expect("a header");
    write("header", "two-keys", plain.as_bytes());
    let next = crate::seal::Ring { data_key: "0123456789abcdef".into(), keys: created.header.keys.clone() };
    let header = Header { whole: true, next: Some(next), ..created.header };
    write("header", "changing", header.set_in("", "here").expect("a header").as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_snapshots(which in any::<Index>(), edits in edits()) {
        let corpus = corpus("snapshot");
        let bytes = edited(&corpus, which, &edits);
        match open_snapshot(bytes) {
            Ok(state) => {
                let genuine = open_snapshot(corpus[0].clone()).expect("it opens");
                assert_eq!(format!("{state:?}"), format!("{genuine:?}"));
            }
            Err(error) => told(error),
        }
    }

    #[test]
    fn hostile_entries(which in any::<Index>(), edits in edits()) {
        let corpus = corpus("entry");
        let bytes = edited(&corpus, which, &edits);
        if !corpus.contains(&bytes) {
            told(open(None, vec![bytes.clone()], 1).expect_err("an edited entry"));
        }
        // Signed anew.
        if let Err(error) = open(None, vec![sign_entry(&sealer(false), &text(&bytes)).into_bytes()], 1) {
            told(error);
        }
    }

    #[test]
    fn hostile_records_of_somebody_with_the_key(
        which in any::<Index>(), other in any::<Index>(), edits in edits()
    ) {
        let corpus = corpus("record");
        let records = [text(&edited(&corpus, which, &edits)), text(other.get::<Vec<u8>>(&corpus))];
        let one = open_snapshot(sign_records(&sealer(false), &records[..1]).into_bytes());
        let two = open_snapshot(sign_records(&sealer(false), &records).into_bytes());
        [one, two].into_iter().filter_map(Result::err).for_each(told);
    }

    #[test]
    fn hostile_rescue_files(which in any::<Index>(), edits in edits()) {
        let corpus = corpus("rescue");
        let bytes = edited(&corpus, which, &edits);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("dev.rescue");
        let record = sign_record(&sealer(false), &text(&bytes));
        for content in [bytes, record.into_bytes()] {
            fs::write(&path, &content).expect("written");
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

    #[test]
    fn hostile_headers(which in any::<Index>(), edits in edits()) {
        let bytes = edited(&corpus("header"), which, &edits);
        match Header::parse(&text(&bytes), "here") {
            Ok(Some(header)) => {
                let again = header.set_in(&text(&bytes), "here").expect("what was read is written");
                assert_eq!(Header::parse(&again, "here").expect("it is read again"), Some(header.clone()));
                let dir = tempfile::tempdir().expect("a folder");
                let keys = KeyOptions::default().key_file(dir.path().join("key"));
                KeyFile::at(dir.path().join("key")).ensure().expect("a key file");
                told(block(unlock(&header, &keys)).expect_err("a key of nobody"));
            }
            Ok(None) => {}
            Err(error) => told(error),
        }
    }

    #[test]
    fn hostile_configuration(which in any::<Index>(), edits in edits()) {
        let bytes = edited(&corpus("config"), which, &edits);
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(config_path(dir.path(), "dev"), &bytes).expect("written");
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

    #[test]
    fn hostile_plans_of_somebody_with_the_key(which in any::<Index>(), edits in edits()) {
        let bytes = edited(&corpus("plan"), which, &edits);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("plan");
        fs::write(&path, &bytes).expect("written");
        let sealer = sealer(false);
        told(Saved::read(&path, &sealer).expect_err("no seal"));
        let Ok(value) = json::read_plain(&bytes) else { return Ok(()) };
        let Ok(token) = sealer.seal(Place::plan(""), &value) else { return Ok(()) };
        fs::write(&path, format!("stackkit-plan 1 {}\n{token}\n", sealer.key_id())).expect("written");
        let _ = Saved::read(&path, &sealer).map_err(told);
    }

    #[test]
    fn hostile_values(which in any::<Index>(), edits in edits()) {
        let bytes = edited(&corpus("value"), which, &edits);
        let place = Place { owner: "o", instance: None, section: Section::Output, path: "" };
        if let Ok(value) = json::read_plain(&bytes) {
            // What was read is written and read again as the same.
            let mut again = Vec::new();
            if json::write_plain(&value, &mut again).is_ok() {
                let read = json::read_plain(&again).map_err(|problem| problem.at(place)).expect("it is read again");
                assert_eq!(format!("{read:?}"), format!("{value:?}"));
            }
        }
        let _ = sealer(false).open(place, &text(&bytes)).map_err(told);
    }

    #[test]
    fn hostile_urls_and_names_of_keys(which in any::<Index>(), edits in edits()) {
        let url = text(&edited(&corpus("url"), which, &edits));
        match BackendUrl::parse(&url, Path::new(".")) {
            Ok(parsed) => drop(format!("{parsed} {parsed:?} {} {}", parsed.authority(), parsed.path())),
            Err(error) => told(error),
        }
        if url.starts_with("postgres://ann:p%40ss@") && url.matches("p%40ss").count() == 1 {
            assert!(!redacted(&url).contains("p%40ss"), "{}", redacted(&url));
        }
        let name = text(&edited(&corpus("key"), which, &edits));
        let dir = tempfile::tempdir().expect("a folder");
        // A path of its own may lead anywhere: only what is no key file is tried.
        if !name.starts_with("key-file:") {
            let _ = KeyOptions::default().named(&name, dir.path()).map_err(told);
        }
    }
}
