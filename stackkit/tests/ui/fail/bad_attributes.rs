use stackkit::resource;

#[resource("Record", statefull, version = "two", settle)]
struct Record {
    #[resource(replaces)]
    zone: String,
    #[resource(replace = true)]
    name: String,
    #[resource]
    ttl: u32,
    #[serde(skip)]
    kind: String,
}

#[resource(stateful)]
struct Unnamed {
    zone: String,
}

#[resource("acme:dns:A record")]
struct Spaced {
    zone: String,
}

fn main() {
    let _ = Record::new("zone", "name", 5, "kind");
    let _ = (Unnamed::new("zone"), Spaced::new("zone"));
}
