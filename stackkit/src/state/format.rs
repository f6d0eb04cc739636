//! Version 1 of the persisted journal entries, snapshots and rescue files: data types of their own, with private fields,
//! that only this file turns into text and back. `SECURITY.md` describes the text byte by byte.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::StateError;
use crate::seal::{Code, Purpose, SealError, Sealer, base64, unbase64};

/// The version that this program writes, and the newest that it reads.
pub(crate) const VERSION: u64 = 1;

/// Puts a code at the end of an object. It covers every byte before it.
pub(crate) fn add_code(mut body: String, name: &str, code: &dyn Fn(&[u8]) -> Code) -> String {
    body.pop();
    let code = base64(&code(body.as_bytes()));
    body.extend([",\"", name, "\":\"", &code, "\"}"]);
    body
}

/// The bytes that the code at the end of an object covers, and the code.
pub(crate) fn split_code<'a>(text: &'a str, name: &str) -> Option<(&'a str, Code)> {
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
    /// Lines of the audit log, which tell of this entry.
    pub(crate) audit: &'a [String],
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
    if !entry.audit.is_empty() {
        text.extend([",\"audit\":[", &entry.audit.join(","), "]"]);
    }
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
    #[serde(default, borrow)]
    pub(crate) audit: Vec<&'a RawValue>,
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
    /// Where the audit log ends; none before its first line.
    pub(crate) audit: Option<AuditHead>,
}

/// Where the audit log ended when the journal was folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AuditHead {
    pub(crate) lines: u64,
    pub(crate) chain: Code,
    /// Position and chain code of the last entry that changed a record: what came after it are lines alone.
    pub(crate) changed: (u64, Code),
}

impl AuditHead {
    /// As it stands in a snapshot: nothing before the first line.
    pub(crate) fn written(self) -> Option<Self> {
        (self.lines > 0).then_some(self)
    }
}

impl Head {
    fn code(&self, sealer: &Sealer) -> Code {
        with_head_parts(sealer, self.position, &self.chain, self.count, &self.digest.bytes(), self.audit, |parts| {
            sealer.code(Purpose::Head, parts)
        })
    }
}

/// What the code of a snapshot's head is made of.
fn with_head_parts<T>(
    sealer: &Sealer,
    position: u64,
    chain: &Code,
    count: u64,
    digest: &Code,
    audit: Option<AuditHead>,
    make: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let (position, count) = (position.to_be_bytes(), count.to_be_bytes());
    let numbers = audit.map(|audit| (audit.lines.to_be_bytes(), audit.changed.0.to_be_bytes()));
    let (lineage, key) = (sealer.lineage().as_bytes(), sealer.key_id().as_bytes());
    let mut parts: Vec<&[u8]> = vec![lineage, key, &position, chain, &count, digest];
    if let (Some(audit), Some((lines, changed))) = (&audit, &numbers) {
        parts.extend([&lines[..], &audit.chain, &changed[..], &audit.changed.1]);
    }
    make(&parts)
}

/// The text of a snapshot, one record a line.
pub(crate) fn write_snapshot<'a>(
    sealer: &Sealer,
    head: &Head,
    size: usize,
    records: impl Iterator<Item = &'a str>,
) -> String {
    let mut text = String::with_capacity(size + 1024);
    let audit = head.audit.map_or_else(String::new, |audit| {
        format!(
            "\"audit\": {{\"lines\": {}, \"chain\": \"{}\", \"changed\": {}, \"fingerprint\": \"{}\"}},\n",
            audit.lines,
            base64(&audit.chain),
            audit.changed.0,
            base64(&audit.changed.1)
        )
    });
    text.push_str(&format!(
        "{{\n\"stackkit\": {VERSION},\n\"position\": {},\n\"lineage\": \"{}\",\n\"key\": \"{}\",\n\"chain\": \"{}\",\n\"count\": {},\n\"digest\": \"{}\",\n{audit}\"mac\": \"{}\",\n\"records\": [",
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
    #[serde(default)]
    audit: Option<AuditHeadV1>,
    mac: String,
    #[serde(borrow)]
    pub(crate) records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditHeadV1 {
    lines: u64,
    chain: String,
    changed: u64,
    fingerprint: String,
}

/// Reads a snapshot and checks its head; gives the chain code of the entry that it ends with, and where the audit log
/// ends.
pub(crate) fn read_snapshot<'a>(
    sealer: &Sealer,
    text: &'a str,
    place: &dyn Fn() -> String,
) -> Result<(SnapshotIn<'a>, Code, Option<AuditHead>), StateError> {
    let snapshot: SnapshotIn<'a> = serde_json::from_str(text).map_err(|error| unreadable(text, &error, place()))?;
    check_origin(sealer, snapshot.stackkit, &snapshot.lineage, &snapshot.key, place)?;
    let code = |text: &str| unbase64(text).and_then(|bytes| Code::try_from(bytes).ok());
    let edited = || StateError::HeadEdited { place: place() };
    let (Some(chain), Some(digest), Some(mac)) = (code(&snapshot.chain), code(&snapshot.digest), code(&snapshot.mac))
    else {
        return Err(edited());
    };
    let audit = match &snapshot.audit {
        None => None,
        Some(audit) => match (code(&audit.chain), code(&audit.fingerprint)) {
            (Some(chain), Some(fingerprint)) => {
                Some(AuditHead { lines: audit.lines, chain, changed: (audit.changed, fingerprint) })
            }
            _ => return Err(edited()),
        },
    };
    let fits = |parts: &[&[u8]]| sealer.fits(Purpose::Head, parts, &mac);
    if !with_head_parts(sealer, snapshot.position, &chain, snapshot.count, &digest, audit, fits) {
        return Err(edited());
    }
    Ok((snapshot, chain, audit))
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

/// How many lines of the audit log a snapshot claims to know. Nothing is checked.
pub(crate) fn audit_lines_of(text: &[u8]) -> Option<u64> {
    let mark = b"\n\"audit\": {\"lines\": ";
    let head = &text[..text.len().min(1024)];
    number(&head[head.windows(mark.len()).position(|window| window == mark)? + mark.len()..])
}

/// The id of the data key that an entry or a snapshot claims to be written with. Nothing is checked.
pub(crate) fn key_of(text: &[u8]) -> Option<String> {
    let head = &text[..text.len().min(1024)];
    let mark: &[u8] = if text.starts_with(b"{\"") { b",\"key\":\"" } else { b"\n\"key\": \"" };
    let from = head.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let rest = &head[from..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok().map(str::to_owned)
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
    /// What was told and has no place in the audit log yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    told: Vec<Box<RawValue>>,
    mac: String,
}

fn rescue_parts<'a>(sealer: &'a Sealer, changes: &'a [RescuedV1], told: &'a [Box<RawValue>]) -> Vec<&'a [u8]> {
    let mut parts = vec![sealer.lineage().as_bytes(), sealer.key_id().as_bytes()];
    for change in changes {
        parts.push(change.key.as_bytes());
        parts.push(change.was.as_deref().unwrap_or_default().as_bytes());
        parts.push(change.put.as_ref().map_or("", |put| put.get()).as_bytes());
    }
    if !told.is_empty() {
        parts.push(b"told");
        parts.extend(told.iter().map(|told| told.get().as_bytes()));
    }
    parts
}

/// The text of a rescue file.
pub(crate) fn write_rescue(
    sealer: &Sealer,
    changes: Vec<RescuedV1>,
    told: Vec<Box<RawValue>>,
) -> Result<String, SealError> {
    let mac = base64(&sealer.code(Purpose::Rescue, &rescue_parts(sealer, &changes, &told)));
    serde_json::to_string(&RescueV1 {
        stackkit: VERSION,
        lineage: sealer.lineage().into(),
        key: sealer.key_id().into(),
        changes,
        told,
        mac,
    })
    .map(|text| text + "\n")
    .map_err(|_| SealError::Unfit { place: "the rescue file".into(), detail: "it is no text" })
}

/// Reads and checks a rescue file: its changes, and what was told of them.
pub(crate) fn read_rescue(
    sealer: &Sealer,
    text: &str,
    place: &dyn Fn() -> String,
) -> Result<(Vec<RescuedV1>, Vec<Box<RawValue>>), StateError> {
    let rescue: RescueV1 = serde_json::from_str(text).map_err(|error| unreadable(text, &error, place()))?;
    check_origin(sealer, rescue.stackkit, &rescue.lineage, &rescue.key, place)?;
    let mac = unbase64(&rescue.mac).unwrap_or_default();
    if !sealer.fits(Purpose::Rescue, &rescue_parts(sealer, &rescue.changes, &rescue.told), &mac) {
        return Err(StateError::HeadEdited { place: place() });
    }
    Ok((rescue.changes, rescue.told))
}
