//! The trial of Azure Blob Storage as a place for states, on azurite. Writers are processes, so this test has no harness.
//! `STACKKIT_TRIAL_ROUNDS=1000` makes it a long one.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use stackkit::state::place::{BackendKind as _, BackendUrl};
use stackkit::testing::backend::{Trial, Tried, worker};
use stackkit_azure::AzureBlobState;
use test_servers::{Azurite, Lossy};

const SERVER: &str = "STACKKIT_TRIAL_SERVER";

/// The container, by a way on which answers get lost.
fn open(url: &str) -> Tried {
    let server: SocketAddr = std::env::var(SERVER)
        .ok()
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("{SERVER} names no address"));
    let lossy = Arc::new(Lossy::start(server).unwrap_or_else(|error| panic!("{error}")));
    let url = format!("{url}&endpoint=http://{}/devstoreaccount1", lossy.address());
    let url = BackendUrl::parse(&url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    let mark = b"PUT /devstoreaccount1/trial/stacks/contended/log/";
    Tried::new(AzureBlobState::open(url)).losing_answers(move || lossy.lose_answer_to(mark))
}

fn main() -> ExitCode {
    if let Some(status) = worker(open) {
        return status;
    }
    let server = match Azurite::start() {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // azurite keeps no old versions.
    let url = format!("azblob://{}/trial?create=true&accept=versioning&ttl=1s", server.account());
    let mut trial = Trial::new(url).rounds(20);
    for (name, value) in server.env() {
        trial = trial.env(name, value);
    }
    trial.env(SERVER, SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())).to_string()).main()
}
