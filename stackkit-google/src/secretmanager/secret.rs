//! `Secret`: a secret that a program writes into Secret Manager.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use stackkit::error::ErrorKind;
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::types::Set;
use stackkit::{Context, Properties, resource};
use zeroize::Zeroizing;

use super::{is_name, version_of};
use crate::Error;
use crate::api::crc32c;
use crate::provider::{Google, is_project};

/// How many bytes a value has at most.
const VALUE: usize = 64 * 1024;
/// How many versions a page of their list has.
const PAGE: &str = "1000";
/// How many secrets are read at once: of many, no call says which versions they are at.
const AT_ONCE: usize = 8;
/// The annotations by which the engine finds its own: those of labels could not hold a URN.
const LINEAGE: &str = "stackkit.lineage";
const URN: &str = "stackkit.urn";
const TOKEN: &str = "stackkit.token";

/// A secret of Secret Manager. Every change of its value is a new version.
///
/// The state has no more of the value than a digest. A value that somebody else put there shows as another `version` and
/// is left alone until the program's own changes. Secret Manager deletes at once and for good.
///
/// Permissions: `secretmanager.secrets.create`, `.get`, `.update` and `.delete`, `secretmanager.versions.add` and `.get`;
/// with `old_versions` also `.list`, `.disable` and `.destroy` of versions. The role `roles/secretmanager.admin` has them, and
/// reads secrets too.
#[resource("google:secretmanager:Secret", stateful, settle = 30)]
#[derive(PartialEq)]
pub struct Secret {
    /// What it holds, up to 64 KiB.
    #[resource(write_only)]
    pub value: stackkit::Secret<String>,
    /// The name, unique in the project: letters, digits, `-` and `_`. Unset: made up from stack and name.
    #[resource(name, replace)]
    pub name: String,
    /// The regions that hold it, such as `europe-west3`. Empty: Google chooses.
    #[resource(replace, default = Set::<String>::from(Vec::new()))]
    pub locations: Set<String>,
    /// Labels: keys and values of small letters, digits, `-` and `_`.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub labels: BTreeMap<String, String>,
    /// What becomes of the versions before the one that the program writes.
    #[resource(default = OldVersions::Keep, write_only)]
    pub old_versions: OldVersions,
    /// The latest version.
    #[resource(output, volatile)]
    pub version: u64,
}

/// What becomes of versions that are not the latest any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Properties)]
pub enum OldVersions {
    /// They stay as they are.
    Keep,
    /// They can be read no more, until somebody enables them.
    Disable,
    /// What they hold is destroyed for good.
    Destroy,
}

/// What the service says of a secret.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    replication: Replication,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Replication {
    user_managed: Option<UserManaged>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserManaged {
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    location: String,
}

/// What the service says of a version.
#[derive(Deserialize)]
struct Version {
    name: String,
    state: Option<String>,
}

/// One page of versions.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Versions {
    versions: Vec<Version>,
    next_page_token: Option<String>,
}

/// Project and name of an id, which is `projects/P/secrets/NAME`, or a name in the provider's project.
fn parts<'a>(google: &'a Google, id: &'a str) -> Result<(&'a str, &'a str), Error> {
    let found = match id.split('/').collect::<Vec<_>>()[..] {
        ["projects", project, "secrets", name] => Some((project, name)),
        [name] => Some((google.project(), name)),
        _ => None,
    };
    found.filter(|(project, name)| is_project(project) && is_name(name)).ok_or_else(|| {
        let what = format!("`{}` names no secret: write it like `projects/PROJECT/secrets/NAME`", id.escape_debug());
        Error::new(ErrorKind::Invalid, what)
    })
}

fn body(json: &Json) -> Zeroizing<String> {
    Zeroizing::new(json.to_string())
}

/// A secret at its place.
struct At<'a> {
    google: &'a Google,
    /// `projects/P/secrets/NAME`.
    id: String,
    name: String,
}

impl<'a> At<'a> {
    fn of(google: &'a Google, id: &str) -> Result<Self, Error> {
        let (project, name) = parts(google, id)?;
        Ok(Self { google, id: format!("projects/{project}/secrets/{name}"), name: name.to_owned() })
    }

    fn told(&self, error: Error) -> Error {
        error.because(&format!("it was the secret `{}`", self.id))
    }

    async fn get(&self) -> Result<Option<Wire>, Error> {
        const PERMISSION: &str = "secretmanager.secrets.get";
        self.google.secrets().get(PERMISSION, &[404], &self.id, &[]).await.map_err(|error| self.told(error))
    }

    /// The latest version; 0 where there is none.
    async fn latest(&self) -> Result<u64, Error> {
        const PERMISSION: &str = "secretmanager.versions.get";
        let resource = format!("{}/versions/latest", self.id);
        let found: Option<Version> =
            self.google.secrets().get(PERMISSION, &[404], &resource, &[]).await.map_err(|error| self.told(error))?;
        match found {
            Some(found) => version_of(&found.name).ok_or_else(|| Error::lacks(PERMISSION, "name of a version")),
            None => Ok(0),
        }
    }

    /// Makes the secret, without a version yet.
    async fn make(&self, cx: &Context, args: &SecretArgs) -> Result<(), Error> {
        const PERMISSION: &str = "secretmanager.secrets.create";
        let replicas: Vec<Json> = args.locations.iter().map(|location| json!({ "location": location })).collect();
        let replication = match replicas.is_empty() {
            true => json!({ "automatic": {} }),
            false => json!({ "userManaged": { "replicas": replicas } }),
        };
        let secret = json!({
            "replication": replication,
            "labels": args.labels,
            "annotations": { LINEAGE: cx.lineage(), URN: cx.urn().to_string(), TOKEN: cx.token() },
        });
        let (project, name) = parts(self.google, &self.id)?;
        let (parent, query, body) = (format!("projects/{project}/secrets"), [("secretId", name)], body(&secret));
        let made = self.google.secrets().change::<Wire>(PERMISSION, Method::POST, &parent, &query, &body).await;
        made.map(drop).map_err(|error| self.told(error))
    }

    /// Writes a version and returns its number.
    async fn add(&self, args: &SecretArgs) -> Result<u64, Error> {
        const PERMISSION: &str = "secretmanager.versions.add";
        let value = args.value.reveal().as_bytes();
        let data = Zeroizing::new(STANDARD.encode(value));
        // The service refuses what does not fit its checksum.
        let payload = json!({ "payload": { "data": data.as_str(), "dataCrc32c": crc32c(value).to_string() } });
        let (resource, body) = (format!("{}:addVersion", self.id), body(&payload));
        let added = self.google.secrets().change::<Version>(PERMISSION, Method::POST, &resource, &[], &body).await;
        let added = added.map_err(|error| self.told(error))?;
        version_of(&added.name).ok_or_else(|| Error::lacks(PERMISSION, "name of a version"))
    }

    /// Disables or destroys the versions before this one.
    async fn retire(&self, latest: u64, how: OldVersions) -> Result<(), Error> {
        let (call, live): (&str, &[&str]) = match how {
            OldVersions::Keep => return Ok(()),
            OldVersions::Disable => ("disable", &["ENABLED"]),
            OldVersions::Destroy => ("destroy", &["ENABLED", "DISABLED"]),
        };
        let mut next = String::new();
        loop {
            let mut query = vec![("pageSize", PAGE)];
            if !next.is_empty() {
                query.push(("pageToken", next.as_str()));
            }
            let resource = format!("{}/versions", self.id);
            let call_list = self.google.secrets().get("secretmanager.versions.list", &[404], &resource, &query);
            let page: Versions = call_list.await.map_err(|error| self.told(error))?.unwrap_or_default();
            for version in page.versions {
                let number = version_of(&version.name).filter(|number| *number < latest);
                let (Some(number), true) = (number, version.state.is_some_and(|state| live.contains(&state.as_str())))
                else {
                    continue;
                };
                let permission = format!("secretmanager.versions.{call}");
                let resource = format!("{}/versions/{number}:{call}", self.id);
                let retired: Result<Version, Error> =
                    self.google.secrets().call(&permission, &resource, &body(&json!({}))).await;
                retired.map_err(|error| self.told(error))?;
            }
            match page.next_page_token.filter(|token| !token.is_empty()) {
                Some(token) => next = token,
                None => return Ok(()),
            }
        }
    }

    fn state(&self, found: Wire, version: u64, asked: Option<&SecretArgs>) -> SecretState {
        let locations = found.replication.user_managed.unwrap_or_default().replicas;
        SecretState {
            args: SecretArgs {
                value: asked.map_or_else(|| String::new().into(), |asked| asked.value.clone()),
                name: self.name.clone(),
                locations: locations.into_iter().map(|replica| replica.location).collect(),
                labels: found.labels,
                old_versions: asked.map_or(OldVersions::Keep, |asked| asked.old_versions),
            },
            version,
        }
    }
}

/// Whether the annotations say that the thing is this resource's.
fn is_this(cx: &Context, found: &Wire) -> bool {
    let says = |key: &str, value: &str| found.annotations.get(key).map(String::as_str) == Some(value);
    says(LINEAGE, cx.lineage()) && says(URN, &cx.urn().to_string())
}

impl Managed for Secret {
    type Provider = Google;

    async fn create(google: &Google, cx: &Context, args: &SecretArgs) -> Result<Created<Self>, Error> {
        let at = At::of(google, &args.name)?;
        match at.make(cx, args).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {
                // An attempt that was cut short may have made it, and no version in it.
                let found = at.get().await?;
                if !found.is_some_and(|found| is_this(cx, &found)) || at.latest().await? != 0 {
                    return Err(error.because("adopt it with `import`, or choose another name"));
                }
            }
            Err(error) => return Err(error),
        }
        cx.created(&at.id).await?;
        let version = at.add(args).await.map_err(Error::half_made)?;
        Ok(Created::new(at.id, SecretState { args: args.clone(), version }))
    }

    async fn read(
        google: &Google,
        _: &Context,
        id: &str,
        prior: Option<&SecretState>,
    ) -> Result<Option<SecretState>, Error> {
        let at = At::of(google, id)?;
        let Some(found) = at.get().await? else { return Ok(None) };
        let version = at.latest().await?;
        Ok(Some(at.state(found, version, prior.map(|prior| &prior.args))))
    }

    async fn read_many(
        google: &Google,
        cx: &Context,
        items: &[(String, Option<SecretState>)],
    ) -> Vec<Result<Option<SecretState>, Error>> {
        let mut results = Vec::with_capacity(items.len());
        for some in items.chunks(AT_ONCE) {
            let mut reads = Vec::with_capacity(some.len());
            for (id, prior) in some {
                reads.push(Self::read(google, cx, id, prior.as_ref()));
            }
            results.extend(join_all(reads).await);
        }
        results
    }

    async fn update(
        google: &Google,
        _: &Context,
        id: &str,
        prior: &SecretState,
        args: &SecretArgs,
    ) -> Result<SecretState, Error> {
        const PERMISSION: &str = "secretmanager.secrets.update";
        let at = At::of(google, id)?;
        if prior.labels != args.labels {
            let labels = body(&json!({ "labels": args.labels }));
            let query = [("updateMask", "labels")];
            let changed = google.secrets().change::<Wire>(PERMISSION, Method::PATCH, &at.id, &query, &labels).await;
            changed.map_err(|error| at.told(error))?;
        }
        // What an interrupted create made has no version yet.
        let version = match prior.value != args.value || prior.version == 0 {
            true => at.add(args).await?,
            false => prior.version,
        };
        at.retire(version, args.old_versions).await?;
        Ok(SecretState { args: args.clone(), version })
    }

    async fn delete(google: &Google, _: &Context, id: &str, _: &SecretState) -> Result<(), Error> {
        const PERMISSION: &str = "secretmanager.secrets.delete";
        let at = At::of(google, id)?;
        let body = Zeroizing::default();
        let gone = google.secrets().change::<Json>(PERMISSION, Method::DELETE, &at.id, &[], &body).await;
        gone.map(drop).map_err(|error| at.told(error))
    }

    async fn find(google: &Google, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let at = At::of(google, &intent.args.name)?;
        let Some(found) = at.get().await? else { return Ok(Found::Nothing) };
        // It is made with its annotations: one without is not what the interrupted create made.
        let same_stack = found.annotations.get(LINEAGE).map(String::as_str) == Some(cx.lineage());
        if !same_stack || found.annotations.get(TOKEN) != Some(&intent.token) {
            return Ok(Found::Nothing);
        }
        let version = at.latest().await?;
        let state = at.state(found, version, Some(&intent.args));
        Ok(Found::Ours(Created::new(at.id, state)))
    }

    async fn is_name_free(google: &Google, _: &Context, args: &SecretArgs) -> Result<Option<bool>, Error> {
        Ok(Some(At::of(google, &args.name)?.get().await?.is_none()))
    }

    async fn claimed_by(google: &Google, cx: &Context, id: &str, _: &SecretState) -> Result<Option<String>, Error> {
        let found = At::of(google, id)?.get().await?;
        let lineage = found.and_then(|mut found| found.annotations.remove(LINEAGE));
        Ok(lineage.filter(|lineage| lineage != cx.lineage()))
    }

    fn validate(args: &SecretArgs) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !is_name(&args.name) {
            let what = "must be 1 to 255 letters, digits, `-` and `_`";
            problems.push(Problem::new("name", format!("`{}` {what}", args.name.escape_debug())));
        }
        if args.value.reveal().is_empty() || args.value.reveal().len() > VALUE {
            problems.push(Problem::new("value", "it must have 1 byte to 64 KiB"));
        }
        let region = |text: &String| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        if let Some(location) = args.locations.iter().find(|location| !region(location)) {
            let what = format!("`{}` is no region: write it like `europe-west3`", location.escape_debug());
            problems.push(Problem::new("locations", what));
        }
        let plain = |text: &str| {
            let letter = |c: char| c.is_numeric() || c.is_alphabetic() && !c.is_uppercase() || matches!(c, '-' | '_');
            text.chars().count() <= 63 && text.chars().all(letter)
        };
        for (key, value) in &args.labels {
            if !plain(key) || !key.starts_with(char::is_alphabetic) || !plain(value) {
                let what = "must be up to 63 small letters, digits, `-` and `_`, the key with a letter first";
                let label = format!("{}={}", key.escape_debug(), value.escape_debug());
                problems.push(Problem::new("labels", format!("`{label}` {what}")));
            }
        }
        problems
    }
}
