//! What the tests share: a provider for a moto server, and arguments as the engine would resolve them.

use std::collections::BTreeMap;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use stackkit::resource::{Fields, Resource};
use stackkit::{Context, Property, Urn, Value};
use stackkit_aws::Aws;
use test_servers::Moto;

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// One server for the tests that count nothing and break nothing.
pub fn shared() -> &'static Moto {
    Moto::shared().unwrap_or_else(|error| panic!("{error}"))
}

/// A configuration for one endpoint that takes nothing from the machine that the test runs on.
pub fn config(endpoint: &str, region: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .build()
}

pub fn aws(moto: &Moto) -> Aws {
    in_region(moto, "eu-central-1")
}

pub fn in_region(moto: &Moto, region: &str) -> Aws {
    Aws::with_config(config(moto.endpoint(), region)).unwrap_or_else(|error| panic!("{error}"))
}

pub fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The context of a resource of the type; name and token are the same text.
pub fn context<R: Resource>(name: &str) -> Context {
    Context::detached(Urn::new(R::SCHEMA.type_name, name), name)
}

/// The arguments of a draft without references, as the engine resolves them: defaults filled in, and a name made up.
pub fn args<R: Resource>(name: &str, draft: R) -> R::Args {
    let values: Vec<Value> = R::SCHEMA
        .fields
        .iter()
        .zip(draft.into_values())
        .map(|(field, value)| match (value, field.default) {
            (Value::Null, _) if field.name_mark => Value::text(name),
            (Value::Null, Some(default)) => default(),
            (value, _) => value,
        })
        .collect();
    R::Args::from_values(&values).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether both are the same to the engine.
pub fn same<T: Property>(a: &T, b: &T) -> bool {
    T::canonical(a.to_value()) == T::canonical(b.to_value())
}
