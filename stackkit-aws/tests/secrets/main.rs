//! Secrets Manager and parameters of Systems Manager, against moto, a server that answers as AWS does.

#[path = "../moto/support.rs"]
#[allow(dead_code, reason = "the tests beside need the rest")]
mod support;

use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_ssm::types::ParameterType;
use stackkit::lookup::Lookup as _;
use stackkit::{ErrorKind, Found, Intent, Managed};
use stackkit_aws::secretsmanager::{Secret, SecretArgs, SecretValue};
use stackkit_aws::ssm::{Parameter, ParameterArgs, ParameterValue};
use stackkit_aws::{Aws, Error};
use support::{Outcome, args, config, context, shared};

fn secrets() -> aws_sdk_secretsmanager::Client {
    aws_sdk_secretsmanager::Client::new(&config(shared().endpoint(), "eu-central-1"))
}

fn parameters() -> aws_sdk_ssm::Client {
    aws_sdk_ssm::Client::new(&config(shared().endpoint(), "eu-central-1"))
}

fn aws() -> Aws {
    support::aws(shared())
}

async fn ask(question: SecretValue) -> Result<(String, String), Error> {
    let found = SecretValue::look_up(&aws(), &context::<SecretValue>("q"), &args("", question)).await?;
    Ok((found.value.reveal().clone(), found.read_version.clone()))
}

async fn ask_parameter(question: ParameterValue) -> Result<(String, u64), Error> {
    let found = ParameterValue::look_up(&aws(), &context::<ParameterValue>("q"), &args("", question)).await?;
    Ok((found.value.reveal().clone(), found.read_version))
}

#[tokio::test]
async fn a_secret_is_read_whole_in_part_and_in_an_earlier_version() -> Outcome {
    let client = secrets();
    let made = client.create_secret().name("read/db").secret_string(r#"{"password":"first"}"#).send().await?;
    let first = made.version_id.unwrap_or_default();
    client.put_secret_value().secret_id("read/db").secret_string(r#"{"password":"second"}"#).send().await?;
    let password = || SecretValue::new("read/db").field("password");
    assert_eq!(ask(password()).await?.0, "second");
    assert_eq!(ask(SecretValue::new("read/db")).await?.0, r#"{"password":"second"}"#);
    assert_eq!(ask(password().version_stage("AWSPREVIOUS")).await?, ("first".to_owned(), first.clone()));
    assert_eq!(ask(password().version_id(&first)).await?.0, "first");
    let arn = made.arn.unwrap_or_default();
    assert_eq!(ask(SecretValue::new(&arn).field("/password")).await?.0, "second");
    client.create_secret().name("read/bytes").secret_binary(Blob::new([0xff, 0])).send().await?;
    assert_eq!(ask(SecretValue::new("read/bytes")).await?.0, "/wA=");
    let error = ask(SecretValue::new("read/db").field("user")).await.expect_err("it has none");
    assert_eq!(error.to_string(), "the secret `read/db` has no field `user`; it has `password`");
    let error = ask(SecretValue::new("read/none")).await.expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let text = error.to_string();
    assert!(text.contains("secretsmanager:GetSecretValue") && text.contains("`read/none` in eu-central-1"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_parameter_is_read_in_every_type_and_version() -> Outcome {
    let client = parameters();
    for (value, overwrite) in [(r#"{"port":5432}"#, false), ("second", true)] {
        let call = client.put_parameter().name("/read/db").value(value).overwrite(overwrite);
        call.r#type(ParameterType::SecureString).send().await?;
    }
    client.put_parameter().name("/read/plain").value("plain").r#type(ParameterType::String).send().await?;
    assert_eq!(ask_parameter(ParameterValue::new("/read/db")).await?, ("second".to_owned(), 2));
    let first = ParameterValue::new("/read/db").version("1");
    assert_eq!(ask_parameter(first.field("port")).await?, ("5432".to_owned(), 1));
    assert_eq!(ask_parameter(ParameterValue::new("/read/plain")).await?.0, "plain");
    let error = ask_parameter(ParameterValue::new("/read/none")).await.expect_err("there is none");
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{text}");
    assert!(text.contains("ssm:GetParameter") && text.contains("`/read/none` in eu-central-1"), "{text}");
    Ok(())
}

fn secret(name: &str, value: &str) -> Secret {
    Secret::new(value).name(name).recovery_window_days(0)
}

#[tokio::test]
async fn a_secret_is_made_read_rotated_and_deleted() -> Outcome {
    let (aws, cx, client) = (aws(), context::<Secret>("life-secret-0123456789012345678901"), secrets());
    let asked: SecretArgs = args("", secret("life/db", "first").tags([("team", "red")]));
    assert_eq!(Secret::is_name_free(&aws, &cx, &asked).await?, Some(true));
    let made = Secret::create(&aws, &cx, &asked).await?;
    assert!(made.id.starts_with("arn:aws:secretsmanager:eu-central-1:") && made.state.args == asked);
    assert_eq!(Secret::is_name_free(&aws, &cx, &asked).await?, Some(false));
    assert_eq!(Secret::read(&aws, &cx, &made.id, Some(&made.state)).await?.as_ref(), Some(&made.state));
    let wire = client.describe_secret().secret_id("life/db").send().await?;
    let mut keys: Vec<_> = wire.tags().iter().filter_map(|tag| tag.key()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["stackkit:lineage", "stackkit:token", "stackkit:urn", "team"]);

    // A description alone is no new version; a value is one.
    let described = args("", secret("life/db", "first").description("for orders").tags([("team", "blue")]));
    let changed = Secret::update(&aws, &cx, &made.id, &made.state, &described).await?;
    assert_eq!((&changed.args, &changed.version_id), (&described, &made.state.version_id));
    let cx = context::<Secret>("life-secret-1123456789012345678901");
    let rotated = args("", secret("life/db", "second").description("for orders"));
    let changed = Secret::update(&aws, &cx, &made.id, &changed, &rotated).await?;
    assert_ne!(changed.version_id, made.state.version_id);
    assert_eq!(changed.args, rotated);
    let wire = client.get_secret_value().secret_id("life/db").send().await?;
    assert_eq!(wire.secret_string(), Some("second"));

    // Many are read by a list, and what is not in it is gone.
    let gone = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:none-abcdef".to_owned();
    let mut items = vec![(made.id.clone(), Some(changed.clone())); 4];
    items.push((gone, None));
    let read = Secret::read_many(&aws, &cx, &items).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(read[0], Some(changed.clone()));
    assert_eq!(read[4], None);
    Secret::delete(&aws, &cx, &made.id, &changed).await?;
    assert_eq!(Secret::read(&aws, &cx, &made.id, Some(&changed)).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_secret_that_waits_for_its_deletion_is_gone_and_its_name_is_taken() -> Outcome {
    let (aws, cx) = (aws(), context::<Secret>("waits-secret-012345678901234567890"));
    let asked: SecretArgs = args("", Secret::new("x").name("waits/db").recovery_window_days(7));
    let made = Secret::create(&aws, &cx, &asked).await?;
    Secret::delete(&aws, &cx, &made.id, &made.state).await?;
    assert_eq!(Secret::read(&aws, &cx, &made.id, Some(&made.state)).await?, None);
    let error = Secret::is_name_free(&aws, &cx, &asked).await.expect_err("it is taken");
    assert!(error.to_string().contains("waits for its deletion"), "{error}");
    assert_eq!(Secret::validate(&args("", secret("a b", "x").recovery_window_days(3))).len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_secret_is_found_again_by_its_token() -> Outcome {
    let (aws, cx) = (aws(), context::<Secret>("find-secret-0123456789012345678901"));
    let asked: SecretArgs = args("", secret("find/db", "x"));
    let made = Secret::create(&aws, &cx, &asked).await?;
    let intent =
        |token: &str, free| Intent::<Secret> { args: asked.clone(), token: token.to_owned(), name_was_free: free };
    let found = Secret::find(&aws, &cx, &intent(cx.token(), Some(false))).await?;
    assert!(matches!(found, Found::Ours(found) if found.id == made.id));
    assert!(matches!(Secret::find(&aws, &cx, &intent("another", Some(true))).await?, Found::Nothing));
    let twice = Secret::create(&aws, &context::<Secret>("find-secret-9123456789012345678901"), &asked).await;
    assert_eq!(twice.expect_err("it is there").kind(), ErrorKind::Conflict);
    Ok(())
}

fn parameter(name: &str, value: &str) -> Parameter {
    Parameter::new(value).name(name)
}

#[tokio::test]
async fn a_parameter_is_made_read_rotated_and_deleted() -> Outcome {
    let (aws, cx, client) = (aws(), context::<Parameter>("life"), parameters());
    let asked: ParameterArgs = args("", parameter("/life/db", "first").tags([("team", "red")]));
    assert_eq!(Parameter::is_name_free(&aws, &cx, &asked).await?, Some(true));
    let made = Parameter::create(&aws, &cx, &asked).await?;
    assert_eq!((made.id.as_str(), &made.state.args, made.state.version), ("/life/db", &asked, 1));
    assert_eq!(Parameter::is_name_free(&aws, &cx, &asked).await?, Some(false));
    assert_eq!(Parameter::read(&aws, &cx, &made.id, Some(&made.state)).await?.as_ref(), Some(&made.state));
    let wire = client.get_parameter().name("/life/db").with_decryption(false).send().await?;
    let wire = wire.parameter.unwrap_or_else(|| panic!("it is there"));
    assert_eq!(wire.r#type(), Some(&ParameterType::SecureString));
    assert_ne!(wire.value(), Some("first"), "it is encrypted");

    let retagged = args("", parameter("/life/db", "first").tags([("team", "blue")]));
    let changed = Parameter::update(&aws, &cx, &made.id, &made.state, &retagged).await?;
    assert_eq!((&changed.args, changed.version), (&retagged, 1));
    let rotated = args("", parameter("/life/db", "second").tags([("team", "blue")]));
    let changed = Parameter::update(&aws, &cx, &made.id, &changed, &rotated).await?;
    assert_eq!(changed.version, 2);
    let wire = client.get_parameter().name("/life/db").with_decryption(true).send().await?;
    assert_eq!(wire.parameter().and_then(|found| found.value()), Some("second"));
    let items = [("/life/db".to_owned(), Some(changed.clone())), ("/life/none".to_owned(), None)];
    let read = Parameter::read_many(&aws, &cx, &items).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(read, [Some(changed.clone()), None]);

    let intent =
        |token: &str, free| Intent::<Parameter> { args: rotated.clone(), token: token.to_owned(), name_was_free: free };
    assert!(matches!(Parameter::find(&aws, &cx, &intent("life", Some(false))).await?, Found::Ours(_)));
    assert!(matches!(Parameter::find(&aws, &cx, &intent("other", Some(true))).await?, Found::Nothing));
    let twice = Parameter::create(&aws, &cx, &asked).await.expect_err("it is there");
    assert_eq!(twice.kind(), ErrorKind::Conflict, "{twice}");
    Parameter::delete(&aws, &cx, &made.id, &changed).await?;
    assert_eq!(Parameter::read(&aws, &cx, &made.id, Some(&changed)).await?, None);
    assert_eq!(Parameter::validate(&args("", parameter("/a b", "").tier("Best"))).len(), 3);
    Ok(())
}
