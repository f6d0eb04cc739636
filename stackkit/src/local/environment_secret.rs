//! `EnvironmentSecret`: a secret in a variable of the process that runs the program.

use stackkit_macros::lookup;

use super::Local;
use crate::context::Context;
use crate::error::Error;
use crate::lookup::{Answer, Lookup, secret_of};
use crate::secret::Secret;

/// A secret in a variable of the environment. That it is not set, or empty, is an error.
///
/// ```
/// # use stackkit::prelude::*;
/// # #[stackkit::program]
/// # async fn program(stack: &mut Stack) -> Result<()> {
/// let password = stack.data("db-password", local::EnvironmentSecret::new("DB_PASSWORD"));
/// stack.add("db-password", local::SecretFile::new("password", &password.value));
/// # Ok(())
/// # }
/// ```
#[lookup("local:EnvironmentSecret")]
pub struct EnvironmentSecret {
    /// Name of the variable.
    pub name: String,
    /// Which part of it, where it holds JSON: a key, or a pointer such as `/db/password` (RFC 6901).
    pub field: Option<String>,
    /// The secret.
    #[lookup(output)]
    pub value: Secret<String>,
}

impl Lookup for EnvironmentSecret {
    type Provider = Local;

    async fn look_up(_: &Local, _: &Context, args: &EnvironmentSecretArgs) -> Answer<Self> {
        let name = &args.name;
        let value = match std::env::var(name) {
            Ok(value) if !value.is_empty() => Secret::new(value),
            Ok(_) => {
                return Err(Error::invalid(format!("the environment variable `{name}` is empty: give it the secret")));
            }
            Err(std::env::VarError::NotPresent) => {
                return Err(Error::not_found(format!(
                    "the environment variable `{name}` is not set: set it where the program runs"
                )));
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(Error::invalid(format!("the environment variable `{name}` is no text in UTF-8")));
            }
        };
        let value = secret_of(value, args.field.as_deref())
            .map_err(|error| Error::invalid(format!("the environment variable `{name}` {error}")))?;
        Ok(EnvironmentSecretState { args: args.clone(), value })
    }
}
