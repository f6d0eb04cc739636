//! `Secret`: a secret that a program writes.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::{SecretListEntry, Tag};
use stackkit::error::ErrorKind;
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, resource};

use crate::connect::Aws;
use crate::error::Error;
use crate::tags::{self, Tags};

/// Above this many, all secrets of the region are listed instead of reading one by one.
const ONE_BY_ONE: usize = 3;
/// The stage of the version that counts.
const CURRENT: &str = "AWSCURRENT";

/// A secret. Every change of its value is a new version, which becomes the current one.
///
/// The state has no more of the value than a digest. A value that somebody else put there shows as another `version_id`
/// and is left alone until the program's own changes.
///
/// Actions: `secretsmanager:CreateSecret`, `secretsmanager:DescribeSecret`, `secretsmanager:ListSecrets`,
/// `secretsmanager:UpdateSecret`, `secretsmanager:DeleteSecret`, `secretsmanager:TagResource`,
/// `secretsmanager:UntagResource`; with a key of your own `kms:GenerateDataKey` and `kms:Decrypt`.
#[resource("aws:secretsmanager:Secret", stateful, settle = 30)]
#[derive(PartialEq)]
pub struct Secret {
    /// What it holds, up to 65536 bytes.
    #[resource(write_only)]
    pub value: stackkit::Secret<String>,
    /// The name, unique in account and region: letters, digits and `/_+=.@-`. Unset: made up from stack and name.
    #[resource(name, replace)]
    pub name: String,
    /// What it is for.
    #[resource(default = "Managed by StackKit")]
    pub description: String,
    /// ARN, id or alias of the KMS key. Unset: AWS's own for Secrets Manager.
    pub kms_key_id: Option<String>,
    /// For how many days a deleted secret can be restored, 7 to 30; with 0 it is gone at once. Until then its name is
    /// taken.
    #[resource(default = 30, write_only)]
    pub recovery_window_days: u32,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
    /// The current version.
    #[resource(output, volatile)]
    pub version_id: String,
}

/// What is there, whichever call said so.
struct Seen {
    arn: String,
    name: String,
    description: String,
    kms_key_id: Option<String>,
    tags: Tags,
    version_id: Option<String>,
    deleted: bool,
}

fn unwire(tags: &[Tag]) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}

fn wire(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn current(versions: Option<&HashMap<String, Vec<String>>>) -> Option<String> {
    let mut versions = versions?.iter();
    versions.find(|(_, stages)| stages.iter().any(|stage| stage == CURRENT)).map(|(id, _)| id.clone())
}

impl Seen {
    fn described(found: &DescribeSecretOutput) -> Result<Self, Error> {
        let missing = |member| Error::missing("secretsmanager:DescribeSecret", member);
        Ok(Self {
            arn: found.arn().ok_or_else(|| missing("ARN"))?.to_owned(),
            name: found.name().ok_or_else(|| missing("Name"))?.to_owned(),
            description: found.description().unwrap_or_default().to_owned(),
            kms_key_id: found.kms_key_id().map(str::to_owned),
            tags: unwire(found.tags()),
            version_id: current(found.version_ids_to_stages()),
            deleted: found.deleted_date().is_some(),
        })
    }

    fn listed(found: &SecretListEntry) -> Result<Self, Error> {
        let missing = |member| Error::missing("secretsmanager:ListSecrets", member);
        Ok(Self {
            arn: found.arn().ok_or_else(|| missing("ARN"))?.to_owned(),
            name: found.name().ok_or_else(|| missing("Name"))?.to_owned(),
            description: found.description().unwrap_or_default().to_owned(),
            kms_key_id: found.kms_key_id().map(str::to_owned),
            tags: unwire(found.tags()),
            version_id: current(found.secret_versions_to_stages()),
            deleted: found.deleted_date().is_some(),
        })
    }

    fn state(self, asked: Option<&SecretArgs>) -> SecretState {
        SecretState {
            args: SecretArgs {
                value: asked.map_or_else(|| String::new().into(), |asked| asked.value.clone()),
                name: self.name,
                description: self.description,
                kms_key_id: self.kms_key_id,
                recovery_window_days: asked.map_or(30, |asked| asked.recovery_window_days),
                tags: tags::declared(self.tags),
            },
            arn: self.arn,
            version_id: self.version_id.unwrap_or_default(),
        }
    }
}

/// A secret by name or ARN; `None` when there is none. One that waits for its deletion is there.
async fn describe(aws: &Aws, id: &str) -> Result<Option<Seen>, Error> {
    match aws.secretsmanager().describe_secret().secret_id(id).send().await.map_err(Error::from) {
        Ok(found) => Seen::described(&found).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.because(&format!("it was the secret `{id}`"))),
    }
}

async fn list(aws: &Aws) -> Result<HashMap<String, Seen>, Error> {
    let mut all = HashMap::new();
    let mut pages = aws.secretsmanager().list_secrets().max_results(100).into_paginator().send();
    while let Some(page) = pages.next().await {
        for entry in page?.secret_list() {
            let seen = Seen::listed(entry)?;
            all.insert(seen.arn.clone(), seen);
        }
    }
    Ok(all)
}

/// What was just made or changed, as the service has it.
async fn settled(aws: &Aws, id: &str, args: &SecretArgs) -> Result<SecretState, Error> {
    let seen = describe(aws, id).await?;
    let seen = seen.ok_or_else(|| Error::new(ErrorKind::UnknownOutcome, format!("`{id}` is not visible yet")))?;
    let state = seen.state(Some(args));
    Ok(SecretState { args: args.clone(), ..state })
}

impl Managed for Secret {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &SecretArgs) -> Result<Created<Self>, Error> {
        let made = aws
            .secretsmanager()
            .create_secret()
            .name(&args.name)
            .description(&args.description)
            .set_kms_key_id(args.kms_key_id.clone())
            .secret_string(args.value.reveal())
            .client_request_token(cx.token())
            .set_tags(Some(wire(&tags::of_new(cx, &args.tags))))
            .customize()
            .config_override(Builder::new().retry_config(RetryConfig::disabled()))
            .send()
            .await?;
        let arn = made.arn.ok_or_else(|| Error::missing("secretsmanager:CreateSecret", "ARN"))?;
        cx.created(&arn).await?;
        let state = settled(aws, &arn, args).await.map_err(Error::half_made)?;
        Ok(Created::new(arn, state))
    }

    async fn read(aws: &Aws, _: &Context, id: &str, prior: Option<&SecretState>) -> Result<Option<SecretState>, Error> {
        let found = describe(aws, id).await?.filter(|seen| !seen.deleted);
        Ok(found.map(|seen| seen.state(prior.map(|prior| &prior.args))))
    }

    async fn read_many(
        aws: &Aws,
        cx: &Context,
        items: &[(String, Option<SecretState>)],
    ) -> Vec<Result<Option<SecretState>, Error>> {
        let mut results = Vec::with_capacity(items.len());
        if items.len() <= ONE_BY_ONE {
            for (id, prior) in items {
                results.push(Self::read(aws, cx, id, prior.as_ref()).await);
            }
            return results;
        }
        let mut all = match list(aws).await {
            Ok(all) => all,
            Err(error) => return items.iter().map(|_| Err(error.clone())).collect(),
        };
        for (id, prior) in items {
            let found = all.remove(id).filter(|seen| !seen.deleted);
            results.push(Ok(found.map(|seen| seen.state(prior.as_ref().map(|prior| &prior.args)))));
        }
        results
    }

    async fn update(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: &SecretState,
        args: &SecretArgs,
    ) -> Result<SecretState, Error> {
        let rotated = prior.value != args.value;
        if rotated || prior.description != args.description || prior.kms_key_id != args.kms_key_id {
            let key = args.kms_key_id.clone().or_else(|| prior.kms_key_id.is_some().then(String::new));
            let mut call =
                aws.secretsmanager().update_secret().secret_id(id).description(&args.description).set_kms_key_id(key);
            if rotated {
                // It becomes the id of the new version.
                call = call.secret_string(args.value.reveal()).client_request_token(cx.token());
            }
            call.send().await?;
        }
        if let Some(change) = tags::change(&prior.tags, &args.tags) {
            if !change.set.is_empty() {
                let call = aws.secretsmanager().tag_resource().secret_id(id);
                call.set_tags(Some(wire(&change.set))).send().await?;
            }
            if !change.remove.is_empty() {
                let call = aws.secretsmanager().untag_resource().secret_id(id);
                call.set_tag_keys(Some(change.remove)).send().await?;
            }
        }
        settled(aws, id, args).await
    }

    async fn delete(aws: &Aws, _: &Context, id: &str, prior: &SecretState) -> Result<(), Error> {
        let call = aws.secretsmanager().delete_secret().secret_id(id);
        let call = match i64::from(prior.recovery_window_days) {
            0 => call.force_delete_without_recovery(true),
            days => call.recovery_window_in_days(days),
        };
        call.send().await?;
        Ok(())
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        match describe(aws, &intent.args.name).await? {
            Some(seen) if !seen.deleted && tags::is_ours(cx, intent, &seen.tags) => {
                let arn = seen.arn.clone();
                Ok(Found::Ours(Created::new(arn, seen.state(Some(&intent.args)))))
            }
            _ => Ok(Found::Nothing),
        }
    }

    async fn is_name_free(aws: &Aws, _: &Context, args: &SecretArgs) -> Result<Option<bool>, Error> {
        match describe(aws, &args.name).await? {
            Some(seen) if seen.deleted => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "the secret `{}` waits for its deletion, and its name is taken until then: restore it with `aws \
                     secretsmanager restore-secret` and adopt it, or choose another name",
                    args.name
                ),
            )),
            found => Ok(Some(found.is_none())),
        }
    }

    fn validate(args: &SecretArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        let name = &args.name;
        if name.len() > 512 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c)) {
            let what = format!("`{name}` must be at most 512 letters, digits and `/_+=.@-`");
            problems.push(Problem::new("name", what));
        }
        if !matches!(args.recovery_window_days, 0 | 7..=30) {
            problems.push(Problem::new("recovery_window_days", "it must be 7 to 30, or 0 for none"));
        }
        problems
    }
}
