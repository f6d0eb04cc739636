//! The trial of PostgreSQL as a place for states. Writers are processes, so this test has no harness.
//! `STACKKIT_TRIAL_ROUNDS=1000` makes it a long one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use stackkit::state::place::{BackendKind as _, BackendUrl};
use stackkit::testing::backend::{Trial, Tried, worker};
use stackkit_postgres::Postgres;
use test_servers::{Lossy, Postgres as Server};

/// The database, by a way on which answers get lost.
fn open(url: &str) -> Tried {
    let server: SocketAddr = url
        .split_once('@')
        .and_then(|(_, rest)| rest.split('/').next())
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("`{url}` names no address"));
    let lossy = Arc::new(Lossy::start(server).unwrap_or_else(|error| panic!("{error}")));
    let url = url.replacen(&server.to_string(), &lossy.address().to_string(), 1);
    let url = BackendUrl::parse(&url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    // What is lost is the answer to the end of a transaction: it is done, and its writer cannot know.
    Tried::new(Postgres::open(url)).losing_answers(move || lossy.lose_answer_to(b"COMMIT"))
}

fn main() -> ExitCode {
    if let Some(status) = worker(open) {
        return status;
    }
    match Server::start() {
        Ok(server) => Trial::new(format!("{}?ttl=1s&sslmode=disable", server.url())).main(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
