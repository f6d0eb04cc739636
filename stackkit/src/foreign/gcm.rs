//! AES-GCM under a key made of a passphrase by PBKDF2: how OpenTofu and Pulumi encrypt.

use std::num::NonZeroU32;

use ring::{aead, pbkdf2};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::foreign::ForeignError;

/// Length of the nonce in front of, or beside, what is encrypted.
pub(super) const NONCE: usize = 12;
/// More passes than any tool makes would only keep the reader busy.
const MOST_PASSES: u32 = 20_000_000;

/// Makes a key of a passphrase. `length` is that of the key in bytes: 16 or 32.
pub(super) fn derive(
    algorithm: pbkdf2::Algorithm,
    passphrase: &SecretString,
    salt: &[u8],
    passes: u32,
    length: usize,
) -> Result<aead::LessSafeKey, ForeignError> {
    let passes = NonZeroU32::new(passes)
        .filter(|passes| passes.get() <= MOST_PASSES)
        .ok_or_else(|| ForeignError::damaged(format!("its key is made by {passes} passes of PBKDF2")))?;
    let cipher = match length {
        16 => &aead::AES_128_GCM,
        32 => &aead::AES_256_GCM,
        other => {
            return Err(ForeignError::Unsupported {
                message: format!("its key has {other} bytes, and keys of 16 or 32 are read here"),
                way: "use what `tofu state pull` writes, which is not encrypted".into(),
            });
        }
    };
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(algorithm, passes, salt, passphrase.expose_secret().as_bytes(), &mut key);
    let key = aead::UnboundKey::new(cipher, &key).map_err(|_| ForeignError::damaged("its key has no such length"))?;
    Ok(aead::LessSafeKey::new(key))
}

/// Opens what was sealed with the key; `None` where it was sealed with another one, or edited.
pub(super) fn open(key: &aead::LessSafeKey, nonce: &[u8], sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
    let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut buffer = Zeroizing::new(sealed);
    let length = key.open_in_place(nonce, aead::Aad::empty(), &mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}
