use stackkit::{Input, Output, Secret, Value};

fn store(_: impl serde::Serialize) {}

fn main() {
    store(Secret::new("hunter2".to_owned()));
    store(Value::text("x"));
    store(Output::known("x".to_owned()));
    store(Input::<String>::new("x"));
}
