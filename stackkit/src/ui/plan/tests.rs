use petgraph::graph::DiGraph;

use super::*;
use crate::state::model::Instance;
use crate::urn::Urn;

fn node(urn: &str, action: Action) -> PlanNode {
    PlanNode {
        urn: Urn::parse(urn).expect("the test's own URN"),
        declared: Some(0),
        prior: Some(Instance(1)),
        action,
        certain: true,
        reasons: Vec::new(),
        changes: Vec::new(),
        left_out: false,
        follows: Vec::new(),
    }
}

fn change(field: &'static str, before: Value, after: Value) -> FieldChange {
    FieldChange { field, before, after, forces_replacement: false, drifted: false, certain: true }
}

fn plan(nodes: Vec<PlanNode>, outputs: Vec<PlannedOutput>) -> Plan {
    Plan {
        nodes,
        steps: DiGraph::new(),
        reads: Vec::new(),
        outputs,
        selected: None,
        diagnostics: Vec::new(),
        ready: Vec::new(),
        advice: Vec::new(),
        unjudged: Default::default(),
        known: Vec::new(),
        dependencies: Vec::new(),
    }
}

fn check(plan: &Plan, expected: &str) {
    let text = render_plan(plan, Operation::Up, PlanStyle::default());
    assert_eq!(text, expected, "\n{text}");
    assert!(text.lines().all(|line| width(line) <= 80), "{text}");
}

#[test]
fn a_plan_is_a_tree_with_reasons_and_fields() {
    let t = |text: &str| Value::text(text);
    let map = |entries: &[(&str, &str)]| {
        Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), Value::text(*value))).collect())
    };
    let mut created = node("local:RandomPassword::db/password", Action::Create);
    created.changes = vec![change("length", Value::Null, Value::Int(32))];
    let mut updated = node("aws:ec2:Subnet::private-a", Action::Update);
    updated.reasons = vec!["`tags` changed".into(), "`password` changed".into(), "`note` changed".into()];
    updated.changes = vec![
        change("tags", map(&[("owner", "ann"), ("team", "x")]), map(&[("owner", "bob"), ("team", "x")])),
        change("password", t("canary").into_secret(), t("canary2").into_secret()),
        FieldChange { drifted: true, ..change("note", t("by hand"), t("hello")) },
    ];
    let mut replaced = node("aws:rds:Instance::db/orders", Action::Replace { delete_first: true });
    replaced.certain = false;
    replaced.reasons = vec!["`engine` is known only after apply, and it cannot change in place".into()];
    replaced.changes = vec![FieldChange {
        forces_replacement: true,
        certain: false,
        ..change("engine", t("15"), Value::Unknown { secret: false })
    }];
    let mut deleted = node("local:File::old\u{1b}[31m", Action::Delete);
    deleted.reasons = vec!["it is no longer in the program".into()];
    let outputs = vec![
        PlannedOutput { name: "url".into(), before: None, after: Some(Value::Unknown { secret: false }) },
        PlannedOutput {
            name: "token".into(),
            before: Some(t("canary").into_secret()),
            after: Some(t("canary2").into_secret()),
        },
        PlannedOutput { name: "same".into(), before: Some(t("x")), after: Some(t("x")) },
    ];
    let nodes = vec![node("local:File::same", Action::Same), created, updated, replaced, deleted];
    check(
        &plan(nodes, outputs),
        r#" ~   update       aws:ec2:Subnet private-a
       tags.owner  "ann" → "bob"
       password    [secret] changed
       note        "by hand" → "hello"  (changed from outside)
 -   delete       local:File old\u{1b}[31m
       it is no longer in the program
 db/
   +   create       local:RandomPassword password
         length  32
   -/+ may replace  aws:rds:Instance orders
         `engine` is known only after apply, and it cannot change in place
         engine  "15" → known after apply  (may force replacement)

 Outputs
 +   url    known after apply
 ~   token  [secret] changed

1 to create, 1 to update, 1 may be replaced, 1 to delete, 1 unchanged
"#,
    );
}

#[test]
fn long_and_many_lined_values_stay_on_the_screen() {
    let mut updated = node("local:File::motd", Action::Update);
    updated.changes = vec![
        change("content", Value::text("a\nb\nc\n"), Value::text("a\nB\nc\n")),
        change("path", Value::text("x".repeat(300)), Value::text(format!("{}y", "x".repeat(300)))),
    ];
    check(
        &plan(vec![updated], Vec::new()),
        r#" ~   update  local:File motd
       content  2 lines changed
           a
         - b
         + B
           c
       path     "…xxxxxxxx" → "…xxxxxxxxy"

1 to update
"#,
    );
}

#[test]
fn a_large_new_resource_is_cut_unless_asked_for() {
    let mut created = node("k8s:Deployment::web", Action::Create);
    let labels = (0..20).map(|n| (format!("l{n:02}"), Value::Int(n))).collect();
    created.changes = vec![change("labels", Value::Null, Value::Map(labels))];
    let plan = plan(vec![created], Vec::new());
    let text = render_plan(&plan, Operation::Up, PlanStyle::default());
    assert!(text.contains("… 8 more fields (-v shows all)") && !text.contains("l12"), "{text}");
    let style = PlanStyle { verbosity: Verbosity::Verbose, ..PlanStyle::default() };
    assert!(render_plan(&plan, Operation::Up, style).contains("labels.l19  19"));
}

#[test]
fn thousands_of_resources_do_not_flood_but_what_goes_is_always_there() {
    let mut nodes: Vec<PlanNode> = (0..1000).map(|n| node(&format!("t:T::n{n}"), Action::Create)).collect();
    nodes.push(node("t:T::gone", Action::Delete));
    let plan = plan(nodes, Vec::new());
    let text = render_plan(&plan, Operation::Up, PlanStyle::default());
    assert!(text.contains(" t:T gone\n") && text.contains("… and 800 more resources (-v shows all)"), "{text}");
    assert_eq!(text.lines().count(), 200 + 1 + 1 + 2);
    let style = PlanStyle { verbosity: Verbosity::Verbose, ..PlanStyle::default() };
    assert!(render_plan(&plan, Operation::Up, style).contains(" t:T n999\n"));
}

#[test]
fn a_plan_without_changes_is_one_line() {
    let same = || node("local:File::a", Action::Same);
    check(&plan(vec![same(), same()], Vec::new()), "No changes: 2 resources are as declared\n");
    check(&plan(Vec::new(), Vec::new()), "Nothing to do: the program declares no resources\n");
    let output = PlannedOutput { name: "o".into(), before: None, after: Some(Value::Int(1)) };
    check(
        &plan(vec![same()], vec![output]),
        " Outputs\n +   o  1\n\nOnly an output changed: 1 resource is as declared\n",
    );
}

#[test]
fn outputs_hide_secrets_unless_asked_for() {
    let outputs = BTreeMap::from([
        ("url".to_owned(), Value::text("postgres://canary").into_secret()),
        ("ports".to_owned(), Value::List(vec![Value::Int(80)])),
    ]);
    let style = PlanStyle::default();
    assert_eq!(render_outputs(&outputs, style, value::Secrets::Hidden), "ports  [80]\nurl    [secret]\n");
    assert!(render_outputs(&outputs, style, value::Secrets::Shown).contains("postgres://canary"));
}

#[test]
fn a_selection_says_what_comes_along_and_how_much_is_left_out() {
    let mut left = node("aws:ec2:Vpc::main", Action::Same);
    left.left_out = true;
    let mut nodes = vec![node("aws:ec2:Subnet::a", Action::Update), node("aws:ec2:Subnet::b", Action::Create), left];
    let selected =
        Selected { asked: 1, needed: vec![Urn::new("aws:ec2:Subnet", "b")], left_out: 1, ..Selected::default() };
    let mut partial = plan(nodes.clone(), Vec::new());
    partial.selected = Some(selected.clone());
    check(
        &partial,
        "\x20~   update  aws:ec2:Subnet a
 +   create  aws:ec2:Subnet b

Selected 1 resource, left out 1
Needed by them and not there, or not finished, yet: aws:ec2:Subnet::b
1 to create, 1 to update, 1 left out
",
    );
    nodes[0].action = Action::Same;
    let mut settled = plan(vec![nodes[0].clone(), nodes[2].clone()], Vec::new());
    settled.selected = Some(Selected { needed: Vec::new(), ..selected });
    check(&settled, "Selected 1 resource, left out 1\nNo changes: 1 resource is as declared, 1 left out\n");
}

#[test]
fn a_renamed_resource_is_shown_although_nothing_is_called() {
    let mut renamed = node("aws:ec2:Subnet::new", Action::Record);
    renamed.reasons = vec!["it is renamed from aws:ec2:Subnet::old".into()];
    check(
        &plan(vec![renamed, node("aws:ec2:Subnet::b", Action::Record)], Vec::new()),
        "\x20*   record  aws:ec2:Subnet new
       it is renamed from aws:ec2:Subnet::old

No changes: 2 resources are as declared
",
    );
}
