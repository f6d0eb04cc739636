//! The program as its users run it: what a preview says and leaves alone, saved plans, exit codes, and no question where
//! nobody can answer.

use acceptance::Sandbox;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-testing");

fn kinds(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an object"))
        .map(|object| object["type"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Rules: 33.
#[test]
fn exit_codes_and_nobody_is_asked_without_a_terminal() {
    let sandbox = Sandbox::new(PROGRAM);
    sandbox.run(&["preview"]).expect(0);
    sandbox.run(&["preview", "--detailed-exit-code"]).expect(2);
    let refused = sandbox.run(&["preview", "--expect-no-changes"]).expect(3);
    assert!(refused.stderr.contains("no changes were expected"), "{}", refused.stderr);
    let asked = sandbox.run(&["up"]).expect(64);
    assert!(asked.stderr.contains("there is no terminal to ask on"), "{}", asked.stderr);
    assert!(sandbox.run(&["up", "--json"]).expect(64).stdout.contains("with --json nobody is asked"));
    sandbox.run(&["destroy"]).expect(64);
    sandbox.run(&["refresh"]).expect(64);
    assert!(!sandbox.stack().join("stackkit.dev.toml").exists(), "nothing was written");
    sandbox.run(&["up", "--yes", "--detailed-exit-code"]).expect(2);
    sandbox.run(&["up", "--yes", "--detailed-exit-code", "--expect-no-changes"]).expect(0);
    sandbox.run(&["preview", "--detailed-exit-code"]).expect(0);
    sandbox.run(&["up", "--yes", "--parallel", "1", "--config", "instances=2"]).expect(0);
    sandbox.run(&["up", "--nosuch"]).expect(64);
    // Deletions are refused where that is said, also by the environment.
    sandbox.run_with_env(&["up", "--yes"], &[("STACKKIT_NO_DESTROY", "1")]).expect(3);
}

/// Rules: 27, 33.
#[test]
fn policies_are_listed_and_a_refusal_is_told_to_people_and_programs() {
    let sandbox = Sandbox::new(PROGRAM);
    let list = sandbox.run(&["policy", "list"]).expect(0);
    for part in ["long-passwords      mandatory", "short-certificates  remediating", "deletions of local:TlsPrivateKey"]
    {
        assert!(list.stdout.contains(part), "{}", list.stdout);
    }
    let list: Value = serde_json::from_str(&sandbox.run(&["policy", "list", "--json"]).expect(0).stdout).expect("JSON");
    assert_eq!((&list[0]["name"], &list[0]["level"]), (&"long-passwords".into(), &"mandatory".into()));
    let weak = ["--config", "database_password=hunter2"];
    sandbox.run(&[&["preview"], &weak[..]].concat()).expect(3);
    let plan = sandbox.run(&["preview"]).expect(0);
    assert!(plan.stdout.contains("the policy `short-certificates` sets `valid_days`"), "{}", plan.stdout);
}

/// Rules: 32, 33, 34.
#[test]
fn a_saved_plan_is_the_approval_and_refuses_what_is_not_in_it() {
    let sandbox = Sandbox::new(PROGRAM);
    let plan = sandbox.root().join("plan");
    let plan = plan.to_str().expect("a path");
    sandbox.run(&["preview", "--save-plan", plan, "--config", "instances=2"]).expect(0);
    let text = std::fs::read_to_string(plan).expect("a file");
    assert_eq!(text.lines().count(), 2);
    assert!(text.starts_with("stackkit-plan 1 "), "{text}");
    // Nobody is asked, and the options are those of the plan.
    let wrong = sandbox.run(&["up", "--plan", plan, "--config", "instances=3"]).expect(64);
    assert!(wrong.stderr.contains("a saved plan has its options in it"), "{}", wrong.stderr);
    let up = sandbox.run(&["up", "--plan", plan, "--json"]).expect(0);
    assert_eq!(up.count("create"), 7);
    assert!(sandbox.stack().join("settings/instance-1.env").exists());
    assert_eq!(kinds(&up.stdout).iter().filter(|kind| *kind == "step_done").count(), 7);
    let stale = sandbox.run(&["up", "--plan", plan, "--json"]).expect(3);
    let error: Value = stale
        .stdout
        .lines()
        .filter(|line| line.contains("\"error\""))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .next()
        .expect("an error");
    assert_eq!(error["kind"], "refused");
    assert!(
        error["message"].as_str().is_some_and(|text| text.contains("the state moved from serial 0 to ")),
        "{error}"
    );
    // Somebody edits the file between the plan and its approval.
    sandbox.run(&["preview", "--save-plan", plan]).expect(0);
    let mut bytes = std::fs::read(plan).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    std::fs::write(plan, &bytes).expect("written");
    assert!(sandbox.run(&["up", "--plan", plan]).expect(3).stderr.contains("was altered"));
    std::fs::write(plan, &bytes[..middle]).expect("written");
    assert!(sandbox.run(&["up", "--plan", plan]).expect(3).stderr.contains("cut short"));
    sandbox.run(&["up", "--plan", "nosuch"]).expect(1);
}
