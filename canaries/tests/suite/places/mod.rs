//! Where states are kept. One more backend is one more file here, and a line in [`Place::ALL`].

mod azure;
mod folder;
mod gcs;
mod kubernetes;
mod postgres;
mod s3;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use acceptance::Sandbox;

use crate::way::Way;

pub type Env = Vec<(String, String)>;

/// A kind of place: its name, and a new one.
pub type Kind = (&'static str, fn() -> Place);

/// A place for the states of one test.
pub struct Place {
    name: &'static str,
    /// What the program's environment says of it.
    pub env: Env,
    /// By which the program comes there; nothing where it is on this machine.
    pub way: Option<Way>,
    store: Box<dyn Store>,
}

/// What keeps states, asked by a client of its own.
trait Store {
    /// Everything that it holds now, old versions included.
    fn held(&self, sandbox: &Sandbox) -> Vec<u8>;

    /// Puts something among it that no backend has written.
    fn plant(&self, sandbox: &Sandbox, bytes: &[u8]);
}

impl Place {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        ("a folder", Self::folder),
        ("PostgreSQL", Self::postgres),
        ("S3", Self::s3),
        ("Azure Blob Storage", Self::azure),
        ("Google Cloud Storage", Self::gcs),
        ("Kubernetes", Self::kubernetes),
    ];

    fn at(name: &'static str, url: String, way: Way, store: impl Store + 'static) -> Self {
        let env = vec![("STACKKIT_BACKEND".to_owned(), url)];
        Self { name, env, way: Some(way), store: Box::new(store) }
    }

    fn with_env(mut self, env: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.env.extend(env.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Everything that it holds now, and everything that was sent there since this was asked before.
    pub fn held(&self, sandbox: &Sandbox) -> Vec<u8> {
        let sent = self.way.as_ref().map(Way::sent).unwrap_or_default();
        [self.store.held(sandbox), sent].join(&b'\n')
    }

    /// What the store itself holds.
    pub fn stored(&self, sandbox: &Sandbox) -> Vec<u8> {
        self.store.held(sandbox)
    }

    /// Puts something there that no backend has written.
    pub fn plant(&self, sandbox: &Sandbox, bytes: &[u8]) {
        self.store.plant(sandbox, bytes);
    }
}

/// A name that no other place of the process has, for servers that several tests share.
fn fresh() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("canaries-{}", COUNT.fetch_add(1, Ordering::SeqCst))
}

/// The address that an endpoint such as `http://127.0.0.1:4566/path` names.
fn address(endpoint: &str) -> SocketAddr {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let address = rest.split('/').next().unwrap_or_default();
    address.parse().unwrap_or_else(|error| panic!("{endpoint}: {error}"))
}

fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}
