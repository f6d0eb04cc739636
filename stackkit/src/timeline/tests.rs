//! What the timeline makes of a run's events.

use petgraph::graph::DiGraph;

use super::model::Model;
use super::*;
use crate::plan::{Action, PlanNode, Why};
use crate::state::model::Instance;

/// A plan of creates in this order, where each pair says that the second comes after the first.
fn plan(names: &[&str], after: &[(usize, usize)]) -> Arc<Plan> {
    let node = |name: &&str| PlanNode {
        urn: Urn::new("t:T", name),
        declared: Some(0),
        prior: None,
        action: Action::Create,
        left_out: false,
        certain: true,
        reasons: Vec::new(),
        changes: Vec::new(),
        follows: Vec::new(),
    };
    let mut steps = DiGraph::new();
    let nodes: Vec<_> = (0..names.len()).map(|index| steps.add_node(Step::Ensure(index))).collect();
    for (first, second) in after {
        steps.add_edge(nodes[*first], nodes[*second], Why::Refers);
    }
    Arc::new(Plan {
        nodes: names.iter().map(node).collect(),
        steps,
        reads: Vec::new(),
        ready: Vec::new(),
        outputs: Vec::new(),
        selected: None,
        diagnostics: Vec::new(),
        advice: Vec::new(),
        unjudged: Default::default(),
        known: Vec::new(),
        dependencies: Vec::new(),
    })
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn urn(name: &str) -> Urn {
    Urn::new("t:T", name)
}

fn started(run: &mut Recording, millis: u64, name: &str) {
    run.note(at(millis), &Event::StepStarted { urn: urn(name), verb: Verb::Create });
}

fn done(run: &mut Recording, millis: u64, name: &str, took: u64) {
    run.note(at(millis), &Event::StepDone { urn: urn(name), verb: Verb::Create, elapsed: at(took) });
}

fn begun(plan: Arc<Plan>) -> Recording {
    let mut run = Recording::default();
    run.note(at(0), &Event::Started { operation: Operation::Up, stack: "dev".into() });
    run.note(at(100), &Event::Planned { plan });
    run
}

fn path(model: &Model) -> Vec<&str> {
    model.path.iter().map(|step| model.steps[*step].urn.trim_start_matches("t:T::")).collect()
}

#[test]
fn the_critical_path_follows_what_each_step_waited_for() {
    let mut run = begun(plan(&["a", "b", "c", "d"], &[(0, 1), (0, 2), (1, 3), (2, 3)]));
    started(&mut run, 200, "a");
    done(&mut run, 300, "a", 100);
    started(&mut run, 300, "b");
    started(&mut run, 300, "c");
    done(&mut run, 350, "b", 50);
    done(&mut run, 700, "c", 400);
    started(&mut run, 700, "d");
    done(&mut run, 800, "d", 100);
    run.note(at(810), &Event::Finished { summary: Summary { create: 4, ..Summary::default() } });
    let model = Model::of(&run, at(5_000));
    assert_eq!(path(&model), ["a", "c", "d"]);
    assert_eq!((model.outcome, model.lanes, model.span, model.took), ("done", 2, 600.0, 810.0));
    let d = &model.steps[3];
    assert_eq!((d.ready, d.began, d.ended, d.slot_of), (Some(500.0), Some(500.0), Some(600.0), None));
    assert_eq!(d.after, Some((2, "it refers to it")));
    assert_eq!((model.planning, model.asking), (100.0, 100.0));
}

#[test]
fn a_step_that_waits_for_a_slot_hangs_on_what_freed_it() {
    let mut run = begun(plan(&["a", "b", "c"], &[]));
    started(&mut run, 100, "a");
    started(&mut run, 100, "b");
    done(&mut run, 200, "b", 100);
    started(&mut run, 201, "c");
    done(&mut run, 260, "c", 59);
    done(&mut run, 250, "a", 150);
    let model = Model::of(&run, at(300));
    assert_eq!(path(&model), ["b", "c"]);
    let c = &model.steps[2];
    assert_eq!((c.ready, c.began, c.slot_of, c.lane), (Some(0.0), Some(101.0), Some(0), Some(0)));
    assert_eq!(model.outcome, "cut off");
}

#[test]
fn failures_retries_and_what_was_left_out_are_told() {
    let mut run = begun(plan(&["a", "b", "c"], &[(0, 1)]));
    started(&mut run, 100, "a");
    started(&mut run, 100, "c");
    let retrying = Event::Retrying { urn: urn("a"), attempt: 1, delay: at(40), error: "throttled".into() };
    run.note(at(110), &retrying);
    let point = crate::hook::HookPoint::BeforeCreate;
    run.note(at(118), &Event::HookDone { urn: urn("a"), point, elapsed: at(6) });
    run.note(at(150), &Event::Progress { urn: urn("a"), message: "pending".into() });
    run.note(at(200), &Event::StepFailed { urn: urn("a"), verb: Verb::Create, elapsed: at(100), error: "no".into() });
    run.note(at(200), &Event::StepSkipped { urn: urn("b"), verb: Verb::Create, because: "t:T::a failed".into() });
    // `c` is still running when the page is drawn.
    let model = Model::of(&run, at(400));
    let told: Vec<_> = model.steps.iter().map(|step| (&step.urn[5..], step.outcome, step.ended)).collect();
    assert_eq!(told, [("a", "failed", Some(100.0)), ("c", "running", Some(300.0)), ("b", "skipped", None)]);
    assert_eq!(model.steps[0].because.as_deref(), Some("no"));
    let marks = &model.steps[0].marks;
    assert_eq!(marks[1], (12.0, "hook before_create".into(), Some(6.0), "hook"));
    assert_eq!(marks[0], (10.0, "attempt 1 failed: throttled".into(), Some(40.0), "retry"));
    assert_eq!(marks[2], (50.0, "pending".into(), None, "said"));
    assert_eq!(model.steps[2].because.as_deref(), Some("t:T::a failed"));
}

#[test]
fn an_old_instance_and_its_successor_are_two_steps() {
    let mut plan = Arc::unwrap_or_clone(plan(&["a"], &[]));
    plan.nodes[0].action = Action::Replace { delete_first: false };
    let delete = plan.steps.add_node(Step::Delete(0, Instance(7)));
    plan.steps.add_edge(petgraph::graph::NodeIndex::new(0), delete, Why::CreateFirst);
    let mut run = begun(Arc::new(plan));
    for (verb, from) in [(Verb::Replace, 100), (Verb::Delete, 150)] {
        run.note(at(from), &Event::StepStarted { urn: urn("a"), verb });
        run.note(at(from + 50), &Event::StepDone { urn: urn("a"), verb, elapsed: at(50) });
    }
    let model = Model::of(&run, at(300));
    let told: Vec<_> = model.steps.iter().map(|step| (step.verb, step.began, step.after)).collect();
    let after = Some((0, "its successor is made first"));
    assert_eq!(told, [("replace", Some(0.0), None), ("delete", Some(50.0), after)]);
}

#[test]
fn the_page_fetches_nothing_and_no_text_gets_out_of_the_data() {
    let mut run = begun(plan(&["a</script><!--<script>"], &[]));
    let name = "a</script><!--<script>";
    started(&mut run, 100, name);
    let error = "</script><img src=x onerror=alert(1)>&".to_owned();
    run.note(at(200), &Event::StepFailed { urn: urn(name), verb: Verb::Create, elapsed: at(100), error });
    let page = page::page(&Model::of(&run, at(300)));
    assert_eq!((page.matches("</script>").count(), page.matches("<!--").count()), (2, 0));
    assert!(!page.contains("<img"));
    assert!(page.contains("\\u003c/script\\u003e\\u003cimg src=x"));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for fetched in ["http:", "https:", "src=\"", "href=", "url(//", "@import", "fetch("] {
        assert!(!outside.contains(fetched), "{fetched}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_run_that_never_began_is_a_page_too() {
    let model = Model::of(&Recording::default(), at(10));
    assert_eq!((model.outcome, model.steps.len(), model.took), ("not begun", 0, 10.0));
    assert!(Timeline::new().html().contains("</html>"));
}
