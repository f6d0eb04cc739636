//! A program whose stack a key of OpenBao opens, as its users run it. This process is the program too, so it has no
//! harness.

use std::process::ExitCode;

use acceptance::{Canary, Sandbox};
use stackkit::prelude::*;
use stackkit_vault::Transit;
use test_servers::OpenBao;

#[stackkit::program(keys(Transit))]
async fn shop(stack: &mut Stack) -> Result<()> {
    let password = stack.add("password", local::RandomPassword::new(40).special(false));
    stack.output("password", &password.value);
    Ok(())
}

fn main() -> ExitCode {
    acceptance::itself(shop(), test)
}

fn test() {
    let bao = OpenBao::start().unwrap_or_else(|error| panic!("{error}"));
    for arguments in [&["secrets", "enable", "transit"][..], &["write", "-f", "transit/keys/infra"]] {
        bao.run(arguments).unwrap_or_else(|error| panic!("{error}"));
    }
    let sandbox = Sandbox::itself().with_env(bao.env());
    sandbox.run(&["up", "--yes"]).expect(0);
    let password = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
    sandbox.run(&["secrets", "change-provider", "vault:transit/infra"]).expect(0);
    let list = sandbox.run(&["secrets", "list"]).expect(0).stdout;
    assert_eq!(list, "vault  transit/infra\n");
    let again = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
    assert_eq!(again, password);
    let out = sandbox.run_without_env("BAO_TOKEN", &["outputs"]).expect(1);
    assert!(out.stderr.contains("set VAULT_TOKEN or BAO_TOKEN"), "{}", out.stderr);
    viewer(&bao, &sandbox);
    sandbox.run(&["secrets", "rotate"]).expect(0);
    let again = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
    assert_eq!(again, password);
    assert_eq!(sandbox.run(&["up", "--yes", "--json"]).expect(0).count("same"), 1);
    assert_eq!(sandbox.traces(&Canary::of(bao.root_token()), &[]), Vec::<String>::new());
    println!("a stack that a key of OpenBao opens");
}

/// Somebody with the policy that `access viewer` prints is refused the key by the server, and sees what is not secret.
fn viewer(bao: &OpenBao, sandbox: &Sandbox) {
    let printed = sandbox.run(&["access", "viewer", "--json"]).expect(0).stdout;
    let grants: serde_json::Value = serde_json::from_str(&printed).unwrap_or_default();
    assert_eq!((&grants[0]["language"], &grants[1]["language"]), (&"text".into(), &"hcl".into()), "{printed}");
    let file = sandbox.root().join("viewer.hcl");
    std::fs::write(&file, grants[1]["text"].as_str().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}"));
    let ask = |arguments: &[&str]| bao.run(arguments).unwrap_or_else(|error| panic!("{error}"));
    ask(&["policy", "write", "viewer", &file.display().to_string()]);
    let token = ask(&["token", "create", "-policy", "viewer", "-field=token"]);
    let viewer = [("BAO_TOKEN", token.as_str())];
    let refused = sandbox.run_with_env(&["up", "--yes"], &viewer).expect(3);
    assert!(refused.stderr.contains("transit/decrypt/infra"), "{}", refused.told());
    let seen = sandbox.run_with_env(&["outputs", "--unverified"], &viewer).expect(0);
    assert!(seen.stdout.contains("password  (sealed)"), "{}", seen.told());
}
