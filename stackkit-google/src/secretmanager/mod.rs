//! Google Secret Manager: secrets, read and written.

mod secret;
mod value;

pub use secret::{OldVersions, Secret, SecretArgs, SecretOutputs, SecretState};
pub use value::{SecretValue, SecretValueArgs, SecretValueOutputs, SecretValueState};

/// Whether it is the name of a secret, or of a version or an alias of one.
fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// The version in the name of one, such as `projects/123/secrets/db/versions/5`.
fn version_of(name: &str) -> Option<u64> {
    name.rsplit_once("/versions/")?.1.parse().ok()
}
