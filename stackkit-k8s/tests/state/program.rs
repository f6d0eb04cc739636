//! A program with its state in Kubernetes, as its users run it. This process is the program too, so it has no harness.

use std::process::ExitCode;
use std::time::Duration;

use acceptance::{Sandbox, remote};
use stackkit::prelude::*;
use stackkit_k8s::KubernetesState;
use test_servers::Kubernetes;

#[stackkit::program(backends(KubernetesState))]
async fn slow(stack: &mut Stack) -> Result<()> {
    remote::slow(stack)
}

fn main() -> ExitCode {
    acceptance::itself(slow(), test)
}

fn test() {
    let server = Kubernetes::start().unwrap_or_else(|error| panic!("{error}"));
    let kubectl = |arguments: &[&str]| server.kubectl(arguments).unwrap_or_else(|error| panic!("{error}"));
    let url = "k8s://infra?ttl=2s";
    let sandbox = Sandbox::itself().with_env(server.env()).with_env([("STACKKIT_BACKEND", url)]);

    let missing = sandbox.run(&["up", "--yes"]).expect(1);
    assert!(missing.stderr.contains("kubectl create namespace infra"), "{}", missing.stderr);
    kubectl(&["create", "namespace", "infra"]);
    remote::whole_life(&sandbox, url, Duration::from_millis(1500), |sandbox| {
        let password = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
        let password = password.trim();
        assert!(password.len() >= 40, "`{password}` is not the password");
        let bodies = kubectl(&[
            "-n",
            "infra",
            "get",
            "secrets",
            "-o",
            "go-template={{range .items}}{{range .data}}{{. | base64decode}}{{end}}{{end}}",
        ]);
        assert!(bodies.contains("local:RandomPassword"), "the state is elsewhere");
        assert!(!bodies.contains(password), "a secret is in the cluster");
    });
    let left = kubectl(&["-n", "infra", "get", "secrets", "-l", "stackkit.dev/state", "-o", "name"]);
    // What was done stays told.
    assert!(left.lines().any(|name| name.contains(".audit.")), "the audit log is gone");
    for name in left.lines().filter(|name| !name.contains(".audit.")) {
        let size = kubectl(&["-n", "infra", "get", name, "-o", "jsonpath={.metadata.annotations.stackkit\\.dev/size}"]);
        assert_eq!(size, "0", "{name} is left of a removed stack and says something");
    }
    println!("a whole life with the state in Kubernetes");
}
