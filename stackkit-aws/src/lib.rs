//! Amazon Web Services for [StackKit](stackkit): a provider, and typed resources, one cargo feature a service.
//!
//! ```no_run
//! # #[cfg(feature = "ec2")] mod program {
//! use stackkit::prelude::*;
//! use stackkit_aws::{Aws, ec2};
//!
//! #[stackkit::main(providers(Aws))]
//! async fn network(stack: &mut Stack) -> Result<()> {
//!     let vpc = stack.add("main", ec2::Vpc::new(cidr!("10.0.0.0/16")));
//!     let subnet = stack.add("a", ec2::Subnet::new(&vpc.id, cidr!("10.0.1.0/24")));
//!     stack.output("subnet", &subnet.id);
//!     Ok(())
//! }
//! # }
//! ```
//!
//! | feature | types | default |
//! |---|---|---|
//! | `ec2` | [`ec2::Vpc`], [`ec2::Subnet`], [`ec2::InternetGateway`], [`ec2::RouteTable`], [`ec2::SecurityGroup`] | no: its client takes minutes to compile |
//! | `kms` | [`Kms`], which wraps the data keys of stacks with a key of AWS KMS | no |
//! | `rds` | [`rds::Instance`], [`rds::SubnetGroup`] | no |
//! | `s3` | [`s3::Bucket`]; [`S3State`], which keeps the state of stacks in a bucket | no |
//! | `secretsmanager` | [`secretsmanager::Secret`]; [`secretsmanager::SecretValue`], which reads one | no |
//! | `ssm` | [`ssm::Parameter`]; [`ssm::ParameterValue`], which reads one | no |
//!
//! Credentials come from the AWS SDK's default chain alone: environment, profile, SSO, a role of the machine, of the
//! container or of the CI job. No setting takes them, so none can end up in a file.
//!
//! Every resource carries three tags by which the engine finds it again after a crash: `stackkit:lineage`,
//! `stackkit:urn` and `stackkit:token`. They are not shown as drift.

#[cfg(any(feature = "ec2", feature = "rds", feature = "ssm"))]
mod batch;
mod connect;
mod error;
mod foreign;
#[cfg(any(feature = "ec2", feature = "rds", feature = "s3", feature = "secretsmanager", feature = "ssm"))]
mod tags;
#[cfg(any(feature = "ec2", feature = "rds", feature = "s3"))]
mod wait;

#[cfg(feature = "ec2")]
pub mod ec2;
#[cfg(feature = "kms")]
pub mod kms;
#[cfg(feature = "rds")]
pub mod rds;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "secretsmanager")]
pub mod secretsmanager;
#[cfg(feature = "ssm")]
pub mod ssm;
#[cfg(feature = "s3")]
pub mod state;

pub use connect::{Aws, Settings};
pub use error::Error;
#[cfg(feature = "kms")]
pub use kms::{Kms, KmsKey};
#[cfg(feature = "s3")]
pub use state::S3State;

/// The programs on the project's pages compile.
#[cfg(all(doctest, feature = "ec2", feature = "rds", feature = "s3", feature = "secretsmanager"))]
mod pages {
    #[doc = include_str!("../../README.md")]
    pub struct Readme;
    #[doc = include_str!("../../docs/programs.md")]
    pub struct Programs;
    #[doc = include_str!("../../docs/teams.md")]
    pub struct Teams;
}
