//! A program that takes secrets from a file that the genuine sops wrote, as its users run it. This process is the program
//! too, so it has no harness.

use std::process::ExitCode;

use acceptance::{Canary, Sandbox};
use secrecy::ExposeSecret as _;
use stackkit::prelude::*;
use stackkit_sops::{Sops, SopsFile};

#[stackkit::program(providers(Sops))]
async fn shop(stack: &mut Stack) -> Result<()> {
    let password = stack.data("db-password", SopsFile::new("secrets.yaml").field("database.password"));
    let url = text!("postgres://app:{}@db/shop", password.value);
    stack.add("url", local::SecretFile::new("url", &url));
    Ok(())
}

fn main() -> ExitCode {
    acceptance::itself(shop(), test)
}

fn test() {
    let sops = test_servers::Sops::new().unwrap_or_else(|error| panic!("{error}"));
    let key = age::x25519::Identity::generate();
    let private = key.to_string().expose_secret().to_owned();
    let sandbox = Sandbox::itself().with_env([("SOPS_AGE_KEY", private.as_str())]);
    let (first, second) = (Canary::new(), Canary::new());
    let file = sandbox.stack().join("secrets.yaml");
    let put = |canary: &Canary| {
        let text = format!("database:\n    user: app\n    password: {}\n", canary.reveal());
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{error}"));
        let recipient = key.to_public().to_string();
        let encrypt = ["encrypt", "--age", &recipient, "--in-place", "secrets.yaml"];
        sops.run(&sandbox.stack(), &[("", "")][..0], &encrypt).unwrap_or_else(|error| panic!("{error}"));
    };
    let there = || std::fs::read_to_string(sandbox.stack().join("url")).unwrap_or_default();

    let missing = sandbox.run(&["preview"]).expect(1);
    for part in ["sops:SopsFile::db-password", "the file `secrets.yaml` is not there"] {
        assert!(missing.stderr.contains(part), "{part}: {}", missing.stderr);
    }
    put(&first);
    sandbox.run(&["preview", "--save-plan", "plan"]).expect(0);
    sandbox.run(&["up", "--plan", "plan", "--yes", "--timeline", "run.html"]).expect(0);
    assert!(there().contains(first.reveal()), "it has got there");
    let snapshot = sandbox.stack().join(".stackkit/dev.state.json");
    let before = std::fs::read(&snapshot).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sandbox.run(&["up", "--yes", "--json"]).expect(0).count("same"), 1);
    assert!(std::fs::read(&snapshot).is_ok_and(|now| now == before), "what did not change is not written again");

    put(&second);
    let preview = sandbox.run(&["preview", "--detailed-exit-code"]).expect(2);
    assert!(preview.stdout.contains("[secret] changed"), "{}", preview.stdout);
    assert_eq!(sandbox.run(&["up", "--yes", "--json", "-v"]).expect(0).count("update"), 1);
    assert!(there().contains(second.reveal()), "the new one has got there");
    for command in [&["state", "list"][..], &["outputs", "--json"], &["graph"], &["preview", "-v"]] {
        sandbox.run(command).expect(0);
    }

    // Somebody without the key, and somebody who edited the file.
    let stranger = age::x25519::Identity::generate().to_string().expose_secret().to_owned();
    let out = sandbox.run_with_env(&["preview"], &[("SOPS_AGE_KEY", &stranger)]).expect(1);
    assert!(out.stderr.contains("SOPS_AGE_KEY_FILE"), "{}", out.stderr);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(&file, text.replace("user: ENC", "user_unencrypted: ENC")).unwrap_or_else(|error| panic!("{error}"));
    let out = sandbox.run(&["up", "--yes"]).expect(1);
    assert!(out.stderr.contains("does not fit its MAC"), "{}", out.stderr);
    assert!(there().contains(second.reveal()), "nothing was done");
    // The source is not asked for what is to go.
    std::fs::remove_file(&file).unwrap_or_else(|error| panic!("{error}"));
    sandbox.run(&["destroy", "--yes"]).expect(0);
    assert!(!sandbox.stack().join("url").exists());

    for canary in [first, second, Canary::of(&private), Canary::of(&stranger)] {
        assert_eq!(sandbox.traces(&canary, &[]), Vec::<String>::new());
    }
    println!("a secret of a file of sops, rotated in the file");
}
