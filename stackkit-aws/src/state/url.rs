//! What a URL says: the bucket, the prefix, and the options.

use std::time::Duration;

use stackkit::state::backend::BackendError;
use stackkit::state::lease::DEFAULT_TTL;
use stackkit::state::place::BackendUrl;

use super::bucket::Need;

const KNOWN: [&str; 8] = ["region", "profile", "endpoint", "create", "kms_key", "ttl", "keep", "accept"];

/// A URL, read.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) bucket: String,
    /// Empty, or with a `/` at its end.
    pub(super) prefix: String,
    pub(super) region: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) create: bool,
    pub(super) kms_key: Option<String>,
    pub(super) ttl: Duration,
    pub(super) keep: usize,
    /// What the bucket may lack.
    pub(super) accept: Vec<Need>,
}

impl Options {
    pub(super) fn read(url: &BackendUrl) -> Result<Self, BackendError> {
        url.allow(&KNOWN)?;
        let bucket = url.authority();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if url.scheme() != "s3" || !(3..=63).contains(&bucket.len()) || !bucket.chars().all(plain) {
            return Err(url.unfit(
                "write it as `s3://BUCKET/PREFIX`, the name of the bucket in small letters, digits, `-` and `.`",
            ));
        }
        let prefix = url.path().trim_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if !prefix.chars().all(plain) || prefix.split('/').any(|part| prefix.len() > part.len() && part.is_empty()) {
            return Err(url.unfit("its prefix is names of letters, digits, `-`, `_` and `.`, with `/` between them"));
        }
        let endpoint = url.option("endpoint");
        if endpoint.is_some_and(|endpoint| !endpoint.starts_with("http://") && !endpoint.starts_with("https://")) {
            return Err(url.unfit("`endpoint` begins with http:// or https://"));
        }
        let accept = match url.option("accept") {
            None => Vec::new(),
            Some(list) => list
                .split(',')
                .map(|name| {
                    Need::named(name).ok_or_else(|| {
                        url.unfit(
                            "`accept` lists what the bucket may lack: encryption, versioning, public-access-block",
                        )
                    })
                })
                .collect::<Result<_, _>>()?,
        };
        let text = |name: &str| url.option(name).map(str::to_owned);
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            region: text("region"),
            profile: text("profile"),
            endpoint: text("endpoint"),
            create: url.flag("create")?,
            kms_key: text("kms_key"),
            ttl: url.duration("ttl")?.unwrap_or(DEFAULT_TTL),
            keep: url.number("keep", 1..=500)?.unwrap_or(20).into(),
            accept,
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
    fn options_are_read() {
        let options = read("s3://acme-infra/a/b/?create=true&accept=versioning,encryption&ttl=5s&keep=3")
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((options.bucket.as_str(), options.prefix.as_str()), ("acme-infra", "a/b/"));
        assert_eq!((options.create, options.keep, options.ttl), (true, 3, Duration::from_secs(5)));
        assert_eq!(options.accept, [Need::Versioning, Need::Encryption]);
        assert_eq!(read("s3://acme").map(|options| options.prefix), Ok(String::new()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, why) in [
            ("s3://", "write it as"),
            ("s3://Acme", "write it as"),
            ("s3://acme/a//b", "its prefix"),
            ("s3://acme/a%2fb", "its prefix"),
            ("s3://acme?keep=0", "`keep`"),
            ("s3://acme?accept=all", "`accept`"),
            ("s3://acme?create=yes", "`create`"),
            ("s3://acme?endpoint=localhost", "`endpoint`"),
            ("s3://acme?regoin=x", "no option `regoin`"),
        ] {
            let error = read(text).err().unwrap_or_default();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
