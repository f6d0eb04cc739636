//! Clocks that are put back and forth between a run that was cut short and the next one: how long absence proves nothing
//! is time of the run that looks, and no clock has a say in it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stackkit::engine::{DeployOptions, Deployment};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::resource::{Found, Intent};
use stackkit::seal::{Header, KeyOptions, config_path};
use stackkit::state::backend::Holder;
use stackkit::state::model::{Change, IntentRecord, Record};
use stackkit::state::{LocalBackend, Store};
use stackkit::{Context, Created, Error, Managed, Ops, Program, types};
use tokio::sync::Notify;

/// What exists: the tokens that things were made with.
static CLOUD: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// The token of the call that is on its way, and the look at which it lands.
static CALLED: Mutex<Option<(String, u32)>> = Mutex::new(None);
static BEGUN: Notify = Notify::const_new();
/// Never, for a call that died on its way.
const NEVER: u32 = u32::MAX;

struct Slow;

impl Provider for Slow {
    const NAME: &'static str = "slow";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![Thing];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Slow)
    }
}

/// Something whose create may land long after its caller is dead.
#[resource("slow:Thing", settle = 1)]
struct Thing {
    /// What it is called.
    label: String,
}

impl Managed for Thing {
    type Provider = Slow;
    async fn create(_: &Slow, cx: &Context, args: &ThingArgs) -> Result<Created<Self>, Error> {
        let first = CALLED.lock().expect("the call").is_none();
        if first {
            *CALLED.lock().expect("the call") = Some((cx.token().to_owned(), NEVER));
            BEGUN.notify_one();
            std::future::pending::<()>().await;
        }
        CLOUD.lock().expect("the cloud").push(cx.token().to_owned());
        Ok(Created::new(cx.token(), ThingState { args: args.clone() }))
    }
    async fn read(_: &Slow, _: &Context, id: &str, prior: Option<&ThingState>) -> Result<Option<ThingState>, Error> {
        let there = CLOUD.lock().expect("the cloud").iter().any(|token| token == id);
        Ok(prior.filter(|_| there).cloned())
    }
    async fn update(_: &Slow, _: &Context, _: &str, _: &ThingState, args: &ThingArgs) -> Result<ThingState, Error> {
        Ok(ThingState { args: args.clone() })
    }
    async fn delete(_: &Slow, _: &Context, _: &str, _: &ThingState) -> Result<(), Error> {
        Ok(())
    }
    async fn find(_: &Slow, _: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let mut cloud = CLOUD.lock().expect("the cloud");
        if let Some((token, looks @ 1..)) = &mut *CALLED.lock().expect("the call") {
            *looks -= 1;
            if *looks == 0 {
                cloud.push(token.clone());
            }
        }
        Ok(match cloud.iter().find(|token| **token == intent.token) {
            Some(token) => Found::Ours(Created::new(token, ThingState { args: intent.args.clone() })),
            None => Found::Nothing,
        })
    }
}

#[stackkit::program(providers(Slow))]
async fn one_thing(stack: &mut Stack) -> Result<()> {
    stack.add("thing", Thing::new("first"));
    Ok(())
}

fn deployment(dir: &std::path::Path) -> Deployment {
    let keys = KeyOptions::default().key_file(dir.join("key"));
    let program: Program = one_thing();
    Deployment::new(Some(program), DeployOptions { dir: dir.to_owned(), keys, ..DeployOptions::default() })
}

/// Lets the open call say another time of its beginning: what the clock of the dead run said.
async fn set_clock(dir: &std::path::Path, at: u64) {
    let header = Header::read(&config_path(dir, "dev")).expect("a header").expect("a header");
    let keys = KeyOptions::default().key_file(dir.join("key"));
    let sealer = Arc::new(stackkit::seal::unlock(&header, &keys).await.expect("a sealer"));
    let backend = Arc::new(LocalBackend::new(dir.join(".stackkit"), "dev"));
    let (mut store, state) = Store::open(backend, sealer).await.expect("a state");
    let intent = state.intents.values().next().expect("an open call").clone();
    store.lock(Holder::new("test").expect("a holder")).await.expect("the lock");
    let intent = IntentRecord { at, ..intent };
    store.commit(&[Change::Put(Record::Intent(Box::new(intent)))]).await.expect("written");
}

/// Rules: 15.
#[tokio::test]
async fn absence_counts_only_after_the_settle_time_whatever_the_clock_says() {
    let past_and_future = [0, 1, 4_000_000_000, u64::MAX];
    for (at, lands_at_look) in past_and_future.into_iter().flat_map(|at| [(at, 2), (at, NEVER)]) {
        CLOUD.lock().expect("the cloud").clear();
        *CALLED.lock().expect("the call") = None;
        let dir = tempfile::tempdir().expect("a folder");
        let (deployment, options) = (deployment(dir.path()), PlanOptions::default());
        tokio::select! {
            ended = deployment.up(&options, &|_| true) => panic!("{ended:?}"),
            () = BEGUN.notified() => {}
        }
        set_clock(dir.path(), at).await;
        if let Some((_, looks)) = &mut *CALLED.lock().expect("the call") {
            *looks = lands_at_look;
        }
        // With a clock that has a say, it would wait until the year of the open call.
        let next = tokio::time::timeout(Duration::from_secs(120), deployment.up(&options, &|_| true));
        let summary = next.await.expect("it waits no longer than its settle time").expect("it converges");
        assert_eq!(CLOUD.lock().expect("the cloud").len(), 1, "made once: {at}");
        assert_eq!(summary.create, usize::from(lands_at_look == NEVER), "adopted where it landed: {at}");
    }
}
