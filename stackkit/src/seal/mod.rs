//! Sealing: what makes a secret fit to be stored, where the keys for it come from, and the `[seal]` header that a stack
//! keeps them in. The formats are described byte by byte in `SECURITY.md`.

mod error;
mod header;
pub(crate) mod json;
mod key;
mod keyfile;
mod kinds;
mod options;
mod passphrase;
mod ring;
mod sealer;
mod strength;
mod team;

pub use error::{KeyTrouble, SealError};
pub use header::{Header, config_path};
pub use key::{DataKey, KeyProvider, Setting, WrappedKey, bind, unbind, unwrap_under, wrap_under};
pub use keyfile::KeyFile;
pub(crate) use keyfile::{private_folder, sync_folder};
pub use kinds::{KeyKind, LinkedKeys, NamedKey};
pub use options::{Created, KeyOptions, create, create_with, unlock, unlock_with};
pub use passphrase::{Cost, Passphrase};
pub use ring::{Ring, open, rewrap, wrap};
pub(crate) use sealer::{Code, NAME, Purpose, Scratch, code_with, open_line};
pub use sealer::{Place, Sealer, Section};
pub use strength::weakness;
pub use team::{Team, create_in, read_team, team_path};

/// Appends a part with its length before it, so that no two lists of parts give the same bytes.
pub(crate) fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The parts one after the other, each with its length before it.
pub(crate) fn parts(list: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(list.iter().map(|bytes| bytes.len() + 4).sum());
    list.iter().for_each(|bytes| part(&mut out, bytes));
    out
}

/// Fills a buffer from the operating system's random source.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(buffer).map_err(|error| SealError::Random(error.to_string()))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes as URL-safe base64 without padding, the one text form of bytes in all our formats.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of such a text; `None` where it is not one in its only valid spelling.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}
