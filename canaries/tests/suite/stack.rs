//! A stack whose every value is secret, and its life.

use std::collections::BTreeMap;
use std::time::Duration;

use acceptance::{Canaries, Canary, Moment, Ran, Sandbox, Shape, Wanted as _, remote};

use crate::places::{Keys, Place};

const PROGRAM: &str = env!("CARGO_BIN_EXE_canaries");

/// As on a full disk, a file cannot grow beyond so many blocks of 512 bytes, and a write says so.
const FULL: &str = r#"trap "" XFSZ; ulimit -f 96; exec "$0" "$@""#;

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

pub struct Stack {
    pub sandbox: Sandbox,
    pub canaries: Canaries,
    secrets: BTreeMap<String, Canary>,
}

impl Stack {
    /// A stack in a place, which a key opens. Its secret configuration is sealed.
    pub fn new(place: &Place, keys: &Keys) -> Self {
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
        keys.announce(&sandbox.stack());
        let stack = Self { sandbox, canaries, secrets };
        let token = stack.secret("config");
        stack.sandbox.run_with_input(&["config", "set", "token", "-", "--secret"], token.reveal()).expect(0);
        stack
    }

    pub fn secret(&self, name: &str) -> Canary {
        self.secrets.get(name).cloned().unwrap_or_else(|| panic!("no secret `{name}`"))
    }

    pub fn up(&self, args: &[&str]) -> Ran {
        remote::when_free(&self.sandbox, &[&["up", "--yes"], args].concat())
    }

    /// Everything that a stack goes through.
    pub fn lives(&self, form: Form) {
        let sandbox = &self.sandbox;
        let run = |args: &[&str]| sandbox.run(args);
        for args in [&["preview"][..], &["preview", "--json"], &["-v", "preview"], &["graph"], &["config", "list"]] {
            run(args).expect(0);
        }
        // A connection, calls, hooks and a program of the machine that fail, each telling all that it knows.
        self.up(&["--config", "gone=true"]).expect(1);
        self.up(&["--json", "--config", "fails=true", "--timeline", "failed.html"]).expect(1);
        self.up(&["--config", "fails=true"]).expect(1);
        // Deaths at several instants.
        for after in [700, 1100, 1600] {
            let moment = Moment { line: 0, then: Duration::from_millis(after) };
            sandbox.kill_at(&["up", "--yes", "--json", "--config", "slow=400"], moment);
        }
        self.up(&["-v", "--timeline", "run.html"]).expect(0);
        if form == Form::Whole {
            run(&["secrets", "whole", "on"]).expect(0);
        }
        run(&["preview", "--save-plan", "plan", "--config", "generation=2"]).expect(0);
        self.up(&["--config", "fails=true", "--config", "generation=3"]).expect(1);
        run(&["up", "--plan", "plan"]).expect(3);
        run(&["preview", "--save-plan", "plan", "--config", "generation=4"]).expect(0);
        run(&["up", "--plan", "plan", "--json", "--timeline", "planned.html"]).expect(0);
        sandbox.kill_at(&["up", "--yes", "--config", "slow=400"], Moment { line: 0, then: Duration::from_millis(900) });
        self.up(&["--json"]).expect(0);
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
            &["refresh", "--yes", "--json"],
            &["secrets", "rotate"],
            &["up", "--yes", "--expect-no-changes"],
            &["state", "import", "backup.json", "--yes"],
        ] {
            // What was exported before the data key was changed does not open any more.
            let code = i32::from(args.contains(&"import"));
            run(args).expect(code);
        }
        if sandbox.stack().join(".stackkit/dev.state.json").exists() {
            self.loses_its_disk();
        }
        run(&["destroy", "--yes", "--json", "--timeline", "destroyed.html"]).expect(0);
    }

    /// A disk that fills up in the middle of a run: what did not fit is kept, sealed, in a file of its own.
    fn loses_its_disk(&self) {
        let args = ["up", "--yes", "--parallel", "4", "--config", "more=30"];
        self.sandbox.run_in_shell(FULL, &args).expect(1);
        let rescue = self.sandbox.stack().join(".stackkit/dev.rescue");
        assert!(rescue.exists(), "no rescue file");
        assert_eq!(self.traces(), Vec::<String>::new());
        self.sandbox.run(&["state", "repair"]).expect(0);
        assert!(!rescue.exists());
        self.up(&["--config", "more=30"]).expect(0);
    }

    /// What shows of any secret in files, on screens and in arguments; but for the file that they come from.
    pub fn traces(&self) -> Vec<String> {
        self.sandbox.traces(&self.canaries, &["canaries.json"])
    }

    #[track_caller]
    pub fn is_clean(&self, place: &Place) {
        assert_eq!(self.traces(), Vec::<String>::new());
        let held = place.held(&self.sandbox);
        assert!(!held.is_empty(), "{} holds nothing", place.name());
        assert_eq!(self.canaries.find_in(&held), Vec::<String>::new(), "{}", place.name());
    }
}
