//! Whether a bucket is fit to hold states, and making one that is.

use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    ExpirationStatus, LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration, PublicAccessBlockConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    VersioningConfiguration,
};
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Lack, fit};

use super::client::Client;
use crate::Error;

/// After how many days old versions of locks and of log entries go. Locks are rewritten every few seconds of a run.
const OLD_LOCKS: i32 = 1;
const OLD_STATES: i32 = 90;

/// What a bucket must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Encryption,
    Versioning,
    PublicAccessBlock,
}

impl Need {
    pub(super) const ALL: [Self; 3] = [Self::Encryption, Self::Versioning, Self::PublicAccessBlock];

    /// Its name, as the option `accept` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Encryption => "encryption",
            Self::Versioning => "versioning",
            Self::PublicAccessBlock => "public-access-block",
        }
    }

    /// What is wrong without it, and the command that puts it right.
    fn remedy(self, bucket: &str) -> String {
        let aws = format!("aws s3api --bucket {bucket}");
        match self {
            Self::Encryption => format!(
                "it does not encrypt what it stores: `{} '{{\"Rules\":[{{\"ApplyServerSideEncryptionByDefault\":{{\"SSEAlgorithm\":\"AES256\"}}}}]}}'`",
                aws.replace("s3api", "s3api put-bucket-encryption") + " --server-side-encryption-configuration"
            ),
            Self::Versioning => format!(
                "it keeps no old versions: `{} --versioning-configuration Status=Enabled`",
                aws.replace("s3api", "s3api put-bucket-versioning")
            ),
            Self::PublicAccessBlock => format!(
                "it may be opened to the public: `{} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`",
                aws.replace("s3api", "s3api put-public-access-block")
            ),
        }
    }
}

/// That the bucket is fit; makes it where it is not there and the URL says so.
pub(super) async fn prepare(client: &Client) -> Result<(), BackendError> {
    let options = client.options();
    if options.create {
        let there = client.s3().head_bucket().bucket(&options.bucket).send().await.map_err(Error::from);
        match there {
            Ok(_) => {}
            Err(error) if error.is_not_found() => create(client).await.map_err(|error| client.error("make", error))?,
            Err(error) => return Err(client.error("look for", error)),
        }
    }
    let mut lacks = Vec::new();
    for need in Need::ALL.into_iter().filter(|need| !options.accept.contains(need)) {
        let has = match need {
            Need::Encryption => is_encrypted(client).await,
            Need::Versioning => is_versioned(client).await,
            Need::PublicAccessBlock => is_closed(client).await,
        };
        if !has.map_err(|error| client.error("check the bucket of", error))? {
            lacks.push(Lack { name: need.name(), remedy: need.remedy(&options.bucket) });
        }
    }
    fit(&format!("the bucket `{}`", options.bucket), &lacks)
}

async fn is_encrypted(client: &Client) -> Result<bool, Error> {
    let request = client.s3().get_bucket_encryption().bucket(&client.options().bucket);
    match request.send().await.map_err(Error::from) {
        Ok(answer) => Ok(answer.server_side_encryption_configuration().is_some_and(|rules| !rules.rules().is_empty())),
        Err(error) if error.is("ServerSideEncryptionConfigurationNotFoundError") => Ok(false),
        Err(error) => Err(error),
    }
}

async fn is_versioned(client: &Client) -> Result<bool, Error> {
    let answer = client.s3().get_bucket_versioning().bucket(&client.options().bucket).send().await?;
    Ok(answer.status() == Some(&BucketVersioningStatus::Enabled))
}

async fn is_closed(client: &Client) -> Result<bool, Error> {
    let request = client.s3().get_public_access_block().bucket(&client.options().bucket);
    let answer = match request.send().await.map_err(Error::from) {
        Ok(answer) => answer,
        Err(error) if error.is("NoSuchPublicAccessBlockConfiguration") => return Ok(false),
        Err(error) => return Err(error),
    };
    let yes = |setting: Option<bool>| setting == Some(true);
    Ok(answer.public_access_block_configuration().is_some_and(|block| {
        yes(block.block_public_acls())
            && yes(block.ignore_public_acls())
            && yes(block.block_public_policy())
            && yes(block.restrict_public_buckets())
    }))
}

/// Makes the bucket. What fails half-way is told by the checks after it, with what is missing.
async fn create(client: &Client) -> Result<(), Error> {
    let (s3, options) = (client.s3(), client.options());
    let mut request = s3.create_bucket().bucket(&options.bucket);
    // The oldest region is named by naming none.
    if let Some(region) = s3.config().region().map(ToString::to_string).filter(|region| region != "us-east-1") {
        let place = BucketLocationConstraint::from(region.as_str());
        request = request
            .create_bucket_configuration(CreateBucketConfiguration::builder().location_constraint(place).build());
    }
    request.send().await?;
    let block = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    s3.put_public_access_block().bucket(&options.bucket).public_access_block_configuration(block).send().await?;
    let by_default = ServerSideEncryptionByDefault::builder();
    let by_default = match &options.kms_key {
        Some(key) => by_default.sse_algorithm(ServerSideEncryption::AwsKms).kms_master_key_id(key),
        None => by_default.sse_algorithm(ServerSideEncryption::Aes256),
    };
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(by_default.build()?).build();
    let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
    s3.put_bucket_encryption().bucket(&options.bucket).server_side_encryption_configuration(rules).send().await?;
    let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    s3.put_bucket_versioning().bucket(&options.bucket).versioning_configuration(versions).send().await?;
    let rule = |id: &str, prefix: String, days: i32| {
        LifecycleRule::builder()
            .id(id)
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
            .noncurrent_version_expiration(NoncurrentVersionExpiration::builder().noncurrent_days(days).build())
            .build()
    };
    let lifecycle = BucketLifecycleConfiguration::builder()
        .rules(rule("stackkit-locks", client.key("locks/"), OLD_LOCKS)?)
        .rules(rule("stackkit-states", client.key("stacks/"), OLD_STATES)?)
        .build()?;
    s3.put_bucket_lifecycle_configuration().bucket(&options.bucket).lifecycle_configuration(lifecycle).send().await?;
    Ok(())
}
