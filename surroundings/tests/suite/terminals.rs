//! Terminals that go away, and readers that stop reading.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::folder::Stack;

/// Rules: 15, 16, 35.
#[test]
fn a_terminal_that_goes_away_is_a_cancel() {
    let stack = Stack::new();
    stack.shut("before/a");
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&near).and_then(|()| unlockpt(&near)).expect("a terminal");
    let name = ptsname(&near, Vec::new()).expect("its name").into_string().expect("its name");
    let far = || Stdio::from(File::options().read(true).write(true).open(&name).expect("its other end"));
    let mut child = Command::new("setsid")
        .args(["--ctty", env!("CARGO_BIN_EXE_surroundings"), "up", "--yes"])
        .current_dir(stack.0.stack())
        .env("XDG_CONFIG_HOME", stack.0.root().join("home/config"))
        .env("TERM", "xterm")
        .stdin(far())
        .stdout(far())
        .stderr(far())
        .spawn()
        .expect("it starts");
    // What it draws has to be read, or it would wait for that.
    let mut screen = File::from(near.try_clone().expect("the terminal"));
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    while stack.log().is_empty() {
        let count = screen.read(&mut chunk).expect("it draws");
        seen.extend_from_slice(&chunk[..count]);
    }
    drop((screen, near));
    // A call is under way: it ends and is recorded, though nobody reads any more.
    stack.open("before/a");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "{}", String::from_utf8_lossy(&seen));
    assert_eq!((stack.recorded(), stack.things()), (vec!["a".to_owned()], vec!["a".to_owned()]));
    stack.converges(&[]);
}

/// Rules: 35.
#[test]
fn a_reader_that_stops_reading_changes_nothing() {
    let stack = Stack::new();
    let script = |reader: &str| format!(r#"{{ "$0" "$@"; echo "ended with $?" >&2; }} | {reader}"#);
    let up = ["up", "--yes", "--json", "--config", "more=40"];
    let ran = stack.0.run_in_shell(&script("head -n 1"), &up);
    assert!(ran.stderr.contains("ended with 0") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 1);
    stack.converges(&up[3..]);
    assert_eq!(stack.things().len(), 42);

    for command in [&["outputs"][..], &["state", "list"], &["graph"], &["--help"]] {
        let ran = stack.0.run_in_shell(&script("head -n 1"), command);
        assert!(ran.stderr.contains("ended with 0") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
    // Nobody reads at all, neither results nor progress.
    let closed = r#"exec "$0" "$@" >&- 2>&-"#;
    stack.0.run_in_shell(closed, &["destroy", "--yes"]).expect(0);
    assert_eq!((stack.things(), stack.recorded()), (Vec::<String>::new(), Vec::new()));
}
