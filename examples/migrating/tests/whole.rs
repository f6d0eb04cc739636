//! What Terraform has recorded becomes a stack and a program by one command, and nothing changes.
//!
//! `terraform.tfstate` stands as the providers `hashicorp/random` and `hashicorp/local` document what they record; it was
//! written by hand, for those providers are not to be had everywhere that tests run. How Terraform and OpenTofu
//! themselves write a state is tested with files of theirs in `stackkit`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use acceptance::{Canary, Sandbox};
use serde_json::{Value, json};

const BEFORE: &str = env!("CARGO_BIN_EXE_before");
const AFTER: &str = env!("CARGO_BIN_EXE_example-migrating");
const STATE: &str = include_str!("../terraform.tfstate");
const PROGRAM: &str = include_str!("../src/main.rs");
/// Secrets in the file.
const PASSWORD: &str = "Fv2wQm8ZkT5cR1xNb7LsYd3H";
const TOKEN: &str = "tok_live_8f2b6c";

const IMPORT: [&str; 4] = ["import", "--from", "../terraform.tfstate", "--yes"];

fn write(path: &Path, content: &str, mode: u32) {
    std::fs::write(path, content).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

/// A folder as Terraform has left it: the state beside it, and the files that it made.
fn terraformed(state: &str, password: &str, token: &str) -> Sandbox {
    let sandbox = Sandbox::new(BEFORE);
    std::fs::write(sandbox.root().join("terraform.tfstate"), state).expect("written");
    let folder = sandbox.stack().join("deployed");
    std::fs::create_dir(&folder).expect("made");
    write(&folder.join("motd"), "hello\n", 0o644);
    write(&folder.join("login"), password, 0o600);
    write(&folder.join("token"), token, 0o600);
    sandbox
}

fn addresses(document: &Value, list: &str) -> Vec<String> {
    let items = document[list].as_array().expect("a list");
    items
        .iter()
        .map(|item| item["address"].as_str().expect("text").to_owned())
        .collect()
}

#[test]
fn one_command_adopts_all_and_the_program_that_it_prints_changes_nothing() {
    let sandbox = terraformed(STATE, PASSWORD, TOKEN);
    let shown = sandbox
        .run(&["import", "--from", "../terraform.tfstate", "--preview"])
        .expect(0);
    assert!(
        shown
            .stderr
            .contains("6 resources would be adopted; nothing was changed"),
        "{}",
        shown.stderr
    );
    assert!(!sandbox.stack().join("stackkit.dev.toml").exists());
    let adopted = sandbox.run(&IMPORT).expect(0);
    // The file has this line about itself above what was printed.
    let printed = format!(
        "//! What `import --from terraform.tfstate` printed.\n\n{}",
        adopted.stdout
    );
    if std::env::var_os("STACKKIT_UPDATE").is_some() {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/main.rs"),
            &printed,
        )
        .expect("written");
    }
    assert_eq!(printed, PROGRAM);
    assert_eq!(shown.stdout, adopted.stdout);
    for line in [
        "data.local_file.license: a data source is only read",
        "terraform_data.release: it stands in that",
    ] {
        assert!(adopted.stderr.contains(line), "{}", adopted.stderr);
    }
    assert!(
        adopted
            .stderr
            .contains("Sealed into stackkit.dev.toml: `token_content`"),
        "{}",
        adopted.stderr
    );

    let sandbox = sandbox.with_program(AFTER);
    sandbox
        .run(&["up", "--yes", "--expect-no-changes"])
        .expect(0);
    let state = std::fs::read(sandbox.stack().join(".stackkit/dev.state.json")).expect("the state");
    sandbox
        .run(&["up", "--yes", "--expect-no-changes"])
        .expect(0);
    assert_eq!(
        std::fs::read(sandbox.stack().join(".stackkit/dev.state.json")).expect("the state"),
        state
    );
    let shown = sandbox.run(&["state", "show", "db", "--json"]).expect(0);
    assert!(
        shown.stdout.contains("local:RandomPassword::db"),
        "{}",
        shown.stdout
    );
    sandbox.run(&["destroy", "--yes"]).expect(0);
    assert!(
        !sandbox.stack().join("deployed/login").exists(),
        "it is this program's now"
    );
}

#[test]
fn no_secret_is_printed_or_left_in_plain_text() {
    let (password, token) = (Canary::new(), Canary::new());
    let state = STATE
        .replace(PASSWORD, password.reveal())
        .replace(TOKEN, token.reveal());
    let sandbox = terraformed(&state, password.reveal(), token.reveal());
    sandbox
        .run(&["import", "--from", "../terraform.tfstate", "--preview"])
        .expect(0);
    sandbox.run(&IMPORT).expect(0);
    let sandbox = sandbox.with_program(AFTER);
    sandbox
        .run(&["up", "--yes", "--expect-no-changes", "--verbose"])
        .expect(0);
    for (canary, file) in [
        (&password, "stack/deployed/login"),
        (&token, "stack/deployed/token"),
    ] {
        assert_eq!(
            sandbox.traces(canary, &["terraform.tfstate", file]),
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_second_import_goes_on_where_the_first_one_ended() {
    let sandbox = terraformed(STATE, PASSWORD, TOKEN);
    let motd = sandbox.stack().join("deployed/motd");
    std::fs::remove_file(&motd).expect("removed");
    let json: Vec<&str> = IMPORT.into_iter().chain(["--json"]).collect();
    let first = sandbox.run(&json).expect(1);
    let lines: Vec<Value> = first
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        addresses(&lines[0], "failed"),
        [r#"module.site["web"].local_file.motd"#]
    );
    assert_eq!(
        lines[0]["failed"][0]["why"],
        "there is nothing with the id `deployed/motd` to import"
    );
    assert_eq!(
        (
            lines[0]["adopted"].as_array().map(Vec::len),
            &lines[1]["type"]
        ),
        (Some(5), &json!("error"))
    );

    write(&motd, "hello\n", 0o644);
    let second = sandbox.run(&json).expect(0);
    let second: Value = serde_json::from_str(&second.stdout).expect("JSON");
    assert_eq!(
        addresses(&second, "adopted"),
        [r#"module.site["web"].local_file.motd"#]
    );
    assert_eq!(addresses(&second, "there").len(), 5);
    let third = sandbox.run(&IMPORT).expect(0);
    assert!(
        third.stderr.contains("There is nothing to adopt") && third.stdout.is_empty(),
        "{}",
        third.stderr
    );
    sandbox
        .with_program(AFTER)
        .run(&["up", "--yes", "--expect-no-changes"])
        .expect(0);
}

#[test]
fn what_another_tool_keeps_secret_is_not_recorded_in_plain_text() {
    let mut state: Value = serde_json::from_str(STATE).expect("JSON");
    let path = json!([[
        {"type": "get_attr", "value": "keepers"},
        {"type": "index", "value": {"value": "release", "type": "string"}},
    ]]);
    state["resources"][1]["instances"][1]["sensitive_attributes"] = path;
    let sandbox = terraformed(&state.to_string(), PASSWORD, TOKEN);
    let ran = sandbox.run(&IMPORT).expect(1);
    assert!(
        ran.stderr
            .contains("random_id.release[1]: `keepers` holds what Terraform keeps as a secret"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stdout.contains("release-0") && !ran.stdout.contains("release-1"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_cannot_be_read_is_told_with_the_way_out_and_changes_nothing() {
    let sandbox = terraformed(STATE, PASSWORD, TOKEN);
    let refused = |content: &str, args: &[&str], code: i32, says: &str| {
        std::fs::write(sandbox.root().join("other.json"), content).expect("written");
        let args: Vec<&str> = ["import", "--from", "../other.json"]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        let ran = sandbox.run(&args).expect(code);
        assert!(
            ran.stderr.contains(says),
            "`{says}` is missing in:\n{}",
            ran.stderr
        );
        assert!(
            !sandbox.stack().join("stackkit.dev.toml").exists()
                && !sandbox.stack().join(".stackkit").exists()
        );
    };
    refused(STATE, &[], 64, "give --yes");
    refused(
        &STATE[..STATE.len() / 2],
        &["--yes"],
        1,
        "it is not valid JSON",
    );
    refused(
        "{}",
        &["--yes"],
        1,
        "it is neither a state of Terraform or OpenTofu",
    );
    refused(
        &STATE.replace("\"version\": 4", "\"version\": 3"),
        &["--yes"],
        1,
        "a state of version 3",
    );
    refused(&"[".repeat(100_000), &["--yes"], 1, "recursion limit");
    refused(
        STATE,
        &["--yes", "--from-format", "pulumi"],
        1,
        "version 4, and version 3 is read here",
    );
    refused(STATE, &["--yes", "--from-format", "helm"], 64, "helm");
    refused(STATE, &["--yes", "--preview"], 64, "--preview");
    let single = sandbox
        .run(&["import", "local:File", "motd", "deployed/motd", "--preview"])
        .expect(64);
    assert!(
        single.stderr.contains("name it with --from FILE"),
        "{}",
        single.stderr
    );
    let missing = sandbox
        .run(&["import", "--from", "../nowhere.tfstate", "--yes"])
        .expect(1);
    assert!(
        missing.stderr.contains("cannot read `../nowhere.tfstate`"),
        "{}",
        missing.stderr
    );
    let piped = sandbox
        .run_with_input(&["import", "--from", "-", "--preview"], STATE)
        .expect(0);
    assert!(
        piped.stderr.contains("6 resources would be adopted"),
        "{}",
        piped.stderr
    );
}
