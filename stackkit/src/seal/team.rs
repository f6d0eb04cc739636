//! `stackkit.toml`: the keys that a team's new stacks are sealed with, and how. It is committed, so that everybody's are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::{Created, DataKey, Header, KeyOptions, NamedKey, SealError, create, open, wrap};

/// The team's file in a folder of stacks.
pub fn team_path(dir: &Path) -> PathBuf {
    dir.join("stackkit.toml")
}

/// What the `[secrets]` table of `stackkit.toml` says of new stacks.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Team {
    /// The keys that `keys` names.
    pub keys: Vec<NamedKey>,
    /// Whether their states are sealed as a whole: `whole = true`.
    pub whole: bool,
}

/// What the `[secrets]` table of `stackkit.toml` says; nothing where there is no such file or table.
///
/// # Errors
/// When the file cannot be read, or what stands there names no keys.
pub fn read_team(dir: &Path, options: &KeyOptions) -> Result<Team, SealError> {
    let path = team_path(dir);
    let refuse = |detail: String| SealError::Team { path: path.clone(), detail };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Team::default()),
        Err(source) => return Err(SealError::Io { what: "read", path, source }),
    };
    let document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| refuse(format!("it is not TOML: {}", error.message())))?;
    let Some(item) = document.get("secrets") else { return Ok(Team::default()) };
    let table = item.as_table_like().ok_or_else(|| refuse("`secrets` is not a table".into()))?;
    if let Some((other, _)) = table.iter().find(|(name, _)| !matches!(*name, "keys" | "whole")) {
        return Err(refuse(format!("`secrets.{other}` is not known: [secrets] has `keys` and `whole`")));
    }
    let whole = match table.get("whole").map(Item::as_bool) {
        None => false,
        Some(Some(whole)) => whole,
        Some(None) => return Err(refuse("`secrets.whole` is neither true nor false".into())),
    };
    let mut keys = Vec::new();
    let Some(list) = table.get("keys") else {
        return match table.get("whole") {
            Some(_) => Ok(Team { keys, whole }),
            None => Err(refuse("[secrets] is empty: write it like `keys = [\"age:age1…\"]`".into())),
        };
    };
    let list = list
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or_else(|| refuse("`secrets.keys` is no list of keys: write it like `keys = [\"age:age1…\"]`".into()))?;
    for item in list {
        let (name, label) = spec(item).ok_or_else(|| {
            refuse("a key in `secrets.keys` is neither a text nor `{ key = \"…\", label = \"…\" }`".into())
        })?;
        keys.extend(options.named(name, dir)?.into_iter().map(|key| key.label(label.map(str::to_owned))));
    }
    Ok(Team { keys, whole })
}

fn spec(item: &Value) -> Option<(&str, Option<&str>)> {
    if let Some(name) = item.as_str() {
        return Some((name, None));
    }
    let table = item.as_inline_table()?;
    if table.iter().any(|(name, _)| !matches!(name, "key" | "label")) {
        return None;
    }
    let label = match table.get("label") {
        Some(label) => Some(label.as_str()?),
        None => None,
    };
    Some((TableLike::get(table, "key")?.as_str()?, label))
}

/// Makes lineage and data key of a new stack in a folder: wrapped by the team's keys if `stackkit.toml` there names any,
/// else as [`create`] does. Sealed as a whole where that file or the options say so.
///
/// # Errors
/// When a key cannot be reached, or none of the team's opens with what is at hand: whoever made the stack could not use it.
pub async fn create_in(dir: &Path, options: &KeyOptions) -> Result<Created, SealError> {
    let Team { keys: team, whole } = read_team(dir, options)?;
    let whole = whole || options.whole;
    if team.is_empty() {
        return create(&KeyOptions { whole, ..options.clone() }).await;
    }
    let key = DataKey::generate()?;
    let lineage = uuid::Uuid::now_v7().to_string();
    let mut keys = Vec::with_capacity(team.len());
    for named in &team {
        keys.push(wrap(&key, &lineage, named).await?);
    }
    let header = Header { lineage, data_key: key.id(), keys, whole, next: None, mac: String::new() }.with_mac(&key);
    open(&header.ring(), &header.lineage, options).await?;
    Ok(Created { sealer: header.sealer(&key), header, new_key_file: team.into_iter().find_map(|named| named.made) })
}
