//! Whole runs of the engine on a mocked cloud: order, diff, failure, protection.

use stackkit::event::Verb;
use stackkit::plan::Action;
use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::testing::{Failure, Test};
use stackkit::{Context, Created, Error, ErrorKind, Managed, Outcome};

/// A provider whose types are only ever mocked.
pub struct Toy;

impl Provider for Toy {
    const NAME: &'static str = "toy";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Net, Box2, Disk];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Toy)
    }
}

/// A network.
#[resource("toy:net:Net")]
pub struct Net {
    /// Its range.
    #[resource(replace)]
    pub range: String,
    /// Tags.
    pub tags: Option<std::collections::BTreeMap<String, String>>,
    /// Its id.
    #[resource(output)]
    pub id: String,
}

/// A machine in a network.
#[resource("toy:compute:Box")]
pub struct Box2 {
    /// The network.
    #[resource(replace)]
    pub net: String,
    /// Its size.
    #[resource(default = 1)]
    pub size: u32,
    /// A password.
    pub password: Option<Secret<String>>,
    /// Its address.
    #[resource(output)]
    pub address: String,
}

/// A disk: holds data.
#[resource("toy:disk:Disk", stateful)]
pub struct Disk {
    /// Its name.
    #[resource(name, replace)]
    pub name: Option<String>,
    /// Gigabytes.
    #[resource(replace)]
    pub size: u32,
    /// The network that it is in.
    pub net: Option<String>,
    /// Its id.
    #[resource(output)]
    pub id: String,
}

macro_rules! mocked_only {
    ($($resource:ident $state:ident $args:ident),*) => {$(
        impl Managed for $resource {
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
    )*};
}
mocked_only!(Net NetState NetArgs, Box2 Box2State Box2Args, Disk DiskState DiskArgs);

/// What the tests vary.
#[derive(Clone, Debug, Properties)]
struct Config {
    /// Range of the network.
    #[property(default = "10.0.0.0/16")]
    range: String,
    /// Size of the machine.
    #[property(default = 1)]
    size: u32,
    /// Whether the machine is there.
    #[property(default = true)]
    machine: bool,
    /// Whether the disk is protected.
    #[property(default = true)]
    protected: bool,
    /// Whether there is a disk.
    #[property(default = false)]
    disk: bool,
    /// Gigabytes of the disk.
    #[property(default = 10)]
    disk_size: u32,
}

#[stackkit::program(providers(Toy))]
async fn small(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let net = stack.add("main", Net::new(config.range));
    if config.machine {
        let machine = stack.add("web", Box2::new(&net.id).size(config.size).password("hunter2hunter2"));
        stack.output("address", &machine.address);
    }
    if config.disk {
        stack.add("data", Disk::new(config.disk_size)).protected(config.protected);
    }
    Ok(())
}

fn lines(run: &stackkit::testing::TestRun) -> Vec<String> {
    run.steps().into_iter().map(|(verb, urn)| format!("{} {}", verb.name(), urn.name())).collect()
}

/// Rules: 1, 7.
#[stackkit::test]
async fn up_creates_in_order_and_a_second_up_changes_nothing() {
    let test = Test::of(small);
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["create main", "create web"]);
    assert_eq!(run.output::<String>("address"), "web-address");
    let net = run.get::<Net>("main");
    assert_eq!(run.get::<Box2>("web").net, net.id);

    let again = test.up().await.expect_ok();
    assert_eq!(lines(&again), Vec::<String>::new());
    assert_eq!(again.summary().same, 2);
}

/// Rules: 1, 3.
#[stackkit::test]
async fn an_update_is_in_place_and_a_forced_change_replaces_in_the_right_order() {
    let test = Test::of(small);
    test.up().await.expect_ok();
    let run = test.clone().config("size", "4").up().await.expect_ok();
    assert_eq!(lines(&run), ["update web"]);
    assert_eq!(run.get::<Box2>("web").size, 4);

    let run = test.clone().config("size", "4").config("range", "10.9.0.0/16").up().await.expect_ok();
    assert_eq!(lines(&run), ["replace main", "replace web", "delete web", "delete main"]);
    assert_eq!(run.cloud().urns().len(), 2);
    assert_eq!(run.summary().replace, 2);
}

/// Rules: 1.
#[stackkit::test]
async fn what_leaves_the_program_is_deleted_and_destroy_deletes_the_rest() {
    let test = Test::of(small);
    test.up().await.expect_ok();
    let run = test.clone().config("machine", "false").up().await.expect_ok();
    assert_eq!(lines(&run), ["delete web"]);
    let run = test.destroy().await.expect_ok();
    assert_eq!(lines(&run), ["delete main"]);
    assert!(run.cloud().ids().is_empty());
}

/// Rules: 24.
#[stackkit::test]
async fn protection_refuses_before_anything_is_touched() {
    let test = Test::of(small).config("disk", "true");
    test.up().await.expect_ok();
    test.cloud().clear_calls();
    let run = test.destroy().await;
    assert_eq!(run.expect_err().exit_code(), 3, "{}", run.expect_err());
    assert!(run.expect_err().to_string().contains("toy:disk:Disk::data"), "{}", run.expect_err());
    let run = test.clone().config("disk_size", "20").up().await;
    assert_eq!(run.expect_err().exit_code(), 3);
    assert!(test.cloud().calls().is_empty());

    let test = test.config("protected", "false");
    let run = test.up().await.expect_ok();
    assert!(lines(&run).is_empty(), "a change of options alone touches the state only: {:?}", lines(&run));
    let run = test.clone().config("disk_size", "20").up().await.expect_ok();
    assert_eq!(lines(&run), ["replace data", "delete data"]);
    test.destroy().await.expect_ok();
    assert!(test.cloud().ids().is_empty());
}

/// Rules: 11, 17.
#[stackkit::test]
async fn a_failed_create_skips_its_dependents_and_the_next_up_goes_on() {
    let test = Test::of(small).config("disk", "true").failing(Failure::of(Verb::Create, "main"));
    let run = test.up().await;
    assert_eq!(run.expect_err().exit_code(), 1);
    let summary = run.summary();
    assert_eq!((summary.failed, summary.skipped, summary.create), (1, 1, 1));
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["create main", "create web"]);
}

/// Rules: 15.
#[stackkit::test]
async fn a_lost_reply_makes_nothing_twice() {
    let failure = Failure::of(Verb::Create, "main").kind(ErrorKind::UnknownOutcome).after_effect();
    let test = Test::of(small).failing(failure);
    let run = test.up().await.expect_ok();
    assert_eq!(run.cloud().urns().len(), 2);
}

/// Rules: 12.
#[stackkit::test]
async fn a_failed_update_is_tried_again() {
    let test = Test::of(small);
    test.up().await.expect_ok();
    let test = test.config("size", "2").failing(Failure::of(Verb::Update, "web"));
    test.up().await.expect_err();
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["update web"]);
}

/// Rules: 13.
#[stackkit::test]
async fn a_failed_delete_of_a_replaced_one_is_tried_first_next_time() {
    let test = Test::of(small).config("machine", "false");
    test.up().await.expect_ok();
    let test = test.config("range", "10.9.0.0/16").failing(Failure::of(Verb::Delete, "main"));
    test.up().await.expect_err();
    assert_eq!(test.cloud().ids().len(), 2);
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["delete main"]);
    assert_eq!(test.cloud().ids().len(), 1);
}

/// Rules: 20.
#[stackkit::test]
async fn drift_is_mended_and_what_is_gone_is_made_again() {
    let test = Test::of(small);
    test.up().await.expect_ok();
    assert!(test.cloud().tamper("web", <Box2 as stackkit::Resource>::SCHEMA, "size", stackkit::Value::Int(9)));
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["update web"]);
    assert!(test.cloud().remove("web"));
    let run = test.up().await.expect_ok();
    assert_eq!(lines(&run), ["create web"]);
    assert!(lines(&test.up().await.expect_ok()).is_empty());
}

/// Rules: 32.
#[stackkit::test]
async fn a_preview_changes_nothing() {
    let test = Test::of(small);
    let run = test.preview().await;
    assert_eq!(run.planned::<Net>("main"), Action::Create);
    assert!(test.cloud().ids().is_empty());
    assert!(run.state().resources.is_empty());
}

/// Rules: 20.
#[stackkit::test]
async fn another_account_is_refused_before_anything_is_read() {
    let test = Test::of(small);
    test.cloud().set_identity("account-1");
    test.up().await.expect_ok();
    test.cloud().set_identity("account-2");
    let run = test.up().await;
    assert_eq!(run.expect_err().exit_code(), 3, "{}", run.expect_err());
    assert!(run.expect_err().to_string().contains("account-1"));
}

/// Rules: 15, 35.
#[stackkit::test]
async fn every_crash_converges() {
    for (disk, parallel) in [("false", 1), ("true", 4)] {
        let test = Test::of(small).config("disk", disk).config("protected", "false").parallel(parallel);
        test.up().await.expect_ok().simulate_crashes().await.assert_converges();
    }
}

#[stackkit::test]
async fn unknown_and_missing_config_values_are_reported_together() {
    let run = Test::of(small).config("rnage", "x").config("size", "many").up().await;
    let error = run.expect_err().to_string();
    assert!(error.contains("`rnage`"), "{error}");
    assert_eq!(run.expect_err().exit_code(), 1);
}
