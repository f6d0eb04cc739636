//! The timeline: made of the same events as the screens, whatever became of the run.

use stackkit::ErrorKind;
use stackkit::event::{Listener as _, Verb};
use stackkit::testing::{Failure, TestRun};
use stackkit::timeline::Timeline;

use crate::toys::*;

/// The data in the page of a run.
pub fn drawn(run: &TestRun) -> String {
    let timeline = Timeline::new();
    run.events().iter().for_each(|event| timeline.event(event));
    let page = timeline.html();
    let data = page.split_once("id=\"data\">").and_then(|(_, rest)| rest.split_once("</script>"));
    data.expect("data in the page").0.to_owned()
}

fn steps(data: &str) -> Vec<String> {
    let word = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    let steps = data.split("{\"urn\":").skip(1).map(|step| format!("{{\"urn\":{step}"));
    let mut all: Vec<String> = steps
        .filter_map(|step| {
            let urn = word(&step, "urn")?;
            let name = urn.rsplit("::").next()?.to_owned();
            Some(format!("{} {name}: {}", word(&step, "verb")?, word(&step, "outcome")?))
        })
        .collect();
    all.sort();
    all
}

/// Rules: 34.
#[stackkit::test]
async fn a_run_is_drawn_whether_it_ends_well_or_not() {
    let items = vec![item("a"), item("b").soft("a"), item("c")];
    let test = test(&[items.clone(), vec![item("a").kind("iron"), item("b").soft("a").size(2)]]);
    test.cloud().fail(Failure::of(Verb::Create, "a"));
    let data = drawn(&test.up().await);
    assert_eq!(steps(&data), ["create a: failed", "create b: skipped", "create c: done"]);
    assert!(data.contains("\"outcome\":\"failed\",\"made\""), "{data}");
    assert!(data.contains("a failure that the test asked for") && data.contains("a failed"), "{data}");

    test.cloud().fail(Failure::of(Verb::Create, "a").kind(ErrorKind::Throttled).message("slow down"));
    let data = drawn(&test.up().await.expect_ok());
    assert_eq!(steps(&data), ["create a: done", "create b: done"]);
    assert!(data.contains("attempt 1 failed: slow down") && data.contains("\"unchanged\":1"), "{data}");
    assert!(data.contains("\"path\":[0,1]") && data.contains("\"after\":[0,\"it refers to it\"]"), "{data}");

    let data = drawn(&version(&test, 1).up().await.expect_ok());
    assert_eq!(steps(&data), ["delete a: done", "delete c: done", "replace a: done", "update b: done"]);
    assert!(data.contains("`kind` changed, and it cannot change in place"), "{data}");

    let data = drawn(&version(&test, 1).destroy().await.expect_ok());
    assert_eq!(steps(&data), ["delete a: done", "delete b: done"]);
    let data = drawn(&version(&test, 1).preview().await.expect_ok());
    assert!(steps(&data).is_empty());
}

/// Rules: 16, 34.
#[stackkit::test]
async fn what_a_cancelled_run_left_out_is_drawn() {
    let test = test(&[vec![item("a"), item("b").soft("a")]]).cancel_after(1);
    let data = drawn(&test.up().await);
    assert_eq!(steps(&data), ["create a: done", "create b: skipped"]);
    assert!(data.contains("\"outcome\":\"cancelled\"") && data.contains("the run was cancelled"), "{data}");
}
