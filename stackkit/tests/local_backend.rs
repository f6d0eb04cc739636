//! The trial of folders as places for states. Writers are processes, so this test has no harness.

use std::process::ExitCode;
use std::sync::Arc;

use stackkit::state::LocalPlace;
use stackkit::testing::backend::{Trial, Tried, worker};

fn open(url: &str) -> Tried {
    let folder = url.trim_start_matches("file://").to_owned();
    Tried::new(async move { Ok(Arc::new(LocalPlace::new(folder)) as _) })
}

fn main() -> ExitCode {
    if let Some(status) = worker(open) {
        return status;
    }
    match tempfile::tempdir() {
        Ok(dir) => Trial::new(format!("file://{}", dir.path().display())).locks_of_the_system().rounds(60).main(),
        Err(error) => {
            eprintln!("there is no temporary folder: {error}");
            ExitCode::FAILURE
        }
    }
}
