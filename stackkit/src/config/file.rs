//! `stackkit.<stack>.toml`: the `[config]` table with its typed values and sealed secrets. Comments and order stay.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value as Toml};

use crate::seal::{Place, SealError, Sealer, config_path};
use crate::stack_file::StackFile;
use crate::state::place;
use crate::value::Value;

/// What can be wrong with a stack's configuration file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read or written.
    #[error("cannot {what} `{}`: {source}", .path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("`{}` is not valid TOML: {message}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        message: String,
    },
    /// A value of the file cannot be a config value.
    #[error("the config value `{key}` in `{}` {message}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The text is not a key.
    #[error(
        "`{}` cannot be the key of a config value: use letters, digits, `-` and `_`, with dots between the levels of tables",
        .0.escape_debug()
    )]
    Key(String),
    /// A secret cannot be sealed or opened.
    #[error("the config value `{key}`: {source}")]
    Seal {
        /// The key.
        key: String,
        /// The cause.
        source: SealError,
    },
}

/// The config values of a stack, secrets opened. The overrides of the command line come last.
///
/// # Errors
/// When the file cannot be read, or a secret in it does not open.
pub(crate) fn load(
    dir: &Path,
    stack: &str,
    sealer: &Sealer,
    overrides: &[(String, String)],
) -> Result<BTreeMap<String, Value>, ConfigError> {
    let file = ConfigFile::read(dir, stack)?;
    let mut values = file.values(Some(sealer))?;
    set(&mut values, overrides).map_err(|error| match error {
        ConfigError::Key(key) if segments(&key).is_ok() => file.invalid(&key, "is set, and so is a part of it"),
        other => other,
    })?;
    Ok(values)
}

/// Sets config values for one run.
pub(crate) fn set(values: &mut BTreeMap<String, Value>, overrides: &[(String, String)]) -> Result<(), ConfigError> {
    for (key, text) in overrides {
        let segments = segments(key)?;
        put(values, &segments, scalar(text)).map_err(|()| ConfigError::Key(key.clone()))?;
    }
    Ok(())
}

/// The URL of the stack's own backend: `backend` in the `[state]` table. The file is committed and shown around, so a URL
/// with a password in it is refused.
///
/// # Errors
/// When the file cannot be read, or what stands there is no such URL.
pub(crate) fn backend(dir: &Path, stack: &str) -> Result<Option<String>, ConfigError> {
    let file = ConfigFile::read(dir, stack)?;
    let Some(item) = file.document.get("state") else { return Ok(None) };
    let invalid = |key: &str, message: &str| Err(file.invalid(key, message));
    let Some(table) = item.as_table_like() else { return invalid("state", "is not a table") };
    if let Some((other, _)) = table.iter().find(|(name, _)| *name != "backend") {
        return invalid(&format!("state.{other}"), "is not known: `backend` is all that [state] has");
    }
    let Some(item) = table.get("backend") else { return Ok(None) };
    match item.as_str() {
        Some(url) if place::has_password(url) => invalid(
            "state.backend",
            "has a password in it: leave it out, and give it by the environment (PGPASSWORD) or in STACKKIT_BACKEND",
        ),
        Some(url) => Ok(Some(url.to_owned())),
        None => invalid("state.backend", "is not text"),
    }
}

/// Lets the stack's file name its backend, without what is meant for the first time alone. Says whether it does: a URL with
/// a password in it does not belong there.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn set_backend(dir: &Path, stack: &str, url: &str) -> Result<bool, ConfigError> {
    let mut file = ConfigFile::read(dir, stack)?;
    let Some(url) = place::lasting(url) else { return Ok(false) };
    let table = file.document.entry("state").or_insert_with(|| Item::Table(Table::new()));
    let Some(table) = table.as_table_like_mut() else { return Err(file.invalid("state", "is not a table")) };
    table.insert("backend", toml_edit::value(url));
    file.write()?;
    Ok(true)
}

/// A value of the command line: a truth value or number where writing it back gives the very same text, else text.
/// So `1.10` and `007` stay what they are.
pub(crate) fn scalar(text: &str) -> Value {
    match text {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    if let Some(n) = text.parse::<i64>().ok().filter(|n| n.to_string() == text) {
        return Value::Int(n);
    }
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() && n.to_string() == text => Value::Float(n),
        _ => Value::text(text),
    }
}

/// One config value as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// In plain text.
    Plain(Value),
    /// Sealed, with the token that holds it.
    Sealed(String),
}

/// The file of one stack.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    file: StackFile,
    document: DocumentMut,
}

impl ConfigFile {
    /// Reads it; one that does not exist is empty.
    pub(crate) fn read(dir: &Path, stack: &str) -> Result<Self, ConfigError> {
        let path = config_path(dir, stack);
        let file =
            StackFile::read(&path).map_err(|source| ConfigError::Io { what: "read", path: path.clone(), source })?;
        let document = file.text().parse().map_err(|error: toml_edit::TomlError| ConfigError::Syntax {
            path,
            message: error.to_string().trim_end().to_owned(),
        })?;
        let file = Self { file, document };
        match file.document.get("config") {
            Some(item) if !item.is_table_like() => Err(file.invalid("config", "is not a table")),
            _ => Ok(file),
        }
    }

    /// Where it stands.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    fn invalid(&self, key: &str, message: impl Into<String>) -> ConfigError {
        ConfigError::Invalid { path: self.path().to_owned(), key: key.to_owned(), message: message.into() }
    }

    fn table(&self) -> Option<&dyn TableLike> {
        self.document.get("config")?.as_table_like()
    }

    /// Every value by its dotted key, tables taken apart, in the order of the file.
    pub(crate) fn entries(&self) -> Result<Vec<(String, Entry)>, ConfigError> {
        let mut out = Vec::new();
        if let Some(table) = self.table() {
            self.flatten(table, &mut Vec::new(), &mut out)?;
        }
        Ok(out)
    }

    fn flatten(
        &self,
        table: &dyn TableLike,
        path: &mut Vec<String>,
        out: &mut Vec<(String, Entry)>,
    ) -> Result<(), ConfigError> {
        for (key, item) in table.iter() {
            path.push(key.to_owned());
            match (token(item), item.as_table_like()) {
                (Some(token), _) => out.push((dotted(path), Entry::Sealed(token.to_owned()))),
                (None, Some(inner)) if !inner.is_empty() => self.flatten(inner, path, out)?,
                _ => out.push((dotted(path), Entry::Plain(self.value(item, path, None)?))),
            }
            path.pop();
        }
        Ok(())
    }

    /// All of it as values. Without a sealer, secrets are of unknown content.
    pub(crate) fn values(&self, sealer: Option<&Sealer>) -> Result<BTreeMap<String, Value>, ConfigError> {
        let Some(table) = self.table() else { return Ok(BTreeMap::new()) };
        let mut path = Vec::new();
        let Value::Map(values) = self.map(table, &mut path, sealer)? else { return Ok(BTreeMap::new()) };
        Ok(values)
    }

    fn map(
        &self,
        table: &dyn TableLike,
        path: &mut Vec<String>,
        sealer: Option<&Sealer>,
    ) -> Result<Value, ConfigError> {
        let mut map = BTreeMap::new();
        for (key, item) in table.iter() {
            path.push(key.to_owned());
            map.insert(key.to_owned(), self.value(item, path, sealer)?);
            path.pop();
        }
        Ok(Value::Map(map))
    }

    fn value(&self, item: &Item, path: &mut Vec<String>, sealer: Option<&Sealer>) -> Result<Value, ConfigError> {
        if let Some(token) = token(item) {
            let Some(sealer) = sealer else { return Ok(Value::Unknown { secret: true }) };
            let seal = |source| ConfigError::Seal { key: dotted(path), source };
            return Ok(sealer.open(Place::config(&pointer(path)), token).map_err(seal)?.into_secret());
        }
        if let Some(table) = item.as_table_like() {
            return self.map(table, path, sealer);
        }
        match item {
            Item::Value(value) => self.scalar_or_list(value, path, sealer),
            Item::ArrayOfTables(tables) => {
                let mut items = Vec::new();
                for (index, table) in tables.iter().enumerate() {
                    path.push(index.to_string());
                    items.push(self.map(table, path, sealer)?);
                    path.pop();
                }
                Ok(Value::List(items))
            }
            Item::None | Item::Table(_) => Ok(Value::Null),
        }
    }

    fn scalar_or_list(
        &self,
        value: &Toml,
        path: &mut Vec<String>,
        sealer: Option<&Sealer>,
    ) -> Result<Value, ConfigError> {
        Ok(match value {
            Toml::String(text) => Value::text(text.value()),
            Toml::Integer(n) => Value::Int(*n.value()),
            Toml::Float(n) if n.value().is_finite() => Value::Float(*n.value()),
            Toml::Float(_) => return Err(self.invalid(&dotted(path), "is not a finite number")),
            Toml::Boolean(b) => Value::Bool(*b.value()),
            Toml::Datetime(time) => Value::text(time.value().to_string()),
            Toml::Array(array) => {
                let mut items = Vec::new();
                for (index, item) in array.iter().enumerate() {
                    path.push(index.to_string());
                    items.push(self.value(&Item::Value(item.clone()), path, sealer)?);
                    path.pop();
                }
                Value::List(items)
            }
            Toml::InlineTable(table) => self.map(table, path, sealer)?,
        })
    }

    /// One value, or a table of them, by its dotted key.
    pub(crate) fn get(&self, key: &str, sealer: Option<&Sealer>) -> Result<Option<Value>, ConfigError> {
        let mut path = segments(key)?;
        let Some(item) = self.find(&path) else { return Ok(None) };
        self.value(item, &mut path, sealer).map(Some)
    }

    /// Whether the value of that key is, or has in it, a sealed one.
    pub(crate) fn has_secret(&self, key: &str) -> Result<bool, ConfigError> {
        Ok(self.get(key, None)?.is_some_and(|value| value.has_secret()))
    }

    /// The file, and its text with every secret in it sealed under another key.
    pub(crate) fn resealed(self, old: &Sealer, new: &Sealer) -> Result<(StackFile, String), ConfigError> {
        let Self { file, mut document } = self;
        if let Some(table) = document.get_mut("config").and_then(Item::as_table_like_mut) {
            reseal_table(table, &mut Vec::new(), old, new)?;
        }
        Ok((file, document.to_string()))
    }

    fn find(&self, path: &[String]) -> Option<&Item> {
        let mut table = self.table()?;
        let (last, before) = path.split_last()?;
        for segment in before {
            table = table.get(segment)?.as_table_like()?;
        }
        table.get(last)
    }

    /// Sets a plain value.
    pub(crate) fn set(&mut self, key: &str, value: &Value) -> Result<(), ConfigError> {
        let path = segments(key)?;
        let toml = to_toml(value).ok_or_else(|| self.invalid(key, "cannot be written to the file"))?;
        self.put(key, &path, toml)
    }

    /// Seals a value and sets it.
    pub(crate) fn set_secret(&mut self, key: &str, value: &Value, sealer: &Sealer) -> Result<(), ConfigError> {
        let path = segments(key)?;
        let token = sealer
            .seal(Place::config(&pointer(&path)), value)
            .map_err(|source| ConfigError::Seal { key: key.to_owned(), source })?;
        let mut table = InlineTable::new();
        table.insert("secret", token.into());
        self.put(key, &path, Toml::InlineTable(table))
    }

    fn put(&mut self, key: &str, path: &[String], value: Toml) -> Result<(), ConfigError> {
        let occupied = || ConfigError::Invalid {
            path: self.file.path().to_owned(),
            key: key.to_owned(),
            message: "lies within a value that is no table".into(),
        };
        let Some((last, before)) = path.split_last() else { return Err(ConfigError::Key(key.to_owned())) };
        let new = || Item::Table(Table::new());
        let root = self.document.as_table_mut();
        if !root.contains_key("config") {
            let mut table = Table::new();
            table.set_position(Some(-1));
            // It comes first; whatever stood first stands apart from it.
            for (_, item) in root.iter_mut() {
                if let Some(decor) = item.as_table_mut().map(Table::decor_mut) {
                    let prefix = decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned();
                    if !prefix.starts_with('\n') {
                        decor.set_prefix(format!("\n{prefix}"));
                    }
                    break;
                }
            }
            root.insert("config", Item::Table(table));
        }
        let mut table = root.entry("config").or_insert_with(new).as_table_like_mut().ok_or_else(occupied)?;
        for segment in before {
            if table.get(segment).is_some_and(|item| token(item).is_some()) {
                return Err(occupied());
            }
            table = table
                .entry(segment)
                .or_insert_with(|| Item::Value(Toml::InlineTable(InlineTable::new())))
                .as_table_like_mut()
                .ok_or_else(occupied)?;
        }
        match table.get_mut(last) {
            // What stands around the old value, such as a comment at the end of its line, stays.
            Some(Item::Value(old)) => {
                let decor = old.decor().clone();
                *old = value;
                *old.decor_mut() = decor;
            }
            _ => {
                table.insert(last, Item::Value(value));
            }
        }
        Ok(())
    }

    /// Removes a value. False where there was none.
    pub(crate) fn remove(&mut self, key: &str) -> Result<bool, ConfigError> {
        let path = segments(key)?;
        let Some((last, before)) = path.split_last() else { return Ok(false) };
        let Some(mut table) = self.document.get_mut("config").and_then(Item::as_table_like_mut) else {
            return Ok(false);
        };
        for segment in before {
            match table.get_mut(segment).and_then(Item::as_table_like_mut) {
                Some(inner) => table = inner,
                None => return Ok(false),
            }
        }
        Ok(table.remove(last).is_some())
    }

    /// Writes it, as a whole or not at all. Says whether that made a new file.
    pub(crate) fn write(&mut self) -> Result<bool, ConfigError> {
        let text = self.document.to_string();
        let written = self.file.replace(text);
        written.map_err(|source| ConfigError::Io { what: "write", path: self.path().to_owned(), source })
    }
}

/// The token of a sealed value: `{ secret = "sk1.…" }`, and nothing else in it.
fn token(item: &Item) -> Option<&str> {
    let table = item.as_table_like().filter(|table| table.len() == 1)?;
    table.get("secret")?.as_str().filter(|text| text.starts_with("sk1."))
}

fn segments(key: &str) -> Result<Vec<String>, ConfigError> {
    let keys = Key::parse(key).map_err(|_| ConfigError::Key(key.to_owned()))?;
    Ok(keys.iter().map(|key| key.get().to_owned()).collect())
}

fn dotted(path: &[String]) -> String {
    path.iter().map(|segment| Key::new(segment.as_str()).to_string()).collect::<Vec<_>>().join(".")
}

/// The JSON pointer of a path: what a sealed value is bound to.
fn pointer(path: &[String]) -> String {
    path.iter().map(|segment| format!("/{}", segment.replace('~', "~0").replace('/', "~1"))).collect()
}

fn put(values: &mut BTreeMap<String, Value>, path: &[String], value: Value) -> Result<(), ()> {
    let Some((first, rest)) = path.split_first() else { return Err(()) };
    if rest.is_empty() {
        values.insert(first.clone(), value);
        return Ok(());
    }
    match values.entry(first.clone()).or_insert_with(|| Value::Map(BTreeMap::new())) {
        Value::Map(inner) => put(inner, rest, value),
        _ => Err(()),
    }
}

fn to_toml(value: &Value) -> Option<Toml> {
    Some(match value {
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => (*n).into(),
        Value::Float(n) => (*n).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => Toml::Array(items.iter().map(to_toml).collect::<Option<Array>>()?),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| Some((key.as_str(), to_toml(value)?)));
            Toml::InlineTable(entries.collect::<Option<Vec<_>>>()?.into_iter().collect())
        }
        // A secret goes through `set_secret`; everything else has no form in TOML.
        Value::Null | Value::UInt(_) | Value::Secret(_) | Value::Digest(_) | Value::Expr(_) | Value::Unknown { .. } => {
            return None;
        }
    })
}

fn reseal_table(
    table: &mut dyn TableLike,
    path: &mut Vec<String>,
    old: &Sealer,
    new: &Sealer,
) -> Result<(), ConfigError> {
    for (key, item) in table.iter_mut() {
        path.push(key.get().to_owned());
        reseal_item(item, path, old, new)?;
        path.pop();
    }
    Ok(())
}

fn reseal_item(item: &mut Item, path: &mut Vec<String>, old: &Sealer, new: &Sealer) -> Result<(), ConfigError> {
    if let Some(sealed) = token(item) {
        let place = pointer(path);
        let anew = old.open(Place::config(&place), sealed).and_then(|value| new.seal(Place::config(&place), &value));
        let anew = anew.map_err(|source| ConfigError::Seal { key: dotted(path), source })?;
        if let Some(table) = item.as_table_like_mut()
            && let Some(secret) = table.get_mut("secret").and_then(Item::as_value_mut)
        {
            let decor = secret.decor().clone();
            *secret = anew.into();
            *secret.decor_mut() = decor;
        }
        return Ok(());
    }
    if let Some(table) = item.as_table_like_mut() {
        return reseal_table(table, path, old, new);
    }
    match item {
        Item::Value(Toml::Array(array)) => reseal_array(array, path, old, new),
        Item::ArrayOfTables(tables) => {
            for (index, table) in tables.iter_mut().enumerate() {
                path.push(index.to_string());
                reseal_table(table, path, old, new)?;
                path.pop();
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn reseal_array(array: &mut Array, path: &mut Vec<String>, old: &Sealer, new: &Sealer) -> Result<(), ConfigError> {
    for (index, value) in array.iter_mut().enumerate() {
        path.push(index.to_string());
        let mut item = Item::Value(value.clone());
        reseal_item(&mut item, path, old, new)?;
        if let Item::Value(anew) = item {
            *value = anew;
        }
        path.pop();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, ConfigFile) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(config_path(dir.path(), "dev"), text).expect("it can be written");
        let file = ConfigFile::read(dir.path(), "dev").expect("it is valid");
        (dir, file)
    }

    #[test]
    fn words_of_the_command_line_keep_their_text() {
        let table = [
            ("true", Value::Bool(true)),
            ("3", Value::Int(3)),
            ("-7", Value::Int(-7)),
            ("1.5", Value::Float(1.5)),
            ("1.10", Value::text("1.10")),
            ("007", Value::text("007")),
            ("1e3", Value::text("1e3")),
            ("nan", Value::text("nan")),
            ("+1", Value::text("+1")),
            ("", Value::text("")),
            ("eu-central-1", Value::text("eu-central-1")),
        ];
        for (text, expected) in table {
            assert_eq!(scalar(text), expected, "{text}");
        }
    }

    #[test]
    fn comments_and_order_stay() {
        let (_dir, mut file) =
            file("# ours\n[config]\nb = 1 # why\na = \"x\"\n\n[config.tags]\nteam = \"t\"\n\n[seal]\nformat = 1\n");
        file.set("b", &Value::Int(2)).expect("set");
        file.set("c", &Value::text("new")).expect("set");
        file.set("tags.owner", &Value::text("ann")).expect("set");
        assert!(file.remove("a").expect("remove"));
        assert!(!file.remove("a").expect("remove"));
        assert_eq!(
            file.document.to_string(),
            "# ours\n[config]\nb = 2 # why\nc = \"new\"\n\n[config.tags]\nteam = \"t\"\nowner = \"ann\"\n\n[seal]\nformat = 1\n"
        );
    }

    #[test]
    fn values_are_typed_and_nested() {
        let (dir, _) = file("[config]\nn = 1\nf = 1.5\nb = true\nl = [1, \"a\"]\nt = { x = { y = 2 } }\n");
        let sealer = Sealer::ephemeral().expect("a key");
        let overrides = [("t.x.z".to_owned(), "3".to_owned()), ("n".to_owned(), "word".to_owned())];
        let values = load(dir.path(), "dev", &sealer, &overrides).expect("it is valid");
        assert_eq!(
            format!("{values:?}"),
            r#"{"b": true, "f": 1.5, "l": [1, "a"], "n": "word", "t": {"x": {"y": 2, "z": 3}}}"#
        );
        let bad = [("n.x".to_owned(), "3".to_owned())];
        let message = load(dir.path(), "dev", &sealer, &bad).expect_err("it is a number").to_string();
        assert!(message.contains("`n.x`"), "{message}");
    }

    #[test]
    fn a_secret_is_sealed_to_its_key() {
        let (dir, mut file) = file("[config]\nplain = 1\n");
        let sealer = Sealer::ephemeral().expect("a key");
        file.set_secret("db.password", &Value::text("canary-7Qx"), &sealer).expect("sealed");
        assert!(!file.write().expect("written"));
        let text = fs::read_to_string(file.path()).expect("it is there");
        assert!(text.contains("secret = \"sk1.") && !text.contains("canary"), "{text}");

        let values = load(dir.path(), "dev", &sealer, &[]).expect("it opens");
        assert_eq!(format!("{values:?}"), r#"{"db": {"password": [secret]}, "plain": 1}"#);
        let read = ConfigFile::read(dir.path(), "dev").expect("it is valid");
        assert_eq!(
            read.get("db.password", Some(&sealer)).expect("it opens"),
            Some(Value::text("canary-7Qx").into_secret())
        );
        assert!(read.has_secret("db").expect("a key") && !read.has_secret("plain").expect("a key"));

        fs::write(file.path(), text.replace("password", "other")).expect("it can be written");
        let message = load(dir.path(), "dev", &sealer, &[]).expect_err("it was moved").to_string();
        assert!(message.contains("db.other") && !message.contains("canary"), "{message}");
    }

    #[test]
    fn bad_files_and_keys_say_where() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(config_path(dir.path(), "dev"), "[config\n").expect("it can be written");
        let message = ConfigFile::read(dir.path(), "dev").expect_err("it is no TOML").to_string();
        assert!(message.contains("stackkit.dev.toml") && message.contains("line 1"), "{message}");
        fs::write(config_path(dir.path(), "dev"), "config = 1\n").expect("it can be written");
        assert!(ConfigFile::read(dir.path(), "dev").expect_err("it is no table").to_string().contains("not a table"));
        for key in ["", "a..b", "a b"] {
            assert!(matches!(segments(key), Err(ConfigError::Key(_))), "{key}");
        }
        assert_eq!(segments("a.\"x.y\"").expect("it is a key"), ["a", "x.y"]);
    }

    #[test]
    fn a_new_file_is_made_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut file = ConfigFile::read(dir.path(), "dev").expect("it may be missing");
        file.set("region", &Value::text("eu")).expect("set");
        assert!(file.write().expect("written"));
        assert!(!file.write().expect("written"));
        assert_eq!(fs::read_to_string(file.path()).expect("it is there"), "[config]\nregion = \"eu\"\n");
    }

    #[test]
    fn a_new_table_stands_apart_from_the_header() {
        let (_dir, mut file) = file("# Written by the program.\n[seal]\nformat = 1\n");
        file.set("a", &Value::Int(1)).expect("set");
        assert_eq!(file.document.to_string(), "[config]\na = 1\n\n# Written by the program.\n[seal]\nformat = 1\n");
    }
}
