//! `Header`: the `[seal]` table of `stackkit.<stack>.toml`, which people edit too: all else in the file stays as it is.

use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::{Ring, SealError, Setting, WrappedKey};
use crate::stack_file::StackFile;

const FORMAT: u64 = 1;

/// A stack's identity and its wrapped data key. Nothing in it is secret; without a key that unwraps it, it opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The stack's identity for its whole life: a UUID of version 7.
    pub lineage: String,
    /// The id of the data key.
    pub data_key: String,
    /// The data key, wrapped once for each key that may open it.
    pub keys: Vec<WrappedKey>,
    /// Whether the state is sealed as a whole: names, ids and plain values too.
    pub whole: bool,
    /// While the data key is being changed: the new one. State that was written with it is there, or about to be.
    pub next: Option<Ring>,
    /// The code of all that, which only a holder of the data key can make: see [`Header::with_mac`].
    pub mac: String,
}

/// The file that holds configuration and header of a stack.
pub fn config_path(dir: &Path, stack: &str) -> PathBuf {
    dir.join(format!("stackkit.{stack}.toml"))
}

impl Header {
    /// Reads the header of a file; `None` where there is no file, or no `[seal]` in it.
    ///
    /// # Errors
    /// When the file cannot be read, or the header is not one.
    pub fn read(path: &Path) -> Result<Option<Self>, SealError> {
        Self::of(&Self::file(path)?)
    }

    /// Reads the header in a text; `place` names it in errors.
    ///
    /// # Errors
    /// When the text is not TOML, or the header is not one.
    pub fn parse(text: &str, place: &str) -> Result<Option<Self>, SealError> {
        let refuse = |detail: String| SealError::Header { place: place.to_owned(), detail };
        let document = document(text, place)?;
        let Some(seal) = document.get("seal") else { return Ok(None) };
        let seal = seal.as_table().ok_or_else(|| refuse("`seal` is not a table".into()))?;
        match seal.get("format").and_then(Item::as_integer).and_then(|format| u64::try_from(format).ok()) {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => {
                return Err(SealError::Newer { place: format!("the [seal] header of {place}"), found, known: FORMAT });
            }
            _ => return Err(refuse("`format` is not a version of it".into())),
        }
        let text = |table: &Table, name: &str| {
            table
                .get(name)
                .and_then(Item::as_str)
                .map(str::to_owned)
                .ok_or_else(|| refuse(format!("it has no text `{name}`: restore it from version control")))
        };
        let lineage = text(seal, "lineage")?;
        if uuid::Uuid::try_parse(&lineage).is_err() {
            return Err(refuse("`lineage` is not a UUID: restore it from version control".into()));
        }
        let ring = |table: &Table, name: &str| -> Result<Ring, SealError> {
            let tables = table
                .get("key")
                .and_then(Item::as_array_of_tables)
                .ok_or_else(|| refuse(format!("it has no [[{name}.key]]: restore it from version control")))?;
            let mut keys = Vec::with_capacity(tables.len());
            for table in tables {
                keys.push(wrapped(table, &text, &refuse)?);
            }
            Ok(Ring { data_key: text(table, "data_key")?, keys })
        };
        let Ring { data_key, keys } = ring(seal, "seal")?;
        let next = match seal.get("next") {
            Some(Item::Table(next)) => Some(ring(next, "seal.next")?),
            Some(_) => return Err(refuse("`next` is not a table".into())),
            None => None,
        };
        let whole = match seal.get("whole").map(Item::as_bool) {
            None => false,
            Some(Some(whole)) => whole,
            Some(None) => return Err(refuse("`whole` is neither true nor false".into())),
        };
        Ok(Some(Self { lineage, data_key, keys, whole, next, mac: text(seal, "mac")? }))
    }

    /// The text of a file with this header in place of the one it had; everything else is left as it is.
    ///
    /// # Errors
    /// When the text is not TOML.
    pub fn set_in(&self, text: &str, place: &str) -> Result<String, SealError> {
        let mut document = document(text, place)?;
        let mut seal = Table::new();
        seal.decor_mut().set_prefix(if document.as_table().is_empty() {
            "# Written by the program: the stack's identity, and the key of its secrets, wrapped. Commit it; do not edit it.\n"
        } else {
            "\n# Written by the program: the stack's identity, and the key of its secrets, wrapped. Commit it; do not edit it.\n"
        });
        if let Some(Item::Table(old)) = document.get("seal") {
            *seal.decor_mut() = old.decor().clone();
            seal.set_position(old.position());
        }
        seal.insert("format", value(FORMAT as i64));
        seal.insert("lineage", value(&self.lineage));
        seal.insert("data_key", value(&self.data_key));
        seal.insert("mac", value(&self.mac));
        if self.whole {
            seal.insert("whole", value(true));
        }
        seal.insert("key", tables(&self.keys));
        if let Some(next) = &self.next {
            let mut table = Table::new();
            table.decor_mut().set_prefix("\n# The key is being changed: `secrets rotate` goes on with it.\n");
            table.insert("data_key", value(&next.data_key));
            table.insert("key", tables(&next.keys));
            seal.insert("next", Item::Table(table));
        }
        document.insert("seal", Item::Table(seal));
        Ok(document.to_string())
    }

    /// Writes the header into a file, as a whole or not at all. Comments and configuration in the file stay.
    ///
    /// # Errors
    /// When the file is not TOML, or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SealError> {
        self.write_into(Self::file(path)?)
    }

    /// Writes the header of a new stack, unless somebody else has made one meanwhile. Says whether it did.
    pub(crate) fn write_first(&self, path: &Path) -> Result<bool, SealError> {
        let file = Self::file(path)?;
        if Self::of(&file)?.is_some() {
            return Ok(false);
        }
        match self.write_into(file) {
            Ok(()) => Ok(true),
            Err(error) => match Self::read(path)? {
                Some(_) => Ok(false),
                None => Err(error),
            },
        }
    }

    /// Writes the header over another, unless that is no longer there. Says whether it was.
    pub(crate) fn write_instead_of(&self, old: &Self, path: &Path) -> Result<bool, SealError> {
        let file = Self::file(path)?;
        if Self::of(&file)?.as_ref() != Some(old) {
            return Ok(false);
        }
        self.write_into(file).map(|()| true)
    }

    /// Writes a text, with this header in it, over what a file was when it was read.
    pub(crate) fn write_over(&self, file: &mut StackFile, text: &str) -> Result<(), SealError> {
        let path = file.path().to_owned();
        let text = self.set_in(text, &format!("`{}`", path.display()))?;
        file.replace(text).map(drop).map_err(|source| SealError::Io { what: "write", path, source })
    }

    fn write_into(&self, mut file: StackFile) -> Result<(), SealError> {
        let text = file.text().to_owned();
        self.write_over(&mut file, &text)
    }

    fn of(file: &StackFile) -> Result<Option<Self>, SealError> {
        Self::parse(file.text(), &format!("`{}`", file.path().display()))
    }

    fn file(path: &Path) -> Result<StackFile, SealError> {
        StackFile::read(path).map_err(|source| SealError::Io { what: "read", path: path.into(), source })
    }

    /// Whether a key of this kind can open the stack.
    pub fn has(&self, kind: &str) -> bool {
        self.keys.iter().any(|key| key.kind == kind)
    }
}

fn wrapped(
    table: &Table,
    text: &dyn Fn(&Table, &str) -> Result<String, SealError>,
    refuse: &dyn Fn(String) -> SealError,
) -> Result<WrappedKey, SealError> {
    let mut key = WrappedKey {
        kind: text(table, "kind")?,
        id: text(table, "id")?,
        wrapped: text(table, "wrapped")?,
        settings: Default::default(),
    };
    for (name, item) in table.iter().filter(|(name, _)| !matches!(*name, "kind" | "id" | "wrapped")) {
        let setting = match (item.as_str(), item.as_integer().map(u64::try_from)) {
            (Some(text), _) => Setting::Text(text.to_owned()),
            (_, Some(Ok(number))) => Setting::Number(number),
            _ => return Err(refuse(format!("`{name}` of a [[seal.key]] is neither text nor a number"))),
        };
        key.settings.insert(name.to_owned(), setting);
    }
    Ok(key)
}

fn tables(keys: &[WrappedKey]) -> Item {
    let mut tables = ArrayOfTables::new();
    for key in keys {
        let mut table = Table::new();
        table.insert("kind", value(&key.kind));
        table.insert("id", value(&key.id));
        table.insert("wrapped", value(&key.wrapped));
        for (name, setting) in &key.settings {
            table.insert(
                name,
                match setting {
                    Setting::Text(text) => value(text),
                    Setting::Number(number) => value(i64::try_from(*number).unwrap_or(i64::MAX)),
                },
            );
        }
        tables.push(table);
    }
    Item::ArrayOfTables(tables)
}

fn document(text: &str, place: &str) -> Result<DocumentMut, SealError> {
    text.parse().map_err(|error: toml_edit::TomlError| SealError::Header {
        place: place.to_owned(),
        detail: format!("the file is not TOML: {}", error.message()),
    })
}
