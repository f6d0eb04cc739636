//! `Digest`: what is kept of a secret that is not kept itself. It tells whether a value is the same one, and no more.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::seal::{base64, json, part, random, unbase64};
use crate::value::{SecretValue, Value};

/// First part of what a code is made of.
const FORMAT: &[u8] = b"stackkit/1 digest";
/// Bytes of a key, and of a code.
const SIZE: usize = 32;

/// A code of a secret under a key of its own, or the note that an ephemeral value stood there. It is itself a secret of
/// the state: sealed like every other one, at the place of what it stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest(Option<Arc<Coded>>);

#[derive(PartialEq, Eq)]
struct Coded {
    key: [u8; SIZE],
    code: [u8; SIZE],
}

impl Digest {
    /// Of the content of a secret.
    pub(crate) fn of(secret: &SecretValue) -> Self {
        if secret.is_ephemeral() {
            return Self(None);
        }
        if let Value::Digest(digest) = secret.reveal() {
            return digest.clone();
        }
        let mut key = [0; SIZE];
        // Where the system has no random bytes, nothing can be sealed either, and so this never leaves the process.
        let _ = random(&mut key);
        let code = coded(&key, secret.reveal()).map(|mac| mac.finalize().into_bytes().into()).unwrap_or_default();
        Self(Some(Arc::new(Coded { key, code })))
    }

    /// Whether it was made of this secret. An ephemeral value is like every other one: it is made to be another each time.
    pub(crate) fn fits(&self, secret: &SecretValue) -> bool {
        match (&self.0, secret.reveal()) {
            (_, Value::Digest(other)) => self == other,
            (None, _) => secret.is_ephemeral(),
            (Some(kept), value) => {
                !secret.is_ephemeral()
                    && coded(&kept.key, value).is_some_and(|mac| mac.verify_slice(&kept.code).is_ok())
            }
        }
    }

    /// Its text, for a seal alone.
    pub(crate) fn text(&self) -> String {
        match &self.0 {
            Some(kept) => base64(&[kept.key, kept.code].concat()),
            None => String::new(),
        }
    }

    /// Reads [`Digest::text`] back.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(None));
        }
        let bytes = unbase64(text)?;
        let (key, code) = bytes.split_at_checked(SIZE)?;
        Some(Self(Some(Arc::new(Coded { key: key.try_into().ok()?, code: code.try_into().ok()? }))))
    }
}

fn coded(key: &[u8; SIZE], value: &Value) -> Option<Hmac<Sha256>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(FORMAT.len() + 4 + json::size(value)));
    part(&mut plain, FORMAT);
    json::write_plain(value, &mut plain).ok()?;
    let mut mac = <Hmac<Sha256>>::new_from_slice(key).ok()?;
    mac.update(&plain);
    Some(mac)
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretValue {
        SecretValue::new(Value::text(text))
    }

    #[test]
    fn a_digest_fits_what_it_was_made_of_alone() {
        let digest = Digest::of(&secret("a"));
        assert!(digest.fits(&secret("a")) && !digest.fits(&secret("b")) && !digest.fits(&secret("")));
        assert!(!digest.fits(&SecretValue::ephemeral(Value::text("a"))));
        let read = Digest::parse(&digest.text()).unwrap();
        assert!(read == digest && read.fits(&secret("a")));
        assert_ne!(Digest::of(&secret("a")), digest, "two secrets that are equal have digests that are not");
        assert_eq!(Digest::of(&secret("")).text().len(), Digest::of(&secret(&"x".repeat(500))).text().len());
        assert!(Digest::parse("AAAA").is_none() && Digest::parse(&digest.text()[1..]).is_none());
    }

    #[test]
    fn an_ephemeral_value_is_like_every_other_one() {
        let digest = Digest::of(&SecretValue::ephemeral(Value::text("a")));
        assert!(digest.fits(&SecretValue::ephemeral(Value::text("b"))) && !digest.fits(&secret("a")));
        assert_eq!(Digest::parse(&digest.text()), Some(digest));
    }

    #[test]
    fn numbers_and_texts_that_read_alike_have_digests_of_their_own() {
        let of = |value: Value| Digest::of(&SecretValue::new(value));
        assert!(!of(Value::Int(1)).fits(&secret("1")));
        assert!(of(Value::List(vec![Value::Int(1)])).fits(&SecretValue::new(Value::List(vec![Value::Int(1)]))));
    }
}
