//! A database of a PostgreSQL of its own.

use acceptance::Sandbox;
use test_servers::Postgres as Server;

use super::{Place, Store};
use crate::way::Way;

struct Postgres(Server);

impl Place {
    pub fn postgres() -> Self {
        let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
        let way = Way::to(([127, 0, 0, 1], server.port()).into());
        let url = server.url().replace(&format!(":{}/", server.port()), &format!(":{}/", way.address().port()));
        Self::at("PostgreSQL", format!("{url}?ttl=2s"), way, Postgres(server))
    }
}

impl Postgres {
    fn sql(&self, sql: &str) -> String {
        self.0.run(sql).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The columns of a kind, as `TABLE COLUMN`, whatever tables there are.
    fn columns(&self, kind: &str) -> Vec<(String, String)> {
        let columns = self.sql(&format!(
            "SELECT table_name || ' ' || column_name FROM information_schema.columns \
             WHERE table_schema = 'stackkit' AND {kind}"
        ));
        let columns = columns.lines().filter_map(|line| line.split_once(' '));
        columns.map(|(table, column)| (table.to_owned(), column.to_owned())).collect()
    }
}

impl Store for Postgres {
    /// Every value of every row: bytes as they are, everything else as text.
    fn held(&self, _: &Sandbox) -> Vec<u8> {
        let mut held = Vec::new();
        for (table, column) in self.columns("data_type <> 'bytea'") {
            held.extend(self.sql(&format!("SELECT {column}::text FROM stackkit.{table}")).into_bytes());
            held.push(b'\n');
        }
        for (table, column) in self.columns("data_type = 'bytea'") {
            for line in self.sql(&format!("SELECT encode({column}, 'hex') FROM stackkit.{table}")).lines() {
                held.extend(line.as_bytes().chunks(2).filter_map(|pair| {
                    let pair = std::str::from_utf8(pair).ok()?;
                    u8::from_str_radix(pair, 16).ok()
                }));
                held.push(b'\n');
            }
        }
        held
    }

    fn plant(&self, _: &Sandbox, bytes: &[u8]) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.sql(&format!("INSERT INTO stackkit.entry VALUES ('dev', 99999, 'planted', decode('{digits}', 'hex'))"));
    }
}
