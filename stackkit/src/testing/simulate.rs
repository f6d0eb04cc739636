//! Simulated crashes: a run ends dead at one instant after the other, and the next run must bring everything to its end.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::ErrorKind;
use crate::event::Verb;
use crate::state::memory::MemoryBackend;
use crate::state::verify;
use crate::testing::life::{Life, Mortal};
use crate::testing::{Cloud, CloudCall, Failure, Test, TestRun, What, World};
use crate::urn::Urn;

/// What simulated crashes found.
#[derive(Debug, Clone, Default)]
pub struct CrashReport {
    /// How many crashes were simulated.
    pub crashes: usize,
    /// What went wrong, each with the step and the instant of its crash.
    pub problems: Vec<String>,
}

impl CrashReport {
    /// Every crash was followed by a run that brought the stack to where a run without a crash brings it, with nothing
    /// made twice, nothing left behind, and the state whole.
    ///
    /// # Panics
    /// When one was not; the message names the steps and instants.
    #[track_caller]
    pub fn assert_converges(&self) {
        assert!(self.crashes > 0, "the program does nothing, so that there was nothing to interrupt");
        assert!(
            self.problems.is_empty(),
            "{} of {} crashes did not converge:\n{}",
            self.problems.len(),
            self.crashes,
            self.problems.join("\n")
        );
    }
}

/// More instants than any run under test has.
const MANY: u64 = 1_000_000;

/// How a run ended that was to die.
pub(super) enum Ended {
    /// It ended before.
    Alive(Box<TestRun>),
    /// It died, where this says.
    Dead(String),
}

/// Runs an operation that dies at an instant. What it wrote is checked after every entry.
pub(super) async fn killed_at(test: &Test, instant: u64, what: What) -> (Ended, Vec<String>) {
    let life = Life::until(instant);
    let problems: Arc<Mutex<Vec<String>>> = Arc::default();
    let backend = Mortal {
        inner: test.world.backend.clone(),
        life: life.clone(),
        sealer: Arc::clone(&test.world.sealer),
        problems: Arc::clone(&problems),
    };
    let process = test.run_on(what, &test.world, Arc::new(backend), test.world.cloud.for_process(life.clone()));
    let ended = match life.live(process).await {
        Some(run) => Ended::Alive(Box::new(run)),
        None => {
            // The lock of a dead process ends with it, or with its lease.
            test.world.backend.expire();
            test.world.cloud.outlive();
            Ended::Dead(life.place().unwrap_or_else(|| "at an unknown instant".into()))
        }
    };
    let problems = std::mem::take(&mut *problems.lock().unwrap_or_else(PoisonError::into_inner));
    (ended, problems)
}

pub(super) async fn simulate(test: &Test, earlier: Option<&Test>) -> CrashReport {
    let mut report = CrashReport::default();
    for (what, says_ids) in [(What::Up, false), (What::Up, true), (What::Destroy, false)] {
        let name = if matches!(what, What::Destroy) { "destroy" } else { "up" };
        let calm = fresh(test);
        let calls = match calmly(&calm, earlier, what).await {
            Ok(calls) => calls,
            Err(problem) => {
                report.problems.push(format!("`{name}` without any crash: {problem}"));
                return report;
            }
        };
        let expected = calm.world.cloud.urns();
        for instant in 1..MANY {
            let shaken = fresh(test);
            shaken.world.cloud.say_ids(says_ids);
            if let Err(problem) = prepared(&shaken, earlier, what).await {
                report.problems.push(format!("`{name}` without any crash: {problem}"));
                return report;
            }
            let (ended, problems) = killed_at(&shaken, instant, what).await;
            let Ended::Dead(place) = ended else { break };
            report.crashes += 1;
            let outcome = recovers(&shaken, what, &expected).await.err();
            for problem in problems.into_iter().chain(outcome) {
                report.problems.push(format!("`{name}` stopped at instant {instant}, {place}: {problem}"));
            }
        }
        for call in calls.iter().filter(|call| call.verb == Verb::Create) {
            let shaken = fresh(test);
            if prepared(&shaken, earlier, what).await.is_err() {
                continue;
            }
            let lost = Failure::of(Verb::Create, call.urn.as_str()).kind(ErrorKind::UnknownOutcome).after_effect();
            shaken.world.cloud.fail(lost);
            // Whether the run itself comes to its end is not the question.
            shaken.run(what, &shaken.world).await;
            if let Err(problem) = recovers(&shaken, what, &expected).await {
                report.problems.push(format!("`{name}`, the reply to the create of {} lost: {problem}", call.urn));
            }
        }
    }
    report
}

/// Brings a world to where the operation begins.
async fn prepared(test: &Test, earlier: Option<&Test>, what: What) -> Result<(), String> {
    if let Some(earlier) = earlier {
        ended_well(&Test { world: test.world.clone(), ..earlier.clone() }, What::Up).await?;
    }
    if matches!(what, What::Destroy) {
        ended_well(test, What::Up).await?;
    }
    test.world.cloud.clear_calls();
    Ok(())
}

async fn calmly(test: &Test, earlier: Option<&Test>, what: What) -> Result<Vec<CloudCall>, String> {
    prepared(test, earlier, what).await?;
    ended_well(test, what).await?;
    Ok(test.world.cloud.calls())
}

/// The next run brings everything to its end, and the one after it finds nothing to do.
async fn recovers(test: &Test, what: What, expected: &[Urn]) -> Result<(), String> {
    let run = ended_well(test, what).await?;
    check(test, &run, expected)?;
    let again = ended_well(test, what).await?;
    if again.appended() > 0 {
        let steps: Vec<_> = again.steps().iter().map(|(verb, urn)| format!("{} {urn}", verb.name())).collect();
        return Err(format!("the run after the next one still had something to do: {}", steps.join(", ")));
    }
    Ok(())
}

/// The same test on an empty world.
fn fresh(test: &Test) -> Test {
    let world = World {
        cloud: Cloud::default(),
        backend: MemoryBackend::default(),
        runs: Arc::default(),
        ..test.world.clone()
    };
    if let Some(weather) = test.weather {
        world.cloud.set_weather(weather);
    }
    Test { world, ..test.clone() }
}

async fn ended_well(test: &Test, what: What) -> Result<TestRun, String> {
    let run = test.run(what, &test.world).await;
    match &run.result {
        Ok(_) => Ok(run),
        // What is protected stays, with or without a crash.
        Err(error) if error.exit_code() == 3 => Ok(run),
        Err(error) => Err(format!("{error}; {}", run.failures().join("; "))),
    }
}

fn check(test: &Test, run: &TestRun, expected: &[Urn]) -> Result<(), String> {
    verify(&run.state).map_err(|error| error.to_string())?;
    let there = test.world.cloud.urns();
    if there != expected {
        return Err(format!("the cloud has {there:?}, and without a crash it has {expected:?}"));
    }
    let mut ids = test.world.cloud.ids();
    let mut recorded: Vec<String> = run.state.resources.values().map(|record| record.id.clone()).collect();
    ids.sort();
    recorded.sort();
    if ids != recorded {
        return Err(format!("the cloud has {ids:?}, and the state has {recorded:?}"));
    }
    if !run.state.intents.is_empty() {
        return Err(format!("{} calls are still open", run.state.intents.len()));
    }
    Ok(())
}
