//! Plan, apply and a run that changes nothing. Apply has journal, sealing and fsync as in production.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use stackkit::plan::{PlanInput, PlanOptions, plan};
use stackkit_benches::{Shape, deployment, destroy, preview, up};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// What needs a durable write a resource, or such a state to begin with, stops here; `compare` measures what is larger.
const MOST_WRITTEN: usize = 10_000;

fn shapes() -> impl Iterator<Item = (&'static str, Shape)> {
    [("independent", false), ("chain", true)]
        .into_iter()
        .flat_map(|(name, chain)| SIZES.into_iter().map(move |count| (name, Shape { count, chain, secrets: false })))
}

/// The planner by itself, where everything is new.
fn planning(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("plan");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    for (name, shape) in shapes() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = deployment(folder.path(), shape);
        let declared = runtime.block_on(target.declare()).expect("a program");
        let (state, options) = (stackkit::state::State::default(), PlanOptions::default());
        let input = PlanInput {
            declared: &declared,
            state: &state,
            catalog: target.catalog(),
            imports: &BTreeMap::new(),
            options: &options,
        };
        group.throughput(Throughput::Elements(shape.count as u64));
        group.bench_function(BenchmarkId::new(name, shape.count), |b| b.iter(|| plan(&input)));
    }
    group.finish();
}

/// Everything is made, and deleted again.
fn applying(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("up and destroy");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(3));
    for (name, shape) in shapes() {
        // A chain is a durable write a resource, and the disk would be all that is measured.
        if shape.count > if shape.chain { MOST_WRITTEN / 10 } else { MOST_WRITTEN } {
            continue;
        }
        group.throughput(Throughput::Elements(shape.count as u64));
        group.bench_function(BenchmarkId::new(name, shape.count), |b| {
            b.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let folder = tempfile::tempdir().expect("a folder");
                    let target = deployment(folder.path(), shape);
                    let started = Instant::now();
                    runtime.block_on(up(&target));
                    runtime.block_on(destroy(&target));
                    total += started.elapsed();
                }
                total
            });
        });
    }
    group.finish();
}

/// A preview where nothing changed: reads, checks, refreshes and plans.
fn nothing_changed(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("preview, nothing changed");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(3));
    for (name, shape) in shapes() {
        if shape.chain && shape.count > MOST_WRITTEN {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let target = deployment(folder.path(), shape);
        group.throughput(Throughput::Elements(shape.count as u64));
        // The state is made when the bench runs, and not when its name is only filtered.
        let mut made = false;
        group.bench_function(BenchmarkId::new(name, shape.count), |b| {
            if !std::mem::replace(&mut made, true) {
                runtime.block_on(up(&target));
            }
            b.iter(|| runtime.block_on(preview(&target)));
        });
    }
    group.finish();
}

criterion_group!(benches, planning, applying, nothing_changed);
criterion_main!(benches);
