//! The whole life of a stack whose state is not on this machine: begun, killed, gone on with, changed by two at once,
//! destroyed and removed.

use std::time::{Duration, Instant};

use crate::{Ran, Sandbox};

/// How long a lock may keep others out after its process was killed: longer than any lease of a test.
const LEASE: Duration = Duration::from_secs(120);

/// Runs the life of the stack `dev`. The program takes `generation` from its configuration, as its resources' content.
/// `middle` looks at the place while the stack is up.
///
/// # Panics
/// When something in it is not as its user expects.
pub fn whole_life(sandbox: &Sandbox, kill_after: Duration, middle: impl FnOnce(&Sandbox)) {
    sandbox.run(&["stack", "list"]).expect(0);
    sandbox.kill_after(&["up", "--yes", "--json"], kill_after);
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

    let wrong = sandbox.run(&["state", "unlock", "no-such-id"]).expect(1);
    assert!(wrong.stderr.contains("there is no lock with id `no-such-id`"), "{}", wrong.stderr);
    assert!(sandbox.run(&["stack", "list"]).expect(0).stdout.contains("dev"));
    let local = std::fs::read_dir(sandbox.stack().join(".stackkit")).into_iter().flatten().flatten();
    let files: Vec<_> = local.map(|file| file.file_name()).filter(|name| name.to_string_lossy().contains("state")).collect();
    assert!(files.is_empty(), "the state is on this machine too: {files:?}");
    sandbox.run(&["destroy", "--yes", "--json"]).expect(0);
    sandbox.run(&["stack", "rm", "dev", "--yes"]).expect(0);
}

/// Runs a command again until the lock of a dead process has ended.
fn when_free(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let begun = Instant::now();
    loop {
        let run = sandbox.run(args);
        if run.code != Some(3) || begun.elapsed() > LEASE {
            return run;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
