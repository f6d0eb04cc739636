//! `Identities`: the private keys at hand, and where they are looked for.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use stackkit::seal::{KeyTrouble, SealError};
use zeroize::Zeroizing;

/// Where private keys of age and SSH are looked for. Nothing is read before a key is needed.
#[derive(Clone, Default)]
#[must_use]
pub struct Identities {
    /// The text of private keys.
    pub text: Option<SecretString>,
    /// Files that have to be there.
    pub files: Vec<PathBuf>,
    /// Files that are passed over where they do not exist.
    pub defaults: Vec<PathBuf>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("text", &self.text.as_ref().map(|_| "[secret]"))
            .field("files", &self.files)
            .field("defaults", &self.defaults)
            .finish()
    }
}

/// What was found: the keys, and the files whose keys a passphrase protects.
pub(crate) struct Found {
    pub(crate) keys: Vec<Box<dyn age::Identity + Send + Sync>>,
    pub(crate) protected: Vec<PathBuf>,
}

impl Identities {
    /// What the environment says: see the crate's first page. Empty variables count as unset.
    pub fn from_env() -> Self {
        let path = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let config = path("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| home.as_ref().map(|home| home.join(".config")));
        let mut defaults: Vec<PathBuf> =
            config.into_iter().map(|config| config.join("stackkit").join("age.txt")).collect();
        defaults.extend(home.iter().flat_map(|home| ["id_ed25519", "id_rsa"].map(|name| home.join(".ssh").join(name))));
        Self {
            text: std::env::var("STACKKIT_AGE_IDENTITY")
                .ok()
                .filter(|text| !text.trim().is_empty())
                .map(SecretString::from),
            files: path("STACKKIT_AGE_IDENTITY_FILE").into_iter().collect(),
            defaults,
        }
    }

    /// Those of one file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { files: vec![path.into()], ..Self::default() }
    }

    /// Reads them all.
    pub(crate) fn read(&self) -> Result<Found, SealError> {
        let mut found = Found { keys: Vec::new(), protected: Vec::new() };
        if let Some(text) = &self.text {
            let place = Path::new("STACKKIT_AGE_IDENTITY");
            parse(text.expose_secret(), place, &mut found)?;
        }
        for (path, needed) in
            self.files.iter().map(|path| (path, true)).chain(self.defaults.iter().map(|path| (path, false)))
        {
            match read_private(path) {
                Ok(text) => parse(&text, path, &mut found)?,
                Err(SealError::Io { source, .. }) if !needed && source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, SealError> {
    let io = |source| SealError::Io { what: "read the private key in", path: path.into(), source };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let mode = fs::metadata(path).map_err(io)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SealError::KeyFileReadable { path: path.into(), mode });
        }
    }
    fs::read_to_string(path).map(Zeroizing::new).map_err(io)
}

/// Reads the keys of a text: one SSH key, or lines of age keys and comments.
fn parse(text: &str, place: &Path, found: &mut Found) -> Result<(), SealError> {
    let refuse = |detail: &str| SealError::Provider {
        kind: super::Age::NAME.into(),
        id: place.display().to_string(),
        trouble: KeyTrouble::Invalid,
        detail: detail.into(),
    };
    if text.trim_start().starts_with("-----BEGIN") {
        let name = place.display().to_string();
        let key = age::ssh::Identity::from_buffer(io::Cursor::new(text.as_bytes()), Some(name))
            .map_err(|_| refuse("it is no private key of SSH that age takes"))?;
        match key {
            age::ssh::Identity::Unencrypted(_) => found.keys.push(Box::new(key)),
            age::ssh::Identity::Encrypted(_) => found.protected.push(place.to_owned()),
            // A key of another kind, such as of a security token, is for other uses.
            age::ssh::Identity::Unsupported(_) => {}
        }
        return Ok(());
    }
    let mut none = true;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let key: age::x25519::Identity =
            line.parse().map_err(|_| refuse("a line of it is no private key of age, as `age-keygen` writes them"))?;
        found.keys.push(Box::new(key));
        none = false;
    }
    if none { Err(refuse("it holds no private key")) } else { Ok(()) }
}
