//! Secrets: a run shows that one changed, never what.

use stackkit::event::{Event, Verb};
use stackkit::testing::{Failure, Test, TestRun};

use crate::toys::*;

const CANARIES: [&str; 3] = ["Canary-Eins/ü\"1", "canary-zwei-22222", "canary-drei-33333"];

fn everything(test: &Test, run: &TestRun) -> String {
    let log = test.backend().log();
    let mut all: String = log.entries.iter().chain(&log.snapshot).map(|bytes| String::from_utf8_lossy(bytes)).collect();
    for event in run.events() {
        all.push_str(&format!("{event:?}\n"));
    }
    all.push_str(&crate::timeline::drawn(run));
    all.push_str(&format!("{run:?}\n{:?}\n{:?}\n", run.plan(), run.state()));
    if run.summary().failed > 0 || run.plan().is_none_or(|plan| !plan.diagnostics.is_empty()) {
        all.push_str(&run.expect_err().to_string());
        all.push_str(&format!("{:?}", run.expect_err()));
    }
    all
}

#[track_caller]
fn hidden(test: &Test, run: &TestRun) {
    let all = everything(test, run);
    for canary in CANARIES {
        let quoted = format!("{canary:?}");
        for spelling in [canary, quoted.trim_matches('"')] {
            assert!(!all.contains(spelling), "`{spelling}` stands in what the run left behind or said");
        }
    }
}

/// Rules: 10, 34.
#[stackkit::test]
async fn no_canary_is_ever_seen() {
    let with = |password: &str, pin: &str| {
        let (password, pin) = (Some(password.to_owned()), Some(pin.to_owned()));
        vec![item("a").with(|a| (a.password, a.pin) = (password, pin)), item("b").soft("a")]
    };
    let test = test(&[with(CANARIES[0], CANARIES[1]), with(CANARIES[1], CANARIES[1]), with(CANARIES[1], CANARIES[2])]);
    hidden(&test, &test.up().await.expect_ok());
    let run = version(&test, 1).preview().await;
    assert_eq!(planned(&run), ["update a"]);
    let change = &run.plan().expect("a plan").nodes[0].changes[0];
    assert_eq!(
        (change.field, format!("{:?}", change.before), format!("{:?}", change.after)),
        ("password", "[secret]".into(), "[secret]".into())
    );
    hidden(&version(&test, 1), &run);
    for to in [1, 2] {
        // What the program or the state has is known; other people's secrets are not.
        let known = &CANARIES[to - 1..=to];
        for message in known {
            test.cloud().fail(Failure::of(Verb::Update, "a").message(&format!("the server said: {message}")));
        }
        for _ in known {
            let run = version(&test, to).up().await;
            assert!(run.failures()[0].contains("the server said"), "{:?}", run.failures());
            hidden(&test, &run);
        }
        test.cloud().fail(Failure::of(Verb::Update, "a").message(CANARIES[1]).panics());
        hidden(&test, &version(&test, to).up().await);
        hidden(&test, &version(&test, to).up().await.expect_ok());
        settled(&version(&test, to)).await;
    }
    let run = version(&test, 2).destroy().await.expect_ok();
    hidden(&test, &run);
    assert!(!run.events().iter().any(|event| matches!(event, Event::StepFailed { .. })));
}
