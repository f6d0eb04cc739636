//! The backend against a genuine control plane: what is in the cluster, what becomes of large states and of what stops
//! half-way, and what people are told.

use std::path::Path;
use std::sync::Arc;

use stackkit::state::backend::{Backend, BackendError, Holder, Position};
use stackkit::state::lease::settled;
use stackkit::state::place::{BackendKind as _, BackendUrl, Place};
use stackkit::testing::backend::requests;
use stackkit_k8s::KubernetesState;
use test_servers::{Kubernetes, Lossy};

/// Longest content of one Secret of a state.
const LONGEST: usize = 768 * 1024;

struct Cluster {
    server: &'static Kubernetes,
    namespace: &'static str,
}

impl Cluster {
    fn new(namespace: &'static str) -> Self {
        let server = Kubernetes::shared().unwrap_or_else(|error| panic!("{error}"));
        server.kubectl(&["create", "namespace", namespace]).unwrap_or_else(|error| panic!("{error}"));
        Self { server, namespace }
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["-n", self.namespace], arguments].concat();
        self.server.kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    async fn place(&self, options: &str) -> Arc<dyn Place> {
        let kubeconfig = self.server.kubeconfig().display();
        open(&format!("k8s://{}?kubeconfig={kubeconfig}{options}", self.namespace)).await
    }

    async fn stack(&self, name: &str) -> Arc<dyn Backend> {
        self.place("").await.stack(name).unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(&self, label: &str) -> Vec<String> {
        let names = self.kubectl(&["get", "secrets", "-l", label, "-o", "name"]);
        names.lines().map(|name| name.trim_start_matches("secret/").to_owned()).collect()
    }
}

async fn open(url: &str) -> Arc<dyn Place> {
    let url = BackendUrl::parse(url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    KubernetesState::open(url).await.unwrap_or_else(|error| panic!("{error}"))
}

fn holder() -> Holder {
    Holder::new("up").unwrap_or_else(|error| panic!("{error}"))
}

fn entry(n: u64, text: &str) -> Vec<u8> {
    format!("{{\"stackkit\":1,\"n\":{n},\"text\":\"{text}\"}}").into_bytes()
}

fn snapshot(position: u64, text: &str) -> Vec<u8> {
    format!("{{\n\"stackkit\": 1,\n\"position\": {position},\n\"text\": \"{text}\"\n}}\n").into_bytes()
}

async fn load(backend: &dyn Backend) -> stackkit::state::backend::Loaded {
    backend.load().await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_is_one_request_however_large_the_stack_is() {
    let cluster = Cluster::new("steps");
    let proxy = cluster.server.proxy().unwrap_or_else(|error| panic!("{error}"));
    let way = Lossy::start(proxy.address()).unwrap_or_else(|error| panic!("{error}"));
    let kubeconfig = tempfile::NamedTempFile::new().unwrap_or_else(|error| panic!("{error}"));
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: way, cluster: {{server: \"http://{}\"}}}}]\n\
         contexts: [{{name: way, context: {{cluster: way}}}}]\ncurrent-context: way\n",
        way.address()
    );
    std::fs::write(kubeconfig.path(), text).unwrap_or_else(|error| panic!("{error}"));
    let place = open(&format!("k8s://steps?ttl=3600s&kubeconfig={}", kubeconfig.path().display())).await;
    let backend = place.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    // Where the requests go to, without names and numbers.
    let heard = || {
        let kind = |request: String| {
            let (method, path) = request.split_once(' ').unwrap_or_default();
            let known =
                ["/leases/", "/secrets/", "/secrets?", "/secrets"].into_iter().find(|known| path.contains(known));
            format!("{method} {}", known.unwrap_or(path))
        };
        way.requests().into_iter().map(kind).collect()
    };
    for size in requests(backend, heard).await.unwrap_or_else(|error| panic!("{error}")) {
        assert!(size.steps.iter().all(|step| *step == ["POST /secrets"]), "{size:?}");
        // The four entries go one by one; the last look is for what has begun and was never finished.
        let mut fold = size.fold.clone();
        fold.dedup();
        assert_eq!(fold, ["GET /leases/", "POST /secrets", "DELETE /secrets/", "GET /secrets?"], "{size:?}");
        assert_eq!(size.fold.len(), 3 + 4, "{size:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_is_a_lease_that_kubectl_shows() {
    let cluster = Cluster::new("lease");
    let backend = cluster.stack("prod_EU").await;
    let holder = holder();
    let lease = backend.acquire(holder.clone()).await.unwrap_or_else(|error| panic!("{error}"));
    let name = "stackkit-prod--5f--45--55";
    let shown = cluster.kubectl(&["get", "leases"]);
    let row = shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{shown}"));
    assert!(row.contains(&holder.who) && row.contains("(up, "), "{row}");
    let field = |path: &str| cluster.kubectl(&["get", "lease", name, "-o", &format!("jsonpath={{.spec.{path}}}")]);
    assert_eq!(field("leaseDurationSeconds"), "30");
    assert!(field("acquireTime").ends_with('Z') && field("renewTime").ends_with('Z'));
    let other = cluster.stack("prod_EU").await;
    let error = other.acquire(Holder::new("destroy").unwrap()).await.map(drop).unwrap_err();
    assert!(error.is_locked() && error.to_string().contains(&holder.who), "{error}");
    drop(lease);
    settled().await;
    assert_eq!(field("holderIdentity"), "", "a lock that was given back names nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_beyond_one_secret_is_in_parts() {
    let cluster = Cluster::new("large");
    let backend = cluster.stack("big").await;
    let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    // Two full parts and a bit, as an entry and as a folded state.
    let long = "ä".repeat(LONGEST);
    let first = entry(1, &long);
    backend.append(&*lease, Position(0), &first).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(load(&*cluster.stack("big").await).await.entries, [first]);
    assert_eq!(cluster.names("stackkit.dev/state-part=big").len(), 3);
    let folded = snapshot(1, &long);
    backend.compact(&*lease, Position(1), &folded).await.unwrap_or_else(|error| panic!("{error}"));
    let loaded = load(&*cluster.stack("big").await).await;
    assert_eq!(loaded.snapshot, Some(folded));
    assert_eq!(cluster.names("stackkit.dev/state=big").len(), 1, "the entry is folded");
    assert!(cluster.names("stackkit.dev/state-begun").is_empty());
    // The parts of the entry go with it.
    for _ in 0..300 {
        if cluster.names("stackkit.dev/state-part=big").len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let parts = cluster.names("stackkit.dev/state-part=big");
    assert!(parts.len() == 3 && parts.iter().all(|name| name.contains(".snap.")), "{parts:?}");
    // One that is lost is told from one that a fold took away.
    cluster.kubectl(&["delete", "secret", &parts[1]]);
    let error = cluster.stack("big").await.load().await.map(drop).unwrap_err();
    assert!(matches!(&error, BackendError::Corrupt(why) if why.contains("part 1 is missing")), "{error}");
    drop(lease);
    settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_begun_and_is_not_whole_is_not_there() {
    let cluster = Cluster::new("begun");
    let backend = cluster.stack("dev").await;
    let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    backend.append(&*lease, Position(0), &entry(1, "one")).await.unwrap_or_else(|error| panic!("{error}"));
    // What a writer leaves that is killed between its parts, in the way of the next entry.
    let begun = format!(
        "apiVersion: v1\nkind: Secret\ntype: stackkit.dev/state\nmetadata:\n  name: stackkit-dev.log.{:020}\n  \
         namespace: begun\n  labels: {{stackkit.dev/state-begun: dev}}\n  annotations:\n    \
         stackkit.dev/key: stacks/dev/log/{:020}\n    stackkit.dev/size: \"2000000\"\n    stackkit.dev/parts: \"3\"\n",
        1, 1
    );
    cluster.server.apply(&begun).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(load(&*cluster.stack("dev").await).await.position, Position(1));
    backend.append(&*lease, Position(1), &entry(2, "two")).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(load(&*cluster.stack("dev").await).await.entries.len(), 2);
    assert!(cluster.names("stackkit.dev/state-begun").is_empty());
    drop(lease);
    settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_page_is_listed() {
    let cluster = Cluster::new("pages");
    let place = cluster.place("").await;
    let stacks = ["a", "a-b", "a_b", "a.b", "A"];
    for name in stacks {
        let backend = place.stack(name).unwrap_or_else(|error| panic!("{error}"));
        let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
        let count = if name == "a" { 510 } else { 1 };
        for n in 0..count {
            backend.append(&*lease, Position(n), &entry(n + 1, name)).await.unwrap_or_else(|error| panic!("{error}"));
        }
        drop(lease);
        settled().await;
    }
    let mut all = stacks.map(str::to_owned);
    all.sort();
    assert_eq!(place.list().await.unwrap_or_else(|error| panic!("{error}")), all);
    for name in stacks {
        let loaded = load(&*cluster.stack(name).await).await;
        assert_eq!(loaded.entries.len(), if name == "a" { 510 } else { 1 });
        assert!(loaded.entries.iter().all(|bytes| bytes.ends_with(format!("\"{name}\"}}").as_bytes())), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told_what_it_takes() {
    let cluster = Cluster::new("denied");
    let user = cluster.server.user("nobody", "nobodies").unwrap_or_else(|error| panic!("{error}"));
    let place = open(&format!("k8s://denied?kubeconfig={}", user.display())).await;
    let backend = place.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    let error = backend.load().await.map(drop).unwrap_err();
    assert!(error.is_denied(), "{error}");
    let error = error.to_string();
    assert!(error.contains("User \"nobody\" cannot list resource \"secrets\"") && error.contains("access"), "{error}");
    let nowhere = open(&format!("k8s://nowhere?kubeconfig={}", cluster.server.kubeconfig().display())).await;
    let backend = nowhere.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(load(&*backend).await.position, Position(0));
    let error = backend.acquire(holder()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("kubectl create namespace nowhere"), "{error}");
}
