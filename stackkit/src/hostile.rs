//! What the parsers (`parsers`) make of texts that nobody wrote: mutations of a corpus of genuine ones, of what stands in
//! files that people and clouds can change, and what the fuzzer kept.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p stackkit hostile` tries many more than the few of every run.
//! `STACKKIT_UPDATE=1` writes the corpus, `tests/corpus`, anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::foreign::{ForeignError, ForeignState};
use crate::parsers::{self, block, corpus, files, folder, open, open_snapshot, sealer, text};
use crate::seal::{Header, KeyFile, Passphrase, Place, create_with, json};
use crate::state::backend::Holder;
use crate::state::model::*;
use crate::state::place::BackendUrl;
use crate::state::{MemoryBackend, Store, count_rescued, sign_records};
use crate::urn::Urn;
use crate::value::Value;

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

/// A log of some lines.
fn audit_log(whole: bool) -> String {
    use crate::audit::{Event, Outcome, Told, write};
    let (urn, instance) = ("t:T::name/ä".to_owned(), "0000000000000001".to_owned());
    let begin = r#"{"event":"begin","command":"up","options":{"refresh":false},"program":"shop","who":{"user":"ann"},
        "message":"why"}"#;
    let events = [
        serde_json::from_str(begin).unwrap_or(Event::Other),
        Event::Recovered { urn: urn.clone(), instance: instance.clone(), found: "it was made".into() },
        Event::Found { urn: urn.clone(), instance: instance.clone(), fields: vec!["a".into()], gone: true },
        Event::Plan {
            digest: "x".into(),
            counts: Default::default(),
            identities: BTreeMap::from([("p".into(), "a".into())]),
        },
        Event::Step {
            urn,
            instance: Some(instance),
            verb: "create".into(),
            outcome: Outcome::Failed,
            because: vec!["it is new".into()],
            error: Some("no".into()),
        },
        Event::End { outcome: Outcome::Done, of: Vec::new(), counts: Default::default() },
    ];
    let (mut log, mut prev) = (String::new(), Default::default());
    for (n, event) in (1..).zip(&events) {
        let told = Told::new(1_700_000_000 + n, "run", event).expect("something to tell");
        let (line, chain) = write(&sealer(whole), n, &prev, &told);
        log += &format!("{line}\n");
        prev = chain;
    }
    log
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
    for bytes in corpus("audit") {
        assert!(text(&bytes).lines().all(|line| crate::audit::Line::parse(line).is_some()));
    }
    for bytes in corpus("foreign") {
        let read = ForeignState::read(&bytes, None, None);
        assert!(matches!(read, Ok(_) | Err(ForeignError::PassphraseMissing(_))), "{read:?}");
    }
    for (parser, _) in parsers::ALL {
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
        write("audit", form, audit_log(whole).as_bytes());
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
    write("key-file", "key", &fs::read(file.path()).expect("a key file"));
    for (name, path) in [
        ("terraform", "terraform/terraform.tfstate"),
        ("tofu-encrypted", "terraform/encrypted.tfstate"),
        ("pulumi", "pulumi/export.json"),
    ] {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path);
        write("foreign", name, &fs::read(data).expect("a state"));
    }
    let words =
        Passphrase::new("four common words here".into()).cost(crate::seal::Cost { memory: 64, passes: 1, lanes: 1 });
    let created = block(create_with(&[&file, &words])).expect("a stack");
    let plain = created.header.set_in("[config]\na = 1 # why\n", "here").expect("a header");
    write("header", "two-keys", plain.as_bytes());
    let next = crate::seal::Ring { data_key: "0123456789abcdef".into(), keys: created.header.keys.clone() };
    let header = Header { whole: true, next: Some(next), ..created.header };
    write("header", "changing", header.set_in("", "here").expect("a header").as_bytes());
}

/// What the fuzzer found worth keeping, and what once made a parser fail, beside the genuine ones.
#[test]
fn every_file_of_the_corpora_is_read_or_refused() {
    for (parser, run) in parsers::ALL {
        let fuzzed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzzed").join(parser);
        [corpus(parser), files(&fuzzed)].concat().iter().for_each(|bytes| run(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_audit_lines(which in any::<Index>(), edits in edits()) {
        parsers::audit(&edited(&corpus("audit"), which, &edits));
    }

    #[test]
    fn hostile_configuration(which in any::<Index>(), edits in edits()) {
        parsers::config(&edited(&corpus("config"), which, &edits));
    }

    #[test]
    fn hostile_entries(which in any::<Index>(), edits in edits()) {
        parsers::entry(&edited(&corpus("entry"), which, &edits));
    }

    #[test]
    fn hostile_states_of_other_tools(which in any::<Index>(), edits in edits()) {
        parsers::foreign(&edited(&corpus("foreign"), which, &edits));
    }

    #[test]
    fn hostile_headers(which in any::<Index>(), edits in edits()) {
        parsers::header(&edited(&corpus("header"), which, &edits));
    }

    #[test]
    fn hostile_names_of_keys(which in any::<Index>(), edits in edits()) {
        parsers::key(&edited(&corpus("key"), which, &edits));
    }

    #[test]
    fn hostile_key_files(which in any::<Index>(), edits in edits()) {
        parsers::key_file(&edited(&corpus("key-file"), which, &edits));
    }

    #[test]
    fn hostile_plans_of_somebody_with_the_key(which in any::<Index>(), edits in edits()) {
        parsers::plan(&edited(&corpus("plan"), which, &edits));
    }

    #[test]
    fn hostile_records_of_somebody_with_the_key(which in any::<Index>(), edits in edits()) {
        parsers::record(&edited(&corpus("record"), which, &edits));
    }

    #[test]
    fn hostile_rescue_files(which in any::<Index>(), edits in edits()) {
        parsers::rescue(&edited(&corpus("rescue"), which, &edits));
    }

    #[test]
    fn hostile_snapshots(which in any::<Index>(), edits in edits()) {
        parsers::snapshot(&edited(&corpus("snapshot"), which, &edits));
    }

    #[test]
    fn hostile_urls(which in any::<Index>(), edits in edits()) {
        parsers::url(&edited(&corpus("url"), which, &edits));
    }

    #[test]
    fn hostile_values(which in any::<Index>(), edits in edits()) {
        parsers::value(&edited(&corpus("value"), which, &edits));
    }
}
