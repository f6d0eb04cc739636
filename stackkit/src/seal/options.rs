//! Which keys a run has at hand, and how a stack is unlocked or first sealed with them.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{DataKey, Header, KeyFile, KeyProvider, LinkedKeys, Passphrase, SealError, Sealer};

/// The keys that a run may use. Nothing below this reads the environment.
#[derive(Clone, Default)]
#[must_use]
pub struct KeyOptions {
    /// A passphrase.
    pub passphrase: Option<SecretString>,
    /// A file whose first line is the passphrase; read when it is needed.
    pub passphrase_file: Option<PathBuf>,
    /// The key file that the user named.
    pub key_file: Option<PathBuf>,
    /// The key file of this user where none is named.
    pub default_key_file: Option<PathBuf>,
    /// The passphrase to wrap with from now on, where it is not the one that opens.
    pub new_passphrase: Option<SecretString>,
    /// Kinds of keys that are linked, beside key files and passphrases.
    pub linked: Vec<LinkedKeys>,
    /// Whether new stacks are sealed as a whole. Those that there are stay as they are.
    pub whole: bool,
}

impl fmt::Debug for KeyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyOptions")
            .field("passphrase", &self.passphrase.as_ref().map(|_| "[secret]"))
            .field("passphrase_file", &self.passphrase_file)
            .field("key_file", &self.key_file)
            .field("default_key_file", &self.default_key_file)
            .field("new_passphrase", &self.new_passphrase.as_ref().map(|_| "[secret]"))
            .field("linked", &self.linked)
            .field("whole", &self.whole)
            .finish()
    }
}

impl KeyOptions {
    /// What the environment says: `STACKKIT_PASSPHRASE`, `STACKKIT_PASSPHRASE_FILE`, `STACKKIT_NEW_PASSPHRASE`,
    /// `STACKKIT_KEY_FILE`, and `$XDG_CONFIG_HOME/stackkit/key` or `~/.config/stackkit/key` as the default key file. Empty ones count as unset.
    pub fn from_env() -> Self {
        let path = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty()).map(SecretString::from);
        let config = path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| {
            std::env::home_dir().filter(|path| !path.as_os_str().is_empty()).map(|home| home.join(".config"))
        });
        Self {
            passphrase: text("STACKKIT_PASSPHRASE"),
            passphrase_file: path("STACKKIT_PASSPHRASE_FILE"),
            key_file: path("STACKKIT_KEY_FILE"),
            default_key_file: config.map(|config| config.join("stackkit").join("key")),
            new_passphrase: text("STACKKIT_NEW_PASSPHRASE"),
            linked: Vec::new(),
            whole: false,
        }
    }

    /// With this passphrase, as a prompt gave it.
    pub fn passphrase(mut self, text: SecretString) -> Self {
        self.passphrase = Some(text);
        self
    }

    /// With new stacks sealed as a whole: names, ids and plain values of their states too.
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// With this key file.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_file = Some(path.into());
        self
    }

    /// Whether a passphrase would have to be asked for to open a stack with this header.
    pub fn lacks_passphrase_for(&self, header: &Header) -> bool {
        header.has(Passphrase::KIND)
            && header.keys.iter().all(|key| key.kind == Passphrase::KIND)
            && self.passphrase.is_none()
            && self.passphrase_file.is_none()
    }

    pub(super) fn passphrase_provider(&self) -> Result<Option<Passphrase>, SealError> {
        if let Some(text) = &self.passphrase {
            return Ok(Some(Passphrase::new(text.clone())));
        }
        let Some(path) = &self.passphrase_file else { return Ok(None) };
        let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|source| SealError::Io {
            what: "read the passphrase in",
            path: path.clone(),
            source,
        })?;
        Ok(Some(Passphrase::new(text.lines().next().unwrap_or_default().into())))
    }

    pub(super) fn key_file_provider(&self) -> Option<KeyFile> {
        self.key_file.as_ref().or(self.default_key_file.as_ref()).map(KeyFile::at)
    }
}

/// A stack that was sealed for the first time.
#[derive(Debug)]
pub struct Created {
    /// The header, to be written into the stack's file.
    pub header: Header,
    /// The sealer.
    pub sealer: Sealer,
    /// The key file, if this made one: say where it is, and that it is needed.
    pub new_key_file: Option<PathBuf>,
}

/// Makes lineage and data key of a new stack, wrapped with a passphrase where there is one, else with the key file,
/// which is made if it does not exist. The header is not written yet: see [`Header::write`].
///
/// # Errors
/// When the key file cannot be made or read, or the passphrase is empty.
pub async fn create(options: &KeyOptions) -> Result<Created, SealError> {
    if let Some(passphrase) = options.passphrase_provider()? {
        passphrase.check_strength()?;
        return create_from(&[&passphrase], options.whole).await;
    }
    let file = options.key_file_provider().ok_or(SealError::NoKeyPlace)?;
    let made = file.ensure()?;
    let mut created = create_from(&[&file], options.whole).await?;
    created.new_key_file = made.then(|| file.path().to_owned());
    Ok(created)
}

/// Makes lineage and data key of a new stack, wrapped once by each of these.
///
/// # Errors
/// When one of them fails.
pub async fn create_with(providers: &[&dyn KeyProvider]) -> Result<Created, SealError> {
    create_from(providers, false).await
}

async fn create_from(providers: &[&dyn KeyProvider], whole: bool) -> Result<Created, SealError> {
    let key = DataKey::generate()?;
    let lineage = uuid::Uuid::now_v7().to_string();
    let mut keys = Vec::with_capacity(providers.len());
    for provider in providers {
        keys.push(provider.wrap(&key, &lineage).await?);
    }
    let header = Header { lineage, data_key: key.id(), keys, whole, next: None, mac: String::new() }.with_mac(&key);
    Ok(Created { sealer: header.sealer(&key), header, new_key_file: None })
}

/// Opens a stack's data key with what the options give: the passphrase first, then the key file, then the keys that are
/// linked. Deriving a key from a passphrase is slow on purpose, so call this once a run.
///
/// # Errors
/// When nothing opens it: why, for every key that could have.
pub async fn unlock(header: &Header, options: &KeyOptions) -> Result<Sealer, SealError> {
    let key = header.open(options).await?;
    Ok(header.sealer(&key))
}

/// Opens a stack's data key with the first of these that can.
///
/// # Errors
/// When none can; the error is that of the first which fits a key of the header by its kind, and by its id if any does.
pub async fn unlock_with(header: &Header, providers: &[&dyn KeyProvider]) -> Result<Sealer, SealError> {
    let mut first = None;
    for provider in providers {
        // Several keys of one kind may stand in the header, such as two people's key files. That one of them is
        // another's says less than any other failure.
        for wrapped in header.keys.iter().filter(|key| key.kind == provider.kind()) {
            match provider.unwrap(wrapped, &header.lineage).await {
                Ok(key) if key.id() == header.data_key => {
                    header.check(&key)?;
                    return Ok(header.sealer(&key));
                }
                Ok(_) => {
                    first.get_or_insert(SealError::WrappedKey { kind: wrapped.kind.clone(), id: wrapped.id.clone() });
                }
                Err(error) if matches!(first, None | Some(SealError::KeyFileOther { .. })) => first = Some(error),
                Err(_) => {}
            }
        }
    }
    Err(first.unwrap_or_else(|| {
        let wanted: Vec<_> = header.keys.iter().map(|key| format!("{} {}", key.kind, key.id)).collect();
        let tried: Vec<_> = providers.iter().map(|provider| provider.kind()).collect();
        SealError::NoKey {
            wanted: if wanted.is_empty() { "nothing".into() } else { wanted.join(", ") },
            tried: if tried.is_empty() { "no key was given".into() } else { format!("tried {}", tried.join(", ")) },
        }
    }))
}
