//! YAML as SOPS writes it: one document of maps, lists and scalars, without anchors and tags. Plain scalars are what the
//! library of SOPS takes them for; a number in a form that it would not write is text here, and the MAC does not fit then.

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::tree::{DEEPEST, Entries, Kind, Node, unique};

/// A map or a list that is not complete yet.
enum Open {
    Map { entries: Entries, name: Option<String> },
    List(Vec<Node>),
}

pub(super) fn parse(text: &str) -> Result<Entries, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| format!("it is no YAML at line {}", error.marker().line()))?;
        let at = |what: &str| format!("line {} {what}", span.start.line());
        let node = match event {
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _)
                if anchor != 0 =>
            {
                return Err(at("has an anchor, which SOPS does not write"));
            }
            Event::Alias(_) => return Err(at("has an alias of an anchor, which SOPS does not write")),
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, _, Some(tag))
            | Event::MappingStart(_, _, Some(tag))
                if !is_text(&tag) =>
            {
                return Err(at("has a tag, which is not read here"));
            }
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                // A name in plain style may look like something else; only text is one.
                let node = if plain { scalar(&text) } else { Node::leaf(Kind::Text, text.as_ref()) };
                if let Some(Open::Map { name: name @ None, .. }) = open.last_mut() {
                    match node {
                        Node::Leaf(leaf) if leaf.kind == Kind::Text => *name = Some(text.into_owned()),
                        _ => return Err(at("has a name that is no text")),
                    }
                    continue;
                }
                node
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if let Some(Open::Map { name: None, .. }) = open.last() {
                    return Err(at("has a name that is no text"));
                }
                if open.len() >= DEEPEST {
                    return Err(at("nests too deep"));
                }
                open.push(match event {
                    Event::SequenceStart(..) => Open::List(Vec::new()),
                    _ => Open::Map { entries: Vec::new(), name: None },
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Node::List(items),
                Some(Open::Map { entries, .. }) => Node::Map(unique(entries)?),
                None => return Err(at("ends what has not begun")),
            },
            _ => continue,
        };
        match open.last_mut() {
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map { entries, name }) => {
                entries.push((name.take().ok_or_else(|| at("has a value without a name"))?, node));
            }
            None if whole.is_some() => {
                return Err("it holds more than one document: keep the secrets in one".into());
            }
            None => whole = Some(node),
        }
    }
    match whole {
        Some(Node::Map(entries)) => Ok(entries),
        _ => Err("it is no map of names".into()),
    }
}

/// Text, or what a map or list is anyway.
fn is_text(tag: &Tag) -> bool {
    ["str", "map", "seq"].into_iter().any(|name| tag.is_yaml_core_schema_tag(name))
}

/// A scalar in plain style.
fn scalar(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::leaf(Kind::Null, ""),
        "true" | "True" | "TRUE" => return Node::bool(true),
        "false" | "False" | "FALSE" => return Node::bool(false),
        ".nan" | ".NaN" | ".NAN" => return Node::float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Node::float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Node::float(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let decimal = all_digits && (digits == "0" || !digits.starts_with('0'));
    if decimal && let Ok(number) = text.parse::<i64>() {
        return Node::leaf(Kind::Int, number.to_string());
    }
    // Digits with a point or an exponent; more than a float's syntax, such as `inf`, Rust would take, too.
    let numeric = digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.contains(['.', 'e', 'E']);
    if numeric && let Ok(number) = text.parse::<f64>() {
        return Node::float(number);
    }
    if is_time(text) { Node::leaf(Kind::Time, text) } else { Node::leaf(Kind::Text, text) }
}

/// A point in time as SOPS writes it, such as `2026-01-02T03:04:05Z`. Its bytes are its text.
fn is_time(text: &str) -> bool {
    let shape = "0000-00-00T00:00:00";
    let fits = |(letter, shape): (u8, u8)| if shape == b'0' { letter.is_ascii_digit() } else { letter == shape };
    text.len() > shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}
