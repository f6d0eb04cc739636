//! Reality: refresh, recovery, import, identity, and types that are not what they were.

use std::collections::BTreeMap;

use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::state::model::Status;
use stackkit::testing::{Looks, Test};
use stackkit::{Context, Created, Error, Managed, Outcome, Resource, Value};

use crate::toys::*;

/// Rules: 20.
#[stackkit::test]
async fn what_is_gone_leaves_no_edges_behind() {
    let items = vec![item("a"), item("b").soft("a"), item("c").soft("a").soft("b"), item("d").soft("c").soft("a")];
    for gone in [vec!["a", "b"], vec!["a", "c"], vec!["a", "b", "c"], vec!["b", "d"], vec!["a", "b", "c", "d"]] {
        let test = test(std::slice::from_ref(&items));
        test.up().await.expect_ok();
        for name in &gone {
            assert!(test.cloud().remove(name));
        }
        let run = test.refresh().await.expect_ok();
        assert_eq!(run.summary().forget, gone.len());
        assert_eq!(run.state().resources.len(), 4 - gone.len(), "nothing comes back: {gone:?}");
        whole(&test, &run);
        let run = test.up().await.expect_ok();
        assert_eq!(run.summary().create, gone.len());
        settled(&test).await;
    }
}

/// Rules: 20.
#[stackkit::test]
async fn another_identity_is_refused_before_anything_is_read() {
    let test = test(&[vec![item("a"), item("b")]]);
    test.cloud().set_identity("account-1");
    test.up().await.expect_ok();
    test.cloud().set_identity("account-2");
    let before = test.cloud().looks();
    for run in [test.up().await, test.preview().await, test.refresh().await] {
        assert_eq!(run.expect_err().exit_code(), 3, "{}", run.expect_err());
    }
    assert_eq!(test.cloud().looks(), before);
    let run = test.destroy().await;
    run.expect_err();
    assert_eq!(test.cloud().ids().len(), 2);
    test.cloud().set_identity("account-1");
    settled(&test).await;
}

/// Rules: 15, 20.
#[stackkit::test]
async fn an_open_call_is_not_looked_for_in_another_account() {
    let test = test(&[vec![item("a")]]);
    test.cloud().set_identity("account-1");
    // Killed after the effect and before its result is durable.
    let mut point = 1;
    while test.cloud().ids().is_empty() {
        assert!(test.killed_at(point, stackkit::event::Operation::Up).await.run.is_none());
        point += 1;
    }
    test.cloud().set_identity("account-2");
    let run = test.up().await;
    assert_eq!(run.expect_err().exit_code(), 3, "{}", run.expect_err());
    assert_eq!(run.state().intents.len(), 1);
    test.cloud().set_identity("account-1");
    test.up().await.expect_ok();
    settled(&test).await;
    assert_eq!(test.cloud().ids().len(), 1);
}

/// Rules: 20.
#[stackkit::test]
async fn reads_come_in_batches() {
    let test = test(&[(0..450).map(|n| item(&format!("n{n}"))).collect()]).parallel(8);
    test.up().await.expect_ok();
    let before = test.cloud().looks();
    settled(&test).await;
    let looks = test.cloud().looks();
    assert_eq!((looks.batches - before.batches, looks.in_batches - before.in_batches), (3, 450));
    assert_eq!(Looks { batches: 0, in_batches: 0, ..looks }, Looks { batches: 0, in_batches: 0, ..before });
}

/// Rules: 21.
#[stackkit::test]
async fn imports_adopt_update_or_refuse() {
    let import = |item: Item, id: &str| {
        let id = id.to_owned();
        item.with(|item| item.import = Some(id))
    };
    let test = test(&[
        vec![import(item("a").kind("iron").size(2), "i-1"), item("b").soft("a")],
        vec![import(item("a").kind("iron").size(3), "i-1")],
        vec![import(item("a").kind("gold").size(3), "i-1")],
        vec![import(item("a").kind("iron"), "i-1"), import(item("z").kind("iron"), "i-1")],
        vec![import(item("a").kind("iron"), "no-such")],
    ])
    .parallel(1);
    let put = |test: &Test| {
        let fields = [("kind", Value::text("iron")), ("size", Value::Int(2))];
        test.cloud().put(schema(), "i-1", &fields);
    };
    put(&test);
    for to in [2, 3, 4] {
        let run = version(&test, to).up().await;
        assert_eq!(run.expect_err().exit_code(), 3, "version {to}: {}", run.expect_err());
        assert!(test.cloud().calls().is_empty() && run.state().resources.is_empty());
    }
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["import a", "create b"]);
    settled(&test).await;
    let owned = self::test(&[vec![import(item("other").kind("iron").size(2), "i-1")]]);
    drop(owned);
    describe(&[vec![
        import(item("a").kind("iron").size(2), "i-1"),
        item("b").soft("a"),
        import(item("other").kind("iron").size(2), "i-1"),
    ]]);
    let run = test.up().await;
    assert!(run.expect_err().to_string().contains("belongs to"), "{}", run.expect_err());

    let test = self::test(&[vec![import(item("a").kind("iron").size(3), "i-1")]]);
    put(&test);
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["update a"]);
    assert_eq!(run.summary().import, 1);
    settled(&test).await;
    put(&test);
    test.destroy().await.expect_ok();

    let test = self::test(&[vec![import(item("a").kind("iron").size(3), "i-1"), item("b").soft("a")]]);
    put(&test);
    let expected = test.cloud().ids();
    assert_eq!(expected, ["i-1"]);
}

/// Rules: 14, 21.
#[stackkit::test]
async fn an_import_takes_the_place_of_what_waited_for_its_successor() {
    let test = test(&[
        vec![item("a").first(), item("b").soft("a")],
        vec![item("a").first().kind("iron"), item("b").soft("a")],
        vec![item("a").first().kind("iron").with(|a| a.import = Some("i-9".into())), item("b").soft("a")],
    ]);
    test.up().await.expect_ok();
    test.cloud().fail(stackkit::testing::Failure::of(stackkit::event::Verb::Create, "a"));
    let run = version(&test, 1).up().await;
    assert!(run.state().resources.values().any(|record| record.status == Status::PendingReplacement));
    test.cloud().put(First::SCHEMA, "i-9", &[("kind", Value::text("iron")), ("size", Value::Int(1))]);
    version(&test, 2).up().await.expect_ok();
    settled(&version(&test, 2)).await;
    assert_eq!(test.cloud().ids().len(), 2);
}

macro_rules! aging {
    ($module:ident, [$($attr:tt)*], $($upgrade:tt)*) => {
        mod $module {
            use super::*;
            pub struct Aging;
            impl Provider for Aging {
                const NAME: &'static str = "aging";
                const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Wine];
                type Settings = NoSettings;
                type Error = Error;
                async fn connect(_: NoSettings) -> Result<Self, Error> {
                    Ok(Aging)
                }
            }
            /// A bottle.
            #[resource($($attr)*)]
            pub struct Wine {
                /// Its label.
                pub label: String,
                /// Its number.
                #[resource(output)]
                pub number: String,
            }
            impl Managed for Wine {
                type Provider = Aging;
                async fn create(_: &Aging, _: &Context, _: &WineArgs) -> Outcome<Self, Created<Self>> {
                    Err(Error::invalid("mocked only"))
                }
                async fn read(_: &Aging, _: &Context, _: &str, _: Option<&WineState>) -> Outcome<Self, Option<WineState>> {
                    Err(Error::invalid("mocked only"))
                }
                async fn update(_: &Aging, _: &Context, _: &str, _: &WineState, _: &WineArgs) -> Outcome<Self, WineState> {
                    Err(Error::invalid("mocked only"))
                }
                async fn delete(_: &Aging, _: &Context, _: &str, _: &WineState) -> Outcome<Self, ()> {
                    Err(Error::invalid("mocked only"))
                }
                $($upgrade)*
            }
            #[stackkit::program(providers(Aging))]
            pub async fn cellar(stack: &mut Stack) -> Result<()> {
                stack.add("red", Wine::new("Rioja"));
                Ok(())
            }
        }
    };
}
aging!(young, ["aging:cellar:Wine"],);
aging!(
    old,
    ["aging:cellar:Wine", version = 3],
    fn upgrade(from: u32, fields: &mut BTreeMap<String, Value>) -> Result<(), String> {
        // It sees inputs and outputs together, once as they were given and once as they were seen.
        if from != 1 || !fields.contains_key("label") || !fields.contains_key("number") {
            return Err(format!("from {from}: {:?}", fields.keys()));
        }
        fields.insert("junk".into(), Value::Bool(true));
        Ok(())
    }
);

#[stackkit::program]
async fn nothing(_: &mut Stack) -> Result<()> {
    Ok(())
}

/// Rules: 7.
#[stackkit::test]
async fn older_records_are_upgraded_and_newer_ones_refused() {
    let test = Test::of(young::cellar);
    test.up().await.expect_ok();
    let newer = test.clone().with_program(old::cellar);
    let run = newer.up().await.expect_ok();
    assert_eq!(run.appended(), 0, "an upgrade alone changes nothing");
    newer.destroy().await.expect_ok();
    newer.up().await.expect_ok();
    let looks = test.cloud().looks();
    let run = test.up().await;
    assert!(run.expect_err().to_string().contains("newer version"), "{}", run.expect_err());
    assert_eq!(test.cloud().looks(), looks);
}

/// Rules: 20.
#[stackkit::test]
async fn a_type_that_is_not_linked_is_named_with_what_to_do() {
    let test = Test::of(young::cellar);
    test.up().await.expect_ok();
    let without = test.clone().with_program(nothing);
    for run in [
        without.up().await,
        without.clone().without_refresh().up().await,
        without.clone().without_refresh().destroy().await,
    ] {
        let error = run.expect_err().to_string();
        assert!(error.contains("aging:cellar:Wine") && error.contains("providers("), "{error}");
    }
    assert_eq!(test.cloud().ids().len(), 1);
    settled(&test).await;
}
