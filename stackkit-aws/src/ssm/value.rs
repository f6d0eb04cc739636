//! `ParameterValue`: a parameter that somebody else keeps.

use stackkit::error::ErrorKind;
use stackkit::lookup::{Answer, Lookup, secret_of};
use stackkit::{Context, Secret, lookup};

use crate::connect::Aws;
use crate::error::Error;

/// A parameter of Systems Manager, read in every run and never kept; a `SecureString` is decrypted. What it holds is taken
/// for secret, whatever its type.
///
/// Actions: `ssm:GetParameter`, and `kms:Decrypt` where its key is one of your own.
///
/// ```no_run
/// use stackkit::prelude::*;
/// use stackkit_aws::{Aws, ssm};
///
/// #[stackkit::main(providers(Aws))]
/// async fn shop(stack: &mut Stack) -> Result<()> {
///     let password = stack.data("db-password", ssm::ParameterValue::new("/prod/db/password"));
///     stack.add("db-password", local::SecretFile::new("password", &password.value));
///     Ok(())
/// }
/// ```
#[lookup("aws:ssm:ParameterValue")]
pub struct ParameterValue {
    /// Its name, or ARN.
    pub name: String,
    /// Which version or label; the latest version where unset.
    pub version: Option<String>,
    /// Which part of it, where it holds JSON: a key, or a pointer such as `/db/password` (RFC 6901).
    pub field: Option<String>,
    /// The secret.
    #[lookup(output)]
    pub value: Secret<String>,
    /// The version that was read.
    #[lookup(output)]
    pub read_version: u64,
}

impl Lookup for ParameterValue {
    type Provider = Aws;

    async fn look_up(aws: &Aws, _: &Context, args: &ParameterValueArgs) -> Answer<Self> {
        let name = match &args.version {
            Some(version) => format!("{}:{version}", args.name),
            None => args.name.clone(),
        };
        let found = aws.ssm().get_parameter().name(&name).with_decryption(true).send().await;
        let found = found.map_err(|error| {
            Error::from(error).because(&format!("it was the parameter `{name}` in {}", aws.region()))
        })?;
        let missing = |member| Error::missing("ssm:GetParameter", member);
        let parameter = found.parameter.ok_or_else(|| missing("Parameter"))?;
        let whole = Secret::new(parameter.value.ok_or_else(|| missing("Value"))?);
        let value = secret_of(whole, args.field.as_deref())
            .map_err(|problem| Error::new(ErrorKind::Invalid, format!("the parameter `{name}` {problem}")))?;
        Ok(ParameterValueState { args: args.clone(), value, read_version: parameter.version.unsigned_abs() })
    }
}
