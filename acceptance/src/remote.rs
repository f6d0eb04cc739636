//! The whole life of a stack whose state is not on this machine: begun, killed, gone on with, changed by two at once,
//! moved, sealed anew, destroyed and removed.

use std::time::{Duration, Instant};

use stackkit::prelude::*;

use crate::{Moment, Ran, Sandbox};

/// How long a lock may keep others out after its process was killed: longer than any lease of a test.
const LEASE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Properties)]
pub(crate) struct Config {
    #[property(default = 1)]
    pub(crate) generation: u32,
}

/// A program of resources that take a while each, so that a kill meets some of them under way, and of a secret.
///
/// # Errors
/// When its configuration makes no sense.
pub fn slow(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let folder = stack.add("out", local::Directory::new("out"));
    let password = stack.add("password", local::RandomPassword::new(40).special(false));
    for number in 0..8 {
        let path = text!("{}/{number}", folder.path);
        let script = format!("sleep 0.2; echo {} > out/{number}", config.generation);
        stack.add(
            format!("file-{number}"),
            local::Command::new(list!["sh", "-c", script]).delete(list!["rm", "-f", &path]).creates(&path),
        );
    }
    stack.output("password", &password.value);
    Ok(())
}

/// Runs the life of the stack `dev` of the program [`slow`]. `middle` looks at the place while the stack is up; `url` is
/// that of the place, which the sandbox's environment names.
///
/// # Panics
/// When something in it is not as its user expects.
pub fn whole_life(sandbox: &Sandbox, url: &str, kill_after: Duration, middle: impl FnOnce(&Sandbox)) {
    sandbox.run(&["stack", "list"]).expect(0);
    sandbox.kill_at(&["up", "--yes", "--json"], Moment { line: 0, then: kill_after });
    when_free(sandbox, &["up", "--yes", "--json"]).expect(0);
    sandbox.run(&["up", "--yes", "--json", "--expect-no-changes"]).expect(0);
    let listed = sandbox.run(&["state", "list", "--json"]).expect(0);
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap_or_default();
    assert!(!listed.is_empty(), "the state lists nothing");
    middle(sandbox);

    sandbox.run(&["config", "set", "generation", "2"]).expect(0);
    let both: Vec<Ran> = std::thread::scope(|scope| {
        let up = || sandbox.run(&["up", "--yes"]);
        let runs = [scope.spawn(up), scope.spawn(up)];
        runs.into_iter().filter_map(|run| run.join().ok()).collect()
    });
    assert!(both.iter().any(|run| run.code == Some(0)), "neither of two at once went through: {both:?}");
    for run in &both {
        let locked = run.code == Some(3) && run.stderr.contains("is locked by");
        assert!(run.code == Some(0) || locked, "the second of two at once was told otherwise: {run:?}");
    }
    sandbox.run(&["up", "--yes", "--json", "--expect-no-changes"]).expect(0);
    let after = sandbox.run(&["state", "list", "--json"]).expect(0);
    let after: Vec<serde_json::Value> = serde_json::from_str(&after.stdout).unwrap_or_default();
    assert_eq!(after.len(), listed.len(), "two at once made something twice");

    back_and_forth(sandbox);
    there_and_back(sandbox, url);
    other_keys(sandbox);

    let wrong = sandbox.run(&["state", "unlock", "no-such-id"]).expect(1);
    assert!(wrong.stderr.contains("there is no lock with id `no-such-id`"), "{}", wrong.stderr);
    assert!(sandbox.run(&["stack", "list"]).expect(0).stdout.contains("dev"));
    let local = std::fs::read_dir(sandbox.stack().join(".stackkit")).into_iter().flatten().flatten();
    let files: Vec<_> =
        local.map(|file| file.file_name()).filter(|name| name.to_string_lossy().contains("state")).collect();
    assert!(files.is_empty(), "the state is on this machine too: {files:?}");
    sandbox.run(&["destroy", "--yes", "--json"]).expect(0);
    sandbox.run(&["stack", "rm", "dev", "--yes"]).expect(0);
}

/// Rolls the state back to its first version, and imports what was exported before.
fn back_and_forth(sandbox: &Sandbox) {
    let versions = sandbox.run(&["state", "history", "--json"]).expect(0);
    let versions: Vec<serde_json::Value> = serde_json::from_str(&versions.stdout).unwrap_or_default();
    let first = versions.last().and_then(|version| version["id"].as_str()).unwrap_or_default();
    assert!(versions.len() >= 2, "two runs that changed something left {} versions", versions.len());
    let diff = sandbox.run(&["state", "diff", first, "--json"]).expect(0);
    assert!(diff.stdout.contains("local:Command"), "{}", diff.stdout);
    sandbox.run(&["state", "export", "backup.json"]).expect(0);
    sandbox.run(&["state", "rollback", first, "--yes"]).expect(0);
    assert!(sandbox.run(&["state", "diff", first]).expect(0).stderr.contains("same resources"));
    sandbox.run(&["up", "--yes", "--refresh=false", "--expect-no-changes"]).expect(3);
    sandbox.run(&["state", "import", "backup.json", "--yes"]).expect(0);
    sandbox.run(&["up", "--yes", "--expect-no-changes"]).expect(0);
    let unknown = sandbox.run(&["state", "rollback", "no-such-version", "--yes"]).expect(1);
    assert!(unknown.stderr.contains("`no-such-version`"), "{}", unknown.stderr);
}

/// Moves the state into a folder and back.
fn there_and_back(sandbox: &Sandbox, url: &str) {
    let folder = [("STACKKIT_BACKEND", "file://moved")];
    let count = |run: Ran| {
        let list: Vec<serde_json::Value> = serde_json::from_str(&run.stdout).unwrap_or_default();
        list.len()
    };
    let before = count(sandbox.run(&["state", "list", "--json"]).expect(0));
    sandbox.run(&["state", "move", "file://moved", "--yes"]).expect(0);
    assert_eq!(count(sandbox.run_with_env(&["state", "list", "--json"], &folder).expect(0)), before);
    // Nothing is there any more, and whoever still looks there is told where it is.
    let old = sandbox.run(&["state", "list"]).expect(3);
    let told = old.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("there is no state of the stack") && told.contains("moved (stack `dev`)"), "{told}");
    sandbox.run_with_env(&["up", "--yes", "--expect-no-changes"], &folder).expect(0);
    sandbox.run_with_env(&["state", "move", url, "--yes"], &folder).expect(0);
    assert!(!sandbox.stack().join("moved/dev.state.json").exists(), "the state is still in the folder");
    let file = std::fs::read_to_string(sandbox.stack().join("stackkit.dev.toml")).unwrap_or_default();
    let lasting = url.replace("create=true&", "").replace("?create=true", "");
    assert!(file.contains(&format!("backend = \"{lasting}\"")), "the stack's file does not name the place:\n{file}");
    // The file alone leads there.
    sandbox.run_without_env("STACKKIT_BACKEND", &["up", "--yes", "--expect-no-changes"]).expect(0);
}

/// Seals everything anew, killed on the way, and as a whole.
fn other_keys(sandbox: &Sandbox) {
    let secret = |sandbox: &Sandbox| when_free(sandbox, &["outputs", "password", "--show-secrets"]).expect(0).stdout;
    let before = secret(sandbox);
    sandbox.run(&["secrets", "add", "key-file:other-key", "--label", "Bo"]).expect(0);
    let begun = Instant::now();
    // From here the new key can be wrapped for one's own key file alone.
    sandbox.run(&["secrets", "rotate", "--without", "Bo"]).expect(0);
    let usual = begun.elapsed();
    for part in [1, 2, 3] {
        sandbox.kill_at(&["secrets", "rotate"], Moment { line: 0, then: usual * part / 4 });
        assert_eq!(secret(sandbox), before, "killed at {part}/4 of a rotation");
    }
    when_free(sandbox, &["secrets", "rotate"]).expect(0);
    let keys = sandbox.run(&["secrets", "list"]).expect(0).stdout;
    assert!(keys.lines().count() == 1 && !keys.contains("Bo"), "{keys}");
    for how in ["on", "off"] {
        sandbox.run(&["secrets", "whole", how]).expect(0);
        sandbox.run(&["up", "--yes", "--expect-no-changes"]).expect(0);
        assert_eq!(secret(sandbox), before, "whole {how}");
    }
}

/// Runs a command again until the lock of a dead process has ended.
///
/// # Panics
/// As [`Sandbox::run`].
pub fn when_free(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let begun = Instant::now();
    loop {
        let run = sandbox.run(args);
        if run.code != Some(3) || begun.elapsed() > LEASE {
            return run;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
