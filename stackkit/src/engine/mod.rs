//! The engine as a library: what the command line and embedding programs call.

mod access;
mod audit;
mod error;
mod import;
mod keys;
mod mend;
mod migrate;
mod reads;
mod refresh;
mod repository;
mod saved;
pub(crate) mod session;
mod versions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

pub use error::RunError;
pub use import::{Adoption, ImportOptions};
pub use keys::{Changed, Rotated};
pub use mend::Repaired;
pub use migrate::{Migrated, Migration};
pub use versions::{ConfirmDiff, StateDiff};

use crate::apply::{Applied, Apply, Limits, apply};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::connections::{Connections, Connector, RealConnector};
use crate::context::RunInfo;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::durations::{Durations, Unknown};
use crate::engine::session::{Missing, Session, Source, States};
use crate::event::{Event, Listener, Operation, Summary};
use crate::ids::Ids;
use crate::options::Guard;
use crate::plan::{Plan, PlanInput, PlanOptions, Retyped, Scope, plan, retyped};
use crate::program::Program;
use crate::read::{Given, Outside};
use crate::refresh::Reality;
use crate::saved::Saved;
use crate::scrub::Scrubber;
use crate::seal::KeyOptions;
use crate::stack::Declarations;
use crate::state::Seen;
use crate::state::lease;
use crate::state::model::{Change, IntentKind, IntentRecord, Key, Record, StackRecord, State};
use crate::state::place::LinkedBackend;
use crate::urn::Urn;

/// How many provider calls run at once where nothing else is said.
pub const DEFAULT_PARALLEL: usize = 16;

/// What a run works on and how.
#[derive(Clone)]
pub struct DeployOptions {
    /// Name of the stack.
    pub stack: String,
    /// The folder where `stackkit.<stack>.toml` stands.
    pub dir: PathBuf,
    /// URL of the state's backend. Where unset: that of the stack's file (`backend` in its `[state]` table), then the
    /// program's, then `file://.stackkit` beside the stack's file.
    pub backend: Option<String>,
    /// Kinds of backends that are linked, besides those of the program.
    pub backends: Vec<LinkedBackend>,
    /// Keys at hand.
    pub keys: KeyOptions,
    /// Config values that override those of the stack's file, for this run.
    pub config: Vec<(String, String)>,
    /// Receives every event.
    pub listener: Arc<dyn Listener>,
    /// Cancelling it lets running calls end and starts no new ones.
    pub cancel: CancellationToken,
    /// How many provider calls run at once.
    pub parallel: usize,
    /// Whether the first failure stops everything.
    pub fail_fast: bool,
    /// Whether reality is read before planning.
    pub refresh: bool,
    /// How long calls are thought to take: of what is ready, the longest path goes first. Where nothing is known, every
    /// call counts the same.
    pub durations: Arc<dyn Durations>,
    /// Whether [`Deployment::destroy`] runs the program, for the hooks around its deletions.
    pub run_program: bool,
    /// Why this is done, for the audit log. Secrets that the stack knows are taken out of it.
    pub message: Option<String>,
    /// What this machine keeps of how far it has seen each state, so that one that was put back to an earlier moment is
    /// refused. The command line keeps it in the folder of [`Seen::of_user`]; by default nothing is kept.
    pub seen: Option<Seen>,
}

impl Default for DeployOptions {
    fn default() -> Self {
        Self {
            stack: "dev".into(),
            dir: ".".into(),
            backend: None,
            backends: Vec::new(),
            keys: KeyOptions::from_env(),
            config: Vec::new(),
            listener: Arc::new(|_: &Event| {}),
            cancel: CancellationToken::new(),
            parallel: DEFAULT_PARALLEL,
            fail_fast: false,
            refresh: true,
            durations: Arc::new(Unknown),
            run_program: false,
            message: None,
            seen: None,
        }
    }
}

impl std::fmt::Debug for DeployOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeployOptions").field("stack", &self.stack).field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Asked with the plan before anything is done.
pub type Confirm<'a> = &'a (dyn Fn(&Plan) -> bool + Send + Sync);

/// A program and a stack to deploy it to.
pub struct Deployment {
    program: Option<Program>,
    catalog: Arc<Catalog>,
    pub(crate) source: Source,
    options: DeployOptions,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) settles: bool,
    pub(crate) clock: Clock,
    /// Outputs of other stacks, where a test gives them.
    pub(crate) given: Arc<Given>,
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployment")
            .field("program", &self.program)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Deployment {
    /// A deployment of a program (none for what needs only the state).
    pub fn new(program: Option<Program>, options: DeployOptions) -> Self {
        let mut linked = options.backends.clone();
        linked.extend(program.map(|program| program.backends()).unwrap_or_default());
        let mut keys = options.keys.clone();
        keys.linked.extend(program.map(|program| program.keys()).unwrap_or_default());
        let source = Source::Files {
            dir: options.dir.clone(),
            states: States {
                asked: options.backend.clone(),
                usual: program.and_then(|program| program.backend()),
                linked,
            },
            keys,
            overrides: options.config.clone(),
            seen: options.seen.clone(),
        };
        let providers = program.map(|program| program.providers()).unwrap_or_default();
        Self {
            program,
            catalog: Arc::new(Catalog::new(providers)),
            source,
            options,
            connector: Arc::new(RealConnector),
            ids: Arc::new(Ids::random()),
            settles: true,
            clock: Clock::System,
            given: Arc::default(),
        }
    }

    /// The linked types.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Runs the program and returns what it declares, with the configuration of the stack.
    ///
    /// # Errors
    /// Everything wrong with the program or its configuration.
    pub async fn declare(&self) -> Result<Declarations, RunError> {
        let mut session = self.source.open(&self.options.stack, Missing::Imagine).await?;
        self.declarations(&mut session).await
    }

    /// Plans what `up` would do. Takes no lock and persists nothing.
    ///
    /// # Errors
    /// Everything that is wrong or refused, together; keys or state that cannot be read.
    pub async fn preview(&self, options: &PlanOptions) -> Result<Arc<Plan>, RunError> {
        self.look(options, None).await
    }

    async fn look(&self, options: &PlanOptions, save: Option<&Path>) -> Result<Arc<Plan>, RunError> {
        let started = Instant::now();
        self.begin(Operation::Preview);
        // Nothing can be sealed without a key.
        let missing = if save.is_some() { Missing::Make } else { Missing::Imagine };
        let mut session = self.source.open(&self.options.stack, missing).await?;
        self.tell_of_key(&session);
        let declared = self.declarations(&mut session).await?;
        let mut run = Run::new(self, &mut session, &declared)?;
        run.owner_check()?;
        self.looking(run.read_ahead(&declared)).await?;
        self.looking(run.resolve_open(&declared, false)).await?;
        if self.options.refresh {
            self.looking(run.refresh_to_plan(&declared, options, false)).await?;
        }
        let (plan, _) = self.looking(run.plan(&declared, options, Operation::Preview)).await?;
        if let Some(file) = save {
            self.seal_plan(file, options, &session, &declared, &plan)?;
        }
        let mut summary = plan.summary();
        summary.duration = started.elapsed();
        self.options.listener.event(&Event::Finished { summary });
        Ok(plan)
    }

    /// Makes the stack what the program says.
    ///
    /// # Errors
    /// [`RunError::Failed`] when steps failed, and everything that [`Deployment::preview`] can fail with; nothing is
    /// touched then.
    pub async fn up(&self, options: &PlanOptions, confirm: Confirm<'_>) -> Result<Summary, RunError> {
        let started = Instant::now();
        self.begin(Operation::Up);
        let mut session = self.source.open(&self.options.stack, Missing::Make).await?;
        self.tell_of_key(&session);
        let declared = self.declarations(&mut session).await?;
        session.lock("up").await?;
        self.tell_run(&mut session, "up", options, false);
        self.change(session, declared, options, confirm, Operation::Up, started, None).await
    }

    /// Deletes everything in the state. The program is not run, except for its hooks, and for what nothing keeps of how
    /// providers are reached, where [`DeployOptions::run_program`] says so.
    ///
    /// # Errors
    /// As [`Deployment::up`].
    pub async fn destroy(&self, options: &PlanOptions, confirm: Confirm<'_>) -> Result<Summary, RunError> {
        let started = Instant::now();
        self.begin(Operation::Destroy);
        let mut session = self.source.open(&self.options.stack, Missing::Refuse).await?;
        let declared = match self.options.run_program {
            true => self.declarations(&mut session).await?.for_destroy(),
            false => Declarations::default(),
        };
        session.lock("destroy").await?;
        self.tell_run(&mut session, "destroy", options, false);
        self.change(session, declared, options, confirm, Operation::Destroy, started, None).await
    }

    /// The state as it is recorded.
    ///
    /// # Errors
    /// When there is no such stack, or its keys or state cannot be read.
    pub async fn state(&self) -> Result<State, RunError> {
        Ok(self.source.open(&self.options.stack, Missing::Refuse).await?.state)
    }

    /// The state as it stands in the backend, read without a key: secrets stay sealed, and nothing is checked. It is
    /// there to be shown, not to be acted on.
    ///
    /// # Errors
    /// When there is no such stack, or its state cannot be read.
    pub async fn unverified_state(&self) -> Result<State, RunError> {
        self.source.look(&self.options.stack).await
    }

    /// Names of the stacks that the backend holds something of, and where that is. Stacks whose files name a backend of
    /// their own are not among them.
    ///
    /// # Errors
    /// When the backend is not linked or cannot be read.
    pub async fn stacks(&self) -> Result<(String, Vec<String>), RunError> {
        let Source::Files { dir, states, .. } = &self.source else { return Ok(("memory".into(), Vec::new())) };
        let place = states.place(dir, None).await?;
        let names = place.list().await.map_err(crate::state::StateError::from)?;
        Ok((place.describe(), names))
    }

    /// Drops a resource from the state, or the open create of one: then what it was to replace stays. What it stands for
    /// is left alone.
    ///
    /// # Errors
    /// When nothing has that URN, or other resources refer to it.
    pub async fn remove(&self, urn: &Urn) -> Result<(), RunError> {
        let mut session = self.source.open(&self.options.stack, Missing::Refuse).await?;
        session.lock("state rm").await?;
        let state = &session.state;
        let open: Vec<&IntentRecord> = state.intents.values().filter(|intent| intent.urn == *urn).collect();
        // Where a create is open, it is the create that is in question. What it was to replace is there, and stays.
        let in_question = open.iter().any(|intent| intent.kind == IntentKind::Create);
        let instances: Vec<_> = state
            .resources
            .values()
            .filter(|record| record.urn == *urn && !in_question)
            .map(|record| record.instance)
            .collect();
        let users: Vec<String> = state
            .resources
            .values()
            .filter(|record| record.urn != *urn && instances.iter().any(|gone| record.dependencies.contains(gone)))
            .map(|record| record.urn.to_string())
            .collect();
        if !users.is_empty() {
            return Err(RunError::one(
                Diagnostic::refused(format!("other resources refer to it: {}", users.join(", ")))
                    .on(urn)
                    .help("remove those first"),
            ));
        }
        let mut changes: Vec<Change> = instances.into_iter().map(|gone| Change::Remove(Key::Resource(gone))).collect();
        let open = open.into_iter().filter(|intent| !in_question || intent.kind == IntentKind::Create);
        changes.extend(open.map(|intent| Change::Remove(Key::Intent(intent.instance))));
        if changes.is_empty() {
            return Err(RunError::one(
                Diagnostic::invalid("the state has no such resource").on(urn).help("`state list` shows what there is"),
            ));
        }
        self.tell_command(&mut session, "state rm", vec![urn.to_string()]);
        session.store.commit(&changes).await?;
        session.store.fold().await?;
        Ok(())
    }

    /// Renames a resource in the state, with everything in it that refers to the old name. The real one is left alone,
    /// and the program has to declare it under the new name from then on.
    ///
    /// # Errors
    /// When the state does not have the old name or has the new one already, when the types differ, or when a call on
    /// the resource is open.
    pub async fn rename(&self, old: &Urn, new: &Urn) -> Result<(), RunError> {
        let mut session = self.source.open(&self.options.stack, Missing::Refuse).await?;
        session.lock("state mv").await?;
        let changes = crate::state::renamed(&session.state, old, new).map_err(RunError::one)?;
        self.tell_command(&mut session, "state mv", vec![old.to_string(), new.to_string()]);
        session.store.commit(&changes).await?;
        session.store.fold().await?;
        Ok(())
    }

    /// Name of the stack.
    pub(crate) fn stack_name(&self) -> &str {
        &self.options.stack
    }

    fn begin(&self, operation: Operation) {
        self.options.listener.event(&Event::Started { operation, stack: self.options.stack.clone() });
    }

    /// Looks at what is there, and gives that up at once when the run is cancelled: nothing has been touched yet.
    async fn looking<T>(&self, look: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
        let result = tokio::select! {
            biased;
            result = look => result,
            () = self.options.cancel.cancelled() => Err(RunError::Cancelled(Summary::default())),
        };
        let summary = match result {
            Err(RunError::Cancelled(summary)) => summary,
            // What was not read because of that is no mistake of the program.
            Err(RunError::Diagnostics(_)) if self.options.cancel.is_cancelled() => Summary::default(),
            result => return result,
        };
        let summary = Summary { cancelled: true, ..summary };
        self.options.listener.event(&Event::Cancelling { running: 0 });
        self.options.listener.event(&Event::Finished { summary: summary.clone() });
        Err(RunError::Cancelled(summary))
    }

    fn tell_of_key(&self, session: &Session) {
        if let Some(path) = &session.new_key_file {
            let message = format!(
                "made the key file {}: the secrets of your stacks open with it alone, so keep a copy in a safe place",
                path.display()
            );
            self.options.listener.event(&Event::Warning { urn: None, message });
        }
        if let Some(place) = &session.unnamed {
            let message = format!(
                "the state is made in {place}, whose URL has a password in it and is in no file: give it in \
                 STACKKIT_BACKEND with every command"
            );
            self.options.listener.event(&Event::Warning { urn: None, message });
        }
        if let Some(host) = &session.shown {
            let message = format!(
                "the state of this stack lies in a Git repository with a remote at {host}, where repositories may be \
                 public: secrets in it are sealed, while names, ids and plain values are readable; `secrets whole on` \
                 seals those too"
            );
            self.options.listener.event(&Event::Warning { urn: None, message });
        }
    }

    async fn declarations(&self, session: &mut Session) -> Result<Declarations, RunError> {
        let Some(program) = self.program else { return Ok(Declarations::default()) };
        let info = self.info(session);
        let scrubber = Scrubber::default();
        scrubber.learn_all(session.config.values());
        let (catalog, connector) = (Arc::clone(&self.catalog), Arc::clone(&self.connector));
        let outside = Arc::new(Outside::new(catalog, connector, Arc::clone(&info), &session.state, scrubber));
        let (stack, config) = (&self.options.stack, session.config.clone());
        let declared = program.declare_with(stack, &info.dir, config, Some(Arc::clone(&outside))).await;
        // A program that keeps the stack somewhere keeps its connections too; the run then opens its own.
        session.outside = Arc::into_inner(outside);
        Ok(declared?)
    }

    fn info(&self, session: &Session) -> Arc<RunInfo> {
        let options = &self.options;
        Arc::new(RunInfo {
            stack: options.stack.clone(),
            lineage: session.store.lineage().to_owned(),
            dir: std::path::absolute(&options.dir).unwrap_or_else(|_| options.dir.clone()),
            settles: self.settles,
            clock: self.clock,
        })
    }

    #[allow(clippy::too_many_arguments, reason = "what a run is about, each of another kind")]
    async fn change(
        &self,
        mut session: Session,
        declared: Declarations,
        options: &PlanOptions,
        confirm: Confirm<'_>,
        operation: Operation,
        started: Instant,
        saved: Option<&Saved>,
    ) -> Result<Summary, RunError> {
        let result = self.make_so(&mut session, &declared, options, confirm, operation, started, saved).await;
        self.tell_how_it_ended(&mut session, &result.as_ref().map(|_| ())).await;
        drop(session);
        lease::settled().await;
        result
    }

    #[allow(clippy::too_many_arguments, reason = "what a run is about, each of another kind")]
    async fn make_so(
        &self,
        session: &mut Session,
        declared: &Declarations,
        options: &PlanOptions,
        confirm: Confirm<'_>,
        operation: Operation,
        started: Instant,
        saved: Option<&Saved>,
    ) -> Result<Summary, RunError> {
        let mut run = Run::new(self, session, declared)?;
        run.owner_check()?;
        run.rescue_check()?;
        self.looking(run.read_ahead(declared)).await?;
        self.looking(run.resolve_open(declared, true)).await?;
        if self.options.refresh && operation == Operation::Up {
            self.looking(run.refresh_to_plan(declared, options, true)).await?;
        }
        let (plan, imports) = self.looking(run.plan(declared, options, operation)).await?;
        if let Some(saved) = saved {
            saved.check_plan(declared, &plan).map_err(RunError::one)?;
        }
        let nothing = plan.steps.node_count() == 0 && !plan.has_changes();
        run.check_connections(declared, &plan).await?;
        // A run is not slow because a person thought about it.
        let asked = Instant::now();
        if plan.has_changes() && !confirm(&plan) {
            return Err(RunError::Declined);
        }
        let started = started + asked.elapsed();
        if operation == Operation::Up {
            run.note_guard(declared);
        }
        if plan.has_changes() {
            run.tell_plan(declared, &plan);
        }
        run.commit_unsaved().await?;
        let mut summary = plan.summary();
        let mut unsaved = None;
        if !nothing {
            let applied = run.apply(&plan, declared, &imports).await;
            summary = applied.summary;
            unsaved = applied.unsaved;
        }
        summary.duration = started.elapsed();
        if let Some((changes, error)) = unsaved {
            self.options.listener.event(&Event::Finished { summary });
            return Err(run.rescue(&changes, error));
        }
        self.tell_end(run.session, audit::outcome_of(&summary), (&summary).into()).await;
        run.session.store.fold().await?;
        self.options.listener.event(&Event::Finished { summary: summary.clone() });
        if summary.cancelled {
            Err(RunError::Cancelled(summary))
        } else if summary.failed > 0 {
            Err(RunError::Failed(summary))
        } else {
            Ok(summary)
        }
    }
}

/// One run on an open session.
struct Run<'a> {
    deployment: &'a Deployment,
    session: &'a mut Session,
    connections: Connections,
    scrubber: Scrubber,
    info: Arc<RunInfo>,
    /// What the program renames to another type.
    retyped: Retyped,
    /// Changes that are in the state and not durable yet: what a refresh found is recorded when the run goes ahead.
    unsaved: Vec<Change>,
}

impl<'a> Run<'a> {
    fn new(deployment: &'a Deployment, session: &'a mut Session, declared: &Declarations) -> Result<Self, RunError> {
        let retyped = retyped(declared, &session.state);
        session.upgrade(&deployment.catalog, &retyped).map_err(|all| RunError::Diagnostics(Diagnostics(all)))?;
        let info = deployment.info(session);
        let (connections, scrubber) = match session.outside.take() {
            Some(outside) => outside.into_parts(),
            None => {
                let (catalog, connector) = (Arc::clone(&deployment.catalog), Arc::clone(&deployment.connector));
                (Connections::new(catalog, connector), Scrubber::default())
            }
        };
        scrubber.learn_all(session.config.values());
        Ok(Self { deployment, session, connections, scrubber, info, retyped, unsaved: Vec::new() })
    }

    /// A stack belongs to one program: another one would plan to delete everything in it.
    fn owner_check(&self) -> Result<(), RunError> {
        let (Some(program), Some(record)) = (self.deployment.program, &self.session.state.stack) else { return Ok(()) };
        if record.program == program.name() {
            return Ok(());
        }
        Err(RunError::one(
            Diagnostic::refused(format!(
                "the stack `{}` belongs to the program `{}`, and this is `{}`",
                self.deployment.options.stack,
                record.program,
                program.name()
            ))
            .help("choose another stack with `-s NAME`, or another folder with `-C DIR`"),
        ))
    }

    /// What an earlier run could not write comes first: without it the state does not know what that run made.
    fn rescue_check(&self) -> Result<(), RunError> {
        let path = &self.session.rescue;
        if !path.exists() {
            return Ok(());
        }
        Err(RunError::one(
            Diagnostic::refused(format!(
                "an earlier run could not write the state, and kept the rest in {}",
                path.display()
            ))
            .help("run `state repair`, which merges it"),
        ))
    }

    fn reality<'r>(&'r mut self, declared: &'r Declarations) -> (Reality<'r>, &'r mut State) {
        let reality = Reality {
            declared,
            catalog: &self.deployment.catalog,
            connections: &mut self.connections,
            listener: &*self.deployment.options.listener,
            scrubber: &self.scrubber,
            info: Arc::clone(&self.info),
            parallel: self.deployment.options.parallel,
            cancel: self.deployment.options.cancel.clone(),
        };
        (reality, &mut self.session.state)
    }

    /// Finds out what became of open calls. What is found is a fact, and recorded at once where the run may write.
    async fn resolve_open(&mut self, declared: &Declarations, may_write: bool) -> Result<(), RunError> {
        if self.session.state.intents.is_empty() {
            return Ok(());
        }
        let (mut reality, state) = self.reality(declared);
        let recovered = reality.recover(state, may_write).await;
        let (changes, found) = recovered.map_err(|all| RunError::Diagnostics(Diagnostics(all)))?;
        if may_write {
            for event in &found {
                self.session.store.tell(self.info.clock.now(), event);
            }
            self.session.store.commit(&changes).await?;
        }
        Ok(())
    }

    /// Reads what is there, and returns how much of it was not read because the run was cancelled.
    async fn refresh(
        &mut self,
        declared: &Declarations,
        options: &PlanOptions,
        waits: bool,
    ) -> Result<usize, RunError> {
        if self.session.state.resources.is_empty() {
            return Ok(0);
        }
        let scope = self.scope(declared, options);
        let retyped = self.retyped.clone();
        let (mut reality, state) = self.reality(declared);
        let (changes, unread) = reality
            .refresh(state, scope.as_ref(), &retyped, waits)
            .await
            .map_err(|all| RunError::Diagnostics(Diagnostics(all)))?;
        self.unsaved.extend(changes);
        Ok(unread)
    }

    /// [`Run::refresh`] on the way to a plan, which is not made of what was read in part.
    async fn refresh_to_plan(
        &mut self,
        declared: &Declarations,
        options: &PlanOptions,
        waits: bool,
    ) -> Result<(), RunError> {
        let unread = self.refresh(declared, options, waits).await?;
        match unread {
            0 => Ok(()),
            skipped => Err(RunError::Cancelled(Summary { skipped, ..Summary::default() })),
        }
    }

    /// That every glob of a refresh, which makes no plan, selects something.
    fn check_selection(&self, declared: &Declarations, options: &PlanOptions) -> Result<(), RunError> {
        let state = &self.session.state;
        let wrong = Scope::check(declared, state, &self.deployment.catalog, options);
        if wrong.is_empty() { Ok(()) } else { Err(RunError::Diagnostics(Diagnostics(wrong))) }
    }

    fn scope(&self, declared: &Declarations, options: &PlanOptions) -> Option<Scope> {
        Scope::of(declared, &self.session.state, &self.deployment.catalog, options)
    }

    /// Records what the program refuses, for commands that do not run it.
    fn note_guard(&mut self, declared: &Declarations) {
        let Some(program) = self.deployment.program else { return };
        let recorded = self.session.state.stack.as_ref();
        if recorded.map(|stack| &stack.guard).unwrap_or(&Guard::default()) == &declared.guard {
            return;
        }
        let stack = StackRecord { program: program.name().to_owned(), guard: declared.guard.clone() };
        let change = Change::Put(Record::Stack(stack));
        self.session.state.apply(change.clone());
        self.unsaved.push(change);
    }

    async fn check_connections(&mut self, declared: &Declarations, plan: &Plan) -> Result<(), RunError> {
        let (mut reality, state) = self.reality(declared);
        reality.check_connections(plan, state).await.map_err(|all| RunError::Diagnostics(Diagnostics(all)))
    }

    async fn commit_unsaved(&mut self) -> Result<(), RunError> {
        let changes = std::mem::take(&mut self.unsaved);
        self.session.store.commit_found(self.info.clock.now(), &changes).await?;
        Ok(())
    }

    fn tell_plan(&mut self, declared: &Declarations, plan: &Plan) {
        let store = &mut self.session.store;
        let digest = crate::saved::digest(declared, plan, store.sealer());
        let (counts, identities) = ((&plan.summary()).into(), self.connections.identities());
        store.tell(self.info.clock.now(), &crate::audit::Event::Plan { digest, counts, identities });
    }

    #[allow(clippy::type_complexity, reason = "a plan and what it was made from")]
    async fn plan(
        &mut self,
        declared: &Declarations,
        options: &PlanOptions,
        operation: Operation,
    ) -> Result<(Arc<Plan>, BTreeMap<u32, crate::state::model::ResourceRecord>), RunError> {
        // Whatever the plan says is of what the program and the state hold; none of their secrets may be in it.
        for resource in &declared.resources {
            self.scrubber.learn_all(&resource.values);
            self.scrubber.learn_all(&resource.options().replace_trigger);
        }
        for record in self.session.state.resources.values() {
            self.scrubber.learn_all(record.inputs.values().chain(record.outputs.values()).chain(record.seen.values()));
            self.scrubber.learn_all(&record.options.replace_trigger);
        }
        self.scrubber.learn_all(self.session.state.outputs.values());
        let scope = self.scope(declared, options);
        let (mut reality, state) = self.reality(declared);
        let imports =
            reality.imports(state, scope.as_ref()).await.map_err(|all| RunError::Diagnostics(Diagnostics(all)))?;
        let options = PlanOptions { operation: Some(operation), ..options.clone() };
        let mut plan = loop {
            let (state, catalog) = (&self.session.state, &*self.deployment.catalog);
            let mut plan = plan(&PlanInput { declared, state, catalog, imports: &imports, options: &options });
            // What the plan found to be settled may be what a read waits for.
            match std::mem::take(&mut plan.ready) {
                ready if ready.is_empty() => break plan,
                ready => self.read(declared, ready).await?,
            }
        };
        for node in &mut plan.nodes {
            for reason in &mut node.reasons {
                *reason = self.scrubber.scrub(reason);
            }
        }
        for diagnostic in &mut plan.diagnostics {
            diagnostic.message = self.scrubber.scrub(&diagnostic.message);
            diagnostic.help = diagnostic.help.as_deref().map(|help| self.scrubber.scrub(help));
        }
        for advice in &mut plan.advice {
            advice.message = self.scrubber.scrub(&advice.message);
        }
        let plan = Arc::new(plan);
        self.deployment.options.listener.event(&Event::Planned { plan: Arc::clone(&plan) });
        for advice in &plan.advice {
            let (urn, message) = (advice.urn.clone(), advice.message.clone());
            let policy = advice.policy.clone().unwrap_or_default();
            self.deployment.options.listener.event(&Event::Advice { policy, urn, message });
        }
        if plan.diagnostics.is_empty() {
            Ok((plan, imports))
        } else {
            Err(RunError::Diagnostics(Diagnostics(plan.diagnostics.clone())))
        }
    }

    async fn apply(
        &mut self,
        plan: &Plan,
        declared: &Declarations,
        imports: &BTreeMap<u32, crate::state::model::ResourceRecord>,
    ) -> Applied {
        let options = &self.deployment.options;
        apply(Apply {
            plan,
            declared,
            imports,
            catalog: &self.deployment.catalog,
            connections: &mut self.connections,
            state: &mut self.session.state,
            durable: &mut self.session.store,
            listener: &*options.listener,
            scrubber: &self.scrubber,
            info: Arc::clone(&self.info),
            ids: &self.deployment.ids,
            cancel: options.cancel.clone(),
            limits: Limits { parallel: options.parallel.max(1), fail_fast: options.fail_fast },
            program: self.deployment.program.map_or("", |program| program.name()),
            durations: &*options.durations,
        })
        .await
    }

    /// Keeps what could not be written to the state in a sealed file beside it.
    fn rescue(&mut self, changes: &[Change], error: String) -> RunError {
        let path = self.session.rescue.clone();
        let (rescue, merge) = match self.session.store.rescue(&path, changes) {
            Ok(()) => (path.display().to_string(), "run `state repair` once the state can be written again".to_owned()),
            Err(other) => ("nowhere".to_owned(), format!("that file could not be written either: {other}")),
        };
        RunError::Unsaved { error, rescue, merge }
    }
}
