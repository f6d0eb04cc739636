//! The file of a saved plan: a header line and one sealed value.

use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::plan::PlanOptions;
use crate::saved::{Saved, refuse};
use crate::seal::{Place, SealError, Sealer};
use crate::state::local::write_private;
use crate::value::Value;

/// What every file begins with, and the version that follows.
const MAGIC: &str = "stackkit-plan ";
const VERSION: &str = "1";

/// What can be wrong with the file of a saved plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// Reading or writing failed.
    #[error("cannot {what} the plan `{path}`: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// It could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It is no whole plan.
    #[error("the file `{path}` is damaged or cut short: {what}")]
    Damaged { path: PathBuf, what: &'static str },
    /// Its seal does not open.
    #[error("the file `{path}` was altered")]
    Altered { path: PathBuf },
    /// It is of a newer version.
    #[error("the file `{path}` has version {found} of the format, and this program knows {VERSION}")]
    Newer { path: PathBuf, found: String },
    /// Another key sealed it.
    #[error("the file `{path}` is of another stack, or of this one before it had another key")]
    OtherStack { path: PathBuf },
}

impl FileError {
    /// As a diagnostic: refused, unless it could merely not be read or written.
    pub(crate) fn into_diagnostic(self) -> Diagnostic {
        match self {
            FileError::Io { .. } | FileError::Seal(_) => Diagnostic::invalid(self.to_string()),
            _ => refuse(self),
        }
    }
}

pub(super) fn write(path: &Path, sealer: &Sealer, value: &Value) -> Result<(), FileError> {
    let token = sealer.seal(Place::plan(""), value)?;
    let text = format!("{MAGIC}{VERSION} {}\n{token}\n", sealer.key_id());
    write_private(path, text.as_bytes()).map_err(|source| FileError::Io { what: "write", path: path.into(), source })
}

pub(super) fn read(path: &Path, sealer: &Sealer) -> Result<Value, FileError> {
    let damaged = |what| FileError::Damaged { path: path.to_owned(), what };
    let bytes = std::fs::read(path).map_err(|source| FileError::Io { what: "read", path: path.into(), source })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is no text"))?;
    let rest = text.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as a plan does"))?;
    let (header, body) = rest.split_once('\n').ok_or_else(|| damaged("it ends within its first line"))?;
    let (version, key) = header.split_once(' ').ok_or_else(|| damaged("its first line is not whole"))?;
    if version != VERSION {
        return Err(match version.parse::<u32>() {
            Ok(_) => FileError::Newer { path: path.to_owned(), found: version.to_owned() },
            Err(_) => damaged("its first line names no version"),
        });
    }
    if key != sealer.key_id() {
        return Err(FileError::OtherStack { path: path.to_owned() });
    }
    let token = body.strip_suffix('\n').ok_or_else(|| damaged("its end is missing"))?;
    sealer.open(Place::plan(""), token).map_err(|_| FileError::Altered { path: path.to_owned() })
}

fn text(value: &str) -> Value {
    Value::text(value)
}

impl Saved {
    pub(super) fn to_value(&self) -> Result<Value, FileError> {
        let options = serde_json::to_string(&self.options).unwrap_or_default();
        let config =
            self.config.iter().map(|(key, value)| Value::List(vec![text(key), text(value)])).collect::<Vec<_>>();
        let fields = [
            ("program", text(&self.program)),
            ("stack", text(&self.stack)),
            ("position", Value::UInt(self.position)),
            ("fingerprint", text(&self.fingerprint)),
            ("options", text(&options)),
            ("refresh", Value::Bool(self.refresh)),
            ("config", Value::List(config)),
            ("declared", self.declared.clone()),
            ("plan", self.plan.clone()),
        ];
        Ok(Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
    }

    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let Value::Map(fields) = value.reveal() else { return None };
        let text = |name: &str| fields.get(name).and_then(Value::as_text).map(str::to_owned);
        let config = match fields.get("config")? {
            Value::List(items) => items
                .iter()
                .map(|item| match item {
                    Value::List(pair) => match pair.as_slice() {
                        [Value::Text(key), Value::Text(value)] => Some((key.clone(), value.clone())),
                        _ => None,
                    },
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()?,
            _ => return None,
        };
        Some(Self {
            program: text("program")?,
            stack: text("stack")?,
            position: match fields.get("position")? {
                Value::Int(number) => u64::try_from(*number).ok()?,
                Value::UInt(number) => *number,
                _ => return None,
            },
            fingerprint: text("fingerprint")?,
            options: serde_json::from_str::<PlanOptions>(&text("options")?).ok()?,
            refresh: matches!(fields.get("refresh")?, Value::Bool(true)),
            config,
            declared: fields.get("declared")?.clone(),
            plan: fields.get("plan")?.clone(),
        })
    }
}
