//! The start of a control plane, process by process, and the wait until it is ready.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::atomic::AtomicUsize,
    thread,
    time::{Duration, Instant},
};

use super::{
    AUDIT_LOG, Kubernetes,
    certificates::{Authority, Identity, kubeconfig, signing_key, write_private},
    install::Binaries,
    run_kubectl,
};
use crate::{
    Error,
    process::{Process, Start, Stdout},
};

const STAGES: &str = include_str!("../../kubernetes/stages.yaml");
const NODE: &str = include_str!("../../kubernetes/node.yaml");
const AUDIT_POLICY: &str = include_str!("../../kubernetes/audit-policy.yaml");

/// Longest time for the whole cluster to become ready; it takes seconds, but not on a machine that is busy building.
const PATIENCE: Duration = Duration::from_secs(180);
/// Pause between two looks at something that becomes ready.
const PAUSE: Duration = Duration::from_millis(50);

/// The administrator: whose requests the audit log keeps.
const ADMIN: &str = "stackkit-admin";
/// The fixture itself, another administrator, so that what it asks is not among the requests of a test.
const FIXTURE: &str = "stackkit-fixture";

/// Everything that a start knows before its first process.
struct Plan<'a> {
    binaries: &'a Binaries,
    folder: &'a Path,
    etcd_port: u16,
    peer_port: u16,
    api_port: u16,
}

/// Starts every process once; [`Error::PortTaken`] says that another attempt has a chance.
pub(super) fn start(binaries: &Binaries) -> Result<Kubernetes, Error> {
    let deadline = Instant::now() + PATIENCE;
    let scratch = tempfile::Builder::new()
        .prefix("stackkit-kubernetes-")
        .tempdir()
        .map_err(Error::file(std::env::temp_dir(), "create a temporary folder in"))?;
    let [etcd_port, peer_port, api_port] = free_ports()?;
    let plan = Plan { binaries, folder: scratch.path(), etcd_port, peer_port, api_port };
    let authority = plan.write_files()?;

    // Should a later step fail, these are dropped in the reverse order: the API server before its etcd.
    let mut etcd = plan.etcd()?;
    let mut api_server = plan.api_server()?;
    while let Err(refusal) = plan.ask(&["get", "--raw", "/readyz"]) {
        etcd.check(etcd_port)?;
        api_server.check(api_port)?;
        if Instant::now() > deadline {
            return Err(api_server.failed(&format!("it is not ready after {} s: {refusal}", PATIENCE.as_secs())));
        }
        thread::sleep(PAUSE);
    }

    let mut controller_manager = plan.controller_manager()?;
    let mut scheduler = plan.scheduler()?;
    let node = plan.folder.join("node.yaml");
    plan.ask(&["create", "-f", &node.display().to_string()])?;
    let mut kwok = plan.kwok()?;
    // The second answer is empty once the node is Ready and the controllers have taken their taints off it.
    let conditions: [(&[&str], &str); 3] = [
        (&["get", "serviceaccount/default", "configmap/kube-root-ca.crt", "-o", "name"], "kube-root-ca.crt"),
        (&["get", "node/node-1", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"], "True"),
        (&["get", "node/node-1", "-o", "jsonpath=taints:{.spec.taints}"], "taints:"),
    ];
    for (question, expected) in conditions {
        loop {
            let answer = plan.ask(question);
            if answer.as_ref().is_ok_and(|answer| answer.trim().ends_with(expected)) {
                break;
            }
            for process in [&mut controller_manager, &mut scheduler, &mut kwok] {
                process.check(0)?;
            }
            if Instant::now() > deadline {
                let answer = answer.unwrap_or_else(|error| error.to_string());
                let question = question.join(" ");
                return Err(kwok.failed(&format!("after {} s `{question}` says `{answer}`", PATIENCE.as_secs())));
            }
            thread::sleep(PAUSE);
        }
    }

    Ok(Kubernetes {
        kwok,
        scheduler,
        controller_manager,
        api_server,
        etcd,
        endpoint: plan.endpoint(),
        kubeconfig: plan.kubeconfig(ADMIN).into(),
        kubectl: binaries.path("kubectl"),
        forgotten_requests: AtomicUsize::new(0),
        authority,
        scratch,
    })
}

impl Plan<'_> {
    fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    /// The path of a file of the cluster, as text for a flag.
    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn kubeconfig(&self, user: &str) -> String {
        self.file(&format!("{user}.kubeconfig"))
    }

    /// Certificates, kubeconfigs and what else the processes read.
    fn write_files(&self) -> Result<Authority, Error> {
        let authority = Authority::new()?;
        let write = |name: &str, content: &str| write_private(&self.folder.join(name), content);
        let identity = |name: &str, identity: Identity| {
            write(&format!("{name}.crt"), &identity.certificate)?;
            write(&format!("{name}.key"), &identity.key)
        };
        write("ca.crt", &authority.certificate())?;
        let (private, public) = signing_key()?;
        write("service-accounts.key", &private)?;
        write("service-accounts.pub", &public)?;
        identity("etcd", authority.server("etcd")?)?;
        identity("kube-apiserver", authority.server("kube-apiserver")?)?;
        identity("etcd-client", authority.client("kube-apiserver", None)?)?;
        let masters = Some("system:masters");
        for (user, group) in [
            (ADMIN, masters),
            (FIXTURE, masters),
            ("kwok", masters),
            ("system:kube-controller-manager", None),
            ("system:kube-scheduler", None),
        ] {
            let identity = authority.client(user, group)?;
            let path = self.kubeconfig(user);
            write_private(Path::new(&path), &kubeconfig(&self.endpoint(), &authority, user, &identity))?;
        }
        write("stages.yaml", STAGES)?;
        write("node.yaml", NODE)?;
        write("audit-policy.yaml", AUDIT_POLICY)?;
        write(AUDIT_LOG, "")?;
        Ok(authority)
    }

    fn etcd(&self) -> Result<Process, Error> {
        let client = format!("https://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        self.start(
            "etcd",
            [
                ("data-dir", self.file("etcd")),
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", format!("default={peer}")),
                // Certificates of this cluster's own authority: another etcd on the port is never taken for this one.
                ("cert-file", self.file("etcd.crt")),
                ("key-file", self.file("etcd.key")),
                ("trusted-ca-file", self.file("ca.crt")),
                ("client-cert-auth", "true".to_owned()),
                ("unsafe-no-fsync", "true".to_owned()),
                ("log-level", "warn".to_owned()),
            ],
            // The last to be stopped is the one to clear the folder away after a sudden death.
            Some(self.folder),
        )
    }

    fn api_server(&self) -> Result<Process, Error> {
        let issuer = "https://kubernetes.default.svc.cluster.local".to_owned();
        self.start(
            "kube-apiserver",
            [
                ("advertise-address", "127.0.0.1".to_owned()),
                ("bind-address", "127.0.0.1".to_owned()),
                ("secure-port", self.api_port.to_string()),
                ("etcd-servers", format!("https://127.0.0.1:{}", self.etcd_port)),
                ("etcd-cafile", self.file("ca.crt")),
                ("etcd-certfile", self.file("etcd-client.crt")),
                ("etcd-keyfile", self.file("etcd-client.key")),
                ("cert-dir", self.file("kube-apiserver")),
                ("tls-cert-file", self.file("kube-apiserver.crt")),
                ("tls-private-key-file", self.file("kube-apiserver.key")),
                ("client-ca-file", self.file("ca.crt")),
                ("service-account-issuer", issuer),
                ("service-account-key-file", self.file("service-accounts.pub")),
                ("service-account-signing-key-file", self.file("service-accounts.key")),
                ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
                ("authorization-mode", "Node,RBAC".to_owned()),
                ("allow-privileged", "true".to_owned()),
                ("audit-policy-file", self.file("audit-policy.yaml")),
                ("audit-log-path", self.file(AUDIT_LOG)),
            ],
            None,
        )
    }

    fn controller_manager(&self) -> Result<Process, Error> {
        let kubeconfig = self.kubeconfig("system:kube-controller-manager");
        self.start(
            "kube-controller-manager",
            [
                ("kubeconfig", kubeconfig.clone()),
                ("authentication-kubeconfig", kubeconfig.clone()),
                ("authorization-kubeconfig", kubeconfig),
                ("leader-elect", "false".to_owned()),
                // Nobody asks it for its health or metrics: no port to find, no port to lose.
                ("secure-port", "0".to_owned()),
                ("service-account-private-key-file", self.file("service-accounts.key")),
                ("root-ca-file", self.file("ca.crt")),
                // It creates this folder, by default among the machine's own.
                ("flex-volume-plugin-dir", self.file("volume-plugins")),
                ("use-service-account-credentials", "true".to_owned()),
            ],
            None,
        )
    }

    fn scheduler(&self) -> Result<Process, Error> {
        let kubeconfig = self.kubeconfig("system:kube-scheduler");
        self.start(
            "kube-scheduler",
            [
                ("kubeconfig", kubeconfig.clone()),
                ("authentication-kubeconfig", kubeconfig.clone()),
                ("authorization-kubeconfig", kubeconfig),
                ("leader-elect", "false".to_owned()),
                ("secure-port", "0".to_owned()),
            ],
            None,
        )
    }

    fn kwok(&self) -> Result<Process, Error> {
        self.start(
            "kwok",
            [
                ("config", self.file("stages.yaml")),
                ("kubeconfig", self.kubeconfig("kwok")),
                ("manage-all-nodes", "true".to_owned()),
                // Without a port of the node's there is no server for logs and exec, which would listen everywhere.
                ("node-port", "0".to_owned()),
                ("node-lease-duration-seconds", "40".to_owned()),
            ],
            None,
        )
    }

    fn start<const N: usize>(
        &self,
        name: &'static str,
        flags: [(&str, String); N],
        scratch: Option<&Path>,
    ) -> Result<Process, Error> {
        Process::start(Start {
            name,
            program: &self.binaries.path(name),
            arguments: flags.into_iter().map(|(flag, value)| OsString::from(format!("--{flag}={value}"))).collect(),
            log: self.folder.join(format!("{name}.log")),
            stdout: Stdout::Log,
            scratch,
        })
    }

    /// Asks the API server in the fixture's own name.
    fn ask(&self, arguments: &[&str]) -> Result<String, Error> {
        run_kubectl(&self.binaries.path("kubectl"), Path::new(&self.kubeconfig(FIXTURE)), self.folder, arguments)
    }
}

/// Ports that nobody listens on at this moment. All are held until all are known, so that they differ.
fn free_ports<const N: usize>() -> Result<[u16; N], Error> {
    let failed = |error| Error::start("kubernetes", format!("there is no free port on 127.0.0.1: {error}"));
    let mut ports = [0; N];
    let mut listeners = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        *port = listener.local_addr().map_err(failed)?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
