//! Lines of the audit log: what they say, their text, and reading it again. `SECURITY.md` describes the text byte by byte.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Keys, Who};
use crate::event::{Summary, Verb};
use crate::seal::{Code, Purpose, Sealer, base64, open_line};
use crate::state::model::Instance;
use crate::state::{add_code, split_code};
use crate::urn::Urn;

/// Longest text of an error or a message, in bytes.
const LONGEST: usize = 500;

/// Something that happened to a stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A run began. Without an [`Event::End`] of the same run it was cut short.
    Begin {
        /// The command, such as `up`.
        command: String,
        /// Those of its options that are not as they usually are. Of config values only the names.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        options: BTreeMap<String, Json>,
        /// What it is about: URNs, names, ids.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        of: Vec<String>,
        /// The program, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        /// Who ran it.
        who: Who,
        /// Why, in the words of who ran it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// A command that is one change, done together with this line, or that shows secrets.
    Command {
        /// The command, such as `state rm`.
        command: String,
        /// What it is about: URNs, names, ids.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        of: Vec<String>,
        /// Who ran it.
        who: Who,
        /// Why, in the words of who ran it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// What became of a call that an earlier run left open.
    Recovered {
        /// The resource.
        urn: String,
        /// Its instance.
        instance: String,
        /// What was found and done.
        found: String,
    },
    /// Somebody else had changed it, and the state follows.
    Found {
        /// The resource.
        urn: String,
        /// Its instance.
        instance: String,
        /// Fields that are not as the program left them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<String>,
        /// Whether it is gone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        gone: bool,
    },
    /// A plan that nobody refused.
    Plan {
        /// A keyed code of all that it says: equal plans of one stack and data key have equal ones.
        digest: String,
        /// How much it is to change.
        counts: Counts,
        /// Who the providers say that this is, and where, by name of the provider instance.
        #[serde(rename = "as", default, skip_serializing_if = "BTreeMap::is_empty")]
        identities: BTreeMap<String, String>,
    },
    /// Something was done to a resource, or failed.
    Step {
        /// The resource.
        urn: String,
        /// Its instance, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
        /// What: `create`, `update`, `replace`, `delete`, `import` or `forget`.
        verb: String,
        /// Whether it was done.
        outcome: Outcome,
        /// Why the plan had it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        because: Vec<String>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The run came to its end.
    End {
        /// How.
        outcome: Outcome,
        /// What it came to, where the run did not say: keys that were added or taken out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        of: Vec<String>,
        /// What was done.
        #[serde(default)]
        counts: Counts,
    },
    /// Something that takes the stack's key to be read: its state is sealed as a whole.
    #[serde(skip)]
    Sealed {
        /// What it is sealed as.
        token: String,
    },
    /// Something that a newer program wrote.
    #[serde(other)]
    Other,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It was done.
    Done,
    /// It failed.
    Failed,
    /// Nobody knows yet whether it was done; the next run looks.
    Unknown,
    /// It was cancelled.
    Cancelled,
    /// It was refused, by a guard, a policy or the person who was asked.
    Refused,
}

impl Outcome {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
            Outcome::Cancelled => "cancelled",
            Outcome::Refused => "refused",
        }
    }
}

/// How many resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Counts {
    /// Created.
    #[serde(skip_serializing_if = "is_none")]
    pub create: usize,
    /// Updated in place.
    #[serde(skip_serializing_if = "is_none")]
    pub update: usize,
    /// Replaced.
    #[serde(skip_serializing_if = "is_none")]
    pub replace: usize,
    /// Deleted.
    #[serde(skip_serializing_if = "is_none")]
    pub delete: usize,
    /// Adopted.
    #[serde(skip_serializing_if = "is_none")]
    pub import: usize,
    /// Dropped from the state without a call.
    #[serde(skip_serializing_if = "is_none")]
    pub forget: usize,
    /// Failed.
    #[serde(skip_serializing_if = "is_none")]
    pub failed: usize,
    /// Not tried.
    #[serde(skip_serializing_if = "is_none")]
    pub skipped: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

impl From<&Summary> for Counts {
    fn from(summary: &Summary) -> Self {
        Self {
            create: summary.create,
            update: summary.update,
            replace: summary.replace,
            delete: summary.delete,
            import: summary.import,
            forget: summary.forget,
            failed: summary.failed,
            skipped: summary.skipped,
        }
    }
}

impl Counts {
    /// In words, such as `2 create, 1 failed`; empty where there are none.
    pub fn words(&self) -> String {
        let all = [
            (self.create, "create"),
            (self.update, "update"),
            (self.replace, "replace"),
            (self.delete, "delete"),
            (self.import, "import"),
            (self.forget, "forget"),
            (self.failed, "failed"),
            (self.skipped, "skipped"),
        ];
        let words: Vec<_> = all.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        words.join(", ")
    }
}

impl Event {
    /// A step that was done or not. The error is scrubbed already.
    pub(crate) fn step(
        urn: &Urn,
        instance: Option<Instance>,
        verb: Verb,
        outcome: Outcome,
        because: &[String],
        error: Option<&str>,
    ) -> Self {
        Self::Step {
            urn: urn.to_string(),
            instance: instance.map(|instance| instance.to_string()),
            verb: verb.name().to_owned(),
            outcome,
            because: because.iter().map(|reason| cut(reason)).collect(),
            error: error.map(cut),
        }
    }
}

/// The beginning of a text that is too long for a line.
pub(super) fn cut(text: &str) -> String {
    match text.len() > LONGEST {
        true => format!("{}…", &text[..text.floor_char_boundary(LONGEST)]),
        false => text.to_owned(),
    }
}

/// What is told and has no place in the log yet: the text of a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told(String);

impl Told {
    /// What a run tells at a moment, in seconds since 1970.
    pub(crate) fn new(at: u64, run: &str, event: &Event) -> Option<Self> {
        let at = OffsetDateTime::from_unix_timestamp(i64::try_from(at).ok()?).ok()?.format(&Rfc3339).ok()?;
        let (at, run) = (Json::from(at), Json::from(run));
        let event = serde_json::to_string(event).ok()?;
        Some(Self(format!("{{\"at\":{at},\"run\":{run},{}", event.strip_prefix('{')?)))
    }

    /// As it stands in a rescue file: in the form of the state.
    pub(crate) fn to_rescue(&self, sealer: &Sealer) -> String {
        match sealer.is_whole() {
            // What cannot be sealed is not told.
            true => Json::from(sealer.seal_line(0, &self.0).unwrap_or_default()).to_string(),
            false => self.0.clone(),
        }
    }

    /// From a text of a rescue file that its code has proved to be one.
    pub(crate) fn rescued(sealer: &Sealer, text: &str) -> Option<Self> {
        match serde_json::from_str::<Json>(text) {
            Ok(Json::String(token)) => {
                open_line(sealer.audit_key(), sealer.key_id(), sealer.lineage(), 0, &token).map(Self)
            }
            _ => Some(Self(text.to_owned())),
        }
    }

    /// The object without its braces, as it stands in a line.
    pub(crate) fn inner(&self) -> &str {
        self.0.get(1..self.0.len().saturating_sub(1)).unwrap_or_default()
    }
}

/// The text of line `n` and its code, after the line with the code `prev`.
pub(crate) fn write(sealer: &Sealer, n: u64, prev: &Code, told: &Told) -> (String, Code) {
    let said = match sealer.is_whole() {
        true => Cow::Owned(format!("\"sealed\":\"{}\"", sealer.seal_line(n, &told.0).unwrap_or_default())),
        false => Cow::Borrowed(told.inner()),
    };
    let body = format!("{{\"n\":{n},{said},\"key\":\"{}\",\"prev\":\"{}\"}}", sealer.key_id(), base64(prev));
    let text = add_code(body, "chain", &|body| sealer.code(Purpose::Audit, &[prev, body]));
    let chain = split_code(&text, "chain").map(|(_, chain)| chain).unwrap_or_default();
    (text, chain)
}

/// A line, read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// Its number, from 1 over the stack's whole life.
    pub n: u64,
    /// When it was told, by the clock of the machine that ran the command (RFC 3339).
    pub at: String,
    /// Which run told it.
    pub run: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
    /// The id of the data key that its code was made with.
    pub key: String,
    pub(super) prev: String,
    chain: String,
    /// Its text.
    #[serde(skip)]
    pub text: String,
}

impl Line {
    /// Reads a line. Its code is not looked at.
    pub fn parse(text: &str) -> Option<Self> {
        let line: Self = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(_) => serde_json::from_str::<SealedLine>(text).ok()?.into(),
        };
        Some(Self { text: text.to_owned(), ..line })
    }

    /// The line with what it tells opened; as it is where it is not sealed, or does not open.
    pub(crate) fn opened(self, keys: &Keys, lineage: &str) -> Self {
        let Event::Sealed { token } = &self.event else { return self };
        let opened = keys.get(&self.key).and_then(|key| open_line(key, &self.key, lineage, self.n, token));
        let Some(told) = opened.map(Told) else { return self };
        let Self { n, key, prev, chain, .. } = &self;
        let text =
            format!("{{\"n\":{n},{},\"key\":\"{key}\",\"prev\":\"{prev}\",\"chain\":\"{chain}\"}}", told.inner());
        Self::parse(&text).unwrap_or(self)
    }

    /// When it was told; `None` where that is no time.
    pub fn time(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(&self.at, &Rfc3339).ok()
    }
}

/// A line that is sealed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedLine {
    n: u64,
    sealed: String,
    key: String,
    prev: String,
    chain: String,
}

impl From<SealedLine> for Line {
    fn from(SealedLine { n, sealed, key, prev, chain }: SealedLine) -> Self {
        let event = Event::Sealed { token: sealed };
        Self { n, at: String::new(), run: String::new(), event, key, prev, chain, text: String::new() }
    }
}

/// Lines as they can be read without a key.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Reading {
    /// The lines, oldest first.
    pub lines: Vec<Line>,
    /// How many texts among them are no lines.
    pub unreadable: usize,
}

/// The number of a line by its first bytes. Nothing is checked.
pub(crate) fn number_of(text: &str) -> Option<u64> {
    let rest = text.strip_prefix("{\"n\":")?;
    rest[..rest.bytes().take_while(u8::is_ascii_digit).count()].parse().ok()
}

/// The lines of parts that were kept one after the other, and of the journal after them. What a crash left twice, a part
/// that begins with lines that are there already, counts once.
pub(crate) fn merged<'a>(parts: &'a [String], journal: &'a [String]) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    let journal: Vec<&str> = journal.iter().map(String::as_str).collect();
    for part in parts.iter().map(|part| part.lines().collect::<Vec<_>>()).chain([journal]) {
        all.extend(part.get(common(&all, &part)..).unwrap_or_default());
    }
    all
}

/// How many lines at the beginning of a part are those at the end of what is there.
fn common(there: &[&str], part: &[&str]) -> usize {
    let Some(first) = part.first() else { return 0 };
    // Only where it begins again is a part the continuation of what a crash cut short.
    let Some(at) = there.iter().rposition(|line| line == first) else { return 0 };
    let both = there[at..].iter().zip(part).take_while(|(a, b)| a == b).count();
    if at + both == there.len() || both == part.len() { both } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.replace(' ', "\n")).collect()
    }

    #[test]
    fn what_a_crash_left_twice_counts_once() {
        for (kept, journal, whole) in [
            (&["a b", "c"][..], "d", "a b c d"),
            (&["a b", "a b c"], "d", "a b c d"),
            (&["a b c"], "b c d", "a b c d"),
            (&["a b c"], "b c", "a b c"),
            (&["a b c", "a b"], "", "a b c"),
            // What stands twice within a part does.
            (&["a b b c"], "", "a b b c"),
            // Another line in the place of one that is there is no crash.
            (&["a b c"], "b x d", "a b c b x d"),
        ] {
            let journal =
                if journal.is_empty() { Vec::new() } else { parts(&[journal])[0].lines().map(str::to_owned).collect() };
            assert_eq!(merged(&parts(kept), &journal).join(" "), whole, "{kept:?}");
        }
    }

    #[test]
    fn a_line_says_what_was_told() {
        let sealer = Sealer::ephemeral().unwrap_or_else(|error| panic!("{error}"));
        let urn = Urn::new("test:Thing", "a\"b");
        let event = Event::step(&urn, Some(Instance(7)), Verb::Create, Outcome::Done, &["it is new".into()], None);
        let told = Told::new(1_800_000_000, "run-1", &event).expect("it is text");
        let (text, _) = write(&sealer, 12, &[3; 32], &told);
        assert_eq!(number_of(&text), Some(12));
        let line = Line::parse(&text).expect("it is a line");
        assert_eq!((line.n, line.at.as_str(), line.run.as_str()), (12, "2027-01-15T08:00:00Z", "run-1"));
        assert_eq!((line.event, line.key.as_str()), (event, sealer.key_id()));
        let other = text.replace("\"event\":\"step\"", "\"event\":\"of-tomorrow\"");
        assert_eq!(Line::parse(&other).map(|line| line.event), Some(Event::Other));
    }
}
