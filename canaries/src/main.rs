//! A program whose every value is secret. They come from a file beside the stack, so that nothing of them is in the
//! program; its provider keeps the names of what it made in the folder `cloud`, and tells its secrets wherever a provider
//! may say something: in progress, in errors of its calls and of its connection, in hooks.

mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stackkit::prelude::*;
use stackkit::provider::Provider;
use stackkit::resource::{Created, Found, Intent};
use stackkit::{Context, Error, ErrorKind, Managed, Ops, types};
use stackkit_age::Age;
use stackkit_aws::{Kms, S3State};
use stackkit_azure::AzureBlobState;
use stackkit_google::GcsState;
use stackkit_k8s::KubernetesState;
use stackkit_postgres::Postgres;
use stackkit_vault::Transit;

use crate::written::{WrittenCloudKms, WrittenKeyVault};

/// Where the secrets are: a JSON object, name → text.
const FILE: &str = "CANARIES";

struct Secrets(BTreeMap<String, String>);

impl Secrets {
    fn read() -> Result<Self, Error> {
        let missing = |what: String| Error::invalid(format!("the file of secrets that {FILE} names {what}"));
        let path = std::env::var_os(FILE).ok_or_else(|| missing("is not named".into()))?;
        let text = std::fs::read_to_string(path).map_err(|error| missing(error.to_string()))?;
        serde_json::from_str(&text).map(Self).map_err(|error| missing(error.to_string()))
    }

    fn get(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    fn secret(&self, name: &str) -> Secret<String> {
        Secret::new(self.get(name))
    }

    fn bytes(&self, name: &str) -> Secret<Vec<u8>> {
        let digits = self.get(name);
        let pairs = (0..digits.len() / 2).filter_map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok());
        Secret::new(pairs.collect())
    }
}

struct Nest;

/// What the provider is given.
#[derive(Debug, Clone, Default, Properties)]
struct NestSettings {
    /// What the cloud knows us by.
    token: Option<Secret<String>>,
    /// Whether there is no connection.
    #[property(default = false)]
    gone: bool,
}

impl Provider for Nest {
    const NAME: &'static str = "nest";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![Egg];
    type Settings = NestSettings;
    type Error = Error;

    async fn connect(settings: NestSettings) -> Result<Self, Error> {
        if settings.gone {
            let token = settings.token.as_ref().map(|token| token.reveal().as_str()).unwrap_or_default();
            return Err(Error::new(ErrorKind::Denied, format!("nobody lets in {token}")));
        }
        Ok(Nest)
    }
}

/// A thing with ten secrets of its maker and two of its cloud.
#[resource("nest:Egg")]
struct Egg {
    label: String,
    /// A change of it is an update.
    generation: u64,
    awkward: Secret<String>,
    lines: Secret<Vec<String>>,
    bytes: Secret<Vec<u8>>,
    digits: Option<Secret<String>>,
    nested: Secret<BTreeMap<String, Vec<BTreeMap<String, String>>>>,
    parts: BTreeMap<String, Secret<String>>,
    #[resource(write_only)]
    once: Option<Secret<String>>,
    /// How long its calls take, in milliseconds.
    #[resource(default = 0)]
    slow: u64,
    /// Whether making or changing it fails.
    #[resource(default = false)]
    fails: bool,
    #[resource(output)]
    made: Secret<String>,
    #[resource(output)]
    keys: Vec<Secret<String>>,
}

fn thing(cx: &Context, id: &str) -> PathBuf {
    cx.dir().join("cloud").join(id)
}

fn failed(error: std::io::Error) -> Error {
    Error::invalid(error.to_string())
}

/// What a careless provider would say.
fn all(args: &EggArgs) -> String {
    let parts: Vec<&str> = args.parts.values().map(|part| part.reveal().as_str()).collect();
    let digits = args.digits.as_ref().map(|digits| digits.reveal().as_str()).unwrap_or_default();
    let nested: Vec<&str> =
        args.nested.reveal().values().flatten().flat_map(BTreeMap::values).map(String::as_str).collect();
    let all = [&[args.awkward.reveal().as_str(), digits][..], &parts, &nested].concat().join(" and ");
    format!("{all} and {}", args.lines.reveal().join(" and "))
}

impl EggState {
    fn of(args: &EggArgs) -> Result<Self, Error> {
        let secrets = Secrets::read()?;
        let egg = args.label.split('-').nth(1).unwrap_or_default();
        let keys = vec![secrets.secret(&format!("{egg}-key"))];
        Ok(Self { args: args.clone(), made: secrets.secret(&format!("{egg}-made")), keys })
    }
}

/// Whether a call has failed in passing.
static FAILED: AtomicBool = AtomicBool::new(false);

async fn work(cx: &Context, args: &EggArgs) -> Result<(), Error> {
    cx.progress(format!("working with {}", all(args)));
    tokio::time::sleep(Duration::from_millis(args.slow)).await;
    if args.label == "egg-2" && !FAILED.swap(true, Ordering::SeqCst) {
        return Err(Error::new(ErrorKind::Throttled, format!("too many of {}", all(args))));
    }
    if args.fails {
        return Err(Error::invalid(format!("refused: {}", all(args))));
    }
    Ok(())
}

impl Managed for Egg {
    type Provider = Nest;

    async fn create(_: &Nest, cx: &Context, args: &EggArgs) -> Result<Created<Self>, Error> {
        work(cx, args).await?;
        let id = format!("{}-{}", cx.name(), cx.token());
        std::fs::create_dir_all(cx.dir().join("cloud"))
            .and_then(|()| std::fs::write(thing(cx, &id), ""))
            .map_err(failed)?;
        Ok(Created::new(id, EggState::of(args)?))
    }

    async fn read(_: &Nest, cx: &Context, id: &str, prior: Option<&EggState>) -> Result<Option<EggState>, Error> {
        Ok(prior.filter(|_| thing(cx, id).exists()).cloned())
    }

    async fn update(_: &Nest, cx: &Context, _: &str, _: &EggState, args: &EggArgs) -> Result<EggState, Error> {
        work(cx, args).await?;
        EggState::of(args)
    }

    async fn delete(_: &Nest, cx: &Context, id: &str, prior: &EggState) -> Result<(), Error> {
        cx.progress(format!("breaking {}", prior.made.reveal()));
        std::fs::remove_file(thing(cx, id)).map_err(failed)
    }

    async fn find(_: &Nest, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let id = format!("{}-{}", cx.name(), intent.token);
        Ok(match thing(cx, &id).exists() {
            true => Found::Ours(Created::new(id, EggState::of(&intent.args)?)),
            false => Found::Nothing,
        })
    }
}

#[derive(Debug, Clone, Properties)]
struct Config {
    /// Sealed in the stack's file.
    token: Secret<String>,
    #[property(default = 1)]
    generation: u64,
    /// Whether calls and hooks fail.
    #[property(default = false)]
    fails: bool,
    /// Whether the provider cannot be reached.
    #[property(default = false)]
    gone: bool,
    /// How long calls take, in milliseconds.
    #[property(default = 0)]
    slow: u64,
    /// How many further eggs there are.
    #[property(default = 0)]
    more: u64,
}

/// An egg in a component, whose secret output is that of the component.
fn nest(scope: &mut Scope, secrets: &Secrets, config: &Config) -> Output<Secret<String>> {
    let mut nest = scope.component("nest");
    let egg = nest.add("egg-3", draft("egg-3", secrets, config));
    egg.made.clone()
}

fn draft(label: &str, secrets: &Secrets, config: &Config) -> Egg {
    let egg = label.split('-').nth(1).unwrap_or_default();
    let of = |name: &str| secrets.get(&format!("{egg}-{name}"));
    let deep = BTreeMap::from([("password".to_owned(), of("json")), ("key".to_owned(), of("base64"))]);
    let parts =
        BTreeMap::from([("plain".to_owned(), Secret::new(of("plain"))), ("hex".to_owned(), Secret::new(of("hex")))]);
    Egg::new(
        label,
        config.generation,
        Secret::new(of("awkward")),
        Secret::new(vec![of("url"), of("pem")]),
        secrets.bytes(&format!("{egg}-bytes")),
        Secret::new(BTreeMap::from([("users".to_owned(), vec![deep])])),
        parts,
    )
    .digits(Secret::new(of("digits")))
    .once(Secret::new(of("unicode")))
    .slow(config.slow)
}

#[stackkit::main(
    providers(Nest),
    backends(AzureBlobState, GcsState, KubernetesState, Postgres, S3State),
    keys(Age, Kms, Transit, WrittenCloudKms, WrittenKeyVault)
)]
async fn canaries(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let secrets = Secrets::read()?;
    stack.provider::<Nest>("default", NestSettings::new().token(secrets.secret("provider")).gone(config.gone));

    let fails = config.fails;
    let first = stack.add("egg-0", draft("egg-0", &secrets, &config)).after_create(move |egg| async move {
        egg.progress(format!("a hook saw {} and {}", egg.made.reveal(), egg.args.awkward.reveal()));
        if fails { Err(ProgramError::msg(format!("a hook failed on {}", egg.made.reveal()))) } else { Ok(()) }
    });
    stack.add("egg-1", draft("egg-1", &secrets, &config).fails(config.fails));
    stack.add("egg-2", draft("egg-2", &secrets, &config));
    let of_component = nest(stack, &secrets, &config);
    for number in 0..config.more {
        stack.add(format!("more-{number}"), draft("egg-0", &secrets, &config));
    }
    let script = "cat; echo \"$TOKEN\"; echo \"$TOKEN\" >&2; test -z \"$FAILS\"";
    let variables = BTreeMap::from([("TOKEN".to_owned(), Secret::new(secrets.get("environment")))]);
    let fails = if config.fails { "1" } else { "" };
    stack.add(
        "command",
        local::Command::new(list![script])
            .shell(true)
            .secret_environment(variables)
            .environment(map! { "FAILS" => fails })
            .stdin(Secret::new(secrets.get("stdin"))),
    );

    stack.output("component", of_component);
    stack.output("url", text!("postgres://app:{}@db.example.org/{}", first.made, config.token));
    stack.output("keys", &first.keys);
    Ok(())
}
