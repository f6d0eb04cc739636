//! AWS Secrets Manager: secrets, read and written.

mod secret;
mod value;

pub use secret::{Secret, SecretArgs, SecretOutputs, SecretState};
pub use value::{SecretValue, SecretValueArgs, SecretValueOutputs, SecretValueState};
