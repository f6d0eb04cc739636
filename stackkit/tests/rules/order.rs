//! Order: creates and updates by the program's references, old instances by the recorded ones.

use stackkit::event::Verb;
use stackkit::plan::PlanOptions;
use stackkit::testing::Failure;

use crate::toys::*;

/// Rules: 1, 3, 15.
#[stackkit::test]
async fn a_replacement_goes_through_its_dependents_and_back() {
    let test = test(&[
        vec![item("a"), item("b").soft("a"), item("c").hard("b"), item("d").after("a")],
        vec![item("a").kind("iron"), item("b").soft("a"), item("c").hard("b"), item("d").after("a")],
    ])
    .parallel(1);
    test.cloud().refuse_while_used();
    test.up().await.expect_ok();
    let run = version(&test, 1).up().await.expect_ok();
    assert_eq!(lines(&run), ["replace a", "update b", "delete a"]);
    settled(&version(&test, 1)).await;
    version(&test, 1).up().await.expect_ok().simulate_crashes_after(&test).await.assert_converges();
}

/// Rules: 4, 15.
#[stackkit::test]
async fn delete_first_takes_along_what_is_replaced_with_it_and_nothing_else() {
    let test = test(&[
        vec![item("a").first(), item("b").hard("a"), item("c").hard("b"), item("d").soft("a"), item("e").soft("b")],
        vec![
            item("a").first().kind("iron"),
            item("b").hard("a"),
            item("c").hard("b"),
            item("d").soft("a"),
            item("e").soft("b"),
        ],
    ])
    .parallel(1);
    test.up().await.expect_ok();
    let run = version(&test, 1).up().await.expect_ok();
    let done = lines(&run);
    assert_eq!(done[..4], ["delete c", "delete b", "delete a", "replace a"]);
    let mut rest = done[4..].to_vec();
    rest.sort();
    assert_eq!(rest, ["replace b", "replace c", "update d", "update e"]);
    settled(&version(&test, 1)).await;
    version(&test, 1).up().await.expect_ok().simulate_crashes_after(&test).await.assert_converges();
}

/// Rules: 4.
#[stackkit::test]
async fn the_programs_setting_wins_over_the_types() {
    let kinds = |kind: &str, setting| {
        vec![
            item("a").first().kind(kind).with(|a| a.delete_first = setting),
            item("b").kind(kind).with(|b| b.delete_first = setting),
        ]
    };
    let test = test(&[kinds("wood", Some(false)), kinds("iron", Some(false)), kinds("gold", Some(true))]).parallel(1);
    test.up().await.expect_ok();
    let run = version(&test, 1).up().await.expect_ok();
    assert_eq!(lines(&run), ["replace a", "replace b", "delete a", "delete b"]);
    let run = version(&test, 2).up().await.expect_ok();
    assert_eq!(lines(&run), ["delete a", "delete b", "replace a", "replace b"]);
    settled(&version(&test, 2)).await;
}

/// Rules: 6a.
#[stackkit::test]
async fn a_name_that_the_program_fixes_is_freed_before_it_is_taken_again() {
    let named = |kind: &str, name: &str| vec![item("a").kind(kind).with(|a| a.fixed = Some(name.into()))];
    let test = test(&[
        named("wood", "x"),
        named("iron", "x"),
        named("iron", "y"),
        vec![item("a").kind("iron")],
        vec![item("a").kind("gold")],
    ]);
    test.up().await.expect_ok();
    for (to, expected) in [
        (1, ["delete a", "replace a"]),
        (2, ["replace a", "delete a"]),
        // Unset, the name that it has is kept.
        (4, ["replace a", "delete a"]),
    ] {
        let before = version(&test, to).up().await.expect_ok();
        assert_eq!(lines(&before), expected, "version {to}");
        settled(&version(&test, to)).await;
    }
}

/// Rules: 1, 5, 15.
#[stackkit::test]
async fn a_dropped_dependency_is_still_ordered_before_the_deletion() {
    let test = test(&[
        vec![item("a"), item("b").soft("a"), item("c").hard("a"), item("d").after("a")],
        vec![item("b"), item("c"), item("d")],
    ])
    .parallel(1);
    test.cloud().refuse_while_used();
    test.up().await.expect_ok();
    let run = version(&test, 1).up().await.expect_ok();
    let done = lines(&run);
    assert_eq!(done.last().map(String::as_str), Some("delete a"), "{done:?}");
    assert!(done.contains(&"update b".to_owned()) && done.contains(&"delete c".to_owned()), "{done:?}");
    settled(&version(&test, 1)).await;
    version(&test, 1).up().await.expect_ok().simulate_crashes_after(&test).await.assert_converges();
}

/// Rules: 1, 17.
#[stackkit::test]
async fn a_dependent_that_fails_keeps_the_old_one_alive() {
    let test = test(&[vec![item("a"), item("b").soft("a")], vec![item("b")]]);
    test.up().await.expect_ok();
    test.cloud().fail(Failure::of(Verb::Update, "b"));
    let run = version(&test, 1).up().await;
    run.expect_err();
    assert_eq!((run.summary().failed, run.summary().skipped), (1, 1));
    assert_eq!(test.cloud().ids().len(), 2);
    let run = version(&test, 1).up().await.expect_ok();
    assert_eq!(lines(&run), ["update b", "delete a"]);
}

/// Rules: 1, 15.
#[stackkit::test]
async fn a_reversed_reference_between_two_replaced_ones_is_no_circle() {
    let test =
        test(&[vec![item("a"), item("b").hard("a")], vec![item("b").kind("iron"), item("a").kind("iron").hard("b")]])
            .parallel(1);
    test.cloud().refuse_while_used();
    test.up().await.expect_ok();
    let run = version(&test, 1).up().await.expect_ok();
    assert_eq!(lines(&run), ["replace b", "replace a", "delete b", "delete a"]);
    settled(&version(&test, 1)).await;
    version(&test, 1).up().await.expect_ok().simulate_crashes_after(&test).await.assert_converges();
}

/// Rules: 1, 4.
#[stackkit::test]
async fn a_reversed_reference_across_delete_first_keeps_both_orders() {
    let test = test(&[
        vec![item("a").first(), item("b").first().hard("a")],
        vec![item("b").first().kind("iron"), item("a").first().kind("iron").hard("b")],
        vec![item("a").first(), item("b").soft("a")],
        vec![item("b"), item("a").first().kind("iron").hard("b")],
    ]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = version(&test, 1).up().await.expect_ok();
    // Both are deleted first: old ones in their order, new ones in theirs.
    assert_eq!(lines(&run), ["delete b", "replace b", "delete a", "replace a"]);
    version(&test, 1).destroy().await.expect_ok();
    version(&test, 2).up().await.expect_ok();
    // An update before the deletion, and before the creation that needs it: no circle either.
    let run = version(&test, 3).up().await.expect_ok();
    assert_eq!(lines(&run), ["update b", "delete a", "replace a"]);
}

/// Rules: 1, 4.
#[stackkit::test]
async fn a_circle_of_deletions_is_a_plan_error_before_anything_is_touched() {
    // The old `a` may go when `u` has let go of it, `u` waits for the new `c`, and `c` waits for the new `a`, which
    // waits for the old one to be gone.
    let test = test(&[
        vec![item("a").first(), item("c").hard("a"), item("b").hard("c").first()],
        vec![item("b").kind("iron").first(), item("c").soft("b"), item("a").first().kind("iron").hard("b")],
        vec![],
        // `x` was on `a`, and is deleted first; the new `a` is to stand on the new `x`, whose name `y` still holds.
        vec![item("a").first(), item("x").hard("a"), item("y").hard("x")],
        vec![item("y"), item("x").hard("y"), item("a").first().kind("iron").hard("x")],
    ])
    .parallel(1);
    test.up().await.expect_ok();
    let run = version(&test, 1).up().await.expect_ok();
    let done = lines(&run);
    let at = |line: &str| done.iter().position(|done| done == line).unwrap_or_else(|| panic!("{line} in {done:?}"));
    assert!(at("delete b") < at("replace b") && at("delete a") < at("replace a") && at("delete c") < at("delete a"));
    settled(&version(&test, 1)).await;
    version(&test, 1).destroy().await.expect_ok();
    version(&test, 3).up().await.expect_ok();
    let run = version(&test, 4).up().await.expect_ok();
    let done = lines(&run);
    let at = |line: &str| done.iter().position(|done| done == line).unwrap_or_else(|| panic!("{line} in {done:?}"));
    assert!(at("replace x") < at("delete x") && at("delete x") < at("delete a") && at("delete a") < at("replace a"));
    settled(&version(&test, 4)).await;

    // No order can do this: the old `a` may go when `b` is gone, `b` when `c` has let go of it, and `c` takes hold of
    // the new `a`, which waits for the old one to be gone.
    for leaves in [false, true] {
        let mut next = vec![item("a").first().kind("iron"), item("b").kind("iron"), item("c").soft("a")];
        if leaves {
            next.remove(1);
        }
        let test = self::test(&[
            vec![item("a").first(), item("b").hard("a"), item("c").soft("b")],
            next,
            vec![item("a").first(), item("b").kind("iron"), item("c")],
        ]);
        test.up().await.expect_ok();
        test.cloud().clear_calls();
        let run = version(&test, 1).up().await;
        let error = run.expect_err().to_string();
        assert!(error.contains("in a circle") && error.contains("in one `up`"), "{error}");
        assert!(test.cloud().calls().is_empty());
        // The way out that the error names.
        version(&test, 2).up().await.expect_ok();
        version(&test, 1).up().await.expect_ok();
        settled(&version(&test, 1)).await;
    }
}

/// Rules: 3, 4, 8, 15.
#[stackkit::test]
async fn a_replacement_that_only_may_come_resolves_to_nothing_an_update_or_itself() {
    for first in [false, true] {
        let make = |size, part, soft| {
            let mut b = item("b").hard_part("a", part).with(|b| b.first = first);
            if soft {
                b = b.soft_part("a", Part::Revision);
            }
            vec![item("a").size(size), b, item("c").hard("b")]
        };
        for (part, soft, expected) in [
            (Part::Constant, false, vec!["update a"]),
            (Part::Constant, true, vec!["update a", "update b"]),
            (Part::Revision, false, vec!["update a", "replace b", "replace c", "delete c", "delete b"]),
        ] {
            let test = test(&[make(1, part, soft), make(2, part, soft)]).parallel(1);
            if !first {
                test.cloud().refuse_while_used();
            }
            test.up().await.expect_ok();
            let preview = version(&test, 1).preview().await;
            assert_eq!(planned(&preview), ["update a", "may replace b", "may replace c"], "{part:?}");
            let run = version(&test, 1).up().await.expect_ok();
            let mut expected = expected;
            if first && part == Part::Revision {
                expected = vec!["update a", "delete c", "delete b", "replace b", "replace c"];
            }
            assert_eq!(lines(&run), expected, "{part:?}, delete first: {first}");
            settled(&version(&test, 1)).await;
            let report = version(&test, 1).up().await.expect_ok().simulate_crashes_after(&test).await;
            report.assert_converges();
        }
    }
}

/// Rules: 3, 9, 32.
#[stackkit::test]
async fn a_plan_is_the_same_each_time_and_asked_replacements_are_made() {
    let test = test(&[vec![item("a"), item("b").hard("a"), item("c").soft("b")]]).parallel(1);
    test.up().await.expect_ok();
    let forced =
        test.clone().options(PlanOptions { replace: vec!["toy:core:Node::a".into()], ..PlanOptions::default() });
    let (one, two) = (forced.preview().await, forced.preview().await);
    assert_eq!(format!("{:?}", one.plan()), format!("{:?}", two.plan()));
    assert_eq!(planned(&one), ["replace a", "may replace b", "may update c"]);
    let run = forced.up().await.expect_ok();
    assert_eq!(lines(&run), ["replace a", "replace b", "update c", "delete b", "delete a"]);
    settled(&test).await;
    let nobody = test.clone().options(PlanOptions { replace: vec!["nobody".into()], ..PlanOptions::default() });
    assert!(nobody.up().await.expect_err().to_string().contains("`--replace nobody` matches no"));
}
