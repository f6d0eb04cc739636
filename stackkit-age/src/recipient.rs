//! `Recipient`: a public key of age or of SSH, as people write it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

/// A public key: of age (`age1…`), or of SSH (`ssh-ed25519 …`, `ssh-rsa …`), whose comment is its label.
#[derive(Clone)]
pub struct Recipient {
    text: String,
    id: String,
    label: Option<String>,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Age(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient").field("id", &self.id).field("label", &self.label).finish_non_exhaustive()
    }
}

impl Recipient {
    /// Its text without the comment, as it stands in the header.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The public key itself, or the fingerprint of an SSH key as `ssh-keygen -l` shows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The comment of an SSH key.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    pub(crate) fn key(&self) -> &dyn age::Recipient {
        match &self.key {
            Key::Age(key) => key,
            Key::Ssh(key) => key,
        }
    }
}

impl FromStr for Recipient {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") || text.starts_with("-----BEGIN") {
            return Err("it is a private key: give the public one, and keep this to yourself");
        }
        if text.starts_with("ssh-") {
            let key =
                text.parse().map_err(|_| "it is no SSH key that age takes: ed25519, or RSA of 2048 to 4096 bits")?;
            let mut parts = text.splitn(3, ' ');
            let (kind, blob) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let label = parts.next().map(|comment| comment.trim().to_owned()).filter(|comment| !comment.is_empty());
            let bytes = STANDARD.decode(blob).map_err(|_| "it is no SSH key")?;
            let id = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(bytes)));
            return Ok(Self { text: format!("{kind} {blob}"), id, label, key: Key::Ssh(key) });
        }
        let key: age::x25519::Recipient = text.parse().map_err(|_| "it is no age recipient")?;
        let text = key.to_string();
        Ok(Self { id: text.clone(), text, label: None, key: Key::Age(key) })
    }
}
