use stackkit::{Id, Output, Properties, resource};

#[resource("acme:net:Network")]
struct Network {
    port: u16,
    #[resource(output)]
    id: Id<Network>,
}

#[resource("acme:net:Subnet")]
struct Subnet {
    network: Id<Network>,
    kind: Option<Kind>,
    names: Option<Vec<String>>,
}

#[derive(Clone, Debug, Properties)]
enum Kind {
    Public,
}

struct Custom;

#[resource("acme:net:Odd")]
struct Odd {
    custom: Custom,
}

fn draft(subnet: &Output<Id<Subnet>>, number: &Output<u32>) {
    let _ = Network::new("80");
    let _ = Network::new(number);
    let _ = Subnet::new(subnet);
    let _ = Subnet::new("net").kind(5);
    let _ = Subnet::new("net").names("one");
    let _ = Subnet::new("net").names([5]);
}

fn main() {}
