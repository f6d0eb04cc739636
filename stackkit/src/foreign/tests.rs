//! States as the tools write them, and what may be wrong with them.

use serde_json::json;

use super::*;

/// What Terraform 1.11.4 and OpenTofu 1.12.6 wrote when they applied `tests/data/terraform/main.tf`; the second one
/// encrypted, with `encryption.tf` beside it.
const TERRAFORM: &[u8] = include_bytes!("../../tests/data/terraform/terraform.tfstate");
const TOFU: &[u8] = include_bytes!("../../tests/data/terraform/encrypted.tfstate");
const TOFU_PASSPHRASE: &str = "a passphrase for this test alone";

fn read(json: &Json) -> Result<ForeignState, ForeignError> {
    ForeignState::read(json.to_string().as_bytes(), None, None)
}

fn error(json: &Json) -> String {
    read(json).unwrap_err().to_string()
}

fn passphrase(text: &str) -> SecretString {
    SecretString::from(text)
}

fn addresses(state: &ForeignState) -> Vec<&str> {
    state.resources.iter().map(|resource| resource.address.as_str()).collect()
}

fn paths(state: &ForeignState) -> Vec<String> {
    state.resources.iter().map(|resource| resource.path.join("/")).collect()
}

fn find<'a>(state: &'a ForeignState, address: &str) -> &'a ForeignResource {
    let found = state.resources.iter().find(|resource| resource.address == address);
    found.unwrap_or_else(|| panic!("{address}: {:?}", addresses(state)))
}

/// What `main.tf` makes, whichever of the two tools applied it.
fn check_main(state: &ForeignState) {
    assert_eq!(
        addresses(state),
        [
            "terraform_data.counted[0]",
            "terraform_data.counted[1]",
            "terraform_data.keyed[\"eu/a: b\"]",
            "terraform_data.plain",
            "terraform_data.secret",
            "module.net[\"west\"].terraform_data.main",
            "module.net[\"west\"].module.sub.terraform_data.inner",
        ]
    );
    assert_eq!(
        paths(state),
        ["counted-0", "counted-1", "keyed-eu-a--b", "plain", "secret", "net-west/main", "net-west/sub/inner"]
    );
    // What may be of any type stands there with its type.
    let of = |address: &str| find(state, address).get("input").unwrap();
    let text = |value: &Value| match value.reveal() {
        Value::Map(map) => map.get("value").and_then(Value::as_text).map(str::to_owned),
        _ => None,
    };
    let secret = of("terraform_data.secret");
    assert!(matches!(secret, Value::Secret(_)), "{secret:?}");
    assert_eq!(text(secret).as_deref(), Some("hunter2 hunter2"));
    let plain = of("terraform_data.plain");
    assert_eq!((text(plain).as_deref(), plain.has_secret()), (Some("hello"), false));
    let after = |address: &str| -> Vec<&str> {
        let after = &find(state, address).after;
        after.iter().map(|at| state.resources[*at].address.as_str()).collect()
    };
    assert_eq!(
        after("terraform_data.keyed[\"eu/a: b\"]"),
        ["terraform_data.counted[0]", "terraform_data.counted[1]", "terraform_data.plain"]
    );
    assert_eq!(
        after("module.net[\"west\"].module.sub.terraform_data.inner"),
        ["module.net[\"west\"].terraform_data.main", "terraform_data.plain"]
    );
    let left: Vec<_> = state.left.iter().map(|left| left.address.as_str()).collect();
    assert_eq!(left, ["data.terraform_remote_state.other"]);
}

#[test]
fn what_would_only_keep_the_reader_busy_is_refused_or_cut() {
    // Parents in a circle, as nobody but an editor makes them.
    let urn = |name: &str| format!("urn:pulumi:dev::shop::acme:Group::{name}");
    let one = |name: &str, parent: &str| json!({"urn": urn(name), "type": "acme:Group", "custom": false, "parent": urn(parent)});
    let leaf = json!({"urn": urn("leaf"), "type": "acme:Thing", "custom": true, "id": "1", "parent": urn("g0")});
    let groups = (0..200).map(|at| one(&format!("g{at}"), &format!("g{}", (at + 1) % 200)));
    let resources: Vec<Json> = groups.chain([leaf]).collect();
    let state = read(&json!({"version": 3, "deployment": {"resources": resources}})).unwrap();
    assert_eq!(find(&state, &urn("leaf")).path.len(), 101);
    let mut outer: Json = serde_json::from_slice(TOFU).unwrap();
    let meta = outer["meta"].as_object_mut().unwrap();
    let key = meta.values().next().unwrap().clone();
    meta.extend((0..8).map(|at| (format!("key_provider.pbkdf2.{at}"), key.clone())));
    assert!(error(&outer).contains("its key may be one of 9"), "{}", error(&outer));
}

#[test]
fn a_state_that_terraform_wrote_is_read() {
    let state = ForeignState::read(TERRAFORM, None, None).unwrap();
    assert_eq!(state.origin, "Terraform 1.11.4");
    check_main(&state);
}

#[test]
fn a_state_that_opentofu_encrypted_is_read() {
    let state = ForeignState::read(TOFU, None, Some(&passphrase(TOFU_PASSPHRASE))).unwrap();
    assert_eq!(state.origin, "OpenTofu 1.12.6");
    check_main(&state);
    let missing = ForeignState::read(TOFU, None, None).unwrap_err();
    assert!(matches!(missing, ForeignError::PassphraseMissing(Tool::Terraform)));
    assert!(missing.to_string().contains("STACKKIT_FROM_PASSPHRASE"));
    let wrong = ForeignState::read(TOFU, None, Some(&passphrase("another one"))).unwrap_err();
    assert!(wrong.to_string().starts_with("the passphrase does not open the state: check it"), "{wrong}");
}

#[test]
fn what_is_wrong_with_an_encrypted_state_is_told() {
    let genuine: Json = serde_json::from_slice(TOFU).unwrap();
    let told = |change: &dyn Fn(&mut Json)| {
        let mut json = genuine.clone();
        change(&mut json);
        let content = json.to_string();
        ForeignState::read(content.as_bytes(), None, Some(&passphrase(TOFU_PASSPHRASE))).unwrap_err().to_string()
    };
    let said = told(&|json| json["encryption_version"] = "v9".into());
    assert!(said.contains("version `v9`") && said.contains("`tofu state pull`"), "{said}");
    let said = told(&|json| json["meta"] = json!({"key_provider.aws_kms.main": "e30="}));
    assert!(said.contains("comes from `key_provider.aws_kms.main`") && said.contains("`tofu state pull`"), "{said}");
    assert!(told(&|json| json["encrypted_data"] = "AAAA".into()).contains("`encrypted_data` is not"));
    assert!(told(&|json| json["meta"] = Json::Null).contains("no `meta`"));
    // One bit of what is sealed.
    let flipped = told(&|json| {
        let mut text = json["encrypted_data"].as_str().unwrap().to_owned();
        let last = if text.ends_with("A=") { "B" } else { "A" };
        text.replace_range(40..41, if &text[40..41] == last { "C" } else { last });
        json["encrypted_data"] = text.into();
    });
    assert!(flipped.contains("does not open the state"), "{flipped}");
    let endless = told(&|json| {
        let (name, meta) = json["meta"].as_object().unwrap().iter().next().unwrap();
        let meta = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, meta.as_str().unwrap()).unwrap();
        let mut meta: Json = serde_json::from_slice(&meta).unwrap();
        meta["iterations"] = 4_000_000_000_u32.into();
        let meta = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, meta.to_string());
        json["meta"] = json!({ name.clone(): meta });
    });
    assert!(endless.contains("4000000000 passes"), "{endless}");
}

#[test]
fn what_is_no_state_is_told_from_one() {
    let unread = |content: &[u8]| ForeignState::read(content, None, None).unwrap_err().to_string();
    for cut in [0, 1, TERRAFORM.len() / 3, TERRAFORM.len() - 3] {
        assert!(unread(&TERRAFORM[..cut]).starts_with("it is not valid JSON"), "{cut}");
    }
    assert!(unread("[".repeat(1_000_000).as_bytes()).contains("recursion limit"));
    assert!(unread(&[0xff, 0xfe]).starts_with("it is not valid JSON"));
    for other in [json!({}), json!([]), json!(4), json!({"version": 4})] {
        assert!(error(&other).starts_with("it is neither a state of Terraform"), "{other}");
    }
    assert!(error(&json!({"version": 3, "terraform_version": "0.11.14"})).contains("a state of version 3"));
    assert!(error(&json!({"version": 5, "terraform_version": "9"})).contains("upgrade to a newer version"));
    assert!(error(&json!({"terraform_version": "1"})).contains("no `version`"));
    assert!(error(&json!({"version": 4, "terraform_version": "1", "resources": [{"mode": 1}]})).contains("damaged"));
    let module = json!({"module": "nonsense", "mode": "managed", "type": "a", "name": "b", "instances": []});
    let said = error(&json!({"version": 4, "terraform_version": "1", "resources": [module]}));
    assert!(said.contains("`nonsense` is not the address of a module"), "{said}");
    assert!(error(&json!({"version": 2, "deployment": {}})).contains("an export of version 2"));
    assert!(error(&json!({"version": 3, "deployment": null})).contains("no `deployment`"));
    let said = error(&json!({"version": 3, "deployment": {"resources": [{"type": "a"}]}}));
    assert!(said.contains("missing field `urn`"), "{said}");
    let empty = read(&json!({"version": 4, "terraform_version": "1.9.8", "resources": null})).unwrap();
    assert!(empty.resources.is_empty() && empty.left.is_empty());
}

#[test]
fn secrets_are_marked_where_their_paths_lead() {
    let step = |kind: &str, value: Json| json!({"type": kind, "value": value});
    let number = json!({"value": 1, "type": "number"});
    let resource = json!({
        "mode": "managed", "type": "a", "name": "b", "provider": "provider[\"x/y/z\"].west",
        "instances": [{
            "attributes": {"id": "i", "list": [{"x": "p"}, {"x": "q"}], "map": {"k": "r"}, "gone": "s"},
            "sensitive_attributes": [
                [step("get_attr", "list".into()), step("index", number), step("get_attr", "x".into())],
                [step("get_attr", "map".into()), step("index", json!({"value": "other", "type": "string"}))],
                [step("get_attr", "nowhere".into())],
                [],
            ],
        }],
    });
    let state = read(&json!({"version": 4, "terraform_version": "1", "resources": [resource]})).unwrap();
    let resource = &state.resources[0];
    assert_eq!(format!("{:?}", resource.attributes["list"]), r#"[{"x": "p"}, {"x": [secret]}]"#);
    assert_eq!(format!("{:?}", resource.attributes["map"]), "[secret]", "rather too much than too little");
    assert_eq!(resource.instance.as_deref(), Some("west"));
}

/// An export as Pulumi documents it. The sealed parts were made by Pulumi's own Go library
/// (`github.com/pulumi/pulumi/sdk/v3`, `NewSymmetricCrypterFromPassphrase`).
const PULUMI: &str = include_str!("../../tests/data/pulumi/export.json");
const PULUMI_PASSPHRASE: &str = "a passphrase for this test alone";

#[test]
fn an_export_of_pulumi_is_read() {
    let state = ForeignState::read(PULUMI.as_bytes(), None, Some(&passphrase(PULUMI_PASSPHRASE))).unwrap();
    assert_eq!(state.origin, "Pulumi 3.150.0");
    assert_eq!(paths(&state), ["network/main", "network/private-a", "db-password", "west"]);
    let subnet = &state.resources[1];
    assert_eq!((subnet.text("cidr_block"), subnet.after.as_slice()), (Some("10.0.1.0/24"), [0].as_slice()));
    let password = &state.resources[2];
    assert_eq!(password.get("result").map(Value::reveal), Some(&Value::text("Zm9v YmFy/ä")));
    assert!(password.attributes["result"].has_secret() && password.protect);
    let west = &state.resources[3];
    assert_eq!((west.instance.as_deref(), state.resources[0].instance.as_deref()), (Some("west"), None));
    let left: Vec<_> = state.left.iter().map(|left| (left.address.rsplit("::").next(), left.why.as_str())).collect();
    assert_eq!(left.len(), 3);
    assert_eq!(left[0], (Some("old"), "Pulumi has yet to delete this old instance"));
    assert_eq!(left[1], (Some("found"), "it is only read: `stack.existing` does that"));
    assert!(left[2].1.starts_with("a call of Pulumi (`creating`) was interrupted"));
}

#[test]
fn secrets_of_pulumi_that_cannot_be_opened_are_told_with_the_way_out() {
    let read = |content: &str, given: Option<&str>| {
        let given = given.map(passphrase);
        ForeignState::read(content.as_bytes(), None, given.as_ref()).unwrap_err()
    };
    assert!(matches!(read(PULUMI, None), ForeignError::PassphraseMissing(Tool::Pulumi)));
    let wrong = read(PULUMI, Some("")).to_string();
    assert_eq!(wrong, "the passphrase does not open the secrets of the export: check it");
    let of = |kind: &str| read(&PULUMI.replace("\"passphrase\"", &format!("\"{kind}\"")), None).to_string();
    for kind in ["service", "cloud"] {
        let said = of(kind);
        assert!(said.contains(&format!("sealed by `{kind}`")) && said.contains("--show-secrets"), "{said}");
    }
    let cut = PULUMI.replace("\"ciphertext\": \"v1:", "\"ciphertext\": \"v1;");
    assert!(read(&cut, Some(PULUMI_PASSPHRASE)).to_string().contains("not `v1:`, a nonce"));
    // Shown in plain text, they are secrets all the same.
    let mut shown: Json = serde_json::from_str(PULUMI).unwrap();
    for resource in shown["deployment"]["resources"].as_array_mut().unwrap() {
        if let Some(secret) = resource["outputs"].get_mut("result") {
            secret.as_object_mut().unwrap().remove("ciphertext");
            secret["plaintext"] = "\"open\"".into();
        }
    }
    let state = super::tests::read(&shown).unwrap();
    assert_eq!(format!("{:?}", state.resources[2].attributes["result"]), "[secret]");
}
