//! JSON, in its order: the order of values is in the MAC.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::tree::{DEEPEST, Entries, Kind, Node, unique};

pub(super) fn parse(text: &str) -> Result<Entries, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let node = At { depth: 0 }.deserialize(&mut reader).map_err(|error| said(&error))?;
    reader.end().map_err(|error| said(&error))?;
    match node {
        Node::Map(entries) => Ok(entries),
        _ => Err("it is no map of names".into()),
    }
}

/// Where, and what: the reader's own words, which quote nothing but names and what stands where it should not.
fn said(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => format!("it is no JSON at line {}, column {}", error.line(), error.column()),
    }
}

/// A value so many levels down.
struct At {
    depth: usize,
}

impl At {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth >= DEEPEST { Err(E::custom("it nests too deep")) } else { Ok(self.depth + 1) }
    }
}

impl<'de> DeserializeSeed<'de> for At {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Node, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::leaf(Kind::Text, text))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::leaf(Kind::Int, value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        // What is no signed number of 64 bits SOPS takes for a float.
        Ok(i64::try_from(value)
            .map_or_else(|_| Node::float(value as f64), |value| Node::leaf(Kind::Int, value.to_string())))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::float(value))
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::leaf(Kind::Null, ""))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let depth = self.deeper()?;
        let mut items = Vec::new();
        while let Some(node) = seq.next_element_seed(At { depth })? {
            items.push(node);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let depth = self.deeper()?;
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            entries.push((name, map.next_value_seed(At { depth })?));
        }
        unique(entries).map(Node::Map).map_err(A::Error::custom)
    }
}
