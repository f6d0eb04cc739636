//! A second reader, written in Python from SECURITY.md alone, opens what this program wrote and refuses what was edited.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use stackkit::engine::{DeployOptions, Deployment};
use stackkit::plan::PlanOptions;
use stackkit::prelude::{Result, Secret, Stack, local};
use stackkit::provider::{NoSettings, Provider};
use stackkit::seal::{KeyOptions, config_path, create};
use stackkit::state::backend::Holder;
use stackkit::state::model::*;
use stackkit::state::{LocalBackend, Store};
use stackkit::{Context, Created, Error, Managed, Outcome, Urn, Value, resource, types};

fn read(dir: &Path) -> Output {
    Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_reader.py"))
        .args([&config_path(dir, "dev"), &dir.join("key"), &dir.join("state")])
        .arg("dev")
        .output()
        .expect("python3 runs")
}

fn resource(number: u64, name: &str, secret: Value) -> Change {
    Change::Put(Record::Resource(Box::new(ResourceRecord {
        instance: Instance(number),
        urn: Urn::new("test:Thing", name),
        id: format!("id-{name}"),
        provider: "test".into(),
        status: Status::Live,
        schema_version: 1,
        inputs: BTreeMap::from([
            ("pass~word/1".to_owned(), secret),
            ("$plain".to_owned(), Value::List(vec![Value::Int(1), Value::text("tränen\n").into_secret()])),
        ]),
        outputs: BTreeMap::new(),
        seen: BTreeMap::new(),
        drifted: BTreeSet::new(),
        dependencies: BTreeSet::new(),
        options: RecordedOptions {
            hook_due: Some(HookDue::Create),
            replace_trigger: Some(Value::List(vec![Value::text("v2"), Value::text("sesame").into_secret()])),
            ..RecordedOptions::default()
        },
    })))
}

#[tokio::test]
async fn a_second_reader_opens_the_state_and_refuses_an_edited_one() {
    for whole in [false, true] {
        opens_and_refuses(whole).await;
    }
}

async fn opens_and_refuses(whole: bool) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let keys = KeyOptions { whole, ..KeyOptions::default().key_file(dir.join("key")) };
    let created = create(&keys).await.unwrap();
    created.header.write(&config_path(dir, "dev")).unwrap();
    let backend = Arc::new(LocalBackend::new(dir.join("state"), "dev"));
    let (mut store, _) = Store::open(backend.clone(), Arc::new(created.sealer)).await.unwrap();
    store.lock(Holder::new("up").unwrap()).await.unwrap();
    let long = "x".repeat(500);
    store
        .commit(&[
            Change::Put(Record::Provider(ProviderRecord {
                name: "test".into(),
                provider: "test".into(),
                settings: Value::Map(BTreeMap::from([("token".to_owned(), Value::text("t0ken").into_secret())])),
                identity: None,
            })),
            resource(0xAB, "a", Value::text("hunter2").into_secret()),
            resource(0xCD, "b", Value::text(&*long).into_secret()),
        ])
        .await
        .unwrap();
    store.fold().await.unwrap();
    store
        .commit(&[Change::Put(Record::Output(OutputRecord {
            name: "all".into(),
            value: Value::Map(BTreeMap::from([("k".to_owned(), Value::Int(42))])).into_secret(),
        }))])
        .await
        .unwrap();
    store.commit(&[Change::Remove(Key::Resource(Instance(0xCD)))]).await.unwrap();

    let output = read(dir);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(records.as_object().unwrap().len(), 3);
    let a = &records["r/00000000000000ab"];
    assert_eq!(a["urn"], "test:Thing::a");
    assert_eq!(a["inputs"]["pass~word/1"]["secret"], "hunter2");
    assert_eq!(a["options"]["hook_due"], "create");
    assert_eq!(a["inputs"]["$plain"][1]["secret"], "tränen\n");
    assert_eq!(a["options"]["replace_trigger"][0], "v2");
    assert_eq!(a["options"]["replace_trigger"][1]["secret"], "sesame");
    assert_eq!(records["p/test"]["settings"]["token"]["secret"], "t0ken");
    assert_eq!(records["o/all"]["value"]["secret"]["k"], 42);

    let snapshot = fs::read_to_string(backend.snapshot_path()).unwrap();
    assert_eq!(snapshot.contains("id-a"), !whole);
    let (from, to, what) = match whole {
        false => ("\"id\":\"id-a\"", "\"id\":\"id-z\"", "record r/00000000000000ab was edited"),
        true => ("\"sealed\":\"sk1.", "\"sealed\":\"sk1.AAAA", "was edited"),
    };
    fs::write(backend.snapshot_path(), snapshot.replacen(from, to, 1)).unwrap();
    assert!(String::from_utf8_lossy(&read(dir).stderr).contains(what));
    fs::write(backend.snapshot_path(), &snapshot).unwrap();
    let journal = fs::read_to_string(backend.journal_path()).unwrap();
    fs::write(backend.journal_path(), journal.lines().last().unwrap().to_owned() + "\n").unwrap();
    assert!(String::from_utf8_lossy(&read(dir).stderr).contains("does not follow"));
}

#[stackkit::program]
async fn small(stack: &mut Stack) -> Result<()> {
    let password = stack.add("password", local::RandomPassword::new(20));
    stack.add("file", local::SecretFile::new("place", &password.value));
    stack.add("plain", local::SecretFile::new("there", "t0ken-of-a-plan"));
    Ok(())
}

#[tokio::test]
async fn a_second_reader_opens_a_saved_plan_and_refuses_an_edited_one() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, file) = (dir.path(), dir.path().join("plan"));
    let keys = KeyOptions { default_key_file: Some(dir.join("key")), ..KeyOptions::default() };
    let options = DeployOptions { dir: dir.to_owned(), keys, ..DeployOptions::default() };
    Deployment::new(Some(small()), options).save_plan(&PlanOptions::default(), &file).await.unwrap();
    let read = || {
        Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_reader.py"))
            .args([&config_path(dir, "dev"), &dir.join("key"), &file])
            .output()
            .expect("python3 runs")
    };
    let output = read();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&plan["stack"], &plan["position"], &plan["refresh"]), (&"dev".into(), &0.into(), &true.into()));
    let inputs = |name: &str| &plan["declared"]["resources"][format!("local:SecretFile::{name}")]["inputs"];
    assert_eq!(inputs("file")["content"]["$$reference"], "local:RandomPassword::password value");
    assert_eq!(inputs("plain")["content"]["$secret"], "t0ken-of-a-plan");
    assert_eq!(plan["plan"]["resources"]["local:SecretFile::plain"]["action"], "create");
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("t0ken"));
    let at = text.len() / 2;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    fs::write(&file, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
    assert!(!read().status.success());
}

/// Where the lockers are.
struct Hall;

impl Provider for Hall {
    const NAME: &'static str = "hall";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = types![Locker];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> std::result::Result<Self, Error> {
        Ok(Hall)
    }
}

/// A locker.
#[resource("hall:Locker")]
struct Locker {
    /// What opens it.
    #[resource(write_only)]
    pin: Secret<String>,
}

impl Managed for Locker {
    type Provider = Hall;
    async fn create(_: &Hall, _: &Context, args: &LockerArgs) -> Outcome<Self, Created<Self>> {
        Ok(Created::new("1", LockerState { args: args.clone() }))
    }
    async fn read(_: &Hall, _: &Context, _: &str, prior: Option<&LockerState>) -> Outcome<Self, Option<LockerState>> {
        Ok(prior.cloned())
    }
    async fn update(_: &Hall, _: &Context, _: &str, _: &LockerState, args: &LockerArgs) -> Outcome<Self, LockerState> {
        Ok(LockerState { args: args.clone() })
    }
    async fn delete(_: &Hall, _: &Context, _: &str, _: &LockerState) -> Outcome<Self, ()> {
        Ok(())
    }
}

#[stackkit::program(providers(Hall))]
async fn lockers(stack: &mut Stack) -> Result<()> {
    stack.add("left", Locker::new("hünter2"));
    Ok(())
}

#[tokio::test]
async fn a_second_reader_finds_a_digest_and_no_secret_where_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let keys = KeyOptions { default_key_file: Some(dir.join("key")), ..KeyOptions::default() };
    let options = DeployOptions { dir: dir.to_owned(), keys, ..DeployOptions::default() };
    let deployment = Deployment::new(Some(lockers()), options);
    deployment.up(&PlanOptions::default(), &|_| true).await.unwrap();
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_reader.py"))
        .args([&config_path(dir, "dev"), &dir.join("key"), &dir.join(".stackkit")])
        .args(["dev", "hunter2", "hünter2", ""])
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let locker = records.as_object().unwrap().values().find(|record| record["urn"] == "hall:Locker::left").unwrap();
    assert_eq!(locker["inputs"]["pin"]["digest of"], serde_json::json!(["hünter2"]));
    // What is gone from the program is deleted without it.
    deployment.destroy(&PlanOptions::default(), &|_| true).await.unwrap();
}
