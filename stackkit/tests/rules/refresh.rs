//! A refresh that is cancelled midway keeps what it has.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use stackkit::engine::{DeployOptions, Deployment, RunError};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::provider::{NoSettings, Provider};
use stackkit::seal::KeyOptions;
use stackkit::{Context, Created, Error, Managed, Outcome, Value};
use tokio_util::sync::CancellationToken;

/// What the world shows at the moment, and what is cancelled when somebody looks.
static SHOWN: AtomicU32 = AtomicU32::new(1);
static LOOKED_AT: Mutex<Option<CancellationToken>> = Mutex::new(None);

pub struct Sky;

impl Provider for Sky {
    const NAME: &'static str = "sky";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Moon, Sun];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> Result<Self, Error> {
        Ok(Sky)
    }
}

macro_rules! body {
    ($name:ident $state:ident $args:ident $type:literal) => {
        /// Something in the sky.
        #[resource($type)]
        pub struct $name {
            /// Its distance.
            pub distance: u32,
            /// What one sees of it.
            #[resource(output)]
            pub shown: u32,
        }
        impl Managed for $name {
            type Provider = Sky;
            async fn create(_: &Sky, _: &Context, args: &$args) -> Outcome<Self, Created<Self>> {
                let shown = SHOWN.load(Ordering::SeqCst);
                Ok(Created::new($type, $state { args: args.clone(), shown }))
            }
            async fn read(_: &Sky, _: &Context, _: &str, prior: Option<&$state>) -> Outcome<Self, Option<$state>> {
                if let Some(token) = LOOKED_AT.lock().expect("the test's own lock").take() {
                    token.cancel();
                }
                let shown = SHOWN.load(Ordering::SeqCst);
                Ok(prior.map(|prior| $state { shown, ..prior.clone() }))
            }
            async fn update(_: &Sky, _: &Context, _: &str, prior: &$state, _: &$args) -> Outcome<Self, $state> {
                Ok(prior.clone())
            }
            async fn delete(_: &Sky, _: &Context, _: &str, _: &$state) -> Outcome<Self, ()> {
                Ok(())
            }
        }
    };
}
body!(Moon MoonState MoonArgs "sky:near:Moon");
body!(Sun SunState SunArgs "sky:near:Sun");

#[stackkit::program(providers(Sky))]
async fn sky(stack: &mut Stack) -> Result<()> {
    stack.add("moon", Moon::new(384u32));
    stack.add("sun", Sun::new(149_000u32));
    Ok(())
}

/// Rules: 16, 20.
#[stackkit::test]
async fn a_cancelled_refresh_keeps_what_it_has_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let deployment = |cancel: &CancellationToken| {
        let options = DeployOptions {
            dir: dir.path().into(),
            keys: KeyOptions::default().key_file(dir.path().join("key")),
            cancel: cancel.clone(),
            parallel: 1,
            ..DeployOptions::default()
        };
        Deployment::new(Some(sky()), options)
    };
    let everything = PlanOptions::default();
    let calm = CancellationToken::new();
    deployment(&calm).up(&everything, &|_| true).await.expect("both are made");
    SHOWN.store(2, Ordering::SeqCst);

    let cancel = CancellationToken::new();
    *LOOKED_AT.lock().expect("the test's own lock") = Some(cancel.clone());
    let error = deployment(&cancel).refresh(&everything, &|_| true).await.expect_err("cancelled");
    assert_eq!(error.exit_code(), 130, "{error}");
    let RunError::Cancelled(summary) = &error else { panic!("{error}") };
    assert_eq!((summary.update, summary.skipped, summary.cancelled), (1, 1, true));
    let shown = |state: &stackkit::state::State| -> Vec<Value> {
        let mut all: Vec<_> = state.resources.values().collect();
        all.sort_by_key(|record| record.urn.clone());
        all.into_iter().filter_map(|record| record.outputs.get("shown").cloned()).collect()
    };
    let state = deployment(&calm).state().await.expect("a state");
    assert_eq!(shown(&state), [Value::Int(2), Value::Int(1)], "the moon was read, and the sun was not");

    // Before it plans, `up` stops too.
    let cancel = CancellationToken::new();
    *LOOKED_AT.lock().expect("the test's own lock") = Some(cancel.clone());
    let error = deployment(&cancel).up(&everything, &|_| true).await.expect_err("cancelled");
    assert_eq!(error.exit_code(), 130, "{error}");
    deployment(&calm).refresh(&everything, &|_| true).await.expect("the rest");
    let state = deployment(&calm).state().await.expect("a state");
    assert_eq!(shown(&state), [Value::Int(2), Value::Int(2)]);
}
