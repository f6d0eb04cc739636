//! A stack whose every value is secret, and its life.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use acceptance::{Canaries, Canary, Moment, Ran, Sandbox, Shape, Wanted as _, remote};

use crate::keys::Keys;
use crate::places::Place;

const PROGRAM: &str = env!("CARGO_BIN_EXE_canaries");

/// As on a full disk, a file cannot grow beyond so many blocks of 512 bytes, and a write says so.
const FULL: &str = r#"trap "" XFSZ; ulimit -f 96; exec "$0" "$@""#;

/// Longer than the lock of a dead run holds.
const LEASE: Duration = Duration::from_secs(120);

/// What each of the four eggs has.
const OF_EGG: [(&str, Shape); 12] = [
    ("awkward", Shape::Awkward),
    ("url", Shape::Url),
    ("pem", Shape::Pem),
    ("bytes", Shape::Bytes),
    ("digits", Shape::Digits),
    ("json", Shape::Json),
    ("base64", Shape::Base64),
    ("plain", Shape::Plain),
    ("hex", Shape::Hex),
    ("unicode", Shape::Unicode),
    ("made", Shape::Plain),
    ("key", Shape::Pem),
];

/// How the state is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Values,
    Whole,
}

impl Form {
    pub const ALL: [Self; 2] = [Self::Values, Self::Whole];
}

pub struct Stack {
    pub sandbox: Sandbox,
    pub canaries: Canaries,
    secrets: BTreeMap<String, Canary>,
    searched: Cell<usize>,
}

impl Stack {
    /// A stack in a place, which a key opens. Its secret configuration is sealed.
    pub fn new(place: &Place, keys: &Keys, form: Form) -> Self {
        let mut secrets = BTreeMap::new();
        for egg in 0..4 {
            secrets.extend(OF_EGG.map(|(name, shape)| (format!("{egg}-{name}"), Canary::shaped(shape))));
        }
        for (name, shape) in [
            ("provider", Shape::Plain),
            ("config", Shape::Plain),
            ("environment", Shape::Base64),
            ("stdin", Shape::Awkward),
        ] {
            secrets.insert(name.to_owned(), Canary::shaped(shape));
        }
        let of_keys = keys.secrets.iter().map(|(name, canary)| (*name, canary));
        let canaries = Canaries::of(secrets.iter().map(|(name, canary)| (name.as_str(), canary)).chain(of_keys));
        let sandbox = Sandbox::new(PROGRAM).with_env(place.env.clone()).with_env(keys.env.clone());
        let file = sandbox.root().join("canaries.json");
        let sandbox = sandbox.with_env([("CANARIES", file.display().to_string())]);
        let texts: BTreeMap<&str, &str> =
            secrets.iter().map(|(name, canary)| (name.as_str(), canary.reveal())).collect();
        std::fs::write(&file, serde_json::to_string(&texts).expect("JSON")).expect("written");
        keys.announce(&sandbox.stack(), form);
        let stack = Self { sandbox, canaries, secrets, searched: Cell::new(0) };
        let token = stack.secret("config");
        stack.sandbox.run_with_input(&["config", "set", "token", "-", "--secret"], token.reveal()).expect(0);
        stack
    }

    pub fn secret(&self, name: &str) -> Canary {
        self.secrets.get(name).cloned().unwrap_or_else(|| panic!("no secret `{name}`"))
    }

    /// Runs `up` as somebody does whose run before has died: waits until its lock ends, and says of the command, which
    /// cannot be looked for, that it was not made.
    pub fn up(&self, args: &[&str]) -> Ran {
        let begun = Instant::now();
        loop {
            let ran = self.sandbox.run(&[&["up", "--yes"], args].concat());
            if ran.code != Some(3) || begun.elapsed() > LEASE {
                return ran;
            }
            match ran.told().contains("state rm") {
                true => drop(self.sandbox.run(&["state", "rm", "local:Command::command", "--yes"]).expect(0)),
                false => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Everything that a stack goes through, the second half of it sealed in the other form than the first. Whatever is
    /// left of it, in the place and on this machine, is searched at every turn.
    pub fn lives(&self, place: &Place, form: Form) {
        self.begins();
        self.is_clean(place);
        self.changes();
        self.is_clean(place);
        self.is_looked_at(form);
        self.is_clean(place);
        let (other, switch) = match form {
            Form::Values => (Form::Whole, "on"),
            Form::Whole => (Form::Values, "off"),
        };
        self.sandbox.run(&["secrets", "whole", switch]).expect(0);
        self.changes();
        self.is_clean(place);
        self.loses_its_store(place);
        self.is_looked_at(other);
        self.is_clean(place);
        self.sandbox.run(&["destroy", "--yes", "--json", "--timeline", "destroyed.html"]).expect(0);
        self.is_clean(place);
    }

    /// The first run, after some that fail and some that die.
    fn begins(&self) {
        for args in [&["preview"][..], &["preview", "--json"], &["-v", "preview"], &["graph"], &["config", "list"]] {
            self.sandbox.run(args).expect(0);
        }
        // A connection, calls, hooks and a program of the machine that fail, each telling all that it knows.
        self.up(&["--config", "gone=true"]).expect(1);
        self.up(&["--json", "--config", "fails=true", "--timeline", "failed.html"]).expect(1);
        self.up(&["--config", "fails=true"]).expect(1);
        // Deaths at several instants.
        for after in [700, 1100, 1600] {
            let moment = Moment { line: 0, then: Duration::from_millis(after) };
            self.sandbox.kill_at(&["up", "--yes", "--json", "--config", "slow=400"], moment);
        }
        self.up(&["-v", "--timeline", "run.html"]).expect(0);
    }

    /// Plans that are saved, refused and applied, a run that fails in its changes, and one that dies in them.
    fn changes(&self) {
        let run = |args: &[&str]| self.sandbox.run(args);
        run(&["preview", "--save-plan", "plan", "--config", "generation=2"]).expect(0);
        self.up(&["--config", "fails=true", "--config", "generation=3"]).expect(1);
        run(&["up", "--plan", "plan"]).expect(3);
        run(&["preview", "--save-plan", "plan", "--config", "generation=4"]).expect(0);
        run(&["up", "--plan", "plan", "--json", "--timeline", "planned.html"]).expect(0);
        let moment = Moment { line: 0, then: Duration::from_millis(900) };
        self.sandbox.kill_at(&["up", "--yes", "--config", "slow=400"], moment);
        self.up(&["--json"]).expect(0);
    }

    /// Everything that shows something of a stack or writes it down.
    fn is_looked_at(&self, form: Form) {
        // Without a key nothing of a state that is sealed as a whole is shown.
        self.sandbox.run(&["outputs", "--unverified"]).expect(i32::from(form == Form::Whole));
        for args in [
            &["outputs"][..],
            &["outputs", "--json"],
            &["state", "list"],
            &["state", "list", "--json"],
            &["state", "show", "egg-0"],
            &["state", "show", "egg-3", "--json"],
            &["state", "export", "backup.json"],
            &["state", "history"],
            &["graph", "--state", "--format", "html", "--output", "graph.html"],
            &["config", "list", "--json"],
            &["secrets", "list"],
            &["access", "--json"],
            &["refresh", "--yes", "--json"],
            &["up", "--yes", "--expect-no-changes"],
            &["state", "rm", "egg-2", "--yes"],
            &["state", "import", "backup.json", "--yes"],
            &["audit", "show"],
            &["audit", "show", "--json"],
            &["audit", "verify"],
            &["audit", "export", "audit.jsonl"],
        ] {
            self.sandbox.run(args).expect(0);
        }
        // What was exported before the data key was changed does not open any more.
        self.sandbox.run(&["secrets", "rotate"]).expect(0);
        self.sandbox.run(&["state", "import", "backup.json", "--yes"]).expect(1);
    }

    /// A store that is gone in the middle of a run, by a disk that fills up or a network that ends: what could not be
    /// written is kept, sealed, in a file of its own.
    fn loses_its_store(&self, place: &Place) {
        let args = ["up", "--yes", "--json", "--parallel", "4", "--config", "more=30"];
        match &place.way {
            None => drop(self.sandbox.run_in_shell(FULL, &args).expect(1)),
            Some(way) => {
                let mut up = self.sandbox.begin(&[&args[..], &["--config", "slow=100"]].concat());
                up.wait_for("step_done");
                way.cut();
                up.end().expect(1);
                way.mend();
            }
        }
        let rescue = self.sandbox.stack().join(".stackkit/dev.rescue");
        assert!(rescue.exists(), "no rescue file");
        assert_eq!(self.traces(), Vec::<String>::new());
        remote::when_free(&self.sandbox, &["state", "repair"]).expect(0);
        assert!(!rescue.exists());
        self.up(&["--config", "more=30"]).expect(0);
        self.up(&[]).expect(0);
    }

    /// What shows of any secret in files, on screens and in arguments; but for the file that they come from.
    pub fn traces(&self) -> Vec<String> {
        self.sandbox.traces(&self.canaries, &["canaries.json"])
    }

    /// How many bytes of the place, and on the way there, were searched.
    pub fn searched(&self) -> usize {
        self.searched.get()
    }

    #[track_caller]
    pub fn is_clean(&self, place: &Place) {
        assert_eq!(self.traces(), Vec::<String>::new());
        let held = place.held(&self.sandbox);
        assert!(!held.is_empty(), "{} holds nothing", place.name());
        assert_eq!(self.canaries.find_in(&held), Vec::<String>::new(), "{}", place.name());
        self.searched.set(self.searched.get() + held.len());
    }
}
