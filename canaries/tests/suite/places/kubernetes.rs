//! A namespace of a genuine control plane. Its way is TLS, on which nothing can be read; so the files of etcd are read,
//! where everything stands that was ever kept.

use std::path::Path;

use acceptance::Sandbox;
use test_servers::Kubernetes as Server;

use super::{Place, Store, address, fresh};
use crate::way::Way;

/// So many zeros are what etcd's files are filled up with.
const FILLING: usize = 32;

struct Namespace {
    server: &'static Server,
    name: String,
    _folder: tempfile::TempDir,
}

impl Place {
    pub fn kubernetes() -> Self {
        let server = Server::shared().unwrap_or_else(|error| panic!("{error}"));
        let (way, name) = (Way::to(address(server.endpoint())), fresh());
        server.kubectl(&["create", "namespace", &name]).unwrap_or_else(|error| panic!("{error}"));
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        let text = std::fs::read_to_string(server.kubeconfig()).expect("a kubeconfig");
        let text = text.replace(server.endpoint(), &format!("https://{}", way.address()));
        std::fs::write(&kubeconfig, text).expect("written");
        let url = format!("k8s://{name}?ttl=2s&kubeconfig={}", kubeconfig.display());
        Self::at("Kubernetes", url, way, Namespace { server, name, _folder: folder })
    }
}

impl Namespace {
    fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["-n", &self.name], arguments].concat();
        self.server.kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The bytes of all files in a folder, without what fills them up.
fn written(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(written(&path));
            continue;
        }
        for stretch in std::fs::read(&path).unwrap_or_default().chunks(FILLING) {
            if stretch.iter().any(|byte| *byte != 0) {
                all.extend_from_slice(stretch);
            }
        }
        all.push(b'\n');
    }
    all
}

impl Store for Namespace {
    fn held(&self, _: &Sandbox) -> Vec<u8> {
        let decoded = "go-template={{range .items}}{{range .data}}{{. | base64decode}}\n{{end}}{{end}}";
        let objects = [
            self.kubectl(&["get", "secrets", "-o", decoded]),
            self.kubectl(&["get", "secrets,leases,events", "-o", "yaml"]),
        ];
        [objects.concat().into_bytes(), written(&self.server.data_folder())].concat()
    }

    fn plant(&self, _: &Sandbox, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("text");
        let name = &self.name;
        let manifest = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: planted, namespace: {name}}}\nstringData: {{planted: {}}}\n",
            serde_json::Value::from(text)
        );
        self.server.apply(&manifest).unwrap_or_else(|error| panic!("{error}"));
    }
}
