//! Policies: what they see, when they judge, and what a violation does.

use stackkit::event::{Event, Verb};
use stackkit::plan::Action;
use stackkit::policy::{Level, Objection, Policies, PolicyView, all, ensure};
use stackkit::prelude::*;
use stackkit::testing::TestRun;

use crate::toys::*;

fn advice(run: &TestRun) -> Vec<String> {
    run.events()
        .iter()
        .filter_map(|event| match event {
            Event::Advice { policy, urn, message } => {
                Some(format!("{policy}, {}: {message}", urn.as_ref().map_or("the plan", |urn| urn.name())))
            }
            _ => None,
        })
        .collect()
}

fn no_iron(node: &PolicyView<'_, Node>) -> Result<(), Objection> {
    ensure(node.get(&node.kind)? != "iron", "iron rusts")
}

/// Rules: 27.
#[stackkit::test]
async fn all_violations_come_together_with_their_places_before_anything_is_touched() {
    let test = program(|stack| {
        stack.add("good", Node::new());
        stack.add("a", Node::new().kind("iron"));
        stack.add("b", Node::new().kind("iron").size(9));
        stack.policy("no-iron", Level::Mandatory, no_iron).describe("Nothing may rust");
        stack.policy_for_each("small", Level::Mandatory, |any| {
            let size = any.get("size")?;
            match size {
                Value::Int(size) if *size > 5 => {
                    Err(any.object(format!("{size} is too large")).field("size").help("make it 5 or less"))
                }
                _ => Ok(()),
            }
        });
    });
    use stackkit::Value;
    for run in [test.preview().await, test.up().await] {
        let found = refused(&test, &run);
        assert_eq!(found.len(), 3, "{found:#?}");
        for (line, parts) in found.iter().zip([
            ["toy:core:Node::a", "the policy `no-iron` refuses it: iron rusts", "(Nothing may rust)"],
            ["toy:core:Node::b", "the policy `no-iron` refuses it: iron rusts", "(Nothing may rust)"],
            ["toy:core:Node::b: `size`", "the policy `small` refuses it: 9 is too large", "(make it 5 or less)"],
        ]) {
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
            assert!(line.contains("policies.rs:"), "the place of the declaration: {line}");
        }
        let plan = run.plan().expect("a plan");
        assert!(plan.diagnostics.iter().all(|found| found.policy.is_some()));
    }
}

/// Rules: 27.
#[stackkit::test]
async fn an_advisory_one_warns_and_the_run_goes_on() {
    let test = program(|stack| {
        stack.add("a", Node::new().kind("iron"));
        stack.policy("no-iron", Level::Advisory, no_iron);
    });
    let run = test.up().await.expect_ok();
    assert_eq!(advice(&run), ["no-iron, a: the policy `no-iron` advises: iron rusts"]);
    assert_eq!(lines(&run), ["create a"]);
}

/// Rules: 27.
#[stackkit::test]
async fn what_does_not_change_is_judged_too() {
    let test = program(|stack| drop(stack.add("a", Node::new().kind("iron"))));
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    rewrite(|stack| {
        stack.add("a", Node::new().kind("iron"));
        stack.policy("no-iron", Level::Mandatory, no_iron);
    });
    assert_eq!(refused(&test, &test.up().await).len(), 1);
}

/// Rules: 8, 27.
#[stackkit::test]
async fn a_violation_that_shows_when_an_unknown_resolves_stops_that_step_before_its_call() {
    let test = program(|stack| {
        let a = stack.add("a", Node::new());
        let b = stack.add("b", Node::new().kind(&a.address));
        stack.add("c", Node::new().hard([&b.id]));
        stack.add("d", Node::new());
        stack.policy("not-there", Level::Mandatory, |node: &PolicyView<Node>| {
            // Known and unknown can be told apart.
            if node.resource().name() == "b" && node.known(&node.kind).is_none() {
                assert_eq!(node.resource().action(), &Action::Create);
            }
            ensure(!node.get(&node.kind)?.starts_with("a-"), "nothing may lean on `a`")
        });
        stack.policy_for_each("hm", Level::Advisory, |any| {
            ensure(any.known("kind") != Some(&stackkit::Value::text("a-address")), "is this right?")
        });
    });
    let run = test.preview().await.expect_ok();
    assert!(advice(&run).is_empty());
    let run = test.up().await;
    assert_eq!((run.summary().create, run.summary().failed, run.summary().skipped), (2, 1, 1));
    let failure = &run.failures()[0];
    assert!(failure.contains("toy:core:Node::b: create failed"), "{failure}");
    assert!(failure.contains("the policy `not-there` refuses it: nothing may lean on `a`"), "{failure}");
    assert!(failure.contains("policies.rs:"), "{failure}");
    assert_eq!(advice(&run), ["hm, b: the policy `hm` advises: is this right?"]);
    assert_eq!(test.cloud().ids(), ["node-a", "node-d"]);
    // The next run knows it when it plans.
    test.cloud().clear_calls();
    let run = test.up().await;
    assert!(refused(&test, &run)[0].contains("nothing may lean on `a`"));
}

/// Rules: 27.
#[stackkit::test]
async fn an_update_is_stopped_as_a_create_is() {
    let write = |size: u32, demand: bool| {
        move |stack: &mut Stack| {
            let a = stack.add("a", Node::new().size(size));
            stack.add(
                "b",
                Node::new().tags(Output::all([&a.revision]).map(|all| {
                    all.into_iter()
                        .map(|revision| ("of".to_owned(), revision))
                        .collect::<std::collections::BTreeMap<_, _>>()
                })),
            );
            if demand {
                stack.policy("no-tags", Level::Mandatory, |node: &PolicyView<Node>| {
                    ensure(node.get(&node.tags)?.is_none_or(|tags| tags["of"] == "a-revision"), "the first is right")
                });
            }
        }
    };
    let test = program(write(1, false));
    test.up().await.expect_ok();
    rewrite(write(2, true));
    let run = test.up().await;
    assert!(run.failures()[0].contains("toy:core:Node::b: update failed"), "{:?}", run.failures());
    assert!(!test.cloud().calls().iter().any(|call| call.verb == Verb::Update && call.urn.name() == "b"));
}

/// Rules: 27.
#[stackkit::test]
async fn what_is_known_only_once_it_is_there_is_judged_by_the_next_run() {
    let test = program(|stack| {
        stack.add("a", Node::new());
        stack.policy("elsewhere", Level::Mandatory, |node: &PolicyView<Node>| {
            ensure(node.get(&node.address)? != "a-address", "not there")
        });
    });
    let run = test.up().await.expect_ok();
    assert!(advice(&run)[0].contains("the next run judges it"), "{:?}", advice(&run));
    test.cloud().clear_calls();
    assert!(refused(&test, &test.up().await)[0].contains("not there"));
}

/// Rules: 24, 27.
#[stackkit::test]
async fn deletions_are_judged_by_recorded_values_and_only_where_that_is_asked_for() {
    let test = program(|stack| {
        stack.add("keep", Node::new().size(7).kind("iron"));
        stack.add("drop", Node::new().size(1));
    });
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let demands = || {
        Policies::new()
            .policy("keep-large", Level::Mandatory, |node: &PolicyView<Node>| {
                assert!(node.resource().is_deleted());
                ensure(node.get(&node.size)? < 5, "what is large stays")
            })
            .deletions()
            // A rule for what is there does not keep what breaks it from going.
            .policy("no-iron", Level::Mandatory, no_iron)
    };
    rewrite(move |stack| stack.policies(demands()));
    let run = test.up().await;
    let found = refused(&test, &run);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("Node::keep: the policy `keep-large` refuses it: what is large stays"), "{found:?}");
    // A replacement deletes too.
    rewrite(move |stack| {
        stack.policies(demands());
        stack.add("keep", Node::new().size(7).kind("stone"));
        stack.add("drop", Node::new().kind("stone"));
    });
    let found = refused(&test, &test.up().await);
    assert!(found.len() == 1 && found[0].contains("Node::keep"), "{found:?}");
    // An update does not.
    rewrite(move |stack| {
        stack.policies(Policies::new().and(demands()));
        stack.add("keep", Node::new().size(1).kind("iron"));
    });
    assert!(refused(&test, &test.up().await)[0].contains("iron rusts"));
}

/// Rules: 8, 27.
#[stackkit::test]
async fn a_replacement_that_may_be_is_judged_when_it_is_known() {
    for first in [false, true] {
        let write = move |size: u32, constant: bool| {
            move |stack: &mut Stack| {
                let a = stack.add("a", Node::new().size(size));
                let kind = a.revision.map(move |revision| if constant { "same".into() } else { revision });
                stack.add("b", Node::new().kind(kind)).delete_before_replace(first);
                stack
                    .policy("never", Level::Mandatory, |_: &PolicyView<Node>| ensure(false, "nothing goes"))
                    .deletions();
            }
        };
        let test = program(write(1, true));
        test.up().await.expect_ok();
        rewrite(write(2, true));
        assert_eq!(lines(&test.up().await.expect_ok()), ["update a"], "it turns out to stay");
        let test = program(write(1, false));
        test.up().await.expect_ok();
        rewrite(write(2, false));
        let run = test.up().await;
        assert!(run.failures()[0].contains("the policy `never` refuses it: nothing goes"), "{:?}", run.failures());
        assert_eq!(test.cloud().ids(), ["node-a", "node-b"]);
    }
}

/// Rules: 27.
#[stackkit::test]
async fn one_over_the_whole_plan_sees_everything_in_it() {
    let test = program(|stack| drop(stack.add("old", Node::new())));
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    rewrite(|stack| {
        let a = stack.add("a", Node::new());
        stack.add("b", First::new());
        stack.output("size", &a.size);
        stack.policy_for_plan("few", Level::Mandatory, |plan| {
            let seen: Vec<_> = plan.resources().map(|any| format!("{} {}", any.action().name(), any.name())).collect();
            assert_eq!(plan.of::<First>().count(), 1);
            assert_eq!((plan.summary().create, plan.outputs().len()), (2, 1));
            all([
                ensure(seen.is_empty(), seen.join(", ")),
                all(plan.of::<Node>().map(|node| ensure(false, "any").map_err(|no| no.on(node.resource().urn())))),
            ])
        });
    });
    let found = refused(&test, &test.up().await);
    assert!(found[0].starts_with("the policy `few` refuses it: create a, create b, delete old"), "{found:?}");
    assert!(found[1].starts_with("toy:core:Node::a: the policy `few` refuses it: any"), "{found:?}");
}

/// Rules: 27.
#[stackkit::test]
async fn a_policy_reads_other_resources_and_what_is_computed_from_them() {
    let test = program(|stack| {
        let a = stack.add("a", Node::new().size(4));
        stack.add("b", Node::new().size(3).hard([&a.id]));
        let largest = a.size.map(|size| size * 2);
        stack.policy("twice", Level::Mandatory, move |node: &PolicyView<Node>| {
            ensure(node.get(&node.size)? * 2 == node.get(&largest)?, "as large as `a`")
        });
    });
    let found = refused(&test, &test.up().await);
    assert!(found.len() == 1 && found[0].contains("Node::b"), "{found:?}");
}

/// Rules: 27.
#[stackkit::test]
async fn a_panic_is_an_error_that_names_the_policy_and_its_place() {
    let test = program(|stack| {
        stack.add("a", Node::new());
        stack.policy("broken", Level::Advisory, |_: &PolicyView<Node>| panic!("out of order"));
    });
    let run = test.up().await;
    let error = run.expect_err().to_string();
    assert!(error.contains("Node::a: the policy `broken` panicked: out of order"), "{error}");
    assert!(error.contains("policies.rs:"), "{error}");
    assert!(test.cloud().calls().is_empty());
}

/// Rules: 27.
#[stackkit::test]
async fn two_of_one_name_are_an_error() {
    let test = program(|stack| {
        stack.policy("same", Level::Advisory, no_iron);
        stack.policies(Policies::new().policy("same", Level::Mandatory, no_iron));
    });
    let error = test.up().await.expect_err().to_string();
    assert!(error.contains("the policy `same` is declared twice; the first is at"), "{error}");
}

/// Rules: 10, 27.
#[stackkit::test]
async fn what_a_policy_reveals_is_scrubbed() {
    let test = program(|stack| {
        stack.add("a", Node::new().password("canary-in-a-policy"));
        stack.policy("tells", Level::Mandatory, |node: &PolicyView<Node>| {
            let password = node.get(&node.password)?;
            assert_eq!(format!("{:?}", node.resource().get("password")), "Ok([secret])");
            ensure(false, format!("it is {}", password.map(|secret| secret.reveal().clone()).unwrap_or_default()))
        });
    });
    let run = test.up().await;
    assert!(refused(&test, &run)[0].contains("it is [secret]"), "{}", run.expect_err());
    assert!(!format!("{:?}", run.events()).contains("canary"));
}
