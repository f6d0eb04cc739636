//! The tables, their version, and making them.

/// The version of the tables that this crate knows.
pub(crate) const VERSION: i32 = 2;

/// The oldest version that it reads and brings up to that.
pub(crate) const OLDEST: i32 = 1;

/// Makes everything that is not there, also what an older version lacks. `stackkit.` stands for the schema.
///
/// Two that start at the same moment take turns by the lock, which ends with the transaction.
pub(crate) const CREATE: &str = "\
SELECT pg_advisory_xact_lock(7022364301936845153);
CREATE SCHEMA IF NOT EXISTS stackkit;
CREATE TABLE IF NOT EXISTS stackkit.version (version integer NOT NULL);
CREATE TABLE IF NOT EXISTS stackkit.stack (
  name text PRIMARY KEY,
  position bigint NOT NULL DEFAULT 0,
  folded bigint,
  holder_id text,
  holder text,
  expires timestamptz
);
CREATE TABLE IF NOT EXISTS stackkit.entry (
  stack text NOT NULL REFERENCES stackkit.stack (name) ON DELETE CASCADE,
  position bigint NOT NULL,
  writer text NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (stack, position)
);
CREATE TABLE IF NOT EXISTS stackkit.snapshot (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  stack text NOT NULL REFERENCES stackkit.stack (name) ON DELETE CASCADE,
  position bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  size bigint NOT NULL,
  chunks bytea[] NOT NULL
);
CREATE INDEX IF NOT EXISTS snapshot_stack ON stackkit.snapshot (stack, id);
CREATE TABLE IF NOT EXISTS stackkit.chunk (
  stack text NOT NULL REFERENCES stackkit.stack (name) ON DELETE CASCADE,
  hash bytea NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (stack, hash)
);
CREATE TABLE IF NOT EXISTS stackkit.audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  stack text NOT NULL,
  lineage text NOT NULL,
  n bigint NOT NULL,
  line text NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_line ON stackkit.audit (stack, lineage, n);
INSERT INTO stackkit.version SELECT 2 WHERE NOT EXISTS (SELECT FROM stackkit.version);
UPDATE stackkit.version SET version = 2 WHERE version < 2;
";

/// A statement for another schema than `stackkit`.
pub(crate) fn within(schema: &str, sql: &str) -> String {
    sql.replace("stackkit.", &format!("{schema}.")).replace("EXISTS stackkit;", &format!("EXISTS {schema};"))
}
