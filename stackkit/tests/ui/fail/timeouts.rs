use stackkit::resource;

#[resource("acme:dns:Record", create_timeout = "40 m", update_timeout = "forty minutes", delete_timeout = 40)]
struct Record {
    zone: String,
}

#[resource("acme:dns:Zone", create_timeout = "0s", update_timeout = "99999999999999999999h", delete_timeout)]
struct Zone {
    name: String,
}

fn main() {
    let _ = (Record::new("zone"), Zone::new("name"));
}
