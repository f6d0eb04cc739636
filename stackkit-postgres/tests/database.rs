//! The backend against a real server: what a step costs, what is kept, and what people are told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use stackkit::seal::Sealer;
use stackkit::state::backend::{Backend, Holder};
use stackkit::state::lease::settled;
use stackkit::state::model::{Change, Instance, Record, ResourceRecord, State, Status};
use stackkit::state::place::{BackendKind as _, BackendUrl, Place};
use stackkit::state::{MemoryBackend, Store};
use stackkit::{Urn, Value};
use stackkit_postgres::Postgres;
use test_servers::Postgres as Server;

async fn place(url: &str) -> Arc<dyn Place> {
    let url = BackendUrl::parse(url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    Postgres::open(url).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn stack(url: &str, name: &str) -> Arc<dyn Backend> {
    place(url).await.stack(name).unwrap_or_else(|error| panic!("{error}"))
}

fn server() -> &'static Server {
    Server::shared().unwrap_or_else(|error| panic!("{error}"))
}

fn sql(server: &Server, sql: &str) -> String {
    server.run(sql).unwrap_or_else(|error| panic!("{error}"))
}

fn resource(number: u64, size: i64) -> Change {
    Change::Put(Record::Resource(Box::new(ResourceRecord {
        instance: Instance(number),
        urn: Urn::new("test:Thing", &format!("thing-{number}")),
        id: format!("id-{number}"),
        provider: "test".into(),
        status: Status::Live,
        schema_version: 1,
        inputs: BTreeMap::from([("size".into(), Value::Int(size))]),
        outputs: BTreeMap::from([("token".into(), Value::text("a secret of the thing").into_secret())]),
        seen: BTreeMap::new(),
        drifted: BTreeSet::new(),
        dependencies: BTreeSet::new(),
        options: Default::default(),
    })))
}

async fn open(backend: Arc<dyn Backend>, sealer: &Arc<Sealer>) -> (Store, State) {
    Store::open(backend, Arc::clone(sealer)).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn locked(backend: Arc<dyn Backend>, sealer: &Arc<Sealer>) -> Store {
    let (mut store, _) = open(backend, sealer).await;
    store.lock(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    store
}

async fn commit(store: &mut Store, changes: &[Change]) {
    store.commit(changes).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn fold(store: &mut Store) {
    store.fold().await.unwrap_or_else(|error| panic!("{error}"));
}

fn holder() -> Holder {
    Holder::new("test").unwrap_or_else(|error| panic!("{error}"))
}

fn sealer() -> Arc<Sealer> {
    Arc::new(Sealer::ephemeral().unwrap_or_else(|error| panic!("{error}")))
}

#[tokio::test]
async fn a_step_is_three_statements_however_large_the_stack_is() {
    let server = Server::start_with_log().unwrap_or_else(|error| panic!("{error}"));
    let sealer = sealer();
    let mut store = locked(stack(&server.url(), "dev").await, &sealer).await;
    let mut seen = Vec::new();
    for size in [1, 300, 1000] {
        let many: Vec<Change> = (0..size).map(|number| resource(number, 0)).collect();
        commit(&mut store, &many).await;
        let before = server.statements().len();
        commit(&mut store, &[resource(0, i64::try_from(size).unwrap_or_default())]).await;
        let statements = server.statements().split_off(before);
        let renewals =
            statements.iter().filter(|sql| sql.contains("SET expires") && !sql.contains("WITH held")).count();
        assert_eq!(renewals, 0, "a renewal came between: {statements:?}");
        seen.push(
            statements.iter().map(|sql| sql.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>(),
        );
        fold(&mut store).await;
    }
    assert!(seen.iter().all(|step| *step == ["BEGIN", "WITH", "COMMIT"]), "{seen:?}");
}

#[tokio::test]
async fn a_fold_writes_what_changed() {
    let (server, sealer) = (server(), sealer());
    let url = format!("{}?schema=folds&keep=2", server.url());
    let mut store = locked(stack(&url, "dev").await, &sealer).await;
    let many: Vec<Change> = (0..5000).map(|number| resource(number, 0)).collect();
    commit(&mut store, &many).await;
    fold(&mut store).await;
    let chunks = || sql(server, "SELECT count(*) FROM folds.chunk").parse::<i64>().unwrap_or_default();
    let all = chunks();
    assert!(all > 40, "5000 records are {all} pieces");
    commit(&mut store, &[resource(2500, 1)]).await;
    fold(&mut store).await;
    let more = chunks() - all;
    // The piece with the head, that with the record, and perhaps a neighbour.
    assert!((1..=4).contains(&more), "a change of one record wrote {more} pieces");
    let (_, state) = open(stack(&url, "dev").await, &sealer).await;
    assert_eq!(state, store.state().expect("the records open"));
    // What only a dropped version had goes with it.
    for round in 2..6 {
        commit(&mut store, &[resource(2500, round)]).await;
        fold(&mut store).await;
    }
    assert_eq!(sql(server, "SELECT count(*) FROM folds.snapshot"), "2");
    assert!(chunks() <= all + 4, "{} pieces of {all} are kept for two versions", chunks());
    let backend = stack(&url, "dev").await;
    let history = backend.history().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(history.iter().map(|version| version.position.0).collect::<Vec<_>>(), [6, 5]);
    let old = backend.load_version(&history[1].id).await.unwrap_or_else(|error| panic!("{error}"));
    let old = MemoryBackend::with(stackkit::state::backend::Loaded {
        snapshot: Some(old),
        position: history[1].position,
        ..Default::default()
    });
    let (_, state) = open(Arc::new(old), &sealer).await;
    assert_eq!(state.resources[&Instance(2500)].inputs["size"], Value::Int(4));
}

#[tokio::test]
async fn reading_makes_nothing_and_the_first_lock_makes_the_tables() {
    let server = server();
    let url = format!("{}?schema=first", server.url());
    let there = || sql(server, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'first'");
    let place = place(&url).await;
    let backend = place.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    assert!(backend.load().await.is_ok_and(|loaded| loaded.snapshot.is_none()));
    assert_eq!(place.list().await.ok(), Some(Vec::new()));
    assert_eq!(there(), "0");
    // Many at once make them once.
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let url = url.clone();
        tasks.spawn(async move {
            let backend = stack(&url, &format!("stack-{number}")).await;
            backend.acquire(holder()).await.map(drop)
        });
    }
    while let Some(result) = tasks.join_next().await {
        assert!(matches!(result, Ok(Ok(()))), "{result:?}");
    }
    settled().await;
    assert_eq!(there(), "6");
    assert_eq!(sql(server, "SELECT count(*) FROM first.version"), "1");
}

#[tokio::test]
async fn tables_of_a_newer_program_are_refused() {
    let server = server();
    let url = format!("{}?schema=newer", server.url());
    drop(stack(&url, "dev").await.acquire(holder()).await);
    settled().await;
    sql(server, "UPDATE newer.version SET version = 3");
    let error = stack(&url, "dev").await.load().await.map(drop).unwrap_err().to_string();
    assert!(error.contains("have version 3") && error.contains("use a newer program"), "{error}");
}

#[tokio::test]
async fn who_may_not_make_tables_is_told_the_statements() {
    let server = server();
    sql(server, "CREATE ROLE guest LOGIN");
    let url = format!("{}?schema=closed", server.url().replacen("stackkit@", "guest:hunter2@", 1));
    let error = stack(&url, "dev").await.acquire(holder()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("CREATE TABLE IF NOT EXISTS closed.entry"), "{error}");
    assert!(error.contains("guest:***@") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let error = stack("postgres://nobody:hunter2@127.0.0.1:1/none", "dev").await.load().await.map(drop).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("postgres://nobody:***@127.0.0.1:1/none") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn nothing_stays_in_the_session() {
    let (server, sealer) = (server(), sealer());
    let url = format!("{}?schema=pooled&application_name=pooled", server.url());
    let mut store = locked(stack(&url, "dev").await, &sealer).await;
    commit(&mut store, &[resource(1, 0)]).await;
    fold(&mut store).await;
    // Whatever a session remembers would be missing behind a pooler: a lock, a prepared statement, a setting.
    let locks = sql(server, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
    let open =
        sql(server, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pooled' AND state <> 'idle'");
    assert_eq!((locks, open), ("0".into(), "0".into()));
}
