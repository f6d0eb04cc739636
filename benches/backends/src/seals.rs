//! What sealing costs in CPU time, by itself and with all that makes a change of state.

use std::error::Error;
use std::sync::Arc;

use nix::sys::resource::{UsageWho, getrusage};
use stackkit::Value;
use stackkit::seal::{Place, Sealer};
use stackkit::state::MemoryBackend;

/// How many secrets change.
const SECRETS: u64 = 10_000;

/// CPU time of this process so far, in seconds.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Measures and prints.
pub fn print() -> Result<(), Box<dyn Error>> {
    let sealer = Sealer::ephemeral()?;
    let secrets: Vec<Value> = (0..SECRETS).map(|n| Value::text(format!("correct horse {n}")).into_secret()).collect();
    let begun = cpu()?;
    let tokens: Vec<String> =
        secrets.iter().map(|secret| sealer.seal(Place::config("password"), secret)).collect::<Result<_, _>>()?;
    let sealed = cpu()? - begun;
    let begun = cpu()?;
    for token in &tokens {
        sealer.open(Place::config("password"), token)?;
    }
    let opened = cpu()? - begun;
    println!("{SECRETS} secrets: sealed in {sealed:.3} s of CPU, opened in {opened:.3} s");
    let backend = MemoryBackend::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = cpu()?;
    runtime.block_on(stackkit::testing::backend::measure(|| Arc::new(backend.clone()), SECRETS))?;
    println!(
        "a stack of {SECRETS} with a secret each, in memory: made, folded twice, stepped 50 times, loaded and checked in \
         {:.3} s of CPU",
        cpu()? - begun
    );
    Ok(())
}
