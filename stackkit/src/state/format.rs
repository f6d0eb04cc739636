//! Version 1 of the persisted records, journal entries and snapshots: data types of their own, with private fields, that
//! only this file turns into text and back. `SECURITY.md` describes the text byte by byte.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::codec::{Codec, SealedJson};
use super::error::StateError;
use super::model::{
    Instance, IntentKind, IntentRecord, Key, OutputRecord, ProviderRecord, Record, RecordedOptions, ResourceRecord,
    StackRecord, Status,
};
use crate::seal::{Code, Place, Purpose, SealError, Sealer, Section, base64, unbase64};
use crate::urn::Urn;

/// The version that this program writes, and the newest that it reads.
pub(crate) const VERSION: u64 = 1;

impl Key {
    /// The text of the key in stored form.
    pub(crate) fn text(&self) -> String {
        match self {
            Key::Stack => "s".into(),
            Key::Provider(name) => format!("p/{name}"),
            Key::Resource(instance) => format!("r/{instance}"),
            Key::Intent(instance) => format!("i/{instance}"),
            Key::Output(name) => format!("o/{name}"),
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
            Some(_) => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StackV1 {
    key: String,
    program: String,
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

fn options_out(options: &RecordedOptions) -> Option<OptionsV1> {
    (*options != RecordedOptions::default()).then(|| OptionsV1 {
        protect: options.protect,
        retain_on_delete: options.retain_on_delete,
        deleted_with: options.deleted_with.as_ref().map(Urn::to_string),
        delete_before_replace: options.delete_before_replace,
        delete_timeout_ns: options.delete_timeout.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
    })
}

fn options_in(options: Option<OptionsV1>) -> Option<RecordedOptions> {
    let Some(options) = options else { return Some(RecordedOptions::default()) };
    Some(RecordedOptions {
        protect: options.protect,
        retain_on_delete: options.retain_on_delete,
        deleted_with: match options.deleted_with {
            Some(urn) => Some(Urn::parse(&urn)?),
            None => None,
        },
        delete_before_replace: options.delete_before_replace,
        delete_timeout: options.delete_timeout_ns.map(Duration::from_nanos),
    })
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
        Record::Stack(stack) => {
            serde_json::to_string(&StackV1 { key, program: stack.program.clone() }).map_err(unfit)?
        }
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
                options: options_out(&resource.options),
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
            options: options_out(&intent.options),
            replaces: intent.replaces.as_ref().map(Instance::to_string),
        })
        .map_err(unfit)?,
        Record::Output(output) => serde_json::to_string(&OutputV1 {
            key,
            value: codec.seal(place(&output.name, None, Section::Output), &output.value)?,
        })
        .map_err(unfit)?,
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
    let body = format!("{body}}}");
    let record = decode_body(codec, &body)?.ok_or_else(|| StateError::Malformed {
        place: place(),
        detail: format!("record {} is not of a kind that this program knows", name_of(text)),
    })?;
    Ok(Decoded { record, mac })
}

fn decode_body(codec: &Codec<'_>, body: &str) -> Result<Option<Record>, SealError> {
    // A record always begins with its key, whose first letter is its kind.
    let Some(kind) = body.strip_prefix("{\"key\":\"").and_then(|rest| rest.chars().next()) else { return Ok(None) };
    Ok(match kind {
        's' => serde_json::from_str::<StackV1>(body)
            .ok()
            .filter(|stack| stack.key == "s")
            .map(|stack| Record::Stack(StackRecord { program: stack.program })),
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
            let (Some(urn), Some(dependencies), Some(options)) =
                (Urn::parse(&resource.urn), deps_in(&resource.deps), options_in(resource.options))
            else {
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
            let (Some(urn), Some(dependencies), Some(options)) =
                (Urn::parse(&intent.urn), deps_in(&intent.deps), options_in(intent.options))
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

/// Puts a code at the end of an object. It covers every byte before it.
fn add_code(mut body: String, name: &str, code: &dyn Fn(&[u8]) -> Code) -> String {
    body.pop();
    let code = base64(&code(body.as_bytes()));
    body.extend([",\"", name, "\":\"", &code, "\"}"]);
    body
}

/// The bytes that the code at the end of an object covers, and the code.
fn split_code<'a>(text: &'a str, name: &str) -> Option<(&'a str, Code)> {
    let (rest, code) = text.strip_suffix("\"}")?.split_at_checked(text.len().checked_sub(45)?)?;
    let body = rest.strip_suffix("\":\"")?.strip_suffix(name)?.strip_suffix(",\"")?;
    Some((body, unbase64(code)?.try_into().ok()?))
}

/// The code at the end of a record's text.
pub(crate) fn mac_of(text: &str) -> Option<Code> {
    split_code(text, "mac").map(|(_, mac)| mac)
}

/// An additive digest of a set of records: adding or removing one costs the same however many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Digest([u64; 4]);

impl Digest {
    fn member(sealer: &Sealer, key: &str, mac: &Code) -> [u64; 4] {
        let code = sealer.code(Purpose::Digest, &[key.as_bytes(), mac]);
        std::array::from_fn(|limb| u64::from_be_bytes(std::array::from_fn(|byte| code[(3 - limb) * 8 + byte])))
    }

    pub(crate) fn add(&mut self, sealer: &Sealer, key: &str, mac: &Code) {
        let mut carry = false;
        for (limb, more) in self.0.iter_mut().zip(Self::member(sealer, key, mac)) {
            let (sum, first) = limb.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(carry.into());
            (*limb, carry) = (sum, first || second);
        }
    }

    pub(crate) fn remove(&mut self, sealer: &Sealer, key: &str, mac: &Code) {
        let mut borrow = false;
        for (limb, less) in self.0.iter_mut().zip(Self::member(sealer, key, mac)) {
            let (rest, first) = limb.overflowing_sub(less);
            let (rest, second) = rest.overflowing_sub(borrow.into());
            (*limb, borrow) = (rest, first || second);
        }
    }

    pub(crate) fn bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        for (limb, bytes) in self.0.iter().rev().zip(out.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&limb.to_be_bytes());
        }
        out
    }
}

/// What a journal entry says, before it is text.
pub(crate) struct EntryOut<'a> {
    pub(crate) position: u64,
    pub(crate) nonce: &'a str,
    pub(crate) prev: &'a Code,
    pub(crate) put: &'a mut dyn Iterator<Item = &'a str>,
    pub(crate) del: Vec<String>,
    pub(crate) digest: Digest,
}

/// The text of an entry and its chain code.
pub(crate) fn write_entry(sealer: &Sealer, entry: EntryOut<'_>) -> (String, Code) {
    let mut text = format!(
        "{{\"stackkit\":{VERSION},\"n\":{},\"lineage\":\"{}\",\"key\":\"{}\",\"nonce\":\"{}\",\"prev\":\"{}\",\"put\":[",
        entry.position,
        sealer.lineage(),
        sealer.key_id(),
        entry.nonce,
        base64(entry.prev),
    );
    for (index, record) in entry.put.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(record);
    }
    text.push_str("],\"del\":");
    text.push_str(&serde_json::Value::from(entry.del).to_string());
    text.extend([",\"digest\":\"", &base64(&entry.digest.bytes()), "\"}"]);
    let text = add_code(text, "chain", &|body| sealer.code(Purpose::Chain, &[entry.prev, body]));
    let chain = split_code(&text, "chain").map(|(_, chain)| chain).unwrap_or_default();
    (text, chain)
}

/// A journal entry as read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryIn<'a> {
    stackkit: u64,
    pub(crate) n: u64,
    lineage: String,
    key: String,
    #[serde(rename = "nonce")]
    _nonce: String,
    prev: String,
    #[serde(borrow)]
    pub(crate) put: Vec<&'a RawValue>,
    pub(crate) del: Vec<String>,
    digest: String,
    #[serde(rename = "chain")]
    _chain: String,
}

/// Reads an entry, and checks that it is of this stack and of a version that this program knows.
pub(crate) fn read_entry<'a>(
    sealer: &Sealer,
    text: &'a str,
    place: &dyn Fn() -> String,
) -> Result<EntryIn<'a>, StateError> {
    let entry: EntryIn<'a> = serde_json::from_str(text).map_err(|error| unreadable(text, &error, place()))?;
    check_origin(sealer, entry.stackkit, &entry.lineage, &entry.key, place)?;
    Ok(entry)
}

impl EntryIn<'_> {
    /// Checks that the entry follows the state with this chain code; gives the chain code after it.
    pub(crate) fn follows(
        &self,
        sealer: &Sealer,
        text: &str,
        prev: &Code,
        place: &dyn Fn() -> String,
    ) -> Result<Code, StateError> {
        let edited = || StateError::EntryEdited { place: place() };
        let (body, chain) = split_code(text, "chain").ok_or_else(edited)?;
        if self.prev != base64(prev) {
            // An entry that is whole in itself came from another line of history; else it was edited.
            let own = unbase64(&self.prev).unwrap_or_default();
            let whole = sealer.fits(Purpose::Chain, &[&own, body.as_bytes()], &chain);
            return Err(if whole { StateError::Diverged { place: place() } } else { edited() });
        }
        if !sealer.fits(Purpose::Chain, &[prev, body.as_bytes()], &chain) {
            return Err(edited());
        }
        Ok(chain)
    }

    /// Whether the set of records after the entry is the one that its writer had.
    pub(crate) fn leaves(&self, digest: Digest) -> bool {
        self.digest == base64(&digest.bytes())
    }
}

/// The head of a snapshot.
pub(crate) struct Head {
    pub(crate) position: u64,
    pub(crate) chain: Code,
    pub(crate) count: u64,
    pub(crate) digest: Digest,
}

impl Head {
    fn code(&self, sealer: &Sealer) -> Code {
        sealer.code(
            Purpose::Head,
            &[
                sealer.lineage().as_bytes(),
                sealer.key_id().as_bytes(),
                &self.position.to_be_bytes(),
                &self.chain,
                &self.count.to_be_bytes(),
                &self.digest.bytes(),
            ],
        )
    }
}

/// The text of a snapshot, one record a line.
pub(crate) fn write_snapshot<'a>(
    sealer: &Sealer,
    head: &Head,
    size: usize,
    records: impl Iterator<Item = &'a str>,
) -> String {
    let mut text = String::with_capacity(size + 1024);
    text.push_str(&format!(
        "{{\n\"stackkit\": {VERSION},\n\"position\": {},\n\"lineage\": \"{}\",\n\"key\": \"{}\",\n\"chain\": \"{}\",\n\"count\": {},\n\"digest\": \"{}\",\n\"mac\": \"{}\",\n\"records\": [",
        head.position,
        sealer.lineage(),
        sealer.key_id(),
        base64(&head.chain),
        head.count,
        base64(&head.digest.bytes()),
        base64(&head.code(sealer)),
    ));
    for (index, record) in records.enumerate() {
        text.push_str(if index > 0 { ",\n" } else { "\n" });
        text.push_str(record);
    }
    text.push_str("\n]\n}\n");
    text
}

/// A snapshot as read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotIn<'a> {
    stackkit: u64,
    pub(crate) position: u64,
    lineage: String,
    key: String,
    chain: String,
    pub(crate) count: u64,
    digest: String,
    mac: String,
    #[serde(borrow)]
    pub(crate) records: Vec<&'a RawValue>,
}

/// Reads a snapshot and checks its head.
pub(crate) fn read_snapshot<'a>(
    sealer: &Sealer,
    text: &'a str,
    place: &dyn Fn() -> String,
) -> Result<(SnapshotIn<'a>, Code), StateError> {
    let snapshot: SnapshotIn<'a> = serde_json::from_str(text).map_err(|error| unreadable(text, &error, place()))?;
    check_origin(sealer, snapshot.stackkit, &snapshot.lineage, &snapshot.key, place)?;
    let code = |text: &str| unbase64(text).and_then(|bytes| Code::try_from(bytes).ok());
    let edited = || StateError::HeadEdited { place: place() };
    let (Some(chain), Some(digest), Some(mac)) = (code(&snapshot.chain), code(&snapshot.digest), code(&snapshot.mac))
    else {
        return Err(edited());
    };
    let parts: [&[u8]; 6] = [
        sealer.lineage().as_bytes(),
        sealer.key_id().as_bytes(),
        &snapshot.position.to_be_bytes(),
        &chain,
        &snapshot.count.to_be_bytes(),
        &digest,
    ];
    if !sealer.fits(Purpose::Head, &parts, &mac) {
        return Err(edited());
    }
    Ok((snapshot, chain))
}

impl SnapshotIn<'_> {
    /// Whether these are the records that its writer had.
    pub(crate) fn holds(&self, count: usize, digest: Digest) -> bool {
        self.count == count as u64 && self.digest == base64(&digest.bytes())
    }
}

fn check_origin(
    sealer: &Sealer,
    version: u64,
    lineage: &str,
    key: &str,
    place: &dyn Fn() -> String,
) -> Result<(), StateError> {
    if version != VERSION {
        return Err(StateError::Newer { place: place(), found: version, known: VERSION });
    }
    if lineage != sealer.lineage() {
        let found = lineage.escape_debug().to_string();
        return Err(StateError::ForeignLineage { place: place(), found, expected: sealer.lineage().into() });
    }
    if key != sealer.key_id() {
        let found = key.escape_debug().to_string();
        return Err(StateError::ForeignKey { place: place(), found, expected: sealer.key_id().into() });
    }
    Ok(())
}

/// Why a text could not be read: it is newer, or cut short, or no text of the format.
fn unreadable(text: &str, error: &serde_json::Error, place: String) -> StateError {
    #[derive(Deserialize)]
    struct Version {
        stackkit: u64,
    }
    match serde_json::from_str::<Version>(text) {
        Ok(Version { stackkit }) if stackkit > VERSION => StateError::Newer { place, found: stackkit, known: VERSION },
        _ if error.is_eof() => StateError::Truncated { place },
        _ => StateError::Malformed { place, detail: error.to_string() },
    }
}

/// The position of an entry by its first bytes, for backends that count by what they stored. Nothing is checked.
pub(crate) fn entry_position(text: &[u8]) -> Option<u64> {
    number(text.strip_prefix(b"{\"stackkit\":1,\"n\":")?)
}

/// The position of a snapshot by its first bytes. Nothing is checked.
pub(crate) fn snapshot_position(text: &[u8]) -> Option<u64> {
    number(text.strip_prefix(b"{\n\"stackkit\": 1,\n\"position\": ")?)
}

/// The chain code that an entry or a snapshot claims. Nothing is checked.
pub(crate) fn chain_of(text: &[u8]) -> Option<String> {
    let code =
        |from: usize| text.get(from..from + 43).and_then(|code| std::str::from_utf8(code).ok()).map(str::to_owned);
    if text.starts_with(b"{\"") {
        return code(text.len().checked_sub(45)?);
    }
    let mark = b"\"chain\": \"";
    let head = &text[..text.len().min(1024)];
    code(head.windows(mark.len()).position(|window| window == mark)? + mark.len())
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// One change of a rescue file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RescuedV1 {
    pub(crate) key: String,
    /// The code of the record that the change was made to; none where there was no record.
    pub(crate) was: Option<String>,
    /// The record, or none where it was removed.
    pub(crate) put: Option<Box<RawValue>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RescueV1 {
    stackkit: u64,
    lineage: String,
    key: String,
    changes: Vec<RescuedV1>,
    mac: String,
}

fn rescue_parts<'a>(sealer: &'a Sealer, changes: &'a [RescuedV1]) -> Vec<&'a [u8]> {
    let mut parts = vec![sealer.lineage().as_bytes(), sealer.key_id().as_bytes()];
    for change in changes {
        parts.push(change.key.as_bytes());
        parts.push(change.was.as_deref().unwrap_or_default().as_bytes());
        parts.push(change.put.as_ref().map_or("", |put| put.get()).as_bytes());
    }
    parts
}

/// The text of a rescue file.
pub(crate) fn write_rescue(sealer: &Sealer, changes: Vec<RescuedV1>) -> Result<String, SealError> {
    let mac = base64(&sealer.code(Purpose::Rescue, &rescue_parts(sealer, &changes)));
    serde_json::to_string(&RescueV1 {
        stackkit: VERSION,
        lineage: sealer.lineage().into(),
        key: sealer.key_id().into(),
        changes,
        mac,
    })
    .map(|text| text + "\n")
    .map_err(|_| SealError::Unfit { place: "the rescue file".into(), detail: "it is no text" })
}

/// Reads and checks a rescue file.
pub(crate) fn read_rescue(
    sealer: &Sealer,
    text: &str,
    place: &dyn Fn() -> String,
) -> Result<Vec<RescuedV1>, StateError> {
    let rescue: RescueV1 = serde_json::from_str(text).map_err(|error| unreadable(text, &error, place()))?;
    check_origin(sealer, rescue.stackkit, &rescue.lineage, &rescue.key, place)?;
    let mac = unbase64(&rescue.mac).unwrap_or_default();
    if !sealer.fits(Purpose::Rescue, &rescue_parts(sealer, &rescue.changes), &mac) {
        return Err(StateError::HeadEdited { place: place() });
    }
    Ok(rescue.changes)
}
