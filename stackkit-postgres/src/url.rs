//! What a URL says: where the database is, and the options that are ours.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use stackkit::state::backend::BackendError;
use stackkit::state::lease::DEFAULT_TTL;
use stackkit::state::place::BackendUrl;

/// The options that the client is not to see.
const OURS: [&str; 3] = ["schema", "ttl", "keep"];

/// A URL, read.
pub(crate) struct Options {
    pub(crate) connect: PgConnectOptions,
    pub(crate) schema: String,
    pub(crate) ttl: Duration,
    pub(crate) keep: i64,
}

impl Options {
    pub(crate) fn read(url: &BackendUrl) -> Result<Self, BackendError> {
        let schema = url.option("schema").unwrap_or("stackkit").to_owned();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if schema.is_empty() || schema.len() > 63 || !schema.chars().all(plain) {
            return Err(url.unfit("`schema` is a name of small letters, digits and `_`"));
        }
        let keep = url.number("keep", 1..=u16::MAX)?.unwrap_or(20).into();
        // What the client says of a URL may quote the password in it.
        let connect = PgConnectOptions::from_str(&url.reveal_without(&OURS))
            .map_err(|_| url.unfit("write it as `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`"))?;
        let named = connect.get_application_name().is_some();
        let connect = if named { connect } else { connect.application_name("stackkit") };
        Ok(Self {
            // Statements that a session remembers, and settings that it starts with, do not go through a pooler.
            connect: connect.statement_cache_capacity(0).extra_float_digits(None),
            schema,
            ttl: url.duration("ttl")?.unwrap_or(DEFAULT_TTL),
            keep,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        let url = BackendUrl::parse(text, Path::new(".")).map_err(|error| error.to_string())?;
        Options::read(&url).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read_and_the_others_left_to_the_client() {
        let options = read("postgres://u:hunter2@h:6543/d?schema=infra&ttl=5s&keep=3&sslmode=require")
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((options.schema.as_str(), options.ttl, options.keep), ("infra", Duration::from_secs(5), 3));
        assert_eq!((options.connect.get_host(), options.connect.get_port()), ("h", 6543));
        assert_eq!(options.connect.get_application_name(), Some("stackkit"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, why) in [
            ("postgres://u:hunter2@h/d?schema=a%22b", "`schema`"),
            ("postgres://u:hunter2@h/d?keep=0", "`keep`"),
            ("postgres://u:hunter2@h/d?ttl=5", "`ttl`"),
            ("postgres://u:hunter2@h:port/d", "write it as"),
            ("postgres://u:hunter2@h/d?sslmode=hunter2", "write it as"),
        ] {
            let error = read(text).err().unwrap_or_default();
            assert!(error.contains(why) && !error.contains(":hunter2@"), "{text}: {error}");
        }
    }
}
