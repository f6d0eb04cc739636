//! Scale: cost grows with what is done, and with nothing else.

use std::time::{Duration, Instant};

use crate::toys::*;

fn many(count: usize, chained: bool) -> Vec<Item> {
    let name = |n: usize| format!("n{n:06}");
    (0..count).map(|n| if chained && n > 0 { item(&name(n)).soft(&name(n - 1)) } else { item(&name(n)) }).collect()
}

/// Rules: 6.
#[stackkit::test]
async fn a_journal_entry_is_as_long_among_many_as_among_few() {
    let mut sizes = Vec::new();
    for count in [100, 2_000] {
        let mut items = many(count, false);
        let test = test(&[items.clone(), {
            items[50].size = 7;
            items
        }])
        .parallel(16);
        test.up().await.expect_ok();
        let run = version(&test, 1).without_refresh().up().await.expect_ok();
        assert_eq!(lines(&run), ["update n000050"]);
        sizes.push(run.entries().to_vec());
    }
    let total = |sizes: &[usize]| sizes.iter().sum::<usize>();
    assert_eq!(sizes[0].len(), sizes[1].len());
    // Positions and counters grow by a digit or two; nothing else may.
    assert!(total(&sizes[0]).abs_diff(total(&sizes[1])) < 64, "{sizes:?}");
}

/// Rules: 6.
#[stackkit::test]
async fn long_chains_and_wide_graphs_are_planned_in_a_loop() {
    for chained in [true, false] {
        let mut took = Vec::new();
        // `STACKKIT_SCALE` asks for more.
        let most = std::env::var("STACKKIT_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
        for count in [most / 4, most] {
            let test = test(&[many(count, chained)]);
            let began = Instant::now();
            let run = test.preview().await.expect_ok();
            took.push(began.elapsed());
            assert_eq!(run.summary().create, count);
        }
        // Four times as much takes four times as long, not sixteen; the rest is for a busy machine.
        assert!(took[1] < took[0] * 10 + Duration::from_secs(2), "chained {chained}: {took:?}");
    }
}

/// Rules: 6.
#[stackkit::test]
async fn long_chains_and_wide_graphs_are_made_and_deleted_in_a_loop() {
    let most = std::env::var("STACKKIT_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000) / 20;
    for chained in [true, false] {
        let mut took = Vec::new();
        for count in [most / 4, most] {
            let test = test(&[many(count, chained)]).parallel(16);
            let began = Instant::now();
            assert_eq!(test.up().await.expect_ok().summary().create, count);
            assert_eq!(test.destroy().await.expect_ok().summary().delete, count);
            took.push(began.elapsed());
        }
        assert!(took[1] < took[0] * 10 + Duration::from_secs(2), "chained {chained}: {took:?}");
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
