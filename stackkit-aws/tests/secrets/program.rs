//! A program that takes a secret from Secrets Manager and puts one into a parameter, as its users run it. This process is
//! the program too, so it has no harness.

use std::process::ExitCode;

use acceptance::{Canary, Sandbox};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use stackkit::prelude::*;
use stackkit_aws::{Aws, secretsmanager, ssm};
use test_servers::Moto;

#[stackkit::program(providers(Aws))]
async fn shop(stack: &mut Stack) -> Result<()> {
    let password = stack.data("db-password", secretsmanager::SecretValue::new("prod/db").field("password"));
    stack.add("password", ssm::Parameter::new(&password.value).name("/shop/password")).unprotected();
    stack
        .add(
            "url",
            secretsmanager::Secret::new(text!("postgres://app:{}@db", password.value))
                .name("shop/url")
                .recovery_window_days(0),
        )
        .unprotected();
    Ok(())
}

fn main() -> ExitCode {
    acceptance::itself(shop(), test)
}

fn test() {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(moto.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .build();
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let parameters = aws_sdk_ssm::Client::new(&config);
    let json = |canary: &Canary| format!(r#"{{"password":"{}"}}"#, canary.reveal());
    let there = || {
        let call = parameters.get_parameter().name("/shop/password").with_decryption(true).send();
        let found = runtime.block_on(call).unwrap_or_else(|error| panic!("{error:?}"));
        found.parameter.and_then(|found| found.value)
    };
    let sandbox = Sandbox::itself().with_env(moto.env());
    let (first, second) = (Canary::new(), Canary::new());

    let missing = sandbox.run(&["preview"]).expect(1);
    for part in ["aws:secretsmanager:SecretValue::db-password", "secretsmanager:GetSecretValue", "`prod/db`"] {
        assert!(missing.stderr.contains(part), "{part}: {}", missing.stderr);
    }
    let made = runtime.block_on(secrets.create_secret().name("prod/db").secret_string(json(&first)).send());
    made.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(sandbox.run(&["up", "--yes", "--json"]).expect(0).count("create"), 2);
    assert_eq!(there().as_deref(), Some(first.reveal()));
    assert_eq!(sandbox.run(&["up", "--yes", "--json"]).expect(0).count("same"), 2);

    let put = runtime.block_on(secrets.put_secret_value().secret_id("prod/db").secret_string(json(&second)).send());
    put.unwrap_or_else(|error| panic!("{error:?}"));
    let preview = sandbox.run(&["preview", "--detailed-exit-code"]).expect(2);
    assert_eq!(preview.stdout.matches("[secret] rotated").count(), 2, "{}", preview.stdout);
    sandbox.run(&["preview", "--save-plan", "plan", "--json"]).expect(0);
    assert_eq!(sandbox.run(&["up", "--plan", "plan", "--yes", "--json"]).expect(0).count("update"), 2);
    assert_eq!(there().as_deref(), Some(second.reveal()));
    assert_eq!(sandbox.run(&["up", "--yes", "--json"]).expect(0).count("same"), 2);
    sandbox.run(&["destroy", "--yes", "-v"]).expect(0);

    for canary in [first, second] {
        assert_eq!(sandbox.traces(&canary, &[]), Vec::<String>::new());
    }
    println!("a secret of Secrets Manager, rotated at its source");
}
