//! `TestRun`: what came of a run under test, and what may be asked of it.

use std::sync::Arc;

use crate::engine::RunError;
use crate::event::{Event, Summary, Verb};
use crate::plan::{Action, Plan};
use crate::property::Property;
use crate::resource::{Fields, Resource};
use crate::state::model::{ResourceRecord, State, Status};
use crate::state::verify;
use crate::testing::Test;
use crate::testing::cloud::Cloud;
use crate::testing::simulate::{self, CrashReport};
use crate::urn::Urn;

/// What came of a run under test.
#[derive(Debug)]
pub struct TestRun {
    pub(super) test: Test,
    pub(super) result: Result<Summary, RunError>,
    pub(super) state: State,
    pub(super) events: Vec<Event>,
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) appended: u64,
    pub(super) entries: Vec<usize>,
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

    /// How it ended.
    ///
    /// # Errors
    /// Why it did not end well.
    pub fn result(&self) -> Result<&Summary, &RunError> {
        self.result.as_ref()
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

    /// Bytes that the run appended to the stored state.
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// Sizes in bytes of the journal entries that the run appended, in order.
    pub fn entries(&self) -> &[usize] {
        &self.entries
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

    /// Runs the same program on an empty world again and again. Each time the run dies at the next instant: each time that
    /// it waits, before, in the middle of and after every durable write, and before, within and after every call. The
    /// next run must bring it to where a run without a crash ends: nothing made twice, nothing left behind, the state
    /// whole after every entry of its journal, and nothing left for the run after that. Deleting everything is tried in
    /// the same way, and so is every create whose reply is lost.
    ///
    /// The report names the step and the instant of what did not converge. On a cloud of other [`Weather`](crate::testing::Weather) than the
    /// default one, requests of the dead run may land later, too.
    pub async fn simulate_crashes(&self) -> CrashReport {
        simulate::simulate(&self.test, None).await
    }

    /// [`TestRun::simulate_crashes`], with runs that begin where `earlier` has brought the world: what is interrupted is
    /// the change from there to this program.
    pub async fn simulate_crashes_after(&self, earlier: &Test) -> CrashReport {
        simulate::simulate(&self.test, Some(earlier)).await
    }
}
