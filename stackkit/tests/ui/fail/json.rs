use stackkit::{Output, json};

fn main() {
    let host = Output::known("x".to_owned());
    let _ = json!({ host: 5 });
    let _ = json!({ "host" });
    let _ = json!({ "host": });
    let _ = json!({ "host": host, "host": 5 });
    let _ = json!([1 +]);
}
