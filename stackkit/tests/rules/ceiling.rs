//! The plan is the ceiling: what comes back otherwise than it was planned is an error, and recorded.

use stackkit::Value;
use stackkit::event::Verb;

use crate::toys::*;

/// Rules: 12, 32.
#[stackkit::test]
async fn what_a_provider_makes_otherwise_than_planned_fails_the_step_and_is_recorded_as_it_is() {
    let all = |size| vec![item("a").size(size), item("b").hard("a"), item("c")];
    let test = test(&[all(3), all(4)]);
    test.cloud().answer("a", "size", Value::Int(5));
    let run = test.up().await;
    let failure = &run.failures()[0];
    assert!(failure.contains("a: create failed: the provider returned size = 5 where 3 was planned"), "{failure}");
    assert!(run.has::<Node>("a") && run.has::<Node>("c") && !run.has::<Node>("b"));
    assert_eq!(run.get::<Node>("a").size, 5);
    stackkit::state::verify(run.state()).expect("whole");
    // The next run brings it to what the program says, and goes on.
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["update a", "create b"]);
    settled(&test).await;
    // The same of an update.
    test.cloud().answer("a", "size", Value::Int(7));
    let run = version(&test, 1).up().await;
    assert!(run.failures()[0].contains("a: update failed: the provider returned size = 7 where 4 was planned"));
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["update a"]);
    settled(&version(&test, 1)).await;
}

/// Rules: 10, 12.
#[stackkit::test]
async fn a_secret_that_comes_back_otherwise_is_not_shown() {
    let test = test(&[vec![item("a").with(|a| a.password = Some("canary-planned".into()))]]);
    test.cloud().answer("a", "password", Value::text("canary-returned").into_secret());
    let run = test.up().await;
    let failure = &run.failures()[0];
    assert!(failure.contains("returned password = [secret] where [secret] was planned"), "{failure}");
    assert!(!format!("{:?}", run.events()).contains("canary"));
}

/// Rules: 7, 8.
#[stackkit::test]
async fn what_the_cloud_chooses_or_never_tells_and_what_was_unknown_is_no_violation() {
    let test = test(&[vec![
        item("a").with(|a| a.pin = Some("1234-secret".into())),
        item("b").soft("a"),
        item("c").with(|c| c.tags = Some([("k".to_owned(), "v".to_owned())].into())),
    ]]);
    test.cloud().answer("a", "zone", Value::text("south"));
    test.cloud().answer("a", "pin", Value::Null);
    test.cloud().answer("b", "soft", Value::List(vec![Value::text("something else")]));
    test.up().await.expect_ok();
}

/// Rules: 8.
#[stackkit::test]
async fn may_replace_turns_into_same_update_or_replace_and_nothing_else() {
    let all =
        |size, part| vec![item("a").size(size), item("b").hard_part("a", part).size(if size == 3 { 9 } else { 1 })];
    for (size, part, expected) in [
        (2, Part::Constant, vec!["update a"]),
        (3, Part::Constant, vec!["update a", "update b"]),
        (2, Part::Revision, vec!["update a", "replace b", "delete b"]),
    ] {
        let test = test(&[all(1, part), all(size, part)]);
        test.up().await.expect_ok();
        let next = version(&test, 1);
        assert_eq!(planned(&next.preview().await)[1], "may replace b");
        let run = next.up().await.expect_ok();
        assert_eq!(lines(&run), expected);
        let deletes = run.steps().iter().filter(|(verb, _)| *verb == Verb::Delete).count();
        assert_eq!(deletes, usize::from(expected.len() == 3));
    }
}
