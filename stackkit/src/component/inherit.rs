//! What resources inherit from the components that they are in: options, tags, and old names.

use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::sync::Arc;

use crate::component::ComponentOptions;
use crate::schema::{Role, Schema};
use crate::stack::{Declarations, Declared};
use crate::urn::Urn;
use crate::value::{Computed, Expr, Value};

/// The setting of a provider that is for the tags of its resources.
const DEFAULT_TAGS: &str = "default_tags";

/// Gives every resource what its components say, and writes all its old names out as URNs.
pub(crate) fn inherit(declared: &mut Declarations) {
    // Whether anything is to be done at all: most resources stand directly in the stack and were never renamed.
    let settings = settings(declared);
    let paths = former_paths(declared);
    let mut tag_fields: HashMap<*const Schema, Option<usize>> = HashMap::new();
    let mut aliases: Vec<(usize, Vec<String>)> = Vec::new();
    for (index, resource) in declared.resources.iter_mut().enumerate() {
        let component = resource.component.map(|component| component as usize);
        if let Some(settings) = component.and_then(|component| settings.get(component)) {
            if !settings.tags.is_null() {
                let schema = resource.schema;
                let field = tag_fields.entry(std::ptr::from_ref(schema)).or_insert_with(|| tags_field(schema));
                take_tags(resource, *field, &settings.tags);
            }
            take_options(resource, settings);
        }
        let former = component.and_then(|component| paths.get(component)).map_or(&[][..], Vec::as_slice);
        if !former.is_empty() || !resource.options().aliases.is_empty() {
            let known = |urn: &Urn| declared.by_urn.contains_key(urn);
            aliases.push((index, all_aliases(resource, former, &known)));
        }
    }
    for (index, all) in aliases {
        declared.resources[index].options_mut().aliases = all;
    }
    let chosen: Vec<Option<String>> = declared
        .reads
        .iter()
        .map(|read| provider_in(declared, read.component, read.asks()?).filter(|_| read.provider.is_none()))
        .collect();
    for (read, chosen) in declared.reads.iter_mut().zip(chosen) {
        read.provider = read.provider.take().or(chosen);
    }
}

/// Puts the `default_tags` of a provider instance under the tags of its resources.
pub(crate) fn take_default_tags(declared: &mut Declarations) {
    let defaults: HashMap<&str, &Value> = (declared.providers.iter())
        .filter_map(|provider| match &provider.settings {
            Value::Map(settings) => Some((provider.name.as_str(), settings.get(DEFAULT_TAGS)?)),
            _ => None,
        })
        .filter(|(_, tags)| !tags.is_null())
        .collect();
    if defaults.is_empty() {
        return;
    }
    for resource in &mut declared.resources {
        if let Some(tags) = defaults.get(resource.provider_instance()) {
            take_tags(resource, tags_field(resource.schema), tags);
        }
    }
}

/// The instance of a provider that applies in a component: of the nearest one that says so.
pub(crate) fn provider_in(declared: &Declarations, component: Option<u32>, provider: &str) -> Option<String> {
    let mut next = component;
    while let Some(component) = next.and_then(|index| declared.components.get(index as usize)) {
        if let Some(instance) = component.options.providers.get(provider) {
            return Some(instance.clone());
        }
        next = component.parent;
    }
    None
}

/// What applies in each component: its own options over those of the component that it is in.
fn settings(declared: &Declarations) -> Vec<ComponentOptions> {
    let mut all: Vec<ComponentOptions> = Vec::with_capacity(declared.components.len());
    // A component is declared after the one that it is in.
    for component in &declared.components {
        let own = &component.options;
        let Some(outer) = component.parent.and_then(|parent| all.get(parent as usize)) else {
            all.push(own.clone());
            continue;
        };
        let mut both = outer.clone();
        both.providers.extend(own.providers.iter().map(|(provider, instance)| (*provider, instance.clone())));
        both.protect = own.protect.or(both.protect);
        both.tags = merged(&both.tags, &own.tags, component.at);
        both.retain_on_delete |= own.retain_on_delete;
        both.timeout = own.timeout.or(both.timeout);
        both.ignore_changes.extend_from_slice(&own.ignore_changes);
        both.depends_on.extend_from_slice(&own.depends_on);
        both.depends_on_named.extend_from_slice(&own.depends_on_named);
        both.hooks.extend_from_slice(&own.hooks);
        // Dependencies on whole components are worked out for whole components.
        all.push(both);
    }
    all
}

/// Puts tags under those that the resource has, where it has a field for them.
fn take_tags(resource: &mut Declared, field: Option<usize>, tags: &Value) {
    let Some(field) = field else { return };
    let default = resource.schema.fields.get(field).and_then(|field| field.default);
    let Some(slot) = resource.values.get_mut(field) else { return };
    let own = match default {
        Some(default) if slot.is_null() => default(),
        _ => std::mem::take(slot),
    };
    *slot = merged(tags, &own, resource.at);
}

fn take_options(resource: &mut Declared, settings: &ComponentOptions) {
    let schema = resource.schema;
    let provider = settings.providers.get(schema.provider());
    let has_field = |path: &&String| {
        let field = path.split(['.', '[']).next().unwrap_or_default();
        schema.index(field).is_some_and(|index| schema.fields[index].role == Role::Input)
    };
    let ignored: Vec<String> = settings.ignore_changes.iter().filter(has_field).cloned().collect();
    let nothing = provider.is_none()
        && ignored.is_empty()
        && settings.protect.is_none()
        && !settings.retain_on_delete
        && settings.timeout.is_none()
        && settings.depends_on.is_empty()
        && settings.depends_on_named.is_empty()
        && settings.hooks.is_empty();
    if nothing {
        return;
    }
    let options = resource.options_mut();
    if options.provider.is_none() {
        options.provider = provider.cloned();
    }
    options.protect = options.protect.or(settings.protect);
    options.retain_on_delete |= settings.retain_on_delete;
    options.create_timeout = options.create_timeout.or(settings.timeout);
    options.update_timeout = options.update_timeout.or(settings.timeout);
    options.delete_timeout = options.delete_timeout.or(settings.timeout);
    options.ignore_changes.extend(ignored);
    options.depends_on.extend_from_slice(&settings.depends_on);
    options.depends_on_named.extend_from_slice(&settings.depends_on_named);
    options.hooks.splice(0..0, settings.hooks.iter().cloned());
}

/// The field that takes tags: an input called `tags` into which a map of any texts fits.
pub(crate) fn tags_field(schema: &Schema) -> Option<usize> {
    let (index, field) = schema.inputs().find(|(_, field)| field.name == "tags")?;
    let any = Value::Map(BTreeMap::from([("any key".to_owned(), Value::text("any text"))]));
    (!field.ty.secret && (field.ty.check)(&any).is_ok()).then_some(index)
}

/// Two maps as one, entries of `over` winning. What refers to resources is merged once it is known.
pub(crate) fn merged(under: &Value, over: &Value, at: &'static Location<'static>) -> Value {
    match (under, over) {
        (Value::Null, only) | (only, Value::Null) => only.clone(),
        (Value::Map(under), Value::Map(over)) => {
            let mut both = under.clone();
            both.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
            Value::Map(both)
        }
        (Value::Expr(_), _) | (_, Value::Expr(_)) => Value::Expr(Expr::Computed(Arc::new(Computed {
            inputs: vec![under.clone(), over.clone()],
            secret: under.has_secret() || over.has_secret(),
            at,
            run: Box::new(move |inputs| match inputs.as_slice() {
                [under, over] => Ok(merged(under.reveal(), over.reveal(), at)),
                _ => Err("tags are two maps".to_owned()),
            }),
        }))),
        (_, other) => other.clone(),
    }
}

/// The paths that each component had before, by its own aliases and those of the components that it is in.
fn former_paths(declared: &Declarations) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::with_capacity(declared.components.len());
    for component in &declared.components {
        let parent = component.parent.map(|parent| parent as usize);
        let parent_path = parent.and_then(|parent| declared.components.get(parent)).map_or("", |parent| &*parent.path);
        let no_former = Vec::new();
        let parent_former = parent.and_then(|parent| all.get(parent)).unwrap_or(&no_former);
        let aliases = &component.options.aliases;
        if aliases.is_empty() && parent_former.is_empty() {
            all.push(Vec::new());
            continue;
        }
        let mut former = Vec::new();
        let names = aliases.iter().filter(|alias| !alias.contains('/')).map(String::as_str);
        let names: Vec<&str> = std::iter::once(component.name()).chain(names).collect();
        for parent in std::iter::once(parent_path).chain(parent_former.iter().map(String::as_str)) {
            former.extend(names.iter().map(|name| joined(parent, name)));
        }
        let whole = aliases.iter().filter(|alias| alias.contains('/'));
        former.extend(whole.map(|alias| alias.trim_matches('/').to_owned()));
        unique(&mut former);
        former.retain(|path| **path != *component.path);
        all.push(former);
    }
    all
}

/// All old names of a resource as URNs: those that it gives itself, then those that follow from its components. What
/// only follows yields to a resource that the program declares under that name.
fn all_aliases(resource: &Declared, former: &[String], known: &dyn Fn(&Urn) -> bool) -> Vec<String> {
    let type_name = resource.schema.type_name;
    let (path, name) = resource.urn.path().rsplit_once('/').unwrap_or(("", resource.urn.path()));
    let own = &resource.options().aliases;
    let urn = |alias: &String| match Urn::parse(alias) {
        Some(urn) => urn,
        None if alias.contains('/') => Urn::new(type_name, alias.trim_matches('/')),
        None => Urn::new(type_name, &joined(path, alias)),
    };
    let mut all: Vec<String> = own.iter().map(|alias| urn(alias).to_string()).collect();
    let is_name = |alias: &&String| !alias.contains('/') && Urn::parse(alias).is_none();
    let names: Vec<&str> = std::iter::once(name).chain(own.iter().filter(is_name).map(String::as_str)).collect();
    for path in former {
        let follows = names.iter().map(|name| Urn::new(type_name, &joined(path, name)));
        all.extend(follows.filter(|urn| !known(urn)).map(|urn| urn.to_string()));
    }
    unique(&mut all);
    all
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn unique(all: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    all.retain(|text| seen.insert(text.clone()));
}
