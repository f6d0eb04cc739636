//! Remediations: policies that change what a program gives.

use std::collections::BTreeMap;

use stackkit::Value;
use stackkit::policy::{Level, Policies, PolicyView, Remedy, ensure};
use stackkit::prelude::*;

use crate::toys::*;

fn owner(stack: &mut Stack) {
    stack.remedy_for_each("owned", |any| {
        let Value::Map(mut tags) = any.get("tags")? else {
            any.set("tags", Value::Map([("owner".to_owned(), Value::text("us"))].into()));
            return Ok(());
        };
        if !tags.contains_key("owner") {
            tags.insert("owner".into(), Value::text("us"));
            any.set("tags", Value::Map(tags));
        }
        Ok(())
    });
}

/// Rules: 27.
#[stackkit::test]
async fn inputs_are_changed_before_planning_and_the_plan_names_the_policy() {
    let test = program(|stack| {
        stack.add(
            "a",
            Node::new()
                .tags([("k", "v")].map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect::<BTreeMap<_, _>>()),
        );
        stack.add("b", Node::new());
        // What a remediation sets right passes.
        stack.policy("owned-indeed", Level::Mandatory, |node: &PolicyView<Node>| {
            ensure(node.get(&node.tags)?.is_some_and(|tags| tags.contains_key("owner")), "nobody owns it")
        });
        owner(stack);
    });
    let run = test.up().await.expect_ok();
    assert_eq!(run.get::<Node>("a").tags.as_ref().map(|tags| tags.len()), Some(2));
    assert_eq!(run.get::<Node>("b").tags.as_ref().map(|tags| tags["owner"].as_str()), Some("us"));
    for node in &run.plan().expect("a plan").nodes {
        assert_eq!(node.reasons, ["the policy `owned` sets `tags`"]);
    }
    settled(&test).await;
}

/// Rules: 27.
#[stackkit::test]
async fn they_run_in_order_to_a_fixed_point() {
    let test = program(|stack| {
        stack.add("a", Node::new().size(1));
        stack.policies(
            Policies::new()
                .remedy("third", |node: &Remedy<Node>| {
                    if node.get(&node.kind)? == "stone" {
                        node.set(&node.zone, "north");
                    }
                    Ok(())
                })
                .remedy("first", |node: &Remedy<Node>| {
                    if node.get(&node.size)? < 3 {
                        node.set(&node.size, 3);
                        // What is set is seen at once.
                        assert_eq!(node.get(&node.size)?, 3);
                    }
                    Ok(())
                })
                .remedy("second", |node: &Remedy<Node>| {
                    if node.get(&node.size)? == 3 {
                        node.set(&node.kind, "stone");
                    }
                    Ok(())
                }),
        );
    });
    let run = test.up().await.expect_ok();
    let a = run.get::<Node>("a");
    assert_eq!((a.size, a.kind.as_str(), a.zone.as_deref()), (3, "stone", Some("north")));
    assert_eq!(
        run.plan().expect("a plan").nodes[0].reasons,
        ["the policy `first` sets `size`", "the policy `second` sets `kind`", "the policy `third` sets `zone`"]
    );
    settled(&test).await;
}

/// Rules: 27.
#[stackkit::test]
async fn one_that_never_ends_is_an_error_that_names_it() {
    let test = program(|stack| {
        stack.add("a", Node::new());
        stack.remedy("more", |node: &Remedy<Node>| {
            node.set(&node.size, node.get(&node.size)? + 1);
            Ok(())
        });
    });
    let error = test.up().await.expect_err().to_string();
    assert!(error.contains("Node::a: the policy `more` still changes `size` after 8 rounds"), "{error}");
    assert!(error.contains("remedies.rs:"), "{error}");
}

/// Rules: 10, 27.
#[stackkit::test]
async fn no_secret_is_made_plain() {
    let test = program(|stack| {
        stack.add("a", Node::new().password("canary-to-be-plain"));
        stack.remedy("tells", |node: &Remedy<Node>| {
            let password = node.get(&node.password)?.map(|secret| secret.reveal().clone()).unwrap_or_default();
            node.set(&node.kind, format!("with {password}"));
            Ok(())
        });
    });
    let run = test.up().await;
    let error = run.expect_err().to_string();
    assert!(error.contains("the policy `tells` would make a secret plain in `kind`"), "{error}");
    assert!(!error.contains("canary"), "{error}");
    // What is set into a secret input is secret.
    let test = program(|stack| {
        stack.add("a", Node::new());
        stack.remedy_for_each("sets", |any| {
            any.set("password", Value::text("canary-of-a-policy"));
            Ok(())
        });
    });
    let run = test.up().await.expect_ok();
    assert_eq!(
        run.get::<Node>("a").password.as_ref().map(|secret| secret.reveal().as_str()),
        Some("canary-of-a-policy")
    );
    assert!(!format!("{:?}", run.events()).contains("canary"));
}

/// Rules: 27.
#[stackkit::test]
async fn what_is_not_known_before_planning_is_left_alone_and_what_does_not_fit_is_refused() {
    let test = program(|stack| {
        let a = stack.add("a", Node::new().size(5));
        // What refers to an input of another one is known; to an output it is not.
        stack.add("b", Node::new().size(&a.size));
        stack.add("c", Node::new().kind(&a.address));
        stack.remedy("upper", |node: &Remedy<Node>| {
            if node.get(&node.size)? == 5 && node.resource().urn().name() == "b" {
                node.set(&node.zone, "five");
            }
            node.set(&node.kind, node.get(&node.kind)?.to_uppercase());
            Ok(())
        });
    });
    let run = test.up().await.expect_ok();
    let kinds = ["a", "b", "c"].map(|name| run.get::<Node>(name).kind.clone());
    assert_eq!(kinds, ["WOOD", "WOOD", "a-address"]);
    assert_eq!(run.get::<Node>("b").zone.as_deref(), Some("five"));
    for (field, value, part) in [
        ("size", Value::text("large"), "sets `size` to what does not fit"),
        ("id", Value::text("x"), "sets `id`, which only the provider gives"),
        ("nosuch", Value::Null, "sets `nosuch`, which its type does not have"),
    ] {
        rewrite(move |stack| {
            stack.add("a", Node::new());
            let value = value.clone();
            stack.remedy_for_each("wrong", move |any| {
                any.set(field, value.clone());
                Ok(())
            });
        });
        let error = test.preview().await.expect_err().to_string();
        assert!(error.contains(&format!("Node::a: the policy `wrong` {part}")), "{error}");
    }
}
