//! Rounds of one lane: a kill, the same command again, and the count of what is there against what the state has.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use acceptance::{Course, Ran, Random, Sandbox};
use serde_json::Value;

use crate::tally::{Operation, Outcome, Tally};
use crate::world::{World, compare};

/// How many changing runs a stack lives through before it is destroyed.
const CHANGES: u32 = 3;

/// One world, and the stacks that live in it one after the other.
pub(crate) struct Lane<'a> {
    pub(crate) program: &'a Path,
    pub(crate) world: Box<dyn World + 'a>,
    pub(crate) random: Random,
    pub(crate) tally: &'a Mutex<Tally>,
    pub(crate) keep: bool,
}

/// What is run, with its arguments.
struct Command {
    operation: Operation,
    args: Vec<String>,
}

impl Command {
    fn up(operation: Operation, seed: u64, step: u32) -> Self {
        let args = ["up", "--yes", "--json", "--config"].map(str::to_owned).into_iter();
        let config = [format!("seed={seed}"), "--config".to_owned(), format!("step={step}")];
        Self { operation, args: args.chain(config).collect() }
    }

    fn destroy() -> Self {
        Self { operation: Operation::Destroy, args: ["destroy", "--yes", "--json"].map(str::to_owned).into() }
    }

    fn args(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }

    /// The same without doing anything; none for what is nothing to preview.
    fn settled(&self) -> Option<Vec<&str>> {
        let (_, rest) = self.args.split_first()?;
        let rest = rest.iter().map(String::as_str).filter(|arg| *arg != "--yes");
        let settled = ["preview", "--expect-no-changes"].into_iter().chain(rest).collect();
        (self.operation != Operation::Destroy).then_some(settled)
    }
}

impl Lane<'_> {
    /// Lets stacks live and die until there were enough kills.
    pub(crate) fn run(mut self) -> Result<(), String> {
        let mut courses = self.measure()?;
        for life in 0_u64.. {
            if self.tally().is_enough() {
                break;
            }
            let seed = self.random.part(life).number() >> 32;
            let sandbox = self.sandbox();
            let mut commands = vec![Command::up(Operation::Up, seed, 0)];
            commands.extend((1..=CHANGES).map(|step| Command::up(Operation::Change, seed, step)));
            commands.push(Command::destroy());
            let mut fine = true;
            for command in &commands {
                if self.tally().is_enough() {
                    break;
                }
                fine = self.round(&sandbox, command, seed, &mut courses)?;
                if !fine {
                    break;
                }
            }
            if !fine {
                if self.keep {
                    println!("  its folder is kept: {}", sandbox.keep().display());
                }
                self.world.clear(seed)?;
            } else if self.tally().is_enough() {
                self.world.clear(seed)?;
            }
        }
        Ok(())
    }

    /// Whole runs of each command, to know how they go.
    fn measure(&mut self) -> Result<HashMap<&'static str, Course>, String> {
        let seed = self.random.clone().number() >> 32;
        let sandbox = self.sandbox();
        let mut courses = HashMap::new();
        let up = Command::up(Operation::Up, seed, 0);
        for command in [up, Command::up(Operation::Change, seed, 2), Command::destroy()] {
            let ran = sandbox.run(&command.args());
            if ran.code != Some(0) {
                return Err(format!("it fails without being killed: {}", ran.told()));
            }
            courses.insert(command.operation.name(), ran.course);
        }
        Ok(courses)
    }

    /// One kill. Says whether all was well.
    fn round(
        &mut self,
        sandbox: &Sandbox,
        command: &Command,
        seed: u64,
        courses: &mut HashMap<&'static str, Course>,
    ) -> Result<bool, String> {
        let args = command.args();
        let part = self.random.fraction();
        let moment = courses.get(command.operation.name()).cloned().unwrap_or_default().at(part);
        let cut = sandbox.kill_at(&args, moment);
        let (again, killed) = if cut.killed() { (sandbox.run(&args), true) } else { (cut, false) };
        let mut outcome =
            Outcome { open: killed && again.stdout.contains("{\"type\":\"recovered\""), ..Outcome::default() };
        if again.code != Some(0) {
            outcome.hand = Some(again.told());
        }
        let listed = sandbox.run(&["state", "list", "--json"]);
        if listed.code != Some(0) {
            outcome.hand.get_or_insert_with(|| listed.told());
        }
        let state: Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
        let there = self.world.things(seed, &sandbox.stack())?;
        outcome.difference = compare(&*self.world, &there, &state);
        if let Some(settled) = command.settled().filter(|_| outcome.hand.is_none()) {
            let settled: Ran = sandbox.run(&settled);
            outcome.restless = (settled.code != Some(0)).then(|| settled.told());
        }
        let fine = outcome.is_fine();
        if !fine {
            println!("FOUND: killed {moment} of `{}`: {}", args.join(" "), told(&outcome));
        }
        let mut tally = self.tally();
        if killed {
            tally.count(command.operation, &outcome);
        } else {
            tally.missed();
            drop(tally);
            courses.insert(command.operation.name(), again.course);
        }
        Ok(fine)
    }

    fn sandbox(&self) -> Sandbox {
        Sandbox::new(self.program).with_env(self.world.env())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(outcome: &Outcome) -> String {
    let mut text = String::new();
    let lists = [
        ("orphan", &outcome.difference.orphans),
        ("duplicate", &outcome.difference.duplicates),
        ("lost", &outcome.difference.lost),
    ];
    for (name, list) in lists {
        text.extend(list.iter().map(|one| format!("\n  {name}: {one}")));
    }
    text.extend(outcome.hand.iter().map(|why| format!("\n  it needs a hand: {why}")));
    text.extend(outcome.restless.iter().map(|why| format!("\n  it does not settle: {why}")));
    text
}
