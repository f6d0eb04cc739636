//! The lock of a stack: columns of its row. When it ends, the server's clock says.

use sqlx::Row as _;
use stackkit::context::BoxFuture;
use stackkit::state::backend::{BackendError, Holder};
use stackkit::state::lease::{Asked, Keeper, KeptLease};

use crate::database::{Database, Purpose, text};

/// What became of an attempt to take the lock.
enum Taken {
    Mine,
    /// Another's, for so many seconds more.
    Other(Option<String>, f64),
}

/// Takes the lock of a stack, also over one that has ended.
pub(crate) async fn acquire(database: &Database, stack: &str, holder: Holder) -> Result<KeptLease, BackendError> {
    database.ready(Purpose::Write).await?;
    let asked = Asked::now();
    let words = serde_json::to_string(&holder).map_err(|error| BackendError::Corrupt(error.to_string()))?;
    match database.retried("lock", || take(database, stack, &holder.id, &words)).await? {
        Taken::Mine => {}
        Taken::Other(other, seconds) => {
            let holder = Box::new(read(other.as_deref()).unwrap_or_else(|| unknown(&holder)));
            let within = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
            return Err(BackendError::Leased { holder, within });
        }
    }
    let keeper = Row { database: database.clone(), stack: stack.to_owned(), id: holder.id.clone() };
    Ok(KeptLease::new(holder, database.ttl(), asked, keeper))
}

async fn take(database: &Database, stack: &str, id: &str, words: &str) -> Result<Taken, sqlx::Error> {
    loop {
        let mut tx = database.begin().await?;
        // One's own id is there already when the answer to the first attempt was lost.
        let taken = database
            .query(
                "INSERT INTO stackkit.stack (name, holder_id, holder, expires) \
                 VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) \
                 ON CONFLICT (name) DO UPDATE \
                 SET holder_id = excluded.holder_id, holder = excluded.holder, \
                     expires = clock_timestamp() + make_interval(secs => $4) \
                 WHERE stack.holder_id IS NULL OR stack.holder_id = excluded.holder_id \
                    OR stack.expires < clock_timestamp()",
            )
            .bind(stack.to_owned())
            .bind(id.to_owned())
            .bind(words.to_owned())
            .bind(database.ttl().as_secs_f64())
            .execute(&mut *tx)
            .await?;
        if taken.rows_affected() == 1 {
            tx.commit().await?;
            return Ok(Taken::Mine);
        }
        let row = database
            .query(
                "SELECT holder, extract(epoch FROM expires - clock_timestamp())::float8 FROM stackkit.stack \
                 WHERE name = $1 AND holder_id IS NOT NULL",
            )
            .bind(stack.to_owned())
            .fetch_optional(&mut *tx)
            .await?;
        // It was given back or deleted between the two statements otherwise.
        if let Some(row) = row {
            return Ok(Taken::Other(text(&row, 0)?, row.try_get::<Option<f64>, _>(1)?.unwrap_or_default()));
        }
    }
}

/// Ends a lock by its holder's id; says who has it otherwise.
pub(crate) async fn unlock(database: &Database, stack: &str, id: &str) -> Result<(), BackendError> {
    let there = database.ready(Purpose::Read).await?;
    let ended = there && database.retried("unlock", || give_back(database, stack, id)).await?;
    if ended {
        return Ok(());
    }
    let other = match there {
        true => database.retried("read", || present(database, stack)).await?,
        false => None,
    };
    Err(BackendError::no_such_lock(id, read(other.as_deref()).as_ref()))
}

async fn give_back(database: &Database, stack: &str, id: &str) -> Result<bool, sqlx::Error> {
    let mut tx = database.begin().await?;
    let done = database
        .query(
            "UPDATE stackkit.stack SET holder_id = NULL, holder = NULL, expires = NULL \
             WHERE name = $1 AND holder_id = $2",
        )
        .bind(stack.to_owned())
        .bind(id.to_owned())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// What the present holder says of itself.
async fn present(database: &Database, stack: &str) -> Result<Option<String>, sqlx::Error> {
    let mut tx = database.snapshot().await?;
    let row = database
        .query("SELECT holder FROM stackkit.stack WHERE name = $1")
        .bind(stack.to_owned())
        .fetch_optional(&mut *tx)
        .await?;
    row.map_or(Ok(None), |row| text(&row, 0))
}

/// A holder as it described itself.
pub(crate) fn read(words: Option<&str>) -> Option<Holder> {
    serde_json::from_str(words?).ok()
}

/// A holder that did not leave a description that can be read.
fn unknown(like: &Holder) -> Holder {
    Holder { id: "unknown".into(), who: "an unknown user".into(), pid: 0, operation: "unknown".into(), ..like.clone() }
}

/// One's own row, while it is one's own.
struct Row {
    database: Database,
    stack: String,
    id: String,
}

impl Row {
    async fn extend(&self) -> Result<bool, sqlx::Error> {
        let mut tx = self.database.begin().await?;
        let done = self
            .database
            .query(
                "UPDATE stackkit.stack SET expires = clock_timestamp() + make_interval(secs => $3) \
                 WHERE name = $1 AND holder_id = $2",
            )
            .bind(self.stack.clone())
            .bind(self.id.clone())
            .bind(self.database.ttl().as_secs_f64())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Keeper for Row {
    fn renew(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            if self.database.retried("renew the lock in", || self.extend()).await? {
                return Ok(());
            }
            let other = self.database.retried("read", || present(&self.database, &self.stack)).await?;
            Err(BackendError::Lost(read(other.as_deref()).map(Box::new)))
        })
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // What is not given back ends by itself.
            let _ = self.database.retried("unlock", || give_back(&self.database, &self.stack, &self.id)).await;
        })
    }
}
