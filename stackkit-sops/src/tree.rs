//! `Node`: what a file holds, in its order, whatever its format.

use std::fmt;

use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::problem::shown;

/// How deep a file may nest.
pub(crate) const DEEPEST: usize = 64;

/// The entries of a map, in the file's order: the MAC depends on it.
pub(crate) type Entries = Vec<(String, Node)>;

/// A part of a file.
#[derive(Debug)]
pub(crate) enum Node {
    Map(Entries),
    List(Vec<Node>),
    Leaf(Leaf),
}

/// A value, as the bytes that SOPS takes into its MAC.
pub(crate) struct Leaf {
    pub(crate) kind: Kind,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Whether it stands encrypted in the file.
    pub(crate) encrypted: bool,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Time,
    Null,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("kind", &self.kind).field("encrypted", &self.encrypted).finish_non_exhaustive()
    }
}

impl Leaf {
    pub(crate) fn new(kind: Kind, bytes: impl Into<Vec<u8>>) -> Self {
        Self { kind, bytes: Zeroizing::new(bytes.into()), encrypted: false }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// What a program gets of it: a bool as everyone writes it, everything else as it is.
    pub(crate) fn plain(&self) -> &[u8] {
        match (self.kind, self.bytes.as_slice()) {
            (Kind::Bool, b"True") => b"true",
            (Kind::Bool, _) => b"false",
            (Kind::Null, _) => b"null",
            (_, bytes) => bytes,
        }
    }
}

impl Node {
    pub(crate) fn leaf(kind: Kind, bytes: impl Into<Vec<u8>>) -> Self {
        Node::Leaf(Leaf::new(kind, bytes))
    }

    pub(crate) fn bool(value: bool) -> Self {
        Self::leaf(Kind::Bool, if value { "True" } else { "False" })
    }

    /// The shortest digits that come back as the same number, and never an exponent.
    pub(crate) fn float(value: f64) -> Self {
        let text = match value {
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            value => value.to_string(),
        };
        Self::leaf(Kind::Float, text)
    }

    /// The part as JSON, unless some of it is no text.
    pub(crate) fn to_json(&self) -> Option<Json> {
        Some(match self {
            Node::Map(entries) => {
                let fields: Option<serde_json::Map<String, Json>> =
                    entries.iter().map(|(name, node)| Some((name.clone(), node.to_json()?))).collect();
                Json::Object(fields?)
            }
            Node::List(items) => Json::Array(items.iter().map(Node::to_json).collect::<Option<_>>()?),
            Node::Leaf(leaf) => {
                let text = std::str::from_utf8(leaf.plain()).ok()?;
                match leaf.kind {
                    // What is no number of JSON, such as NaN, stays text.
                    Kind::Int | Kind::Float => {
                        serde_json::from_str(text).ok().filter(Json::is_number).unwrap_or_else(|| Json::from(text))
                    }
                    Kind::Bool => Json::Bool(text == "true"),
                    Kind::Null => Json::Null,
                    Kind::Text | Kind::Time => Json::from(text),
                }
            }
        })
    }
}

/// The entries, unless two have one name: readers disagree which of them counts.
pub(crate) fn unique(entries: Entries) -> Result<Entries, String> {
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first()) {
        Some(name) => Err(format!("it has `{}` twice", shown(name))),
        None => Ok(entries),
    }
}
