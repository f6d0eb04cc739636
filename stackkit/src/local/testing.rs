//! What the unit tests of the local types share: a context in a folder, and arguments made of drafts.

use std::path::Path;

use crate::context::Context;
use crate::resource::{Fields, Intent, Resource};
use crate::schema::Role;
use crate::urn::Urn;

/// A context whose relative paths are taken from `dir`.
pub(super) fn context(dir: &Path) -> Context {
    Context::detached_in(Urn::new("local:Test", "test"), "token-1", dir)
}

/// The arguments that a provider gets for a draft: its values, and defaults where it says nothing.
pub(super) fn args<R: Resource>(draft: R) -> R::Args {
    let values = R::SCHEMA
        .fields
        .iter()
        .zip(draft.into_values())
        .map(|(field, value)| match field.default {
            Some(default) if field.role == Role::Input && value.is_null() => default(),
            _ => value,
        })
        .collect::<Vec<_>>();
    R::Args::from_values(&values).expect("the draft is complete")
}

/// The intent of a create that was cut short.
pub(super) fn intent<R: Resource>(args: &R::Args, name_was_free: Option<bool>) -> Intent<R> {
    Intent { args: args.clone(), token: "token-1".into(), name_was_free }
}
