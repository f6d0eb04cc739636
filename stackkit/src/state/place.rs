//! `Place`: where the states of many stacks are kept, and how a URL such as `s3://bucket/prefix` leads there.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::backend::{Backend, BackendError};
use super::lease::SHORTEST_TTL;
use super::local::LocalPlace;
use crate::context::BoxFuture;

/// What a link to a backend is, where nothing else is known.
const KNOWN: [(&str, &str, &str); 6] = [
    ("azblob", "crate `stackkit-azure` with feature `state`", "stackkit_azure::AzureBlobState"),
    ("gs", "crate `stackkit-google` with feature `state`", "stackkit_google::GcsState"),
    ("k8s", "crate `stackkit-k8s` with feature `state`", "stackkit_k8s::KubernetesState"),
    ("s3", "crate `stackkit-aws` with feature `s3`", "stackkit_aws::S3State"),
    ("postgres", "crate `stackkit-postgres`", "stackkit_postgres::Postgres"),
    ("postgresql", "crate `stackkit-postgres`", "stackkit_postgres::Postgres"),
];

/// A folder, bucket or database with the states of stacks in it.
pub trait Place: Send + Sync + fmt::Debug {
    /// Where it is, for messages. Passwords of its URL are not in it.
    fn describe(&self) -> String;
    /// The log of one stack. Nothing is read or made yet.
    ///
    /// # Errors
    /// When the name fits no stack.
    fn stack(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError>;
    /// Names of the stacks that there is something of, in order.
    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, BackendError>>;
}

/// A kind of backend, linked into a program by `#[stackkit::main(backends(…))]` and found by the scheme of its URLs.
///
/// ```
/// use std::sync::Arc;
/// use stackkit::state::backend::BackendError;
/// use stackkit::state::place::{BackendKind, BackendUrl, Place};
/// use stackkit::state::MemoryPlace;
///
/// /// `mem://`, forgotten when the process ends.
/// pub struct Memory;
///
/// impl BackendKind for Memory {
///     const SCHEMES: &'static [&'static str] = &["mem"];
///
///     async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
///         url.allow(&[])?;
///         Ok(Arc::new(MemoryPlace::default()))
///     }
/// }
/// ```
pub trait BackendKind: 'static {
    /// The schemes of its URLs, without `://`.
    const SCHEMES: &'static [&'static str];

    /// Opens the place that a URL leads to. Nothing is written; whether it can be reached may show later.
    fn open(url: BackendUrl) -> impl Future<Output = Result<Arc<dyn Place>, BackendError>> + Send;
}

type Opening = BoxFuture<'static, Result<Arc<dyn Place>, BackendError>>;

/// A linked [`BackendKind`], erased.
#[derive(Clone, Copy)]
pub struct LinkedBackend {
    schemes: &'static [&'static str],
    open: fn(BackendUrl) -> Opening,
}

impl LinkedBackend {
    /// The kind of backend as a value.
    pub const fn of<B: BackendKind>() -> Self {
        Self { schemes: B::SCHEMES, open: |url| Box::pin(B::open(url)) }
    }

    /// The schemes of its URLs.
    pub fn schemes(&self) -> &'static [&'static str] {
        self.schemes
    }
}

impl fmt::Debug for LinkedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkedBackend").field("schemes", &self.schemes).finish_non_exhaustive()
    }
}

/// A backend's URL: `scheme://authority/path?name=value&…`. What it prints has no password in it.
#[derive(Clone)]
pub struct BackendUrl {
    text: String,
    scheme: String,
    authority: String,
    path: String,
    query: BTreeMap<String, String>,
    dir: PathBuf,
}

impl BackendUrl {
    /// Takes a URL apart. Relative folders in it are taken from `dir`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, dir: &Path) -> Result<Self, BackendError> {
        let unfit = |why: &str| BackendError::Unfit(format!("`{}` is no URL of a backend: {why}", redacted(text)));
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| unfit("write it like `file://DIR` or `s3://BUCKET/PREFIX`"))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        if scheme.is_empty() || !scheme.chars().all(plain) {
            return Err(unfit("its scheme is written in small letters"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').map_or((place, ""), |(authority, path)| (authority, path));
        let mut values = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| unfit("write its options as `?name=value`"))?;
            let value = decode(value).ok_or_else(|| unfit("an option in it is not percent-encoded text"))?;
            if values.insert(name.to_owned(), value).is_some() {
                return Err(unfit("an option stands in it twice"));
            }
        }
        Ok(Self {
            text: text.to_owned(),
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            query: values,
            dir: dir.to_owned(),
        })
    }

    /// The scheme, such as `s3`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands before the first `/`: a host, or a bucket.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What stands between that and the `?`, without a `/` in front.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path, or what is left of it after what else stands there, as the beginning of keys: nothing, or names with a
    /// `/` after each.
    ///
    /// # Errors
    /// When they are not of letters, digits, `-`, `_` and `.`, or of `.` alone.
    pub fn prefix(&self, path: &str) -> Result<String, BackendError> {
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Ok(String::new());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if path.split('/').any(|part| part.trim_matches('.').is_empty() || !part.chars().all(plain)) {
            return Err(self.unfit("its prefix is names of letters, digits, `-`, `_` and `.`, with `/` between them"));
        }
        Ok(format!("{path}/"))
    }

    /// The folder that relative paths are taken from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// An option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// An option that is `true` or `false`; false where it is not there.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn flag(&self, name: &str) -> Result<bool, BackendError> {
        match self.option(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(self.unfit(&format!("`{name}` is `true` or `false`, not `{}`", other.escape_debug()))),
        }
    }

    /// An option that is the address of a server.
    ///
    /// # Errors
    /// When it begins neither with `http://` nor with `https://`.
    pub fn address(&self, name: &str) -> Result<Option<&str>, BackendError> {
        match self.option(name) {
            Some(text) if !text.starts_with("http://") && !text.starts_with("https://") => {
                Err(self.unfit(&format!("`{name}` begins with http:// or https://")))
            }
            address => Ok(address),
        }
    }

    /// An option that lists some of these names, with commas between them.
    ///
    /// # Errors
    /// When it lists another.
    pub fn names(&self, name: &str, known: &[&'static str]) -> Result<Vec<&'static str>, BackendError> {
        let listed = self.option(name).map_or_else(Vec::new, |list| list.split(',').collect());
        let found = |text: &str| known.iter().copied().find(|known| *known == text);
        listed
            .into_iter()
            .map(|text| {
                let unknown = || format!("`{name}` lists {}, not `{}`", known.join(", "), text.escape_debug());
                found(text).ok_or_else(|| self.unfit(&unknown()))
            })
            .collect()
    }

    /// An option that is a whole number within a range.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn number(&self, name: &str, range: std::ops::RangeInclusive<u16>) -> Result<Option<u16>, BackendError> {
        let Some(text) = self.option(name) else { return Ok(None) };
        match text.parse().ok().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.unfit(&format!("`{name}` is a number from {} to {}", range.start(), range.end()))),
        }
    }

    /// An option that is a duration in whole seconds (`30s`) or milliseconds (`1500ms`), such as the time to live of a
    /// lease.
    ///
    /// # Errors
    /// When it is anything else, or below a second.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, BackendError> {
        let Some(text) = self.option(name) else { return Ok(None) };
        let number = |digits: &str| digits.parse::<u32>().ok().map(u64::from);
        let duration = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(digits), _) => number(digits).map(Duration::from_millis),
            (None, Some(digits)) => number(digits).map(Duration::from_secs),
            (None, None) => None,
        };
        match duration.filter(|duration| *duration >= SHORTEST_TTL) {
            Some(duration) => Ok(Some(duration)),
            None => {
                let text = text.escape_debug();
                Err(self.unfit(&format!("`{name}` is a time such as `30s`, a second at least, not `{text}`")))
            }
        }
    }

    /// That it has no options but these: a slip must not be taken for a wish.
    ///
    /// # Errors
    /// When it has another one.
    pub fn allow(&self, known: &[&str]) -> Result<(), BackendError> {
        let Some(other) = self.query.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
        let there = match known {
            [] => "there are none".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        Err(self.unfit(&format!("it has no option `{}`: {there}", other.escape_debug())))
    }

    /// The URL as it was given, with the password that may be in it. Not for messages.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The URL as it was given, without those of its options that are named: for a client that knows the others.
    /// The password that may be in it is still there.
    pub fn reveal_without(&self, options: &[&str]) -> String {
        without(&self.text, options)
    }

    /// Whether a password stands in it.
    pub fn has_password(&self) -> bool {
        has_password(&self.text)
    }

    /// An error about this URL.
    pub fn unfit(&self, why: &str) -> BackendError {
        BackendError::Unfit(format!("the backend `{self}` cannot be used: {why}"))
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.text))
    }
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackendUrl({self})")
    }
}

/// What a file names of a URL: all but what is meant for the first time alone. `None` where a password stands in it, for
/// such files are committed and shown around.
pub(crate) fn lasting(url: &str) -> Option<String> {
    (!has_password(url)).then(|| without(url, &["create"]))
}

pub(crate) fn has_password(url: &str) -> bool {
    redacted(url) != url
}

/// A URL without those of its options that are named.
fn without(url: &str, options: &[&str]) -> String {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let rest: Vec<_> =
        query.split('&').filter(|pair| !options.contains(&pair.split('=').next().unwrap_or_default())).collect();
    if rest.iter().all(|pair| pair.is_empty()) { place.to_owned() } else { format!("{place}?{}", rest.join("&")) }
}

/// A URL without the password in it: neither that of `user:password@host`, nor one in an option.
pub(crate) fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    let (place, _) = rest.split_once('?').unwrap_or((rest, ""));
    // A password with a `?` in it should be percent-encoded, and is one all the same.
    let is_cut = place.contains(':') && !place.contains('/');
    let at = place.rfind('@').or_else(|| rest.rfind('@').filter(|_| is_cut));
    let user = at.and_then(|at| rest.get(..at)?.split_once(':'));
    let url = match (user, at.and_then(|at| rest.get(at..))) {
        (Some((user, _)), Some(host)) => format!("{scheme}{user}:***{host}"),
        _ => url.to_owned(),
    };
    let Some((place, query)) = url.split_once('?') else { return url };
    let query: Vec<_> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("password") => format!("{name}=***"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{place}?{}", query.join("&"))
}

/// Percent-encoded text as it is meant.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Opens the place that a URL leads to, by its scheme. Folders are always linked.
pub(crate) async fn open(text: &str, dir: &Path, linked: &[LinkedBackend]) -> Result<Arc<dyn Place>, BackendError> {
    let url = BackendUrl::parse(text, dir)?;
    if url.scheme() == "file" {
        url.allow(&[])?;
        let path = text.strip_prefix("file://").unwrap_or_default();
        if path.is_empty() {
            return Err(url.unfit("it names no folder: write `file://DIR`"));
        }
        return Ok(Arc::new(LocalPlace::new(dir.join(path))));
    }
    if let Some(kind) = linked.iter().find(|kind| kind.schemes.contains(&url.scheme())) {
        return (kind.open)(url).await;
    }
    let there: Vec<_> =
        std::iter::once("file").chain(linked.iter().flat_map(|kind| kind.schemes.iter().copied())).collect();
    let way = match KNOWN.iter().find(|(scheme, ..)| *scheme == url.scheme()) {
        Some((_, package, path)) => {
            format!("add the {package}, and write `#[stackkit::main(backends({path}))]`")
        }
        None => "`#[stackkit::main(backends(…))]` links others".to_owned(),
    };
    let (kinds, verb) = (
        there.iter().map(|scheme| format!("`{scheme}://`")).collect::<Vec<_>>().join(", "),
        if there.len() == 1 { "is" } else { "are" },
    );
    Err(BackendError::Unfit(format!(
        "this program knows no backend for `{}://` ({kinds} {verb} linked): {way}",
        url.scheme().escape_debug()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BackendUrl, String> {
        BackendUrl::parse(text, Path::new("/dir")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = parse("s3://bucket/a/b?sse=aws%3Akms&ttl=20s").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((url.scheme(), url.authority(), url.path()), ("s3", "bucket", "a/b"));
        assert_eq!(url.option("sse"), Some("aws:kms"));
        assert_eq!(url.duration("ttl").ok().flatten(), Some(Duration::from_secs(20)));
        assert_eq!(url.flag("create").ok(), Some(false));
        assert!(url.allow(&["sse", "ttl"]).is_ok());
        let error = url.allow(&["sse"]).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("no option `ttl`: there are sse"), "{error}");
        assert_eq!(url.reveal_without(&["ttl"]), "s3://bucket/a/b?sse=aws%3Akms");
        assert_eq!(url.reveal_without(&["ttl", "sse"]), "s3://bucket/a/b");
        let url =
            parse("s3://bucket/a/b/?endpoint=http://[::1]:9&accept=b,a").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(url.prefix(url.path()).ok().as_deref(), Some("a/b/"));
        assert_eq!(url.address("endpoint").ok().flatten(), Some("http://[::1]:9"));
        assert_eq!(url.names("accept", &["a", "b", "c"]).ok(), Some(vec!["b", "a"]));
        assert_eq!(url.names("nothing", &["a"]).ok(), Some(vec![]));
        let error = url.names("accept", &["a", "c"]).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("`accept` lists a, c, not `b`"), "{error}");
        for text in ["s3://bucket/a//b?e=localhost", "s3://bucket/a%2fb?e=ftp://x", "s3://bucket/a/..?e=x"] {
            let url = parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert!(url.prefix(url.path()).is_err() && url.address("e").is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_said_without_its_password() {
        for (text, why) in [
            ("bucket", "write it like"),
            ("S3://bucket", "small letters"),
            ("s3://b?x", "`?name=value`"),
            ("s3://b?x=1&x=2", "twice"),
            ("s3://b?x=%f", "percent-encoded"),
        ] {
            let error = parse(text).err().unwrap_or_default();
            assert!(error.contains(why), "{text}: {error}");
        }
        for text in ["POSTGRES://u:hunter2@h/d", "postgres://u:hunter2@h/d?x", "postgres://u:hun@ter2@h/d?x"] {
            let error = parse(text).err().unwrap_or_default();
            assert!(!error.contains("hunter2") && !error.contains("ter2@"), "{error}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        // Nor where the text is no URL.
        assert_eq!(redacted("postgres://u:hun?ter2@h/d"), "postgres://u:***@h/d");
        for (text, shown) in [
            ("postgres://u:hunter2@h:5/d?a=b", "postgres://u:***@h:5/d?a=b"),
            ("postgres://u@h/d?password=hunter2&a=b", "postgres://u@h/d?password=***&a=b"),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("postgres://h:5432/d?name=a@b", "postgres://h:5432/d?name=a@b"),
            ("file:///a/b", "file:///a/b"),
        ] {
            assert_eq!(redacted(text), shown);
            let url = parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(format!("{url}"), shown);
            assert_eq!(format!("{url:?}"), format!("BackendUrl({shown})"));
            assert_eq!(url.has_password(), text != shown);
        }
    }

    #[test]
    fn odd_times_and_flags_are_refused() {
        let url = parse("s3://b?ttl=10&short=500ms&yes=1").unwrap_or_else(|error| panic!("{error}"));
        assert!(url.duration("ttl").is_err());
        assert!(url.duration("short").is_err());
        assert!(url.flag("yes").is_err());
    }

    struct Nowhere;

    impl BackendKind for Nowhere {
        const SCHEMES: &'static [&'static str] = &["nowhere", "nil"];

        async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
            Err(url.unfit("it is nowhere"))
        }
    }

    #[tokio::test]
    async fn an_unknown_scheme_names_what_is_linked_and_what_to_add() {
        let error = async |text: &str, linked: &[LinkedBackend]| match open(text, Path::new("/dir"), linked).await {
            Ok(place) => place.describe(),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            error("s3://bucket", &[]).await,
            "this program knows no backend for `s3://` (`file://` is linked): add the crate `stackkit-aws` with feature `s3`, and write `#[stackkit::main(backends(stackkit_aws::S3State))]`"
        );
        let nowhere = [LinkedBackend::of::<Nowhere>()];
        let message = error("gopher://x", &nowhere).await;
        assert!(message.contains("(`file://`, `nowhere://`, `nil://` are linked)"), "{message}");
        assert!(error("nil://x", &nowhere).await.contains("it is nowhere"));
        assert_eq!(error("file://state", &[]).await, "file:///dir/state");
        assert!(error("file://", &[]).await.contains("names no folder"));
    }
}
