//! Secrets of Key Vault.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use azure_core::http::Method;
use serde_json::{Value as Json, json};
use stackkit::error::ProviderError as _;
use stackkit::lookup::Lookup as _;
use stackkit::resource::{Fields as _, Resource};
use stackkit::{Context, ErrorKind, Found, Intent, Managed as _, Urn, Value};
use stackkit_azure::keyvault::{Secret, SecretArgs, SecretState, SecretValue};
use stackkit_azure::{Azure, Error};

use crate::transport::{Asked, Reply, Token, Wire};

const VAULT: &str = "https://acme.vault.azure.net";

/// What the vault holds.
#[derive(Default)]
struct Kept {
    /// All versions of each, as the service gives them.
    live: BTreeMap<String, Vec<Json>>,
    deleted: BTreeMap<String, Vec<Json>>,
    /// How often a secret is looked for in vain before its recovery is done.
    slow: usize,
    recovering: HashMap<String, usize>,
}

type Shared = Arc<Mutex<Kept>>;

fn version_name(at: usize) -> String {
    format!("{:032x}", at + 1)
}

/// What plays the service.
fn vault(kept: &mut Kept, asked: &Asked) -> Reply {
    let missing = |name: &str| {
        let said = format!("A secret with (name/id) {name} was not found in this key vault.");
        Reply::error(404, "SecretNotFound", None, &said)
    };
    let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    match (asked.method, parts.as_slice()) {
        (Method::Get, ["secrets", name, version @ ..]) => {
            let left = kept.recovering.get_mut(*name);
            if let Some(left) = left.filter(|left| **left > 0) {
                *left -= 1;
                return missing(name);
            }
            let Some(versions) = kept.live.get(*name) else { return missing(name) };
            let found = match version {
                [] => versions.last(),
                [version, ..] => (0..versions.len()).find(|at| version_name(*at) == *version).map(|at| &versions[at]),
            };
            match found {
                Some(found) if found["attributes"]["enabled"] == false => {
                    let said = "Operation get is not allowed on a disabled secret.";
                    Reply::error(403, "Forbidden", Some("SecretDisabled"), said)
                }
                Some(found) => Reply::ok(found.clone()),
                None => missing(name),
            }
        }
        (Method::Get, ["deletedsecrets", name]) => match kept.deleted.get(*name).and_then(|versions| versions.last()) {
            Some(found) => {
                let mut found = found.clone();
                found["value"] = Json::Null;
                found["recoveryId"] = format!("{VAULT}/deletedsecrets/{name}").into();
                (found["deletedDate"], found["scheduledPurgeDate"]) = (1700000000.into(), 1707776000.into());
                Reply::ok(found)
            }
            None => missing(name),
        },
        (Method::Put, ["secrets", name]) => {
            if kept.deleted.contains_key(*name) {
                let said = format!(
                    "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused."
                );
                return Reply::error(409, "Conflict", Some("ObjectIsDeletedButRecoverable"), &said);
            }
            let versions = kept.live.entry((*name).to_owned()).or_default();
            let mut made = asked.body.clone();
            made["id"] = format!("{VAULT}/secrets/{name}/{}", version_name(versions.len())).into();
            for (field, value) in
                [("enabled", json!(true)), ("created", json!(1700000000)), ("updated", json!(1700000000))]
            {
                made["attributes"][field] = value;
            }
            versions.push(made.clone());
            Reply::ok(made)
        }
        (Method::Patch, ["secrets", name, version]) => {
            let versions = kept.live.get_mut(*name).expect("it is there");
            let at = (0..versions.len()).find(|at| version_name(*at) == *version).expect("a version");
            // What is left out stays, and the value is no part of it.
            for field in ["contentType", "tags"] {
                if let Some(value) = asked.body.get(field) {
                    versions[at][field] = value.clone();
                }
            }
            for (field, value) in asked.body["attributes"].as_object().into_iter().flatten() {
                versions[at]["attributes"][field] = value.clone();
            }
            let mut answer = versions[at].clone();
            answer.as_object_mut().expect("an object").remove("value");
            Reply::ok(answer)
        }
        (Method::Delete, ["secrets", name]) => match kept.live.remove(*name) {
            Some(versions) => {
                let answer = versions.last().cloned().unwrap_or_default();
                kept.deleted.insert((*name).to_owned(), versions);
                Reply::ok(answer)
            }
            None => missing(name),
        },
        (Method::Post, ["deletedsecrets", name, "recover"]) => match kept.deleted.remove(*name) {
            Some(versions) => {
                let answer = versions.last().cloned().unwrap_or_default();
                kept.live.insert((*name).to_owned(), versions);
                kept.recovering.insert((*name).to_owned(), kept.slow);
                Reply::ok(answer)
            }
            None => missing(name),
        },
        other => panic!("{other:?}"),
    }
}

fn service() -> (Wire, Shared, Azure) {
    let kept = Shared::default();
    let shared = Arc::clone(&kept);
    let wire = Wire::new(move |asked| vault(&mut shared.lock().expect("not poisoned"), asked));
    let azure = Azure::with_credential(Arc::new(Token(true)), wire.options());
    (wire, kept, azure)
}

fn put(kept: &Shared, name: &str, values: &[&str]) {
    let version = |(at, value): (usize, &&str)| {
        let id = format!("{VAULT}/secrets/{name}/{}", version_name(at));
        json!({ "id": id, "value": value, "contentType": "application/json", "attributes": { "enabled": true } })
    };
    let versions = values.iter().enumerate().map(version).collect();
    kept.lock().unwrap().live.insert(name.into(), versions);
}

fn context(name: &str) -> Context {
    Context::detached(Urn::new("azure:keyvault:Secret", name), &format!("token of {name}"))
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

async fn ask(azure: &Azure, question: SecretValue) -> Result<(String, String), Error> {
    let found = SecretValue::look_up(azure, &context("q"), &args(question)).await?;
    Ok((found.value.reveal().clone(), found.read_version.clone()))
}

#[tokio::test]
async fn a_secret_is_read_whole_in_part_and_in_an_earlier_version() {
    let (wire, kept, azure) = service();
    put(&kept, "db", &[r#"{"password":"first"}"#, r#"{"password":"second"}"#]);
    let whole = (r#"{"password":"second"}"#.to_owned(), version_name(1));
    assert_eq!(ask(&azure, SecretValue::new(VAULT, "db")).await.unwrap(), whole);
    assert_eq!(wire.asked(), ["GET /secrets/db"]);
    let password = || SecretValue::new(VAULT, "db").field("password");
    assert_eq!(ask(&azure, password()).await.unwrap().0, "second");
    assert_eq!(ask(&azure, password().version(version_name(0))).await.unwrap(), ("first".to_owned(), version_name(0)));
    let found = SecretValue::look_up(&azure, &context("q"), &args(password())).await.unwrap();
    assert_eq!(found.content_type.as_deref(), Some("application/json"));
    assert!(!format!("{found:?}").contains("second"), "{found:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_source_and_way_out() {
    let (wire, kept, azure) = service();
    put(&kept, "db", &["hunter2-canary", "x"]);
    put(&kept, "off", &["hunter2-canary"]);
    kept.lock().unwrap().live.get_mut("off").unwrap()[0]["attributes"]["enabled"] = false.into();
    let none = version_name(6);
    for (question, kind, parts) in [
        (SecretValue::new(VAULT, "none"), ErrorKind::NotFound, ["`none` of https://acme", "SecretNotFound"]),
        (SecretValue::new(VAULT, "db").version(none.as_str()), ErrorKind::NotFound, ["version 0000", "`db`"]),
        (SecretValue::new(VAULT, "off"), ErrorKind::Denied, ["SecretDisabled", "enable it"]),
        (SecretValue::new(VAULT, "db").field("pass"), ErrorKind::Invalid, ["`db`", "is no JSON"]),
        (SecretValue::new(VAULT, "a/b"), ErrorKind::Invalid, ["`a/b`", "letters, digits"]),
        (SecretValue::new(VAULT, "db").version("../x"), ErrorKind::Invalid, ["`version`", "without the URL"]),
        (SecretValue::new("https://evil.example", "db"), ErrorKind::Invalid, ["`vault`", "is no vault's address"]),
    ] {
        let error = ask(&azure, question).await.unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == kind && parts.iter().all(|part| text.contains(part)), "{kind:?} {parts:?}: {text}");
        assert!(!text.contains("canary"), "{text}");
    }
    wire.next([Reply::error(403, "Forbidden", Some("ForbiddenByRbac"), "Caller is not authorized.")]);
    let error = ask(&azure, SecretValue::new(VAULT, "db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("the role `Key Vault Secrets User`"), "{error}");
    wire.requests();
    let busy = Reply::error(429, "Throttled", None, "Too many requests.");
    wire.next([busy.clone(), busy.clone(), busy.clone(), busy.after(9)]);
    let error = ask(&azure, SecretValue::new(VAULT, "db")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after().map(|time| time.as_secs())), (ErrorKind::Throttled, Some(9)));
    assert_eq!(wire.asked().len(), 4);
    let nobody = Azure::with_credential(Arc::new(Token(false)), wire.options());
    let error = ask(&nobody, SecretValue::new(VAULT, "db")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("az login"), "{error}");
}

fn secret(name: &str, value: &str) -> Secret {
    Secret::new(VAULT, value).name(name)
}

#[tokio::test]
async fn a_secret_is_made_read_rotated_and_deleted() {
    let (wire, kept, azure) = service();
    let cx = context("life");
    let draft = || secret("life", "first").tags([("team", "red")]).content_type("text/plain");
    let asked: SecretArgs = args(draft().expires("2027-01-01T01:00:00+01:00").not_before("2026-01-01T00:00:00Z"));
    assert_eq!(Secret::is_name_free(&azure, &cx, &asked).await.unwrap(), Some(true));
    wire.requests();
    let made = Secret::create(&azure, &cx, &asked).await.unwrap();
    assert_eq!((made.id.as_str(), &made.state.args), ("https://acme.vault.azure.net/secrets/life", &asked));
    assert_eq!(
        (made.state.version.as_str(), &made.state.url),
        (version_name(0).as_str(), &format!("{}/{}", made.id, version_name(0)))
    );
    let requests = wire.requests();
    let [_, _, set] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((set.method, set.path.as_str()), (Method::Put, "/secrets/life"));
    assert_eq!(
        set.body,
        json!({
            "value": "first", "contentType": "text/plain",
            "attributes": { "exp": 1798761600, "nbf": 1767225600 },
            "tags": {
                "team": "red", "stackkit:lineage": "test", "stackkit:urn": cx.urn().to_string(),
                "stackkit:token": "token of life",
            },
        })
    );
    assert_eq!(Secret::is_name_free(&azure, &cx, &asked).await.unwrap(), Some(false));
    assert_eq!(Secret::read(&azure, &cx, &made.id, Some(&made.state)).await.unwrap().as_ref(), Some(&made.state));
    let imported = Secret::read(&azure, &cx, &made.id, None).await.unwrap().unwrap();
    assert_eq!((imported.expires.as_deref(), imported.vault.as_str()), (Some("2027-01-01T00:00:00Z"), VAULT));
    assert!(imported.value.reveal().is_empty(), "the value is not kept");

    // What stands beside the value is changed in place; a value is a new version.
    let retagged = SecretArgs { tags: [("team".to_owned(), "blue".to_owned())].into(), ..asked.clone() };
    wire.requests();
    let changed = Secret::update(&azure, &cx, &made.id, &made.state, &retagged).await.unwrap();
    assert_eq!((&changed.args, &changed.version), (&retagged, &made.state.version));
    assert_eq!(wire.asked(), [format!("PATCH /secrets/life/{}", version_name(0))]);
    let rotated = SecretArgs { value: "second".to_owned().into(), ..retagged.clone() };
    let changed = Secret::update(&azure, &cx, &made.id, &changed, &rotated).await.unwrap();
    assert_eq!((changed.version.as_str(), &changed.args), (version_name(1).as_str(), &rotated));
    // Key Vault takes nothing off a version, so a new one has to be without it.
    let forever = SecretArgs { expires: None, content_type: None, ..rotated };
    let changed = Secret::update(&azure, &cx, &made.id, &changed, &forever).await.unwrap();
    assert_eq!(changed.version, version_name(2));
    assert_eq!(Secret::read(&azure, &cx, &made.id, Some(&changed)).await.unwrap().as_ref(), Some(&changed));

    let gone = (format!("{VAULT}/secrets/none"), None);
    let items = [vec![(made.id.clone(), Some(changed.clone())); 9], vec![gone]].concat();
    let read = Secret::read_many(&azure, &cx, &items).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert!(read[..9].iter().all(|found| found.as_ref() == Some(&changed)) && read[9].is_none());
    Secret::delete(&azure, &cx, &made.id, &changed).await.unwrap();
    assert_eq!(Secret::read(&azure, &cx, &made.id, Some(&changed)).await.unwrap(), None);
    assert_eq!(Secret::delete(&azure, &cx, &made.id, &changed).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(kept.lock().unwrap().deleted.contains_key("life"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_secret_is_recovered_if_it_is_this_resources_and_left_alone_if_not() {
    let (wire, kept, azure) = service();
    let cx = context("back");
    let asked: SecretArgs = args(secret("back", "first"));
    let made = Secret::create(&azure, &cx, &asked).await.unwrap();
    Secret::delete(&azure, &cx, &made.id, &made.state).await.unwrap();
    kept.lock().unwrap().slow = 3;
    let again = SecretArgs { value: "again".to_owned().into(), ..asked.clone() };
    assert_eq!(Secret::is_name_free(&azure, &cx, &again).await.unwrap(), Some(true));
    wire.requests();
    let back = Secret::create(&azure, &cx, &again).await.unwrap();
    assert_eq!((back.state.version.as_str(), &back.state.args), (version_name(1).as_str(), &again));
    let requests = wire.asked();
    assert_eq!(requests[2], "POST /deletedsecrets/back/recover");
    assert_eq!(requests[3..], [vec!["GET /secrets/back"; 4], vec!["PUT /secrets/back"]].concat());
    assert_eq!(ask(&azure, SecretValue::new(VAULT, "back")).await.unwrap().0, "again");

    // A recovery that never ends is given up, and goes on with the next attempt.
    Secret::delete(&azure, &cx, &made.id, &back.state).await.unwrap();
    kept.lock().unwrap().slow = usize::MAX;
    let error = Secret::create(&azure, &cx, &again).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Transient && error.to_string().contains("still being recovered"), "{error}");
    kept.lock().unwrap().recovering.clear();
    assert_eq!(Secret::create(&azure, &cx, &again).await.unwrap().state.version, version_name(2));

    // Another resource's.
    Secret::delete(&azure, &cx, &made.id, &back.state).await.unwrap();
    wire.requests();
    for error in [
        Secret::create(&azure, &context("other"), &asked).await.map(drop).unwrap_err(),
        Secret::is_name_free(&azure, &context("other"), &asked).await.map(drop).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(error.kind() == ErrorKind::Conflict && text.contains("az keyvault secret recover"), "{text}");
    }
    assert!(wire.asked().iter().all(|request| request.starts_with("GET ")), "nothing was changed");
    // One that goes between the look and the call.
    let missing = || Reply::error(404, "SecretNotFound", None, "Not found.");
    wire.next([missing(), missing()]);
    let error = Secret::create(&azure, &cx, &asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("ObjectIsDeletedButRecoverable"), "{error}");
}

#[tokio::test]
async fn what_a_dead_run_made_is_found_and_what_others_made_is_not_written_over() {
    let (wire, kept, azure) = service();
    let cx = context("found");
    let asked: SecretArgs = args(secret("found", "x"));
    let made = Secret::create(&azure, &cx, &asked).await.unwrap();
    let intent =
        |token: &str| Intent::<Secret> { args: asked.clone(), token: token.to_owned(), name_was_free: Some(true) };
    let found = Secret::find(&azure, &cx, &intent("token of found")).await.unwrap();
    assert!(matches!(found, Found::Ours(found) if found.id == made.id && found.state == made.state));
    assert!(matches!(Secret::find(&azure, &cx, &intent("another")).await.unwrap(), Found::Nothing));
    wire.requests();
    let error = Secret::create(&azure, &context("other"), &asked).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("adopt it"), "{error}");
    assert_eq!(wire.asked(), ["GET /secrets/found"]);

    assert_eq!(Secret::claimed_by(&azure, &cx, &made.id, &made.state).await.unwrap(), None);
    kept.lock().unwrap().live.get_mut("found").unwrap()[0]["tags"]["stackkit:lineage"] = "theirs".into();
    assert_eq!(Secret::claimed_by(&azure, &cx, &made.id, &made.state).await.unwrap().as_deref(), Some("theirs"));
    assert!(matches!(Secret::find(&azure, &cx, &intent("token of found")).await.unwrap(), Found::Nothing));
    // Nobody knows whether it was written, so the engine looks.
    wire.next([Reply::error(404, "SecretNotFound", None, "x"), Reply::error(404, "SecretNotFound", None, "x")]);
    wire.next(vec![Reply::Nothing; 4]);
    let error = Secret::create(&azure, &cx, &asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    wire.next([Reply::error(409, "Conflict", Some("ObjectIsBeingDeleted"), "Secret is being deleted.")]);
    let prior = SecretState { version: version_name(0), ..made.state.clone() };
    let error = Secret::update(&azure, &cx, &made.id, &prior, &asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
}

#[tokio::test]
async fn what_the_vault_would_refuse_is_refused_before() {
    let (wire, _, azure) = service();
    let tags: Vec<(String, String)> = (0..13).map(|at| (format!("t{at}"), "x".to_owned())).collect();
    let bad = Secret::new("https://evil.example", "x".repeat(25 * 1024 + 1));
    let bad = bad.name("a b").content_type("").expires("tomorrow").not_before("2026-13-01T00:00:00Z").tags(tags);
    let problems = Secret::validate(&args(bad));
    let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["vault", "name", "value", "content_type", "expires", "not_before", "tags"]);
    assert_eq!(Secret::validate(&args(secret("ok", "x").tags([("stackkit:urn", "x")]))).len(), 1);
    assert_eq!(Secret::validate(&args(secret("ok", "x"))), []);
    for id in ["db", "https://evil.example/secrets/db", "https://acme.vault.azure.net/keys/db"] {
        let error = Secret::read(&azure, &context("x"), id, None).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("is no secret's URL"), "{error}");
    }
    assert_eq!(wire.asked(), [""; 0]);
}
