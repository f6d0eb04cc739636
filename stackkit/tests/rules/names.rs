//! Names: aliases and moves by hand rename without a call, whatever came before.

use std::collections::BTreeMap;

use stackkit::event::Verb;
use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::state::model::Status;
use stackkit::testing::{Failure, Test};
use stackkit::{Context, Created, Error, Managed, Outcome, Urn, Value};

use crate::toys::*;

fn called(name: &str, aliases: &[&str]) -> Item {
    let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    item(name).with(|item| item.alias = aliases)
}

/// Rules: 23.
#[stackkit::test]
async fn a_chain_of_names_works_from_every_version_in_any_order() {
    let versions = [
        vec![item("a"), item("p").soft("a")],
        vec![called("b", &["a"]), item("p").soft("b")],
        vec![called("c", &["a", "b"]), item("p").soft("c")],
        vec![called("d", &["c", "toy:core:Node::b", "a"]), item("p").soft("d")],
    ];
    for path in [vec![0, 1, 2, 3], vec![0, 3], vec![0, 2, 3], vec![1, 3], vec![0, 1, 3], vec![2, 3]] {
        let test = test(&versions);
        let mut path = path.into_iter();
        version(&test, path.next().expect("a first version")).up().await.expect_ok();
        test.cloud().clear_calls();
        for to in path {
            let preview = version(&test, to).preview().await.expect_ok();
            let reasons = &preview.plan().expect("a plan").nodes[0].reasons;
            assert!(reasons.iter().any(|reason| reason.contains("renamed from toy:core:Node::")), "{reasons:?}");
            version(&test, to).up().await.expect_ok();
            assert!(test.cloud().calls().is_empty(), "{:?}", test.cloud().calls());
            settled(&version(&test, to)).await;
        }
    }
}

/// Rules: 23.
#[stackkit::test]
async fn every_wrong_claim_is_found_whatever_the_state_has() {
    for (items, expected) in [
        (vec![called("x", &["a"]), called("y", &["a"])], "also claimed as an alias by toy:core:Node::x"),
        (vec![called("y", &["toy:core:Node::a"]), called("x", &["a"])], "also claimed as an alias by toy:core:Node::y"),
        (vec![item("a"), called("x", &["a"])], "is a resource of this program"),
        (vec![called("x", &["a"]), item("a")], "is a resource of this program"),
        (vec![called("a", &["b"]), called("b", &["a"])], "is a resource of this program"),
    ] {
        for before in [vec![], vec![item("a")], vec![item("x")], vec![item("a"), item("x"), item("y")]] {
            let test = test(&[before, items.clone()]);
            test.up().await.expect_ok();
            test.cloud().clear_calls();
            let error = version(&test, 1).up().await.expect_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(test.cloud().calls().is_empty());
        }
    }
    // One that names the same twice claims it once.
    let test = test(&[vec![item("a")], vec![called("x", &["a", "toy:core:Node::a"])]]);
    test.up().await.expect_ok();
    assert!(lines(&version(&test, 1).up().await.expect_ok()).is_empty());
    settled(&version(&test, 1)).await;
}

/// Rules: 4, 13, 14, 23.
#[stackkit::test]
async fn renamed_and_replaced_in_one_run_survives_whatever_fails() {
    for first in [false, true] {
        for verb in [Verb::Create, Verb::Delete] {
            let versions = |last: &[&str]| {
                let kind = |item: Item, kind: &str| item.kind(kind).with(|item| item.delete_first = Some(first));
                [
                    vec![kind(item("a"), "wood"), item("b").soft("a")],
                    vec![kind(called("c", &["a"]), "iron"), item("b").soft("c")],
                    // The alias has done its work as soon as the run has begun.
                    vec![kind(called("c", last), "iron"), item("b").soft("c")],
                ]
            };
            let test = test(&versions(&[])).parallel(1);
            test.up().await.expect_ok();
            test.cloud().fail(Failure::of(verb, "c"));
            let run = version(&test, 1).up().await;
            run.expect_err();
            whole(&test, &run);
            let begun = run.state().resources.values().any(|record| record.urn.name() == "c");
            let next = if begun { 2 } else { 1 };
            version(&test, next).up().await.expect_ok();
            settled(&version(&test, next)).await;
            assert_eq!(test.cloud().ids().len(), 2, "{verb:?}, delete first: {first}");
        }
        let test = test(&[
            vec![item("a").with(|a| a.delete_first = Some(first)), item("b").soft("a")],
            vec![called("c", &["a"]).kind("iron").with(|c| c.delete_first = Some(first)), item("b").soft("c")],
        ]);
        test.up().await.expect_ok();
        let run = version(&test, 1).up().await.expect_ok();
        run.simulate_crashes_after(&test).await.assert_converges();
    }
}

macro_rules! carpentry {
    ($module:ident, $thing:ident $state:ident $args:ident, [$($attr:tt)*], [$($alias:literal),*], $($more:tt)*) => {
        mod $module {
            use super::*;
            pub struct Wood;
            impl Provider for Wood {
                const NAME: &'static str = "wood";
                const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![$thing];
                type Settings = NoSettings;
                type Error = Error;
                async fn connect(_: NoSettings) -> Result<Self, Error> {
                    Ok(Wood)
                }
            }
            /// To sit on.
            #[resource($($attr)*)]
            pub struct $thing {
                /// How many.
                pub legs: u32,
                /// Of what.
                #[resource(replace, default = "oak")]
                pub kind: String,
                /// Its number.
                #[resource(output)]
                pub number: String,
            }
            impl Managed for $thing {
                type Provider = Wood;
                async fn create(_: &Wood, _: &Context, _: &$args) -> Outcome<Self, Created<Self>> {
                    Err(Error::invalid("mocked only"))
                }
                async fn read(_: &Wood, _: &Context, _: &str, _: Option<&$state>) -> Outcome<Self, Option<$state>> {
                    Err(Error::invalid("mocked only"))
                }
                async fn update(_: &Wood, _: &Context, _: &str, _: &$state, _: &$args) -> Outcome<Self, $state> {
                    Err(Error::invalid("mocked only"))
                }
                async fn delete(_: &Wood, _: &Context, _: &str, _: &$state) -> Outcome<Self, ()> {
                    Err(Error::invalid("mocked only"))
                }
                $($more)*
            }
            #[stackkit::program(providers(Wood))]
            pub async fn shop(stack: &mut Stack) -> Result<()> {
                #[derive(Clone, Debug, Properties)]
                struct Config {
                    /// How many legs.
                    #[property(default = 4)]
                    legs: u32,
                    /// Of what.
                    #[property(default = "oak")]
                    kind: String,
                }
                let config: Config = stack.config()?;
                let thing = stack.add(stringify!($module), $thing::new(config.legs).kind(config.kind));
                $(let thing = thing.alias($alias);)*
                stack.output("number", &thing.number);
                Ok(())
            }
        }
    };
}
carpentry!(before, Chair ChairState ChairArgs, ["wood:Chair"], [],);
carpentry!(
    after,
    Seat SeatState SeatArgs,
    ["wood:furniture:Seat", version = 2],
    ["wood:Chair::before"],
    fn upgrade(from: u32, fields: &mut BTreeMap<String, Value>) -> Result<(), String> {
        if from == 1 && fields.contains_key("legs") { Ok(()) } else { Err(format!("from {from}: {:?}", fields.keys())) }
    }
);

/// Rules: 7, 20, 23.
#[stackkit::test]
async fn a_type_is_renamed_although_the_old_one_is_not_linked_any_more() {
    let old = Test::of(before::shop);
    old.up().await.expect_ok();
    let new = old.clone().with_program(after::shop);
    old.cloud().clear_calls();
    let run = new.up().await.expect_ok();
    assert!(old.cloud().calls().is_empty(), "{:?}", old.cloud().calls());
    assert!(run.has::<after::Seat>("after") && run.state().resources.len() == 1);
    assert_eq!(new.up().await.expect_ok().appended(), 0);

    // With an update, and with a replacement whose old instance cannot be deleted at once.
    for (key, value, expected) in [("legs", "3", vec!["update after"]), ("kind", "elm", vec!["replace after"])] {
        let old = Test::of(before::shop);
        old.up().await.expect_ok();
        if key == "kind" {
            old.cloud().fail(Failure::of(Verb::Delete, "after"));
        }
        let new = old.clone().with_program(after::shop).config(key, value);
        let run = new.up().await;
        assert_eq!(lines(&run), expected);
        if key == "kind" {
            assert!(run.state().resources.values().any(|record| record.status == Status::PendingDelete));
            assert_eq!(lines(&new.up().await.expect_ok()), ["delete after"]);
        }
        assert_eq!(new.up().await.expect_ok().appended(), 0);
        assert_eq!(old.cloud().ids().len(), 1);
        new.destroy().await.expect_ok();
        assert!(old.cloud().ids().is_empty());
    }
    let old = Test::of(before::shop);
    old.up().await.expect_ok();
    let new = old.clone().with_program(after::shop).config("kind", "elm");
    new.up().await.expect_ok().simulate_crashes_after(&old).await.assert_converges();
}

fn node(path: &str) -> Urn {
    Urn::new("toy:core:Node", path)
}

/// Rules: 23.
#[stackkit::test]
async fn a_move_by_hand_takes_everything_along_that_speaks_of_it() {
    let owned = |owner: &str| {
        let owner = owner.to_owned();
        item("p").with(|p| p.with = Some(owner))
    };
    let test =
        test(&[vec![item("a"), item("b").soft("a"), owned("a")], vec![item("c"), item("b").soft("c"), owned("c")]]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    test.rename(&node("a"), &node("c")).await.expect("a move");
    let run = version(&test, 1).preview().await.expect_ok();
    assert!(planned(&run).is_empty(), "{:?}", planned(&run));
    assert!(run.state().resources.values().any(|record| record.options.deleted_with == Some(node("c"))));
    version(&test, 1).up().await.expect_ok();
    settled(&version(&test, 1)).await;
    assert!(test.cloud().calls().is_empty());
    for (old, new, expected) in [
        (node("a"), node("d"), "no such resource"),
        (node("c"), node("b"), "has a resource of this name already"),
        (node("c"), node("c"), "has a resource of this name already"),
        (node("c"), Urn::new("toy:core:First", "c"), "of the type toy:core:Node"),
        (node("c"), node("in the way"), "cannot be the name"),
        (node("c"), node("x//y"), "cannot be the name"),
    ] {
        let before = test.backend().appended();
        let error = test.rename(&old, &new).await.expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(test.backend().appended(), before);
    }
    // Into a component and by alias out of it again.
    test.rename(&node("c"), &node("old/path/c")).await.expect("a move");
    describe(&[vec![], vec![], vec![called("z", &["old/path/c"]), item("b").soft("z"), owned("z")]]);
    test.cloud().clear_calls();
    version(&test, 2).up().await.expect_ok();
    assert!(test.cloud().calls().is_empty());
    settled(&version(&test, 2)).await;
}

/// Rules: 15, 23.
#[stackkit::test]
async fn a_move_waits_for_open_calls_and_takes_old_instances_along() {
    let test = test(&[vec![item("a")], vec![item("a").kind("iron")], vec![item("c").kind("iron")]]);
    let mut point = 1;
    while test.cloud().ids().is_empty() {
        assert!(test.killed_at(point, stackkit::event::Operation::Up).await.is_none());
        point += 1;
    }
    let error = test.rename(&node("a"), &node("c")).await.expect_err("refused").to_string();
    assert!(error.contains("cut short"), "{error}");
    test.up().await.expect_ok();
    test.cloud().fail(Failure::of(Verb::Delete, "a"));
    version(&test, 1).up().await.expect_err();
    test.rename(&node("a"), &node("c")).await.expect("a move");
    assert_eq!(lines(&version(&test, 2).up().await.expect_ok()), ["delete c"]);
    settled(&version(&test, 2)).await;
}
