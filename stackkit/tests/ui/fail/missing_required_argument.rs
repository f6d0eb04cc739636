use stackkit::resource;

#[resource("acme:dns:Record")]
struct Record {
    zone: String,
    address: String,
    ttl: Option<u32>,
}

fn main() {
    let _ = Record::new("example.org").ttl(60);
}
