//! A genuine control plane, asked by `kubectl`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use test_servers::Kubernetes;

use crate::world::{Thing, World};

/// Kinds that a program declares; what controllers make of them is theirs.
const KINDS: &str = "configmaps,secrets,deployments,services,jobs";

/// One cluster that all lanes share: each has namespaces of its own.
pub(crate) struct Cluster<'a>(&'a Kubernetes);

impl<'a> Cluster<'a> {
    pub(crate) fn new(server: &'a Kubernetes) -> Self {
        Self(server)
    }

    fn get(&self, args: &[&str]) -> Result<Vec<Value>, String> {
        let text = self.0.kubectl(&[args, &["-o", "json"]].concat()).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(answer["items"].as_array().cloned().unwrap_or_default())
    }

    fn namespaces(&self, seed: u64) -> Result<Vec<String>, String> {
        let prefix = format!("kills-{seed:x}-");
        let names = self.get(&["get", "namespaces"])?;
        let names = names.iter().filter_map(|item| item["metadata"]["name"].as_str());
        Ok(names.filter(|name| name.starts_with(&prefix)).map(str::to_owned).collect())
    }
}

/// The type as StackKit names it.
fn kind_of(item: &Value) -> String {
    let group = match item["apiVersion"].as_str().and_then(|version| version.split_once('/')) {
        Some((group, _)) => group,
        None => "core",
    };
    format!("kubernetes:{group}:{}", item["kind"].as_str().unwrap_or_default())
}

impl World for Cluster<'_> {
    fn env(&self) -> Vec<(String, String)> {
        self.0.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn things(&self, seed: u64, _: &Path) -> Result<BTreeSet<Thing>, String> {
        let mut found = BTreeSet::new();
        for namespace in self.namespaces(seed)? {
            for item in self.get(&["get", KINDS, "-n", &namespace])? {
                let name = item["metadata"]["name"].as_str().unwrap_or_default();
                // Every namespace has one.
                if name != "kube-root-ca.crt" {
                    found.insert(Thing { kind: kind_of(&item), id: format!("{namespace}/{name}") });
                }
            }
            found.insert(Thing::new("kubernetes:core:Namespace", namespace));
        }
        Ok(found)
    }

    fn holds(&self, kind: &str) -> bool {
        kind.starts_with("kubernetes:")
    }

    fn urn_of(&self, thing: &Thing) -> Option<String> {
        let (namespace, name) = thing.id.split_once('/')?;
        let kind = thing.kind.rsplit(':').next()?.to_lowercase();
        let path = r"jsonpath={.metadata.annotations.stackkit\.dev/urn}";
        self.0.kubectl(&["get", &kind, "-n", namespace, name, "-o", path]).ok().filter(|urn| !urn.is_empty())
    }

    fn clear(&mut self, seed: u64) -> Result<(), String> {
        for namespace in self.namespaces(seed)? {
            self.0.kubectl(&["delete", "namespace", &namespace]).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
