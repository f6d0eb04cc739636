//! `Record`: an entry of a zone.

use serde_json::{Value, json};
use stackkit::prelude::*;
use stackkit::resource::{Created, Found, Intent, Problem};
use stackkit::{Context, Managed};

use crate::{Acme, AcmeError};

/// An entry of a zone.
#[resource("acme:dns:Record")]
pub struct Record {
    /// The zone; a record cannot move to another one.
    #[resource(replace)]
    pub zone: String,
    /// The name within the zone; the engine makes one up when it is unset. The service cannot rename.
    #[resource(name, replace)]
    pub name: Option<String>,
    /// The address that the name stands for.
    pub value: String,
    /// How long resolvers may keep it, in seconds.
    #[resource(default = 300)]
    pub ttl: u32,
    /// With this key others may copy the record. The service takes it and never gives it back.
    #[resource(write_only)]
    pub transfer_key: Option<Secret<String>>,
    /// The whole name.
    #[resource(output)]
    pub fqdn: String,
}

impl RecordArgs {
    fn body(&self, cx: &Context) -> Value {
        json!({
            "zone": self.zone,
            "name": self.name,
            "value": self.value,
            "ttl": self.ttl,
            "transfer_key": self.transfer_key.as_ref().map(|key| key.reveal()),
            "token": cx.token(),
        })
    }
}

/// Reads what the service answered. Fields that it does not return come from what was sent.
fn state(body: &Value, sent: Option<&RecordArgs>) -> Result<RecordState, AcmeError> {
    let text = |name: &'static str| body[name].as_str().map(str::to_owned).ok_or(AcmeError::Incomplete(name));
    let ttl = body["ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok()).ok_or(AcmeError::Incomplete("ttl"))?;
    let transfer_key = sent.and_then(|args| args.transfer_key.clone());
    let (zone, name, value) = (text("zone")?, Some(text("name")?), text("value")?);
    Ok(RecordState { args: RecordArgs { zone, name, value, ttl, transfer_key }, fqdn: text("fqdn")? })
}

fn created(body: &Value, args: &RecordArgs) -> Result<Created<Record>, AcmeError> {
    let id = body["id"].as_str().ok_or(AcmeError::Incomplete("id"))?;
    Ok(Created::new(id, state(body, Some(args))?))
}

impl Managed for Record {
    type Provider = Acme;

    async fn create(acme: &Acme, cx: &Context, args: &RecordArgs) -> Result<Created<Self>, AcmeError> {
        let body = acme.client.call("POST", "/records", Some(args.body(cx))).await?;
        created(&body, args)
    }

    async fn read(
        acme: &Acme,
        _: &Context,
        id: &str,
        prior: Option<&RecordState>,
    ) -> Result<Option<RecordState>, AcmeError> {
        match acme.client.call("GET", &format!("/records/{id}"), None).await {
            Err(AcmeError::Refused { status: 404, .. }) => Ok(None),
            answer => state(&answer?, prior.map(|prior| &prior.args)).map(Some),
        }
    }

    async fn update(
        acme: &Acme,
        cx: &Context,
        id: &str,
        _: &RecordState,
        args: &RecordArgs,
    ) -> Result<RecordState, AcmeError> {
        let body = acme.client.call("PUT", &format!("/records/{id}"), Some(args.body(cx))).await?;
        state(&body, Some(args))
    }

    async fn delete(acme: &Acme, _: &Context, id: &str, _: &RecordState) -> Result<(), AcmeError> {
        acme.client.call("DELETE", &format!("/records/{id}"), None).await.map(drop)
    }

    /// The service keeps the token of the request that made a record, so nothing is ever made twice or lost.
    async fn find(acme: &Acme, _: &Context, intent: &Intent<Self>) -> Result<Found<Self>, AcmeError> {
        match acme.client.call("GET", &format!("/records?token={}", intent.token), None).await {
            Err(AcmeError::Refused { status: 404, .. }) => Ok(Found::Nothing),
            answer => created(&answer?, &intent.args).map(Found::Ours),
        }
    }

    fn validate(args: &RecordArgs) -> Vec<Problem> {
        match args.value.parse::<std::net::IpAddr>() {
            Ok(_) => Vec::new(),
            Err(_) => vec![Problem::new("value", format!("`{}` is no IP address", args.value.escape_debug()))],
        }
    }
}
