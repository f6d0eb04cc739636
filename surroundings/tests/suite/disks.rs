//! Disks that are full, and folders that cannot be written.

use crate::folder::Stack;

/// As on a full disk, a file cannot grow beyond so many blocks of 512 bytes, and a write says so.
const FULL: &str = r#"trap "" XFSZ; ulimit -f 96; exec "$0" "$@""#;

/// Rules: 19.
#[test]
fn a_full_disk_stops_the_run_and_nothing_is_lost() {
    let stack = Stack::new();
    // Each result takes some kilobytes of the journal.
    let args = ["--config", "bytes=6000", "--config", "more=20"];
    let ran = stack.0.run_in_shell(FULL, &[&["up", "--yes", "--parallel", "4"], &args[..]].concat()).expect(1);
    for part in ["could not be written", ".stackkit/dev.rescue", "state repair"] {
        assert!(ran.stderr.contains(part), "`{part}` is missing in:\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    let made = stack.things();
    assert!(!made.is_empty() && made.len() < 22, "it stopped in the middle: {made:?}");

    // Without the rescued part nothing goes on.
    let refused = stack.0.run(&["up", "--yes"]).expect(3);
    assert!(refused.stderr.contains("state repair"), "{}", refused.stderr);
    assert_eq!(stack.things(), made);

    stack.0.run(&["state", "repair"]).expect(0);
    assert!(!stack.path(".stackkit/dev.rescue").exists());
    stack.converges(&args);
    assert_eq!(stack.things().len(), 22);
}

/// Rules: 19.
#[test]
fn a_full_disk_that_has_no_room_for_the_rest_either_says_so() {
    let stack = Stack::new();
    let full = r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#;
    let ran = stack.0.run_in_shell(full, &["up", "--yes", "--config", "bytes=6000"]).expect(1);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(ran.stderr.contains("could not be written"), "{}", ran.stderr);
    // What was begun is known from its intent, which came before it.
    stack.converges(&["--config", "bytes=6000"]);
    assert_eq!(stack.things(), ["a", "b"]);
}

/// Rules: 19.
#[test]
fn a_state_that_cannot_be_written_is_told_before_anything_is_called() {
    // Modes do not stop an administrator, so that something else stands where it would be written.
    let stack = Stack::new();
    std::fs::write(stack.path(".stackkit"), "").expect("a file");
    let ran = stack.0.run(&["up", "--yes"]).expect(1);
    assert!(ran.stderr.contains(".stackkit"), "{}", ran.stderr);
    assert_eq!(stack.log(), Vec::<String>::new());

    let stack = Stack::new();
    stack.0.run(&["up", "--yes"]).expect(0);
    let journal = stack.path(".stackkit/dev.journal");
    std::fs::remove_file(&journal).expect("removed");
    std::fs::create_dir(&journal).expect("a folder");
    let before = stack.log();
    let ran = stack.0.run(&["up", "--yes", "--config", "label=second"]).expect(1);
    assert!(ran.stderr.contains("dev.journal") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert_eq!(stack.log(), before, "nothing was called");
    std::fs::remove_dir(&journal).expect("removed");
    stack.converges(&["--config", "label=second"]);
}
