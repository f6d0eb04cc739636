use stackkit::{Secret, resource};

#[resource("acme:dns:Record")]
struct Record {
    zone: String,
    comment: Option<String>,
}

fn draft(hidden: Secret<String>) {
    let _ = Record::new(&hidden);
    let _ = Record::new("zone").comment(hidden);
}

fn main() {}
