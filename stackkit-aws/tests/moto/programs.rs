//! Whole programs through the engine: made, unchanged, changed, and taken down again.
//!
//! Credentials come from the environment, as users give them. A test that needs them runs itself once more, in a process
//! of its own with the environment of its server.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use stackkit::engine::{DeployOptions, Deployment, RunError};
use stackkit::event::{Event, Summary};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;
use stackkit_aws::{Aws, Settings, ec2, rds, s3};
use test_servers::{Fault, FaultMode, Moto};

use crate::support::Outcome;

#[derive(Debug, Clone, Properties)]
struct Config {
    #[property(default = "10.0.2.0/24")]
    second: Cidr,
    #[property(default = "dev")]
    environment: String,
    #[property(default = true)]
    protected: bool,
}

#[stackkit::program(providers(Aws))]
async fn shop(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    stack.provider::<Aws>("default", Settings::new().default_tags([("environment", config.environment.as_str())]));
    let vpc = stack.add("main", ec2::Vpc::new(cidr!("10.0.0.0/16")));
    let gateway = stack.add("main", ec2::InternetGateway::new(&vpc.id));
    let a = stack.add("a", ec2::Subnet::new(&vpc.id, cidr!("10.0.1.0/24")).availability_zone("eu-central-1a"));
    let b = stack.add("b", ec2::Subnet::new(&vpc.id, config.second).availability_zone("eu-central-1b"));
    let c = stack.add("c", ec2::Subnet::new(&vpc.id, cidr!("10.0.3.0/24")).availability_zone("eu-central-1c"));
    let routes = [ec2::Route::new(cidr!("0.0.0.0/0"), &gateway.id)];
    stack.add("public", ec2::RouteTable::new(&vpc.id).routes(routes).subnet_ids([&b.id]));
    let web = stack.add("web", ec2::SecurityGroup::new(&vpc.id).ingress([ec2::Rule::tcp(443, cidr!("0.0.0.0/0"))]));
    let inner = stack.add("db", ec2::SecurityGroup::new(&vpc.id).ingress([ec2::Rule::tcp(5432, &web.id)]));
    let bucket = stack.add("files", s3::Bucket::new().force_destroy(!config.protected)).protected(config.protected);
    let password = stack.add("password", local::RandomPassword::new(24).special(false));
    let group = stack.add("db", rds::SubnetGroup::new([&a.id, &c.id]));
    let database = stack
        .add(
            "orders",
            rds::Instance::postgres("16", "db.t4g.micro", 20)
                .subnet_group(&group.name)
                .security_group_ids([&inner.id])
                .password(&password.value)
                .deletion_protection(config.protected),
        )
        .protected(config.protected);
    stack.output("bucket", &bucket.name);
    stack.output("url", text!("postgres://app:{}@{}/orders", password.value, database.endpoint));
    Ok(())
}

/// How many resources the program declares.
const ALL: usize = 12;

/// Runs the test once more with the environment of a server of its own. `None` in that second process.
pub(crate) fn parent(test: &str) -> Option<Moto> {
    if std::env::var_os("AWS_ENDPOINT_URL").is_some_and(|url| url.to_string_lossy().contains("127.0.0.1")) {
        return None;
    }
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let itself = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let run = Command::new(itself).args(["--exact", test, "--nocapture"]).envs(moto.env()).output();
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    assert!(run.status.success(), "{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    Some(moto)
}

struct World {
    dir: tempfile::TempDir,
    events: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        Self { dir, events: Arc::default() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn deployment(&self, config: &[(&str, &str)]) -> Deployment {
        let events = Arc::clone(&self.events);
        let keys = KeyOptions { default_key_file: Some(self.path().join("key")), ..KeyOptions::default() };
        let options = DeployOptions {
            stack: "test".into(),
            dir: self.path().to_owned(),
            keys,
            config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            listener: Arc::new(move |event: &Event| {
                if let Ok(mut events) = events.lock() {
                    events.push(format!("{event:?}"));
                }
            }),
            ..DeployOptions::default()
        };
        Deployment::new(Some(shop()), options)
    }

    async fn up(&self, config: &[(&str, &str)]) -> Result<Summary, RunError> {
        self.deployment(config).up(&PlanOptions::default(), &|_| true).await.map_err(|error| self.tell(error))
    }

    async fn destroy(&self) -> Result<Summary, RunError> {
        self.deployment(&[]).destroy(&PlanOptions::default(), &|_| true).await.map_err(|error| self.tell(error))
    }

    /// What happened goes to stderr, for whoever reads why the test failed.
    fn tell(&self, error: RunError) -> RunError {
        for event in self.events.lock().iter().flat_map(|events| events.iter()) {
            eprintln!("{event}");
        }
        error
    }
}

fn counts(summary: &Summary) -> [usize; 4] {
    [summary.create, summary.update, summary.replace, summary.delete]
}

#[test]
fn a_program_is_deployed_changed_and_taken_down() {
    let Some(moto) = parent("programs::a_program_is_deployed_changed_and_taken_down") else {
        return block_on(deploy_change_and_take_down());
    };
    let calls = moto.call_log().unwrap_or_default();
    let failed: Vec<_> = calls.iter().filter(|call| call.status.is_some_and(|status| status >= 500)).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let made = |name: &str| calls.iter().filter(|call| call.name == name).count();
    assert_eq!((made("ec2:CreateVpc"), made("ec2:DeleteVpc")), (1, 1));
    assert_eq!((made("rds:CreateDBInstance"), made("s3:CreateBucket")), (1, 1));
}

async fn deploy_change_and_take_down() -> Outcome {
    let world = World::new();
    let first = world.up(&[]).await?;
    assert_eq!(counts(&first), [ALL, 0, 0, 0]);
    for file in walk(world.path())? {
        let text = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
        assert!(!text.contains("postgres://app:"), "{} holds the URL in plain text", file.display());
    }

    let again = world.up(&[]).await?;
    assert_eq!(counts(&again), [0, 0, 0, 0], "an `up` right after an `up` changes nothing");

    // The subnet is replaced; the table that serves it follows.
    let moved = world.up(&[("second", "10.0.9.0/24")]).await?;
    assert_eq!(counts(&moved), [0, 1, 1, 0]);
    assert_eq!(counts(&world.up(&[("second", "10.0.9.0/24")]).await?), [0, 0, 0, 0]);

    // The default tags changed, and all that can have tags get them.
    let tagged = world.up(&[("second", "10.0.9.0/24"), ("environment", "prod")]).await?;
    assert_eq!(counts(&tagged), [0, ALL - 1, 0, 0]);
    let drifted = world.events.lock().map(|events| events.iter().any(|event| event.starts_with("Drift")));
    assert_eq!(drifted.ok(), Some(false), "it was the program that changed them");

    assert!(world.destroy().await.is_err(), "what holds data is protected");
    let open = [("second", "10.0.9.0/24"), ("environment", "prod"), ("protected", "false")];
    assert_eq!(world.up(&open).await?.update, 2);
    assert_eq!(world.destroy().await?.delete, ALL);
    Ok(())
}

#[stackkit::test]
async fn a_program_can_be_tested_without_a_cloud() {
    let run = stackkit::testing::Test::of(shop).config("protected", "false").up().await.expect_ok();
    let database = run.get::<rds::Instance>("orders");
    assert!(!database.publicly_accessible && database.storage_encrypted && database.final_snapshot);
    assert!(run.get::<s3::Bucket>("files").block_public_access);
}

#[test]
fn a_program_gets_through_throttling_and_lost_answers() {
    if let Some(moto) = faulty("programs::a_program_gets_through_throttling_and_lost_answers") {
        let calls = moto.call_log().unwrap_or_default();
        assert!(calls.iter().filter(|call| call.fault.is_some()).count() >= 10);
    }
}

/// As [`parent`], with faults that hit before and after the calls have had their effect.
fn faulty(test: &str) -> Option<Moto> {
    if std::env::var_os("AWS_ENDPOINT_URL").is_some_and(|url| url.to_string_lossy().contains("127.0.0.1")) {
        block_on(async {
            let world = World::new();
            let first = world.up(&[("protected", "false")]).await?;
            assert_eq!(first.failed, 0);
            assert_eq!(counts(&world.up(&[("protected", "false")]).await?), [0, 0, 0, 0]);
            // What was found again after its answer was lost was finished, too.
            let attributes = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
            let (ec2, s3) = (aws_sdk_ec2::Client::new(&attributes), aws_sdk_s3::Client::new(&attributes));
            let ours = aws_sdk_ec2::types::Filter::builder().name("cidr").values("10.0.0.0/16").build();
            let vpcs = ec2.describe_vpcs().filters(ours).send().await?;
            let [vpc] = vpcs.vpcs() else { return Err(format!("{} networks", vpcs.vpcs().len()).into()) };
            let name = aws_sdk_ec2::types::VpcAttributeName::EnableDnsHostnames;
            let dns =
                ec2.describe_vpc_attribute().vpc_id(vpc.vpc_id().unwrap_or_default()).attribute(name).send().await?;
            assert_eq!(dns.enable_dns_hostnames().and_then(|it| it.value()), Some(true));
            let buckets = s3.list_buckets().send().await?;
            let bucket = buckets.buckets().first().and_then(|it| it.name()).unwrap_or_default();
            let versioning = s3.get_bucket_versioning().bucket(bucket).send().await?;
            assert_eq!(versioning.status(), Some(&aws_sdk_s3::types::BucketVersioningStatus::Enabled));
            assert_eq!(world.destroy().await?.delete, ALL);
            Ok(())
        });
        return None;
    }
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let faults = [
        Fault::on("ec2:CreateVpc", FaultMode::DropAfter),
        Fault::on("ec2:CreateSubnet", FaultMode::Throttle).times(3),
        Fault::on("ec2:CreateSubnet", FaultMode::DropAfter),
        Fault::on("ec2:CreateSecurityGroup", FaultMode::DropAfter),
        Fault::on("ec2:.*", FaultMode::Status503).skip(20).times(2),
        Fault::on("s3:CreateBucket", FaultMode::DropAfter),
        Fault::on("s3:Put.*", FaultMode::Throttle).times(2),
        Fault::on("rds:CreateDBSubnetGroup", FaultMode::Throttle),
        Fault::on("rds:CreateDBInstance", FaultMode::DropAfter),
        Fault::on("rds:DeleteDBInstance", FaultMode::DropAfter),
        Fault::on("ec2:Delete.*", FaultMode::Throttle).times(3),
    ];
    moto.inject(&faults).unwrap_or_else(|error| panic!("{error}"));
    let itself = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let run = Command::new(itself).args(["--exact", test, "--nocapture"]).envs(moto.env()).output();
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(run.status.success(), "{}\n{}", said(&run.stdout), said(&run.stderr));
    Some(moto)
}

pub(crate) fn block_on(future: impl Future<Output = Outcome>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    if let Err(error) = runtime.block_on(future) {
        panic!("{error}");
    }
}

fn walk(dir: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(walk(&path)?) } else { files.push(path) }
    }
    Ok(files)
}
