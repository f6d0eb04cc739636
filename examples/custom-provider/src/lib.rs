//! A provider for the DNS service of Acme: settings, an error type, and one resource type.
//!
//! The service itself is [`src/bin/acme-api.rs`](../src/bin/acme-api.rs), so that the example runs without anything else.

mod client;
mod record;

pub use client::AcmeError;
pub use record::{Record, RecordArgs, RecordOutputs, RecordState};
use stackkit::prelude::*;
use stackkit::provider::Provider;
use stackkit::{Ops, types};

/// A connection to the service.
pub struct Acme {
    client: client::Client,
}

/// What `stack.provider::<Acme>(…)` takes.
#[derive(Debug, Clone, Default, Properties)]
pub struct AcmeSettings {
    /// Where the service is; `http://127.0.0.1:8053` unless given.
    pub endpoint: Option<String>,
    /// What the service knows us by, which the state does not keep; that of the environment variable `ACME_TOKEN` unless
    /// given.
    pub api_token: Option<Ephemeral<String>>,
}

impl Provider for Acme {
    const NAME: &'static str = "acme";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![Record];
    type Settings = AcmeSettings;
    type Error = AcmeError;

    async fn connect(settings: AcmeSettings) -> Result<Self, AcmeError> {
        let endpoint = settings.endpoint.unwrap_or_else(|| "http://127.0.0.1:8053".into());
        let token = settings.api_token.or_else(|| std::env::var("ACME_TOKEN").ok().map(Ephemeral::new));
        Ok(Self { client: client::Client::new(&endpoint, token.ok_or(AcmeError::NoToken)?)? })
    }

    /// The account: with the token of another one, everything would seem to have vanished.
    async fn identity(&self) -> Result<Option<String>, AcmeError> {
        let account = self.client.call("GET", "/account", None).await?;
        Ok(account["account"].as_str().map(Into::into))
    }
}
