//! `Sealer`: the only maker of what may be stored in place of a secret, and of the codes that tell an edit.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{DataKey, SealError, json, part, random};
use crate::state::model::Instance;
use crate::value::Value;

/// First part of the associated data of every sealed value.
const VALUE_FORMAT: &[u8] = b"stackkit/1 value";
/// What every sealed value begins with.
const TOKEN: &str = "sk1.";
/// Plaintexts are padded to a multiple of this, so that the length of a secret is known only roughly.
const BUCKET: usize = 16;

/// A message authentication code.
pub(crate) type Code = [u8; 32];

/// Which part of a stack a sealed value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Inputs of a resource.
    Inputs,
    /// Outputs of a resource.
    Outputs,
    /// Inputs of a resource as its provider reported them.
    Seen,
    /// Inputs of a call whose end is not recorded.
    Intent,
    /// The value whose change replaces a resource.
    Trigger,
    /// Outputs of the stack.
    Output,
    /// Settings of a provider instance.
    Settings,
    /// Configuration of the stack.
    Config,
    /// A saved plan.
    Plan,
    /// Keys of the audit log of before a change of the data key.
    Audit,
}

impl Section {
    /// Its name, as it stands in messages and in the associated data.
    pub fn name(self) -> &'static str {
        match self {
            Section::Inputs => "inputs",
            Section::Outputs => "outputs",
            Section::Seen => "seen",
            Section::Intent => "intent",
            Section::Trigger => "trigger",
            Section::Output => "output",
            Section::Settings => "settings",
            Section::Config => "config",
            Section::Plan => "plan",
            Section::Audit => "audit",
        }
    }
}

/// Where a sealed value stands. A value opens only at the place that it was sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// URN of the resource, name of the provider instance or of the output, or empty.
    pub owner: &'a str,
    /// The resource instance, where there is one.
    pub instance: Option<Instance>,
    /// The part of the owner.
    pub section: Section,
    /// The path within the section, as a JSON pointer (RFC 6901).
    pub path: &'a str,
}

impl<'a> Place<'a> {
    /// A value of the stack's configuration; the path is a JSON pointer such as `/db_password`.
    pub fn config(path: &'a str) -> Self {
        Self { owner: "", instance: None, section: Section::Config, path }
    }

    /// A part of a saved plan.
    pub fn plan(path: &'a str) -> Self {
        Self { owner: "", instance: None, section: Section::Plan, path }
    }

    /// The same section of the same owner, at another path.
    pub(crate) fn at<'b>(self, path: &'b str) -> Place<'b>
    where
        'a: 'b,
    {
        Place { path, ..self }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.section.name(), self.path)?;
        if !self.owner.is_empty() {
            write!(f, " of {}", self.owner)?;
        }
        match self.instance {
            Some(instance) => write!(f, " ({instance})"),
            None => Ok(()),
        }
    }
}

/// Seals and opens the values of one stack. It holds subkeys of the stack's data key, one for each purpose.
pub struct Sealer {
    lineage: String,
    key_id: String,
    values: XChaCha20Poly1305,
    config: XChaCha20Poly1305,
    record: Hmac<Sha256>,
    chain: Hmac<Sha256>,
    digest: Hmac<Sha256>,
    head: Hmac<Sha256>,
    rescue: Hmac<Sha256>,
    audit: Hmac<Sha256>,
    audit_key: Zeroizing<Code>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("lineage", &self.lineage).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Which code is asked for. Each has a key of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Of a record.
    Record,
    /// Of a journal entry and all before it.
    Chain,
    /// Of a record as a member of the set.
    Digest,
    /// Of a snapshot's head.
    Head,
    /// Of a rescue file.
    Rescue,
    /// Of a line of the audit log and all before it.
    Audit,
}

impl Sealer {
    /// The sealer of the stack with this lineage.
    pub fn new(key: &DataKey, lineage: &str) -> Self {
        let derive = |purpose: &str| key.derive(&[purpose.as_bytes(), lineage.as_bytes()]);
        let cipher = |purpose| XChaCha20Poly1305::new((&*derive(purpose)).into());
        let code = |purpose| keyed(&derive(purpose));
        Self {
            lineage: lineage.to_owned(),
            key_id: key.id(),
            values: cipher("values"),
            config: cipher("config"),
            record: code("record"),
            chain: code("journal"),
            digest: code("digest"),
            head: code("snapshot"),
            rescue: code("rescue"),
            audit: code("audit"),
            audit_key: derive("audit"),
        }
    }

    /// A sealer with a random key that is never stored, for simulations and tests.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn ephemeral() -> Result<Self, SealError> {
        Ok(Self::new(&DataKey::generate()?, &uuid::Uuid::now_v7().to_string()))
    }

    /// The stack's identity for its whole life.
    pub fn lineage(&self) -> &str {
        &self.lineage
    }

    /// The id of the data key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key that lines of the audit log are bound with. Whoever changes the data key keeps it, sealed: the lines
    /// before stay as they are.
    pub(crate) fn audit_key(&self) -> &Zeroizing<Code> {
        &self.audit_key
    }

    /// Seals a value for one place, with a fresh nonce. A secret mark around the whole of it makes no difference.
    ///
    /// # Errors
    /// When the value is not resolved or nested too deeply, or there are no random bytes.
    pub fn seal(&self, place: Place<'_>, value: &Value) -> Result<String, SealError> {
        let mut out = Vec::new();
        self.seal_into(place, value, &mut out, &mut Scratch::default())?;
        String::from_utf8(out).map_err(|_| SealError::Unfit { place: place.to_string(), detail: "it is not text" })
    }

    /// Opens what was sealed for the same place. The result is marked secret.
    ///
    /// # Errors
    /// When it was edited, or sealed for another place, stack or key.
    pub fn open(&self, place: Place<'_>, token: &str) -> Result<Value, SealError> {
        self.open_with(place, token, &mut Scratch::default())
    }

    /// [`Self::seal`] with buffers that are used again.
    pub(crate) fn seal_into(
        &self,
        place: Place<'_>,
        value: &Value,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<(), SealError> {
        let Scratch { plain, aad } = scratch;
        plain.clear();
        // The nonce goes first, so that nonce, ciphertext and tag lie side by side; all of it fits without growing,
        // because a buffer that grows leaves a copy of the plaintext behind.
        plain.reserve(24 + json::size(value.reveal()) + BUCKET + 16);
        plain.resize(24, 0);
        random(&mut plain[..24])?;
        json::write_plain(value.reveal(), plain).map_err(|problem| problem.at(place))?;
        let padded = (plain.len() - 24).next_multiple_of(BUCKET);
        plain.resize(24 + padded, b' ');
        self.associate(place, aad);
        let (nonce, text) = plain.split_at_mut(24);
        let nonce = XNonce::try_from(&*nonce).expect("the nonce has 24 bytes");
        let tag = self
            .cipher(place)
            .encrypt_inout_detached(&nonce, aad, text.into())
            .map_err(|_| SealError::Unfit { place: place.to_string(), detail: "it is too long" })?;
        plain.extend_from_slice(&tag);
        let start = out.len() + TOKEN.len();
        out.extend_from_slice(TOKEN.as_bytes());
        out.resize(start + plain.len().div_ceil(3) * 4, 0);
        let written = URL_SAFE_NO_PAD
            .encode_slice(&**plain, &mut out[start..])
            .map_err(|_| SealError::Unfit { place: place.to_string(), detail: "it is too long" })?;
        out.truncate(start + written);
        Ok(())
    }

    /// [`Self::open`] with buffers that are used again.
    pub(crate) fn open_with(&self, place: Place<'_>, token: &str, scratch: &mut Scratch) -> Result<Value, SealError> {
        let refused = || SealError::Opened { place: place.to_string() };
        let Scratch { plain, aad } = scratch;
        let text = token.strip_prefix(TOKEN).ok_or_else(|| {
            match token.strip_prefix("sk").and_then(|rest| rest.split_once('.')) {
                Some((version, _)) => match version.parse() {
                    Ok(found) => SealError::Newer { place: format!("the sealed value at {place}"), found, known: 1 },
                    Err(_) => refused(),
                },
                None => refused(),
            }
        })?;
        plain.clear();
        plain.resize(text.len(), 0);
        let length = URL_SAFE_NO_PAD.decode_slice(text, plain).map_err(|_| refused())?;
        plain.truncate(length);
        if length < 24 + 16 {
            return Err(refused());
        }
        self.associate(place, aad);
        let (nonce, rest) = plain.split_at_mut(24);
        let (text, tag) = rest.split_at_mut(rest.len() - 16);
        let nonce = XNonce::try_from(&*nonce).map_err(|_| refused())?;
        let tag = Tag::try_from(&*tag).map_err(|_| refused())?;
        self.cipher(place).decrypt_inout_detached(&nonce, aad, (&mut *text).into(), &tag).map_err(|_| refused())?;
        Ok(json::read_plain(text).map_err(|problem| problem.at(place))?.into_sealed())
    }

    fn cipher(&self, place: Place<'_>) -> &XChaCha20Poly1305 {
        match place.section {
            Section::Config => &self.config,
            _ => &self.values,
        }
    }

    fn associate(&self, place: Place<'_>, aad: &mut Vec<u8>) {
        aad.clear();
        part(aad, VALUE_FORMAT);
        part(aad, self.key_id.as_bytes());
        part(aad, self.lineage.as_bytes());
        part(aad, place.owner.as_bytes());
        match place.instance {
            Some(instance) => part(aad, &instance.digits()),
            None => part(aad, &[]),
        }
        part(aad, place.section.name().as_bytes());
        part(aad, place.path.as_bytes());
    }

    /// The code of these parts, each length-prefixed.
    pub(crate) fn code(&self, purpose: Purpose, parts: &[&[u8]]) -> Code {
        self.coded(purpose, parts).finalize().into_bytes().into()
    }

    /// Whether the code fits the parts, in a time that tells nothing.
    pub(crate) fn fits(&self, purpose: Purpose, parts: &[&[u8]], code: &[u8]) -> bool {
        self.coded(purpose, parts).verify_slice(code).is_ok()
    }

    fn coded(&self, purpose: Purpose, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mac = match purpose {
            Purpose::Record => &self.record,
            Purpose::Chain => &self.chain,
            Purpose::Digest => &self.digest,
            Purpose::Head => &self.head,
            Purpose::Rescue => &self.rescue,
            Purpose::Audit => &self.audit,
        };
        over(mac.clone(), parts)
    }
}

fn keyed(key: &Code) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn over(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Hmac<Sha256> {
    for bytes in parts {
        mac.update(&(bytes.len() as u32).to_be_bytes());
        mac.update(bytes);
    }
    mac
}

/// The code of these parts under a key that is no sealer's any more. It is compared, not kept from anybody.
pub(crate) fn code_with(key: &Code, parts: &[&[u8]]) -> Code {
    over(keyed(key), parts).finalize().into_bytes().into()
}

/// Buffers that sealing and opening use again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    plain: Zeroizing<Vec<u8>>,
    aad: Vec<u8>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch")
    }
}

impl Value {
    /// Marks secret what came out of a seal, null included: that it is unset may be the secret.
    fn into_sealed(self) -> Self {
        Value::Secret(crate::value::SecretValue::new(self))
    }
}
