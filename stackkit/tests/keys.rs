//! Who can open a stack, and what a change of the data key leaves behind wherever it stops.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use stackkit::Value;
use stackkit::context::BoxFuture;
use stackkit::engine::{DeployOptions, Deployment};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::{Header, KeyFile, KeyOptions, KeyProvider as _, Passphrase, SealError, config_path};
use stackkit::state::backend::{Backend, BackendError, Holder, Lease, Loaded, Position};
use stackkit::state::place::{BackendKind, BackendUrl, LinkedBackend, Place};
use stackkit::state::{LocalBackend, MemoryPlace};

#[stackkit::program]
async fn small(stack: &mut Stack) -> Result<()> {
    for number in 0..5 {
        let password = stack.add(format!("p{number}"), local::RandomPassword::new(32));
        stack.output(format!("p{number}"), &password.value);
    }
    stack.add("id", local::RandomId::new(8));
    Ok(())
}

/// What the next fold meets, as if the process had been killed there.
static CUT: AtomicU8 = AtomicU8::new(NOTHING);
const NOTHING: u8 = 0;
const BEFORE: u8 = 1;
const BETWEEN: u8 = 2;
const AFTER: u8 = 3;

/// Folders whose folds can be cut.
struct Cut;

impl BackendKind for Cut {
    const SCHEMES: &'static [&'static str] = &["cut"];

    async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        Ok(Arc::new(CutPlace(url.dir().join(url.authority()))))
    }
}

#[derive(Debug)]
struct CutPlace(PathBuf);

impl Place for CutPlace {
    fn describe(&self) -> String {
        "cut".into()
    }
    fn stack(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        Ok(Arc::new(CutBackend {
            inner: LocalBackend::new(&self.0, name),
            journal: self.0.join(format!("{name}.journal")),
        }))
    }
    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, BackendError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[derive(Debug)]
struct CutBackend {
    inner: LocalBackend,
    journal: PathBuf,
}

impl Backend for CutBackend {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>> {
        self.inner.load()
    }
    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>> {
        self.inner.acquire(holder)
    }
    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        self.inner.append(lease, expected, entry)
    }
    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let killed = || Err(BackendError::Corrupt("killed".into()));
            match CUT.swap(NOTHING, Ordering::SeqCst) {
                BEFORE => killed(),
                // The snapshot is written, and the journal is not emptied yet.
                BETWEEN => {
                    let journal = fs::read(&self.journal).unwrap();
                    assert!(!journal.is_empty(), "there is nothing to leave behind");
                    self.inner.compact(lease, expected, snapshot).await?;
                    fs::write(&self.journal, journal).unwrap();
                    killed()
                }
                AFTER => {
                    self.inner.compact(lease, expected, snapshot).await?;
                    killed()
                }
                _ => self.inner.compact(lease, expected, snapshot).await,
            }
        })
    }
    fn unlock<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.unlock(id)
    }
    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.delete(lease)
    }
}

struct World {
    dir: tempfile::TempDir,
    backend: String,
    linked: Vec<LinkedBackend>,
}

impl World {
    fn new(backend: &str) -> Self {
        let linked = vec![LinkedBackend::of::<Cut>(), LinkedBackend::of::<Memory>()];
        Self { dir: tempfile::tempdir().unwrap(), backend: backend.into(), linked }
    }

    fn key(&self, name: &str) -> KeyOptions {
        KeyOptions::default().key_file(self.dir.path().join(name))
    }

    fn with(&self, keys: KeyOptions) -> Deployment {
        let options = DeployOptions {
            stack: "dev".into(),
            dir: self.dir.path().to_owned(),
            backend: Some(self.backend.clone()),
            backends: self.linked.clone(),
            keys,
            ..DeployOptions::default()
        };
        Deployment::new(Some(small()), options)
    }

    fn deployment(&self) -> Deployment {
        self.with(self.key("ada"))
    }

    async fn up(&self) -> u64 {
        let summary = self.deployment().up(&PlanOptions::default(), &|_| true).await.unwrap();
        (summary.create + summary.update + summary.replace + summary.delete) as u64
    }

    fn path(&self) -> PathBuf {
        config_path(self.dir.path(), "dev")
    }

    fn header(&self) -> Header {
        Header::read(&self.path()).unwrap().unwrap()
    }
}

/// A memory that outlives a deployment, as a bucket does.
struct Memory;

static MEMORY: Mutex<Option<MemoryPlace>> = Mutex::new(None);

impl BackendKind for Memory {
    const SCHEMES: &'static [&'static str] = &["mem"];

    async fn open(_: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        Ok(Arc::new(MEMORY.lock().unwrap().get_or_insert_with(MemoryPlace::default).clone()))
    }
}

/// Wherever a change of the data key stops, the stack opens as it is, works, and the next call goes on.
///
/// Rules: 15, 35.
#[tokio::test]
async fn a_change_of_the_data_key_may_stop_anywhere() {
    for (cut, work) in
        [(BEFORE, false), (BEFORE, true), (BETWEEN, false), (BETWEEN, true), (AFTER, false), (AFTER, true)]
    {
        let world = World::new("cut://state");
        world.up().await;
        let config = format!("[config]\n\n{}", fs::read_to_string(world.path()).unwrap());
        fs::write(world.path(), config).unwrap();
        let before = world.deployment().state().await.unwrap();
        let old = world.header();
        if cut == BETWEEN {
            // An entry that no fold has taken up: a run that was killed before its fold.
            CUT.store(BEFORE, Ordering::SeqCst);
            let urn = before.resources.values().find(|record| record.urn.name() == "id").unwrap().urn.clone();
            world.deployment().remove(&urn).await.unwrap_err();
        }
        let expected = world.deployment().state().await.unwrap();
        CUT.store(cut, Ordering::SeqCst);
        world.deployment().rotate_keys(&[]).await.unwrap_err();
        let half = world.header();
        assert_eq!((half.data_key.as_str(), half.next.is_some()), (old.data_key.as_str(), true));
        assert_eq!(world.deployment().state().await.unwrap(), expected, "cut {cut}");
        // What would change keys is told to wait.
        let refused = world.deployment().remove_key(&half.keys[0].id).await.unwrap_err();
        assert!(refused.to_string().contains("stopped half-way"), "{refused}");
        if work {
            let made = world.up().await;
            assert_eq!(made, u64::from(cut == BETWEEN), "cut {cut}");
        }
        let settled = world.deployment().state().await.unwrap();
        let rotated = world.deployment().rotate_keys(&[]).await.unwrap();
        assert!(rotated.resumed);
        let new = world.header();
        assert_eq!(new.next, None);
        assert_eq!(Some(new.data_key.clone()), half.next.map(|next| next.data_key));
        assert_ne!(new.data_key, old.data_key);
        assert_eq!(world.deployment().state().await.unwrap(), settled);
        let bytes = fs::read(world.dir.path().join("state/dev.state.json")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(&old.data_key), "something is left under the old key");
        let changed = world.up().await;
        assert_eq!(changed, u64::from(cut == BETWEEN && !work));
    }
}

/// The last write of a change is the file, whole or not at all: with the one before it, all opens too. A stale run that
/// has read the old state writes nothing over the new one.
///
/// Rules: 15, 35.
#[tokio::test]
async fn the_old_file_opens_until_the_new_one_is_there_and_a_stale_run_is_refused() {
    let world = World::new("mem://x");
    world.up().await;
    let first = world.header();
    let rotated = world.deployment().rotate_keys(&[]).await.unwrap();
    assert!(!rotated.resumed && rotated.data_key == world.header().data_key);
    let expected = world.deployment().state().await.unwrap();
    // As it was between the state and the file.
    let next = stackkit::seal::Ring { data_key: rotated.data_key.clone(), keys: rotated.keys.clone() };
    let old = first.open(&world.key("ada")).await.unwrap();
    let both = Header { next: Some(next), ..first.clone() }.with_mac(&old);
    both.write(&world.path()).unwrap();
    assert_eq!(world.deployment().state().await.unwrap(), expected);
    assert_eq!(world.up().await, 0);
    // Somebody who has not pulled has the old header alone.
    first.write(&world.path()).unwrap();
    let error = world.deployment().state().await.unwrap_err().to_string();
    assert!(error.contains("secrets rotate") && error.contains(&rotated.data_key), "{error}");
}

#[tokio::test]
async fn sealed_configuration_follows_the_key_and_plain_text_stays_as_it_is() {
    let world = World::new("file://state");
    world.up().await;
    let key = unlocked(&world).await;
    let token = |path: &str| key.seal(stackkit::seal::Place::config(path), &Value::text("s3cret")).unwrap();
    let text = format!(
        "# about it\n[config]\nplain = 1 # stays\ntoken = {{ secret = \"{}\" }}\nlist = [ {{ secret = \"{}\" }}, 2 ]\n\n[config.db]\npassword = {{ secret = \"{}\" }}\n\n[[config.many]]\nx = {{ secret = \"{}\" }}\n\n{}",
        token("/token"),
        token("/list/0"),
        token("/db/password"),
        token("/many/0/x"),
        fs::read_to_string(world.path()).unwrap()
    );
    fs::write(world.path(), &text).unwrap();
    world.deployment().rotate_keys(&[]).await.unwrap();
    let after = fs::read_to_string(world.path()).unwrap();
    let key = unlocked(&world).await;
    let tokens: Vec<&str> = after.split('"').filter(|part| part.starts_with("sk1.")).collect();
    assert_eq!(tokens.len(), 4);
    for (path, token) in ["/token", "/list/0", "/db/password", "/many/0/x"].iter().zip(tokens) {
        let value = key.open(stackkit::seal::Place::config(path), token).unwrap();
        assert_eq!(value.reveal(), &Value::text("s3cret"));
        assert!(!text.contains(token), "{path} is sealed with the old key");
    }
    let shape = |text: &str| {
        let cut = text.find("[seal]").unwrap();
        text[..cut].split('"').filter(|part| !part.starts_with("sk1.")).collect::<String>()
    };
    assert_eq!(shape(&after), shape(&text));
}

async fn unlocked(world: &World) -> stackkit::seal::Sealer {
    stackkit::seal::unlock(&world.header(), &world.key("ada")).await.unwrap()
}

#[tokio::test]
async fn keys_come_and_go_and_each_opens_while_it_is_listed() {
    let world = World::new("file://state");
    world.up().await;
    let bob = format!("key-file:{}", world.dir.path().join("bob").display());
    let added = world.deployment().add_keys(&bob, Some("Bob")).await.unwrap();
    assert_eq!(added.made.as_deref(), Some(world.dir.path().join("bob").as_path()));
    assert_eq!(world.deployment().keys().unwrap().len(), 2);
    let as_bob = || world.with(world.key("bob"));
    as_bob().state().await.unwrap();

    // Wrapping again changes nothing but the wrapped key, and the label stays.
    world.deployment().add_keys(&bob, None).await.unwrap();
    let keys = world.deployment().keys().unwrap();
    assert_eq!((keys.len(), keys[1].label()), (2, Some("Bob")));

    // Ada cannot wrap for Bob's file: she is told whose it is, and what to do.
    let error = world.deployment().rotate_keys(&[]).await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let text = error.to_string();
    assert!(text.contains("(Bob)") && text.contains("--without Bob"), "{text}");
    assert_eq!(world.header().next, None, "a refused change leaves nothing");
    let rotated = world.deployment().rotate_keys(&["Bob".into()]).await.unwrap();
    assert_eq!((rotated.keys.len(), rotated.removed.len()), (1, 1));
    assert!(as_bob().state().await.is_err());
    world.deployment().state().await.unwrap();

    let unknown = world.deployment().rotate_keys(&["Carol".into()]).await.unwrap_err().to_string();
    assert!(unknown.contains("called `Carol`"), "{unknown}");
    let own = world.header().keys[0].id.clone();
    let only = world.deployment().remove_key(&own[..6]).await.unwrap_err();
    assert!(only.to_string().contains("only key"), "{only}");
    world.deployment().add_keys(&bob, None).await.unwrap();
    let self_out = world.deployment().remove_key(&own).await.unwrap_err();
    assert!(self_out.to_string().contains("would not open here any more"), "{self_out}");
    assert_eq!(as_bob().remove_key(&own).await.unwrap().removed.len(), 1);
    assert!(world.deployment().state().await.is_err());
    as_bob().state().await.unwrap();
}

#[tokio::test]
async fn the_old_keys_stay_until_a_new_one_has_opened() {
    let world = World::new("file://state");
    world.up().await;
    // Bob's key can be wrapped for, and Ada's options do not reach it: nothing proves it.
    let bob = format!("key-file:{}", world.dir.path().join("bob").display());
    let changed = world.deployment().change_keys(std::slice::from_ref(&bob)).await.unwrap();
    assert!(changed.unproved.is_some() && changed.removed.is_empty());
    assert_eq!(world.header().keys.len(), 2);
    world.deployment().state().await.unwrap();
    let changed = world.with(world.key("bob")).change_keys(&[bob]).await.unwrap();
    assert!(changed.unproved.is_none());
    assert_eq!((changed.removed.len(), world.header().keys.len()), (1, 1));
    world.with(world.key("bob")).state().await.unwrap();
}

#[tokio::test]
async fn every_key_that_could_open_says_why_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let ada = KeyFile::at(dir.path().join("ada"));
    ada.ensure().unwrap();
    let pass =
        Passphrase::new(SecretString::from("one")).cost(stackkit::seal::Cost { memory: 64, passes: 1, lanes: 1 });
    let created = stackkit::seal::create_with(&[&ada, &pass]).await.unwrap();
    let mut header = created.header;
    header.keys.push(stackkit::seal::WrappedKey {
        kind: "vault".into(),
        id: "transit/x".into(),
        wrapped: String::new(),
        settings: Default::default(),
    });
    let keys = KeyOptions::default().passphrase(SecretString::from("two")).key_file(dir.path().join("nowhere"));
    let error = stackkit::seal::unlock(&header, &keys).await.unwrap_err();
    let SealError::NoneOpens(tried) = &error else { panic!("{error}") };
    assert!(matches!(tried[0], SealError::WrongPassphrase), "{error}");
    assert!(matches!(tried[1], SealError::KeyFileMissing { .. }), "{error}");
    assert!(matches!(tried[2], SealError::NotLinked { .. }), "{error}");
    assert!(tried[2].to_string().contains("crate `stackkit-vault`"), "{error}");
    // One of them is enough, where a holder of the data key has listed them.
    let keys = KeyOptions::default().passphrase(SecretString::from("two")).key_file(dir.path().join("ada"));
    let edited = stackkit::seal::unlock(&header, &keys).await.unwrap_err();
    assert!(matches!(edited, SealError::HeaderEdited), "{edited}");
    let key = stackkit::seal::open(&header.ring(), &header.lineage, &keys).await.unwrap();
    stackkit::seal::unlock(&header.with_mac(&key), &keys).await.unwrap();
    assert_eq!(ada.kind(), KeyFile::KIND);
}

#[tokio::test]
async fn a_teams_file_says_what_new_stacks_are_sealed_with() {
    let dir = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(dir.path().join("stackkit.toml"), text).unwrap();
    let keys = KeyOptions::default().key_file(dir.path().join("ada"));
    let said = async || stackkit::seal::create_in(dir.path(), &keys).await.map(drop).unwrap_err().to_string();
    for (text, part) in [
        ("[secrets", "it is not TOML"),
        ("secrets = 1", "not a table"),
        ("[secrets]\nkey = []", "`secrets.key` is not known"),
        ("[secrets]\nkeys = []", "no list of keys"),
        ("[secrets]\nkeys = [1]", "neither a text nor"),
        ("[secrets]\nkeys = [{ key = \"key-file\", lable = \"x\" }]", "neither a text nor"),
        ("[secrets]\nkeys = [\"age:age1x\"]", "crate `stackkit-age`"),
        ("[secrets]\nkeys = [\"passphrase:hunter2\"]", "does not stand in an argument"),
        ("[secrets]\nkeys = [\"key-file:\"]", "names no file"),
    ] {
        write(text);
        let error = said().await;
        assert!(error.contains(part) && error.contains("stackkit") | error.contains("names no key"), "{text}: {error}");
    }
    // A key that only another holds would lock its maker out.
    write("[secrets]\nkeys = [\"key-file:bob\"]");
    assert!(said().await.contains("no key file at"));
    write("[secrets]\nkeys = [{ key = \"key-file:ada\", label = \"Ada\" }, \"key-file:bob\"]\n[other]\nx = 1\n");
    let created = stackkit::seal::create_in(dir.path(), &keys).await.unwrap();
    assert_eq!(created.header.keys.len(), 2);
    assert_eq!(created.header.keys[0].label(), Some("Ada"));
    assert!(Path::new(&dir.path().join("bob")).exists());
}

/// Whoever can write the file, and holds no key, gets nothing wrapped for a key of their own.
#[tokio::test]
async fn a_header_that_no_holder_of_the_key_wrote_is_refused() {
    let world = World::new("file://state");
    world.up().await;
    let eve = KeyFile::at(world.dir.path().join("eve"));
    eve.ensure().unwrap();
    let theirs = stackkit::seal::DataKey::generate().unwrap();
    let whole = world.header();
    let for_eve = eve.wrap(&theirs, &whole.lineage).await.unwrap();
    let ada = KeyFile::at(world.dir.path().join("ada"));
    let for_ada = ada.wrap(&theirs, &whole.lineage).await.unwrap();
    let next = stackkit::seal::Ring { data_key: theirs.id(), keys: vec![for_ada, for_eve.clone()] };
    let mut listed = whole.clone();
    listed.keys.push(for_eve);
    let mut relabelled = whole.clone();
    relabelled.keys[0].settings.insert("label".into(), stackkit::seal::Setting::Text("Eve".into()));
    let planted = Header { next: Some(next), ..whole.clone() };
    for edited in [listed, relabelled, planted, Header { mac: String::new(), ..whole.clone() }] {
        edited.write(&world.path()).unwrap();
        for error in [
            world.deployment().state().await.unwrap_err(),
            world.deployment().rotate_keys(&[]).await.unwrap_err(),
            world.deployment().add_keys("key-file", None).await.unwrap_err(),
        ] {
            let text = error.to_string();
            let told = text.contains("does not hold the stack's key") || text.contains("stopped half-way");
            assert!(told, "{text}");
        }
        assert_eq!(world.header(), edited);
    }
    whole.write(&world.path()).unwrap();
    world.deployment().state().await.unwrap();
}
