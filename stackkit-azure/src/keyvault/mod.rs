//! Azure Key Vault: secrets, read and written.

mod secret;
mod value;

pub use secret::{Secret, SecretArgs, SecretOutputs, SecretState};
pub use value::{SecretValue, SecretValueArgs, SecretValueOutputs, SecretValueState};

use stackkit::resource::Problem;

use crate::vault::{is_name, vault};

/// What Key Vault calls them in its URLs.
const COLLECTION: &str = "secrets";

/// What is no vault of Azure's, and what no secret can be called.
fn problems(given: &str, name: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if vault(given).is_none() {
        let what = "is no vault's address: write it like `https://acme.vault.azure.net`";
        problems.push(Problem::new("vault", format!("`{}` {what}", given.escape_debug())));
    }
    if !is_name(name) {
        let what = format!("`{}` must be 1 to 127 letters, digits and `-`", name.escape_debug());
        problems.push(Problem::new("name", what));
    }
    problems
}

/// A secret in messages: its name and its vault.
fn named(vault: &str, name: &str) -> String {
    format!("the secret `{name}` of {vault}")
}
