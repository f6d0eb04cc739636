//! The types and programs of the simulation, and how they are made up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stackkit::hook::HookPoint;
use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::testing::Cloud;
use stackkit::{Context, Created, Error, Managed, Outcome, Output, Resource, Urn};

/// A provider whose types are only ever mocked.
pub struct Sim;

impl Provider for Sim {
    const NAME: &'static str = "sim";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Node, First, Vault, Once];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Sim)
    }
}

macro_rules! sim {
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
            /// Where it is; the cloud chooses.
            #[resource(computed)]
            pub zone: Option<String>,
            /// Its physical name.
            #[resource(name, replace)]
            pub name: Option<String>,
            /// What opens it.
            pub password: Option<Secret<String>>,
            /// What opens it, too; the cloud never tells it.
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
            type Provider = Sim;
            async fn create(_: &Sim, _: &Context, _: &$args) -> Outcome<Self, Created<Self>> {
                Err(Error::invalid("mocked only"))
            }
            async fn read(_: &Sim, _: &Context, _: &str, _: Option<&$state>) -> Outcome<Self, Option<$state>> {
                Err(Error::invalid("mocked only"))
            }
            async fn update(_: &Sim, _: &Context, _: &str, _: &$state, _: &$args) -> Outcome<Self, $state> {
                Err(Error::invalid("mocked only"))
            }
            async fn delete(_: &Sim, _: &Context, _: &str, _: &$state) -> Outcome<Self, ()> {
                Err(Error::invalid("mocked only"))
            }
        }
    };
}
sim!(Node NodeState NodeArgs, "sim:core:Node", settle = 20);
sim!(First FirstState FirstArgs, "sim:core:First", delete_before_replace, settle = 20);
sim!(Vault VaultState VaultArgs, "sim:core:Vault", stateful, settle = 20);
sim!(Once OnceState OnceArgs, "sim:core:Once", at_least_once, settle = 20);

/// Which type a thing has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ty {
    Node,
    First,
    Vault,
    Once,
}

impl Ty {
    pub fn schema(self) -> &'static stackkit::schema::Schema {
        match self {
            Ty::Node => Node::SCHEMA,
            Ty::First => First::SCHEMA,
            Ty::Vault => Vault::SCHEMA,
            Ty::Once => Once::SCHEMA,
        }
    }

    pub fn of(urn: &Urn) -> Option<Self> {
        [Ty::Node, Ty::First, Ty::Vault, Ty::Once].into_iter().find(|ty| ty.schema().type_name == urn.type_name())
    }
}

/// How one thing depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    HardId,
    SoftId,
    HardAddress,
    SoftAddress,
    /// Of what every update changes.
    HardRevision,
    SoftRevision,
    /// Something computed of the revision that never changes.
    Constant,
    /// A dependency that no value shows.
    After,
}

/// One thing of a program.
#[derive(Clone, Debug)]
pub struct Item {
    pub name: &'static str,
    pub ty: Ty,
    pub kind: Option<&'static str>,
    pub size: u32,
    /// Dependencies on what is declared before it; others are left out.
    pub uses: Vec<(&'static str, How)>,
    pub fixed: bool,
    pub delete_first: Option<bool>,
    pub retain: bool,
    pub protect: Option<bool>,
    pub with: Option<&'static str>,
    pub alias: Option<&'static str>,
    pub password: Option<bool>,
    pub replace_on_size: bool,
    pub ignore_size: bool,
    /// Whether it is in the component.
    pub boxed: bool,
    /// Whether it says that it may have been outside the component before, or inside.
    pub moved: bool,
    /// What asks for its replacement when it changes.
    pub trigger: Option<u32>,
    pub hooks: Vec<HookPoint>,
    /// Whether it adopts what somebody left under its name.
    pub import: bool,
}

/// The component of the programs.
pub const BOX: &str = "box";

const FOUND: &str = "found-";

/// Id of what somebody may have left for a thing to adopt.
pub fn found(name: &str) -> String {
    format!("{FOUND}{name}")
}

/// Whether it is the id of what somebody may have left.
pub fn is_found(id: &str) -> bool {
    id.starts_with(FOUND)
}

/// The path of a thing, in the component or outside.
pub fn path(boxed: bool, name: &str) -> String {
    if boxed { format!("{BOX}/{name}") } else { name.to_owned() }
}

impl Item {
    /// A thing with no options at all.
    pub fn plain(name: &'static str, ty: Ty) -> Self {
        Self {
            name,
            ty,
            kind: None,
            size: 1,
            uses: Vec::new(),
            fixed: false,
            delete_first: None,
            retain: false,
            protect: None,
            with: None,
            alias: None,
            password: None,
            replace_on_size: false,
            ignore_size: false,
            boxed: false,
            moved: false,
            trigger: None,
            hooks: Vec::new(),
            import: false,
        }
    }

    pub fn path(&self) -> String {
        path(self.boxed, self.name)
    }

    pub fn urn(&self) -> Urn {
        Urn::new(self.ty.schema().type_name, &self.path())
    }

    /// What it says that it may have been before.
    pub fn former(&self) -> Vec<Urn> {
        let alias = self.alias.map(|old| path(self.boxed, old));
        let elsewhere = self.moved.then(|| path(!self.boxed, self.name));
        alias.into_iter().chain(elsewhere).map(|path| Urn::new(self.ty.schema().type_name, &path)).collect()
    }
}

pub const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

pub const POINTS: [HookPoint; 6] = [
    HookPoint::BeforeCreate,
    HookPoint::AfterCreate,
    HookPoint::BeforeUpdate,
    HookPoint::AfterUpdate,
    HookPoint::BeforeDelete,
    HookPoint::AfterDelete,
];

pub fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

/// Mostly not.
fn rarely<T: std::fmt::Debug + Clone + 'static>(
    percent: u32,
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    prop_oneof![100 - percent => Just(None), percent => value.prop_map(Some)].boxed()
}

pub fn item() -> impl Strategy<Value = Item> {
    let how = prop_oneof![
        3 => Just(How::SoftId), 3 => Just(How::HardId), 1 => Just(How::SoftAddress), 1 => Just(How::HardAddress),
        1 => Just(How::SoftRevision), 1 => Just(How::HardRevision), 1 => Just(How::Constant), 1 => Just(How::After),
    ];
    let ty = prop_oneof![12 => Just(Ty::Node), 5 => Just(Ty::First), 1 => Just(Ty::Vault), 2 => Just(Ty::Once)];
    let plain = (
        name(),
        ty,
        option::of(prop::sample::select(&["iron", "gold"][..])),
        1..4u32,
        vec((name(), how), 0..5),
        option::weighted(0.3, any::<bool>()),
    );
    let options = (
        rarely(15, Just(())),
        rarely(12, any::<bool>()),
        rarely(8, Just(())),
        rarely(5, any::<bool>()),
        rarely(10, name()),
        rarely(10, name()),
        rarely(8, Just(())),
        rarely(5, Just(())),
    );
    let point = prop::sample::select(&POINTS[..]);
    let place = (
        prop::bool::weighted(0.25),
        prop::bool::weighted(0.6),
        rarely(8, 0..3u32),
        prop_oneof![3 => Just(Vec::new()), 1 => vec(point, 1..4)],
        prop::bool::weighted(0.06),
    );
    (plain, options, place).prop_map(
        |(
            (name, ty, kind, size, uses, password),
            (fixed, delete_first, retain, protect, with, alias, on_size, ignore),
            (boxed, moved, trigger, hooks, import),
        )| {
            Item {
                name,
                ty,
                kind,
                size,
                uses,
                fixed: fixed.is_some(),
                delete_first,
                retain: retain.is_some(),
                protect,
                with,
                alias,
                password,
                replace_on_size: on_size.is_some(),
                ignore_size: ignore.is_some(),
                boxed,
                moved,
                trigger,
                hooks,
                import,
            }
        },
    )
}

/// One change of a program.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Declares it, anew or in place of what has its name.
    Put(usize, Item),
    Drop(&'static str),
    /// Declares everything in the opposite order, so that dependencies may turn round.
    Turn,
}

pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec(
        prop_oneof![8 => (0..7usize, item()).prop_map(|(at, item)| Edit::Put(at, item)), 3 => name().prop_map(Edit::Drop), 1 => Just(Edit::Turn)],
        1..8,
    )
}

/// A program: what it declares, in order. What cannot be declared as drawn (a reference forwards, an alias of what is
/// there) is left out when it is tidied.
#[derive(Clone, Debug, Default)]
pub struct Listing(Vec<Item>);

impl Listing {
    pub fn edit(&mut self, edits: &[Edit]) {
        for edit in edits {
            match edit {
                Edit::Put(at, item) => match self.0.iter_mut().find(|other| other.name == item.name) {
                    Some(other) => *other = item.clone(),
                    None => self.0.insert((*at).min(self.0.len()), item.clone()),
                },
                Edit::Drop(name) => self.0.retain(|item| item.name != *name),
                Edit::Turn => self.0.reverse(),
            }
        }
    }

    /// What is declared in the end.
    pub fn tidy(&self) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        let living: BTreeSet<&str> = self.0.iter().map(|item| item.name).collect();
        let mut claimed = BTreeSet::new();
        for item in &self.0 {
            let mut item = item.clone();
            item.uses.retain(|(of, _)| items.iter().any(|other| other.name == *of));
            item.with = item.with.filter(|of| items.iter().any(|other| other.name == *of && other.ty == Ty::Node));
            item.alias = item.alias.filter(|old| !living.contains(old) && claimed.insert(*old));
            items.push(item);
        }
        items
    }
}

thread_local! {
    static VERSIONS: RefCell<Vec<Vec<Item>>> = const { RefCell::new(Vec::new()) };
}

/// What the program declares from now on.
pub fn declare(items: &[Item]) {
    declare_versions(&[items]);
}

/// What each version of the program declares; the config value `version` chooses one.
pub fn declare_versions(versions: &[&[Item]]) {
    VERSIONS.with_borrow_mut(|all| *all = versions.iter().map(|items| items.to_vec()).collect());
}

#[derive(Clone, Debug, Properties)]
struct Config {
    /// Which version of the program this is.
    #[property(default = 0)]
    version: u32,
}

struct Parts {
    urn: Urn,
    id: Output<String>,
    revision: Output<String>,
    address: Output<String>,
}

impl Parts {
    fn input(&self, how: How) -> Option<stackkit::Input<String>> {
        Some(match how {
            How::HardId | How::SoftId => stackkit::Input::new(&self.id),
            How::HardAddress | How::SoftAddress => stackkit::Input::new(&self.address),
            How::HardRevision | How::SoftRevision => stackkit::Input::new(&self.revision),
            How::Constant => stackkit::Input::new(self.revision.map(|_| "always the same".to_owned())),
            How::After => return None,
        })
    }
}

/// A hook that ran.
#[derive(Clone, Debug)]
pub struct Ran {
    serial: u64,
    pub urn: Urn,
    pub point: HookPoint,
    pub id: Option<String>,
    /// How many calls the cloud had seen when it ended well.
    pub ended: Option<usize>,
}

#[derive(Default)]
struct Hooks {
    cloud: Option<Cloud>,
    failing: Vec<(&'static str, HookPoint)>,
    ran: Vec<Ran>,
    count: u64,
}

thread_local! {
    static HOOKS: RefCell<Hooks> = RefCell::new(Hooks::default());
}

/// Hooks watch this cloud from now on, and none fails.
pub fn watch(cloud: &Cloud) {
    HOOKS.with_borrow_mut(|hooks| *hooks = Hooks { cloud: Some(cloud.clone()), ..Hooks::default() });
}

/// The hooks that ran since this was asked last.
pub fn take_ran() -> Vec<Ran> {
    HOOKS.with_borrow_mut(|hooks| std::mem::take(&mut hooks.ran))
}

/// From now on a hook fails.
pub fn fail_hook(name: &'static str, point: HookPoint) {
    HOOKS.with_borrow_mut(|hooks| hooks.failing.push((name, point)));
}

/// From now on no hook fails.
pub fn mend_hooks() {
    HOOKS.with_borrow_mut(|hooks| hooks.failing.clear());
}

fn hooked(point: HookPoint, urn: &Urn, id: Option<&str>) -> impl Future<Output = Result<()>> + Send + use<> {
    let (urn, id) = (urn.clone(), id.map(str::to_owned));
    async move {
        let seen = || HOOKS.with_borrow(|hooks| hooks.cloud.as_ref().map_or(0, |cloud| cloud.calls().len()));
        let serial = HOOKS.with_borrow_mut(|hooks| {
            hooks.count += 1;
            hooks.ran.push(Ran { serial: hooks.count, urn: urn.clone(), point, id, ended: None });
            hooks.count
        });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let ended = seen();
        HOOKS.with_borrow_mut(|hooks| {
            if hooks.failing.iter().any(|(name, at)| *name == urn.name() && *at == point) {
                return Err(Error::invalid("this hook does not pass").into());
            }
            if let Some(ran) = hooks.ran.iter_mut().find(|ran| ran.serial == serial) {
                ran.ended = Some(ended);
            }
            Ok(())
        })
    }
}

/// The canary: no byte of it may be persisted.
pub const CANARY: &str = "canary";

macro_rules! add {
    ($stack:expr, $item:ident, $parts:ident, $handles:ident, $draft:expr) => {{
        let mut draft = $draft.size($item.size);
        if let Some(kind) = $item.kind {
            draft = draft.kind(kind);
        }
        let refs = |all: &[How]| -> Option<Vec<stackkit::Input<String>>> {
            let used = $item.uses.iter().filter(|(_, how)| all.contains(how));
            let found: Vec<_> = used.filter_map(|(of, how)| $parts.get(of)?.input(*how)).collect();
            (!found.is_empty()).then_some(found)
        };
        if let Some(hard) = refs(&[How::HardId, How::HardAddress, How::HardRevision]) {
            draft = draft.hard(hard);
        }
        if let Some(soft) = refs(&[How::SoftId, How::SoftAddress, How::SoftRevision, How::Constant]) {
            draft = draft.soft(soft);
        }
        if $item.fixed {
            draft = draft.name(format!("fixed-{}", $item.path().replace('/', "-")));
        }
        if let Some(other) = $item.password {
            draft = draft.password(format!("{CANARY}-{other}")).pin(format!("{CANARY}-pin-{other}"));
        }
        let mut handle = $stack.add($item.name, draft);
        if let Some(protect) = $item.protect {
            handle = handle.protected(protect);
        }
        if $item.retain {
            handle = handle.retain_on_delete();
        }
        if let Some(first) = $item.delete_first {
            handle = handle.delete_before_replace(first);
        }
        if let Some(owner) = $item.with.and_then(|owner| $handles.get(owner)) {
            handle = handle.deleted_with(owner);
        }
        if let Some(alias) = $item.alias {
            handle = handle.alias(alias);
        }
        if $item.moved {
            handle = handle.alias(if $item.boxed { format!("/{}", $item.name) } else { path(true, $item.name) });
        }
        if let Some(trigger) = $item.trigger {
            handle = handle.replace_trigger(trigger);
        }
        if $item.import {
            handle = handle.import(found($item.name));
        }
        for point in $item.hooks.iter().copied() {
            handle = match point {
                HookPoint::BeforeCreate => handle.before_create(move |hook| hooked(point, hook.urn(), hook.id())),
                HookPoint::AfterCreate => handle.after_create(move |hook| hooked(point, hook.urn(), hook.id())),
                HookPoint::BeforeUpdate => handle.before_update(move |hook| hooked(point, hook.urn(), hook.id())),
                HookPoint::AfterUpdate => handle.after_update(move |hook| hooked(point, hook.urn(), hook.id())),
                HookPoint::BeforeDelete => handle.before_delete(move |hook| hooked(point, hook.urn(), hook.id())),
                HookPoint::AfterDelete => handle.after_delete(move |hook| hooked(point, hook.urn(), hook.id())),
            };
        }
        if $item.replace_on_size {
            handle = handle.replace_on_changes(["size"]);
        }
        if $item.ignore_size {
            handle = handle.ignore_changes(["size"]);
        }
        for (of, _) in $item.uses.iter().filter(|(_, how)| *how == How::After) {
            let of = $parts.get(of).map(|parts| parts.urn.to_string());
            handle = handle.depends_on_named(of.unwrap_or_default());
        }
        let parts = Parts {
            urn: $item.urn(),
            id: handle.id.clone(),
            revision: handle.revision.clone(),
            address: handle.address.clone(),
        };
        $parts.insert($item.name, parts);
        handle
    }};
}

#[stackkit::program(providers(Sim))]
pub async fn program(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let items = VERSIONS.with_borrow(|all| all.get(config.version as usize).cloned()).unwrap_or_default();
    let mut parts: HashMap<&str, Parts> = HashMap::new();
    let mut nodes: BTreeMap<&str, stackkit::Handle<Node>> = BTreeMap::new();
    let mut boxed = items.iter().any(|item| item.boxed).then(|| stack.component(BOX));
    for item in &items {
        let scope: &mut stackkit::Scope = match boxed.as_mut().filter(|_| item.boxed) {
            Some(component) => component,
            None => stack,
        };
        match item.ty {
            Ty::Node => {
                let handle = add!(scope, item, parts, nodes, Node::new());
                stack.output(format!("revision-of-{}", item.name), &handle.revision);
                nodes.insert(item.name, handle);
            }
            Ty::First => drop(add!(scope, item, parts, nodes, First::new())),
            Ty::Vault => drop(add!(scope, item, parts, nodes, Vault::new())),
            Ty::Once => drop(add!(scope, item, parts, nodes, Once::new())),
        }
    }
    Ok(())
}
