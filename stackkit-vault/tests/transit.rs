//! Keys of the transit engine, against a genuine OpenBao.

use std::path::Path;

use secrecy::SecretString;
use stackkit::access::Role;
use stackkit::seal::{
    DataKey, KeyKind as _, KeyOptions, KeyProvider, KeyTrouble, LinkedKeys, SealError, WrappedKey, create_with,
    unlock_with,
};
use stackkit_vault::{Server, Transit, TransitKey};
use test_servers::OpenBao;

fn bao() -> OpenBao {
    let bao = OpenBao::start().unwrap_or_else(|error| panic!("{error}"));
    run(&bao, &["secrets", "enable", "transit"]);
    bao
}

fn run(bao: &OpenBao, arguments: &[&str]) -> String {
    bao.run(arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn server(bao: &OpenBao) -> Server {
    Server {
        address: Some(bao.endpoint().to_owned()),
        token: Some(SecretString::from(bao.root_token())),
        ..Server::default()
    }
}

fn key(name: &str, server: Server) -> TransitKey {
    TransitKey::parse(name, server).unwrap_or_else(|error| panic!("{error}"))
}

fn trouble(error: &SealError) -> KeyTrouble {
    match error {
        SealError::Provider { trouble, .. } => *trouble,
        other => panic!("{other}"),
    }
}

/// Somebody who may do what the policy says.
fn with_policy(bao: &OpenBao, name: &str, policy: &str) -> Server {
    let file = std::env::temp_dir().join(format!("stackkit-{name}-{}.hcl", bao.pid()));
    std::fs::write(&file, policy).unwrap();
    run(bao, &["policy", "write", name, &file.display().to_string()]);
    std::fs::remove_file(&file).unwrap();
    let token = run(bao, &["token", "create", "-policy", name, "-field=token"]);
    Server { token: Some(SecretString::from(token)), ..server(bao) }
}

#[tokio::test]
async fn keys_of_every_type_that_encrypts_wrap_for_one_stack_alone() {
    let bao = bao();
    for (name, bound, arguments) in [
        ("aes", "associated-data", &[][..]),
        ("chacha", "associated-data", &["type=chacha20-poly1305"][..]),
        ("derived", "context", &["derived=true"][..]),
        ("rsa", "plaintext", &["type=rsa-2048"][..]),
    ] {
        let path = format!("transit/keys/{name}");
        run(&bao, &[&["write", "-f", &path], arguments].concat());
        let provider = key(&format!("transit/{name}"), server(&bao));
        let data = DataKey::generate().unwrap();
        let wrapped = provider.wrap(&data, "lineage").await.unwrap();
        assert_eq!((wrapped.id.as_str(), wrapped.text("bound")), (&*format!("transit/{name}"), Some(bound)));
        assert_eq!(provider.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
        let other = provider.unwrap(&wrapped, "other lineage").await.unwrap_err();
        if bound == "plaintext" {
            assert!(matches!(other, SealError::WrappedKey { .. }), "{other}");
        } else {
            assert_eq!(trouble(&other), KeyTrouble::Refused, "{other}");
        }
        let start = "vault:v1:".len();
        for at in [start, start + 30, wrapped.wrapped.len() - 8, 0] {
            let mut damaged = wrapped.clone();
            let other = if damaged.wrapped.as_bytes()[at] == b'A' { "B" } else { "A" };
            damaged.wrapped.replace_range(at..=at, other);
            provider.unwrap(&damaged, "lineage").await.unwrap_err();
        }
        // Saying that it is bound otherwise opens nothing.
        for pretended in ["associated-data", "context", "plaintext", "nothing"] {
            let mut edited = wrapped.clone();
            edited.settings.insert("bound".into(), stackkit::seal::Setting::Text(pretended.into()));
            assert!(provider.unwrap(&edited, "other lineage").await.is_err(), "{name} {pretended}");
        }
        // A new version of the key opens what the old one wrapped.
        run(&bao, &["write", "-f", &format!("{path}/rotate")]);
        assert_eq!(provider.unwrap(&wrapped, "lineage").await.unwrap().id(), data.id());
        assert!(provider.wrap(&data, "lineage").await.unwrap().wrapped.starts_with("vault:v2:"));
        let text = format!("{wrapped:?} {provider:?}");
        assert!(!text.contains(bao.root_token()), "{text}");
    }
}

#[tokio::test]
async fn each_holder_needs_the_rights_of_their_part_alone() {
    let bao = bao();
    run(&bao, &["write", "-f", "transit/keys/infra"]);
    let maker = with_policy(
        &bao,
        "maker",
        "path \"transit/encrypt/infra\" { capabilities = [\"update\"] }\npath \"transit/keys/infra\" { capabilities = [\"read\"] }",
    );
    let opener = with_policy(&bao, "opener", "path \"transit/decrypt/infra\" { capabilities = [\"update\"] }");
    let (maker, opener) = (key("transit/infra", maker), key("transit/infra", opener));
    let created = create_with(&[&maker as &dyn KeyProvider]).await.unwrap();
    let opened = unlock_with(&created.header, &[&opener]).await.unwrap();
    assert_eq!(opened.key_id(), created.sealer.key_id());
    let denied = unlock_with(&created.header, &[&maker]).await.unwrap_err();
    assert_eq!(trouble(&denied), KeyTrouble::Denied);
    assert!(denied.to_string().contains("`update` on transit/decrypt/infra"), "{denied}");
    let denied = opener.wrap(&DataKey::generate().unwrap(), "l").await.unwrap_err();
    assert!(denied.to_string().contains("`read` on transit/keys/infra"), "{denied}");
    let text = created.header.set_in("", "the test").unwrap();
    assert!(text.contains("vault:v1:") && !text.contains(bao.root_token()), "{text}");
}

#[tokio::test]
async fn each_role_may_do_what_its_policy_says() {
    let bao = bao();
    run(&bao, &["write", "-f", "transit/keys/infra"]);
    let root = key("transit/infra", server(&bao));
    let data = DataKey::generate().unwrap();
    let wrapped = root.wrap(&data, "lineage").await.unwrap();
    let somebody = |role: Role| {
        let policy = root.access(role, "lineage").unwrap().text;
        key("transit/infra", with_policy(&bao, role.name(), &policy))
    };
    let [viewer, deployer, admin] = Role::ALL.map(somebody);
    for (who, opens, wraps) in [(&viewer, false, false), (&deployer, true, false), (&admin, true, true)] {
        let opened = who.unwrap(&wrapped, "lineage").await;
        assert_eq!(opened.is_ok(), opens, "{opened:?}");
        let made = who.wrap(&data, "lineage").await;
        assert_eq!(made.is_ok(), wraps, "{made:?}");
        for error in opened.err().into_iter().chain(made.err()) {
            assert_eq!(trouble(&error), KeyTrouble::Denied, "{error}");
        }
    }
    // Another policy of the same person does not give a viewer the key.
    let policy = root.access(Role::Deployer, "lineage").unwrap().text;
    drop(with_policy(&bao, "both", &policy));
    let token = run(&bao, &["token", "create", "-policy", "viewer", "-policy", "both", "-field=token"]);
    let both = key("transit/infra", Server { token: Some(SecretString::from(token)), ..server(&bao) });
    assert_eq!(trouble(&both.unwrap(&wrapped, "lineage").await.unwrap_err()), KeyTrouble::Denied);
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let bao = bao();
    let data = DataKey::generate().unwrap();
    let said = async |server: Server| {
        let error = key("transit/nosuch", server).wrap(&data, "l").await.unwrap_err();
        (trouble(&error), error.to_string())
    };
    let expect = async |server: Server, expected: KeyTrouble, part: &str| {
        let (trouble, text) = said(server).await;
        assert!(trouble == expected && text.contains(part) && text.contains("transit/nosuch"), "{trouble:?} {text}");
    };
    let good = server(&bao);
    expect(good.clone(), KeyTrouble::NotFound, "check mount, name").await;
    assert!(bao.run(&["read", "transit/keys/nosuch"]).is_err(), "wrapping made a key");
    expect(Server { token: None, ..good.clone() }, KeyTrouble::Credentials, "set VAULT_TOKEN or BAO_TOKEN").await;
    let wrong = Server { token: Some(SecretString::from("s.nosuch")), ..good.clone() };
    let (found, text) = said(wrong).await;
    assert!(matches!(found, KeyTrouble::Credentials | KeyTrouble::Denied), "{text}");
    expect(Server { address: None, ..good.clone() }, KeyTrouble::Invalid, "set VAULT_ADDR or BAO_ADDR").await;
    let at = |address: &str| Server { address: Some(address.into()), ..good.clone() };
    expect(at("http://vault.example.com:8200"), KeyTrouble::Invalid, "use https").await;
    expect(at("vault.example.com"), KeyTrouble::Invalid, "is no URL").await;
    expect(at("ftp://localhost"), KeyTrouble::Invalid, "use https").await;
    let (_, text) = said(at("http://u:hunter2@vault.example.com")).await;
    assert!(!text.contains("hunter2"), "{text}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    expect(at(&format!("http://127.0.0.1:{port}")), KeyTrouble::Unreachable, "check VAULT_ADDR").await;
    run(&bao, &["write", "-f", "transit/keys/signs", "type=ed25519"]);
    let error = key("transit/signs", good.clone()).wrap(&data, "l").await.unwrap_err();
    assert!(error.to_string().contains("does not encrypt"), "{error}");
    // A deleted key is not there any more.
    run(&bao, &["write", "-f", "transit/keys/short"]);
    let wrapped = key("transit/short", good.clone()).wrap(&data, "l").await.unwrap();
    run(&bao, &["write", "transit/keys/short/config", "deletion_allowed=true"]);
    run(&bao, &["delete", "transit/keys/short"]);
    let gone = key("transit/short", good).unwrap(&wrapped, "l").await.unwrap_err();
    assert_eq!(trouble(&gone), KeyTrouble::NotFound, "{gone}");
}

#[test]
fn a_name_is_a_mount_and_a_key() {
    let options = KeyOptions { linked: vec![LinkedKeys::of::<Transit>()], ..KeyOptions::default() };
    for name in ["transit/infra", "team/a/transit/infra-1"] {
        assert_eq!(options.named(&format!("vault:{name}"), Path::new(".")).unwrap().len(), 1);
    }
    for name in ["infra", "/infra", "transit/", "transit/../sys", "tran sit/x", "a//b", "transit/a?b"] {
        let error = options.named(&format!("vault:{name}"), Path::new(".")).unwrap_err();
        assert!(matches!(error, SealError::Spec { .. }), "{name}: {error}");
    }
    let edited =
        WrappedKey { kind: "vault".into(), id: "../sys".into(), wrapped: String::new(), settings: Default::default() };
    assert!(Transit::of(&edited).is_err());
}
