//! `AgeKey`: a data key wrapped for one recipient, as an age file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use stackkit::context::BoxFuture;
use stackkit::seal::{self, DataKey, KeyKind, KeyProvider, KeyTrouble, NamedKey, SealError, Setting, WrappedKey};
use zeroize::Zeroizing;

use crate::{Identities, OpenError, Recipient};

const KIND: &str = Age::NAME;
/// The setting that keeps the public key of an SSH recipient, whose id is only its fingerprint.
const RECIPIENT: &str = "recipient";

/// Keys of age and SSH: `#[stackkit::main(keys(Age))]`.
#[derive(Debug)]
pub struct Age;

impl Age {
    /// The kind, as it stands in the header.
    pub const NAME: &'static str = "age";
}

impl KeyKind for Age {
    const KIND: &'static str = Age::NAME;

    fn named(name: &str, dir: &Path) -> Result<Vec<NamedKey>, SealError> {
        let identities = Identities::from_env();
        let recipients = recipients(name, dir)?;
        let key = |recipient: Recipient| {
            let label = recipient.label().map(str::to_owned);
            NamedKey::new(AgeKey::new(recipient, identities.clone())).label(label)
        };
        Ok(recipients.into_iter().map(key).collect())
    }

    fn of(wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError> {
        let text = wrapped.text(RECIPIENT).unwrap_or(&wrapped.id);
        let recipient: Recipient = text.parse().map_err(|detail: &str| SealError::Provider {
            kind: KIND.into(),
            id: wrapped.id.clone(),
            trouble: KeyTrouble::Invalid,
            detail: format!("{detail}; restore the [seal] header from version control"),
        })?;
        Ok(Arc::new(AgeKey::new(recipient, Identities::from_env())))
    }
}

/// The recipients that a text names: itself, or the lines of a file.
fn recipients(name: &str, dir: &Path) -> Result<Vec<Recipient>, SealError> {
    let unfit = |text: &str, detail: &str| SealError::Spec { text: format!("age:{text}"), detail: detail.into() };
    let is_key = |text: &str| text.starts_with("age1") || text.starts_with("ssh-");
    // What is no file is said to be no key: the text may be a private one, which must not be shown.
    let secret = |text: &str| text.to_ascii_uppercase().contains("AGE-SECRET-KEY-");
    if secret(name) {
        return Err(unfit("…", "it is a private key: give the public one, and keep this to yourself"));
    }
    if is_key(name) {
        return Ok(vec![name.parse().map_err(|detail: &str| unfit(name, detail))?]);
    }
    let path = dir.join(name);
    let text = fs::read_to_string(&path).map_err(|source| SealError::Io {
        what: "read the recipients in",
        path: path.clone(),
        source,
    })?;
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        all.push(line.parse().map_err(|detail: &str| unfit(name, &format!("line {number}: {detail}")))?);
    }
    if all.is_empty() { Err(unfit(name, "the file holds no recipient")) } else { Ok(all) }
}

/// The key of one recipient, with the private keys that may open for it.
#[derive(Debug, Clone)]
pub struct AgeKey {
    recipient: Recipient,
    identities: Identities,
}

impl AgeKey {
    /// The key of a recipient.
    pub fn new(recipient: Recipient, identities: Identities) -> Self {
        Self { recipient, identities }
    }

    fn failed(&self, trouble: KeyTrouble, detail: impl Into<String>) -> SealError {
        SealError::Provider { kind: KIND.into(), id: self.recipient.id().into(), trouble, detail: detail.into() }
    }

    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, String> {
        let encryptor = age::Encryptor::with_recipients(std::iter::once(self.recipient.key()))
            .map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        let mut writer = encryptor.wrap_output(&mut out).map_err(|error| error.to_string())?;
        writer.write_all(plain).map_err(|error| error.to_string())?;
        writer.finish().map_err(|error| error.to_string())?;
        Ok(out)
    }

    fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.identities.open(sealed).map_err(|error| match error {
            OpenError::NotHeld(not_tried) => self.not_held(not_tried),
            OpenError::Damaged => {
                self.failed(KeyTrouble::Refused, "it was edited; restore the header from version control")
            }
            OpenError::Identities(error) => error,
        })
    }

    fn not_held(&self, not_tried: Option<String>) -> SealError {
        let mut help = "set STACKKIT_AGE_IDENTITY, or STACKKIT_AGE_IDENTITY_FILE to a file that holds it".to_owned();
        if let Some(not_tried) = not_tried {
            help.push_str("; ");
            help.push_str(&not_tried);
        }
        SealError::NotHeld { kind: KIND.into(), id: self.recipient.id().into(), help }
    }
}

impl KeyProvider for AgeKey {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn wrap<'a>(&'a self, key: &'a DataKey, lineage: &'a str) -> BoxFuture<'a, Result<WrappedKey, SealError>> {
        Box::pin(async move {
            let id = self.recipient.id();
            let sealed = self
                .encrypt(&seal::bind(key, KIND, id, lineage))
                .map_err(|detail| self.failed(KeyTrouble::Other, detail))?;
            let mut settings = BTreeMap::new();
            if id != self.recipient.text() {
                settings.insert(RECIPIENT.to_owned(), Setting::Text(self.recipient.text().to_owned()));
            }
            Ok(WrappedKey { kind: KIND.into(), id: id.to_owned(), wrapped: seal::base64(&sealed), settings })
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, lineage: &'a str) -> BoxFuture<'a, Result<DataKey, SealError>> {
        Box::pin(async move {
            let damaged = || SealError::WrappedKey { kind: KIND.into(), id: wrapped.id.clone() };
            let sealed = seal::unbase64(&wrapped.wrapped).ok_or_else(damaged)?;
            let plain = self.decrypt(&sealed)?;
            seal::unbind(&plain, KIND, &wrapped.id, lineage).ok_or_else(damaged)
        })
    }
}
