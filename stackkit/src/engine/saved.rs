//! Runs with saved plans: a preview that seals what it found, and an `up` that does that and nothing else.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::session::Missing;
use crate::engine::{DeployOptions, Deployment, RunError};
use crate::event::{Operation, Summary};
use crate::plan::{Plan, PlanOptions};
use crate::saved::{FileError, Made, Saved};

impl From<FileError> for RunError {
    fn from(error: FileError) -> Self {
        RunError::one(error.into_diagnostic())
    }
}

impl Deployment {
    /// [`Deployment::preview`], and seals the plan into a file for [`Deployment::up_saved`]: bound to the state as it is
    /// now, the program and what it declares, the options, and the plan itself. A stack that has no key yet gets one, as
    /// `up` would make it; nothing else is written and no lock is taken.
    ///
    /// # Errors
    /// As [`Deployment::preview`], and when the file cannot be written.
    pub async fn save_plan(&self, options: &PlanOptions, file: &Path) -> Result<Arc<Plan>, RunError> {
        self.look(options, Some(file)).await
    }

    /// Applies a saved plan: runs the program, plans again with the options that the plan was made with, and goes ahead
    /// only if everything agrees with what was saved. Nobody is asked: the plan is the approval. Of `options` only the
    /// guards count, in addition to those of the plan.
    ///
    /// # Errors
    /// A refusal that names the first difference, before anything is touched; and as [`Deployment::up`].
    pub async fn up_saved(&self, file: &Path, options: &PlanOptions) -> Result<Summary, RunError> {
        let started = Instant::now();
        self.begin(Operation::Up);
        let mut session = self.source.open(&self.options.stack, Missing::Refuse).await?;
        let saved = Saved::read(file, session.store.sealer())?;
        let origin = |session: &super::Session| {
            saved.check_origin(self.program, &self.options.stack, &session.store).map_err(RunError::one)
        };
        origin(&session)?;
        crate::config::file::set(&mut session.config, &saved.config)
            .map_err(|error| RunError::Config(error.to_string()))?;
        let this = self.with(|options| options.refresh = saved.refresh);
        let declared = this.declarations(&mut session).await?;
        session.lock("up").await?;
        origin(&session)?;
        saved.check_declared(&declared).map_err(RunError::one)?;
        let planning = saved.options.clone().guarded(options);
        this.tell_run(&mut session, "up", &planning, true);
        this.change(session, declared, &planning, &|_| true, Operation::Up, started, Some(&saved)).await
    }

    /// Seals a plan that was just made.
    pub(super) fn seal_plan(
        &self,
        file: &Path,
        options: &PlanOptions,
        session: &super::Session,
        declared: &crate::stack::Declarations,
        plan: &Plan,
    ) -> Result<(), RunError> {
        let made = Made {
            program: self.program,
            stack: &self.options.stack,
            options,
            refresh: self.options.refresh,
            config: &self.options.config,
        };
        Ok(Saved::new(&made, &session.store, declared, plan).write(file, session.store.sealer())?)
    }

    fn with(&self, change: impl FnOnce(&mut DeployOptions)) -> Self {
        let mut options = self.options.clone();
        change(&mut options);
        Self {
            program: self.program,
            catalog: Arc::clone(&self.catalog),
            source: self.source.clone(),
            options,
            connector: Arc::clone(&self.connector),
            ids: Arc::clone(&self.ids),
            settles: self.settles,
            clock: self.clock,
            given: self.given.clone(),
        }
    }
}
