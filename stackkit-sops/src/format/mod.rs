//! `Format`: how a file is written. Each comes to the same tree, and what SOPS says of the file beside it.

mod dotenv;
mod ini;
mod json;
mod yaml;

use std::fmt;

use stackkit::Properties;

use crate::problem::Problem;
use crate::tree::{Entries, Node};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Properties)]
pub enum Format {
    /// YAML, in one document.
    Yaml,
    /// JSON.
    Json,
    /// Lines of `NAME=value`.
    Dotenv,
    /// Sections of `name = value`.
    Ini,
    /// Any file, which SOPS put as a whole into JSON.
    Binary,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Yaml => "YAML",
            Format::Json => "JSON",
            Format::Dotenv => "dotenv",
            Format::Ini => "INI",
            Format::Binary => "a whole file (binary)",
        })
    }
}

/// What a file holds, and what SOPS says of it in its part `sops`; nothing where there is none.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) entries: Entries,
    pub(crate) sops: Entries,
}

impl Format {
    /// The format of a file by the end of its name, as SOPS has it: `.yaml` and `.yml`, `.json`, `.env`, `.ini`; all others
    /// are taken whole.
    pub fn of(path: &str) -> Self {
        match path.rsplit_once('.').map(|(_, end)| end) {
            Some("yaml" | "yml") => Format::Yaml,
            Some("json") => Format::Json,
            Some("env") => Format::Dotenv,
            Some("ini") => Format::Ini,
            _ => Format::Binary,
        }
    }

    pub(crate) fn parse(self, bytes: &[u8]) -> Result<Parsed, Problem> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Problem::invalid("is no text in UTF-8, so SOPS did not write it"))?;
        let parsed = match self {
            Format::Yaml => yaml::parse(text).and_then(nested),
            Format::Json | Format::Binary => json::parse(text).and_then(nested),
            Format::Dotenv => dotenv::parse(text).map(prefixed),
            Format::Ini => ini::parse(text).and_then(nested),
        };
        parsed.map_err(|detail| Problem::invalid(format!("cannot be read as {self}: {detail}")))
    }
}

/// The part `sops` is a map like any other.
fn nested(mut entries: Entries) -> Result<Parsed, String> {
    let sops = match entries.iter().position(|(name, _)| name == "sops") {
        None => Vec::new(),
        Some(at) => match entries.remove(at).1 {
            Node::Map(sops) => sops,
            _ => return Err("its part `sops` is no map; restore it from version control".into()),
        },
    };
    Ok(Parsed { entries, sops })
}

/// The part `sops` is all names that begin like it.
fn prefixed(entries: Entries) -> Parsed {
    let (mut plain, mut sops) = (Vec::new(), Vec::new());
    for (name, node) in entries {
        match name.strip_prefix("sops_") {
            Some(rest) => sops.push((rest.to_owned(), node)),
            None => plain.push((name, node)),
        }
    }
    Parsed { entries: plain, sops }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Kind;

    fn leaves(node: &Node, out: &mut Vec<String>) {
        match node {
            Node::Map(entries) => entries.iter().for_each(|(_, node)| leaves(node, out)),
            Node::List(items) => items.iter().for_each(|node| leaves(node, out)),
            Node::Leaf(leaf) => out.push(format!("{:?} {}", leaf.kind, leaf.text().unwrap())),
        }
    }

    fn read(format: Format, text: &str) -> Result<Vec<String>, String> {
        let parsed = format.parse(text.as_bytes()).map_err(|problem| problem.text)?;
        let mut out = Vec::new();
        leaves(&Node::Map(parsed.entries), &mut out);
        Ok(out)
    }

    #[test]
    fn values_are_the_bytes_that_the_mac_is_made_of() {
        let yaml = "a: text\nb: \"1\"\nc: 12\nd: -1.50\ne: 1e+06\nf: true\ng: null\nh: ~\ni:\nj: [x, 'yes', no]\nk: |\n  two\n  \
                    lines\nl: 2026-01-02T03:04:05Z\nm: .inf\nsops: {}\n";
        let wanted = [
            "Text text",
            "Text 1",
            "Int 12",
            "Float -1.5",
            "Float 1000000",
            "Bool True",
            "Null ",
            "Null ",
            "Null ",
            "Text x",
            "Text yes",
            "Text no",
            "Text two\nlines\n",
            "Time 2026-01-02T03:04:05Z",
            "Float +Inf",
        ];
        assert_eq!(read(Format::Yaml, yaml).unwrap(), wanted);
        let json =
            r#"{"a":"t","b":12,"c":-1.50,"d":1e6,"e":true,"f":null,"g":[9223372036854775807,18446744073709551615]}"#;
        let wanted = [
            "Text t",
            "Int 12",
            "Float -1.5",
            "Float 1000000",
            "Bool True",
            "Null ",
            "Int 9223372036854775807",
            "Float 18446744073709552000",
        ];
        assert_eq!(read(Format::Json, json).unwrap(), wanted);
        assert_eq!(read(Format::Dotenv, "# c\nA=1\n\nB=x=y\\nz\r\n").unwrap(), ["Text 1", "Text x=y\nz"]);
        let ini = "; c\ntop = 1\n[a b]\nname  = `x;y`\nkey = \"\"\" x\ny\"\"\"\nplain = a = b\n";
        assert_eq!(read(Format::Ini, ini).unwrap(), ["Text 1", "Text x;y", "Text  x\ny", "Text a = b"]);
    }

    #[test]
    fn what_readers_could_disagree_on_is_refused() {
        for (format, text, part) in [
            (Format::Yaml, "a: 1\na: 2\n", "`a` twice"),
            (Format::Yaml, "a: &x 1\nb: *x\n", "anchor"),
            (Format::Yaml, "a: !!binary aGk=\n", "tag"),
            (Format::Yaml, "1: x\n", "no text"),
            (Format::Yaml, "? [a]\n: x\n", "no text"),
            (Format::Yaml, "a: 1\n---\nb: 2\n", "more than one document"),
            (Format::Yaml, "- a\n", "no map"),
            (Format::Yaml, "a: [\n", "line"),
            (Format::Json, r#"{"a":1,"a":2}"#, "`a` twice"),
            (Format::Json, "[1]", "no map"),
            (Format::Json, "{", "line 1"),
            (Format::Dotenv, "A=1\nA=2\n", "`A` twice"),
            (Format::Dotenv, "A=1\nnothing\n", "line 2"),
            (Format::Ini, "[a]\nx = 1\n[a]\ny = 2\n", "`a` twice"),
            (Format::Ini, "[a]\nx = 1\nx = 2\n", "`x` twice"),
            (Format::Ini, "[a\n", "line 1"),
            (Format::Ini, "x = \"\"\"y\n", "line 1"),
            (Format::Yaml, "a: 1\nsops: 2\n", "`sops` is no map"),
        ] {
            let said = read(format, text).unwrap_err();
            assert!(said.contains(part), "{text:?}: {said}");
        }
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(read(Format::Yaml, &format!("a: {deep}\n")).unwrap_err().contains("deep"));
        assert!(read(Format::Json, &format!("{{\"a\":{deep}}}")).unwrap_err().contains("deep"));
        assert_eq!(Format::Yaml.parse(&[0xff]).unwrap_err().text, "is no text in UTF-8, so SOPS did not write it");
        assert!(matches!(Node::leaf(Kind::Null, ""), Node::Leaf(_)));
    }
}
