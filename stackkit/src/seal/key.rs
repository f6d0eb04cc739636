//! The data key of a stack, how it is wrapped, and the trait of whatever can wrap and unwrap it.

use std::collections::BTreeMap;
use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{SealError, base64, hex, parts, random, unbase64};
use crate::access::{Grant, Role};
use crate::context::BoxFuture;

/// First part of the associated data of every wrapped key.
const WRAP_FORMAT: &[u8] = b"stackkit/1 wrapped key";
/// Salt of every derivation from a key.
const DERIVE_SALT: &[u8] = b"stackkit/1";

/// The key that a stack's secrets are sealed with: 32 random bytes, wiped when dropped, stored only wrapped.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// The key with these bytes, as a [`KeyProvider`] got them back.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Only a [`KeyProvider`] has a use for them.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.0
    }

    /// A name of the key that tells nothing of it: sixteen hexadecimal digits.
    pub fn id(&self) -> String {
        hex(&self.derive(&[b"data key id"])[..8])
    }

    /// A subkey for one purpose.
    pub(crate) fn derive(&self, purpose: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        derive(&*self.0, purpose)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([secret])")
    }
}

/// HKDF-SHA256 of a key for one purpose, whose parts are length-prefixed.
pub(crate) fn derive(key: &[u8], purpose: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(DERIVE_SALT), key)
        .expand(&parts(purpose), &mut *out)
        .expect("32 bytes are within the limit of HKDF");
    out
}

/// A setting of a wrapped key, as it stands in the `[seal]` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Text, such as a salt or the address of a key service.
    Text(String),
    /// A whole number, such as a cost.
    Number(u64),
}

/// A data key as the `[seal]` header keeps it: only what wrapped it can unwrap it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The kind of provider, as [`KeyProvider::kind`] says it.
    pub kind: String,
    /// The id of the wrapping key.
    pub id: String,
    /// The wrapped key, as its provider writes it.
    pub wrapped: String,
    /// What the provider needs besides to unwrap it. No secret stands here.
    pub settings: BTreeMap<String, Setting>,
}

impl WrappedKey {
    /// A text setting.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.settings.get(name) {
            Some(Setting::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number setting.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.settings.get(name) {
            Some(Setting::Number(number)) => Some(*number),
            _ => None,
        }
    }
}

/// Something that wraps data keys: a key file, a passphrase, a key service.
pub trait KeyProvider: Send + Sync + fmt::Debug {
    /// The kind, as it stands in the header, such as `key-file`.
    fn kind(&self) -> &'static str;
    /// Wraps a data key for the stack of this lineage.
    fn wrap<'a>(&'a self, key: &'a DataKey, lineage: &'a str) -> BoxFuture<'a, Result<WrappedKey, SealError>>;
    /// Unwraps what the same kind of provider wrapped for the same lineage.
    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, lineage: &'a str) -> BoxFuture<'a, Result<DataKey, SealError>>;
    /// What makes the key service let somebody do what a role does with the key of this stack, and no more; `None` where
    /// nothing stands in front of the key but who holds it. Nothing is asked of the service.
    fn access(&self, role: Role, lineage: &str) -> Option<Grant> {
        let _ = (role, lineage);
        None
    }
}

/// What a key that takes no associated data wraps: what the data key belongs to, then the data key. [`unbind`] takes it
/// apart.
pub fn bind(key: &DataKey, kind: &str, id: &str, lineage: &str) -> Zeroizing<Vec<u8>> {
    let belongs = parts(&[WRAP_FORMAT, kind.as_bytes(), id.as_bytes(), lineage.as_bytes()]);
    let mut out = Zeroizing::new(Vec::with_capacity(belongs.len() + 32));
    out.extend_from_slice(&belongs);
    out.extend_from_slice(key.reveal());
    out
}

/// The data key in what [`bind`] made; `None` where it belongs to anything else.
pub fn unbind(bytes: &[u8], kind: &str, id: &str, lineage: &str) -> Option<DataKey> {
    let belongs = parts(&[WRAP_FORMAT, kind.as_bytes(), id.as_bytes(), lineage.as_bytes()]);
    Some(DataKey::from_bytes(bytes.strip_prefix(belongs.as_slice())?.try_into().ok()?))
}

/// Seals a data key under a wrapping key: base64 of nonce and ciphertext. Kind, id and lineage are bound to it, so it suits
/// keys of services that bind nothing themselves: the service wraps a wrapping key that is made for one use.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn wrap_under(
    wrapping: &[u8; 32],
    kind: &str,
    id: &str,
    lineage: &str,
    key: &DataKey,
) -> Result<String, SealError> {
    let mut nonce = [0; 24];
    random(&mut nonce)?;
    let aad = parts(&[WRAP_FORMAT, kind.as_bytes(), id.as_bytes(), lineage.as_bytes()]);
    let sealed = XChaCha20Poly1305::new(wrapping.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: key.reveal(), aad: &aad })
        .map_err(|_| SealError::WrappedKey { kind: kind.into(), id: id.into() })?;
    Ok(base64(&[&nonce[..], &sealed].concat()))
}

/// Opens what [`wrap_under`] sealed; `None` where it does not open.
pub fn unwrap_under(wrapping: &[u8; 32], wrapped: &WrappedKey, lineage: &str) -> Option<DataKey> {
    let bytes = unbase64(&wrapped.wrapped)?;
    let (nonce, sealed) = bytes.split_first_chunk::<24>()?;
    let aad = parts(&[WRAP_FORMAT, wrapped.kind.as_bytes(), wrapped.id.as_bytes(), lineage.as_bytes()]);
    let plain = XChaCha20Poly1305::new(wrapping.into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
        .ok()
        .map(Zeroizing::new)?;
    Some(DataKey::from_bytes(plain.as_slice().try_into().ok()?))
}
