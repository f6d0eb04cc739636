//! Plans and screens: what a preview leaves alone, and that everybody is told the same.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use stackkit::engine::{DeployOptions, Deployment};
use stackkit::event::{Event, Listener, Verb};
use stackkit::plan::{Action, PlanOptions};
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;
use stackkit::state::backend::{Backend, Holder};
use stackkit::state::local::LocalBackend;
use stackkit::testing::Failure;
use stackkit::ui::{JsonLines, PlanStyle, Screen, ScreenOptions, Verbosity};

use crate::toys::*;

/// Everything in a folder: contents, modes, and when they were written.
fn everything(dir: &Path) -> BTreeMap<String, (Vec<u8>, String)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let meta = std::fs::metadata(&path).expect("it is there");
            let bytes = if meta.is_dir() { Vec::new() } else { std::fs::read(&path).expect("bytes") };
            let about = format!("{:?} {:?}", meta.permissions(), meta.modified().ok().filter(|_| meta.is_file()));
            if meta.is_dir() {
                open.push(path.clone());
            }
            found.insert(path.display().to_string(), (bytes, about));
        }
    }
    found
}

fn deployment(root: &Path, size: u32) -> Deployment {
    rewrite(move |stack| {
        let folder = stack.add("folder", local::Directory::new("made"));
        for index in 0..size {
            stack.add(format!("file-{index}"), local::File::new(text!("{}/{index}", folder.path), "content"));
        }
        let password = stack.add("password", local::RandomPassword::new(20));
        stack.output("password", &password.value);
    });
    Deployment::new(
        Some(written()),
        DeployOptions {
            dir: root.join("stack"),
            keys: KeyOptions { default_key_file: Some(root.join("keys/key")), ..KeyOptions::default() },
            ..DeployOptions::default()
        },
    )
}

/// Rules: 32.
#[stackkit::test]
async fn a_preview_writes_no_file_takes_no_lock_and_says_exactly_what_up_does() {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(root.path().join("stack")).expect("a folder");
    let options = PlanOptions::default();
    let mut before = everything(root.path());
    for size in [2, 3, 1] {
        let plan = deployment(root.path(), size).preview(&options).await.expect("a plan");
        assert!(plan.has_changes());
        assert_eq!(everything(root.path()), before, "nothing is written");

        let done: Arc<Mutex<Vec<(Verb, String)>>> = Arc::default();
        let sink = Arc::clone(&done);
        let mut up = DeployOptions {
            dir: root.path().join("stack"),
            keys: KeyOptions { default_key_file: Some(root.path().join("keys/key")), ..KeyOptions::default() },
            ..DeployOptions::default()
        };
        up.listener = Arc::new(move |event: &Event| {
            if let Event::StepDone { urn, verb, .. } = event {
                sink.lock().expect("a lock").push((*verb, urn.to_string()));
            }
        });
        Deployment::new(Some(written()), up).up(&options, &|_| true).await.expect("it goes well");
        let planned = plan.nodes.iter().filter(|node| node.action != Action::Same);
        let mut planned: Vec<_> = planned.map(|node| (node.action.name(), node.urn.to_string())).collect();
        let done = done.lock().expect("a lock").clone();
        let mut done: Vec<_> = done.into_iter().map(|(verb, urn)| (verb.name(), urn)).collect();
        planned.sort();
        done.sort();
        assert_eq!(planned, done);
        before = everything(root.path());
    }
    // While somebody else holds the lock, a preview is made all the same, and an `up` is refused.
    let backend = LocalBackend::new(root.path().join("stack/.stackkit"), "dev");
    let holder = Holder { id: "1".into(), who: "me".into(), pid: 1, operation: "up".into(), since: 0 };
    let lease = backend.acquire(holder).await.expect("the lock");
    let locked = deployment(root.path(), 4);
    assert!(locked.preview(&options).await.expect("a plan").has_changes());
    assert_eq!(locked.up(&options, &|_| true).await.expect_err("it is locked").exit_code(), 3);
    drop(lease);
}

/// Rules: 32.
#[stackkit::test]
async fn a_saved_plan_of_a_new_stack_makes_its_key_and_nothing_else() {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(root.path().join("stack")).expect("a folder");
    let file = root.path().join("plan");
    let options = PlanOptions::default();
    deployment(root.path(), 1).save_plan(&options, &file).await.expect("a plan");
    let mut there: Vec<_> = everything(root.path()).into_keys().filter(|path| Path::new(path).is_file()).collect();
    there.sort();
    let names: Vec<_> = there.iter().filter_map(|path| Path::new(path).file_name()?.to_str()).collect();
    assert_eq!(names, ["key", "plan", "stackkit.dev.toml"]);
    let summary = deployment(root.path(), 1).up_saved(&file, &options).await.expect("it is applied");
    assert_eq!(summary.create, 3);
    assert_eq!(deployment(root.path(), 1).up_saved(&file, &options).await.expect_err("it is stale").exit_code(), 3);
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("a lock")).into_owned()
    }
}

/// What an event is called in JSON, and whom it is about; nothing for a plan, which is many lines.
fn told(event: &Event) -> Option<(&'static str, Option<String>)> {
    Some(match event {
        Event::Started { .. } => ("started", None),
        Event::Warning { urn, .. } | Event::Advice { urn, .. } => ("warning", urn.as_ref().map(ToString::to_string)),
        Event::Refreshing { .. } => ("refreshing", None),
        Event::Drifted { urn, .. } => ("drifted", Some(urn.to_string())),
        Event::StepStarted { urn, .. } => ("step_started", Some(urn.to_string())),
        Event::Progress { urn, .. } => ("progress", Some(urn.to_string())),
        Event::Retrying { urn, .. } => ("retrying", Some(urn.to_string())),
        Event::StepDone { urn, .. } => ("step_done", Some(urn.to_string())),
        Event::StepFailed { urn, .. } => ("step_failed", Some(urn.to_string())),
        Event::StepSkipped { urn, .. } => ("step_skipped", Some(urn.to_string())),
        Event::CheckFailed { .. } => ("check_failed", None),
        Event::Finished { .. } => ("summary", None),
        _ => return None,
    })
}

/// Rules: 34.
#[stackkit::test]
async fn lines_of_json_and_the_screen_tell_the_same_events_which_rebuild_the_run() {
    let busy = Failure::of(Verb::Update, "a").kind(stackkit::ErrorKind::Throttled);
    let body = |size: u32| {
        move |stack: &mut Stack| {
            let a = stack.add("a", Node::new().size(size));
            let b = stack.add("b", Node::new().soft([&a.revision]));
            stack.add("c", Node::new().hard([&b.id]).size(size));
            stack.check("it must be `x`", &a.revision, |revision| revision == "a-revision");
            stack.policy("small", stackkit::policy::Level::Advisory, |node: &stackkit::policy::PolicyView<Node>| {
                stackkit::policy::ensure(node.get(&node.size)? < 2, "it is large")
            });
        }
    };
    let test = program(body(1));
    test.up().await.expect_ok();
    assert!(test.cloud().tamper("c", schema(), "size", stackkit::Value::Int(5)));
    test.cloud().fail(busy);
    test.cloud().fail(Failure::of(Verb::Update, "b").message("no room"));
    rewrite(body(2));
    let run = test.up().await;
    let (json, screen) = (Sink::default(), Sink::default());
    let lines = JsonLines::new(json.clone());
    let style = PlanStyle { verbosity: Verbosity::Verbose, ..PlanStyle::default() };
    let terminal = Screen::new(screen.clone(), ScreenOptions { style, rows: None, plan: true });
    for event in run.events() {
        lines.event(event);
        terminal.event(event);
    }
    drop(terminal);
    let all: Vec<serde_json::Value> =
        json.text().lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let plan = ["resource_planned", "output_planned", "planned"];
    let found: Vec<_> = all
        .iter()
        .map(|object| (object["type"].as_str().unwrap_or_default(), object["urn"].as_str().map(str::to_owned)))
        .filter(|(kind, _)| !plan.contains(kind))
        .collect();
    let expected: Vec<_> = run.events().iter().filter_map(told).collect();
    assert_eq!(found, expected);
    // All kinds are there that this run can have.
    for kind in ["warning", "drifted", "retrying", "step_done", "step_failed", "step_skipped", "summary"] {
        assert!(expected.iter().any(|(found, _)| *found == kind), "{kind}: {expected:?}");
    }
    // Who, what, why and how long: from the lines alone.
    for object in &all {
        let kind = object["type"].as_str().unwrap_or_default();
        if ["step_done", "step_failed"].contains(&kind) {
            assert!(object["verb"].is_string() && object["elapsed_ms"].is_u64(), "{object}");
        }
        assert!(object["time_ms"].is_u64(), "{object}");
    }
    assert!(all.iter().any(|object| object["type"] == "resource_planned" && object["reasons"][0] == "`size` changed"));
    assert!(all.iter().any(|object| object["policy"] == "small"));
    let text = screen.text();
    for event in run.events() {
        let says = match event {
            Event::StepDone { urn, .. } | Event::StepFailed { urn, .. } | Event::StepSkipped { urn, .. } => urn.name(),
            Event::Advice { message, .. } | Event::CheckFailed { message, .. } => message,
            Event::Retrying { error, .. } => error,
            _ => continue,
        };
        // What does not fit a line is wrapped.
        let first = says.split(' ').take(3).collect::<Vec<_>>().join(" ");
        assert!(text.contains(&first), "{first}\n{text}");
    }
}

/// Rules: 33.
#[stackkit::test]
async fn changes_that_were_not_expected_are_refused_and_none_are_none() {
    let expecting = PlanOptions { expect_no_changes: true, ..PlanOptions::default() };
    let test = test(&[vec![item("a")], vec![item("a").size(2)]]);
    let run = test.clone().options(expecting.clone()).up().await;
    assert!(refused(&test, &run)[0].contains("no changes were expected, and the plan has 1"));
    test.up().await.expect_ok();
    test.clone().options(expecting.clone()).up().await.expect_ok();
    test.cloud().clear_calls();
    refused(&test, &version(&test, 1).options(expecting).preview().await);
}
