//! What the next run makes of what was under way, case by case, on a cloud where everything takes its time.

use std::time::Duration;

use stackkit::event::{Operation, Verb};
use stackkit::state::model::{IntentKind, Status};
use stackkit::testing::{Failure, Test, Weather};
use stackkit::{ErrorKind, Value};

use crate::program::{How, Item, Ty, declare, declare_versions, program};

/// A cloud where nothing goes wrong, but what is made, changed or deleted is seen up to twenty seconds later, and what a dead
/// process asked for lands up to twenty seconds later.
fn slow(seed: u64) -> Weather {
    let longest = Duration::from_secs(20);
    Weather {
        latency: Duration::from_secs(2),
        lag: longest,
        slow_deletes: longest,
        late_effects: longest,
        forgetful: true,
        strict: true,
        ..Weather { seed, ..Weather::fair() }
    }
}

/// A world that was prepared, and in which a run died at the first instant of this name.
async fn dead(prepare: impl AsyncFn() -> Test, place: &str) -> Test {
    for instant in 1.. {
        let test = prepare().await;
        let killed = test.killed_at(instant, Operation::Up).await;
        assert_eq!(killed.problems, Vec::<String>::new());
        match killed.place {
            Some(found) if found.starts_with(place) => return test,
            Some(_) => {}
            None => break,
        }
    }
    panic!("no run passes `{place}`");
}

async fn settled(test: &Test, names: &[&str]) {
    tokio::time::sleep(Duration::from_secs(60)).await;
    let run = test.up().await.expect_ok();
    assert!(run.steps().is_empty() && run.appended() == 0, "{:?}", run.steps());
    let there: Vec<String> = test.cloud().urns().iter().map(|urn| urn.name().to_owned()).collect();
    assert_eq!(there, names);
    assert_eq!(test.cloud().ids().len(), run.state().resources.len());
    assert!(run.state().intents.is_empty());
}

/// Rules: 15.
#[test]
fn a_create_that_lands_after_the_death_is_found_however_long_it_was_tried() {
    for seed in 0..20 {
        super::simulated(async {
            declare(&[Item { fixed: seed % 2 == 0, ..Item::plain("a", Ty::Node) }]);
            let prepare = async || {
                let test = Test::of(program).weather(slow(seed));
                // The intent is old when the last attempt is made.
                test.cloud().fail(Failure::of(Verb::Create, "a").kind(ErrorKind::Throttled).times(6));
                test
            };
            let test = dead(prepare, "while the create").await;
            test.cloud().clear_failures();
            test.up().await.expect_ok();
            settled(&test, &["a"]).await;
        });
    }
}

/// Rules: 12, 15.
#[test]
fn an_update_that_lands_after_the_death_does_not_undo_the_next_one() {
    for seed in 0..20 {
        super::simulated(async {
            let sized = |size| Item { size, ..Item::plain("a", Ty::Node) };
            let prepare = async || {
                declare(&[sized(1)]);
                let test = Test::of(program).weather(slow(seed));
                test.up().await.expect_ok();
                declare(&[sized(2)]);
                test
            };
            let test = dead(prepare, "while the update").await;
            declare(&[sized(3)]);
            test.up().await.expect_ok();
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(test.cloud().value("a", Ty::Node.schema(), "size"), Some(Value::Int(3)));
            settled(&test, &["a"]).await;
        });
    }
}

/// Rules: 15.
#[test]
fn a_delete_that_lands_after_the_death_does_not_take_what_the_program_wants_again() {
    for seed in 0..20 {
        super::simulated(async {
            let prepare = async || {
                declare(&[Item::plain("a", Ty::Node)]);
                let test = Test::of(program).weather(slow(seed));
                test.up().await.expect_ok();
                declare(&[]);
                test
            };
            let test = dead(prepare, "while the delete").await;
            declare(&[Item::plain("a", Ty::Node)]);
            test.up().await.expect_ok();
            settled(&test, &["a"]).await;
        });
    }
}

/// Rules: 11.
#[test]
fn what_was_made_in_part_and_is_not_seen_yet_is_neither_made_again_nor_left_behind() {
    for seed in 0..20 {
        for (refresh, destroys) in [(true, false), (false, false), (true, true), (false, true)] {
            super::simulated(async {
                declare(&[Item::plain("a", Ty::Node)]);
                let mut test = Test::of(program).weather(slow(seed));
                if !refresh {
                    test = test.without_refresh();
                }
                test.cloud().fail(Failure::of(Verb::Create, "a").after_id());
                let run = test.up().await;
                assert!(run.state().resources.values().all(|record| record.status == Status::Incomplete));
                if destroys {
                    test.destroy().await.expect_ok();
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    assert!(test.cloud().ids().is_empty(), "something is left behind");
                } else {
                    test.up().await.expect_ok();
                    settled(&test, &["a"]).await;
                }
            });
        }
    }
}

/// Rules: 6a.
#[test]
fn a_name_that_is_given_back_slowly_is_waited_for() {
    for seed in 0..20 {
        super::simulated(async {
            let made_of = |kind| Item { kind: Some(kind), fixed: true, ..Item::plain("a", Ty::Node) };
            declare(&[made_of("iron")]);
            let test = Test::of(program).weather(slow(seed));
            test.up().await.expect_ok();
            declare(&[made_of("gold")]);
            test.up().await.expect_ok();
            settled(&test, &["a"]).await;
        });
    }
}

/// Rules: 18.
#[test]
fn an_update_whose_outcome_nobody_knows_stays_open() {
    super::simulated(async {
        let sized = |size| Item { size, ..Item::plain("a", Ty::Node) };
        declare(&[sized(1)]);
        let test = Test::of(program).weather(slow(1));
        test.up().await.expect_ok();
        declare(&[sized(2)]);
        test.cloud().fail(Failure::of(Verb::Update, "a").hangs().after_effect());
        let run = test.up().await;
        let kinds: Vec<IntentKind> = run.state().intents.values().map(|intent| intent.kind).collect();
        assert_eq!(kinds, [IntentKind::Update]);
        test.up().await.expect_ok();
        settled(&test, &["a"]).await;
    });
}

/// Rules: 15.
#[test]
fn looks_that_are_throttled_are_repeated() {
    for seed in 0..30 {
        super::simulated(async {
            declare(&[Item::plain("a", Ty::Node)]);
            let test = dead(async || Test::of(program).weather(slow(seed)), "while the create").await;
            test.cloud().set_weather(Weather { throttled: 15, ..slow(seed) });
            test.up().await.expect_ok();
            test.cloud().set_weather(slow(seed));
            settled(&test, &["a"]).await;
        });
    }
}

/// Rules: 15.
#[test]
fn the_answer_to_a_question_leaves_the_old_instance_in_the_state() {
    super::simulated(async {
        let made_of = |kind| Item { kind: Some(kind), ..Item::plain("a", Ty::Once) };
        let prepare = async || {
            declare(&[made_of("iron")]);
            let test = Test::of(program).weather(slow(3));
            test.up().await.expect_ok();
            declare(&[made_of("gold")]);
            test
        };
        let test = dead(prepare, "before the create").await;
        let run = test.up().await;
        let question = run.expect_err();
        assert_eq!(question.exit_code(), 3);
        let urn = made_of("gold").urn();
        assert!(question.to_string().contains(&format!("state rm '{urn}'")), "{question}");
        test.forget(&urn).await.expect("the answer");
        let state = test.state().await.expect("a state");
        assert_eq!((state.resources.len(), state.intents.len()), (1, 0), "what was to be replaced is still known");
        test.up().await.expect_ok();
        settled(&test, &["a"]).await;
    });
}

/// Rules: 3, 4, 6a, 13, 14, 15, 35.
#[test]
fn no_instant_of_a_change_loses_or_doubles_anything() {
    let item = |name, uses: &[(&'static str, How)]| Item { uses: uses.to_vec(), ..Item::plain(name, Ty::Node) };
    let first = [
        item("a", &[]),
        item("b", &[("a", How::HardId)]),
        Item { ty: Ty::First, ..item("c", &[("b", How::HardId)]) },
        Item { fixed: true, ..item("d", &[("a", How::SoftId)]) },
        item("e", &[("d", How::SoftAddress)]),
    ];
    let second = [
        Item { kind: Some("iron"), ..item("a", &[]) },
        item("b", &[("a", How::HardId)]),
        Item { ty: Ty::First, ..item("c", &[("b", How::HardId)]) },
        Item { fixed: true, kind: Some("gold"), ..item("d", &[("a", How::SoftId)]) },
        item("f", &[("d", How::After)]),
    ];
    super::simulated(async {
        declare_versions(&[&first, &second]);
        let test = Test::of(program).parallel(2).weather(slow(5));
        let next = test.clone().config("version", "1");
        test.up().await.expect_ok();
        let report = next.up().await.expect_ok().simulate_crashes_after(&test).await;
        report.assert_converges();
        assert!(report.crashes > 200, "{} crashes", report.crashes);
    });
}
