use stackkit::resource;

#[resource("acme:dns:Record")]
struct Record {
    #[resource(name)]
    name: Option<String>,
    #[resource(name)]
    title: Option<String>,
}

fn main() {
    let _ = Record::new().name("a").title("b");
}
