//! Exports of Pulumi: deployments of version 3, with the secrets of its passphrase provider.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{aead, pbkdf2};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::foreign::{ForeignError, ForeignResource, ForeignState, Left, Tool, gcm, name, value_of};
use crate::value::Value;

/// The key by which a value that is more than plain JSON is known, and what stands there for a secret.
const SIGNATURE: &str = "4dabf18193072939515e22adb298388d";
const SECRET: &str = "1b47061264138c4ac30d75fd1eb44270";
/// How a passphrase becomes a key.
const PASSES: u32 = 1_000_000;
const KEY_BYTES: usize = 32;
/// What the salt is stored with, sealed, to tell a wrong passphrase.
const PROOF: &[u8] = b"pulumi";

const PLAIN: &str = "use what `pulumi stack export --show-secrets` writes";

#[derive(Deserialize)]
struct Deployment {
    #[serde(default)]
    manifest: Option<Manifest>,
    #[serde(default)]
    secrets_providers: Option<SecretsProvider>,
    #[serde(default)]
    resources: Option<Vec<Resource>>,
    #[serde(default)]
    pending_operations: Option<Vec<Pending>>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct SecretsProvider {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    state: Json,
}

#[derive(Deserialize)]
struct Pending {
    resource: Resource,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    urn: String,
    #[serde(default)]
    custom: bool,
    #[serde(default)]
    id: String,
    #[serde(rename = "type")]
    type_name: String,
    #[serde(default)]
    inputs: Option<Map<String, Json>>,
    #[serde(default)]
    outputs: Option<Map<String, Json>>,
    #[serde(default)]
    parent: String,
    #[serde(default)]
    dependencies: Option<Vec<String>>,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    external: bool,
    #[serde(default)]
    delete: bool,
    #[serde(default)]
    pending_replacement: bool,
    #[serde(default)]
    protect: bool,
}

/// Reads an export, or a checkpoint file of a backend that keeps states in files.
pub(super) fn read(json: Json, passphrase: Option<&SecretString>) -> Result<ForeignState, ForeignError> {
    let damaged = |error: serde_json::Error| ForeignError::damaged(error.to_string());
    match json.get("version").and_then(Json::as_u64) {
        Some(3) => {}
        Some(version) => {
            let message = format!("it is an export of version {version}, and version 3 is read here");
            let way = "export it again with a version of Pulumi that writes version 3".into();
            return Err(ForeignError::Unsupported { message, way });
        }
        None => return Err(ForeignError::damaged("it has no `version`")),
    }
    let deployment = match json {
        Json::Object(mut map) => match (map.remove("deployment"), map.remove("checkpoint")) {
            (Some(deployment), _) => deployment,
            (None, Some(Json::Object(mut checkpoint))) => checkpoint.remove("latest").unwrap_or_default(),
            _ => Json::Null,
        },
        _ => Json::Null,
    };
    if !deployment.is_object() {
        return Err(ForeignError::damaged("it has no `deployment`"));
    }
    let deployment: Deployment = serde_json::from_value(deployment).map_err(damaged)?;
    let origin = match deployment.manifest.map(|manifest| manifest.version) {
        Some(version) if !version.is_empty() => format!("Pulumi {}", version.trim_start_matches('v')),
        _ => "Pulumi".into(),
    };
    let mut opener = Opener { provider: deployment.secrets_providers, passphrase, key: None };
    let resources = deployment.resources.unwrap_or_default();
    let parents: HashMap<String, (String, bool)> = resources
        .iter()
        .map(|resource| (resource.urn.clone(), (resource.parent.clone(), is_component(resource))))
        .collect();
    let mut state = ForeignState { origin, resources: Vec::new(), left: Vec::new() };
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut needs = Vec::new();
    for resource in resources {
        let type_name = resource.type_name.as_str();
        if !resource.custom || type_name.starts_with("pulumi:providers:") {
            continue;
        }
        let why = match &resource {
            Resource { delete: true, .. } => Some("Pulumi has yet to delete this old instance"),
            Resource { external: true, .. } => Some("it is only read: `stack.existing` does that"),
            Resource { pending_replacement: true, .. } => {
                Some("it is deleted and waits for its replacement: run `pulumi up` first")
            }
            _ => None,
        };
        if let Some(why) = why {
            state.left.push(Left { address: resource.urn, type_name: resource.type_name, why: why.into() });
            continue;
        }
        let path = path(&resource.urn, &resource.parent, &parents);
        let mut attributes = BTreeMap::new();
        for (name, value) in resource.inputs.into_iter().flatten().chain(resource.outputs.into_iter().flatten()) {
            attributes.insert(name, opener.value(value)?);
        }
        places.insert(resource.urn.clone(), state.resources.len());
        needs.push(resource.dependencies.unwrap_or_default());
        state.resources.push(ForeignResource {
            tool: Tool::Pulumi,
            address: resource.urn,
            type_name: resource.type_name,
            id: resource.id,
            attributes,
            path,
            instance: instance(&resource.provider),
            after: Vec::new(),
            protect: resource.protect,
        });
    }
    for pending in deployment.pending_operations.into_iter().flatten() {
        state.left.push(Left {
            address: pending.resource.urn,
            type_name: pending.resource.type_name,
            why: format!(
                "a call of Pulumi (`{}`) was interrupted: run `pulumi refresh` first, should it have come through",
                pending.kind.escape_debug()
            ),
        });
    }
    for (own, (resource, needs)) in state.resources.iter_mut().zip(needs).enumerate() {
        let found = needs.iter().filter_map(|urn| places.get(urn)).copied();
        resource.after = found.filter(|at| *at != own).collect();
    }
    Ok(state)
}

/// Whether it groups others: a component, other than the stack itself.
fn is_component(resource: &Resource) -> bool {
    !resource.custom && resource.type_name != "pulumi:pulumi:Stack"
}

/// The name at the end of `urn:pulumi:stack::project::type::name`.
fn name_of(urn: &str) -> String {
    name::segment(urn.splitn(4, "::").nth(3).unwrap_or(urn))
}

/// How many components a resource may be in.
const DEEPEST: usize = 100;

/// Components, outermost first, and the name.
fn path(urn: &str, parent: &str, parents: &HashMap<String, (String, bool)>) -> Vec<String> {
    let mut path = vec![name_of(urn)];
    let mut next = parent;
    // A file may be edited so that parents lead in a circle; nobody nests deeper.
    for _ in 0..parents.len().min(DEEPEST) {
        let Some((above, is_component)) = parents.get(next) else { break };
        if *is_component {
            path.push(name_of(next));
        }
        next = above;
    }
    path.reverse();
    path
}

/// The provider's name in `urn:pulumi:stack::project::pulumi:providers:aws::west::<uuid>`; none of a default one.
fn instance(reference: &str) -> Option<String> {
    let name = reference.splitn(4, "::").nth(3)?;
    let name = name.rsplit_once("::").map_or(name, |(name, _)| name);
    (name != "default" && !name.starts_with("default_")).then(|| name::segment(name))
}

/// What opens the secrets of an export, made at the first of them.
struct Opener<'a> {
    provider: Option<SecretsProvider>,
    passphrase: Option<&'a SecretString>,
    key: Option<aead::LessSafeKey>,
}

impl Opener<'_> {
    /// A value, its secrets opened and marked. serde_json bounds how deep it is nested; what is within a secret cannot be
    /// a secret of its own.
    fn value(&mut self, json: Json) -> Result<Value, ForeignError> {
        match json {
            Json::Object(mut map) => {
                if map.get(SIGNATURE).and_then(Json::as_str) == Some(SECRET) {
                    return self.secret(&mut map);
                }
                let fields = map.into_iter().map(|(key, item)| Ok((key, self.value(item)?)));
                Ok(Value::Map(fields.collect::<Result<_, ForeignError>>()?))
            }
            Json::Array(items) => {
                Ok(Value::List(items.into_iter().map(|item| self.value(item)).collect::<Result<_, _>>()?))
            }
            plain => Ok(value_of(plain)),
        }
    }

    fn secret(&mut self, map: &mut Map<String, Json>) -> Result<Value, ForeignError> {
        let unreadable = || ForeignError::damaged("a secret in it is not JSON");
        if let Some(Json::String(text)) = map.remove("plaintext") {
            let plain: Json = serde_json::from_str(&text).map_err(|_| unreadable())?;
            return Ok(value_of(plain).into_secret());
        }
        let Some(Json::String(sealed)) = map.remove("ciphertext") else {
            return Err(ForeignError::damaged("a secret in it has neither `ciphertext` nor `plaintext`"));
        };
        let key = match &self.key {
            Some(key) => key,
            None => {
                let key = self.derive()?;
                self.key.insert(key)
            }
        };
        let plain = open(key, &sealed)?.ok_or_else(|| ForeignError::damaged("a secret in it does not open"))?;
        let plain: Json = serde_json::from_slice(&plain).map_err(|_| unreadable())?;
        Ok(value_of(plain).into_secret())
    }

    fn derive(&self) -> Result<aead::LessSafeKey, ForeignError> {
        let unsupported = |message: String| ForeignError::Unsupported { message, way: PLAIN.into() };
        let provider = match &self.provider {
            Some(provider) if provider.kind == "passphrase" => provider,
            Some(other) => {
                let kind = other.kind.escape_debug();
                return Err(unsupported(format!("its secrets are sealed by `{kind}`, which is not opened here")));
            }
            None => return Err(unsupported("it has secrets, and does not say what they are sealed with".into())),
        };
        let salt = provider.state.get("salt").and_then(Json::as_str);
        let damaged = || ForeignError::damaged("the salt of its passphrase is not as Pulumi writes it");
        let (version, rest) = salt.and_then(|text| text.split_once(':')).ok_or_else(damaged)?;
        if version != "v1" {
            let version = version.escape_debug();
            return Err(unsupported(format!("its passphrase is salted in version `{version}`, and `v1` is read here")));
        }
        let (salt, proof) = rest.split_once(':').ok_or_else(damaged)?;
        let salt = STANDARD.decode(salt).map_err(|_| damaged())?;
        let passphrase = self.passphrase.ok_or(ForeignError::PassphraseMissing(Tool::Pulumi))?;
        let key = gcm::derive(pbkdf2::PBKDF2_HMAC_SHA256, passphrase, &salt, PASSES, KEY_BYTES)?;
        match open(&key, proof)? {
            Some(opened) if opened.as_slice() == PROOF => Ok(key),
            _ => Err(ForeignError::WrongPassphrase { what: "the secrets of the export", way: "check it" }),
        }
    }
}

/// Opens `v1:<nonce>:<sealed>`.
fn open(key: &aead::LessSafeKey, text: &str) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, ForeignError> {
    let damaged = || ForeignError::damaged("a secret in it is not `v1:`, a nonce and what is sealed");
    let (nonce, sealed) = text.strip_prefix("v1:").and_then(|rest| rest.split_once(':')).ok_or_else(damaged)?;
    let nonce = STANDARD.decode(nonce).map_err(|_| damaged())?;
    let sealed = STANDARD.decode(sealed).map_err(|_| damaged())?;
    Ok(gcm::open(key, &nonce, sealed))
}
