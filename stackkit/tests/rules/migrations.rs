//! What another tool has recorded, adopted all at once: names, order, references, secrets, and what is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value as Json, json};
use stackkit::engine::Migration;
use stackkit::foreign::{Becomes, ForeignResource, ForeignState, Left};
use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::testing::Test;
use stackkit::{Context, Created, Error, Id, Managed, Outcome, Resource, Value};

pub struct Yard;

impl Provider for Yard {
    const NAME: &'static str = "yard";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Shed, Tool];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Yard)
    }
    fn foreign(resource: &ForeignResource) -> Option<Becomes> {
        Some(match resource.type_name.as_str() {
            "yard_shed" | "yard:index/shed:Shed" => Becomes::resource("yard:Shed", &resource.id).into(),
            "yard_tool" | "yard:index/tool:Tool" => Becomes::resource("yard:Tool", &resource.id)
                .known("pin", resource.get("pin_code").cloned())
                .known("sharp", resource.get("sharp").cloned())
                .into(),
            "yard_shelf" => Becomes::Part("yard:Shed"),
            "yard_cellar" => Becomes::resource("yard:Cellar", &resource.id).into(),
            "yard_tree" => Becomes::Left("trees are not managed here".into()),
            _ => return None,
        })
    }
}

/// Where tools are kept.
#[resource("yard:Shed")]
pub struct Shed {
    /// How large it is.
    pub size: u32,
    /// The shed beside it.
    pub beside: Option<Id<Self>>,
    /// What is written on its door.
    #[resource(name)]
    pub label: Option<String>,
    /// Its id.
    #[resource(output)]
    pub id: Id<Self>,
}

/// A tool.
#[resource("yard:Tool")]
pub struct Tool {
    /// Where it is kept: the label of a shed.
    pub shed: String,
    /// What unlocks it.
    #[resource(write_only)]
    pub pin: Option<Secret<String>>,
    /// Whether it is sharp.
    #[resource(write_only, default = true)]
    pub sharp: bool,
    /// Its id.
    #[resource(output)]
    pub id: String,
}

macro_rules! mocked {
    ($name:ident $state:ident $args:ident) => {
        impl Managed for $name {
            type Provider = Yard;
            async fn create(_: &Yard, _: &Context, _: &$args) -> Outcome<Self, Created<Self>> {
                Err(Error::invalid("mocked only"))
            }
            async fn read(_: &Yard, _: &Context, _: &str, _: Option<&$state>) -> Outcome<Self, Option<$state>> {
                Err(Error::invalid("mocked only"))
            }
            async fn update(_: &Yard, _: &Context, _: &str, _: &$state, _: &$args) -> Outcome<Self, $state> {
                Err(Error::invalid("mocked only"))
            }
            async fn delete(_: &Yard, _: &Context, _: &str, _: &$state) -> Outcome<Self, ()> {
                Err(Error::invalid("mocked only"))
            }
        }
    };
}
mocked!(Shed ShedState ShedArgs);
mocked!(Tool ToolState ToolArgs);

#[stackkit::program(name = "yard", providers(Yard))]
async fn empty(_: &mut Stack) -> Result<()> {
    Ok(())
}

/// A resource of Terraform with one instance.
fn managed(module: &str, type_name: &str, name: &str, instance: Json) -> Json {
    let mut resource = json!({
        "mode": "managed", "type": type_name, "name": name,
        "provider": "provider[\"registry.terraform.io/acme/yard\"]", "instances": [instance],
    });
    if !module.is_empty() {
        resource["module"] = module.into();
    }
    resource
}

fn terraform(resources: &[Json]) -> ForeignState {
    let state = json!({"version": 4, "terraform_version": "1.11.4", "resources": resources});
    ForeignState::read(state.to_string().as_bytes(), None, None).unwrap()
}

fn put_shed(test: &Test, id: &str, label: &str, beside: Value) {
    let fields = [("size", Value::Int(3)), ("beside", beside), ("label", Value::text(label))];
    test.cloud().put(Shed::SCHEMA, id, &fields);
}

fn put_tool(test: &Test, id: &str, shed: &str) {
    test.cloud().put(Tool::SCHEMA, id, &[("shed", Value::text(shed))]);
}

fn why(all: &[Left]) -> Vec<(&str, &str)> {
    all.iter().map(|left| (left.address.as_str(), left.why.as_str())).collect()
}

/// A shed and three tools, in modules and with keys. One tool refers to the shed by its label, one comes after another.
fn yard() -> ForeignState {
    let pin = json!([[{"type": "get_attr", "value": "pin_code"}]]);
    terraform(&[
        managed(
            "",
            "yard_tool",
            "main",
            json!({
                "attributes": {"id": "t-1", "shed": "north", "pin_code": "4711", "sharp": false},
                "sensitive_attributes": pin, "dependencies": ["module.sheds.yard_shed.main"],
            }),
        ),
        managed(
            "module.tools[\"garden west\"]",
            "yard_tool",
            "spade",
            json!({
                "index_key": 0, "attributes": {"id": "t-2", "shed": "north"},
                "dependencies": ["module.sheds.yard_shed.main", "yard_tool.main"],
            }),
        ),
        managed(
            "module.tools[\"garden west\"]",
            "yard_tool",
            "spade",
            json!({
                "index_key": 1, "attributes": {"id": "t-3", "shed": "elsewhere", "pin_code": null},
            }),
        ),
        managed("module.sheds", "yard_shed", "main", json!({"attributes": {"id": "s-1"}})),
    ])
}

const PRINTED: &str = r#"use stackkit::prelude::*;
use rules::Yard;

/// What differs between the stacks of this program.
#[derive(Debug, Clone, Properties)]
struct Config {
    main_pin: Secret<String>,
}

#[stackkit::main(providers(Yard))]
async fn yard(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;

    let mut sheds = stack.component("sheds");
    let main_shed = sheds.add("main", yard::Shed::new(3).label("north"));
    let main = stack.add(
        "main",
        yard::Tool::new(&main_shed.label)
            .pin(/* secret */ config.main_pin)
            .sharp(false),
    );
    let mut tools_garden_west = stack.component("tools-garden-west");
    tools_garden_west
        .add("spade-0", yard::Tool::new(&main_shed.label))
        .depends_on(&main);
    tools_garden_west.add("spade-1", yard::Tool::new("elsewhere"));

    Ok(())
}
"#;

mod pasted {
    use stackkit::prelude::*;

    use super::Yard;
    use crate::migrations as yard;

    /// What differs between the stacks of this program.
    #[derive(Debug, Clone, Properties)]
    struct Config {
        main_pin: Secret<String>,
    }

    #[stackkit::program(name = "yard", providers(Yard))]
    pub async fn program(stack: &mut Stack) -> Result<()> {
        let config: Config = stack.config()?;

        let mut sheds = stack.component("sheds");
        let main_shed = sheds.add("main", yard::Shed::new(3).label("north"));
        let main = stack.add("main", yard::Tool::new(&main_shed.label).pin(/* secret */ config.main_pin).sharp(false));
        let mut tools_garden_west = stack.component("tools-garden-west");
        tools_garden_west.add("spade-0", yard::Tool::new(&main_shed.label)).depends_on(&main);
        tools_garden_west.add("spade-1", yard::Tool::new("elsewhere"));

        Ok(())
    }
}

async fn migrated(test: &Test) -> Migration {
    put_shed(test, "s-1", "north", Value::Null);
    put_tool(test, "t-1", "north");
    put_tool(test, "t-2", "north");
    put_tool(test, "t-3", "elsewhere");
    test.migrate(&yard()).await.unwrap()
}

/// Rules: 21.
#[stackkit::test]
async fn what_another_tool_manages_is_printed_as_one_program() {
    let test = Test::of(empty);
    let migration = migrated(&test).await;
    assert_eq!(migration.program, PRINTED);
    assert_eq!((migration.sealed.as_slice(), migration.unset.len()), (["main_pin".to_owned()].as_slice(), 0));
    assert_eq!(why(&migration.failed), []);
    assert!(test.cloud().calls().is_empty());
}

/// Rules: 21.
#[stackkit::test]
async fn the_program_of_a_migration_changes_nothing() {
    let test = Test::of(empty);
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    test.backend().before_append(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    migrated(&test).await;
    test.backend().clear_before_append();
    assert_eq!(writes.load(Ordering::SeqCst), 1, "all of it is one write");
    let test = test.with_program(pasted::program).secret("main_pin", "4711");
    let run = test.preview().await.expect_ok();
    assert!(!run.plan().unwrap().has_changes(), "{:?}", run.plan().unwrap().nodes);
    let run = test.up().await.expect_ok();
    assert!(run.cloud().calls().is_empty());
    let of = |id: &str| run.state().resources.values().find(|record| record.id == id).unwrap().clone();
    let (shed, main) = (of("s-1").instance, of("t-1").instance);
    assert_eq!(of("t-1").dependencies.into_iter().collect::<Vec<_>>(), [shed]);
    assert_eq!(of("t-2").dependencies, [shed, main].into());
    // What no read tells is known nevertheless.
    let run = test.clone().secret("main_pin", "1234").up().await.expect_ok();
    assert_eq!(run.summary().update, 1);
    assert_eq!(test.destroy().await.expect_ok().summary().delete, 4);
}

/// Rules: 21, 24.
#[stackkit::test]
async fn what_is_migrated_and_not_declared_is_protected() {
    let test = Test::of(empty);
    migrated(&test).await;
    let run = test.up().await;
    assert_eq!(run.expect_err().exit_code(), 3);
    assert!(run.cloud().calls().is_empty());
}

/// Rules: 21.
#[stackkit::test]
async fn what_is_not_adopted_is_told_with_the_reason() {
    let test = Test::of(empty);
    put_shed(&test, "s-1", "north", Value::Null);
    let tool = |id: &str| json!({"attributes": {"id": id}});
    let mut west = managed("", "yard_shed", "west", tool("s-2"));
    west["provider"] = "module.x.provider[\"registry.terraform.io/acme/yard\"].west".into();
    let mut data = managed("", "yard_shed", "found", tool("s-4"));
    data["mode"] = "data".into();
    let mut tainted = managed("", "yard_shed", "bent", tool("s-5"));
    tainted["instances"][0]["status"] = "tainted".into();
    let mut deposed = managed("", "yard_shed", "old", tool("s-6"));
    deposed["instances"][0]["deposed"] = "0a1b2c3d".into();
    let state = terraform(&[
        managed("", "yard_shed", "main", tool("s-1")),
        managed("", "yard_shed", "twin", tool("s-1")),
        managed("", "yard_shed", "gone", tool("s-9")),
        managed("", "yard_shed", "nameless", json!({"attributes": {"id": null}})),
        managed("", "yard_shelf", "top", tool("x")),
        managed("", "yard_tree", "oak", tool("x")),
        managed("", "yard_cellar", "deep", tool("x")),
        managed("", "acme_bell", "front", tool("x")),
        west,
        data,
        tainted,
        deposed,
    ]);
    let migration = test.migrate(&state).await.unwrap();
    assert_eq!(migration.adopted.len(), 1);
    assert_eq!(
        why(&migration.failed),
        [
            ("yard_shed.twin", "it is the same thing as yard_shed.main"),
            ("yard_shed.nameless", "no id is recorded of it"),
            (
                "yard_shed.west",
                "it is managed by a provider configuration `west` of its own: declare it with `stack.provider(\"west\", …)` \
                 in the program, and import again"
            ),
            ("yard_shed.gone", "there is nothing with the id `s-9` to import"),
        ]
    );
    assert_eq!(why(&migration.parts), [("yard_shelf.top", "it is part of yard:Shed")]);
    let left = why(&migration.left);
    for (address, reason) in [
        ("data.yard_shed.found", "a data source is only read"),
        ("yard_shed.bent", "it is tainted"),
        ("yard_shed.old", "it is deposed"),
        ("yard_tree.oak", "trees are not managed here"),
        ("yard_cellar.deep", "the type `yard:Cellar` is not linked"),
        ("acme_bell.front", "no linked provider has a type for it"),
    ] {
        assert!(left.iter().any(|(of, why)| *of == address && why.starts_with(reason)), "{address}: {left:?}");
    }
    assert_eq!(left.len(), 6);
}

/// Rules: 21.
#[stackkit::test]
async fn things_that_refer_to_each_other_are_declared_in_an_order_that_compiles() {
    let test = Test::of(empty);
    put_shed(&test, "s-1", "a", Value::text("s-2"));
    put_shed(&test, "s-2", "b", Value::text("s-1"));
    let shed = |id: &str| json!({"attributes": {"id": id}});
    let state = terraform(&[managed("", "yard_shed", "a", shed("s-1")), managed("", "yard_shed", "b", shed("s-2"))]);
    let program = test.migrate(&state).await.unwrap().program;
    let at = |text: &str| program.find(text).unwrap_or_else(|| panic!("{program}"));
    assert!(at(r#"let b = stack.add("b", yard::Shed::new(3).beside("s-1")"#) < at(r#".beside(&b.id)"#), "{program}");
}

#[stackkit::program(name = "yard", providers(Yard))]
async fn declared_already(stack: &mut Stack) -> Result<()> {
    let shed = stack.add("main", Shed::new(4).label("north"));
    stack.add("main", Tool::new(&shed.label));
    Ok(())
}

/// Rules: 21.
#[stackkit::test]
async fn what_the_program_declares_is_adopted_as_it_declares_it() {
    let test = Test::of(declared_already);
    put_shed(&test, "s-1", "north", Value::Null);
    put_tool(&test, "t-1", "north");
    let state = terraform(&[
        managed("", "yard_tool", "main", json!({"attributes": {"id": "t-1", "pin_code": "4711"}})),
        managed("", "yard_shed", "main", json!({"attributes": {"id": "s-1"}})),
    ]);
    let migration = test.migrate(&state).await.unwrap();
    assert_eq!((migration.program.as_str(), migration.sealed.len()), ("", 0));
    let changes: BTreeMap<&str, &[&str]> =
        migration.adopted.iter().map(|item| (item.urn.as_str(), item.changes.as_slice())).collect();
    assert_eq!(changes, BTreeMap::from([("yard:Shed::main", ["size"].as_slice()), ("yard:Tool::main", &[])]));
    let run = test.up().await.expect_ok();
    assert_eq!((run.summary().update, run.summary().create), (1, 0));
    let of = |id: &str| run.state().resources.values().find(|record| record.id == id).unwrap().clone();
    assert_eq!(of("t-1").dependencies, [of("s-1").instance].into());
}
