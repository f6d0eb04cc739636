//! What opens a stack. One more kind of keys is one more function here, and a line in [`Keys::ALL`].

use std::path::Path;

use acceptance::Canary;
use secrecy::ExposeSecret as _;
use test_servers::{Moto, OpenBao};

use crate::places::Env;
use crate::stack::Form;

/// A kind of keys: its name, and one of them.
pub type Kind = (&'static str, fn() -> Keys);

/// What opens a stack.
pub struct Keys {
    /// As `stackkit.toml` names it; a key file and a passphrase need no name.
    spec: Option<String>,
    /// What the program's environment says of it.
    pub env: Env,
    /// What of it must not show either.
    pub secrets: Vec<(&'static str, Canary)>,
    _server: Option<Service>,
}

#[allow(dead_code, reason = "it lives as long as the key")]
enum Service {
    Moto(Moto),
    OpenBao(OpenBao),
}

impl Keys {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        ("key file", Self::file),
        ("passphrase", Self::passphrase),
        ("age", Self::age),
        ("KMS", Self::kms),
        ("transit", Self::transit),
        ("Key Vault", Self::key_vault),
        ("Cloud KMS", Self::cloud_kms),
    ];

    fn new(spec: Option<String>, env: Env) -> Self {
        Self { spec, env, secrets: Vec::new(), _server: None }
    }

    /// The user's key file, as it is made by itself.
    pub fn file() -> Self {
        Self::new(None, Vec::new())
    }

    pub fn passphrase() -> Self {
        let text = format!("violet anchor {} pickle", Canary::new().reveal());
        let env = vec![("STACKKIT_PASSPHRASE".to_owned(), text.clone())];
        Self { secrets: vec![("the passphrase", Canary::of(&text))], ..Self::new(None, env) }
    }

    pub fn age() -> Self {
        let key = age::x25519::Identity::generate();
        let private = key.to_string().expose_secret().to_owned();
        let env = vec![("STACKKIT_AGE_IDENTITY".to_owned(), private.clone())];
        let secrets = vec![("the age key", Canary::of(&private))];
        Self { secrets, ..Self::new(Some(format!("age:{}", key.to_public())), env) }
    }

    pub fn kms() -> Self {
        let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
        let arn = moto.kms_key("alias/canaries").unwrap_or_else(|error| panic!("{error}"));
        let env = moto.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { _server: Some(Service::Moto(moto)), ..Self::new(Some(format!("aws-kms:{arn}")), env) }
    }

    pub fn transit() -> Self {
        let bao = OpenBao::start().unwrap_or_else(|error| panic!("{error}"));
        for arguments in [&["secrets", "enable", "transit"][..], &["write", "-f", "transit/keys/infra"]] {
            bao.run(arguments).unwrap_or_else(|error| panic!("{error}"));
        }
        let env = bao.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let secrets = vec![("the token of OpenBao", Canary::of(bao.root_token()))];
        Self { secrets, _server: Some(Service::OpenBao(bao)), ..Self::new(Some("vault:transit/infra".to_owned()), env) }
    }

    /// Written answers play the service.
    pub fn key_vault() -> Self {
        Self::new(Some("azure-key-vault:https://acme.vault.azure.net/keys/infra".to_owned()), Vec::new())
    }

    /// Written answers play the service.
    pub fn cloud_kms() -> Self {
        let name = "projects/acme/locations/europe-west3/keyRings/infra/cryptoKeys/stacks";
        Self::new(Some(format!("google-kms:{name}")), Vec::new())
    }

    /// Names the key for new stacks of a folder, and how they are sealed.
    pub fn announce(&self, folder: &Path, form: Form) {
        let keys = self.spec.as_ref().map(|spec| format!("keys = [\"{spec}\"]\n")).unwrap_or_default();
        let text = format!("[secrets]\n{keys}whole = {}\n", form == Form::Whole);
        std::fs::write(folder.join("stackkit.toml"), text).expect("written");
    }
}
