//! A provider, its resource, a program and a test, as a user writes them.
#![deny(warnings)]

use stackkit::provider::{NoSettings, Provider};
use stackkit::{Context, Created, Error, Managed, Properties, Result, Secret, Stack, resource, text, types};

/// A record.
#[resource("acme:dns:Record")]
pub struct Record {
    #[resource(replace)]
    pub zone: String,
    #[resource(name)]
    pub name: Option<String>,
    #[resource(default = 300)]
    pub ttl: u32,
    pub api_token: Secret<String>,
    #[resource(output)]
    pub fqdn: String,
}

impl Managed for Record {
    type Provider = Acme;
    async fn create(acme: &Acme, cx: &Context, args: &RecordArgs) -> Result<Created<Self>, Error> {
        cx.created(&acme.base).await?;
        let fqdn = format!("{}.{}", args.name.as_deref().unwrap_or_default(), args.zone);
        Ok(Created::new(fqdn.clone(), RecordState { args: args.clone(), fqdn }))
    }
    async fn read(_: &Acme, _: &Context, _: &str, prior: Option<&RecordState>) -> Result<Option<RecordState>, Error> {
        Ok(prior.cloned())
    }
    async fn update(
        _: &Acme,
        _: &Context,
        _: &str,
        prior: &RecordState,
        args: &RecordArgs,
    ) -> Result<RecordState, Error> {
        Ok(RecordState { args: args.clone(), ..prior.clone() })
    }
    async fn delete(_: &Acme, _: &Context, _: &str, _: &RecordState) -> Result<(), Error> {
        Ok(())
    }
}

pub struct Acme {
    base: String,
}

impl Provider for Acme {
    const NAME: &'static str = "acme";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = types![Record];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Acme { base: "http://127.0.0.1:8080".into() })
    }
}

#[derive(Clone, Debug, Properties)]
struct Config {
    zone: String,
    #[property(default = 300)]
    ttl: u32,
    api_token: Secret<String>,
}

/// Names.
#[stackkit::program(providers(Acme))]
async fn names(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let names = stack.add("www", Record::new(config.zone, config.api_token).ttl(config.ttl)).protect();
    stack.output("fqdn", &names.fqdn);
    stack.output("url", text!("https://{}/", names.fqdn));
    Ok(())
}

#[stackkit::test]
async fn a_test() -> Result<()> {
    let _ = names;
    Ok(())
}

fn main() {
    let _ = names;
}
