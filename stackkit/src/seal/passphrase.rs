//! `Passphrase`: a wrapping key derived from a passphrase by Argon2id, slow on purpose.

use std::collections::BTreeMap;
use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::key::{unwrap_under, wrap_under};
use super::{DataKey, KeyProvider, SealError, Setting, WrappedKey, base64, hex, random, unbase64, weakness};
use crate::context::BoxFuture;

const KIND: &str = Passphrase::KIND;

/// What a derivation costs. Stored beside the wrapped key, so that a later default does not lock anybody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB; 64 MiB by default.
    pub memory: u32,
    /// Passes over the memory; 3 by default.
    pub passes: u32,
    /// Lanes; 1 by default.
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory: 64 * 1024, passes: 3, lanes: 1 }
    }
}

impl Cost {
    /// The bounds keep an edited header from eating all memory or time of whoever opens it.
    const MOST: Self = Self { memory: 4 * 1024 * 1024, passes: 64, lanes: 16 };
}

/// A passphrase. Deriving its key takes a quarter of a second and 64 MiB, on every unlock.
#[derive(Clone)]
pub struct Passphrase {
    text: SecretString,
    cost: Cost,
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrase").field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl Passphrase {
    /// The kind, as it stands in the header.
    pub const KIND: &'static str = "passphrase";

    /// From its text.
    pub fn new(text: SecretString) -> Self {
        Self { text, cost: Cost::default() }
    }

    /// Wraps at another cost than the default.
    #[must_use]
    pub fn cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// That it is worth deriving a key from. Asked for where a passphrase is made, not where one opens what there is.
    ///
    /// # Errors
    /// [`SealError::WeakPassphrase`], which says why not.
    pub fn check_strength(&self) -> Result<(), SealError> {
        let text = self.text.expose_secret();
        if text.trim().is_empty() {
            return Err(SealError::EmptyPassphrase);
        }
        weakness(text).map_or(Ok(()), |why| Err(SealError::WeakPassphrase { why }))
    }

    fn derive(&self, salt: &[u8], cost: Cost) -> Option<Zeroizing<[u8; 32]>> {
        let most = Cost::MOST;
        if cost.memory > most.memory || cost.passes > most.passes || cost.lanes > most.lanes {
            return None;
        }
        let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32)).ok()?;
        let mut out = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.text.expose_secret().as_bytes(), salt, &mut *out)
            .ok()?;
        Some(out)
    }
}

impl KeyProvider for Passphrase {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn wrap<'a>(&'a self, key: &'a DataKey, lineage: &'a str) -> BoxFuture<'a, Result<WrappedKey, SealError>> {
        Box::pin(async move {
            if self.text.expose_secret().trim().is_empty() {
                return Err(SealError::EmptyPassphrase);
            }
            let mut salt = [0; 16];
            random(&mut salt)?;
            let id = hex(&salt[..8]);
            let wrapping = self.derive(&salt, self.cost).ok_or_else(|| SealError::Header {
                place: "a new stack".into(),
                detail: format!("{:?} is not a cost that Argon2id takes", self.cost),
            })?;
            let settings = BTreeMap::from([
                ("salt".to_owned(), Setting::Text(base64(&salt))),
                ("memory".to_owned(), Setting::Number(self.cost.memory.into())),
                ("passes".to_owned(), Setting::Number(self.cost.passes.into())),
                ("lanes".to_owned(), Setting::Number(self.cost.lanes.into())),
            ]);
            let wrapped = wrap_under(&wrapping, KIND, &id, lineage, key)?;
            Ok(WrappedKey { kind: KIND.into(), id, wrapped, settings })
        })
    }

    /// Runs on the calling thread: it is the first thing that a run does, and nothing else could go on without it.
    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, lineage: &'a str) -> BoxFuture<'a, Result<DataKey, SealError>> {
        Box::pin(async move {
            let number = |name| wrapped.number(name).and_then(|number| u32::try_from(number).ok());
            let settings = || {
                let salt = unbase64(wrapped.text("salt")?)?;
                let cost = Cost { memory: number("memory")?, passes: number("passes")?, lanes: number("lanes")? };
                self.derive(&salt, cost)
            };
            let wrapping =
                settings().ok_or_else(|| SealError::WrappedKey { kind: KIND.into(), id: wrapped.id.clone() })?;
            unwrap_under(&wrapping, wrapped, lineage).ok_or(SealError::WrongPassphrase)
        })
    }
}
