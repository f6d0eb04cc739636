//! `Log`: the log of one stack. Every write names holder and position, and changes nothing unless both are the present
//! ones: a writer that lost its lock is refused by the database, whatever it believes.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::Row as _;
use stackkit::access::{Grant, Role};
use stackkit::context::BoxFuture;
use stackkit::state::backend::{
    AuditPart, AuditStore, Backend, BackendError, Holder, Lease, Loaded, Position, Version, snapshot_position,
};

use crate::access;
use crate::chunks::split;
use crate::database::{Database, Purpose, Tx, text};
use crate::lease;

/// Pieces of a folded state go to the server in messages of about this many bytes.
const MESSAGE: usize = 8 * 1024 * 1024;

/// The log of one stack.
pub(crate) struct Log {
    database: Database,
    stack: String,
    /// Tells one append from another, so that an append whose answer was lost is known again.
    appends: AtomicU64,
    /// The folded state that was read last, by its id: it never changes, so that a second look reads only what is new.
    folded: Mutex<Option<(i64, Arc<Vec<u8>>)>>,
}

/// Why a write changed nothing.
enum Refused {
    /// The lock is another's, or nobody's.
    Lost(Option<String>),
    /// The log is elsewhere.
    Moved(u64),
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("database", &self.database).field("stack", &self.stack).finish_non_exhaustive()
    }
}

impl Log {
    pub(crate) fn new(database: Database, stack: &str) -> Self {
        Self { database, stack: stack.to_owned(), appends: AtomicU64::new(0), folded: Mutex::new(None) }
    }

    fn folded(&self) -> MutexGuard<'_, Option<(i64, Arc<Vec<u8>>)>> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self) -> Result<Loaded, sqlx::Error> {
        let mut tx = self.database.snapshot().await?;
        let head = self
            .database
            .query("SELECT position, folded FROM stackkit.stack WHERE name = $1")
            .bind(self.stack.clone())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(head) = head else { return Ok(Loaded::default()) };
        let (position, folded): (i64, Option<i64>) = (head.try_get(0)?, head.try_get(1)?);
        let snapshot = match folded {
            None => None,
            Some(id) => {
                let known =
                    self.folded().as_ref().filter(|(known, _)| *known == id).map(|(_, bytes)| Arc::clone(bytes));
                let bytes = match known {
                    Some(bytes) => bytes,
                    None => {
                        let bytes = Arc::new(self.pieces(&mut tx, id).await?.unwrap_or_default());
                        *self.folded() = Some((id, Arc::clone(&bytes)));
                        bytes
                    }
                };
                Some(bytes.to_vec())
            }
        };
        let rows = self
            .database
            .query("SELECT body FROM stackkit.entry WHERE stack = $1 ORDER BY position")
            .bind(self.stack.clone())
            .fetch_all(&mut *tx)
            .await?;
        let entries = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        Ok(Loaded { snapshot, entries, torn: 0, position: Position(position.try_into().unwrap_or_default()) })
    }

    /// A folded state, put together. One with a piece missing is shorter than it was, which its reader finds out.
    async fn pieces(&self, tx: &mut Tx, id: i64) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let rows = self
            .database
            .query(
                "SELECT s.size, c.body FROM stackkit.snapshot s \
                 CROSS JOIN LATERAL unnest(s.chunks) WITH ORDINALITY AS piece (hash, place) \
                 JOIN stackkit.chunk c ON c.stack = s.stack AND c.hash = piece.hash \
                 WHERE s.stack = $1 AND s.id = $2 ORDER BY piece.place",
            )
            .bind(self.stack.clone())
            .bind(id)
            .fetch_all(&mut **tx)
            .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut bytes = Vec::with_capacity(usize::try_from(first.try_get::<i64, _>(0)?).unwrap_or_default());
        for row in &rows {
            bytes.extend_from_slice(row.try_get(1)?);
        }
        Ok(Some(bytes))
    }

    /// One append, and why it changed nothing if it did not.
    async fn try_append(
        &self,
        holder: &Holder,
        expected: Position,
        entry: &[u8],
        writer: &str,
    ) -> Result<Option<Refused>, sqlx::Error> {
        let mut tx = self.database.begin().await?;
        let done = self
            .database
            .query(
                "WITH held AS ( \
                   UPDATE stackkit.stack SET position = position + 1, \
                          expires = clock_timestamp() + make_interval(secs => $6) \
                   WHERE name = $1 AND holder_id = $2 AND position = $3 \
                   RETURNING position) \
                 INSERT INTO stackkit.entry (stack, position, writer, body) SELECT $1, position, $4, $5 FROM held",
            )
            .bind(self.stack.clone())
            .bind(holder.id.clone())
            .bind(number(expected))
            .bind(writer.to_owned())
            .bind(entry.to_vec())
            .bind(self.database.ttl().as_secs_f64())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 1 {
            tx.commit().await?;
            return Ok(None);
        }
        // What is refused may be there already: an append whose answer was lost.
        let row = self
            .database
            .query("SELECT writer FROM stackkit.entry WHERE stack = $1 AND position = $2")
            .bind(self.stack.clone())
            .bind(number(expected).saturating_add(1))
            .fetch_optional(&mut *tx)
            .await?;
        if row.map_or(Ok(None), |row| text(&row, 0))?.as_deref() == Some(writer) {
            return Ok(None);
        }
        self.refusal(&mut tx, holder).await.map(Some)
    }

    async fn refusal(&self, tx: &mut Tx, holder: &Holder) -> Result<Refused, sqlx::Error> {
        let row = self
            .database
            .query("SELECT position, holder_id, holder FROM stackkit.stack WHERE name = $1")
            .bind(self.stack.clone())
            .fetch_optional(&mut **tx)
            .await?;
        let Some(row) = row else { return Ok(Refused::Lost(None)) };
        if text(&row, 1)?.as_deref() != Some(&holder.id) {
            return Ok(Refused::Lost(text(&row, 2)?));
        }
        Ok(Refused::Moved(row.try_get::<i64, _>(0)?.try_into().unwrap_or_default()))
    }

    async fn try_compact(
        &self,
        holder: &Holder,
        expected: Position,
        snapshot: &[u8],
    ) -> Result<Result<i64, Refused>, sqlx::Error> {
        let chunks = split(snapshot);
        let position = snapshot_position(snapshot).map_or(expected, |position| position.max(expected));
        let mut tx = self.database.begin().await?;
        let done = self
            .database
            .query(
                "UPDATE stackkit.stack SET position = $4, expires = clock_timestamp() + make_interval(secs => $5) \
                 WHERE name = $1 AND holder_id = $2 AND position = $3",
            )
            .bind(self.stack.clone())
            .bind(holder.id.clone())
            .bind(number(expected))
            .bind(number(position))
            .bind(self.database.ttl().as_secs_f64())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() != 1 {
            return self.refusal(&mut tx, holder).await.map(Err);
        }
        let hashes: Vec<Vec<u8>> = chunks.iter().map(|chunk| chunk.hash.to_vec()).collect();
        let rows = self
            .database
            .query(
                "SELECT DISTINCT hash FROM unnest($2::bytea[]) AS piece (hash) \
                 WHERE NOT EXISTS (SELECT FROM stackkit.chunk c WHERE c.stack = $1 AND c.hash = piece.hash)",
            )
            .bind(self.stack.clone())
            .bind(hashes.clone())
            .fetch_all(&mut *tx)
            .await?;
        let mut missing = rows.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<Vec<u8>>, _>>()?;
        let (mut names, mut bodies, mut size) = (Vec::new(), Vec::new(), 0);
        for chunk in &chunks {
            if missing.remove(chunk.hash.as_slice()) {
                size += chunk.body.len();
                names.push(chunk.hash.to_vec());
                bodies.push(chunk.body.to_vec());
            }
            if size >= MESSAGE {
                self.put(&mut tx, std::mem::take(&mut names), std::mem::take(&mut bodies)).await?;
                size = 0;
            }
        }
        if !names.is_empty() {
            self.put(&mut tx, names, bodies).await?;
        }
        let row = self
            .database
            .query("INSERT INTO stackkit.snapshot (stack, position, size, chunks) VALUES ($1, $2, $3, $4) RETURNING id")
            .bind(self.stack.clone())
            .bind(number(position))
            .bind(i64::try_from(snapshot.len()).unwrap_or(i64::MAX))
            .bind(hashes)
            .fetch_one(&mut *tx)
            .await?;
        let id: i64 = row.try_get(0)?;
        self.database
            .query("UPDATE stackkit.stack SET folded = $2 WHERE name = $1")
            .bind(self.stack.clone())
            .bind(id)
            .execute(&mut *tx)
            .await?;
        self.database
            .query("DELETE FROM stackkit.entry WHERE stack = $1 AND position <= $2")
            .bind(self.stack.clone())
            .bind(number(position))
            .execute(&mut *tx)
            .await?;
        self.prune(&mut tx).await?;
        tx.commit().await?;
        Ok(Ok(id))
    }

    async fn put(&self, tx: &mut Tx, names: Vec<Vec<u8>>, bodies: Vec<Vec<u8>>) -> Result<(), sqlx::Error> {
        self.database
            .query(
                "INSERT INTO stackkit.chunk (stack, hash, body) \
                 SELECT $1, piece.hash, piece.body FROM unnest($2::bytea[], $3::bytea[]) AS piece (hash, body) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(self.stack.clone())
            .bind(names)
            .bind(bodies)
            .execute(&mut **tx)
            .await
            .map(drop)
    }

    /// Drops the oldest folded states beyond those that are kept, and the pieces that only they had.
    async fn prune(&self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        let dropped = self
            .database
            .query(
                "DELETE FROM stackkit.snapshot WHERE stack = $1 AND id NOT IN \
                 (SELECT id FROM stackkit.snapshot WHERE stack = $1 ORDER BY id DESC LIMIT $2)",
            )
            .bind(self.stack.clone())
            .bind(self.database.keep())
            .execute(&mut **tx)
            .await?;
        if dropped.rows_affected() > 0 {
            self.database
                .query(
                    "DELETE FROM stackkit.chunk c WHERE c.stack = $1 AND c.hash NOT IN \
                     (SELECT unnest(chunks) FROM stackkit.snapshot WHERE stack = $1)",
                )
                .bind(self.stack.clone())
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// Keeps lines of the audit log that are not there yet.
    async fn try_keep(&self, holder: &Holder, lineage: &str, part: &AuditPart) -> Result<Option<Refused>, sqlx::Error> {
        let mut tx = self.database.begin().await?;
        let held = self
            .database
            .query("SELECT FROM stackkit.stack WHERE name = $1 AND holder_id = $2 FOR SHARE")
            .bind(self.stack.clone())
            .bind(holder.id.clone())
            .fetch_optional(&mut *tx)
            .await?;
        if held.is_none() {
            return self.refusal(&mut tx, holder).await.map(Some);
        }
        let lines: Vec<String> = part.text.lines().map(str::to_owned).collect();
        let numbers: Vec<i64> = (part.first..).take(lines.len()).map(|n| number(Position(n))).collect();
        self.database
            .query(
                "INSERT INTO stackkit.audit (stack, lineage, n, line) \
                 SELECT $1, $2, piece.n, piece.line \
                 FROM unnest($3::bigint[], $4::text[]) WITH ORDINALITY AS piece (n, line, place) \
                 WHERE NOT EXISTS (SELECT FROM stackkit.audit a \
                   WHERE a.stack = $1 AND a.lineage = $2 AND a.n = piece.n AND a.line = piece.line) \
                 ORDER BY piece.place",
            )
            .bind(self.stack.clone())
            .bind(lineage.to_owned())
            .bind(numbers)
            .bind(lines)
            .execute(&mut *tx)
            .await?;
        tx.commit().await.map(|()| None)
    }

    async fn read_audit(&self, lineage: &str, from: u64) -> Result<Vec<String>, sqlx::Error> {
        let mut tx = self.database.snapshot().await?;
        let rows = self
            .database
            .query("SELECT line FROM stackkit.audit WHERE stack = $1 AND lineage = $2 AND n >= $3 ORDER BY id")
            .bind(self.stack.clone())
            .bind(lineage.to_owned())
            .bind(number(Position(from)))
            .fetch_all(&mut *tx)
            .await;
        let rows = match rows {
            Ok(rows) => rows,
            // Tables of before there was an audit log.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut all = String::new();
        for row in &rows {
            all.extend([row.try_get::<&str, _>(0)?, "\n"]);
        }
        Ok(if all.is_empty() { Vec::new() } else { vec![all] })
    }

    async fn try_delete(&self, holder: &Holder) -> Result<Option<Refused>, sqlx::Error> {
        let mut tx = self.database.begin().await?;
        let done = self
            .database
            .query("DELETE FROM stackkit.stack WHERE name = $1 AND holder_id = $2")
            .bind(self.stack.clone())
            .bind(holder.id.clone())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 1 {
            tx.commit().await?;
            return Ok(None);
        }
        let there = self
            .database
            .query("SELECT FROM stackkit.stack WHERE name = $1")
            .bind(self.stack.clone())
            .fetch_optional(&mut *tx)
            .await?;
        match there {
            Some(_) => self.refusal(&mut tx, holder).await.map(Some),
            // Gone: the answer to an earlier attempt was lost.
            None => Ok(None),
        }
    }
}

fn number(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

fn refused(refused: Refused, expected: Position) -> BackendError {
    match refused {
        Refused::Lost(words) => BackendError::Lost(lease::read(words.as_deref()).map(Box::new)),
        Refused::Moved(found) => BackendError::Moved { expected, found: Position(found) },
    }
}

impl Backend for Log {
    fn describe(&self) -> String {
        format!("{} (stack `{}`)", self.database.place(), self.stack)
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>> {
        Box::pin(async move {
            if !self.database.ready(Purpose::Read).await? {
                return Ok(Loaded::default());
            }
            self.database.retried("read", || self.read()).await
        })
    }

    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>> {
        Box::pin(
            async move { Ok(Arc::new(lease::acquire(&self.database, &self.stack, holder).await?) as Arc<dyn Lease>) },
        )
    }

    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        Box::pin(async move {
            let holder = lease.holder();
            let writer = format!("{} {}", holder.id, self.appends.fetch_add(1, Ordering::Relaxed));
            let append = || self.try_append(holder, expected, entry, &writer);
            match self.database.retried("append to", append).await? {
                None => Ok(Position(expected.0 + 1)),
                Some(why) => Err(refused(why, expected)),
            }
        })
    }

    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let compact = || self.try_compact(lease.holder(), expected, snapshot);
            match self.database.retried("fold", compact).await? {
                Ok(_) => {
                    *self.folded() = None;
                    Ok(())
                }
                Err(why) => Err(refused(why, expected)),
            }
        })
    }

    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(lease::unlock(&self.database, &self.stack, holder_id))
    }

    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            match self.database.retried("delete", || self.try_delete(lease.holder())).await? {
                None => {
                    *self.folded() = None;
                    Ok(())
                }
                Some(why) => Err(refused(why, Position(0))),
            }
        })
    }

    fn audit(&self) -> Option<&dyn AuditStore> {
        Some(self)
    }

    fn access(&self, role: Role) -> Option<Grant> {
        Some(access::grant(self.database.schema(), self.database.place(), &self.stack, role))
    }

    fn history(&self) -> BoxFuture<'_, Result<Vec<Version>, BackendError>> {
        Box::pin(async move {
            if !self.database.ready(Purpose::Read).await? {
                return Ok(Vec::new());
            }
            self.database
                .retried("read", || async {
                    let mut tx = self.database.snapshot().await?;
                    let rows = self
                        .database
                        .query(
                            "SELECT id, position, extract(epoch FROM at)::int8, size FROM stackkit.snapshot \
                             WHERE stack = $1 ORDER BY id DESC",
                        )
                        .bind(self.stack.clone())
                        .fetch_all(&mut *tx)
                        .await?;
                    let count = |row: &sqlx::postgres::PgRow, at| {
                        row.try_get::<i64, _>(at).map(|number| u64::try_from(number).unwrap_or_default())
                    };
                    rows.iter()
                        .map(|row| {
                            Ok(Version {
                                id: count(row, 0)?.to_string(),
                                position: Position(count(row, 1)?),
                                at: Some(count(row, 2)?),
                                size: Some(count(row, 3)?),
                            })
                        })
                        .collect()
                })
                .await
        })
    }

    fn load_version<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Vec<u8>, BackendError>> {
        Box::pin(async move {
            let found = match id.parse() {
                Ok(number) if self.database.ready(Purpose::Read).await? => {
                    self.database
                        .retried("read", || async {
                            let mut tx = self.database.snapshot().await?;
                            self.pieces(&mut tx, number).await
                        })
                        .await?
                }
                _ => None,
            };
            found.ok_or_else(|| {
                BackendError::Unfit(format!(
                    "{} has no version `{}`: `state history` lists those that are kept",
                    self.describe(),
                    id.escape_debug()
                ))
            })
        })
    }
}

impl AuditStore for Log {
    fn keep_audit<'a>(
        &'a self,
        lease: &'a dyn Lease,
        lineage: &'a str,
        part: &'a AuditPart,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let keep = || self.try_keep(lease.holder(), lineage, part);
            match self.database.retried("write the audit log in", keep).await? {
                None => Ok(()),
                Some(why) => Err(refused(why, Position(0))),
            }
        })
    }

    fn load_audit<'a>(&'a self, lineage: &'a str, from: u64) -> BoxFuture<'a, Result<Vec<String>, BackendError>> {
        Box::pin(async move {
            if !self.database.ready(Purpose::Read).await? {
                return Ok(Vec::new());
            }
            self.database.retried("read the audit log in", || self.read_audit(lineage, from)).await
        })
    }
}
