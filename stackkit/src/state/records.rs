//! Version 1 of the persisted records: data types of their own, with private fields, that only this file turns into text
//! and back. `SECURITY.md` describes the text byte by byte.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::codec::{Codec, SealedJson};
use super::error::StateError;
use super::format::{add_code, split_code};
use super::model::{
    AuditRecord, HookDue, Instance, IntentKind, IntentRecord, Key, OutputRecord, ProviderRecord, Record,
    RecordedOptions, ResourceRecord, StackRecord, Status,
};
use crate::options::Guard;
use crate::seal::{Code, NAME, Place, Purpose, SealError, Section};
use crate::urn::Urn;

impl Key {
    /// The text of the key in stored form.
    pub(crate) fn text(&self) -> String {
        match self {
            Key::Stack => "s".into(),
            Key::Provider(name) => format!("p/{name}"),
            Key::Resource(instance) => format!("r/{instance}"),
            Key::Intent(instance) => format!("i/{instance}"),
            Key::Output(name) => format!("o/{name}"),
            Key::Audit(id) => format!("a/{id}"),
        }
    }

    /// Reads the text of a key.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_at_checked(2) {
            None => (text == "s").then_some(Key::Stack),
            Some(("p/", name)) => Some(Key::Provider(name.into())),
            Some(("r/", digits)) => Instance::parse(digits).map(Key::Resource),
            Some(("i/", digits)) => Instance::parse(digits).map(Key::Intent),
            Some(("o/", name)) => Some(Key::Output(name.into())),
            Some(("a/", id)) => Some(Key::Audit(id.into())),
            Some(_) => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StackV1 {
    key: String,
    program: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    no_destroy: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_deletes: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderV1 {
    key: String,
    provider: String,
    settings: SealedJson,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StatusV1 {
    Live,
    Incomplete,
    PendingDelete,
    PendingReplacement,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceV1 {
    key: String,
    urn: String,
    id: String,
    provider: String,
    status: StatusV1,
    schema: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<SealedJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outputs: Option<SealedJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<SealedJson>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    drifted: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deps: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<OptionsV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionsV1 {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    protect: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retain_on_delete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted_with: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    delete_before_replace: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delete_timeout_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replace_trigger: Option<SealedJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hook_due: Option<HookDueV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HookDueV1 {
    Create,
    Update,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum IntentKindV1 {
    Create,
    Update,
    Delete,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IntentV1 {
    key: String,
    urn: String,
    provider: String,
    call: IntentKindV1,
    token: String,
    schema: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<SealedJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name_was_free: Option<bool>,
    at: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deps: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<OptionsV1>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputV1 {
    key: String,
    value: SealedJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditV1 {
    key: String,
    lines: u64,
    bound: SealedJson,
}

/// A record of which nothing is readable: its name, and its text as it would stand there otherwise, but for its code.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeV1 {
    key: String,
    sealed: String,
}

/// What a record is called in the log: its key, or the name that stands for it where it is sealed as a whole.
pub(crate) fn name<'a>(key: &Key, text: &'a str) -> Cow<'a, str> {
    whole_name(text).map_or_else(|| Cow::Owned(key.text()), Cow::Borrowed)
}

/// The name of a record that is sealed as a whole; `None` of any other.
pub(crate) fn whole_name(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("{\"key\":\"")?;
    rest.starts_with(NAME).then(|| rest.split_once('"'))?.map(|(name, _)| name)
}

fn options_out(codec: &Codec<'_>, place: Place<'_>, options: &RecordedOptions) -> Result<Option<OptionsV1>, SealError> {
    if *options == RecordedOptions::default() {
        return Ok(None);
    }
    Ok(Some(OptionsV1 {
        protect: options.protect,
        retain_on_delete: options.retain_on_delete,
        deleted_with: options.deleted_with.as_ref().map(Urn::to_string),
        delete_before_replace: options.delete_before_replace,
        delete_timeout_ns: options.delete_timeout.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        hook_due: options.hook_due.map(|due| match due {
            HookDue::Create => HookDueV1::Create,
            HookDue::Update => HookDueV1::Update,
        }),
        replace_trigger: options.replace_trigger.as_ref().map(|value| codec.seal(place, value)).transpose()?,
    }))
}

/// The options of a record; none where they are not of this format.
fn options_in(
    codec: &Codec<'_>,
    place: Place<'_>,
    options: Option<OptionsV1>,
) -> Result<Option<RecordedOptions>, SealError> {
    let Some(options) = options else { return Ok(Some(RecordedOptions::default())) };
    Ok(Some(RecordedOptions {
        protect: options.protect,
        retain_on_delete: options.retain_on_delete,
        deleted_with: match options.deleted_with {
            Some(urn) => match Urn::parse(&urn) {
                None => return Ok(None),
                urn => urn,
            },
            None => None,
        },
        delete_before_replace: options.delete_before_replace,
        delete_timeout: options.delete_timeout_ns.map(Duration::from_nanos),
        hook_due: options.hook_due.map(|due| match due {
            HookDueV1::Create => HookDue::Create,
            HookDueV1::Update => HookDue::Update,
        }),
        replace_trigger: options.replace_trigger.as_ref().map(|value| codec.open(place, value)).transpose()?,
    }))
}

fn deps_out(deps: &BTreeSet<Instance>) -> Vec<String> {
    deps.iter().map(Instance::to_string).collect()
}

fn deps_in(deps: &[String]) -> Option<BTreeSet<Instance>> {
    deps.iter().map(|digits| Instance::parse(digits)).collect()
}

fn place(owner: &str, instance: Option<Instance>, section: Section) -> Place<'_> {
    Place { owner, instance, section, path: "" }
}

/// The text of a record, its code included.
pub(crate) fn encode(codec: &Codec<'_>, record: &Record) -> Result<String, SealError> {
    let key = record.key().text();
    let unfit = |_| SealError::Unfit { place: record.key().text(), detail: "it is no text" };
    let body = match record {
        Record::Stack(stack) => serde_json::to_string(&StackV1 {
            key,
            program: stack.program.clone(),
            no_destroy: stack.guard.no_destroy,
            max_deletes: stack.guard.max_deletes,
        })
        .map_err(unfit)?,
        Record::Provider(provider) => serde_json::to_string(&ProviderV1 {
            key,
            provider: provider.provider.clone(),
            settings: codec.seal(place(&provider.name, None, Section::Settings), &provider.settings)?,
            identity: provider.identity.clone(),
        })
        .map_err(unfit)?,
        Record::Resource(resource) => {
            let at = |section| place(resource.urn.as_str(), Some(resource.instance), section);
            serde_json::to_string(&ResourceV1 {
                key,
                urn: resource.urn.to_string(),
                id: resource.id.clone(),
                provider: resource.provider.clone(),
                status: match resource.status {
                    Status::Live => StatusV1::Live,
                    Status::Incomplete => StatusV1::Incomplete,
                    Status::PendingDelete => StatusV1::PendingDelete,
                    Status::PendingReplacement => StatusV1::PendingReplacement,
                },
                schema: resource.schema_version,
                inputs: codec.seal_fields(at(Section::Inputs), &resource.inputs)?,
                outputs: codec.seal_fields(at(Section::Outputs), &resource.outputs)?,
                seen: codec.seal_fields(at(Section::Seen), &resource.seen)?,
                drifted: resource.drifted.clone(),
                deps: deps_out(&resource.dependencies),
                options: options_out(codec, at(Section::Trigger), &resource.options)?,
            })
            .map_err(unfit)?
        }
        Record::Intent(intent) => serde_json::to_string(&IntentV1 {
            key,
            urn: intent.urn.to_string(),
            provider: intent.provider.clone(),
            call: match intent.kind {
                IntentKind::Create => IntentKindV1::Create,
                IntentKind::Update => IntentKindV1::Update,
                IntentKind::Delete => IntentKindV1::Delete,
            },
            token: intent.token.clone(),
            schema: intent.schema_version,
            inputs: codec
                .seal_fields(place(intent.urn.as_str(), Some(intent.instance), Section::Intent), &intent.inputs)?,
            id: intent.id.clone(),
            name_was_free: intent.name_was_free,
            at: intent.at,
            deps: deps_out(&intent.dependencies),
            options: options_out(
                codec,
                place(intent.urn.as_str(), Some(intent.instance), Section::Trigger),
                &intent.options,
            )?,
            replaces: intent.replaces.as_ref().map(Instance::to_string),
        })
        .map_err(unfit)?,
        Record::Output(output) => serde_json::to_string(&OutputV1 {
            key,
            value: codec.seal(place(&output.name, None, Section::Output), &output.value)?,
        })
        .map_err(unfit)?,
        Record::Audit(audit) => serde_json::to_string(&AuditV1 {
            key,
            lines: audit.lines,
            bound: codec.seal(place(&audit.data_key, None, Section::Audit), &audit.key)?,
        })
        .map_err(unfit)?,
    };
    let body = match codec.sealer.is_whole() {
        true => {
            let name = codec.sealer.name(&record.key().text());
            let sealed = codec.seal_record(&name, &body)?;
            serde_json::to_string(&WholeV1 { key: name, sealed }).map_err(unfit)?
        }
        false => body,
    };
    Ok(add_code(body, "mac", &|body| codec.sealer.code(Purpose::Record, &[body])))
}

/// A record as read: its key, its content, and its code.
pub(crate) struct Decoded {
    pub(crate) record: Record,
    pub(crate) mac: Code,
}

/// Checks the code of a record and opens it. `place` names the file or entry that it stands in.
pub(crate) fn decode(codec: &Codec<'_>, text: &str, place: &dyn Fn() -> String) -> Result<Decoded, StateError> {
    let edited = || StateError::RecordEdited { place: place(), record: name_of(text) };
    let (body, mac) = split_code(text, "mac").ok_or_else(edited)?;
    if !codec.sealer.fits(Purpose::Record, &[body.as_bytes()], &mac) {
        return Err(edited());
    }
    let mut body = format!("{body}}}");
    let name = whole_name(text);
    if let Some(name) = name {
        let whole: WholeV1 = serde_json::from_str(&body).map_err(|_| edited())?;
        body = codec.open_record(name, &whole.sealed).ok_or_else(edited)?;
    }
    let record = decode_body(codec, &body)?.ok_or_else(|| unknown_kind(text, place))?;
    if name.is_some_and(|name| codec.sealer.name(&record.key().text()) != name) {
        return Err(edited());
    }
    Ok(Decoded { record, mac })
}

/// Reads a record without checking its code.
pub(crate) fn decode_unverified(
    codec: &Codec<'_>,
    text: &str,
    place: &dyn Fn() -> String,
) -> Result<Record, StateError> {
    let malformed =
        || StateError::Malformed { place: place(), detail: format!("record {} has no code at its end", name_of(text)) };
    if whole_name(text).is_some() {
        return Err(StateError::SealedWhole { place: place() });
    }
    let (body, _) = split_code(text, "mac").ok_or_else(malformed)?;
    decode_body(codec, &format!("{body}}}"))?.ok_or_else(|| unknown_kind(text, place))
}

fn unknown_kind(text: &str, place: &dyn Fn() -> String) -> StateError {
    StateError::Malformed {
        place: place(),
        detail: format!("record {} is not of a kind that this program knows", name_of(text)),
    }
}

fn decode_body(codec: &Codec<'_>, body: &str) -> Result<Option<Record>, SealError> {
    // A record always begins with its key, whose first letter is its kind.
    let Some(kind) = body.strip_prefix("{\"key\":\"").and_then(|rest| rest.chars().next()) else { return Ok(None) };
    Ok(match kind {
        's' => serde_json::from_str::<StackV1>(body).ok().filter(|stack| stack.key == "s").map(|stack| {
            let guard = Guard { no_destroy: stack.no_destroy, max_deletes: stack.max_deletes };
            Record::Stack(StackRecord { program: stack.program, guard })
        }),
        'p' => {
            let Ok(provider) = serde_json::from_str::<ProviderV1>(body) else { return Ok(None) };
            let Some(Key::Provider(name)) = Key::parse(&provider.key) else { return Ok(None) };
            let settings = codec.open(place(&name, None, Section::Settings), &provider.settings)?;
            Some(Record::Provider(ProviderRecord {
                name,
                provider: provider.provider,
                settings,
                identity: provider.identity,
            }))
        }
        'r' => {
            let Ok(resource) = serde_json::from_str::<ResourceV1>(body) else { return Ok(None) };
            let Some(Key::Resource(instance)) = Key::parse(&resource.key) else { return Ok(None) };
            let at = |section| place(&resource.urn, Some(instance), section);
            let (Some(urn), Some(dependencies), Some(options)) = (
                Urn::parse(&resource.urn),
                deps_in(&resource.deps),
                options_in(codec, at(Section::Trigger), resource.options)?,
            ) else {
                return Ok(None);
            };
            Some(Record::Resource(Box::new(ResourceRecord {
                instance,
                urn,
                provider: resource.provider,
                status: match resource.status {
                    StatusV1::Live => Status::Live,
                    StatusV1::Incomplete => Status::Incomplete,
                    StatusV1::PendingDelete => Status::PendingDelete,
                    StatusV1::PendingReplacement => Status::PendingReplacement,
                },
                schema_version: resource.schema,
                inputs: codec.open_fields(at(Section::Inputs), resource.inputs.as_ref())?,
                outputs: codec.open_fields(at(Section::Outputs), resource.outputs.as_ref())?,
                seen: codec.open_fields(at(Section::Seen), resource.seen.as_ref())?,
                id: resource.id,
                drifted: resource.drifted,
                dependencies,
                options,
            })))
        }
        'i' => {
            let Ok(intent) = serde_json::from_str::<IntentV1>(body) else { return Ok(None) };
            let Some(Key::Intent(instance)) = Key::parse(&intent.key) else { return Ok(None) };
            let trigger = place(&intent.urn, Some(instance), Section::Trigger);
            let (Some(urn), Some(dependencies), Some(options)) =
                (Urn::parse(&intent.urn), deps_in(&intent.deps), options_in(codec, trigger, intent.options)?)
            else {
                return Ok(None);
            };
            let replaces = match intent.replaces.as_deref().map(Instance::parse) {
                Some(None) => return Ok(None),
                Some(replaced) => replaced,
                None => None,
            };
            let inputs =
                codec.open_fields(place(&intent.urn, Some(instance), Section::Intent), intent.inputs.as_ref())?;
            Some(Record::Intent(Box::new(IntentRecord {
                instance,
                urn,
                provider: intent.provider,
                kind: match intent.call {
                    IntentKindV1::Create => IntentKind::Create,
                    IntentKindV1::Update => IntentKind::Update,
                    IntentKindV1::Delete => IntentKind::Delete,
                },
                token: intent.token,
                inputs,
                schema_version: intent.schema,
                id: intent.id,
                name_was_free: intent.name_was_free,
                at: intent.at,
                dependencies,
                options,
                replaces,
            })))
        }
        'o' => {
            let Ok(output) = serde_json::from_str::<OutputV1>(body) else { return Ok(None) };
            let Some(Key::Output(name)) = Key::parse(&output.key) else { return Ok(None) };
            let value = codec.open(place(&name, None, Section::Output), &output.value)?;
            Some(Record::Output(OutputRecord { name, value }))
        }
        'a' => {
            let Ok(audit) = serde_json::from_str::<AuditV1>(body) else { return Ok(None) };
            let Some(Key::Audit(data_key)) = Key::parse(&audit.key) else { return Ok(None) };
            let key = codec.open(place(&data_key, None, Section::Audit), &audit.bound)?;
            Some(Record::Audit(AuditRecord { data_key, lines: audit.lines, key }))
        }
        _ => None,
    })
}

/// Key and URN of a text that may be damaged, fit for a message.
fn name_of(text: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        key: String,
        urn: Option<String>,
    }
    match serde_json::from_str::<Named>(text) {
        Ok(Named { key, urn: Some(urn) }) => format!("`{}` ({})", key.escape_debug(), urn.escape_debug()),
        Ok(Named { key, urn: None }) => format!("`{}`", key.escape_debug()),
        Err(_) => "without a readable key".into(),
    }
}
