//! `refresh`: the state follows reality, without a plan.

use std::time::Instant;

use crate::engine::session::{Missing, Session};
use crate::engine::{Deployment, Run, RunError, audit};
use crate::event::{Event, Operation, Summary};
use crate::plan::PlanOptions;
use crate::stack::Declarations;
use crate::urn::Urn;

impl Deployment {
    /// Lets the state follow reality: all of it, or what the targets and excludes of the options select.
    ///
    /// # Errors
    /// When something cannot be read; the state is then as before. [`RunError::Cancelled`] when the run was cancelled
    /// before all was read; what was read is recorded.
    pub async fn refresh(
        &self,
        options: &PlanOptions,
        confirm: &(dyn Fn(&[Urn]) -> bool + Send + Sync),
    ) -> Result<Summary, RunError> {
        let started = Instant::now();
        let options = &PlanOptions { operation: Some(Operation::Refresh), ..options.clone() };
        self.begin(Operation::Refresh);
        let mut session = self.source.open(&self.options.stack, Missing::Refuse).await?;
        let declared = match self.program {
            Some(_) => self.declarations(&mut session).await?,
            None => Declarations::default(),
        };
        session.lock("refresh").await?;
        self.tell_run(&mut session, "refresh", options, false);
        let result = self.follow(&mut session, &declared, options, confirm, started).await;
        self.tell_how_it_ended(&mut session, &result.as_ref().map(|_| ())).await;
        result
    }

    async fn follow(
        &self,
        session: &mut Session,
        declared: &Declarations,
        options: &PlanOptions,
        confirm: &(dyn Fn(&[Urn]) -> bool + Send + Sync),
        started: Instant,
    ) -> Result<Summary, RunError> {
        let mut run = Run::new(self, session, declared)?;
        run.owner_check()?;
        run.rescue_check()?;
        run.read_for_settings(declared).await?;
        run.resolve_open(declared, true).await?;
        run.check_selection(declared, options)?;
        let scope = run.scope(declared, options);
        let before = run.session.state.clone();
        let unread = run.refresh(declared, options, true).await?;
        let mut summary = Summary::default();
        let mut touched = Vec::new();
        for (instance, record) in &before.resources {
            match run.session.state.resources.get(instance) {
                None => {
                    summary.forget += 1;
                    touched.push(record.urn.clone());
                }
                Some(now) if now != record => {
                    summary.update += 1;
                    touched.push(record.urn.clone());
                }
                Some(_) if scope.as_ref().is_some_and(|scope| !scope.has(*instance)) => summary.left_out += 1,
                Some(_) => summary.same += 1,
            }
        }
        summary.same = summary.same.saturating_sub(unread);
        summary.skipped = unread;
        summary.cancelled = unread > 0;
        let asked = Instant::now();
        if !touched.is_empty() && !confirm(&touched) {
            return Err(RunError::Declined);
        }
        let started = started + asked.elapsed();
        run.commit_unsaved().await?;
        self.tell_end(run.session, audit::outcome_of(&summary), (&summary).into()).await;
        run.session.store.fold().await?;
        summary.duration = started.elapsed();
        self.options.listener.event(&Event::Finished { summary: summary.clone() });
        if summary.cancelled { Err(RunError::Cancelled(summary)) } else { Ok(summary) }
    }
}
