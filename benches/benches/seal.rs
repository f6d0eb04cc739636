//! Sealing and opening secrets, one by one as the state does it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
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
    group.finish();
}

criterion_group!(benches, seal);
criterion_main!(benches);
