//! `SecretValue`: a secret of Key Vault that somebody else keeps.

use azure_security_keyvault_secrets::models::SecretClientGetSecretOptions;
use stackkit::error::ErrorKind;
use stackkit::lookup::{Answer, Lookup, secret_of};
use stackkit::{Context, Secret, lookup};

use super::{COLLECTION, named, problems};
use crate::error::Error;
use crate::provider::Azure;
use crate::vault::{Identifier, is_version};

/// A secret of Key Vault, read in every run and never kept.
///
/// It takes `get` of secrets: the role `Key Vault Secrets User`.
///
/// ```no_run
/// use stackkit::prelude::*;
/// use stackkit_azure::{Azure, keyvault};
///
/// #[stackkit::main(providers(Azure))]
/// async fn shop(stack: &mut Stack) -> Result<()> {
///     let vault = "https://acme.vault.azure.net";
///     let password = stack.data("db-password", keyvault::SecretValue::new(vault, "db").field("password"));
///     stack.add("db-password", local::SecretFile::new("password", &password.value));
///     Ok(())
/// }
/// ```
#[lookup("azure:keyvault:SecretValue")]
pub struct SecretValue {
    /// The vault's address, such as `https://acme.vault.azure.net`.
    pub vault: String,
    /// Its name.
    pub name: String,
    /// Which part of it, where it holds JSON: a key, or a pointer such as `/db/password` (RFC 6901).
    pub field: Option<String>,
    /// Which version; the latest one where unset.
    pub version: Option<String>,
    /// The secret.
    #[lookup(output)]
    pub value: Secret<String>,
    /// The version that was read.
    #[lookup(output)]
    pub read_version: String,
    /// What it is said to hold.
    #[lookup(output)]
    pub content_type: Option<String>,
}

impl Lookup for SecretValue {
    type Provider = Azure;

    async fn look_up(azure: &Azure, _: &Context, args: &SecretValueArgs) -> Answer<Self> {
        if let Some(problem) = problems(&args.vault, &args.name).into_iter().next() {
            return Err(Error::new(ErrorKind::Invalid, format!("`{}`: {}", problem.field, problem.message)));
        }
        if let Some(version) = args.version.as_deref().filter(|version| !is_version(version)) {
            let what = format!("`version`: `{}` is none: write it without the URL before it", version.escape_debug());
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let what = match &args.version {
            Some(version) => format!("version {version} of {}", named(&args.vault, &args.name)),
            None => named(&args.vault, &args.name),
        };
        let options = SecretClientGetSecretOptions {
            secret_version: args.version.clone(),
            ..SecretClientGetSecretOptions::default()
        };
        let found = azure.secrets(&args.vault)?.get_secret(&args.name, Some(options)).await;
        let found = found.and_then(|answer| answer.into_model());
        let found = found.map_err(|error| Error::of(&error, &what, "Key Vault Secrets User"))?;
        let whole = Secret::new(found.value.ok_or_else(|| Error::lacks(&what, "value"))?);
        let value = secret_of(whole, args.field.as_deref())
            .map_err(|problem| Error::new(ErrorKind::Invalid, format!("{what} {problem}")))?;
        let read = found.id.as_deref().and_then(|id| Identifier::parse(id, COLLECTION)).and_then(|id| id.version);
        Ok(SecretValueState {
            args: args.clone(),
            value,
            read_version: read.ok_or_else(|| Error::lacks(&what, "id"))?,
            content_type: found.content_type,
        })
    }
}
