//! The plan is the ceiling: what comes back otherwise than it was planned is an error, and recorded.

use stackkit::Value;
use stackkit::event::{Event, Verb};

use crate::toys::*;

/// Rules: 12, 32.
#[stackkit::test]
async fn what_a_provider_makes_otherwise_than_planned_fails_the_step_and_is_recorded_as_it_is() {
    let all = |size| vec![item("a").size(size), item("b").hard("a"), item("c")];
    let test = test(&[all(3), all(4)]);
    test.cloud().returns("a", "size", Value::Int(5));
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
    test.cloud().returns("a", "size", Value::Int(7));
    let run = version(&test, 1).up().await;
    assert!(run.failures()[0].contains("a: update failed: the provider returned size = 7 where 4 was planned"));
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["update a"]);
    settled(&version(&test, 1)).await;
}

/// Rules: 7, 12.
#[stackkit::test]
async fn a_provider_that_insists_on_its_own_way_of_writing_is_believed() {
    let tags = |value: &str| Some([("k".to_owned(), value.to_owned())].into());
    let all = |value: &'static str| vec![item("a").with(move |a| a.tags = tags(value)), item("b").hard("a")];
    let test = test(&[all("X"), all("Y")]);
    let lower = || Value::Map([("k".to_owned(), Value::text("x"))].into());
    test.cloud().returns("a", "tags", lower());
    assert!(test.up().await.failures()[0].contains(r#"returned tags = {"k": "x"} where {"k": "X"} was planned"#));
    // It is tried once more, and then it is how it is.
    test.cloud().returns("a", "tags", lower());
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["update a", "create b"]);
    let warned = run.events().iter().any(
        |event| matches!(event, Event::Warning { message, .. } if message.contains("counts as the same from now on")),
    );
    assert!(warned);
    settled(&test).await;
    // A change of the program is a change all the same.
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["update a"]);
    settled(&version(&test, 1)).await;
}

/// Rules: 7, 24.
#[stackkit::test]
async fn nothing_is_replaced_for_what_came_back_otherwise() {
    let test = test(&[vec![item("a").kind("Oak").with(|a| a.protect = Some(true)), item("b").hard("a")]]);
    test.cloud().returns("a", "kind", Value::text("oak"));
    assert!(test.up().await.failures()[0].contains(r#"returned kind = "oak" where "Oak" was planned"#));
    assert_eq!(lines(&test.up().await.expect_ok()), ["create b"]);
    settled(&test).await;
}

/// Rules: 10, 12.
#[stackkit::test]
async fn a_secret_that_comes_back_otherwise_is_not_shown() {
    let test = test(&[vec![item("a").with(|a| a.password = Some("canary-planned".into()))]]);
    test.cloud().returns("a", "password", Value::text("canary-returned").into_secret());
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
        item("d").with(|d| d.zone = Some("north".into())),
        item("c").with(|c| c.tags = Some([("k".to_owned(), "v".to_owned())].into())),
    ]]);
    test.cloud().returns("a", "zone", Value::text("south"));
    test.cloud().returns("d", "zone", Value::text("zone/north"));
    test.cloud().returns("a", "pin", Value::Null);
    test.cloud().returns("b", "soft", Value::List(vec![Value::text("something else")]));
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
