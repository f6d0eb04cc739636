//! Keys of Key Vault and of managed HSMs.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use azure_core::http::Method;
use serde_json::{Value as Json, json};
use stackkit::seal::{
    DataKey, KeyKind as _, KeyOptions, KeyProvider, KeyTrouble, LinkedKeys, SealError, Setting, WrappedKey, base64,
    create_with, unbase64, unlock_with,
};
use stackkit_azure::{KeyVault, KeyVaultKey};

use crate::transport::{Asked, Reply, Token, Wire};

const KEY: &str = "https://acme.vault.azure.net/keys/infra";

/// A key: what it is, and whether each of its versions is enabled.
struct Kept {
    kty: &'static str,
    operations: Json,
    versions: Vec<bool>,
}

type Shared = Arc<Mutex<Kept>>;

fn version_name(at: usize) -> String {
    format!("{:032x}", at + 1)
}

/// What plays the service. A wrapped key is the number of the version and the turned key.
fn vault(kept: &mut Kept, asked: &Asked) -> Reply {
    let missing = || {
        Reply::error(
            404,
            "KeyNotFound",
            None,
            "A key with (name/id) other was not found in this key vault. If you recently deleted it you may be able to recover it.",
        )
    };
    let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    let (version, call) = match (parts.as_slice(), asked.method) {
        (["keys", "infra"], Method::Get) => (None, "get"),
        (["keys", "infra", version], Method::Get) => (Some(*version), "get"),
        (["keys", "infra", version, call], Method::Post) => (Some(*version), *call),
        _ => return missing(),
    };
    let at = match version {
        None => kept.versions.len() - 1,
        Some(version) => match (0..kept.versions.len()).find(|at| version_name(*at) == version) {
            Some(at) => at,
            None => return missing(),
        },
    };
    let kid = format!("https://{}/keys/infra/{}", asked.host, version_name(at));
    if call == "get" {
        return Reply::ok(json!({
            "key": { "kid": kid, "kty": kept.kty, "key_ops": kept.operations, "n": "AQAB", "e": "AQAB" },
            "attributes": {
                "enabled": kept.versions[at], "created": 1700000000, "updated": 1700000000,
                "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
            },
        }));
    }
    if !kept.versions[at] {
        let said = format!("Operation {call} is not allowed on a disabled key.");
        return Reply::error(403, "Forbidden", Some("KeyDisabled"), &said);
    }
    let algorithm = if kept.kty.starts_with("oct") { "A256KW" } else { "RSA-OAEP-256" };
    let value = asked.body["value"].as_str().and_then(unbase64).expect("a value");
    if asked.body["alg"] != algorithm {
        return Reply::error(400, "BadParameter", None, "Key and algorithm do not fit.");
    }
    let turned = |bytes: &[u8]| bytes.iter().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>();
    let value = match call {
        "wrapkey" => [&[at as u8], turned(&value).as_slice()].concat(),
        "unwrapkey" => match value.split_first() {
            Some((&first, rest)) if usize::from(first) == at && rest.len() == 32 => turned(rest),
            _ => return Reply::error(400, "BadParameter", None, "The parameter is incorrect.\r\n"),
        },
        other => panic!("{other}"),
    };
    Reply::ok(json!({ "kid": kid, "value": base64(&value) }))
}

fn service(kty: &'static str) -> (Wire, Shared) {
    let operations = json!(["sign", "verify", "wrapKey", "unwrapKey", "encrypt", "decrypt"]);
    let kept = Arc::new(Mutex::new(Kept { kty, operations, versions: vec![true] }));
    let shared = Arc::clone(&kept);
    (Wire::new(move |asked| vault(&mut shared.lock().expect("not poisoned"), asked)), kept)
}

fn at(url: &str, wire: &Wire) -> KeyVaultKey {
    KeyVaultKey::parse(url).unwrap().with_credential(Arc::new(Token(true)), wire.options())
}

fn trouble(error: &SealError) -> KeyTrouble {
    match error {
        SealError::Provider { trouble, .. } => *trouble,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_key_wraps_for_one_stack_and_opens_nothing_else() {
    let (wire, _) = service("RSA");
    let (key, data) = (at(KEY, &wire), DataKey::generate().unwrap());
    let wrapped = key.wrap(&data, "lineage").await.unwrap();
    let first = version_name(0);
    assert_eq!(wire.asked(), ["GET /keys/infra".to_owned(), format!("POST /keys/infra/{first}/wrapkey")]);
    assert_eq!((wrapped.kind.as_str(), wrapped.id.as_str()), ("azure-key-vault", KEY));
    assert_eq!((wrapped.text("version"), wrapped.text("algorithm")), (Some(first.as_str()), Some("RSA-OAEP-256")));
    assert_eq!(key.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
    let requests = wire.requests();
    let [asked] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(asked.path, format!("/keys/infra/{first}/unwrapkey"));
    assert_eq!(asked.body, json!({ "alg": "RSA-OAEP-256", "value": wrapped.text("key") }));
    // The service never has the data key, only the key that is made for it.
    assert_ne!(unbase64(wrapped.text("key").unwrap()).unwrap()[1..], data.reveal().map(|byte| byte ^ 0x5a));

    // Another stack, another key, and damage: the service binds nothing, what it wrapped does.
    let other = key.unwrap(&wrapped, "other lineage").await.unwrap_err();
    assert!(matches!(other, SealError::WrappedKey { .. }), "{other}");
    let moved = WrappedKey { id: "https://acme.vault.azure.net/keys/other".into(), ..wrapped.clone() };
    assert!(matches!(key.unwrap(&moved, "lineage").await, Err(SealError::WrappedKey { .. })));
    let with = |name: &str, text: &str| {
        let mut edited = wrapped.clone();
        edited.settings.insert(name.into(), Setting::Text(text.into()));
        edited
    };
    let edited = with("key", &base64(&[0; 33]));
    assert!(matches!(key.unwrap(&edited, "lineage").await, Err(SealError::WrappedKey { .. })));
    let refused = key.unwrap(&with("key", &base64(&[7; 40])), "lineage").await.unwrap_err();
    assert_eq!(trouble(&refused), KeyTrouble::Refused, "{refused}");
    wire.requests();
    for edited in [with("version", "../x"), with("algorithm", "RSA1_5"), with("key", "!")] {
        assert!(matches!(key.unwrap(&edited, "lineage").await, Err(SealError::WrappedKey { .. })));
    }
    assert_eq!(wire.asked(), [""; 0], "what makes no sense is not asked for");
}

#[tokio::test]
async fn a_rotation_of_the_vaults_key_locks_nobody_out() {
    let (wire, kept) = service("RSA-HSM");
    let (key, data) = (at(KEY, &wire), DataKey::generate().unwrap());
    let old = key.wrap(&data, "lineage").await.unwrap();
    kept.lock().unwrap().versions.push(true);
    assert_eq!(key.unwrap(&old, "lineage").await.unwrap().id(), data.id());
    // What is wrapped from now on is wrapped by the new version, also by whoever knows the header alone.
    let again = KeyVault::of(&old).map(|_| at(&old.id, &wire)).unwrap().wrap(&data, "lineage").await.unwrap();
    assert_eq!(again.text("version"), Some(version_name(1).as_str()));
    assert_eq!(key.unwrap(&again, "lineage").await.unwrap().id(), data.id());
    // A URL with a version means that one.
    let pinned = at(&format!("{KEY}/{}", version_name(0)), &wire);
    let wrapped = pinned.wrap(&data, "lineage").await.unwrap();
    assert_eq!(
        (wrapped.text("version"), &wrapped.id),
        (Some(version_name(0).as_str()), &format!("{KEY}/{}", version_name(0)))
    );
    // An old version that is disabled opens nothing, and says so.
    kept.lock().unwrap().versions[0] = false;
    let error = key.unwrap(&old, "lineage").await.unwrap_err();
    assert_eq!(trouble(&error), KeyTrouble::Disabled, "{error}");
    assert!(error.to_string().contains("enable it") && error.to_string().contains("KeyDisabled"), "{error}");
    assert_eq!(trouble(&pinned.wrap(&data, "lineage").await.unwrap_err()), KeyTrouble::Disabled);
}

#[tokio::test]
async fn a_symmetric_key_of_a_managed_hsm_wraps_too_and_others_do_not() {
    let hsm = "https://acme.managedhsm.azure.net/keys/infra";
    let (wire, kept) = service("oct-HSM");
    let (key, data) = (at(hsm, &wire), DataKey::generate().unwrap());
    let wrapped = key.wrap(&data, "lineage").await.unwrap();
    assert_eq!((wrapped.id.as_str(), wrapped.text("algorithm")), (hsm, Some("A256KW")));
    assert_eq!(key.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
    kept.lock().unwrap().operations = json!(["sign", "verify"]);
    let error = key.wrap(&data, "lineage").await.unwrap_err();
    assert!(trouble(&error) == KeyTrouble::Invalid && error.to_string().contains("lack `wrapKey`"), "{error}");
    kept.lock().unwrap().kty = "EC-HSM";
    let error = key.wrap(&data, "lineage").await.unwrap_err();
    assert!(trouble(&error) == KeyTrouble::Invalid && error.to_string().contains("use an RSA key"), "{error}");
}

#[tokio::test]
async fn a_stack_opens_with_its_key_and_its_header_holds_no_secret() {
    let (wire, _) = service("RSA");
    let key = at(KEY, &wire);
    let created = create_with(&[&key as &dyn KeyProvider]).await.unwrap();
    let opened = unlock_with(&created.header, &[&key]).await.unwrap();
    assert_eq!(opened.key_id(), created.sealer.key_id());
    let text = created.header.set_in("", "the test").unwrap();
    assert!(text.contains("azure-key-vault") && text.contains(KEY) && !text.contains("a-token"), "{text}");
}

#[tokio::test]
async fn who_may_not_use_the_key_is_told_so() {
    let (wire, _) = service("RSA");
    let (key, data) = (at(KEY, &wire), DataKey::generate().unwrap());
    let wrapped = key.wrap(&data, "lineage").await.unwrap();
    for (status, code, inner, expected, part) in [
        (401, "Unauthorized", None, KeyTrouble::Credentials, "az login"),
        (403, "Forbidden", Some("ForbiddenByRbac"), KeyTrouble::Denied, "`Key Vault Crypto User`"),
        (403, "Forbidden", Some("ForbiddenByFirewall"), KeyTrouble::Denied, "firewall"),
        (403, "Forbidden", Some("KeyDisabled"), KeyTrouble::Disabled, "enable it"),
        (404, "KeyNotFound", None, KeyTrouble::NotFound, "can be recovered"),
        (400, "BadParameter", None, KeyTrouble::Refused, "restore the header"),
    ] {
        wire.next([Reply::error(status, code, inner, "Said by the service.\r\nCaller: appid=1;oid=2")]);
        let error = key.unwrap(&wrapped, "lineage").await.unwrap_err();
        let text = error.to_string();
        assert_eq!(trouble(&error), expected, "{text}");
        assert!(
            text.contains(part) && text.contains("unwrapKey: Said by the service (") && text.contains(KEY),
            "{text}"
        );
        assert!(!text.contains("Caller"), "{text}");
    }
    // A wrong request is not the header's fault.
    wire.next([Reply::error(400, "BadParameter", None, "x")]);
    assert_eq!(trouble(&key.wrap(&data, "lineage").await.unwrap_err()), KeyTrouble::Invalid);
    // Another key's answer is none.
    let other = json!({ "kid": format!("https://acme.vault.azure.net/keys/other/{}", version_name(0)), "kty": "RSA" });
    wire.next([Reply::ok(json!({ "key": other }))]);
    let error = key.wrap(&data, "lineage").await.unwrap_err();
    assert!(error.to_string().contains("of another key"), "{error}");
    let nobody = KeyVaultKey::parse(KEY).unwrap().with_credential(Arc::new(Token(false)), wire.options());
    let error = nobody.unwrap(&wrapped, "lineage").await.unwrap_err();
    assert_eq!(trouble(&error), KeyTrouble::Credentials, "{error}");
    assert!(error.to_string().contains("nobody is logged in"), "{error}");
}

#[tokio::test]
async fn a_busy_vault_is_waited_for_as_long_as_it_asks() {
    let (wire, _) = service("RSA");
    let (key, data) = (at(KEY, &wire), DataKey::generate().unwrap());
    let wrapped = key.wrap(&data, "lineage").await.unwrap();
    let busy =
        || Reply::error(429, "Throttled", None, "Request was not processed because too many requests were received.");
    wire.requests();
    wire.next([busy().after(1)]);
    let started = Instant::now();
    assert_eq!(key.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
    assert!(started.elapsed() >= Duration::from_secs(1) && wire.requests().len() == 2);
    wire.next(vec![busy(); 4]);
    let error = key.unwrap(&wrapped, "lineage").await.unwrap_err();
    assert_eq!((trouble(&error), wire.requests().len()), (KeyTrouble::Unreachable, 4), "{error}");
    wire.next([Reply::Nothing, Reply::Nothing]);
    assert_eq!(key.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
    wire.next(vec![Reply::Nothing; 4]);
    let error = key.unwrap(&wrapped, "lineage").await.unwrap_err();
    assert!(trouble(&error) == KeyTrouble::Unreachable && error.to_string().contains("connection reset"), "{error}");
}

#[test]
fn a_name_is_the_url_of_a_key_of_azure() {
    let options = KeyOptions { linked: vec![LinkedKeys::of::<KeyVault>()], ..KeyOptions::default() };
    let dir = Path::new(".");
    let pinned = format!("{KEY}/{}", version_name(0));
    for name in [KEY, pinned.as_str(), "https://acme.managedhsm.azure.net/keys/infra"] {
        assert_eq!(options.named(&format!("azure-key-vault:{name}"), dir).unwrap().len(), 1);
    }
    for name in [
        "infra",
        "acme/infra",
        "http://acme.vault.azure.net/keys/infra",
        "https://acme.vault.azure.net/secrets/infra",
        "https://acme.vault.azure.net.evil.example/keys/infra",
        "https://evil.example/keys/infra",
    ] {
        let error = options.named(&format!("azure-key-vault:{name}"), dir).unwrap_err();
        assert!(matches!(error, SealError::Spec { .. }), "{name}: {error}");
    }
    let edited = WrappedKey {
        kind: "azure-key-vault".into(),
        id: "https://evil.example/keys/infra".into(),
        wrapped: String::new(),
        settings: Default::default(),
    };
    assert!(KeyVault::of(&edited).is_err(), "a header leads no token elsewhere");
}
