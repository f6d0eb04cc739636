//! Connecting: identity, and what is said when it fails.

use std::time::{Duration, Instant};

use stackkit::{ErrorKind, Provider};
use stackkit_aws::Aws;

use crate::support::{Outcome, aws, config, shared};

#[tokio::test]
async fn the_identity_is_account_and_region() -> Outcome {
    assert_eq!(aws(shared()).identity().await?.as_deref(), Some("aws:123456789012:eu-central-1"));
    Ok(())
}

#[tokio::test]
async fn a_missing_region_is_told_with_the_ways_to_set_it() -> Outcome {
    let without = config("http://127.0.0.1:9", "").into_builder().region(None).build();
    let error = Aws::with_config(without).expect_err("no region");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for way in ["AWS_REGION", "`region`", "profile"] {
        assert!(error.to_string().contains(way), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_on_fails_fast_and_is_named() -> Outcome {
    // A port that was free a moment ago, and is so again.
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let aws = Aws::with_config(config(&format!("http://{address}"), "eu-central-1"))?;
    let start = Instant::now();
    let error = aws.identity().await.expect_err("nobody listens");
    assert!(start.elapsed() < Duration::from_secs(15));
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    assert!(error.to_string().starts_with("sts:GetCallerIdentity: the endpoint cannot be reached"), "{error}");
    assert!(error.to_string().contains("endpoint_url"), "{error}");
    Ok(())
}

#[tokio::test]
async fn missing_credentials_are_told_with_the_ways_to_give_them() -> Outcome {
    #[derive(Debug)]
    struct Nothing;
    impl aws_credential_types::provider::ProvideCredentials for Nothing {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            use aws_credential_types::provider::error::CredentialsError;
            aws_credential_types::provider::future::ProvideCredentials::ready(Err(
                CredentialsError::not_loaded_no_source(),
            ))
        }
    }
    let without = config(shared().endpoint(), "eu-central-1")
        .into_builder()
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(Nothing))
        .build();
    let error = Aws::with_config(without)?.identity().await.expect_err("no credentials");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("AWS_PROFILE"), "{error}");
    Ok(())
}
