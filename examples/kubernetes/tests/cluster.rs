//! The example as a user runs it, on a genuine control plane: its whole life, and its death at any moment.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use test_servers::Kubernetes;

struct Shop {
    dir: tempfile::TempDir,
    server: Kubernetes,
}

impl Shop {
    fn new() -> Self {
        let server = Kubernetes::start().unwrap_or_else(|error| panic!("{error}"));
        Self { dir: tempfile::tempdir().expect("a folder"), server }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example-kubernetes"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("KUBECONFIG", self.server.kubeconfig())
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.dir.path())
            .env("XDG_STATE_HOME", self.dir.path())
            .env_remove("STACKKIT_PASSPHRASE")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("it starts");
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{arguments:?}: {status}\n{stdout}\n{stderr}");
        stdout.into_owned()
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    }

    /// How many requests so far changed something.
    fn writes(&self) -> usize {
        let requests = self.server.requests().expect("there is a log");
        requests.iter().filter(|request| matches!(&*request.verb, "patch" | "create" | "delete" | "update")).count()
    }

    /// The objects of the stack, by kind.
    fn objects(&self) -> Vec<String> {
        let kinds = "namespaces,configmaps,secrets,deployments,services";
        let list = ["get", kinds, "-A", "-l", "stackkit.dev/lineage", "-o", "jsonpath={range .items[*]}{.kind} {end}"];
        let text = self.server.kubectl(&list).unwrap_or_else(|error| panic!("{error}"));
        let mut kinds: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        kinds.sort();
        kinds
    }
}

const ALL: [&str; 5] = ["ConfigMap", "Deployment", "Namespace", "Secret", "Service"];

fn holds(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir).expect("it is a folder").flatten().any(|entry| match entry.path() {
        path if path.is_dir() => holds(&path, needle),
        path => {
            std::fs::read(path).expect("it is a file").windows(needle.len()).any(|window| window == needle.as_bytes())
        }
    })
}

#[test]
fn the_shop_opens_grows_and_closes() {
    let shop = Shop::new();
    shop.run(&["preview"]);
    assert_eq!(shop.writes(), 0, "a preview changes nothing");
    shop.run(&["up", "--yes"]);
    assert_eq!(shop.objects(), ALL);
    let outputs: serde_json::Value = serde_json::from_str(&shop.run(&["outputs", "--json"])).expect("JSON");
    let text = outputs.to_string();
    let secret = shop.server.kubectl(&[
        "get",
        "secrets",
        "-A",
        "-l",
        "stackkit.dev/lineage",
        "-o",
        "jsonpath={.items[0].data.*}",
    ]);
    assert!(!holds(shop.dir.path(), &secret.unwrap()), "no secret on the disk");
    assert!(text.contains(".svc"), "{text}");

    shop.server.clear_requests().unwrap();
    shop.run(&["up", "--yes", "--expect-no-changes"]);
    assert_eq!(shop.writes(), 0, "nothing changed, so nothing is written");

    shop.run(&["config", "set", "replicas", "3"]);
    shop.run(&["up", "--yes"]);
    let replicas = [
        "get",
        "deployments",
        "-A",
        "-l",
        "stackkit.dev/lineage",
        "-o",
        "jsonpath={.items[0].status.availableReplicas}",
    ];
    assert_eq!(shop.server.kubectl(&replicas).unwrap(), "3");
    shop.run(&["destroy", "--yes"]);
    assert_eq!(shop.objects(), [""; 0]);
}

#[test]
fn killed_after_any_write_it_is_made_good_by_the_next_run() {
    let shop = Shop::new();
    for writes in 1..=5 {
        shop.server.clear_requests().unwrap();
        let mut child = shop.start(&["up", "--yes"]);
        while shop.writes() < writes && child.try_wait().expect("it can be asked").is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        shop.run(&["up", "--yes"]);
        assert_eq!(shop.objects(), ALL, "killed after {writes} writes");
        shop.run(&["up", "--yes", "--expect-no-changes"]);
        shop.run(&["destroy", "--yes"]);
        assert_eq!(shop.objects(), [""; 0], "killed after {writes} writes");
    }
}
