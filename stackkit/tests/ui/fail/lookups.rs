use stackkit::prelude::*;
use stackkit::{lookup, resource};

#[lookup("acme:dns:Zones", stateful)]
struct Zones {
    #[lookup(replace)]
    suffix: Option<String>,
    #[resource(output)]
    names: Vec<String>,
    #[lookup(output)]
    access_token: String,
}

#[lookup("acme:dns:Nothing")]
struct Nothing {
    suffix: String,
}

#[lookup("acme:dns:Tuple")]
struct Tuple(String);

#[resource("acme:dns:Record")]
struct Record {
    zone: String,
    #[resource(output)]
    id: String,
}

async fn program(stack: &mut Stack) -> Result<()> {
    stack.lookup(Record::new("zone")).await?;
    Ok(())
}

fn main() {}
