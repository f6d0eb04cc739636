//! `Aws`: the provider, its settings, and its clients.

use std::collections::BTreeMap;
#[cfg(any(feature = "ec2", feature = "rds", feature = "s3", feature = "secretsmanager", feature = "ssm"))]
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use stackkit::foreign::{Becomes, ForeignResource};
#[cfg(any(feature = "ec2", feature = "rds", feature = "s3", feature = "secretsmanager", feature = "ssm"))]
use stackkit::resource::Of;
use stackkit::resource::Ops;
use stackkit::{Properties, Provider};

use crate::error::Error;

/// Longest time to make a connection: an endpoint that cannot be reached is told within seconds.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time of one attempt of a call.
const ATTEMPT: Duration = Duration::from_secs(60);
/// How often a call is attempted unless the settings say otherwise.
const ATTEMPTS: u32 = 4;

/// Settings of the provider. All are optional; what is unset comes from the environment and the profile, as for the
/// `aws` command.
///
/// Credentials are none of them: they come from the SDK's default chain.
#[derive(Debug, Clone, Default, PartialEq, Properties)]
pub struct Settings {
    /// Region, such as `eu-central-1`. Unset: `AWS_REGION`, then the profile's.
    pub region: Option<String>,
    /// Profile of the shared configuration files. Unset: `AWS_PROFILE`, then `default`.
    pub profile: Option<String>,
    /// ARN of a role to assume with the credentials found.
    pub role_arn: Option<String>,
    /// Endpoint of all services, for what speaks AWS's protocols without being AWS. Unset: `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
    /// Tags for every resource of this provider that can have tags; the engine adds them, see [`Provider::Settings`]. A
    /// resource's own tags win over them.
    pub default_tags: Option<BTreeMap<String, String>>,
    /// How often a call is attempted, the first one counted; 4 unless set. A call that makes something is attempted
    /// once: when its outcome is unknown, the engine looks before it tries again.
    pub max_attempts: Option<u32>,
}

/// A connection to AWS: one account, one region. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: SdkConfig,
    region: String,
    #[cfg(feature = "ec2")]
    ec2: aws_sdk_ec2::Client,
    #[cfg(feature = "rds")]
    rds: aws_sdk_rds::Client,
    #[cfg(feature = "s3")]
    s3: aws_sdk_s3::Client,
    #[cfg(feature = "secretsmanager")]
    secretsmanager: aws_sdk_secretsmanager::Client,
    #[cfg(feature = "ssm")]
    ssm: aws_sdk_ssm::Client,
}

impl Provider for Aws {
    const NAME: &'static str = "aws";
    const TYPES: &'static [&'static dyn Ops<Self>] = &[
        #[cfg(feature = "ec2")]
        &Of::<crate::ec2::Vpc>(PhantomData),
        #[cfg(feature = "ec2")]
        &Of::<crate::ec2::Subnet>(PhantomData),
        #[cfg(feature = "ec2")]
        &Of::<crate::ec2::InternetGateway>(PhantomData),
        #[cfg(feature = "ec2")]
        &Of::<crate::ec2::RouteTable>(PhantomData),
        #[cfg(feature = "ec2")]
        &Of::<crate::ec2::SecurityGroup>(PhantomData),
        #[cfg(feature = "rds")]
        &Of::<crate::rds::SubnetGroup>(PhantomData),
        #[cfg(feature = "rds")]
        &Of::<crate::rds::Instance>(PhantomData),
        #[cfg(feature = "s3")]
        &Of::<crate::s3::Bucket>(PhantomData),
        #[cfg(feature = "secretsmanager")]
        &Of::<crate::secretsmanager::Secret>(PhantomData),
        #[cfg(feature = "ssm")]
        &Of::<crate::ssm::Parameter>(PhantomData),
    ];
    type Settings = Settings;
    type Error = Error;

    async fn connect(settings: Settings) -> Result<Self, Error> {
        let attempts = settings.max_attempts.unwrap_or(ATTEMPTS);
        if attempts == 0 {
            return Err(Error::invalid("provider `aws`: `max_attempts` is 0; it must be at least 1"));
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(attempts))
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build(),
            );
        if let Some(region) = settings.region {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = settings.endpoint_url {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(Error::invalid(format!(
                    "provider `aws`: `endpoint_url` is `{url}`; it must begin with http:// or https://"
                )));
            }
            loader = loader.endpoint_url(url);
        }
        let mut config = loader.load().await;
        if let Some(role) = settings.role_arn {
            let assumed = AssumeRoleProvider::builder(role).session_name("stackkit").configure(&config).build().await;
            config = config
                .into_builder()
                .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(assumed))
                .build();
        }
        Self::with_config(config)
    }

    /// `aws:123456789012:eu-central-1`, by `sts:GetCallerIdentity`, which no policy can deny.
    async fn identity(&self) -> Result<Option<String>, Error> {
        let caller = aws_sdk_sts::Client::new(&self.0.config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| Error::from(error).at(self.0.config.endpoint_url()))?;
        let account = caller.account().ok_or_else(|| Error::missing("sts:GetCallerIdentity", "Account"))?;
        Ok(Some(format!("aws:{account}:{}", self.0.region)))
    }

    fn foreign(resource: &ForeignResource) -> Option<Becomes> {
        crate::foreign::foreign(resource)
    }
}

impl Aws {
    /// From an SDK configuration of one's own, for programs that embed the engine and for tests.
    ///
    /// # Errors
    /// When the configuration names no region.
    pub fn with_config(config: SdkConfig) -> Result<Self, Error> {
        let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty()).ok_or_else(|| {
            Error::invalid(
                "provider `aws`: no region is set; set AWS_REGION, the provider's setting `region`, or `region` in the profile",
            )
        })?;
        Ok(Self(Arc::new(Inner {
            #[cfg(feature = "ec2")]
            ec2: aws_sdk_ec2::Client::new(&config),
            #[cfg(feature = "rds")]
            rds: aws_sdk_rds::Client::new(&config),
            #[cfg(feature = "s3")]
            s3: crate::s3::client(&config),
            #[cfg(feature = "secretsmanager")]
            secretsmanager: aws_sdk_secretsmanager::Client::new(&config),
            #[cfg(feature = "ssm")]
            ssm: aws_sdk_ssm::Client::new(&config),
            config,
            region,
        })))
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// The SDK's configuration, for clients of services that this crate does not cover.
    pub fn config(&self) -> &SdkConfig {
        &self.0.config
    }

    /// An ARN in this region's partition.
    #[cfg(any(feature = "ec2", feature = "s3"))]
    pub(crate) fn arn(&self, service: &str, region: &str, account: &str, resource: &str) -> String {
        let partition = match &self.0.region {
            china if china.starts_with("cn-") => "aws-cn",
            government if government.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }

    #[cfg(feature = "ec2")]
    pub(crate) fn ec2(&self) -> &aws_sdk_ec2::Client {
        &self.0.ec2
    }

    #[cfg(feature = "rds")]
    pub(crate) fn rds(&self) -> &aws_sdk_rds::Client {
        &self.0.rds
    }

    #[cfg(feature = "s3")]
    pub(crate) fn s3(&self) -> &aws_sdk_s3::Client {
        &self.0.s3
    }
    #[cfg(feature = "secretsmanager")]
    pub(crate) fn secretsmanager(&self) -> &aws_sdk_secretsmanager::Client {
        &self.0.secretsmanager
    }

    #[cfg(feature = "ssm")]
    pub(crate) fn ssm(&self) -> &aws_sdk_ssm::Client {
        &self.0.ssm
    }
}
