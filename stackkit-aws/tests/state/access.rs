//! Roles as IAM enforces them on a bucket, with the policies that `access` prints: moto judges actions, and ARNs of S3, as
//! AWS does. It does not judge conditions, so statements go to it without theirs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use stackkit::access::Role;
use stackkit::state::backend::{Backend, BackendError, Holder, Lease, Position};
use stackkit::state::lease::settled;
use stackkit::state::place::BackendUrl;
use stackkit_aws::S3State;
use test_servers::Moto;

fn backend(moto: &Moto, (id, secret): &(String, String), url: &str, stack: &str) -> Arc<dyn Backend> {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(moto.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "test")))
        .retry_config(RetryConfig::standard().with_max_attempts(1))
        .build();
    let url = BackendUrl::parse(url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    let place = S3State::with_config(&url, &config).unwrap_or_else(|error| panic!("{error}"));
    place.stack(stack).unwrap_or_else(|error| panic!("{error}"))
}

/// One call of IAM, as an SDK would make it but for the signature.
fn iam(moto: &Moto, call: &str) -> String {
    let address = moto.endpoint().trim_start_matches("http://");
    let body = format!("{call}&Version=2010-05-08");
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(
            stream,
            "POST / HTTP/1.0\r\nHost: {address}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/iam/aws4_request, SignedHeaders=host, Signature=0\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().unwrap_or_else(|error| panic!("{error}"));
    assert!(answer.split(' ').nth(1) == Some("200"), "{call}: {answer}");
    answer
}

/// Somebody with this policy: id and secret of their access key.
fn user(moto: &Moto, name: &str, policy: &str) -> (String, String) {
    let mut policy: serde_json::Value = serde_json::from_str(policy).unwrap_or_else(|error| panic!("{error}"));
    for statement in policy["Statement"].as_array_mut().into_iter().flatten() {
        if let Some(statement) = statement.as_object_mut() {
            statement.remove("Condition");
        }
    }
    let document: String = policy.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    iam(moto, &format!("Action=CreateUser&UserName={name}"));
    iam(moto, &format!("Action=PutUserPolicy&UserName={name}&PolicyName=access&PolicyDocument={document}"));
    let made = iam(moto, &format!("Action=CreateAccessKey&UserName={name}"));
    let field = |tag: &str| {
        let text = made.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split('<').next());
        text.unwrap_or_else(|| panic!("{made}")).to_owned()
    };
    (field("AccessKeyId"), field("SecretAccessKey"))
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
    let root = ("test".to_owned(), "test".to_owned());
    for stack in ["dev", "other"] {
        let made = append(&*backend(&moto, &root, &format!("{url}?create=true"), stack)).await;
        drop(made.unwrap_or_else(|error| panic!("{error}")));
    }
    settled().await;
    let dev = backend(&moto, &root, url, "dev");
    let somebody = |role: Role| {
        let grant = dev.access(role).unwrap_or_else(|| panic!("S3 has grants"));
        user(&moto, role.name(), &grant.text)
    };
    let [viewer, deployer, admin] = Role::ALL.map(somebody);
    moto.enforce_iam().unwrap_or_else(|error| panic!("{error}"));

    let dev = backend(&moto, &viewer, url, "dev");
    assert_eq!(dev.load().await.unwrap_or_else(|error| panic!("{error}")).position, Position(1));
    let refused = append(&*dev).await.map(drop).unwrap_err();
    assert!(refused.is_denied() && refused.to_string().contains("run `access`"), "{refused}");
    for (who, position) in [(&deployer, 1), (&admin, 2)] {
        let dev = backend(&moto, who, url, "dev");
        let lease = append(&*dev).await.unwrap_or_else(|error| panic!("{error}"));
        let text = format!("{{\n\"stackkit\": 1,\n\"position\": {}\n}}\n", position + 1);
        let folded = dev.compact(&*lease, Position(position + 1), text.as_bytes()).await;
        folded.unwrap_or_else(|error| panic!("{error}"));
        drop(lease);
        settled().await;
    }
    for who in [&viewer, &deployer, &admin] {
        let other = backend(&moto, who, url, "other");
        let refused = append(&*other).await.map(drop).unwrap_err();
        assert!(refused.is_denied(), "{refused}");
    }
}
