//! Mending a state by hand: what a run could not write, what this machine has seen of it, locks and files of the dead.

use crate::diagnostic::Diagnostic;
use crate::engine::session::Missing;
use crate::engine::{Deployment, RunError};

/// What [`Deployment::repair`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// How many changes a rescue file held that the state did not; none where there was no such file.
    pub merged: Option<usize>,
    /// How many entries of the journal went into the snapshot.
    pub folded: usize,
    /// How many bytes at the end of the journal were the beginning of an entry that was never confirmed.
    pub dropped: usize,
}

impl Repaired {
    /// Whether there was nothing to do.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Deployment {
    /// Merges what an earlier run could not write to the state: what [`RunError::Unsaved`] speaks of. Then takes the
    /// journal into the snapshot, less the beginning of an entry that a crash may have left at its end.
    ///
    /// # Errors
    /// When the state or the rescue file is damaged or of another stack, when the state has moved on for what the file
    /// holds, or when the state still cannot be written. Everything is then still there.
    pub async fn repair(&self) -> Result<Repaired, RunError> {
        let mut session = self.source.open(self.stack_name(), Missing::Refuse).await?;
        session.lock("state repair").await?;
        let mut repaired =
            Repaired { folded: session.store.unfolded(), dropped: session.store.torn(), ..Repaired::default() };
        let path = session.rescue.clone();
        if path.exists() {
            self.tell_command(&mut session, "state repair", Vec::new());
            repaired.merged = Some(session.store.merge_rescue(&path).await?);
        }
        session.store.tidy().await?;
        Ok(repaired)
    }

    /// Goes on from the state as it is, though this machine has seen it further on or otherwise. Says where it had seen it,
    /// and where it is.
    ///
    /// # Errors
    /// When there is no such stack, its keys or state cannot be read, or it cannot be kept where it stands.
    pub async fn accept(&self) -> Result<(Option<u64>, u64), RunError> {
        let session = self.source.open_unwatched(self.stack_name(), Missing::Refuse).await?;
        let now = session.store.position().0;
        let Some(seen) = &self.options.seen else { return Ok((None, now)) };
        let before = seen.accept(&session.store).map_err(|error| {
            RunError::one(Diagnostic::invalid(format!("what this machine has seen cannot be written: {error}")))
        })?;
        Ok((before, now))
    }

    /// Ends a lock by its holder's id.
    ///
    /// # Errors
    /// When no lock has that id.
    pub async fn unlock(&self, id: &str) -> Result<(), RunError> {
        let session = self.source.open(self.stack_name(), Missing::Refuse).await?;
        session.store.backend().unlock(id).await.map_err(crate::state::StateError::from)?;
        drop(session);
        self.record("state unlock", vec![id.to_owned()]).await;
        Ok(())
    }

    /// Deletes the files of a stack that has no resources any more.
    ///
    /// # Errors
    /// When it still has resources, which `destroy` deletes.
    pub async fn delete_stack(&self) -> Result<(), RunError> {
        let mut session = self.source.open(self.stack_name(), Missing::Refuse).await?;
        session.lock("stack rm").await?;
        let count = session.state.resources.len() + session.state.intents.len();
        if count > 0 {
            return Err(RunError::one(
                Diagnostic::refused(format!("the stack `{}` still has {count} resources", self.stack_name()))
                    .help("run `destroy` first"),
            ));
        }
        self.tell_command(&mut session, "stack rm", Vec::new());
        session.store.commit_told().await?;
        session.store.delete().await?;
        session.store.forget();
        Ok(())
    }
}
