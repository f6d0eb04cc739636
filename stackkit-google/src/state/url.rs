//! What a URL says: the bucket, the prefix, and the options.

use stackkit::state::backend::BackendError;
use stackkit::state::objects::Settings;
use stackkit::state::place::BackendUrl;

use super::bucket::Need;

const KNOWN: [&str; 7] = ["create", "project", "location", "endpoint", "ttl", "keep", "accept"];

/// A URL, read.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) bucket: String,
    /// Empty, or with a `/` at its end.
    pub(super) prefix: String,
    pub(super) create: bool,
    pub(super) project: Option<String>,
    pub(super) location: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) settings: Settings,
    /// What the bucket may lack.
    pub(super) accept: Vec<Need>,
}

impl Options {
    pub(super) fn read(url: &BackendUrl) -> Result<Self, BackendError> {
        url.allow(&KNOWN)?;
        let bucket = url.authority();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if url.scheme() != "gs" || !(3..=222).contains(&bucket.len()) || !bucket.chars().all(plain) {
            return Err(url.unfit(
                "write it as `gs://BUCKET/PREFIX`, the name of the bucket in small letters, digits, `-`, `_` and `.`",
            ));
        }
        let accept = url.names("accept", &Need::ALL.map(Need::name))?;
        let text = |name: &str| url.option(name).filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: url.prefix(url.path())?,
            create: url.flag("create")?,
            project: text("project"),
            location: text("location"),
            endpoint: url.address("endpoint")?.map(|text| text.trim_end_matches('/').to_owned()),
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
        let options =
            read("gs://acme_infra/a/b/?create=true&project=acme&accept=versioning,uniform-access&ttl=5s&keep=3")
                .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((options.bucket.as_str(), options.prefix.as_str()), ("acme_infra", "a/b/"));
        assert_eq!(options.settings, Settings { ttl: Duration::from_secs(5), keep: 3 });
        assert_eq!(options.accept, [Need::Versioning, Need::UniformAccess]);
        assert_eq!((options.create, options.project.as_deref()), (true, Some("acme")));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, why) in [
            ("gs://", "write it as"),
            ("gs://Acme", "write it as"),
            ("gs://acme/a//b", "its prefix"),
            ("gs://acme?keep=0", "`keep`"),
            ("gs://acme?accept=encryption", "`accept` lists versioning"),
            ("gs://acme?create=yes", "`create`"),
            ("gs://acme?endpoint=localhost", "`endpoint`"),
            ("gs://acme?projekt=x", "no option `projekt`"),
        ] {
            let error = read(text).err().unwrap_or_default();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
