//! What a backend has kept, and taking a state elsewhere: history, rollback, export, import, move.

use std::collections::BTreeSet;

use crate::audit;
use crate::diagnostic::Diagnostic;
use crate::engine::session::{Missing, Session, Source};
use crate::engine::{Deployment, RunError};
use crate::state::backend::{AuditPart, BackendError, Holder, Position, Version, snapshot_position};
use crate::state::model::{Change, State};
use crate::state::{StateError, Store, lease, place};
use crate::urn::Urn;

/// How one recorded state differs from another, by the names of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateDiff {
    /// Only in the other.
    pub added: Vec<Urn>,
    /// Only in the first.
    pub removed: Vec<Urn>,
    /// In both, and not the same.
    pub changed: Vec<Urn>,
}

impl StateDiff {
    fn between(from: &State, to: &State) -> Self {
        let urns =
            |state: &State| -> BTreeSet<Urn> { state.resources.values().map(|record| record.urn.clone()).collect() };
        let (before, after) = (urns(from), urns(to));
        let records = |state: &State, urn: &Urn| -> Vec<_> {
            state.resources.values().filter(|record| record.urn == *urn).cloned().collect()
        };
        let changed: BTreeSet<Urn> = to
            .resources
            .values()
            .filter(|record| from.resources.get(&record.instance) != Some(*record) && before.contains(&record.urn))
            .map(|record| record.urn.clone())
            .filter(|urn| records(from, urn) != records(to, urn))
            .collect();
        Self {
            added: after.difference(&before).cloned().collect(),
            removed: before.difference(&after).cloned().collect(),
            changed: changed.into_iter().collect(),
        }
    }

    /// Whether there is no difference in resources.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Asked with what would change in the state.
pub type ConfirmDiff<'a> = &'a (dyn Fn(&StateDiff) -> bool + Send + Sync);

impl Deployment {
    /// The folded states that the backend has kept, newest first.
    ///
    /// # Errors
    /// When there is no such stack, or the backend cannot be read.
    pub async fn history(&self) -> Result<Vec<Version>, RunError> {
        let session = self.existing().await?;
        Ok(session.store.backend().history().await.map_err(StateError::from)?)
    }

    /// What is different now from a kept version, by its id.
    ///
    /// # Errors
    /// As [`Deployment::history`], and when there is no such version or it does not open.
    pub async fn diff_version(&self, id: &str) -> Result<StateDiff, RunError> {
        let session = self.existing().await?;
        let (_, old) = version(&session, id).await?;
        Ok(StateDiff::between(&old, &session.state))
    }

    /// Makes the recorded state what it was in a kept version, as one new entry of the log. Nothing real is touched:
    /// what was made since is forgotten, and what was deleted since is recorded again until a refresh finds it gone.
    ///
    /// # Errors
    /// As [`Deployment::diff_version`]; [`RunError::Declined`].
    pub async fn rollback(&self, id: &str, confirm: ConfirmDiff<'_>) -> Result<StateDiff, RunError> {
        let result = self.roll_back(id, confirm).await;
        lease::settled().await;
        result
    }

    async fn roll_back(&self, id: &str, confirm: ConfirmDiff<'_>) -> Result<StateDiff, RunError> {
        let mut session = self.existing().await?;
        session.lock("state rollback").await?;
        let (_, old) = version(&session, id).await?;
        self.become_state(&mut session, &old, confirm, ("state rollback", id)).await
    }

    /// The state as it is recorded, sealed as in a snapshot: what [`Deployment::import_state`] takes.
    ///
    /// # Errors
    /// When there is no such stack, or its keys or state cannot be read.
    pub async fn export(&self) -> Result<String, RunError> {
        Ok(self.existing().await?.store.snapshot())
    }

    /// Makes the recorded state what was exported, of this stack and no other. Where there is none yet it goes on from
    /// the exported position.
    ///
    /// # Errors
    /// When it is damaged or of another stack; [`RunError::Declined`]; when the state cannot be written.
    pub async fn import_state(&self, text: &str, confirm: ConfirmDiff<'_>) -> Result<StateDiff, RunError> {
        let result = self.take_in(text, confirm).await;
        lease::settled().await;
        result
    }

    async fn take_in(&self, text: &str, confirm: ConfirmDiff<'_>) -> Result<StateDiff, RunError> {
        let mut session = self.existing().await?;
        session.lock("state import").await?;
        let imported = session.store.read_snapshot(text.as_bytes(), "what is imported")?;
        if session.store.position() == Position(0) {
            let diff = StateDiff::between(&session.state, &imported);
            if !confirm(&diff) {
                return Err(RunError::Declined);
            }
            session.store.move_in(text.as_bytes()).await?;
            self.tell_command(&mut session, "state import", Vec::new());
            session.store.commit_told().await?;
            return Ok(diff);
        }
        let position = snapshot_position(text.as_bytes()).unwrap_or_default().0.to_string();
        self.become_state(&mut session, &imported, confirm, ("state import", &position)).await
    }

    /// Takes the state to another backend: copies it, reads it again there, lets the stack's file name the new place, and
    /// deletes the old one. Says where it is now, and whether the stack's file says so: a URL with a password does not
    /// belong there.
    ///
    /// # Errors
    /// When the other place holds another state of the stack already; when either cannot be written. The state is then
    /// where it was.
    pub async fn move_state(&self, url: &str) -> Result<(String, bool), RunError> {
        let result = self.carry_to(url).await;
        lease::settled().await;
        result
    }

    async fn carry_to(&self, url: &str) -> Result<(String, bool), RunError> {
        let Source::Files { dir, states, .. } = &self.source else {
            return Err(RunError::one(Diagnostic::invalid("this state has no URL")));
        };
        let stack = self.stack_name();
        let mut session = self.existing().await?;
        session.lock("state move").await?;
        session.store.fold().await?;
        let target = place::open(url, dir, &states.linked).await.map_err(StateError::from)?;
        let target = target.stack(stack).map_err(StateError::from)?;
        let here = session.store.backend().describe();
        if target.describe() == here {
            return Err(RunError::one(Diagnostic::invalid(format!("the state is in {here} already"))));
        }
        let (mut copy, _) = Store::open(target.clone(), session.store.sealer().clone()).await?;
        copy.lock(Holder::new("state move")?).await?;
        copy_audit(&session.store, &copy).await?;
        let text = session.store.snapshot();
        // A copy that an interrupted move left is gone on with.
        if copy.position() == Position(0) {
            copy.move_in(text.as_bytes()).await?;
        }
        let same = copy.fingerprint() == session.store.fingerprint() && copy.position() == session.store.position();
        if !same {
            return Err(RunError::one(
                Diagnostic::refused(format!("there is another state of the stack in {}", target.describe()))
                    .help("choose another place, or remove that state"),
            ));
        }
        let (again, state) = Store::open(target.clone(), session.store.sealer().clone()).await?;
        if state != session.state || again.fingerprint() != session.store.fingerprint() {
            return Err(StateError::Backend(BackendError::Corrupt(format!(
                "what was written to {} reads otherwise: the state stays where it was",
                target.describe()
            )))
            .into());
        }
        let named =
            crate::config::file::set_backend(dir, stack, url).map_err(|error| RunError::Config(error.to_string()))?;
        let (who, message) = self.who(&session);
        let of = vec![here, target.describe()];
        let event = audit::Event::Command { command: "state move".to_owned(), of, who, message };
        copy.tell(self.clock.now(), &event);
        copy.commit_told().await?;
        session.store.delete().await?;
        Ok((target.describe(), named))
    }

    async fn existing(&self) -> Result<Session, RunError> {
        self.source.open(self.stack_name(), Missing::Refuse).await
    }

    async fn become_state(
        &self,
        session: &mut Session,
        wanted: &State,
        confirm: ConfirmDiff<'_>,
        (command, of): (&str, &str),
    ) -> Result<StateDiff, RunError> {
        let diff = StateDiff::between(&session.state, wanted);
        let changes = changes(&session.state, wanted);
        if changes.is_empty() {
            return Ok(diff);
        }
        if !confirm(&diff) {
            return Err(RunError::Declined);
        }
        self.tell_command(session, command, vec![of.to_owned()]);
        session.store.commit(&changes).await?;
        session.store.fold().await?;
        Ok(diff)
    }
}

/// Copies the audit log to where a state is moved.
async fn copy_audit(from: &Store, to: &Store) -> Result<(), RunError> {
    let (Some(kept), Some(target), Some(lease)) = (from.backend().audit(), to.backend().audit(), to.lease()) else {
        return Ok(());
    };
    let parts = kept.load_audit(from.lineage(), 1).await.map_err(StateError::from)?;
    let lines = audit::merged(&parts, from.lines());
    let number = |line: Option<&&str>| line.and_then(|line| audit::number_of(line)).unwrap_or_default();
    let (first, last) = (number(lines.first()), number(lines.last()));
    if !lines.is_empty() {
        let part = AuditPart { first, last, text: lines.join("\n") + "\n" };
        target.keep_audit(&*lease, from.lineage(), &part).await.map_err(StateError::from)?;
    }
    Ok(())
}

/// A kept version, read and checked.
async fn version(session: &Session, id: &str) -> Result<(Position, State), RunError> {
    let bytes = session.store.backend().load_version(id).await.map_err(StateError::from)?;
    let state = session.store.read_snapshot(&bytes, &format!("version `{}`", id.escape_debug()))?;
    Ok((snapshot_position(&bytes).unwrap_or_default(), state))
}

/// What turns one state into another.
fn changes(from: &State, to: &State) -> Vec<Change> {
    let mut changes: Vec<Change> =
        to.records().into_iter().filter(|record| !from.holds(record)).map(Change::Put).collect();
    let wanted: BTreeSet<_> = to.records().iter().map(|record| record.key()).collect();
    changes.extend(
        from.records().iter().map(|record| record.key()).filter(|key| !wanted.contains(key)).map(Change::Remove),
    );
    changes
}
