use stackkit::resource;

#[resource("acme:net:Listener")]
struct Listener {
    port: u16,
    backlog: Option<u8>,
}

fn main() {
    let _ = Listener::new(70000).backlog(256);
}
