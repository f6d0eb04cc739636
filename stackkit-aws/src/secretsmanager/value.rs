//! `SecretValue`: a secret that somebody else keeps.

use aws_smithy_types::base64;
use stackkit::error::ErrorKind;
use stackkit::lookup::{Answer, Lookup, secret_of};
use stackkit::{Context, Secret, lookup};

use crate::connect::Aws;
use crate::error::Error;

/// A secret of Secrets Manager, read in every run and never kept.
///
/// Actions: `secretsmanager:GetSecretValue`, and `kms:Decrypt` where its key is one of your own.
///
/// ```no_run
/// use stackkit::prelude::*;
/// use stackkit_aws::{Aws, secretsmanager};
///
/// #[stackkit::main(providers(Aws))]
/// async fn shop(stack: &mut Stack) -> Result<()> {
///     let password = stack.data("db-password", secretsmanager::SecretValue::new("prod/db").field("password"));
///     stack.add("db-password", local::SecretFile::new("password", &password.value));
///     Ok(())
/// }
/// ```
#[lookup("aws:secretsmanager:SecretValue")]
pub struct SecretValue {
    /// Its name or ARN.
    #[lookup(not_secret)]
    pub secret_id: String,
    /// Which part of it, where it holds JSON: a key, or a pointer such as `/db/password` (RFC 6901).
    pub field: Option<String>,
    /// Which version, by its id. Unset: the one of the stage.
    pub version_id: Option<String>,
    /// Which version, by its stage. Unset: `AWSCURRENT`, unless `version_id` says otherwise.
    pub version_stage: Option<String>,
    /// The secret; one of bytes as base64.
    #[lookup(output)]
    pub value: Secret<String>,
    /// The version that was read.
    #[lookup(output)]
    pub read_version: String,
    /// The ARN.
    #[lookup(output)]
    pub arn: String,
}

impl Lookup for SecretValue {
    type Provider = Aws;

    async fn look_up(aws: &Aws, _: &Context, args: &SecretValueArgs) -> Answer<Self> {
        let id = &args.secret_id;
        let found = aws
            .secretsmanager()
            .get_secret_value()
            .secret_id(id)
            .set_version_id(args.version_id.clone())
            .set_version_stage(args.version_stage.clone())
            .send()
            .await
            .map_err(|error| Error::from(error).because(&format!("it was the secret `{id}` in {}", aws.region())))?;
        let missing = |member| Error::missing("secretsmanager:GetSecretValue", member);
        let whole = match (found.secret_string, found.secret_binary) {
            (Some(text), _) => text,
            (None, Some(bytes)) => base64::encode(bytes.as_ref()),
            (None, None) => return Err(missing("SecretString")),
        };
        let value = secret_of(Secret::new(whole), args.field.as_deref())
            .map_err(|problem| Error::new(ErrorKind::Invalid, format!("the secret `{id}` {problem}")))?;
        Ok(SecretValueState {
            args: args.clone(),
            value,
            read_version: found.version_id.ok_or_else(|| missing("VersionId"))?,
            arn: found.arn.ok_or_else(|| missing("ARN"))?,
        })
    }
}
