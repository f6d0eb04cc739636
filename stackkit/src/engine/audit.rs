//! What a run tells the audit log, and reading and verifying that log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::audit::{self, Counts, Line, Outcome, Reading, Report, Who};
use crate::diagnostic::Diagnostic;
use crate::engine::session::{Missing, Session, Source};
use crate::engine::{DEFAULT_PARALLEL, Deployment, RunError};
use crate::event::{Event, Summary};
use crate::plan::PlanOptions;
use crate::scrub::Scrubber;
use crate::seal::{Header, config_path};
use crate::state::backend::{Backend, Position};
use crate::state::{StateError, audit_lines_of, lease};

/// How often the lock is asked for by what only tells of something, and the pause between.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// The lines of an audit log in an entry of the journal.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(default, borrow)]
    audit: Vec<&'a RawValue>,
}

impl Deployment {
    /// What somebody did to the stack, as the audit log has it. Takes no lock and no key: whether it is as it was written
    /// only [`Deployment::verify_audit`] tells. With `last`, so many lines of its end.
    ///
    /// # Errors
    /// When there is no such stack, its backend keeps no audit log, or it cannot be read.
    pub async fn audit_log(&self, last: Option<u64>) -> Result<Reading, RunError> {
        let (backend, lineage) = self.audit_place().await?;
        let store = backend.audit().ok_or_else(|| keeps_none(&*backend))?;
        // The journal comes first: lines go from there to where they are kept.
        let loaded = backend.load().await.map_err(StateError::from)?;
        let mut journal = Vec::new();
        for entry in &loaded.entries {
            let Ok(entry) = serde_json::from_slice::<Entry<'_>>(entry) else { continue };
            journal.extend(entry.audit.iter().map(|line| line.get().to_owned()));
        }
        let folded = loaded.snapshot.as_deref().and_then(audit_lines_of).unwrap_or_default();
        let all = journal.last().and_then(|line| audit::number_of(line)).unwrap_or_default().max(folded);
        let from = last.map_or(1, |last| (all + 1).saturating_sub(last).max(1));
        let parts = store.load_audit(&lineage, from).await.map_err(StateError::from)?;
        let mut reading = Reading::default();
        for text in audit::merged(&parts, &journal) {
            match Line::parse(text) {
                Some(line) if line.n >= from => reading.lines.push(line),
                Some(_) => {}
                None => reading.unreadable += 1,
            }
        }
        Ok(reading)
    }

    /// The lines with what they tell opened, where the state is sealed as a whole. Takes the stack's key.
    ///
    /// # Errors
    /// When no key at hand opens the stack, or its state cannot be read.
    pub async fn open_lines(&self, mut reading: Reading) -> Result<Reading, RunError> {
        let session = self.source.open(self.stack_name(), Missing::Refuse).await?;
        let keys = session.store.audit_keys()?;
        let lineage = session.store.lineage();
        reading.lines = reading.lines.into_iter().map(|line| line.opened(&keys, lineage)).collect();
        Ok(reading)
    }

    async fn audit_place(&self) -> Result<(Arc<dyn Backend>, String), RunError> {
        let (dir, states) = match &self.source {
            Source::Given { backend, sealer, .. } => return Ok((Arc::clone(backend), sealer.lineage().to_owned())),
            Source::Files { dir, states, .. } => (dir, states),
        };
        let stack = self.stack_name();
        let Some(header) = Header::read(&config_path(dir, stack))? else {
            return Err(RunError::NoStack { stack: stack.to_owned(), dir: dir.display().to_string() });
        };
        let backend = states.place(dir, Some(stack)).await?.stack(stack).map_err(StateError::from)?;
        Ok((backend, header.lineage))
    }

    /// Verifies the audit log with the stack's key: that every line is as it was written, that none is missing, doubled
    /// or in another place, and that it ends where the state says.
    ///
    /// # Errors
    /// When there is no such stack, its keys, state or audit log cannot be read, or its backend keeps none.
    pub async fn verify_audit(&self) -> Result<Report, RunError> {
        let mut seen = None;
        loop {
            let session = self.source.open(self.stack_name(), Missing::Refuse).await?;
            if !session.store.keeps_audit() {
                return Err(keeps_none(&**session.store.backend()));
            }
            let report = session.store.verify_audit().await?;
            // A run that went on meanwhile has more lines than the state had that was read before.
            let position = session.store.position();
            if report.faults.is_empty() || seen == Some(position) {
                return Ok(report);
            }
            seen = Some(position);
        }
    }

    /// Does something that is not part of the state, such as a change of the stack's file, and tells the audit log that it
    /// begins, how it ended and what it came to. Where it cannot be told, a warning says so: whoever may do it can do it
    /// without this program too. Where there is no state yet, there is no audit log either.
    pub(crate) async fn audited<T, E>(
        &self,
        command: &str,
        of: Vec<String>,
        work: impl Future<Output = Result<T, E>>,
        came_to: impl FnOnce(&T) -> Vec<String>,
    ) -> Result<T, E> {
        let mut session = self.open_to_tell(command).await;
        if let Some(open) = &mut session {
            self.tell_begin(open, command, of, BTreeMap::new());
            if let Err(error) = open.store.commit_told().await {
                self.warn_untold(command, &error.into());
                session = None;
            }
        }
        let result = work.await;
        if let Some(mut open) = session {
            let (outcome, of) = match &result {
                Ok(done) => (Outcome::Done, came_to(done)),
                Err(_) => (Outcome::Failed, Vec::new()),
            };
            let end = audit::Event::End { outcome, of, counts: Counts::default() };
            let told = async {
                open.store.conclude(self.clock.now(), &end).await?;
                if open.store.needs_fold() { open.store.fold().await } else { Ok(()) }
            };
            if let Err(error) = told.await {
                self.warn_untold(command, &error.into());
            }
            drop(open);
            lease::settled().await;
        }
        result
    }

    /// Tells the audit log of a command that changes nothing, such as one that shows secrets. Where it cannot be told, a
    /// warning says so: whoever has the stack's key can read them without this program too. Where there is no state yet,
    /// there is no audit log either.
    pub async fn record(&self, command: &str, of: Vec<String>) {
        let Some(mut session) = self.open_to_tell(command).await else { return };
        self.tell_command(&mut session, command, of);
        let told = async {
            session.store.commit_told().await?;
            if session.store.needs_fold() { session.store.fold().await } else { Ok(()) }
        }
        .await;
        if let Err(error) = told {
            self.warn_untold(command, &error.into());
        }
        drop(session);
        lease::settled().await;
    }

    /// The stack, locked to be told something; none where there is no audit log, or it cannot be told.
    async fn open_to_tell(&self, command: &str) -> Option<Session> {
        let opened = async {
            let mut session = self.source.open(self.stack_name(), Missing::Imagine).await?;
            if !session.store.keeps_audit() || session.store.position() == Position(0) {
                return Ok(None);
            }
            let mut attempt = 1;
            loop {
                match session.lock(command).await {
                    Ok(()) => return Ok(Some(session)),
                    Err(RunError::State(StateError::Backend(error))) if error.is_locked() && attempt < ATTEMPTS => {}
                    Err(error) => return Err(error),
                }
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
        };
        match opened.await {
            Ok(session) => session,
            // What the command itself finds, and says.
            Err(RunError::Seal(_)) => None,
            Err(error) => {
                self.warn_untold(command, &error);
                None
            }
        }
    }

    fn warn_untold(&self, command: &str, error: &RunError) {
        let message = format!("the audit log does not tell of this `{command}`: {error}");
        self.options.listener.event(&Event::Warning { urn: None, message });
    }

    /// The first word of a run that holds the lock.
    pub(super) fn tell_begin(
        &self,
        session: &mut Session,
        command: &str,
        of: Vec<String>,
        options: BTreeMap<String, Json>,
    ) {
        let (who, message) = self.who(session);
        let program = self.program.map(|program| program.name().to_owned());
        let command = command.to_owned();
        let event = audit::Event::Begin { command, options, of, program, who, message };
        session.store.tell(self.clock.now(), &event);
    }

    /// [`Deployment::tell_begin`] with the options of a plan.
    pub(super) fn tell_run(&self, session: &mut Session, command: &str, options: &PlanOptions, saved: bool) {
        let mut said = said(options);
        let mut add = |name: &str, value: Json, usual: bool| {
            if !usual {
                said.insert(name.to_owned(), value);
            }
        };
        let run = &self.options;
        add("refresh", run.refresh.into(), run.refresh);
        add("fail_fast", run.fail_fast.into(), !run.fail_fast);
        add("run_program", run.run_program.into(), !run.run_program);
        add("parallel", run.parallel.into(), run.parallel == DEFAULT_PARALLEL);
        add("saved_plan", saved.into(), !saved);
        let names: Vec<&str> = run.config.iter().map(|(name, _)| name.as_str()).collect();
        add("config", names.clone().into(), names.is_empty());
        self.tell_begin(session, command, Vec::new(), said);
    }

    /// A command that is one change of the state, made durable together with this.
    pub(super) fn tell_command(&self, session: &mut Session, command: &str, of: Vec<String>) {
        let (who, message) = self.who(session);
        let event = audit::Event::Command { command: command.to_owned(), of, who, message };
        session.store.tell(self.clock.now(), &event);
    }

    /// The last word of a run. Of one that wrote nothing, nothing is written. All that was done is recorded by now, so
    /// that a last word that cannot be written fails nothing.
    pub(super) async fn tell_end(&self, session: &mut Session, outcome: Outcome, counts: Counts) {
        let end = audit::Event::End { outcome, of: Vec::new(), counts };
        if let Err(error) = session.store.conclude(self.clock.now(), &end).await {
            let message = format!("the audit log does not tell how this run ended: {error}");
            self.options.listener.event(&Event::Warning { urn: None, message });
        }
    }

    /// How a run ended that did not say so itself.
    pub(super) async fn tell_how_it_ended(&self, session: &mut Session, result: &Result<(), &RunError>) {
        let outcome = match result {
            Ok(()) => Outcome::Done,
            // Nothing more can be written.
            Err(RunError::Unsaved { .. }) => return,
            Err(RunError::Declined) => Outcome::Refused,
            Err(RunError::Diagnostics(all)) if all.refused() => Outcome::Refused,
            Err(RunError::Cancelled(_)) => Outcome::Cancelled,
            Err(_) => Outcome::Failed,
        };
        self.tell_end(session, outcome, Counts::default()).await;
    }

    pub(super) fn who(&self, session: &Session) -> (Who, Option<String>) {
        let who = Who::here(session.store.holder().map_or("", |holder| &holder.who));
        let message = self.options.message.as_deref().map(|message| {
            let scrubber = Scrubber::default();
            scrubber.learn_all(session.config.values());
            scrubber.learn_all(session.state.outputs.values());
            for record in session.state.resources.values() {
                scrubber.learn_all(record.inputs.values().chain(record.outputs.values()));
            }
            scrubber.scrub(message)
        });
        (who, message)
    }
}

/// How a run ended that came so far as to do something.
pub(super) fn outcome_of(summary: &Summary) -> Outcome {
    match summary {
        Summary { cancelled: true, .. } => Outcome::Cancelled,
        Summary { failed: 0, .. } => Outcome::Done,
        _ => Outcome::Failed,
    }
}

/// Those options of a plan that are not as they usually are.
fn said(options: &PlanOptions) -> BTreeMap<String, Json> {
    let all = |options: &PlanOptions| match serde_json::to_value(options) {
        Ok(Json::Object(all)) => all,
        _ => serde_json::Map::new(),
    };
    let usual = all(&PlanOptions::default());
    all(options).into_iter().filter(|(name, value)| usual.get(name) != Some(value)).collect()
}

fn keeps_none(backend: &dyn Backend) -> RunError {
    RunError::one(
        Diagnostic::invalid(format!("{} keeps no audit log", backend.describe()))
            .help("choose a backend that does, such as `file://`, `s3://` or `postgres://`: `state move` leads there"),
    )
}
