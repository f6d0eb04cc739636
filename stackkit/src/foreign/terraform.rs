//! States of Terraform and OpenTofu, version 4.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::foreign::{ForeignError, ForeignResource, ForeignState, Left, Tool, name, value_of};
use crate::value::Value;

#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    terraform_version: String,
    #[serde(default)]
    resources: Option<Vec<Resource>>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    module: Option<String>,
    mode: String,
    #[serde(rename = "type")]
    type_name: String,
    name: String,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    instances: Option<Vec<Instance>>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    index_key: Option<Json>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    deposed: Option<String>,
    /// OpenTofu's place of the provider where instances differ in it.
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    attributes: Option<Map<String, Json>>,
    #[serde(default)]
    sensitive_attributes: Option<Vec<Vec<PathStep>>>,
    #[serde(default)]
    dependencies: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct PathStep {
    #[serde(rename = "type")]
    kind: String,
    value: Json,
}

/// What a state of OpenTofu is called.
pub(super) const OPENTOFU: &str = "OpenTofu";

/// Reads a state. `tool` is who wrote it, where nothing in it says otherwise.
pub(super) fn read(json: Json, tool: &str) -> Result<ForeignState, ForeignError> {
    match json.get("version").and_then(Json::as_u64) {
        Some(4) => {}
        Some(version) => {
            let way = match version {
                0..4 => "run `terraform refresh` with Terraform 0.12 or newer, which writes version 4",
                _ => "upgrade to a newer version of StackKit",
            };
            let message = format!("it is a state of version {version}, and version 4 is read here");
            return Err(ForeignError::Unsupported { message, way: way.into() });
        }
        None => return Err(ForeignError::damaged("it has no `version`")),
    }
    let recorded: Recorded = serde_json::from_value(json).map_err(|error| ForeignError::damaged(error.to_string()))?;
    let providers = recorded.resources.iter().flatten().filter_map(|resource| resource.provider.as_deref());
    let is_tofu = providers.into_iter().any(|provider| provider.contains("registry.opentofu.org"));
    let tool = if is_tofu { OPENTOFU } else { tool };
    let mut state = ForeignState {
        origin: format!("{tool} {}", recorded.terraform_version).trim_end().to_owned(),
        resources: Vec::new(),
        left: Vec::new(),
    };
    // What each recorded name leads to, for dependencies, and those of each resource.
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    let mut needs: Vec<Vec<String>> = Vec::new();
    for resource in recorded.resources.unwrap_or_default() {
        let module = resource.module.as_deref().unwrap_or_default();
        let steps = name::modules(module).ok_or_else(|| {
            ForeignError::damaged(format!("`{}` is not the address of a module", module.escape_debug()))
        })?;
        let mode = if resource.mode == "managed" { "" } else { "data." };
        let plain = format!("{mode}{}.{}", resource.type_name, resource.name);
        let within = |modules: &str, rest: &str| match modules {
            "" => rest.to_owned(),
            modules => format!("{modules}.{rest}"),
        };
        let configured: Vec<String> = steps.iter().map(|(name, _)| format!("module.{name}")).collect();
        let configured = within(&configured.join("."), &plain);
        let components: Vec<String> = steps.iter().map(|(name, key)| name::indexed(name, *key)).collect();
        for instance in resource.instances.unwrap_or_default() {
            let (key, bracket) = key(instance.index_key.as_ref());
            let address = within(module, &format!("{plain}{bracket}"));
            let why = match (resource.mode.as_str(), instance.deposed.as_deref(), instance.status.as_deref()) {
                ("data", ..) => Some("a data source is only read: `stack.data` or `stack.existing` does that"),
                ("managed", Some(deposed), _) if !deposed.is_empty() => {
                    Some("it is deposed: Terraform has yet to delete this old instance")
                }
                ("managed", _, Some("tainted")) => {
                    Some("it is tainted: Terraform would replace it; apply that, or `terraform untaint` it, first")
                }
                ("managed", ..) => None,
                _ => Some("it is neither a managed resource nor a data source"),
            };
            if let Some(why) = why {
                state.left.push(Left { address, type_name: resource.type_name.clone(), why: why.into() });
                continue;
            }
            let mut attributes: BTreeMap<String, Value> = instance
                .attributes
                .unwrap_or_default()
                .into_iter()
                .map(|(name, value)| (name, value_of(value)))
                .collect();
            for path in instance.sensitive_attributes.iter().flatten() {
                hide(&mut attributes, path);
            }
            let id = match attributes.get("id").map(Value::reveal) {
                Some(Value::Text(id)) => id.clone(),
                _ => String::new(),
            };
            let mut path = components.clone();
            path.push(name::indexed(&resource.name, key.as_deref()));
            places.entry(configured.clone()).or_default().push(state.resources.len());
            needs.push(instance.dependencies.unwrap_or_default());
            let provider = instance.provider.as_deref().or(resource.provider.as_deref());
            state.resources.push(ForeignResource {
                tool: Tool::Terraform,
                address,
                type_name: resource.type_name.clone(),
                id,
                attributes,
                path,
                instance: provider.and_then(alias),
                after: Vec::new(),
                protect: false,
            });
        }
    }
    let after: Vec<Vec<usize>> = needs
        .iter()
        .enumerate()
        .map(|(own, needs)| needs.iter().flat_map(|need| targets(&state.resources, &places, own, need)).collect())
        .collect();
    for (resource, after) in state.resources.iter_mut().zip(after) {
        resource.after = after;
    }
    Ok(state)
}

/// The resources that a dependency leads to. It names no instances: in a module that stands there several times, those of
/// one's own are meant.
fn targets(resources: &[ForeignResource], places: &HashMap<String, Vec<usize>>, own: usize, need: &str) -> Vec<usize> {
    let components =
        |at: usize| resources.get(at).and_then(|resource| resource.path.split_last()).map(|(_, rest)| rest);
    let all = places.get(need).map(Vec::as_slice).unwrap_or_default();
    let beside: Vec<usize> = all.iter().copied().filter(|at| components(*at) == components(own)).collect();
    let chosen = if beside.is_empty() { all.to_vec() } else { beside };
    chosen.into_iter().filter(|at| *at != own).collect()
}

/// The key of an instance as text, and as the end of an address.
fn key(key: Option<&Json>) -> (Option<String>, String) {
    match key {
        Some(Json::String(text)) => (Some(text.clone()), format!("[{text:?}]")),
        Some(Json::Number(number)) => (Some(number.to_string()), format!("[{number}]")),
        _ => (None, String::new()),
    }
}

/// `west` of `provider["registry.terraform.io/hashicorp/aws"].west`; none of the default configuration. A module before
/// it and a key behind it do not count.
fn alias(provider: &str) -> Option<String> {
    let (_, after) = provider.split_once("provider[\"")?.1.split_once("\"]")?;
    let name = after.strip_prefix('.')?;
    let end = name.find('[').unwrap_or(name.len());
    name.get(..end).filter(|name| !name.is_empty()).map(name::segment)
}

/// Marks what a path leads to as secret; all of the attribute where the path cannot be followed.
fn hide(attributes: &mut BTreeMap<String, Value>, path: &[PathStep]) {
    let Some((first, rest)) = path.split_first() else { return };
    let Some(mut at) = first.value.as_str().and_then(|name| attributes.get_mut(name)) else { return };
    for step in rest {
        let found = match (&mut *at, step_key(step)) {
            (Value::Map(map), Some(Key::Name(name))) => map.contains_key(&name).then_some(Key::Name(name)),
            (Value::List(items), Some(Key::Index(index))) => (index < items.len()).then_some(Key::Index(index)),
            _ => None,
        };
        let Some(found) = found else { break };
        let next = match (at, found) {
            (Value::Map(map), Key::Name(name)) => map.get_mut(&name),
            (Value::List(items), Key::Index(index)) => items.get_mut(index),
            _ => None,
        };
        let Some(next) = next else { return };
        at = next;
    }
    *at = std::mem::take(at).into_secret();
}

enum Key {
    Name(String),
    Index(usize),
}

/// A step into a value. The key of an index step is a value of its own, with its type beside it.
fn step_key(step: &PathStep) -> Option<Key> {
    let value = match (step.kind.as_str(), &step.value) {
        ("index", Json::Object(typed)) => typed.get("value")?,
        (_, plain) => plain,
    };
    match value {
        Json::String(name) => Some(Key::Name(name.clone())),
        Json::Number(number) => Some(Key::Index(usize::try_from(number.as_u64()?).ok()?)),
        _ => None,
    }
}
