//! Secrets: a run shows that one changed, never what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stackkit::event::{Event, Operation, Verb};
use stackkit::lookup::{Answer, Lookup};
use stackkit::prelude::*;
use stackkit::provider::Provider;
use stackkit::testing::{Failure, Test, TestRun};
use stackkit::ui::{PlanStyle, render_plan};
use stackkit::{Context, Error, Resource, Value, lookup, types};

use crate::toys::*;

const CANARIES: [&str; 3] = ["Canary-Eins/ü\"1", "canary-zwei-22222", "canary-drei-33333"];

fn everything(test: &Test, run: &TestRun) -> String {
    let log = test.backend().log();
    let mut all: String = log.entries.iter().chain(&log.snapshot).map(|bytes| String::from_utf8_lossy(bytes)).collect();
    for event in run.events() {
        all.push_str(&format!("{event:?}\n"));
    }
    all.push_str(&crate::timeline::drawn(run));
    all.push_str(&format!("{run:?}\n{:?}\n{:?}\n", run.plan(), run.state()));
    if run.summary().failed > 0 || run.plan().is_none_or(|plan| !plan.diagnostics.is_empty()) {
        all.push_str(&run.expect_err().to_string());
        all.push_str(&format!("{:?}", run.expect_err()));
    }
    all
}

#[track_caller]
fn hidden(test: &Test, run: &TestRun) {
    let all = everything(test, run);
    for canary in CANARIES {
        let quoted = format!("{canary:?}");
        for spelling in [canary, quoted.trim_matches('"')] {
            assert!(!all.contains(spelling), "`{spelling}` stands in what the run left behind or said");
        }
    }
}

/// Rules: 10, 34.
#[stackkit::test]
async fn no_canary_is_ever_seen() {
    let with = |password: &str, pin: &str| {
        let (password, pin) = (Some(password.to_owned()), Some(pin.to_owned()));
        vec![item("a").with(|a| (a.password, a.pin) = (password, pin)), item("b").soft("a")]
    };
    let test = test(&[with(CANARIES[0], CANARIES[1]), with(CANARIES[1], CANARIES[1]), with(CANARIES[1], CANARIES[2])]);
    hidden(&test, &test.up().await.expect_ok());
    let run = version(&test, 1).preview().await;
    assert_eq!(planned(&run), ["update a"]);
    let change = &run.plan().expect("a plan").nodes[0].changes[0];
    assert_eq!(
        (change.field, format!("{:?}", change.before), format!("{:?}", change.after)),
        ("password", "[secret]".into(), "[secret]".into())
    );
    hidden(&version(&test, 1), &run);
    for to in [1, 2] {
        // What the program or the state has is known; other people's secrets are not.
        let known = &CANARIES[to - 1..=to];
        for message in known {
            test.cloud().fail(Failure::of(Verb::Update, "a").message(&format!("the server said: {message}")));
        }
        for _ in known {
            let run = version(&test, to).up().await;
            assert!(run.failures()[0].contains("the server said"), "{:?}", run.failures());
            hidden(&test, &run);
        }
        test.cloud().fail(Failure::of(Verb::Update, "a").message(CANARIES[1]).panics());
        hidden(&test, &version(&test, to).up().await);
        hidden(&test, &version(&test, to).up().await.expect_ok());
        settled(&version(&test, to)).await;
    }
    let run = version(&test, 2).destroy().await.expect_ok();
    hidden(&test, &run);
    assert!(!run.events().iter().any(|event| matches!(event, Event::StepFailed { .. })));
}

/// The recorded pin of the one resource.
fn pin(run: &TestRun) -> Option<Value> {
    run.state().resources.values().next().and_then(|record| record.inputs.get("pin").cloned())
}

/// That no more than a digest is recorded.
#[track_caller]
fn digested(run: &TestRun) {
    match pin(run) {
        Some(Value::Secret(secret)) if matches!(secret.reveal(), Value::Digest(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// Rules: 10, 34.
#[stackkit::test]
async fn of_a_write_only_secret_the_state_has_a_digest_that_tells_a_rotation() {
    let with = |pin: Option<&str>, size| vec![item("a").size(size).with(|a| a.pin = pin.map(str::to_owned))];
    let (first, second) = (Some(CANARIES[1]), Some(CANARIES[2]));
    let test = test(&[with(first, 1), with(second, 1), with(second, 2), with(None, 2)]);
    let run = test.up().await.expect_ok();
    digested(&run);
    hidden(&test, &run);
    settled(&test).await;

    let run = version(&test, 1).preview().await;
    assert_eq!(planned(&run), ["update a"]);
    let text = render_plan(run.plan().expect("a plan"), Operation::Preview, PlanStyle::default());
    assert!(text.contains("pin  [secret] rotated"), "{text}");
    hidden(&test, &run);
    let run = version(&test, 1).up().await.expect_ok();
    digested(&run);
    assert_eq!(run.cloud().value("a", Node::SCHEMA, "pin"), Some(Value::text(CANARIES[2]).into_secret()));
    settled(&version(&test, 1)).await;

    // What changes beside it leaves the digest alone, and what is not given any more is a change.
    let before = pin(&run);
    let run = version(&test, 2).up().await.expect_ok();
    assert_eq!((lines(&run), format!("{:?}", pin(&run) == before)), (vec!["update a".to_owned()], "true".to_owned()));
    assert_eq!(planned(&version(&test, 3).preview().await), ["update a"]);
    let run = version(&test, 3).up().await.expect_ok();
    assert_eq!(pin(&run), None);
    settled(&version(&test, 3)).await;
    version(&test, 3).destroy().await.expect_ok();
}

/// Rules: 10.
#[stackkit::test]
async fn a_saved_plan_knows_a_write_only_secret_again_by_its_digest() {
    let with = |pin: &str| vec![item("a").with(|a| a.pin = Some(pin.to_owned()))];
    let test = test(&[with(CANARIES[1]), with(CANARIES[2])]);
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("plan");
    test.save_plan(&file).await.expect_ok();
    describe(&[with(CANARIES[2])]);
    let refused = test.up_saved(&file).await;
    assert!(refused.expect_err().to_string().contains("`pin` is another secret"), "{}", refused.expect_err());
    describe(&[with(CANARIES[1])]);
    let run = test.up_saved(&file).await.expect_ok();
    assert_eq!(run.cloud().value("a", Node::SCHEMA, "pin"), Some(Value::text(CANARIES[1]).into_secret()));
}

/// A token that ends soon.
#[lookup("toy:core:Token")]
pub struct Token {
    /// What it is for.
    pub audience: String,
    /// The token.
    #[lookup(output)]
    pub token: Ephemeral<String>,
}

impl Lookup for Token {
    type Provider = Toy;
    async fn look_up(_: &Toy, _: &Context, _: &TokenArgs) -> Answer<Self> {
        Err(Error::invalid("mocked only"))
    }
}

/// A provider that is reached with a token.
pub struct Gate;

/// Its settings.
#[derive(Debug, Clone, Default, Properties)]
pub struct GateSettings {
    /// Where it is.
    pub region: Option<String>,
    /// Who asks.
    pub token: Option<Ephemeral<String>>,
}

impl Provider for Gate {
    const NAME: &'static str = "gate";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = types![Door];
    type Settings = GateSettings;
    type Error = Error;
    async fn connect(_: GateSettings) -> std::result::Result<Self, Error> {
        Err(Error::invalid("mocked only"))
    }
}

/// Something behind it.
#[resource("gate:Door")]
pub struct Door {
    /// Its size.
    pub size: u32,
}

impl stackkit::Managed for Door {
    type Provider = Gate;
    async fn create(_: &Gate, _: &Context, _: &DoorArgs) -> stackkit::Outcome<Self, stackkit::Created<Self>> {
        Err(Error::invalid("mocked only"))
    }
    async fn read(_: &Gate, _: &Context, _: &str, _: Option<&DoorState>) -> stackkit::Outcome<Self, Option<DoorState>> {
        Err(Error::invalid("mocked only"))
    }
    async fn update(_: &Gate, _: &Context, _: &str, _: &DoorState, _: &DoorArgs) -> stackkit::Outcome<Self, DoorState> {
        Err(Error::invalid("mocked only"))
    }
    async fn delete(_: &Gate, _: &Context, _: &str, _: &DoorState) -> stackkit::Outcome<Self, ()> {
        Err(Error::invalid("mocked only"))
    }
}

#[derive(Clone, Debug, Properties)]
struct Size {
    #[property(default = 1)]
    size: u32,
}

#[stackkit::program(providers(Toy, Gate))]
async fn tokens(stack: &mut Stack) -> Result<()> {
    let config: Size = stack.config()?;
    let token = stack.data("join", Token::new("agents"));
    stack.provider::<Gate>("default", GateSettings::new().region("east").token(&token.token));
    stack.add("a", Node::new().size(config.size).pin(text!("Bearer {}", token.token)));
    stack.add("door", Door::new(config.size));
    Ok(())
}

/// Rules: 10, 22.
#[stackkit::test]
async fn an_ephemeral_value_is_given_and_never_kept_and_is_no_change() {
    let test = Test::of(tokens);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    test.cloud().answer::<Token>(move |args| {
        let turn = count.fetch_add(1, Ordering::SeqCst);
        Ok(TokenState { args: args.clone(), token: Ephemeral::new(format!("{}-{turn}", CANARIES[1])) })
    });
    let given = |run: &TestRun| run.cloud().value("a", Node::SCHEMA, "pin");
    let bearer = |turn| Some(Value::text(format!("Bearer {}-{turn}", CANARIES[1])).into_secret());
    let run = test.up().await.expect_ok();
    assert_eq!(given(&run).map(|pin| pin.reveal().clone()), bearer(0).map(|pin| pin.reveal().clone()));
    hidden(&test, &run);
    let settings = &run.state().providers["gate"].settings;
    assert_eq!(format!("{settings:?}"), r#"{"region": "east"}"#);
    settled(&test).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "each run asks once");

    // What goes there for another reason takes the present one along.
    let run = test.clone().config("size", "2").up().await.expect_ok();
    assert_eq!(lines(&run).len(), 2);
    assert_eq!(given(&run).map(|pin| pin.reveal().clone()), bearer(2).map(|pin| pin.reveal().clone()));
    hidden(&test, &run);
    let file = tempfile::tempdir().expect("a folder");
    let file = file.path().join("plan");
    let third = test.clone().config("size", "3");
    third.save_plan(&file).await.expect_ok();
    third.up_saved(&file).await.expect_ok();
    third.clone().run_program().destroy().await.expect_ok();
}

/// The type before it was marked, and after.
mod aged {
    use super::*;

    macro_rules! aged {
        ($module:ident $($mark:meta)?) => {
            pub mod $module {
                use super::*;

                pub struct Aged;
                impl Provider for Aged {
                    const NAME: &'static str = "aged";
                    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = types![Lock];
                    type Settings = stackkit::provider::NoSettings;
                    type Error = Error;
                    async fn connect(_: ()) -> std::result::Result<Self, Error> {
                        Ok(Aged)
                    }
                }

                /// A lock.
                #[resource("aged:Lock")]
                pub struct Lock {
                    /// What opens it.
                    $(#[$mark])?
                    pub pin: Secret<String>,
                }

                impl stackkit::Managed for Lock {
                    type Provider = Aged;
                    async fn create(_: &Aged, _: &Context, _: &LockArgs) -> stackkit::Outcome<Self, stackkit::Created<Self>> {
                        Err(Error::invalid("mocked only"))
                    }
                    async fn read(_: &Aged, _: &Context, _: &str, _: Option<&LockState>) -> stackkit::Outcome<Self, Option<LockState>> {
                        Err(Error::invalid("mocked only"))
                    }
                    async fn update(_: &Aged, _: &Context, _: &str, _: &LockState, _: &LockArgs) -> stackkit::Outcome<Self, LockState> {
                        Err(Error::invalid("mocked only"))
                    }
                    async fn delete(_: &Aged, _: &Context, _: &str, _: &LockState) -> stackkit::Outcome<Self, ()> {
                        Err(Error::invalid("mocked only"))
                    }
                }

                #[stackkit::program(name = "locks", providers(Aged))]
                pub async fn program(stack: &mut Stack) -> Result<()> {
                    stack.add("lock", Lock::new(CANARIES[1]));
                    Ok(())
                }
            }
        };
    }
    aged!(before);
    aged!(after resource(write_only));
}

/// Rules: 10.
#[stackkit::test]
async fn a_state_that_has_the_secret_itself_is_read_and_loses_it_without_a_call() {
    let test = Test::of(aged::before::program);
    let run = test.up().await.expect_ok();
    assert_eq!(pin(&run), Some(Value::text(CANARIES[1]).into_secret()));
    assert!(pin(&run).is_some_and(|pin| *pin.reveal() == Value::text(CANARIES[1])), "the value itself is kept");
    let test = test.with_program(aged::after::program);
    let run = test.up().await.expect_ok();
    digested(&run);
    assert_eq!((lines(&run), run.appended() > 0), (Vec::<String>::new(), true));
    settled(&test).await;
}
