//! Saved plans: what they are bound to, and what refuses them.

use stackkit::Value;
use stackkit::plan::PlanOptions;

use crate::toys::*;

struct File(std::path::PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("stackkit-rules-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[track_caller]
fn says(run: &stackkit::testing::TestRun, part: &str) {
    let error = run.expect_err().to_string();
    assert_eq!(run.expect_err().exit_code(), 3, "{error}");
    assert!(error.contains("the saved plan is not applied: "), "{error}");
    assert!(error.contains(part), "{error}");
    assert!(error.contains("make a new one with `preview --save-plan FILE`"), "{error}");
}

/// Rules: 32.
#[stackkit::test]
async fn a_saved_plan_is_applied_once() {
    let file = File::new("once");
    let test = test(&[
        vec![item("a"), item("x")],
        vec![item("a").size(2), item("b").hard("a").with(|b| b.password = Some("canary-in-a-plan".into()))],
    ]);
    test.up().await.expect_ok();
    let next = version(&test, 1);
    let saved = next.save_plan(&file.0).await.expect_ok();
    assert_eq!(planned(&saved), ["update a", "create b", "delete x"]);
    assert_eq!(saved.appended(), 0);
    let text = std::fs::read_to_string(&file.0).expect("it is written");
    assert!(!text.contains("canary") && !text.contains("toy") && text.starts_with("stackkit-plan 1 "));
    let run = next.up_saved(&file.0).await.expect_ok();
    assert_eq!(run.summary().create + run.summary().update + run.summary().delete, 3);
    settled(&next).await;
    next.cloud().clear_calls();
    let again = next.up_saved(&file.0).await;
    says(&again, "the state moved from serial");
    assert!(next.cloud().calls().is_empty());
}

/// Rules: 32.
#[stackkit::test]
async fn another_state_another_program_and_another_reality_are_named() {
    let file = File::new("others");
    let all = |size: u32| vec![item("a").size(size), item("b").soft("a")];
    let test = test(&[
        all(1),
        all(2),
        all(3),
        vec![item("a").size(2)],
        vec![item("a").size(2), item("b").soft("a"), item("c")],
    ]);
    // A stack that has nothing yet.
    test.save_plan(&file.0).await.expect_ok();
    says(&version(&test, 1).up_saved(&file.0).await, "toy:core:Node::a: `size` is 2, and was 1");
    test.up_saved(&file.0).await.expect_ok();
    let next = version(&test, 1);
    next.save_plan(&file.0).await.expect_ok();
    next.cloud().clear_calls();
    says(
        &version(&test, 2).up_saved(&file.0).await,
        "the program or its configuration changed: toy:core:Node::a: `size` is 3, and was 2",
    );
    says(&version(&test, 3).up_saved(&file.0).await, "toy:core:Node::b is not in it any more");
    says(&version(&test, 4).up_saved(&file.0).await, "toy:core:Node::c is new in it");
    // Somebody else changes what the plan was to change.
    assert!(test.cloud().tamper("a", schema(), "size", Value::Int(8)));
    says(
        &next.up_saved(&file.0).await,
        "what is there is not as the plan saw it: toy:core:Node::a: `size` is 8, and was 1",
    );
    assert!(test.cloud().tamper("a", schema(), "size", Value::Int(1)));
    assert!(test.cloud().remove("b"));
    says(&next.up_saved(&file.0).await, "toy:core:Node::b takes `create` now");
    assert!(next.cloud().calls().is_empty());
    // A plan without a refresh does not look, and is bound to the state alone.
    let blind = next.clone().without_refresh();
    blind.save_plan(&file.0).await.expect_ok();
    assert!(test.cloud().tamper("a", schema(), "size", Value::Int(8)));
    assert_eq!(lines(&next.up_saved(&file.0).await.expect_ok())[0], "update a");
}

/// Rules: 32.
#[stackkit::test]
async fn drift_that_changes_nothing_of_the_plan_does_not_matter() {
    let file = File::new("drift");
    let test = test(&[vec![item("a")], vec![item("a").size(2)]]);
    test.up().await.expect_ok();
    let next = version(&test, 1);
    next.save_plan(&file.0).await.expect_ok();
    assert!(test.cloud().tamper("a", schema(), "tags", Value::Map(Default::default())));
    next.up_saved(&file.0).await.expect_ok();
}

/// Rules: 32.
#[stackkit::test]
async fn it_carries_its_options_and_guards_can_be_added() {
    let file = File::new("options");
    let test = test(&[vec![item("a"), item("b")]]);
    test.up().await.expect_ok();
    let replacing = test.clone().options(PlanOptions { replace: vec!["a".into()], ..PlanOptions::default() });
    replacing.save_plan(&file.0).await.expect_ok();
    let guarded = test.clone().options(PlanOptions { no_destroy: true, ..PlanOptions::default() });
    let run = guarded.up_saved(&file.0).await;
    assert!(run.expect_err().to_string().contains("`--no-destroy` refuses"), "{}", run.expect_err());
    assert_eq!(lines(&test.up_saved(&file.0).await.expect_ok()), ["replace a", "delete a"]);
}

/// Rules: 27, 32.
#[stackkit::test]
async fn of_another_stack_or_program_damaged_or_refused_itself() {
    let file = File::new("damaged");
    let one = program(|stack| drop(stack.add("a", Node::new())));
    let other = program(|stack| drop(stack.add("a", Node::new())));
    one.save_plan(&file.0).await.expect_ok();
    says(&other.up_saved(&file.0).await, "is of another stack");
    says(&one.clone().stack("prod").up_saved(&file.0).await, "made for the stack `test`, and this is `prod`");
    let text = std::fs::read(&file.0).expect("it is there");
    for (bytes, part) in [
        (&text[..text.len() / 2], "is damaged or cut short"),
        (&[&text[..text.len() - 9], b"AAAAAAAA\n"].concat(), "was altered"),
        (&[][..], "is damaged or cut short"),
    ] {
        std::fs::write(&file.0, bytes).expect("written");
        says(&one.up_saved(&file.0).await, part);
    }
    std::fs::remove_file(&file.0).expect("removed");
    assert_eq!(one.up_saved(&file.0).await.expect_err().exit_code(), 1);
    // What is refused is not saved.
    rewrite(|stack| {
        stack.add("a", Node::new());
        stack.policy_for_plan("never", stackkit::policy::Level::Mandatory, |_| Err("no".into()));
    });
    assert_eq!(one.save_plan(&file.0).await.expect_err().exit_code(), 3);
    assert!(!file.0.exists());
    assert!(one.cloud().calls().is_empty() && other.cloud().calls().is_empty());
}
