//! A program that takes a secret from OpenBao and puts one there, as its users run it. This process is the program too,
//! so it has no harness.

use std::process::ExitCode;

use acceptance::{Canary, Sandbox};
use stackkit::prelude::*;
use stackkit_vault::{Vault, kv};
use test_servers::OpenBao;

#[stackkit::program(providers(Vault))]
async fn shop(stack: &mut Stack) -> Result<()> {
    let password = stack.data("db-password", kv::SecretValue::new("shop/db").field("password"));
    let url = text!("postgres://app:{}@db/shop", password.value);
    stack.add("url", kv::Secret::new([("url", &url)]).path("shop/url")).unprotected();
    Ok(())
}

fn main() -> ExitCode {
    acceptance::itself(shop(), test)
}

fn test() {
    let bao = OpenBao::start().unwrap_or_else(|error| panic!("{error}"));
    let run = |arguments: &[&str]| bao.run(arguments).unwrap_or_else(|error| panic!("{error}"));
    let put = |canary: &Canary| run(&["kv", "put", "secret/shop/db", &format!("password={}", canary.reveal())]);
    let there = || run(&["kv", "get", "-field=url", "secret/shop/url"]);
    let sandbox = Sandbox::itself().with_env(bao.env());
    let (first, second) = (Canary::new(), Canary::new());

    let missing = sandbox.run(&["preview"]).expect(1);
    for part in ["vault:kv:SecretValue::db-password", "`shop/db`", "is not there", "write it"] {
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
    assert!(preview.stdout.contains("[secret] rotated"), "{}", preview.stdout);
    assert_eq!(sandbox.run(&["preview", "--json"]).expect(0).count("update"), 1);
    assert_eq!(sandbox.run(&["up", "--yes", "--json", "-v"]).expect(0).count("update"), 1);
    assert!(there().contains(second.reveal()), "the new one has got there");
    for command in [&["state", "list"][..], &["outputs", "--json"], &["graph"], &["preview", "-v"]] {
        sandbox.run(command).expect(0);
    }

    let denied = run(&["token", "create", "-policy=default", "-field=token"]);
    let out = sandbox.run_with_env(&["preview"], &[("BAO_TOKEN", &denied)]).expect(1);
    assert!(out.stderr.contains("allow the token `read` on secret/data/shop/db"), "{}", out.stderr);
    let out = sandbox.run_with_env(&["preview"], &[("BAO_ADDR", "http://127.0.0.1:9")]).expect(1);
    assert!(out.stderr.contains("provider `vault`") && out.stderr.contains("check VAULT_ADDR"), "{}", out.stderr);
    // The source is not asked for what is to go.
    run(&["kv", "metadata", "delete", "secret/shop/db"]);
    sandbox.run(&["destroy", "--yes"]).expect(0);
    assert!(bao.run(&["kv", "get", "secret/shop/url"]).is_err());

    for canary in [first, second, Canary::of(bao.root_token())] {
        assert_eq!(sandbox.traces(&canary, &[]), Vec::<String>::new());
    }
    println!("a secret of OpenBao, rotated at its source");
}
