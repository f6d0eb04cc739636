//! A container of azurite, which keeps no old versions.

use acceptance::Sandbox;
use futures_util::TryStreamExt as _;
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use test_servers::Azurite;

use super::{Place, Store, address, block, fresh};
use crate::way::Way;

struct Container {
    server: &'static Azurite,
    name: String,
}

impl Place {
    pub fn azure() -> Self {
        let server = Azurite::shared().unwrap_or_else(|error| panic!("{error}"));
        let (way, name) = (Way::to(address(server.endpoint())), fresh());
        let account = server.account();
        let url = format!(
            "azblob://{account}/{name}/states?create=true&accept=versioning&ttl=2s&endpoint=http://{}/{account}",
            way.address()
        );
        Self::at("Azure Blob Storage", url, way, Container { server, name }).with_env(server.env())
    }
}

impl Container {
    fn client(&self) -> MicrosoftAzure {
        let builder = MicrosoftAzureBuilder::new()
            .with_account(self.server.account())
            .with_access_key(self.server.key())
            .with_container_name(&self.name)
            .with_endpoint(self.server.endpoint().to_owned())
            .with_allow_http(true);
        builder.build().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Every blob, with its metadata.
    async fn blobs(&self) -> Vec<u8> {
        let client = self.client();
        let listed: Vec<_> = client.list(None).try_collect().await.expect("the blobs");
        let mut held = Vec::new();
        for blob in listed {
            let got = client.get(&blob.location).await.expect("a blob");
            held.extend_from_slice(format!("\n{}: {:?}\n", blob.location, got.attributes).as_bytes());
            held.extend_from_slice(&got.bytes().await.expect("a body"));
        }
        held
    }
}

impl Store for Container {
    fn held(&self, _: &Sandbox) -> Vec<u8> {
        block(self.blobs())
    }

    fn plant(&self, _: &Sandbox, bytes: &[u8]) {
        let put = async { self.client().put(&Path::from("states/planted"), bytes.to_vec().into()).await };
        block(put).expect("planted");
    }
}
