use stackkit::resource;

#[resource("acme:dns:Record")]
struct Record {
    #[resource(output, replace)]
    a: String,
    #[resource(output, default = 5)]
    b: u32,
    #[resource(volatile)]
    c: String,
    #[resource(default = 300)]
    d: Option<u32>,
    #[resource(computed)]
    e: String,
    #[resource(computed, write_only)]
    f: Option<String>,
    #[resource(name)]
    g: u32,
    #[resource(name, default = "x")]
    h: String,
    #[resource(output)]
    args: String,
    new: Option<String>,
}

fn main() {}
