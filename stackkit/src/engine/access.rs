//! Which grants of the stores give somebody a role with the stack at hand.

use crate::access::{Grant, Role};
use crate::engine::session::Source;
use crate::engine::{Deployment, RunError};
use crate::seal::{Header, KeyFile, Passphrase, WrappedKey, config_path};
use crate::state::StateError;

impl Deployment {
    /// The grants that give somebody a role: one of the place of the state, then one for each key that opens the stack.
    /// Nothing is asked of the stores, and no key is needed. A stack that is still to be made has no keys yet.
    ///
    /// # Errors
    /// When the backend or a kind of key is not linked, or the stack's file cannot be read.
    pub async fn access(&self, role: Role) -> Result<Vec<Grant>, RunError> {
        let Source::Files { dir, states, keys, .. } = &self.source else { return Ok(Vec::new()) };
        let stack = self.stack_name();
        let place = states.place(dir, Some(stack)).await?;
        let backend = place.stack(stack).map_err(StateError::from)?;
        let mut grants = vec![backend.access(role).unwrap_or_else(|| {
            Grant::new(
                format!("State in {}", backend.describe()),
                "text",
                "this kind of backend says nothing of rights",
            )
        })];
        if let Some(header) = Header::read(&config_path(dir, stack))? {
            for wrapped in &header.keys {
                let grant = match wrapped.kind.as_str() {
                    KeyFile::KIND | Passphrase::KIND => None,
                    _ => keys.linked_provider(wrapped)?.access(role, &header.lineage),
                };
                grants.push(grant.unwrap_or_else(|| held(wrapped, role)));
            }
        }
        Ok(grants)
    }
}

/// A key that nothing stands in front of but who has it.
fn held(wrapped: &WrappedKey, role: Role) -> Grant {
    let what = match role.deploys() {
        true => format!("a {role} has to hold this key, or another of the stack's"),
        false => format!("whoever holds this key sees every secret: do not give it to a {role}"),
    };
    Grant::new(format!("Key {}", wrapped.describe()), "text", what)
}
