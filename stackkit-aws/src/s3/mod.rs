//! Amazon S3: buckets.

mod bucket;
mod empty;

pub use bucket::{Bucket, BucketArgs, BucketOutputs, BucketState, Ownership};

use aws_config::SdkConfig;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::retry::RetryConfig;

/// The client. With an endpoint of one's own, buckets are named in the path: hardly any such endpoint has a name for
/// each bucket.
pub(crate) fn client(config: &SdkConfig) -> aws_sdk_s3::Client {
    let path_style = config.endpoint_url().is_some();
    aws_sdk_s3::Client::from_conf(Builder::from(config).force_path_style(path_style).build())
}

/// A call that makes something is attempted once: when its answer is lost, the engine looks.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}
