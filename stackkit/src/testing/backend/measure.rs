//! What a large stack costs on a backend, in time and in requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::seal::Sealer;
use crate::state::Store;
use crate::state::backend::{Backend, Holder};
use crate::state::lease::settled;
use crate::state::model::{Change, Instance, Record, ResourceRecord, Status};
use crate::urn::Urn;
use crate::value::Value;

/// How many steps are measured.
const STEPS: u32 = 50;

/// How long things take with a large stack.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Measured {
    /// How many resources the stack has.
    pub resources: u64,
    /// Bytes of the folded state.
    pub bytes: usize,
    /// The first fold, which writes all of it.
    pub first_fold: Duration,
    /// One step: one changed resource, durable.
    pub step: Duration,
    /// The fold at the end of a run that changed a few resources.
    pub fold: Duration,
    /// Reading all of it from the backend.
    pub load: Duration,
    /// Reading it, checking every code and opening every seal.
    pub open: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} resources, {:.1} MB: load {:.2} s, load and check {:.2} s, a step {:.1} ms, a fold {:.2} s, the first fold {:.2} s",
            self.resources,
            self.bytes as f64 / 1e6,
            self.load.as_secs_f64(),
            self.open.as_secs_f64(),
            self.step.as_secs_f64() * 1e3,
            self.fold.as_secs_f64(),
            self.first_fold.as_secs_f64()
        )
    }
}

/// Fills a log with a stack of so many resources, each with a secret, and measures it. `open` gives the log anew, as
/// another process has it.
///
/// # Errors
/// What the backend fails with.
pub async fn measure(open: impl Fn() -> Arc<dyn Backend>, resources: u64) -> Result<Measured, String> {
    let text = |error: crate::state::StateError| error.to_string();
    let sealer = Arc::new(Sealer::ephemeral().map_err(|error| error.to_string())?);
    let (mut store, _) = Store::open(open(), Arc::clone(&sealer)).await.map_err(text)?;
    store.lock(Holder::new("measure").map_err(|error| error.to_string())?).await.map_err(text)?;
    let numbers: Vec<u64> = (0..resources).collect();
    for some in numbers.chunks(1000) {
        let changes: Vec<_> = some.iter().map(|number| resource(*number, 0)).collect();
        store.commit(&changes).await.map_err(text)?;
    }
    let begun = Instant::now();
    store.fold().await.map_err(text)?;
    let first_fold = begun.elapsed();
    let begun = Instant::now();
    for step in 0..STEPS {
        let number = u64::from(step) * resources / u64::from(STEPS);
        store.commit(&[resource(number, 1)]).await.map_err(text)?;
    }
    let step = begun.elapsed() / STEPS;
    let begun = Instant::now();
    store.fold().await.map_err(text)?;
    let fold = begun.elapsed();
    store.unlock();
    settled().await;
    let begun = Instant::now();
    let loaded = open().load().await.map_err(|error| error.to_string())?;
    let load = begun.elapsed();
    let begun = Instant::now();
    let (_, state) = Store::open(open(), sealer).await.map_err(text)?;
    let open = begun.elapsed();
    if state.resources.len() as u64 != resources {
        return Err(format!("{} of {resources} resources came back", state.resources.len()));
    }
    let bytes = loaded.snapshot.map_or(0, |snapshot| snapshot.len());
    Ok(Measured { resources, bytes, first_fold, step, fold, load, open })
}

/// What is asked of a store for single steps and for a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requests {
    /// How many resources the stack has.
    pub resources: u64,
    /// Those of steps, one after the other: one changed resource each.
    pub steps: Vec<Vec<String>>,
    /// Those of the fold after them.
    pub fold: Vec<String>,
}

/// Counts the requests of steps and folds, with a stack that grows to 1, 200 and 500 resources. `heard` gives those since
/// it was asked last. The place is to be empty, and its leases long: renewals would be counted too.
///
/// # Errors
/// What the backend fails with.
pub async fn requests(backend: Arc<dyn Backend>, heard: impl Fn() -> Vec<String>) -> Result<Vec<Requests>, String> {
    let text = |error: crate::state::StateError| error.to_string();
    let sealer = Arc::new(Sealer::ephemeral().map_err(|error| error.to_string())?);
    let (mut store, _) = Store::open(backend, sealer).await.map_err(text)?;
    store.lock(Holder::new("requests").map_err(|error| error.to_string())?).await.map_err(text)?;
    let mut all = Vec::new();
    for (generation, resources) in [(0, 1), (10, 200), (20, 500)] {
        let many: Vec<_> = (0..resources).map(|number| resource(number, generation)).collect();
        store.commit(&many).await.map_err(text)?;
        drop(heard());
        let mut steps = Vec::new();
        for step in 1..4 {
            store.commit(&[resource(0, generation + step)]).await.map_err(text)?;
            steps.push(heard());
        }
        store.fold().await.map_err(text)?;
        all.push(Requests { resources, steps, fold: heard() });
    }
    store.unlock();
    settled().await;
    Ok(all)
}

fn resource(number: u64, generation: i64) -> Change {
    let text = |what: &str| Value::text(format!("{what}-{number}"));
    Change::Put(Record::Resource(Box::new(ResourceRecord {
        instance: Instance(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        urn: Urn::new("measure:Thing", &format!("thing-{number}")),
        id: format!("id-{number}"),
        provider: "measure".into(),
        status: Status::Live,
        schema_version: 1,
        inputs: BTreeMap::from([("name".into(), text("name")), ("generation".into(), Value::Int(generation))]),
        outputs: BTreeMap::from([("arn".into(), text("arn")), ("token".into(), text("token").into_secret())]),
        seen: BTreeMap::new(),
        drifted: BTreeSet::new(),
        dependencies: BTreeSet::new(),
        options: Default::default(),
    })))
}
