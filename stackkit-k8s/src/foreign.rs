//! What other tools call the kinds: by a rule, for both take their names from the API.

use stackkit::Value;
use stackkit::foreign::{Becomes, ForeignResource, Tool};

use crate::registry::TYPES;

/// What a recorded resource is here.
pub(crate) fn foreign(resource: &ForeignResource) -> Option<Becomes> {
    let found = match resource.tool {
        Tool::Terraform => match resource.type_name.strip_prefix("kubernetes_")? {
            "manifest" => return Some(manifest(resource)),
            kind => by_kind(kind),
        },
        Tool::Pulumi => by_group(resource.type_name.strip_prefix("kubernetes:")?),
    };
    Some(match found {
        Some(type_name) => Becomes::resource(type_name, &resource.id).into(),
        None => Becomes::Left(
            "no kind that is linked has this name: turn on the feature of its API group, or declare it as a \
             `stackkit_k8s::Manifest`"
                .into(),
        ),
    })
}

fn types() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|ops| ops.schema().type_name)
}

/// `config_map_v1` is the kind `ConfigMap`.
fn by_kind(name: &str) -> Option<&'static str> {
    let kind = match name.rsplit_once("_v") {
        Some((kind, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => kind,
        _ => name,
    };
    let kind = kind.replace('_', "");
    types().find(|known| known.rsplit(':').next().is_some_and(|last| last.eq_ignore_ascii_case(&kind)))
}

/// `rbac.authorization.k8s.io/v1:Role` is `kubernetes:rbac:Role`; a patch of an object is not the object.
fn by_group(token: &str) -> Option<&'static str> {
    let (group, kind) = token.split_once(':')?;
    let group = group.split(['/', '.']).next()?;
    let wanted = format!("kubernetes:{group}:{kind}");
    types().find(|known| *known == wanted)
}

/// An object that Terraform was given as a manifest.
fn manifest(resource: &ForeignResource) -> Becomes {
    let manifest = resource.get("manifest").or_else(|| resource.get("object")).map(Value::reveal);
    let within = |path: &[&str]| {
        let mut value = manifest?;
        for name in path {
            let Value::Map(map) = value else { return None };
            value = map.get(*name)?.reveal();
        }
        value.as_text()
    };
    let (Some(version), Some(kind), Some(name)) =
        (within(&["apiVersion"]), within(&["kind"]), within(&["metadata", "name"]))
    else {
        return Becomes::Left("its manifest names no kind or no object".into());
    };
    let group = match version.split_once('/') {
        Some((group, _)) => group,
        None => "core",
    };
    match by_group(&format!("{group}:{kind}")) {
        Some(type_name) => {
            let id = match within(&["metadata", "namespace"]) {
                Some(namespace) => format!("{namespace}/{name}"),
                None => name.to_owned(),
            };
            Becomes::resource(type_name, id).into()
        }
        None => Becomes::Left(
            "no kind that is linked has this name: turn on the feature of its API group, or declare it as a \
             `stackkit_k8s::Manifest`"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "core", feature = "rbac", feature = "apps"))]
    fn names_of_both_tools_lead_to_kinds() {
        let kinds =
            ["config_map", "config_map_v1", "service_account", "cluster_role_binding_v1", "deployment"].map(by_kind);
        let expected =
            ["core:ConfigMap", "core:ConfigMap", "core:ServiceAccount", "rbac:ClusterRoleBinding", "apps:Deployment"];
        assert_eq!(kinds.map(|kind| kind.and_then(|kind| kind.strip_prefix("kubernetes:"))), expected.map(Some));
        assert_eq!(by_kind("labels"), None);
        assert_eq!(by_kind("config_map_v1_data"), None);
        assert_eq!(by_group("core/v1:ConfigMap"), Some("kubernetes:core:ConfigMap"));
        assert_eq!(by_group("rbac.authorization.k8s.io/v1:Role"), Some("kubernetes:rbac:Role"));
        assert_eq!(by_group("core/v1:ConfigMapPatch"), None);
        assert_eq!(by_group("helm.sh/v3:Release"), None);
    }
}
