//! Files of the genuine sops whose data key opens with a key of a service. What says where a service is stands in the
//! environment, so this process starts itself again as the program.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use stackkit::lookup::Lookup as _;
use stackkit::resource::{Fields as _, Resource};
use stackkit::{Context, Provider as _, Urn, Value};
use stackkit_sops::{Sops, SopsFile};
use test_servers::{Moto, OpenBao};

/// The variable that names the folder to read in, in the process that reads.
const FOLDER: &str = "STACKKIT_TEST_FOLDER";

/// The arguments of a draft without references, as the engine resolves them.
fn args<R: Resource>(draft: R) -> R::Args {
    let fields = R::SCHEMA.fields.iter().zip(draft.into_values());
    let filled = fields.map(|(field, value)| match field.default {
        Some(default) if value.is_null() => default(),
        _ => value,
    });
    R::Args::from_values(&filled.collect::<Vec<Value>>()).unwrap()
}

/// What the other process runs: it reads `a` of `s.yaml` with what its environment says, and prints what came of it.
#[tokio::test]
async fn reads_where_it_is_told_to() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let sops = Sops::connect(()).await.unwrap();
    let context = Context::detached_in(Urn::new("sops:SopsFile", "t"), "t", folder);
    match SopsFile::look_up(&sops, &context, &args(SopsFile::new("s.yaml").field("a"))).await {
        Ok(found) => println!("it says {}", found.value.reveal()),
        Err(error) => println!("it is refused: {error}"),
    }
}

fn read(folder: &Path, env: &BTreeMap<&str, String>) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["reads_where_it_is_told_to", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env("HOME", folder)
        .envs(env)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn encrypt(folder: &Path, env: &BTreeMap<&str, String>, options: &[&str]) {
    let sops = test_servers::Sops::new().unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(folder.join("s.yaml"), "a: sesame\n").unwrap();
    let env: Vec<(&str, &String)> = env.iter().map(|(name, value)| (*name, value)).collect();
    let arguments = [&["encrypt"], options, &["--in-place", "s.yaml"]].concat();
    sops.run(folder, &env, &arguments).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_file_opens_with_a_key_of_the_transit_engine() {
    let bao = OpenBao::start().unwrap_or_else(|error| panic!("{error}"));
    for arguments in [&["secrets", "enable", "transit"][..], &["write", "-f", "transit/keys/infra"]] {
        bao.run(arguments).unwrap_or_else(|error| panic!("{error}"));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut env: BTreeMap<&str, String> = bao.env().into_iter().collect();
    env.insert("VAULT_TOKEN", bao.root_token().to_owned());
    env.insert("VAULT_ADDR", bao.endpoint().to_owned());
    encrypt(dir.path(), &env, &["--hc-vault-transit", &format!("{}/v1/transit/keys/infra", bao.endpoint())]);
    assert!(read(dir.path(), &env).contains("it says sesame"), "{}", read(dir.path(), &env));
    // Whoever may not is told what it takes; the address in the file is not asked.
    let denied = bao.run(&["token", "create", "-policy=default", "-field=token"]).unwrap();
    env.insert("BAO_TOKEN", denied);
    let said = read(dir.path(), &env);
    assert!(said.contains("it is refused") && said.contains("`update` on transit/decrypt/infra"), "{said}");
    env.insert("BAO_ADDR", "http://127.0.0.1:9".to_owned());
    let said = read(dir.path(), &env);
    assert!(said.contains("check VAULT_ADDR or BAO_ADDR"), "{said}");
}

#[test]
fn a_file_opens_with_a_key_of_kms() {
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(moto.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .build();
    let client = aws_sdk_kms::Client::new(&config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let key = runtime.block_on(client.create_key().send()).unwrap().key_metadata.unwrap().arn.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut env: BTreeMap<&str, String> = moto.env().into_iter().collect();
    encrypt(dir.path(), &env, &["--kms", &key, "--encryption-context", "app:shop"]);
    assert!(read(dir.path(), &env).contains("it says sesame"), "{}", read(dir.path(), &env));
    let text = std::fs::read_to_string(dir.path().join("s.yaml")).unwrap();
    std::fs::write(dir.path().join("s.yaml"), text.replace("app: shop", "app: else")).unwrap();
    let said = read(dir.path(), &env);
    assert!(said.contains("it is refused") && said.contains(&key), "{said}");
    std::fs::write(dir.path().join("s.yaml"), text.replace("arn: ", "role: arn:aws:iam::1:role/x\n          arn: "))
        .unwrap();
    let said = read(dir.path(), &env);
    assert!(said.contains("names a role"), "{said}");
    env.clear();
}
