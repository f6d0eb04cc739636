//! The backend against azurite, with a way in between that hears requests: what a step costs, which containers are refused,
//! and what people are told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use http::{HeaderValue, Method};
use object_store::ClientOptions;
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential, MicrosoftAzureBuilder};
use object_store::client::{HttpConnector as _, HttpRequest, HttpRequestBody, ReqwestConnector};
use stackkit::state::backend::{Backend, BackendError, Holder};
use stackkit::state::lease::settled;
use stackkit::state::place::{BackendUrl, Place};
use stackkit::testing::backend::requests;
use stackkit_azure::AzureBlobState;
use test_servers::{Azurite, Lossy};

fn server() -> &'static Azurite {
    Azurite::shared().unwrap_or_else(|error| panic!("{error}"))
}

/// A way to the server of a test's own.
fn way() -> Lossy {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server().port()));
    Lossy::start(address).unwrap_or_else(|error| panic!("{error}"))
}

fn place_with(way: &Lossy, rest: &str, key: &str) -> Arc<dyn Place> {
    let separator = if rest.contains('?') { '&' } else { '?' };
    let account = server().account();
    let url = format!("azblob://{account}/{rest}{separator}endpoint=http://{}/{account}", way.address());
    let url = BackendUrl::parse(&url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    let builder = MicrosoftAzureBuilder::new().with_access_key(key);
    AzureBlobState::with_builder(&url, builder).unwrap_or_else(|error| panic!("{error}"))
}

fn place(way: &Lossy, rest: &str) -> Arc<dyn Place> {
    place_with(way, rest, server().key())
}

fn stack(way: &Lossy, rest: &str) -> Arc<dyn Backend> {
    place(way, rest).stack("dev").unwrap_or_else(|error| panic!("{error}"))
}

fn holder() -> Holder {
    Holder::new("test").unwrap_or_else(|error| panic!("{error}"))
}

/// Why a lock is not given; nothing where it is.
async fn refusal(backend: Arc<dyn Backend>) -> String {
    let refusal = match backend.acquire(holder()).await {
        Err(error) => error.to_string(),
        Ok(_) => String::new(),
    };
    settled().await;
    refusal
}

/// Makes a container that everybody may read.
async fn make_public(container: &str) {
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = Method::PUT;
    let address = format!("{}/{container}?restype=container", server().endpoint());
    *request.uri_mut() = address.parse().unwrap_or_else(|error| panic!("{error}"));
    request.headers_mut().insert("x-ms-blob-public-access", HeaderValue::from_static("container"));
    request.headers_mut().insert("content-length", HeaderValue::from_static("0"));
    let key = AzureAccessKey::try_new(server().key()).unwrap_or_else(|error| panic!("{error}"));
    let credential = AzureCredential::AccessKey(key);
    let signed = AzureAuthorizer::new(&credential, server().account()).try_authorize(&mut request);
    signed.unwrap_or_else(|error| panic!("{error}"));
    let options = ClientOptions::new().with_allow_http(true);
    let client = ReqwestConnector::default().connect(&options).unwrap_or_else(|error| panic!("{error}"));
    let answer = client.execute(request).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.status().as_u16(), 201);
}

#[tokio::test]
async fn a_step_is_one_request_however_large_the_stack_is() {
    let way = way();
    let backend = stack(&way, "costs?create=true&accept=versioning&ttl=3600s");
    // Where the requests go to, without names and numbers.
    let heard = || {
        let kind = |request: String| {
            let (method, path) = request.split_once(' ').unwrap_or_default();
            let folder = ["/log/", "/snap/", "/locks/", "comp=batch"].into_iter().find(|folder| path.contains(folder));
            format!("{method} {}", folder.unwrap_or(path))
        };
        way.requests().into_iter().map(kind).collect()
    };
    for size in requests(backend, heard).await.unwrap_or_else(|error| panic!("{error}")) {
        assert!(size.steps.iter().all(|step| *step == ["PUT /log/"]), "{size:?}");
        assert_eq!(size.fold, ["GET /locks/", "PUT /snap/", "POST comp=batch"], "{} resources", size.resources);
    }
}

#[tokio::test]
async fn a_container_that_is_open_is_refused_and_an_account_without_versions() {
    let way = way();
    make_public("by-hand").await;
    let text = refusal(stack(&way, "by-hand")).await;
    for (what, command) in [
        ("keeps no old versions", "az storage account blob-service-properties update --account-name devstoreaccount1"),
        ("open to the public", "az storage container set-permission --account-name devstoreaccount1 --name by-hand"),
    ] {
        assert!(text.contains(what) && text.contains(command), "{text}");
    }
    let text = refusal(stack(&way, "by-hand?accept=versioning")).await;
    assert!(!text.contains("old versions") && text.contains("open to the public"), "{text}");
    assert_eq!(refusal(stack(&way, "by-hand?accept=versioning,private-access")).await, "");
    // It was looked at before the first lock alone.
    way.requests();
    assert_eq!(refusal(stack(&way, "by-hand")).await, "");
    let requests = way.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.contains("/locks/dev")), "{requests:?}");
}

#[tokio::test]
async fn a_container_is_made_where_the_url_says_so() {
    let way = way();
    let missing = refusal(stack(&way, "made?accept=versioning")).await;
    assert!(missing.contains("there is no container `made`") && missing.contains("?create=true"), "{missing}");
    let backend = stack(&way, "made/a?create=true&accept=versioning");
    assert!(backend.load().await.is_ok_and(|loaded| loaded.snapshot.is_none()), "nothing is in it yet");
    assert_eq!(place(&way, "made/a?create=true").list().await.ok(), Some(Vec::new()));
    assert_eq!(refusal(backend).await, "");
    // Closed without a word in the URL, for another stack too.
    assert_eq!(refusal(stack(&way, "made/b?accept=versioning")).await, "");
}

#[tokio::test]
async fn two_prefixes_of_one_container_know_nothing_of_each_other() {
    let way = way();
    let made = "?create=true&accept=versioning";
    let (one, two) = (place(&way, &format!("prefixes/a{made}")), place(&way, &format!("prefixes/b{made}")));
    let backend = one.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    let entry = br#"{"stackkit":1,"n":1}"#;
    backend.append(&*lease, Default::default(), entry).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(one.list().await.ok(), Some(vec!["dev".to_owned()]));
    assert_eq!(two.list().await.ok(), Some(Vec::new()));
    let other = two.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(refusal(other).await, "");
    drop(lease);
    settled().await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_recognised() {
    let way = way();
    let backend = stack(&way, "lost?create=true&accept=versioning&ttl=3600s");
    let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    let mut position = Default::default();
    for n in 1..=3 {
        way.lose_answer_to(b"/lost/stacks/dev/log/");
        let entry = format!(r#"{{"stackkit":1,"n":{n}}}"#);
        position =
            backend.append(&*lease, position, entry.as_bytes()).await.unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(position.0, n);
        assert!(!way.waits(), "no answer was lost");
    }
    let loaded = backend.load().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.entries.len(), 3, "each is there once");
    drop(lease);
    settled().await;
}

#[tokio::test]
async fn credentials_that_are_not_accepted_are_said_and_not_shown() {
    let way = way();
    let key = "bm90IHRoZSBrZXkgb2YgdGhpcyBhY2NvdW50LCBhcyBhbnlib2R5IGNhbiBzZWU=";
    let place = place_with(&way, "denied?create=true", key);
    assert!(!format!("{place:?}").contains(key) && !format!("{place:?}").contains("[110, 111"), "{place:?}");
    let backend = place.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    match backend.acquire(holder()).await {
        Err(BackendError::Denied { what, place, source }) => {
            let text = source.to_string();
            assert!(text.contains("AuthorizationFailure") && text.contains("Storage Blob Data Contributor"), "{text}");
            assert!(what == "read" && place.starts_with("azblob://devstoreaccount1/denied") && !text.contains(key));
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a wrong key opens the place"),
    }
}
