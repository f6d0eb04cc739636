//! Secrets of Secret Manager.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use stackkit::error::ProviderError as _;
use stackkit::lookup::Lookup as _;
use stackkit::resource::{Fields as _, Resource};
use stackkit::{Context, ErrorKind, Found, Intent, Managed as _, Urn, Value};
use stackkit_google::secretmanager::{OldVersions, Secret, SecretArgs, SecretState, SecretValue};
use stackkit_google::{Error, Google};

use crate::service::{Reply, Request, Service, assert_request, checksum, credentials};

/// A secret as the service keeps it.
#[derive(Default)]
struct Kept {
    about: Json,
    /// Data and state.
    versions: Vec<(String, &'static str)>,
}

type Secrets = Arc<Mutex<BTreeMap<String, Kept>>>;

/// What plays the service, in the project `acme`, whose number is 42.
fn answer(secrets: &mut BTreeMap<String, Kept>, request: &Request) -> Reply {
    let missing =
        |what: &str| Reply::error(404, "NOT_FOUND", &format!("Secret [{what}] not found or has no versions."));
    let path = request.path.strip_prefix("/v1/projects/acme/secrets").unwrap_or_else(|| panic!("{request:?}"));
    let method = request.method.as_str();
    if method == "POST" && path.is_empty() {
        let name = request.query.get("secretId").expect("a name").clone();
        if secrets.contains_key(&name) {
            return Reply::error(
                409,
                "ALREADY_EXISTS",
                &format!("Secret [projects/42/secrets/{name}] already exists."),
            );
        }
        let mut about = request.body.clone();
        about["name"] = format!("projects/42/secrets/{name}").into();
        secrets.insert(name, Kept { about: about.clone(), versions: Vec::new() });
        return Reply::ok(about);
    }
    let path = path.trim_start_matches('/');
    let (path, call) = path.split_once(':').unwrap_or((path, ""));
    let mut parts = path.split('/');
    let name = parts.next().unwrap_or_default().to_owned();
    let Some(kept) = secrets.get_mut(&name) else { return missing(&name) };
    let version = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some("versions"), version) => version,
        other => panic!("{other:?}"),
    };
    let about = |number: usize, state: &str| json!({ "name": format!("projects/42/secrets/{name}/versions/{number}"), "state": state, "createTime": "2026-11-01T00:00:00Z" });
    match (method, path.contains("/versions"), version, call) {
        ("GET", false, ..) => Reply::ok(kept.about.clone()),
        ("PATCH", false, ..) => {
            assert_eq!(request.query.get("updateMask").map(String::as_str), Some("labels"));
            kept.about["labels"] = request.body["labels"].clone();
            Reply::ok(kept.about.clone())
        }
        ("DELETE", false, ..) => {
            secrets.remove(&name);
            Reply::ok(json!({}))
        }
        ("POST", false, None, "addVersion") => {
            let data = request.body["payload"]["data"].as_str().expect("data").to_owned();
            let bytes = STANDARD.decode(&data).expect("base64");
            assert_eq!(request.body["payload"]["dataCrc32c"].as_str(), Some(checksum(&bytes).as_str()));
            kept.versions.push((data, "ENABLED"));
            Reply::ok(about(kept.versions.len(), "ENABLED"))
        }
        ("GET", true, None, "") => {
            let versions: Vec<Json> =
                kept.versions.iter().enumerate().rev().map(|(at, (_, state))| about(at + 1, state)).collect();
            // Pages of two, as one of a thousand would be.
            let from = request.query.get("pageToken").and_then(|token| token.parse().ok()).unwrap_or(0);
            let page: Vec<Json> = versions.iter().skip(from).take(2).cloned().collect();
            let next = if from + 2 < versions.len() { (from + 2).to_string() } else { String::new() };
            Reply::ok(json!({ "versions": page, "nextPageToken": next, "totalSize": versions.len() }))
        }
        (_, true, Some(version), call) => {
            let number = match version {
                "latest" | "current" => kept.versions.len(),
                number => number.parse().unwrap_or(0),
            };
            let Some((data, state)) = number.checked_sub(1).and_then(|at| kept.versions.get_mut(at)) else {
                return missing(&name);
            };
            match (method, call) {
                ("GET", "") => Reply::ok(about(number, state)),
                ("GET", "access") if *state != "ENABLED" => {
                    let said =
                        format!("Secret Version [projects/42/secrets/{name}/versions/{number}] is in {state} state.");
                    Reply::error(400, "FAILED_PRECONDITION", &said)
                }
                ("GET", "access") => {
                    let bytes = STANDARD.decode(&*data).expect("base64");
                    let payload = json!({ "data": data, "dataCrc32c": checksum(&bytes) });
                    Reply::ok(
                        json!({ "name": format!("projects/42/secrets/{name}/versions/{number}"), "payload": payload }),
                    )
                }
                ("POST", "disable") => {
                    *state = "DISABLED";
                    Reply::ok(about(number, state))
                }
                ("POST", "destroy") => {
                    (*data, *state) = (String::new(), "DESTROYED");
                    Reply::ok(about(number, state))
                }
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

fn service() -> (Service, Secrets, Google) {
    let secrets = Secrets::default();
    let kept = Arc::clone(&secrets);
    let service = Service::start(move |request| answer(&mut kept.lock().expect("not poisoned"), request));
    let google = Google::with_endpoint("acme", service.endpoint(), credentials()).unwrap();
    (service, secrets, google)
}

fn put(secrets: &Secrets, name: &str, versions: &[&[u8]]) {
    let versions = versions.iter().map(|bytes| (STANDARD.encode(bytes), "ENABLED")).collect();
    secrets.lock().unwrap().insert(name.into(), Kept { about: json!({ "name": name }), versions });
}

fn context(name: &str) -> Context {
    Context::detached(Urn::new("google:secretmanager:Secret", name), &format!("token of {name}"))
}

/// The arguments of a draft without references, as the engine resolves them.
fn args<R: Resource>(draft: R) -> R::Args {
    let fields = R::SCHEMA.fields.iter().zip(draft.into_values());
    let filled = fields.map(|(field, value)| match field.default {
        Some(default) if value.is_null() => default(),
        _ => value,
    });
    R::Args::from_values(&filled.collect::<Vec<Value>>()).unwrap()
}

async fn ask(google: &Google, question: SecretValue) -> Result<(String, u64), Error> {
    let found = SecretValue::look_up(google, &context("q"), &args(question)).await?;
    Ok((found.value.reveal().clone(), found.read_version))
}

#[tokio::test]
async fn a_secret_is_read_whole_in_part_and_in_an_earlier_version() {
    let (service, secrets, google) = service();
    put(&secrets, "db", &[br#"{"password":"first"}"#, br#"{"password":"second"}"#]);
    put(&secrets, "bytes", &[&[0xff, 0]]);
    assert_eq!(ask(&google, SecretValue::new("db")).await.unwrap(), (r#"{"password":"second"}"#.to_owned(), 2));
    assert_request(&service.requests()[0], "GET", "/v1/projects/acme/secrets/db/versions/latest:access");
    let password = || SecretValue::new("db").field("password");
    assert_eq!(ask(&google, password()).await.unwrap(), ("second".to_owned(), 2));
    assert_eq!(ask(&google, password().version("1")).await.unwrap(), ("first".to_owned(), 1));
    assert_eq!(ask(&google, password().version("current").project("acme")).await.unwrap().0, "second");
    assert_eq!(ask(&google, SecretValue::new("bytes")).await.unwrap().0, "/wA=");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_source_and_way_out() {
    let (service, secrets, google) = service();
    put(&secrets, "db", &[b"hunter2-canary", b"x"]);
    secrets.lock().unwrap().get_mut("db").unwrap().versions[0].1 = "DISABLED";
    for (question, kind, parts) in [
        (SecretValue::new("none"), ErrorKind::NotFound, ["not found", "`none` in the project acme"]),
        (SecretValue::new("db").version("7"), ErrorKind::NotFound, ["not found", "version 7"]),
        (SecretValue::new("db").version("1"), ErrorKind::Invalid, ["DISABLED state", "version 1"]),
        (SecretValue::new("db").field("pass"), ErrorKind::Invalid, ["`db`", "is no JSON"]),
        (SecretValue::new("a/b"), ErrorKind::Invalid, ["`a/b`", "letters, digits"]),
        (SecretValue::new("db").version("../1"), ErrorKind::Invalid, ["`version`", "alias"]),
        (SecretValue::new("db").project("a/b"), ErrorKind::Invalid, ["`project`", "no id"]),
    ] {
        let error = ask(&google, question).await.unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == kind && parts.iter().all(|part| text.contains(part)), "{kind:?} {parts:?}: {text}");
        assert!(!text.contains("canary"), "{text}");
    }
    service.next([Reply::error(403, "PERMISSION_DENIED", "Permission denied (or it may not exist).")]);
    let error = ask(&google, SecretValue::new("db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("allow them `secretmanager.versions.access`"), "{error}");
    service.next([Reply::error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.").with("retry-after", "90")]);
    let error = ask(&google, SecretValue::new("db")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after().map(|time| time.as_secs())), (ErrorKind::Throttled, Some(90)));
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_read_again_and_never_taken() {
    let (service, secrets, google) = service();
    put(&secrets, "db", &[b"right"]);
    let name = "projects/42/secrets/db/versions/1";
    let wrong = Reply::ok(json!({ "name": name, "payload": { "data": STANDARD.encode("wrong"), "dataCrc32c": "1" } }));
    service.next([wrong.clone(), wrong.clone()]);
    assert_eq!(ask(&google, SecretValue::new("db")).await.unwrap().0, "right");
    service.next(vec![wrong; 3]);
    let error = ask(&google, SecretValue::new("db")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Transient && error.to_string().contains("checksum"), "{error}");
    // A version that was made without one has none.
    service.next([Reply::ok(json!({ "name": name, "payload": { "data": STANDARD.encode("old") } }))]);
    assert_eq!(ask(&google, SecretValue::new("db")).await.unwrap().0, "old");
}

fn secret(name: &str, value: &str) -> Secret {
    Secret::new(value).name(name)
}

#[tokio::test]
async fn a_secret_is_made_read_rotated_and_deleted() {
    let (service, secrets, google) = service();
    let cx = context("life");
    let asked: SecretArgs =
        args(secret("life", "first").labels([("team", "red")]).locations(["europe-west3", "europe-west4"]));
    assert_eq!(Secret::is_name_free(&google, &cx, &asked).await.unwrap(), Some(true));
    service.requests();
    let made = Secret::create(&google, &cx, &asked).await.unwrap();
    assert_eq!((made.id.as_str(), &made.state.args, made.state.version), ("projects/acme/secrets/life", &asked, 1));
    let requests = service.requests();
    let [create, add] = requests.as_slice() else { panic!("{requests:?}") };
    assert_request(create, "POST", "/v1/projects/acme/secrets");
    assert_eq!(
        create.body,
        json!({
            "replication": { "userManaged": { "replicas": [{ "location": "europe-west3" }, { "location": "europe-west4" }] } },
            "labels": { "team": "red" },
            "annotations": {
                "stackkit.lineage": "test", "stackkit.urn": cx.urn().to_string(), "stackkit.token": "token of life",
            },
        })
    );
    assert_request(add, "POST", "/v1/projects/acme/secrets/life:addVersion");
    assert_eq!(Secret::is_name_free(&google, &cx, &asked).await.unwrap(), Some(false));
    assert_eq!(Secret::read(&google, &cx, &made.id, Some(&made.state)).await.unwrap().as_ref(), Some(&made.state));

    // A label alone is no new version; a value is one, and the old ones may go.
    let relabelled = SecretArgs { labels: [("team".to_owned(), "blue".to_owned())].into(), ..asked.clone() };
    let changed = Secret::update(&google, &cx, &made.id, &made.state, &relabelled).await.unwrap();
    assert_eq!((&changed.args, changed.version), (&relabelled, 1));
    for (value, version) in [("second", 2), ("third", 3), ("fourth", 4)] {
        let prior = SecretState { version: version - 1, ..changed.clone() };
        let rotated = SecretArgs { value: value.to_owned().into(), ..relabelled.clone() };
        let changed = Secret::update(&google, &cx, &made.id, &prior, &rotated).await.unwrap();
        assert_eq!(changed.version, version);
    }
    let states = || secrets.lock().unwrap()["life"].versions.iter().map(|(_, state)| *state).collect::<Vec<_>>();
    assert_eq!(states(), ["ENABLED"; 4]);
    let prior = SecretState { version: 4, ..changed.clone() };
    let disabling = SecretArgs { old_versions: OldVersions::Disable, ..changed.args.clone() };
    let same = Secret::update(&google, &cx, &made.id, &prior, &disabling).await.unwrap();
    assert_eq!((same.version, states()), (4, vec!["DISABLED", "DISABLED", "DISABLED", "ENABLED"]));
    let destroying =
        SecretArgs { old_versions: OldVersions::Destroy, value: "fifth".to_owned().into(), ..changed.args.clone() };
    let last = Secret::update(&google, &cx, &made.id, &prior, &destroying).await.unwrap();
    assert_eq!((last.version, states()), (5, [vec!["DESTROYED"; 4], vec!["ENABLED"]].concat()));
    assert_eq!(ask(&google, SecretValue::new("life")).await.unwrap(), ("fifth".to_owned(), 5));

    let gone = ("projects/acme/secrets/none".to_owned(), None);
    let items = [vec![(made.id.clone(), Some(last.clone())); 9], vec![gone]].concat();
    let read = Secret::read_many(&google, &cx, &items).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert!(read[..9].iter().all(|found| found.as_ref() == Some(&last)) && read[9].is_none());
    Secret::delete(&google, &cx, &made.id, &last).await.unwrap();
    assert_eq!(Secret::read(&google, &cx, &made.id, Some(&last)).await.unwrap(), None);
    assert_eq!(Secret::delete(&google, &cx, &made.id, &last).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_a_dead_run_made_is_found_and_finished_and_what_others_made_is_left_alone() {
    let (service, secrets, google) = service();
    let cx = context("half");
    let asked: SecretArgs = args(secret("half", "value"));
    // It is made, and the answer to its version gets lost.
    service.next([
        Reply::ok(json!({ "name": "projects/42/secrets/half" })),
        Reply::error(500, "INTERNAL", "Something broke."),
    ]);
    let error = Secret::create(&google, &cx, &asked).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("the next `up` finishes it"), "{error}");

    let about = |urn: &str| {
        let annotations = json!({ "stackkit.lineage": "test", "stackkit.urn": urn, "stackkit.token": "token of half" });
        json!({ "name": "projects/42/secrets/half", "replication": { "automatic": {} }, "annotations": annotations })
    };
    let urn = cx.urn().to_string();
    secrets.lock().unwrap().insert("half".into(), Kept { about: about(&urn), versions: Vec::new() });
    let intent =
        |token: &str| Intent::<Secret> { args: asked.clone(), token: token.to_owned(), name_was_free: Some(true) };
    assert!(matches!(Secret::find(&google, &cx, &intent("another")).await.unwrap(), Found::Nothing));
    let Found::Ours(found) = Secret::find(&google, &cx, &intent("token of half")).await.unwrap() else { panic!() };
    assert_eq!((found.id.as_str(), found.state.version), ("projects/acme/secrets/half", 0));
    // The update that follows an adoption writes the version that is missing, though the value is the same.
    let whole = Secret::update(&google, &cx, &found.id, &found.state, &asked).await.unwrap();
    assert_eq!((whole.version, ask(&google, SecretValue::new("half")).await.unwrap().0.as_str()), (1, "value"));
    // Another attempt at a create finds it finished, and does not write over it.
    let twice = Secret::create(&google, &cx, &asked).await.unwrap_err();
    assert!(twice.kind() == ErrorKind::Conflict && twice.to_string().contains("adopt it"), "{twice}");
    secrets.lock().unwrap().get_mut("half").unwrap().versions.clear();
    assert_eq!(Secret::create(&google, &cx, &asked).await.unwrap().state.version, 1);

    // Another resource's, and another stack's.
    secrets.lock().unwrap().insert("half".into(), Kept { about: about("other"), versions: Vec::new() });
    assert_eq!(Secret::create(&google, &cx, &asked).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(Secret::claimed_by(&google, &cx, "half", &found.state).await.unwrap(), None);
    secrets.lock().unwrap().get_mut("half").unwrap().about["annotations"]["stackkit.lineage"] = "theirs".into();
    assert_eq!(Secret::claimed_by(&google, &cx, "half", &found.state).await.unwrap().as_deref(), Some("theirs"));
    assert!(matches!(Secret::find(&google, &cx, &intent("token of half")).await.unwrap(), Found::Nothing));
}

#[tokio::test]
async fn what_the_service_would_refuse_is_refused_before() {
    let (_, _, google) = service();
    let bad = args(secret("a b", "").labels([("Team", "red")]).locations(["Europe"]));
    let problems = Secret::validate(&bad);
    let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["name", "value", "locations", "labels"]);
    assert_eq!(Secret::validate(&args(secret("ok", "x").labels([("team", "rot-1")]))), []);
    for id in ["projects/acme/secrets", "a/b", "../x", "projects/acme/secrets/a:destroy"] {
        let error = Secret::read(&google, &context("x"), id, None).await.unwrap_err();
        assert!(error.to_string().contains("names no secret"), "{id}: {error}");
    }
    assert!(Google::with_endpoint("a/b", "http://127.0.0.1:1", credentials()).is_err());
}
