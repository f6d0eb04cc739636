//! `Sops`: the provider, which holds the private keys of whoever runs the program.

use stackkit::provider::NoSettings;
use stackkit::resource::Ops;
use stackkit::{Error, Provider, types};
use stackkit_age::Identities;

use crate::keys;

/// The provider `sops`. Private keys are looked for in the places of the crate's first page, and read when a file is
/// opened.
#[derive(Debug)]
pub struct Sops {
    pub(crate) identities: Identities,
}

impl Sops {
    /// A provider with private keys of one's own choice, for programs that embed the engine and for tests.
    pub fn with_identities(identities: Identities) -> Self {
        Self { identities }
    }
}

impl Provider for Sops {
    const NAME: &'static str = "sops";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![];
    type Settings = NoSettings;
    type Error = Error;

    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Self::with_identities(keys::identities()))
    }
}
