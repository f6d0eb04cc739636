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
/// First part of the associated data of every record of a state that is sealed as a whole.
const RECORD_FORMAT: &[u8] = b"stackkit/1 record";
/// What the names of such records begin with: no other key of a record does.
pub(crate) const NAME: &str = "w/";
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
#[derive(Clone)]
pub struct Sealer {
    lineage: String,
    key_id: String,
    values: XChaCha20Poly1305,
    config: XChaCha20Poly1305,
    records: XChaCha20Poly1305,
    names: Hmac<Sha256>,
    /// Whether records are written with nothing of them readable.
    whole: bool,
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
            records: cipher("records"),
            names: code("names"),
            whole: false,
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

    /// With records written as a whole, or with their secrets sealed alone. Either opens what the other wrote.
    #[must_use]
    pub fn whole(mut self, whole: bool) -> Self {
        self.whole = whole;
        self
    }

    /// Whether records are written with nothing of them readable.
    pub fn is_whole(&self) -> bool {
        self.whole
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
        self.associate(place, aad);
        encrypt(self.cipher(place), scratch, out)
            .ok_or_else(|| SealError::Unfit { place: place.to_string(), detail: "it is too long" })
    }

    /// What a record is called where nothing of it is readable: the same key always the same.
    pub(crate) fn name(&self, key: &str) -> String {
        let mut mac = self.names.clone();
        mac.update(&(key.len() as u32).to_be_bytes());
        mac.update(key.as_bytes());
        let code: Code = mac.finalize().into_bytes().into();
        let mut name = NAME.to_owned();
        URL_SAFE_NO_PAD.encode_string(&code[..16], &mut name);
        name
    }

    /// Seals the text of a record as a whole, bound to its name. It stands in the log until the record changes, so its
    /// place there is bound by the codes around it.
    pub(crate) fn seal_record(
        &self,
        name: &str,
        text: &str,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<(), SealError> {
        let Scratch { plain, aad } = scratch;
        plain.clear();
        plain.reserve(24 + text.len() + BUCKET + 16);
        plain.resize(24, 0);
        random(&mut plain[..24])?;
        plain.extend_from_slice(text.as_bytes());
        self.associate_record(name, aad);
        encrypt(&self.records, scratch, out)
            .ok_or_else(|| SealError::Unfit { place: format!("record {name}"), detail: "it is too long" })
    }

    /// The text of a record that was sealed under this name; `None` where it does not open.
    pub(crate) fn open_record(&self, name: &str, token: &str, scratch: &mut Scratch) -> Option<String> {
        self.associate_record(name, &mut scratch.aad);
        let text = decrypt(&self.records, token.strip_prefix(TOKEN)?, scratch)?;
        Some(std::str::from_utf8(text).ok()?.trim_end_matches(' ').to_owned())
    }

    fn associate_record(&self, name: &str, aad: &mut Vec<u8>) {
        aad.clear();
        for bytes in [RECORD_FORMAT, self.key_id.as_bytes(), self.lineage.as_bytes(), name.as_bytes()] {
            part(aad, bytes);
        }
    }

    /// [`Self::open`] with buffers that are used again.
    pub(crate) fn open_with(&self, place: Place<'_>, token: &str, scratch: &mut Scratch) -> Result<Value, SealError> {
        let refused = || SealError::Opened { place: place.to_string() };
        let text = token.strip_prefix(TOKEN).ok_or_else(|| {
            match token.strip_prefix("sk").and_then(|rest| rest.split_once('.')) {
                Some((version, _)) => match version.parse() {
                    Ok(found) => SealError::Newer { place: format!("the sealed value at {place}"), found, known: 1 },
                    Err(_) => refused(),
                },
                None => refused(),
            }
        })?;
        self.associate(place, &mut scratch.aad);
        let text = decrypt(self.cipher(place), text, scratch).ok_or_else(refused)?;
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

/// First part of the associated data of every line of the audit log that is sealed.
const LINE_FORMAT: &[u8] = b"stackkit/1 audit line";

fn line_cipher(audit_key: &Code) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*super::key::derive(audit_key, &[b"lines"])).into())
}

fn associate_line(key_id: &str, lineage: &str, n: u64, aad: &mut Vec<u8>) {
    aad.clear();
    for bytes in [LINE_FORMAT, key_id.as_bytes(), lineage.as_bytes(), &n.to_be_bytes()] {
        part(aad, bytes);
    }
}

impl Sealer {
    /// Seals what line `n` of the audit log tells.
    pub(crate) fn seal_line(&self, n: u64, text: &str) -> Option<String> {
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        scratch.plain.reserve(24 + text.len() + BUCKET + 16);
        scratch.plain.resize(24, 0);
        random(&mut scratch.plain[..24]).ok()?;
        scratch.plain.extend_from_slice(text.as_bytes());
        associate_line(&self.key_id, &self.lineage, n, &mut scratch.aad);
        encrypt(&line_cipher(&self.audit_key), &mut scratch, &mut out)?;
        String::from_utf8(out).ok()
    }
}

/// What line `n` of the audit log tells; `None` where it does not open with the key that its code was made with.
pub(crate) fn open_line(audit_key: &Code, key_id: &str, lineage: &str, n: u64, token: &str) -> Option<String> {
    let mut scratch = Scratch::default();
    associate_line(key_id, lineage, n, &mut scratch.aad);
    let text = decrypt(&line_cipher(audit_key), token.strip_prefix(TOKEN)?, &mut scratch)?;
    Some(std::str::from_utf8(text).ok()?.trim_end_matches(' ').to_owned())
}

/// The code of these parts under a key that is no sealer's any more. It is compared, not kept from anybody.
pub(crate) fn code_with(key: &Code, parts: &[&[u8]]) -> Code {
    over(keyed(key), parts).finalize().into_bytes().into()
}

/// Encrypts what stands in the buffer behind 24 bytes of nonce, padded, and appends its token.
fn encrypt(cipher: &XChaCha20Poly1305, scratch: &mut Scratch, out: &mut Vec<u8>) -> Option<()> {
    let Scratch { plain, aad } = scratch;
    let padded = plain.len().checked_sub(24)?.next_multiple_of(BUCKET);
    plain.resize(24 + padded, b' ');
    let (nonce, text) = plain.split_at_mut_checked(24)?;
    let nonce = XNonce::try_from(&*nonce).ok()?;
    let tag = cipher.encrypt_inout_detached(&nonce, aad, text.into()).ok()?;
    plain.extend_from_slice(&tag);
    let start = out.len() + TOKEN.len();
    out.extend_from_slice(TOKEN.as_bytes());
    out.resize(start + plain.len().div_ceil(3) * 4, 0);
    let written = URL_SAFE_NO_PAD.encode_slice(&**plain, out.get_mut(start..)?).ok()?;
    out.truncate(start + written);
    Some(())
}

/// Opens the base64 of a token under the associated data in the buffer; the text is in the buffer too.
fn decrypt<'s>(cipher: &XChaCha20Poly1305, text: &str, scratch: &'s mut Scratch) -> Option<&'s mut [u8]> {
    let Scratch { plain, aad } = scratch;
    plain.clear();
    plain.resize(text.len(), 0);
    let length = URL_SAFE_NO_PAD.decode_slice(text, plain).ok()?;
    plain.truncate(length);
    let (nonce, rest) = plain.split_at_mut_checked(24)?;
    let (text, tag) = rest.split_at_mut_checked(rest.len().checked_sub(16)?)?;
    let nonce = XNonce::try_from(&*nonce).ok()?;
    let tag = Tag::try_from(&*tag).ok()?;
    cipher.decrypt_inout_detached(&nonce, aad, (&mut *text).into(), &tag).ok()?;
    Some(text)
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
