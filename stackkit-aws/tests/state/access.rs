//! Roles as IAM enforces them on a bucket, with the policies that `access` prints, word for word: the wrapper around moto
//! judges actions, ARNs and conditions as IAM's user guide says.

use std::path::Path;
use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use stackkit::access::Role;
use stackkit::state::backend::{Backend, BackendError, Holder, Lease, Position};
use stackkit::state::lease::settled;
use stackkit::state::place::BackendUrl;
use stackkit_aws::S3State;
use test_servers::{Credentials as Given, Moto};

/// What somebody's requests are made with; nobody in particular may do everything until IAM is enforced.
fn config(moto: &Moto, who: Option<&Given>) -> SdkConfig {
    let (id, secret) = who.map_or(("test", "test"), |who| (&who.id, &who.secret));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(moto.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "test")))
        .retry_config(RetryConfig::standard().with_max_attempts(1))
        .build()
}

fn backend(moto: &Moto, who: Option<&Given>, url: &str, stack: &str) -> Arc<dyn Backend> {
    let config = config(moto, who);
    let url = BackendUrl::parse(url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    let place = S3State::with_config(&url, &config).unwrap_or_else(|error| panic!("{error}"));
    place.stack(stack).unwrap_or_else(|error| panic!("{error}"))
}

fn holder() -> Holder {
    Holder::new("test").unwrap_or_else(|error| panic!("{error}"))
}

fn entry(n: u64) -> Vec<u8> {
    format!("{{\"stackkit\":1,\"n\":{n}}}").into_bytes()
}

async fn append(backend: &dyn Backend) -> Result<Arc<dyn Lease>, BackendError> {
    let lease = backend.acquire(holder()).await?;
    let position = backend.load().await?.position;
    backend.append(&*lease, position, &entry(position.0 + 1)).await?;
    Ok(lease)
}

#[tokio::test]
async fn each_role_may_do_what_its_policy_says() {
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let url = "s3://acme-infra/orders";
    for stack in ["dev", "other"] {
        let made = append(&*backend(&moto, None, &format!("{url}?create=true"), stack)).await;
        drop(made.unwrap_or_else(|error| panic!("{error}")));
    }
    settled().await;
    let dev = backend(&moto, None, url, "dev");
    let somebody = |role: Role| {
        let grant = dev.access(role).unwrap_or_else(|| panic!("S3 has grants"));
        moto.user(role.name(), &[&grant.text]).unwrap_or_else(|error| panic!("{error}"))
    };
    let [viewer, deployer, admin] = Role::ALL.map(somebody);
    moto.enforce_iam().unwrap_or_else(|error| panic!("{error}"));

    let dev = backend(&moto, Some(&viewer), url, "dev");
    assert_eq!(dev.load().await.unwrap_or_else(|error| panic!("{error}")).position, Position(1));
    let refused = append(&*dev).await.map(drop).unwrap_err();
    assert!(refused.is_denied() && refused.to_string().contains("run `access`"), "{refused}");
    for (who, position) in [(&deployer, 1), (&admin, 2)] {
        let dev = backend(&moto, Some(who), url, "dev");
        let lease = append(&*dev).await.unwrap_or_else(|error| panic!("{error}"));
        let text = format!("{{\n\"stackkit\": 1,\n\"position\": {}\n}}\n", position + 1);
        let folded = dev.compact(&*lease, Position(position + 1), text.as_bytes()).await;
        folded.unwrap_or_else(|error| panic!("{error}"));
        drop(lease);
        settled().await;
    }
    for who in [&viewer, &deployer, &admin] {
        let other = backend(&moto, Some(who), url, "other");
        let refused = append(&*other).await.map(drop).unwrap_err();
        assert!(refused.is_denied(), "{refused}");
    }

    // What the conditions are for: names of other stacks' objects are not listed by asking for theirs.
    let objects = async |who: &Given, prefix: &str| {
        let config = aws_sdk_s3::config::Builder::from(&config(&moto, Some(who))).force_path_style(true).build();
        let asked = aws_sdk_s3::Client::from_conf(config).list_objects_v2().bucket("acme-infra").prefix(prefix);
        asked.send().await.map(|answer| answer.key_count().unwrap_or_default())
    };
    for who in [&viewer, &deployer, &admin] {
        let own = objects(who, "orders/stacks/dev/").await.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(own > 0);
        for others in ["orders/stacks/other/", "orders/stacks", "orders/", ""] {
            assert!(objects(who, others).await.is_err(), "`{others}` is listed");
        }
    }
}
