//! `SecretValue`: a secret of the KV engine that somebody else keeps.

use serde_json::Value as Json;
use stackkit::error::ErrorKind;
use stackkit::lookup::{Answer, Lookup, secret_of};
use stackkit::{Context, Secret, lookup};
use vaultrs::api;
use vaultrs::api::kv2::requests::ReadSecretRequest;

use super::{named, path_problem};
use crate::error::Error;
use crate::provider::Vault;

/// A secret of the KV engine, version 2, read in every run and never kept.
///
/// The token needs `read` on `MOUNT/data/PATH`.
///
/// ```no_run
/// use stackkit::prelude::*;
/// use stackkit_vault::{Vault, kv};
///
/// #[stackkit::main(providers(Vault))]
/// async fn shop(stack: &mut Stack) -> Result<()> {
///     let password = stack.data("db-password", kv::SecretValue::new("shop/db").field("password"));
///     stack.add("db-password", local::SecretFile::new("password", &password.value));
///     Ok(())
/// }
/// ```
#[lookup("vault:kv:SecretValue")]
pub struct SecretValue {
    /// Its path, without the mount and without `data`.
    pub path: String,
    /// Which of its fields, or a pointer into them such as `/db/password` (RFC 6901). Unset: all of it, as JSON.
    pub field: Option<String>,
    /// Which version; the latest one where unset.
    pub version: Option<u64>,
    /// Where the engine is mounted.
    #[lookup(default = "secret")]
    pub mount: String,
    /// The secret.
    #[lookup(output)]
    pub value: Secret<String>,
    /// The version that was read.
    #[lookup(output)]
    pub read_version: u64,
}

impl Lookup for SecretValue {
    type Provider = Vault;

    async fn look_up(vault: &Vault, _: &Context, args: &SecretValueArgs) -> Answer<Self> {
        let (mount, path) = (&args.mount, &args.path);
        let problem = path_problem("path", path).or_else(|| path_problem("mount", mount));
        if let Some(problem) = problem {
            return Err(Error::new(ErrorKind::Invalid, format!("`{}`: {}", problem.field, problem.message)));
        }
        let what = match args.version {
            Some(version) => format!("version {version} of {}", named(mount, path)),
            None => named(mount, path),
        };
        let request =
            ReadSecretRequest::builder().mount(mount.as_str()).path(path.as_str()).version(args.version).build();
        let request = request.map_err(|error| Error::new(ErrorKind::Invalid, format!("{what}: {error}")))?;
        let found = api::exec_with_result(vault.client(), request).await;
        let found = found.map_err(|error| {
            let failed = Error::reading(&error, &what, &format!("`read` on {mount}/data/{path}"));
            match failed.kind() {
                ErrorKind::NotFound => Error::new(
                    ErrorKind::NotFound,
                    format!("{what} is not there, or is deleted: write it, or check mount, path and namespace"),
                ),
                _ => failed,
            }
        })?;
        let whole = match &found.data {
            data @ Json::Object(_) => Secret::new(data.to_string()),
            _ => return Err(Error::new(ErrorKind::NotFound, format!("{what} holds nothing"))),
        };
        let value = secret_of(whole, args.field.as_deref())
            .map_err(|problem| Error::new(ErrorKind::Invalid, format!("{what} {problem}")))?;
        Ok(SecretValueState { args: args.clone(), value, read_version: found.metadata.version })
    }
}
