//! Protection: what refuses, and when.

use stackkit::plan::PlanOptions;

use crate::toys::*;

fn protected(item: Item) -> Item {
    item.with(|item| item.protect = Some(true))
}

/// Rules: 24.
#[stackkit::test]
async fn all_refusals_come_together_and_nothing_is_touched() {
    let test = test(&[
        vec![protected(item("a")), protected(item("b")), item("c").hard("a"), protected(item("f").first()), item("x")],
        vec![
            protected(item("a").kind("iron")),
            item("c").hard("a"),
            protected(item("f").first().kind("iron")),
            item("x").size(7),
        ],
    ]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = version(&test, 1).up().await;
    let error = run.expect_err().to_string();
    assert_eq!(run.expect_err().exit_code(), 3, "{error}");
    for urn in ["toy:core:Node::a", "toy:core:Node::b", "toy:core:First::f"] {
        assert!(error.contains(urn), "{error}");
    }
    assert!(test.cloud().calls().is_empty());
    assert_eq!(test.destroy().await.expect_err().exit_code(), 3);
    assert!(test.cloud().calls().is_empty());
}

/// Rules: 4, 24.
#[stackkit::test]
async fn delete_first_that_reaches_a_protected_one_is_refused_before_anything_is_touched() {
    let all = |kind: &str| vec![item("a").first().kind(kind), protected(item("b").hard("a"))];
    let test = test(&[all("wood"), all("iron")]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = version(&test, 1).up().await;
    assert_eq!(run.expect_err().exit_code(), 3);
    assert!(run.expect_err().to_string().contains("toy:core:Node::b"), "{}", run.expect_err());
    assert!(test.cloud().calls().is_empty());
}

/// Rules: 8, 24.
#[stackkit::test]
async fn what_is_protected_and_only_may_be_replaced_is_judged_when_it_is_known() {
    let all = |size, part| vec![item("a").size(size), protected(item("b").hard_part("a", part))];
    let test = test(&[all(1, Part::Constant), all(2, Part::Constant)]);
    test.up().await.expect_ok();
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["update a"]);
    let test = self::test(&[all(1, Part::Revision), all(2, Part::Revision)]);
    test.up().await.expect_ok();
    let run = version(&test, 1).up().await;
    assert!(run.failures()[0].contains("protected"), "{:?}", run.failures());
    assert_eq!(test.cloud().ids(), ["node-a", "node-b"]);
}

/// Rules: 24.
#[stackkit::test]
async fn unprotected_and_replaced_in_one_run_is_fine() {
    let test = test(&[vec![protected(item("a"))], vec![item("a").kind("iron").with(|a| a.protect = Some(false))]]);
    test.up().await.expect_ok();
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["replace a", "delete a"]);
    settled(&version(&test, 1)).await;
}

/// Rules: 25.
#[stackkit::test]
async fn retained_is_forgotten_and_never_deleted() {
    let test = test(&[vec![item("a").with(|a| a.retain = true), item("b").soft("a")], vec![item("b")]]);
    test.up().await.expect_ok();
    let run = version(&test, 1).up().await.expect_ok();
    assert_eq!(lines(&run), ["update b", "forget a"]);
    assert_eq!(test.cloud().ids(), ["node-a", "node-b"]);
    assert!(!run.has::<Node>("a"));
}

/// Rules: 25.
#[stackkit::test]
async fn the_old_one_of_a_retained_replacement_is_left_alone_too() {
    for first in [false, true] {
        let kept = |kind: &str, retain| {
            vec![item("a").kind(kind).with(|a| (a.retain, a.first) = (retain, first)), item("b").soft("a")]
        };
        let test = test(&[kept("wood", false), kept("iron", true), kept("gold", false)]);
        test.up().await.expect_ok();
        let run = version(&test, 1).up().await.expect_ok();
        assert_eq!((run.summary().replace, run.summary().forget), (1, 0));
        assert!(!run.cloud().calls().iter().any(|call| call.verb == stackkit::event::Verb::Delete));
        assert_eq!(test.cloud().ids().len(), 3);
        // Whether it is left alone is for the program that replaces it to say.
        version(&test, 2).up().await.expect_ok();
        assert_eq!(test.cloud().ids().len(), 3);
        assert_eq!(version(&test, 2).up().await.expect_ok().appended(), 0);
    }
}

/// Rules: 24, 25.
#[stackkit::test]
async fn what_is_deleted_with_its_owner_needs_no_call() {
    let owned = |item: Item| item.with(|item| item.with = Some("o".into()));
    let test = test(&[vec![item("o"), owned(item("a")).soft("o")], vec![item("o")], vec![]]).parallel(1);
    test.up().await.expect_ok();
    // The owner stays: it is deleted like any other.
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["delete a"]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = version(&test, 2).up().await.expect_ok();
    assert_eq!(run.summary().forget, 1);
    assert_eq!(test.cloud().calls().len(), 1);
    assert!(run.state().resources.is_empty());

    // The owner is only forgotten: then this one must be deleted.
    let retained = |item: Item| item.with(|item| item.retain = true);
    let test = self::test(&[vec![retained(item("o")), owned(item("a"))], vec![]]);
    test.up().await.expect_ok();
    version(&test, 1).up().await.expect_ok();
    assert_eq!(test.cloud().ids(), ["node-o"]);

    // Going with an unprotected owner is going all the same.
    let test = self::test(&[vec![item("o"), protected(owned(item("a")))], vec![]]);
    test.up().await.expect_ok();
    assert_eq!(version(&test, 1).up().await.expect_err().exit_code(), 3);
    assert_eq!(test.cloud().ids().len(), 2);
}

/// Rules: 26, 33.
#[stackkit::test]
async fn guards_refuse_plans() {
    let test = test(&[vec![item("a"), item("b"), item("c")], vec![item("a").kind("iron")]]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    for (options, refused) in [
        (PlanOptions { no_destroy: true, ..PlanOptions::default() }, true),
        (PlanOptions { max_deletes: Some(2), ..PlanOptions::default() }, true),
        (PlanOptions { expect_no_changes: true, ..PlanOptions::default() }, true),
        (PlanOptions { max_deletes: Some(3), ..PlanOptions::default() }, false),
    ] {
        let run = version(&test, 1).options(options).up().await;
        if refused {
            assert_eq!(run.expect_err().exit_code(), 3, "{}", run.expect_err());
            assert!(test.cloud().calls().is_empty());
        } else {
            run.expect_ok();
        }
    }
    let calm =
        version(&test, 1).options(PlanOptions { expect_no_changes: true, no_destroy: true, ..PlanOptions::default() });
    calm.up().await.expect_ok();
}
