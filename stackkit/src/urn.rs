//! URNs: the name by which the engine knows a resource of a stack.

use std::fmt;
use std::sync::Arc;

/// Type and component path of a resource, such as `aws:ec2:Vpc::main`. The stack's name is no part of it, so that a
/// stack can be renamed. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Urn(Arc<str>);

impl Urn {
    /// From the parts.
    pub fn new(type_name: &str, path: &str) -> Self {
        Self(format!("{type_name}::{path}").into())
    }

    /// Reads one back; `None` where it is not a URN.
    pub fn parse(text: &str) -> Option<Self> {
        let (type_name, path) = text.split_once("::")?;
        (!type_name.is_empty() && !path.is_empty()).then(|| Self(text.into()))
    }

    /// The type's name.
    pub fn type_name(&self) -> &str {
        self.0.split_once("::").map_or(&*self.0, |(type_name, _)| type_name)
    }

    /// The component path and name.
    pub fn path(&self) -> &str {
        self.0.split_once("::").map_or("", |(_, path)| path)
    }

    /// The last segment of the path: the name given in the program.
    pub fn name(&self) -> &str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    /// The whole as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Urn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Urn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
