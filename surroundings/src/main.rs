//! A program whose cloud is the folder `cloud` beside it, and whose provider waits wherever a test has shut a door: so a
//! test says where a run stands when something happens to it, and needs no clock for that.
//!
//! | path in `cloud` | what it is |
//! |---|---|
//! | `things/NAME` | what exists, with the token that it was made with |
//! | `log` | a line for every call that began |
//! | `before/NAME`, `after/NAME`, `read/NAME` | doors: while the file is there, the call waits before its effect, between its effect and its answer, or before it reads |

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::resource::{Created, Found, Intent};
use stackkit::{Context, Error, ErrorKind, Managed, Ops, types};

/// The provider of what is in the folder.
struct Doors;

impl Provider for Doors {
    const NAME: &'static str = "doors";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![Thing];
    type Settings = NoSettings;
    type Error = Error;

    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Doors)
    }
}

/// A file in the folder.
#[resource("doors:Thing")]
struct Thing {
    /// What it refers to.
    after: Option<String>,
    /// A change of it is an update.
    #[resource(default = "first")]
    label: String,
    /// How many bytes its text has, in what it says while it is made, in its error and in its output.
    #[resource(default = 0)]
    bytes: u64,
    /// Whether making it fails.
    #[resource(default = false)]
    fails: bool,
    /// Whether its calls keep the thread that they run on while they wait, as no provider should.
    #[resource(default = false, write_only)]
    blocks: bool,
    /// A text of that length.
    #[resource(output)]
    text: String,
}

fn cloud(cx: &Context) -> PathBuf {
    cx.dir().join("cloud")
}

fn failed(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Invalid, error.to_string())
}

fn log(cx: &Context, verb: &str) -> Result<(), Error> {
    let path = cloud(cx).join("log");
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| writeln!(file, "{verb} {}", cx.name())).map_err(failed)
}

async fn pass(cx: &Context, door: &str, name: &str) {
    let shut: PathBuf = cloud(cx).join(door).join(name);
    while shut.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn thing(cx: &Context, id: &str) -> PathBuf {
    cloud(cx).join("things").join(id)
}

fn text(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

impl ThingState {
    fn of(args: &ThingArgs) -> Self {
        let length = usize::try_from(args.bytes).unwrap_or_default();
        Self { args: args.clone(), text: "x".repeat(length) }
    }
}

impl Managed for Thing {
    type Provider = Doors;

    async fn create(_: &Doors, cx: &Context, args: &ThingArgs) -> Result<Created<Self>, Error> {
        log(cx, "create")?;
        while args.blocks && cloud(cx).join("before").join(cx.name()).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        pass(cx, "before", cx.name()).await;
        let state = ThingState::of(args);
        if args.bytes > 0 {
            cx.progress(state.text.clone());
        }
        if args.fails {
            return Err(Error::invalid(format!("refused: {}", state.text)));
        }
        // Named after its token: what is made twice is there twice.
        let id = format!("{}-{}", cx.name(), cx.token());
        std::fs::write(thing(cx, &id), &args.label).map_err(failed)?;
        pass(cx, "after", cx.name()).await;
        Ok(Created::new(id, state))
    }

    async fn read(_: &Doors, cx: &Context, id: &str, prior: Option<&ThingState>) -> Result<Option<ThingState>, Error> {
        pass(cx, "read", id.rsplit_once('-').map_or(id, |(name, _)| name)).await;
        let Some(label) = text(&thing(cx, id))? else { return Ok(None) };
        Ok(prior.map(|prior| ThingState { args: ThingArgs { label, ..prior.args.clone() }, text: prior.text.clone() }))
    }

    async fn update(_: &Doors, cx: &Context, id: &str, _: &ThingState, args: &ThingArgs) -> Result<ThingState, Error> {
        log(cx, "update")?;
        pass(cx, "before", cx.name()).await;
        std::fs::write(thing(cx, id), &args.label).map_err(failed)?;
        pass(cx, "after", cx.name()).await;
        Ok(ThingState::of(args))
    }

    async fn delete(_: &Doors, cx: &Context, id: &str, _: &ThingState) -> Result<(), Error> {
        log(cx, "delete")?;
        pass(cx, "before", cx.name()).await;
        std::fs::remove_file(thing(cx, id)).map_err(failed)?;
        pass(cx, "after", cx.name()).await;
        Ok(())
    }

    async fn find(_: &Doors, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let id = format!("{}-{}", cx.name(), intent.token);
        Ok(match text(&thing(cx, &id))? {
            Some(_) => Found::Ours(Created::new(id, ThingState::of(&intent.args))),
            None => Found::Nothing,
        })
    }
}

#[derive(Debug, Clone, Properties)]
struct Config {
    /// Set on every thing.
    #[property(default = "first")]
    label: String,
    /// How many further things there are.
    #[property(default = 0)]
    more: u32,
    /// How much each thing says.
    #[property(default = 0)]
    bytes: u64,
    /// Whether making `b` fails.
    #[property(default = false)]
    fails: bool,
    /// Whether calls block their threads.
    #[property(default = false)]
    blocks: bool,
    /// How long a call on `a` may take, in milliseconds.
    patience: Option<u64>,
}

#[stackkit::main(providers(Doors))]
async fn surroundings(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let draft = || Thing::new().label(&config.label).bytes(config.bytes).blocks(config.blocks);
    let a = stack.add("a", draft());
    let a = match config.patience {
        Some(patience) => a.timeout(Duration::from_millis(patience)),
        None => a,
    };
    stack.add("b", draft().fails(config.fails).after(a.text.map(|text| text.chars().take(1).collect::<String>())));
    for number in 0..config.more {
        stack.add(format!("more-{number}"), draft());
        stack.output(format!("output-{number}"), number);
    }
    Ok(())
}
