//! Roles as an API server enforces them, with the RBAC that `access` prints. This process is the program too, so it has no
//! harness.

use std::process::ExitCode;

use acceptance::{Sandbox, roles};
use stackkit::prelude::*;
use stackkit_k8s::KubernetesState;
use test_servers::Kubernetes;

#[stackkit::program(backends(KubernetesState))]
async fn shop(stack: &mut Stack) -> Result<()> {
    roles::shop(stack)
}

fn main() -> ExitCode {
    acceptance::itself(shop(), test)
}

fn test() {
    let server = Kubernetes::start().unwrap_or_else(|error| panic!("{error}"));
    let kubectl = |arguments: &[&str]| server.kubectl(arguments);
    let allowed = |arguments: &[&str]| kubectl(arguments).unwrap_or_else(|error| panic!("{error}"));
    allowed(&["create", "namespace", "infra"]);
    let sandbox =
        Sandbox::itself().with_env(server.env()).with_env([("STACKKIT_BACKEND", "k8s://infra"), ("COLUMNS", "1000")]);
    sandbox.run(&["up", "--yes"]).expect(0);
    sandbox.run(&["stack", "new", "other"]).expect(0);
    sandbox.run(&["up", "--yes", "-s", "other"]).expect(0);

    let people = [("viewer", "vera"), ("deployer", "dora"), ("admin", "ada")];
    let kubeconfigs = people.map(|(role, person)| {
        server.apply(&roles::grant(&sandbox, "dev", role)).unwrap_or_else(|error| panic!("{error}"));
        let user = server.user(person, &format!("stackkit-dev-{role}")).unwrap_or_else(|error| panic!("{error}"));
        user.display().to_string()
    });

    // The server itself, asked by each of them.
    let [viewer, deployer, admin] = &kubeconfigs;
    let ask = |kubeconfig: &str, arguments: &[&str]| {
        let kubeconfig = format!("--kubeconfig={kubeconfig}");
        kubectl(&[&["-n", "infra", kubeconfig.as_str()], arguments].concat())
    };
    let create = ["create", "secret", "generic", "mine"];
    let refused = ask(viewer, &create).map(drop).unwrap_err().to_string();
    assert!(refused.contains("cannot create resource \"secrets\""), "{refused}");
    for forbidden in [
        &["delete", "secret", "--all"][..],
        &["delete", "lease", "stackkit-dev"],
        &["annotate", "lease", "stackkit-dev", "a=b"],
    ] {
        assert!(ask(viewer, forbidden).is_err(), "a viewer may {forbidden:?}");
    }
    assert!(ask(viewer, &["get", "leases"]).is_ok_and(|shown| shown.contains("stackkit-dev")));
    for kubeconfig in [viewer, deployer, admin] {
        let elsewhere = kubectl(&["-n", "default", &format!("--kubeconfig={kubeconfig}"), "get", "secrets"]);
        assert!(elsewhere.is_err(), "somebody reads other namespaces");
        assert!(ask(kubeconfig, &["get", "pods"]).is_err(), "somebody reads other objects");
    }
    // The lock of another stack is not a deployer's.
    let refused = sandbox.run_with_env(&["up", "--yes", "-s", "other"], &[("KUBECONFIG", deployer)]).expect(3);
    assert!(refused.stderr.contains("cannot update resource \"leases\""), "{}", refused.told());

    roles::enforced(&sandbox, [viewer, deployer, admin].map(|kubeconfig| ("KUBECONFIG", kubeconfig.as_str())));
    println!("roles as an API server enforces them");
}
