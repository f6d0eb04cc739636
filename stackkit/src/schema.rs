//! The static description of a resource type: what `#[resource]` writes down and the engine plans with.

use std::time::Duration;

use crate::property::TypeInfo;
use crate::value::Value;

/// A resource type, described.
#[derive(Debug)]
pub struct Schema {
    /// The type's name in state and on screen, such as `aws:ec2:Vpc`. The part before the first colon is the provider.
    pub type_name: &'static str,
    /// The documentation comment of the struct.
    pub docs: &'static str,
    /// Version of the fields; state of an older version goes through `Managed::upgrade`.
    pub version: u32,
    /// Whether it holds data: protected from deletion and replacement unless the program says otherwise.
    pub stateful: bool,
    /// Whether a create that a crash interrupted may only be repeated after a person said so.
    pub at_least_once: bool,
    /// Whether it has no effect outside the state (a random number), so that nothing can be left behind.
    pub pure: bool,
    /// Whether a replacement deletes the old instance first.
    pub delete_before_replace: bool,
    /// How long after a request the absence of its effect proves nothing.
    pub settle: Duration,
    /// How long a create may take where the program says nothing.
    pub create_timeout: Option<Duration>,
    /// How long an update may take where the program says nothing.
    pub update_timeout: Option<Duration>,
    /// How long a delete may take where neither the program nor the state says anything.
    pub delete_timeout: Option<Duration>,
    /// Inputs and outputs, in the order of the struct.
    pub fields: &'static [Field],
}

/// One field of a resource type.
#[derive(Debug)]
pub struct Field {
    /// Name in Rust and in state.
    pub name: &'static str,
    /// The documentation comment.
    pub docs: &'static str,
    /// Input or output.
    pub role: Role,
    /// Whether an input must be given.
    pub required: bool,
    /// A change of this input forces a replacement.
    pub replace: bool,
    /// The engine makes up this name when it is unset.
    pub name_mark: bool,
    /// When unset, the cloud chooses a value; what was last seen is kept.
    pub computed: bool,
    /// The API never returns it; refreshing keeps the value of the last operation. A secret one is not kept.
    pub write_only: bool,
    /// An output that an update in place may change.
    pub volatile: bool,
    /// The value of an input that is unset.
    pub default: Option<fn() -> Value>,
    /// The field's type.
    pub ty: TypeInfo,
}

/// Which way a field flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Given by the program.
    Input,
    /// Given by the provider.
    Output,
}

impl Field {
    /// Whether the state has no more of it than a digest.
    pub fn is_unkept(&self) -> bool {
        self.write_only && self.ty.secret
    }
}

impl Schema {
    /// Name of the provider that manages the type.
    pub fn provider(&self) -> &'static str {
        self.type_name.split(':').next().unwrap_or(self.type_name)
    }

    /// Index of the field of that name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Indices and descriptions of the inputs.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, &'static Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| field.role == Role::Input)
    }

    /// Indices and descriptions of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = (usize, &'static Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| field.role == Role::Output)
    }

    /// The field that holds the physical name, if the type has one.
    pub fn name_field(&self) -> Option<usize> {
        self.fields.iter().position(|field| field.name_mark)
    }
}
