//! `Catalog`: the types that are linked into a program, by name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::provider::{Linked, TypeOps};
use crate::schema::Schema;

/// One linked type.
#[derive(Clone)]
pub struct TypeEntry {
    /// Index of its provider in [`Catalog::providers`].
    pub provider: usize,
    /// Its index within the provider.
    pub ty: usize,
    /// The static description.
    pub schema: &'static Schema,
    /// What can be asked without a connection.
    pub ops: Arc<dyn TypeOps>,
    /// Where it is in Rust; modules in it may be private.
    pub path: &'static str,
}

/// All linked providers and their types.
#[derive(Clone)]
pub struct Catalog {
    /// The providers.
    pub providers: Vec<Linked>,
    types: HashMap<&'static str, TypeEntry>,
}

impl Catalog {
    /// From the linked providers.
    pub fn new(providers: Vec<Linked>) -> Self {
        let mut types = HashMap::new();
        for (provider, linked) in providers.iter().enumerate() {
            for (ty, linked_type) in linked.types().into_iter().enumerate() {
                let entry = TypeEntry {
                    provider,
                    ty,
                    schema: linked_type.schema,
                    ops: linked_type.ops,
                    path: linked_type.path,
                };
                types.insert(linked_type.schema.type_name, entry);
            }
        }
        Self { providers, types }
    }

    /// The linked type of that name.
    pub fn get(&self, type_name: &str) -> Option<&TypeEntry> {
        self.types.get(type_name)
    }

    /// Every linked type, in no particular order.
    pub fn types(&self) -> impl Iterator<Item = &TypeEntry> {
        self.types.values()
    }

    /// The linked provider of that name.
    pub fn provider(&self, name: &str) -> Option<&Linked> {
        self.providers.iter().find(|linked| linked.name == name)
    }

    /// What to tell a user whose state has a type that is not linked.
    pub fn not_linked(type_name: &str) -> String {
        let mut parts = type_name.split(':');
        let (provider, service) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!(
            "the type `{type_name}` is not linked into this program: add the crate of provider `{provider}` (with its \
             feature `{service}`, where it has features) and name the provider in `providers(…)`"
        )
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").field("providers", &self.providers).finish_non_exhaustive()
    }
}
