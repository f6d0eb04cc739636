//! One value as SOPS writes it: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{AeadInPlace as _, KeyInit as _};
use aes_gcm::{AesGcm, aes::Aes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::tree::{Kind, Leaf};

/// A nonce of SOPS has 32 bytes, not the usual 12.
type Aes = AesGcm<Aes256, U32>;

/// What values and the MAC of a file are encrypted with.
pub(crate) struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A key of 32 bytes.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        (bytes.len() == key.len()).then(|| key.copy_from_slice(bytes))?;
        Some(Self(key))
    }
}

/// Why a value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It is not what SOPS writes.
    Form,
    /// It was changed, or belongs to another place or another file.
    Changed,
    /// It is of a type that is not known.
    Type,
}

/// Opens a value. `place` is authenticated with it: the path of the value, or when the file was written for its MAC.
pub(crate) fn open(text: &str, key: &DataKey, place: &str) -> Result<Leaf, Closed> {
    let inside = text.strip_prefix("ENC[AES256_GCM,data:").and_then(|text| text.strip_suffix(']'));
    let (data, rest) = inside.and_then(|text| text.split_once(",iv:")).ok_or(Closed::Form)?;
    let (iv, rest) = rest.split_once(",tag:").ok_or(Closed::Form)?;
    let (tag, name) = rest.split_once(",type:").ok_or(Closed::Form)?;
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| Closed::Form);
    let (iv, tag) = (decode(iv)?, decode(tag)?);
    if iv.len() != 32 || tag.len() != 16 {
        return Err(Closed::Form);
    }
    let mut bytes = Zeroizing::new(decode(data)?);
    Aes::new(GenericArray::from_slice(key.0.as_slice()))
        .decrypt_in_place_detached(
            GenericArray::from_slice(&iv),
            place.as_bytes(),
            &mut bytes,
            GenericArray::from_slice(&tag),
        )
        .map_err(|_| Closed::Changed)?;
    // The type stands outside of what is authenticated: the bytes must be what it says.
    let number = || std::str::from_utf8(&bytes).map_err(|_| Closed::Type);
    let kind = match name {
        "str" | "bytes" => Kind::Text,
        "int" => number()?.parse::<i64>().map(|_| Kind::Int).map_err(|_| Closed::Type)?,
        "float" => number()?.parse::<f64>().map(|_| Kind::Float).map_err(|_| Closed::Type)?,
        "bool" if matches!(bytes.as_slice(), b"True" | b"False") => Kind::Bool,
        "time" => Kind::Time,
        _ => return Err(Closed::Type),
    };
    Ok(Leaf { kind, bytes, encrypted: true })
}
