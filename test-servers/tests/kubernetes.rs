//! A control plane starts, runs what it is given, fails pods on demand, tells what it was asked, and is gone afterwards.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use test_servers::Kubernetes;

type Outcome = Result<(), Box<dyn Error>>;

/// Whether a process exists, a zombie being none.
fn alive(pid: u32) -> bool {
    let status = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output();
    status.is_ok_and(|status| {
        let state = String::from_utf8_lossy(&status.stdout).trim().to_owned();
        !state.is_empty() && !state.starts_with('Z')
    })
}

fn refused(endpoint: &str) -> bool {
    TcpStream::connect(endpoint.trim_start_matches("https://"))
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Waits until something that is on its way has come.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// A namespace of a test's own in the cluster that the tests share.
fn namespace(name: &str) -> Result<&'static Kubernetes, Box<dyn Error>> {
    let kubernetes = Kubernetes::shared()?;
    kubernetes.kubectl(&["create", "namespace", name])?;
    kubernetes.kubectl(&["wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=60s"])?;
    Ok(kubernetes)
}

/// A pod with the annotation that decides its fate.
fn pod(name: &str, namespace: &str, fate: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, annotations: {{kwok.test/pod: {fate}}}}}, \
         spec: {{containers: [{{name: main, image: example/app}}]}}}}"
    )
}

#[test]
fn a_deployment_becomes_available() -> Outcome {
    let kubernetes = namespace("deployment")?;
    kubernetes.kubectl(&["create", "deployment", "web", "--image=nginx", "--replicas=2", "-n", "deployment"])?;
    kubernetes.kubectl(&[
        "wait",
        "--for=condition=Available",
        "deployment/web",
        "-n",
        "deployment",
        "--timeout=60s",
    ])?;
    let ready = ["get", "deployment/web", "-n", "deployment", "-o", "jsonpath={.status.readyReplicas}"];
    assert_eq!(kubernetes.kubectl(&ready)?, "2");
    // Without a controller manager a foreground deletion never ends.
    kubernetes.kubectl(&["delete", "namespace", "deployment", "--cascade=foreground", "--timeout=60s"])?;
    Ok(())
}

#[test]
fn a_job_completes_and_another_fails() -> Outcome {
    let kubernetes = namespace("jobs")?;
    for (name, annotations) in [("good", ""), ("bad", "annotations: {kwok.test/pod: job-fail}")] {
        kubernetes.apply(&format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, namespace: jobs}}, spec: {{backoffLimit: 0, \
             template: {{metadata: {{{annotations}}}, spec: {{restartPolicy: Never, containers: [{{name: main, image: app}}]}}}}}}}}"
        ))?;
    }
    kubernetes.kubectl(&["wait", "--for=condition=Complete", "job/good", "-n", "jobs", "--timeout=60s"])?;
    kubernetes.kubectl(&["wait", "--for=condition=Failed", "job/bad", "-n", "jobs", "--timeout=60s"])?;
    let code = "jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}";
    let code = kubernetes.kubectl(&["get", "pods", "-l", "job-name=bad", "-n", "jobs", "-o", code])?;
    assert_eq!(code, "3");
    Ok(())
}

#[test]
fn pods_fail_as_their_annotation_says() -> Outcome {
    let kubernetes = namespace("fates")?;
    let waiting = "{.status.containerStatuses[0].state.waiting.reason}";
    let ready = "{.status.conditions[?(@.type==\"Ready\")].status}";
    let fates = [
        ("image-pull", waiting, "ImagePullBackOff"),
        ("config-error", waiting, "CreateContainerConfigError"),
        ("crash-loop", waiting, "CrashLoopBackOff"),
        ("oom", "{.status.containerStatuses[0].lastState.terminated.reason}", "OOMKilled"),
        ("never-ready", ready, "False"),
        ("slow", ready, "True"),
        ("evicted", "{.status.reason}", "Evicted"),
    ];
    for (fate, ..) in fates {
        kubernetes.apply(&pod(fate, "fates", fate))?;
    }
    for (fate, path, expected) in fates {
        let wait = format!("--for=jsonpath={path}={expected}");
        kubernetes
            .kubectl(&["wait", &wait, &format!("pod/{fate}"), "-n", "fates", "--timeout=60s"])
            .map_err(|error| format!("{fate}: {error}"))?;
    }
    let running = kubernetes.kubectl(&["get", "pod/never-ready", "-n", "fates", "-o", "jsonpath={.status.phase}"])?;
    assert_eq!(running, "Running");
    // The count of restarts goes on growing.
    let twice = "--for=jsonpath={.status.containerStatuses[0].restartCount}=2";
    kubernetes.kubectl(&["wait", twice, "pod/crash-loop", "-n", "fates", "--timeout=60s"])?;
    Ok(())
}

#[test]
fn load_balancers_get_an_address() -> Outcome {
    let kubernetes = namespace("balancers")?;
    kubernetes.kubectl(&["create", "service", "loadbalancer", "web", "--tcp=80", "-n", "balancers"])?;
    kubernetes.kubectl(&["create", "ingress", "web", "--rule=example.org/=web:80", "-n", "balancers"])?;
    for object in ["service/web", "ingress/web"] {
        let wait = "--for=jsonpath={.status.loadBalancer.ingress[0].ip}=203.0.113.10";
        kubernetes.kubectl(&["wait", wait, object, "-n", "balancers", "--timeout=60s"])?;
    }
    Ok(())
}

#[test]
fn the_kubeconfig_is_private_and_requests_are_logged() -> Outcome {
    let kubernetes = namespace("requests")?;
    assert_eq!(kubernetes.kubeconfig().metadata()?.permissions().mode() & 0o777, 0o600);
    kubernetes.kubectl(&["create", "configmap", "some", "-n", "requests"])?;
    let mine = |request: &test_servers::Request| request.uri.starts_with("/api/v1/namespaces/requests/configmaps");
    let created = kubernetes.requests()?.into_iter().find(mine).ok_or("the request is not in the log")?;
    assert_eq!((created.verb.as_str(), created.status), ("create", 201));
    kubernetes.clear_requests()?;
    assert!(!kubernetes.requests()?.iter().any(mine));
    let error = kubernetes.kubectl(&["get", "configmap", "none", "-n", "requests"]).err().ok_or("found")?;
    assert!(error.to_string().contains("NotFound"), "{error}");
    assert!(kubernetes.requests()?.iter().any(|request| mine(request) && request.status == 404));
    Ok(())
}

#[test]
fn nothing_is_left_after_drop() -> Outcome {
    let kubernetes = Kubernetes::start()?;
    let (endpoint, pids) = (kubernetes.endpoint().to_owned(), kubernetes.pids());
    let folder = kubernetes.kubeconfig().parent().map(Path::to_owned).ok_or("no folder")?;
    assert!(pids.into_iter().all(alive) && !refused(&endpoint));
    let start = Instant::now();
    drop(kubernetes);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(!pids.into_iter().any(alive));
    assert!(refused(&endpoint));
    assert!(!folder.exists());
    Ok(())
}

/// The command line's `kubernetes` is what is killed here: it dies without any chance to clean up.
#[test]
fn nothing_is_left_after_sigkill() -> Outcome {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_test-servers"))
        .arg("kubernetes")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().ok_or("no stdout")?).lines();
    let line = lines.next().ok_or("it ended early")??;
    let quoted = line.strip_prefix("export KUBECONFIG='").and_then(|rest| rest.strip_suffix('\''));
    let kubeconfig = PathBuf::from(quoted.ok_or_else(|| format!("not a kubeconfig: {line}"))?);
    let text = std::fs::read_to_string(&kubeconfig)?;
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).ok_or("no server")?;
    assert!(!refused(server));
    owner.kill()?;
    owner.wait()?;
    eventually("the API server outlived its owner", || refused(server));
    eventually("the folder outlived its owner", || !kubeconfig.parent().is_some_and(Path::exists));
    Ok(())
}
