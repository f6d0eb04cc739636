//! The backend against moto, which keeps a log of requests and can be told to fail: what a step costs, which buckets are
//! refused, and what people are told.

use std::path::Path;
use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use stackkit::state::backend::{Backend, BackendError, Holder};
use stackkit::state::lease::settled;
use stackkit::state::place::{BackendUrl, Place};
use stackkit::testing::backend::requests;
use stackkit_aws::S3State;
use test_servers::{Fault, FaultMode, Moto};

/// A configuration that takes nothing from the machine that the test runs on.
fn config(moto: &Moto) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(moto.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .build()
}

fn start() -> Moto {
    Moto::start().unwrap_or_else(|error| panic!("{error}"))
}

fn place(moto: &Moto, url: &str) -> Arc<dyn Place> {
    let url = BackendUrl::parse(url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    S3State::with_config(&url, &config(moto)).unwrap_or_else(|error| panic!("{error}"))
}

fn stack(moto: &Moto, url: &str) -> Arc<dyn Backend> {
    place(moto, url).stack("dev").unwrap_or_else(|error| panic!("{error}"))
}

fn holder() -> Holder {
    Holder::new("test").unwrap_or_else(|error| panic!("{error}"))
}

/// Names of the requests since the log was cleared.
fn calls(moto: &Moto) -> Vec<String> {
    moto.calls().unwrap_or_else(|error| panic!("{error}"))
}

fn clear(moto: &Moto) {
    moto.clear_calls().unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_step_is_one_request_however_large_the_stack_is() {
    let moto = start();
    let backend = stack(&moto, "s3://acme-infra?create=true&ttl=3600s");
    let heard = || {
        let calls = calls(&moto);
        clear(&moto);
        calls
    };
    for size in requests(backend, heard).await.unwrap_or_else(|error| panic!("{error}")) {
        assert!(size.steps.iter().all(|step| *step == ["s3:PutObject"]), "{size:?}");
        assert_eq!(size.fold, ["s3:GetObject", "s3:PutObject", "s3:DeleteObjects"], "{} resources", size.resources);
    }
}

#[tokio::test]
async fn a_bucket_that_was_made_by_hand_is_refused_until_it_is_fit() {
    let moto = start();
    let s3 =
        aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config(&moto)).force_path_style(true).build());
    let place_of = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuCentral1)
        .build();
    s3.create_bucket()
        .bucket("by-hand")
        .create_bucket_configuration(place_of)
        .send()
        .await
        .map(drop)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let refusal = async |url: &str| match stack(&moto, url).acquire(holder()).await {
        Err(BackendError::Unfit(text)) => text,
        Err(other) => panic!("{other}"),
        Ok(_) => String::new(),
    };
    let text = refusal("s3://by-hand").await;
    for (what, way) in [
        ("does not encrypt", "aws s3api put-bucket-encryption --bucket by-hand"),
        ("keeps no old versions", "aws s3api put-bucket-versioning --bucket by-hand"),
        ("opened to the public", "aws s3api put-public-access-block --bucket by-hand"),
    ] {
        assert!(text.contains(what) && text.contains(way), "{text}");
    }
    let text = refusal("s3://by-hand?accept=encryption,versioning").await;
    assert!(!text.contains("does not encrypt") && text.contains("opened to the public"), "{text}");
    assert_eq!(refusal("s3://by-hand?accept=encryption,versioning,public-access-block").await, "");
    settled().await;
    // It was looked at before the first lock alone.
    clear(&moto);
    assert_eq!(refusal("s3://by-hand").await, "");
    assert!(!calls(&moto).iter().any(|call| call.contains("Encryption")), "{:?}", calls(&moto));
    settled().await;
}

#[tokio::test]
async fn a_bucket_that_is_made_is_fit() {
    let moto = start();
    let missing = stack(&moto, "s3://acme-infra").acquire(holder()).await.map(drop).unwrap_err().to_string();
    assert!(missing.contains("there is no bucket `acme-infra`") && missing.contains("?create=true"), "{missing}");
    let backend = stack(&moto, "s3://acme-infra/a?create=true");
    assert!(backend.load().await.is_ok_and(|loaded| loaded.snapshot.is_none()), "nothing is in it yet");
    drop(backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}")));
    settled().await;
    // Fit without a word in the URL, for another stack too.
    drop(stack(&moto, "s3://acme-infra/b").acquire(holder()).await.unwrap_or_else(|error| panic!("{error}")));
    settled().await;
    for call in ["s3:PutBucketVersioning", "s3:PutPublicAccessBlock", "s3:PutBucketEncryption"] {
        assert!(calls(&moto).iter().any(|made| made == call), "{call} is not among {:?}", calls(&moto));
    }
}

#[tokio::test]
async fn two_prefixes_of_one_bucket_know_nothing_of_each_other() {
    let moto = start();
    let (one, two) = (place(&moto, "s3://acme-infra/a?create=true"), place(&moto, "s3://acme-infra/b?create=true"));
    let backend = one.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    let entry = br#"{"stackkit":1,"n":1}"#;
    backend.append(&*lease, Default::default(), entry).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(one.list().await.ok(), Some(vec!["dev".to_owned()]));
    assert_eq!(two.list().await.ok(), Some(Vec::new()));
    let other = two.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    drop(other.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}")));
    drop(lease);
    settled().await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_recognised() {
    let moto = start();
    let backend = stack(&moto, "s3://acme-infra?create=true&ttl=3600s");
    let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    let mut position = Default::default();
    for (n, mode) in
        [(1, FaultMode::DropAfter), (2, FaultMode::DropBefore), (3, FaultMode::Status500), (4, FaultMode::Status503)]
    {
        moto.inject(&[Fault::on("s3:PutObject", mode).times(3)]).unwrap_or_else(|error| panic!("{error}"));
        let entry = format!(r#"{{"stackkit":1,"n":{n}}}"#);
        position =
            backend.append(&*lease, position, entry.as_bytes()).await.unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(position.0, n);
        moto.clear_faults().unwrap_or_else(|error| panic!("{error}"));
    }
    let loaded = backend.load().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.entries.len(), 4, "each is there once");
    drop(lease);
    settled().await;
}
