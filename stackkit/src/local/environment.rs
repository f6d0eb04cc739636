//! `Environment`: a variable of the process that runs the program.

use stackkit_macros::lookup;

use super::Local;
use crate::context::Context;
use crate::error::Error;
use crate::lookup::{Answer, Lookup};

/// A variable of the environment. That it is not set is an error, unless [`or`](Environment::or) gives one.
///
/// What comes from there is taken for public; [`EnvironmentSecret`](super::EnvironmentSecret) is for secrets.
#[lookup("local:Environment")]
pub struct Environment {
    /// Name of the variable.
    pub name: String,
    /// The value where it is not set.
    pub or: Option<String>,
    /// Its value.
    #[lookup(output)]
    pub value: String,
}

impl Lookup for Environment {
    type Provider = Local;

    async fn look_up(_: &Local, _: &Context, args: &EnvironmentArgs) -> Answer<Self> {
        let name = &args.name;
        let value = match (std::env::var(name), &args.or) {
            (Ok(value), _) => value,
            (Err(std::env::VarError::NotPresent), Some(or)) => or.clone(),
            (Err(std::env::VarError::NotPresent), None) => {
                return Err(Error::not_found(format!(
                    "the environment variable `{name}` is not set: set it, or give a value for then with `.or(…)`"
                )));
            }
            (Err(std::env::VarError::NotUnicode(_)), _) => {
                return Err(Error::invalid(format!("the environment variable `{name}` is no text in UTF-8")));
            }
        };
        Ok(EnvironmentState { args: args.clone(), value })
    }
}
