//! A program that uses a resource type of its own.
//!
//! ```sh
//! export ACME_TOKEN=demo
//! cargo run -p example-custom-provider --bin acme-api &        # the service; it forgets everything when it ends
//! cargo run -p example-custom-provider -- up --yes -s dns
//! curl -H "Authorization: Bearer demo" http://127.0.0.1:8053/records
//! cargo run -p example-custom-provider -- destroy --yes -s dns
//! ```

use example_custom_provider::{Acme, AcmeSettings, Record};
use stackkit::prelude::*;

#[derive(Debug, Clone, Properties)]
struct Config {
    /// Where the service is.
    #[property(default = "http://127.0.0.1:8053")]
    endpoint: String,
    /// The zone that the records are in.
    #[property(default = "example.org")]
    zone: String,
    /// How long resolvers may keep records, in seconds.
    #[property(default = 300)]
    ttl: u32,
}

#[stackkit::main(providers(Acme))]
async fn dns(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    // Asked for in every run and kept in none; a `destroy`, which does not run the program, takes it from there as well.
    let token = stack.data("token", local::EnvironmentSecret::new("ACME_TOKEN"));
    stack.provider::<Acme>("default", AcmeSettings::new().endpoint(&config.endpoint).api_token(&token.value));

    let key = stack.add("transfer", local::RandomPassword::new(32));
    let www =
        stack.add("www", Record::new(&config.zone, "192.0.2.10").name("www").ttl(config.ttl).transfer_key(&key.value));
    // Without a name the engine makes one up, so that a replacement can stand beside what it replaces.
    let canary = stack.add("canary", Record::new(&config.zone, "192.0.2.11").ttl(config.ttl));

    stack.output("www", &www.fqdn);
    stack.output("canary", &canary.fqdn);
    Ok(())
}
