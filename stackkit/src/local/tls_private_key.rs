//! `TlsPrivateKey`: a private key, made here and sealed in the state.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rcgen::{KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use stackkit_macros::{Properties, resource};

use super::{Local, certificate, disk};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Managed};
use crate::secret::Secret;

/// Which kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Properties)]
#[property(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// ECDSA on P-256: understood everywhere.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// Ed25519: small and fast, but not accepted by browsers for certificates.
    Ed25519,
}

impl KeyAlgorithm {
    fn signature(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }
}

/// A private key for certificates or signatures. It only ever exists as a secret.
///
/// An existing one is imported by the path of its PEM file (PKCS #8).
#[resource("local:TlsPrivateKey", pure, immutable)]
pub struct TlsPrivateKey {
    /// Which kind of key.
    #[resource(default = KeyAlgorithm::EcdsaP256)]
    pub algorithm: KeyAlgorithm,
    /// Any values; when one of them changes, a new key is made.
    #[resource(default = std::collections::BTreeMap::<String, String>::new())]
    pub keepers: std::collections::BTreeMap<String, String>,
    /// The private key in PEM (PKCS #8).
    #[resource(output)]
    pub private_key_pem: Secret<String>,
    /// The public key in PEM (SubjectPublicKeyInfo).
    #[resource(output)]
    pub public_key_pem: String,
    /// `SHA256:` and the Base64 of the SHA-256 of the public key's DER, without padding.
    #[resource(output)]
    pub fingerprint: String,
}

impl TlsPrivateKeyState {
    fn of(args: TlsPrivateKeyArgs, key: &KeyPair) -> Self {
        let digest = Sha256::digest(key.subject_public_key_info());
        Self {
            args,
            private_key_pem: Secret::new(key.serialize_pem()),
            public_key_pem: key.public_key_pem(),
            fingerprint: format!("SHA256:{}", STANDARD_NO_PAD.encode(digest)),
        }
    }

    /// The state of a key that exists. `place` says where it was found.
    pub(super) fn of_pem(pem: &Secret<String>, place: &str) -> Result<Self, Error> {
        let key = certificate::key_pair(pem, place)?;
        let algorithm = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519]
            .into_iter()
            .find(|algorithm| key.is_compatible(algorithm.signature()))
            .ok_or_else(|| {
                Error::invalid(format!("the key in `{place}` is neither ECDSA on P-256 or P-384 nor Ed25519"))
            })?;
        Ok(Self::of(TlsPrivateKeyArgs { algorithm, keepers: Default::default() }, &key))
    }
}

impl Managed for TlsPrivateKey {
    type Provider = Local;

    async fn create(_: &Local, _: &Context, args: &TlsPrivateKeyArgs) -> Result<Created<Self>, Error> {
        let key = KeyPair::generate_for(args.algorithm.signature())
            .map_err(|e| Error::invalid(format!("a key of this algorithm cannot be made: {e}")))?;
        let state = TlsPrivateKeyState::of(args.clone(), &key);
        Ok(Created::new(state.fingerprint.clone(), state))
    }

    async fn read(
        _: &Local,
        cx: &Context,
        id: &str,
        prior: Option<&TlsPrivateKeyState>,
    ) -> Result<Option<TlsPrivateKeyState>, Error> {
        if let Some(prior) = prior {
            return Ok(Some(prior.clone()));
        }
        let Some(seen) = disk::read_file(cx, id).await? else { return Ok(None) };
        TlsPrivateKeyState::of_pem(&seen.secret_text(id)?, id).map(Some)
    }

    async fn update(
        _: &Local,
        _: &Context,
        _: &str,
        prior: &TlsPrivateKeyState,
        args: &TlsPrivateKeyArgs,
    ) -> Result<TlsPrivateKeyState, Error> {
        Ok(TlsPrivateKeyState { args: args.clone(), ..prior.clone() })
    }

    async fn delete(_: &Local, _: &Context, _: &str, _: &TlsPrivateKeyState) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::testing::{args, context};

    #[tokio::test]
    async fn every_algorithm_gives_a_key_that_can_be_imported_again() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
            let draft = TlsPrivateKey::new().algorithm(algorithm);
            let made = TlsPrivateKey::create(&local, &cx, &args(draft)).await.unwrap();
            assert!(made.state.private_key_pem.reveal().starts_with("-----BEGIN PRIVATE KEY-----\n"));
            assert!(made.state.public_key_pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
            assert_eq!(made.state.fingerprint.len(), "SHA256:".len() + 43);
            assert!(!format!("{made:?}").contains("PRIVATE KEY"));

            std::fs::write(dir.path().join("key.pem"), made.state.private_key_pem.reveal()).unwrap();
            let seen = TlsPrivateKey::read(&local, &cx, "key.pem", None).await.unwrap().unwrap();
            assert_eq!((seen.algorithm, &seen.fingerprint), (algorithm, &made.id));
        }
    }

    #[tokio::test]
    async fn a_file_without_a_key_cannot_be_imported() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key.pem"), "hunter2").unwrap();
        let error = TlsPrivateKey::read(&Local::new(), &context(dir.path()), "key.pem", None).await.unwrap_err();
        assert!(error.message().starts_with("`key.pem` holds no private key"), "{error}");
        assert!(!error.message().contains("hunter2"));
    }
}
