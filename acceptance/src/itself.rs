//! Tests without a harness, whose own process is the program that they run.

use std::process::ExitCode;

use stackkit::Program;

use crate::Sandbox;

/// Set for a process that is the program and not its test.
const PROGRAM: &str = "STACKKIT_TEST_PROGRAM";

/// The `main` of such a test.
pub fn itself(program: impl Into<Program>, test: impl FnOnce()) -> ExitCode {
    if std::env::var_os(PROGRAM).is_some() {
        return stackkit::cli::main(program);
    }
    test();
    ExitCode::SUCCESS
}

impl Sandbox {
    /// This very process as the program, in an empty folder, with keys of its own.
    ///
    /// # Panics
    /// As [`Sandbox::new`].
    pub fn itself() -> Self {
        let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
        Self::new(program).with_env([(PROGRAM, "1")])
    }
}
