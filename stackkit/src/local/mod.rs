//! The local provider: random values, files, certificates and commands on the machine that runs the program.

use crate::error::Error;
use crate::provider::{NoSettings, Provider};
use crate::resource::Ops;

/// The provider of `local:*` types. It is linked into every program.
#[derive(Debug)]
pub struct Local;

impl Provider for Local {
    const NAME: &'static str = "local";
    const TYPES: &'static [&'static dyn Ops<Self>] = crate::types![];
    type Settings = NoSettings;
    type Error = Error;

    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Local)
    }
}
