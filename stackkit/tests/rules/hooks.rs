//! Hooks before and after steps: what they get, when they run, and what becomes of a step whose hook fails.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use stackkit::Value;
use stackkit::event::{Event, Operation};
use stackkit::hook::HookPoint;
use stackkit::prelude::*;
use stackkit::state::model::{HookDue, Status};
use stackkit::testing::{Failure, Test, TestRun};

use crate::toys::*;

/// What the hooks of a test said, and which of them fail.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<(Vec<String>, Vec<String>)>>);

thread_local! {
    static LOG: RefCell<Log> = RefCell::default();
}

impl Log {
    fn of_this_test() -> Self {
        LOG.with_borrow(Clone::clone)
    }
    fn say(&self, line: impl Into<String>) -> Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = line.into();
        let fails = inner.1.iter().position(|fails| line.starts_with(fails.as_str()));
        inner.0.push(line);
        match fails {
            Some(at) => {
                let what = inner.1.remove(at);
                Err(ProgramError::msg(format!("no {what} today")))
            }
            None => Ok(()),
        }
    }
    fn fail(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.push(line.to_owned());
    }
    /// What was said since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0)
    }
}

#[derive(Clone, Debug, Properties)]
struct Config {
    #[property(default = "wood")]
    kind: String,
    #[property(default = 1)]
    size: u32,
}

#[stackkit::program(providers(Toy))]
async fn hooked(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let log = Log::of_this_test();
    let base = stack.add("base", Node::new());
    let says = |word: &'static str| {
        let log = log.clone();
        move |id: Option<&str>, rest: String| log.say(format!("{word} {} {rest}", id.unwrap_or("-")))
    };
    let [bc, ac, bu, au, bd, ad] =
        ["before create", "after create", "before update", "after update", "before delete", "after delete"].map(says);
    let a = stack
        .add("a", Node::new().kind(&config.kind).size(config.size).soft([&base.address]))
        .before_create(move |hook| {
            let said = bc(hook.id(), format!("{} on {:?}", hook.kind, hook.soft));
            async move { said }
        })
        .after_create(move |hook| {
            hook.progress("looking at it");
            let said = ac(hook.id(), format!("at {}", hook.address));
            async move { said }
        })
        .before_update(move |hook| {
            let was = hook.prior().map(|prior| prior.size);
            let said = bu(hook.id(), format!("from {was:?} to {}", hook.size));
            async move { said }
        })
        .after_update(move |hook| {
            let was = hook.prior().map(|prior| prior.size);
            let said = au(hook.id(), format!("from {was:?} to {}", hook.size));
            async move { said }
        })
        .before_delete(move |hook| {
            let said = bd(hook.id(), hook.kind.clone());
            async move { said }
        })
        .after_delete(move |hook| {
            let said = ad(hook.id(), hook.kind.clone());
            async move { said }
        });
    stack.add("user", Node::new().soft([&a.id]));
    Ok(())
}

fn start() -> (Test, Log) {
    LOG.with_borrow_mut(|log| *log = Log::default());
    (Test::of(hooked).parallel(1), Log::of_this_test())
}

fn calls(test: &Test) -> Vec<String> {
    let calls = test.cloud().calls();
    test.cloud().clear_calls();
    calls.iter().map(|call| format!("{} {}", call.verb.name(), call.urn.name())).collect()
}

fn hooks(run: &TestRun) -> Vec<String> {
    run.events()
        .iter()
        .filter_map(|event| match event {
            Event::HookStarted { urn, point } => Some(format!("{} {} starts", urn.name(), point.name())),
            Event::HookDone { urn, point, .. } => Some(format!("{} {} done", urn.name(), point.name())),
            Event::HookFailed { urn, point, error, .. } => Some(format!("{} {}: {error}", urn.name(), point.name())),
            Event::StepStarted { urn, verb } => Some(format!("{} {}", verb.name(), urn.name())),
            Event::StepDone { urn, verb, .. } => Some(format!("{} {} done", verb.name(), urn.name())),
            _ => None,
        })
        .collect()
}

/// Rules: 30, 34.
#[stackkit::test]
async fn hooks_run_around_their_steps_with_what_is_known_there() {
    let (test, log) = start();
    test.preview().await.expect_ok();
    assert_eq!(log.take(), Vec::<String>::new(), "a preview runs no hook");
    let run = test.up().await.expect_ok();
    let address = run.get::<Node>("base").address;
    let a = run.get::<Node>("a");
    assert_eq!(
        log.take(),
        [format!("before create - wood on Some([{address:?}])"), format!("after create {} at {}", a.id, a.address),]
    );
    assert_eq!(
        hooks(&run)[2..],
        [
            "a before_create starts",
            "a before_create done",
            "create a",
            "a after_create starts",
            "a after_create done",
            "create a done",
            "create user",
            "create user done",
        ]
    );
    settled(&test).await;
    assert_eq!(log.take(), Vec::<String>::new());
    let run = test.clone().config("size", "2").up().await.expect_ok();
    assert_eq!(lines(&run), ["update a"]);
    assert_eq!(
        log.take(),
        [format!("before update {} from Some(1) to 2", a.id), format!("after update {} from Some(1) to 2", a.id)]
    );
    // A replacement creates and deletes.
    let test = test.config("size", "2").config("kind", "iron");
    let run = test.up().await.expect_ok();
    let new = run.get::<Node>("a");
    assert_eq!(
        log.take(),
        [
            format!("before create - iron on Some([{address:?}])"),
            format!("after create {} at {}", new.id, new.address),
            format!("before delete {} wood", a.id),
            format!("after delete {} wood", a.id),
        ]
    );
    settled(&test).await;
    log.take();
    let run = test.run_program().destroy().await.expect_ok();
    assert_eq!(log.take(), [format!("before delete {} iron", new.id), format!("after delete {} iron", new.id)]);
    assert_eq!(run.summary().delete, 3);
    assert!(run.state().outputs.is_empty() && run.state().resources.is_empty());
}

/// Rules: 30, 11.
#[stackkit::test]
async fn a_failing_hook_before_a_create_stops_it_before_anything_is_there() {
    let (test, log) = start();
    log.fail("before create");
    let run = test.up().await;
    assert_eq!(run.expect_err().exit_code(), 1);
    let failures = run.failures();
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert!(
        failure.starts_with(
            "toy:core:Node::a: create failed: the hook before its creation failed: no before create today"
        ) && failure.contains("hooks.rs:"),
        "{failure}"
    );
    assert_eq!((run.summary().create, run.summary().failed, run.summary().skipped), (1, 1, 1));
    assert_eq!(calls(&test), ["create base"]);
    assert!(!run.has::<Node>("a") && run.state().intents.is_empty());
    assert!(run.events().iter().any(|event| matches!(event, Event::HookFailed { .. })));
    // The next run tries again, hook included.
    log.take();
    test.up().await.expect_ok();
    assert_eq!(log.take().len(), 2);
    settled(&test).await;
}

/// Rules: 30, 12, 13.
#[stackkit::test]
async fn failing_hooks_before_other_calls_stop_them_too() {
    let (test, log) = start();
    test.up().await.expect_ok();
    calls(&test);
    let changed = test.clone().config("size", "2");
    log.fail("before update");
    let run = changed.up().await;
    assert_eq!((run.expect_err().exit_code(), calls(&test)), (1, Vec::new()));
    assert_eq!(run.get::<Node>("a").size, 1);
    assert!(run.state().intents.is_empty());
    assert_eq!(lines(&changed.up().await.expect_ok()), ["update a"]);
    // The old instance of a replacement stays until its hook lets it go.
    calls(&test);
    let replaced = changed.config("kind", "iron");
    log.fail("before delete");
    let run = replaced.up().await;
    assert_eq!(
        (run.expect_err().exit_code(), calls(&test)),
        (1, vec!["create a".to_owned(), "update user".to_owned()])
    );
    let pending = run.state().resources.values().filter(|record| record.status == Status::PendingDelete).count();
    assert_eq!(pending, 1);
    assert_eq!(lines(&replaced.up().await.expect_ok()), ["delete a"]);
    settled(&replaced).await;
    log.fail("before delete");
    let run = replaced.clone().run_program().destroy().await;
    assert_eq!((run.expect_err().exit_code(), run.summary().failed, run.summary().skipped), (1, 1, 1));
    assert!(run.has::<Node>("a") && run.has::<Node>("base"));
    replaced.run_program().destroy().await.expect_ok();
    assert!(test.cloud().ids().is_empty());
}

/// Rules: 30, 17.
#[stackkit::test]
async fn a_failing_hook_after_a_create_leaves_it_recorded_and_runs_again() {
    let (test, log) = start();
    log.fail("after create");
    let run = test.up().await;
    assert_eq!((run.summary().failed, run.summary().skipped), (1, 1));
    assert!(
        run.failures()[0].contains("it is recorded, and its hooks run again with the next `up`"),
        "{:?}",
        run.failures()
    );
    assert_eq!(calls(&test), ["create base", "create a"]);
    let record = run.state().resources.values().find(|record| record.urn.name() == "a").expect("it is recorded");
    assert_eq!((record.status, record.options.hook_due), (Status::Live, Some(HookDue::Create)));
    stackkit::state::verify(run.state()).expect("a whole state");

    log.fail("after create");
    let run = test.up().await;
    assert_eq!((run.summary().failed, calls(&test)), (1, Vec::new()), "it fails once more, and nothing is called");
    log.take();
    let preview = test.preview().await.expect_ok();
    assert_eq!(planned(&preview), ["update a", "create user"]);
    let run = test.up().await.expect_ok();
    assert_eq!(log.take().len(), 1);
    assert_eq!(
        (calls(&test), lines(&run)),
        (vec!["create user".to_owned()], vec!["update a".into(), "create user".into()])
    );
    settled(&test).await;
}

/// Rules: 30, 17.
#[stackkit::test]
async fn hooks_that_are_due_run_with_the_next_change_or_are_forgotten_with_the_program() {
    let (test, log) = start();
    log.fail("after update");
    test.up().await.expect_ok();
    test.clone().config("size", "2").up().await.expect_err();
    log.take();
    // The next change runs them once, with what is there then.
    let test = test.config("size", "3");
    let id = test.up().await.expect_ok().get::<Node>("a").id;
    assert_eq!(
        log.take(),
        [format!("before update {id} from Some(2) to 3"), format!("after update {id} from Some(2) to 3")]
    );
    settled(&test).await;
    log.fail("after update");
    let test = test.config("size", "4");
    test.up().await.expect_err();
    let run = test.with_program(unhooked).up().await.expect_ok();
    assert!(run.state().resources.values().all(|record| record.options.hook_due.is_none()));
    assert_eq!(lines(&run), Vec::<String>::new());
}

#[stackkit::program(providers(Toy))]
async fn unhooked(stack: &mut Stack) -> Result<()> {
    let base = stack.add("base", Node::new());
    let a = stack.add("a", Node::new().size(4).soft([&base.address]));
    stack.add("user", Node::new().soft([&a.id]));
    Ok(())
}

/// Rules: 30.
#[stackkit::test]
async fn a_failing_hook_after_a_delete_does_not_run_again() {
    let (test, log) = start();
    test.up().await.expect_ok();
    log.fail("after delete");
    let run = test.clone().run_program().destroy().await;
    assert!(run.failures()[0].contains("it is deleted, and the hook does not run again"), "{:?}", run.failures());
    assert!(!run.has::<Node>("a") && run.has::<Node>("base"), "what comes after it waits for the next run");
    log.take();
    test.run_program().destroy().await.expect_ok();
    assert_eq!(log.take(), Vec::<String>::new());
}

/// Rules: 30.
#[stackkit::test]
async fn what_left_the_program_has_no_hooks() {
    let (test, log) = start();
    test.up().await.expect_ok();
    log.take();
    test.with_program(gone).up().await.expect_ok();
    assert_eq!(log.take(), Vec::<String>::new());
    let (test, log) = start();
    test.up().await.expect_ok();
    log.take();
    test.destroy().await.expect_ok();
    assert_eq!(log.take(), Vec::<String>::new(), "a destroy does not run the program unless it is asked to");
}

#[stackkit::program(providers(Toy))]
async fn gone(stack: &mut Stack) -> Result<()> {
    stack.add("base", Node::new());
    Ok(())
}

/// Rules: 30, 15.
#[stackkit::test]
async fn a_killed_run_loses_no_hook_after_a_create() {
    let (test, _) = start();
    test.up().await.expect_ok().simulate_crashes().await.assert_converges();
    for point in 1..200 {
        let (test, log) = start();
        let ended = test.killed_at(point, Operation::Up).await.is_some();
        test.up().await.expect_ok();
        let said = log.take();
        for wanted in ["before create", "after create"] {
            assert!(said.iter().any(|line| line.starts_with(wanted)), "killed at {point}: {said:?}");
        }
        settled(&test).await;
        assert_eq!(log.take(), Vec::<String>::new(), "killed at {point}");
        if ended {
            return assert!(point > 10, "{point} points are too few to have tested anything");
        }
    }
    panic!("the run never came to its end");
}

/// Rules: 30, 15.
#[stackkit::test]
async fn a_create_that_was_cut_short_has_its_hooks_when_it_is_finished() {
    let (test, log) = start();
    let test = test.failing(Failure::of(stackkit::event::Verb::Create, "a").after_id());
    test.cloud().say_ids(true);
    let run = test.up().await;
    assert_eq!(run.summary().failed, 1, "{:?}", run.failures());
    assert_eq!(log.take().len(), 1, "only the one before it");
    test.up().await.expect_ok();
    let said = log.take();
    assert!(said.iter().any(|line| line.starts_with("after create")), "{said:?}");
    settled(&test).await;
}

#[stackkit::program(providers(Toy))]
async fn careless(stack: &mut Stack) -> Result<()> {
    let secret = stack.add("password", Node::new().password("canary-3KV"));
    stack.add("panics", Node::new()).before_create(|hook| async move {
        assert_eq!(hook.kind, "iron", "that is no iron");
        Ok(())
    });
    stack.add("tells", Node::new().password(&secret.password)).before_create(|hook| async move {
        let password = hook.password.as_ref().map(|password| password.reveal().clone()).unwrap_or_default();
        hook.progress(format!("trying {password}"));
        Err(ProgramError::msg(format!("{password} was refused")))
    });
    stack
        .add("hangs", Node::new())
        .timeout(std::time::Duration::from_millis(20))
        .before_create(|_| std::future::pending());
    Ok(())
}

/// Rules: 30, 10, 18.
#[stackkit::test]
async fn what_goes_wrong_in_a_hook_is_told_without_secrets() {
    let run = Test::of(careless).up().await;
    let mut failures = run.failures();
    failures.sort();
    let [hangs, panics, tells] = &failures[..] else { panic!("{failures:?}") };
    assert!(hangs.contains("the hook before its creation failed: it did not end within 20ms (the hook at "), "{hangs}");
    assert!(panics.contains("it panicked: ") && panics.contains("that is no iron") && panics.contains("hooks.rs:"));
    assert!(tells.contains("was refused"), "{tells}");
    assert!(!format!("{:?}", run.events()).contains("canary-3KV"));
}

#[stackkit::program(providers(Toy))]
async fn watched(stack: &mut Stack) -> Result<()> {
    let log = Log::of_this_test();
    let own = log.clone();
    let mut part = stack.component("part").on_each(HookPoint::AfterCreate, move |hook| {
        let kind = hook.get("kind").and_then(Value::as_text).map(str::to_owned);
        let said = log.say(format!("{} {kind:?}", hook.urn().path()));
        async move { said }
    });
    part.add("a", Node::new()).after_create(move |hook| {
        let said = own.say(format!("own of {}", hook.name()));
        async move { said }
    });
    part.component("deep").add("b", First::new().kind("iron"));
    stack.add("c", Node::new());
    Ok(())
}

/// Rules: 30.
#[stackkit::test]
async fn a_component_has_hooks_for_all_that_is_in_it() {
    let (_, log) = start();
    Test::of(watched).parallel(1).up().await.expect_ok();
    let mut said = log.take();
    let first = said.iter().position(|line| line == "part/a Some(\"wood\")");
    let own = said.iter().position(|line| line == "own of a");
    assert!(first.is_some() && first < own, "{said:?}");
    said.sort();
    assert_eq!(said, ["own of a", "part/a Some(\"wood\")", "part/deep/b Some(\"iron\")"]);
}
