//! A bucket of fake-gcs-server.

use acceptance::Sandbox;
use serde_json::Value;
use test_servers::FakeGcs;

use super::{Place, Store, address, block, fresh};
use crate::way::Way;

struct Bucket {
    endpoint: String,
    name: String,
}

impl Place {
    pub fn gcs() -> Self {
        let server = FakeGcs::shared().unwrap_or_else(|error| panic!("{error}"));
        let (way, name) = (Way::to(address(server.endpoint())), fresh());
        let url = format!(
            "gs://{name}/states?create=true&accept=uniform-access,public-access-prevention&project=test&ttl=2s\
             &endpoint=http://{}",
            way.address()
        );
        Self::at("Google Cloud Storage", url, way, Bucket { endpoint: server.endpoint().to_owned(), name })
    }
}

impl Bucket {
    fn objects_url(&self) -> String {
        format!("{}/storage/v1/b/{}/o", self.endpoint, self.name)
    }

    /// Every generation of every object that it has kept, with what is listed of them.
    async fn generations(&self) -> Vec<u8> {
        let (client, mut held, mut page) = (reqwest::Client::new(), Vec::new(), String::new());
        loop {
            let url = format!("{}?versions=true&maxResults=1000{page}", self.objects_url());
            let answer = client.get(url).send().await.expect("the objects");
            let listed = answer.error_for_status().expect("the objects").text().await.expect("a list");
            held.extend_from_slice(listed.as_bytes());
            let listed: Value = serde_json::from_str(&listed).expect("JSON");
            for object in listed["items"].as_array().into_iter().flatten() {
                let (name, generation) = (object["name"].as_str().expect("a name"), object["generation"].to_string());
                let (name, generation) = (name.replace('/', "%2F"), generation.replace('"', ""));
                let url = format!("{}/{name}?alt=media&generation={generation}", self.objects_url());
                let body = client.get(url).send().await.expect("an object").error_for_status().expect("an object");
                held.extend_from_slice(&body.bytes().await.expect("a body"));
                held.push(b'\n');
            }
            match listed["nextPageToken"].as_str() {
                Some(token) => page = format!("&pageToken={token}"),
                None => return held,
            }
        }
    }
}

impl Store for Bucket {
    fn held(&self, _: &Sandbox) -> Vec<u8> {
        block(self.generations())
    }

    fn plant(&self, _: &Sandbox, bytes: &[u8]) {
        let url = format!("{}/upload/storage/v1/b/{}/o?uploadType=media&name=planted", self.endpoint, self.name);
        let put = async { reqwest::Client::new().post(url).body(bytes.to_vec()).send().await?.error_for_status() };
        block(put).expect("planted");
    }
}
