use stackkit::lookup;

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

fn main() {}
