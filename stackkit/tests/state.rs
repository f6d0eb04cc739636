//! The state as other programs and attackers meet it: through files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stackkit::seal::Sealer;
use stackkit::state::backend::{Backend, Holder};
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
    assert_eq!(&journal_only, store.state());
    store.fold().await.unwrap();
    let (_, folded) = Store::open(backend.clone(), sealer.clone()).await.unwrap();
    assert_eq!(&folded, store.state());
    verify(&folded).unwrap();
    println!("{}", std::fs::read_to_string(backend.snapshot_path()).unwrap());
}
