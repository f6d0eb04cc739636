//! The places, each with the server that keeps it.

use std::error::Error;
use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::{Command, Stdio};

use serde_json::Value;
use test_servers::{Azurite, FakeGcs, Kubernetes, Localstack, Lossy, Postgres};

type Done = Result<(), Box<dyn Error>>;
type Env = Vec<(String, String)>;

/// Measures a place at so many resources.
pub type Measured = fn(&str, u64) -> Done;

/// Names of places, and what measures them.
pub const PLACES: [(&str, Measured); 6] = [
    ("folder", folder),
    ("s3", s3),
    ("azure", azure),
    ("gcs", gcs),
    ("postgres", postgres),
    ("kubernetes", kubernetes),
];

/// This program again, with an environment of its own. What it printed.
fn again(env: &[(String, String)], arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", arguments.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Prints a row. `requests` counts those of a load; nothing where nobody asks for anything.
fn row(place: &str, measured: &str, requests: Option<usize>) -> Done {
    let measured: Value = serde_json::from_str(measured)?;
    let number = |name: &str| measured.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let requests = requests.map_or("–".to_owned(), |requests| requests.to_string());
    println!(
        "| {place} | {:.1} MB | {:.2} s | {requests} | {:.2} s | {:.1} ms | {:.2} s | {:.2} s |",
        number("bytes") / 1e6,
        number("load"),
        number("open"),
        number("step") * 1e3,
        number("fold"),
        number("first_fold"),
    );
    Ok(std::io::stdout().flush()?)
}

fn owned<'a, V: Into<String>>(env: impl IntoIterator<Item = (&'a str, V)>) -> Env {
    env.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// A way on which the requests of one load are counted, and the same environment through it.
fn counted(env: &[(String, String)], endpoint: &str, load: &[&str]) -> Result<usize, Box<dyn Error>> {
    let rest = endpoint.strip_prefix("http://").ok_or("an endpoint without TLS")?;
    let host = rest.split('/').next().unwrap_or_default();
    let server: SocketAddr = host.to_socket_addrs()?.next().ok_or("an address")?;
    let way = Lossy::start(server)?;
    let through = |text: &str| text.replace(host, &way.address().to_string());
    let env: Env = env.iter().map(|(name, value)| (name.clone(), through(value))).collect();
    let load: Vec<String> = load.iter().map(|word| through(word)).collect();
    again(&env, &load.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(way.requests().len())
}

fn folder(name: &str, resources: u64) -> Done {
    let dir = tempfile::tempdir()?;
    let url = format!("file://{}", dir.path().display());
    row(name, &again(&[], &["measure", &url, &resources.to_string()])?, None)
}

fn s3(_: &str, resources: u64) -> Done {
    let server = Localstack::start()?;
    let env = owned(server.env());
    let url = "s3://figures?create=true&ttl=3600s";
    let measured = again(&env, &["measure", url, &resources.to_string()])?;
    row("S3 (localstack)", &measured, Some(counted(&env, server.endpoint(), &["load", url])?))
}

fn azure(_: &str, resources: u64) -> Done {
    let server = Azurite::start()?;
    let env = owned(server.env());
    let url = format!("azblob://{}/figures?create=true&accept=versioning&ttl=3600s", server.account());
    let measured = again(&env, &["measure", &url, &resources.to_string()])?;
    row("Azure Blob Storage (azurite)", &measured, Some(counted(&env, server.endpoint(), &["load", &url])?))
}

fn gcs(_: &str, resources: u64) -> Done {
    let server = FakeGcs::start()?;
    let env = owned(server.env());
    let url = "gs://figures?create=true&accept=uniform-access,public-access-prevention&project=test&ttl=3600s";
    let measured = again(&env, &["measure", url, &resources.to_string()])?;
    row("Google Cloud Storage (fake-gcs-server)", &measured, Some(counted(&env, server.endpoint(), &["load", url])?))
}

fn postgres(_: &str, resources: u64) -> Done {
    let server = Postgres::start_with_log()?;
    let url = format!("{}?ttl=3600s", server.url());
    let measured = again(&[], &["measure", &url, &resources.to_string()])?;
    let before = server.statements().len();
    again(&[], &["load", &url])?;
    row("PostgreSQL", &measured, Some(server.statements().len() - before))
}

fn kubernetes(_: &str, resources: u64) -> Done {
    let server = Kubernetes::start()?;
    server.kubectl(&["create", "namespace", "figures"])?;
    let env = owned([("KUBECONFIG", server.kubeconfig().display().to_string())]);
    let url = "k8s://figures?ttl=3600s";
    let measured = again(&env, &["measure", url, &resources.to_string()])?;
    server.clear_requests()?;
    again(&env, &["load", url])?;
    let requests = server.requests()?;
    let own = requests.iter().filter(|request| request.uri.contains("/namespaces/figures/")).count();
    row("Kubernetes", &measured, Some(own))
}
