//! Components: paths, options that are shared, dependencies on many, and old names of many.

use std::collections::BTreeMap;
use std::time::Duration;

use stackkit::event::Operation;
use stackkit::prelude::*;
use stackkit::provider::Provider;
use stackkit::testing::{Test, TestRun};
use stackkit::ui::{PlanStyle, render_plan};
use stackkit::{Component, Context, Created, Error, Id, Managed, Scope};

use crate::toys::*;

fn paths(run: &TestRun) -> Vec<String> {
    let mut all: Vec<_> = run.state().resources.values().map(|record| record.urn.to_string()).collect();
    all.sort();
    all
}

fn record<'a>(run: &'a TestRun, path: &str) -> &'a stackkit::state::model::ResourceRecord {
    let found = run.state().resources.values().find(|record| record.urn.path() == path);
    found.unwrap_or_else(|| panic!("no {path} in {:?}", paths(run)))
}

/// Which paths each path depends on, as the plan has it.
fn dependencies(run: &TestRun) -> BTreeMap<String, Vec<String>> {
    let plan = run.plan().expect("a plan");
    let path = |index: u32| plan.nodes[index as usize].urn.path().to_owned();
    let all = plan.dependencies().iter().enumerate();
    all.map(|(index, on)| (path(index as u32), on.iter().map(|on| path(*on)).collect())).collect()
}

/// What went wrong, without the columns of places.
async fn problems(program: stackkit::Program) -> String {
    let text = Test::of(program).preview().await.expect_err().to_string();
    assert!(text.contains("components.rs:"), "every problem says where: {text}");
    text
}

/// A building block, as a user writes it.
fn service(scope: &mut Scope, name: &str, size: u32) -> Output<String> {
    let mut service = scope.component(name);
    let disk = service.add("disk", Node::new().size(size));
    service.add("server", Node::new().soft([&disk.id])).address.clone()
}

#[stackkit::program(providers(Toy))]
async fn nested(stack: &mut Stack) -> Result<()> {
    service(stack, "shop", 1);
    let mut europe = stack.component("europe");
    let mut west = europe.component("west");
    let address = service(&mut west, "shop", 2);
    assert_eq!((west.path(), west.name(), west.stack_name(), stack.path()), ("europe/west", "west", "test", ""));
    stack.add("shop", Node::new());
    stack.output("address", &address);
    Ok(())
}

/// Rules: 30.
#[stackkit::test]
async fn functions_build_alike_in_the_stack_and_in_components() {
    let run = Test::of(nested).up().await.expect_ok();
    assert_eq!(
        paths(&run),
        [
            "toy:core:Node::europe/west/shop/disk",
            "toy:core:Node::europe/west/shop/server",
            "toy:core:Node::shop",
            "toy:core:Node::shop/disk",
            "toy:core:Node::shop/server",
        ]
    );
    assert_eq!(run.get::<Node>("europe/west/shop/disk").size, 2);
    // The engine's names tell where a thing belongs.
    let name = run.get::<Node>("europe/west/shop/disk").name.clone().unwrap_or_default();
    assert!(name.starts_with("test-europe-west-shop-disk-"), "{name}");
    run.simulate_crashes().await.assert_converges();
}

/// Rules: 30.
#[stackkit::test]
async fn a_plan_is_drawn_as_a_tree() {
    let run = Test::of(nested).preview().await.expect_ok();
    let text = render_plan(run.plan().expect("a plan"), Operation::Preview, PlanStyle::default());
    let lines: Vec<_> = text.lines().filter(|line| line.contains("create  ") || line.ends_with('/')).collect();
    assert_eq!(
        lines,
        [
            " +   create  toy:core:Node shop",
            " shop/",
            "   +   create  toy:core:Node disk",
            "   +   create  toy:core:Node server",
            " europe/",
            "   west/",
            "     shop/",
            "       +   create  toy:core:Node disk",
            "       +   create  toy:core:Node server",
        ],
        "\n{text}"
    );
}

#[stackkit::program(providers(Toy))]
async fn sharing(stack: &mut Stack) -> Result<()> {
    let frankfurt = stack.provider::<Toy>("frankfurt", no_settings());
    let dublin = stack.provider::<Toy>("dublin", no_settings());
    stack.add("outside", Node::new());
    let mut outer = stack
        .component("outer")
        .provider(&frankfurt)
        .protect()
        .retain_on_delete()
        .timeout(Duration::from_secs(9))
        .ignore_changes(["zone", "no_such_field"]);
    outer.add("plain", Node::new());
    outer.add("own", Node::new()).unprotected().provider(&dublin).timeout(Duration::from_secs(3));
    let mut inner = outer.component("inner").unprotected().provider(&dublin);
    inner.add("deep", Node::new());
    inner.add("kept", Node::new()).protect();
    Ok(())
}

/// Rules: 30, 24, 25.
#[stackkit::test]
async fn options_are_inherited_unless_something_nearer_says_otherwise() {
    let run = Test::of(sharing).up().await.expect_ok();
    let found = |path: &str| {
        let record = record(&run, path);
        (record.provider.as_str(), record.options.protect, record.options.delete_timeout.map(|limit| limit.as_secs()))
    };
    assert_eq!(found("outside"), ("toy", false, None));
    assert_eq!(found("outer/plain"), ("toy/frankfurt", true, Some(9)));
    assert_eq!(found("outer/own"), ("toy/dublin", false, Some(3)));
    assert_eq!(found("outer/inner/deep"), ("toy/dublin", false, Some(9)));
    assert_eq!(found("outer/inner/kept"), ("toy/dublin", true, Some(9)));
    assert!(record(&run, "outer/inner/deep").options.retain_on_delete);
    assert!(!record(&run, "outside").options.retain_on_delete);
}

#[stackkit::program(providers(Toy))]
async fn options_set_afterwards(stack: &mut Stack) -> Result<()> {
    let mut late = stack.component("late");
    late.add("a", Node::new().zone("north"));
    late.protect().tags(map! { "team" => "shop" });
    Ok(())
}

/// Rules: 30.
#[stackkit::test]
async fn options_hold_for_what_was_declared_before_them() {
    let run = Test::of(options_set_afterwards).up().await.expect_ok();
    assert!(record(&run, "late/a").options.protect);
    assert_eq!(run.get::<Node>("late/a").tags.clone().unwrap_or_default()["team"], "shop");
}

#[stackkit::program(providers(Toy))]
async fn tagged(stack: &mut Stack) -> Result<()> {
    let base = stack.add("base", Node::new());
    let mut outer = stack.component("outer").tags(map! { "team" => "shop", "stage" => "outer", "base" => &base.id });
    outer.add("unset", Node::new());
    outer.add("own", Node::new().tags(map! { "team" => "own", "more" => "yes" }));
    let later = base.id.map(|id| BTreeMap::from([("stage".to_owned(), format!("on {id}"))]));
    outer.add("computed", Node::new().tags(&later));
    let mut inner = outer.component("inner").tags(map! { "stage" => "inner" });
    inner.add("deep", Node::new());
    // A type without tags is left as it is.
    inner.add("no-tags", local::RandomPassword::new(12));
    Ok(())
}

/// Rules: 30, 7.
#[stackkit::test]
async fn tags_are_merged_and_what_is_nearer_wins() {
    let test = Test::of(tagged);
    let run = test.up().await.expect_ok();
    let tags = |path: &str| {
        let all = run.get::<Node>(path).tags.clone().unwrap_or_default();
        all.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    let base = run.get::<Node>("base").id;
    assert_eq!(tags("outer/unset"), format!("base={base} stage=outer team=shop"));
    assert_eq!(tags("outer/own"), format!("base={base} more=yes stage=outer team=own"));
    assert_eq!(tags("outer/computed"), format!("base={base} stage=on {base} team=shop"));
    assert_eq!(tags("outer/inner/deep"), format!("base={base} stage=inner team=shop"));
    assert_eq!(run.get::<Node>("base").tags, None);
    settled(&test).await;
}

struct Market;

#[derive(Debug, Clone, Default, Properties)]
struct MarketSettings {
    /// Under the tags of every stall.
    default_tags: Option<BTreeMap<String, String>>,
}

impl Provider for Market {
    const NAME: &'static str = "market";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Stall];
    type Settings = MarketSettings;
    type Error = Error;
    async fn connect(_: MarketSettings) -> Result<Self, Error> {
        Ok(Market)
    }
}

/// A place to sell at.
#[resource("market:Stall")]
struct Stall {
    tags: Option<BTreeMap<String, String>>,
    #[resource(output)]
    id: Id<Self>,
}

impl Managed for Stall {
    type Provider = Market;
    async fn create(_: &Market, _: &Context, _: &StallArgs) -> Result<Created<Self>, Error> {
        Err(Error::invalid("mocked only"))
    }
    async fn read(_: &Market, _: &Context, _: &str, _: Option<&StallState>) -> Result<Option<StallState>, Error> {
        Err(Error::invalid("mocked only"))
    }
    async fn update(_: &Market, _: &Context, _: &str, _: &StallState, _: &StallArgs) -> Result<StallState, Error> {
        Err(Error::invalid("mocked only"))
    }
    async fn delete(_: &Market, _: &Context, _: &str, _: &StallState) -> Result<(), Error> {
        Err(Error::invalid("mocked only"))
    }
}

#[stackkit::program(providers(Market, Toy))]
async fn tagged_by_default(stack: &mut Stack) -> Result<()> {
    #[derive(Debug, Clone, Properties)]
    struct Config {
        #[property(default = "dev")]
        stage: String,
    }
    let config: Config = stack.config()?;
    let base = stack.add("base", Node::new());
    let tags = map! { "stage" => config.stage.as_str(), "team" => "shop" };
    stack.provider::<Market>("default", MarketSettings::new().default_tags(tags));
    let later = stack.provider::<Market>("later", MarketSettings::new().default_tags(map! { "base" => &base.id }));
    stack.provider::<Market>("plain", MarketSettings::new());
    stack.add("unset", Stall::new());
    stack.add("own", Stall::new().tags(map! { "team" => "own" }));
    stack.component("row").tags(map! { "team" => "row" }).add("inside", Stall::new());
    stack.add("elsewhere", Stall::new()).provider(&later);
    stack.transform_all(|resource| resource.tag("kind", "transformed"));
    Ok(())
}

/// Rules: 30, 7.
#[stackkit::test]
async fn default_tags_of_a_provider_stand_under_all_others_and_their_change_is_no_drift() {
    let test = Test::of(tagged_by_default);
    let run = test.up().await.expect_ok();
    let tags = |run: &TestRun, path: &str| {
        let all = run.get::<Stall>(path).tags.clone().unwrap_or_default();
        all.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    let base = run.get::<Node>("base").id;
    assert_eq!(tags(&run, "unset"), "kind=transformed stage=dev team=shop");
    assert_eq!(tags(&run, "own"), "kind=transformed stage=dev team=own");
    assert_eq!(tags(&run, "row/inside"), "kind=transformed stage=dev team=row");
    assert_eq!(tags(&run, "elsewhere"), format!("base={base} kind=transformed"));
    settled(&test).await;

    let run = test.clone().config("stage", "prod").up().await.expect_ok();
    assert_eq!(tags(&run, "unset"), "kind=transformed stage=prod team=shop");
    let plan = run.plan().expect("a plan");
    let shown = render_plan(plan, Operation::Preview, PlanStyle::default());
    assert!(shown.contains("tags.stage  \"dev\" → \"prod\""), "{shown}");
    assert!(!shown.contains("changed from outside"), "{shown}");
}

fn members(component: &mut Component) {
    let first = component.add("first", Node::new());
    let second = component.add("second", Node::new().soft([&first.id]));
    component.component("deeper").add("third", Node::new().soft([&second.id]));
    component.add("alone", Node::new());
}

#[stackkit::program(providers(Toy))]
async fn ordered(stack: &mut Stack) -> Result<()> {
    let base = stack.add("base", Node::new());
    let mut under = stack.component("under").depends_on(&base);
    under.add("early", Node::new());
    stack.add("user", Node::new()).depends_on(&under);
    let mut over = stack.component("over").depends_on(&under).depends_on_named("later");
    members(&mut over);
    // Declared after what depends on it.
    members(&mut under);
    stack.add("later", Node::new());
    Ok(())
}

/// Rules: 30, 1.
#[stackkit::test]
async fn depending_on_a_component_is_depending_on_all_that_is_in_it() {
    let test = Test::of(ordered).parallel(1);
    let run = test.up().await.expect_ok();
    let found = dependencies(&run);
    let sorted = |path: &str| {
        let mut all = found[path].clone();
        all.sort();
        all.join(" ")
    };
    // What others of the component come after follows from those.
    let last = "under/alone under/deeper/third under/early";
    assert_eq!(sorted("user"), last);
    assert_eq!(sorted("over/first"), format!("later {last}"));
    assert_eq!(sorted("over/alone"), format!("later {last}"));
    assert_eq!(sorted("over/second"), "later over/first");
    assert_eq!(sorted("over/deeper/third"), "later over/second");
    for path in ["under/early", "under/first", "under/second", "under/alone", "under/deeper/third"] {
        assert!(found[path].contains(&"base".to_owned()), "{path}: {:?}", found[path]);
    }
    let done: Vec<_> = run.steps().into_iter().map(|(_, urn)| urn.path().to_owned()).collect();
    let at = |path: &str| done.iter().position(|done| done == path).unwrap_or(usize::MAX);
    for under in done.iter().filter(|path| path.starts_with("under/")) {
        assert!(at("base") < at(under));
        assert!(done.iter().filter(|path| path.starts_with("over/")).all(|over| at(under) < at(over)), "{done:?}");
        assert!(at(under) < at("user"));
    }
    let gone: Vec<_> = test.destroy().await.expect_ok().steps();
    let gone: Vec<_> = gone.into_iter().map(|(_, urn)| urn.path().to_owned()).collect();
    let at = |path: &str| gone.iter().position(|gone| gone == path).unwrap_or(usize::MAX);
    for under in gone.iter().filter(|path| path.starts_with("under/")) {
        assert!(at(under) < at("base") && at("user") < at(under), "{gone:?}");
        assert!(gone.iter().filter(|path| path.starts_with("over/")).all(|over| at(over) < at(under)), "{gone:?}");
    }
}

#[stackkit::program(providers(Toy))]
async fn misplaced(stack: &mut Stack) -> Result<()> {
    let first = stack.component("twice");
    stack.component("twice");
    stack.component("a/b");
    stack.component("");
    let mut outer = stack.component("outer");
    let inner = outer.component("inner");
    outer.add("x", Node::new()).depends_on(&inner);
    outer.add("y", Node::new()).depends_on(&outer);
    inner.depends_on(&outer);
    drop(first);
    Ok(())
}

/// Rules: 30.
#[stackkit::test]
async fn what_cannot_be_a_component_is_said_with_its_place() {
    let text = problems(misplaced()).await;
    for part in [
        "the component `twice` is declared twice; the first is at ",
        "`a/b` cannot be the name of a component",
        "`` cannot be the name of a component",
        "toy:core:Node::outer/y: it depends on the component `outer`, and one of the two is in the other",
        "it depends on the component `outer`, and one of the two is in the other (depend on single resources of it)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.lines().count(), 5, "{text}");
    assert_eq!(text.matches("components.rs:").count(), 6, "{text}");
}

fn pair(component: &mut Component) {
    let a = component.add("a", Node::new());
    component.add("b", Node::new().hard([&a.id]));
}

macro_rules! version {
    ($name:ident, |$stack:ident| { $($body:tt)* }) => {
        #[stackkit::program(providers(Toy))]
        async fn $name($stack: &mut Stack) -> Result<()> {
            $($body)*
            Ok(())
        }
    };
}

version!(old_names, |stack| {
    let mut net = stack.component("net");
    pair(&mut net);
    pair(&mut net.component("private"));
    stack.add("lone", Node::new());
});
version!(renamed, |stack| {
    let mut network = stack.component("network").alias("net");
    pair(&mut network);
    pair(&mut network.component("private"));
    stack.add("lone", Node::new());
});
version!(renamed_within, |stack| {
    let mut network = stack.component("network").alias("older").alias("net");
    pair(&mut network);
    let mut inner = network.component("hidden").alias("private");
    let c = inner.add("c", Node::new()).alias("a");
    inner.add("b", Node::new().hard([&c.id]));
    stack.add("lone", Node::new());
});
version!(moved_down, |stack| {
    let mut platform = stack.component("platform");
    let mut network = platform.component("network").alias("/net");
    pair(&mut network);
    pair(&mut network.component("private"));
    stack.component("odds").alias("/").add("lone", Node::new());
});
version!(taken_out, |stack| {
    let mut private = stack.component("private").alias("net/private");
    pair(&mut private);
    let a = stack.add("a", Node::new()).alias("net/a");
    stack.add("b", Node::new().hard([&a.id])).alias("net/b");
    stack.add("lone", Node::new());
});

/// Rules: 23, 30.
#[stackkit::test]
async fn components_are_renamed_and_moved_without_replacing_anything() {
    let mut to = BTreeMap::new();
    to.insert("renamed", (renamed(), vec!["lone", "network/a", "network/b", "network/private/a", "network/private/b"]));
    to.insert(
        "within",
        (renamed_within(), vec!["lone", "network/a", "network/b", "network/hidden/b", "network/hidden/c"]),
    );
    let deep = ["a", "b", "private/a", "private/b"].map(|path| format!("platform/network/{path}"));
    let mut moved = vec!["odds/lone"];
    moved.extend(deep.iter().map(String::as_str));
    to.insert("moved", (moved_down(), moved));
    to.insert("out", (taken_out(), vec!["a", "b", "lone", "private/a", "private/b"]));
    for (name, (program, expected)) in to {
        let test = Test::of(old_names);
        test.up().await.expect_ok();
        let ids = test.cloud().ids();
        let test = test.with_program(program);
        let run = test.up().await.expect_ok();
        let summary = run.summary();
        assert_eq!((summary.same, summary.has_changes()), (5, false), "{name}: {:?}", planned(&run));
        assert_eq!(test.cloud().ids(), ids, "{name}");
        let found: Vec<_> = run.state().resources.values().map(|record| record.urn.path()).collect();
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
        settled(&test).await;
        // An alias may stay: it names nothing any more.
        assert_eq!(test.up().await.expect_ok().appended(), 0, "{name}");
    }
}

version!(half_moved, |stack| {
    // `lone` stays, and something of that name is new in a component whose resources stood in the stack.
    stack.component("odds").alias("/").add("lone", Node::new());
    stack.add("lone", Node::new());
    let mut net = stack.component("net");
    pair(&mut net);
    pair(&mut net.component("private"));
});
version!(claimed_twice, |stack| {
    pair(&mut stack.component("one").alias("net"));
    pair(&mut stack.component("two").alias("net"));
});

/// Rules: 23.
#[stackkit::test]
async fn an_inherited_alias_yields_to_what_is_declared_and_two_claims_are_an_error() {
    let test = Test::of(old_names);
    test.up().await.expect_ok();
    let run = test.with_program(half_moved).up().await.expect_ok();
    assert_eq!((lines(&run), run.summary().same), (vec!["create lone".to_owned()], 5));
    let test = Test::of(old_names);
    test.up().await.expect_ok();
    let text = test.with_program(claimed_twice).preview().await.expect_err().to_string();
    for part in ["toy:core:Node::two/a", "`toy:core:Node::net/a` is also claimed as an alias by toy:core:Node::one/a"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
