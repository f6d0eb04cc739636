//! OpenTofu's encrypted states: AES-GCM under a passphrase, as its documentation and source have it (`v0`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::pbkdf2;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::foreign::{ForeignError, Tool, gcm};

/// More keys than anybody has would only keep the reader busy: each takes a second.
const MOST_KEYS: usize = 8;
const PLAIN: &str = "use what `tofu state pull` writes, which is not encrypted";

/// What the key provider `pbkdf2` leaves beside the encrypted data.
#[derive(Deserialize)]
struct Pbkdf2 {
    salt: String,
    iterations: u32,
    hash_function: String,
    key_length: usize,
}

/// The state within an encrypted one.
pub(super) fn decrypt(outer: &Json, passphrase: Option<&SecretString>) -> Result<Zeroizing<Vec<u8>>, ForeignError> {
    let text = |name: &str| outer.get(name).and_then(Json::as_str);
    let unsupported = |message: String| ForeignError::Unsupported { message, way: PLAIN.into() };
    match text("encryption_version") {
        Some("v0") => {}
        Some(other) => {
            let message = format!("it is encrypted in version `{}`, and `v0` is read here", other.escape_debug());
            return Err(unsupported(message));
        }
        None => return Err(ForeignError::damaged("it has `encrypted_data` and no `encryption_version`")),
    }
    let sealed = text("encrypted_data").and_then(|text| STANDARD.decode(text).ok());
    let sealed = sealed.filter(|sealed| sealed.len() > gcm::NONCE);
    let sealed = sealed.ok_or_else(|| ForeignError::damaged("`encrypted_data` is not Base64 of a nonce and more"))?;
    let metas = outer.get("meta").and_then(Json::as_object);
    let metas = metas.ok_or_else(|| ForeignError::damaged("it has no `meta`, which says how its key is made"))?;
    let (mut keys, mut others) = (Vec::new(), Vec::new());
    if metas.len() > MOST_KEYS {
        return Err(ForeignError::damaged(format!("its key may be one of {}", metas.len())));
    }
    for (name, meta) in metas {
        let meta = meta.as_str().and_then(|text| STANDARD.decode(text).ok());
        match meta.and_then(|meta| serde_json::from_slice::<Pbkdf2>(&meta).ok()) {
            Some(pbkdf2) => keys.push(pbkdf2),
            None => others.push(name.escape_debug().to_string()),
        }
    }
    if keys.is_empty() {
        let message = format!("its key comes from `{}`, and a passphrase (pbkdf2) is read here", others.join("`, `"));
        return Err(unsupported(message));
    }
    let passphrase = passphrase.ok_or(ForeignError::PassphraseMissing(Tool::Terraform))?;
    let (nonce, sealed) = sealed.split_at(gcm::NONCE);
    for meta in keys {
        let algorithm = match meta.hash_function.as_str() {
            "sha256" => pbkdf2::PBKDF2_HMAC_SHA256,
            "sha512" => pbkdf2::PBKDF2_HMAC_SHA512,
            other => return Err(unsupported(format!("its key is made with `{}`", other.escape_debug()))),
        };
        let salt = STANDARD.decode(&meta.salt);
        let salt = salt.map_err(|_| ForeignError::damaged("the salt of its key is not Base64"))?;
        let key = gcm::derive(algorithm, passphrase, &salt, meta.iterations, meta.key_length)?;
        if let Some(plain) = gcm::open(&key, nonce, sealed.to_vec()) {
            return Ok(plain);
        }
    }
    Err(ForeignError::WrongPassphrase {
        what: "the state",
        way: "check it; where OpenTofu was given additional data or chained keys, use what `tofu state pull` writes",
    })
}
