//! Plan, apply, destroy and a run that changes nothing, with journal, sealing and fsync as in production.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use stackkit_benches::{Shape, deployment, destroy, preview, up};

/// The sizes; a chain of 100,000 is a durable write a resource, and measured by `stackkit-benches` as a process.
const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

fn engine(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for chain in [false, true] {
        let name = if chain { "chain" } else { "independent" };
        let mut group = c.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).sample_size(10).warm_up_time(Duration::from_millis(1));
        for count in SIZES {
            if chain && count > 10_000 {
                continue;
            }
            let shape = Shape { count, chain, secrets: false };
            group.throughput(Throughput::Elements(count as u64));
            group.bench_with_input(BenchmarkId::new("up and destroy", count), &shape, |b, shape| {
                b.iter_custom(|rounds| {
                    let mut total = Duration::ZERO;
                    for _ in 0..rounds {
                        let folder = tempfile::tempdir().expect("a folder");
                        let target = deployment(folder.path(), *shape);
                        let started = Instant::now();
                        runtime.block_on(up(&target));
                        runtime.block_on(destroy(&target));
                        total += started.elapsed();
                    }
                    total
                });
            });
            group.bench_with_input(BenchmarkId::new("preview, nothing changed", count), &shape, |b, shape| {
                let folder = tempfile::tempdir().expect("a folder");
                let target = deployment(folder.path(), *shape);
                runtime.block_on(up(&target));
                b.iter(|| runtime.block_on(preview(&target)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, engine);
criterion_main!(benches);
