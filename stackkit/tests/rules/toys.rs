//! A toy provider whose types are only ever mocked, and a program that declares what a description says.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::testing::{Test, TestRun};
use stackkit::{Context, Created, Error, Managed, Outcome, Resource};

pub struct Toy;

impl Provider for Toy {
    const NAME: &'static str = "toy";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Node, First];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Toy)
    }
}

/// Settings of one more instance of a provider that has none.
pub fn no_settings() -> stackkit::Input<NoSettings> {
    stackkit::Input::erased(stackkit::Value::Null)
}

macro_rules! toy {
    ($name:ident $state:ident $args:ident, $($attr:tt)*) => {
        /// A thing.
        #[resource($($attr)*)]
        pub struct $name {
            /// What it is made of.
            #[resource(replace, default = "wood")]
            pub kind: String,
            /// How large it is.
            #[resource(default = 1)]
            pub size: u32,
            /// What it stands on.
            #[resource(replace)]
            pub hard: Option<Vec<String>>,
            /// What it leans on.
            pub soft: Option<Vec<String>>,
            /// Where it is; the cloud chooses where unset.
            #[resource(computed)]
            pub zone: Option<String>,
            /// Its physical name.
            #[resource(name, replace)]
            pub name: Option<String>,
            /// Labels.
            pub tags: Option<BTreeMap<String, String>>,
            /// What opens it.
            pub password: Option<Secret<String>>,
            /// What the cloud never tells again.
            #[resource(write_only)]
            pub pin: Option<Secret<String>>,
            /// Its id.
            #[resource(output)]
            pub id: String,
            /// Changes with each update.
            #[resource(output, volatile)]
            pub revision: String,
            /// Where it is reached.
            #[resource(output)]
            pub address: String,
        }
        impl Managed for $name {
            type Provider = Toy;
            async fn create(_: &Toy, _: &Context, _: &$args) -> Outcome<Self, Created<Self>> {
                Err(Error::invalid("mocked only"))
            }
            async fn read(_: &Toy, _: &Context, _: &str, _: Option<&$state>) -> Outcome<Self, Option<$state>> {
                Err(Error::invalid("mocked only"))
            }
            async fn update(_: &Toy, _: &Context, _: &str, _: &$state, _: &$args) -> Outcome<Self, $state> {
                Err(Error::invalid("mocked only"))
            }
            async fn delete(_: &Toy, _: &Context, _: &str, _: &$state) -> Outcome<Self, ()> {
                Err(Error::invalid("mocked only"))
            }
        }
    };
}
toy!(Node NodeState NodeArgs, "toy:core:Node");
toy!(First FirstState FirstArgs, "toy:core:First", delete_before_replace);

/// What is read of another thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Id,
    Address,
    Revision,
    /// Something computed of the revision that never changes.
    Constant,
}

/// The description of one thing.
#[derive(Clone, Debug, Default)]
pub struct Item {
    pub name: String,
    pub first: bool,
    pub kind: Option<String>,
    pub size: u32,
    pub hard: Vec<(String, Part)>,
    pub soft: Vec<(String, Part)>,
    pub after: Vec<String>,
    pub zone: Option<String>,
    pub fixed: Option<String>,
    pub tags: Option<BTreeMap<String, String>>,
    pub password: Option<String>,
    pub pin: Option<String>,
    pub protect: Option<bool>,
    pub retain: bool,
    pub delete_first: Option<bool>,
    pub with: Option<String>,
    pub alias: Vec<String>,
    pub import: Option<String>,
    pub ignore: Vec<String>,
    pub replace_on: Vec<String>,
    pub timeout: Option<Duration>,
    /// Limits of create, update and delete.
    pub timeouts: [Option<Duration>; 3],
    pub trigger: Option<Trigger>,
}

/// What triggers a replacement.
#[derive(Clone, Debug)]
pub enum Trigger {
    Of(String, Part),
    Text(String),
    Secret(String),
    Number(u64),
}

pub fn item(name: &str) -> Item {
    Item { name: name.into(), size: 1, ..Item::default() }
}

impl Item {
    pub fn first(mut self) -> Self {
        self.first = true;
        self
    }
    pub fn kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.into());
        self
    }
    pub fn size(mut self, size: u32) -> Self {
        self.size = size;
        self
    }
    pub fn hard(self, of: &str) -> Self {
        self.hard_part(of, Part::Id)
    }
    pub fn soft(self, of: &str) -> Self {
        self.soft_part(of, Part::Id)
    }
    pub fn hard_part(mut self, of: &str, part: Part) -> Self {
        self.hard.push((of.into(), part));
        self
    }
    pub fn soft_part(mut self, of: &str, part: Part) -> Self {
        self.soft.push((of.into(), part));
        self
    }
    pub fn after(mut self, of: &str) -> Self {
        self.after.push(of.into());
        self
    }
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

thread_local! {
    static VERSIONS: RefCell<Vec<Vec<Item>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Debug, Properties)]
struct Config {
    /// Which description the program follows.
    #[property(default = 0)]
    version: u32,
}

macro_rules! declare {
    ($stack:ident, $item:ident, $outputs:ident, $handles:ident, $draft:expr) => {{
        let mut draft = $draft.size($item.size);
        if let Some(kind) = &$item.kind {
            draft = draft.kind(kind);
        }
        let refs = |all: &[(String, Part)]| -> Option<Vec<stackkit::Input<String>>> {
            let found: Vec<_> = all.iter().filter_map(|(of, part)| Some($outputs.get(of)?.input(*part))).collect();
            (!found.is_empty()).then_some(found)
        };
        if let Some(hard) = refs(&$item.hard) {
            draft = draft.hard(hard);
        }
        if let Some(soft) = refs(&$item.soft) {
            draft = draft.soft(soft);
        }
        if let Some(zone) = &$item.zone {
            draft = draft.zone(zone);
        }
        if let Some(name) = &$item.fixed {
            draft = draft.name(name);
        }
        if let Some(tags) = &$item.tags {
            draft = draft.tags(tags.clone());
        }
        if let Some(password) = &$item.password {
            draft = draft.password(password.clone());
        }
        if let Some(pin) = &$item.pin {
            draft = draft.pin(pin.clone());
        }
        let mut handle = $stack.add($item.name.clone(), draft);
        if let Some(protect) = $item.protect {
            handle = handle.protected(protect);
        }
        if $item.retain {
            handle = handle.retain_on_delete();
        }
        if let Some(first) = $item.delete_first {
            handle = handle.delete_before_replace(first);
        }
        if let Some(owner) = $item.with.as_ref().and_then(|owner| $handles.get(owner)) {
            handle = handle.deleted_with(owner);
        }
        for alias in &$item.alias {
            handle = handle.alias(alias);
        }
        if let Some(id) = &$item.import {
            handle = handle.import(id);
        }
        if !$item.ignore.is_empty() {
            handle = handle.ignore_changes($item.ignore.clone());
        }
        if !$item.replace_on.is_empty() {
            handle = handle.replace_on_changes($item.replace_on.clone());
        }
        for other in &$item.after {
            handle = handle.depends_on_named(other);
        }
        if let Some(limit) = $item.timeout {
            handle = handle.timeout(limit);
        }
        if let Some(limit) = $item.timeouts[0] {
            handle = handle.create_timeout(limit);
        }
        if let Some(limit) = $item.timeouts[1] {
            handle = handle.update_timeout(limit);
        }
        if let Some(limit) = $item.timeouts[2] {
            handle = handle.delete_timeout(limit);
        }
        handle = match &$item.trigger {
            None => handle,
            Some(Trigger::Of(name, part)) => match $outputs.get(name) {
                Some(parts) => handle.replace_trigger(parts.output(*part)),
                None => handle,
            },
            Some(Trigger::Text(text)) => handle.replace_trigger(text.clone()),
            Some(Trigger::Secret(text)) => handle.replace_trigger(Output::known(Secret::new(text.clone()))),
            Some(Trigger::Number(number)) => handle.replace_trigger(*number),
        };
        let parts = Parts { id: handle.id.clone(), revision: handle.revision.clone(), address: handle.address.clone() };
        $outputs.insert($item.name.clone(), parts);
        handle
    }};
}

struct Parts {
    id: Output<String>,
    revision: Output<String>,
    address: Output<String>,
}

impl Parts {
    fn input(&self, part: Part) -> stackkit::Input<String> {
        stackkit::Input::new(self.output(part))
    }

    fn output(&self, part: Part) -> Output<String> {
        match part {
            Part::Id => self.id.clone(),
            Part::Address => self.address.clone(),
            Part::Revision => self.revision.clone(),
            Part::Constant => self.revision.map(|_| "always the same".to_owned()),
        }
    }
}

#[stackkit::program(providers(Toy))]
pub async fn toys(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let items = VERSIONS.with_borrow(|versions| versions.get(config.version as usize).cloned()).unwrap_or_default();
    let mut outputs: HashMap<String, Parts> = HashMap::new();
    let mut handles: HashMap<String, stackkit::Handle<Node>> = HashMap::new();
    for item in &items {
        if item.first {
            declare!(stack, item, outputs, handles, First::new());
        } else {
            let handle = declare!(stack, item, outputs, handles, Node::new());
            stack.output(format!("size-of-{}", item.name), &handle.size);
            stack.output(format!("revision-of-{}", item.name), &handle.revision);
            handles.insert(item.name.clone(), handle);
        }
    }
    Ok(())
}

/// A test on an empty world whose program follows the first of these descriptions; [`version`] chooses another.
pub fn test(versions: &[Vec<Item>]) -> Test {
    describe(versions);
    Test::of(toys)
}

pub fn describe(versions: &[Vec<Item>]) {
    VERSIONS.with_borrow_mut(|all| *all = versions.to_vec());
}

pub fn version(test: &Test, version: usize) -> Test {
    test.clone().config("version", &version.to_string())
}

/// What was done, in its order.
pub fn lines(run: &TestRun) -> Vec<String> {
    run.steps().into_iter().map(|(verb, urn)| format!("{} {}", verb.name(), urn.name())).collect()
}

/// What the plan says, in the order of declaration: `may replace a` where it is not certain.
pub fn planned(run: &TestRun) -> Vec<String> {
    let plan = run.plan().expect("a plan");
    let nodes = plan.nodes.iter().filter(|node| node.action.name() != "same");
    nodes
        .map(|node| format!("{}{} {}", if node.certain { "" } else { "may " }, node.action.name(), node.urn.name()))
        .collect()
}

/// Everything is as it should be: the state is whole, and the cloud has what the state has.
pub fn whole(test: &Test, run: &TestRun) {
    stackkit::state::verify(run.state()).expect("a whole state");
    let mut ids: Vec<String> = run.state().resources.values().map(|record| record.id.clone()).collect();
    ids.retain(|id| !id.is_empty());
    ids.sort();
    assert_eq!(test.cloud().ids(), ids);
    assert!(run.state().intents.is_empty());
}

/// An `up` right after an `up` does nothing and writes nothing.
pub async fn settled(test: &Test) {
    let run = test.up().await.expect_ok();
    assert_eq!((lines(&run), run.appended()), (Vec::new(), 0));
    whole(test, &run);
}

/// The schema of the plain type.
pub fn schema() -> &'static stackkit::schema::Schema {
    Node::SCHEMA
}

type Body = Box<dyn Fn(&mut Stack)>;

thread_local! {
    static BODY: RefCell<Option<Body>> = const { RefCell::new(None) };
}

/// A program whose body is a closure.
#[stackkit::program(providers(Toy))]
pub async fn written(stack: &mut Stack) -> Result<()> {
    BODY.with_borrow(|body| {
        if let Some(body) = body {
            body(stack);
        }
    });
    Ok(())
}

/// A test on an empty world of a program with this body.
pub fn program(body: impl Fn(&mut Stack) + 'static) -> Test {
    rewrite(body);
    Test::of(written)
}

/// The program gets another body.
pub fn rewrite(body: impl Fn(&mut Stack) + 'static) {
    BODY.set(Some(Box::new(body)));
}

/// Every diagnostic of a run that was refused, one a line.
#[track_caller]
pub fn refused(test: &Test, run: &TestRun) -> Vec<String> {
    assert_eq!(run.expect_err().exit_code(), 3, "{}", run.expect_err());
    assert!(test.cloud().calls().is_empty(), "{:?}", test.cloud().calls());
    run.expect_err().to_string().lines().map(str::to_owned).collect()
}
