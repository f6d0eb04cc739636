//! Providers that never answer, and providers that answer far too much.

use crate::folder::Stack;

/// Rules: 15, 18.
#[test]
fn a_provider_that_never_answers_is_given_up_and_the_next_run_finds_out() {
    for door in ["before/a", "after/a"] {
        let stack = Stack::new();
        stack.shut(door);
        let ran = stack.0.run(&["up", "--yes", "--json", "--config", "patience=300"]).expect(1);
        assert!(ran.stdout.contains("no answer within"), "{}", ran.stdout);
        assert_eq!((ran.count("failed"), ran.count("skipped")), (1, 1), "{}", ran.stdout);
        stack.open(door);
        let ran = stack.converges(&[]);
        assert!(ran.stdout.contains(r#""type":"recovered""#), "{}", ran.stdout);
        assert_eq!(stack.things(), ["a", "b"], "{door}");
    }
}

/// Rules: 34, 35.
#[test]
fn megabytes_are_recorded_and_not_poured_over_the_screen() {
    let stack = Stack::new();
    let args = ["--config", "bytes=5000000"];
    let ran = stack.0.run(&[&["up", "--yes"], &args[..]].concat()).expect(0);
    assert!(ran.stdout.len() + ran.stderr.len() < 200_000, "{} bytes", ran.stderr.len());
    stack.converges(&args);
    let ran = stack.0.run(&["up", "--yes", "--json", "--config", "bytes=5000000", "--config", "label=x"]).expect(0);
    assert!(ran.stdout.len() < 200_000, "{} bytes", ran.stdout.len());

    let stack = Stack::new();
    let ran = stack.0.run(&[&["up", "--yes", "--config", "fails=true"], &args[..]].concat()).expect(1);
    assert!(ran.stderr.contains("refused: xxx"), "it says why");
    assert!(ran.stdout.len() + ran.stderr.len() < 200_000, "{} bytes", ran.stderr.len());
    stack.converges(&args);
}
