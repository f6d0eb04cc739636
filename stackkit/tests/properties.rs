//! Random programs, histories, failures and crashes: whatever happens, the state stays whole, nothing is made twice or
//! lost, and a run that is left alone brings everything to where the last program wants it.
//!
//! `STACKKIT_CASES` says how many histories are tried (a few by default), `STACKKIT_SEED` which one is replayed.

#[path = "rules/toys.rs"]
mod toys;

use std::collections::{BTreeMap, BTreeSet};

use stackkit::ErrorKind;
use stackkit::event::{Operation, Verb};
use stackkit::plan::{Action, PlanOptions};
use stackkit::state::model::Status;
use stackkit::testing::{Failure, Test, TestRun};
use toys::*;

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit.max(1) as u64) as usize
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// A program: some of the names, in any order, with references backwards.
fn program(dice: &mut Dice) -> Vec<Item> {
    let mut names: Vec<&str> = NAMES.to_vec();
    for at in (1..names.len()).rev() {
        names.swap(at, dice.below(at + 1));
    }
    names.truncate(dice.below(NAMES.len() + 1));
    let mut items: Vec<Item> = Vec::new();
    for name in names {
        let mut new = item(name).size(1 + dice.below(3) as u32);
        // The type goes with the name but for a few, so that most changes are changes of the same thing.
        new.first = (name >= "e") != dice.one_in(12);
        new.kind = dice.one_in(2).then(|| dice.pick(&["iron", "gold"]).to_owned());
        for other in &items {
            if dice.one_in(3) {
                let part = dice.pick(&[Part::Id, Part::Id, Part::Address, Part::Revision, Part::Constant]);
                let reference = (other.name.clone(), part);
                if dice.one_in(2) { new.hard.push(reference) } else { new.soft.push(reference) }
            } else if dice.one_in(6) {
                new.after.push(other.name.clone());
            }
        }
        if dice.one_in(6) {
            new.fixed = Some(format!("fixed-{name}"));
        }
        if dice.one_in(6) {
            new.delete_first = Some(dice.one_in(2));
        }
        if dice.one_in(12) {
            // A name that is fixed and retained can never be replaced, which the planner refuses.
            (new.retain, new.fixed) = (true, None);
        }
        if dice.one_in(8) {
            new.with = items.iter().find(|other| !other.first).map(|other| other.name.clone());
        }
        if dice.one_in(8) {
            let unused: Vec<&str> = NAMES.into_iter().filter(|other| *other != name).collect();
            new.alias.push(dice.pick(&unused).to_owned());
        }
        if dice.one_in(4) {
            new.tags = Some(BTreeMap::from([("k".to_owned(), dice.below(2).to_string())]));
        }
        if dice.one_in(4) {
            new.password = Some(format!("password-{}", dice.below(2)));
        }
        if dice.one_in(10) {
            new.replace_on.push("size".into());
        }
        items.push(new);
    }
    // An alias of a living resource is an error, and so are two claims on one name: the planner's tests have those.
    let living: BTreeSet<String> = items.iter().map(|item| item.name.clone()).collect();
    let mut claimed = BTreeSet::new();
    for item in &mut items {
        item.alias.retain(|alias| !living.contains(alias) && claimed.insert(alias.clone()));
    }
    items
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Event {
    Program(Vec<Item>),
    Fail(Failure),
    Kill(u64, Operation),
    Up,
    Cancelled(usize),
    Refresh,
    Remove(String),
    Tamper(String),
    Force(String),
    Destroy,
}

fn history(dice: &mut Dice) -> Vec<Event> {
    let mut events = vec![Event::Program(program(dice))];
    for _ in 0..4 + dice.below(8) {
        events.push(match dice.below(16) {
            0..=2 => Event::Program(program(dice)),
            3 | 4 => {
                let verb = dice.pick(&[Verb::Create, Verb::Update, Verb::Delete]);
                let kinds = [ErrorKind::Invalid, ErrorKind::Denied, ErrorKind::Conflict];
                let mut failure = Failure::of(verb, dice.pick(&NAMES)).kind(dice.pick(&kinds));
                failure = match dice.below(4) {
                    0 => failure.panics(),
                    1 if verb == Verb::Create => failure.after_id(),
                    2 if verb == Verb::Update => failure.after_effect(),
                    3 => failure.after_effect().panics(),
                    _ => failure,
                };
                Event::Fail(failure)
            }
            5..=8 => {
                let operation =
                    dice.pick(&[Operation::Up, Operation::Up, Operation::Up, Operation::Destroy, Operation::Refresh]);
                Event::Kill(1 + dice.below(60) as u64, operation)
            }
            9 | 10 => Event::Up,
            11 => Event::Cancelled(dice.below(4)),
            12 => Event::Refresh,
            13 => Event::Remove(dice.pick(&NAMES).to_owned()),
            14 => Event::Tamper(dice.pick(&NAMES).to_owned()),
            _ if dice.one_in(3) => Event::Destroy,
            _ => Event::Force(dice.pick(&NAMES).to_owned()),
        });
    }
    events
}

/// What must be true after every run, however it ended.
fn sound(test: &Test, run: &TestRun) -> Result<(), String> {
    stackkit::state::verify(run.state()).map_err(|error| error.to_string())?;
    let mut present = BTreeSet::new();
    for record in run.state().resources.values().filter(|record| record.status != Status::PendingDelete) {
        if !present.insert(record.urn.clone()) {
            return Err(format!("{} is there twice", record.urn));
        }
    }
    // Everything in the cloud is in the state, or is what an open call may have made.
    let known: BTreeSet<&str> = run.state().resources.values().map(|record| record.id.as_str()).collect();
    let open: BTreeSet<&str> = run.state().intents.values().map(|intent| intent.urn.name()).collect();
    for id in test.cloud().ids() {
        if !known.contains(id.as_str()) && !open.contains(name_of(&id)) {
            return Err(format!("`{id}` is in the cloud, and nobody knows of it"));
        }
    }
    Ok(())
}

/// What a run forgot on purpose is still there after it; then somebody clears it away, so that its name is free again.
fn forgotten(test: &Test, run: &TestRun, before: &BTreeSet<String>) {
    for id in test.cloud().ids() {
        let known = run.state().resources.values().any(|record| record.id == id);
        let open = run.state().intents.values().any(|intent| intent.urn.name() == name_of(&id));
        if before.contains(name_of(&id)) && !known && !open {
            test.cloud().remove(&id);
        }
    }
}

fn name_of(id: &str) -> &str {
    id.split('-').nth(1).unwrap_or_default()
}

/// Names of what may be forgotten instead of deleted, by the state or by the program.
fn retained(run: &TestRun, items: &[Item]) -> BTreeSet<String> {
    let records = run.state().resources.values().map(|record| (&record.urn, &record.options, &record.id));
    let intents = run.state().intents.values().map(|intent| (&intent.urn, &intent.options, &intent.token));
    let mut names: BTreeSet<String> = records
        .chain(intents)
        .filter(|(_, options, _)| options.retain_on_delete || options.deleted_with.is_some())
        .flat_map(|(urn, _, id)| [urn.name().to_owned(), name_of(id).to_owned()])
        .collect();
    for item in items.iter().filter(|item| item.retain || item.with.is_some()) {
        names.insert(item.name.clone());
        names.extend(item.alias.iter().cloned());
    }
    names
}

/// Deletions came in an order that the cloud allows: nothing that forces a replacement still stood on what went.
fn ordered(run: &TestRun, test: &Test, retained: &BTreeSet<String>) -> Result<(), String> {
    let Some(plan) = run.plan() else { return Ok(()) };
    let first: BTreeSet<_> = plan
        .nodes
        .iter()
        .filter(|node| node.action == (Action::Replace { delete_first: true }))
        .map(|node| node.urn.clone())
        .collect();
    for call in test.cloud().calls().iter().filter(|call| call.verb == Verb::Delete && !call.used_by.is_empty()) {
        // What forgets or leaves things alone does not follow their references either.
        let fair = |urn: &stackkit::Urn| {
            !retained.contains(urn.name())
                && plan.nodes.iter().any(|node| node.urn == *urn && node.action.name() != "forget")
                && run.state().resources.values().any(|record| record.urn == *urn)
        };
        let users: Vec<_> = call.used_by.iter().filter(|urn| fair(urn)).collect();
        if !first.contains(&call.urn) && !users.is_empty() {
            return Err(format!("{} was deleted while {users:?} used it", call.urn));
        }
    }
    Ok(())
}

async fn case(seed: u64) -> Result<(), String> {
    let mut dice = Dice(seed);
    let events = history(&mut dice);
    let says_ids = dice.one_in(2);
    let parallel = 1 + dice.below(4);
    let test = toys::test(&[]).parallel(parallel);
    test.cloud().say_ids(says_ids);
    let mut items: Vec<Item> = Vec::new();
    let mut before = BTreeSet::new();
    let mut last = test.preview().await;
    let replays = std::env::var_os("STACKKIT_SEED").is_some();
    for (at, event) in events.iter().enumerate() {
        if replays {
            println!("{at}: {event:?}");
        }
        // A killed run may have forgotten something whose name an open call has, too: it counts for later runs.
        before.extend(retained(&last, &items));
        let place = |problem: String| format!("event {at}, {event:?}: {problem}");
        test.cloud().clear_calls();
        let run = match event {
            Event::Program(next) => {
                items.clone_from(next);
                describe(std::slice::from_ref(next));
                continue;
            }
            Event::Fail(failure) => {
                test.cloud().fail(failure.clone());
                continue;
            }
            Event::Remove(name) => {
                test.cloud().remove(name);
                continue;
            }
            Event::Tamper(name) => {
                test.cloud().tamper(name, toys::schema(), "size", stackkit::Value::Int(9));
                continue;
            }
            Event::Kill(point, operation) => match test.killed_at(*point, *operation).await {
                Some(run) => run,
                // What is durable at that instant is looked at with the eyes of the next run.
                None => {
                    let run = test.clone().without_refresh().preview().await;
                    stackkit::state::verify(run.state()).map_err(|error| place(error.to_string()))?;
                    run
                }
            },
            Event::Up => test.up().await,
            Event::Cancelled(after) => test.clone().cancel_after(*after).up().await,
            Event::Refresh => test.refresh().await,
            Event::Force(name) => {
                let replace = PlanOptions { replace: vec![name.clone()], ..PlanOptions::default() };
                test.clone().options(replace).up().await
            }
            Event::Destroy => test.destroy().await,
        };
        if replays {
            println!("   {:?} {:?} {:?}", lines(&run), run.failures(), test.cloud().ids());
        }
        forgotten(&test, &run, &before);
        sound(&test, &run).map_err(place)?;
        if !matches!(event, Event::Kill(..)) {
            ordered(&run, &test, &before).map_err(place)?;
        }
        last = run;
    }
    test.cloud().clear_failures();
    test.cloud().clear_calls();
    before.extend(retained(&last, &items));
    let (one, two) = (test.preview().await, test.preview().await);
    if format!("{:?}", one.plan()) != format!("{:?}", two.plan()) {
        return Err("two plans of the same differ".into());
    }
    if let Some(plan) = one.plan()
        && !plan.diagnostics.is_empty()
    {
        // What cannot be ordered is refused as a whole, before anything is touched.
        let all: Vec<_> = plan.diagnostics.iter().map(ToString::to_string).collect();
        if all.iter().all(|text| text.contains("circle")) && test.cloud().calls().is_empty() {
            return Ok(());
        }
        return Err(format!("the plan is refused: {}", all.join("; ")));
    }
    let mut run = test.up().await;
    if run.result().is_err() {
        return Err(format!("left alone, `up` fails: {}; {:?}", run.expect_err(), run.failures()));
    }
    forgotten(&test, &run, &before);
    sound(&test, &run)?;
    ordered(&run, &test, &before)?;
    let again = test.up().await;
    if again.result().is_err() || !again.steps().is_empty() || again.appended() > 0 {
        return Err(format!("a second `up` is not empty: {:?}, {} bytes", lines(&again), again.appended()));
    }
    // What the program says is there, once, and nothing else is.
    let wanted: BTreeSet<&str> = items.iter().map(|item| item.name.as_str()).collect();
    let found: BTreeSet<&str> = again.state().resources.values().map(|record| record.urn.name()).collect();
    if wanted != found || again.state().resources.len() != wanted.len() || !again.state().intents.is_empty() {
        return Err(format!("the program wants {wanted:?}, and the state has {found:?}"));
    }
    let ids: Vec<String> = test.cloud().ids();
    let mut recorded: Vec<String> = again.state().resources.values().map(|record| record.id.clone()).collect();
    recorded.sort();
    if ids != recorded {
        return Err(format!("the cloud has {ids:?}, and the state has {recorded:?}"));
    }
    for item in &items {
        let size = test.cloud().value(&item.name, toys::schema(), "size");
        let there = again.state().resources.values().find(|record| record.urn.name() == item.name);
        let recorded = there.and_then(|record| record.inputs.get("size").cloned());
        if recorded != Some(stackkit::Value::Int(item.size.into())) {
            return Err(format!("`{}` is to have size {}, and has {recorded:?} ({size:?})", item.name, item.size));
        }
    }
    before.extend(retained(&again, &items));
    run = test.destroy().await;
    if run.result().is_err() {
        return Err(format!("`destroy` fails: {}; {:?}", run.expect_err(), run.failures()));
    }
    forgotten(&test, &run, &before);
    sound(&test, &run)?;
    if !run.state().resources.is_empty() || !run.state().intents.is_empty() || !run.state().outputs.is_empty() {
        return Err(format!(
            "`destroy` leaves {:?}",
            run.state().resources.values().map(|r| r.urn.clone()).collect::<Vec<_>>()
        ));
    }
    Ok(())
}

#[test]
fn any_history_of_programs_failures_and_crashes_converges() {
    // Panics of the toy provider are part of the histories; their traces would bury what matters.
    std::panic::set_hook(Box::new(|_| {}));
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = match number("STACKKIT_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("STACKKIT_CASES").unwrap_or(150)).collect(),
    };
    let mut problems = Vec::new();
    for seed in &seeds {
        let outcome = std::panic::catch_unwind(|| stackkit::__private::block_on(case(*seed)));
        let problem = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(problem)) => problem,
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
                format!("panicked: {}", text.unwrap_or_default())
            }
        };
        problems.push(format!("STACKKIT_SEED={seed}: {problem}"));
    }
    let _ = std::panic::take_hook();
    assert!(
        problems.is_empty(),
        "{} of {} histories went wrong; replay one with\nSTACKKIT_SEED=… cargo test -p stackkit --test properties\n{}",
        problems.len(),
        seeds.len(),
        problems.iter().take(12).cloned().collect::<Vec<_>>().join("\n")
    );
}
