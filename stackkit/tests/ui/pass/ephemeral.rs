//! Where ephemeral values fit, and what else fits there.
#![deny(warnings)]

use std::collections::BTreeMap;

use stackkit::prelude::*;
use stackkit::resource;

/// An agent.
#[resource("acme:Agent")]
pub struct Agent {
    /// What it joins with.
    #[resource(write_only)]
    pub join_token: Secret<String>,
    /// What it joins with where the first does not work.
    #[resource(write_only)]
    pub spare_token: Option<Secret<String>>,
    /// More of these.
    #[resource(write_only)]
    pub tokens: Option<BTreeMap<String, Ephemeral<String>>>,
}

/// How its provider is reached.
#[derive(Clone, Debug, Default, Properties)]
pub struct Settings {
    /// Where it is.
    pub region: Option<String>,
    /// Who asks.
    pub token: Option<Ephemeral<String>>,
}

/// Everything that fits.
pub fn fits(token: Output<Ephemeral<String>>, secret: Output<Secret<String>>, config: Secret<String>) {
    let _ = Agent::new(&token).spare_token(token.clone());
    let _ = Agent::new(&secret).spare_token(&config);
    let _ = Agent::new("plain").spare_token(String::from("plain"));
    let _ = Agent::new(text!("{}:{}", token, secret)).spare_token(None::<&str>);
    let _ = Agent::new(token.map(|token| token.reveal().len().to_string())).spare_token(Ephemeral::new(String::new()));
    let _ = Agent::new(join((&token, &secret)).map(|(a, b)| format!("{}{}", a.reveal(), b.reveal())))
        .tokens(map! { "a" => &token, "b" => &secret, "c" => "plain" });
    let _ = Settings::new().region("east").token(&token);
    let _ = Settings::new().token(&secret);
    let _ = Settings::new().token("plain");
}

fn main() {}
