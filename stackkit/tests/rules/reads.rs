//! What is not ours: existing things, questions to providers, and outputs of other stacks.

use stackkit::engine::{DeployOptions, Deployment};
use stackkit::event::Verb;
use stackkit::lookup::{Answer, Lookup};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;
use stackkit::testing::{Failure, Test, TestRun};
use stackkit::{Context, Error, Resource, Value, lookup};

use crate::toys::{Node, Toy, lines, planned};

/// The zones of a region.
#[lookup("toy:core:Zones")]
pub struct Zones {
    /// The region.
    pub region: String,
    /// How many at most.
    #[lookup(default = 9)]
    pub limit: u32,
    /// Their names.
    #[lookup(output)]
    pub names: Vec<String>,
    /// What opens them.
    #[lookup(output)]
    pub access_token: Secret<String>,
}

impl Lookup for Zones {
    type Provider = Toy;
    async fn look_up(_: &Toy, _: &Context, _: &ZonesArgs) -> Answer<Self> {
        Err(Error::invalid("mocked only"))
    }
}

fn zones(test: &Test, names: &'static [&'static str]) {
    test.cloud().answer::<Zones>(move |args| {
        let names = names.iter().map(|name| format!("{}-{name}", args.region)).take(args.limit as usize);
        Ok(ZonesState { args: args.clone(), names: names.collect(), access_token: Secret::new("open-sesame".into()) })
    });
}

/// What is wrong, and nothing was called.
fn error(run: &TestRun) -> String {
    assert!(run.cloud().calls().is_empty(), "{:?}", run.cloud().calls());
    run.expect_err().to_string()
}

async fn settled(test: &Test) -> TestRun {
    let run = test.up().await.expect_ok();
    assert_eq!((lines(&run), run.appended()), (Vec::new(), 0));
    run
}

#[derive(Clone, Debug, Properties)]
struct Config {
    /// The id of what is read; none to leave it out.
    id: Option<String>,
    /// How large the resource before it is.
    #[property(default = 1)]
    size: u32,
}

#[stackkit::program(providers(Toy))]
async fn literal(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let Some(id) = &config.id else { return Ok(()) };
    let shared = stack.existing::<Node>("shared", id);
    stack.add("on-it", Node::new().soft([&shared.address]).zone(&shared.zone));
    stack.output("kind", &shared.kind);
    Ok(())
}

/// Rules: 22.
#[stackkit::test]
async fn an_existing_thing_is_read_before_the_plan_and_never_owned() {
    let test = Test::of(literal).config("id", "n-1");
    let kind = ("kind", Value::text("stone"));
    test.cloud().put(Node::SCHEMA, "n-1", &[kind]);
    let run = test.preview().await.expect_ok();
    assert_eq!((planned(&run), run.plan().unwrap().reads.len()), (vec!["create on-it".to_owned()], 0));
    let run = test.up().await.expect_ok();
    assert_eq!(run.get::<Node>("on-it").soft, Some(vec!["n-1-address".to_owned()]));
    assert_eq!(run.output::<String>("kind"), "stone");
    assert!(!run.has::<Node>("shared"));
    assert_eq!(run.state().resources.len(), 1);
    settled(&test).await;
    // What changes there is seen by the next run, as a change of what reads it.
    assert!(test.cloud().tamper("n-1", Node::SCHEMA, "zone", Value::text("east")));
    let run = test.up().await.expect_ok();
    assert_eq!(
        (lines(&run), run.get::<Node>("on-it").zone.as_deref()),
        (vec!["update on-it".to_owned()], Some("east"))
    );
    // Leaving the program, it is left alone.
    let run = test.with_program(empty).up().await.expect_ok();
    assert_eq!((lines(&run), run.cloud().ids()), (vec!["delete on-it".to_owned()], vec!["n-1".to_owned()]));
}

#[stackkit::program(providers(Toy))]
async fn empty(_: &mut Stack) -> Result<()> {
    Ok(())
}

/// Rules: 22.
#[stackkit::test]
async fn a_missing_thing_is_an_error_that_names_resource_and_id() {
    let test = Test::of(literal).config("id", "n-1");
    test.cloud().lack("n-1");
    for run in [test.preview().await, test.up().await] {
        let error = error(&run);
        assert!(
            error.starts_with("toy:core:Node::shared: it cannot be read: there is nothing with the id `n-1`"),
            "{error}"
        );
        assert!(error.contains("reads.rs:"), "{error}");
    }
    let error = error(&test.config("id", "").up().await);
    assert!(error.contains("toy:core:Node::shared: it is to be read, and its id is empty"), "{error}");
}

/// Rules: 18, 22.
#[stackkit::test]
async fn a_read_that_fails_in_passing_is_tried_again() {
    let passing = Failure::of(Verb::Read, "shared").kind(stackkit::ErrorKind::Throttled);
    Test::of(literal).config("id", "n-1").failing(passing).up().await.expect_ok();
    let denied = Failure::of(Verb::Read, "shared").kind(stackkit::ErrorKind::Denied);
    let error = error(&Test::of(literal).config("id", "n-1").failing(denied).up().await);
    assert!(error.contains("shared: it cannot be read: a failure that the test asked for"), "{error}");
}

#[stackkit::program(providers(Toy))]
async fn dependent(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let a = stack.add("a", Node::new().size(config.size));
    let read = stack.existing::<Node>("read", text!("{}-sibling", a.id));
    let again = stack.existing::<Node>("again", &read.address);
    let b = stack.add("b", Node::new().hard([&again.address]));
    stack.add("aside", Node::new());
    let last = stack.existing::<Node>("last", &b.address);
    stack.output("last", &last.address);
    Ok(())
}

/// Rules: 2, 22.
#[stackkit::test]
async fn what_needs_a_new_resource_is_read_at_its_turn() {
    let test = Test::of(dependent).parallel(1);
    let run = test.preview().await.expect_ok();
    let reads: Vec<_> = run.plan().unwrap().reads.iter().map(|read| read.urn.name().to_owned()).collect();
    assert_eq!(reads, ["read", "again", "last"]);
    let run = test.up().await.expect_ok();
    let order = lines(&run);
    let at = |line: &str| order.iter().position(|found| found == line).unwrap_or_else(|| panic!("{line}: {order:?}"));
    assert!(at("create a") < at("read read") && at("read read") < at("read again"), "{order:?}");
    assert!(at("read again") < at("create b") && at("create b") < at("read last"), "{order:?}");
    assert_eq!(run.get::<Node>("b").hard, Some(vec!["node-a-sibling-address-address".to_owned()]));
    assert_eq!(run.output::<String>("last"), "b-address-address");
    // Now that everything is there, all of it is known at plan time.
    let run = settled(&test).await;
    assert_eq!(run.plan().unwrap().reads.len(), 0);
}

/// Rules: 1, 22.
#[stackkit::test]
async fn what_hangs_together_through_a_read_is_deleted_in_order() {
    let test = Test::of(dependent);
    let run = test.up().await.expect_ok();
    let of = |name: &str| run.state().resources.values().find(|record| record.urn.name() == name).unwrap();
    assert_eq!(of("b").dependencies.iter().copied().collect::<Vec<_>>(), [of("a").instance]);
    let order = lines(&test.destroy().await.expect_ok());
    let at = |line: &str| order.iter().position(|found| found == line).unwrap();
    assert!(at("delete b") < at("delete a"), "{order:?}");
}

/// Rules: 8, 22.
#[stackkit::test]
async fn what_this_run_changes_is_read_after_the_change() {
    let test = Test::of(dependent);
    test.up().await.expect_ok();
    let bigger = test.clone().config("size", "2");
    let run = bigger.preview().await.expect_ok();
    assert_eq!(planned(&run), ["update a", "may replace b"]);
    let run = bigger.up().await.expect_ok();
    let order = lines(&run);
    assert!(order.starts_with(&["update a".to_owned(), "read read".to_owned()]), "{order:?}");
    // It is as it was, so that nothing more is done.
    assert_eq!((run.summary().update, run.summary().replace), (1, 0));
    settled(&bigger).await;
    // What it changes to is acted upon in the same run.
    test.cloud().put(Node::SCHEMA, "node-a-sibling", &[]);
    test.cloud().tamper("node-a-sibling", Node::SCHEMA, "address", Value::text("elsewhere"));
    let run = test.clone().config("size", "3").up().await.expect_ok();
    assert_eq!((run.summary().update, run.summary().replace), (1, 1));
    assert_eq!(run.get::<Node>("b").hard, Some(vec!["elsewhere-address".to_owned()]));
    settled(&test.config("size", "3")).await;
}

/// Rules: 17, 22.
#[stackkit::test]
async fn a_read_that_fails_in_the_run_stops_what_needs_it_alone() {
    let test = Test::of(dependent);
    test.cloud().lack("node-a-sibling");
    let run = test.up().await;
    run.expect_err();
    assert!(run.has::<Node>("a") && run.has::<Node>("aside") && !run.has::<Node>("b"));
    let failures = run.failures();
    assert!(
        failures[0].contains("toy:core:Node::read: read failed: there is nothing with the id `node-a-sibling`"),
        "{failures:?}"
    );
    assert!(
        failures
            .iter()
            .any(|line| line.contains("toy:core:Node::b: create failed: toy:core:Node::read cannot be read")),
        "{failures:?}"
    );
    assert!(!run.state().outputs.contains_key("last"));
}

/// Rules: 15, 22, 35.
#[stackkit::test]
async fn programs_with_reads_survive_crashes() {
    let run = Test::of(dependent).up().await.expect_ok();
    run.simulate_crashes().await.assert_converges();
}

#[stackkit::program(providers(Toy))]
async fn reads_its_own(stack: &mut Stack) -> Result<()> {
    stack.existing::<Node>("on-it", "node-on-it");
    Ok(())
}

#[stackkit::program(providers(Toy))]
async fn reads_what_it_declares(stack: &mut Stack) -> Result<()> {
    stack.add("a", Node::new());
    stack.existing::<Node>("a", "node-a");
    Ok(())
}

/// Rules: 22.
#[stackkit::test]
async fn what_the_stack_has_is_not_given_up_by_reading_it() {
    let test = Test::of(literal).config("id", "n-1");
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = test.with_program(reads_its_own).up().await;
    let text = error(&run);
    assert!(
        text.contains("toy:core:Node::on-it: it is a resource of this stack") && text.contains("`state rm`"),
        "{text}"
    );
    assert_eq!(run.expect_err().exit_code(), 3);
    let text = error(&Test::of(reads_what_it_declares).up().await);
    assert!(text.contains("toy:core:Node::a: declared twice"), "{text}");
}

#[stackkit::program(providers(Toy))]
async fn asking(stack: &mut Stack) -> Result<()> {
    let found = stack.lookup(Zones::new("eu").limit(2)).await?;
    for name in &found.names {
        stack.add(name, Node::new().zone(name));
    }
    let all = stack.data("all", Zones::new("us"));
    stack.add("all", Node::new().soft(&all.names).password(&all.access_token));
    stack.output("key", &all.access_token);
    Ok(())
}

/// Rules: 10, 22.
#[stackkit::test]
async fn a_question_decides_the_graph_or_feeds_it() {
    let test = Test::of(asking);
    zones(&test, &["a", "b", "c"]);
    let run = test.up().await.expect_ok();
    assert!(run.has::<Node>("eu-a") && run.has::<Node>("eu-b") && !run.has::<Node>("eu-c"));
    assert_eq!(run.get::<Node>("all").soft.clone().unwrap(), ["us-a", "us-b", "us-c"]);
    assert_eq!(run.output::<Secret<String>>("key").reveal(), "open-sesame");
    assert_eq!(test.cloud().looks().questions, 2);
    assert_eq!(run.state().resources.len(), 3);
    settled(&test).await;
    // Without a rule answers are made up, typed and stable.
    let run = Test::of(asking).up().await.expect_ok();
    assert!(run.has::<Node>("zones-names"), "{:?}", run.cloud().urns());
}

#[stackkit::program(providers(Toy))]
async fn asking_too_early(stack: &mut Stack) -> Result<()> {
    let a = stack.add("a", Node::new());
    stack.lookup(Zones::new(&a.address)).await?;
    Ok(())
}

#[stackkit::program]
async fn asking_nobody(stack: &mut Stack) -> Result<()> {
    stack.lookup(Zones::new("eu")).await?;
    Ok(())
}

/// Rules: 22.
#[stackkit::test]
async fn a_question_that_cannot_be_asked_says_why_and_where() {
    let text = error(&Test::of(asking_too_early).up().await);
    assert!(
        text.contains("the look-up `toy:core:Zones`: `region` is an output") && text.contains("reads.rs:"),
        "{text}"
    );
    let text = error(&Test::of(asking_nobody).up().await);
    assert!(text.contains("`toy` is not linked"), "{text}");
    let test = Test::of(asking);
    test.cloud().answer::<Zones>(|args| Err(Error::not_found(format!("there is no region `{}`", args.region))));
    let text = error(&test.up().await);
    assert!(
        text.contains("the look-up `toy:core:Zones`: there is no region `eu`") && text.contains("reads.rs:"),
        "{text}"
    );
}

#[stackkit::program(providers(Toy))]
async fn many(stack: &mut Stack) -> Result<()> {
    for n in 0..40 {
        let read = stack.data(format!("n{n}"), Zones::new(format!("r{n}")));
        stack.add(format!("n{n}"), Node::new().soft(&read.names));
    }
    Ok(())
}

/// Rules: 2, 22.
#[stackkit::test(crate = "stackkit")]
async fn reads_go_side_by_side() {
    let test = Test::of(many).parallel(8);
    test.cloud().slow_down(std::time::Duration::from_millis(5));
    test.preview().await.expect_ok();
    assert_eq!((test.cloud().peak(), test.cloud().looks().questions), (8, 40));
}

#[stackkit::program(providers(Toy))]
async fn user(stack: &mut Stack) -> Result<()> {
    let network = stack.reference("network");
    stack
        .add("in-it", Node::new().soft([network.output::<String>("vpc_id")]).password(network.secret::<String>("key")));
    let again = stack.reference("network");
    stack.output("zones", again.output::<Vec<String>>("zones"));
    stack.output("key", network.output::<Secret<String>>("key"));
    Ok(())
}

#[stackkit::program(providers(Toy))]
async fn mistaken(stack: &mut Stack) -> Result<()> {
    let network = stack.reference("network");
    stack.output("a", network.output::<String>("key"));
    stack.output("b", network.output::<u32>("vpc_id"));
    stack.output("c", network.output::<String>("vpcid"));
    let unknown = stack.reference("netwerk");
    stack.output("d", unknown.output::<String>("vpc_id"));
    Ok(())
}

fn with_network(test: Test) -> Test {
    test.reference("network", "vpc_id", "vpc-1").reference("network", "zones", vec_of(["a", "b"])).reference(
        "network",
        "key",
        Secret::new("open-sesame".to_owned()),
    )
}

fn vec_of<const N: usize>(texts: [&str; N]) -> Output<Vec<String>> {
    Output::known(texts.map(str::to_owned).to_vec())
}

/// Rules: 31.
#[stackkit::test]
async fn outputs_of_another_stack_are_known_at_plan_time() {
    let test = with_network(Test::of(user));
    let run = test.preview().await.expect_ok();
    assert!(run.plan().unwrap().outputs.iter().all(|output| output.after.as_ref().is_some_and(Value::is_known)));
    let run = test.up().await.expect_ok();
    assert_eq!(run.get::<Node>("in-it").soft.clone().unwrap(), ["vpc-1"]);
    assert_eq!(run.output::<Vec<String>>("zones"), ["a", "b"]);
    assert!(run.state().outputs["key"].has_secret());
    settled(&test).await;
}

/// Rules: 10, 31.
#[stackkit::test]
async fn what_does_not_fit_is_told_together_with_its_places() {
    let text = error(&with_network(Test::of(mistaken)).up().await);
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "the output `key` of the stack `network` is secret (ask for it as `.secret::<String>(\"key\")`)",
        "the output `vpc_id` of the stack `network` does not fit `u32`: expected a whole number, found text",
        "the stack `network` has no output `vpcid` (did you mean `vpc_id`?)",
        "the outputs of the stack `netwerk` are not given to this test",
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected) && line.contains("reads.rs:"), "{line}");
    }
    assert!(!text.contains("open-sesame"));
}

#[stackkit::program]
async fn network(stack: &mut Stack) -> Result<()> {
    let id = stack.add("id", local::RandomId::new(4));
    let key = stack.add("key", local::RandomPassword::new(20));
    stack.output("id", &id.hex);
    stack.output("key", &key.value);
    Ok(())
}

#[stackkit::program]
async fn service(stack: &mut Stack) -> Result<()> {
    let config: Place = stack.config()?;
    let mut network = stack.reference("network");
    if let Some(dir) = &config.elsewhere {
        network = network.dir(dir);
    }
    stack.add("id", local::File::new("id", network.output::<String>("id")));
    stack.add("key", local::SecretFile::new("key", network.secret::<String>("key")));
    Ok(())
}

#[derive(Clone, Debug, Properties)]
struct Place {
    elsewhere: Option<String>,
}

/// Rules: 31.
#[tokio::test(flavor = "multi_thread")]
async fn another_stack_is_opened_with_the_keys_at_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("service"), folder.path().join("network"));
    for dir in [&here, &there] {
        std::fs::create_dir(dir).unwrap();
    }
    let deployment = |program: fn() -> Program, dir: &std::path::Path, stack: &str, config: &[(&str, &str)]| {
        let options = DeployOptions {
            stack: stack.into(),
            dir: dir.into(),
            keys: KeyOptions::default().key_file(folder.path().join("key")),
            config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..DeployOptions::default()
        };
        Deployment::new(Some(program()), options)
    };
    let elsewhere = [("elsewhere", "../network")];
    let missing = deployment(service, &here, "dev", &elsewhere).preview(&PlanOptions::default()).await.unwrap_err();
    assert!(missing.to_string().contains("there is no stack `network` in"), "{missing}");

    let options = PlanOptions::default();
    deployment(network, &there, "network", &[]).up(&options, &|_| true).await.unwrap();
    let files = || -> Vec<_> {
        let mut all: Vec<_> = std::fs::read_dir(there.join(".stackkit")).unwrap().map(|f| f.unwrap().path()).collect();
        all.sort();
        all.into_iter().map(|path| (std::fs::read(&path).ok(), path)).collect()
    };
    let before = files();
    deployment(service, &here, "dev", &elsewhere).up(&options, &|_| true).await.unwrap();
    let outputs = deployment(network, &there, "network", &[]).state().await.unwrap().outputs;
    assert_eq!(Value::text(std::fs::read_to_string(here.join("id")).unwrap()), outputs["id"]);
    assert_eq!(&Value::text(std::fs::read_to_string(here.join("key")).unwrap()), outputs["key"].reveal());
    assert_eq!(files(), before);
    // Without a word about it, the other stack is one of this folder.
    let here_too = deployment(service, &here, "dev", &[]).preview(&options).await.unwrap_err();
    assert!(here_too.to_string().contains("there is no stack `network`"), "{here_too}");
    // Another key does not open it.
    let other = DeployOptions {
        dir: here.clone(),
        keys: KeyOptions::default().key_file(folder.path().join("other")),
        ..DeployOptions::default()
    };
    assert!(Deployment::new(Some(service()), other).preview(&options).await.is_err());
}
