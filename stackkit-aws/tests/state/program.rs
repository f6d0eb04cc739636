//! A program with its state in S3, as its users run it. This process is the program too, so it has no harness.

use std::process::ExitCode;
use std::time::Duration;

use acceptance::{Sandbox, remote};
use stackkit::prelude::*;
use stackkit_aws::S3State;
use test_servers::Localstack;

#[stackkit::program(backends(S3State))]
async fn slow(stack: &mut Stack) -> Result<()> {
    remote::slow(stack)
}

fn main() -> ExitCode {
    acceptance::itself(slow(), test)
}

fn test() {
    let server = Localstack::start().unwrap_or_else(|error| panic!("{error}"));
    let url = "s3://acme-infra/states?create=true&ttl=2s";
    let sandbox = Sandbox::itself().with_env(server.env()).with_env([("STACKKIT_BACKEND", url)]);
    remote::whole_life(&sandbox, url, Duration::from_millis(2500), |sandbox| {
        // A bucket that is there is used as it is, and one that is not is not made by itself.
        let other = [("STACKKIT_BACKEND", "s3://acme-other")];
        let missing = sandbox.run_with_env(&["state", "list"], &other).expect(1);
        assert!(missing.stderr.contains("there is no bucket `acme-other`"), "{}", missing.stderr);
        let unknown = sandbox.run_with_env(&["state", "list"], &[("STACKKIT_BACKEND", "postgres://db/x")]).expect(1);
        assert!(unknown.stderr.contains("crate `stackkit-postgres`"), "{}", unknown.stderr);
        assert!(unknown.stderr.contains("`s3://`"), "{}", unknown.stderr);
    });
    println!("a whole life with the state in S3");
}
