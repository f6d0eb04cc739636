//! Keys of Cloud KMS.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use google_cloud_auth::credentials::testing::error_credentials;
use serde_json::{Value as Json, json};
use stackkit::seal::{
    DataKey, KeyKind as _, KeyOptions, KeyProvider, KeyTrouble, LinkedKeys, SealError, WrappedKey, create_with,
    unlock_with,
};
use stackkit_google::{CloudKms, CloudKmsKey};

use crate::service::{Reply, Request, Service, assert_request, checksum, credentials};

const KEY: &str = "projects/acme/locations/europe-west3/keyRings/infra/cryptoKeys/stacks";

fn bytes(body: &Json, field: &str) -> Vec<u8> {
    STANDARD.decode(body[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {body}"))).expect("base64")
}

/// What a field holds, if its checksum is there and fits.
fn checked(body: &Json, field: &str) -> Result<Vec<u8>, Reply> {
    let bytes = bytes(body, field);
    if body[format!("{field}Crc32c")].as_str() == Some(&checksum(&bytes)) {
        return Ok(bytes);
    }
    let said = format!("The checksum in field {field}_crc32c did not match the data in field {field}.");
    Err(Reply::error(400, "INVALID_ARGUMENT", &said))
}

/// What plays the service: a ciphertext is the version, the checksum of the context and the turned plaintext.
fn kms(request: &Request, primary: u8) -> Result<Reply, Reply> {
    let context = checked(&request.body, "additionalAuthenticatedData")?;
    let seal = checksum(&context).into_bytes();
    let turned = |bytes: &[u8], version: u8| bytes.iter().map(|byte| byte ^ version ^ 0x5a).collect::<Vec<u8>>();
    if request.path == format!("/v1/{KEY}:encrypt") {
        let plain = checked(&request.body, "plaintext")?;
        let sealed = [&[primary, seal.len() as u8], seal.as_slice(), &turned(&plain, primary)].concat();
        return Ok(Reply::ok(json!({
            "name": format!("{KEY}/cryptoKeyVersions/{primary}"),
            "ciphertext": STANDARD.encode(&sealed),
            "ciphertextCrc32c": checksum(&sealed),
            "verifiedPlaintextCrc32c": true,
            "verifiedAdditionalAuthenticatedDataCrc32c": true,
            "protectionLevel": "SOFTWARE",
        })));
    }
    if request.path != format!("/v1/{KEY}:decrypt") {
        return Err(Reply::error(404, "NOT_FOUND", "CryptoKey not found."));
    }
    let sealed = checked(&request.body, "ciphertext")?;
    let refused = || {
        Reply::error(400, "INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
    };
    let (&version, rest) = sealed.split_first().ok_or_else(refused)?;
    let (&length, rest) = rest.split_first().ok_or_else(refused)?;
    let (found, turned_plain) = rest.split_at_checked(length.into()).ok_or_else(refused)?;
    if found != seal || version > primary {
        return Err(refused());
    }
    let plain = turned(turned_plain, version);
    Ok(Reply::ok(json!({
        "plaintext": STANDARD.encode(&plain),
        "plaintextCrc32c": checksum(&plain),
        "usedPrimary": version == primary,
        "protectionLevel": "SOFTWARE",
    })))
}

/// The service, and the number of the key's primary version.
fn service() -> (Service, Arc<AtomicU8>) {
    let primary = Arc::new(AtomicU8::new(1));
    let now = Arc::clone(&primary);
    let answer = move |request: &Request| kms(request, now.load(Ordering::SeqCst)).unwrap_or_else(|reply| reply);
    (Service::start(answer), primary)
}

fn key(service: &Service) -> CloudKmsKey {
    CloudKmsKey::parse(KEY).unwrap().with_endpoint(service.endpoint(), credentials())
}

fn trouble(error: &SealError) -> KeyTrouble {
    match error {
        SealError::Provider { trouble, .. } => *trouble,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_key_wraps_for_one_stack_and_opens_nothing_else() {
    let (service, primary) = service();
    let (key, data) = (key(&service), DataKey::generate().unwrap());
    let wrapped = key.wrap(&data, "lineage").await.unwrap();
    assert_eq!((wrapped.kind.as_str(), wrapped.id.as_str()), ("google-kms", KEY));
    let requests = service.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_request(request, "POST", &format!("/v1/{KEY}:encrypt"));
    assert_eq!(bytes(&request.body, "plaintext"), data.reveal());
    assert_eq!(bytes(&request.body, "additionalAuthenticatedData"), b"lineage");
    assert_eq!(key.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
    assert_request(&service.requests()[0], "POST", &format!("/v1/{KEY}:decrypt"));

    let other = key.unwrap(&wrapped, "other lineage").await.unwrap_err();
    assert_eq!(trouble(&other), KeyTrouble::Refused, "{other}");
    assert!(
        other.to_string().contains("Decryption failed") && other.to_string().contains("restore the header"),
        "{other}"
    );
    let cut = WrappedKey { wrapped: "!".into(), ..wrapped.clone() };
    assert!(matches!(key.unwrap(&cut, "lineage").await, Err(SealError::WrappedKey { .. })));
    let short = WrappedKey { wrapped: "AQ".into(), ..wrapped.clone() };
    assert_eq!(trouble(&key.unwrap(&short, "lineage").await.unwrap_err()), KeyTrouble::Refused);

    // The service knows which version opens it, and a new one wraps from now on.
    primary.store(2, Ordering::SeqCst);
    assert_eq!(key.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
    let again = key.wrap(&data, "lineage").await.unwrap();
    assert_ne!(again.wrapped, wrapped.wrapped);
    assert_eq!(key.unwrap(&again, "lineage").await.unwrap().id(), data.id());
}

#[tokio::test]
async fn a_stack_opens_with_its_key_and_its_header_holds_no_secret() {
    let (service, _) = service();
    let key = key(&service);
    let created = create_with(&[&key as &dyn KeyProvider]).await.unwrap();
    let opened = unlock_with(&created.header, &[&key]).await.unwrap();
    assert_eq!(opened.key_id(), created.sealer.key_id());
    let text = created.header.set_in("", "the test").unwrap();
    assert!(text.contains("google-kms") && text.contains(KEY) && !text.contains("a-token"), "{text}");
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_asked_for_again_and_never_taken() {
    let (service, _) = service();
    let (key, data) = (key(&service), DataKey::generate().unwrap());
    let wrapped = key.wrap(&data, "lineage").await.unwrap();
    let encrypted = |changes: Json| {
        let mut body = json!({
            "name": format!("{KEY}/cryptoKeyVersions/1"), "ciphertext": "AAAA", "ciphertextCrc32c": checksum(&[0, 0, 0]),
            "verifiedPlaintextCrc32c": true, "verifiedAdditionalAuthenticatedDataCrc32c": true,
        });
        for (field, value) in changes.as_object().expect("changes") {
            body[field] = value.clone();
        }
        Reply::ok(body)
    };
    for garbled in [
        json!({ "ciphertextCrc32c": "1" }),
        json!({ "ciphertextCrc32c": null }),
        json!({ "verifiedPlaintextCrc32c": false }),
        json!({ "verifiedAdditionalAuthenticatedDataCrc32c": false }),
    ] {
        service.requests();
        service.next([encrypted(garbled.clone()), encrypted(garbled.clone())]);
        let third = key.wrap(&data, "lineage").await.unwrap();
        assert_eq!(service.requests().len(), 3, "{garbled}");
        assert_eq!(key.unwrap(&third, "lineage").await.unwrap().id(), data.id());
        service.next(vec![encrypted(garbled.clone()); 3]);
        let error = key.wrap(&data, "lineage").await.unwrap_err();
        assert!(trouble(&error) == KeyTrouble::Other && error.to_string().contains("checksums"), "{error}");
    }
    let decrypted = Reply::ok(json!({ "plaintext": STANDARD.encode([7; 32]), "plaintextCrc32c": "1" }));
    service.next([decrypted.clone()]);
    assert_eq!(key.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
    service.next(vec![decrypted; 3]);
    let error = key.unwrap(&wrapped, "lineage").await.unwrap_err();
    assert!(error.to_string().contains("checksums"), "{error}");
    // Another key's answer is none.
    service.next([encrypted(
        json!({ "name": "projects/acme/locations/x/keyRings/y/cryptoKeys/other/cryptoKeyVersions/1" }),
    )]);
    let error = key.wrap(&data, "lineage").await.unwrap_err();
    assert!(error.to_string().contains("another key answered"), "{error}");
}

#[tokio::test]
async fn who_may_not_use_the_key_is_told_so() {
    let (service, _) = service();
    let (key, data) = (key(&service), DataKey::generate().unwrap());
    let wrapped = key.wrap(&data, "lineage").await.unwrap();
    for (status, word, message, expected, part) in [
        (
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials.",
            KeyTrouble::Credentials,
            "gcloud auth",
        ),
        (403, "PERMISSION_DENIED", "Permission denied on resource.", KeyTrouble::Denied, "useToDecrypt"),
        (404, "NOT_FOUND", "CryptoKey not found.", KeyTrouble::NotFound, "key ring"),
        (
            400,
            "FAILED_PRECONDITION",
            "It is not enabled, current state is: DISABLED.",
            KeyTrouble::Disabled,
            "enable the",
        ),
        (400, "INVALID_ARGUMENT", "Decryption failed.", KeyTrouble::Refused, "restore the header"),
    ] {
        service.next([Reply::error(status, word, message)]);
        let error = key.unwrap(&wrapped, "lineage").await.unwrap_err();
        let text = error.to_string();
        assert_eq!(trouble(&error), expected, "{text}");
        let said = message.trim_end_matches('.');
        assert!(text.contains(part) && text.contains(said) && text.contains("cryptoKeys/stacks"), "{text}");
    }
    // A wrong request is not the header's fault.
    service.next([Reply::error(400, "INVALID_ARGUMENT", "The key's purpose is ASYMMETRIC_SIGN.")]);
    assert_eq!(trouble(&key.wrap(&data, "lineage").await.unwrap_err()), KeyTrouble::Invalid);
    let nobody = CloudKmsKey::parse(KEY).unwrap().with_endpoint(service.endpoint(), error_credentials(false));
    assert_eq!(trouble(&nobody.unwrap(&wrapped, "lineage").await.unwrap_err()), KeyTrouble::Credentials);
    let afar = CloudKmsKey::parse(KEY).unwrap().with_endpoint("http://kms.example.com", credentials());
    let error = afar.unwrap(&wrapped, "lineage").await.unwrap_err();
    assert!(error.to_string().contains("use https"), "{error}");
}

#[tokio::test]
async fn a_busy_service_is_waited_for_as_long_as_it_asks_within_reason() {
    let (service, _) = service();
    let (key, data) = (key(&service), DataKey::generate().unwrap());
    let busy = || Reply::error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.");
    service.next([busy().with("retry-after", "1")]);
    let started = Instant::now();
    key.wrap(&data, "lineage").await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1) && service.requests().len() == 2);
    service.next([busy().with("retry-after", "3600")]);
    let error = key.wrap(&data, "lineage").await.unwrap_err();
    assert_eq!((trouble(&error), service.requests().len()), (KeyTrouble::Unreachable, 1), "{error}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = CloudKmsKey::parse(KEY).unwrap().with_endpoint(format!("http://{port}"), credentials());
    let error = nobody.wrap(&data, "lineage").await.unwrap_err();
    assert_eq!(trouble(&error), KeyTrouble::Unreachable, "{error}");
}

#[test]
fn a_name_is_a_whole_resource_name() {
    let options = KeyOptions { linked: vec![LinkedKeys::of::<CloudKms>()], ..KeyOptions::default() };
    let dir = Path::new(".");
    for name in [KEY, "projects/example.com:acme/locations/global/keyRings/a/cryptoKeys/b"] {
        assert_eq!(options.named(&format!("google-kms:{name}"), dir).unwrap().len(), 1);
    }
    let version = format!("{KEY}/cryptoKeyVersions/1");
    let call = format!("{KEY}:decrypt");
    for name in [
        "stacks",
        version.as_str(),
        call.as_str(),
        "projects//locations/x/keyRings/a/cryptoKeys/b",
        "projects/../locations/x/keyRings/a/cryptoKeys/b",
    ] {
        let error = options.named(&format!("google-kms:{name}"), dir).unwrap_err();
        assert!(matches!(error, SealError::Spec { .. }), "{name}: {error}");
    }
    let edited = WrappedKey {
        kind: "google-kms".into(),
        id: "../x".into(),
        wrapped: String::new(),
        settings: Default::default(),
    };
    assert!(CloudKms::of(&edited).is_err());
}
