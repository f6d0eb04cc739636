//! The trial of S3 as a place for states, on localstack, which judges conditional writes as S3 does. Writers are
//! processes, so this test has no harness. `STACKKIT_TRIAL_ROUNDS=1000` makes it a long one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use stackkit::state::place::{BackendKind as _, BackendUrl};
use stackkit::testing::backend::{Trial, Tried, worker};
use stackkit_aws::S3State;
use test_servers::{Localstack, Lossy};

const BUCKET: &str = "trial";
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
    let mark = format!("PUT /{BUCKET}/stacks/contended/log/");
    Tried::new(S3State::open(url)).losing_answers(move || lossy.lose_answer_to(mark.as_bytes()))
}

fn main() -> ExitCode {
    if let Some(status) = worker(open) {
        return status;
    }
    let server = match Localstack::start() {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trial = Trial::new(format!("s3://{BUCKET}?create=true&ttl=1s")).rounds(20);
    for (name, value) in server.env() {
        trial = trial.env(name, value);
    }
    trial.env(SERVER, server.endpoint().trim_start_matches("http://")).main()
}
