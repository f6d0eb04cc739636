//! `CloudKms`: data keys wrapped by a key of Google Cloud KMS, with the stack's lineage as additional authenticated data.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use google_cloud_auth::credentials::Credentials;
use serde::Deserialize;
use serde_json::json;
use stackkit::access::{Grant, Role};
use stackkit::context::BoxFuture;
use stackkit::error::ErrorKind;
use stackkit::seal::{self, DataKey, KeyKind, KeyProvider, KeyTrouble, NamedKey, SealError, WrappedKey};
use zeroize::Zeroizing;

use crate::Error;
use crate::api::{Api, Checksum, Given, crc32c};

const KIND: &str = "google-kms";
const SERVICE: &str = "https://cloudkms.googleapis.com";
const ENCRYPT: &str = "cloudkms.cryptoKeyVersions.useToEncrypt";
const DECRYPT: &str = "cloudkms.cryptoKeyVersions.useToDecrypt";
/// How often an answer is asked for whose checksums do not fit, as the API's documentation wants.
const ATTEMPTS: u32 = 3;

/// Keys of Google Cloud KMS: `#[stackkit::main(keys(CloudKms))]`, and
/// `secrets add google-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K`.
///
/// The key is symmetric (`ENCRYPT_DECRYPT`). Its primary version wraps, and what was wrapped says which version opens it,
/// so that a rotation of the key locks nobody out while the old version is enabled. It takes
/// `cloudkms.cryptoKeyVersions.useToEncrypt` to wrap and `cloudkms.cryptoKeyVersions.useToDecrypt` to open: the roles
/// `roles/cloudkms.cryptoKeyEncrypter` and `roles/cloudkms.cryptoKeyDecrypter`.
#[derive(Debug)]
pub struct CloudKms;

impl KeyKind for CloudKms {
    const KIND: &'static str = KIND;

    fn named(name: &str, _: &Path) -> Result<Vec<NamedKey>, SealError> {
        Ok(vec![NamedKey::new(CloudKmsKey::parse(name)?)])
    }

    fn of(wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError> {
        Ok(Arc::new(CloudKmsKey::parse(&wrapped.id)?))
    }
}

/// One key of Cloud KMS.
#[derive(Debug, Clone)]
pub struct CloudKmsKey {
    name: String,
    given: Option<Given>,
}

/// What `encrypt` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    /// The version that encrypted.
    name: Option<String>,
    ciphertext: Option<String>,
    ciphertext_crc32c: Option<Checksum>,
    #[serde(default)]
    verified_plaintext_crc32c: bool,
    #[serde(default)]
    verified_additional_authenticated_data_crc32c: bool,
}

/// What `decrypt` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decrypted {
    plaintext: Option<String>,
    plaintext_crc32c: Option<Checksum>,
}

impl CloudKmsKey {
    /// The key of this name, with Google's application default credentials.
    ///
    /// # Errors
    /// When it is not `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub fn parse(name: &str) -> Result<Self, SealError> {
        let plain = |part: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
            !part.is_empty() && !part.starts_with('.') && part.chars().all(letter)
        };
        let parts: Vec<&str> = name.split('/').collect();
        let whole = match parts[..] {
            ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", key] => {
                // A `:` is of projects of a domain alone; elsewhere it would begin a call.
                plain(project) && [location, ring, key].iter().all(|part| plain(part) && !part.contains(':'))
            }
            _ => false,
        };
        match whole {
            true => Ok(Self { name: name.to_owned(), given: None }),
            false => Err(SealError::Spec {
                text: format!("{KIND}:{name}"),
                detail: "a key of Cloud KMS is `projects/P/locations/L/keyRings/R/cryptoKeys/K`, without a version"
                    .into(),
            }),
        }
    }

    /// With an endpoint and credentials of one's own, for programs that embed the engine and for tests. Without TLS it has
    /// to be on this machine.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>, credentials: Credentials) -> Self {
        self.given = Some(Given { endpoint: endpoint.into(), credentials });
        self
    }

    fn api(&self) -> Result<Api, SealError> {
        Api::open(SERVICE, self.given.as_ref()).map_err(|error| self.error(&error, false))
    }

    fn failed(&self, trouble: KeyTrouble, detail: impl Into<String>) -> SealError {
        SealError::Provider { kind: KIND.into(), id: self.name.clone(), trouble, detail: detail.into() }
    }

    fn error(&self, error: &Error, opens: bool) -> SealError {
        let trouble = match (error.status(), error.kind()) {
            (Some("UNAUTHENTICATED"), _) => KeyTrouble::Credentials,
            (Some("FAILED_PRECONDITION"), _) => KeyTrouble::Disabled,
            (_, ErrorKind::Denied) => KeyTrouble::Denied,
            (_, ErrorKind::NotFound) => KeyTrouble::NotFound,
            (_, ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::UnknownOutcome) => KeyTrouble::Unreachable,
            (_, ErrorKind::Invalid) if opens => KeyTrouble::Refused,
            (_, ErrorKind::Invalid) => KeyTrouble::Invalid,
            _ => KeyTrouble::Other,
        };
        let way = match trouble {
            KeyTrouble::Disabled => "; enable the version, or restore it while its destruction can be called off",
            KeyTrouble::NotFound => "; check project, location, key ring and name",
            KeyTrouble::Refused => {
                "; it was edited, or wrapped for another stack: restore the header from version control"
            }
            _ => "",
        };
        self.failed(trouble, format!("{error}{way}"))
    }

    fn garbled(&self, permission: &str) -> SealError {
        let what = "the checksums of what was sent or answered do not fit, though it was tried again: something on the way \
                    changes it";
        self.failed(KeyTrouble::Other, format!("{permission}: {what}"))
    }
}

impl KeyProvider for CloudKmsKey {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn access(&self, role: Role, _: &str) -> Option<Grant> {
        Some(crate::access::key(&self.name, role))
    }

    fn wrap<'a>(&'a self, key: &'a DataKey, lineage: &'a str) -> BoxFuture<'a, Result<WrappedKey, SealError>> {
        Box::pin(async move {
            let api = self.api()?;
            let plain = Zeroizing::new(STANDARD.encode(key.reveal()));
            let body = json!({
                "plaintext": plain.as_str(),
                "plaintextCrc32c": crc32c(key.reveal()).to_string(),
                "additionalAuthenticatedData": STANDARD.encode(lineage),
                "additionalAuthenticatedDataCrc32c": crc32c(lineage.as_bytes()).to_string(),
            });
            let body = Zeroizing::new(body.to_string());
            for _ in 0..ATTEMPTS {
                let answer: Encrypted = api
                    .call(ENCRYPT, &format!("{}:encrypt", self.name), &body)
                    .await
                    .map_err(|error| self.error(&error, false))?;
                // A version of this very key, if it says which.
                let foreign =
                    |name: &String| name.strip_prefix(self.name.as_str()).is_none_or(|rest| !rest.starts_with('/'));
                if answer.name.as_ref().is_none_or(foreign) {
                    return Err(self.failed(KeyTrouble::Other, format!("{ENCRYPT}: another key answered")));
                }
                let sealed = answer.ciphertext.and_then(|text| STANDARD.decode(text).ok());
                let whole = answer.verified_plaintext_crc32c && answer.verified_additional_authenticated_data_crc32c;
                match (sealed, answer.ciphertext_crc32c) {
                    (Some(sealed), Some(sum)) if whole && sum.fits(&sealed) => {
                        return Ok(WrappedKey {
                            kind: KIND.into(),
                            id: self.name.clone(),
                            wrapped: seal::base64(&sealed),
                            settings: Default::default(),
                        });
                    }
                    _ => {}
                }
            }
            Err(self.garbled(ENCRYPT))
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, lineage: &'a str) -> BoxFuture<'a, Result<DataKey, SealError>> {
        Box::pin(async move {
            let damaged = || SealError::WrappedKey { kind: KIND.into(), id: wrapped.id.clone() };
            let sealed = seal::unbase64(&wrapped.wrapped).ok_or_else(damaged)?;
            let api = self.api()?;
            let body = json!({
                "ciphertext": STANDARD.encode(&sealed),
                "ciphertextCrc32c": crc32c(&sealed).to_string(),
                "additionalAuthenticatedData": STANDARD.encode(lineage),
                "additionalAuthenticatedDataCrc32c": crc32c(lineage.as_bytes()).to_string(),
            });
            let body = Zeroizing::new(body.to_string());
            for _ in 0..ATTEMPTS {
                let answer: Decrypted = api
                    .call(DECRYPT, &format!("{}:decrypt", self.name), &body)
                    .await
                    .map_err(|error| self.error(&error, true))?;
                let plain = answer.plaintext.map(Zeroizing::new);
                let plain = plain.and_then(|text| STANDARD.decode(text.as_bytes()).ok()).map(Zeroizing::new);
                match (plain, answer.plaintext_crc32c) {
                    (Some(plain), Some(sum)) if sum.fits(&plain) => {
                        return Ok(DataKey::from_bytes(plain.as_slice().try_into().map_err(|_| damaged())?));
                    }
                    _ => {}
                }
            }
            Err(self.garbled(DECRYPT))
        })
    }
}
