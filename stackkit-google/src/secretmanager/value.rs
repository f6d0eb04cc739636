//! `SecretValue`: a secret of Secret Manager that somebody else keeps.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use stackkit::error::ErrorKind;
use stackkit::lookup::{Answer, Lookup, secret_of};
use stackkit::{Context, Secret, lookup};
use zeroize::Zeroizing;

use super::{is_name, version_of};
use crate::Error;
use crate::api::Checksum;
use crate::provider::{Google, is_project};

const PERMISSION: &str = "secretmanager.versions.access";
/// How often an answer is asked for whose checksum does not fit.
const ATTEMPTS: u32 = 3;

/// A secret of Secret Manager, read in every run and never kept.
///
/// It takes `secretmanager.versions.access`: the role `roles/secretmanager.secretAccessor`.
///
/// ```no_run
/// use stackkit::prelude::*;
/// use stackkit_google::{Google, secretmanager};
///
/// #[stackkit::main(providers(Google))]
/// async fn shop(stack: &mut Stack) -> Result<()> {
///     let password = stack.data("db-password", secretmanager::SecretValue::new("prod-db").field("password"));
///     stack.add("db-password", local::SecretFile::new("password", &password.value));
///     Ok(())
/// }
/// ```
#[lookup("google:secretmanager:SecretValue")]
pub struct SecretValue {
    /// Its name.
    pub name: String,
    /// The project that it is in; the provider's where unset.
    pub project: Option<String>,
    /// Which part of it, where it holds JSON: a key, or a pointer such as `/db/password` (RFC 6901).
    pub field: Option<String>,
    /// Which version: a number or an alias; the latest one where unset.
    pub version: Option<String>,
    /// The secret; one of bytes that are no text as base64.
    #[lookup(output)]
    pub value: Secret<String>,
    /// The version that was read.
    #[lookup(output)]
    pub read_version: u64,
}

/// What `versions.access` answers.
#[derive(Deserialize)]
struct Accessed {
    name: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    /// Left out where it is empty.
    #[serde(default)]
    data: String,
    data_crc32c: Option<Checksum>,
}

impl SecretValueArgs {
    fn refused(&self) -> Option<String> {
        let shown = |text: &str| text.escape_debug().to_string();
        if !is_name(&self.name) {
            let what = "must be 1 to 255 letters, digits, `-` and `_`, without the project";
            return Some(format!("`name`: `{}` {what}", shown(&self.name)));
        }
        if let Some(version) = self.version.as_deref().filter(|version| !is_name(version)) {
            return Some(format!("`version`: `{}` is neither a number nor an alias", shown(version)));
        }
        let project = self.project.as_deref().filter(|project| !is_project(project));
        project.map(|project| format!("`project`: `{}` is no id of a project", shown(project)))
    }
}

impl Lookup for SecretValue {
    type Provider = Google;

    async fn look_up(google: &Google, _: &Context, args: &SecretValueArgs) -> Answer<Self> {
        if let Some(problem) = args.refused() {
            return Err(Error::new(ErrorKind::Invalid, problem));
        }
        let project = args.project.as_deref().unwrap_or(google.project());
        let version = args.version.as_deref().unwrap_or("latest");
        let what = format!("version {version} of the secret `{}` in the project {project}", args.name);
        let resource = format!("projects/{project}/secrets/{}/versions/{version}:access", args.name);
        for _ in 0..ATTEMPTS {
            let found: Option<Accessed> = google
                .secrets()
                .get(PERMISSION, &[], &resource, &[])
                .await
                .map_err(|error| error.because(&format!("it was {what}")))?;
            let Accessed { name, payload } = found.ok_or_else(|| Error::lacks(PERMISSION, "body"))?;
            let text = Zeroizing::new(payload.data);
            let bytes = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_| Error::lacks(PERMISSION, "data"))?);
            // It has none where the version was made without one.
            if payload.data_crc32c.is_some_and(|sum| !sum.fits(&bytes)) {
                continue;
            }
            let whole = match std::str::from_utf8(&bytes) {
                Ok(plain) => Secret::new(plain.to_owned()),
                Err(_) => Secret::new(text.as_str().to_owned()),
            };
            let value = secret_of(whole, args.field.as_deref())
                .map_err(|problem| Error::new(ErrorKind::Invalid, format!("{what} {problem}")))?;
            let read_version = version_of(&name).ok_or_else(|| Error::lacks(PERMISSION, "name of a version"))?;
            return Ok(SecretValueState { args: args.clone(), value, read_version });
        }
        let said = "its checksum does not fit, though it was read again: something on the way changes it";
        Err(Error::new(ErrorKind::Transient, format!("{PERMISSION}: {what}: {said}")))
    }
}
