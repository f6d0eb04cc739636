//! Options: what forces a replacement, what is ignored, how long a call may take, and what a program refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use stackkit::event::Verb;
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::testing::{Failure, Test};

use crate::toys::*;

fn text(text: &str) -> Option<Trigger> {
    Some(Trigger::Text(text.into()))
}

fn triggered(trigger: Option<Trigger>) -> Vec<Item> {
    vec![item("a").with(|a| a.trigger = trigger), item("b").soft("a")]
}

/// Rules: 9.
#[stackkit::test]
async fn a_changed_trigger_replaces_and_the_first_one_does_not() {
    let secret = |text: &str| Some(Trigger::Secret(text.into()));
    for (one, two, replaces) in [
        (text("1"), text("1"), false),
        (text("1"), text("2"), true),
        (None, text("1"), false),
        (text("1"), None, false),
        (secret("canary-1"), secret("canary-1"), false),
        (secret("canary-1"), secret("canary-2"), true),
        (text("canary-1"), secret("canary-1"), true),
        (Some(Trigger::Number(7)), Some(Trigger::Number(7)), false),
        (Some(Trigger::Number(7)), Some(Trigger::Number(u64::MAX)), true),
        (Some(Trigger::Number(u64::MAX)), Some(Trigger::Number(u64::MAX)), false),
    ] {
        let test = test(&[triggered(one.clone()), triggered(two.clone())]).parallel(1);
        test.up().await.expect_ok();
        settled(&test).await;
        let preview = version(&test, 1).preview().await.expect_ok();
        let expected = if replaces { vec!["replace a", "may update b"] } else { vec![] };
        let planned: Vec<_> = planned(&preview).into_iter().filter(|line| !line.starts_with("record")).collect();
        assert_eq!(planned, expected, "{one:?} to {two:?}");
        if replaces {
            let reasons = &preview.plan().expect("a plan").nodes[0].reasons;
            assert_eq!(reasons, &["the value that triggers its replacement changed"]);
        }
        let run = version(&test, 1).up().await.expect_ok();
        assert_eq!(run.summary().replace, usize::from(replaces), "{one:?} to {two:?}");
        settled(&version(&test, 1)).await;
        if !matches!(one, Some(Trigger::Text(_))) {
            let log = test.backend().log();
            let bytes: Vec<u8> = log.entries.iter().chain(&log.snapshot).flatten().copied().collect();
            let stored = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!stored.contains("canary") && !format!("{:?}", run.plan()).contains("canary"));
        }
    }
    // What was recorded without one triggers from then on.
    let test = test(&[triggered(None), triggered(text("1")), triggered(text("2"))]);
    for to in 0..3 {
        let run = version(&test, to).up().await.expect_ok();
        assert_eq!(run.summary().replace, usize::from(to == 2));
    }
}

/// Rules: 8, 9.
#[stackkit::test]
async fn a_trigger_that_is_known_only_after_apply_may_replace() {
    for first in [false, true] {
        let sized = |size, part| {
            let trigger = Some(Trigger::Of("a".into(), part));
            vec![item("a").size(size), item("b").with(|b| (b.trigger, b.first) = (trigger, first)), item("c").soft("b")]
        };
        for (part, expected) in [
            (Part::Constant, vec!["update a"]),
            (Part::Revision, vec!["update a", "replace b", "update c", "delete b"]),
        ] {
            let test = test(&[sized(1, part), sized(2, part)]).parallel(1);
            test.up().await.expect_ok();
            let preview = version(&test, 1).preview().await.expect_ok();
            assert_eq!(planned(&preview), ["update a", "may replace b", "may update c"], "{part:?}");
            let reasons = &preview.plan().expect("a plan").nodes[1].reasons;
            assert!(reasons[0].contains("triggers its replacement is known only after apply"), "{reasons:?}");
            let run = version(&test, 1).up().await.expect_ok();
            let mut expected = expected;
            if first && part == Part::Revision {
                expected = vec!["update a", "delete b", "replace b", "update c"];
            }
            assert_eq!(lines(&run), expected, "{part:?}, delete first: {first}");
            settled(&version(&test, 1)).await;
            let report = version(&test, 1).up().await.expect_ok().simulate_crashes_after(&test).await;
            report.assert_converges();
        }
    }
}

/// Rules: 9, 24.
#[stackkit::test]
async fn a_trigger_does_not_get_past_a_protection() {
    let kept = |trigger| {
        let mut items = triggered(trigger);
        items[0].protect = Some(true);
        items
    };
    let test = test(&[kept(text("1")), kept(text("2"))]);
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = version(&test, 1).up().await;
    assert_eq!(run.expect_err().exit_code(), 3);
    assert!(run.expect_err().to_string().contains("triggers its replacement"), "{}", run.expect_err());
    assert!(test.cloud().calls().is_empty());
}

/// Rules: 9.
#[stackkit::test]
async fn paths_force_replacements_where_they_lead_and_nowhere_else() {
    let tagged = |pairs: &[(&str, &str)]| -> Option<BTreeMap<String, String>> {
        Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    };
    let before = tagged(&[("owner", "me"), ("app.io/name", "web")]);
    for (path, after, replaces) in [
        ("tags.owner", tagged(&[("owner", "you"), ("app.io/name", "web")]), true),
        ("tags.owner", tagged(&[("owner", "me"), ("app.io/name", "db")]), false),
        ("tags.owner", tagged(&[("app.io/name", "web")]), true),
        ("tags.owner", None, true),
        ("tags[\"app.io/name\"]", tagged(&[("owner", "me"), ("app.io/name", "db")]), true),
        ("tags[\"app.io/name\"]", tagged(&[("owner", "you"), ("app.io/name", "web")]), false),
        ("tags.*", tagged(&[("owner", "me"), ("app.io/name", "web"), ("more", "1")]), true),
        ("tags", tagged(&[("owner", "me")]), true),
        ("tag", tagged(&[("owner", "me")]), false),
        ("tags.no.such[4]", tagged(&[("owner", "me")]), false),
    ] {
        let all = |tags: &Option<BTreeMap<String, String>>| {
            let (tags, path) = (tags.clone(), path.to_owned());
            vec![item("a").with(|a| (a.tags, a.replace_on) = (tags, vec![path]))]
        };
        let test = test(&[all(&before), all(&after)]);
        test.up().await.expect_ok();
        let run = version(&test, 1).preview().await.expect_ok();
        assert_eq!(planned(&run), [if replaces { "replace a" } else { "update a" }], "{path} to {after:?}");
        if replaces {
            let reasons = &run.plan().expect("a plan").nodes[0].reasons;
            assert_eq!(reasons, &["`tags` changed, and the program replaces it then"]);
        }
        version(&test, 1).up().await.expect_ok();
        settled(&version(&test, 1)).await;
    }
    // Of a list, with what is known only after apply beside what certainly changes.
    let listed = |path: &str, size, more: bool| {
        let path = path.to_owned();
        let b = item("b").soft_part("a", Part::Revision).soft("x").with(|b| b.replace_on = vec![path]);
        vec![item("a").size(size), item("x"), item("y"), if more { b.soft("y") } else { b }]
    };
    for (path, expected) in
        [("soft[0]", "may replace b"), ("soft[1]", "update b"), ("soft[2]", "replace b"), ("soft[*]", "replace b")]
    {
        let test = test(&[listed(path, 1, false), listed(path, 2, true)]);
        test.up().await.expect_ok();
        let run = version(&test, 1).preview().await.expect_ok();
        assert_eq!(planned(&run), ["update a", expected], "{path}");
        version(&test, 1).up().await.expect_ok();
        settled(&version(&test, 1)).await;
    }
}

/// Rules: 9.
#[stackkit::test]
async fn replacements_are_asked_for_by_globs() {
    let test = test(&[vec![item("web-1"), item("web-2"), item("db").first()]]).parallel(1);
    test.up().await.expect_ok();
    for (glob, expected) in [
        ("web-*", vec!["replace web-1", "replace web-2"]),
        ("toy:core:First", vec!["replace db"]),
        ("*::db", vec!["replace db"]),
        ("web-1", vec!["replace web-1"]),
        ("*", vec!["replace web-1", "replace web-2", "replace db"]),
    ] {
        let options = PlanOptions { replace: vec![glob.into()], ..PlanOptions::default() };
        let run = test.clone().options(options).preview().await.expect_ok();
        assert_eq!(planned(&run), expected, "{glob}");
    }
}

/// Rules: 18.
#[stackkit::test]
async fn create_update_and_delete_have_limits_of_their_own() {
    let short = Some(Duration::from_millis(50));
    for (verb, to) in [(Verb::Create, 0), (Verb::Update, 1), (Verb::Delete, 2)] {
        let limited = |size| vec![item("x").size(size).with(|x| x.timeouts[to] = short)];
        let test = test(&[limited(1), limited(2), vec![]]);
        if to > 0 {
            test.up().await.expect_ok();
        }
        test.cloud().fail(Failure::of(verb, "x").hangs().after_effect());
        let run = version(&test, to).up().await;
        assert!(run.failures()[0].contains("no answer"), "{verb:?}: {:?}", run.failures());
        version(&test, to).up().await.expect_ok();
        settled(&version(&test, to)).await;
    }
}

#[derive(Clone, Debug, Properties)]
struct Limits {
    /// Which things there are.
    #[property(default = 3)]
    things: u32,
    /// Of what they are.
    #[property(default = "wood")]
    kind: String,
    /// Whether nothing may be deleted.
    #[property(default = false)]
    fixed: bool,
    /// How many may be deleted.
    limit: Option<u32>,
}

#[stackkit::program(providers(Toy))]
async fn careful(stack: &mut Stack) -> Result<()> {
    let config: Limits = stack.config()?;
    let mut guard = Guard::default();
    if config.fixed {
        guard = guard.no_destroy();
    }
    if let Some(limit) = config.limit {
        guard = guard.max_deletes(limit as usize);
    }
    stack.guard(guard);
    for n in 0..config.things {
        stack.add(format!("n{n}"), Node::new().kind(config.kind.clone()));
    }
    Ok(())
}

/// Rules: 26.
#[stackkit::test]
async fn a_program_refuses_to_destroy_its_own_stack() {
    let test = Test::of(careful).config("fixed", "true");
    test.up().await.expect_ok();
    assert_eq!(test.up().await.expect_ok().appended(), 0);
    test.cloud().clear_calls();
    for run in [
        test.clone().config("things", "2").up().await,
        test.clone().config("kind", "iron").up().await,
        // The program is not run for it, and its guard holds all the same.
        test.destroy().await,
    ] {
        let error = run.expect_err().to_string();
        assert_eq!(run.expect_err().exit_code(), 3, "{error}");
        assert!(error.contains("the program's guard refuses to") && error.contains("stack.guard"), "{error}");
    }
    assert!(test.cloud().calls().is_empty());
    // The way out that the error names.
    let freed = test.clone().config("fixed", "false");
    let run = freed.up().await.expect_ok();
    assert!(lines(&run).is_empty() && run.appended() > 0);
    freed.destroy().await.expect_ok();
    assert!(test.cloud().ids().is_empty());
}

/// Rules: 26.
#[stackkit::test]
async fn the_strictest_limit_on_deletions_holds() {
    let test = Test::of(careful);
    for (program, given, deleted, refused) in [
        (None, None, 3, false),
        (Some("2"), None, 3, true),
        (Some("3"), None, 3, false),
        (Some("3"), Some(2), 3, true),
        (Some("2"), Some(3), 3, true),
        (None, Some(0), 1, true),
        (Some("0"), None, 0, false),
    ] {
        let mut limited = test.clone();
        if let Some(limit) = program {
            limited = limited.config("limit", limit);
        }
        limited.up().await.expect_ok();
        let options = PlanOptions { max_deletes: given, ..PlanOptions::default() };
        let next = limited.clone().options(options.clone()).config("things", &(3 - deleted).to_string());
        let preview = next.preview().await;
        assert_eq!(preview.result().is_err(), refused, "{program:?}, {given:?}, {deleted}");
        if refused {
            assert!(preview.expect_err().to_string().contains("allows"), "{}", preview.expect_err());
        }
        if deleted == 3 {
            let destroyed = limited.options(options).destroy().await;
            assert_eq!(destroyed.result().is_err(), refused, "{program:?}, {given:?}: destroy");
        }
    }
}
