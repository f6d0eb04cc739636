//! `stackkit.toml`: the keys that a team's new stacks are sealed with. It is committed, so that everybody's are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::{Created, DataKey, Header, KeyOptions, NamedKey, SealError, Sealer, create, open, wrap};

/// The team's file in a folder of stacks.
pub fn team_path(dir: &Path) -> PathBuf {
    dir.join("stackkit.toml")
}

/// The keys that `keys` in the `[secrets]` table of `stackkit.toml` names; none where there is no such file or table.
///
/// # Errors
/// When the file cannot be read, or what stands there names no keys.
pub fn team_keys(dir: &Path, options: &KeyOptions) -> Result<Vec<NamedKey>, SealError> {
    let path = team_path(dir);
    let refuse = |detail: String| SealError::Team { path: path.clone(), detail };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(SealError::Io { what: "read", path, source }),
    };
    let document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| refuse(format!("it is not TOML: {}", error.message())))?;
    let Some(item) = document.get("secrets") else { return Ok(Vec::new()) };
    let table = item.as_table_like().ok_or_else(|| refuse("`secrets` is not a table".into()))?;
    if let Some((other, _)) = table.iter().find(|(name, _)| *name != "keys") {
        return Err(refuse(format!("`secrets.{other}` is not known: `keys` is all that [secrets] has")));
    }
    let list =
        table.get("keys").and_then(Item::as_array).filter(|list| !list.is_empty()).ok_or_else(|| {
            refuse("`secrets.keys` is no list of keys: write it like `keys = [\"age:age1…\"]`".into())
        })?;
    let mut keys = Vec::new();
    for item in list {
        let (name, label) = spec(item).ok_or_else(|| {
            refuse("a key in `secrets.keys` is neither a text nor `{ key = \"…\", label = \"…\" }`".into())
        })?;
        keys.extend(options.named(name, dir)?.into_iter().map(|key| key.label(label.map(str::to_owned))));
    }
    Ok(keys)
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
/// else as [`create`] does.
///
/// # Errors
/// When a key cannot be reached, or none of the team's opens with what is at hand: whoever made the stack could not use it.
pub async fn create_in(dir: &Path, options: &KeyOptions) -> Result<Created, SealError> {
    let team = team_keys(dir, options)?;
    if team.is_empty() {
        return create(options).await;
    }
    let key = DataKey::generate()?;
    let lineage = uuid::Uuid::now_v7().to_string();
    let mut keys = Vec::with_capacity(team.len());
    for named in &team {
        keys.push(wrap(&key, &lineage, named).await?);
    }
    let header = Header { lineage, data_key: key.id(), keys, next: None, mac: String::new() }.sign(&key);
    open(&header.ring(), &header.lineage, options).await?;
    let sealer = Sealer::new(&key, &header.lineage);
    Ok(Created { header, sealer, new_key_file: team.into_iter().find_map(|named| named.made) })
}
