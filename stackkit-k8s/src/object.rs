//! What happens to objects of every kind: they are made, read, changed and deleted here, and nowhere else.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use http::Method;
use serde_json::{Value as Wire, json};
use stackkit::property::Property;
use stackkit::resource::Values;
use stackkit::{Context, Created, Found, Intent, Value};

use crate::body::{at, items_at, object, reveal_json, text_at};
use crate::client::{APPLY, Call, JSON, escape};
use crate::drift::{self, Admitted};
use crate::error::{Error, Reason};
use crate::kind::{Kind, NAME, NAMESPACE, Object, ObjectArgs, ObjectState};
use crate::manifest::{WHOLE, not_served};
use crate::{ANNOTATION_URN, Kubernetes, LABEL_LINEAGE, LABEL_TOKEN, wait};

/// A resource version that no object has. Server-side apply with a stale version is refused where the object exists and
/// creates it where it does not: so this makes an apply that only ever creates.
const NEVER: &str = "1";

/// One object, by kind and name.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.kind, self.name),
            None => write!(f, "{} {}", self.kind.kind, self.name),
        }
    }
}

impl<'a> Target<'a> {
    fn of(k8s: &'a Kubernetes, kind: &'static Kind, values: &'a [Value]) -> Result<Self, Error> {
        let text = |index: usize| values.get(index).and_then(Value::as_text).filter(|text| !text.is_empty());
        let name = text(NAME).ok_or_else(|| Error::Settings(format!("{}: it has no name", kind.kind)))?;
        let namespace = kind.namespaced.then(|| text(NAMESPACE).unwrap_or(&k8s.namespace));
        Ok(Self { kind, namespace, name })
    }

    fn parse(k8s: &'a Kubernetes, kind: &'static Kind, id: &'a str) -> Self {
        match id.split_once('/') {
            Some((namespace, name)) if kind.namespaced => Self { kind, namespace: Some(namespace), name },
            _ => Self { kind, namespace: kind.namespaced.then_some(k8s.namespace.as_str()), name: id },
        }
    }

    pub(crate) fn id(&self) -> String {
        let prefix = self.kind.id_prefix();
        match self.namespace {
            Some(namespace) => format!("{prefix}{namespace}/{}", self.name),
            None => format!("{prefix}{}", self.name),
        }
    }

    pub(crate) fn path(&self) -> String {
        self.kind.path(self.namespace, self.name)
    }
}

enum Apply<'a> {
    /// Make it; fail where it exists.
    Make,
    /// Bring the one with this uid to what is wanted. The token stays while a create is not finished.
    Bring { uid: &'a str, token: bool },
}

/// The body of an apply.
fn body(cx: &Context, target: Target<'_>, values: &[Value], apply: &Apply<'_>) -> Wire {
    let kind = target.kind;
    let given = |index: usize| match values.get(index) {
        Some(Value::Map(map)) => map.iter().map(|(key, value)| (key.clone(), reveal_json(value))).collect(),
        _ => serde_json::Map::new(),
    };
    let mut labels = given(kind.labels);
    labels.insert(LABEL_LINEAGE.into(), label(cx.lineage()).into());
    let mut annotations = given(kind.annotations());
    annotations.insert(ANNOTATION_URN.into(), cx.urn().as_str().into());
    let mut metadata = serde_json::Map::new();
    metadata.insert("name".into(), target.name.into());
    if let Some(namespace) = target.namespace {
        metadata.insert("namespace".into(), namespace.into());
    }
    let token = match apply {
        Apply::Make => {
            metadata.insert("resourceVersion".into(), NEVER.into());
            true
        }
        Apply::Bring { uid, token } => {
            metadata.insert("uid".into(), (*uid).into());
            *token
        }
    };
    if token {
        labels.insert(LABEL_TOKEN.into(), label(cx.token()).into());
    }
    metadata.insert("labels".into(), Wire::Object(labels));
    metadata.insert("annotations".into(), Wire::Object(annotations));
    let mut whole = object([
        ("apiVersion", kind.api_version().into()),
        ("kind", kind.kind.into()),
        ("metadata", Wire::Object(metadata)),
    ]);
    if let Some(fields) = whole.as_object_mut() {
        for (index, slot) in kind.inputs {
            match values.get(*index).map(reveal_json) {
                None | Some(Wire::Null) => {}
                Some(Wire::Object(whole)) if slot.wire == WHOLE => {
                    let own = ["apiVersion", "kind", "metadata"];
                    fields.extend(whole.into_iter().filter(|(key, _)| !own.contains(&key.as_str())));
                }
                Some(value) => {
                    fields.insert(slot.wire.into(), value);
                }
            }
        }
        if kind.kind == "Secret" {
            text_to_data(fields);
            // Left out it would mean `Opaque`, and a type never changes: so it is always said.
            fields.entry("type").or_insert_with(|| "Opaque".into());
        }
    }
    whole
}

/// Text of a Secret goes out as bytes: what is applied as text cannot be removed again by leaving it out.
fn text_to_data(fields: &mut serde_json::Map<String, Wire>) {
    let Some(Wire::Object(texts)) = fields.remove("stringData") else { return };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    if let Some(data) = data.as_object_mut() {
        for (key, text) in texts {
            data.insert(key, STANDARD.encode(text.as_str().unwrap_or_default()).into());
        }
    }
}

/// A value as a label may hold it.
fn label(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut value: String = text.chars().map(|c| if fits(c) { c } else { '-' }).take(63).collect();
    while value.ends_with(|c: char| !c.is_ascii_alphanumeric()) {
        value.pop();
    }
    value.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

async fn send(k8s: &Kubernetes, target: Target<'_>, action: &str, body: &Wire, force: bool) -> Result<Wire, Error> {
    let force = if force { "&force=true" } else { "" };
    let path = format!("{}?fieldManager={}&fieldValidation=Strict{force}", target.path(), escape(&k8s.manager));
    let bytes = serde_json::to_vec(body).map_err(|error| Error::Settings(format!("{action}: {error}")))?;
    let sent = k8s.api.call(Call { action, method: Method::PATCH, path, body: Some((APPLY, bytes)) }).await;
    sent.map_err(|error| scrub(error, body))
}

/// Takes the values of a Secret out of a message: the server quotes what it refuses.
fn scrub(error: Error, body: &Wire) -> Error {
    let Error::Refused { action, mut answer } = error else { return error };
    if text_at(body, "kind") == Some("Secret")
        && let Some(data) = body.get("data").and_then(Wire::as_object)
    {
        for encoded in data.values().filter_map(Wire::as_str).filter(|text| !text.is_empty()) {
            answer.message = answer.message.replace(encoded, "[secret]");
            let plain = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some(plain) = plain.filter(|plain| !plain.is_empty()) {
                answer.message = answer.message.replace(&plain, "[secret]");
            }
        }
    }
    Error::Refused { action, answer }
}

/// Brings an object that is known to be ours to what is wanted. Fields of managers that may be taken over are, by a
/// second request that holds for the very version whose conflicts were looked at.
async fn bring(
    k8s: &Kubernetes,
    cx: &Context,
    target: Target<'_>,
    values: &[Value],
    uid: &str,
    token: bool,
) -> Result<Wire, Error> {
    let action = format!("apply {target}");
    let mut wanted = body(cx, target, values, &Apply::Bring { uid, token });
    let mut refused = match send(k8s, target, &action, &wanted, false).await {
        Err(Error::Refused { action, answer }) if answer.reason == Reason::FieldOwned => (action, answer),
        Err(Error::Refused { answer, .. }) if answer.reason == Reason::OtherUid => {
            return Err(Error::Gone { object: target.to_string() });
        }
        other => return other,
    };
    let may_take = |owned: &[(String, String)]| owned.iter().all(|(_, owner)| k8s.take_over.contains(owner));
    if may_take(&refused.1.owned)
        && let Some(live) = k8s.api.get(&format!("read {target}"), target.path()).await?
        && let (Some(version), Some(metadata)) = (at(&live, "metadata.resourceVersion"), wanted.get_mut("metadata"))
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.insert("resourceVersion".into(), version.clone());
        match send(k8s, target, &action, &wanted, false).await {
            Err(Error::Refused { action, answer }) if answer.reason == Reason::FieldOwned => {
                if may_take(&answer.owned) {
                    for (field, owner) in &answer.owned {
                        cx.progress(format!("takes `{field}` over from {owner}"));
                    }
                    return send(k8s, target, &action, &wanted, true).await;
                }
                refused = (action, answer);
            }
            other => return other,
        }
    }
    let (action, answer) = refused;
    let fields: Vec<_> = answer.owned.iter().map(|(field, owner)| format!("`{field}` is owned by {owner}")).collect();
    let first = answer.owned.first().map(|(field, _)| program_path(field)).unwrap_or_default();
    Err(Error::Owned { action, fields: fields.join(", "), first })
}

/// A field as programs name it: `metadata.labels.x` is `labels.x`.
fn program_path(field: &str) -> String {
    field.strip_prefix("metadata.").unwrap_or(field).to_owned()
}

pub(crate) async fn create<K: Object>(
    k8s: &Kubernetes,
    cx: &Context,
    args: &ObjectArgs<K>,
) -> Result<Created<K>, Error> {
    let (id, values) = create_erased(k8s, cx, K::KIND, args.values()).await?;
    Ok(Created::new(id, ObjectState::erased(values)))
}

async fn create_erased(
    k8s: &Kubernetes,
    cx: &Context,
    kind: &'static Kind,
    args: &[Value],
) -> Result<(String, Values), Error> {
    let kind = kind.of_fields(k8s, args).await?;
    let target = Target::of(k8s, kind, args)?;
    let live = match send(k8s, target, &format!("create {target}"), &body(cx, target, args, &Apply::Make), false).await
    {
        Ok(live) => live,
        Err(Error::Refused { answer, .. })
            if matches!(answer.reason, Reason::Stale | Reason::FieldOwned | Reason::AlreadyExists) =>
        {
            let there = k8s.api.get(&format!("read {target}"), target.path()).await?;
            let there = there.ok_or_else(|| Error::StillThere { object: target.to_string() })?;
            if at(&there, "metadata.deletionTimestamp").is_some() {
                return Err(Error::StillThere { object: target.to_string() });
            }
            match text_at(&there, "metadata.uid") {
                Some(uid) if has_token(&there, cx.token()) => bring(k8s, cx, target, args, uid, true).await?,
                _ => return Err(Error::Taken { object: target.to_string(), id: target.id() }),
            }
        }
        Err(error) => return Err(error),
    };
    let id = target.id();
    cx.created(&id).await?;
    let live = wait::until_ready(k8s, cx, target, live).await?;
    Ok((id, after_apply(kind, args, &live)))
}

fn has_token(live: &Wire, token: &str) -> bool {
    at(live, "metadata.labels").and_then(|labels| labels.get(LABEL_TOKEN)).and_then(Wire::as_str) == Some(&label(token))
}

/// Whether an object carries the lineage of the stack and the URN of the resource.
fn is_of(live: &Wire, cx: &Context) -> bool {
    let lineage = at(live, "metadata.labels").and_then(|labels| labels.get(LABEL_LINEAGE)).and_then(Wire::as_str);
    let urn = at(live, "metadata.annotations").and_then(|all| all.get(ANNOTATION_URN)).and_then(Wire::as_str);
    lineage == Some(&label(cx.lineage())) && urn == Some(cx.urn().as_str())
}

/// The state after an apply: the inputs as they were given, with the differences that admission made recorded.
fn after_apply(kind: &Kind, args: &[Value], live: &Wire) -> Values {
    let (_, admitted) = drift::project(kind, args, live, &Admitted::new());
    let mut values = args.to_vec();
    values.resize(kind.width(), Value::Null);
    if let (true, Some(namespace)) = (kind.namespaced, values.get_mut(NAMESPACE)) {
        *namespace = text_at(live, "metadata.namespace").map_or(Value::Null, Value::text);
    }
    outputs(kind, &mut values, live, admitted);
    values
}

fn outputs(kind: &Kind, values: &mut Values, live: &Wire, admitted: Admitted) {
    let mut put = |index: usize, value: Value| {
        if let Some(place) = values.get_mut(index) {
            *place = value;
        }
    };
    put(kind.uid, text_at(live, "metadata.uid").map_or(Value::Null, Value::text));
    put(kind.admitted(), if admitted.is_empty() { Value::Null } else { admitted.to_value() });
    for (index, path) in kind.outputs {
        let found = at(live, path).and_then(|found| match found {
            Wire::String(text) if !text.is_empty() => Some(text.as_str()),
            Wire::Array(items) => {
                items.iter().find_map(|item| text_at(item, "ip").or_else(|| text_at(item, "hostname")))
            }
            _ => None,
        });
        put(*index, found.map_or(Value::Null, Value::text));
    }
}

/// The state that a read gives; none where the object is not the one that the state knows.
fn observed(kind: &Kind, prior: Option<&[Value]>, live: &Wire) -> Option<Values> {
    let Some(prior) = prior else {
        let mut values = drift::adopt(kind, live);
        outputs(kind, &mut values, live, Admitted::new());
        return Some(values);
    };
    let known = prior.get(kind.uid).and_then(Value::as_text);
    if known.is_some() && known != text_at(live, "metadata.uid") {
        return None;
    }
    let admitted = prior.get(kind.admitted()).and_then(|value| Admitted::from_value(value).ok()).unwrap_or_default();
    let (mut values, found) = drift::project(kind, prior, live, &admitted);
    let still: Admitted = found.into_iter().filter(|(path, text)| admitted.get(path) == Some(text)).collect();
    outputs(kind, &mut values, live, still);
    Some(values)
}

pub(crate) async fn read<K: Object>(
    k8s: &Kubernetes,
    _: &Context,
    id: &str,
    prior: Option<&ObjectState<K>>,
) -> Result<Option<ObjectState<K>>, Error> {
    let prior = prior.map(|prior| prior.values());
    Ok(read_erased(k8s, K::KIND, id, prior).await?.map(ObjectState::erased))
}

async fn read_erased(
    k8s: &Kubernetes,
    kind: &'static Kind,
    id: &str,
    prior: Option<&[Value]>,
) -> Result<Option<Values>, Error> {
    let (found, name) = match kind.of_id(k8s, id, prior).await {
        Err(error) if kind.dynamic && not_served(&error) => return Ok(None),
        found => found?,
    };
    let target = Target::parse(k8s, found, name);
    match k8s.api.get(&format!("read {target}"), target.path()).await {
        Ok(live) => Ok(live.and_then(|live| observed(found, prior, &live))),
        Err(error) if kind.is_gone(k8s, id, prior, &error).await => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lineage on an object, where it is another stack's.
pub(crate) async fn claimed_by<K: Object>(
    k8s: &Kubernetes,
    cx: &Context,
    id: &str,
    state: &ObjectState<K>,
) -> Result<Option<String>, Error> {
    let (kind, name) = K::KIND.of_id(k8s, id, Some(state.values())).await?;
    let target = Target::parse(k8s, kind, name);
    let live = k8s.api.get(&format!("read {target}"), target.path()).await?;
    let lineage = live.as_ref().and_then(|live| at(live, "metadata.labels")?.get(LABEL_LINEAGE)?.as_str());
    Ok(lineage.filter(|lineage| *lineage != label(cx.lineage())).map(str::to_owned))
}

pub(crate) async fn read_many<K: Object>(
    k8s: &Kubernetes,
    cx: &Context,
    items: &[(String, Option<ObjectState<K>>)],
) -> Vec<Result<Option<ObjectState<K>>, Error>> {
    let items: Vec<_> =
        items.iter().map(|(id, prior)| (id.as_str(), prior.as_ref().map(|prior| prior.values()))).collect();
    let read = read_many_erased(k8s, cx, K::KIND, &items).await;
    read.into_iter().map(|result| result.map(|values| values.map(ObjectState::erased))).collect()
}

/// One list a namespace where several objects are asked for, and one request for each that no list has: their labels may
/// have been taken off.
async fn read_many_erased(
    k8s: &Kubernetes,
    cx: &Context,
    kind: &'static Kind,
    items: &[(&str, Option<&[Value]>)],
) -> Vec<Result<Option<Values>, Error>> {
    if kind.dynamic {
        let reads: Vec<_> = items.iter().map(|(id, prior)| read_erased(k8s, kind, id, *prior)).collect();
        return futures_util::stream::iter(reads).buffered(READS).collect().await;
    }
    let targets: Vec<_> = items.iter().map(|(id, _)| Target::parse(k8s, kind, id)).collect();
    let mut groups: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for target in &targets {
        *groups.entry(target.namespace).or_default() += 1;
    }
    let mut listed: HashMap<String, Wire> = HashMap::new();
    for namespace in groups.into_iter().filter(|(_, count)| *count > 1).map(|(namespace, _)| namespace) {
        let own = match list_own(k8s, cx, kind, namespace).await {
            Ok(own) => own,
            // Some roles may get but not list: then every object is asked for by itself.
            Err(Error::Refused { answer, .. }) if answer.reason == Reason::Forbidden => Vec::new(),
            Err(error) => return fail_all(k8s, items.len(), error),
        };
        for live in own {
            if let Some(name) = text_at(&live, "metadata.name") {
                listed.insert(Target { kind, namespace, name }.id(), live);
            }
        }
    }
    let reads = targets.iter().zip(items).map(|(target, (_, prior))| {
        let listed = listed.remove(&target.id());
        async move {
            let live = match listed {
                Some(live) => Some(live),
                None => k8s.api.get(&format!("read {target}"), target.path()).await?,
            };
            Ok(live.and_then(|live| observed(kind, *prior, &live)))
        }
    });
    // Collected first: a lazy stream would borrow the map of what was listed for as long as it runs.
    let reads: Vec<_> = reads.collect();
    futures_util::stream::iter(reads).buffered(READS).collect().await
}

/// How many objects are asked for at once where no list has them.
const READS: usize = 16;

fn fail_all(k8s: &Kubernetes, count: usize, error: Error) -> Vec<Result<Option<Values>, Error>> {
    let again = || Error::NoAnswer {
        action: "read the objects of this stack".into(),
        endpoint: k8s.api.endpoint.clone(),
        reason: error.to_string(),
        writes: false,
    };
    let mut all: Vec<_> = (1..count).map(|_| Err(again())).collect();
    all.push(Err(error));
    all
}

async fn list_own(k8s: &Kubernetes, cx: &Context, kind: &Kind, namespace: Option<&str>) -> Result<Vec<Wire>, Error> {
    let selector = format!("{LABEL_LINEAGE}={}", label(cx.lineage()));
    list(k8s, kind, namespace, &format!("labelSelector={}", escape(&selector))).await
}

/// All objects of a kind that a query selects, page by page.
pub(crate) async fn list(
    k8s: &Kubernetes,
    kind: &Kind,
    namespace: Option<&str>,
    query: &str,
) -> Result<Vec<Wire>, Error> {
    let action = format!("list {}s", kind.kind);
    let mut all = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("{}?limit=500&{query}{next}", kind.collection(namespace));
        let page = k8s.api.call(Call { action: &action, method: Method::GET, path, body: None }).await?;
        for item in items_at(&page, "items") {
            let mut item = item.clone();
            // Items of a list do not say what they are.
            if let Some(fields) = item.as_object_mut() {
                fields.insert("kind".into(), kind.kind.into());
                fields.insert("apiVersion".into(), kind.api_version().into());
            }
            all.push(item);
        }
        match text_at(&page, "metadata.continue").filter(|token| !token.is_empty()) {
            Some(token) => next = format!("&continue={}", escape(token)),
            None => return Ok(all),
        }
    }
}

pub(crate) async fn update<K: Object>(
    k8s: &Kubernetes,
    cx: &Context,
    id: &str,
    prior: &ObjectState<K>,
    args: &ObjectArgs<K>,
) -> Result<ObjectState<K>, Error> {
    let kind = K::KIND.of_fields(k8s, args.values()).await?;
    let id = id.strip_prefix(&kind.id_prefix()).ok_or_else(|| {
        Error::Settings(format!(
            "{id}: an object does not move to another group in place: run with `--replace` and the resource's URN to make it anew"
        ))
    })?;
    update_erased(k8s, cx, kind, id, prior.uid(), args.values()).await.map(ObjectState::erased)
}

async fn update_erased(
    k8s: &Kubernetes,
    cx: &Context,
    kind: &'static Kind,
    id: &str,
    uid: Option<&str>,
    args: &[Value],
) -> Result<Values, Error> {
    let target = Target::parse(k8s, kind, id);
    let found;
    let uid = match uid {
        Some(uid) => uid,
        None => {
            // A create that was cut short left no uid behind.
            let live = k8s.api.get(&format!("read {target}"), target.path()).await?;
            found = live.and_then(|live| text_at(&live, "metadata.uid").map(str::to_owned));
            found.as_deref().ok_or_else(|| Error::Gone { object: target.to_string() })?
        }
    };
    let live = bring(k8s, cx, target, args, uid, false).await?;
    let live = wait::until_ready(k8s, cx, target, live).await?;
    Ok(after_apply(kind, args, &live))
}

pub(crate) async fn delete<K: Object>(
    k8s: &Kubernetes,
    cx: &Context,
    id: &str,
    prior: &ObjectState<K>,
) -> Result<(), Error> {
    match K::KIND.of_id(k8s, id, Some(prior.values())).await {
        Ok((kind, name)) => match delete_erased(k8s, cx, kind, name, prior.uid()).await {
            Err(error) if K::KIND.is_gone(k8s, id, Some(prior.values()), &error).await => Ok(()),
            other => other,
        },
        Err(error) if K::KIND.dynamic && not_served(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn delete_erased(
    k8s: &Kubernetes,
    cx: &Context,
    kind: &'static Kind,
    id: &str,
    uid: Option<&str>,
) -> Result<(), Error> {
    let target = Target::parse(k8s, kind, id);
    let found;
    let uid = match uid {
        Some(uid) => uid,
        None => {
            let Some(live) = k8s.api.get(&format!("read {target}"), target.path()).await? else { return Ok(()) };
            if !is_of(&live, cx) {
                return Ok(());
            }
            found = text_at(&live, "metadata.uid").unwrap_or_default().to_owned();
            found.as_str()
        }
    };
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions",
        "propagationPolicy": "Foreground", "preconditions": {"uid": uid},
    });
    let bytes = serde_json::to_vec(&options).map_err(|error| Error::Settings(error.to_string()))?;
    let action = format!("delete {target}");
    let call = Call { action: &action, method: Method::DELETE, path: target.path(), body: Some((JSON, bytes)) };
    match k8s.api.call(call).await {
        Ok(_) => wait::until_gone(k8s, cx, target, uid).await,
        Err(Error::Refused { answer, .. }) if matches!(answer.reason, Reason::NotFound | Reason::OtherUid) => Ok(()),
        // With the namespace gone, what was in it is gone.
        Err(Error::Refused { answer, .. }) if answer.reason == Reason::NoNamespace => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) async fn find<K: Object>(k8s: &Kubernetes, cx: &Context, intent: &Intent<K>) -> Result<Found<K>, Error> {
    let args = intent.args.values();
    let kind = K::KIND.of_fields(k8s, args).await?;
    let target = Target::of(k8s, kind, args)?;
    let Some(live) = k8s.api.get(&format!("read {target}"), target.path()).await? else { return Ok(Found::Nothing) };
    // A webhook may take labels off, but who applied an object is written down by the server itself. That counts only
    // for a name that was free before.
    let applied_by_us = || {
        items_at(&live, "metadata.managedFields").iter().any(|entry| {
            text_at(entry, "manager") == Some(&k8s.manager) && text_at(entry, "operation") == Some("Apply")
        })
    };
    let ours = has_token(&live, &intent.token)
        || (intent.name_was_free == Some(true) && (is_of(&live, cx) || applied_by_us()));
    if !ours || at(&live, "metadata.deletionTimestamp").is_some() {
        return Ok(Found::Nothing);
    }
    Ok(Found::Ours(Created::new(target.id(), ObjectState::erased(after_apply(kind, args, &live)))))
}

pub(crate) async fn is_name_free<K: Object>(
    k8s: &Kubernetes,
    _: &Context,
    args: &ObjectArgs<K>,
) -> Result<Option<bool>, Error> {
    let kind = match K::KIND.of_fields(k8s, args.values()).await {
        // Its kind may be made in the same run.
        Err(error) if K::KIND.dynamic && not_served(&error) => return Ok(Some(true)),
        found => found?,
    };
    let target = Target::of(k8s, kind, args.values())?;
    match k8s.api.get(&format!("read {target}"), target.path()).await {
        Ok(live) => Ok(Some(live.is_none())),
        // Some roles may apply but not get.
        Err(Error::Refused { answer, .. }) if answer.reason == Reason::Forbidden => Ok(None),
        Err(error) => Err(error),
    }
}
