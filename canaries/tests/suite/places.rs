//! Where states are kept and what keys open them. One more backend is one more function here, and a line in the tests.

use std::path::Path;

use acceptance::{Canary, Sandbox};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use secrecy::ExposeSecret as _;
use test_servers::{Localstack, Moto, OpenBao, Postgres};

type Env = Vec<(String, String)>;

/// A place for states.
pub struct Place {
    name: &'static str,
    /// What the program's environment says of it.
    pub env: Env,
    server: Server,
}

enum Server {
    Folder,
    Postgres(Postgres),
    S3(Localstack),
}

impl Place {
    /// The folder `.stackkit`.
    pub fn folder() -> Self {
        Self { name: "a folder", env: Vec::new(), server: Server::Folder }
    }

    /// A database of its own.
    pub fn postgres() -> Self {
        let server = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
        let env = vec![("STACKKIT_BACKEND".to_owned(), format!("{}?ttl=2s", server.url()))];
        Self { name: "PostgreSQL", env, server: Server::Postgres(server) }
    }

    /// A bucket of its own.
    pub fn s3() -> Self {
        let server = Localstack::start().unwrap_or_else(|error| panic!("{error}"));
        let mut env: Env = server.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        env.push(("STACKKIT_BACKEND".to_owned(), "s3://canaries/states?create=true&ttl=2s".to_owned()));
        Self { name: "S3", env, server: Server::S3(server) }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Everything that it holds now, versions included.
    pub fn held(&self, sandbox: &Sandbox) -> Vec<u8> {
        match &self.server {
            Server::Folder => {
                let files = std::fs::read_dir(sandbox.stack().join(".stackkit")).expect("a folder").flatten();
                files.flat_map(|file| std::fs::read(file.path()).unwrap_or_default()).collect()
            }
            Server::Postgres(server) => {
                let texts = ["entry", "chunk"]
                    .map(|table| format!("SELECT string_agg(encode(body, 'escape'), chr(10)) FROM stackkit.{table}"));
                let rows = ["stack", "snapshot"].map(|table| format!("SELECT * FROM stackkit.{table}"));
                let said =
                    texts.iter().chain(&rows).map(|sql| server.run(sql).unwrap_or_else(|error| panic!("{error}")));
                said.collect::<Vec<_>>().join("\n").into_bytes()
            }
            Server::S3(server) => block(objects(server.endpoint())),
        }
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .build()
}

/// Every version of every object.
async fn objects(endpoint: &str) -> Vec<u8> {
    let config = aws_sdk_s3::config::Builder::from(&config(endpoint)).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let listed = client.list_object_versions().bucket("canaries").send().await.expect("the versions");
    assert!(!listed.is_truncated().unwrap_or_default(), "there are more versions than one page shows");
    let mut held = Vec::new();
    for version in listed.versions() {
        let (key, id) = (version.key().expect("a key"), version.version_id().expect("a version"));
        let object = client.get_object().bucket("canaries").key(key).version_id(id).send().await.expect("an object");
        held.extend_from_slice(key.as_bytes());
        held.extend(object.body.collect().await.expect("a body").to_vec());
        for (name, value) in object.metadata.unwrap_or_default() {
            held.extend_from_slice(format!("\n{name}: {value}\n").as_bytes());
        }
    }
    held
}

/// What opens a stack.
pub struct Keys {
    /// As `stackkit.toml` names it; a key file and a passphrase need no name.
    spec: Option<String>,
    /// What the program's environment says of it.
    pub env: Env,
    /// What of it must not show either.
    pub secrets: Vec<(&'static str, Canary)>,
    _server: Service,
}

enum Service {
    None,
    Moto(#[allow(dead_code, reason = "it lives as long as the key")] Moto),
    OpenBao(#[allow(dead_code, reason = "it lives as long as the key")] OpenBao),
}

impl Keys {
    fn new(spec: Option<String>, env: Env) -> Self {
        Self { spec, env, secrets: Vec::new(), _server: Service::None }
    }

    /// The user's key file, as it is made by itself.
    pub fn file() -> Self {
        Self::new(None, Vec::new())
    }

    pub fn passphrase() -> Self {
        let text = format!("violet anchor {} pickle", Canary::new().reveal());
        let env = vec![("STACKKIT_PASSPHRASE".to_owned(), text.clone())];
        Self { secrets: vec![("the passphrase", Canary::of(&text))], ..Self::new(None, env) }
    }

    pub fn age() -> Self {
        let key = age::x25519::Identity::generate();
        let private = key.to_string().expose_secret().to_owned();
        let env = vec![("STACKKIT_AGE_IDENTITY".to_owned(), private.clone())];
        let secrets = vec![("the age key", Canary::of(&private))];
        Self { secrets, ..Self::new(Some(format!("age:{}", key.to_public())), env) }
    }

    pub fn kms() -> Self {
        let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
        let arn = block(async {
            let client = aws_sdk_kms::Client::new(&config(moto.endpoint()));
            let key = client.create_key().send().await.expect("a key").key_metadata.expect("its metadata");
            key.arn.expect("its ARN")
        });
        let env = moto.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { _server: Service::Moto(moto), ..Self::new(Some(format!("aws-kms:{arn}")), env) }
    }

    pub fn transit() -> Self {
        let bao = OpenBao::start().unwrap_or_else(|error| panic!("{error}"));
        for arguments in [&["secrets", "enable", "transit"][..], &["write", "-f", "transit/keys/infra"]] {
            bao.run(arguments).unwrap_or_else(|error| panic!("{error}"));
        }
        let env = bao.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let secrets = vec![("the token of OpenBao", Canary::of(bao.root_token()))];
        Self { secrets, _server: Service::OpenBao(bao), ..Self::new(Some("vault:transit/infra".to_owned()), env) }
    }

    /// Names the key for new stacks of a folder.
    pub fn announce(&self, folder: &Path) {
        if let Some(spec) = &self.spec {
            std::fs::write(folder.join("stackkit.toml"), format!("[secrets]\nkeys = [\"{spec}\"]\n")).expect("written");
        }
    }
}
