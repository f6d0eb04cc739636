//! Whoever can write the place where a state lies, and holds no key: everything that they can do to its bytes is told, or
//! makes no difference. In both forms of the seal, through the files that a local state is.
//!
//! What is asked of each damaged state is the same, see [`Place::judge`]: it is refused with an error that names what is
//! wrong, or it is a state that this stack truly had, at the position that it had it; and if that is not the last one, a
//! machine that has seen the last one refuses it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stackkit::engine::{DeployOptions, Deployment, RunError};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::{DataKey, Header, KeyOptions, Sealer, config_path, unlock};
use stackkit::state::backend::Holder;
use stackkit::state::model::*;
use stackkit::state::{LocalBackend, Seen, StateError, Store};
use stackkit::{Urn, Value};

const LINEAGE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

fn sealer(whole: bool, lineage: &str) -> Arc<Sealer> {
    Arc::new(Sealer::new(&DataKey::from_bytes([7; 32]), lineage).whole(whole))
}

fn fields(list: &[(&str, Value)]) -> BTreeMap<String, Value> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn secret(text: &str) -> Value {
    Value::text(text).into_secret()
}

fn resource(number: u64, name: &str, status: Status, password: &str, deps: &[u64]) -> Change {
    Change::Put(Record::Resource(Box::new(ResourceRecord {
        instance: Instance(number),
        urn: Urn::new("test:Database", name),
        id: format!("db-{number}"),
        provider: "test".into(),
        status,
        schema_version: 1,
        inputs: fields(&[("password", secret(password)), ("size", Value::Int(3))]),
        outputs: fields(&[("password", secret(&format!("{password}!"))), ("address", Value::text("10.0.0.1"))]),
        seen: fields(&[("password", secret("changed outside"))]),
        drifted: BTreeSet::from(["password".to_owned()]),
        dependencies: deps.iter().map(|number| Instance(*number)).collect(),
        options: RecordedOptions { replace_trigger: Some(secret("trigger")), ..RecordedOptions::default() },
    })))
}

fn output(name: &str, value: Value) -> Change {
    Change::Put(Record::Output(OutputRecord { name: name.into(), value }))
}

/// The life of a small stack, entry by entry: secrets in settings, inputs, outputs, a call under way, a replacement beside
/// the instance that it replaces.
fn life(password: &str) -> Vec<Vec<Change>> {
    let provider = Change::Put(Record::Provider(ProviderRecord {
        name: "test".into(),
        provider: "test".into(),
        settings: Value::Map(fields(&[("token", secret("t0ken")), ("region", Value::text("eu"))])),
        identity: Some("account 1".into()),
    }));
    let guard = Change::Put(Record::Stack(StackRecord { program: "shop".into(), guard: Default::default() }));
    let intent = Change::Put(Record::Intent(Box::new(IntentRecord {
        instance: Instance(3),
        urn: Urn::new("test:Database", "orders"),
        provider: "test".into(),
        kind: IntentKind::Create,
        token: "token-3".into(),
        inputs: fields(&[("password", secret("new"))]),
        schema_version: 1,
        id: None,
        name_was_free: Some(true),
        at: 5,
        dependencies: BTreeSet::from([Instance(2)]),
        options: RecordedOptions::default(),
        replaces: Some(Instance(1)),
    })));
    vec![
        vec![guard, provider, resource(1, "orders", Status::Live, password, &[])],
        vec![resource(2, "users", Status::Live, "hunter2", &[]), output("url", secret("postgres://a:b@c/d"))],
        vec![intent],
        vec![
            resource(1, "orders", Status::PendingDelete, password, &[]),
            resource(3, "orders", Status::Live, "new", &[2]),
            Change::Remove(Key::Intent(Instance(3))),
            output("size", Value::Int(3)),
        ],
        vec![output("url", secret("postgres://a:new@c/d"))],
    ]
}

/// A folder with a state, and everything that it ever was.
struct Place {
    folder: tempfile::TempDir,
    sealer: Arc<Sealer>,
    seen: Seen,
    /// The state at each position.
    history: BTreeMap<u64, State>,
    /// Snapshot and journal after each entry, folded after the second one, and after the last fold.
    moments: Vec<Files>,
}

#[derive(Clone)]
struct Files {
    snapshot: Option<Vec<u8>>,
    journal: Vec<u8>,
}

fn here() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

impl Place {
    fn new(whole: bool, lineage: &str, password: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let seen = Seen::new(folder.path().join("seen"));
        let mut place =
            Self { folder, sealer: sealer(whole, lineage), seen, history: BTreeMap::new(), moments: Vec::new() };
        here().block_on(async {
            let (mut store, state) = Store::open(place.backend(), place.sealer.clone()).await.expect("nothing there");
            place.history.insert(0, state);
            store.watch(place.seen.clone()).expect("nothing seen");
            store.lock(Holder::new("up").expect("a holder")).await.expect("the lock");
            for (number, changes) in life(password).iter().enumerate() {
                store.commit(changes).await.expect("a commit");
                place.history.insert(store.position().0, store.state().expect("a state"));
                let files = place.files();
                place.moments.push(files);
                if number == 1 {
                    store.fold().await.expect("a fold");
                    let files = place.files();
                    place.moments.push(files);
                }
            }
        });
        place
    }

    fn backend(&self) -> Arc<LocalBackend> {
        Arc::new(LocalBackend::new(self.folder.path().join("state"), "dev"))
    }

    fn files(&self) -> Files {
        let backend = self.backend();
        let journal = fs::read(backend.journal_path()).unwrap_or_default();
        Files { snapshot: fs::read(backend.snapshot_path()).ok(), journal }
    }

    fn last(&self) -> Files {
        self.moments.last().cloned().expect("moments")
    }

    fn put(&self, files: &Files) {
        let backend = self.backend();
        match &files.snapshot {
            Some(bytes) => fs::write(backend.snapshot_path(), bytes).expect("written"),
            None => drop(fs::remove_file(backend.snapshot_path())),
        }
        fs::write(backend.journal_path(), &files.journal).expect("written");
    }

    /// The same state in a folder of its own, for a thread.
    fn copy(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("state")).expect("a folder");
        let place = Self {
            folder,
            sealer: self.sealer.clone(),
            seen: self.seen.clone(),
            history: self.history.clone(),
            moments: self.moments.clone(),
        };
        place.put(&place.last());
        place
    }

    fn open(&self) -> Result<(Store, State), StateError> {
        here().block_on(Store::open(self.backend(), self.sealer.clone()))
    }

    /// What is in the files now is refused with an error that names it, or is what was written, or an earlier state as it
    /// was, which who has seen the last one refuses.
    #[track_caller]
    fn judge(&self, what: &str) -> Verdict {
        match self.open() {
            Err(error) => {
                let text = error.to_string();
                assert!(names_something(&text), "{what}: {text}");
                assert!(!text.contains("hunter2") && !text.contains("t0ken"), "{what}: {text}");
                Verdict::Refused
            }
            Ok((store, state)) => {
                let position = store.position().0;
                assert_eq!(self.history.get(&position), Some(&state), "{what}: another state at position {position}");
                let last = self.history.keys().next_back().copied();
                if Some(position) == last {
                    self.seen.check(&store).unwrap_or_else(|error| panic!("{what}: {error}"));
                    return Verdict::Same;
                }
                match self.seen.check(&store) {
                    Err(StateError::RolledBack { seen, now, .. }) => {
                        assert_eq!((Some(seen), now), (last, position), "{what}");
                        Verdict::Earlier
                    }
                    other => panic!("{what}: an earlier state was not told: {other:?}"),
                }
            }
        }
    }

    #[track_caller]
    fn refused(&self, what: &str, files: &Files) {
        self.put(files);
        assert_eq!(self.judge(what), Verdict::Refused, "{what}");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// It is refused.
    Refused,
    /// It is what was written.
    Same,
    /// It is an earlier state, as it was then.
    Earlier,
}

/// Every message says which file or entry is wrong, and what to do about it.
fn names_something(text: &str) -> bool {
    let what = ["snapshot", "journal", "record", "entry", "sealed value"].iter().any(|word| text.contains(word));
    let way = ["restore", "use ", "bring ", "put ", "keep one", "newer program"].iter().any(|word| text.contains(word));
    what && way
}

/// Runs each case in one of a few threads, each with files of its own, and counts the verdicts.
fn in_threads<C: Sync>(
    place: &Place,
    cases: &[C],
    one: impl Fn(&Place, &C) -> Verdict + Sync,
) -> BTreeMap<Verdict, usize> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let verdicts: Vec<Verdict> = std::thread::scope(|scope| {
        let chunks = cases.chunks(cases.len().div_ceil(threads).max(1));
        let running: Vec<_> = chunks
            .map(|chunk| {
                let one = &one;
                scope.spawn(move || {
                    let place = place.copy();
                    chunk.iter().map(|case| one(&place, case)).collect::<Vec<_>>()
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut counts = BTreeMap::new();
    verdicts.into_iter().for_each(|verdict| *counts.entry(verdict).or_default() += 1);
    counts
}

fn write_byte(path: &Path, at: usize, byte: u8) {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("a file");
    file.seek(SeekFrom::Start(at as u64)).expect("a place");
    file.write_all(&[byte]).expect("written");
}

/// Rules: 36.
#[test]
fn every_flipped_byte_of_snapshot_and_journal_is_told_or_makes_no_difference() {
    for whole in [false, true] {
        let place = Place::new(whole, LINEAGE, "first");
        let Files { snapshot, journal } = place.last();
        let snapshot = snapshot.expect("it was folded");
        let cases: Vec<(bool, usize)> =
            (0..snapshot.len()).map(|at| (true, at)).chain((0..journal.len()).map(|at| (false, at))).collect();
        let counts = in_threads(&place, &cases, |place, (in_snapshot, at)| {
            let (path, whole) = match in_snapshot {
                true => (place.backend().snapshot_path(), &snapshot),
                false => (place.backend().journal_path(), &journal),
            };
            // Every bit has its turn, and what is a head has all of them.
            let head = *at < 400;
            let masks: &[u8] = if head { &[0x01, 0x10, 0x20, 0x80] } else { &[1 << (at % 8)] };
            let mut worst = Verdict::Refused;
            for mask in masks {
                write_byte(&path, *at, whole[*at] ^ mask);
                worst = worst.max(place.judge(&format!("byte {at} ^ {mask:#x}")));
            }
            write_byte(&path, *at, whole[*at]);
            worst
        });
        // A blank of the head may be another blank, and the end of the journal may look like that of a torn entry.
        let refused = counts.get(&Verdict::Refused).copied().unwrap_or_default();
        assert!(refused >= cases.len() - 40, "sealed as a whole: {whole}: {counts:?} of {}", cases.len());
    }
}

/// Rules: 36.
#[test]
fn a_file_cut_at_any_length_is_told_or_an_earlier_state() {
    for whole in [false, true] {
        let place = Place::new(whole, LINEAGE, "first");
        let Files { snapshot, journal } = place.last();
        let snapshot = snapshot.expect("it was folded");
        let lengths: Vec<usize> = (0..snapshot.len()).collect();
        let counts = in_threads(&place, &lengths, |place, length| {
            place.put(&Files { snapshot: Some(snapshot[..*length].to_vec()), journal: journal.clone() });
            place.judge(&format!("the snapshot cut at {length}"))
        });
        // Only the line break at its end may be missing.
        assert_eq!(counts.get(&Verdict::Refused), Some(&(snapshot.len() - 1)), "{counts:?}");
        let lengths: Vec<usize> = (0..journal.len()).collect();
        let counts = in_threads(&place, &lengths, |place, length| {
            place.put(&Files { snapshot: Some(snapshot.clone()), journal: journal[..*length].to_vec() });
            place.judge(&format!("the journal cut at {length}"))
        });
        // What a crash leaves is no damage: the entries that are whole count.
        assert_eq!(counts.get(&Verdict::Refused), None, "{counts:?}");
        assert_eq!(counts.get(&Verdict::Same), Some(&1), "{counts:?}");
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Rules: 36.
#[test]
fn lines_that_are_dropped_doubled_swapped_or_added_are_told() {
    for whole in [false, true] {
        let place = Place::new(whole, LINEAGE, "first");
        let last = place.last();
        let other = Place::new(whole, LINEAGE, "second").last();
        let stranger = Place::new(whole, OTHER, "first").last();
        let snapshot = last.snapshot.clone().expect("it was folded");
        for (in_snapshot, own, theirs) in [
            (true, &snapshot, [&other, &stranger].map(|files| files.snapshot.clone().expect("it was folded"))),
            (false, &last.journal, [&other, &stranger].map(|files| files.journal.clone())),
        ] {
            let with = |changed: Vec<Vec<u8>>| match in_snapshot {
                true => Files { snapshot: Some(changed.concat()), ..last.clone() },
                false => Files { journal: changed.concat(), ..last.clone() },
            };
            let all = lines(own);
            for at in 0..all.len() {
                let what = |how: &str| format!("line {at} of {} {how}, in whole form: {whole}", all.len());
                let mut dropped = all.clone();
                dropped.remove(at);
                place.put(&with(dropped));
                let verdict = place.judge(&what("dropped"));
                // The last entry of a journal dropped is the state before it.
                let end = !in_snapshot && at + 1 == all.len();
                assert_eq!(verdict, if end { Verdict::Earlier } else { Verdict::Refused }, "{}", what("dropped"));
                let mut doubled = all.clone();
                doubled.insert(at, all[at].clone());
                place.refused(&what("doubled"), &with(doubled));
                for to in at + 1..all.len() {
                    let mut swapped = all.clone();
                    swapped.swap(at, to);
                    place.put(&with(swapped));
                    // The fields of a head may stand in any order.
                    let heads = in_snapshot && all[at].len() < 100 && all[to].len() < 100;
                    let verdict = place.judge(&what(&format!("swapped with {to}")));
                    assert!(
                        verdict == Verdict::Refused || heads && verdict == Verdict::Same,
                        "{at}, {to}: {verdict:?}"
                    );
                }
                for theirs in &theirs {
                    for line in lines(theirs).into_iter().filter(|line| line.len() > 100 && *line != all[at]) {
                        let mut replaced = all.clone();
                        // The comma between records is no part of one.
                        let comma = |line: &[u8]| line.ends_with(b",\n");
                        let mut line = line;
                        if in_snapshot && comma(&line) != comma(&all[at]) {
                            line.truncate(line.len() - if comma(&line) { 2 } else { 1 });
                            line.extend_from_slice(if comma(&all[at]) { b",\n" } else { b"\n" });
                        }
                        replaced[at] = line;
                        place.refused(&what("replaced by a stranger's"), &with(replaced));
                    }
                }
            }
        }
        place.put(&last);
        assert_eq!(place.judge("the files as they were"), Verdict::Same);
    }
}

/// The sealed values of a text.
fn tokens(text: &str) -> Vec<&str> {
    text.match_indices("sk1.").map(|(at, _)| &text[at..at + text[at..].find('"').unwrap_or(0)]).collect()
}

/// Between inputs and outputs of one resource, the old instance and its replacement, two resources, two stacks of one key,
/// two lineages.
///
/// Rules: 36.
#[test]
fn sealed_values_that_change_places_are_told() {
    for whole in [false, true] {
        let place = Place::new(whole, LINEAGE, "first");
        let last = place.last();
        let other = Place::new(whole, OTHER, "first").last();
        for in_snapshot in [true, false] {
            let text = |files: &Files| {
                let bytes =
                    if in_snapshot { files.snapshot.clone().unwrap_or_default() } else { files.journal.clone() };
                String::from_utf8(bytes).expect("text")
            };
            let (own, theirs) = (text(&last), text(&other));
            let with = |changed: String| match in_snapshot {
                true => Files { snapshot: Some(changed.into_bytes()), ..last.clone() },
                false => Files { journal: changed.into_bytes(), ..last.clone() },
            };
            let all = tokens(&own);
            assert!(all.len() >= if whole { 4 } else { 9 }, "{} sealed values", all.len());
            for (number, a) in all.iter().enumerate() {
                for b in &all[number + 1..] {
                    let swapped = own.replacen(a, "@", 1).replacen(b, a, 1).replacen('@', b, 1);
                    place.refused("two sealed values swapped", &with(swapped));
                    place.refused("one sealed value twice", &with(own.replacen(b, a, 1)));
                }
                for b in tokens(&theirs) {
                    place.refused("a sealed value of another stack", &with(own.replacen(a, b, 1)));
                }
                place.refused("an empty seal", &with(own.replacen(a, "sk1.", 1)));
                place.refused("a newer seal", &with(own.replacen(a, "sk2.AAAA", 1)));
            }
        }
    }
}

/// Records of an older version among new ones; snapshot and journal of any two moments together.
///
/// Rules: 36.
#[test]
fn what_was_genuine_at_another_moment_is_told() {
    for whole in [false, true] {
        let place = Place::new(whole, LINEAGE, "first");
        let last = place.last();
        let now = String::from_utf8(last.snapshot.clone().expect("it was folded")).expect("text");
        // A later version of the folded state, and of its records.
        let later = place.copy();
        here().block_on(async {
            let (mut store, _) = Store::open(later.backend(), later.sealer.clone()).await.expect("it opens");
            store.lock(Holder::new("up").expect("a holder")).await.expect("the lock");
            store.fold().await.expect("a fold");
        });
        let after = String::from_utf8(later.files().snapshot.expect("folded")).expect("text");
        let records = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| line.starts_with("{\"key\""))
                .map(|line| line.trim_end_matches(',').to_owned())
                .collect()
        };
        let (old, new) = (records(&now), records(&after));
        assert!(old.iter().any(|record| new.contains(record)), "what does not change keeps its bytes");
        for replayed in old.iter().filter(|record| !new.contains(record)) {
            for present in &new {
                let mixed = after.replace(present.as_str(), replayed);
                later.refused("an older record", &Files { snapshot: Some(mixed.into_bytes()), journal: Vec::new() });
            }
        }
        // Any snapshot with any journal.
        let (mut verdicts, empty) = (BTreeMap::<Verdict, usize>::new(), Files { snapshot: None, journal: Vec::new() });
        let mut moments = place.moments.clone();
        moments.push(later.moments.last().cloned().expect("moments"));
        moments.push(Files { snapshot: Some(after.into_bytes()), journal: Vec::new() });
        moments.push(empty);
        for snapshot in &moments {
            for journal in &moments {
                place.put(&Files { snapshot: snapshot.snapshot.clone(), journal: journal.journal.clone() });
                *verdicts.entry(place.judge("two moments mixed")).or_default() += 1;
            }
        }
        assert_eq!(verdicts.len(), 3, "some of each: {verdicts:?}");
    }
}

/// Two histories of one stack, each whole in itself: who has seen one refuses the other.
///
/// Rules: 36.
#[test]
fn another_history_of_the_same_stack_is_told_from_the_one_that_was_seen() {
    for whole in [false, true] {
        let (place, other) = (Place::new(whole, LINEAGE, "first"), Place::new(whole, LINEAGE, "second"));
        let (store, _) = other.open().expect("it is whole");
        match place.seen.check(&store) {
            Err(error @ StateError::OtherHistory { position: 5, .. }) => {
                assert!(error.to_string().contains("`state accept`"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        // A fresh machine has seen neither, and accepts what it is told to.
        let fresh = Seen::new(place.folder.path().join("fresh"));
        fresh.check(&store).expect("nothing seen");
        assert_eq!(place.seen.accept(&store).expect("written"), Some(5));
        place.seen.check(&store).expect("accepted");
    }
}

#[stackkit::program]
async fn shop(stack: &mut Stack) -> Result<()> {
    let password = stack.add("password", local::RandomPassword::new(32));
    let id = stack.add("id", local::RandomId::new(8));
    stack.output("password", &password.value);
    stack.output("id", &id.hex);
    Ok(())
}

/// A stack of a program, in files.
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

    fn on(&self, machine: &str) -> Deployment {
        let options = DeployOptions {
            dir: self.dir.path().to_owned(),
            keys: self.keys(),
            seen: Some(Seen::new(self.dir.path().join(machine))),
            ..DeployOptions::default()
        };
        Deployment::new(Some(shop()), options)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(".stackkit").join(name)
    }

    async fn up(&self) -> Result<usize, RunError> {
        let summary = self.on("here").up(&PlanOptions::default(), &|_| true).await?;
        Ok(summary.create + summary.update + summary.replace + summary.delete)
    }
}

/// Nothing of a damaged state is applied, and nothing is written over it; mended, it goes on.
///
/// Rules: 36.
#[tokio::test]
async fn a_damaged_state_is_neither_applied_nor_written_over() {
    for whole in [false, true] {
        let world = World::new();
        assert_eq!(world.up().await.expect("a run"), 2);
        world.on("here").seal_whole(whole).await.expect("a switch");
        let good = fs::read(world.path("dev.state.json")).expect("a state");
        for at in (0..good.len()).step_by(good.len() / 12) {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(world.path("dev.state.json"), &bad).expect("written");
            let error = world.up().await.expect_err("it is damaged");
            assert!(names_something(&error.to_string()), "byte {at}: {error}");
            assert!(world.on("here").repair().await.is_err(), "byte {at}");
            assert!(world.on("here").destroy(&PlanOptions::default(), &|_| true).await.is_err(), "byte {at}");
            assert_eq!(fs::read(world.path("dev.state.json")).expect("a state"), bad, "byte {at}");
        }
        fs::write(world.path("dev.state.json"), &good).expect("written");
        assert_eq!(world.up().await.expect("a run"), 0);
    }
}

/// `state repair` drops what a crash cut short, says how much that is, and drops nothing else.
///
/// Rules: 36.
#[tokio::test]
async fn a_repair_drops_what_was_never_confirmed_and_no_more() {
    let world = World::new();
    world.up().await.expect("a run");
    assert!(world.on("here").repair().await.expect("a repair").is_nothing());
    let before = world.on("here").state().await.expect("a state");
    let folded = fs::read(world.path("dev.state.json")).expect("a state");
    let torn = "{\"stackkit\":1,\"n\":4,\"lineage\":\"01";
    fs::write(world.path("dev.journal"), torn).expect("written");
    let repaired = world.on("here").repair().await.expect("a repair");
    assert_eq!((repaired.dropped, repaired.folded, repaired.merged), (torn.len(), 0, None));
    assert_eq!(fs::read(world.path("dev.journal")).expect("a journal"), b"");
    assert_eq!(fs::read(world.path("dev.state.json")).expect("a state"), folded, "the same bytes");
    assert_eq!(world.on("here").state().await.expect("a state"), before);

    // What is not the beginning of an entry is damage, and stays for whoever looks into it.
    for damage in ["garbage", "{\"stackkit\":1}\n", "\u{0}\u{0}x"] {
        fs::write(world.path("dev.journal"), damage).expect("written");
        let error = world.on("here").repair().await.expect_err("it is damaged");
        assert!(names_something(&error.to_string()), "{error}");
        assert_eq!(fs::read_to_string(world.path("dev.journal")).expect("a journal"), damage);
    }
}

/// All of a state put back as it was earlier is whole in itself. The machine that has seen more refuses it, with the way
/// out; another one, which has seen nothing, cannot know.
///
/// Rules: 36.
#[tokio::test]
async fn a_state_put_back_as_a_whole_is_told_where_it_was_seen() {
    let world = World::new();
    world.up().await.expect("a run");
    let early = fs::read(world.path("dev.state.json")).expect("a state");
    let id = world.on("here").state().await.expect("a state");
    let urn = id.resources.values().find(|record| record.urn.name() == "id").expect("it is there").urn.clone();
    world.on("here").remove(&urn).await.expect("removed");
    let late = fs::read(world.path("dev.state.json")).expect("a state");

    fs::write(world.path("dev.state.json"), &early).expect("written");
    let error = world.up().await.expect_err("it went back");
    assert!(matches!(error, RunError::State(StateError::RolledBack { .. })), "{error}");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("`state accept`"), "{error}");
    for refused in [world.on("here").state().await.err(), world.on("here").export().await.err()] {
        assert!(matches!(refused, Some(RunError::State(StateError::RolledBack { .. }))));
    }
    let preview = world.on("here").preview(&PlanOptions::default()).await;
    assert!(matches!(preview, Err(RunError::State(StateError::RolledBack { .. }))));
    assert_eq!(fs::read(world.path("dev.state.json")).expect("a state"), early, "nothing was written");
    assert_eq!(world.on("elsewhere").state().await.expect("a fresh machine").resources.len(), 2);

    // The newer one back in its place, all is well; and an older one that is meant is accepted once.
    fs::write(world.path("dev.state.json"), &late).expect("written");
    assert_eq!(world.on("here").state().await.expect("a state").resources.len(), 1);
    fs::write(world.path("dev.state.json"), &early).expect("written");
    let (seen, now) = world.on("here").accept().await.expect("accepted");
    assert!(seen > Some(now), "{seen:?}, {now}");
    assert_eq!(world.up().await.expect("a run"), 0);
    // A state that is deleted altogether went back too.
    fs::remove_file(world.path("dev.state.json")).expect("removed");
    assert!(matches!(world.up().await, Err(RunError::State(StateError::RolledBack { now: 0, .. }))));
    fs::write(world.path("dev.state.json"), &early).expect("written");

    // Going back by an entry of its own is going on.
    fs::write(world.dir.path().join("backup.json"), world.on("here").export().await.expect("an export"))
        .expect("written");
    world.on("here").remove(&urn).await.expect("removed");
    let backup = fs::read_to_string(world.dir.path().join("backup.json")).expect("a backup");
    world.on("here").import_state(&backup, &|_| true).await.expect("imported");
    assert_eq!(world.up().await.expect("a run"), 0);
}

/// Every byte of the header: it is another text for the same header, or does not open.
///
/// Rules: 36.
#[tokio::test]
async fn every_flipped_byte_of_the_header_is_told_or_makes_no_difference() {
    let world = World::new();
    world.up().await.expect("a run");
    world.on("here").seal_whole(true).await.expect("a switch");
    let text = fs::read(config_path(world.dir.path(), "dev")).expect("a file");
    let whole = Header::parse(std::str::from_utf8(&text).expect("text"), "here").expect("a header");
    let (mut refused, mut same) = (0, 0);
    for at in 0..text.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut edited = text.clone();
            edited[at] ^= mask;
            let header = std::str::from_utf8(&edited).ok().map(|text| Header::parse(text, "here"));
            let Some(Ok(header)) = header else {
                refused += 1;
                continue;
            };
            match header {
                Some(header) if Some(&header) == whole.as_ref() => same += 1,
                Some(header) => {
                    let error = unlock(&header, &world.keys()).await.expect_err("an edited header opens");
                    assert!(error.to_string().len() > 20, "byte {at}: {error}");
                    refused += 1;
                }
                // `[seal]` by another name: there is a state, and no header to open it with.
                None => {
                    fs::write(config_path(world.dir.path(), "dev"), &edited).expect("written");
                    let error = world.up().await.expect_err("a header by another name");
                    assert!(error.to_string().contains("no [seal] header"), "byte {at}: {error}");
                    fs::write(config_path(world.dir.path(), "dev"), &text).expect("written");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 900 && same > 0, "{refused} refused, {same} the same");
}
