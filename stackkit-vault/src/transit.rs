//! `TransitKey`: a data key wrapped by a key of the transit engine, bound to the stack's lineage as far as the key's type
//! permits.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stackkit::access::{Grant, Role};
use stackkit::context::BoxFuture;
use stackkit::seal::{self, DataKey, KeyKind, KeyProvider, KeyTrouble, NamedKey, SealError, Setting, WrappedKey};
use vaultrs::api::transit::KeyType;
use vaultrs::api::transit::requests::{DecryptDataRequest, EncryptDataRequest};
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;
use vaultrs::transit::{data, key};
use zeroize::Zeroizing;

use crate::server::{Server, Told, told};

const KIND: &str = "vault";
/// The setting that says how the server binds the wrapped key to the lineage.
const BOUND: &str = "bound";
/// Key derivation: the lineage is the context.
const CONTEXT: &str = "context";
/// An AEAD: the lineage is associated data.
const ASSOCIATED: &str = "associated-data";
/// Neither, as with RSA: the lineage stands in the plaintext alone, as it does always.
const PLAINTEXT: &str = "plaintext";

/// Keys of the transit engine of Vault and OpenBao: `#[stackkit::main(keys(Transit))]`, and `secrets add vault:MOUNT/KEY`.
#[derive(Debug)]
pub struct Transit;

impl KeyKind for Transit {
    const KIND: &'static str = KIND;

    fn named(name: &str, _: &Path) -> Result<Vec<NamedKey>, SealError> {
        Ok(vec![NamedKey::new(TransitKey::parse(name, Server::from_env())?)])
    }

    fn of(wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError> {
        Ok(Arc::new(TransitKey::parse(&wrapped.id, Server::from_env())?))
    }
}

/// One key of a transit engine.
#[derive(Debug, Clone)]
pub struct TransitKey {
    mount: String,
    name: String,
    server: Server,
}

impl TransitKey {
    /// The key that `MOUNT/KEY` names.
    ///
    /// # Errors
    /// When the text is not that.
    pub fn parse(text: &str, server: Server) -> Result<Self, SealError> {
        let plain = |part: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !part.is_empty() && !part.starts_with('.') && part.chars().all(letter)
        };
        match text.rsplit_once('/') {
            Some((mount, name)) if mount.split('/').all(plain) && plain(name) => {
                Ok(Self { mount: mount.to_owned(), name: name.to_owned(), server })
            }
            _ => Err(SealError::Spec {
                text: format!("{KIND}:{text}"),
                detail: "it is MOUNT/KEY, such as `transit/infra`, in letters, digits, `-`, `_` and `.`".into(),
            }),
        }
    }

    fn id(&self) -> String {
        format!("{}/{}", self.mount, self.name)
    }

    fn failed(&self, trouble: KeyTrouble, detail: impl Into<String>) -> SealError {
        SealError::Provider { kind: KIND.into(), id: self.id(), trouble, detail: detail.into() }
    }

    fn client(&self) -> Result<VaultClient, SealError> {
        self.server.client().map_err(|problem| {
            let trouble = if problem.credentials { KeyTrouble::Credentials } else { KeyTrouble::Invalid };
            self.failed(trouble, problem.detail)
        })
    }

    fn error(&self, error: &ClientError, right: &str) -> SealError {
        let answer = told(error);
        let (trouble, way) = match answer.told {
            Told::Credentials => (KeyTrouble::Credentials, "log in again, or set VAULT_TOKEN or BAO_TOKEN".to_owned()),
            Told::Denied => (KeyTrouble::Denied, format!("allow the token {right}, and check the namespace")),
            Told::NotFound => (KeyTrouble::NotFound, "check mount, name and namespace".to_owned()),
            Told::Refused | Told::Conflict => (
                KeyTrouble::Refused,
                "it was edited, or wrapped for another stack or by a version of the key that is gone: restore the \
                 header from version control"
                    .to_owned(),
            ),
            Told::Unavailable => (KeyTrouble::Unreachable, "the server is sealed or on standby".to_owned()),
            Told::Unreachable => (KeyTrouble::Unreachable, "check VAULT_ADDR or BAO_ADDR".to_owned()),
            Told::Throttled | Told::Other => (KeyTrouble::Other, "see the server's log".to_owned()),
        };
        self.failed(trouble, format!("{}; {way}", answer.said))
    }

    /// What was encrypted with the key, without a context, by whichever program: a data key of SOPS, for one.
    ///
    /// # Errors
    /// When the server cannot be asked, or refuses.
    pub async fn decrypt(&self, ciphertext: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let client = self.client()?;
        let right = format!("`update` on {}/decrypt/{}", self.mount, self.name);
        let answer = data::decrypt(&client, &self.mount, &self.name, ciphertext, None)
            .await
            .map_err(|error| self.error(&error, &right))?;
        let text = Zeroizing::new(answer.plaintext);
        let plain = STANDARD.decode(text.as_bytes());
        plain.map(Zeroizing::new).map_err(|_| self.failed(KeyTrouble::Other, "what the server sent is not Base64"))
    }

    /// How the key binds what it wraps. The key has to be there: encrypting with one that is not would make it.
    async fn bound(&self, client: &VaultClient) -> Result<&'static str, SealError> {
        let right = format!("`read` on {}/keys/{}", self.mount, self.name);
        let about = key::read(client, &self.mount, &self.name).await.map_err(|error| self.error(&error, &right))?;
        if !about.supports_encryption || !about.supports_decryption {
            return Err(self.failed(KeyTrouble::Invalid, "a key of its type does not encrypt: use aes256-gcm96"));
        }
        Ok(match about.key_type {
            _ if about.derived => CONTEXT,
            KeyType::Aes128Gcm96 | KeyType::Aes256Gcm96 | KeyType::Chacha20Poly1305 => ASSOCIATED,
            _ => PLAINTEXT,
        })
    }
}

impl KeyProvider for TransitKey {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn access(&self, role: Role, _: &str) -> Option<Grant> {
        let (mount, name) = (&self.mount, &self.name);
        let path = |what: &str, right: &str| {
            format!("path \"{mount}/{what}/{name}\" {{\n  capabilities = [\"{right}\"]\n}}\n")
        };
        let text = match role {
            Role::Viewer => ["encrypt", "decrypt"].map(|what| path(what, "deny")).concat(),
            Role::Deployer => path("encrypt", "deny") + &path("decrypt", "update"),
            Role::Admin => ["encrypt", "decrypt"].map(|what| path(what, "update")).concat() + &path("keys", "read"),
        };
        let grant = Grant::new(format!("Policy of Vault or OpenBao for the key {}", self.id()), "hcl", text);
        Some(match role {
            Role::Viewer => grant.note("`deny` holds against other policies of the same token"),
            // Wrapping for more keys is what `secrets add` and `secrets rotate` do.
            Role::Deployer => {
                grant.note("It opens what other stacks have wrapped with the same key too, if it can read them")
            }
            Role::Admin => grant.note("Making, rotating and deleting the key itself is not in it"),
        })
    }

    fn wrap<'a>(&'a self, key: &'a DataKey, lineage: &'a str) -> BoxFuture<'a, Result<WrappedKey, SealError>> {
        Box::pin(async move {
            let client = self.client()?;
            let bound = self.bound(&client).await?;
            let id = self.id();
            let plain = Zeroizing::new(STANDARD.encode(&*seal::bind(key, KIND, &id, lineage)));
            let mut request = EncryptDataRequest::builder();
            match bound {
                CONTEXT => drop(request.context(STANDARD.encode(lineage))),
                ASSOCIATED => drop(request.associated_data(STANDARD.encode(lineage))),
                _ => {}
            }
            let right = format!("`update` on {}/encrypt/{}", self.mount, self.name);
            let answer = data::encrypt(&client, &self.mount, &self.name, &plain, Some(&mut request))
                .await
                .map_err(|error| self.error(&error, &right))?;
            let settings = BTreeMap::from([(BOUND.to_owned(), Setting::Text(bound.to_owned()))]);
            Ok(WrappedKey { kind: KIND.into(), id, wrapped: answer.ciphertext, settings })
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, lineage: &'a str) -> BoxFuture<'a, Result<DataKey, SealError>> {
        Box::pin(async move {
            let damaged = || SealError::WrappedKey { kind: KIND.into(), id: wrapped.id.clone() };
            let client = self.client()?;
            let mut request = DecryptDataRequest::builder();
            match wrapped.text(BOUND) {
                Some(CONTEXT) => drop(request.context(STANDARD.encode(lineage))),
                Some(ASSOCIATED) => drop(request.associated_data(STANDARD.encode(lineage))),
                Some(PLAINTEXT) => {}
                _ => return Err(damaged()),
            }
            let right = format!("`update` on {}/decrypt/{}", self.mount, self.name);
            let answer = data::decrypt(&client, &self.mount, &self.name, &wrapped.wrapped, Some(&mut request))
                .await
                .map_err(|error| self.error(&error, &right))?;
            let text = Zeroizing::new(answer.plaintext);
            let plain = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_| damaged())?);
            seal::unbind(&plain, KIND, &wrapped.id, lineage).ok_or_else(damaged)
        })
    }
}
