//! A program with its state in Azure Blob Storage, as its users run it. This process is the program too, so it has no harness.

use std::process::ExitCode;
use std::time::Duration;

use acceptance::{Sandbox, remote};
use stackkit::prelude::*;
use stackkit_azure::AzureBlobState;
use test_servers::Azurite;

/// Resources that take a while each, so that a kill meets some of them under way, and a secret.
#[stackkit::program(backends(AzureBlobState))]
async fn slow(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let folder = stack.add("out", local::Directory::new("out"));
    let password = stack.add("password", local::RandomPassword::new(40).special(false));
    for number in 0..8 {
        let path = text!("{}/{number}", folder.path);
        let script = format!("sleep 0.2; echo {} > out/{number}", config.generation);
        stack.add(
            format!("file-{number}"),
            local::Command::new(list!["sh", "-c", script]).delete(list!["rm", "-f", &path]).creates(&path),
        );
    }
    stack.output("password", &password.value);
    Ok(())
}

#[derive(Debug, Clone, Properties)]
struct Config {
    #[property(default = 1)]
    generation: u32,
}

/// Whether this process is the program and not its test.
const PROGRAM: &str = "STACKKIT_TEST_PROGRAM";

fn main() -> ExitCode {
    if std::env::var_os(PROGRAM).is_some() {
        return stackkit::cli::main(slow());
    }
    let server = Azurite::start().unwrap_or_else(|error| panic!("{error}"));
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let url = "azblob://devstoreaccount1/acme-infra/states?create=true&accept=versioning&ttl=2s";
    let sandbox = Sandbox::new(program).with_env(server.env()).with_env([(PROGRAM, "1"), ("STACKKIT_BACKEND", url)]);
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
    ExitCode::SUCCESS
}
