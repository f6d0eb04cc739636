//! The `[config]` table of `stackkit.<stack>.toml`: plain values as they stand, secrets sealed in place.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Value as Toml};

use crate::seal::{Place, SealError, Sealer, config_path};
use crate::value::Value;

/// What can be wrong with a stack's configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or written.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// It is no TOML.
    #[error("{path} is not valid: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// What the parser says.
        message: String,
    },
    /// A value that config cannot hold.
    #[error("{path}: the config value `{key}` is {what}, which config values cannot be")]
    Unsupported {
        /// The file.
        path: String,
        /// The value's key.
        key: String,
        /// What it is.
        what: &'static str,
    },
    /// A sealed value that does not open.
    #[error("the config value `{key}`: {source}")]
    Seal {
        /// The value's key.
        key: String,
        /// Why not.
        source: SealError,
    },
}

/// Reads the config values of a stack and opens the sealed ones. Overrides come last.
///
/// # Errors
/// When the file cannot be read, or a sealed value does not open.
pub(crate) fn load(
    dir: &Path,
    stack: &str,
    sealer: &Sealer,
    overrides: &[(String, String)],
) -> Result<BTreeMap<String, Value>, ConfigError> {
    let path = config_path(dir, stack);
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(ConfigError::Io { path: shown, source }),
    };
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| ConfigError::Syntax {
        path: shown.clone(),
        message: error.to_string(),
    })?;
    let mut values = BTreeMap::new();
    if let Some(table) = document.get("config").and_then(Item::as_table_like) {
        for (key, item) in table.iter() {
            if let Item::Value(value) = item {
                values.insert(key.to_owned(), read(value, key, sealer, &shown)?);
            }
        }
    }
    for (key, text) in overrides {
        values.insert(key.clone(), scalar(text));
    }
    Ok(values)
}

/// A value from the command line: a number or truth value where it reads like one, else text.
pub(crate) fn scalar(text: &str) -> Value {
    match text.parse::<Toml>() {
        Ok(Toml::Boolean(b)) => Value::Bool(*b.value()),
        Ok(Toml::Integer(n)) => Value::Int(*n.value()),
        Ok(Toml::Float(n)) => Value::Float(*n.value()),
        _ => Value::text(text),
    }
}

fn read(value: &Toml, key: &str, sealer: &Sealer, path: &str) -> Result<Value, ConfigError> {
    Ok(match value {
        Toml::String(text) => Value::text(text.value()),
        Toml::Integer(n) => Value::Int(*n.value()),
        Toml::Float(n) => Value::Float(*n.value()),
        Toml::Boolean(b) => Value::Bool(*b.value()),
        Toml::Array(items) => {
            Value::List(items.iter().map(|item| read(item, key, sealer, path)).collect::<Result<_, _>>()?)
        }
        Toml::InlineTable(table) => match table.get("secret").and_then(Toml::as_str) {
            Some(token) if table.len() == 1 => sealer
                .open(Place::config(key), token)
                .map_err(|source| ConfigError::Seal { key: key.to_owned(), source })?
                .into_secret(),
            _ => Value::Map(
                table
                    .iter()
                    .map(|(name, item)| Ok((name.to_owned(), read(item, key, sealer, path)?)))
                    .collect::<Result<_, ConfigError>>()?,
            ),
        },
        Toml::Datetime(_) => {
            return Err(ConfigError::Unsupported { path: path.to_owned(), key: key.to_owned(), what: "a date" });
        }
    })
}
