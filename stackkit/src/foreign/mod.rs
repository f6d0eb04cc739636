//! What other tools have recorded: states of Terraform, OpenTofu and Pulumi, and what a provider makes of their types.
//!
//! A provider says in [`Provider::foreign`](crate::Provider::foreign) which of its own types a recorded resource is, and
//! by which id it is read. The rest of the record is read from the cloud, as by `import`.

mod gcm;
mod name;
mod pulumi;
mod terraform;
mod tofu;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde_json::Value as Json;

use crate::value::Value;

pub(crate) use name::free;

/// The tool that recorded something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Terraform, and OpenTofu, which records as Terraform does.
    Terraform,
    /// Pulumi.
    Pulumi,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tool::Terraform => "Terraform",
            Tool::Pulumi => "Pulumi",
        })
    }
}

/// A resource as another tool has recorded it.
#[derive(Debug, Clone)]
pub struct ForeignResource {
    /// Who recorded it.
    pub tool: Tool,
    /// As that tool names it, such as `module.net.aws_subnet.private[0]`.
    pub address: String,
    /// Its type there, such as `aws_subnet` or `aws:ec2/subnet:Subnet`.
    pub type_name: String,
    /// The id that it has there.
    pub id: String,
    /// What is recorded of it; secrets are marked.
    pub attributes: BTreeMap<String, Value>,
    /// Components and name that it gets here.
    pub(crate) path: Vec<String>,
    /// Name of the provider configuration that is not the default one.
    pub(crate) instance: Option<String>,
    /// Positions of the resources that it comes after.
    pub(crate) after: Vec<usize>,
    /// Whether the tool refuses to delete it.
    pub(crate) protect: bool,
}

impl ForeignResource {
    /// An attribute by Terraform's name of it (`cidr_block`), which Pulumi spells `cidrBlock`; `None` where it is unset.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.attributes.get(name).or_else(|| self.attributes.get(&camel(name)));
        found.filter(|value| !value.reveal().is_null())
    }

    /// A text attribute that is set, is not empty and is no secret.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text).filter(|text| !text.is_empty())
    }

    /// A truth value; false where it is unset.
    pub fn is(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }
}

/// What a resource of another tool is here.
#[derive(Debug, Clone)]
pub enum Becomes {
    /// A resource of this type.
    Resource(Adopt),
    /// No resource of its own: a part of one of this type, which is read with it.
    Part(&'static str),
    /// Nothing that can be had here; says why.
    Left(String),
}

impl Becomes {
    /// A resource that is read by its id.
    pub fn resource(type_name: impl Into<Cow<'static, str>>, id: impl Into<String>) -> Adopt {
        Adopt { type_name: type_name.into(), id: id.into(), fields: BTreeMap::new() }
    }
}

/// How a recorded resource is adopted.
#[derive(Debug, Clone)]
pub struct Adopt {
    pub(crate) type_name: Cow<'static, str>,
    pub(crate) id: String,
    pub(crate) fields: BTreeMap<&'static str, Value>,
}

impl Adopt {
    /// What the other tool knows of a field and no read tells: an input that is `write_only`, or any field of a type that
    /// is `pure`. Nothing happens where it is not known.
    #[must_use]
    pub fn known(mut self, field: &'static str, value: Option<Value>) -> Self {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            self.fields.insert(field, value);
        }
        self
    }
}

impl From<Adopt> for Becomes {
    fn from(adopt: Adopt) -> Self {
        Becomes::Resource(adopt)
    }
}

/// Something that another tool has recorded and that is not adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// As that tool names it.
    pub address: String,
    /// Its type there.
    pub type_name: String,
    /// Why it is left.
    pub why: String,
}

/// All that another tool has recorded of one stack.
#[derive(Debug, Clone)]
pub struct ForeignState {
    /// Tool and version, such as `Terraform 1.9.8`.
    pub(crate) origin: String,
    pub(crate) resources: Vec<ForeignResource>,
    /// What no provider is asked about: data sources, old instances and the like.
    pub(crate) left: Vec<Left>,
}

/// What a file is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A state of Terraform or OpenTofu, version 4, encrypted or not.
    Terraform,
    /// What `pulumi stack export` writes.
    Pulumi,
}

/// Why a state of another tool cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// It is no JSON.
    #[error("it is not valid JSON: {0}")]
    Syntax(String),
    /// It is JSON of something else.
    #[error("{0}")]
    Unknown(String),
    /// It is of a version or form that is not read here.
    #[error("{message}: {way}")]
    Unsupported {
        /// What it is.
        message: String,
        /// How the tool itself writes one that is read.
        way: String,
    },
    /// It needs the passphrase that this tool was given, and there is none.
    #[error(
        "it is encrypted with a passphrase: give that in STACKKIT_FROM_PASSPHRASE or STACKKIT_FROM_PASSPHRASE_FILE"
    )]
    PassphraseMissing(Tool),
    /// The passphrase does not open it.
    #[error("the passphrase does not open {what}: {way}")]
    WrongPassphrase {
        /// What it does not open.
        what: &'static str,
        /// What to do.
        way: &'static str,
    },
    /// Something in it is not as the format has it.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl ForeignError {
    fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

impl ForeignState {
    /// Reads what another tool wrote. Where no format is given, it is told by the content.
    ///
    /// # Errors
    /// When it is no such file, or it is encrypted and the passphrase is missing or wrong.
    pub fn read(
        content: &[u8],
        format: Option<Format>,
        passphrase: Option<&SecretString>,
    ) -> Result<Self, ForeignError> {
        let syntax = |error: serde_json::Error| ForeignError::Syntax(error.to_string());
        let json: Json = serde_json::from_slice(content).map_err(syntax)?;
        let is_pulumi = json.get("deployment").is_some() || json.get("checkpoint").is_some();
        let format = match format {
            Some(format) => format,
            None if is_pulumi => Format::Pulumi,
            None if json.get("encrypted_data").is_some() || json.get("terraform_version").is_some() => {
                Format::Terraform
            }
            None => {
                return Err(ForeignError::Unknown(
                    "it is neither a state of Terraform or OpenTofu nor an export of Pulumi: give the file \
                     terraform.tfstate, or what `terraform state pull`, `tofu state pull` or `pulumi stack export` writes"
                        .into(),
                ));
            }
        };
        match format {
            Format::Pulumi => pulumi::read(json, passphrase),
            Format::Terraform if json.get("encrypted_data").is_some() => {
                let plain = tofu::decrypt(&json, passphrase)?;
                terraform::read(serde_json::from_slice(&plain).map_err(syntax)?, terraform::OPENTOFU)
            }
            Format::Terraform => terraform::read(json, "Terraform"),
        }
    }
}

/// A value of JSON. serde_json bounds how deep it is nested.
fn value_of(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(value_of).collect()),
        Json::Object(map) => Value::Map(map.into_iter().map(|(key, item)| (key, value_of(item))).collect()),
    }
}

/// `cidr_block` as `cidrBlock`.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
