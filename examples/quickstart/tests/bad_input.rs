//! What a user may get wrong, or find broken: each with an error that names the thing and the way out, the right exit
//! status, and nothing changed.

use std::path::PathBuf;

use acceptance::{Ran, Sandbox};

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-quickstart");

fn deployed() -> Sandbox {
    let sandbox = Sandbox::new(PROGRAM);
    sandbox.run(&["up", "--yes"]).expect(0);
    sandbox
}

fn snapshot(sandbox: &Sandbox) -> PathBuf {
    sandbox.stack().join(".stackkit/dev.state.json")
}

/// Edits a file of the stack, runs a command that must fail, and returns what it said. The page must still stand.
#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], code: i32, says: &[&str]) -> Ran {
    let page = sandbox.stack().join("deployed/www/index.html");
    let before = std::fs::read(&page).expect("the page");
    let ran = sandbox.run(args).expect(code);
    for part in says {
        assert!(ran.stderr.contains(part), "`{part}` is missing in:\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert_eq!(std::fs::read(&page).expect("the page"), before);
    ran
}

#[test]
fn a_missing_key_file_is_named() {
    let sandbox = deployed();
    let key = sandbox.root().join("home/config/stackkit/key");
    let elsewhere = sandbox.root().join("key-elsewhere");
    std::fs::rename(&key, &elsewhere).expect("moved");
    let path = key.display().to_string();
    refused(&sandbox, &["up", "--yes"], 1, &[&path, "STACKKIT_KEY_FILE"]);
    assert!(!key.exists(), "no other key is made in its place");
    std::fs::rename(&elsewhere, &key).expect("moved back");
    sandbox.run(&["up", "--yes"]).expect(0);
}

#[test]
fn a_wrong_passphrase_is_told_from_a_missing_one() {
    let right = Sandbox::new(PROGRAM).with_env([("STACKKIT_PASSPHRASE", "violet anchor basalt pickle")]);
    right.run(&["up", "--yes"]).expect(0);
    right.run(&["up", "--yes", "--expect-no-changes"]).expect(0);
    let with = |passphrase: Option<&str>| {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["up", "--yes"]).current_dir(right.stack()).env_remove("STACKKIT_PASSPHRASE");
        command.env("XDG_STATE_HOME", right.root().join("home/.local/state"));
        command.env("XDG_CONFIG_HOME", right.root().join("home/config")).stdin(std::process::Stdio::null());
        if let Some(passphrase) = passphrase {
            command.env("STACKKIT_PASSPHRASE", passphrase);
        }
        let output = command.output().expect("it ran");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let wrong = with(Some("wrong horse"));
    assert!(wrong.contains("passphrase") && !wrong.contains("wrong horse"), "{wrong}");
    let missing = with(None);
    assert!(missing.contains("STACKKIT_PASSPHRASE"), "{missing}");
    assert_ne!(wrong, missing);
}

#[test]
fn a_truncated_state_is_found() {
    let sandbox = deployed();
    let path = snapshot(&sandbox);
    let bytes = std::fs::read(&path).expect("the state");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("cut");
    refused(&sandbox, &["up", "--yes"], 1, &["snapshot", ".stackkit", "restore"]);
    assert_eq!(std::fs::read(&path).expect("the state").len(), bytes.len() / 2, "nothing is written over it");
    std::fs::write(&path, &bytes).expect("restored");
    sandbox.run(&["up", "--yes", "--expect-no-changes"]).expect(0);
}

#[test]
fn an_edited_ciphertext_and_swapped_values_are_found() {
    let sandbox = deployed();
    let path = snapshot(&sandbox);
    let text = std::fs::read_to_string(&path).expect("the state");
    let seals: Vec<usize> = text.match_indices("sk1.").map(|(at, _)| at).collect();
    assert!(seals.len() >= 2, "the state has sealed values");

    let mut edited = text.clone().into_bytes();
    let at = seals[0] + 20;
    edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(&path, &edited).expect("edited");
    refused(&sandbox, &["up", "--yes"], 1, &["snapshot", "local:"]);

    let token = |at: usize| text[at..].split('"').next().expect("a token").to_owned();
    let first = token(seals[0]);
    let other = seals.iter().map(|at| token(*at)).find(|other| *other != first).expect("another token");
    let swapped = text.replace(&first, "\u{1}").replace(&other, &first).replace('\u{1}', &other);
    std::fs::write(&path, swapped).expect("swapped");
    refused(&sandbox, &["up", "--yes"], 1, &["snapshot", "local:"]);

    std::fs::write(&path, text).expect("restored");
    sandbox.run(&["up", "--yes", "--expect-no-changes"]).expect(0);
}

#[test]
fn config_keys_and_values_are_checked_together() {
    let sandbox = deployed();
    let says = ["greetign", "greeting, replicas, port", "config rm greetign"];
    refused(&sandbox, &["up", "--yes", "--config", "greetign=x"], 1, &says);
    refused(
        &sandbox,
        &["up", "--yes", "--config", "replicas=many"],
        1,
        &["replicas", "expected a whole number, found text", "config set replicas"],
    );
    refused(&sandbox, &["up", "--yes", "--config", "replicas=70000"], 1, &["replicas", "u16"]);
}

#[test]
fn an_unknown_stack_and_wrong_usage() {
    let sandbox = deployed();
    refused(&sandbox, &["destroy", "--yes", "-s", "prod"], 1, &["prod", "there is dev"]);
    refused(&sandbox, &["outputs", "-s", "prod"], 1, &["prod"]);
    refused(&sandbox, &["upp"], 64, &["upp"]);
    refused(&sandbox, &["up", "--paralel", "3"], 64, &["--parallel"]);
    // Without a terminal there is no question, but an error that names the way out.
    refused(&sandbox, &["destroy"], 64, &["--yes"]);
}

#[test]
fn two_at_once_are_told_apart() {
    let sandbox = deployed();
    let lock = std::fs::File::options().write(true).open(sandbox.stack().join(".stackkit/dev.lock")).expect("the lock");
    lock.lock().expect("locked");
    refused(&sandbox, &["up", "--yes"], 3, &["locked"]);
    // A preview takes no lock.
    sandbox.run(&["preview"]).expect(0);
    drop(lock);
    sandbox.run(&["up", "--yes"]).expect(0);
}

#[test]
fn of_two_first_runs_at_once_one_makes_the_stack() {
    for round in 0..5 {
        let sandbox = Sandbox::new(PROGRAM);
        let both = [sandbox.begin(&["up", "--yes"]), sandbox.begin(&["up", "--yes"])];
        for ran in both.map(|running| running.end()) {
            let locked = ran.code == Some(3) && ran.stderr.contains("locked");
            assert!(ran.code == Some(0) || locked, "round {round}: {}", ran.told());
        }
        let ran = sandbox.run(&["up", "--yes", "--json"]).expect(0);
        assert_eq!((ran.count("same") > 0, ran.count("create")), (true, 0), "round {round}: {}", ran.told());
    }
}

#[test]
fn of_config_values_that_are_set_at_once_none_is_lost() {
    let sandbox = deployed();
    let keys: Vec<String> = (0..8).map(|number| format!("key{number}")).collect();
    let commands: Vec<Vec<&str>> = (keys.iter().enumerate())
        .map(|(number, key)| {
            let secret: &[&str] = if number % 2 == 0 { &["--secret"] } else { &[] };
            [&["config", "set", key, "some value of it"], secret].concat()
        })
        .collect();
    let running: Vec<_> = commands.iter().map(|command| sandbox.begin(command)).collect();
    let ended: Vec<Ran> = running.into_iter().map(|running| running.end()).collect();
    let mut set = 0;
    for (key, ran) in keys.iter().zip(ended) {
        if ran.code == Some(0) {
            assert_eq!(sandbox.run(&["config", "get", key, "--show-secrets"]).expect(0).stdout, "some value of it\n");
            set += 1;
        } else {
            // What it was told to write over is no longer what it had read.
            assert!(ran.code == Some(1) && ran.stderr.contains("run the command again"), "{}", ran.told());
        }
    }
    assert!(set > 0);
}

#[test]
fn another_program_does_not_take_a_stack_over() {
    let sandbox = deployed();
    let path = snapshot(&sandbox);
    let text = std::fs::read_to_string(&path).expect("the state");
    assert!(text.contains("example-quickstart"), "the state names its program");
    let renamed = text.replacen("example-quickstart", "example-elsewhere!", 1);
    std::fs::write(&path, renamed).expect("edited");
    refused(&sandbox, &["up", "--yes"], 1, &["snapshot", "edited"]);
}
