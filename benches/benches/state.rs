//! The state by itself: an entry appended among many records, reading all of it, folding it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use stackkit::seal::Sealer;
use stackkit::state::backend::Holder;
use stackkit::state::model::{Change, Instance, Record, RecordedOptions, ResourceRecord, Status};
use stackkit::state::{MemoryBackend, Store};
use stackkit::{Urn, Value};

const SIZES: [u64; 4] = [100, 1_000, 10_000, 100_000];

/// Of states that are sealed as a whole.
const WHOLE_SIZES: [u64; 1] = [10_000];

fn record(number: u64, label: &str) -> Change {
    let fields = |list: &[(&str, Value)]| -> BTreeMap<String, Value> {
        list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let password = Value::text(format!("password-of-item-{number}")).into_secret();
    Change::Put(Record::Resource(Box::new(ResourceRecord {
        instance: Instance(number),
        urn: Urn::new("nothing:bench:Item", &format!("item-{number}")),
        id: format!("id-{number}"),
        provider: "nothing".into(),
        status: Status::Live,
        schema_version: 1,
        inputs: fields(&[("label", Value::text(label)), ("size", Value::Int(1)), ("password", password)]),
        outputs: fields(&[("id", Value::text(format!("id-{number}")))]),
        seen: BTreeMap::new(),
        drifted: BTreeSet::new(),
        dependencies: BTreeSet::new(),
        options: RecordedOptions::default(),
    })))
}

fn state(c: &mut Criterion) {
    measure(c, "state", false, &SIZES);
    measure(c, "whole state", true, &WHOLE_SIZES);
}

fn measure(c: &mut Criterion, name: &str, whole: bool, sizes: &[u64]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let sealer = Arc::new(Sealer::ephemeral().expect("a key").whole(whole));
    let mut group = c.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    for &count in sizes {
        let backend = MemoryBackend::default();
        let open = || runtime.block_on(Store::open(Arc::new(backend.clone()), Arc::clone(&sealer))).expect("a state");
        let (mut store, _) = open();
        let holder = Holder::new("bench").expect("a holder");
        runtime.block_on(store.lock(holder)).expect("the lock");
        let all: Vec<Change> = (0..count).map(|number| record(number, "a label")).collect();
        runtime.block_on(store.commit(&all)).expect("a commit");
        runtime.block_on(store.fold()).expect("a fold");
        println!("{name}/{count}: {} bytes", store.snapshot().len());
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("load", count), |b| b.iter(&open));
        group.throughput(Throughput::Elements(1));
        let mut number = 0u64;
        group.bench_function(BenchmarkId::new("append one", count), |b| {
            b.iter(|| {
                number += 1;
                let change = record(number % count, &format!("label {number}"));
                runtime.block_on(store.commit(&[change])).expect("a commit");
            });
        });
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("append one and fold", count), |b| {
            b.iter(|| {
                number += 1;
                let change = record(number % count, &format!("label {number}"));
                runtime.block_on(store.commit(&[change])).expect("a commit");
                runtime.block_on(store.fold()).expect("a fold");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, state);
criterion_main!(benches);
