//! The quick start as its users run it: a whole round, secrets nowhere in plain text, and kills at random instants.

use std::os::unix::fs::PermissionsExt;

use acceptance::{Canary, Sandbox};

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-quickstart");

/// Files whose purpose is to hold a secret.
const SECRET_FILES: [&str; 2] = ["deployed/conf/users", "deployed/tls/server.key"];

#[test]
fn a_whole_round() {
    let sandbox = Sandbox::new(PROGRAM);
    let preview = sandbox.run(&["preview", "--json"]).expect(0);
    assert!(preview.count("create") > 10);
    assert!(!sandbox.stack().join("stackkit.dev.toml").exists(), "a preview writes nothing");

    let up = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    assert_eq!(up.count("create"), preview.count("create"), "apply does what the plan said");
    let page = sandbox.stack().join("deployed/www/index.html");
    assert!(std::fs::read_to_string(&page).expect("the page").contains("Hello from StackKit"));

    let snapshot = sandbox.stack().join(".stackkit/dev.state.json");
    let before = std::fs::read(&snapshot).expect("the state");
    let again = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    assert_eq!((again.count("create"), again.count("update"), again.count("replace")), (0, 0, 0));
    assert_eq!(std::fs::read(&snapshot).expect("the state"), before, "a run that changes nothing writes nothing");

    sandbox.run(&["config", "set", "greeting", "Good <morning>"]).expect(0);
    sandbox.run(&["preview", "--detailed-exit-code"]).expect(2);
    sandbox.run(&["preview", "--expect-no-changes"]).expect(3);
    sandbox.run(&["up", "--yes"]).expect(0);
    assert!(std::fs::read_to_string(&page).expect("the page").contains("Good &lt;morning&gt;"));

    // Somebody edits one file and deletes another.
    std::fs::write(&page, "defaced").expect("written");
    std::fs::remove_file(sandbox.stack().join("deployed/www/style.css")).expect("removed");
    let mended = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    assert_eq!((mended.count("create"), mended.count("update")), (1, 1), "{}", mended.stdout);
    assert!(std::fs::read_to_string(&page).expect("the page").contains("Good &lt;morning&gt;"));

    sandbox.run(&["destroy", "--yes"]).expect(0);
    assert!(!sandbox.stack().join("deployed").exists());
    let left = sandbox.run(&["state", "list", "--json"]).expect(0);
    assert_eq!(left.stdout.trim(), "[]");
}

#[test]
fn secrets_are_nowhere_in_plain_text() {
    let sandbox = Sandbox::new(PROGRAM);
    sandbox.run(&["preview"]).expect(0);
    sandbox.run(&["up", "--yes", "--json"]).expect(0);
    sandbox.run(&["config", "set", "replicas", "3"]).expect(0);
    sandbox.run(&["preview", "--json"]).expect(0);
    sandbox.run(&["up", "--yes", "-v", "--timeline", "run.html"]).expect(0);
    for command in [&["outputs"][..], &["outputs", "--json"], &["state", "list"], &["graph"], &["config", "list"]] {
        sandbox.run(command).expect(0);
    }
    // The one who may know them is asked last, and what that prints is not searched.
    let shown = std::process::Command::new(PROGRAM)
        .args(["outputs", "--json", "--show-secrets"])
        .current_dir(sandbox.stack())
        .env("XDG_CONFIG_HOME", sandbox.root().join("home/config"))
        .env("XDG_STATE_HOME", sandbox.root().join("home/.local/state"))
        .output()
        .expect("the outputs");
    let outputs: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let password = Canary::of(outputs["admin_password"].as_str().expect("the password"));
    assert_eq!(password.reveal().len(), 24);
    let users = sandbox.stack().join(SECRET_FILES[0]);
    let content = std::fs::read(&users).expect("the file of users");
    assert_eq!(password.find(&content), Some("plain"), "the password is where it belongs");
    assert_eq!(std::fs::metadata(&users).expect("its mode").permissions().mode() & 0o777, 0o600);
    assert_eq!(sandbox.traces(&password, &SECRET_FILES), Vec::<String>::new());

    let key = std::fs::read_to_string(sandbox.stack().join(SECRET_FILES[1])).expect("the private key");
    let line = key.lines().nth(1).expect("the first line of the key's body");
    assert_eq!(sandbox.traces(&Canary::of(line), &SECRET_FILES), Vec::<String>::new());
}

#[test]
fn killed_at_twenty_instants_of_up_and_of_destroy() {
    let sandbox = Sandbox::new(PROGRAM);
    let up = sandbox.run(&["up", "--yes"]).expect(0);
    let destroy = sandbox.run(&["destroy", "--yes"]).expect(0);
    let files = || {
        let mut all = Vec::new();
        let mut open = vec![sandbox.stack().join("deployed")];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                all.push(entry.file_name().to_string_lossy().into_owned());
                if entry.path().is_dir() {
                    open.push(entry.path());
                }
            }
        }
        all.sort();
        all
    };
    sandbox.run(&["up", "--yes"]).expect(0);
    let expected = files();
    sandbox.run(&["destroy", "--yes"]).expect(0);

    let reset = || {
        sandbox.run(&["destroy", "--yes"]).expect(0);
        assert!(!sandbox.stack().join("deployed").exists());
    };
    sandbox.kill_at_random(&["up", "--yes"], &up, 20, reset, |round| {
        assert_eq!(files(), expected, "{round}");
        let again = sandbox.run(&["up", "--yes", "--json"]).expect(0);
        assert_eq!((again.count("create"), again.count("update"), again.count("replace")), (0, 0, 0), "{round}");
    });
    let reset = || {
        sandbox.run(&["up", "--yes"]).expect(0);
    };
    sandbox.kill_at_random(&["destroy", "--yes"], &destroy, 20, reset, |round| {
        assert!(!sandbox.stack().join("deployed").exists(), "{round}: {:?}", files());
    });
}
