//! `KeyKind`: kinds of keys beyond key file and passphrase, linked into a program; and the texts by which keys are named.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{KeyFile, KeyOptions, KeyProvider, Passphrase, SealError, WrappedKey};

/// What a link to a kind of keys is, where nothing else is known.
const KNOWN: [(&str, &str, &str); 5] = [
    ("age", "crate `stackkit-age`", "stackkit_age::Age"),
    ("aws-kms", "crate `stackkit-aws` with feature `kms`", "stackkit_aws::Kms"),
    ("azure-key-vault", "crate `stackkit-azure` with feature `keys`", "stackkit_azure::KeyVault"),
    ("google-kms", "crate `stackkit-google` with feature `keys`", "stackkit_google::CloudKms"),
    ("vault", "crate `stackkit-vault`", "stackkit_vault::Transit"),
];

/// A kind of keys, linked into a program by `#[stackkit::main(keys(…))]` and found by the kind of a wrapped key.
///
/// It says how a key of the kind is reached: from the text that a user names it by, and from what the `[seal]` header
/// keeps of it, each together with what the environment gives, such as credentials.
pub trait KeyKind: 'static {
    /// The kind, as it stands in the header and in front of the `:` of a key's name, such as `aws-kms`.
    const KIND: &'static str;

    /// The keys that `KIND:NAME` names. Relative paths in it are taken from `dir`.
    ///
    /// # Errors
    /// When it names none.
    fn named(name: &str, dir: &Path) -> Result<Vec<NamedKey>, SealError>;

    /// The key that wrapped this. It unwraps it, and wraps anew when the data key changes.
    ///
    /// # Errors
    /// When the settings are not those of such a key.
    fn of(wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError>;
}

/// A linked [`KeyKind`], erased.
#[derive(Clone, Copy)]
pub struct LinkedKeys {
    kind: &'static str,
    named: fn(&str, &Path) -> Result<Vec<NamedKey>, SealError>,
    of: fn(&WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError>,
}

impl LinkedKeys {
    /// The kind of keys as a value.
    pub const fn of<K: KeyKind>() -> Self {
        Self { kind: K::KIND, named: K::named, of: K::of }
    }

    /// The kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }
}

impl fmt::Debug for LinkedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkedKeys").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A key that was named, with what people call it.
#[derive(Debug, Clone)]
pub struct NamedKey {
    /// What wraps and unwraps.
    pub provider: Arc<dyn KeyProvider>,
    /// What people call it, such as the name of its holder.
    pub label: Option<String>,
    /// The key file, if naming it made one.
    pub made: Option<PathBuf>,
}

impl NamedKey {
    /// A key without a label.
    pub fn new(provider: impl KeyProvider + 'static) -> Self {
        Self { provider: Arc::new(provider), label: None, made: None }
    }

    /// With a label; none leaves it as it is.
    #[must_use]
    pub fn label(mut self, label: Option<String>) -> Self {
        self.label = label.or(self.label);
        self
    }
}

impl KeyOptions {
    /// The keys that a text such as `key-file:PATH`, `passphrase` or `age:RECIPIENT` names. Relative paths are taken from
    /// `dir`. A key file that does not exist is made.
    ///
    /// # Errors
    /// When it names none, or its kind is not linked.
    pub fn named(&self, text: &str, dir: &Path) -> Result<Vec<NamedKey>, SealError> {
        let (kind, name) = text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
        let unfit = |detail: &str| SealError::Spec { text: text.to_owned(), detail: detail.to_owned() };
        match (kind, name) {
            (KeyFile::KIND, None) => {
                let file = self.key_file_provider().ok_or(SealError::NoKeyPlace)?;
                Ok(vec![made(file)?])
            }
            (KeyFile::KIND, Some("")) => Err(unfit("it names no file")),
            (KeyFile::KIND, Some(path)) => Ok(vec![made(KeyFile::at(dir.join(path)))?]),
            (Passphrase::KIND, None) => {
                let text = match &self.new_passphrase {
                    Some(text) => Passphrase::new(text.clone()),
                    None => self.passphrase_provider()?.ok_or(SealError::NoNewPassphrase)?,
                };
                text.check_strength()?;
                Ok(vec![NamedKey::new(text)])
            }
            (Passphrase::KIND, Some(_)) => Err(unfit(
                "a passphrase does not stand in an argument: set STACKKIT_NEW_PASSPHRASE, and write `passphrase`",
            )),
            (kind, name) => {
                let linked = self.linked_kind(kind)?;
                match name {
                    Some(name) if !name.trim().is_empty() => (linked.named)(name.trim(), dir),
                    _ => Err(unfit("it names no key")),
                }
            }
        }
    }

    /// The key that wrapped this, as far as the options reach it; `None` where they do not give one of its kind.
    pub(super) fn provider_of(&self, wrapped: &WrappedKey) -> Result<Option<Arc<dyn KeyProvider>>, SealError> {
        Ok(match wrapped.kind.as_str() {
            KeyFile::KIND => self.key_file_provider().map(|file| Arc::new(file) as Arc<dyn KeyProvider>),
            Passphrase::KIND => self.passphrase_provider()?.map(|text| Arc::new(text) as Arc<dyn KeyProvider>),
            kind => Some((self.linked_kind(kind)?.of)(wrapped)?),
        })
    }

    /// The key of a linked kind that wrapped this.
    pub(crate) fn linked_provider(&self, wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError> {
        (self.linked_kind(&wrapped.kind)?.of)(wrapped)
    }

    fn linked_kind(&self, kind: &str) -> Result<&LinkedKeys, SealError> {
        self.linked.iter().find(|linked| linked.kind == kind).ok_or_else(|| {
            let there: Vec<_> =
                [KeyFile::KIND, Passphrase::KIND].into_iter().chain(self.linked.iter().map(LinkedKeys::kind)).collect();
            let way = match KNOWN.iter().find(|(known, ..)| *known == kind) {
                Some((_, package, path)) => format!("add the {package}, and write `#[stackkit::main(keys({path}))]`"),
                None => "write `#[stackkit::main(keys(…))]` to link others".to_owned(),
            };
            SealError::NotLinked { kind: kind.escape_debug().to_string(), there: there.join(", "), way }
        })
    }
}

fn made(file: KeyFile) -> Result<NamedKey, SealError> {
    let made = file.ensure()?.then(|| file.path().to_owned());
    Ok(NamedKey { made, ..NamedKey::new(file) })
}
