//! Other runs on the same stack, and runs that sleep.

use acceptance::Signal;

use crate::folder::Stack;

/// Rules: 15, 17.
#[test]
fn of_two_runs_the_second_is_refused_and_told_who_is_at_work() {
    let stack = Stack::new();
    stack.shut("before/a");
    let running = stack.up_until("create a", &[]);
    for command in [&["up", "--yes"][..], &["destroy", "--yes"], &["refresh", "--yes"]] {
        let refused = stack.0.run(command).expect(3);
        let holder = format!("{}", running.id());
        assert!(refused.stderr.contains(&holder) && refused.stderr.contains("up"), "{}", refused.stderr);
    }
    // Looking is free.
    stack.0.run(&["state", "list"]).expect(0);
    stack.open("before/a");
    running.end().expect(0);
    stack.converges(&[]);
    assert_eq!(stack.log(), ["create a", "create b"]);
}

/// Rules: 15.
#[test]
fn a_run_that_sleeps_keeps_its_lock_and_goes_on_when_it_wakes() {
    let stack = Stack::new();
    stack.shut("before/a");
    let running = stack.up_until("create a", &[]);
    running.signal(Signal::STOP);
    let refused = stack.0.run(&["up", "--yes"]).expect(3);
    assert!(refused.stderr.contains(&running.id().to_string()), "{}", refused.stderr);
    stack.open("before/a");
    let refused = stack.0.run(&["up", "--yes"]).expect(3);
    assert!(refused.stderr.contains(&running.id().to_string()), "{}", refused.stderr);
    running.signal(Signal::CONT);
    running.end().expect(0);
    stack.converges(&[]);
    assert_eq!(stack.log(), ["create a", "create b"]);
}

/// Rules: 15.
#[test]
fn a_run_that_is_killed_frees_its_lock() {
    let stack = Stack::new();
    stack.shut("after/a");
    let mut running = stack.up_until("create a", &[]);
    running.wait_until("it is there", |_| stack.things() == ["a"]);
    running.kill();
    stack.open("after/a");
    stack.converges(&[]);
    assert_eq!(stack.things(), ["a", "b"]);
}
