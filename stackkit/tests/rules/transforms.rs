//! Transforms: what they change, in which order, and what they may not do.

use stackkit::prelude::*;
use stackkit::testing::{Test, TestRun};

use crate::toys::*;

fn reasons(run: &TestRun, path: &str) -> Vec<String> {
    let plan = run.plan().expect("a plan");
    let node = plan.nodes.iter().find(|node| node.urn.path() == path).expect("a node");
    node.reasons.clone()
}

#[stackkit::program(providers(Toy))]
async fn typed(stack: &mut Stack) -> Result<()> {
    stack.add("before", Node::new());
    stack.transform::<Node>(|node, at| if at.is_set("size") { node } else { node.size(7).kind(at.name()) });
    stack.add("after", Node::new());
    stack.add("set", Node::new().size(2));
    stack.add("other", First::new());
    let mut part = stack.component("part");
    part.transform::<Node>(|node, at| {
        let was = at.get("size").cloned();
        assert!(was.is_some(), "the first one ran before");
        node.zone(format!("{}-zone", at.component()))
    });
    part.component("deep").add("inside", Node::new());
    Ok(())
}

/// Rules: 30.
#[stackkit::test]
async fn typed_transforms_see_their_type_in_their_scope_whenever_it_was_declared() {
    let test = Test::of(typed);
    let run = test.up().await.expect_ok();
    let found = |path: &str| {
        let node = run.get::<Node>(path);
        (node.size, node.kind.clone(), node.zone.as_deref() == Some("part/deep-zone"))
    };
    assert_eq!(found("before"), (7, "before".into(), false));
    assert_eq!(found("after"), (7, "after".into(), false));
    assert_eq!(found("set"), (2, "wood".into(), false));
    assert_eq!(found("part/deep/inside"), (7, "inside".into(), true));
    assert_eq!(run.get::<First>("other").size, 1);
    settled(&test).await;
}

/// Rules: 30.
#[stackkit::test]
async fn the_plan_says_what_a_transform_did() {
    let run = Test::of(typed).preview().await.expect_ok();
    let [first, second] = &reasons(&run, "part/deep/inside")[..] else { panic!("two transforms") };
    assert!(first.starts_with("the transform at ") && first.contains("transforms.rs:"), "{first}");
    assert!(first.ends_with(" set `kind`, `size`"), "{first}");
    assert!(second.ends_with(" set `zone`"), "{second}");
    assert_eq!(reasons(&run, "set"), Vec::<String>::new());
}

#[stackkit::program(providers(Toy))]
async fn of_all_types(stack: &mut Stack) -> Result<()> {
    stack.transform_all(|resource| {
        resource.tag("team", "shop");
        resource.tag("type", resource.schema().type_name);
    });
    let base = stack.add("base", Node::new().tags(map! { "team" => "own", "more" => "yes" }));
    stack.add("leaf", First::new().soft([&base.id]));
    stack.add("no-tags", local::RandomPassword::new(12));
    // Later ones see what earlier ones did.
    stack.transform_all(|resource| {
        if resource.get("tags").is_some() {
            resource.set("size", 5_u32);
            resource.ignore_changes(["zone"]);
        }
    });
    Ok(())
}

/// Rules: 30, 7.
#[stackkit::test]
async fn transforms_of_all_types_go_by_fields() {
    let test = Test::of(of_all_types);
    let run = test.up().await.expect_ok();
    let tags = run.get::<Node>("base").tags.clone().unwrap_or_default();
    let tags: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(tags, ["more=yes", "team=shop", "type=toy:core:Node"]);
    assert_eq!(run.get::<First>("leaf").size, 5);
    assert!(reasons(&run, "leaf").iter().any(|reason| reason.ends_with(" set `size`, `ignore_changes`")));
    settled(&test).await;
}

#[stackkit::program(providers(Toy))]
async fn guarded(stack: &mut Stack) -> Result<()> {
    let dublin = stack.provider::<Toy>("dublin", no_settings());
    let mut vault = stack.component("vault");
    vault.transform_all(move |resource| {
        resource.protect();
        resource.provider(&dublin);
    });
    vault.add("inside", Node::new());
    stack.add("outside", Node::new());
    Ok(())
}

/// Rules: 30, 24.
#[stackkit::test]
async fn transforms_change_options_too() {
    let test = Test::of(guarded);
    let run = test.up().await.expect_ok();
    let providers: Vec<_> = run.state().resources.values().map(|r| (r.urn.path(), r.provider.as_str())).collect();
    assert!(providers.contains(&("vault/inside", "toy/dublin")) && providers.contains(&("outside", "toy")));
    let error = test.destroy().await.expect_err().to_string();
    assert!(error.contains("vault/inside") && !error.contains("::outside"), "{error}");
}

#[stackkit::program(providers(Toy))]
async fn wrong(stack: &mut Stack) -> Result<()> {
    let password = stack.add("password", local::RandomPassword::new(12));
    let secret = password.value.clone();
    stack.add("a", Node::new().password(&password.value));
    let inside = stack.component("inside");
    stack.transform_all(move |resource| {
        if resource.name() == "a" {
            resource.set("no_such_field", "x");
            resource.set("id", "an output");
            resource.set("size", "not a number");
            resource.set("zone", &secret);
            // What was secret stays it, wherever it is put.
            let password = resource.get("password").cloned();
            resource.set_value("kind", password.unwrap_or_default());
            resource.error("nobody may call it `a`");
        }
    });
    stack.transform::<Node>(|_, _| panic!("oh no"));
    drop(inside);
    Ok(())
}

/// Rules: 30.
#[stackkit::test]
async fn what_a_transform_does_wrong_is_said_with_its_place() {
    let text = Test::of(wrong).preview().await.expect_err().to_string();
    for part in [
        "toy:core:Node::a: `no_such_field`: a transform sets `no_such_field`, which is no input of `toy:core:Node`",
        "`id`: a transform sets `id`, which is no input of `toy:core:Node`",
        "`size`: a transform sets it to something that does not fit: expected a whole number, found text",
        "`zone`: a transform would put a secret into it, and it is not secret",
        "`kind`: a transform would put a secret into it, and it is not secret",
        "toy:core:Node::a: nobody may call it `a`",
        "toy:core:Node::a: a transform panicked: oh no",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.lines().count(), 7, "{text}");
    // Each names the transform and the declaration.
    assert_eq!(text.matches("transforms.rs:").count(), 14, "{text}");
}

#[stackkit::program(providers(Toy))]
async fn secret_again(stack: &mut Stack) -> Result<()> {
    stack.add("a", Node::new());
    stack.transform_all(|resource| resource.set("password", "canary-7QX"));
    Ok(())
}

/// Rules: 30, 10.
#[stackkit::test]
async fn plain_text_in_a_secret_field_is_secret() {
    let run = Test::of(secret_again).up().await.expect_ok();
    assert_eq!(run.get::<Node>("a").password.clone().map(|p| p.reveal().clone()).as_deref(), Some("canary-7QX"));
    assert!(run.state().resources.values().all(|record| record.inputs["password"].has_secret()));
}
