//! What a URL says: the bucket, the prefix, and the options.

use stackkit::state::backend::BackendError;
use stackkit::state::objects::Settings;
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
    pub(super) settings: Settings,
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
        let accept = url.names("accept", &Need::ALL.map(Need::name))?;
        let text = |name: &str| url.option(name).map(str::to_owned);
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: url.prefix(url.path())?,
            region: text("region"),
            profile: text("profile"),
            endpoint: url.address("endpoint")?.map(str::to_owned),
            create: url.flag("create")?,
            kms_key: text("kms_key"),
            settings: Settings::of(url)?,
            accept: Need::ALL.into_iter().filter(|need| accept.contains(&need.name())).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

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
        assert_eq!(options.settings, Settings { ttl: Duration::from_secs(5), keep: 3 });
        assert!(options.create);
        assert_eq!(options.accept, [Need::Encryption, Need::Versioning]);
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
