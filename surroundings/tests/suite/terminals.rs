//! Terminals that go away, and readers that stop reading.

use std::fs::File;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::folder::Stack;

/// A terminal: its near end, which a test reads, and processes that run on it.
struct Terminal {
    screen: File,
    name: String,
}

impl Terminal {
    fn open() -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&near).and_then(|()| unlockpt(&near)).expect("a terminal");
        let name = ptsname(&near, Vec::new()).expect("its name").into_string().expect("its name");
        rustix::io::ioctl_fionbio(&near, true).expect("a terminal");
        Self { screen: File::from(near), name }
    }

    fn far(&self) -> Stdio {
        File::options().read(true).write(true).open(&self.name).expect("its other end").into()
    }

    /// Starts an `up` on it, as its shell would. Results go to `stdout`.
    fn up(&self, stack: &Stack, args: &[&str], stdout: Stdio) -> Child {
        Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_surroundings"), "up", "--yes"])
            .args(args)
            .current_dir(stack.0.stack())
            .env("XDG_CONFIG_HOME", stack.0.root().join("home/config"))
            .env("XDG_STATE_HOME", stack.0.root().join("home/.local/state"))
            .env("TERM", "xterm")
            .stdin(self.far())
            .stdout(stdout)
            .stderr(self.far())
            .spawn()
            .expect("it starts")
    }

    /// Reads what is drawn, or it would be waited for, until something is so.
    fn read_until(&mut self, is_so: impl Fn() -> bool) {
        let mut chunk = [0; 4096];
        while !is_so() {
            if self.screen.read(&mut chunk).is_err() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// Rules: 15, 16.
#[test]
fn a_terminal_that_goes_away_is_a_cancel() {
    let stack = Stack::new();
    stack.shut("before/a");
    let mut terminal = Terminal::open();
    let events = stack.path("events");
    let mut child = terminal.up(&stack, &["--json"], File::create(&events).expect("a file").into());
    terminal.read_until(|| !stack.log().is_empty());
    drop(terminal);
    while !std::fs::read_to_string(&events).expect("the events").contains(r#""type":"cancelling""#) {
        assert!(child.try_wait().expect("its status").is_none(), "it ended before it was cancelled");
        std::thread::sleep(Duration::from_millis(2));
    }
    stack.open("before/a");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!((stack.recorded(), stack.things()), (vec!["a".to_owned()], vec!["a".to_owned()]));
    stack.converges(&[]);
}

/// Rules: 35.
#[test]
fn a_screen_that_goes_away_takes_nothing_with_it() {
    let stack = Stack::new();
    stack.shut("before/a");
    let mut terminal = Terminal::open();
    let mut child = terminal.up(&stack, &[], terminal.far());
    terminal.read_until(|| !stack.log().is_empty());
    drop(terminal);
    stack.open("before/a");
    // Whether the signal or the end of the call comes first is open; what ended is recorded either way.
    let code = child.wait().expect("it ends").code();
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    assert_eq!(stack.recorded(), stack.things());
    assert!(stack.things().contains(&"a".to_owned()));
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
