//! Diff: what changes, what may change, and what never does.

use std::collections::BTreeMap;

use stackkit::Value;
use stackkit::event::Verb;

use crate::toys::*;

fn tags(pairs: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn tree(pairs: &[(&str, &str)]) -> Value {
    Value::Map(pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::text(*value))).collect())
}

/// Rules: 7.
#[stackkit::test]
async fn everything_set_settles_at_once() {
    let full = item("a").kind("iron").size(3).with(|a| {
        a.zone = Some("north".into());
        a.fixed = Some("a-name".into());
        a.tags = tags(&[("k", "v")]);
        a.password = Some("a long password".into());
        a.pin = Some("12345678".into());
    });
    let test = test(&[vec![full, item("b").hard("a").soft_part("a", Part::Revision)]]);
    test.up().await.expect_ok();
    settled(&test).await;
}

/// Rules: 7, 25.
#[stackkit::test]
async fn an_option_alone_touches_the_state_and_not_the_cloud() {
    let test = test(&[vec![item("a"), item("b")], vec![item("a").with(|a| a.retain = true), item("b").after("a")]]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = version(&test, 1).up().await.expect_ok();
    assert!(lines(&run).is_empty() && test.cloud().calls().is_empty());
    assert!(run.appended() > 0);
    settled(&version(&test, 1)).await;
}

/// Rules: 7, 20.
#[stackkit::test]
async fn what_the_program_does_not_set_is_not_its_business() {
    let test = test(&[vec![item("a")], vec![item("a").with(|a| a.tags = tags(&[("k", "v")]))], vec![item("a")]]);
    test.up().await.expect_ok();
    assert!(test.cloud().tamper("a", schema(), "tags", tree(&[("somebody", "else")])));
    assert!(test.cloud().tamper("a", schema(), "zone", Value::text("south")));
    let run = test.up().await.expect_ok();
    assert!(lines(&run).is_empty(), "{:?}", lines(&run));
    let run = test.up().await.expect_ok();
    assert_eq!(run.appended(), 0, "seen once");
    // Set, and unset again: that is a change.
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["update a"]);
    assert_eq!(lines(&version(&test, 2).up().await.expect_ok()), ["update a"]);
    settled(&version(&test, 2)).await;
}

/// Rules: 7, 20.
#[stackkit::test]
async fn drift_is_mended_where_it_is_managed() {
    let test = test(&[vec![item("a").with(|a| a.tags = tags(&[("k", "v")])), item("b").soft_part("a", Part::Address)]]);
    test.up().await.expect_ok();
    test.cloud().tamper("a", schema(), "tags", tree(&[("k", "other")]));
    let preview = test.preview().await;
    assert_eq!(planned(&preview), ["update a"]);
    let change = &preview.plan().expect("a plan").nodes[0].changes[0];
    assert!(change.drifted && change.field == "tags");
    // `refresh` alone records what it sees; the next plan is the same.
    let refreshed = test.refresh().await.expect_ok();
    assert!(refreshed.appended() > 0);
    assert_eq!(test.refresh().await.expect_ok().appended(), 0);
    assert_eq!(planned(&test.clone().without_refresh().preview().await), ["update a"]);
    assert_eq!(lines(&test.up().await.expect_ok()), ["update a"]);
    settled(&test).await;
    // Somebody puts it back before the next run: nothing to do.
    test.cloud().tamper("a", schema(), "tags", tree(&[("k", "other")]));
    test.refresh().await.expect_ok();
    test.cloud().tamper("a", schema(), "tags", tree(&[("k", "v")]));
    assert!(lines(&test.up().await.expect_ok()).is_empty());
    settled(&test).await;
    // Drift that cannot be mended in place.
    test.cloud().tamper("a", schema(), "kind", Value::text("rust"));
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["replace a", "update b", "delete a"]);
    settled(&test).await;
}

/// Rules: 8, 20.
#[stackkit::test]
async fn drift_of_an_output_is_recorded_and_reaches_dependents() {
    let test = test(&[vec![item("a"), item("b").soft_part("a", Part::Address), item("c")]]);
    test.up().await.expect_ok();
    test.cloud().tamper("a", schema(), "address", Value::text("elsewhere"));
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["update b"]);
    settled(&test).await;
    test.cloud().tamper("c", schema(), "address", Value::text("elsewhere"));
    let run = test.up().await.expect_ok();
    assert!(lines(&run).is_empty());
    assert!(run.appended() > 0);
    settled(&test).await;
}

/// Rules: 9.
#[stackkit::test]
async fn ignored_paths_keep_what_they_have() {
    let with = |pairs: &[(&str, &str)], ignore: &[&str]| {
        let (tags, ignore) = (tags(pairs), ignore.iter().map(|path| (*path).to_owned()).collect());
        vec![item("a").with(|a| (a.tags, a.ignore) = (tags, ignore))]
    };
    let test = test(&[
        with(&[("k", "1"), ("owner", "me")], &["tags.owner", "tags.no.such", "nothing[3]"]),
        with(&[("k", "1"), ("owner", "you")], &["tags.owner"]),
        with(&[("k", "2"), ("owner", "you")], &["tags.owner"]),
        with(&[("k", "3"), ("owner", "you")], &["tags"]),
    ]);
    test.up().await.expect_ok();
    settled(&test).await;
    test.cloud().tamper("a", schema(), "tags", tree(&[("k", "1"), ("owner", "they")]));
    assert!(lines(&test.up().await.expect_ok()).is_empty());
    assert!(lines(&version(&test, 1).up().await.expect_ok()).is_empty());
    assert_eq!(lines(&version(&test, 2).up().await.expect_ok()), ["update a"]);
    settled(&version(&test, 2)).await;
    assert!(lines(&version(&test, 3).up().await.expect_ok()).is_empty());
    settled(&version(&test, 3)).await;
}

/// Rules: 9.
#[stackkit::test]
async fn replace_on_changes_forces_a_replacement() {
    let sized = |size| vec![item("a").size(size).with(|a| a.replace_on = vec!["size".into()])];
    let test = test(&[sized(1), sized(2)]);
    test.up().await.expect_ok();
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["replace a", "delete a"]);
    settled(&version(&test, 1)).await;
}

/// Rules: 23.
#[stackkit::test]
async fn an_alias_renames_without_a_call() {
    let from = |name: &str, alias: &[&str]| {
        let alias = alias.iter().map(|alias| (*alias).to_owned()).collect();
        vec![item(name).with(|a| a.alias = alias), item("b").soft(name)]
    };
    let test = test(&[
        from("a", &[]),
        from("c", &["b-old", "a"]),
        from("d", &["c", "a"]),
        vec![item("x").with(|x| x.alias = vec!["d".into()]), item("y").with(|y| y.alias = vec!["d".into()])],
        vec![item("d"), item("x").with(|x| x.alias = vec!["d".into()])],
    ]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    for to in [1, 2] {
        let run = version(&test, to).up().await.expect_ok();
        assert!(test.cloud().calls().is_empty(), "{:?}", lines(&run));
        settled(&version(&test, to)).await;
    }
    for to in [3, 4] {
        let run = version(&test, to).up().await;
        assert!(run.expect_err().to_string().contains("alias"), "{}", run.expect_err());
    }
    assert!(test.cloud().calls().is_empty());
    // Renamed and changed at once, and renamed and replaced at once.
    let test = self::test(&[
        from("a", &[]),
        vec![item("c").size(4).with(|c| c.alias = vec!["toy:core:Node::a".into()]), item("b").soft("c")],
        vec![item("e").size(4).kind("iron").with(|e| e.alias = vec!["c".into()]), item("b").soft("e")],
    ])
    .parallel(1);
    test.up().await.expect_ok();
    assert_eq!(lines(&version(&test, 1).up().await.expect_ok()), ["update c"]);
    settled(&version(&test, 1)).await;
    let run = version(&test, 2).up().await.expect_ok();
    assert_eq!(run.steps().last().map(|(verb, urn)| (*verb, urn.name().to_owned())), Some((Verb::Delete, "e".into())));
    settled(&version(&test, 2)).await;
}
