//! `Database`: connections to the server, transactions on them, and which failures are tried again.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction};
use stackkit::context::BoxFuture;
use stackkit::state::backend::{Backend, BackendError, check_stack_name};
use stackkit::state::place::{BackendUrl, Place};
use tokio::sync::OnceCell;

use crate::log::Log;
use crate::schema::{self, OLDEST, VERSION, within};
use crate::url::Options;

/// How often something is tried whose connection fails.
const ATTEMPTS: u32 = 4;
/// Longest wait for a connection: a server that cannot be reached is told within seconds.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time of one transaction; a lock that another session holds on a row must not hold a run for ever.
const TRANSACTION: Duration = Duration::from_secs(60);

/// What making the tables is called.
const PREPARE: &str = "prepare";

/// A transaction.
pub(crate) type Tx = Transaction<'static, Postgres>;

/// A database with the states of stacks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    place: String,
    schema: String,
    ttl: Duration,
    keep: i64,
    /// Set once the tables are there.
    ready: OnceCell<()>,
}

/// Whether a transaction may make the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads; no tables are no states.
    Read,
    /// Writes; makes the tables if they are not there.
    Write,
}

impl Database {
    pub(crate) fn open(url: &BackendUrl) -> Result<Self, BackendError> {
        let options = Options::read(url)?;
        let pool = PgPoolOptions::new()
            // One for the run's own statements and one for the renewal of its lock, and one to spare.
            .max_connections(3)
            .acquire_timeout(CONNECT)
            .test_before_acquire(false)
            .connect_lazy_with(options.connect);
        Ok(Self(Arc::new(Inner {
            pool,
            place: url.to_string(),
            schema: options.schema,
            ttl: options.ttl,
            keep: options.keep,
            ready: OnceCell::new(),
        })))
    }

    pub(crate) fn place(&self) -> &str {
        &self.0.place
    }

    /// The schema that the tables are in.
    pub(crate) fn schema(&self) -> &str {
        &self.0.schema
    }

    /// How long a lease lasts without renewal.
    pub(crate) fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// How many folded states are kept.
    pub(crate) fn keep(&self) -> i64 {
        self.0.keep
    }

    /// A statement in this database's schema, which no session remembers.
    pub(crate) fn query(&self, sql: &'static str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(within(&self.0.schema, sql))).persistent(false)
    }

    pub(crate) fn error(&self, what: &'static str, error: sqlx::Error) -> BackendError {
        BackendError::service(what, self.place(), error)
    }

    /// Whether the tables are there; makes them where that is the purpose.
    pub(crate) async fn ready(&self, purpose: Purpose) -> Result<bool, BackendError> {
        if self.0.ready.initialized() {
            return Ok(true);
        }
        let found = self.retried("read", || self.version()).await?;
        let version = match (found, purpose) {
            (None, Purpose::Read) => return Ok(false),
            // Tables of an older version are read as they are; whoever writes brings them to the present one.
            (Some(OLDEST..VERSION), Purpose::Read) => return Ok(true),
            (None | Some(OLDEST..VERSION), Purpose::Write) => {
                self.retried(PREPARE, || self.create()).await?;
                VERSION
            }
            (Some(version), _) => version,
        };
        if version != VERSION {
            return Err(BackendError::Unfit(format!(
                "the tables in {} have version {version}, and this program knows version {VERSION}: use a newer program",
                self.place()
            )));
        }
        Ok(self.0.ready.get_or_init(|| std::future::ready(())).await == &())
    }

    /// The version of the tables; `None` where there are none.
    async fn version(&self) -> Result<Option<i32>, sqlx::Error> {
        let mut tx = self.begin().await?;
        match self.query("SELECT version FROM stackkit.version").fetch_optional(&mut *tx).await {
            Ok(row) => row.map(|row| row.try_get(0)).transpose(),
            // Neither the table nor the schema is there.
            Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P01" | "3F000")) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(within(&self.0.schema, schema::CREATE))).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// A transaction that sees one moment.
    pub(crate) async fn snapshot(&self) -> Result<Tx, sqlx::Error> {
        self.start("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// A transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.start("BEGIN").await
    }

    /// Begins in a task of its own: cut off half-way, a connection would go back to the pool with a transaction open that
    /// nobody knows of, and the next one would find itself within it.
    async fn start(&self, sql: &'static str) -> Result<Tx, sqlx::Error> {
        let pool = self.0.pool.clone();
        match tokio::spawn(async move { pool.begin_with(sql).await }).await {
            Ok(begun) => begun,
            Err(_) => Err(sqlx::Error::WorkerCrashed),
        }
    }

    /// Does something that may be repeated, again after failures that pass.
    pub(crate) async fn retried<T, F>(&self, what: &'static str, mut work: impl FnMut() -> F) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let mut attempt = 1;
        loop {
            let result = match tokio::time::timeout(TRANSACTION, work()).await {
                Ok(result) => result,
                Err(_) => return Err(self.error(what, sqlx::Error::PoolTimedOut)),
            };
            match result {
                Ok(value) => return Ok(value),
                Err(error) if passes(&error) && attempt < ATTEMPTS => {}
                Err(error) if denied(&error) && what != PREPARE => {
                    return Err(BackendError::denied(what, self.place(), error));
                }
                Err(error) if denied(&error) => {
                    let sql = within(&self.0.schema, schema::CREATE);
                    return Err(BackendError::Unfit(format!(
                        "cannot {what} {}: {error}; if its tables are not there, somebody who may make them runs:\n{sql}",
                        self.place()
                    )));
                }
                Err(error) => return Err(self.error(what, error)),
            }
            tokio::time::sleep(Duration::from_millis(50) * 4_u32.pow(attempt - 1)).await;
            attempt += 1;
        }
    }
}

/// Whether a failure is one of the connection or of the moment.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // Connection failures, too many connections, a server that goes down or comes up, conflicts of transactions.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("40") || matches!(&*code, "53300" | "57P01" | "57P02" | "57P03")
        }),
        _ => false,
    }
}

fn denied(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("42501"))
}

/// The text of a column that may be null.
pub(crate) fn text(row: &PgRow, column: usize) -> Result<Option<String>, sqlx::Error> {
    row.try_get(column)
}

impl Place for Database {
    fn describe(&self) -> String {
        self.place().to_owned()
    }

    fn stack(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        check_stack_name(name)?;
        Ok(Arc::new(Log::new(self.clone(), name)))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, BackendError>> {
        Box::pin(async move {
            if !self.ready(Purpose::Read).await? {
                return Ok(Vec::new());
            }
            self.retried("list the stacks in", || async {
                let mut tx = self.snapshot().await?;
                let rows = self
                    .query("SELECT name FROM stackkit.stack WHERE position > 0 OR folded IS NOT NULL ORDER BY name COLLATE \"C\"")
                    .fetch_all(&mut *tx)
                    .await?;
                rows.iter().map(|row| row.try_get(0)).collect()
            })
            .await
        })
    }
}
