use stackkit::{Handle, resource};

#[resource("acme:net:Network")]
struct Network {
    #[resource(output)]
    id: String,
}

#[resource("acme:net:Subnet")]
struct Subnet {
    network: String,
    zone: Option<String>,
}

fn program(network: Handle<Network>) {
    let _ = Subnet::new(&network);
    let _ = Subnet::new("net").zone(&network);
    let _ = Subnet::new(network);
}

fn main() {}
