//! What the benches share: a provider that does nothing, programs over it, and deployments into a folder.

use std::path::Path;

use stackkit::engine::{DeployOptions, Deployment};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::{Context, Created, Error, Managed, Outcome};

/// A provider whose calls return at once.
#[derive(Debug)]
pub struct Nothing;

impl Provider for Nothing {
    const NAME: &'static str = "nothing";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Item];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Nothing)
    }
}

/// A resource with the fields of a small one.
#[resource("nothing:bench:Item")]
pub struct Item {
    /// A label.
    pub label: String,
    /// Another item.
    pub after: Option<String>,
    /// A number.
    #[resource(default = 1)]
    pub size: u32,
    /// A secret.
    pub password: Option<Secret<String>>,
    /// Its id.
    #[resource(output)]
    pub id: String,
}

impl Managed for Item {
    type Provider = Nothing;
    async fn create(_: &Nothing, cx: &Context, args: &ItemArgs) -> Outcome<Self, Created<Self>> {
        let id = cx.token().to_owned();
        Ok(Created::new(id.clone(), ItemState { args: args.clone(), id }))
    }
    async fn read(_: &Nothing, _: &Context, _: &str, prior: Option<&ItemState>) -> Outcome<Self, Option<ItemState>> {
        Ok(prior.cloned())
    }
    async fn update(_: &Nothing, _: &Context, _: &str, prior: &ItemState, args: &ItemArgs) -> Outcome<Self, ItemState> {
        Ok(ItemState { args: args.clone(), id: prior.id.clone() })
    }
    async fn delete(_: &Nothing, _: &Context, _: &str, _: &ItemState) -> Outcome<Self, ()> {
        Ok(())
    }
}

/// How big, and of which shape.
#[derive(Clone, Debug, Properties)]
struct Config {
    /// How many resources.
    #[property(default = 100)]
    count: u32,
    /// Whether each refers to the one before it.
    #[property(default = false)]
    chain: bool,
    /// Whether each has a secret.
    #[property(default = false)]
    secrets: bool,
}

/// Items, independent or in a chain.
#[stackkit::program(providers(Nothing))]
pub async fn items(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let mut last: Option<Handle<Item>> = None;
    for index in 0..config.count {
        let mut item = Item::new(format!("label-{index}"));
        if let (true, Some(last)) = (config.chain, &last) {
            item = item.after(&last.id);
        }
        if config.secrets {
            item = item.password(format!("password-of-item-{index}"));
        }
        last = Some(stack.add(format!("item-{index}"), item));
    }
    Ok(())
}

/// A shape of the program.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many resources.
    pub count: usize,
    /// Whether each refers to the one before it.
    pub chain: bool,
    /// Whether each has a secret.
    pub secrets: bool,
}

/// A deployment of the program into a folder, with a key file there.
pub fn deployment(dir: &Path, shape: Shape) -> Deployment {
    let Shape { count, chain, secrets } = shape;
    let set = |key: &str, value: String| (key.to_owned(), value);
    Deployment::new(
        Some(items()),
        DeployOptions {
            stack: "bench".into(),
            dir: dir.into(),
            keys: stackkit::seal::KeyOptions::default().key_file(dir.join("key")),
            config: vec![
                set("count", count.to_string()),
                set("chain", chain.to_string()),
                set("secrets", secrets.to_string()),
            ],
            ..DeployOptions::default()
        },
    )
}

/// Creates everything.
///
/// # Panics
/// When the run does not end well.
pub async fn up(deployment: &Deployment) {
    if let Err(error) = deployment.up(&PlanOptions::default(), &|_| true).await {
        panic!("{error}");
    }
}

/// Deletes everything.
///
/// # Panics
/// When the run does not end well.
pub async fn destroy(deployment: &Deployment) {
    if let Err(error) = deployment.destroy(&PlanOptions::default(), &|_| true).await {
        panic!("{error}");
    }
}

/// Plans; reality is read as `preview` reads it.
///
/// # Panics
/// When the run does not end well.
pub async fn preview(deployment: &Deployment) {
    if let Err(error) = deployment.preview(&PlanOptions::default()).await {
        panic!("{error}");
    }
}
