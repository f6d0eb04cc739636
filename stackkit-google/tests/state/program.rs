//! A program with its state in Google Cloud Storage, as its users run it. This process is the program too, so it has no harness.

use std::process::ExitCode;
use std::time::Duration;

use acceptance::{Sandbox, remote};
use stackkit::prelude::*;
use stackkit_google::GcsState;
use test_servers::FakeGcs;

#[stackkit::program(backends(GcsState))]
async fn slow(stack: &mut Stack) -> Result<()> {
    remote::slow(stack)
}

fn main() -> ExitCode {
    acceptance::itself(slow(), test)
}

fn test() {
    let server = FakeGcs::start().unwrap_or_else(|error| panic!("{error}"));
    let url = "gs://acme-infra/states?create=true&accept=uniform-access,public-access-prevention&ttl=2s";
    let sandbox = Sandbox::itself().with_env(server.env()).with_env([("STACKKIT_BACKEND", url)]);
    remote::whole_life(&sandbox, url, Duration::from_millis(200), |sandbox| {
        // A bucket that is there is used as it is, and one that is not is not made by itself.
        let other = [("STACKKIT_BACKEND", "gs://acme-other")];
        let missing = sandbox.run_with_env(&["state", "list"], &other).expect(1);
        assert!(missing.stderr.contains("there is no bucket `acme-other`"), "{}", missing.stderr);
        let unknown = sandbox.run_with_env(&["state", "list"], &[("STACKKIT_BACKEND", "azblob://a/b")]).expect(1);
        assert!(unknown.stderr.contains("crate `stackkit-azure`"), "{}", unknown.stderr);
        assert!(unknown.stderr.contains("`gs://`"), "{}", unknown.stderr);
    });
    println!("a whole life with the state in Google Cloud Storage");
}
