//! The ground that a web application stands on in AWS: a network in two zones, firewalls, a bucket and a database.
//!
//! ```text
//! export AWS_PROFILE=… AWS_REGION=eu-central-1
//! cargo run -p example-web-app-aws -- up
//! ```
//!
//! To take it down again, first `config set protected false` and `up`, then `destroy`.
//!
//! Its state may be in S3, and its secrets open by keys of KMS and of age: README.md shows how a team uses it.

use stackkit::prelude::*;
use stackkit_age::Age;
use stackkit_aws::{Aws, Kms, S3State, Settings, ec2, rds, s3};

/// What differs between the stacks of this program.
#[derive(Debug, Clone, Properties)]
struct Config {
    /// Password of the database's master user. Unset: a random one is made.
    db_password: Option<Secret<String>>,
    /// A tag on everything.
    #[property(default = "dev")]
    environment: String,
    /// Block of the public subnet in the second zone, which nothing uses yet.
    #[property(default = "10.0.2.0/24")]
    public_cidr_b: Cidr,
    /// Whether what holds data is protected from deletion, by the engine and by AWS.
    #[property(default = true)]
    protected: bool,
}

const ZONES: [&str; 2] = ["eu-central-1a", "eu-central-1b"];
const ANYWHERE: Cidr = cidr!("0.0.0.0/0");

#[stackkit::main(providers(Aws), backends(S3State), keys(Age, Kms))]
async fn web_app(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    stack.provider::<Aws>("default", Settings::new().default_tags([("environment", config.environment.as_str())]));

    // The network: in each zone a public subnet, which the gateway serves, and a private one.
    let vpc = stack.add("main", ec2::Vpc::new(cidr!("10.0.0.0/16")));
    let gateway = stack.add("gateway", ec2::InternetGateway::new(&vpc.id));
    let subnet = |block: Cidr, zone: &str| ec2::Subnet::new(&vpc.id, block).availability_zone(zone);
    let public_a = stack.add("public-a", subnet(cidr!("10.0.1.0/24"), ZONES[0]).map_public_ip_on_launch(true));
    let public_b = stack.add("public-b", subnet(config.public_cidr_b, ZONES[1]).map_public_ip_on_launch(true));
    let private_a = stack.add("private-a", subnet(cidr!("10.0.11.0/24"), ZONES[0]));
    let private_b = stack.add("private-b", subnet(cidr!("10.0.12.0/24"), ZONES[1]));
    stack.add(
        "public",
        ec2::RouteTable::new(&vpc.id)
            .routes([ec2::Route::new(ANYWHERE, &gateway.id)])
            .subnet_ids([&public_a.id, &public_b.id]),
    );

    // The firewalls: the world reaches the application, and the application alone reaches the database.
    let web = stack.add(
        "web",
        ec2::SecurityGroup::new(&vpc.id)
            .description("The application")
            .ingress([ec2::Rule::tcp(80, ANYWHERE), ec2::Rule::tcp(443, ANYWHERE)]),
    );
    let database = stack.add(
        "database",
        ec2::SecurityGroup::new(&vpc.id)
            .description("The database")
            .ingress([ec2::Rule::tcp(5432, &web.id).description("from the application")])
            .egress(Vec::<ec2::Rule>::new()),
    );

    let uploads = stack.add("uploads", s3::Bucket::new().force_destroy(!config.protected)).protected(config.protected);

    // The database, in the private subnets. Its password is a secret wherever it comes from, and so is the URL.
    let password = match config.db_password {
        Some(password) => Output::known(password),
        None => stack.add("db-password", local::RandomPassword::new(32).special(false)).value.clone(),
    };
    let subnets = stack.add("database", rds::SubnetGroup::new([&private_a.id, &private_b.id]));
    let orders = stack
        .add(
            "orders",
            rds::Instance::postgres("16", "db.t4g.micro", 20)
                .db_name("orders")
                .subnet_group(&subnets.name)
                .security_group_ids([&database.id])
                .password(&password)
                .deletion_protection(config.protected),
        )
        .protected(config.protected);

    stack.output("vpc", &vpc.id);
    stack.output("uploads", &uploads.name);
    stack.output("endpoint", &orders.endpoint);
    // What is left of the database when it is deleted.
    stack.output("final_snapshot", &orders.final_snapshot_identifier);
    stack.output("url", text!("postgres://app:{}@{}/orders", password, orders.endpoint));
    Ok(())
}
