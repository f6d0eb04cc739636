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

/// Whether this process is the program and not its test.
const PROGRAM: &str = "STACKKIT_TEST_PROGRAM";

fn main() -> ExitCode {
    if std::env::var_os(PROGRAM).is_some() {
        return stackkit::cli::main(shop());
    }
    let bao = OpenBao::start().unwrap_or_else(|error| panic!("{error}"));
    for arguments in [&["secrets", "enable", "transit"][..], &["write", "-f", "transit/keys/infra"]] {
        bao.run(arguments).unwrap_or_else(|error| panic!("{error}"));
    }
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let sandbox = Sandbox::new(program).with_env([(PROGRAM, "1")]).with_env(bao.env());
    sandbox.run(&["up", "--yes"]).expect(0);
    let password = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
    sandbox.run(&["secrets", "change-provider", "vault:transit/infra"]).expect(0);
    let list = sandbox.run(&["secrets", "list"]).expect(0).stdout;
    assert_eq!(list, "vault  transit/infra\n");
    let again = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
    assert_eq!(again, password);
    let out = sandbox.run_without_env("BAO_TOKEN", &["outputs"]).expect(1);
    assert!(out.stderr.contains("set VAULT_TOKEN or BAO_TOKEN"), "{}", out.stderr);
    sandbox.run(&["secrets", "rotate"]).expect(0);
    let again = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
    assert_eq!(again, password);
    assert_eq!(sandbox.run(&["up", "--yes", "--json"]).expect(0).count("same"), 1);
    assert_eq!(sandbox.traces(&Canary::of(bao.root_token()), &[]), Vec::<String>::new());
    println!("a stack that a key of OpenBao opens");
    ExitCode::SUCCESS
}
