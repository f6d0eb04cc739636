//! A process that sleeps until its lease is over, and wakes when another one has been there: it writes nothing more, and
//! calls nothing more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use stackkit::engine::RunError;
use stackkit::state::backend::{Backend, BackendError, Holder};
use stackkit::testing::Test;

use crate::program::{Edit, How, Item, Listing, Ty, declare, program};

fn items() -> Vec<Item> {
    let item = |name, uses| Item { uses, password: Some(true), ..Item::plain(name, Ty::Node) };
    let mut listing = Listing::default();
    listing.edit(&[
        Edit::Put(0, item("a", vec![])),
        Edit::Put(1, item("b", vec![("a", How::HardId)])),
        Edit::Put(2, item("c", vec![("b", How::SoftId)])),
    ]);
    listing.tidy()
}

/// Ends the lease of whoever holds it, and runs `up` if there is to be a successor.
fn overtake(test: &Test, successor: bool) {
    let test = test.clone();
    let other = std::thread::spawn(move || {
        super::simulated(async {
            let holder = Holder { id: "other".into(), who: "other".into(), pid: 1, operation: "up".into(), since: 0 };
            if let Err(BackendError::Locked(held)) = test.backend().acquire(holder).await {
                test.backend().unlock(&held.id).await.expect("the lease is over");
            }
            if successor {
                declare(&items());
                test.up().await.expect_ok();
            }
        });
    });
    other.join().expect("the other process");
}

/// Rules: 15, 19, 35.
#[test]
fn a_process_whose_lease_is_over_writes_nothing_and_calls_nothing() {
    for successor in [false, true] {
        let mut overtaken = 0;
        for at in 0.. {
            let woke = simulated_once(at, successor);
            overtaken += usize::from(woke);
            if !woke {
                break;
            }
        }
        assert!(overtaken >= 4, "it was overtaken {overtaken} times only");
    }
}

/// Overtakes a run before one of its writes; whether it wrote so often.
fn simulated_once(at: usize, successor: bool) -> bool {
    super::simulated(async {
        declare(&items());
        let test = Test::of(program).parallel(1);
        let (asleep, then): (Arc<AtomicBool>, Arc<Mutex<(u64, usize)>>) = Default::default();
        let (mut left, flag, noted, other) = (at, Arc::clone(&asleep), Arc::clone(&then), test.clone());
        test.backend().before_append(move |_| {
            if left == 0 && !flag.swap(true, Ordering::SeqCst) {
                overtake(&other, successor);
                *noted.lock().expect("a lock") = (other.backend().appended(), other.cloud().calls().len());
            }
            left = left.saturating_sub(1);
            Ok(())
        });
        let run = test.up().await;
        test.backend().clear_before_append();
        if !asleep.load(Ordering::SeqCst) {
            return false;
        }
        assert!(run.result().is_err(), "it went on after write {at}");
        let now = (test.backend().appended(), test.cloud().calls().len());
        assert_eq!(now, *then.lock().expect("a lock"), "it wrote or called after write {at}");
        if let Err(RunError::Unsaved { rescue, .. }) = run.result() {
            // What it could not write is merged, or known already.
            if test.repair().await.is_err() {
                std::fs::remove_file(rescue).expect("the rescue file");
            }
        }
        test.up().await.expect_ok();
        let again = test.up().await.expect_ok();
        assert!(again.steps().is_empty());
        let mut recorded: Vec<String> = again.state().resources.values().map(|record| record.id.clone()).collect();
        recorded.sort();
        assert_eq!(test.cloud().ids(), recorded);
        true
    })
}
