use stackkit::{Properties, resource};

#[resource("acme:dns:Kind")]
enum Kind {
    A,
}

#[resource("acme:dns:Pair")]
struct Pair(String, u32);

#[resource("acme:dns:Generic")]
struct Generic<T> {
    #[resource(output)]
    value: T,
}

#[derive(Clone, Debug, Properties)]
struct Tuple(String);

#[derive(Clone, Debug, Properties)]
enum Choice {
    Text(String),
    Nothing,
}

#[derive(Clone, Debug, Properties)]
#[property(rename_all = "shouting")]
enum Case {
    One,
    #[property(rename = "one")]
    Other,
}

#[derive(Clone, Debug, Properties)]
struct Many<T> {
    value: T,
}

fn main() {}
