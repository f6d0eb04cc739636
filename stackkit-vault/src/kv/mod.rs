//! The KV engine, version 2: secrets in versions, each a map of texts.

mod secret;
mod value;

pub use secret::{Secret, SecretArgs, SecretOutputs, SecretState};
pub use value::{SecretValue, SecretValueArgs, SecretValueOutputs, SecretValueState};

use stackkit::resource::Problem;

/// What a server would refuse, or take for another path.
fn path_problem(field: &'static str, path: &str) -> Option<Problem> {
    let bad = |part: &str| {
        part.is_empty()
            || part == "."
            || part == ".."
            || part.chars().any(|c| c.is_control() || matches!(c, '?' | '#' | '%' | '\\'))
    };
    path.split('/').any(bad).then(|| {
        let path = path.escape_debug();
        Problem::new(field, format!("`{path}` is no path: write it like `app/db`, without a `/` at its ends"))
    })
}

/// A secret in messages: its engine and its path.
fn named(mount: &str, path: &str) -> String {
    format!("the secret `{path}` of the engine `{mount}`")
}
