//! Signals: once lets running calls end, twice ends at once.

use acceptance::Signal;

use crate::folder::Stack;

const ENDING: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

/// Rules: 16.
#[test]
fn once_lets_running_calls_end_and_starts_no_more() {
    for signal in ENDING {
        let stack = Stack::new();
        stack.shut("before/a");
        let mut running = stack.up_until("create a", &[]);
        running.signal(signal);
        running.wait_for(r#""type":"cancelling""#);
        stack.open("before/a");
        let ran = running.end().expect(130);
        assert_eq!((ran.count("create"), ran.count("skipped"), ran.count("failed")), (1, 1, 0), "{signal:?}");
        assert_eq!(ran.summary()["exit_code"], 130);
        assert_eq!(stack.log(), ["create a"], "{signal:?}");
        assert_eq!((stack.recorded(), stack.things()), (vec!["a".to_owned()], vec!["a".to_owned()]));
        let ran = stack.converges(&[]);
        assert_eq!(ran.count("create"), 1, "what was left, and no more");
    }
}

/// Rules: 16.
#[test]
fn the_screen_says_what_was_left_and_how_to_go_on() {
    let stack = Stack::new();
    stack.shut("before/a");
    let mut running = stack.0.begin(&["up", "--yes"]);
    running.wait_until("a begins", |_| stack.log() == ["create a"]);
    running.signal(Signal::INT);
    running.wait_for("waiting for 1 running call to end");
    stack.open("before/a");
    let ran = running.end().expect(130);
    for part in ["again to stop at once", "Cancelled", "1 created", "Run `up` again to go on from here"] {
        assert!(ran.stderr.contains(part), "`{part}` is missing in:\n{}", ran.stderr);
    }
}

/// Rules: 15, 16.
#[test]
fn twice_stops_at_once_and_the_next_run_finds_what_was_made() {
    for signal in ENDING {
        for door in ["before/a", "after/a"] {
            let stack = Stack::new();
            stack.shut(door);
            let mut running = stack.up_until("create a", &[]);
            running.signal(signal);
            running.wait_for(r#""type":"cancelling""#);
            running.signal(signal);
            // The door is still shut: nobody waited for the call.
            running.end().expect(130);
            stack.open(door);
            let ran = stack.converges(&[]);
            assert!(ran.stdout.contains(r#""type":"recovered""#), "{}", ran.stdout);
            assert_eq!(stack.things(), ["a", "b"], "{signal:?} {door}");
        }
    }
}

/// Rules: 16.
#[test]
fn what_only_looks_stops_at_the_first_signal() {
    let stack = Stack::new();
    stack.0.run(&["up", "--yes"]).expect(0);
    stack.shut("read/a");
    for command in [&["up", "--yes", "--json"][..], &["preview", "--json"]] {
        let mut running = stack.0.begin(command);
        running.wait_for(r#""type":"refreshing""#);
        running.signal(Signal::INT);
        let ran = running.end().expect(130);
        assert_eq!(ran.summary()["exit_code"], 130, "{}", ran.stdout);
    }
    stack.open("read/a");
    stack.converges(&[]);
}

/// Rules: 15, 16.
#[test]
fn providers_that_block_every_thread_can_be_stopped() {
    let stack = Stack::new();
    let args = ["--config", "blocks=true", "--config", "more=40"];
    let names: Vec<String> = (0..40).map(|number| format!("more-{number}")).chain(["a".to_owned()]).collect();
    names.iter().for_each(|name| stack.shut(&format!("before/{name}")));
    // At most as many begin as there are threads, and all of these are blocked.
    let mut running = stack.0.begin(&[&["up", "--yes", "--json"], &args[..]].concat());
    running.wait_until("a call begins", |_| !stack.log().is_empty());
    running.signal(Signal::INT);
    running.wait_for(r#""type":"cancelling""#);
    running.signal(Signal::INT);
    running.end().expect(130);
    names.iter().for_each(|name| stack.open(&format!("before/{name}")));
    stack.converges(&args);
    assert_eq!(stack.things().len(), 42);
}
