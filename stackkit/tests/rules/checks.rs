//! Checks: conditions on resources and on values of the stack.

use stackkit::event::Event;
use stackkit::prelude::*;

use crate::toys::*;

/// Rules: 28.
#[stackkit::test]
async fn what_the_plan_knows_is_refused_before_anything_is_touched() {
    let test = program(|stack| {
        let a = stack
            .add("a", Node::new().size(2))
            .precondition("it must be large", |node| node.size > 4)
            .precondition("it must be of wood", |node| node.kind == "wood")
            .precondition("it must be odd", |node| {
                if node.size % 2 == 1 { Ok(()) } else { Err(format!("{} is even", node.size)) }
            });
        stack.check("the size must be small", &a.size, |size| *size < 2);
    });
    let found = refused(&test, &test.up().await);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("toy:core:Node::a: a check does not hold: it must be large [stackkit/tests/rules/"));
    assert!(found[1].contains("it must be odd: 2 is even"), "{found:?}");
    assert!(found[2].starts_with("a check does not hold: the size must be small"), "{found:?}");
}

/// Rules: 28.
#[stackkit::test]
async fn a_precondition_on_what_resolves_stops_the_step_before_its_call() {
    let test = program(|stack| {
        let a = stack.add("a", Node::new());
        let b = stack
            .add("b", Node::new().kind(&a.address))
            .precondition("it must not be of `a`", |node| !node.kind.starts_with("a-"));
        stack.add("c", Node::new().hard([&b.id]));
    });
    test.preview().await.expect_ok();
    let run = test.up().await;
    assert!(run.failures()[0].contains("it must not be of `a`"), "{:?}", run.failures());
    assert_eq!((run.summary().failed, run.summary().skipped), (1, 1));
    assert_eq!(test.cloud().ids(), ["node-a"]);
}

/// Rules: 28.
#[stackkit::test]
async fn a_postcondition_that_fails_records_the_resource_and_fails_the_step() {
    let write = |demand: bool| {
        move |stack: &mut Stack| {
            let a = stack.add("a", Node::new());
            let a = a.postcondition("it must be elsewhere", move |node| !demand || node.address != "a-address");
            stack.add("b", Node::new().hard([&a.id]));
        }
    };
    let test = program(write(true));
    let run = test.up().await;
    assert!(run.failures()[0].contains("a: create failed: a check does not hold: it must be elsewhere"));
    assert!(run.has::<Node>("a") && run.state().intents.is_empty());
    assert_eq!(test.cloud().ids(), ["node-a"], "what depends on it waits");
    // Nothing would change it now, so that the plan says it.
    test.cloud().clear_calls();
    assert!(refused(&test, &test.up().await)[0].contains("it must be elsewhere"));
    rewrite(write(false));
    assert_eq!(lines(&test.up().await.expect_ok()), ["create b"]);
    settled(&test).await;
}

/// Rules: 28.
#[stackkit::test]
async fn a_check_of_a_value_that_becomes_known_fails_the_run_at_its_end() {
    let write = |right: &'static str| {
        move |stack: &mut Stack| {
            let a = stack.add("a", Node::new());
            stack.output("address", &a.address);
            stack.check("the address must be right", &a.address, move |address| address == right);
        }
    };
    let test = program(write("elsewhere"));
    test.preview().await.expect_ok();
    let run = test.up().await;
    assert_eq!((run.summary().create, run.summary().failed, run.expect_err().exit_code()), (1, 1, 1));
    let said = run.events().iter().any(|event| {
        matches!(event, Event::CheckFailed { message, at }
            if message == "a check does not hold: the address must be right" && at.contains("checks.rs:"))
    });
    assert!(said);
    assert_eq!(run.output::<String>("address"), "a-address", "it is recorded all the same");
    rewrite(write("a-address"));
    settled(&test).await;
}

/// Rules: 10, 28.
#[stackkit::test]
async fn a_panic_and_a_secret_in_a_check_are_handled() {
    let test = program(|stack| {
        let a = stack
            .add("a", Node::new().password("canary-in-a-check"))
            .precondition("it must not tell", |node| {
                Err::<(), _>(node.password.as_ref().map(|secret| secret.reveal().clone()).unwrap_or_default())
            })
            .precondition("it must not panic", |_| -> bool { panic!("as if") });
        let _ = a;
    });
    let found = refused(&test, &test.up().await);
    assert!(found[0].contains("it must not tell: [secret]"), "{found:?}");
    assert!(found[1].contains("it must not panic: the check panicked: as if"), "{found:?}");
}
