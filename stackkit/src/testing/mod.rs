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

mod cloud;
mod crash;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use cloud::{Cloud, CloudCall, Failure};
pub use crash::CrashReport;

use crate::engine::session::Source;
use crate::engine::{DeployOptions, Deployment, RunError};
use crate::event::{Event, Summary, Verb};
use crate::ids::Ids;
use crate::plan::{Action, Plan, PlanOptions};
use crate::program::Program;
use crate::property::Property;
use crate::resource::{Fields, Resource};
use crate::seal::Sealer;
use crate::state::backend::Backend;
use crate::state::memory::MemoryBackend;
use crate::state::model::{ResourceRecord, State, Status};
use crate::state::{Store, verify};
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
    world: World,
}

/// What outlives a run: the mocked cloud and the stored state.
#[derive(Clone)]
struct World {
    cloud: Cloud,
    backend: MemoryBackend,
    sealer: Arc<Sealer>,
    seed: u64,
}

impl Test {
    /// Tests a program made by `#[stackkit::main]` or `#[stackkit::program]`.
    ///
    /// # Panics
    /// When the system has no random source for the key that seals the test's state.
    pub fn of(program: Program) -> Self {
        let sealer = Sealer::ephemeral().unwrap_or_else(|error| panic!("no key for the test's state: {error}"));
        Self {
            program,
            stack: "test".into(),
            config: BTreeMap::new(),
            options: PlanOptions::default(),
            parallel: 4,
            world: World {
                cloud: Cloud::default(),
                backend: MemoryBackend::default(),
                sealer: Arc::new(sealer),
                seed: 1,
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

    /// Plans, and changes nothing.
    pub async fn preview(&self) -> TestRun {
        self.run(What::Preview, &self.world.clone()).await
    }

    /// Makes the mocked cloud what the program says.
    pub async fn up(&self) -> TestRun {
        self.run(What::Up, &self.world.clone()).await
    }

    /// Deletes everything.
    pub async fn destroy(&self) -> TestRun {
        self.run(What::Destroy, &self.world.clone()).await
    }

    async fn run(&self, what: What, world: &World) -> TestRun {
        let backend: Arc<dyn Backend> = Arc::new(world.backend.clone());
        self.run_on(what, world, backend).await
    }

    async fn run_on(&self, what: What, world: &World, backend: Arc<dyn Backend>) -> TestRun {
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let sink = Arc::clone(&events);
        let options = DeployOptions {
            stack: self.stack.clone(),
            parallel: self.parallel,
            keys: Default::default(),
            listener: Arc::new(move |event: &Event| {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
            }),
            ..DeployOptions::default()
        };
        let mut deployment = Deployment::new(Some(self.program), options);
        deployment.source = Source::Given { backend, sealer: Arc::clone(&world.sealer), config: self.config.clone() };
        deployment.connector = Arc::new(world.cloud.clone());
        deployment.ids = Arc::new(Ids::seeded(world.seed.wrapping_add(world.backend.appended() << 32)));
        let result = match what {
            What::Preview => deployment.preview(&self.options).await.map(|plan| plan.summary()),
            What::Up => deployment.up(&self.options, &|_| true).await,
            What::Destroy => deployment.destroy(&self.options, &|_| true).await,
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
        TestRun { test: self.clone(), result, state, events, plan }
    }
}

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Test").field("program", &self.program).field("stack", &self.stack).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
enum What {
    Preview,
    Up,
    Destroy,
}

/// What came of a run under test.
#[derive(Debug)]
pub struct TestRun {
    test: Test,
    result: Result<Summary, RunError>,
    state: State,
    events: Vec<Event>,
    plan: Option<Arc<Plan>>,
}

impl TestRun {
    /// The run, if it ended well.
    ///
    /// # Panics
    /// When it did not; the message says why, failed steps included.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "often the last thing that a test does")]
    pub fn expect_ok(self) -> Self {
        if let Err(error) = &self.result {
            panic!("the run did not end well: {error}\n{}", self.failures().join("\n"));
        }
        if let Err(problem) = verify(&self.state) {
            panic!("the run left a state that is not whole: {problem}");
        }
        self
    }

    /// The error, if it did not end well.
    ///
    /// # Panics
    /// When it did.
    #[track_caller]
    pub fn expect_err(&self) -> &RunError {
        match &self.result {
            Ok(summary) => panic!("the run ended well: {summary:?}"),
            Err(error) => error,
        }
    }

    /// Steps that failed, as lines.
    pub fn failures(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::StepFailed { urn, verb, error, .. } => Some(format!("{urn}: {} failed: {error}", verb.name())),
                _ => None,
            })
            .collect()
    }

    /// What was counted.
    pub fn summary(&self) -> Summary {
        match &self.result {
            Ok(summary) | Err(RunError::Failed(summary) | RunError::Cancelled(summary)) => summary.clone(),
            Err(_) => Summary::default(),
        }
    }

    /// Every event of the run.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The plan, if the run came so far.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_deref()
    }

    /// What the plan says of a resource.
    ///
    /// # Panics
    /// When there is no plan, or it does not have the resource.
    #[track_caller]
    pub fn planned<R: Resource>(&self, name: &str) -> Action {
        let urn = Urn::new(R::SCHEMA.type_name, name);
        match self.plan().and_then(|plan| plan.nodes.iter().find(|node| node.urn == urn)) {
            Some(node) => node.action.clone(),
            None => panic!("the plan says nothing of {urn}"),
        }
    }

    /// The finished steps in their order: what was done to which resource.
    pub fn steps(&self) -> Vec<(Verb, Urn)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::StepDone { urn, verb, .. } => Some((*verb, urn.clone())),
                _ => None,
            })
            .collect()
    }

    /// The state after the run.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn record(&self, urn: &Urn) -> Option<&ResourceRecord> {
        self.state.resources.values().find(|record| record.urn == *urn && record.status != Status::PendingDelete)
    }

    /// Whether the state has a resource.
    pub fn has<R: Resource>(&self, name: &str) -> bool {
        self.record(&Urn::new(R::SCHEMA.type_name, name)).is_some()
    }

    /// A resource, typed.
    ///
    /// # Panics
    /// When the state does not have it; the message lists what there is.
    #[track_caller]
    pub fn get<R: Resource>(&self, name: &str) -> R::State {
        let urn = Urn::new(R::SCHEMA.type_name, name);
        let Some(record) = self.record(&urn) else {
            let all: Vec<_> = self.state.resources.values().map(|record| record.urn.to_string()).collect();
            panic!("there is no {urn}; there are: {}", all.join(", "));
        };
        match R::State::from_values(&crate::plan::state_values(R::SCHEMA, record)) {
            Ok(state) => state,
            Err(error) => panic!("{urn} cannot be read as its type: field {error}"),
        }
    }

    /// An output of the stack, typed.
    ///
    /// # Panics
    /// When there is none of that name and type.
    #[track_caller]
    pub fn output<T: Property>(&self, name: &str) -> T {
        match self.state.outputs.get(name).map(T::from_value) {
            Some(Ok(value)) => value,
            Some(Err(error)) => panic!("the output `{name}`: {error}"),
            None => panic!("there is no output `{name}`"),
        }
    }

    /// The mocked cloud.
    pub fn cloud(&self) -> &Cloud {
        &self.test.world.cloud
    }

    /// Runs the same program on an empty world again and again, each time killed at the next durable write or call, and
    /// brings each to its end with further runs.
    pub async fn simulate_crashes(&self) -> CrashReport {
        crash::simulate(&self.test).await
    }
}
