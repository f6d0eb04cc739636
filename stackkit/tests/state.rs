//! The state as other programs and attackers meet it: through files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stackkit::seal::Sealer;
use stackkit::state::backend::{Backend, BackendError, Holder, Loaded};
use stackkit::state::model::*;
use stackkit::state::{LocalBackend, MemoryBackend, StateError, Store, verify};
use stackkit::{Urn, Value};

const CANARY: &str = "canary-Zx9Kq2LmT7vRw4Np8Ys1Bd6F";

fn fields(list: &[(&str, Value)]) -> BTreeMap<String, Value> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn resource(number: u64, name: &str, inputs: &[(&str, Value)]) -> Change {
    Change::Put(Record::Resource(Box::new(ResourceRecord {
        instance: Instance(number),
        urn: Urn::new("test:Thing", name),
        id: format!("id-{name}"),
        provider: "test".into(),
        status: Status::Live,
        schema_version: 1,
        inputs: fields(inputs),
        outputs: fields(&[("password", Value::text(CANARY).into_secret()), ("arn", Value::text("arn:1"))]),
        seen: BTreeMap::new(),
        drifted: BTreeSet::new(),
        dependencies: BTreeSet::new(),
        options: RecordedOptions { delete_timeout: Some(Duration::from_millis(1500)), ..Default::default() },
    })))
}

fn provider() -> Change {
    Change::Put(Record::Provider(ProviderRecord {
        name: "test".into(),
        provider: "test".into(),
        settings: Value::Map(fields(&[("token", Value::text(CANARY).into_secret())])),
        identity: Some("account 1".into()),
    }))
}

#[tokio::test]
async fn what_is_committed_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Arc::new(LocalBackend::new(dir.path().join("state"), "dev"));
    let sealer = Arc::new(Sealer::ephemeral().unwrap());
    let (mut store, empty) = Store::open(backend.clone(), sealer.clone()).await.unwrap();
    assert_eq!(empty, State::default());
    store.lock(Holder::new("up").unwrap()).await.unwrap();
    store.commit(&[provider(), resource(1, "a", &[("size", Value::Int(3))])]).await.unwrap();
    let (_, journal_only) = Store::open(backend.clone(), sealer.clone()).await.unwrap();
    assert_eq!(journal_only, store.state().unwrap());
    store.fold().await.unwrap();
    let (_, folded) = Store::open(backend.clone(), sealer.clone()).await.unwrap();
    assert_eq!(folded, store.state().unwrap());
    verify(&folded).unwrap();
}

/// A backend whose files a test can edit, and the sealer of its stack.
struct Disk {
    _dir: tempfile::TempDir,
    backend: LocalBackend,
    sealer: Arc<Sealer>,
}

impl Disk {
    fn new() -> Self {
        Self::with(Arc::new(Sealer::ephemeral().unwrap()))
    }

    fn with(sealer: Arc<Sealer>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let backend = LocalBackend::new(dir.path().join("state"), "dev");
        Self { _dir: dir, backend, sealer }
    }

    async fn open(&self) -> Result<(Store, State), StateError> {
        // A backend of its own, as another process has.
        let dir = self.backend.snapshot_path().parent().unwrap().to_owned();
        Store::open(Arc::new(LocalBackend::new(dir, "dev")), self.sealer.clone()).await
    }

    async fn locked(&self) -> Store {
        let (mut store, _) = self.open().await.unwrap();
        store.lock(Holder::new("up").unwrap()).await.unwrap();
        store
    }

    fn snapshot(&self) -> String {
        fs::read_to_string(self.backend.snapshot_path()).unwrap()
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.backend.journal_path()).unwrap()
    }

    fn put_snapshot(&self, bytes: impl AsRef<[u8]>) {
        fs::write(self.backend.snapshot_path(), bytes).unwrap();
    }

    fn put_journal(&self, bytes: impl AsRef<[u8]>) {
        fs::write(self.backend.journal_path(), bytes).unwrap();
    }

    async fn refusal(&self) -> StateError {
        match self.open().await {
            Ok(_) => panic!("an edited state was opened"),
            Err(error) => error,
        }
    }
}

/// Two resources and a provider in the snapshot, and two more entries in the journal.
async fn sample() -> (Disk, State) {
    let disk = Disk::new();
    let mut store = disk.locked().await;
    store.commit(&[provider(), resource(1, "a", &[("size", Value::Int(3))])]).await.unwrap();
    store.commit(&[resource(2, "b", &[("key", Value::text(CANARY).into_secret())])]).await.unwrap();
    store.fold().await.unwrap();
    store.commit(&[resource(3, "c", &[])]).await.unwrap();
    store.commit(&[Change::Remove(Key::Resource(Instance(1))), resource(2, "b", &[])]).await.unwrap();
    let state = store.state().unwrap();
    (disk, state)
}

/// The texts of the records in a snapshot.
fn records(snapshot: &str) -> Vec<String> {
    snapshot
        .lines()
        .filter(|line| line.starts_with("{\"key\""))
        .map(|line| line.trim_end_matches(',').to_owned())
        .collect()
}

fn sealed(text: &str) -> Vec<&str> {
    text.match_indices("sk1.").map(|(at, _)| &text[at..at + text[at..].find('"').unwrap()]).collect()
}

#[tokio::test]
async fn every_flipped_bit_is_detected_or_harmless() {
    let (disk, state) = sample().await;
    let (snapshot, journal) = (disk.snapshot().into_bytes(), disk.journal().into_bytes());
    let mut refused = [0, 0];
    for (which, whole, path) in
        [(0, &snapshot, disk.backend.snapshot_path()), (1, &journal, disk.backend.journal_path())]
    {
        // One byte is written in place: replacing the file each time would wait for the disk.
        let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
        let mut put = |at: usize, byte: u8| {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        for (at, byte) in whole.iter().enumerate() {
            for mask in [0x01, 0x20, 0x0a, 0x80] {
                put(at, byte ^ mask);
                match disk.open().await {
                    Ok((_, opened)) => assert_eq!(opened, state, "byte {at} ^ {mask:#x} of file {which}"),
                    Err(_) => refused[which] += 1,
                }
            }
            put(at, *byte);
        }
    }
    // Only blanks between the fields of the snapshot's head can be other blanks.
    assert!(refused[0] > snapshot.len() * 4 - 60, "{} of {}", refused[0], snapshot.len() * 4);
    assert!(refused[1] > journal.len() * 4 - 3, "{} of {}", refused[1], journal.len() * 4);
}

#[tokio::test]
async fn a_journal_cut_anywhere_is_an_earlier_state_and_goes_on() {
    let (disk, _) = sample().await;
    let whole = disk.journal();
    let ends: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at).collect();
    let mut states = Vec::new();
    for entries in 0..=2 {
        disk.put_journal(if entries == 0 { "" } else { &whole[..=ends[entries - 1]] });
        states.push(disk.open().await.unwrap().1);
    }
    for cut in 0..=whole.len() {
        disk.put_journal(&whole[..cut]);
        let (store, state) = disk.open().await.unwrap();
        let entries = ends.iter().filter(|end| cut >= **end).count();
        assert_eq!(state, states[entries], "cut at {cut}");
        assert_eq!(store.torn() == 0, entries == 2 || cut == 0 || ends.contains(&cut) || ends.contains(&(cut - 1)));
        if cut % 97 == 0 || ends.contains(&cut) {
            let mut store = disk.locked().await;
            store.commit(&[resource(9, "later", &[])]).await.unwrap();
            let expected = store.state().unwrap();
            drop(store);
            assert_eq!(disk.open().await.unwrap().1, expected, "append after a cut at {cut}");
            assert_eq!(disk.open().await.unwrap().0.torn(), 0);
        }
    }
}

#[tokio::test]
async fn zeros_at_the_end_of_a_journal_are_a_torn_append_and_garbage_is_not() {
    let (disk, state) = sample().await;
    let whole = disk.journal();
    disk.put_journal(format!("{whole}\0\0\0\0"));
    let (store, opened) = disk.open().await.unwrap();
    assert_eq!((opened, store.torn()), (state, 4));
    disk.put_journal(format!("{whole}garbage"));
    assert!(disk.refusal().await.to_string().contains("the end of"));
}

#[tokio::test]
async fn a_snapshot_cut_anywhere_is_refused() {
    let (disk, _) = sample().await;
    let whole = disk.snapshot();
    let file = fs::OpenOptions::new().write(true).open(disk.backend.snapshot_path()).unwrap();
    for cut in (0..whole.len() - 1).rev() {
        file.set_len(cut as u64).unwrap();
        let error = disk.refusal().await;
        assert!(matches!(error, StateError::Truncated { .. }), "cut at {cut}: {error}");
    }
}

#[tokio::test]
async fn what_is_swapped_edited_added_or_left_out_is_named() {
    let (disk, state) = sample().await;
    let (snapshot, journal) = (disk.snapshot(), disk.journal());
    let list = records(&snapshot);
    let (a, b) = (&list[1], &list[2]);
    let lines: Vec<&str> = journal.lines().collect();

    // Ciphertexts swapped between two resources.
    let (of_a, of_b) = (sealed(a)[0], sealed(b)[0]);
    disk.put_snapshot(snapshot.replace(of_a, "@").replace(of_b, of_a).replace('@', of_b));
    let error = disk.refusal().await;
    assert!(matches!(&error, StateError::RecordEdited { record, .. } if record.contains("test:Thing::a")), "{error}");
    // Inputs and outputs of one resource swapped.
    let [input, output] = sealed(b)[..] else { panic!("two secrets") };
    disk.put_snapshot(snapshot.replace(b, &b.replace(input, "@").replace(output, input).replace('@', output)));
    assert!(matches!(disk.refusal().await, StateError::RecordEdited { .. }));
    // A plain field edited.
    disk.put_snapshot(snapshot.replace("\"id\":\"id-a\"", "\"id\":\"id-z\""));
    let error = disk.refusal().await;
    assert!(error.to_string().contains("r/0000000000000001"), "{error}");
    // A record left out, with the count made to fit and without.
    let without = snapshot.replace(&format!("{a},\n"), "");
    disk.put_snapshot(&without);
    let error = disk.refusal().await;
    assert!(matches!(&error, StateError::SetEdited { place } if place.starts_with("the snapshot")), "{error}");
    disk.put_snapshot(without.replace("\"count\": 3", "\"count\": 2"));
    assert!(matches!(disk.refusal().await, StateError::HeadEdited { .. }));
    // Doubled, and in another order.
    disk.put_snapshot(snapshot.replace(a, &format!("{a},\n{a}")));
    assert!(matches!(disk.refusal().await, StateError::RecordOrder { .. }));
    disk.put_snapshot(snapshot.replace(a, "@").replace(b, a).replace('@', b));
    assert!(matches!(disk.refusal().await, StateError::RecordOrder { .. }));
    // A genuine record of another moment in place of the present one.
    let later = &lines[1][lines[1].find("{\"key\":\"r/0000000000000002\"").unwrap()..];
    let later = &later[..later.find("\"}]").unwrap() + 2];
    disk.put_snapshot(snapshot.replace(b, later));
    let error = disk.refusal().await;
    assert!(matches!(&error, StateError::SetEdited { place } if place.starts_with("the snapshot")), "{error}");
    // A head with a lower position.
    disk.put_snapshot(snapshot.replace("\"position\": 2", "\"position\": 1"));
    assert!(matches!(disk.refusal().await, StateError::HeadEdited { .. }));
    // A newer format.
    disk.put_snapshot(snapshot.replace("\"stackkit\": 1,", "\"stackkit\": 2, \"more\": true,"));
    assert!(matches!(disk.refusal().await, StateError::Newer { found: 2, .. }));
    // No snapshot at all.
    fs::remove_file(disk.backend.snapshot_path()).unwrap();
    assert!(matches!(disk.refusal().await, StateError::EntriesMissing { .. }));
    disk.put_snapshot(&snapshot);

    // Entries dropped, doubled, in another order, edited.
    disk.put_journal(format!("{}\n", lines[1]));
    assert!(matches!(disk.refusal().await, StateError::EntriesMissing { expected: 3, found: 4, .. }));
    disk.put_journal(format!("{}\n{}\n{}\n", lines[0], lines[0], lines[1]));
    assert!(matches!(disk.refusal().await, StateError::EntryRepeated { found: 3, .. }));
    disk.put_journal(format!("{}\n{}\n", lines[1], lines[0]));
    assert!(matches!(disk.refusal().await, StateError::EntriesMissing { .. }));
    disk.put_journal(journal.replace("\"del\":[\"r/0000000000000001\"]", "\"del\":[]"));
    assert!(matches!(disk.refusal().await, StateError::EntryEdited { .. }));
    disk.put_journal(journal.replace("\"n\":4", "\"n\":3").replace("\"n\":3,", "\"n\":5,"));
    assert!(disk.open().await.is_err());

    disk.put_journal(&journal);
    assert_eq!(disk.open().await.unwrap().1, state, "the undamaged files still open");
}

#[tokio::test]
async fn two_histories_of_one_stack_are_told_apart() {
    let (disk, _) = sample().await;
    let (snapshot, journal) = (disk.snapshot(), disk.journal());
    let other = Disk::with(disk.sealer.clone());
    fs::create_dir(other.backend.snapshot_path().parent().unwrap()).unwrap();
    other.put_snapshot(&snapshot);
    let mut store = other.locked().await;
    store.commit(&[resource(3, "c", &[("other", Value::Int(1))])]).await.unwrap();
    store.commit(&[resource(5, "e", &[])]).await.unwrap();
    drop(store);
    let mixed = format!("{}\n{}\n", journal.lines().next().unwrap(), other.journal().lines().nth(1).unwrap());
    disk.put_journal(mixed);
    assert!(matches!(disk.refusal().await, StateError::Diverged { .. }));
    // A snapshot that is newer than some entries, from another history of the same length.
    let mut store = other.locked().await;
    store.fold().await.unwrap();
    store.commit(&[resource(6, "f", &[])]).await.unwrap();
    drop(store);
    disk.put_journal(&journal);
    let mut store = disk.locked().await;
    store.fold().await.unwrap();
    drop(store);
    disk.put_journal(other.journal());
    assert!(matches!(disk.refusal().await, StateError::Diverged { .. }));
}

#[tokio::test]
async fn files_of_another_stack_are_refused() {
    let (disk, _) = sample().await;
    let (other, _) = sample().await;
    let (snapshot, journal) = (disk.snapshot(), disk.journal());
    disk.put_snapshot(other.snapshot());
    assert!(matches!(disk.refusal().await, StateError::ForeignLineage { .. }));
    // The lineage written over: the codes are still the other stack's.
    let name = |disk: &Disk| disk.sealer.lineage().to_owned();
    let forged = other.snapshot().replace(&name(&other), &name(&disk));
    disk.put_snapshot(&forged);
    assert!(matches!(disk.refusal().await, StateError::ForeignKey { .. }));
    disk.put_snapshot(forged.replace(other.sealer.key_id(), disk.sealer.key_id()));
    assert!(matches!(disk.refusal().await, StateError::HeadEdited { .. }));
    disk.put_snapshot(&snapshot);
    disk.put_journal(other.journal());
    assert!(matches!(disk.refusal().await, StateError::ForeignLineage { .. }));
    // A record of another stack among ours.
    disk.put_journal(&journal);
    disk.put_snapshot(snapshot.replace(&records(&snapshot)[1], &records(&other.snapshot())[1]));
    assert!(matches!(disk.refusal().await, StateError::RecordEdited { .. }));
}

#[tokio::test]
async fn a_crash_between_snapshot_and_journal_is_harmless() {
    let (disk, state) = sample().await;
    let journal = disk.journal();
    let mut store = disk.locked().await;
    store.fold().await.unwrap();
    drop(store);
    assert_eq!(disk.journal(), "");
    disk.put_journal(&journal);
    let (_, opened) = disk.open().await.unwrap();
    assert_eq!(opened, state);
    let mut store = disk.locked().await;
    store.commit(&[resource(8, "after", &[])]).await.unwrap();
    let expected = store.state().unwrap();
    drop(store);
    assert_eq!(disk.open().await.unwrap().1, expected);
    let mut store = disk.locked().await;
    store.fold().await.unwrap();
    drop(store);
    assert_eq!(disk.open().await.unwrap().1, expected);
}

#[tokio::test]
async fn no_file_holds_a_secret_in_any_spelling() {
    let (disk, _) = sample().await;
    let mut store = disk.locked().await;
    store
        .commit(&[
            Change::Put(Record::Output(OutputRecord {
                name: "url".into(),
                value: Value::Map(fields(&[("inner", Value::List(vec![Value::text(CANARY).into_secret()]))])),
            })),
            Change::Put(Record::Intent(Box::new(IntentRecord {
                instance: Instance(7),
                urn: Urn::new("test:Thing", "g"),
                provider: "test".into(),
                kind: IntentKind::Create,
                token: "token".into(),
                inputs: fields(&[("password", Value::text(CANARY).into_secret())]),
                schema_version: 1,
                id: None,
                name_was_free: Some(true),
                at: 5,
                dependencies: BTreeSet::new(),
                options: RecordedOptions::default(),
                replaces: None,
            }))),
        ])
        .await
        .unwrap();
    let rescue = disk.backend.rescue_path();
    store.rescue(&rescue, &[resource(6, "f", &[("secret", Value::text(CANARY).into_secret())])]).unwrap();
    let mut searched = 0;
    let mut search = |plant: &str| {
        let mut hits = 0;
        for entry in fs::read_dir(disk.backend.snapshot_path().parent().unwrap()).unwrap() {
            let mut text = fs::read_to_string(entry.unwrap().path()).unwrap();
            text.push_str(plant);
            searched += text.len();
            hits += spellings(CANARY).iter().filter(|spelling| text.contains(spelling.as_str())).count();
        }
        hits
    };
    assert_eq!(search(""), 0);
    // The search itself finds what it looks for.
    for spelling in spellings(&format!("x{CANARY}y")) {
        assert_ne!(search(&spelling), 0, "{spelling}");
    }
    assert!(searched > 10_000);
    store.fold().await.unwrap();
    drop(store);
    for text in [disk.snapshot(), fs::read_to_string(&rescue).unwrap()] {
        assert!(spellings(CANARY).iter().all(|spelling| !text.contains(spelling.as_str())));
    }
}

/// A text plain, in hexadecimal, and the part of its base64 that is the same in each alignment.
fn spellings(text: &str) -> Vec<String> {
    use base64::Engine as _;
    let mut all = vec![text.to_owned(), text.bytes().map(|byte| format!("{byte:02x}")).collect()];
    for engine in [base64::engine::general_purpose::STANDARD_NO_PAD, base64::engine::general_purpose::URL_SAFE_NO_PAD] {
        for skip in 0..3 {
            let body = &text.as_bytes()[skip..];
            all.push(engine.encode(&body[..body.len() / 3 * 3 - 3]));
        }
    }
    all
}

#[tokio::test]
async fn unchanged_records_keep_their_bytes_and_unchanged_runs_write_nothing() {
    let (disk, _) = sample().await;
    let mut store = disk.locked().await;
    store.fold().await.unwrap();
    let before = disk.snapshot();
    let same: Vec<Change> = store
        .state()
        .unwrap()
        .resources
        .values()
        .map(|kept| Change::Put(Record::Resource(Box::new(kept.clone()))))
        .collect();
    let position = store.position();
    store.commit(&same).await.unwrap();
    store.commit(&[provider(), Change::Remove(Key::Output("none".into()))]).await.unwrap();
    store.commit(&[Change::Remove(Key::Provider("test".into())), provider()]).await.unwrap();
    store.fold().await.unwrap();
    assert_eq!((disk.snapshot(), disk.journal(), store.position()), (before.clone(), String::new(), position));

    store.commit(&[resource(4, "d", &[])]).await.unwrap();
    store.fold().await.unwrap();
    let after = disk.snapshot();
    for record in records(&before) {
        assert!(after.contains(&record), "a record that did not change has other bytes");
    }
    drop(store);
    // The same records read and folded by another process give the same lines.
    let mut store = disk.locked().await;
    store.commit(&[Change::Remove(Key::Resource(Instance(4)))]).await.unwrap();
    store.fold().await.unwrap();
    assert_eq!(records(&disk.snapshot()), records(&before));
}

#[tokio::test]
async fn the_second_opener_sees_who_holds_the_lock() {
    let disk = Disk::new();
    let mut store = disk.locked().await;
    let (mut second, _) = disk.open().await.unwrap();
    let error = second.lock(Holder::new("destroy").unwrap()).await.unwrap_err();
    let held = store.holder().unwrap().clone();
    match &error {
        StateError::Backend(BackendError::Locked(holder)) => assert_eq!(**holder, held),
        other => panic!("{other}"),
    }
    assert!(error.to_string().contains(&held.id) && error.to_string().contains("`up`"), "{error}");
    assert!(second.backend().unlock(&held.id).await.unwrap_err().to_string().contains("is alive"));
    assert!(second.backend().unlock("other").await.unwrap_err().to_string().contains(&held.id));
    store.commit(&[provider()]).await.unwrap();
    store.unlock();
    assert!(matches!(store.commit(&[resource(1, "a", &[])]).await, Err(StateError::NotLocked)));
    assert!(second.lock(Holder::new("destroy").unwrap()).await.unwrap().is_some(), "the state had moved");
    assert_eq!(second.state().unwrap(), store.state().unwrap());
    assert!(matches!(second.commit(&[resource(1, "a", &[])]).await, Ok(())));
}

#[tokio::test]
async fn a_killed_process_leaves_no_lock() {
    const VARIABLE: &str = "STACKKIT_TEST_HOLD_LOCK";
    if let Some(dir) = std::env::var_os(VARIABLE) {
        let (mut store, _) =
            Store::open(Arc::new(LocalBackend::new(dir, "dev")), Arc::new(Sealer::ephemeral().unwrap())).await.unwrap();
        store.lock(Holder::new("up").unwrap()).await.unwrap();
        println!("locked");
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let disk = Disk::new();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_leaves_no_lock", "--nocapture"])
        .env(VARIABLE, disk.backend.snapshot_path().parent().unwrap())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().ends_with("locked")));
    let (mut store, _) = disk.open().await.unwrap();
    match store.lock(Holder::new("up").unwrap()).await.unwrap_err() {
        StateError::Backend(BackendError::Locked(holder)) => assert_eq!(holder.pid, child.id()),
        other => panic!("{other}"),
    }
    child.kill().unwrap();
    child.wait().unwrap();
    store.lock(Holder::new("up").unwrap()).await.unwrap();
    store.commit(&[provider()]).await.unwrap();
}

#[tokio::test]
async fn a_commit_costs_the_same_however_many_records_there_are() {
    let mut costs = Vec::new();
    for count in [100, 10_000] {
        let backend = MemoryBackend::default();
        let (mut store, _) =
            Store::open(Arc::new(backend.clone()), Arc::new(Sealer::ephemeral().unwrap())).await.unwrap();
        store.lock(Holder::new("up").unwrap()).await.unwrap();
        let all: Vec<Change> = (0..count).map(|number| resource(number, &format!("many-{number:05}"), &[])).collect();
        store.commit(&all).await.unwrap();
        let before = backend.appended();
        store.commit(&[resource(7, "many-00007", &[("size", Value::Int(1))])]).await.unwrap();
        store.commit(&[Change::Remove(Key::Resource(Instance(8)))]).await.unwrap();
        costs.push(backend.appended() - before);
        let (_, read) =
            Store::open(Arc::new(MemoryBackend::with(backend.log())), store.sealer().clone()).await.unwrap();
        assert_eq!(read, store.state().unwrap());
    }
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn a_failed_append_changes_nothing_and_its_changes_can_be_rescued() {
    let dir = tempfile::tempdir().unwrap();
    let rescue = dir.path().join("dev.rescue");
    let backend = MemoryBackend::default();
    let sealer = Arc::new(Sealer::ephemeral().unwrap());
    let (mut store, _) = Store::open(Arc::new(backend.clone()), sealer.clone()).await.unwrap();
    store.lock(Holder::new("up").unwrap()).await.unwrap();
    store.commit(&[provider(), resource(1, "a", &[]), resource(3, "c", &[])]).await.unwrap();
    let before = store.state().unwrap();
    backend.before_append(|_| {
        Err(BackendError::Io {
            what: "write",
            place: "the journal".into(),
            source: std::io::Error::from(std::io::ErrorKind::StorageFull),
        })
    });
    let first = [resource(2, "b", &[("made", Value::Bool(true))])];
    let second = [Change::Remove(Key::Resource(Instance(1))), resource(3, "c", &[("size", Value::Int(2))])];
    let error = store.commit(&first).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot write the journal: "), "{error}");
    assert_eq!(store.state().unwrap(), before);
    store.rescue(&rescue, &first).unwrap();
    store.rescue(&rescue, &second).unwrap();
    drop(store);

    backend.clear_before_append();
    let (mut store, _) = Store::open(Arc::new(backend.clone()), sealer.clone()).await.unwrap();
    assert!(matches!(store.merge_rescue(&rescue).await, Err(StateError::NotLocked)));
    store.lock(Holder::new("state repair").unwrap()).await.unwrap();
    let text = fs::read_to_string(&rescue).unwrap();
    fs::write(&rescue, text.replace("id-b", "id-x")).unwrap();
    assert!(matches!(store.merge_rescue(&rescue).await, Err(StateError::HeadEdited { .. })));
    fs::write(&rescue, &text).unwrap();
    // Another run changed one of the records meanwhile.
    let mut moved = Store::open(Arc::new(MemoryBackend::with(backend.log())), sealer.clone()).await.unwrap().0;
    moved.lock(Holder::new("up").unwrap()).await.unwrap();
    moved.commit(&[resource(3, "c", &[("size", Value::Int(9))])]).await.unwrap();
    let error = moved.merge_rescue(&rescue).await.unwrap_err();
    assert!(
        matches!(&error, StateError::RescueConflict { records, .. } if records == "`r/0000000000000003`"),
        "{error}"
    );

    store.merge_rescue(&rescue).await.unwrap();
    let mut expected = before;
    first.into_iter().chain(second).for_each(|change| expected.apply(change));
    assert_eq!(store.state().unwrap(), expected);
    assert!(!rescue.exists());
    fs::write(&rescue, &text).unwrap();
    let position = store.position();
    store.merge_rescue(&rescue).await.unwrap();
    assert_eq!(store.position(), position, "merging twice writes nothing");
}

#[tokio::test]
async fn every_prefix_of_a_journal_opens() {
    let backend = MemoryBackend::default();
    let sealer = Arc::new(Sealer::ephemeral().unwrap());
    let (mut store, _) = Store::open(Arc::new(backend.clone()), sealer.clone()).await.unwrap();
    store.lock(Holder::new("up").unwrap()).await.unwrap();
    let mut states = vec![State::default()];
    store.commit(&[provider()]).await.unwrap();
    states.push(store.state().unwrap());
    for number in 0..5 {
        store.commit(&[resource(number, &format!("r{number}"), &[])]).await.unwrap();
        states.push(store.state().unwrap());
    }
    for (entries, expected) in states.iter().enumerate() {
        let cut = MemoryBackend::with(backend.log().prefix(entries));
        let (_, state) = Store::open(Arc::new(cut), sealer.clone()).await.unwrap();
        assert_eq!(&state, expected);
        verify(&state).unwrap();
    }
}

#[tokio::test]
async fn a_writer_that_lost_its_place_writes_nothing() {
    let disk = Disk::new();
    let mut store = disk.locked().await;
    store.commit(&[provider()]).await.unwrap();
    // Somebody without the lock wrote, or cut.
    let journal = disk.journal();
    disk.put_journal(&journal[..journal.len() / 2]);
    let error = store.commit(&[resource(1, "a", &[])]).await.unwrap_err();
    assert!(error.to_string().contains("became shorter"), "{error}");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named_with_its_cause() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (mut store, _) = match Store::open(
        Arc::new(LocalBackend::new(dir.path().join("new"), "dev")),
        Arc::new(Sealer::ephemeral().unwrap()),
    )
    .await
    {
        Ok(opened) => opened,
        Err(error) => panic!("{error}"),
    };
    assert!(!dir.path().join("new").exists(), "reading makes nothing");
    store.lock(Holder::new("up").unwrap()).await.unwrap();
    store.commit(&[provider()]).await.unwrap();
    fs::create_dir_all(dir.path().join("new/dev.state.json/in-the-way")).unwrap();
    let error = store.fold().await.unwrap_err();
    assert!(error.to_string().starts_with("cannot write `") && error.to_string().contains("dev.state.json"), "{error}");
    fs::remove_dir_all(dir.path().join("new/dev.state.json")).unwrap();
    store.fold().await.unwrap();

    let backend = LocalBackend::new(file.join("state"), "dev");
    let error = backend.acquire(Holder::new("up").unwrap()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot make `"), "{error}");
}

#[tokio::test]
async fn a_stack_name_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "..", ".hidden", "a/b", "../up", "a\\b", "a\nb", "a\u{1b}[31m"] {
        let backend = LocalBackend::new(dir.path(), name);
        let error = backend.load().await.unwrap_err().to_string();
        assert!(error.contains("cannot be the name of a stack") && !error.contains(['\n', '\u{1b}']), "{error}");
        assert!(backend.acquire(Holder::new("up").unwrap()).await.is_err());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    LocalBackend::new(dir.path(), "prod-eu_1.a").load().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_private_and_only_the_snapshot_is_committed() {
    use std::os::unix::fs::PermissionsExt as _;
    let (disk, _) = sample().await;
    let folder = disk.backend.snapshot_path().parent().unwrap().to_owned();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in ["dev.state.json", "dev.journal", "dev.lock"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    assert_eq!(
        fs::read_to_string(folder.join(".gitignore")).unwrap(),
        "*.journal\n*.lock\n*.rescue\n*.tmp\nselected\n"
    );
}

#[tokio::test]
async fn a_deleted_stack_is_gone() {
    let (disk, _) = sample().await;
    let mut store = disk.locked().await;
    store.delete().await.unwrap();
    drop(store);
    assert_eq!(disk.open().await.unwrap().1, State::default());
    let mut store = disk.locked().await;
    store.commit(&[provider()]).await.unwrap();
}

#[test]
fn a_store_can_move_between_threads() {
    fn send<T: Send>() {}
    fn send_future<T: Send>(_: T) {}
    send::<Store>();
    let _ = |mut store: Store| {
        send_future(async move {
            store.commit(&[]).await?;
            store.merge_rescue(std::path::Path::new("")).await?;
            store.fold().await
        });
    };
}

#[test]
fn contradictions_are_all_named() {
    let mut state = State::default();
    state.apply(resource(1, "a", &[]));
    state.apply(resource(2, "a", &[]));
    state.resources.get_mut(&Instance(1)).unwrap().dependencies = [Instance(2), Instance(77)].into();
    state.resources.get_mut(&Instance(2)).unwrap().dependencies = [Instance(1)].into();
    let StateError::Integrity(wrong) = verify(&state).unwrap_err() else { panic!("integrity") };
    let text = wrong.join("\n");
    for part in ["two live instances", "provider `test`", "000000000000004d", "depends on itself"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    state.apply(provider());
    state.resources.get_mut(&Instance(2)).unwrap().status = Status::PendingDelete;
    state.resources.get_mut(&Instance(1)).unwrap().dependencies = [Instance(2)].into();
    state.resources.get_mut(&Instance(2)).unwrap().dependencies.clear();
    verify(&state).unwrap();
    // A long chain is no recursion.
    for number in 3..50_000 {
        state.apply(resource(number, &format!("c{number}"), &[]));
        state.resources.get_mut(&Instance(number)).unwrap().dependencies = [Instance(number - 1)].into();
    }
    verify(&state).unwrap();
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (i64::MAX as u64 + 1..).prop_map(Value::UInt),
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        any::<f64>().prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        "[$\"~/\\\\\u{0}\u{1b}a]{0,4}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::btree_map("[$a-b/~]{0,3}|\\PC{0,4}", inner.clone(), 0..4).prop_map(Value::Map),
            inner.prop_map(|inner| match inner {
                Value::Secret(_) => inner,
                plain => plain.into_secret(),
            }),
        ]
    })
}

fn map() -> impl Strategy<Value = BTreeMap<String, Value>> {
    proptest::collection::btree_map("[$a-c]{0,3}", value(), 0..4)
}

fn record() -> impl Strategy<Value = Record> {
    let numbers = || proptest::collection::btree_set((0..9_u64).prop_map(Instance), 0..3);
    let trigger = || proptest::option::of(value().prop_filter("nothing triggers nothing", |value| !value.is_null()));
    let options = (any::<bool>(), any::<bool>(), any::<Option<u32>>(), any::<bool>(), trigger())
        .prop_map(|(protect, retain_on_delete, timeout, with, replace_trigger)| RecordedOptions {
            replace_trigger,
            protect,
            retain_on_delete,
            deleted_with: with.then(|| Urn::new("test:Owner", "o\"w\n")),
            delete_before_replace: protect != retain_on_delete,
            delete_timeout: timeout.map(|nanos| Duration::from_nanos(nanos.into())),
            hook_due: timeout.map(|nanos| if nanos % 2 == 0 { HookDue::Create } else { HookDue::Update }),
        })
        .boxed();
    prop_oneof![
        (any::<String>(), any::<bool>(), proptest::option::of(any::<usize>())).prop_map(|(program, refuses, limit)| {
            let mut guard = stackkit::Guard::default();
            (guard.no_destroy, guard.max_deletes) = (refuses, limit);
            Record::Stack(StackRecord { program, guard })
        }),
        ("[a-b/\"]{1,3}", value(), any::<Option<String>>()).prop_map(|(name, settings, identity)| {
            Record::Provider(ProviderRecord { provider: name.clone(), name, settings, identity })
        }),
        ("[a-b/\"]{0,3}", value()).prop_map(|(name, value)| Record::Output(OutputRecord { name, value })),
        (0..9_u64, any::<String>(), map(), map(), map(), numbers(), options.clone()).prop_map(
            |(number, id, inputs, outputs, seen, dependencies, options)| {
                Record::Resource(Box::new(ResourceRecord {
                    instance: Instance(number),
                    urn: Urn::new("test:Thing", &format!("parent/{number}")),
                    provider: id.clone(),
                    status: [Status::Live, Status::Incomplete, Status::PendingDelete, Status::PendingReplacement]
                        [number as usize % 4],
                    schema_version: number as u32,
                    drifted: inputs.keys().cloned().collect(),
                    id,
                    inputs,
                    outputs,
                    seen,
                    dependencies,
                    options,
                }))
            }
        ),
        (0..9_u64, any::<Option<String>>(), map(), numbers(), options, any::<Option<bool>>()).prop_map(
            |(number, id, inputs, dependencies, options, free)| {
                Record::Intent(Box::new(IntentRecord {
                    instance: Instance(number),
                    urn: Urn::new("test:Thing", "b"),
                    provider: "test".into(),
                    kind: [IntentKind::Create, IntentKind::Update, IntentKind::Delete][number as usize % 3],
                    token: "t".into(),
                    inputs,
                    schema_version: 2,
                    id,
                    name_was_free: free,
                    at: number,
                    dependencies,
                    options,
                    replaces: free.map(|_| Instance(number + 1)),
                }))
            }
        ),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => record().prop_map(Change::Put),
        1 => record().prop_map(|record| Change::Remove(record.key())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever batches are committed, folded and read again, the records are those of a plain map.
    #[test]
    fn any_records_survive_any_batches(batches in proptest::collection::vec(proptest::collection::vec(change(), 0..5), 1..6), fold in 0..6_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let backend = MemoryBackend::default();
            let sealer = Arc::new(Sealer::ephemeral().unwrap());
            let (mut store, mut expected) = Store::open(Arc::new(backend.clone()), sealer.clone()).await.unwrap();
            store.lock(Holder::new("up").unwrap()).await.unwrap();
            for (index, batch) in batches.into_iter().enumerate() {
                store.commit(&batch).await.unwrap();
                batch.into_iter().for_each(|change| expected.apply(change));
                assert_eq!(store.state().unwrap(), expected);
                if index == fold {
                    store.fold().await.unwrap();
                }
            }
            let (_, read) = Store::open(Arc::new(MemoryBackend::with(backend.log())), sealer.clone()).await.unwrap();
            assert_eq!(&read, &expected);
            store.fold().await.unwrap();
            let snapshot = backend.log().snapshot;
            let copy = MemoryBackend::with(backend.log());
            let (mut store, read) = Store::open(Arc::new(copy.clone()), sealer).await.unwrap();
            assert_eq!(&read, &expected);
            // Reading and writing every record again changes no byte.
            store.lock(Holder::new("up").unwrap()).await.unwrap();
            let again: Vec<Change> = read.resources.into_values().map(|kept| Change::Put(Record::Resource(Box::new(kept)))).collect();
            store.commit(&again).await.unwrap();
            store.fold().await.unwrap();
            assert_eq!(copy.log().snapshot, snapshot);
        });
    }

    /// No text of any kind makes the readers panic.
    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(snapshot in any::<Option<Vec<u8>>>(), entries in proptest::collection::vec(any::<Vec<u8>>(), 0..3)) {
        let log = Loaded { snapshot, entries, ..Loaded::default() };
        let empty = log.snapshot.is_none() && log.entries.is_empty();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let opened = runtime.block_on(Store::open(Arc::new(MemoryBackend::with(log)), Arc::new(Sealer::ephemeral().unwrap())));
        assert_eq!(opened.is_ok(), empty);
    }
}
