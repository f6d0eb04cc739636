//! Any number of resources that do nothing, to measure the engine with.
//!
//! ```sh
//! cargo run --release -p example-scale -- up --yes -s scale --config count=10000 --config shape=chain
//! ```

use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::resource::{Created, Found, Intent};
use stackkit::{Context, Error, Managed, Ops, types};

/// A provider of things that exist in the state alone.
struct Scale;

impl Provider for Scale {
    const NAME: &'static str = "scale";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![Item];
    type Settings = NoSettings;
    type Error = Error;

    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Scale)
    }
}

/// Something that does nothing.
#[resource("scale:Item")]
struct Item {
    /// Which one it is.
    number: u64,
    /// The label of the item that it comes after.
    after: Option<String>,
    /// A change of it is an update.
    #[resource(default = "a label of the length that labels have")]
    label: String,
    /// A change of it is a replacement.
    #[resource(replace, default = "eu-central-1")]
    region: String,
    /// What others refer to.
    #[resource(output)]
    address: String,
}

impl ItemState {
    fn of(args: &ItemArgs) -> Self {
        Self { args: args.clone(), address: format!("item-{}.{}.example", args.number, args.region) }
    }
}

impl Managed for Item {
    type Provider = Scale;

    async fn create(_: &Scale, cx: &Context, args: &ItemArgs) -> Result<Created<Self>, Error> {
        Ok(Created::new(cx.name(), ItemState::of(args)))
    }

    async fn read(_: &Scale, _: &Context, _: &str, prior: Option<&ItemState>) -> Result<Option<ItemState>, Error> {
        Ok(prior.cloned())
    }

    async fn update(_: &Scale, _: &Context, _: &str, _: &ItemState, args: &ItemArgs) -> Result<ItemState, Error> {
        Ok(ItemState::of(args))
    }

    async fn delete(_: &Scale, _: &Context, _: &str, _: &ItemState) -> Result<(), Error> {
        Ok(())
    }

    async fn find(_: &Scale, _: &Context, _: &Intent<Self>) -> Result<Found<Self>, Error> {
        Ok(Found::Nothing)
    }
}

/// How the items hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Properties)]
enum Shape {
    /// Not at all.
    Independent,
    /// Each refers to the one before.
    Chain,
    /// `count` items a, and `count` items b that refer to one a each.
    Pairs,
}

#[derive(Debug, Clone, Properties)]
struct Config {
    /// How many.
    #[property(default = 100)]
    count: u32,
    /// How they hang together.
    #[property(default = Shape::Independent)]
    shape: Shape,
    /// Set on every item: another one updates them all.
    #[property(default = "a label of the length that labels have")]
    label: String,
    /// The number of one item that has another label: it alone is updated.
    touched: Option<u32>,
    /// Set on every item: another one replaces them all.
    #[property(default = "eu-central-1")]
    region: String,
}

#[stackkit::main(providers(Scale))]
async fn scale(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let mut previous = None;
    for number in 0..config.count {
        let item = |number: u32| Item::new(u64::from(number)).label(&config.label).region(&config.region);
        let touched = config.touched == Some(number);
        let first = if touched { item(number).label("another label") } else { item(number) };
        match config.shape {
            Shape::Independent => {
                stack.add(format!("item-{number}"), first);
            }
            Shape::Chain => {
                let first = match &previous {
                    Some(address) => first.after(address),
                    None => first,
                };
                previous = Some(stack.add(format!("item-{number}"), first).address.clone());
            }
            Shape::Pairs => {
                let a = stack.add(format!("a-{number}"), first);
                stack.add(format!("b-{number}"), item(number).after(&a.address));
            }
        }
    }
    stack.output("count", config.count);
    Ok(())
}
