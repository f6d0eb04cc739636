//! The trial of Google Cloud Storage as a place for states, on fake-gcs-server. Writers are processes, so this test has no
//! harness. `STACKKIT_TRIAL_ROUNDS=1000` makes it a long one.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use stackkit::state::place::{BackendKind as _, BackendUrl};
use stackkit::testing::backend::{Trial, Tried, worker};
use stackkit_google::GcsState;
use test_servers::{FakeGcs, Lossy};

const SERVER: &str = "STACKKIT_TRIAL_SERVER";

/// The bucket, by a way on which answers get lost.
fn open(url: &str) -> Tried {
    let server: SocketAddr = std::env::var(SERVER)
        .ok()
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("{SERVER} names no address"));
    let lossy = Arc::new(Lossy::start(server).unwrap_or_else(|error| panic!("{error}")));
    let url = format!("{url}&endpoint=http://{}", lossy.address());
    let url = BackendUrl::parse(&url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    // An upload names its object in its first part.
    let mark = br#""name":"stacks/contended/log/"#;
    Tried::new(GcsState::open(url)).losing_answers(move || lossy.lose_answer_to(mark))
}

fn main() -> ExitCode {
    if let Some(status) = worker(open) {
        return status;
    }
    let server = match FakeGcs::start() {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // fake-gcs-server tells nothing of who may read a bucket.
    let accept = "accept=uniform-access,public-access-prevention";
    let mut trial = Trial::new(format!("gs://trial?create=true&{accept}&ttl=1s")).rounds(20);
    for (name, value) in server.env() {
        trial = trial.env(name, value);
    }
    trial.env(SERVER, SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())).to_string()).main()
}
