//! `Document`: a file that was opened. Nothing of it is given out before its MAC is found to fit.

use sha2::{Digest as _, Sha512};

use crate::cipher::{self, Closed, DataKey};
use crate::format::{Format, Parsed};
use crate::metadata::Metadata;
use crate::problem::{Problem, shown};
use crate::tree::{Entries, Kind, Node};

/// Where a MAC of encrypted values alone begins, so that it is never one of all values: SHA-256 of `sops`.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b,
    0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// A file that was read, and is not opened yet.
#[derive(Debug)]
pub(crate) struct Sealed {
    entries: Entries,
    pub(crate) metadata: Metadata,
    /// Its name in commands that messages propose.
    pub(crate) file: String,
}

/// A file that was opened, and is as SOPS wrote it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) entries: Entries,
    /// Whether nothing says that values in plain text are as SOPS wrote them.
    pub(crate) plain_is_unchecked: bool,
}

impl Sealed {
    /// Reads what a file holds.
    pub(crate) fn read(bytes: &[u8], format: Format, file: &str) -> Result<Self, Problem> {
        let file = shown(file);
        let Parsed { entries, sops } = format.parse(bytes)?;
        if sops.is_empty() {
            return Err(Problem::invalid(format!(
                "is not encrypted by SOPS, or not as {format}: encrypt it with `sops encrypt --in-place {file}`"
            )));
        }
        Ok(Self { entries, metadata: Metadata::read(&sops)?, file })
    }

    /// Opens its values, and looks at its MAC.
    pub(crate) fn open(self, key: &DataKey) -> Result<Document, Problem> {
        let Self { mut entries, metadata, file } = self;
        Walk::new(&metadata, key, &file).through(&mut entries)?;
        Ok(Document { entries, plain_is_unchecked: metadata.mac_only_encrypted })
    }
}

/// Opens value after value, in the file's order.
struct Walk<'a> {
    metadata: &'a Metadata,
    key: &'a DataKey,
    file: &'a str,
    mac: Sha512,
}

impl<'a> Walk<'a> {
    fn new(metadata: &'a Metadata, key: &'a DataKey, file: &'a str) -> Self {
        let mut mac = Sha512::new();
        if metadata.mac_only_encrypted {
            mac.update(ONLY_ENCRYPTED);
        }
        Self { metadata, key, file, mac }
    }

    fn through(mut self, entries: &mut Entries) -> Result<(), Problem> {
        self.map(entries, &mut Vec::new())?;
        let way = "restore it from version control, or look at what changed and write it anew with `sops edit";
        let said = cipher::open(&self.metadata.mac, self.key, &self.metadata.last_modified).map_err(|_| {
            Problem::invalid(format!(
                "has a MAC that was edited, or is of another file or of another time than its `lastmodified`: {way} \
                 --ignore-mac {}`",
                self.file
            ))
        })?;
        let computed = Sha512::finalize(self.mac).iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        if *said.bytes != computed.as_bytes() {
            return Err(Problem::invalid(format!(
                "does not fit its MAC: values were added, taken away, moved or changed since SOPS wrote it; {way} \
                 --ignore-mac {}`",
                self.file
            )));
        }
        Ok(())
    }

    fn map<'n>(&mut self, entries: &'n mut Entries, path: &mut Vec<&'n str>) -> Result<(), Problem> {
        for (name, node) in entries {
            path.push(name);
            self.node(node, path)?;
            path.pop();
        }
        Ok(())
    }

    fn node<'n>(&mut self, node: &'n mut Node, path: &mut Vec<&'n str>) -> Result<(), Problem> {
        match node {
            Node::Map(entries) => self.map(entries, path),
            // Indices are not in the path: that values of a list were exchanged shows in the MAC.
            Node::List(items) => items.iter_mut().try_for_each(|node| self.node(node, path)),
            Node::Leaf(leaf) if leaf.kind == Kind::Null => Ok(()),
            Node::Leaf(leaf) => {
                let encrypted = self.metadata.rule.encrypts(path);
                // What is empty is not encrypted.
                if encrypted && !(leaf.kind == Kind::Text && leaf.bytes.is_empty()) {
                    let text = leaf.text().filter(|_| leaf.kind == Kind::Text);
                    let place = format!("{}:", path.join(":"));
                    *leaf = text
                        .ok_or(Closed::Form)
                        .and_then(|text| cipher::open(text, self.key, &place))
                        .map_err(|closed| self.refused(closed, path))?;
                }
                if encrypted || !self.metadata.mac_only_encrypted {
                    self.mac.update(&*leaf.bytes);
                }
                Ok(())
            }
        }
    }

    fn refused(&self, closed: Closed, path: &[&str]) -> Problem {
        let (name, file) = (shown(&path.join(".")), self.file);
        Problem::invalid(match closed {
            Closed::Form => format!(
                "has a value `{name}` in plain text that should be encrypted: if it is a secret, change it where it is \
                 used, and write it with `sops set` or `sops edit --ignore-mac {file}`"
            ),
            Closed::Changed => format!(
                "has a value `{name}` that was changed by hand, or moved there from another place: restore it from \
                 version control, or write it with `sops set` or `sops edit`"
            ),
            Closed::Type => {
                format!("has a value `{name}` of a type that does not fit it: restore the file from version control")
            }
        })
    }
}
