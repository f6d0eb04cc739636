#!/usr/bin/env python3
"""Writes src/<group>/<version>.rs and src/registry.rs from the OpenAPI v3 documents of a Kubernetes release.

    dir=$(go mod download -json k8s.io/kubernetes@v1.36.4 | python3 -c 'import json,sys; print(json.load(sys.stdin)["Dir"])')
    python3 stackkit-k8s/generator/generate.py "$dir/api/openapi-spec/v3" && cargo fmt -p stackkit-k8s

The output is checked in: building the crate needs neither Python nor Go nor a network.
"""
import json
import pathlib
import re
import sys

# Module (and cargo feature), document, version: the newest generally available version of every group.
GROUPS = [
    ("core", "api__v1", "v1"),
    ("apps", "apis__apps__v1", "v1"),
    ("batch", "apis__batch__v1", "v1"),
    ("rbac", "apis__rbac.authorization.k8s.io__v1", "v1"),
    ("networking", "apis__networking.k8s.io__v1", "v1"),
    ("admissionregistration", "apis__admissionregistration.k8s.io__v1", "v1"),
    ("apiextensions", "apis__apiextensions.k8s.io__v1", "v1"),
    ("apiregistration", "apis__apiregistration.k8s.io__v1", "v1"),
    ("autoscaling", "apis__autoscaling__v2", "v2"),
    ("certificates", "apis__certificates.k8s.io__v1", "v1"),
    ("coordination", "apis__coordination.k8s.io__v1", "v1"),
    ("discovery", "apis__discovery.k8s.io__v1", "v1"),
    ("flowcontrol", "apis__flowcontrol.apiserver.k8s.io__v1", "v1"),
    ("node", "apis__node.k8s.io__v1", "v1"),
    ("policy", "apis__policy__v1", "v1"),
    ("resource", "apis__resource.k8s.io__v1", "v1"),
    ("scheduling", "apis__scheduling.k8s.io__v1", "v1"),
    ("storage", "apis__storage.k8s.io__v1", "v1"),
]
# Written by controllers, or read-only views: nothing that a program declares.
NOT_KINDS = {"Event", "ControllerRevision", "CSINode", "VolumeAttachment", "ResourceSlice"}
STATEFUL = {"PersistentVolumeClaim", "PersistentVolume", "CustomResourceDefinition"}
# The name says what the object is for, so it is never made up.
NAMED = {"CustomResourceDefinition", "APIService", "CSIDriver", "Node", "IPAddress"}
# (struct or kind, field) that programs do not set: ignored or overwritten by the server, or of the server alone.
DROPPED = {
    ("PodSpec", "serviceAccount"), ("Namespace", "spec"), ("ObjectMeta", "creationTimestamp"),
    ("ObjectMeta", "deletionTimestamp"), ("ObjectMeta", "deletionGracePeriodSeconds"), ("ObjectMeta", "generation"),
    ("ObjectMeta", "managedFields"), ("ObjectMeta", "resourceVersion"), ("ObjectMeta", "selfLink"), ("ObjectMeta", "uid"),
}
ORDER = {"CronJobSpec": ["schedule", "jobTemplate"], "RoleBinding": ["roleRef"]}
# Extra outputs of a kind: field, Rust type, path in the live object, documentation.
OUTPUTS = {
    "Service": [
        ("cluster_ip", "Option<String>", "spec.clusterIP", "The address inside the cluster; `None` as text for a headless service."),
        ("load_balancer", "Option<String>", "status.loadBalancer.ingress", "Address or host name of the load balancer, once there is one."),
    ],
    "Ingress": [("load_balancer", "Option<String>", "status.loadBalancer.ingress", "Address or host name under which it is served, once published.")],
    "PersistentVolumeClaim": [("volume", "Option<String>", "spec.volumeName", "The bound volume, once there is one.")],
    "Pod": [
        ("pod_ip", "Option<String>", "status.podIP", "Address of the pod."),
        ("node", "Option<String>", "spec.nodeName", "The node that it runs on."),
    ],
}
# Parts of a version that is too long for one file: file, and the names of the structs in it; the first that fits counts.
# What fits none stands beside the kinds.
PARTS = {
    ("core", "v1"): [
        ("scheduling", r"Affinity|Toleration|Taint|Topology|NodeSelector|Preferred|WeightedPod|SchedulingGate"),
        ("container", r"Container|^Env|Probe|Lifecycle|Handler$|Action$|SecurityContext|Capabilities|Seccomp|SELinux|AppArmor|Windows|^(ConfigMap|Secret)(Env|Key)|FieldSelector$|^Volume(Mount|Device)"),
        ("persistent", r"PersistentVolume|PersistentVolumeSource$|^TypedObject|ResourceRequirements"),
        ("cluster", r"^(Node|Service|Namespace|Endpoint|LoadBalancer|Limit|ResourceQuota|Replication|Scope|Daemon|ClientIP|SessionAff|PodTemplate|Attached)"),
        ("projected", r"Projection|ProjectedVolume|KeyToPath|^DownwardAPI"),
        ("volume", r"Volume|Source$"),
    ],
}
SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "crate::Quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "crate::IntOrString",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "String",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "String",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "crate::Json",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "crate::Json",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "crate::Json",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "crate::Json",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "crate::Json",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "crate::Json",
}
PREFIXES = [
    ("io.k8s.apimachinery.pkg.apis.meta.v1.", "meta", "v1"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.", "apiextensions", "v1"),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.", "apiregistration", "v1"),
] + [(f"io.k8s.api.{m}.{v}.", m, v) for m, _, v in GROUPS]
KEYWORDS = {"type", "ref", "match", "enum", "continue", "static", "default", "const", "loop", "use", "as", "in", "if", "where", "static"}

schemas, structs = {}, {}


def place(ref):
    for prefix, module, version in PREFIXES:
        if ref.startswith(prefix):
            return module, version, ref[len(prefix):]
    raise SystemExit(f"no module for {ref}")


def snake(name):
    name = name.replace("$", "").replace("-", "_").replace("openAPIV3", "openApiV3").replace("WWNs", "Wwns")
    name = re.sub(r"(IP|CIDR|URL|ID|UID|GID|PID|API|IPC|GMSA)s(?=[A-Z]|$)", lambda m: m[1].capitalize() + "s", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    name = re.sub(r"_+", "_", name)
    return name + "_" if name in KEYWORDS else name


def doc(text, fallback):
    text = re.sub(r"\s+", " ", text or "").strip()
    text = re.split(r"(?<=[a-z\)\]`\"'])\.\s", text + " ")[0].strip().rstrip(".")
    text = re.sub(r"^[a-zA-Z]+ (is|are|represents|describes|defines|indicates|specifies) ", lambda m: m[0], text)
    if len(text) > 150:
        text = text[:150].rsplit(" ", 1)[0].rstrip(",;:(") + " …"
    text = text.replace("\\", "").replace("`", "'").replace("[", r"\[").replace("]", r"\]").replace("<", r"\<").replace(">", r"\>")
    text = re.sub(r"(https?://[^\s\"',;)]+)", r"<\1>", text)
    return (text or fallback) + ("" if text.endswith("…") else ".")


def rust_type(prop, here):
    """The Rust type of a property, and the marker for how its list merges."""
    if "allOf" in prop:
        prop = {**prop, **prop["allOf"][0]}
    if "$ref" in prop:
        ref = prop["$ref"].rsplit("/", 1)[1]
        if ref in SCALARS:
            return SCALARS[ref]
        # Metadata and spec of a claim, where it is no object of its own.
        if ref == "io.k8s.api.core.v1.PersistentVolumeClaim":
            ref += "Template"
        need(ref)
        module, version, name = place(ref)
        return name if (module, version) == here else f"crate::{module}::{version}::{name}"
    kind = prop.get("type")
    if kind == "string":
        return "crate::ByteString" if prop.get("format") == "byte" else "String"
    if kind == "integer":
        return "i32" if prop.get("format") == "int32" else "i64"
    if kind == "number":
        return "f64"
    if kind == "boolean":
        return "bool"
    if kind == "array":
        return f"Vec<{rust_type(prop['items'], here)}>"
    if kind == "object" and "additionalProperties" in prop:
        return f"Map<{rust_type(prop['additionalProperties'], here)}>"
    return "crate::Json"


def merge(prop):
    kind = prop.get("x-kubernetes-list-type")
    if kind == "set" or (prop.get("type") == "array" and kind is None and prop.get("x-kubernetes-patch-strategy") == "merge" and "x-kubernetes-patch-merge-key" not in prop):
        return " => set"
    if kind == "map":
        return " => keyed(" + ", ".join(json.dumps(k) for k in prop["x-kubernetes-list-map-keys"]) + ")"
    return ""


def need(ref):
    if ref not in structs:
        structs[ref] = None
        structs[ref] = emit_struct(ref)


def fields_of(name, schema):
    for wire, prop in schema.get("properties", {}).items():
        if (name, wire) not in DROPPED:
            yield wire, prop


def required_of(name, schema, wires):
    required = [w for w in schema.get("required", []) if w in wires]
    if name in ORDER:
        return ORDER[name]
    if "name" in required and "kind" not in required:
        required.sort(key=lambda w: (w != "name", w))
    else:
        required.sort()
    return required


def emit_struct(ref):
    module, version, name = place(ref)
    schema = schemas[ref]
    props = dict(fields_of(name, schema))
    required = required_of(name, schema, props)
    out = {"new": [], "optional": [], "either": []}
    for wire in required + [w for w in props if w not in required]:
        ty = rust_type(props[wire], (module, version))
        block = "new" if wire in required else "either" if ty == "crate::IntOrString" else "optional"
        out[block].append(f"/// {doc(props[wire].get('description'), wire)}\n{snake(wire)} {json.dumps(wire)}: {ty}{merge(props[wire])};")
    text = "\n".join(f"{block} {{ {' '.join(chr(10) + f for f in out[block])}\n}}" for block in out)
    return f"mirror! {{\n/// {doc(schema.get('description'), name)}\n{name}\n{text}\n}}\n"


def emit_kind(module, version, group, name, plural, namespaced, schema):
    here = (module, version)
    props = {w: p for w, p in fields_of(name, schema) if w not in ("apiVersion", "kind", "metadata", "status")}
    required = required_of(name, schema, props)
    if "spec" in props and "spec" not in required:
        required.append("spec")
    named = name in NAMED
    index = 4 if namespaced else 3
    new, optional = [], []
    for wire in required + [w for w in props if w not in required]:
        ty, mark = rust_type(props[wire], here), merge(props[wire])
        if name == "Secret" and wire == "data":
            ty = "Map<::stackkit::Secret<crate::ByteString>>"
        if name == "Secret" and wire == "stringData":
            ty = "Map<::stackkit::Secret<String>>"
        line = f"/// {doc(props[wire].get('description'), wire)}\n{snake(wire)} {index} {json.dumps(wire)}: {ty}{mark};"
        (new if wire in required else optional).append(line)
        index += 1
    outputs = [f"/// {d}\n{f} {index + 2 + i} {json.dumps(p)}: {t};" for i, (f, t, p, d) in enumerate(OUTPUTS.get(name, []))]
    nl = "\n"
    return (
        f"kind! {{\n/// {doc(schema.get('description'), name)}\n{name} {name}Outputs\n"
        f'"kubernetes:{module}:{name}" {json.dumps(group)} {json.dumps(version)} {json.dumps(plural)}\n'
        f"stateful {'true' if name in STATEFUL else 'false'} named {'true' if named else 'false'}\n"
        f"name {{ {'name' if named else ': name'} }}\n"
        f"namespace {{ {'namespace 1' if namespaced else ''} }}\n"
        f"meta {{ {2 if namespaced else 1} {3 if namespaced else 2} }}\n"
        f"new {{ {nl.join(nl + l for l in new)}\n}}\noptional {{ {nl.join(nl + l for l in optional)}\n}}\n"
        f"own {{ {index} {index + 1} }}\n"
        f"outputs {{ {nl.join(nl + l for l in outputs)}\n}}\n}}\n"
    )


def main():
    spec = pathlib.Path(sys.argv[1])
    src = pathlib.Path(__file__).resolve().parent.parent / "src"
    documents = []
    for module, document, version in GROUPS:
        data = json.loads((spec / f"{document}_openapi.json").read_text())
        documents.append((module, version, data))
        for name, schema in data["components"]["schemas"].items():
            schemas.setdefault(name, schema)
    kinds = {}
    for module, version, data in documents:
        for path, verbs in data["paths"].items():
            if not path.endswith("/{name}") or not {"patch", "delete", "get"} <= verbs.keys():
                continue
            gvk = verbs["get"]["x-kubernetes-group-version-kind"]
            if gvk["kind"] in NOT_KINDS:
                continue
            namespaced = "/{namespace}/" in path
            plural = path.split("/")[-2]
            found = [s for s in data["components"]["schemas"].items() if gvk in s[1].get("x-kubernetes-group-version-kind", []) and "metadata" in s[1].get("properties", {}) and not s[0].endswith("List")]
            (ref, schema), = found
            kinds[(module, gvk["kind"])] = (version, emit_kind(module, version, gvk["group"], gvk["kind"], plural, namespaced, schema))
    need("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    files = {}
    for (module, kind), (version, text) in sorted(kinds.items()):
        files.setdefault((module, version), {}).setdefault("", []).append(text)
    for ref in sorted(structs):
        module, version, name = place(ref)
        part = next((part for part, names in PARTS.get((module, version), []) if re.search(names, name)), "")
        files.setdefault((module, version), {}).setdefault(part, []).append(structs[ref])
    for (module, version), parts in files.items():
        folder = src / module
        folder.mkdir(exist_ok=True)
        for part, items in parts.items():
            target = folder / version / f"{part}.rs" if part else folder / f"{version}.rs"
            target.parent.mkdir(exist_ok=True)
            what = f"What objects of the `{module}` group, version `{version}`, hold: {part}." if part else f"Objects of the `{module}` group, version `{version}`."
            others = sorted(other for other in parts if other and not part)
            target.write_text(
                f"//! {what} @generated by generator/generate.py: change that, not this.\n"
                "#![allow(rustdoc::broken_intra_doc_links, reason = \"the documentation is the server's own\")]\n\n"
                + "".join(f"mod {other};\n" for other in others) + ("\n" if others else "")
                + "".join(f"pub use {other}::*;\n" for other in others) + ("\n" if others else "")
                + ("use super::*;\n" if part else "")
                + ("use crate::kind::kind;\n" if any("kind! {" in i for i in items) else "")
                + ("use crate::mirror::mirror;\n" if any("mirror! {" in i for i in items) else "")
                + ("use crate::shape::Map;\n" if any("Map<" in i for i in items) else "")
                + "\n" + "\n".join(items)
            )
    lines = ["//! Every kind that the provider manages. @generated by generator/generate.py: change that, not this.", "",
             "use stackkit::Ops;", "use stackkit::resource::Of;", "", "use crate::Kubernetes;", "",
             "/// The types of the provider, those of the enabled features.",
             "pub(crate) const TYPES: &[&dyn Ops<Kubernetes>] = &[",
             "    &Of::<crate::Manifest>(std::marker::PhantomData),"]
    for (module, kind), (version, _) in sorted(kinds.items()):
        lines += [f'    #[cfg(feature = "{module}")]', f"    &Of::<crate::{module}::{version}::{kind}>(std::marker::PhantomData),"]
    lines += ["];", ""]
    (src / "registry.rs").write_text("\n".join(lines))
    print(f"{len(kinds)} kinds, {len(structs)} structs")


main()
