//! State of [StackKit](stackkit)'s stacks in PostgreSQL.
//!
//! ```no_run
//! use stackkit::prelude::*;
//! use stackkit_postgres::Postgres;
//!
//! #[stackkit::main(backends(Postgres))]
//! async fn orders(stack: &mut Stack) -> Result<()> {
//!     let id = stack.add("id", local::RandomId::new(4));
//!     stack.output("id", &id.hex);
//!     Ok(())
//! }
//! ```
//!
//! ```sh
//! cargo run -- up --backend 'postgres://deployer@db.example.com/infra?sslmode=verify-full'
//! ```
//!
//! | option of the URL | meaning | default |
//! |---|---|---|
//! | `schema` | the schema that the tables are in | `stackkit` |
//! | `ttl` | how long a lock outlives a dead process, such as `30s` | `30s` |
//! | `keep` | how many folded states are kept for `state history` | `20` |
//! | those of libpq | `sslmode`, `sslrootcert`, `application_name`, … | |
//!
//! A password belongs into `PGPASSWORD`, into `~/.pgpass`, or into the URL in `STACKKIT_BACKEND`; a URL in a stack's file
//! may have none. The first lock makes schema and tables if they are not there; who may not do that is told the
//! statements for somebody who may. `access` prints those for viewers, deployers and admins. Every statement runs in a
//! transaction of its own and leaves nothing in the session, so that a pooler may stand between.
//!
//! | module | what |
//! |---|---|
//! | `url` | options of the URL |
//! | `schema` | tables, and making them |
//! | `database` | connections, transactions, which failures are tried again |
//! | `chunks` | a folded state in pieces, of which only the changed ones are written |
//! | `log` | the log of one stack |
//! | `lease` | its lock |
//! | `access` | roles, rights and row security for the roles that people have |

mod access;
mod chunks;
mod database;
mod lease;
mod log;
mod schema;
mod url;

use std::sync::Arc;

use stackkit::state::backend::BackendError;
use stackkit::state::place::{BackendKind, BackendUrl, Place};

pub use database::Database;

/// `postgres://user@host/database`: the kind of backend, for `#[stackkit::main(backends(…))]`.
#[derive(Debug, Clone, Copy)]
pub struct Postgres;

impl BackendKind for Postgres {
    const SCHEMES: &'static [&'static str] = &["postgres", "postgresql"];

    async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        Ok(Arc::new(Database::open(&url)?))
    }
}
