//! `Secret`: a secret that a program writes into Key Vault.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use azure_core::http::RequestContent;
use azure_core::time::{OffsetDateTime, parse_rfc3339, to_rfc3339};
use azure_security_keyvault_secrets::SecretClient;
use azure_security_keyvault_secrets::models::{
    Secret as Wire, SecretAttributes, SecretClientUpdateSecretPropertiesOptions, SetSecretParameters,
    UpdateSecretPropertiesParameters,
};
use futures_util::future::join_all;
use stackkit::error::ErrorKind;
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, resource};
use tokio::time::{Instant, sleep};

use super::{COLLECTION, named, problems};
use crate::answer::{Told, told};
use crate::error::Error;
use crate::provider::Azure;
use crate::vault::Identifier;

/// What reads, writes, deletes and recovers secrets, and nothing of keys and certificates.
const ROLE: &str = "Key Vault Secrets Officer";
/// What the engine's own tags begin with. They are never shown as drift.
const ENGINE: &str = "stackkit:";
/// How many tags a secret has at most, and how many of them are the engine's.
const TAGS: usize = 15;
const ENGINE_TAGS: usize = 3;
/// How many bytes a value has at most.
const VALUE: usize = 25 * 1024;
/// How long a recovery is waited for, and how long between two looks.
const RECOVERY: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(2);
/// How many secrets are read at once: Key Vault reads one a request, and a list of them does not say which version is
/// the current one.
const AT_ONCE: usize = 8;

/// Keys and values.
type Tags = BTreeMap<String, String>;

/// A secret of Key Vault. Every change of its value is a new version.
///
/// The state has no more of the value than a digest. A value that somebody else put there shows as another `version` and
/// is left alone until the program's own changes. Key Vault has no conditional writes: of two programs that make a secret
/// of one name at the same moment, the second writes a version over the first's.
///
/// A deleted secret keeps its name until the vault purges it, 7 to 90 days later. One that this stack deleted is recovered
/// when it is made again; any other one is left as it is, and the error says so.
///
/// It takes `get`, `set`, `delete` and `recover` of secrets: the role `Key Vault Secrets Officer`.
#[resource("azure:keyvault:Secret", stateful, settle = 30)]
#[derive(PartialEq)]
pub struct Secret {
    /// The vault's address, such as `https://acme.vault.azure.net`.
    #[resource(replace)]
    pub vault: String,
    /// What it holds, up to 25 KiB.
    #[resource(write_only)]
    pub value: stackkit::Secret<String>,
    /// The name, unique in the vault: letters, digits and `-`. Unset: made up from stack and name.
    #[resource(name, replace)]
    pub name: String,
    /// What it is said to hold, such as `application/json`: up to 255 characters. Taking it off makes a new version.
    pub content_type: Option<String>,
    /// From when on it is to be used no more, such as `2027-12-31T00:00:00Z`. It is told to whoever reads it, and enforced by
    /// nobody. Taking it off makes a new version.
    pub expires: Option<String>,
    /// Before when it is not to be used yet, as `expires`.
    pub not_before: Option<String>,
    /// Tags, up to 12.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The current version.
    #[resource(output, volatile)]
    pub version: String,
    /// The URL of the current version.
    #[resource(output, volatile)]
    pub url: String,
}

/// What there is of a name.
enum Seen {
    Nothing,
    Here(Box<Wire>),
    /// Deleted, with the tags that it had.
    Deleted(Tags),
}

/// A moment as a program writes it.
fn moment(text: Option<&String>) -> Option<OffsetDateTime> {
    text.and_then(|text| parse_rfc3339(text).ok())
}

/// A moment as the service gives it, or as the program wrote it where that is the same one.
fn written(seen: Option<OffsetDateTime>, asked: Option<&String>) -> Option<String> {
    let seen = seen?;
    let same = moment(asked).is_some_and(|asked| asked.unix_timestamp() == seen.unix_timestamp());
    asked.filter(|_| same).cloned().or_else(|| Some(to_rfc3339(&seen)))
}

fn seen_tags(tags: Option<std::collections::HashMap<String, String>>) -> Tags {
    tags.unwrap_or_default().into_iter().collect()
}

/// Whether the stack says by its tags that the thing is this resource's.
fn is_this(cx: &Context, tags: &Tags) -> bool {
    cx.tags().iter().filter(|(key, _)| *key != "stackkit:token").all(|(key, value)| tags.get(*key) == Some(value))
}

impl SecretArgs {
    fn id(&self) -> Identifier {
        Identifier::new(&self.vault, COLLECTION, &self.name)
    }

    fn attributes(&self) -> SecretAttributes {
        SecretAttributes {
            expires: moment(self.expires.as_ref()),
            not_before: moment(self.not_before.as_ref()),
            ..SecretAttributes::default()
        }
    }

    fn all_tags(&self, cx: &Context) -> std::collections::HashMap<String, String> {
        let engine = cx.tags().into_iter().map(|(key, value)| (key.to_owned(), value));
        self.tags.clone().into_iter().chain(engine).collect()
    }

    /// Whether an update can say it: an attribute that is left out of one stays.
    fn takes_off(&self, prior: &Self) -> bool {
        let gone = |was: &Option<String>, is: &Option<String>| was.is_some() && is.is_none();
        gone(&prior.content_type, &self.content_type)
            || gone(&prior.expires, &self.expires)
            || gone(&prior.not_before, &self.not_before)
    }
}

/// A secret at its place.
struct At {
    client: Arc<SecretClient>,
    id: Identifier,
}

impl At {
    fn of(azure: &Azure, id: Identifier) -> Result<Self, Error> {
        Ok(Self { client: azure.secrets(&id.vault)?, id })
    }

    /// The place that an id of the state or of an import names.
    fn id(azure: &Azure, text: &str) -> Result<Self, Error> {
        let id = Identifier::parse(text, COLLECTION).ok_or_else(|| {
            let way = "write it like `https://acme.vault.azure.net/secrets/NAME`";
            Error::new(ErrorKind::Invalid, format!("`{}` is no secret's URL: {way}", text.escape_debug()))
        })?;
        Self::of(azure, Identifier { version: None, ..id })
    }

    fn error(&self, error: &azure_core::Error) -> Error {
        Error::of(error, &named(&self.id.vault, &self.id.name), ROLE)
    }

    /// The secret, without its value; `None` where there is none.
    async fn get(&self) -> Result<Option<Wire>, Error> {
        match self.client.get_secret(&self.id.name, None).await.and_then(|answer| answer.into_model()) {
            Ok(mut found) => {
                // It comes along unasked: nothing here needs it.
                drop(found.value.take().map(stackkit::Secret::new));
                Ok(Some(found))
            }
            Err(error) if told(&error).told == Told::NotFound => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// What there is of the name, deleted or not.
    async fn look(&self) -> Result<Seen, Error> {
        if let Some(found) = self.get().await? {
            return Ok(Seen::Here(Box::new(found)));
        }
        match self.client.get_deleted_secret(&self.id.name, None).await.and_then(|answer| answer.into_model()) {
            Ok(found) => Ok(Seen::Deleted(seen_tags(found.tags))),
            Err(error) if told(&error).told == Told::NotFound => Ok(Seen::Nothing),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Writes a version.
    async fn set(&self, cx: &Context, args: &SecretArgs) -> Result<Wire, Error> {
        let request = SetSecretParameters {
            value: Some(args.value.reveal().clone()),
            content_type: args.content_type.clone(),
            secret_attributes: Some(args.attributes()),
            tags: Some(args.all_tags(cx)),
        };
        let request: RequestContent<_> = request.try_into().map_err(|error| self.error(&error))?;
        let made = self.client.set_secret(&self.id.name, request, None).await;
        made.and_then(|answer| answer.into_model()).map_err(|error| self.error(&error))
    }

    /// Changes what stands beside the value of a version.
    async fn describe(&self, cx: &Context, version: &str, args: &SecretArgs) -> Result<Wire, Error> {
        let request = UpdateSecretPropertiesParameters {
            content_type: args.content_type.clone(),
            secret_attributes: Some(args.attributes()),
            tags: Some(args.all_tags(cx)),
        };
        let request: RequestContent<_> = request.try_into().map_err(|error| self.error(&error))?;
        let options = SecretClientUpdateSecretPropertiesOptions {
            secret_version: Some(version.to_owned()),
            ..SecretClientUpdateSecretPropertiesOptions::default()
        };
        let changed = self.client.update_secret_properties(&self.id.name, request, Some(options)).await;
        changed.and_then(|answer| answer.into_model()).map_err(|error| self.error(&error))
    }

    /// Recovers what was deleted, and waits until it is there.
    async fn recover(&self, cx: &Context) -> Result<(), Error> {
        cx.progress("recovering the secret of this name that this stack deleted");
        match self.client.recover_deleted_secret(&self.id.name, None).await {
            Ok(_) => {}
            // Another attempt has begun it, or it is not all deleted yet.
            Err(error) if matches!(told(&error).told, Told::Busy | Told::Conflict) => {}
            Err(error) => return Err(self.error(&error)),
        }
        let until = Instant::now() + RECOVERY.min(cx.timeout());
        while self.get().await?.is_none() {
            if Instant::now() >= until {
                let what = named(&self.id.vault, &self.id.name);
                return Err(Error::new(ErrorKind::Transient, format!("{what} is still being recovered")));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    fn taken(&self, how: &str) -> Error {
        let what = named(&self.id.vault, &self.id.name);
        Error::new(ErrorKind::Conflict, format!("{what} {how}"))
    }

    fn not_ours(&self) -> Error {
        self.taken("is there already: adopt it with `import`, or choose another name")
    }

    fn waits(&self) -> Error {
        self.taken(
            "was deleted by somebody else and can be recovered, and its name is taken until the vault purges it: recover \
             it with `az keyvault secret recover` and adopt it, purge it, or choose another name",
        )
    }

    fn state(&self, found: Wire, asked: Option<&SecretArgs>) -> Result<SecretState, Error> {
        let what = named(&self.id.vault, &self.id.name);
        let url = found.id.ok_or_else(|| Error::lacks(&what, "id"))?;
        let version = Identifier::parse(&url, COLLECTION).and_then(|id| id.version);
        let attributes = found.attributes.unwrap_or_default();
        let mut tags = seen_tags(found.tags);
        tags.retain(|key, _| !key.starts_with(ENGINE));
        Ok(SecretState {
            args: SecretArgs {
                vault: asked.map_or_else(|| self.id.vault.clone(), |asked| asked.vault.clone()),
                value: asked.map_or_else(|| String::new().into(), |asked| asked.value.clone()),
                name: self.id.name.clone(),
                content_type: found.content_type.filter(|text| !text.is_empty()),
                expires: written(attributes.expires, asked.and_then(|asked| asked.expires.as_ref())),
                not_before: written(attributes.not_before, asked.and_then(|asked| asked.not_before.as_ref())),
                tags,
            },
            version: version.ok_or_else(|| Error::lacks(&what, "id"))?,
            url,
        })
    }
}

impl Managed for Secret {
    type Provider = Azure;

    async fn create(azure: &Azure, cx: &Context, args: &SecretArgs) -> Result<Created<Self>, Error> {
        let at = At::of(azure, args.id())?;
        // Setting a secret that is there would write a version over somebody else's.
        match at.look().await? {
            Seen::Nothing => {}
            // An attempt that was cut short after it recovered it.
            Seen::Here(found) if is_this(cx, &seen_tags(found.tags.clone())) => {}
            Seen::Here(_) => return Err(at.not_ours()),
            Seen::Deleted(tags) if is_this(cx, &tags) => at.recover(cx).await?,
            Seen::Deleted(_) => return Err(at.waits()),
        }
        let made = at.set(cx, args).await?;
        let id = args.id().to_string();
        cx.created(&id).await?;
        let state = at.state(made, Some(args)).map_err(Error::half_made)?;
        Ok(Created::new(id, SecretState { args: args.clone(), ..state }))
    }

    async fn read(
        azure: &Azure,
        _: &Context,
        id: &str,
        prior: Option<&SecretState>,
    ) -> Result<Option<SecretState>, Error> {
        let at = At::id(azure, id)?;
        let found = at.get().await?;
        found.map(|found| at.state(found, prior.map(|prior| &prior.args))).transpose()
    }

    async fn read_many(
        azure: &Azure,
        cx: &Context,
        items: &[(String, Option<SecretState>)],
    ) -> Vec<Result<Option<SecretState>, Error>> {
        let mut results = Vec::with_capacity(items.len());
        for some in items.chunks(AT_ONCE) {
            let mut reads = Vec::with_capacity(some.len());
            for (id, prior) in some {
                reads.push(Self::read(azure, cx, id, prior.as_ref()));
            }
            results.extend(join_all(reads).await);
        }
        results
    }

    async fn update(
        azure: &Azure,
        cx: &Context,
        id: &str,
        prior: &SecretState,
        args: &SecretArgs,
    ) -> Result<SecretState, Error> {
        let at = At::id(azure, id)?;
        let changed = if prior.value != args.value || args.takes_off(&prior.args) {
            at.set(cx, args).await?
        } else {
            at.describe(cx, &prior.version, args).await?
        };
        Ok(SecretState { args: args.clone(), ..at.state(changed, Some(args))? })
    }

    async fn delete(azure: &Azure, _: &Context, id: &str, _: &SecretState) -> Result<(), Error> {
        let at = At::id(azure, id)?;
        at.client.delete_secret(&at.id.name, None).await.map(drop).map_err(|error| at.error(&error))
    }

    async fn find(azure: &Azure, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let at = At::of(azure, intent.args.id())?;
        let Some(found) = at.get().await? else { return Ok(Found::Nothing) };
        let tags = seen_tags(found.tags.clone());
        let token = tags.get("stackkit:token");
        let same_stack = tags.get("stackkit:lineage").map(String::as_str) == Some(cx.lineage());
        // Every version that is written bears a token, so one without is not what the interrupted create wrote.
        if !same_stack || token != Some(&intent.token) {
            return Ok(Found::Nothing);
        }
        Ok(Found::Ours(Created::new(at.id.to_string(), at.state(found, Some(&intent.args))?)))
    }

    async fn is_name_free(azure: &Azure, cx: &Context, args: &SecretArgs) -> Result<Option<bool>, Error> {
        let at = At::of(azure, args.id())?;
        match at.look().await? {
            Seen::Nothing => Ok(Some(true)),
            Seen::Here(_) => Ok(Some(false)),
            Seen::Deleted(tags) if is_this(cx, &tags) => Ok(Some(true)),
            Seen::Deleted(_) => Err(at.waits()),
        }
    }

    async fn claimed_by(azure: &Azure, cx: &Context, id: &str, _: &SecretState) -> Result<Option<String>, Error> {
        let found = At::id(azure, id)?.get().await?;
        let lineage = found.and_then(|found| seen_tags(found.tags).remove("stackkit:lineage"));
        Ok(lineage.filter(|lineage| lineage != cx.lineage()))
    }

    fn validate(args: &SecretArgs) -> Vec<Problem> {
        let mut problems = problems(&args.vault, &args.name);
        if args.value.reveal().len() > VALUE {
            problems.push(Problem::new("value", "it has more than 25 KiB, which Key Vault does not take"));
        }
        if args.content_type.as_ref().is_some_and(|text| text.is_empty() || text.chars().count() > 255) {
            problems.push(Problem::new("content_type", "it must have 1 to 255 characters"));
        }
        for (field, given) in [("expires", &args.expires), ("not_before", &args.not_before)] {
            if let Some(text) = given.as_ref().filter(|text| parse_rfc3339(text).is_err()) {
                let what = "is no moment: write it like `2027-12-31T00:00:00Z`";
                problems.push(Problem::new(field, format!("`{}` {what}", text.escape_debug())));
            }
        }
        if args.tags.len() > TAGS - ENGINE_TAGS {
            let what = format!("there are {}, and a secret can have {}", args.tags.len(), TAGS - ENGINE_TAGS);
            problems.push(Problem::new("tags", what));
        }
        if let Some(key) = args.tags.keys().find(|key| key.starts_with(ENGINE) || key.is_empty()) {
            let what = format!("the key `{}` is empty or begins with the reserved `stackkit:`", key.escape_debug());
            problems.push(Problem::new("tags", what));
        }
        problems
    }
}
