//! One case: a history of programs, runs, failures and deaths on a simulated cloud, and what must hold all along.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stackkit::engine::RunError;
use stackkit::event::{Operation, Verb};
use stackkit::hook::HookPoint;
use stackkit::plan::PlanOptions;
use stackkit::state::backend::BackendError;
use stackkit::state::model::{HookDue, IntentKind, State, Status};
use stackkit::testing::{CloudCall, Failure, Test, TestRun, Weather};
use stackkit::{ErrorKind, Urn, Value};

use crate::hooks;
use crate::order::{Judge, shows};
use crate::program::{
    BOX, CANARY, Edit, Item, Listing, POINTS, Ran, Ty, declare, edits, found, is_found, name, path, program,
};
use crate::program::{fail_hook, mend_hooks, take_ran, watch};
use crate::select::{Select, select};

/// How a run is to go.
#[derive(Clone, Debug)]
pub struct Go {
    operation: Operation,
    /// The instant at which the process dies.
    dies: Option<u64>,
    cancelled: Option<usize>,
    refresh: bool,
    fail_fast: bool,
    replace: Option<&'static str>,
    select: Option<Select>,
    /// Whether `destroy` runs the program, for its hooks.
    run_program: bool,
    /// After so many durable writes the disk is full.
    disk: Option<usize>,
}

/// How a call is to fail.
#[derive(Clone, Debug)]
pub struct Fault {
    verb: Verb,
    name: &'static str,
    kind: ErrorKind,
    after: bool,
    panics: bool,
    hangs: bool,
}

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Event {
    Change(Vec<Edit>),
    Run(Go),
    Fail(Fault),
    /// A hook fails until further notice.
    FailHook(&'static str, HookPoint),
    MendHooks,
    /// Somebody deletes it.
    Vanish(&'static str),
    /// Somebody changes it.
    Tamper(&'static str),
    /// Somebody makes something of the name that the program may want.
    Stranger(&'static str),
    StrangerLeaves(&'static str),
    /// Somebody makes something that a thing of the program may adopt.
    Found(&'static str),
    /// Time goes by.
    Wait(u64),
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    pub events: Vec<Event>,
    pub storm: Option<u64>,
    pub says_ids: bool,
    pub parallel: usize,
}

fn go() -> impl Strategy<Value = Go> {
    let operation = prop_oneof![
        6 => Just(Operation::Up), 1 => Just(Operation::Destroy), 1 => Just(Operation::Refresh), 1 => Just(Operation::Preview),
    ];
    (
        operation,
        option::weighted(0.5, 1..160u64),
        option::weighted(0.1, 0..5usize),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.1),
        option::weighted(0.15, name()),
        option::weighted(0.06, 0..6usize),
        (option::weighted(0.15, select()), any::<bool>()),
    )
        .prop_map(|(operation, dies, cancelled, refresh, fail_fast, replace, disk, (select, run_program))| Go {
            operation,
            dies,
            cancelled,
            refresh,
            fail_fast,
            replace,
            disk,
            select,
            run_program,
        })
}

fn fault() -> impl Strategy<Value = Fault> {
    let verb = prop_oneof![Just(Verb::Create), Just(Verb::Update), Just(Verb::Delete)];
    let kind = prop::sample::select(
        &[ErrorKind::Invalid, ErrorKind::Denied, ErrorKind::Conflict, ErrorKind::Throttled, ErrorKind::UnknownOutcome]
            [..],
    );
    (verb, name(), kind, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.1))
        .prop_map(|(verb, name, kind, after, panics, hangs)| Fault { verb, name, kind, after, panics, hangs })
}

fn point() -> impl Strategy<Value = HookPoint> {
    prop::sample::select(&POINTS[..])
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => edits().prop_map(Event::Change),
        9 => go().prop_map(Event::Run),
        2 => fault().prop_map(Event::Fail),
        1 => (name(), point()).prop_map(|(name, point)| Event::FailHook(name, point)),
        1 => Just(Event::MendHooks),
        1 => name().prop_map(Event::Vanish),
        1 => name().prop_map(Event::Tamper),
        1 => name().prop_map(Event::Stranger),
        1 => name().prop_map(Event::StrangerLeaves),
        1 => name().prop_map(Event::Found),
        1 => (1..60u64).prop_map(Event::Wait),
    ]
}

/// Any case.
pub fn cases() -> impl Strategy<Value = Case> {
    let events = (edits(), vec(event(), 1..14)).prop_map(|(first, mut rest)| {
        rest.insert(0, Event::Change(first));
        rest
    });
    (events, option::weighted(0.7, any::<u64>()), any::<bool>(), 1..6usize)
        .prop_map(|(events, storm, says_ids, parallel)| Case { events, storm, says_ids, parallel })
}

/// A world in the middle of its history.
struct World {
    test: Test,
    listing: Listing,
    items: Vec<Item>,
    /// Names of what was ever to be retained, or to go with another.
    loose: BTreeSet<String>,
    /// How everything was declared last.
    specs: BTreeMap<Urn, Item>,
    /// Everything that was ever declared.
    ever: Vec<Item>,
    strangers: BTreeMap<String, Vec<Value>>,
    /// Names of what was ever declared without a hook after its creation.
    unhooked: BTreeSet<&'static str>,
    /// Ids of what such a hook has run for.
    greeted: BTreeSet<String>,
    /// Ids of what the stack has ever adopted.
    adopted: BTreeSet<String>,
    trace: bool,
}

/// Plays a case, and says what went wrong.
pub async fn play(case: &Case, trace: bool) -> Result<(), String> {
    let mut test = Test::of(program).parallel(case.parallel);
    if let Some(seed) = case.storm {
        test = test.weather(Weather::stormy(seed));
    }
    test.cloud().say_ids(case.says_ids);
    let mut world = World {
        test,
        listing: Listing::default(),
        items: Vec::new(),
        loose: BTreeSet::new(),
        specs: BTreeMap::new(),
        ever: Vec::new(),
        strangers: BTreeMap::new(),
        unhooked: BTreeSet::new(),
        greeted: BTreeSet::new(),
        adopted: BTreeSet::new(),
        trace,
    };
    watch(world.test.cloud());
    for (at, event) in case.events.iter().enumerate() {
        world.say(|| format!("{at}: {event:?}"));
        world.event(event).await.map_err(|problem| format!("event {at}: {problem}"))?;
    }
    world.comes_to_rest(case).await.map_err(|problem| format!("left alone: {problem}"))
}

/// What a call says that fails for good.
const FOR_GOOD: &str = "this never passes";
/// What a call says that fails in passing.
const IN_PASSING: &str = "this may pass";

/// Whether a text is what a call says that was made to fail.
pub fn is_said_by_a_call(text: &str) -> bool {
    text == FOR_GOOD || text == IN_PASSING
}

/// Why a replacement with a fixed name is refused, or fails.
const RETAINED: &str = "to be retained, but both";

fn brief(ran: &Ran) -> String {
    format!("{} {}: {}", ran.point.name(), ran.urn, if ran.ended.is_some() { "passed" } else { "failed" })
}

fn name_of(id: &str) -> &str {
    id.split('-').skip(1).find(|part| *part != BOX).unwrap_or_default()
}

impl World {
    fn say(&self, line: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{}", line());
        }
    }

    fn set(&mut self, items: Vec<Item>) {
        for item in &items {
            self.specs.insert(item.urn(), item.clone());
            self.ever.push(item.clone());
            if item.retain || item.with.is_some() {
                self.loose.insert(item.name.to_owned());
                self.loose.extend(item.alias.map(str::to_owned));
            }
            if !item.hooks.contains(&HookPoint::AfterCreate) {
                self.unhooked.insert(item.name);
                self.unhooked.extend(item.alias);
            }
        }
        declare(&items);
        self.items = items;
    }

    async fn event(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Change(edits) => {
                self.listing.edit(edits);
                self.set(self.listing.tidy());
            }
            Event::Run(go) => self.run(go).await?,
            Event::Fail(fault) => {
                let passing = matches!(fault.kind, ErrorKind::Throttled | ErrorKind::UnknownOutcome) || fault.after;
                let message = if passing { IN_PASSING } else { FOR_GOOD };
                let mut failure = Failure::of(fault.verb, fault.name).kind(fault.kind).message(message);
                failure = match (fault.after, fault.verb) {
                    (true, Verb::Create) if fault.kind != ErrorKind::UnknownOutcome => failure.after_id(),
                    // What had its effect and says that it had none would be a lie.
                    (true, _) => failure.kind(ErrorKind::UnknownOutcome).after_effect(),
                    _ => failure,
                };
                if fault.panics {
                    failure = failure.panics();
                } else if fault.hangs {
                    failure = failure.hangs();
                }
                self.test.cloud().fail(failure);
            }
            Event::FailHook(name, point) => fail_hook(name, *point),
            Event::MendHooks => mend_hooks(),
            Event::Vanish(name) => drop(self.test.cloud().remove(name)),
            Event::Tamper(name) => {
                for (ty, boxed) in [(Ty::Node, false), (Ty::First, false), (Ty::Node, true), (Ty::First, true)] {
                    let path = path(boxed, name);
                    let urn = Urn::new(ty.schema().type_name, &path);
                    if !self.test.cloud().ids_of(urn.as_str()).is_empty() {
                        self.test.cloud().tamper(urn.as_str(), ty.schema(), "size", Value::Int(9));
                    }
                }
            }
            Event::Stranger(name) => self.stranger(name).await?,
            Event::StrangerLeaves(name) => self.stranger_leaves(name),
            Event::Found(name) => self.found(name),
            Event::Wait(seconds) => tokio::time::sleep(Duration::from_secs(*seconds)).await,
        }
        Ok(())
    }

    /// A stranger takes a name, unless something of ours has it or is about to.
    async fn stranger(&mut self, name: &str) -> Result<(), String> {
        let state = self.state().await?;
        let ours = !self.test.cloud().ids_of(name).is_empty()
            || state.intents.values().any(|intent| intent.urn.name() == name)
            || state.resources.values().any(|record| record.urn.name() == name);
        if !ours {
            let fixed = Value::text(format!("fixed-{name}"));
            let id = format!("stranger-{name}");
            let ty = self.items.iter().find(|item| item.name == name).map_or(Ty::Node, |item| item.ty);
            self.test.cloud().put_stranger(ty.schema(), &id, &[("name", fixed), ("size", Value::Int(77))]);
            self.strangers = self.test.cloud().strangers().into_iter().collect();
        }
        Ok(())
    }

    fn stranger_leaves(&mut self, name: &str) {
        let id = format!("stranger-{name}");
        if self.strangers.remove(&id).is_some() {
            self.test.cloud().remove(&id);
        }
    }

    fn found(&mut self, name: &str) {
        let id = found(name);
        if !self.test.cloud().ids().contains(&id) && !self.adopted.contains(&id) {
            let wood = [("kind", Value::text("wood")), ("size", Value::Int(1))];
            self.test.cloud().put(Ty::Node.schema(), &id, &wood);
        }
    }

    /// Ids of everything that the stack has made or adopted.
    fn ids(&self) -> Vec<String> {
        let ours = |id: &String| !is_found(id) || self.adopted.contains(id);
        self.test.cloud().ids().into_iter().filter(ours).collect()
    }

    async fn state(&mut self) -> Result<State, String> {
        let state = self.test.state().await.map_err(|error| format!("the state is not whole: {error}"))?;
        for record in state.resources.values() {
            if is_found(&record.id) {
                self.adopted.insert(record.id.clone());
            }
            // What an alias renamed keeps its id.
            if self.loose.contains(record.urn.name()) && !record.id.is_empty() {
                self.loose.insert(name_of(&record.id).to_owned());
            }
        }
        Ok(state)
    }

    async fn run(&mut self, go: &Go) -> Result<(), String> {
        let before = self.state().await?;
        self.test.cloud().clear_calls();
        let mut test = self.test.clone();
        if !go.refresh {
            test = test.without_refresh();
        }
        if go.fail_fast {
            test = test.fail_fast();
        }
        if let Some(calls) = go.cancelled {
            test = test.cancel_after(calls);
        }
        let declared = |name: &&str| self.items.iter().any(|item| item.name == *name);
        if let Some(name) = go.replace.filter(|name| declared(name) && go.operation == Operation::Up) {
            test = test.options(PlanOptions { replace: vec![name.to_owned()], ..PlanOptions::default() });
        }
        if let Some(select) = &go.select {
            test = test.options(select.options());
        }
        if go.run_program {
            test = test.run_program();
        }
        if let Some(mut left) = go.disk {
            test.backend().before_append(move |_| {
                if left == 0 {
                    return Err(BackendError::Corrupt("the disk is full".into()));
                }
                left -= 1;
                Ok(())
            });
        }
        let killed = test.killed_at(go.dies.unwrap_or(0), go.operation).await;
        test.backend().clear_before_append();
        self.say(|| {
            format!(
                "   {:?} {:?}",
                killed.place,
                self.test
                    .cloud()
                    .calls()
                    .iter()
                    .map(|call| format!(
                        "{} {}{}",
                        call.verb.name(),
                        call.id.as_deref().unwrap_or("?"),
                        if call.late { " (late)" } else { "" }
                    ))
                    .collect::<Vec<_>>()
            )
        });
        if let Some(problem) = killed.problems.first() {
            return Err(problem.clone());
        }
        let calls = self.test.cloud().calls();
        self.judge_hooks(go.operation != Operation::Destroy || go.run_program, &calls)?;
        let items: &[Item] = if go.operation == Operation::Destroy { &[] } else { &self.items };
        Judge::new(items, &self.loose).check(&before, &calls)?;
        if let Some(select) = &go.select {
            select.check(items, &before, &calls)?;
        }
        if matches!(go.operation, Operation::Preview | Operation::Refresh) && calls.iter().any(|call| !call.late) {
            return Err(format!("a look changed something: {calls:?}"));
        }
        self.sound().await?;
        let Some(run) = killed.run else { return self.nothing_is_lost().await };
        self.ended(&run, go, &before).await
    }

    /// How a run ended that did not die, and what it left.
    async fn ended(&mut self, run: &TestRun, go: &Go, before: &State) -> Result<(), String> {
        self.say(|| format!("   {:?} {:?}", run.result().as_ref().err().map(ToString::to_string), run.failures()));
        let again = run
            .events()
            .iter()
            .find(|event| matches!(event, stackkit::event::Event::Retrying { error, .. } if error.contains(FOR_GOOD)));
        if let Some(again) = again {
            return Err(format!("what failed for good is tried again: {again:?}"));
        }
        match run.result() {
            Ok(_) | Err(RunError::Failed(_) | RunError::Cancelled(_) | RunError::Declined) => {}
            Err(RunError::Unsaved { .. }) if go.disk.is_some() => {
                self.test.repair().await.map_err(|error| format!("`state repair` fails: {error}"))?;
            }
            Err(RunError::State(error)) if go.disk.is_some() && error.to_string().contains("the disk is full") => {}
            Err(RunError::Diagnostics(_)) => self.refused(run, go.select.as_ref(), before).await?,
            Err(other) => return Err(format!("the run ends badly: {other}")),
        }
        if go.operation != Operation::Preview {
            self.nothing_is_lost().await?;
        }
        Ok(())
    }

    /// A refusal has a reason, comes before anything is touched, and a question is asked of one type alone.
    async fn refused(&mut self, run: &TestRun, select: Option<&Select>, before: &State) -> Result<(), String> {
        let Err(RunError::Diagnostics(all)) = run.result() else { return Ok(()) };
        let calls = self.test.cloud().calls();
        if let Some(call) = calls.iter().find(|call| !call.late) {
            return Err(format!("a run was refused after it had called {call:?}"));
        }
        let ever = self.ever.clone();
        let specs = || ever.iter();
        for diagnostic in &all.0 {
            let text = diagnostic.to_string();
            let fair = if text.contains("nobody but you can tell") {
                let urn = diagnostic.urn.clone().ok_or("a question without a resource")?;
                self.answer(&urn).await?;
                true
            } else if text.contains("circle") {
                specs().any(|item| item.ty == Ty::First || item.fixed || item.delete_first == Some(true))
            } else if text.contains("it is protected") {
                specs().any(|item| item.ty == Ty::Vault || item.protect == Some(true))
            } else if text.contains(RETAINED) {
                self.items.iter().any(|item| item.fixed && item.retain)
            } else if text.contains("import") {
                specs().any(|item| item.import)
            } else if text.contains("looking what became of it failed") || text.contains("could not be read") {
                // Throttled for longer than anybody has patience.
                true
            } else {
                select.is_some_and(|select| select.is_refused(&text))
            };
            if !fair {
                return Err(format!("refused without a reason: {text}; before: {:?}", before.resources.len()));
            }
        }
        Ok(())
    }

    /// What a person does who is asked whether something was made: looks, undoes it, and says so.
    async fn answer(&mut self, urn: &Urn) -> Result<(), String> {
        if Ty::of(urn) != Some(Ty::Once) {
            return Err(format!("a question about {urn}, which can be looked for"));
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let state = self.state().await?;
        for id in self.test.cloud().ids_of(urn.as_str()) {
            if !state.resources.values().any(|record| record.id == id) {
                self.test.cloud().remove(&id);
            }
        }
        self.test.forget(urn).await.map_err(|error| format!("the answer to a question is refused: {error}"))
    }

    /// What must be true at any time, also right after a death.
    async fn sound(&mut self) -> Result<(), String> {
        let state = self.state().await?;
        let mut present = BTreeSet::new();
        for record in state.resources.values().filter(|record| record.status != Status::PendingDelete) {
            if !present.insert(record.urn.clone()) {
                return Err(format!("{} is there twice", record.urn));
            }
            if record.id.starts_with("stranger") {
                return Err(format!("{} adopted a stranger's `{}`", record.urn, record.id));
            }
        }
        crate::audited::check(&self.test.audit().await?, &state)?;
        let log = self.test.backend().log();
        let holds = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        if log.entries.iter().any(|entry| holds(entry)) || log.snapshot.as_deref().is_some_and(holds) {
            return Err("a secret is persisted".into());
        }
        if self.test.cloud().strangers().into_iter().collect::<BTreeMap<_, _>>() != self.strangers {
            return Err("a stranger's thing was touched".into());
        }
        match self.test.cloud().dangling().first() {
            Some(problem) => Err(problem.clone()),
            None => Ok(()),
        }
    }

    /// Everything in the cloud is in the state, or is what an open call may have made. What was forgotten on purpose is
    /// cleared away by somebody, so that its name is free again.
    async fn nothing_is_lost(&mut self) -> Result<(), String> {
        let state = self.state().await?;
        for id in self.ids() {
            let known = state.resources.values().any(|record| record.id == id);
            let open = state
                .intents
                .values()
                .any(|intent| intent.kind == IntentKind::Create && intent.urn.name() == name_of(&id));
            if known || open {
                continue;
            }
            if !self.loose.contains(name_of(&id)) {
                return Err(format!("`{id}` is in the cloud, and nobody knows of it"));
            }
            self.test.cloud().remove(&id);
        }
        Ok(())
    }

    fn greet(&mut self, ran: &[Ran]) {
        let greeted = ran.iter().filter(|ran| ran.point == HookPoint::AfterCreate && ran.ended.is_some());
        self.greeted.extend(greeted.filter_map(|ran| ran.id.clone()));
    }

    /// Judges the hooks of the run that just was.
    fn judge_hooks(&mut self, of_program: bool, calls: &[CloudCall]) -> Result<(), String> {
        let ran = take_ran();
        self.say(|| format!("   hooks: {:?}", ran.iter().map(brief).collect::<Vec<_>>()));
        self.greet(&ran);
        let items: &[Item] = if of_program { &self.items } else { &[] };
        hooks::check(&Judge::new(items, &self.loose), calls, &ran)
    }

    async fn up(&mut self) -> Result<TestRun, String> {
        let before = self.state().await?;
        self.test.cloud().clear_calls();
        let run = self.test.up().await;
        let calls = self.test.cloud().calls();
        self.say(|| {
            format!(
                "   up: {:?} {:?} {:?}",
                run.result().as_ref().err().map(ToString::to_string),
                run.failures(),
                calls
                    .iter()
                    .map(|call| format!("{} {}", call.verb.name(), call.id.as_deref().unwrap_or("?")))
                    .collect::<Vec<_>>()
            )
        });
        Judge::new(&self.items, &self.loose).check(&before, &calls)?;
        self.judge_hooks(true, &calls)?;
        self.sound().await?;
        self.nothing_is_lost().await?;
        Ok(run)
    }

    /// Runs `up` until it ends well: a person answers questions, takes protection off, and goes the long way round where
    /// the short one is refused.
    async fn brought_up(&mut self) -> Result<TestRun, String> {
        let mut wanted = self.items.clone();
        for attempt in 0..8 {
            let run = self.up().await?;
            let failures = run.failures().join("; ");
            let text = match run.result() {
                Ok(_) => return Ok(run),
                Err(RunError::Diagnostics(all)) => {
                    let before = self.state().await?;
                    self.refused(&run, None, &before).await?;
                    all.to_string()
                }
                // That it comes to this may be seen only when what it uses is there.
                Err(RunError::Failed(_)) if failures.contains(RETAINED) => failures,
                Err(error) => return Err(format!("`up` fails: {error}; {failures}")),
            };
            if text.contains("nobody but you can tell") {
                continue;
            }
            if text.contains("import") {
                let own = |item: &Item| Item { import: false, ..item.clone() };
                self.set(wanted.iter().map(own).collect());
                wanted = self.items.clone();
                continue;
            }
            if attempt > 5 {
                return Err(format!("refused for good: {text}"));
            }
            self.unprotect().await?;
            if !text.contains("it is protected") {
                self.set(Vec::new());
                let run = self.up().await?;
                if run.result().is_err() {
                    return Err(format!("the way out is refused, too: {}", run.expect_err()));
                }
            }
            self.set(wanted.clone());
        }
        Err("`up` does not come to its end".into())
    }

    /// Declares everything that is protected once more, without.
    async fn unprotect(&mut self) -> Result<(), String> {
        let state = self.state().await?;
        let mut items: Vec<Item> = Vec::new();
        for record in state.resources.values().filter(|record| record.status != Status::PendingDelete) {
            let Some(ty) = Ty::of(&record.urn) else { continue };
            let spec = self.specs.get(&record.urn).cloned();
            let Some(mut item) = spec else { continue };
            (item.protect, item.retain) = (Some(false), false);
            item.ty = ty;
            (item.with, item.alias, item.uses, item.moved, item.import) = (None, None, Vec::new(), false, false);
            items.push(item);
        }
        // Only the options matter: whatever else this asks for may be refused or not.
        let now = std::mem::take(&mut self.items);
        declare(&items);
        self.items = items;
        let run = self.test.up().await;
        self.greet(&take_ran());
        self.say(|| format!("   unprotected: {:?}", run.result().as_ref().err().map(ToString::to_string)));
        self.items = now;
        self.nothing_is_lost().await
    }

    /// When nothing goes wrong any more, everything comes to where the last program wants it, and stays there.
    async fn comes_to_rest(&mut self, case: &Case) -> Result<(), String> {
        self.test.cloud().clear_failures();
        mend_hooks();
        for name in crate::program::NAMES {
            self.stranger_leaves(name);
        }
        if let Some(seed) = case.storm {
            let calmer = Weather { throttled: 0, lost_replies: 0, partial_creates: 0, ..Weather::stormy(seed) };
            self.test.cloud().set_weather(calmer);
        }
        let unprotected = |item: &Item| Item { protect: Some(false), ..item.clone() };
        self.set(self.items.iter().map(unprotected).collect());
        let (one, two) = (self.test.preview().await, self.test.preview().await);
        if case.storm.is_none() && format!("{:?}", one.plan()) != format!("{:?}", two.plan()) {
            return Err("two plans of the same differ".into());
        }
        self.brought_up().await?;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let again = self.up().await?;
        if again.result().is_err() || !again.steps().is_empty() || again.appended() > 0 {
            return Err(format!(
                "a second `up` is not empty: {:?}, {:?}, {} bytes",
                again.result(),
                again.steps(),
                again.appended()
            ));
        }
        self.is_as_declared().await?;
        self.test.cloud().clear_calls();
        let before = self.state().await?;
        let run = self.test.destroy().await;
        Judge::new(&[], &self.loose).check(&before, &self.test.cloud().calls())?;
        if run.result().is_err() {
            return Err(format!("`destroy` fails: {}; {:?}", run.expect_err(), run.failures()));
        }
        self.nothing_is_lost().await?;
        let state = self.state().await?;
        if !state.resources.is_empty() || !state.intents.is_empty() || !state.outputs.is_empty() {
            return Err("`destroy` leaves something in the state".into());
        }
        match self.ids() {
            ids if ids.is_empty() => Ok(()),
            ids => Err(format!("`destroy` leaves {ids:?}")),
        }
    }

    /// What the program says is there, once, as it says, and nothing else is.
    async fn is_as_declared(&mut self) -> Result<(), String> {
        let state = self.state().await?;
        let (cloud, there) = (self.test.cloud().clone(), self.ids());
        let mut recorded: Vec<String> = state.resources.values().map(|record| record.id.clone()).collect();
        recorded.sort();
        if there != recorded || recorded.len() != self.items.len() || !state.intents.is_empty() {
            return Err(format!("the cloud has {there:?}, and the state has {recorded:?}"));
        }
        let of = |urn: &Urn| state.resources.values().find(|record| record.urn == *urn);
        for item in &self.items {
            let urn = item.urn();
            let Some(record) = of(&urn) else { return Err(format!("{urn} is not in the state")) };
            let due = match record.options.hook_due {
                Some(HookDue::Create) => item.hooks.contains(&HookPoint::AfterCreate),
                Some(HookDue::Update) => item.hooks.contains(&HookPoint::AfterUpdate),
                None => false,
            };
            if due {
                return Err(format!("a hook of {urn} is due, and nobody runs it"));
            }
            if item.hooks.contains(&HookPoint::AfterCreate)
                && !self.unhooked.contains(item.name)
                && !self.greeted.contains(&record.id)
                && !self.adopted.contains(&record.id)
            {
                return Err(format!("no hook ran after {urn} was made as `{}`", record.id));
            }
            let there = |field: &str| cloud.value(&record.id, item.ty.schema(), field);
            if !item.ignore_size && there("size") != Some(Value::Int(item.size.into())) {
                return Err(format!("{urn} is to have size {}, and has {:?}", item.size, there("size")));
            }
            if there("kind") != Some(Value::text(item.kind.unwrap_or("wood"))) {
                return Err(format!("{urn} is to be of {:?}, and is of {:?}", item.kind, there("kind")));
            }
            // Only the cloud knows what it is, so nothing but the record of an update says that it is to be made again.
            let pin = item.password.map(|other| Value::text(format!("{CANARY}-pin-{other}")));
            let there_is = there("pin").map(|pin| pin.reveal().clone()).filter(|pin| !pin.is_null());
            if there_is != pin {
                return Err(format!("{urn} is to have the pin {pin:?}, and has {there_is:?}"));
            }
            for (name, how) in &item.uses {
                let used = self.items.iter().find(|other| other.name == *name);
                let Some(used) = used.and_then(|used| Some((used.ty, of(&used.urn())?))) else { continue };
                let (ty, used) = used;
                if !record.dependencies.contains(&used.instance) {
                    return Err(format!("{urn} uses {}, and the state does not know", used.urn));
                }
                let Some((field, output)) = shows(*how) else { continue };
                let wanted = cloud.value(&used.id, ty.schema(), output);
                let shown = there(field);
                let found = match (&wanted, &shown) {
                    (Some(wanted), Some(Value::List(all))) => all.contains(wanted),
                    _ => false,
                };
                if !found {
                    return Err(format!("`{field}` of {urn} does not show {wanted:?} of {}: {shown:?}", used.urn));
                }
            }
        }
        Ok(())
    }
}
