//! The data key and those that open it: wrapping it for more keys, opening it with one of them, wrapping a new one.

use super::{
    DataKey, Header, KeyFile, KeyOptions, NamedKey, Passphrase, SealError, Sealer, Setting, WrappedKey, base64,
};

/// The setting of a wrapped key that says what people call it.
const LABEL: &str = "label";

/// One data key, wrapped once for each key that may open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// The id of the data key.
    pub data_key: String,
    /// The data key, wrapped.
    pub keys: Vec<WrappedKey>,
}

impl WrappedKey {
    /// What people call it, such as the name of its holder.
    pub fn label(&self) -> Option<&str> {
        self.text(LABEL)
    }

    /// The key for messages: its kind, and its label or id.
    pub fn describe(&self) -> String {
        match self.label() {
            Some(label) => format!("{} {} ({label})", self.kind, self.id),
            None => format!("{} {}", self.kind, self.id),
        }
    }

    fn labelled(mut self, label: Option<&str>) -> Self {
        if let Some(label) = label {
            self.settings.insert(LABEL.to_owned(), Setting::Text(label.to_owned()));
        }
        self
    }
}

impl Header {
    /// The present data key with those that open it.
    pub fn ring(&self) -> Ring {
        Ring { data_key: self.data_key.clone(), keys: self.keys.clone() }
    }

    /// The sealer of the stack under a data key of its own.
    pub fn sealer(&self, key: &DataKey) -> Sealer {
        Sealer::new(key, &self.lineage).whole(self.whole)
    }

    /// With the code of all that it says, made by the data key. Without it, whoever can write the file and no more could
    /// list a key of their own, and the next change of the data key would wrap for it.
    #[must_use]
    pub fn with_mac(mut self, key: &DataKey) -> Self {
        self.mac = self.code(key);
        self
    }

    /// Opens the data key with what the options give, and checks that a holder of it wrote the header. See [`open`].
    ///
    /// # Errors
    /// When nothing opens it, or the header was edited.
    pub async fn open(&self, options: &KeyOptions) -> Result<DataKey, SealError> {
        let key = open(&self.ring(), &self.lineage, options).await?;
        self.check(&key)?;
        Ok(key)
    }

    pub(super) fn check(&self, key: &DataKey) -> Result<(), SealError> {
        if self.mac == self.code(key) { Ok(()) } else { Err(SealError::HeaderEdited) }
    }

    fn code(&self, key: &DataKey) -> String {
        let mut said: Vec<Vec<u8>> = vec![self.lineage.as_bytes().to_vec()];
        for ring in std::iter::once(&self.ring()).chain(&self.next) {
            said.push(ring.data_key.as_bytes().to_vec());
            said.push(ring.keys.len().to_string().into_bytes());
            for key in &ring.keys {
                said.extend([&key.kind, &key.id, &key.wrapped].map(|text| text.as_bytes().to_vec()));
                said.push(key.settings.len().to_string().into_bytes());
                for (name, setting) in &key.settings {
                    said.push(name.as_bytes().to_vec());
                    said.push(match setting {
                        Setting::Text(text) => format!("text {text}").into_bytes(),
                        Setting::Number(number) => format!("number {number}").into_bytes(),
                    });
                }
            }
        }
        let mut purpose: Vec<&[u8]> = vec![b"header"];
        purpose.extend(said.iter().map(Vec::as_slice));
        if self.whole {
            purpose.push(b"whole");
        }
        base64(&*key.derive(&purpose))
    }
}

/// Wraps a data key for one more key.
///
/// # Errors
/// When the key cannot be reached.
pub async fn wrap(key: &DataKey, lineage: &str, named: &NamedKey) -> Result<WrappedKey, SealError> {
    Ok(named.provider.wrap(key, lineage).await?.labelled(named.label.as_deref()))
}

/// Wraps a new data key by the key that wrapped an old one, under the same label. Whoever holds a key service's address
/// or a recipient can; a key file or a passphrase has to be at hand, and to be the one.
///
/// # Errors
/// When the key cannot be reached.
pub async fn rewrap(
    old: &WrappedKey,
    key: &DataKey,
    lineage: &str,
    options: &KeyOptions,
) -> Result<WrappedKey, SealError> {
    let provider = options.provider_of(old)?.ok_or_else(|| absent(old))?;
    if matches!(old.kind.as_str(), KeyFile::KIND | Passphrase::KIND) {
        provider.unwrap(old, lineage).await?;
    }
    Ok(provider.wrap(key, lineage).await?.labelled(old.label()))
}

/// Opens a data key with what the options give: the passphrase first, then the key file, then the keys that are linked,
/// in the order of the header. Deriving a key from a passphrase is slow on purpose, so call this once a run.
///
/// # Errors
/// When nothing opens it: why, for every key that could have.
pub async fn open(ring: &Ring, lineage: &str, options: &KeyOptions) -> Result<DataKey, SealError> {
    let rank = |key: &WrappedKey| match key.kind.as_str() {
        Passphrase::KIND => 0,
        KeyFile::KIND => 1,
        _ => 2,
    };
    let mut keys: Vec<&WrappedKey> = ring.keys.iter().collect();
    keys.sort_by_key(|key| rank(key));
    let mut tried = Vec::new();
    for wrapped in keys {
        let opened = match options.provider_of(wrapped) {
            Ok(Some(provider)) => provider.unwrap(wrapped, lineage).await,
            Ok(None) => Err(absent(wrapped)),
            Err(error) => Err(error),
        };
        match opened {
            Ok(key) if key.id() == ring.data_key => return Ok(key),
            Ok(_) => tried.push(SealError::WrappedKey { kind: wrapped.kind.clone(), id: wrapped.id.clone() }),
            Err(error) => tried.push(error),
        }
    }
    Err(worth_saying(tried).unwrap_or_else(|| SealError::NoKey {
        wanted: "nothing".into(),
        tried: "its header lists no key; bring the stack's file back from version control".into(),
    }))
}

fn absent(wrapped: &WrappedKey) -> SealError {
    if wrapped.kind == Passphrase::KIND { SealError::NoPassphrase } else { SealError::NoKeyPlace }
}

/// The errors that tell a user something. That one of several keys is another person's says less than any other
/// failure, and a key that was not given says less than one that failed.
fn worth_saying(mut tried: Vec<SealError>) -> Option<SealError> {
    for less in [
        (|error| matches!(error, SealError::NoPassphrase | SealError::NoKeyPlace)) as fn(&SealError) -> bool,
        |error| matches!(error, SealError::KeyFileOther { .. } | SealError::NotHeld { .. }),
    ] {
        if tried.iter().any(|error| !less(error)) {
            tried.retain(|error| !less(error));
        }
    }
    let mut said = Vec::new();
    tried.retain(|error| {
        let text = match error {
            // Several people's key files: one missing file says it.
            SealError::KeyFileMissing { .. } => "missing".to_owned(),
            SealError::KeyFileOther { .. } => "other".to_owned(),
            other => other.to_string(),
        };
        !said.contains(&text) && {
            said.push(text);
            true
        }
    });
    if tried.len() > 1 { Some(SealError::NoneOpens(tried)) } else { tried.pop() }
}
