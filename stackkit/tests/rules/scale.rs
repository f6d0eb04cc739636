//! Scale: cost grows with what is done, and with nothing else.

use std::time::Duration;

use crate::toys::*;

fn many(count: usize, chained: bool) -> Vec<Item> {
    let name = |n: usize| format!("n{n:06}");
    (0..count).map(|n| if chained && n > 0 { item(&name(n)).soft(&name(n - 1)) } else { item(&name(n)) }).collect()
}

/// How many, unless `STACKKIT_SCALE` asks for another number.
fn scale(usual: usize) -> usize {
    std::env::var("STACKKIT_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Rules: 6.
#[stackkit::test]
async fn a_journal_entry_is_as_long_among_many_as_among_few() {
    let mut sizes = Vec::new();
    for count in [100, scale(4_000)] {
        let mut items = many(count, false);
        let test = test(&[items.clone(), {
            items[50].size = 7;
            items
        }])
        .parallel(64);
        test.up().await.expect_ok();
        let run = version(&test, 1).without_refresh().up().await.expect_ok();
        assert_eq!(lines(&run), ["update n000050"]);
        sizes.push(run.entries().to_vec());
    }
    let total = |sizes: &[usize]| sizes.iter().sum::<usize>();
    assert_eq!(sizes[0].len(), sizes[1].len());
    // Positions and counters grow by a digit or two; nothing else may. The snapshot is no entry, and counts apart.
    assert!(total(&sizes[0]).abs_diff(total(&sizes[1])) < 64, "{sizes:?}");
}

/// Rules: 6.
#[stackkit::test]
async fn long_chains_and_wide_graphs_are_planned_in_a_loop() {
    for chained in [true, false] {
        let test = test(&[many(scale(20_000), chained)]);
        let run = test.preview().await.expect_ok();
        let plan = run.plan().expect("a plan");
        assert_eq!(run.summary().create, scale(20_000));
        assert_eq!(plan.steps.edge_count(), if chained { scale(20_000) - 1 } else { 0 });
    }
}

/// Rules: 6.
#[stackkit::test]
async fn long_chains_and_wide_graphs_are_made_and_deleted_at_the_same_cost_a_step() {
    for chained in [true, false] {
        let mut costs = Vec::new();
        for count in [scale(20_000) / 80, scale(20_000) / 20] {
            let test = test(&[many(count, chained)]).parallel(16);
            let (up, down) = (test.up().await.expect_ok(), test.destroy().await.expect_ok());
            assert_eq!((up.summary().create, down.summary().delete), (count, count));
            for run in [up, down] {
                costs.push((run.entries().len() as u64 * 1000 / count as u64, run.appended() / count as u64));
            }
        }
        // What the run as a whole costs is spread over fewer steps in the small one.
        for (few, many) in [(costs[0], costs[2]), (costs[1], costs[3])] {
            assert!(many.0 <= few.0 + 5 && many.1 <= few.1 + 5, "chained {chained}: {costs:?}");
        }
    }
}

/// Rules: 2.
#[stackkit::test]
async fn no_slot_is_free_while_a_step_is_ready() {
    for slots in [1, 3, 8] {
        let test = test(&[many(24, false)]).parallel(slots);
        test.cloud().slow_down(Duration::from_millis(2));
        test.up().await.expect_ok();
        assert_eq!(test.cloud().peak(), slots);
    }
    let test = test(&[many(6, true)]).parallel(8);
    test.cloud().slow_down(Duration::from_millis(2));
    test.up().await.expect_ok();
    assert_eq!(test.cloud().peak(), 1);
}
