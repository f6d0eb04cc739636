//! The command that adopts what exists, and the declaration that it prints.

use std::collections::BTreeMap;

use stackkit::engine::{Adoption, ImportOptions, RunError};
use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::testing::Test;
use stackkit::{Context, Created, Error, Id, Managed, Outcome, Resource, Set, Value};

use crate::toys::lines;

pub struct Shop;

impl Provider for Shop {
    const NAME: &'static str = "shop";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Shelf, Crate];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Shop)
    }
}

/// What crates stand on.
#[resource("shop:Shelf")]
pub struct Shelf {
    /// How long it is.
    pub length: u32,
    /// Its id.
    #[resource(output)]
    pub id: Id<Self>,
}

/// A label.
#[derive(Clone, Debug, Properties)]
pub struct Label {
    /// What it says.
    pub text: String,
    /// Its colour.
    #[property(default = "white")]
    pub colour: String,
    /// How large it is.
    pub size: Option<u32>,
}

/// Something with everything in it that can be declared.
#[resource("shop:Crate")]
pub struct Crate {
    /// Where it stands.
    #[resource(replace)]
    pub shelf: Id<Shelf>,
    /// What opens it.
    #[resource(write_only)]
    pub pin: Secret<String>,
    /// Which others may stand beside it.
    pub beside: Option<Set<Id<Shelf>>>,
    /// What it weighs.
    #[resource(default = 1)]
    pub weight: u32,
    /// What is written on it.
    pub labels: Option<Vec<Label>>,
    /// The one in front.
    pub front: Option<Label>,
    /// What it is for.
    pub tags: Option<BTreeMap<String, String>>,
    /// Who may look.
    #[resource(computed)]
    pub owner: Option<String>,
    /// Another thing to know.
    pub password: Option<Secret<String>>,
    /// Its name.
    #[resource(name, replace)]
    pub name: Option<String>,
    /// Its id.
    #[resource(output)]
    pub id: String,
}

macro_rules! mocked {
    ($name:ident $state:ident $args:ident) => {
        impl Managed for $name {
            type Provider = Shop;
            async fn create(_: &Shop, _: &Context, _: &$args) -> Outcome<Self, Created<Self>> {
                Err(Error::invalid("mocked only"))
            }
            async fn read(_: &Shop, _: &Context, _: &str, _: Option<&$state>) -> Outcome<Self, Option<$state>> {
                Err(Error::invalid("mocked only"))
            }
            async fn update(_: &Shop, _: &Context, _: &str, _: &$state, _: &$args) -> Outcome<Self, $state> {
                Err(Error::invalid("mocked only"))
            }
            async fn delete(_: &Shop, _: &Context, _: &str, _: &$state) -> Outcome<Self, ()> {
                Err(Error::invalid("mocked only"))
            }
        }
    };
}
mocked!(Shelf ShelfState ShelfArgs);
mocked!(Crate CrateState CrateArgs);

#[derive(Clone, Debug, Properties)]
struct Config {
    pin: Secret<String>,
    password: Secret<String>,
    #[property(default = 1)]
    weight: u32,
    #[property(default = false)]
    moved: bool,
}

#[stackkit::program(name = "shop", providers(Shop))]
async fn shelves(stack: &mut Stack) -> Result<()> {
    stack.add("left", Shelf::new(3));
    stack.add("right", Shelf::new(4));
    Ok(())
}

#[stackkit::program(name = "shop", providers(Shop))]
async fn pasted(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let left = stack.add("left", Shelf::new(3));
    let right = stack.add("right", Shelf::new(4));
    let shelf = if config.moved { &right } else { &left };
    stack.add(
        "big-one",
        Crate::new(&shelf.id, /* secret */ config.pin)
            .beside(list![&right.id, "shelf-of-others"])
            .weight(config.weight)
            .labels([Label::new("this side up"), Label::new("fragile").colour("red").size(2)])
            .front(Label::new("hello"))
            .tags([("team", "a"), ("tier", "b")])
            .password(/* secret */ config.password)
            .name("big"),
    );
    Ok(())
}

/// Everything in `pasted`, as the cloud has it.
fn put(test: &Test) {
    let label = |text: &str, colour: &str, size: Value| {
        Value::Map(BTreeMap::from([
            ("text".to_owned(), Value::text(text)),
            ("colour".to_owned(), Value::text(colour)),
            ("size".to_owned(), size),
        ]))
    };
    let ids = |all: &[&str]| Value::List(all.iter().copied().map(Value::text).collect());
    let tags = [("team", "a"), ("tier", "b")].map(|(key, value)| (key.to_owned(), Value::text(value)));
    let labels = vec![label("this side up", "white", Value::Null), label("fragile", "red", Value::Int(2))];
    let fields = [
        ("shelf", Value::text("shelf-left")),
        ("beside", ids(&["shelf-right", "shelf-of-others"])),
        ("weight", Value::Int(1)),
        ("labels", Value::List(labels)),
        ("front", label("hello", "white", Value::Null)),
        ("tags", Value::Map(tags.into_iter().collect())),
        ("owner", Value::text("somebody")),
        ("password", Value::text("open-sesame").into_secret()),
        ("name", Value::text("big")),
    ];
    test.cloud().put(Crate::SCHEMA, "c-1", &fields);
}

fn options<'a>(name: &'a str, id: &'a str) -> ImportOptions<'a> {
    ImportOptions { type_name: "shop:Crate", name, id, provider: None }
}

async fn adopt(test: &Test, name: &str, id: &str) -> Result<Adoption, RunError> {
    test.import(options(name, id)).await
}

async fn prepared(program: fn() -> Program) -> Test {
    let test = Test::of(shelves);
    test.up().await.expect_ok();
    put(&test);
    test.cloud().clear_calls();
    test.with_program(program).secret("pin", "1234").secret("password", "open-sesame")
}

/// Rules: 21.
#[stackkit::test]
async fn what_is_adopted_is_declared_as_a_user_would_write_it() {
    let test = prepared(shelves).await;
    let found = adopt(&test, "big-one", "c-1").await.unwrap();
    assert_eq!(
        found.declaration,
        r#"    let big_one = stack.add(
        "big-one",
        shop::Crate::new(&left.id, /* secret */ config.pin)
            .beside(list![&right.id, "shelf-of-others"])
            .labels([
                shop::Label::new("this side up"),
                shop::Label::new("fragile").colour("red").size(2),
            ])
            .front(shop::Label::new("hello"))
            .tags([("team", "a"), ("tier", "b")])
            .password(/* secret */ config.password)
            .name("big"),
    );
"#
    );
    assert_eq!((found.left_out, found.declared), (vec![r#".owner("somebody")"#.to_owned()], false));
    assert!(test.cloud().calls().is_empty());
}

/// Rules: 21.
#[stackkit::test]
async fn after_pasting_nothing_changes() {
    let test = prepared(shelves).await;
    adopt(&test, "big-one", "c-1").await.unwrap();
    let test = test.with_program(pasted);
    let run = test.preview().await.expect_ok();
    assert!(!run.plan().unwrap().has_changes(), "{:?}", run.plan().unwrap().nodes);
    let run = test.up().await.expect_ok();
    assert!(run.cloud().calls().is_empty() && !run.summary().has_changes());
    let record = run.state().resources.values().find(|record| record.id == "c-1").unwrap();
    assert!(!record.options.protect, "the program does not ask for protection");
    assert_eq!(record.dependencies.len(), 2);
    assert_eq!(run.get::<Crate>("big-one").owner.as_deref(), Some("somebody"));
    let run = test.up().await.expect_ok();
    assert_eq!((lines(&run), run.appended()), (Vec::new(), 0));
    // What is never told is known from now on, so that a change of it is one.
    let run = test.clone().secret("pin", "5678").up().await.expect_ok();
    assert_eq!(lines(&run), ["update big-one"]);
    let run = test.destroy().await.expect_ok();
    assert_eq!(lines(&run).first().map(String::as_str), Some("delete big-one"));
}

/// Rules: 21, 24.
#[stackkit::test]
async fn what_is_not_declared_yet_is_protected() {
    let test = prepared(shelves).await;
    adopt(&test, "big-one", "c-1").await.unwrap();
    let run = test.up().await;
    assert_eq!(run.expect_err().exit_code(), 3);
    assert!(run.expect_err().to_string().contains("shop:Crate::big-one: it is protected"), "{}", run.expect_err());
    assert!(run.cloud().calls().is_empty());
}

/// Rules: 21.
#[stackkit::test]
async fn a_declaration_that_differs_is_adopted_and_then_updated() {
    let test = prepared(pasted).await.config("weight", "7");
    let found = adopt(&test, "big-one", "c-1").await.unwrap();
    assert_eq!((found.declared, found.changes), (true, vec!["weight"]));
    assert!(test.cloud().calls().is_empty());
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["update big-one"]);
    assert_eq!(run.get::<Crate>("big-one").weight, 7);
}

/// Rules: 21.
#[stackkit::test]
async fn what_cannot_be_adopted_is_refused_with_nothing_recorded() {
    let test = prepared(pasted).await;
    let before = test.backend().appended();
    let refused = async |test: &Test, options: ImportOptions<'_>, code: u8, expected: &str| {
        let error = test.import(options).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!((error.exit_code(), test.backend().appended()), (code, before));
    };
    let moved = test.clone().config("moved", "true");
    refused(&moved, options("big-one", "c-1"), 3, "`c-1` cannot be imported as declared: `shelf` would need").await;
    refused(&test, options("big-one", "c-9"), 3, "shop:Crate::big-one: there is nothing with the id `c-9`").await;
    refused(&test, options("a b", "c-1"), 3, "cannot be the name of a resource").await;
    let shelf = ImportOptions { type_name: "shop:Shelf", ..options("third", "shelf-left") };
    refused(&test, shelf, 3, "`shelf-left` cannot be imported: it belongs to shop:Shelf::left").await;
    refused(&test, ImportOptions { name: "left", ..shelf }, 3, "has a resource of this name already").await;
    let typo = ImportOptions { type_name: "shop:Crates", ..shelf };
    refused(&test, typo, 1, "did you mean `shop:Crate`?").await;
    let unlinked = ImportOptions { type_name: "aws:ec2:Vpc", ..shelf };
    refused(&test, unlinked, 1, "add the crate of provider `aws` (with its feature `ec2`").await;
}
