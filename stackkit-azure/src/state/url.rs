//! What a URL says: the account, the container, the prefix, and the options.

use stackkit::state::backend::BackendError;
use stackkit::state::objects::Settings;
use stackkit::state::place::BackendUrl;

use super::container::Need;

const KNOWN: [&str; 6] = ["create", "credential", "endpoint", "ttl", "keep", "accept"];
/// The kinds of credentials that can be asked for.
const CREDENTIALS: [&str; 7] =
    ["azure_cli", "managed_identity", "workload_identity", "client_secret", "access_key", "sas_token", "bearer_token"];

/// A URL, read.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) account: String,
    pub(super) container: String,
    /// Empty, or with a `/` at its end.
    pub(super) prefix: String,
    pub(super) create: bool,
    pub(super) credential: Option<&'static str>,
    pub(super) endpoint: Option<String>,
    pub(super) settings: Settings,
    /// What the place may lack.
    pub(super) accept: Vec<Need>,
}

impl Options {
    pub(super) fn read(url: &BackendUrl) -> Result<Self, BackendError> {
        url.allow(&KNOWN)?;
        let account = url.authority();
        let (container, rest) = url.path().split_once('/').unwrap_or((url.path(), ""));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if url.scheme() != "azblob"
            || !(3..=24).contains(&account.len())
            || !account.chars().all(plain)
            || !(3..=63).contains(&container.len())
            || !container.chars().all(|c| plain(c) || c == '-')
        {
            return Err(url.unfit(
                "write it as `azblob://ACCOUNT/CONTAINER/PREFIX`, the account in small letters and digits, the container in those and `-`",
            ));
        }
        let accept = url.names("accept", &Need::ALL.map(Need::name))?;
        let credential = url.names("credential", &CREDENTIALS)?;
        if credential.len() > 1 {
            return Err(url.unfit("`credential` names one kind"));
        }
        Ok(Self {
            account: account.to_owned(),
            container: container.to_owned(),
            prefix: url.prefix(rest)?,
            create: url.flag("create")?,
            credential: credential.first().copied(),
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
        let text =
            "azblob://acmeinfra/the-states/a/b/?create=true&accept=versioning&credential=azure_cli&ttl=5s&keep=3";
        let options = read(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((options.account.as_str(), options.container.as_str()), ("acmeinfra", "the-states"));
        assert_eq!(options.prefix, "a/b/");
        assert_eq!(options.settings, Settings { ttl: Duration::from_secs(5), keep: 3 });
        assert_eq!((options.create, options.credential), (true, Some("azure_cli")));
        assert_eq!(options.accept, [Need::Versioning]);
        assert_eq!(read("azblob://acme/states").map(|options| options.prefix), Ok(String::new()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, why) in [
            ("azblob://", "write it as"),
            ("azblob://acme", "write it as"),
            ("azblob://acme-infra/states", "write it as"),
            ("azblob://acme/States", "write it as"),
            ("azblob://acme/states/a//b", "its prefix"),
            ("azblob://acme/states/..", "its prefix"),
            ("azblob://acme/states?keep=0", "`keep`"),
            ("azblob://acme/states?accept=encryption", "`accept` lists versioning"),
            ("azblob://acme/states?credential=password", "`credential` lists azure_cli"),
            ("azblob://acme/states?credential=azure_cli,access_key", "one kind"),
            ("azblob://acme/states?endpoint=localhost", "`endpoint`"),
            ("azblob://acme/states?creat=true", "no option `creat`"),
        ] {
            let error = read(text).err().unwrap_or_default();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
