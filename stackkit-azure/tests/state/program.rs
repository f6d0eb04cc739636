//! A program with its state in Azure Blob Storage, as its users run it. This process is the program too, so it has no harness.

use std::process::ExitCode;
use std::time::Duration;

use acceptance::{Sandbox, remote};
use stackkit::prelude::*;
use stackkit_azure::AzureBlobState;
use test_servers::Azurite;

#[stackkit::program(backends(AzureBlobState))]
async fn slow(stack: &mut Stack) -> Result<()> {
    remote::slow(stack)
}

fn main() -> ExitCode {
    acceptance::itself(slow(), test)
}

fn test() {
    let server = Azurite::start().unwrap_or_else(|error| panic!("{error}"));
    let url = "azblob://devstoreaccount1/acme-infra/states?create=true&accept=versioning&ttl=2s";
    let sandbox = Sandbox::itself().with_env(server.env()).with_env([("STACKKIT_BACKEND", url)]);
    remote::whole_life(&sandbox, url, Duration::from_millis(500), |sandbox| {
        // A container that is there is used as it is, and one that is not is not made by itself.
        let other = [("STACKKIT_BACKEND", "azblob://devstoreaccount1/acme-other")];
        let missing = sandbox.run_with_env(&["state", "list"], &other).expect(1);
        assert!(missing.stderr.contains("there is no container `acme-other`"), "{}", missing.stderr);
        let unknown = sandbox.run_with_env(&["state", "list"], &[("STACKKIT_BACKEND", "gs://acme/x")]).expect(1);
        assert!(unknown.stderr.contains("crate `stackkit-google`"), "{}", unknown.stderr);
        assert!(unknown.stderr.contains("`azblob://`"), "{}", unknown.stderr);
    });
    println!("a whole life with the state in Azure Blob Storage");
}
