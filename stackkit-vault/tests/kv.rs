//! Secrets of the KV engine, against a genuine OpenBao.

use std::collections::BTreeMap;

use secrecy::SecretString;
use stackkit::lookup::Lookup as _;
use stackkit::resource::{Fields as _, Resource};
use stackkit::{Context, Ephemeral, ErrorKind, Found, Intent, Managed as _, Urn, Value};
use stackkit_vault::kv::{Secret, SecretArgs, SecretValue};
use stackkit_vault::{Error, Server, Vault};
use test_servers::OpenBao;

fn bao() -> &'static OpenBao {
    OpenBao::shared().unwrap_or_else(|error| panic!("{error}"))
}

fn run(arguments: &[&str]) -> String {
    bao().run(arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn with_token(token: &str) -> Vault {
    let server = Server {
        address: Some(bao().endpoint().to_owned()),
        token: Some(SecretString::from(token)),
        ..Server::default()
    };
    Vault::with_server(&server).unwrap()
}

fn vault() -> Vault {
    with_token(bao().root_token())
}

fn context(token: &str) -> Context {
    Context::detached(Urn::new("vault:kv:Secret", token), token)
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

async fn read(vault: &Vault, question: SecretValue) -> Result<(String, u64), Error> {
    let found = SecretValue::look_up(vault, &context("t"), &args(question)).await?;
    Ok((found.value.reveal().clone(), found.read_version))
}

#[tokio::test]
async fn a_secret_is_read_whole_in_part_and_in_an_earlier_version() {
    let vault = vault();
    run(&["kv", "put", "secret/read/db", "password=first", "user=app"]);
    run(&["kv", "put", "secret/read/db", "password=second", "user=app"]);
    let whole = r#"{"password":"second","user":"app"}"#.to_owned();
    assert_eq!(read(&vault, SecretValue::new("read/db")).await.unwrap(), (whole, 2));
    let password = || SecretValue::new("read/db").field("password");
    assert_eq!(read(&vault, password()).await.unwrap(), ("second".to_owned(), 2));
    assert_eq!(read(&vault, password().version(1)).await.unwrap(), ("first".to_owned(), 1));
    run(&["secrets", "enable", "-path=team/kv", "-version=2", "kv"]);
    run(&["kv", "put", "-mount=team/kv", "db", "password=third"]);
    let other = SecretValue::new("db").mount("team/kv").field("password");
    assert_eq!(read(&vault, other).await.unwrap(), ("third".to_owned(), 1));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_source_and_way_out() {
    let root = vault();
    run(&["kv", "put", "secret/told/db", "password=hunter2-canary"]);
    run(&["kv", "put", "secret/told/gone", "password=x"]);
    run(&["kv", "delete", "secret/told/gone"]);
    let nobody = with_token(&run(&["token", "create", "-policy=default", "-field=token"]));
    let strange = with_token("s.nosuch");
    for (vault, question, kind, parts) in [
        (&root, SecretValue::new("told/none"), ErrorKind::NotFound, ["`told/none`", "write it"]),
        (&root, SecretValue::new("told/gone"), ErrorKind::NotFound, ["`told/gone`", "is deleted"]),
        (&root, SecretValue::new("told/db").version(7), ErrorKind::NotFound, ["version 7", "`told/db`"]),
        (&root, SecretValue::new("x").mount("nosuch"), ErrorKind::NotFound, ["`nosuch`", "check mount"]),
        (&root, SecretValue::new("told/db").field("pass"), ErrorKind::Invalid, ["`told/db`", "it has `password`"]),
        (&root, SecretValue::new("../sys"), ErrorKind::Invalid, ["`../sys`", "write it like"]),
        (&nobody, SecretValue::new("told/db"), ErrorKind::Denied, ["`told/db`", "`read` on secret/data/told/db"]),
        (&strange, SecretValue::new("told/db"), ErrorKind::Denied, ["`told/db`", "token"]),
    ] {
        let error = read(vault, question).await.unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == kind && parts.iter().all(|part| text.contains(part)), "{kind:?} {parts:?}: {text}");
        assert!(!text.contains("canary"), "{text}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server {
        address: Some(format!("http://127.0.0.1:{port}")),
        token: Some(SecretString::from("t")),
        ..Server::default()
    };
    let error = read(&Vault::with_server(&server).unwrap(), SecretValue::new("told/db")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Transient && error.to_string().contains("check VAULT_ADDR"), "{error}");
    let error = Vault::with_server(&Server { token: None, ..server }).unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("set VAULT_TOKEN"), "{error}");
}

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Ephemeral<String>> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Ephemeral::new((*value).to_owned()))).collect()
}

fn secret(path: &str, pairs: &[(&str, &str)]) -> SecretArgs {
    SecretArgs { data: data(pairs), path: path.to_owned(), mount: "secret".into() }
}

#[tokio::test]
async fn a_secret_is_written_read_rotated_and_deleted() {
    let (vault, cx) = (vault(), context("life"));
    let asked = secret("life/db", &[("password", "first")]);
    assert_eq!(Secret::is_name_free(&vault, &cx, &asked).await.unwrap(), Some(true));
    let made = Secret::create(&vault, &cx, &asked).await.unwrap();
    assert_eq!((made.id.as_str(), made.state.version), ("secret:life/db", 1));
    assert_eq!(run(&["kv", "get", "-field=password", "secret/life/db"]), "first");
    assert_eq!(Secret::is_name_free(&vault, &cx, &asked).await.unwrap(), Some(false));
    let seen = Secret::read(&vault, &cx, &made.id, Some(&made.state)).await.unwrap().unwrap();
    assert_eq!((seen.version, &*seen.path, &*seen.mount), (1, "life/db", "secret"));

    // The same data is no new version.
    let same = Secret::update(&vault, &cx, &made.id, &made.state, &asked).await.unwrap();
    assert_eq!(same.version, 1);
    let other = secret("life/db", &[("password", "second"), ("user", "app")]);
    let changed = Secret::update(&vault, &cx, &made.id, &made.state, &other).await.unwrap();
    assert_eq!(changed.version, 2);
    assert_eq!(run(&["kv", "get", "-field=password", "secret/life/db"]), "second");
    // Somebody else writes: it shows.
    run(&["kv", "put", "secret/life/db", "password=theirs"]);
    let seen = Secret::read(&vault, &cx, &made.id, Some(&changed)).await.unwrap().unwrap();
    assert_eq!(seen.version, 3);
    Secret::delete(&vault, &cx, &made.id, &seen).await.unwrap();
    assert!(Secret::read(&vault, &cx, &made.id, Some(&seen)).await.unwrap().is_none());
    Secret::delete(&vault, &cx, &made.id, &seen).await.unwrap();
}

#[tokio::test]
async fn a_strangers_secret_is_never_written_over_and_our_own_is_found_again() {
    let vault = vault();
    run(&["kv", "put", "secret/find/theirs", "password=theirs"]);
    let theirs = secret("find/theirs", &[("password", "ours")]);
    let error = Secret::create(&vault, &context("a"), &theirs).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(run(&["kv", "get", "-field=password", "secret/find/theirs"]), "theirs");

    let ours = secret("find/ours", &[("password", "ours")]);
    Secret::create(&vault, &context("token-1"), &ours).await.unwrap();
    let intent = |args: &SecretArgs, token: &str, name_was_free| Intent::<Secret> {
        args: args.clone(),
        token: token.to_owned(),
        name_was_free,
    };
    let cx = context("any");
    let find = async |intent: Intent<Secret>| match Secret::find(&vault, &cx, &intent).await.unwrap() {
        Found::Ours(made) => Some(made.id),
        Found::Nothing => None,
        Found::CannotTell => panic!("it can tell"),
    };
    assert_eq!(find(intent(&ours, "token-1", Some(false))).await.as_deref(), Some("secret:find/ours"));
    assert_eq!(find(intent(&ours, "token-2", Some(true))).await, None, "the tags say whose it is");
    assert_eq!(find(intent(&theirs, "token-1", Some(false))).await, None);
    // The run died between the secret and its tags.
    assert_eq!(find(intent(&theirs, "token-1", Some(true))).await.as_deref(), Some("secret:find/theirs"));
    assert_eq!(find(intent(&secret("find/none", &[]), "token-1", Some(true))).await, None);
}

#[test]
fn a_path_that_a_server_would_take_for_another_is_refused() {
    for path in ["/a", "a/", "a//b", "a/../b", ".", "a?b", "a%2fb", ""] {
        let problems = Secret::validate(&secret(path, &[]));
        assert_eq!(problems.len(), 1, "{path}: {problems:?}");
    }
    assert!(Secret::validate(&secret("app/db one", &[])).is_empty());
}
