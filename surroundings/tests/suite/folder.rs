//! The stack under test: its doors, and what its cloud holds.

use std::path::{Path, PathBuf};

use acceptance::{Ran, Running, Sandbox};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_surroundings");

/// A stack in a folder of its own.
pub struct Stack(pub Sandbox);

impl Stack {
    pub fn new() -> Self {
        let sandbox = Sandbox::new(PROGRAM);
        for folder in ["things", "before", "after", "read"] {
            std::fs::create_dir_all(sandbox.stack().join("cloud").join(folder)).expect("a folder");
        }
        Self(sandbox)
    }

    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.stack().join(path)
    }

    /// Shuts a door: `before/a`.
    pub fn shut(&self, door: &str) {
        std::fs::write(self.path("cloud").join(door), "").expect("a door");
    }

    pub fn open(&self, door: &str) {
        std::fs::remove_file(self.path("cloud").join(door)).expect("a door");
    }

    /// The calls that began.
    pub fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("cloud/log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Names of what the cloud holds.
    pub fn things(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("cloud/things")).expect("the cloud").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.map(|id| id.rsplit_once('-').expect("a token").0.to_owned()).collect();
        names.sort();
        names
    }

    /// Names of what the state has.
    pub fn recorded(&self) -> Vec<String> {
        let rows: Value =
            serde_json::from_str(&self.0.run(&["state", "list", "--json"]).expect(0).stdout).expect("JSON");
        let names = rows.as_array().expect("rows").iter().map(|row| row["name"].as_str().expect("a name").to_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// Starts an `up` and waits until a call on something has begun.
    pub fn up_until(&self, call: &str, args: &[&str]) -> Running<'_> {
        let mut running = self.0.begin(&[&["up", "--yes", "--json"], args].concat());
        running.wait_until(call, |_| self.log().iter().any(|line| line == call));
        running
    }

    /// A further `up` makes everything whole, and the next one has nothing to do.
    #[track_caller]
    pub fn converges(&self, args: &[&str]) -> Ran {
        let ran = self.0.run(&[&["up", "--yes", "--json"], args].concat()).expect(0);
        assert_eq!(self.things(), self.recorded(), "the cloud and the state hold the same");
        self.0.run(&[&["up", "--yes", "--expect-no-changes"], args].concat()).expect(0);
        ran
    }
}
