use stackkit::prelude::*;
use stackkit::{Managed, resource};

#[resource("acme:Agent")]
struct Agent {
    #[resource(write_only)]
    join_token: Secret<String>,
    password: Option<Secret<String>>,
    comment: Option<String>,
}

#[resource("acme:Session")]
struct Session {
    #[resource(output)]
    token: Ephemeral<String>,
}

#[resource("acme:Kept")]
struct Kept {
    credentials: Credentials,
}

#[derive(Clone, Debug, Properties)]
struct Credentials {
    user: String,
    session_token: Ephemeral<String>,
}

fn draft(token: Output<Ephemeral<String>>, agent: &AgentOutputs) {
    let _ = Agent::new(&token).password(&token);
    let _ = Agent::new(&token).comment(&token);
    let _ = Agent::new(&token).password(text!("Bearer {token}"));
    let _ = Agent::new("plain").password(&agent.join_token);
}

fn declare<R: Managed>(stack: &mut Stack, handle: Handle<R>, token: Output<Ephemeral<String>>) {
    stack.output("token", &token);
    handle.replace_trigger(&token);
}

fn show(token: Ephemeral<String>) {
    println!("{token}");
}

fn main() {}
