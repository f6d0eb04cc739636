//! `KeyVault`: data keys wrapped by a key of Azure Key Vault or of a managed HSM.
//!
//! Its algorithms bind nothing: RSA-OAEP-256 and A256KW know no associated data, and RSA has room for little more than a
//! key. So the service wraps a random key, made for this one use, and that one seals the data key with the stack's lineage
//! as associated data.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::ClientOptions;
use azure_security_keyvault_keys::models::{
    EncryptionAlgorithm, Key, KeyClientGetKeyOptions, KeyClientWrapKeyOptions, KeyOperationParameters,
    KeyOperationResult, KeyType,
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use stackkit::access::{Grant, Role};
use stackkit::context::BoxFuture;
use stackkit::seal::{self, DataKey, KeyKind, KeyProvider, KeyTrouble, NamedKey, SealError, Setting, WrappedKey};
use zeroize::Zeroizing;

use crate::answer::{SIGN_IN, Told, told};
use crate::credential;
use crate::vault::{Identifier, is_version};

const KIND: &str = "azure-key-vault";
const COLLECTION: &str = "keys";
/// The settings of a wrapped key: the version that wrapped, by which algorithm, and what it wrapped.
const VERSION: &str = "version";
const ALGORITHM: &str = "algorithm";
const KEY: &str = "key";

/// Keys of Azure Key Vault: `#[stackkit::main(keys(KeyVault))]`, and
/// `secrets add azure-key-vault:https://VAULT.vault.azure.net/keys/NAME`.
///
/// RSA keys wrap by RSA-OAEP-256, symmetric ones of managed HSMs by A256KW. The header keeps which version wrapped, so
/// that a rotation of the vault's key locks nobody out; the next change of the data key is wrapped by the newest version,
/// or by the one that the URL names. It takes `get` and `wrapKey` to wrap and `unwrapKey` to open: the role
/// `Key Vault Crypto User`, or `Managed HSM Crypto User`.
#[derive(Debug)]
pub struct KeyVault;

impl KeyKind for KeyVault {
    const KIND: &'static str = KIND;

    fn named(name: &str, _: &Path) -> Result<Vec<NamedKey>, SealError> {
        Ok(vec![NamedKey::new(KeyVaultKey::parse(name)?)])
    }

    fn of(wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError> {
        Ok(Arc::new(KeyVaultKey::parse(&wrapped.id)?))
    }
}

/// One key of a vault or managed HSM.
#[derive(Debug, Clone)]
pub struct KeyVaultKey {
    key: Identifier,
    given: Option<(Arc<dyn TokenCredential>, ClientOptions)>,
}

impl KeyVaultKey {
    /// The key of this URL, with credentials from the environment as the crate's first page says.
    ///
    /// # Errors
    /// When it is none of a key below Azure's own domains.
    pub fn parse(url: &str) -> Result<Self, SealError> {
        let key = Identifier::parse(url, COLLECTION).ok_or_else(|| SealError::Spec {
            text: format!("{KIND}:{url}"),
            detail:
                "a key of Key Vault is the URL `https://VAULT.vault.azure.net/keys/NAME`, with or without a version"
                    .into(),
        })?;
        Ok(Self { key, given: None })
    }

    /// With credentials and a transport of one's own, for programs that embed the engine and for tests.
    #[must_use]
    pub fn with_credential(mut self, credential: Arc<dyn TokenCredential>, options: ClientOptions) -> Self {
        self.given = Some((credential, options));
        self
    }

    fn client(&self) -> Result<KeyClient, SealError> {
        let (credential, options) = match &self.given {
            Some(given) => given.clone(),
            None => {
                let found = credential::from_env();
                (found.map_err(|detail| self.failed(KeyTrouble::Credentials, detail))?, crate::client_options())
            }
        };
        let options = KeyClientOptions { client_options: options, ..KeyClientOptions::default() };
        KeyClient::new(&self.key.vault, credential, Some(options)).map_err(|error| self.error(&error, "get"))
    }

    fn failed(&self, trouble: KeyTrouble, detail: impl Into<String>) -> SealError {
        SealError::Provider { kind: KIND.into(), id: self.key.to_string(), trouble, detail: detail.into() }
    }

    /// Of an operation, such as `wrapKey`.
    fn error(&self, error: &azure_core::Error, operation: &str) -> SealError {
        let answer = told(error);
        let (trouble, way) = match answer.told {
            Told::Credentials => (KeyTrouble::Credentials, SIGN_IN.to_owned()),
            Told::Denied => (
                KeyTrouble::Denied,
                format!(
                    "allow these credentials `{operation}`, for instance by the role `Key Vault Crypto User`, and check \
                     the vault's firewall"
                ),
            ),
            Told::Disabled => (KeyTrouble::Disabled, "enable it".to_owned()),
            Told::NotFound => {
                (KeyTrouble::NotFound, "check the URL; a key that was deleted can be recovered for a while".to_owned())
            }
            Told::Recoverable | Told::Busy => (KeyTrouble::Disabled, "recover it".to_owned()),
            Told::Refused | Told::Conflict if operation == "unwrapKey" => (
                KeyTrouble::Refused,
                "it was edited, or the version that wrapped it is gone: restore the header from version control"
                    .to_owned(),
            ),
            Told::Refused | Told::Conflict => (KeyTrouble::Invalid, "check what the key is for".to_owned()),
            Told::Throttled | Told::Unavailable | Told::Failed => {
                (KeyTrouble::Unreachable, "try again later".to_owned())
            }
            Told::Unreachable => (KeyTrouble::Unreachable, "check the vault's name and the network".to_owned()),
        };
        self.failed(trouble, format!("{operation}: {}; {way}", answer.said))
    }

    /// By which algorithm the key wraps, and which version it has.
    async fn about(&self, client: &KeyClient) -> Result<(EncryptionAlgorithm, String), SealError> {
        let options =
            KeyClientGetKeyOptions { key_version: self.key.version.clone(), ..KeyClientGetKeyOptions::default() };
        let found = client.get_key(&self.key.name, Some(options)).await.and_then(|answer| answer.into_model());
        let Key { key, attributes, .. } = found.map_err(|error| self.error(&error, "get"))?;
        if attributes.and_then(|attributes| attributes.enabled) == Some(false) {
            return Err(self.failed(KeyTrouble::Disabled, "enable it, or name a version that is enabled"));
        }
        let key = key.ok_or_else(|| self.not_whole("get"))?;
        let algorithm = match key.kty {
            Some(KeyType::Rsa | KeyType::RsaHsm) => EncryptionAlgorithm::RsaOaep256,
            Some(KeyType::Oct | KeyType::OctHsm) => EncryptionAlgorithm::A256Kw,
            _ => return Err(self.failed(KeyTrouble::Invalid, "a key of its type wraps nothing: use an RSA key")),
        };
        if let Some(operations) = key.key_ops
            && !["wrapKey", "unwrapKey"].iter().all(|one| operations.iter().any(|other| other == one))
        {
            return Err(self.failed(KeyTrouble::Invalid, "its permitted operations lack `wrapKey` or `unwrapKey`"));
        }
        let version = self.version_of(key.kid.as_deref()).ok_or_else(|| self.not_whole("get"))?;
        Ok((algorithm, version))
    }

    /// The version in the identifier that an answer gives, if it is this key's.
    fn version_of(&self, kid: Option<&str>) -> Option<String> {
        let found = Identifier::parse(kid?, COLLECTION)?;
        let ours = found.vault == self.key.vault && found.name.eq_ignore_ascii_case(&self.key.name);
        found.version.filter(|_| ours)
    }

    fn not_whole(&self, operation: &str) -> SealError {
        self.failed(KeyTrouble::Other, format!("{operation}: the answer is not whole, or of another key"))
    }

    fn damaged(&self) -> SealError {
        SealError::WrappedKey { kind: KIND.into(), id: self.key.to_string() }
    }
}

impl KeyProvider for KeyVaultKey {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn access(&self, role: Role, _: &str) -> Option<Grant> {
        Some(crate::access::key(&self.key, role))
    }

    fn wrap<'a>(&'a self, key: &'a DataKey, lineage: &'a str) -> BoxFuture<'a, Result<WrappedKey, SealError>> {
        Box::pin(async move {
            let client = self.client()?;
            let (algorithm, version) = self.about(&client).await?;
            let wrapping = DataKey::generate()?;
            let request = KeyOperationParameters {
                algorithm: Some(algorithm.clone()),
                value: Some(wrapping.reveal().to_vec()),
                ..KeyOperationParameters::default()
            };
            let request = request.try_into().map_err(|error| self.error(&error, "wrapKey"))?;
            let options = KeyClientWrapKeyOptions {
                // That of the look before: what it says of the key holds for this one.
                key_version: Some(version.clone()),
                ..KeyClientWrapKeyOptions::default()
            };
            let answer = client.wrap_key(&self.key.name, request, Some(options)).await;
            let KeyOperationResult { kid, result, .. } =
                answer.and_then(|answer| answer.into_model()).map_err(|error| self.error(&error, "wrapKey"))?;
            let wrapped = result.filter(|bytes| !bytes.is_empty()).ok_or_else(|| self.not_whole("wrapKey"))?;
            if self.version_of(kid.as_deref()).as_ref() != Some(&version) {
                return Err(self.not_whole("wrapKey"));
            }
            let id = self.key.to_string();
            Ok(WrappedKey {
                kind: KIND.into(),
                wrapped: seal::wrap_under(wrapping.reveal(), KIND, &id, lineage, key)?,
                id,
                settings: BTreeMap::from([
                    (VERSION.to_owned(), Setting::Text(version)),
                    (ALGORITHM.to_owned(), Setting::Text(algorithm.to_string())),
                    (KEY.to_owned(), Setting::Text(seal::base64(&wrapped))),
                ]),
            })
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, lineage: &'a str) -> BoxFuture<'a, Result<DataKey, SealError>> {
        Box::pin(async move {
            let version = wrapped.text(VERSION).filter(|version| is_version(version)).ok_or_else(|| self.damaged())?;
            let algorithm = match wrapped.text(ALGORITHM) {
                Some("RSA-OAEP-256") => EncryptionAlgorithm::RsaOaep256,
                Some("A256KW") => EncryptionAlgorithm::A256Kw,
                _ => return Err(self.damaged()),
            };
            let value = wrapped.text(KEY).and_then(seal::unbase64).ok_or_else(|| self.damaged())?;
            let request = KeyOperationParameters {
                algorithm: Some(algorithm),
                value: Some(value),
                ..KeyOperationParameters::default()
            };
            let request = request.try_into().map_err(|error| self.error(&error, "unwrapKey"))?;
            let answer = self.client()?.unwrap_key(&self.key.name, version, request, None).await;
            let answer =
                answer.and_then(|answer| answer.into_model()).map_err(|error| self.error(&error, "unwrapKey"))?;
            let plain = Zeroizing::new(answer.result.ok_or_else(|| self.not_whole("unwrapKey"))?);
            let wrapping = plain.as_slice().try_into().map(DataKey::from_bytes).map_err(|_| self.damaged())?;
            seal::unwrap_under(wrapping.reveal(), wrapped, lineage).ok_or_else(|| self.damaged())
        })
    }
}
