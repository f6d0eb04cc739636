//! Roles as PostgreSQL enforces them, with the statements that `access` prints. This process is the program too, so it has
//! no harness.

use std::process::ExitCode;

use acceptance::{Sandbox, roles};
use stackkit::prelude::*;
use stackkit_postgres::Postgres;
use test_servers::Postgres as Server;

#[stackkit::program(backends(Postgres))]
async fn shop(stack: &mut Stack) -> Result<()> {
    roles::shop(stack)
}

fn main() -> ExitCode {
    acceptance::itself(shop(), test)
}

fn test() {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let sql = |sql: &str| server.run(sql).unwrap_or_else(|error| panic!("{error}"));
    let sandbox = Sandbox::itself().with_env([("STACKKIT_BACKEND", server.url().as_str()), ("COLUMNS", "1000")]);
    sandbox.run(&["up", "--yes"]).expect(0);
    sandbox.run(&["stack", "new", "other"]).expect(0);
    sandbox.run(&["up", "--yes", "-s", "other"]).expect(0);

    let people = [("viewer", "vera"), ("deployer", "dora"), ("admin", "ada")];
    let urls = people.map(|(role, person)| {
        let statements = roles::grant(&sandbox, "dev", role);
        sql(&statements);
        // Once more is no harm.
        sql(&statements);
        sql(&format!("CREATE ROLE {person} LOGIN; GRANT \"stackkit_dev_{role}\" TO {person}"));
        server.url().replacen("stackkit@", &format!("{person}@"), 1)
    });

    // The server itself, asked by each of them.
    let ask = |person: &str, statement: &str| server.run(&format!("SET ROLE {person}; {statement}"));
    for (_, person) in people {
        let rows = |stack: &str| {
            ask(person, &format!("SELECT count(*) FROM stackkit.snapshot WHERE stack = '{stack}'"))
                .unwrap_or_else(|error| panic!("{error}"))
        };
        assert_eq!((rows("dev"), rows("other")), ("1".into(), "0".into()), "what {person} sees");
        let other = "INSERT INTO stackkit.entry VALUES ('other', 99, 'w', '')";
        assert!(ask(person, other).is_err(), "{person} writes to another stack");
        assert!(ask(person, "UPDATE stackkit.version SET version = 9").is_err(), "{person} changes the version");
    }
    for statement in [
        "INSERT INTO stackkit.entry VALUES ('dev', 99, 'w', '')",
        "UPDATE stackkit.stack SET position = 0",
        "DELETE FROM stackkit.snapshot",
        "TRUNCATE stackkit.entry",
    ] {
        let error = ask("vera", statement).map(drop).unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{statement}: {error}");
    }
    assert!(ask("dora", "DELETE FROM stackkit.stack WHERE name = 'dev'").is_err(), "a deployer removes the stack");

    let [viewer, deployer, admin] = &urls;
    let denied = sandbox.run_with_env(&["up", "--yes", "-s", "other"], &[("STACKKIT_BACKEND", deployer)]);
    assert!(denied.code != Some(0), "a deployer of one stack deploys another: {}", denied.told());
    roles::enforced(&sandbox, [viewer, deployer, admin].map(|url| ("STACKKIT_BACKEND", url.as_str())));
    let left = sql("SELECT string_agg(name, ',') FROM stackkit.stack");
    assert_eq!(left, "other");
    println!("roles as PostgreSQL enforces them");
}
