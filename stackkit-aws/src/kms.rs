//! `Kms`: data keys wrapped by a key of AWS KMS, with the stack's lineage as encryption context.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use stackkit::access::{Grant, Role};
use stackkit::context::BoxFuture;
use stackkit::error::ErrorKind;
use stackkit::seal::{self, DataKey, KeyKind, KeyProvider, KeyTrouble, NamedKey, SealError, WrappedKey};
use zeroize::Zeroizing;

use crate::Error;

const KIND: &str = "aws-kms";
/// The key of the encryption context, which a key policy can ask for: `kms:EncryptionContext:stackkit:lineage`.
const LINEAGE: &str = "stackkit:lineage";
/// Longest time to make a connection, and of one attempt of a request.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 4;

/// Keys of AWS KMS: `#[stackkit::main(keys(Kms))]`, and `secrets add aws-kms:alias/NAME` or `aws-kms:ARN`.
///
/// The header keeps the key's ARN, so an alias that is pointed elsewhere later changes nothing. Region (unless an ARN
/// names it), profile and credentials come from the SDK's default chain. It takes `kms:Encrypt` to wrap and `kms:Decrypt`
/// to open.
#[derive(Debug)]
pub struct Kms;

impl KeyKind for Kms {
    const KIND: &'static str = KIND;

    fn named(name: &str, _: &Path) -> Result<Vec<NamedKey>, SealError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | ':');
        if !name.chars().all(plain) {
            return Err(SealError::Spec {
                text: format!("{KIND}:{name}"),
                detail: "a key of KMS is an ARN, `alias/NAME`, or the id of a key".into(),
            });
        }
        Ok(vec![NamedKey::new(KmsKey::new(name))])
    }

    fn of(wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError> {
        Ok(Arc::new(KmsKey::new(&wrapped.id)))
    }
}

/// One key of AWS KMS.
#[derive(Debug, Clone)]
pub struct KmsKey {
    key: String,
    config: Option<SdkConfig>,
}

impl KmsKey {
    /// The key of this ARN, alias (`alias/NAME`) or id, with what the SDK's default chain finds.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), config: None }
    }

    /// With an SDK configuration of one's own, for programs that embed the engine and for tests.
    #[must_use]
    pub fn with_config(mut self, config: SdkConfig) -> Self {
        self.config = Some(config);
        self
    }

    async fn client(&self) -> Result<Client, SealError> {
        let mut builder = match &self.config {
            Some(config) => aws_sdk_kms::config::Builder::from(config),
            None => {
                let loader = aws_config::defaults(BehaviorVersion::latest())
                    .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
                    .timeout_config(
                        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build(),
                    );
                aws_sdk_kms::config::Builder::from(&loader.load().await)
            }
        };
        // A key is only known in its own region.
        if let Some(region) = region_of(&self.key) {
            builder = builder.region(Region::new(region.to_owned()));
        }
        let config = builder.build();
        if config.region().is_none_or(|region| region.as_ref().is_empty()) {
            return Err(
                self.failed(KeyTrouble::Invalid, "no region is known: set AWS_REGION, or name the key by its ARN")
            );
        }
        Ok(Client::from_conf(config))
    }

    /// What was encrypted with the key under an encryption context, by whichever program: a data key of SOPS, for one.
    ///
    /// # Errors
    /// When KMS cannot be asked, or refuses.
    pub async fn decrypt(
        &self,
        sealed: &[u8],
        context: HashMap<String, String>,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let answer = self
            .client()
            .await?
            .decrypt()
            .key_id(&self.key)
            .ciphertext_blob(Blob::new(sealed))
            .set_encryption_context((!context.is_empty()).then_some(context))
            .send()
            .await
            .map_err(|error| self.error(&Error::from(error)))?;
        let plain = answer.plaintext.map(|blob| Zeroizing::new(blob.into_inner()));
        plain.ok_or_else(|| self.failed(KeyTrouble::Other, "the answer of kms:Decrypt is not whole"))
    }

    fn failed(&self, trouble: KeyTrouble, detail: impl Into<String>) -> SealError {
        SealError::Provider { kind: KIND.into(), id: self.key.clone(), trouble, detail: detail.into() }
    }

    fn error(&self, error: &Error) -> SealError {
        let trouble = match error.code() {
            Some("DisabledException" | "KMSInvalidStateException" | "KeyUnavailableException") => KeyTrouble::Disabled,
            Some("NotFoundException") => KeyTrouble::NotFound,
            Some("InvalidCiphertextException" | "IncorrectKeyException") => KeyTrouble::Refused,
            Some("InvalidKeyUsageException" | "InvalidArnException" | "ValidationException") => KeyTrouble::Invalid,
            Some(
                "ExpiredTokenException"
                | "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "SignatureDoesNotMatch"
                | "InvalidSignatureException"
                | "MissingAuthenticationToken",
            ) => KeyTrouble::Credentials,
            _ => match error.kind() {
                ErrorKind::Denied if error.code().is_none() => KeyTrouble::Credentials,
                ErrorKind::Denied => KeyTrouble::Denied,
                ErrorKind::NotFound => KeyTrouble::NotFound,
                ErrorKind::Transient | ErrorKind::UnknownOutcome | ErrorKind::Throttled => KeyTrouble::Unreachable,
                _ => KeyTrouble::Other,
            },
        };
        let way = match trouble {
            KeyTrouble::Disabled => "; enable it, or cancel its deletion",
            KeyTrouble::NotFound => "; check the name, the region and the account",
            KeyTrouble::Refused => {
                "; it was edited, or wrapped for another stack: restore the header from version control"
            }
            _ => "",
        };
        self.failed(trouble, format!("{error}{way}"))
    }
}

/// The region that an ARN names.
fn region_of(key: &str) -> Option<&str> {
    let mut parts = key.split(':');
    (parts.next() == Some("arn")).then_some(())?;
    parts.nth(2).filter(|region| !region.is_empty())
}

impl KeyProvider for KmsKey {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn access(&self, role: Role, lineage: &str) -> Option<Grant> {
        let (effect, actions) = match role {
            Role::Viewer => ("Deny", r#""kms:Decrypt""#),
            Role::Deployer => ("Allow", r#""kms:Decrypt""#),
            Role::Admin => ("Allow", r#""kms:Decrypt", "kms:Encrypt""#),
        };
        let text = format!(
            r#"{{
  "Version": "2012-10-17",
  "Statement": [
    {{
      "Effect": "{effect}",
      "Action": [{actions}],
      "Resource": "{}",
      "Condition": {{ "StringEquals": {{ "kms:EncryptionContext:{LINEAGE}": "{lineage}" }} }}
    }}
  ]
}}
"#,
            self.key
        );
        let grant = Grant::new(format!("IAM policy for the key {}", self.key), "json", text)
            .note("The key's own policy has to leave this to IAM, as the usual one does");
        Some(match role {
            Role::Viewer => {
                grant.note("The denial holds against every other policy; it is of this stack's data key alone")
            }
            Role::Deployer => grant.note("The condition keeps it to this stack, though others may share the key"),
            Role::Admin => grant,
        })
    }

    fn wrap<'a>(&'a self, key: &'a DataKey, lineage: &'a str) -> BoxFuture<'a, Result<WrappedKey, SealError>> {
        Box::pin(async move {
            let answer = self
                .client()
                .await?
                .encrypt()
                .key_id(&self.key)
                .plaintext(Blob::new(key.reveal().as_slice()))
                .encryption_context(LINEAGE, lineage)
                .send()
                .await
                .map_err(|error| self.error(&Error::from(error)))?;
            let (Some(id), Some(sealed)) = (answer.key_id(), answer.ciphertext_blob()) else {
                return Err(self.failed(KeyTrouble::Other, "the answer of kms:Encrypt is not whole"));
            };
            Ok(WrappedKey {
                kind: KIND.into(),
                id: id.to_owned(),
                wrapped: seal::base64(sealed.as_ref()),
                settings: Default::default(),
            })
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, lineage: &'a str) -> BoxFuture<'a, Result<DataKey, SealError>> {
        Box::pin(async move {
            let damaged = || SealError::WrappedKey { kind: KIND.into(), id: wrapped.id.clone() };
            let sealed = seal::unbase64(&wrapped.wrapped).ok_or_else(damaged)?;
            let answer = self
                .client()
                .await?
                .decrypt()
                // Naming the key keeps an edited header from having another one opened.
                .key_id(&wrapped.id)
                .ciphertext_blob(Blob::new(sealed))
                .encryption_context(LINEAGE, lineage)
                .send()
                .await
                .map_err(|error| self.error(&Error::from(error)))?;
            let plain = answer.plaintext.map(|blob| Zeroizing::new(blob.into_inner())).ok_or_else(damaged)?;
            Ok(DataKey::from_bytes(plain.as_slice().try_into().map_err(|_| damaged())?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_its_region() {
        assert_eq!(region_of("arn:aws:kms:eu-central-1:123456789012:key/x"), Some("eu-central-1"));
        assert_eq!(region_of("arn:aws-cn:kms:cn-north-1:1:alias/x"), Some("cn-north-1"));
        for other in ["alias/x", "1234", "arn:aws:kms", "arn:aws:kms::1:key/x"] {
            assert_eq!(region_of(other), None, "{other}");
        }
    }
}
