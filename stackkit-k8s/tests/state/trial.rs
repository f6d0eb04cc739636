//! The trial of Kubernetes as a place for states, on a genuine control plane. Writers are processes, so this test has no
//! harness. `STACKKIT_TRIAL_ROUNDS=1000` makes it a long one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use stackkit::state::place::{BackendKind as _, BackendUrl};
use stackkit::testing::backend::{Trial, Tried, worker};
use stackkit_k8s::KubernetesState;
use test_servers::{Error, Kubernetes, Lossy};

const NAMESPACE: &str = "trial";
const SERVER: &str = "STACKKIT_TRIAL_SERVER";
const FOLDER: &str = "STACKKIT_TRIAL_FOLDER";

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The namespace, by a way on which answers get lost.
fn open(url: &str) -> Tried {
    let server: SocketAddr = variable(SERVER).parse().unwrap_or_else(|error| panic!("{SERVER}: {error}"));
    let lossy = Arc::new(Lossy::start(server).unwrap_or_else(|error| panic!("{error}")));
    let kubeconfig = Path::new(&variable(FOLDER)).join(format!("{}.yaml", std::process::id()));
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: lossy, cluster: {{server: \"http://{}\"}}}}]\n\
         contexts: [{{name: lossy, context: {{cluster: lossy}}}}]\ncurrent-context: lossy\n",
        lossy.address()
    );
    std::fs::write(&kubeconfig, text).unwrap_or_else(|error| panic!("{error}"));
    let url = format!("{url}&kubeconfig={}", kubeconfig.display());
    let url = BackendUrl::parse(&url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    let mark = format!("POST /api/v1/namespaces/{NAMESPACE}/secrets");
    Tried::new(KubernetesState::open(url)).losing_answers(move || lossy.lose_answer_to(mark.as_bytes()))
}

fn trial() -> Result<ExitCode, Error> {
    let server = Kubernetes::start()?;
    server.kubectl(&["create", "namespace", NAMESPACE])?;
    let proxy = server.proxy()?;
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let trial = Trial::new(format!("k8s://{NAMESPACE}?ttl=1s"))
        .rounds(20)
        .env(SERVER, proxy.address().to_string())
        .env(FOLDER, folder.path());
    Ok(trial.main())
}

fn main() -> ExitCode {
    if let Some(status) = worker(open) {
        return status;
    }
    trial().unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}
