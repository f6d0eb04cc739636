//! The binary on what a program made: the quick start's state, looked after by somebody who has not built it.

use std::path::{Path, PathBuf};
use std::process::Command;

use acceptance::Sandbox;
use serde_json::Value;

const STACKKIT: &str = env!("CARGO_BIN_EXE_stackkit");

/// The program of another package, built beside this one.
fn quickstart() -> PathBuf {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "example-quickstart", "--manifest-path", manifest])
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the quick start does not build");
    Path::new(STACKKIT).with_file_name("example-quickstart")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

#[test]
fn a_state_is_read_renamed_and_its_secrets_shown_keys_changed_and_its_log_verified() {
    let sandbox = Sandbox::new(quickstart());
    sandbox.run_with_env(&["up", "--yes", "-m", "first"], &[("USER", "ada")]).expect(0);
    let sandbox = sandbox.with_program(STACKKIT);

    let list = sandbox.run(&["state", "list", "--json"]).expect(0);
    let list: Value = serde_json::from_str(&list.stdout).expect("JSON");
    let urns: Vec<&str> = list.as_array().expect("a list").iter().filter_map(|one| one["urn"].as_str()).collect();
    assert!(urns.len() > 10, "{urns:?}");
    let urn = urns.iter().find(|urn| urn.starts_with("local:File::")).expect("a file");

    sandbox.run_with_env(&["state", "mv", urn, "renamed", "--yes", "-m", "moved house"], &[("USER", "bo")]).expect(0);
    let shown = sandbox.run(&["state", "show", "renamed"]).expect(0);
    assert!(shown.stdout.contains("local:File::renamed"), "{}", shown.stdout);
    sandbox.run_with_env(&["state", "mv", "renamed", urn, "--yes"], &[("USER", "ada")]).expect(0);
    sandbox.run(&["state", "export", "backup.json"]).expect(0);
    sandbox.run(&["state", "rm", urn, "--yes"]).expect(0);
    sandbox.run(&["state", "import", "backup.json", "--yes"]).expect(0);
    let back = sandbox.run(&["state", "list", "--json"]).expect(0);
    assert_eq!(serde_json::from_str::<Value>(&back.stdout).expect("JSON"), list);

    let hidden = sandbox.run(&["outputs", "--json"]).expect(0);
    let plain = sandbox.run(&["outputs", "--json", "--show-secrets"]).expect(0);
    assert!(plain.stdout.len() > hidden.stdout.len());
    sandbox.run(&["secrets", "add", "key-file:other-key", "--label", "Bo"]).expect(0);
    let keys = sandbox.run(&["secrets", "list"]).expect(0);
    assert!(keys.stdout.contains("Bo") && keys.stdout.lines().count() == 2, "{}", keys.stdout);
    sandbox.run(&["secrets", "rotate", "--without", "Bo"]).expect(0);
    sandbox.run(&["config", "set", "greeting", "Hello"]).expect(0);
    sandbox.run(&["stack", "list"]).expect(0);

    let whole = sandbox.run(&["audit", "verify", "--json"]).expect(0);
    let whole: Value = serde_json::from_str(&whole.stdout).expect("JSON");
    assert_eq!(whole["whole"], true, "{whole}");
    let told = lines(&sandbox.run(&["audit", "show", "--json"]).expect(0).stdout);
    assert_eq!(told.len() as u64, whole["lines"].as_u64().expect("a number"));
    let commands: Vec<&str> = told.iter().filter_map(|line| line["command"].as_str()).collect();
    assert_eq!(
        commands,
        [
            "up",
            "state mv",
            "state mv",
            "state rm",
            "state import",
            "outputs --show-secrets",
            "secrets add",
            "secrets rotate"
        ]
    );
    let user =
        |at: usize| told.iter().filter(|line| line["command"].is_string()).nth(at).map(|line| &line["who"]["user"]);
    for (at, name) in ["ada@", "bo@", "ada@"].iter().enumerate() {
        assert!(user(at).and_then(Value::as_str).is_some_and(|user| user.starts_with(name)), "{:?}", user(at));
    }
    let screen = sandbox.run(&["audit", "show", "-n", "3"]).expect(0);
    assert!(screen.stdout.lines().count() == 3 && screen.stdout.contains("done"), "{}", screen.stdout);
    let moved = sandbox.run(&["audit", "show", "--since", "1d"]).expect(0);
    assert!(moved.stdout.contains("moved house"), "{}", moved.stdout);
    sandbox.run(&["audit", "show", "--since", "yesterday"]).expect(64);
    sandbox.run(&["audit", "export", "log.jsonl"]).expect(0);
    assert_eq!(lines(&std::fs::read_to_string(sandbox.stack().join("log.jsonl")).expect("written")), told);

    // Somebody takes out the line that tells of them.
    let folder = sandbox.stack().join(".stackkit/dev.audit");
    let file = std::fs::read_dir(&folder).expect("a folder").next().expect("a file").expect("a file").path();
    let text = std::fs::read_to_string(&file).expect("readable");
    let less: String = text.lines().filter(|line| !line.contains("state rm")).flat_map(|line| [line, "\n"]).collect();
    std::fs::write(&file, less).expect("writable");
    let told = sandbox.run(&["audit", "verify"]).expect(1);
    assert!(told.stderr.contains("is missing"), "{}", told.stderr);
}

#[test]
fn what_needs_a_program_says_so_and_is_not_offered() {
    let sandbox = Sandbox::new(STACKKIT);
    let help = sandbox.run(&["--help"]).expect(0);
    assert!(help.stdout.contains("audit") && !help.stdout.contains("preview"), "{}", help.stdout);
    for command in
        [&["up", "--yes"][..], &["preview"], &["destroy", "--yes"], &["refresh", "--yes"], &["policy", "list"]]
    {
        let told = sandbox.run(command).expect(64);
        assert!(told.stderr.contains("needs a program"), "{}", told.stderr);
    }
    let completions = sandbox.run(&["completions", "bash"]).expect(0);
    assert!(completions.stdout.contains("audit"), "no completions");
}

#[test]
fn a_backend_that_nobody_knows_is_named_with_those_that_are_linked() {
    let sandbox = Sandbox::new(STACKKIT);
    std::fs::write(sandbox.stack().join("stackkit.dev.toml"), "[config]\n").expect("written");
    let told = sandbox.run(&["stack", "list", "--backend", "ftp://somewhere"]).expect(0);
    assert!(told.stderr.contains("no backend for `ftp://`") && told.stderr.contains("`file://`"), "{}", told.stderr);
    #[cfg(not(feature = "s3"))]
    {
        let told = sandbox.run(&["stack", "list", "--backend", "s3://bucket"]).expect(0);
        assert!(told.stderr.contains("crate `stackkit-aws` with feature `s3`"), "{}", told.stderr);
    }
}
