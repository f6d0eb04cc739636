//! Keys of age and SSH: what they open, what they refuse, and what is said.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use stackkit::seal::{
    DataKey, KeyKind as _, KeyOptions, KeyProvider, KeyTrouble, LinkedKeys, SealError, WrappedKey, create_with,
    unlock_with,
};
use stackkit_age::{Age, AgeKey, Identities, Recipient};

const ED25519: (&str, &str) = (include_str!("keys/ed25519"), include_str!("keys/ed25519.pub"));
const RSA: (&str, &str) = (include_str!("keys/rsa"), include_str!("keys/rsa.pub"));
const PROTECTED: &str = include_str!("keys/protected");

/// A key pair of age: the private half as text, and the public one.
fn pair() -> (SecretString, Recipient) {
    let key = age::x25519::Identity::generate();
    (SecretString::from(key.to_string().expose_secret()), key.to_public().to_string().parse().unwrap())
}

fn having(text: impl Into<SecretString>) -> Identities {
    Identities { text: Some(text.into()), ..Identities::default() }
}

fn holder(key: &(SecretString, Recipient)) -> AgeKey {
    AgeKey::new(key.1.clone(), having(key.0.clone()))
}

fn for_others(recipient: &Recipient) -> AgeKey {
    AgeKey::new(recipient.clone(), Identities::default())
}

async fn opens(provider: &AgeKey, wrapped: &WrappedKey, lineage: &str) -> Result<DataKey, SealError> {
    provider.unwrap(wrapped, lineage).await
}

#[tokio::test]
async fn two_people_and_a_ci_system_open_one_stack_and_nobody_else_does() {
    let (ada, ci) = (pair(), pair());
    let bob = (SecretString::from(ED25519.0), ED25519.1.parse::<Recipient>().unwrap());
    // Whoever makes the stack needs the others' public keys alone.
    let keys = [holder(&ada), for_others(&bob.1), for_others(&ci.1)];
    let created = create_with(&keys.each_ref().map(|key| key as &dyn KeyProvider)).await.unwrap();
    let mut opened = Vec::new();
    for one in [&ada, &bob, &ci] {
        opened.push(unlock_with(&created.header, &[&holder(one)]).await.unwrap().key_id().to_owned());
    }
    assert_eq!(opened, vec![created.sealer.key_id().to_owned(); 3]);
    let eve = pair();
    let error = unlock_with(&created.header, &[&holder(&eve)]).await.unwrap_err();
    assert!(matches!(&error, SealError::NotHeld { .. }), "{error}");
    let text = toml(&created.header);
    for secret in [ada.0.expose_secret(), ci.0.expose_secret(), "PRIVATE KEY"] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn toml(header: &stackkit::seal::Header) -> String {
    header.set_in("", "the test").unwrap()
}

#[tokio::test]
async fn every_kind_of_key_wraps_and_unwraps_and_refuses_another_lineage_and_damage() {
    let age = pair();
    let ssh = |key: (&str, &str)| (SecretString::from(key.0), key.1.parse::<Recipient>().unwrap());
    for key in [age, ssh(ED25519), ssh(RSA)] {
        let provider = holder(&key);
        let data = DataKey::generate().unwrap();
        let wrapped = for_others(&key.1).wrap(&data, "lineage").await.unwrap();
        assert_eq!(opens(&provider, &wrapped, "lineage").await.unwrap().id(), data.id());
        // What the header keeps is enough to wrap anew.
        let again = Age::of(&wrapped).unwrap().wrap(&data, "lineage").await.unwrap();
        assert_eq!((&again.id, again.settings.len()), (&wrapped.id, wrapped.settings.len()));
        assert_eq!(opens(&provider, &again, "lineage").await.unwrap().id(), data.id());

        let other = opens(&provider, &wrapped, "other lineage").await.unwrap_err();
        assert!(matches!(other, SealError::WrappedKey { .. }), "{other}");
        let renamed = WrappedKey { id: "age1other".into(), ..wrapped.clone() };
        assert!(opens(&provider, &renamed, "lineage").await.is_err());
        let length = wrapped.wrapped.len();
        for at in (0..length).step_by(length / 12).chain([length - 1]) {
            let mut damaged = wrapped.clone();
            let other = if damaged.wrapped.as_bytes()[at] == b'A' { "B" } else { "A" };
            damaged.wrapped.replace_range(at..=at, other);
            assert!(opens(&provider, &damaged, "lineage").await.is_err(), "{at}");
            damaged.wrapped.truncate(at);
            assert!(opens(&provider, &damaged, "lineage").await.is_err(), "{at}");
        }
    }
}

#[tokio::test]
async fn an_ssh_key_is_known_by_its_fingerprint_and_its_comment() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("team"), format!("# the team\n\n{}{}\n", ED25519.1, pair().1.text())).unwrap();
    let keys = Age::named("team", dir.path()).unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!((keys[0].label.as_deref(), keys[1].label.as_deref()), (Some("ada@laptop"), None));
    let recipient: Recipient = ED25519.1.parse().unwrap();
    assert!(recipient.id().starts_with("SHA256:") && recipient.id().len() == 50, "{}", recipient.id());
    assert!(!recipient.text().contains("ada"));
}

#[tokio::test]
async fn a_private_key_that_is_missing_protected_or_open_to_others_has_its_message() {
    let key = pair();
    let wrapped = for_others(&key.1).wrap(&DataKey::generate().unwrap(), "l").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("age.txt");
    let said = async |identities: Identities| {
        AgeKey::new(key.1.clone(), identities).unwrap(&wrapped, "l").await.map(drop).map_err(|error| error.to_string())
    };
    let expect = async |identities: Identities, parts: &[&str]| {
        let error = said(identities).await.unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(!error.contains("AGE-SECRET"), "{error}");
    };
    expect(Identities::default(), &["not at hand", "STACKKIT_AGE_IDENTITY_FILE"]).await;
    expect(Identities::file(&file), &["read the private key in", "age.txt"]).await;
    // One that nobody named need not be there.
    expect(Identities { defaults: vec![file.clone()], ..Identities::default() }, &["not at hand"]).await;
    private(&file, PROTECTED);
    expect(Identities::file(&file), &["not at hand", "age.txt", "a passphrase protects it"]).await;
    private(&file, "# nothing\n");
    expect(Identities::file(&file), &["holds no private key"]).await;
    private(&file, "AGE-SECRET-KEY-1NOTONE");
    expect(Identities::file(&file), &["no private key of age"]).await;
    private(&file, key.0.expose_secret());
    assert_eq!(said(Identities::file(&file)).await, Ok(()));
    #[cfg(unix)]
    {
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        expect(Identities::file(&file), &["can be read by others", "chmod 600"]).await;
    }
}

fn private(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn what_names_no_recipient_is_refused_and_a_private_key_is_not_shown() {
    let key = pair().0;
    let options = KeyOptions { linked: vec![LinkedKeys::of::<Age>()], ..KeyOptions::default() };
    let said = |text: &str| options.named(text, Path::new("/nowhere")).map(drop).unwrap_err().to_string();
    let error = said(&format!("age:{}", key.expose_secret()));
    assert!(error.contains("it is a private key") && !error.contains(key.expose_secret()), "{error}");
    for (text, part) in [
        ("age:", "names no key"),
        ("age:age1nosuch", "no age recipient"),
        ("age:ssh-ed25519 AAAA", "no SSH key"),
        ("age:nosuch.txt", "read the recipients in"),
        ("vault:transit/key", "stackkit_vault::Transit"),
        ("aws-kms:alias/x", "feature `kms`"),
        ("nosuch:x", "key-file, passphrase, age are linked"),
    ] {
        assert!(said(text).contains(part), "{text}: {}", said(text));
    }
    let none = KeyOptions::default().named("age:age1x", Path::new(".")).unwrap_err().to_string();
    assert!(none.contains("crate `stackkit-age`") && none.contains("keys(stackkit_age::Age)"), "{none}");
}

#[tokio::test]
async fn a_header_that_was_edited_names_the_key() {
    let edited = WrappedKey {
        kind: "age".into(),
        id: "age1nosuch".into(),
        wrapped: String::new(),
        settings: Default::default(),
    };
    let error = Age::of(&edited).map(|_: Arc<dyn KeyProvider>| ()).unwrap_err();
    assert!(matches!(&error, SealError::Provider { trouble: KeyTrouble::Invalid, .. }), "{error}");
    assert!(error.to_string().contains("age1nosuch"), "{error}");
}
