//! The whole life of the stack as its users live it, on a genuine control plane: kills at random instants, secrets
//! nowhere in plain text, pods that fail, and another cluster.

use acceptance::{Canary, Sandbox};
use test_servers::Kubernetes;

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-kubernetes");

fn server() -> Kubernetes {
    Kubernetes::start().unwrap_or_else(|error| panic!("{error}"))
}

fn sandbox(server: &Kubernetes) -> Sandbox {
    Sandbox::new(PROGRAM).with_env(server.env())
}

/// The objects of the stack, by kind.
fn objects(server: &Kubernetes) -> Vec<String> {
    let kinds = "namespaces,configmaps,secrets,deployments,services";
    let list = ["get", kinds, "-A", "-l", "stackkit.dev/lineage", "-o", "jsonpath={range .items[*]}{.kind} {end}"];
    let text = server.kubectl(&list).unwrap_or_else(|error| panic!("{error}"));
    let mut kinds: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    kinds.sort();
    kinds
}

const ALL: [&str; 5] = ["ConfigMap", "Deployment", "Namespace", "Secret", "Service"];

#[test]
fn killed_at_twenty_instants_of_up() {
    let server = server();
    let sandbox = sandbox(&server);
    let up = sandbox.run(&["up", "--yes"]).expect(0);
    let reset = || {
        sandbox.run(&["destroy", "--yes"]).expect(0);
        assert_eq!(objects(&server), Vec::<String>::new());
    };
    sandbox.kill_at_random(&["up", "--yes"], &up, 20, reset, |round| {
        assert_eq!(objects(&server), ALL, "{round}");
        sandbox.run(&["up", "--yes", "--expect-no-changes"]).expect(0);
    });
}

#[test]
fn killed_at_twenty_instants_of_destroy() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run(&["up", "--yes"]).expect(0);
    let destroy = sandbox.run(&["destroy", "--yes"]).expect(0);
    let reset = || {
        sandbox.run(&["up", "--yes"]).expect(0);
    };
    sandbox.kill_at_random(&["destroy", "--yes"], &destroy, 20, reset, |round| {
        assert_eq!(objects(&server), Vec::<String>::new(), "{round}");
    });
}

#[test]
fn secrets_failing_pods_and_another_cluster() {
    let server = server();
    let sandbox = sandbox(&server);
    sandbox.run(&["preview", "--json"]).expect(0);
    sandbox.run(&["up", "--yes", "--json", "-v"]).expect(0);

    let read = ["get", "secrets", "-A", "-l", "stackkit.dev/lineage", "-o"];
    let encoded = server.kubectl(&[&read[..], &["jsonpath={.items[0].data.DATABASE_PASSWORD}"]].concat());
    let go = "go-template={{range .items}}{{.data.DATABASE_PASSWORD | base64decode}}{{end}}";
    let password = server.kubectl(&[&read[..], &[go]].concat()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(password.len(), 24, "kubectl sees what the program made");
    let password = Canary::of(&password);
    assert!(encoded.is_ok_and(|encoded| password.find(encoded.as_bytes()) == Some("base64")));

    // Its namespace is not ours to delete by hand; one object is, and comes back.
    let namespace: serde_json::Value =
        serde_json::from_str(&sandbox.run(&["outputs", "--json"]).expect(0).stdout).expect("JSON");
    let namespace = namespace["namespace"].as_str().expect("its name").to_owned();
    server.kubectl(&["delete", "configmaps", "-n", &namespace, "-l", "stackkit.dev/lineage"]).expect("deleted");
    let mended = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    assert_eq!(mended.count("create"), 1, "{}", mended.stdout);

    // Images that cannot be pulled: kwok plays that for pods with the annotation, which an admission would add; here
    // the Deployment is patched from outside, which is drift, and the pods' fate is told by the next run.
    let patch = r#"{"spec":{"template":{"metadata":{"annotations":{"kwok.test/pod":"image-pull"}}}}}"#;
    server.kubectl(&["patch", "deployment", "-n", &namespace, "--all", "-p", patch]).map(drop).unwrap_or_else(|_| {
        let names = server.kubectl(&["get", "deployments", "-n", &namespace, "-o", "name"]).expect("its name");
        server.kubectl(&["patch", names.trim(), "-n", &namespace, "-p", patch]).expect("patched");
    });
    sandbox.run(&["config", "set", "image", "registry.example/not/there:1"]).expect(0);
    let failed = sandbox.run(&["up", "--yes"]).expect(1);
    assert!(failed.stderr.contains("ImagePullBackOff") || failed.stderr.contains("ErrImagePull"), "{}", failed.stderr);

    // Another cluster must never look like everything having vanished.
    let other = self::server();
    let kubeconfig = other.kubeconfig().display().to_string();
    let state = std::fs::read(sandbox.stack().join(".stackkit/dev.state.json")).expect("the state");
    let refused = sandbox.run_with_env(&["up", "--yes"], &[("KUBECONFIG", &kubeconfig)]).expect(3);
    assert!(refused.stderr.contains("leads to"), "{}", refused.stderr);
    assert_eq!(std::fs::read(sandbox.stack().join(".stackkit/dev.state.json")).expect("the state"), state);
    assert_eq!(objects(&other), Vec::<String>::new());

    sandbox.run(&["destroy", "--yes", "--json"]).expect(0);
    assert_eq!(objects(&server), Vec::<String>::new());
    assert_eq!(sandbox.traces(&password, &[]), Vec::<String>::new());
}
