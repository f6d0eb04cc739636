use stackkit::{Handle, Stack, resource};

#[resource("acme:dns:Record")]
struct Record {
    zone: String,
    #[resource(output)]
    fqdn: String,
}

fn program(stack: &mut Stack, record: &Handle<Record>) {
    stack.output("name", &record.fqdm);
    let _ = Record::new("example.org").tll(5);
}

fn main() {}
