//! `Secret`: a secret that a program writes into the KV engine.

use std::collections::{BTreeMap, HashMap};

use stackkit::error::ErrorKind;
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, Ephemeral, resource};
use vaultrs::api::kv2::requests::{SetSecretMetadataRequest, SetSecretRequestOptions};
use vaultrs::api::kv2::responses::ReadSecretMetadataResponse as Metadata;
use vaultrs::kv2;

use super::{named, path_problem};
use crate::error::Error;
use crate::provider::Vault;

/// A secret of the KV engine, version 2. Every change of its data is a new version.
///
/// The state has no more of the data than digests. What somebody else writes into it shows as another `version` and is
/// left alone until the program's data changes; what is imported is taken to hold what the program says.
///
/// The token needs `create`, `update` and `read` on `MOUNT/data/PATH` and on `MOUNT/metadata/PATH`, and `delete` on the
/// latter.
#[resource("vault:kv:Secret", stateful)]
pub struct Secret {
    /// Its fields.
    #[resource(write_only)]
    pub data: BTreeMap<String, Ephemeral<String>>,
    /// Its path, without the mount and without `data`. Unset: made up from stack and name.
    #[resource(name, replace)]
    pub path: String,
    /// Where the engine is mounted.
    #[resource(replace, default = "secret")]
    pub mount: String,
    /// The latest version.
    #[resource(output, volatile)]
    pub version: u64,
}

impl SecretArgs {
    fn named(&self) -> String {
        named(&self.mount, &self.path)
    }

    fn right(&self, engine: &str, rights: &str) -> String {
        format!("{rights} on {}/{engine}/{}", self.mount, self.path)
    }

    fn id(&self) -> String {
        format!("{}:{}", self.mount, self.path)
    }

    /// Writes a new version and returns its number.
    async fn write(&self, vault: &Vault, options: Option<SetSecretRequestOptions>) -> Result<u64, Error> {
        let data: BTreeMap<&str, &str> =
            self.data.iter().map(|(key, value)| (key.as_str(), value.reveal().as_str())).collect();
        let client = vault.client();
        let written = match options {
            Some(options) => kv2::set_with_options(client, &self.mount, &self.path, &data, options).await,
            None => kv2::set(client, &self.mount, &self.path, &data).await,
        };
        let right = self.right("data", "`create` and `update`");
        Ok(written.map_err(|error| Error::writing(&error, &self.named(), &right))?.version)
    }

    /// Writes whose it is beside it.
    async fn sign(&self, vault: &Vault, cx: &Context) -> Result<(), Error> {
        let tags: HashMap<String, String> = cx.tags().map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        let mut request = SetSecretMetadataRequest::builder();
        request.custom_metadata(tags);
        let written = kv2::set_metadata(vault.client(), &self.mount, &self.path, Some(&mut request)).await;
        let right = self.right("metadata", "`create` and `update`");
        written.map_err(|error| Error::writing(&error, &self.named(), &right))
    }

    async fn metadata(&self, vault: &Vault) -> Result<Option<Metadata>, Error> {
        match kv2::read_metadata(vault.client(), &self.mount, &self.path).await {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                let failed = Error::reading(&error, &self.named(), &self.right("metadata", "`read`"));
                // What is said of a path is nothing; what is said of an engine that is not there is something.
                let nothing =
                    matches!(&error, vaultrs::error::ClientError::APIError { errors, .. } if errors.is_empty());
                if failed.kind() == ErrorKind::NotFound && nothing { Ok(None) } else { Err(failed) }
            }
        }
    }
}

/// Mount and path of an id, which is `MOUNT:PATH`, or a path in the engine `secret`.
fn at(id: &str, data: BTreeMap<String, Ephemeral<String>>) -> SecretArgs {
    let (mount, path) = id.split_once(':').unwrap_or(("secret", id));
    SecretArgs { data, path: path.to_owned(), mount: mount.to_owned() }
}

impl Managed for Secret {
    type Provider = Vault;

    async fn create(vault: &Vault, cx: &Context, args: &SecretArgs) -> Result<Created<Self>, Error> {
        // Version 0 is that there is none: what somebody else wrote meanwhile is not written over.
        let version = args.write(vault, Some(SetSecretRequestOptions { cas: 0 })).await?;
        cx.created(&args.id()).await?;
        args.sign(vault, cx).await?;
        Ok(Created::new(args.id(), SecretState { args: args.clone(), version }))
    }

    async fn read(
        vault: &Vault,
        _: &Context,
        id: &str,
        prior: Option<&SecretState>,
    ) -> Result<Option<SecretState>, Error> {
        let args = at(id, prior.map(|prior| prior.data.clone()).unwrap_or_default());
        let found = args.metadata(vault).await?;
        Ok(found.map(|found| SecretState { version: found.current_version, args }))
    }

    async fn update(
        vault: &Vault,
        cx: &Context,
        _: &str,
        prior: &SecretState,
        args: &SecretArgs,
    ) -> Result<SecretState, Error> {
        let version = if prior.data == args.data { prior.version } else { args.write(vault, None).await? };
        args.sign(vault, cx).await?;
        Ok(SecretState { args: args.clone(), version })
    }

    async fn delete(vault: &Vault, _: &Context, id: &str, _: &SecretState) -> Result<(), Error> {
        let args = at(id, BTreeMap::new());
        let deleted = kv2::delete_metadata(vault.client(), &args.mount, &args.path).await;
        deleted.map_err(|error| Error::writing(&error, &args.named(), &args.right("metadata", "`delete`")))
    }

    async fn find(vault: &Vault, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let Some(found) = intent.args.metadata(vault).await? else { return Ok(Found::Nothing) };
        let tags = found.custom_metadata.unwrap_or_default();
        let same_stack = tags.get("stackkit:lineage").map(String::as_str) == Some(cx.lineage());
        let token = tags.get("stackkit:token");
        let ours = same_stack && token == Some(&intent.token) || token.is_none() && intent.name_was_free == Some(true);
        if !ours || found.current_version == 0 {
            return Ok(Found::Nothing);
        }
        let state = SecretState { args: intent.args.clone(), version: found.current_version };
        Ok(Found::Ours(Created::new(intent.args.id(), state)))
    }

    async fn is_name_free(vault: &Vault, _: &Context, args: &SecretArgs) -> Result<Option<bool>, Error> {
        Ok(Some(args.metadata(vault).await?.is_none()))
    }

    fn validate(args: &SecretArgs) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(path_problem("path", &args.path));
        problems.extend(path_problem("mount", &args.mount));
        if args.mount.contains(':') {
            problems.push(Problem::new("mount", "it holds a `:`, which ids cannot tell from the path's"));
        }
        problems
    }
}
