//! A program with its state in PostgreSQL, as its users run it. This process is the program too, so it has no harness.

use std::process::ExitCode;
use std::time::Duration;

use acceptance::{Sandbox, remote};
use stackkit::prelude::*;
use stackkit_postgres::Postgres;
use test_servers::Postgres as Server;

#[stackkit::program(backends(Postgres))]
async fn slow(stack: &mut Stack) -> Result<()> {
    remote::slow(stack)
}

fn main() -> ExitCode {
    acceptance::itself(slow(), test)
}

fn test() {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let url = format!("{}?ttl=2s", server.url());
    let sandbox = Sandbox::itself().with_env([("STACKKIT_BACKEND", &url)]);
    remote::whole_life(&sandbox, &url, Duration::from_millis(1500), |sandbox| {
        let password = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
        let password = password.trim();
        assert!(password.len() >= 40, "`{password}` is not the password");
        let holding = |table: &str| {
            let sql = format!(
                "SELECT count(*) FROM stackkit.{table} WHERE position(convert_to('{password}', 'UTF8') IN body) > 0"
            );
            server.run(&sql).unwrap_or_else(|error| panic!("{error}"))
        };
        assert_eq!((holding("chunk"), holding("entry")), ("0".into(), "0".into()), "a secret is in the database");
        let records = server.run(
            "SELECT count(*) FROM stackkit.chunk WHERE position('local:RandomPassword' IN encode(body, 'escape')) > 0",
        );
        assert_ne!(records.unwrap_or_default(), "0", "the state is elsewhere");
    });
    let left = server.run("SELECT count(*) FROM stackkit.stack").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(left, "0", "a removed stack left rows");
    println!("a whole life with the state in PostgreSQL");
}
