//! States that are sealed as a whole: nothing of their records is readable, whatever they are and wherever they are kept;
//! everything else is as it is with the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use stackkit::engine::{DeployOptions, Deployment};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::{Header, KeyOptions, Sealer, config_path};
use stackkit::state::backend::Holder;
use stackkit::state::model::*;
use stackkit::state::{LocalBackend, MemoryBackend, Store, verify};
use stackkit::{Urn, Value};

/// Words that stand in names, ids, plain values, options and keys of records.
const WORDS: [&str; 12] = [
    "word-program",
    "word-provider",
    "word-account",
    "word-region",
    "word-type",
    "word-name",
    "word-id",
    "word-field",
    "word-value",
    "word-output",
    "word-token",
    "word-drift",
];

fn fields(list: &[(&str, Value)]) -> BTreeMap<String, Value> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn resource(number: u64, value: &str) -> Change {
    Change::Put(Record::Resource(Box::new(ResourceRecord {
        instance: Instance(number),
        urn: Urn::new("word-type:Thing", &format!("word-name-{number}")),
        id: format!("word-id-{number}"),
        provider: "word-provider".into(),
        status: Status::Live,
        schema_version: 1,
        inputs: fields(&[("word-field", Value::text(format!("word-value-{value}")))]),
        outputs: fields(&[("password", Value::text("word-value").into_secret())]),
        seen: BTreeMap::new(),
        drifted: BTreeSet::from(["word-drift".to_owned()]),
        dependencies: BTreeSet::new(),
        options: RecordedOptions::default(),
    })))
}

fn records() -> Vec<Change> {
    vec![
        Change::Put(Record::Stack(StackRecord { program: "word-program".into(), guard: Default::default() })),
        Change::Put(Record::Provider(ProviderRecord {
            name: "word-provider".into(),
            provider: "word-provider".into(),
            settings: Value::Map(fields(&[("word-region", Value::text("word-region"))])),
            identity: Some("word-account".into()),
        })),
        resource(0xABCD, "first"),
        resource(0xBEEF, "first"),
        Change::Put(Record::Output(OutputRecord { name: "word-output".into(), value: Value::text("word-value") })),
        Change::Put(Record::Intent(Box::new(IntentRecord {
            instance: Instance(0xCAFE),
            urn: Urn::new("word-type:Thing", "word-name-3"),
            provider: "word-provider".into(),
            kind: IntentKind::Create,
            token: "word-token".into(),
            inputs: fields(&[("word-field", Value::text("word-value"))]),
            schema_version: 1,
            id: None,
            name_was_free: None,
            at: 5,
            dependencies: BTreeSet::new(),
            options: RecordedOptions::default(),
            replaces: None,
        }))),
    ]
}

/// A state in a folder.
struct Disk {
    folder: tempfile::TempDir,
    sealer: Arc<Sealer>,
}

impl Disk {
    fn new(whole: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, sealer: Arc::new(Sealer::ephemeral().expect("a key").whole(whole)) }
    }

    fn backend(&self) -> Arc<LocalBackend> {
        Arc::new(LocalBackend::new(self.folder.path(), "dev"))
    }

    async fn open(&self) -> (Store, State) {
        Store::open(self.backend(), self.sealer.clone()).await.expect("it opens")
    }

    async fn locked(&self) -> Store {
        let (mut store, _) = self.open().await;
        store.lock(Holder::new("up").expect("a holder")).await.expect("the lock");
        store
    }

    fn text(&self) -> String {
        let files = fs::read_dir(self.folder.path()).expect("a folder").flatten();
        files.map(|file| fs::read_to_string(file.path()).expect("text")).collect()
    }

    fn snapshot(&self) -> String {
        fs::read_to_string(self.backend().snapshot_path()).expect("a snapshot")
    }
}

fn readable(text: &str) -> Vec<&'static str> {
    let digits = [
        "000000000000abcd",
        "000000000000beef",
        "000000000000cafe",
        "\"r/",
        "\"i/",
        "\"o/",
        "\"p/",
        "\"s\"",
        "\"urn\"",
    ];
    WORDS.into_iter().chain(digits).filter(|word| text.contains(word)).collect()
}

#[tokio::test]
async fn nothing_of_any_record_is_readable_anywhere() {
    for whole in [false, true] {
        let disk = Disk::new(whole);
        let mut store = disk.locked().await;
        store.commit(&records()).await.expect("a commit");
        store.commit(&[Change::Remove(Key::Output("word-output".into()))]).await.expect("a commit");
        let rescue = disk.folder.path().join("dev.rescue");
        let rescued = [resource(0xFACE, "third"), Change::Remove(Key::Resource(Instance(0xABCD)))];
        store.rescue(&rescue, &rescued).expect("rescued");
        let journal = disk.text();
        assert!(journal.contains("\"changes\"") && journal.contains("\"del\":[\""), "{journal}");
        store.fold().await.expect("a fold");
        store.commit(&[resource(0xBEEF, "second")]).await.expect("a commit");
        let found = readable(&[journal, disk.text()].concat());
        // The test of the test: the other form has all of it.
        assert_eq!(found.len(), if whole { 0 } else { 21 }, "{found:?}");

        // It is the same state, and goes on.
        let expected = store.state().expect("a state");
        drop(store);
        let (_, opened) = disk.open().await;
        assert_eq!(opened, expected);
        let mut store = disk.locked().await;
        assert_eq!(store.merge_rescue(&rescue).await.expect("merged"), 2);
        let state = store.state().expect("a state");
        assert!(state.resources.contains_key(&Instance(0xFACE)) && !state.resources.contains_key(&Instance(0xABCD)));
        store.fold().await.expect("a fold");
        drop(store);
        assert_eq!(disk.open().await.1, state);
    }
}

#[tokio::test]
async fn what_does_not_change_keeps_its_bytes() {
    let disk = Disk::new(true);
    let mut store = disk.locked().await;
    store.commit(&records()).await.expect("a commit");
    store.fold().await.expect("a fold");
    let before = disk.snapshot();
    let position = store.position();
    store.commit(&records()).await.expect("a commit of nothing");
    store.fold().await.expect("a fold of nothing");
    assert_eq!((disk.snapshot(), store.position()), (before.clone(), position));
    store.commit(&[resource(0xBEEF, "second")]).await.expect("a commit");
    store.fold().await.expect("a fold");
    let after = disk.snapshot();
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("{\"key\""))
            .map(|line| line.trim_end_matches(',').to_owned())
            .collect()
    };
    let (before, after) = (lines(&before), lines(&after));
    assert_eq!(before.len(), 6);
    assert_eq!(before.iter().filter(|line| after.contains(line)).count(), 5);
    let mut sorted = after.clone();
    sorted.sort();
    assert_eq!(after, sorted, "the order of records tells nothing of them");
}

#[tokio::test]
async fn a_snapshot_of_the_other_form_becomes_whole_where_it_is_put() {
    let plain = Disk::new(false);
    let mut store = plain.locked().await;
    store.commit(&records()).await.expect("a commit");
    let snapshot = store.snapshot();
    assert_eq!(store.read_snapshot(snapshot.as_bytes(), "here").expect("it opens"), store.state().expect("a state"));
    let backend = Arc::new(MemoryBackend::default());
    let whole = Arc::new(Sealer::clone(&plain.sealer).whole(true));
    let (mut copy, _) = Store::open(backend.clone(), whole.clone()).await.expect("nothing there");
    copy.lock(Holder::new("state import").expect("a holder")).await.expect("the lock");
    copy.move_in(snapshot.as_bytes()).await.expect("moved in");
    let there = backend.log();
    assert_eq!(there.position, stackkit::state::backend::Position(store.position().0 + 1));
    let text = String::from_utf8(there.snapshot.expect("a snapshot")).expect("text");
    assert_eq!(readable(&text), Vec::<&str>::new());
    assert_eq!(copy.state().expect("a state"), store.state().expect("a state"));
}

#[stackkit::program]
async fn shop(stack: &mut Stack) -> Result<()> {
    let password = stack.add("word-name-password", local::RandomPassword::new(32));
    stack.add("word-name-id", local::RandomId::new(8));
    stack.output("word-output", &password.value);
    Ok(())
}

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    fn keys(&self) -> KeyOptions {
        KeyOptions::default().key_file(self.dir.path().join("key"))
    }

    fn with(&self, keys: KeyOptions) -> Deployment {
        Deployment::new(
            Some(shop()),
            DeployOptions { dir: self.dir.path().to_owned(), keys, ..DeployOptions::default() },
        )
    }

    fn deployment(&self) -> Deployment {
        self.with(self.keys())
    }

    async fn up(&self) -> usize {
        let summary = self.deployment().up(&PlanOptions::default(), &|_| true).await.expect("a run");
        summary.create + summary.update + summary.replace + summary.delete
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(".stackkit").join(name)
    }

    fn is_whole(&self) -> bool {
        let text = fs::read_to_string(self.path("dev.state.json")).expect("a state");
        let journal = fs::read_to_string(self.path("dev.journal")).unwrap_or_default();
        readable(&[text, journal].concat()).is_empty()
    }

    fn header(&self) -> Header {
        Header::read(&config_path(self.dir.path(), "dev")).expect("a header").expect("it is there")
    }

    /// Writes a header that says otherwise, as a switch does before it comes to the state.
    async fn say(&self, whole: bool) {
        let header = self.header();
        let key = header.open(&self.keys()).await.expect("it opens");
        Header { whole, ..header }.with_mac(&key).write(&config_path(self.dir.path(), "dev")).expect("written");
    }
}

/// Rules: 15, 35.
#[tokio::test]
async fn a_switch_writes_all_of_it_anew_and_may_stop_anywhere() {
    let world = World::new();
    assert_eq!(world.up().await, 2);
    assert!(!world.is_whole());
    let state = world.deployment().state().await.expect("a state");
    let plain = fs::read(world.path("dev.state.json")).expect("a state");

    // Both ways, and a second time it is so already.
    for whole in [true, false, true] {
        assert!(world.deployment().seal_whole(whole).await.expect("a switch"));
        assert!(!world.deployment().seal_whole(whole).await.expect("no switch"));
        assert_eq!((world.is_whole(), world.header().whole), (whole, whole));
        assert_eq!(world.deployment().state().await.expect("a state"), state);
        assert_eq!(world.up().await, 0);
        assert_eq!((world.is_whole(), world.header().whole), (whole, whole));
    }

    // Stopped between the header and the state, which is the same on the way back: it opens, and the next run that writes
    // goes on.
    world.deployment().seal_whole(false).await.expect("a switch");
    let folded = fs::read(world.path("dev.state.json")).expect("a state");
    world.say(true).await;
    assert_eq!(world.deployment().state().await.expect("a state"), state);
    world.deployment().preview(&PlanOptions::default()).await.expect("a preview");
    assert_eq!(fs::read(world.path("dev.state.json")).expect("a state"), folded, "who only looks writes nothing");
    assert_eq!(world.up().await, 0);
    assert!(world.is_whole());
    verify(&world.deployment().state().await.expect("a state")).expect("it is whole");

    // Stopped between the snapshot and the journal: its entries are of the other form, and held already.
    world.deployment().seal_whole(false).await.expect("a switch");
    let mut entry = Vec::new();
    {
        let sealer = stackkit::seal::unlock(&world.header(), &world.keys()).await.expect("it opens");
        let backend = Arc::new(LocalBackend::new(world.dir.path().join(".stackkit"), "dev"));
        let (mut store, _) = Store::open(backend.clone(), Arc::new(sealer)).await.expect("it opens");
        store.lock(Holder::new("up").expect("a holder")).await.expect("the lock");
        store
            .commit(&[Change::Put(Record::Output(OutputRecord { name: "more".into(), value: Value::Int(1) }))])
            .await
            .expect("a commit");
        entry.extend(fs::read(backend.journal_path()).expect("a journal"));
    }
    let before = world.deployment().state().await.expect("a state");
    world.deployment().seal_whole(true).await.expect("a switch");
    fs::write(world.path("dev.journal"), &entry).expect("written");
    assert_eq!(world.deployment().state().await.expect("a state"), before);
    world.up().await;
    assert!(world.is_whole(), "the entries of the other form are tidied away");

    // An old version of the state is of the other form, and taken in as it should be.
    let diff =
        world.deployment().import_state(std::str::from_utf8(&plain).expect("text"), &|_| true).await.expect("taken in");
    assert!(diff.is_empty() && world.is_whole());
}

#[tokio::test]
async fn a_header_that_knows_nothing_of_it_does_not_undo_it() {
    let world = World::new();
    world.up().await;
    world.deployment().seal_whole(true).await.expect("a switch");
    world.say(false).await;
    assert_eq!(world.up().await, 0);
    let urn = Urn::parse("local:RandomId::word-name-id").expect("a URN");
    world.deployment().remove(&urn).await.expect("removed");
    assert!(world.is_whole());
    world.deployment().rotate_keys(&[]).await.expect("a new data key");
    assert!(world.is_whole() && world.header().whole);
    assert!(world.deployment().seal_whole(false).await.expect("a switch"));
    assert!(!world.is_whole() && !world.header().whole);
}

#[tokio::test]
async fn without_a_key_nothing_is_listed_and_the_key_that_lacks_is_named() {
    let world = World::new();
    world.up().await;
    world.deployment().seal_whole(true).await.expect("a switch");
    let nowhere = KeyOptions::default().key_file(world.dir.path().join("nowhere"));
    let error = world.with(nowhere).state().await.expect_err("it is sealed").to_string();
    assert!(error.contains(&world.header().keys[0].id) && error.contains("STACKKIT_KEY_FILE"), "{error}");
    assert!(readable(&error).is_empty(), "{error}");
}

#[tokio::test]
async fn a_switch_waits_for_a_rescue_file() {
    let world = World::new();
    world.up().await;
    fs::write(world.path("dev.rescue"), "{}").expect("written");
    let error = world.deployment().seal_whole(true).await.expect_err("a rescue file");
    assert!(error.exit_code() == 3 && error.to_string().contains("state repair"), "{error}");
    assert!(!world.header().whole && !world.is_whole());
}

#[tokio::test]
async fn new_stacks_are_sealed_so_where_program_or_team_say_so() {
    let world = World::new();
    let deployment = world.with(world.keys().whole());
    deployment.up(&PlanOptions::default(), &|_| true).await.expect("a run");
    assert!(world.is_whole() && world.header().whole);

    for (text, expected) in [
        ("[secrets]\nwhole = true\n", true),
        ("[secrets]\nwhole = false\n", false),
        ("[secrets]\nkeys = [\"key-file\"]\nwhole = true\n", true),
    ] {
        let world = World::new();
        fs::write(world.dir.path().join("stackkit.toml"), text).expect("written");
        world.up().await;
        assert_eq!((world.is_whole(), world.header().whole), (expected, expected), "{text}");
    }
    let world = World::new();
    fs::write(world.dir.path().join("stackkit.toml"), "[secrets]\nwhole = 1\n").expect("written");
    let error = world.deployment().up(&PlanOptions::default(), &|_| true).await.expect_err("no truth value");
    assert!(error.to_string().contains("`secrets.whole` is neither true nor false"), "{error}");
}
