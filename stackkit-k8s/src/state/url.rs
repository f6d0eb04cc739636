//! What a URL says: the namespace, and the options.

use stackkit::state::backend::BackendError;
use stackkit::state::objects::Settings;
use stackkit::state::place::BackendUrl;

const KNOWN: [&str; 4] = ["context", "kubeconfig", "ttl", "keep"];
/// How many folded states are kept where nothing else is said: etcd is a small store.
const KEEP: usize = 5;

/// A URL, read.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) namespace: String,
    pub(super) context: Option<String>,
    pub(super) kubeconfig: Option<String>,
    pub(super) settings: Settings,
}

impl Options {
    pub(super) fn read(url: &BackendUrl) -> Result<Self, BackendError> {
        url.allow(&KNOWN)?;
        let namespace = url.authority();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let bounded = !namespace.starts_with('-') && !namespace.ends_with('-');
        if !(1..=63).contains(&namespace.len()) || !namespace.chars().all(plain) || !bounded || !url.path().is_empty() {
            return Err(url.unfit(
                "write it as `k8s://NAMESPACE`, the name of the namespace in small letters, digits and `-`, at most 63",
            ));
        }
        let mut settings = Settings::of(url)?;
        if url.option("keep").is_none() {
            settings.keep = KEEP;
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            context: url.option("context").map(str::to_owned),
            kubeconfig: url.option("kubeconfig").map(|path| url.dir().join(path).display().to_string()),
            settings,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        let url = BackendUrl::parse(text, Path::new("/dir")).map_err(|error| error.to_string())?;
        Options::read(&url).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read() {
        let options = read("k8s://infra-state?context=prod&kubeconfig=ci.yaml&ttl=5s&keep=3")
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(options.namespace, "infra-state");
        assert_eq!(options.context.as_deref(), Some("prod"));
        assert_eq!(options.kubeconfig.as_deref(), Some("/dir/ci.yaml"));
        assert_eq!((options.settings.ttl, options.settings.keep), (Duration::from_secs(5), 3));
        assert_eq!(read("k8s://a").map(|options| options.settings.keep), Ok(KEEP));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, why) in [
            ("k8s://", "write it as"),
            ("k8s://Infra", "write it as"),
            ("k8s://-infra", "write it as"),
            ("k8s://infra/orders", "write it as"),
            ("k8s://infra?keep=0", "`keep`"),
            ("k8s://infra?contxt=x", "no option `contxt`"),
        ] {
            let error = read(text).err().unwrap_or_default();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
