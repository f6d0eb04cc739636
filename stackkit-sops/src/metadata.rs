//! `Metadata`: what SOPS says of a file in it. Formats that cannot nest write it flattened, so that is how it is read.

use std::collections::BTreeMap;

use regex_lite::{Regex, RegexBuilder};

use crate::problem::{Problem, shown};
use crate::tree::{Entries, Node};

/// Names of maps and of lists are joined by these, as SOPS does for dotenv and INI.
pub(crate) const MAP: &str = "__map_";
const LIST: &str = "__list_";
/// More keys or key groups than this nobody has.
const MOST: usize = 1000;

/// What SOPS says of a file.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// The MAC, encrypted.
    pub(crate) mac: String,
    /// When the file was written, by which the MAC is authenticated.
    pub(crate) last_modified: String,
    /// Whether values in plain text are not in the MAC.
    pub(crate) mac_only_encrypted: bool,
    pub(crate) rule: Rule,
    /// Any key of a group opens its part of the data key; where there is one group, that is the data key.
    pub(crate) groups: Vec<Vec<MasterKey>>,
    /// How many groups are needed.
    pub(crate) threshold: usize,
}

/// Something that opens the data key, or a part of it.
#[derive(Debug)]
pub(crate) struct MasterKey {
    pub(crate) kind: &'static MasterKind,
    /// The public key, or what names it in its key service.
    pub(crate) name: String,
    /// The data key, encrypted.
    pub(crate) sealed: String,
    /// All that is said of it, flattened.
    #[cfg_attr(not(any(feature = "aws-kms", feature = "vault")), allow(dead_code, reason = "key services alone ask"))]
    pub(crate) fields: BTreeMap<String, String>,
}

/// A kind of master keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MasterKind {
    /// The name of its list in the file.
    list: &'static str,
    /// What it is called in messages.
    pub(crate) title: &'static str,
    /// The fields that name a key.
    names: &'static [&'static str],
}

pub(crate) static AGE: MasterKind = MasterKind { list: "age", title: "age", names: &["recipient"] };
pub(crate) static KMS: MasterKind = MasterKind { list: "kms", title: "AWS KMS", names: &["arn"] };
pub(crate) static VAULT: MasterKind =
    MasterKind { list: "hc_vault", title: "Vault", names: &["vault_address", "engine_path", "key_name"] };
static PGP: MasterKind = MasterKind { list: "pgp", title: "PGP", names: &["fp"] };
static GCP: MasterKind = MasterKind { list: "gcp_kms", title: "Google Cloud KMS", names: &["resource_id"] };
static AZURE: MasterKind = MasterKind { list: "azure_kv", title: "Azure Key Vault", names: &["vault_url", "name"] };
static HUAWEI: MasterKind = MasterKind { list: "hckms", title: "HuaweiCloud KMS", names: &["key_id"] };

/// Those at hand come first: they ask nobody.
static KINDS: [&MasterKind; 7] = [&AGE, &KMS, &VAULT, &GCP, &AZURE, &HUAWEI, &PGP];

/// Which values are encrypted.
#[derive(Debug)]
pub(crate) enum Rule {
    AllBut(Names),
    Only(Names),
}

/// Names that a path may have in it.
#[derive(Debug)]
pub(crate) enum Names {
    EndIn(String),
    Match(Regex),
}

impl Rule {
    /// Whether the value of a path has to be encrypted.
    pub(crate) fn encrypts(&self, path: &[&str]) -> bool {
        match self {
            Rule::AllBut(names) => !path.iter().any(|name| names.has(name)),
            Rule::Only(names) => path.iter().any(|name| names.has(name)),
        }
    }
}

impl Names {
    fn has(&self, name: &str) -> bool {
        match self {
            Names::EndIn(suffix) => name.ends_with(suffix),
            Names::Match(regex) => regex.is_match(name),
        }
    }
}

/// The flattened form of what is nested.
fn flatten(name: String, node: &Node, flat: &mut BTreeMap<String, String>) {
    match node {
        Node::Map(entries) => entries.iter().for_each(|(part, node)| flatten(format!("{name}{MAP}{part}"), node, flat)),
        Node::List(items) => {
            items.iter().enumerate().for_each(|(at, node)| flatten(format!("{name}{LIST}{at}"), node, flat));
        }
        Node::Leaf(leaf) => {
            if let Some(text) = leaf.text() {
                flat.insert(name, text.to_owned());
            }
        }
    }
}

impl Metadata {
    /// Of entries that may be nested, flattened, or both.
    pub(crate) fn read(entries: &Entries) -> Result<Self, Problem> {
        let mut flat = BTreeMap::new();
        entries.iter().for_each(|(name, node)| flatten(name.clone(), node, &mut flat));
        let text = |name: &str| flat.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let mac = text("mac").ok_or_else(|| {
            Problem::invalid(
                "has no MAC (`mac` in its part `sops`), so nobody can tell whether values were added or taken away: \
                 restore it from version control",
            )
        })?;
        let last_modified = text("lastmodified").ok_or_else(|| {
            Problem::invalid("has no `lastmodified` in its part `sops`: restore it from version control")
        })?;
        let mut groups = Vec::new();
        let keys = group(&flat, "");
        if keys.is_empty() {
            groups.extend(
                (0..MOST)
                    .map(|at| group(&flat, &format!("key_groups{LIST}{at}{MAP}")))
                    .take_while(|keys| !keys.is_empty()),
            );
        } else {
            groups.push(keys);
        }
        if groups.is_empty() {
            return Err(Problem::invalid(
                "names no key in its part `sops`, so nobody can open it: restore it from version control",
            ));
        }
        let threshold = match text("shamir_threshold") {
            None => groups.len(),
            Some(text) => match text.parse() {
                // None said is written as 0.
                Ok(0) => groups.len(),
                Ok(number) => number,
                Err(_) => return Err(Problem::invalid("has a `shamir_threshold` that is no number")),
            },
        };
        Ok(Self {
            mac: mac.to_owned(),
            last_modified: last_modified.to_owned(),
            // SOPS writes `true`, and as a value of YAML or JSON it came to `True`.
            mac_only_encrypted: text("mac_only_encrypted").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            rule: rule(text)?,
            groups,
            threshold,
        })
    }
}

/// The keys of a group, in the order in which they are tried.
fn group(flat: &BTreeMap<String, String>, prefix: &str) -> Vec<MasterKey> {
    let mut keys = Vec::new();
    for kind in KINDS {
        for at in 0..MOST {
            let start = format!("{prefix}{}{LIST}{at}{MAP}", kind.list);
            let field = |name: &str| flat.get(&format!("{start}{name}"));
            let Some(sealed) = field("enc") else { break };
            let names: Vec<&str> = kind.names.iter().filter_map(|name| field(name)).map(String::as_str).collect();
            let fields = flat
                .range(start.clone()..)
                .map_while(|(name, text)| Some((name.strip_prefix(&start)?.to_owned(), text.clone())))
                .collect();
            keys.push(MasterKey { kind, name: shown(&names.join("/")), sealed: sealed.clone(), fields });
        }
    }
    keys
}

fn rule<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Result<Rule, Problem> {
    for name in ["encrypted_comment_regex", "unencrypted_comment_regex"] {
        if text(name).is_some() {
            return Err(Problem::invalid(format!(
                "says by comments which of its values are encrypted (`{name}`), which is not read here: say it by names, \
                 with `encrypted_regex` or `unencrypted_suffix`, and encrypt it anew"
            )));
        }
    }
    let names = ["unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex"];
    let mut said = names.into_iter().filter_map(|name| Some((name, text(name)?)));
    let Some((name, value)) = said.next() else { return Ok(Rule::AllBut(Names::EndIn("_unencrypted".into()))) };
    if let Some((other, _)) = said.next() {
        return Err(Problem::invalid(format!(
            "has both `{name}` and `{other}` in its part `sops`, of which there may be one: restore it from version \
             control"
        )));
    }
    let names = if name.ends_with("_suffix") {
        Names::EndIn(value.to_owned())
    } else {
        let regex = RegexBuilder::new(value).size_limit(1 << 20).nest_limit(50).build();
        Names::Match(regex.map_err(|error| {
            Problem::invalid(format!("has a `{name}` in its part `sops` that cannot be read: {error}"))
        })?)
    };
    Ok(if name.starts_with("un") { Rule::AllBut(names) } else { Rule::Only(names) })
}
