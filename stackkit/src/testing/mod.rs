//! Unit tests of infrastructure: the real engine, every provider mocked, no cloud and no files.
//!
//! ```
//! use stackkit::prelude::*;
//! use stackkit::testing::Test;
//!
//! #[stackkit::program]
//! async fn site(stack: &mut Stack) -> Result<()> {
//!     let password = stack.add("admin", local::RandomPassword::new(24));
//!     stack.output("password", &password.value);
//!     Ok(())
//! }
//!
//! #[stackkit::test]
//! async fn the_password_is_long() {
//!     let run = Test::of(site).up().await.expect_ok();
//!     assert_eq!(run.get::<local::RandomPassword>("admin").length, 24);
//! }
//! ```

pub mod backend;
mod cloud;
mod failure;
mod life;
mod mocked;
mod run;
mod simulate;
mod weather;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use cloud::{Cloud, CloudCall, Looks};
pub use failure::Failure;
pub use run::TestRun;
pub use simulate::CrashReport;
pub use weather::Weather;

use crate::audit::{self, Line};
use crate::clock::Clock;
use crate::context::BoxFuture;
use crate::durations::{Durations, Unknown};
use crate::engine::session::Source;
use crate::engine::{Adoption, DeployOptions, Deployment, ImportOptions, Migration, Repaired, RunError};
use crate::event::{Event, Operation};
use crate::foreign::ForeignState;
use crate::ids::Ids;
use crate::plan::PlanOptions;
use crate::program::Program;
use crate::property::Property;
use crate::read::Given;
use crate::seal::Sealer;
use crate::stack::IntoOutput;
use crate::state::backend::{AuditStore, Backend, BackendError, Holder, Lease, Loaded, Position};
use crate::state::memory::MemoryBackend;
use crate::state::model::State;
use crate::state::{StateError, Store, verify};
use crate::testing::simulate::Ended;
use crate::urn::Urn;
use crate::value::Value;

/// A program under test, with its configuration and what is to fail.
#[derive(Clone)]
pub struct Test {
    program: Program,
    stack: String,
    config: BTreeMap<String, Value>,
    options: PlanOptions,
    parallel: usize,
    fail_fast: bool,
    refresh: bool,
    durations: Arc<dyn Durations>,
    run_program: bool,
    cancel_after: Option<usize>,
    weather: Option<Weather>,
    plan_file: Option<std::path::PathBuf>,
    references: Given,
    world: World,
}

/// What outlives a run: the mocked cloud and the stored state.
#[derive(Clone)]
struct World {
    cloud: Cloud,
    backend: MemoryBackend,
    sealer: Arc<Sealer>,
    seed: u64,
    /// When it began, by tokio's clock.
    began: Instant,
    /// How many runs there were: each makes numbers of its own.
    runs: Arc<AtomicU64>,
}

impl Test {
    /// Tests a program made by `#[stackkit::main]` or `#[stackkit::program]`.
    ///
    /// # Panics
    /// When the system has no random source for the key that seals the test's state.
    pub fn of(program: impl Into<Program>) -> Self {
        let program = program.into();
        let sealer = Sealer::ephemeral().unwrap_or_else(|error| panic!("no key for the test's state: {error}"));
        Self {
            program,
            stack: "test".into(),
            config: BTreeMap::new(),
            options: PlanOptions::default(),
            parallel: 4,
            fail_fast: false,
            refresh: true,
            durations: Arc::new(Unknown),
            run_program: false,
            cancel_after: None,
            weather: None,
            plan_file: None,
            references: Given::default(),
            world: World {
                cloud: Cloud::default(),
                backend: MemoryBackend::default(),
                sealer: Arc::new(sealer),
                seed: 1,
                began: Instant::now(),
                runs: Arc::default(),
            },
        }
    }

    /// Sets a config value; text that reads like a number or truth value becomes one.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), crate::config::file::scalar(value));
        self
    }

    /// Sets a secret config value.
    #[must_use]
    pub fn secret(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), Value::text(value).into_secret());
        self
    }

    /// Gives an output of another stack that the program refers to.
    #[must_use]
    pub fn reference<T: Property>(mut self, stack: &str, output: &str, value: impl IntoOutput<T>) -> Self {
        self.references.entry(stack.to_owned()).or_default().insert(output.to_owned(), value.into_tree());
        self
    }

    /// The stack's name; `test` where nothing is said.
    #[must_use]
    pub fn stack(mut self, name: &str) -> Self {
        self.stack = name.to_owned();
        self
    }

    /// Options of the plan, such as guards.
    #[must_use]
    pub fn options(mut self, options: PlanOptions) -> Self {
        self.options = options;
        self
    }

    /// How many mocked calls run at once; 4 where nothing is said.
    #[must_use]
    pub fn parallel(mut self, parallel: usize) -> Self {
        self.parallel = parallel;
        self
    }

    /// The first failure stops everything.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.fail_fast = true;
        self
    }

    /// Plans from the state alone, without reading what is there.
    #[must_use]
    pub fn without_refresh(mut self) -> Self {
        self.refresh = false;
        self
    }

    /// How long calls are thought to take, such as `|urn: &Urn, verb: Verb| Some(Duration::from_secs(3))`: of what is
    /// ready, the longest path goes first.
    #[must_use]
    pub fn durations(mut self, durations: impl Durations + 'static) -> Self {
        self.durations = Arc::new(durations);
        self
    }

    /// Runs the program in a destroy too, for its hooks.
    #[must_use]
    pub fn run_program(mut self) -> Self {
        self.run_program = true;
        self
    }

    /// Cancels runs when this many calls have started; with 0 before anything starts.
    #[must_use]
    pub fn cancel_after(mut self, calls: usize) -> Self {
        self.cancel_after = Some(calls);
        self
    }

    /// Runs on a cloud of this weather from now on, and waits for it as against a real one. See [`Weather`] for the clock
    /// that this needs.
    #[must_use]
    pub fn weather(mut self, weather: Weather) -> Self {
        self.world.cloud.set_weather(weather);
        self.weather = Some(weather);
        self
    }

    /// The same test with another program on the same world: the next version of it.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<Program>) -> Self {
        self.program = program.into();
        self
    }

    /// Makes calls fail: see [`Failure`].
    #[must_use]
    pub fn failing(self, failure: Failure) -> Self {
        self.world.cloud.fail(failure);
        self
    }

    /// The mocked cloud: what is there, and what was called.
    pub fn cloud(&self) -> &Cloud {
        &self.world.cloud
    }

    /// Where the state is stored: its bytes, and a hook that makes writes fail.
    pub fn backend(&self) -> &MemoryBackend {
        &self.world.backend
    }

    /// Plans, and changes nothing.
    pub async fn preview(&self) -> TestRun {
        self.run(What::Preview, &self.world.clone()).await
    }

    /// Plans, and seals the plan into a file; see [`Deployment::save_plan`].
    pub async fn save_plan(&self, file: &std::path::Path) -> TestRun {
        self.with_plan(file).run(What::Preview, &self.world.clone()).await
    }

    /// Applies a saved plan; see [`Deployment::up_saved`].
    pub async fn up_saved(&self, file: &std::path::Path) -> TestRun {
        self.with_plan(file).run(What::Up, &self.world.clone()).await
    }

    /// Makes the mocked cloud what the program says.
    pub async fn up(&self) -> TestRun {
        self.run(What::Up, &self.world.clone()).await
    }

    /// Deletes everything.
    pub async fn destroy(&self) -> TestRun {
        self.run(What::Destroy, &self.world.clone()).await
    }

    /// Lets the state follow the mocked cloud.
    pub async fn refresh(&self) -> TestRun {
        self.run(What::Refresh, &self.world.clone()).await
    }

    /// Runs an operation that dies at an instant, counted from 1: instants are each time that the run waits, before, in
    /// the middle of and after every durable write, and before, within and after every call.
    pub async fn killed_at(&self, instant: u64, operation: Operation) -> Killed {
        let what = match operation {
            Operation::Preview => What::Preview,
            Operation::Up => What::Up,
            Operation::Destroy => What::Destroy,
            Operation::Refresh => What::Refresh,
        };
        let (ended, problems) = simulate::killed_at(self, instant, what).await;
        match ended {
            Ended::Alive(run) => Killed { run: Some(*run), place: None, problems },
            Ended::Dead(place) => Killed { run: None, place: Some(place), problems },
        }
    }

    /// The stored state, as a process reads it that comes now.
    ///
    /// # Errors
    /// When it cannot be read, or is not whole.
    pub async fn state(&self) -> Result<State, StateError> {
        let backend: Arc<dyn Backend> = Arc::new(self.world.backend.clone());
        let (_, state) = Store::open(backend, Arc::clone(&self.world.sealer)).await?;
        verify(&state)?;
        Ok(state)
    }

    /// The audit log of all runs so far, verified.
    ///
    /// # Errors
    /// When it cannot be read, or what is wrong with it.
    pub async fn audit(&self) -> Result<Vec<Line>, String> {
        let backend: Arc<dyn Backend> = Arc::new(self.world.backend.clone());
        let opened = Store::open(backend, Arc::clone(&self.world.sealer)).await;
        let (store, _) = opened.map_err(|error| error.to_string())?;
        let report = store.verify_audit().await.map_err(|error| error.to_string())?;
        if let Some(fault) = report.faults.first() {
            return Err(format!("the audit log: {fault}"));
        }
        let parts = self.world.backend.load_audit(store.lineage(), 1).await.map_err(|error| error.to_string())?;
        let parse = |text: &str| Line::parse(text).ok_or_else(|| format!("no line of the audit log: {text}"));
        audit::merged(&parts, store.lines()).into_iter().map(parse).collect()
    }

    /// What `state rm` does; see [`Deployment::remove`].
    ///
    /// # Errors
    /// As [`Deployment::remove`].
    pub async fn forget(&self, urn: &Urn) -> Result<(), RunError> {
        let (backend, cloud) = (Arc::new(self.world.backend.clone()), self.world.cloud.clone());
        let options = DeployOptions { stack: self.stack.clone(), ..plain() };
        self.deployment(&self.world, backend, cloud, options).remove(urn).await
    }

    /// Adopts something that is in the mocked cloud; see [`Deployment::import`].
    ///
    /// # Errors
    /// As [`Deployment::import`].
    pub async fn import(&self, options: ImportOptions<'_>) -> Result<Adoption, RunError> {
        let backend: Arc<dyn Backend> = Arc::new(self.world.backend.clone());
        let plain = DeployOptions { stack: self.stack.clone(), ..plain() };
        let deployment = self.deployment(&self.world, backend, self.world.cloud.clone(), plain);
        deployment.import(options, &|_| true).await
    }

    /// Adopts what another tool has recorded of things that are in the mocked cloud; see [`Deployment::migrate`].
    ///
    /// # Errors
    /// As [`Deployment::migrate`].
    pub async fn migrate(&self, foreign: &ForeignState) -> Result<Migration, RunError> {
        let backend: Arc<dyn Backend> = Arc::new(self.world.backend.clone());
        let plain = DeployOptions { stack: self.stack.clone(), ..plain() };
        let deployment = self.deployment(&self.world, backend, self.world.cloud.clone(), plain);
        deployment.migrate(foreign, &|_| true).await
    }

    /// Merges what a run could not write to the state; see [`Deployment::repair`].
    ///
    /// # Errors
    /// As [`Deployment::repair`].
    pub async fn repair(&self) -> Result<Repaired, RunError> {
        let backend: Arc<dyn Backend> = Arc::new(self.world.backend.clone());
        let options = DeployOptions { stack: self.stack.clone(), ..plain() };
        self.deployment(&self.world, backend, self.world.cloud.clone(), options).repair().await
    }

    /// Renames a resource in the state; see [`Deployment::rename`].
    ///
    /// # Errors
    /// As [`Deployment::rename`].
    pub async fn rename(&self, old: &Urn, new: &Urn) -> Result<(), RunError> {
        let backend: Arc<dyn Backend> = Arc::new(self.world.backend.clone());
        let options = DeployOptions { stack: self.stack.clone(), ..plain() };
        self.deployment(&self.world, backend, self.world.cloud.clone(), options).rename(old, new).await
    }

    fn deployment(&self, world: &World, backend: Arc<dyn Backend>, cloud: Cloud, options: DeployOptions) -> Deployment {
        let mut deployment = Deployment::new(Some(self.program), options);
        deployment.source = Source::Given { backend, sealer: Arc::clone(&world.sealer), config: self.config.clone() };
        deployment.connector = Arc::new(cloud);
        deployment.settles = self.weather.is_some();
        deployment.clock = Clock::Simulated { began: world.began };
        let run = world.runs.fetch_add(1, Ordering::SeqCst);
        deployment.ids = Arc::new(Ids::seeded(world.seed.wrapping_add(run << 32)));
        deployment.given = Arc::new(self.references.clone());
        deployment
    }

    fn with_plan(&self, file: &std::path::Path) -> Self {
        Self { plan_file: Some(file.to_owned()), ..self.clone() }
    }

    async fn run(&self, what: What, world: &World) -> TestRun {
        let backend: Arc<dyn Backend> = Arc::new(world.backend.clone());
        self.run_on(what, world, backend, world.cloud.clone()).await
    }

    async fn run_on(&self, what: What, world: &World, backend: Arc<dyn Backend>, cloud: Cloud) -> TestRun {
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let sink = Arc::clone(&events);
        let cancel = CancellationToken::new();
        let (token, cancel_after) = (cancel.clone(), self.cancel_after);
        if cancel_after == Some(0) {
            cancel.cancel();
        }
        let started = Mutex::new(0);
        let options = DeployOptions {
            stack: self.stack.clone(),
            parallel: self.parallel,
            fail_fast: self.fail_fast,
            refresh: self.refresh,
            durations: Arc::clone(&self.durations),
            run_program: self.run_program,
            cancel,
            listener: Arc::new(move |event: &Event| {
                if let Event::StepStarted { .. } = event {
                    let mut started = started.lock().unwrap_or_else(PoisonError::into_inner);
                    *started += 1;
                    if Some(*started) == cancel_after {
                        token.cancel();
                    }
                }
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
            }),
            ..plain()
        };
        let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
        let before = world.backend.appended();
        let backend = Arc::new(Measured { inner: backend, sizes: Arc::clone(&sizes) });
        let deployment = self.deployment(world, backend, cloud, options);
        let result = match (what, &self.plan_file) {
            (What::Preview, Some(file)) => deployment.save_plan(&self.options, file).await.map(|plan| plan.summary()),
            (What::Up, Some(file)) => deployment.up_saved(file, &self.options).await,
            (What::Preview, None) => deployment.preview(&self.options).await.map(|plan| plan.summary()),
            (What::Up, None) => deployment.up(&self.options, &|_| true).await,
            (What::Destroy, _) => deployment.destroy(&self.options, &|_| true).await,
            (What::Refresh, _) => deployment.refresh(&self.options, &|_| true).await,
        };
        let state = match Store::open(Arc::new(world.backend.clone()), Arc::clone(&world.sealer)).await {
            Ok((_, state)) => state,
            Err(error) => panic!("the state of the test cannot be read: {error}"),
        };
        let events = events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let plan = events.iter().rev().find_map(|event| match event {
            Event::Planned { plan } => Some(Arc::clone(plan)),
            _ => None,
        });
        let appended = world.backend.appended() - before;
        let entries = sizes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let test = Self { plan_file: None, ..self.clone() };
        TestRun { test, result, state, events, plan, appended, entries }
    }
}

/// A backend that notes the size of every entry.
#[derive(Debug)]
struct Measured {
    inner: Arc<dyn Backend>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

impl Backend for Measured {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BackendError>> {
        self.inner.load()
    }
    fn acquire(&self, holder: Holder) -> BoxFuture<'_, Result<Arc<dyn Lease>, BackendError>> {
        self.inner.acquire(holder)
    }
    fn append<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).push(entry.len());
        self.inner.append(lease, expected, entry)
    }
    fn compact<'a>(
        &'a self,
        lease: &'a dyn Lease,
        expected: Position,
        snapshot: &'a [u8],
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.compact(lease, expected, snapshot)
    }
    fn unlock<'a>(&'a self, holder_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.unlock(holder_id)
    }
    fn delete<'a>(&'a self, lease: &'a dyn Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        self.inner.delete(lease)
    }
    fn audit(&self) -> Option<&dyn AuditStore> {
        self.inner.audit()
    }
}

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Test").field("program", &self.program).field("stack", &self.stack).finish_non_exhaustive()
    }
}

/// What became of a run that was to die.
#[derive(Debug)]
pub struct Killed {
    /// The run, if it ended before.
    pub run: Option<TestRun>,
    /// Where it died, if it did.
    pub place: Option<String>,
    /// What is wrong with what it wrote.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Preview,
    Up,
    Destroy,
    Refresh,
}

/// Options that look at nothing outside the test.
fn plain() -> DeployOptions {
    DeployOptions { keys: Default::default(), ..DeployOptions::default() }
}
