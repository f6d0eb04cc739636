//! Selection: what a plan is about, what comes along, and what is refused because it would leave something dangling.

use stackkit::event::Verb;
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::state::model::{ResourceRecord, Status};
use stackkit::testing::{Failure, Test, TestRun};
use stackkit::{Urn, Value};

use crate::toys::*;

fn options(targets: &[&str], excludes: &[&str]) -> PlanOptions {
    let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    PlanOptions { targets: all(targets), excludes: all(excludes), ..PlanOptions::default() }
}

fn with_dependents(targets: &[&str], excludes: &[&str]) -> PlanOptions {
    PlanOptions {
        target_dependents: !targets.is_empty(),
        exclude_dependents: targets.is_empty(),
        ..options(targets, excludes)
    }
}

fn record(run: &TestRun, name: &str) -> ResourceRecord {
    let found = run.state().resources.values().find(|record| record.urn.name() == name);
    found.unwrap_or_else(|| panic!("{name} is in the state")).clone()
}

fn names(urns: &[Urn]) -> Vec<&str> {
    urns.iter().map(Urn::name).collect()
}

/// Four things that are there; then all of them changed, and two more on top of one another.
fn growing() -> Test {
    test(&[
        vec![item("a"), item("b").soft("a"), item("c").hard("b"), item("x")],
        vec![
            item("a").size(2),
            item("b").size(2).soft("a"),
            item("c").size(2).hard("b"),
            item("x").size(2),
            item("d").soft("b"),
            item("e").soft("d"),
        ],
    ])
}

/// Rules: 29.
#[stackkit::test]
async fn a_plan_is_about_what_is_selected_and_what_that_needs_and_lacks() {
    let test = growing();
    test.up().await.expect_ok();
    let all = ["update a", "update b", "update c", "update x", "create d", "create e"];
    for (options, expected, left_out) in [
        (options(&["c"], &[]), vec!["update c"], 5),
        (options(&["e"], &[]), vec!["create d", "create e"], 4),
        (options(&["*:Node::?"], &[]), all.to_vec(), 0),
        (options(&["toy:core:Node"], &[]), all.to_vec(), 0),
        (options(&["a", "x"], &[]), vec!["update a", "update x"], 4),
        (options(&["a", "x"], &["x"]), vec!["update a"], 5),
        (options(&[], &["x"]), vec!["update a", "update b", "update c", "create d", "create e"], 1),
        (with_dependents(&["b"], &[]), vec!["update b", "update c", "create d", "create e"], 2),
        (with_dependents(&["b"], &["c"]), vec!["update b", "create d", "create e"], 3),
        (with_dependents(&[], &["d"]), vec!["update a", "update b", "update c", "update x"], 2),
        (with_dependents(&[], &["b"]), vec!["update a", "update x"], 4),
    ] {
        let run = version(&test, 1).options(options.clone()).preview().await.expect_ok();
        assert_eq!(planned(&run), expected, "{options:?}");
        assert_eq!(run.summary().left_out, left_out, "{options:?}");
        assert_eq!(run.plan().expect("a plan").selected.as_ref().map(|selected| selected.left_out), Some(left_out));
    }
    let run = version(&test, 1).options(with_dependents(&["b"], &[])).preview().await.expect_ok();
    let selected = run.plan().and_then(|plan| plan.selected.clone()).expect("a selection");
    assert_eq!((selected.asked, names(&selected.dependents)), (1, vec!["c", "d", "e"]));
    let run = version(&test, 1).options(options(&["e"], &[])).preview().await.expect_ok();
    let selected = run.plan().and_then(|plan| plan.selected.clone()).expect("a selection");
    assert_eq!((selected.asked, names(&selected.needed)), (1, vec!["d"]));
}

/// Rules: 29, 1.
#[stackkit::test]
async fn what_depended_on_a_target_and_is_to_be_needed_by_it_comes_along() {
    let test = test(&[
        vec![item("a"), item("far").soft("a"), item("near").soft("far")],
        vec![item("near"), item("far"), item("a").soft("near"), item("beside").soft("far")],
    ]);
    test.up().await.expect_ok();
    let of = |targets: &[&str], excludes: &[&str]| version(&test, 1).options(options(targets, excludes));
    let run = of(&["a"], &[]).preview().await.expect_ok();
    assert_eq!(planned(&run), ["update near", "update a"]);
    let error = of(&["a"], &["near"]).preview().await.expect_err().to_string();
    assert!(error.contains("as it is now it depends on something selected"), "{error}");
    assert!(error.contains("toy:core:Node::near") && error.contains("--exclude-dependents"), "{error}");
    of(&["a"], &[]).up().await.expect_ok();
    version(&test, 1).up().await.expect_ok();
    test.destroy().await.expect_ok();
}

/// Rules: 29.
#[stackkit::test]
async fn a_glob_that_matches_nothing_is_an_error_that_names_what_is_near() {
    let test = growing();
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    for (options, expected) in [
        (options(&["toy:core:Nod"], &[]), "did you mean `toy:core:Node`"),
        (options(&["nothing-like-it"], &[]), "`--target nothing-like-it` matches no resource"),
        (options(&[], &["nobody"]), "`--exclude nobody` matches no resource"),
        (PlanOptions { replace: vec!["nobody*".into()], ..PlanOptions::default() }, "`--replace nobody*` matches no"),
        (PlanOptions { replace: vec!["x".into()], ..options(&["a"], &[]) }, "`--replace x` matches is not selected"),
    ] {
        let run = version(&test, 1).options(options).up().await;
        let error = run.expect_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let run = test.clone().options(options(&["nobody"], &[])).refresh().await;
    assert!(run.expect_err().to_string().contains("matches no resource"));
    assert!(test.cloud().calls().is_empty());
    let replaced = PlanOptions { replace: vec!["*:Node::[ab]".into(), "?".into()], ..options(&["a"], &[]) };
    let run = version(&test, 1).options(replaced).preview().await;
    assert!(run.expect_err().to_string().contains("matches no resource"), "brackets mean themselves");
}

/// Rules: 29.
#[stackkit::test]
async fn what_is_left_out_keeps_what_is_recorded_of_it_and_is_not_even_read() {
    let test = growing();
    let before = test.up().await.expect_ok();
    assert!(test.cloud().tamper("a", schema(), "kind", Value::text("rust")));
    let looks = test.cloud().looks().in_batches;
    let run = version(&test, 1).options(options(&["e", "c"], &[])).up().await.expect_ok();
    assert_eq!(test.cloud().looks().in_batches - looks, 1, "only c is there to be read");
    let mut done = lines(&run);
    done.sort();
    assert_eq!(done, ["create d", "create e", "update c"]);
    assert_eq!((run.summary().left_out, run.summary().same), (3, 0));
    for name in ["a", "b", "x"] {
        assert_eq!(record(&run, name), record(&before, name));
    }
    assert_eq!((run.output::<u32>("size-of-a"), run.output::<u32>("size-of-c")), (1, 2));
    // The rest follows with the next whole run, which finds everything that it would have found anyway.
    let run = version(&test, 1).up().await.expect_ok();
    assert!(lines(&run).contains(&"replace a".to_owned()), "{:?}", lines(&run));
    settled(&version(&test, 1)).await;
    // A selection of what is as it should be does nothing and writes nothing.
    let run = version(&test, 1).options(options(&["e"], &[])).up().await.expect_ok();
    assert_eq!((lines(&run).len(), run.appended()), (0, 0));
}

/// Rules: 29, 31.
#[stackkit::test]
async fn outputs_of_what_is_left_out_stay_as_they_are() {
    let test =
        test(&[vec![item("a"), item("b"), item("gone")], vec![item("a").size(5), item("b").size(5), item("new")]]);
    test.up().await.expect_ok();
    let run = version(&test, 1).options(options(&["a"], &[])).up().await.expect_ok();
    assert_eq!(lines(&run), ["update a"]);
    let changed = run.plan().expect("a plan").outputs.iter().filter(|output| output.changes());
    let changed: Vec<_> = changed.map(|output| output.name.as_str()).collect();
    assert_eq!(changed, ["revision-of-a", "size-of-a"]);
    assert_eq!((run.output::<u32>("size-of-a"), run.output::<u32>("size-of-b")), (5, 1));
    assert_eq!(run.output::<u32>("size-of-gone"), 1, "the resource is still there");
    assert!(!run.state().outputs.contains_key("size-of-new"));
    let run = version(&test, 1).up().await.expect_ok();
    assert!(!run.state().outputs.contains_key("size-of-gone"));
    assert_eq!(run.output::<u32>("size-of-new"), 1);
    settled(&version(&test, 1)).await;
}

#[stackkit::program(providers(Toy))]
async fn half_broken(stack: &mut Stack) -> Result<()> {
    let wrong = Output::known("iron".to_owned()).try_map(|_| Err::<String, _>("no such metal"));
    stack.add("good", Node::new().size(3u32));
    stack.add("bad", Node::new().kind(wrong));
    Ok(())
}

/// Rules: 29.
#[stackkit::test]
async fn values_of_what_is_left_out_are_not_judged() {
    let test = Test::of(half_broken);
    assert!(test.up().await.expect_err().to_string().contains("no such metal"));
    let run = test.clone().options(options(&["good"], &[])).up().await.expect_ok();
    assert_eq!(lines(&run), ["create good"]);
}

/// Rules: 29.
#[stackkit::test]
async fn what_is_excluded_and_needed_is_named_with_all_that_need_it() {
    let test = test(&[vec![item("net"), item("a").soft("net"), item("b").hard("net"), item("x")]]);
    let run = test.clone().options(options(&[], &["net"])).up().await;
    let error = run.expect_err().to_string();
    assert_eq!(run.expect_err().exit_code(), 3, "{error}");
    assert!(error.contains("toy:core:Node::a and toy:core:Node::b need it"), "{error}");
    assert!(error.contains("--exclude-dependents"), "{error}");
    assert!(test.cloud().calls().is_empty());
    let run = test.clone().options(with_dependents(&[], &["net"])).up().await.expect_ok();
    assert_eq!(lines(&run), ["create x"]);
    // Once it is there, its record will do.
    test.clone().options(options(&["net"], &[])).up().await.expect_ok();
    let run = test.clone().options(options(&[], &["net"])).up().await.expect_ok();
    assert_eq!(run.summary().create, 2);
    settled(&test).await;
}

/// Rules: 11, 29.
#[stackkit::test]
async fn what_an_earlier_run_left_unfinished_comes_along_unless_it_is_excluded() {
    let versions = [
        vec![item("a"), item("b").soft_part("a", Part::Address)],
        vec![item("a").size(2), item("b").soft_part("a", Part::Address)],
    ];
    let test = test(&versions).failing(Failure::of(Verb::Create, "a").after_id());
    test.clone().options(options(&["a"], &[])).up().await.expect_err();
    let run = test.clone().options(options(&["b"], &[])).up().await.expect_ok();
    assert_eq!(lines(&run), ["update a", "create b"]);
    settled(&test).await;
    // Where nothing is known of it yet, nothing can stand on it.
    let test = self::test(&versions).failing(Failure::of(Verb::Create, "a").after_id());
    test.clone().options(options(&["a"], &[])).up().await.expect_err();
    let run = test.clone().without_refresh().options(options(&[], &["a"])).up().await;
    assert!(run.expect_err().to_string().contains("not there yet"), "{}", run.expect_err());

    let test = self::test(&versions);
    test.clone().options(options(&["a"], &[])).up().await.expect_ok();
    test.cloud().fail(Failure::of(Verb::Update, "a"));
    version(&test, 1).options(options(&["a"], &[])).up().await.expect_err();
    let next = version(&test, 1);
    assert_eq!(planned(&next.clone().options(options(&["b"], &[])).preview().await), ["update a", "create b"]);
    let run = next.options(options(&[], &["a"])).up().await.expect_ok();
    assert_eq!(lines(&run), ["create b"]);
    assert_eq!(record(&run, "a").status, Status::Incomplete);
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["update a"]);
}

/// Rules: 14, 29.
#[stackkit::test]
async fn a_replacement_that_waits_for_its_successor_comes_along() {
    let kinds = |kind: &str| {
        vec![item("a").first().kind(kind), item("b").soft("a"), item("x").size(if kind == "iron" { 2 } else { 1 })]
    };
    let test = test(&[kinds("wood"), kinds("iron")]).parallel(1);
    test.up().await.expect_ok();
    test.cloud().fail(Failure::of(Verb::Create, "a"));
    version(&test, 1).options(with_dependents(&["a"], &[])).up().await.expect_err();
    let run = version(&test, 1).options(options(&["b"], &[])).up().await.expect_ok();
    assert_eq!(lines(&run)[0], "create a", "{:?}", lines(&run));
    assert_eq!(run.summary().left_out, 1);
    version(&test, 1).up().await.expect_ok();
    settled(&version(&test, 1)).await;
}

/// Rules: 3, 29.
#[stackkit::test]
async fn nothing_is_taken_away_from_under_what_is_left_out() {
    let replaced =
        [vec![item("a"), item("b").soft("a"), item("x")], vec![item("a").kind("iron"), item("b").soft("a"), item("x")]];
    let perhaps = [
        vec![item("r"), item("a").hard_part("r", Part::Revision), item("b").soft("a")],
        vec![item("r").size(2), item("a").hard_part("r", Part::Revision), item("b").soft("a")],
    ];
    let departed = [vec![item("a"), item("b").soft("a"), item("x")], vec![item("b"), item("x")]];
    let retained = [vec![item("a").with(|a| a.retain = true), item("b").soft("a")], vec![item("b")]];
    for (versions, targets, what, then) in [
        (&replaced[..], vec!["a"], "would be replaced", vec!["replace a", "update b", "delete a"]),
        (&perhaps[..], vec!["r", "a"], "may be replaced", vec!["update r", "replace a", "update b", "delete a"]),
        (&departed[..], vec!["a"], "would be deleted", vec!["update b", "delete a"]),
        (&retained[..], vec!["a"], "would be forgotten", vec!["update b", "forget a"]),
    ] {
        let test = test(versions);
        test.up().await.expect_ok();
        test.cloud().clear_calls();
        let run = version(&test, 1).options(options(&targets, &[])).up().await;
        let error = run.expect_err().to_string();
        assert_eq!(run.expect_err().exit_code(), 3, "{error}");
        assert!(error.contains(what) && error.contains("toy:core:Node::b, which is left out"), "{error}");
        assert!(error.contains("--target-dependents"), "{error}");
        assert!(test.cloud().calls().is_empty());
        let run = version(&test, 1).options(with_dependents(&targets, &[])).up().await.expect_ok();
        assert_eq!(lines(&run), then);
        version(&test, 1).up().await.expect_ok();
        if then.last() != Some(&"forget a") {
            settled(&version(&test, 1)).await;
        }
    }
}

/// Rules: 25, 29.
#[stackkit::test]
async fn a_destroy_takes_what_is_selected() {
    let base = || test(&[vec![item("a"), item("b").soft("a"), item("c").hard("b"), item("x")]]).parallel(1);
    let test = base();
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = test.clone().options(options(&["a"], &[])).destroy().await;
    let error = run.expect_err().to_string();
    assert!(run.expect_err().exit_code() == 3 && error.contains("toy:core:Node::b, which is left out"), "{error}");
    assert!(test.cloud().calls().is_empty());
    let run = test.clone().options(with_dependents(&["a"], &[])).destroy().await.expect_ok();
    assert_eq!(lines(&run), ["delete c", "delete b", "delete a"]);
    assert_eq!(test.cloud().ids(), ["node-x"]);
    assert_eq!((run.summary().left_out, run.output::<u32>("size-of-x")), (1, 1));
    test.up().await.expect_ok();
    settled(&test).await;

    // What is excluded keeps what it stands on, through others too.
    let test = base();
    test.up().await.expect_ok();
    let run = test.clone().options(options(&[], &["c"])).destroy().await.expect_ok();
    assert_eq!(lines(&run), ["delete x"]);
    let selected = run.plan().and_then(|plan| plan.selected.clone()).expect("a selection");
    let mut kept = names(&selected.kept);
    kept.sort_unstable();
    assert_eq!((kept, selected.left_out), (vec!["a", "b"], 3));
    test.up().await.expect_ok();
    // But not what was asked for by name.
    let contradicting = with_dependents(&["a"], &["c"]);
    assert_eq!(test.clone().options(contradicting).destroy().await.expect_err().exit_code(), 3);
    // Everything selected is as nothing selected: the outputs go too.
    let run = test.clone().options(options(&["*"], &[])).destroy().await.expect_ok();
    assert!(run.state().outputs.is_empty() && run.state().resources.is_empty());

    let owned = || vec![item("o"), item("a").with(|a| a.with = Some("o".into())), item("x")];
    let test = self::test(&[owned()]).parallel(1);
    test.up().await.expect_ok();
    let run = test.clone().options(options(&["o"], &[])).destroy().await;
    assert!(run.expect_err().to_string().contains("toy:core:Node::a"), "its owner's deletion takes it along");
    let run = test.clone().options(options(&["a"], &[])).destroy().await.expect_ok();
    assert_eq!(lines(&run), ["delete a"], "the owner stays, so that it has to be deleted itself");
    test.up().await.expect_ok();
    let run = test.clone().options(with_dependents(&["o"], &[])).destroy().await.expect_ok();
    assert_eq!((run.summary().delete, run.summary().forget), (1, 1));
}

/// Rules: 13, 29.
#[stackkit::test]
async fn an_old_instance_that_is_still_used_waits_for_a_run_that_is_about_its_users() {
    let kinds = |kind: &str| vec![item("a").kind(kind), item("b").soft("a"), item("x")];
    let test = test(&[kinds("wood"), kinds("iron")]).parallel(1);
    test.up().await.expect_ok();
    test.cloud().fail(Failure::of(Verb::Update, "b"));
    version(&test, 1).up().await.expect_err();
    let run = version(&test, 1).options(options(&["a"], &[])).up().await.expect_ok();
    assert!(lines(&run).is_empty(), "{:?}", lines(&run));
    assert_eq!(test.cloud().ids().len(), 4);
    let run = version(&test, 1).options(with_dependents(&["a"], &[])).up().await.expect_ok();
    assert_eq!(lines(&run), ["update b", "delete a"]);
    settled(&version(&test, 1)).await;
}

/// Rules: 20, 29.
#[stackkit::test]
async fn a_refresh_with_targets_touches_those_alone() {
    let test = test(&[vec![item("a"), item("b").soft("a"), item("c"), item("d")]]);
    let before = test.up().await.expect_ok();
    for name in ["a", "c"] {
        test.cloud().tamper(name, schema(), "size", Value::Int(9));
    }
    test.cloud().remove("d");
    let run = test.clone().options(options(&["a", "b"], &[])).refresh().await.expect_ok();
    assert_eq!((run.summary().update, run.summary().same, run.summary().left_out), (1, 1, 2));
    assert_eq!(record(&run, "c"), record(&before, "c"));
    assert_eq!(record(&run, "d"), record(&before, "d"));
    assert!(record(&run, "a").drifted.contains("size"));
    let run = test.clone().options(options(&[], &["c"])).refresh().await.expect_ok();
    assert_eq!((run.summary().forget, run.summary().left_out), (1, 1));
    assert_eq!(record(&run, "c"), record(&before, "c"));
}

/// Rules: 21, 29.
#[stackkit::test]
async fn what_is_to_be_adopted_and_left_out_is_not_looked_for() {
    let adopted = item("a").with(|a| a.import = Some("no-such".into()));
    let test = test(&[vec![adopted, item("b")]]);
    test.up().await.expect_err();
    let run = test.clone().options(options(&["b"], &[])).up().await.expect_ok();
    assert_eq!(lines(&run), ["create b"]);
}

/// Rules: 23, 29.
#[stackkit::test]
async fn what_is_renamed_and_left_out_is_renamed_later() {
    let test =
        test(&[vec![item("a"), item("x")], vec![item("b").with(|b| b.alias = vec!["a".into()]), item("x").size(2)]]);
    test.up().await.expect_ok();
    let run = version(&test, 1).options(options(&["x"], &[])).up().await.expect_ok();
    assert_eq!(lines(&run), ["update x"]);
    assert_eq!(record(&run, "a").status, Status::Live);
    // Its old name selects it too.
    let run = version(&test, 1).options(options(&["a"], &[])).up().await.expect_ok();
    assert_eq!((lines(&run).len(), record(&run, "b").status), (0, Status::Live));
    version(&test, 1).up().await.expect_ok();
    settled(&version(&test, 1)).await;
}

/// Rules: 6, 29.
#[stackkit::test]
async fn the_end_of_a_long_chain_brings_all_of_it() {
    let name = |n: usize| format!("n{n:05}");
    let chain = (0..5_000).map(|n| if n > 0 { item(&name(n)).soft(&name(n - 1)) } else { item(&name(n)) });
    let mut items: Vec<_> = chain.collect();
    items.push(item("aside"));
    let test = test(&[items]);
    let run = test.clone().options(options(&["n04999"], &[])).preview().await.expect_ok();
    assert_eq!((run.summary().create, run.summary().left_out), (5_000, 1));
    let run = test.clone().options(with_dependents(&[], &["n00000"])).preview().await.expect_ok();
    assert_eq!((run.summary().create, run.summary().left_out), (1, 5_000));
}

/// Rules: 15, 29.
#[stackkit::test]
async fn a_selected_run_that_is_killed_goes_on_where_it_was() {
    let test = test(&[
        vec![item("a"), item("b").soft("a"), item("x"), item("an-old-one")],
        vec![item("a").kind("iron"), item("b").soft("a"), item("x").size(2), item("new")],
    ]);
    test.up().await.expect_ok();
    let next = version(&test, 1).options(with_dependents(&[], &["x"]));
    let run = next.up().await.expect_ok();
    assert_eq!(run.summary().left_out, 1);
    run.simulate_crashes_after(&test).await.assert_converges();
}
