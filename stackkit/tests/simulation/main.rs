//! Simulation: random programs, histories, failures, weather and deaths. Whatever happens, the state stays whole, nothing
//! is made twice or lost or taken from a stranger, everything happens in an order that its dependencies allow, and a
//! run that is left alone brings everything to where the last program wants it.
//!
//! `STACKKIT_CASES` says how many cases are tried (a few by default), `STACKKIT_SEED` where they begin; a case that
//! fails is made as small as it can be (in `STACKKIT_SHRINK` steps at most), and says how it is played again.

mod audited;
mod case;
mod hooks;
mod order;
mod overtaken;
mod program;
mod recovery;
mod select;
mod time;

use std::sync::Mutex;

use case::{Case, cases, play};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// How many cases are tried in every test run.
const FEW: u64 = 250;

/// Runs on a clock of its own: whatever waits, waits no time at all.
fn simulated<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

/// Draws the case of a seed; if it fails, the smallest one like it that fails, and why.
fn try_seed(seed: u64) -> Option<(Case, String)> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: number("STACKKIT_SHRINK").unwrap_or(2_000) as u32,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let tree = cases().new_tree(&mut runner).expect("a case");
    match runner.run_one(tree, |case| simulated(play(&case, false)).map_err(TestCaseError::fail)) {
        Ok(_) => None,
        Err(TestError::Fail(why, case)) => Some((case, why.to_string())),
        Err(TestError::Abort(why)) => panic!("seed {seed} was given up: {why}"),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Rules: 1, 2, 3, 4, 5, 7, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 29, 30, 35.
#[test]
fn any_history_comes_to_rest() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Panics of the provider are part of the histories; their traces would bury what matters.
        let of_provider = panic.payload().downcast_ref::<String>().is_some_and(|text| case::is_said_by_a_call(text));
        if !of_provider {
            hook(panic);
        }
    }));
    let count = number("STACKKIT_CASES").unwrap_or(match number("STACKKIT_SEED") {
        Some(_) => 1,
        None => FEW,
    });
    let first = number("STACKKIT_SEED").unwrap_or(0);
    let failed = Mutex::new(None);
    for seed in first..first + count {
        if count > FEW && (seed - first) % 1000 == 999 {
            eprintln!("{} cases", seed - first + 1);
        }
        if let Some(found) = try_seed(seed) {
            *failed.lock().expect("a lock") = Some((seed, found));
            break;
        }
    }
    if let Some((seed, (case, why))) = failed.into_inner().expect("a lock") {
        let _ = std::panic::catch_unwind(|| simulated(play(&case, true)));
        panic!(
            "seed {seed}: {why}\n{case:#?}\nplay it again with\n\
             STACKKIT_SEED={seed} cargo test -p stackkit --test simulation any_history -- --nocapture"
        );
    }
}
