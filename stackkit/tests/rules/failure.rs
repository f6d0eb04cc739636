//! Failure and resumption: whatever goes wrong, the next run needs no hand.

use std::time::{Duration, Instant};

use stackkit::ErrorKind;
use stackkit::engine::RunError;
use stackkit::event::{Event, Verb};
use stackkit::state::backend::BackendError;
use stackkit::state::model::Status;
use stackkit::testing::{Failure, Test, TestRun};

use crate::toys::*;

fn status(run: &TestRun, name: &str) -> Vec<Status> {
    run.state().resources.values().filter(|record| record.urn.name() == name).map(|record| record.status).collect()
}

/// Rules: 11, 17.
#[stackkit::test]
async fn a_create_that_fails_without_an_id_leaves_nothing() {
    let test = test(&[vec![item("a"), item("b").soft("a")]]).failing(Failure::of(Verb::Create, "a"));
    let run = test.up().await;
    assert!(run.state().resources.is_empty() && run.state().intents.is_empty());
    assert_eq!((run.summary().failed, run.summary().skipped), (1, 1));
    test.up().await.expect_ok();
    settled(&test).await;
}

/// Rules: 11.
#[stackkit::test]
async fn a_create_that_fails_after_its_id_is_finished_or_deleted_by_the_next_run() {
    for kind in [ErrorKind::Invalid, ErrorKind::Transient, ErrorKind::Throttled, ErrorKind::UnknownOutcome] {
        for refresh in [true, false] {
            let mut test = test(&[vec![item("a"), item("b").soft("a")], vec![]]);
            if !refresh {
                test = test.without_refresh();
            }
            test.cloud().fail(Failure::of(Verb::Create, "a").after_id().kind(kind));
            let run = test.up().await;
            run.expect_err();
            assert_eq!(status(&run, "a"), [Status::Incomplete], "{kind:?}");
            assert_eq!(test.cloud().ids(), ["node-a"], "made once, {kind:?}");
            let run = test.up().await.expect_ok();
            assert_eq!(lines(&run), ["update a", "create b"]);
            settled(&test).await;

            let test = self::test(&[vec![item("a")]]);
            test.cloud().fail(Failure::of(Verb::Create, "a").after_id().kind(kind));
            test.up().await.expect_err();
            test.destroy().await.expect_ok();
            assert!(test.cloud().ids().is_empty(), "what was made in part is deleted");
        }
    }
}

/// Rules: 11.
#[stackkit::test]
async fn what_was_made_in_part_and_must_be_replaced_is_replaced() {
    let test = test(&[vec![item("a")], vec![item("a").kind("iron")], vec![]]);
    test.cloud().fail(Failure::of(Verb::Create, "a").after_id());
    test.up().await.expect_err();
    let run = version(&test, 1).without_refresh().up().await.expect_ok();
    assert_eq!(lines(&run), ["replace a", "delete a"]);
    settled(&version(&test, 1)).await;
}

/// Rules: 12.
#[stackkit::test]
async fn an_update_that_fails_half_way_is_done_again() {
    for after in [false, true] {
        let test = test(&[vec![item("a")], vec![item("a").size(2)]]);
        test.up().await.expect_ok();
        let failure = Failure::of(Verb::Update, "a");
        test.cloud().fail(if after { failure.after_effect() } else { failure });
        let run = version(&test, 1).up().await;
        run.expect_err();
        assert_eq!(status(&run, "a"), [Status::Incomplete]);
        assert_eq!(run.output::<u32>("size-of-a"), 1, "an output of what failed stays as it was");
        let run = version(&test, 1).up().await.expect_ok();
        assert_eq!(lines(&run), ["update a"]);
        assert_eq!(run.output::<u32>("size-of-a"), 2);
        settled(&version(&test, 1)).await;
    }
}

/// Rules: 13.
#[stackkit::test]
async fn an_old_one_that_cannot_be_deleted_is_deleted_next_time_also_when_it_left_the_program() {
    let test =
        test(&[vec![item("a"), item("b")], vec![item("a").kind("iron"), item("b")], vec![item("b")]]).parallel(1);
    test.up().await.expect_ok();
    for to in [1, 2] {
        test.cloud().fail(Failure::of(Verb::Delete, "a").times(1));
        let run = version(&test, 1).options(forced("a")).up().await;
        run.expect_err();
        let mut found = status(&run, "a");
        found.sort_by_key(|status| *status != Status::Live);
        assert_eq!(found, [Status::Live, Status::PendingDelete]);
        version(&test, to).up().await.expect_ok();
        settled(&version(&test, to)).await;
    }
    assert_eq!(test.cloud().ids(), ["node-b"]);
}

fn forced(name: &str) -> stackkit::plan::PlanOptions {
    stackkit::plan::PlanOptions { replace: vec![name.into()], ..Default::default() }
}

/// Rules: 4, 14.
#[stackkit::test]
async fn delete_first_whose_create_fails_goes_on_where_it_was() {
    let wood = || vec![item("a").first(), item("b").hard("a"), item("c").soft("a")];
    let iron = || vec![item("a").first().kind("iron"), item("b").hard("a"), item("c").soft("a")];
    for failing in ["a", "b"] {
        let test = test(&[wood(), iron(), vec![item("c")]]).parallel(1);
        test.up().await.expect_ok();
        test.cloud().fail(Failure::of(Verb::Create, failing));
        let run = version(&test, 1).up().await;
        run.expect_err();
        assert_eq!(status(&run, failing), [Status::PendingReplacement]);
        whole(&test, &run);
        // The program may want it as it was once: it is created all the same.
        for to in [0, 1] {
            let run = version(&test, to).preview().await;
            let plan = planned(&run);
            assert!(plan.contains(&format!("create {failing}")), "{plan:?}");
            assert!(!plan.contains(&format!("delete {failing}")), "{plan:?}");
        }
        test.cloud().clear_calls();
        version(&test, 1).up().await.expect_ok();
        assert!(test.cloud().calls().iter().all(|call| call.verb != Verb::Delete), "nothing is deleted again");
        settled(&version(&test, 1)).await;
    }
    let test = test(&[wood(), iron(), vec![item("c")]]);
    test.up().await.expect_ok();
    test.cloud().fail(Failure::of(Verb::Create, "a"));
    version(&test, 1).up().await.expect_err();
    test.cloud().clear_calls();
    let run = version(&test, 2).up().await.expect_ok();
    assert!(test.cloud().calls().iter().all(|call| call.verb == Verb::Update), "{:?}", test.cloud().calls());
    assert_eq!(run.summary().forget, 2, "{:?}", run.summary());
    settled(&version(&test, 2)).await;
}

/// Rules: 17.
#[stackkit::test]
async fn a_panic_is_an_unknown_outcome_and_the_others_go_on() {
    for (after, verb) in [
        (false, Verb::Create),
        (true, Verb::Create),
        (false, Verb::Update),
        (true, Verb::Update),
        (false, Verb::Delete),
        (true, Verb::Delete),
    ] {
        let test = test(&[vec![item("x"), item("y")], vec![item("x").size(2), item("y").size(2)], vec![]]).parallel(1);
        let to = match verb {
            Verb::Create => 0,
            Verb::Update => 1,
            _ => 2,
        };
        if to > 0 {
            test.up().await.expect_ok();
        }
        let failure = Failure::of(verb, "x").panics();
        test.cloud().fail(if after { failure.after_effect() } else { failure });
        let run = version(&test, to).up().await;
        assert_eq!(run.expect_err().exit_code(), 1);
        assert_eq!(run.summary().failed, 1, "{verb:?}");
        assert_eq!(run.steps().len(), 1, "the other one went on");
        version(&test, to).up().await.expect_ok();
        settled(&version(&test, to)).await;
        assert_eq!(test.cloud().ids().len(), if to == 2 { 0 } else { 2 });
    }
}

/// Rules: 18.
#[stackkit::test]
async fn a_call_that_never_answers_is_given_up() {
    for (verb, to) in [(Verb::Create, 0), (Verb::Update, 1), (Verb::Delete, 2)] {
        let limit = |item: Item| item.with(|item| item.timeout = Some(Duration::from_millis(50)));
        let test = test(&[vec![limit(item("x"))], vec![limit(item("x")).size(2)], vec![]]);
        if to > 0 {
            test.up().await.expect_ok();
        }
        test.cloud().fail(Failure::of(verb, "x").hangs().after_effect());
        let run = version(&test, to).up().await;
        assert!(run.failures()[0].contains("no answer"), "{:?}", run.failures());
        version(&test, to).up().await.expect_ok();
        settled(&version(&test, to)).await;
    }
}

/// Rules: 16.
#[stackkit::test]
async fn a_cancelled_run_ends_what_runs_and_starts_nothing_new() {
    for after in [0, 1, 2] {
        let test = test(&[vec![item("a"), item("b").soft("a"), item("c"), item("d").soft("c")]]).parallel(2);
        let run = test.clone().cancel_after(after).up().await;
        assert_eq!(run.expect_err().exit_code(), 130);
        let summary = run.summary();
        assert!(summary.cancelled);
        assert_eq!(summary.create + summary.skipped, 4, "{summary:?}");
        assert_eq!(test.cloud().ids().len(), summary.create);
        assert!(summary.create <= 2, "{summary:?}");
        whole(&test, &run);
        test.up().await.expect_ok();
        settled(&test).await;
    }
}

/// Rules: 16.
#[stackkit::test]
async fn a_cancelled_run_with_free_slots_ends_at_once() {
    // A listener that cancels while steps are ready and slots are free.
    let test = test(&[(0..20).map(|n| item(&format!("n{n}"))).collect()]).parallel(16);
    let began = Instant::now();
    let run = test.clone().cancel_after(1).up().await;
    assert_eq!(run.expect_err().exit_code(), 130);
    assert!(began.elapsed() < Duration::from_secs(20));
    whole(&test, &run);
}

/// Rules: 17.
#[stackkit::test]
async fn branches_go_on_after_a_failure_unless_told_otherwise() {
    let items = vec![item("a"), item("b").soft("a"), item("c").soft("b"), item("x"), item("y").soft("x")];
    let test = test(std::slice::from_ref(&items)).parallel(1).failing(Failure::of(Verb::Create, "a"));
    let run = test.up().await;
    assert_eq!((run.summary().failed, run.summary().skipped, run.summary().create), (1, 2, 2));
    let test = self::test(&[items]).parallel(1).failing(Failure::of(Verb::Create, "a")).fail_fast();
    let run = test.up().await;
    assert_eq!((run.summary().failed, run.summary().skipped, run.summary().create), (1, 4, 0));
}

/// Rules: 18.
#[stackkit::test]
async fn what_fails_in_passing_is_tried_again_and_what_fails_for_good_is_not() {
    let test = test(&[vec![item("a")]]).failing(Failure::of(Verb::Create, "a").kind(ErrorKind::Throttled).times(2));
    let run = test.up().await.expect_ok();
    let retries = run.events().iter().filter(|event| matches!(event, Event::Retrying { .. })).count();
    assert_eq!(retries, 2);
    for kind in [ErrorKind::Invalid, ErrorKind::Denied, ErrorKind::Conflict] {
        let test = self::test(&[vec![item("a")]]).failing(Failure::of(Verb::Create, "a").kind(kind));
        let run = test.up().await;
        assert!(!run.events().iter().any(|event| matches!(event, Event::Retrying { .. })));
        assert_eq!(run.summary().failed, 1);
    }
}

fn refusing(test: &Test, after: usize) {
    let mut left = after;
    test.backend().before_append(move |_| {
        if left == 0 {
            return Err(BackendError::Corrupt("the disk is full".into()));
        }
        left -= 1;
        Ok(())
    });
}

/// Rules: 19.
#[stackkit::test]
async fn a_state_that_cannot_be_written_stops_the_run_and_nothing_is_lost() {
    let mut refused = 0;
    for after in 0..12 {
        for repairs in [true, false] {
            let test = test(&[
                vec![item("a"), item("b").soft("a"), item("c")],
                vec![
                    item("a").kind("iron").with(|a| a.password = Some("a canary, sealed".into())),
                    item("b").soft("a"),
                    item("d"),
                ],
            ])
            .parallel(2);
            test.up().await.expect_ok();
            let next = version(&test, 1);
            refusing(&next, after);
            let run = next.up().await;
            next.backend().clear_before_append();
            let Err(error) = run.result() else {
                assert!(refused >= 6, "the run wrote {refused} times only");
                return;
            };
            match error {
                RunError::Unsaved { rescue, merge, .. } => {
                    let text = std::fs::read_to_string(rescue).expect("a rescue file");
                    assert!(!text.contains("canary"), "it is sealed");
                    assert!(merge.contains("state repair"));
                    refused += 1;
                    assert_eq!(next.up().await.expect_err().exit_code(), 3);
                    if repairs {
                        assert!(next.repair().await.expect("a repair").merged.is_some());
                        assert!(next.repair().await.expect("nothing left to repair").is_nothing());
                    } else {
                        std::fs::remove_file(rescue).expect("removed");
                    }
                }
                other => panic!("{other}"),
            }
            next.up().await.expect_ok();
            settled(&next).await;
            assert_eq!(next.cloud().urns().len(), 3);
        }
    }
}

/// Rules: 15.
#[stackkit::test]
async fn a_search_that_fails_leaves_the_question_open() {
    // The create has its effect and its reply is lost; nothing is made twice, however often it happens.
    let lost = || Failure::of(Verb::Create, "a").kind(ErrorKind::UnknownOutcome).after_effect();
    let test = test(&[vec![item("a")]]).failing(lost());
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["create a"]);
    assert_eq!(test.cloud().ids(), ["node-a"]);
    settled(&test).await;
}
