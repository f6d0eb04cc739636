//! A bucket of localstack.

use acceptance::Sandbox;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use test_servers::Localstack;

use super::{Place, Store, address, block, fresh};
use crate::way::Way;

struct Bucket {
    endpoint: String,
    name: String,
}

impl Place {
    pub fn s3() -> Self {
        let server = Localstack::shared().unwrap_or_else(|error| panic!("{error}"));
        let (way, name) = (Way::to(address(server.endpoint())), fresh());
        // By the URL, for a key of KMS may be on another server.
        let url = format!("s3://{name}/states?create=true&ttl=2s&endpoint=http://{}", way.address());
        let bucket = Bucket { endpoint: server.endpoint().to_owned(), name };
        Self::at("S3", url, way, bucket).with_env(server.env())
    }
}

impl Bucket {
    fn client(&self) -> Client {
        let credentials = Credentials::new("test", "test", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(&self.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build())
    }

    /// Every version of every object.
    async fn versions(&self) -> Vec<u8> {
        let client = self.client();
        let (mut held, mut key_marker, mut version_marker) = (Vec::new(), None, None);
        loop {
            let page = client.list_object_versions().bucket(&self.name);
            let page = page.set_key_marker(key_marker).set_version_id_marker(version_marker).send().await;
            let page = page.expect("the versions");
            for version in page.versions() {
                let (key, id) = (version.key().expect("a key"), version.version_id().expect("a version"));
                let object = client.get_object().bucket(&self.name).key(key).version_id(id).send().await;
                let object = object.expect("an object");
                held.extend_from_slice(format!("\n{key}: {:?}\n", object.metadata()).as_bytes());
                held.extend(object.body.collect().await.expect("a body").to_vec());
            }
            if !page.is_truncated().unwrap_or_default() {
                return held;
            }
            key_marker = page.next_key_marker().map(str::to_owned);
            version_marker = page.next_version_id_marker().map(str::to_owned);
        }
    }
}

impl Store for Bucket {
    fn held(&self, _: &Sandbox) -> Vec<u8> {
        block(self.versions())
    }

    fn plant(&self, _: &Sandbox, bytes: &[u8]) {
        block(async {
            let put = self.client().put_object().bucket(&self.name).key("states/planted");
            put.body(ByteStream::from(bytes.to_vec())).send().await.expect("planted");
        });
    }
}
