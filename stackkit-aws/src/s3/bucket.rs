//! `Bucket`: a place for objects, with the settings that keep them safe.

use std::collections::BTreeMap;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, ObjectOwnership, OwnershipControls,
    OwnershipControlsRule, PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tag, Tagging, VersioningConfiguration,
};
use stackkit::error::ErrorKind;
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, Properties, resource};
use tokio::task::JoinSet;

use super::{empty, once};
use crate::connect::Aws;
use crate::error::Error;
use crate::tags::{self, Tags};
use crate::wait::{Pace, Rule, Seen, retry, until};

/// How many buckets are read at once.
const READS: usize = 16;
/// What `encryption` says where S3 keeps the keys.
const S3_KEYS: &str = "AES256";
/// A bucket of that name was deleted a moment ago, or another change of it is under way.
const ABORTED: Rule = Rule::passing(&["OperationAborted"], 20 * 60);
/// A new bucket's settings are not there at once.
const NEW: Rule = Rule { codes: &["OperationAborted"], new: true, ..ABORTED };

/// A bucket. Versions are kept, objects are encrypted, and nothing is public unless the program says so.
///
/// It holds data, so the engine protects it from deletion. Its deletion fails while objects are in it, unless
/// `force_destroy` is on.
///
/// Actions: `s3:CreateBucket`, `s3:TagResource`, `s3:ListBucket`, `s3:ListAllMyBuckets`, `s3:DeleteBucket`,
/// `s3:GetBucketVersioning`, `s3:PutBucketVersioning`, `s3:GetEncryptionConfiguration`,
/// `s3:PutEncryptionConfiguration`, `s3:GetBucketPublicAccessBlock`, `s3:PutBucketPublicAccessBlock`,
/// `s3:GetBucketOwnershipControls`, `s3:PutBucketOwnershipControls`, `s3:GetBucketTagging`, `s3:PutBucketTagging`; with
/// `force_destroy` also `s3:ListBucketVersions`, `s3:DeleteObject`, `s3:DeleteObjectVersion`,
/// `s3:ListBucketMultipartUploads` and `s3:AbortMultipartUpload`.
#[resource("aws:s3:Bucket", stateful, settle = 60)]
#[derive(PartialEq)]
pub struct Bucket {
    /// The name, unique in the whole world: 3 to 63 lower-case letters, digits, hyphens and dots. Unset: made up from
    /// stack and name.
    #[resource(name, replace)]
    pub name: String,
    /// Whether older versions of objects are kept. Turned off, versions that are there stay and no more are made.
    #[resource(default = true)]
    pub versioning: bool,
    /// How new objects are encrypted: `AES256` with keys that S3 keeps, or the ARN of a KMS key.
    #[resource(default = S3_KEYS)]
    pub encryption: String,
    /// Whether every form of public access is blocked, whatever policies and ACLs say.
    #[resource(default = true)]
    pub block_public_access: bool,
    /// Who owns objects, and whether ACLs count.
    #[resource(default = Ownership::BucketOwnerEnforced)]
    pub ownership: Ownership,
    /// Whether deleting the bucket first deletes all objects and versions in it, for good. It counts once an `up` has
    /// recorded it.
    #[resource(default = false, write_only)]
    pub force_destroy: bool,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
    /// The host name in its region, such as `name.s3.eu-central-1.amazonaws.com`.
    #[resource(output)]
    pub regional_domain_name: String,
    /// The region that it is in.
    #[resource(output)]
    pub region: String,
}

/// Who owns objects that others put into a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Properties)]
#[property(rename_all = "PascalCase")]
pub enum Ownership {
    /// The bucket's owner; ACLs are off.
    BucketOwnerEnforced,
    /// The bucket's owner where the writer grants it full control; ACLs are on.
    BucketOwnerPreferred,
    /// The writer; ACLs are on.
    ObjectWriter,
}

impl Managed for Bucket {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &BucketArgs) -> Result<Created<Self>, Error> {
        // There, creating a bucket that one owns already succeeds: somebody else's work would be taken over.
        if aws.region() == "us-east-1" && there(aws, &args.name).await? {
            return Err(exists(&args.name));
        }
        let tags = wire(&tags::of_new(cx, &args.tags))?;
        let mut configuration = CreateBucketConfiguration::builder().set_tags(Some(tags));
        if aws.region() != "us-east-1" {
            configuration = configuration.location_constraint(BucketLocationConstraint::from(aws.region()));
        }
        let configuration = configuration.build();
        let ownership = ObjectOwnership::from(args.ownership);
        let made = retry(cx, ABORTED, || async {
            Ok(aws
                .s3()
                .create_bucket()
                .bucket(&args.name)
                .create_bucket_configuration(configuration.clone())
                .object_ownership(ownership.clone())
                .customize()
                .config_override(once())
                .send()
                .await?)
        })
        .await;
        match made {
            Err(error) if error.is("BucketAlreadyOwnedByYou") => return Err(exists(&args.name)),
            Err(error) if error.is("BucketAlreadyExists") => {
                return Err(
                    error.because("bucket names are unique in the whole world: choose another one, or leave it out")
                );
            }
            other => other?,
        };
        cx.created(&args.name).await?;
        Ok(Created::new(&args.name, finish(aws, cx, args).await.map_err(Error::half_made)?))
    }

    async fn read(aws: &Aws, _: &Context, id: &str, prior: Option<&BucketState>) -> Result<Option<BucketState>, Error> {
        read(aws, id, prior.map(|prior| &prior.args)).await
    }

    /// S3 has no read for many: a few are read at a time, each with its settings at once.
    async fn claimed_by(aws: &Aws, cx: &Context, id: &str, _: &BucketState) -> Result<Option<String>, Error> {
        Ok(tags::claimant(cx, seen_tags(aws, id).await?))
    }

    async fn read_many(
        aws: &Aws,
        _: &Context,
        items: &[(String, Option<BucketState>)],
    ) -> Vec<Result<Option<BucketState>, Error>> {
        let mut results: Vec<Result<Option<BucketState>, Error>> = Vec::with_capacity(items.len());
        for few in items.chunks(READS) {
            let mut reads = JoinSet::new();
            for (at, (id, prior)) in few.iter().enumerate() {
                let (aws, id, asked) = (aws.clone(), id.clone(), prior.as_ref().map(|prior| prior.args.clone()));
                reads.spawn(async move { (at, read(&aws, &id, asked.as_ref()).await) });
            }
            let lost = || Err(Error::new(ErrorKind::Transient, "s3: the read was cut short"));
            let mut found: Vec<_> = few.iter().map(|_| lost()).collect();
            while let Some(done) = reads.join_next().await {
                if let Ok((at, result)) = done {
                    found[at] = result;
                }
            }
            results.append(&mut found);
        }
        results
    }

    async fn update(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: &BucketState,
        args: &BucketArgs,
    ) -> Result<BucketState, Error> {
        if let Some(change) = tags::change(&prior.tags, &args.tags) {
            let mut all = seen_tags(aws, id).await?;
            all.retain(|key, _| !change.remove.contains(key));
            all.extend(change.set);
            put_tags(aws, cx, id, all).await?;
        }
        converge(aws, cx, &prior.args, args).await?;
        settled(aws, cx, args).await
    }

    async fn delete(aws: &Aws, cx: &Context, id: &str, prior: &BucketState) -> Result<(), Error> {
        let rule = if prior.force_destroy {
            empty::all(aws, cx, id).await?;
            // What was deleted may be listed for a while.
            Rule::passing(&["BucketNotEmpty", "OperationAborted"], 120)
        } else {
            ABORTED
        };
        let deleted = retry(cx, rule, || async { Ok(aws.s3().delete_bucket().bucket(id).send().await?) }).await;
        match deleted {
            Err(error) if error.is("BucketNotEmpty") && !prior.force_destroy => Err(error.because(
                "empty it, or set `force_destroy(true)` and run `up` once before deleting, which deletes all objects and versions for good",
            )),
            other => other.map(drop),
        }
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let name = &intent.args.name;
        if !owned(aws, name).await? {
            return Ok(Found::Nothing);
        }
        let tags = seen_tags(aws, name).await?;
        let ours = tags.get("stackkit:token") == Some(&intent.token)
            && tags.get("stackkit:lineage").map(String::as_str) == Some(cx.lineage());
        let untouched = intent.name_was_free == Some(true) && !tags.contains_key("stackkit:token");
        if !ours && !untouched {
            return Ok(Found::Nothing);
        }
        if !ours {
            let mut all = tags;
            all.extend(tags::of_new(cx, &intent.args.tags));
            put_tags(aws, cx, name, all).await?;
        }
        Ok(match read(aws, name, Some(&intent.args)).await? {
            Some(state) => Found::Ours(Created::new(name, state)),
            None => Found::Nothing,
        })
    }

    async fn is_name_free(aws: &Aws, _: &Context, args: &BucketArgs) -> Result<Option<bool>, Error> {
        Ok(Some(!there(aws, &args.name).await?))
    }

    fn validate(args: &BucketArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        let name = args.name.as_str();
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (3..=63).contains(&name.len())
            && name.chars().all(|c| edge(c) || c == '-' || c == '.')
            && name.starts_with(edge)
            && name.ends_with(edge)
            && !name.contains("..");
        if !name.is_empty() && !fits {
            let what = format!(
                "`{name}` must be 3 to 63 lower-case letters, digits, hyphens and dots, with a letter or digit at both ends"
            );
            problems.push(Problem::new("name", what));
        }
        if args.encryption != S3_KEYS && !args.encryption.starts_with("arn:") {
            problems.push(Problem::new("encryption", "must be `AES256` or the ARN of a KMS key"));
        }
        problems
    }
}

impl From<Ownership> for ObjectOwnership {
    fn from(ownership: Ownership) -> Self {
        match ownership {
            Ownership::BucketOwnerEnforced => Self::BucketOwnerEnforced,
            Ownership::BucketOwnerPreferred => Self::BucketOwnerPreferred,
            Ownership::ObjectWriter => Self::ObjectWriter,
        }
    }
}

fn exists(name: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("s3:CreateBucket: a bucket `{name}` exists in this account; import it, or choose another name"),
    )
}

/// Whether anybody has a bucket of that name.
async fn there(aws: &Aws, name: &str) -> Result<bool, Error> {
    match aws.s3().head_bucket().bucket(name).send().await {
        Ok(_) => Ok(true),
        // Somebody else's, or in another region: there it is.
        Err(SdkError::ServiceError(answer)) if matches!(answer.raw().status().as_u16(), 301 | 403) => Ok(true),
        Err(error) => {
            let error = Error::from(error);
            if error.is_not_found() { Ok(false) } else { Err(error) }
        }
    }
}

/// Whether this account has the bucket: that it can be reached is no proof.
async fn owned(aws: &Aws, name: &str) -> Result<bool, Error> {
    let mut pages = aws.s3().list_buckets().prefix(name).into_paginator().send();
    while let Some(page) = pages.next().await {
        if page?.buckets().iter().any(|bucket| bucket.name() == Some(name)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn wire(tags: &Tags) -> Result<Vec<Tag>, Error> {
    tags.iter().map(|(key, value)| Ok(Tag::builder().key(key).value(value).build()?)).collect()
}

/// An absent setting is no absent bucket: only the latter stays an error.
fn optional<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() && !error.is("NoSuchBucket") => Ok(None),
        Err(error) => Err(error),
    }
}

async fn seen_tags(aws: &Aws, name: &str) -> Result<Tags, Error> {
    let answer = optional(aws.s3().get_bucket_tagging().bucket(name).send().await.map_err(Error::from))?;
    let set = answer.map(|answer| answer.tag_set).unwrap_or_default();
    Ok(set.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// Replaces all tags of the bucket.
async fn put_tags(aws: &Aws, cx: &Context, name: &str, tags: Tags) -> Result<(), Error> {
    let tagging = Tagging::builder().set_tag_set(Some(wire(&tags)?)).build()?;
    retry(cx, NEW, || async { Ok(aws.s3().put_bucket_tagging().bucket(name).tagging(tagging.clone()).send().await?) })
        .await?;
    Ok(())
}

async fn read(aws: &Aws, name: &str, asked: Option<&BucketArgs>) -> Result<Option<BucketState>, Error> {
    let s3 = aws.s3();
    let (versioning, encryption, access, ownership, tags) = tokio::join!(
        s3.get_bucket_versioning().bucket(name).send(),
        s3.get_bucket_encryption().bucket(name).send(),
        s3.get_public_access_block().bucket(name).send(),
        s3.get_bucket_ownership_controls().bucket(name).send(),
        seen_tags(aws, name),
    );
    let versioning = match versioning.map_err(Error::from) {
        Ok(answer) => answer.status() == Some(&BucketVersioningStatus::Enabled),
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let encryption = optional(encryption.map_err(Error::from))?;
    let rules = encryption.as_ref().and_then(|answer| answer.server_side_encryption_configuration());
    let rule = rules.and_then(|rules| rules.rules().first()?.apply_server_side_encryption_by_default());
    let encryption = match rule {
        Some(rule) if rule.sse_algorithm() == &ServerSideEncryption::Aes256 => S3_KEYS,
        Some(rule) => rule.kms_master_key_id().unwrap_or("aws/s3"),
        None => "none",
    };
    let access = optional(access.map_err(Error::from))?;
    let block = access.as_ref().and_then(|answer| answer.public_access_block_configuration());
    let ownership = optional(ownership.map_err(Error::from))?;
    let ownership = ownership.and_then(|answer| answer.ownership_controls?.rules.into_iter().next()).map_or(
        Ownership::ObjectWriter,
        |rule| match rule.object_ownership {
            ObjectOwnership::BucketOwnerEnforced => Ownership::BucketOwnerEnforced,
            ObjectOwnership::BucketOwnerPreferred => Ownership::BucketOwnerPreferred,
            _ => Ownership::ObjectWriter,
        },
    );
    let region = aws.region();
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Ok(Some(BucketState {
        args: BucketArgs {
            name: name.to_owned(),
            versioning,
            encryption: encryption.to_owned(),
            block_public_access: block.is_some_and(blocks_everything),
            ownership,
            force_destroy: asked.is_some_and(|asked| asked.force_destroy),
            tags: tags::declared(tags?),
        },
        arn: aws.arn("s3", "", "", name),
        regional_domain_name: format!("{name}.s3.{region}.{suffix}"),
        region: region.to_owned(),
    }))
}

/// Gives a new bucket its tags and settings.
async fn finish(aws: &Aws, cx: &Context, args: &BucketArgs) -> Result<BucketState, Error> {
    let all = tags::of_new(cx, &args.tags);
    let shown = retry(cx, NEW, || seen_tags(aws, &args.name)).await?;
    // Services that speak S3 without being it may have passed over the tags of the create call.
    if all.iter().any(|(key, value)| shown.get(key) != Some(value)) {
        put_tags(aws, cx, &args.name, all).await?;
    }
    let now = until(cx, "the bucket", Pace::QUICK, || async {
        Ok(match read(aws, &args.name, Some(args)).await? {
            Some(state) => Seen::Ready(state),
            None => Seen::Waiting("not visible".into()),
        })
    })
    .await?;
    converge(aws, cx, &now, args).await?;
    settled(aws, cx, args).await
}

fn blocks_everything(block: &PublicAccessBlockConfiguration) -> bool {
    [
        block.block_public_acls(),
        block.block_public_policy(),
        block.ignore_public_acls(),
        block.restrict_public_buckets(),
    ]
    .iter()
    .all(|on| *on == Some(true))
}

/// Puts the settings that differ. What protects comes before what it protects from.
async fn converge(aws: &Aws, cx: &Context, now: &BucketArgs, asked: &BucketArgs) -> Result<(), Error> {
    let (s3, name) = (aws.s3(), asked.name.as_str());
    if now.block_public_access != asked.block_public_access {
        let on = asked.block_public_access;
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(on)
            .block_public_policy(on)
            .ignore_public_acls(on)
            .restrict_public_buckets(on)
            .build();
        retry(cx, NEW, || async {
            let call = s3.put_public_access_block().bucket(name);
            Ok(call.public_access_block_configuration(block.clone()).send().await?)
        })
        .await?;
    }
    if now.encryption != asked.encryption {
        let rule = match asked.encryption.as_str() {
            S3_KEYS => ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256),
            key => ServerSideEncryptionByDefault::builder()
                .sse_algorithm(ServerSideEncryption::AwsKms)
                .kms_master_key_id(key),
        };
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(rule.build()?)
            .set_bucket_key_enabled((asked.encryption != S3_KEYS).then_some(true))
            .build();
        let configuration = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
        retry(cx, NEW, || async {
            let call = s3.put_bucket_encryption().bucket(name);
            Ok(call.server_side_encryption_configuration(configuration.clone()).send().await?)
        })
        .await?;
    }
    if now.versioning != asked.versioning {
        let status = if asked.versioning { BucketVersioningStatus::Enabled } else { BucketVersioningStatus::Suspended };
        let configuration = VersioningConfiguration::builder().status(status).build();
        retry(cx, NEW, || async {
            let call = s3.put_bucket_versioning().bucket(name);
            Ok(call.versioning_configuration(configuration.clone()).send().await?)
        })
        .await?;
    }
    if now.ownership != asked.ownership {
        let rule = OwnershipControlsRule::builder().object_ownership(asked.ownership.into()).build()?;
        let controls = OwnershipControls::builder().rules(rule).build()?;
        retry(cx, NEW, || async {
            Ok(s3.put_bucket_ownership_controls().bucket(name).ownership_controls(controls.clone()).send().await?)
        })
        .await?;
    }
    Ok(())
}

/// Waits until S3 shows the settings asked for, twice in a row: settings spread through it.
async fn settled(aws: &Aws, cx: &Context, args: &BucketArgs) -> Result<BucketState, Error> {
    let pace = Pace { steady: 2, ..Pace::QUICK };
    until(cx, "the bucket's settings", pace, || async {
        let Some(state) = read(aws, &args.name, Some(args)).await? else {
            return Ok(Seen::Waiting("not visible".into()));
        };
        if (BucketArgs { tags: args.tags.clone(), ..state.args.clone() }) != *args {
            return Ok(Seen::Waiting("changing".into()));
        }
        Ok(Seen::Ready(BucketState { args: args.clone(), ..state }))
    })
    .await
}
