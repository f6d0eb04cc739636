//! Which changes inside an object the API server refuses to make in place. Found by trying every field of every kind
//! against a server; fields that can never change on their own are marked in the kinds themselves.

use stackkit::Value;

/// Top-level fields that never change in place.
const FIXED: &[(&str, &str)] = &[
    ("Manifest", "kind"),
    ("ClusterRoleBinding", "role_ref"),
    ("RoleBinding", "role_ref"),
    ("Secret", "type_"),
    ("EndpointSlice", "address_type"),
    ("StorageClass", "provisioner"),
    ("StorageClass", "parameters"),
    ("StorageClass", "reclaim_policy"),
    ("StorageClass", "volume_binding_mode"),
    ("VolumeAttributesClass", "driver_name"),
    ("VolumeAttributesClass", "parameters"),
    ("CSIStorageCapacity", "node_topology"),
    ("CSIStorageCapacity", "storage_class_name"),
    ("PriorityClass", "value"),
    ("PriorityClass", "preemption_policy"),
    ("RuntimeClass", "handler"),
];

/// Whether a top-level field of a kind never changes in place.
pub(crate) const fn fixed(kind: &str, field: &str) -> bool {
    const fn same(a: &str, b: &str) -> bool {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let mut index = 0;
        while index < a.len() && index < b.len() && a[index] == b[index] {
            index += 1;
        }
        a.len() == b.len() && index == a.len()
    }
    let mut index = 0;
    while index < FIXED.len() {
        if same(FIXED[index].0, kind) && same(FIXED[index].1, field) {
            return true;
        }
        index += 1;
    }
    false
}

/// Whether a top-level field of this type cannot go from one canonical value to the other in place. What is not known
/// yet counts as another value.
pub(crate) fn replaces(name: &str, before: &Value, after: &Value) -> bool {
    let changed = |path: &str| !same(look(before, path), look(after, path));
    let any = |paths: &[&str]| paths.iter().any(|path| changed(path));
    // Something the server filled in itself may be left out again.
    let reset = |path: &str| look(before, path).is_some() && look(after, path).is_some() && changed(path);
    match name {
        "DeploymentSpec" | "DaemonSetSpec" | "ReplicaSetSpec" => changed("selector"),
        "StatefulSetSpec" => any(&["selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"]),
        "JobSpec" => {
            let suspended = look(before, "suspend") == Some(&Value::Bool(true));
            reset("selector")
                || any(&["completionMode", "podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "managedBy"])
                || (changed("completions") && !resizes_indexed(before, after))
                || (!suspended && any(&["template.spec", "template.metadata"]))
        }
        "PersistentVolumeClaimSpec" => {
            any(&["accessModes", "dataSource", "dataSourceRef", "selector", "volumeMode", "resources.limits"])
                || reset("storageClassName")
                || reset("volumeName")
                || shrinks(look(before, "resources.requests.storage"), look(after, "resources.requests.storage"))
                || (look(before, "volumeAttributesClassName").is_some()
                    && look(after, "volumeAttributesClassName").is_none())
        }
        "PersistentVolumeSpec" => differs_outside(
            before,
            after,
            &[
                "capacity",
                "accessModes",
                "claimRef",
                "mountOptions",
                "persistentVolumeReclaimPolicy",
                "storageClassName",
                "volumeAttributesClassName",
            ],
        ),
        "PodSpec" => pod(before, after),
        "ServiceSpec" => {
            let balances = |spec| look(spec, "type").and_then(Value::as_text) == Some("LoadBalancer");
            let external = |spec| look(spec, "type").and_then(Value::as_text) == Some("ExternalName");
            (reset("clusterIP") && external(before) == external(after))
                || (balances(before) && balances(after) && changed("loadBalancerClass"))
        }
        "ResourceQuotaSpec" => changed("scopes"),
        "IngressClassSpec" => changed("controller"),
        "CSIDriverSpec" => any(&["attachRequired", "volumeLifecycleModes"]),
        "APIServiceSpec" => any(&["group", "version"]),
        "CustomResourceDefinitionSpec" => any(&["group", "scope", "names.plural", "names.kind"]),
        "IPAddressSpec" => changed("parentRef"),
        "ResourceClaimSpec" | "ResourceClaimTemplateSpec" | "CertificateSigningRequestSpec" => {
            !same(Some(before), Some(after))
        }
        _ => false,
    }
}

/// A running pod takes new images, a shorter deadline and more tolerations; everything else needs another pod.
fn pod(before: &Value, after: &Value) -> bool {
    let without_images = |spec: &Value| {
        let mut spec = spec.clone();
        if let Value::Map(map) = &mut spec {
            for list in ["containers", "initContainers"] {
                if let Some(Value::List(items)) = map.get_mut(list) {
                    for item in items {
                        if let Value::Map(item) = item {
                            item.remove("image");
                        }
                    }
                }
            }
        }
        spec
    };
    let deadline = |spec| look(spec, "activeDeadlineSeconds");
    let longer = match (deadline(before), deadline(after)) {
        (Some(Value::Int(was)), Some(Value::Int(wanted))) => wanted > was,
        (Some(_), None) => true,
        _ => false,
    };
    let fewer = match (look(before, "tolerations"), look(after, "tolerations")) {
        (Some(Value::List(was)), Some(Value::List(wanted))) => !was.iter().all(|one| wanted.contains(one)),
        (Some(_), None) => true,
        _ => false,
    };
    longer
        || fewer
        || differs_outside(&without_images(before), &without_images(after), &["activeDeadlineSeconds", "tolerations"])
}

/// Completions of an indexed Job may change together with its parallelism, to one value.
fn resizes_indexed(before: &Value, after: &Value) -> bool {
    look(before, "completionMode").and_then(Value::as_text) == Some("Indexed")
        && look(after, "completions").is_some()
        && same(look(after, "completions"), look(after, "parallelism"))
}

fn shrinks(before: Option<&Value>, after: Option<&Value>) -> bool {
    let nano = |value: Option<&Value>| value.and_then(Value::as_text).and_then(crate::scalar::parse);
    match (nano(before), nano(after)) {
        (Some(was), Some(wanted)) => wanted < was,
        _ => before.is_some() && after.is_none(),
    }
}

fn differs_outside(before: &Value, after: &Value, mutable: &[&str]) -> bool {
    let (Value::Map(before), Value::Map(after)) = (before, after) else { return !same(Some(before), Some(after)) };
    before
        .keys()
        .chain(after.keys())
        .any(|key| !mutable.contains(&key.as_str()) && !same(before.get(key), after.get(key)))
}

fn look<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, segment| match value {
        Value::Map(map) => map.get(segment).filter(|v| !v.is_null()),
        _ => None,
    })
}

fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(name: &str, before: serde_json::Value, after: serde_json::Value) -> bool {
        replaces(name, &crate::body::from_json(&before), &crate::body::from_json(&after))
    }

    #[test]
    fn a_selector_never_changes_in_place() {
        let spec = |app: &str, replicas: i64| json!({"selector": {"matchLabels": {"app": app}}, "replicas": replicas});
        for kind in ["DeploymentSpec", "DaemonSetSpec", "ReplicaSetSpec", "StatefulSetSpec"] {
            assert!(check(kind, spec("a", 1), spec("b", 1)));
            assert!(!check(kind, spec("a", 1), spec("a", 2)));
        }
    }

    #[test]
    fn a_claim_grows_in_place_and_never_shrinks() {
        let spec = |size: &str| json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
        assert!(!check("PersistentVolumeClaimSpec", spec("1Gi"), spec("2Gi")));
        assert!(!check("PersistentVolumeClaimSpec", spec("1024Mi"), spec("1Gi")));
        assert!(check("PersistentVolumeClaimSpec", spec("2Gi"), spec("1Gi")));
    }

    #[test]
    fn a_pod_takes_new_images_alone() {
        let spec =
            |image: &str, command: &str| json!({"containers": [{"name": "a", "image": image, "command": [command]}]});
        assert!(!check("PodSpec", spec("a:1", "x"), spec("a:2", "x")));
        assert!(check("PodSpec", spec("a:1", "x"), spec("a:1", "y")));
    }

    #[test]
    fn a_job_runs_one_template_unless_suspended() {
        let spec = |suspend: bool, image: &str| json!({"suspend": suspend, "template": {"spec": {"containers": [{"image": image}]}}});
        assert!(check("JobSpec", spec(false, "a"), spec(false, "b")));
        assert!(!check("JobSpec", spec(true, "a"), spec(false, "b")));
        assert!(!check("JobSpec", json!({"parallelism": 1}), json!({"parallelism": 2})));
    }

    #[test]
    fn an_unknown_part_counts_as_another() {
        let known = crate::body::from_json(&json!({"selector": {"a": "b"}}));
        let Value::Map(mut map) = known.clone() else { panic!("an object") };
        map.insert("selector".into(), Value::Unknown { secret: false });
        assert!(replaces("DeploymentSpec", &known, &Value::Map(map)));
    }
}
