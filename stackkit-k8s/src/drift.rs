//! What became of the fields that were applied: each is looked up in the live object and compared in canonical form.
//! Fields that were never applied (defaults, status, those of others) are not looked at, so they are never a difference.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Wire, json};
use stackkit::Value;
use stackkit::resource::Values;

use crate::body::{at, from_json};
use crate::kind::{Kind, NAME, NAMESPACE};
use crate::manifest::{API_VERSION, KIND, WHOLE};
use crate::shape::{Merge, Slot, Ty};
use crate::{ANNOTATION_URN, LABEL_LINEAGE, LABEL_TOKEN};

/// Fields that admission changed or the server ignored: their path, and what they are instead, as JSON. Once recorded,
/// they are no difference until they change again.
pub(crate) type Admitted = BTreeMap<String, String>;

struct Walk<'a> {
    admitted: &'a Admitted,
    found: Admitted,
}

const TEXTS: Ty = Ty::Map(&Ty::Text);

/// The inputs as they are in the live object, in the spelling of the applied ones where they mean the same; and every
/// difference.
pub(crate) fn project(kind: &Kind, applied: &[Value], live: &Wire, admitted: &Admitted) -> (Values, Admitted) {
    let mut walk = Walk { admitted, found: Admitted::new() };
    let mut values = applied.to_vec();
    values.resize(kind.width(), Value::Null);
    let live = with_text(live);
    for (index, wire) in [(kind.labels, "labels"), (kind.annotations(), "annotations")] {
        if let Some(value) = values.get_mut(index) {
            *value = walk.value(&TEXTS, Merge::Atomic, value, at(&live, &format!("metadata.{wire}")), wire);
        }
    }
    for (index, slot) in kind.inputs {
        if let Some(value) = values.get_mut(*index) {
            *value = walk.value(&slot.ty, slot.merge, value, part(&live, slot.wire), slot.wire);
        }
    }
    identity(kind, &mut values, &live);
    (values, walk.found)
}

/// All inputs of a live object that this program did not apply.
pub(crate) fn adopt(kind: &Kind, live: &Wire) -> Values {
    let mut values = vec![Value::Null; kind.width()];
    let own = [LABEL_LINEAGE, LABEL_TOKEN, ANNOTATION_URN];
    for (index, wire) in [(kind.labels, "labels"), (kind.annotations(), "annotations")] {
        let Some(Wire::Object(map)) = at(live, &format!("metadata.{wire}")) else { continue };
        let theirs: BTreeMap<_, _> = map
            .iter()
            .filter(|(key, _)| !own.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), from_json(value)))
            .collect();
        if let (Some(value), false) = (values.get_mut(index), theirs.is_empty()) {
            *value = Value::Map(theirs);
        }
    }
    for (index, slot) in kind.inputs {
        if let (Some(value), Some(live)) = (values.get_mut(*index), part(live, slot.wire)) {
            *value = typed(&slot.ty, live);
            if let (WHOLE, Value::Map(map)) = (slot.wire, value) {
                map.retain(|key, _| !["apiVersion", "kind", "metadata", "status"].contains(&key.as_str()));
            }
        }
    }
    identity(kind, &mut values, live);
    values
}

/// The part of an object that a field stands for.
fn part<'a>(live: &'a Wire, wire: &str) -> Option<&'a Wire> {
    if wire == WHOLE { Some(live) } else { live.get(wire) }
}

fn identity(kind: &Kind, values: &mut Values, live: &Wire) {
    let text = |path| crate::body::text_at(live, path).map_or(Value::Null, Value::text);
    if let Some(name) = values.get_mut(NAME) {
        *name = text("metadata.name");
    }
    if let (true, Some(namespace)) = (kind.namespaced, values.get_mut(NAMESPACE)) {
        *namespace = text("metadata.namespace");
    }
    if kind.dynamic {
        for (index, path) in [(API_VERSION, "apiVersion"), (KIND, "kind")] {
            if let Some(value) = values.get_mut(index) {
                *value = text(path);
            }
        }
    }
}

/// What a Secret was given as text, the server keeps as bytes: shows them as text as well.
fn with_text(live: &Wire) -> Wire {
    let mut live = live.clone();
    if live.get("kind").and_then(Wire::as_str) == Some("Secret") && live.get("apiVersion") == Some(&json!("v1")) {
        let decoded = live.get("data").and_then(Wire::as_object).map(|data| {
            let texts = data.iter().filter_map(|(key, value)| {
                let bytes = STANDARD.decode(value.as_str()?).ok()?;
                Some((key.clone(), Wire::String(String::from_utf8(bytes).ok()?)))
            });
            texts.collect::<serde_json::Map<_, _>>()
        });
        if let (Some(decoded), Some(object)) = (decoded, live.as_object_mut()) {
            object.insert("stringData".into(), Wire::Object(decoded));
        }
    }
    live
}

/// A live part as a value of the type; fields that programs do not set are left out.
fn typed(ty: &Ty, live: &Wire) -> Value {
    match (ty, live) {
        (Ty::Hidden(inner), live) => typed(inner, live).into_secret(),
        (Ty::List(item), Wire::Array(items)) => Value::List(items.iter().map(|live| typed(item, live)).collect()),
        (Ty::Map(item), Wire::Object(map)) => {
            Value::Map(map.iter().map(|(key, live)| (key.clone(), typed(item, live))).collect())
        }
        (Ty::Struct(info), Wire::Object(map)) => {
            let info = info();
            let fields = map
                .iter()
                .filter(|(_, live)| !live.is_null())
                .filter_map(|(key, live)| Some((key.clone(), typed(&info.slot(key)?.ty, live))));
            Value::Map(fields.collect())
        }
        (_, live) => from_json(live),
    }
}

impl Walk<'_> {
    fn value(&mut self, ty: &Ty, merge: Merge, applied: &Value, live: Option<&Wire>, path: &str) -> Value {
        let live = live.filter(|live| !live.is_null());
        match (ty, applied, live) {
            (_, Value::Null, _) => Value::Null,
            (Ty::Hidden(inner), applied, live) => {
                // What a secret differs by is never written down, so it stays a difference.
                let none = Admitted::new();
                let mut inside = Walk { admitted: &none, found: Admitted::new() };
                inside.value(inner, merge, applied.reveal(), live, path).into_secret()
            }
            (ty, applied, None) => {
                let slot = Slot { wire: "", ty: *ty, merge };
                let canonical = ty.canonical(merge, applied.clone());
                if slot.is_absent(&canonical) { applied.clone() } else { self.differs(ty, applied, None, path) }
            }
            (Ty::Struct(info), Value::Map(map), Some(Wire::Object(object))) => {
                let info = info();
                let fields = map.iter().filter_map(|(key, applied)| {
                    let slot = info.slot(key)?;
                    let value = self.value(&slot.ty, slot.merge, applied, object.get(key), &format!("{path}.{key}"));
                    (applied.is_null() || !value.is_null()).then(|| (key.clone(), value))
                });
                Value::Map(fields.collect())
            }
            (Ty::Map(item), Value::Map(map), Some(Wire::Object(object))) => {
                let fields = map.iter().filter_map(|(key, applied)| {
                    let value = self.value(item, Merge::Atomic, applied, object.get(key), &format!("{path}.{key}"));
                    (applied.is_null() || !value.is_null()).then(|| (key.clone(), value))
                });
                Value::Map(fields.collect())
            }
            (Ty::List(item), Value::List(items), Some(Wire::Array(live))) => match merge {
                Merge::Keyed(keys) => {
                    let kept = items.iter().enumerate().filter_map(|(index, applied)| {
                        let same = live.iter().find(|live| keys.iter().all(|key| same_key(key, applied, live)));
                        let value = self.value(item, Merge::Atomic, applied, same, &format!("{path}.{index}"));
                        (!value.is_null()).then_some(value)
                    });
                    Value::List(kept.collect())
                }
                Merge::Set => {
                    let kept = items.iter().enumerate().filter_map(|(index, applied)| {
                        let same = live.iter().find(|live| equal(item, applied, live));
                        let value = self.value(item, Merge::Atomic, applied, same, &format!("{path}.{index}"));
                        (!value.is_null()).then_some(value)
                    });
                    Value::List(kept.collect())
                }
                Merge::Atomic if items.len() == live.len() => {
                    let all = items.iter().zip(live).enumerate().map(|(index, (applied, live))| {
                        self.value(item, Merge::Atomic, applied, Some(live), &format!("{path}.{index}"))
                    });
                    Value::List(all.collect())
                }
                Merge::Atomic => self.differs(ty, applied, Some(&Wire::Array(live.clone())), path),
            },
            (Ty::Json, Value::Map(map), Some(Wire::Object(object))) => {
                let fields = map.iter().filter_map(|(key, applied)| {
                    let value = self.value(ty, Merge::Atomic, applied, object.get(key), &format!("{path}.{key}"));
                    (applied.is_null() || !value.is_null()).then(|| (key.clone(), value))
                });
                Value::Map(fields.collect())
            }
            (Ty::Json, Value::List(items), Some(Wire::Array(live))) if items.len() == live.len() => {
                let all = items.iter().zip(live).enumerate().map(|(index, (applied, live))| {
                    self.value(ty, Merge::Atomic, applied, Some(live), &format!("{path}.{index}"))
                });
                Value::List(all.collect())
            }
            (ty, applied, Some(live)) if equal(ty, applied, live) => applied.clone(),
            (ty, applied, Some(live)) => self.differs(ty, applied, Some(live), path),
        }
    }

    fn differs(&mut self, ty: &Ty, applied: &Value, live: Option<&Wire>, path: &str) -> Value {
        let text = live.map_or_else(|| "null".to_owned(), Wire::to_string);
        let accepted = self.admitted.get(path) == Some(&text);
        self.found.insert(path.to_owned(), text);
        if accepted { applied.clone() } else { live.map_or(Value::Null, |live| typed(ty, live)) }
    }
}

fn same_key(key: &str, applied: &Value, live: &Wire) -> bool {
    let Value::Map(map) = applied else { return false };
    match (map.get(key), live.get(key)) {
        (Some(applied), Some(live)) => equal(&Ty::Json, applied, live),
        // The one key that the server fills in by itself.
        (None, Some(live)) => key != "protocol" || live == "TCP",
        (None, None) => true,
        (Some(_), None) => false,
    }
}

fn equal(ty: &Ty, applied: &Value, live: &Wire) -> bool {
    match (ty.canonical(Merge::Atomic, applied.clone()), ty.canonical(Merge::Atomic, typed(ty, live))) {
        (Value::Float(a), Value::Int(b)) | (Value::Int(b), Value::Float(a)) => a == b as f64,
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::v1::{ConfigMap, Service};
    use crate::kind::Object;
    use serde_json::json;
    use stackkit::Resource;

    fn values<K: Object>(spec: Wire) -> Values {
        let mut values = vec![Value::Null; K::KIND.width()];
        values[K::SCHEMA.index("spec").expect("it has one")] = from_json(&spec);
        values
    }

    fn service(applied: Wire, live: Wire, admitted: &Admitted) -> (Value, Admitted) {
        let live =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "b"}, "spec": live});
        let (values, found) = project(Service::KIND, &values::<Service>(applied), &live, admitted);
        (values[Service::SCHEMA.index("spec").expect("it has one")].clone(), found)
    }

    #[test]
    fn only_what_was_applied_is_compared_and_lists_by_their_keys() {
        let none = Admitted::new();
        let applied = json!({"ports": [{"port": 80}, {"port": 81, "protocol": "UDP"}], "selector": {"app": "a"}});
        let live = json!({"clusterIP": "10.0.0.1", "selector": {"app": "a", "theirs": "x"}, "ports": [
            {"port": 81, "protocol": "UDP", "targetPort": 81}, {"port": 81, "protocol": "TCP"}, {"port": 80, "protocol": "TCP", "targetPort": 80}]});
        let (seen, found) = service(applied.clone(), live, &none);
        assert_eq!((seen, found.len()), (from_json(&applied), 0));
        let (seen, found) =
            service(applied, json!({"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "b"}}), &none);
        assert_eq!(seen, from_json(&json!({"ports": [{"port": 80}], "selector": {"app": "b"}})));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["spec.ports.1", "spec.selector.app"]);
    }

    #[test]
    fn what_admission_made_is_accepted_until_it_changes_again() {
        let applied = json!({"type": "ClusterIP", "externalName": "x"});
        let (_, admitted) = service(applied.clone(), json!({"type": "NodePort"}), &Admitted::new());
        assert_eq!(admitted.len(), 2);
        assert_eq!(service(applied.clone(), json!({"type": "NodePort"}), &admitted).0, from_json(&applied));
        let (seen, _) = service(applied, json!({"type": "LoadBalancer"}), &admitted);
        assert_eq!(seen, from_json(&json!({"type": "LoadBalancer", "externalName": "x"})));
    }

    #[test]
    fn an_adopted_object_has_all_that_programs_set_and_none_of_ours() {
        let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "metadata": {"name": "n", "namespace": "s",
            "uid": "u", "labels": {"mine": "1", "stackkit.dev/lineage": "l"}, "annotations": {"stackkit.dev/urn": "u"}}});
        let values = adopt(ConfigMap::KIND, &live);
        assert_eq!(values[NAME], Value::text("n"));
        assert_eq!(values[NAMESPACE], Value::text("s"));
        assert_eq!(values[ConfigMap::KIND.labels], from_json(&json!({"mine": "1"})));
        assert_eq!(values[ConfigMap::KIND.annotations()], Value::Null);
        assert_eq!(values[ConfigMap::SCHEMA.index("data").expect("it has one")], from_json(&json!({"a": "b"})));
    }
}
