//! Keys of services: what asks them is behind features. Where a service is and who asks comes from the environment, never
//! from the file, which somebody else may have edited.

use stackkit::seal::SealError;
use zeroize::Zeroizing;

use crate::metadata::MasterKey;

/// The part of the data key that a key of a service opens; nothing where its kind is not linked.
pub(crate) async fn open(key: &MasterKey) -> Option<Result<Zeroizing<Vec<u8>>, SealError>> {
    #[cfg(feature = "aws-kms")]
    if key.kind == &crate::metadata::KMS {
        return Some(kms(key).await);
    }
    #[cfg(feature = "vault")]
    if key.kind == &crate::metadata::VAULT {
        return Some(vault(key).await);
    }
    let _ = key;
    None
}

#[cfg(feature = "aws-kms")]
async fn kms(key: &MasterKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::metadata::MAP;
    use stackkit::seal::KeyTrouble;
    let refused = |detail: &str| SealError::Provider {
        kind: "aws-kms".into(),
        id: key.name.clone(),
        trouble: KeyTrouble::Invalid,
        detail: detail.into(),
    };
    if key.fields.get("role").is_some_and(|role| !role.is_empty()) {
        return Err(refused("the file names a role for it, which is not assumed here: run the command in that role"));
    }
    let sealed = STANDARD.decode(&key.sealed).map_err(|_| refused("what it encrypted is not Base64"))?;
    let start = format!("context{MAP}");
    let context =
        key.fields.iter().filter_map(|(name, text)| Some((name.strip_prefix(&start)?.to_owned(), text.clone())));
    let arn = key.fields.get("arn").cloned().unwrap_or_default();
    stackkit_aws::KmsKey::new(arn).decrypt(&sealed, context.collect()).await
}

#[cfg(feature = "vault")]
async fn vault(key: &MasterKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let field = |name: &str| key.fields.get(name).map(String::as_str).unwrap_or_default();
    let name = format!("{}/{}", field("engine_path").trim_matches('/'), field("key_name"));
    stackkit_vault::TransitKey::parse(&name, stackkit_vault::Server::from_env())?.decrypt(&key.sealed).await
}
