//! The backend against fake-gcs-server, with a way in between that hears requests: what a step costs, which buckets are
//! refused, and what people are told. Of who may read a bucket that server tells nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use stackkit::state::backend::{Backend, Holder};
use stackkit::state::lease::settled;
use stackkit::state::place::{BackendKind as _, BackendUrl, Place};
use stackkit::testing::backend::requests;
use stackkit_google::GcsState;
use test_servers::{FakeGcs, Lossy};

/// What a bucket of the server always lacks, and a project to make one in.
const ACCEPT: &str = "accept=uniform-access,public-access-prevention&project=test";

fn server() -> &'static FakeGcs {
    FakeGcs::shared().unwrap_or_else(|error| panic!("{error}"))
}

/// A way to the server of a test's own.
fn way() -> Lossy {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server().port()));
    Lossy::start(address).unwrap_or_else(|error| panic!("{error}"))
}

async fn place(way: &Lossy, url: &str) -> Arc<dyn Place> {
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}endpoint=http://{}", way.address());
    let url = BackendUrl::parse(&url, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    GcsState::open(url).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn stack(way: &Lossy, url: &str) -> Arc<dyn Backend> {
    place(way, url).await.stack("dev").unwrap_or_else(|error| panic!("{error}"))
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

/// Makes a bucket as somebody does who thinks of nothing.
async fn make(name: &str) {
    let request = reqwest::Client::new()
        .post(format!("{}/storage/v1/b?project=test", server().endpoint()))
        .header("content-type", "application/json")
        .body(format!(r#"{{"name":"{name}"}}"#));
    let answer = request.send().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.status().as_u16(), 200);
}

#[tokio::test]
async fn a_step_is_one_request_however_large_the_stack_is() {
    let way = way();
    let backend = stack(&way, &format!("gs://costs?create=true&{ACCEPT}&ttl=3600s")).await;
    // Where the requests go to, without names and numbers; an upload names its object elsewhere.
    let heard = || {
        let kind = |request: String| {
            let (method, path) = request.split_once(' ').unwrap_or_default();
            let known = ["/upload/", "/costs/locks/", "%2Flog%2F"].into_iter().find(|known| path.contains(known));
            format!("{method} {}", known.unwrap_or(path))
        };
        way.requests().into_iter().map(kind).collect()
    };
    for size in requests(backend, heard).await.unwrap_or_else(|error| panic!("{error}")) {
        assert!(size.steps.iter().all(|step| *step == ["POST /upload/"]), "{size:?}");
        // The four entries go one by one: the service takes no more at once.
        let mut fold = size.fold.clone();
        fold.dedup();
        assert_eq!(fold, ["GET /costs/locks/", "POST /upload/", "DELETE %2Flog%2F"], "{size:?}");
        assert_eq!(size.fold.len(), 2 + 4, "{size:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_was_made_by_hand_is_refused_until_it_is_fit() {
    let way = way();
    make("by-hand").await;
    let text = refusal(stack(&way, "gs://by-hand").await).await;
    for (what, command) in [
        ("keeps no old versions", "gcloud storage buckets update gs://by-hand --versioning"),
        ("access lists of their own", "gcloud storage buckets update gs://by-hand --uniform-bucket-level-access"),
        ("opened to the public", "gcloud storage buckets update gs://by-hand --public-access-prevention"),
    ] {
        assert!(text.contains(what) && text.contains(command), "{text}");
    }
    let text = refusal(stack(&way, &format!("gs://by-hand?{ACCEPT}")).await).await;
    assert!(text.contains("keeps no old versions") && !text.contains("opened to the public"), "{text}");
    let all = "accept=versioning,uniform-access,public-access-prevention";
    assert_eq!(refusal(stack(&way, &format!("gs://by-hand?{all}")).await).await, "");
    // It was looked at before the first lock alone.
    way.requests();
    assert_eq!(refusal(stack(&way, "gs://by-hand").await).await, "");
    let requests = way.requests();
    assert!(!requests.is_empty() && !requests.iter().any(|request| request.contains("/b/by-hand?")), "{requests:?}");
}

#[tokio::test]
async fn a_bucket_is_made_where_the_url_says_so() {
    let way = way();
    let missing = refusal(stack(&way, "gs://acme-made").await).await;
    assert!(missing.contains("there is no bucket `acme-made`") && missing.contains("?create=true"), "{missing}");
    let url = format!("gs://acme-made/a?create=true&{ACCEPT}");
    let backend = stack(&way, &url).await;
    assert!(backend.load().await.is_ok_and(|loaded| loaded.snapshot.is_none()), "nothing is in it yet");
    assert_eq!(place(&way, &url).await.list().await.ok(), Some(Vec::new()));
    // With old versions, which the URL does not go without.
    assert_eq!(refusal(backend).await, "");
    assert_eq!(refusal(stack(&way, &format!("gs://acme-made/b?{ACCEPT}")).await).await, "");
}

#[tokio::test]
async fn two_prefixes_of_one_bucket_know_nothing_of_each_other() {
    let way = way();
    let one = place(&way, &format!("gs://prefixes/a?create=true&{ACCEPT}")).await;
    let two = place(&way, &format!("gs://prefixes/b?create=true&{ACCEPT}")).await;
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
    let backend = stack(&way, &format!("gs://lost?create=true&{ACCEPT}&ttl=3600s")).await;
    let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    let mut position = Default::default();
    for n in 1..=3 {
        way.lose_answer_to(br#""name":"stacks/dev/log/"#);
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
async fn a_listing_goes_on_page_after_page() {
    let way = way();
    let backend = stack(&way, &format!("gs://pages?create=true&{ACCEPT}&ttl=3600s")).await;
    let lease = backend.acquire(holder()).await.unwrap_or_else(|error| panic!("{error}"));
    let mut position = Default::default();
    for n in 1..=1100 {
        let entry = format!(r#"{{"stackkit":1,"n":{n}}}"#);
        position = backend.append(&*lease, position, entry.as_bytes()).await.unwrap_or_else(|error| panic!("{error}"));
    }
    way.requests();
    let loaded = backend.load().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((loaded.entries.len(), loaded.position), (1100, position));
    let pages = way.requests().iter().filter(|request| request.contains("/storage/v1/b/pages/o?")).count();
    assert_eq!(pages, 2);
    drop(lease);
    settled().await;
}
