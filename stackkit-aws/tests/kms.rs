//! Keys of AWS KMS: against moto, which is faithful about encryption contexts, and against written answers for what moto
//! does not play.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use stackkit::access::Role;
use stackkit::seal::{
    DataKey, KeyKind as _, KeyOptions, KeyProvider, KeyTrouble, LinkedKeys, SealError, WrappedKey, create_with,
    unlock_with,
};
use stackkit_aws::{Kms, KmsKey};
use test_servers::Moto;

fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .retry_config(RetryConfig::standard().with_max_attempts(1))
        .build()
}

fn moto() -> Moto {
    Moto::start().unwrap_or_else(|error| panic!("{error}"))
}

/// Makes a key with an alias; its ARN.
async fn make_key(config: &SdkConfig, alias: &str) -> String {
    let client = aws_sdk_kms::Client::new(config);
    let key = client.create_key().send().await.unwrap().key_metadata.unwrap();
    client.create_alias().alias_name(alias).target_key_id(&key.key_id).send().await.unwrap();
    key.arn.unwrap()
}

fn trouble(error: &SealError) -> KeyTrouble {
    match error {
        SealError::Provider { trouble, .. } => *trouble,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_key_wraps_for_one_stack_and_opens_nothing_else() {
    let moto = moto();
    let config = config(moto.endpoint());
    let arn = make_key(&config, "alias/infra").await;
    let provider = KmsKey::new("alias/infra").with_config(config.clone());
    let data = DataKey::generate().unwrap();
    let wrapped = provider.wrap(&data, "lineage").await.unwrap();
    assert_eq!((wrapped.kind.as_str(), &wrapped.id), ("aws-kms", &arn), "an alias may be pointed elsewhere");
    let opener = KmsKey::new(&wrapped.id).with_config(config.clone());
    assert_eq!(opener.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());

    // Another stack's context, another key, and damage.
    let other = opener.unwrap(&wrapped, "other lineage").await.unwrap_err();
    assert_eq!(trouble(&other), KeyTrouble::Refused, "{other}");
    assert!(other.to_string().contains("restore the header"), "{other}");
    let second = make_key(&config, "alias/second").await;
    let moved = WrappedKey { id: second.clone(), ..wrapped.clone() };
    KmsKey::new(&second).with_config(config.clone()).unwrap(&moved, "lineage").await.unwrap_err();
    for at in [0, wrapped.wrapped.len() / 2, wrapped.wrapped.len() - 2] {
        let mut damaged = wrapped.clone();
        let other = if damaged.wrapped.as_bytes()[at] == b'A' { "B" } else { "A" };
        damaged.wrapped.replace_range(at..=at, other);
        opener.unwrap(&damaged, "lineage").await.unwrap_err();
    }
    let cut = WrappedKey { wrapped: "!".into(), ..wrapped.clone() };
    assert!(matches!(opener.unwrap(&cut, "lineage").await, Err(SealError::WrappedKey { .. })));

    let missing = KmsKey::new("alias/nosuch").with_config(config.clone()).wrap(&data, "lineage").await.unwrap_err();
    assert_eq!(trouble(&missing), KeyTrouble::NotFound, "{missing}");
    assert!(missing.to_string().contains("alias/nosuch"), "{missing}");
}

#[tokio::test]
async fn a_stack_opens_with_its_key_and_its_header_holds_no_secret() {
    let moto = moto();
    let config = config(moto.endpoint());
    make_key(&config, "alias/infra").await;
    let provider = KmsKey::new("alias/infra").with_config(config.clone());
    let created = create_with(&[&provider as &dyn KeyProvider]).await.unwrap();
    let opened = unlock_with(&created.header, &[&provider]).await.unwrap();
    assert_eq!(opened.key_id(), created.sealer.key_id());
    let text = created.header.set_in("", "the test").unwrap();
    assert!(text.contains("aws-kms") && !text.contains("test\""), "{text}");
}

/// The policies that `access` prints, judged with their conditions.
#[tokio::test]
async fn each_role_may_do_what_its_policy_says() {
    let moto = moto();
    let root = config(moto.endpoint());
    let arn = make_key(&root, "alias/infra").await;
    let data = DataKey::generate().unwrap();
    let key = KmsKey::new(&arn);
    let (ours, others) = ("lineage", "other lineage");
    let made = KmsKey::new(&arn).with_config(root.clone());
    let (wrapped, foreign) = (made.wrap(&data, ours).await.unwrap(), made.wrap(&data, others).await.unwrap());
    let policy = |role: Role, lineage: &str| key.access(role, lineage).unwrap().text;
    let somebody = |name: &str, policies: &[&str]| {
        let given = moto.user(name, policies).unwrap_or_else(|error| panic!("{error}"));
        let credentials = Credentials::new(given.id, given.secret, None, None, "test");
        let provider = SharedCredentialsProvider::new(credentials);
        key.clone().with_config(root.to_builder().credentials_provider(provider).build())
    };
    let [viewer, deployer, admin] = Role::ALL.map(|role| somebody(role.name(), &[&policy(role, ours)]));
    // A viewer of one stack who deploys another: the denial is of the one alone.
    let both = somebody("both", &[&policy(Role::Viewer, ours), &policy(Role::Deployer, others)]);
    let twice = somebody("twice", &[&policy(Role::Viewer, ours), &policy(Role::Admin, ours)]);
    moto.enforce_iam().unwrap();
    for (who, name, opens, opens_others, wraps) in [
        (&viewer, "viewer", false, false, false),
        (&deployer, "deployer", true, false, false),
        (&admin, "admin", true, false, true),
        (&both, "a viewer here and deployer there", false, true, false),
        (&twice, "a viewer and admin", false, false, true),
    ] {
        let outcomes = [
            (who.unwrap(&wrapped, ours).await.map(drop), opens),
            (who.unwrap(&foreign, others).await.map(drop), opens_others),
            (who.wrap(&data, ours).await.map(drop), wraps),
            (who.wrap(&data, others).await.map(drop), false),
        ];
        for (at, (outcome, expected)) in outcomes.into_iter().enumerate() {
            assert_eq!(outcome.is_ok(), expected, "{name} {at}: {outcome:?}");
            if let Err(error) = outcome {
                assert_eq!(trouble(&error), KeyTrouble::Denied, "{name} {at}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_use_the_key_is_told_so() {
    // Written answers, as the service's documentation gives them: moto neither disables keys nor checks who asks.
    for (code, expected, part) in [
        ("DisabledException", KeyTrouble::Disabled, "is disabled"),
        ("KMSInvalidStateException", KeyTrouble::Disabled, "cancel its deletion"),
        ("AccessDeniedException", KeyTrouble::Denied, "kms:Decrypt"),
        ("NotFoundException", KeyTrouble::NotFound, "the region and the account"),
        ("InvalidCiphertextException", KeyTrouble::Refused, "does not open"),
        ("IncorrectKeyException", KeyTrouble::Refused, "does not open"),
        ("ExpiredTokenException", KeyTrouble::Credentials, "have expired"),
    ] {
        let endpoint = answering(400, &format!("{{\"__type\":\"{code}\",\"message\":\"said by the service\"}}"));
        let wrapped = wrapped("arn:aws:kms:eu-central-1:123456789012:key/x");
        let error =
            KmsKey::new(&wrapped.id).with_config(config(&endpoint)).unwrap(&wrapped, "lineage").await.unwrap_err();
        assert_eq!(trouble(&error), expected, "{code}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(part) && text.contains("key/x") && text.contains("said by") | part.contains("does not"),
            "{text}"
        );
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wrapped = wrapped("alias/x");
    let config = config(&format!("http://{nobody}"));
    let error = KmsKey::new("alias/x").with_config(config.clone()).unwrap(&wrapped, "l").await.unwrap_err();
    assert_eq!(trouble(&error), KeyTrouble::Unreachable, "{error}");
    let nowhere = config.into_builder().region(None).build();
    let error = KmsKey::new("alias/x").with_config(nowhere.clone()).unwrap(&wrapped, "l").await.unwrap_err();
    assert!(error.to_string().contains("set AWS_REGION"), "{error}");
    let nameless = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(format!("http://{nobody}"))
        .credentials_provider(SharedCredentialsProvider::new(provide_credentials_fn(|| async {
            Err(CredentialsError::not_loaded("there are none"))
        })))
        .build();
    let error = KmsKey::new("alias/x").with_config(nameless).unwrap(&wrapped, "l").await.unwrap_err();
    assert_eq!(trouble(&error), KeyTrouble::Credentials, "{error}");
    assert!(error.to_string().contains("set AWS_PROFILE"), "{error}");
}

fn wrapped(id: &str) -> WrappedKey {
    WrappedKey { kind: "aws-kms".into(), id: id.into(), wrapped: "AAAA".into(), settings: Default::default() }
}

/// A server that gives one answer to everything.
fn answering(status: u16, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 16 * 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    endpoint
}

#[test]
fn a_name_is_an_arn_an_alias_or_an_id() {
    let options = KeyOptions { linked: vec![LinkedKeys::of::<Kms>()], ..KeyOptions::default() };
    let dir = std::path::Path::new(".");
    for name in ["alias/infra", "arn:aws:kms:eu-central-1:1:key/x", "1234abcd-12ab"] {
        assert_eq!(options.named(&format!("aws-kms:{name}"), dir).unwrap().len(), 1);
    }
    for name in ["", "alias/in fra", "x y"] {
        let error = options.named(&format!("aws-kms:{name}"), dir).unwrap_err();
        assert!(matches!(error, SealError::Spec { .. }), "{error}");
    }
    assert_eq!(Kms::of(&wrapped("alias/x")).unwrap().kind(), "aws-kms");
}
