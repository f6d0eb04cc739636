use stackkit::{Output, Secret, resource};

#[resource("acme:dns:Record")]
struct Record {
    zone: String,
    comment: Option<String>,
    tags: Option<Vec<String>>,
}

fn draft(hidden: &Output<Secret<String>>) {
    let _ = Record::new(hidden);
    let _ = Record::new("zone").comment(hidden);
    let _ = Record::new("zone").tags([hidden]);
}

fn main() {}
