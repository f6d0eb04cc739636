//! Sealing and opening: secrets of configuration one by one, and values by the thousand as the state does it.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stackkit::Value;
use stackkit::seal::{Place, Sealer};

fn seal(c: &mut Criterion) {
    let sealer = Sealer::ephemeral().expect("a key");
    let secret = Value::text("correct horse battery staple").into_secret();
    let token = sealer.seal(Place::config("password"), &secret).expect("sealed");
    let mut group = c.benchmark_group("secrets");
    group.throughput(Throughput::Elements(1));
    group.bench_function("seal", |b| b.iter(|| sealer.seal(Place::config("password"), &secret)));
    group.bench_function("open", |b| b.iter(|| sealer.open(Place::config("password"), &token)));
    for count in [100u64, 1_000, 10_000, 100_000] {
        group.sample_size(10).warm_up_time(std::time::Duration::from_millis(200));
        group.measurement_time(std::time::Duration::from_secs(2)).throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("seal and open many", count), |b| {
            b.iter(|| {
                for _ in 0..count {
                    let token = sealer.seal(Place::config("password"), &secret).expect("sealed");
                    sealer.open(Place::config("password"), &token).expect("opened");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, seal);
criterion_main!(benches);
