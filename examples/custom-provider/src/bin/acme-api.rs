//! The DNS service that the example manages: records in memory, behind a small HTTP API.
//!
//! `acme-api [ADDRESS]` listens there, `127.0.0.1:8053` unless given, and lets in who knows `ACME_TOKEN`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

use serde_json::{Value, json};

struct Service {
    token: String,
    records: BTreeMap<String, Value>,
    next: u64,
}

impl Service {
    fn answer(&mut self, method: &str, path: &str, token: &str, body: Value) -> (u16, Value) {
        if token != self.token {
            return (401, json!({ "error": "the token is not known" }));
        }
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            ("GET", ["account"]) => (200, json!({ "account": "demo" })),
            ("GET", ["records"]) => (200, self.records.values().map(shown).collect()),
            ("GET", [search]) if search.starts_with("records?token=") => {
                let wanted = search.trim_start_matches("records?token=");
                let found = self.records.values().find(|record| record["token"] == wanted);
                found.map_or_else(missing, |record| (200, shown(record)))
            }
            ("GET", ["records", id]) => self.records.get(*id).map_or_else(missing, |record| (200, shown(record))),
            ("POST", ["records"]) => self.create(body),
            ("PUT", ["records", id]) => match self.records.get_mut(*id) {
                None => missing(),
                Some(record) => {
                    for field in ["value", "ttl", "transfer_key"] {
                        record[field] = body[field].clone();
                    }
                    (200, shown(record))
                }
            },
            ("DELETE", ["records", id]) => self.records.remove(*id).map_or_else(missing, |_| (204, Value::Null)),
            _ => (405, json!({ "error": "there is no such call" })),
        }
    }

    fn create(&mut self, mut record: Value) -> (u16, Value) {
        let (Some(zone), Some(name)) = (record["zone"].as_str(), record["name"].as_str()) else {
            return (422, json!({ "error": "a record needs a zone and a name" }));
        };
        let fqdn = format!("{name}.{zone}");
        if self.records.values().any(|other| other["fqdn"] == fqdn.as_str()) {
            return (409, json!({ "error": format!("{fqdn} is there already") }));
        }
        self.next += 1;
        let id = format!("rec-{}", self.next);
        record["id"] = json!(id);
        record["fqdn"] = json!(fqdn);
        let answer = shown(&record);
        self.records.insert(id, record);
        (201, answer)
    }
}

/// A record without what the service keeps to itself.
fn shown(record: &Value) -> Value {
    let mut record = record.clone();
    if let Some(fields) = record.as_object_mut() {
        fields.remove("transfer_key");
    }
    record
}

fn missing() -> (u16, Value) {
    (404, json!({ "error": "there is no such record" }))
}

fn serve(service: &mut Service, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (method, path) = {
        let mut words = line.split(' ');
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned())
    };
    let (mut token, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            None => break,
            Some(("Authorization", value)) => token = value.trim_start_matches("Bearer ").to_owned(),
            Some(("Content-Length", value)) => length = value.parse().unwrap_or_default(),
            Some(_) => {}
        }
    }
    let mut body = vec![0; usize::min(length, 1 << 20)];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let (status, answer) = service.answer(&method, &path, &token, body);
    let answer = if answer.is_null() { String::new() } else { answer.to_string() };
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8053".into());
    let Ok(token) = std::env::var("ACME_TOKEN") else {
        eprintln!("set ACME_TOKEN to the token that lets clients in");
        return ExitCode::FAILURE;
    };
    let listener = match TcpListener::bind(&address) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("http://{}", listener.local_addr().map_or(address, |address| address.to_string()));
    let mut service = Service { token, records: BTreeMap::new(), next: 0 };
    for stream in listener.incoming().flatten() {
        // A client that goes away in the middle is its own affair.
        let _ = stream.set_read_timeout(Some(std::time::Duration::from_secs(10)));
        let _ = serve(&mut service, stream);
    }
    ExitCode::SUCCESS
}
