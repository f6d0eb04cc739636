//! `Identities`: the private keys at hand, and where they are looked for.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use stackkit::seal::{KeyTrouble, SealError};
use zeroize::Zeroizing;

/// The longest content of an age file that is opened, in bytes. Keys are shorter by far.
const LONGEST: u64 = 4096;

/// Where private keys of age and SSH are looked for. Nothing is read before a key is needed.
#[derive(Clone)]
#[must_use]
pub struct Identities {
    /// The text of private keys.
    pub text: Option<SecretString>,
    /// What that text is called in messages, such as the variable that it comes from.
    pub text_name: &'static str,
    /// Files that have to be there.
    pub files: Vec<PathBuf>,
    /// Files that are passed over where they do not exist.
    pub defaults: Vec<PathBuf>,
}

impl Default for Identities {
    /// None at all.
    fn default() -> Self {
        Self { text: None, text_name: "STACKKIT_AGE_IDENTITY", files: Vec::new(), defaults: Vec::new() }
    }
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

/// What was found: the keys, and where there were others, with the reason why those were not tried.
#[derive(Default)]
pub(crate) struct Found {
    keys: Vec<Box<dyn age::Identity + Send + Sync>>,
    passed_over: Vec<(PathBuf, &'static str)>,
}

/// Why an age file was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// It is encrypted for none of the private keys at hand. With what was not tried, and why, to be appended to a message.
    NotHeld(Option<String>),
    /// It is no age file, or was edited.
    Damaged,
    /// The private keys could not be read.
    Identities(SealError),
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
            ..Self::default()
        }
    }

    /// Those of one file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { files: vec![path.into()], ..Self::default() }
    }

    /// What an age file holds, armored or not, that is encrypted for one of these keys. It is cut off after 4096 bytes.
    ///
    /// # Errors
    /// When no key fits, when the file was edited, and when keys cannot be read, as [`OpenError`] tells apart.
    pub fn open(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let found = self.read().map_err(OpenError::Identities)?;
        let decryptor = age::Decryptor::new(age::armor::ArmoredReader::new(file)).map_err(|_| OpenError::Damaged)?;
        let keys = found.keys.iter().map(|key| &**key as &dyn age::Identity);
        let mut reader = decryptor.decrypt(keys).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => OpenError::NotHeld(found.not_tried()),
            _ => OpenError::Damaged,
        })?;
        // Room for all of it: what grows leaves copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
        reader.by_ref().take(LONGEST).read_to_end(&mut plain).map_err(|_| OpenError::Damaged)?;
        Ok(plain)
    }

    /// Reads them all.
    fn read(&self) -> Result<Found, SealError> {
        let mut found = Found::default();
        if let Some(text) = &self.text {
            parse(text.expose_secret(), Path::new(self.text_name), &mut found)?;
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

impl Found {
    fn not_tried(&self) -> Option<String> {
        self.passed_over.first().map(|(path, why)| format!("`{}` was not tried, because {why}", path.display()))
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
pub(crate) fn parse(text: &str, place: &Path, found: &mut Found) -> Result<(), SealError> {
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
            age::ssh::Identity::Encrypted(_) => found.passed_over.push((place.to_owned(), "a passphrase protects it")),
            // A key of another kind, such as of a security token, is for other uses.
            age::ssh::Identity::Unsupported(_) => {}
        }
        return Ok(());
    }
    let mut none = true;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for word in lines.flat_map(str::split_whitespace) {
        none = false;
        // Keys of plugins and post-quantum ones stand beside others in the files of people who use both.
        if word.starts_with("AGE-PLUGIN-") || word.starts_with("AGE-SECRET-KEY-PQ-1") {
            found
                .passed_over
                .push((place.to_owned(), "a key in it is of a plugin or of a kind that is not known here"));
            continue;
        }
        let key: age::x25519::Identity =
            word.parse().map_err(|_| refuse("a line of it is no private key of age, as `age-keygen` writes them"))?;
        found.keys.push(Box::new(key));
    }
    if none { Err(refuse("it holds no private key")) } else { Ok(()) }
}
