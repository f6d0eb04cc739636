//! A genuine Kubernetes control plane, with kwok for its node: its start, its end, and what a test asks of it.

mod certificates;
mod install;
mod proxy;
mod start;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Error, process::Process};
pub(crate) use install::install;
pub use proxy::Proxy;

/// How often a start is tried with other ports when somebody took one of them in between.
const ATTEMPTS: usize = 5;

/// Name of the audit log in a cluster's temporary folder.
const AUDIT_LOG: &str = "audit.log";
/// Name of the folder where `kubectl` keeps what it discovered about a cluster.
const KUBECTL_CACHE: &str = "kubectl-cache";

/// A Kubernetes cluster of one's own: etcd, API server, controller manager and scheduler, and one node that kwok plays.
///
/// Deployments become available and Jobs complete within seconds. A pod with the annotation `kwok.test/pod` goes another
/// way: `image-pull`, `config-error`, `crash-loop`, `oom`, `never-ready`, `slow` (ready after 4 s), `job-fail`, `evicted`.
/// Services of type `LoadBalancer` and Ingresses get the address 203.0.113.10, unless annotated `kwok.test/lb`.
///
/// Dropping it ends all its processes, and so does the death of the process, be it by `SIGKILL`. It takes about 540 MB.
///
/// ```no_run
/// let kubernetes = test_servers::Kubernetes::start()?;
/// kubernetes.kubectl(&["create", "deployment", "web", "--image=nginx"])?;
/// kubernetes.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?;
/// # Ok::<_, test_servers::Error>(())
/// ```
#[derive(Debug)]
pub struct Kubernetes {
    // In the order in which they are stopped: an API server whose etcd has gone first lingers, and holds its port.
    kwok: Process,
    scheduler: Process,
    controller_manager: Process,
    api_server: Process,
    etcd: Process,
    endpoint: String,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    forgotten_requests: AtomicUsize,
    authority: certificates::Authority,
    scratch: TempDir,
}

impl Kubernetes {
    /// Starts a cluster on free ports of 127.0.0.1 and waits until its node is ready.
    ///
    /// Binaries come from the folder in `KUBEBUILDER_ASSETS`, as far as it has them, and from the cache; what is in
    /// neither is built from source first, which takes ten minutes with two cores, once.
    ///
    /// # Errors
    ///
    /// [`Error::Install`] where a binary cannot be built, [`Error::Start`] where a process does not start or the cluster
    /// does not become ready.
    pub fn start() -> Result<Self, Error> {
        let binaries = install()?;
        let mut attempt = 1;
        loop {
            match start::start(&binaries) {
                Err(Error::PortTaken { .. }) if attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    /// One cluster for all tests of a process, started by the first that asks for it.
    ///
    /// It ends with the process. Tests that share it take a namespace each.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start). A failure is remembered too: every later call tells the same.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<Kubernetes, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// The kubeconfig of an administrator, in a temporary folder, readable by its owner alone and complete in itself.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The folder of etcd's files, where everything stands that the API server has ever kept: nothing is compacted for
    /// the first five minutes, and its log of writes goes back further.
    pub fn data_folder(&self) -> PathBuf {
        self.scratch.path().join("etcd")
    }

    /// Where the API server listens, such as `https://127.0.0.1:41234`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Environment under which `kubectl` and Kubernetes clients use this cluster.
    ///
    /// `kubectl` keeps what it discovered by address, and another cluster may have had this one: it gets its own cache.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("KUBECONFIG", self.kubeconfig.display().to_string()),
            ("KUBECACHEDIR", self.scratch.path().join(KUBECTL_CACHE).display().to_string()),
        ]
    }

    /// The `kubectl` that belongs to this cluster.
    pub fn kubectl_path(&self) -> &Path {
        &self.kubectl
    }

    /// A way to the API server without TLS, as the administrator, for tests that look into what goes over it.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] where it does not start.
    pub fn proxy(&self) -> Result<Proxy, Error> {
        Proxy::start(&self.kubectl, &self.kubeconfig)
    }

    /// A kubeconfig, in the cluster's temporary folder, for a user of a group, who may do nothing but
    /// what is bound to either.
    ///
    /// # Errors
    ///
    /// [`Error::File`] where it cannot be written, [`Error::Start`] where there is no certificate for it.
    pub fn user(&self, name: &str, group: &str) -> Result<PathBuf, Error> {
        let identity = self.authority.client(name, Some(group))?;
        let path = self.scratch.path().join(format!("user-{name}.kubeconfig"));
        certificates::write_private(
            &path,
            &certificates::kubeconfig(&self.endpoint, &self.authority, name, &identity),
        )?;
        Ok(path)
    }

    /// The process ids of its servers: etcd, API server, controller manager, scheduler, kwok.
    pub fn pids(&self) -> [u32; 5] {
        [&self.etcd, &self.api_server, &self.controller_manager, &self.scheduler, &self.kwok].map(Process::pid)
    }

    /// Runs `kubectl` as the administrator and returns what it wrote to stdout.
    ///
    /// # Errors
    ///
    /// [`Error::Kubectl`] with what it wrote to stderr where it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, Error> {
        run_kubectl(&self.kubectl, &self.kubeconfig, self.scratch.path(), arguments)
    }

    /// Creates or changes the objects of a manifest (YAML or JSON), as `kubectl apply --server-side` does.
    ///
    /// # Errors
    ///
    /// [`Error::Kubectl`] where the server refuses one of them, [`Error::File`] where the manifest cannot be passed on.
    pub fn apply(&self, manifest: &str) -> Result<String, Error> {
        let mut file = tempfile::NamedTempFile::new_in(self.scratch.path())
            .map_err(Error::file(self.scratch.path(), "create a temporary file in"))?;
        file.write_all(manifest.as_bytes()).map_err(Error::file(file.path(), "write"))?;
        self.kubectl(&["apply", "--server-side", "-f", &file.path().display().to_string()])
    }

    /// What the holder of the administrator's kubeconfig asked of the API server, oldest first.
    ///
    /// `kubectl` is one of them, be it called through [`kubectl`](Self::kubectl). A watch is listed when it starts, any
    /// other request when it is answered.
    ///
    /// # Errors
    ///
    /// [`Error::File`] where the audit log cannot be read.
    pub fn requests(&self) -> Result<Vec<Request>, Error> {
        let mut requests = self.all_requests()?;
        requests.drain(..self.forgotten_requests.load(Ordering::SeqCst).min(requests.len()));
        Ok(requests)
    }

    /// Forgets the requests so far: [`requests`](Self::requests) tells of later ones only.
    ///
    /// # Errors
    ///
    /// [`Error::File`] where the audit log cannot be read.
    pub fn clear_requests(&self) -> Result<(), Error> {
        self.forgotten_requests.store(self.all_requests()?.len(), Ordering::SeqCst);
        Ok(())
    }

    /// Blocks until the API server ends by itself, which it does only when something outside kills it.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] where the operating system cannot tell.
    pub fn wait(mut self) -> Result<ExitStatus, Error> {
        self.api_server.wait()
    }

    fn all_requests(&self) -> Result<Vec<Request>, Error> {
        let path = self.scratch.path().join(AUDIT_LOG);
        let log = fs::read_to_string(&path).map_err(Error::file(&path, "read"))?;
        Ok(log.lines().filter_map(Request::parse).collect())
    }
}

/// Runs `kubectl` and returns what it wrote to stdout.
fn run_kubectl(kubectl: &Path, kubeconfig: &Path, scratch: &Path, arguments: &[&str]) -> Result<String, Error> {
    let failed = |detail: String| Error::Kubectl { arguments: arguments.join(" "), detail };
    let output = Command::new(kubectl)
        .env("KUBECONFIG", kubeconfig)
        .env("KUBECACHEDIR", scratch.join(KUBECTL_CACHE))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("cannot run {}: {error}", kubectl.display())))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A request that the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// What RBAC calls it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Path and query.
    pub uri: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

impl Request {
    /// A line of the audit log.
    fn parse(line: &str) -> Option<Self> {
        // The last line may still be being written: it is one of the next look's.
        let event: Value = serde_json::from_str(line).ok()?;
        let verb = event["verb"].as_str()?;
        let expected = if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
        if event["stage"] != expected {
            return None;
        }
        Some(Self {
            verb: verb.to_owned(),
            uri: event["requestURI"].as_str()?.to_owned(),
            status: u16::try_from(event["responseStatus"]["code"].as_u64()?).ok()?,
        })
    }
}
