//! A network with its firewalls, buckets and a database, to be killed on moto. Each step changes, replaces, adds and
//! deletes some of it.

use acceptance::Draw;
use stackkit::prelude::*;
use stackkit_aws::{Aws, Settings, ec2, rds, s3};

/// What is declared.
#[derive(Debug, Clone, Properties)]
struct Config {
    /// What chooses it.
    #[property(default = 1)]
    seed: u64,
    /// How many changes have been made to it.
    #[property(default = 0)]
    step: u32,
}

const ANYWHERE: Cidr = cidr!("0.0.0.0/0");

#[stackkit::main(providers(Aws))]
async fn kills_aws(stack: &mut Stack) -> Result<()> {
    let Config { seed, step } = stack.config()?;
    let draw = Draw::new(seed, step);
    let owner = format!("owner-{}", draw.version("owner", 15));
    stack.provider::<Aws>("default", Settings::new().default_tags([("owner", owner.as_str())]));

    // Another block replaces the network, and all that is in it.
    let network = draw.version("network", 8);
    let block = |third: u32| format!("10.{}.{}.0/24", network % 256, third % 256).parse::<Cidr>();
    let vpc = stack.add("network", ec2::Vpc::new(format!("10.{}.0.0/16", network % 256).parse::<Cidr>()?));
    let gateway = stack.add("gateway", ec2::InternetGateway::new(&vpc.id));

    let mut subnets = Vec::new();
    for number in 0..7 {
        let name = format!("subnet-{number}");
        // The first two carry the database, whose group moto forgets when it changes: they stay as they are.
        let fixed = number < 2;
        if !fixed && !draw.has(&name, 12) {
            continue;
        }
        let version = if fixed { 0 } else { draw.version(&name, 20) };
        let zone = if number % 2 == 0 { "eu-central-1a" } else { "eu-central-1b" };
        let public = draw.version(&format!("{name}-public"), 15) % 2 == 1;
        let subnet = ec2::Subnet::new(&vpc.id, block(number * 30 + version % 30)?);
        subnets.push(stack.add(name, subnet.availability_zone(zone).map_public_ip_on_launch(public)));
    }
    for number in 0..2 {
        let mine: Vec<_> = subnets.iter().skip(number).step_by(2).map(|subnet| &subnet.id).collect();
        let table = ec2::RouteTable::new(&vpc.id).routes([ec2::Route::new(ANYWHERE, &gateway.id)]).subnet_ids(mine);
        stack.add(format!("routes-{number}"), table);
    }

    let mut first: Option<Output<_>> = None;
    for number in 0..7_u16 {
        let name = format!("group-{number}");
        if number > 1 && !draw.has(&name, 12) {
            continue;
        }
        let description = format!("The description can only change by replacement: {}", draw.version(&name, 15));
        let ports = draw.version(&format!("{name}-ports"), 25);
        let port = 8000 + number * 100 + u16::try_from(ports % 90)?;
        let mut rules = vec![ec2::Rule::tcp(port, ANYWHERE), ec2::Rule::tcp(port + 1, ANYWHERE)];
        if let Some(first) = &first {
            rules.push(ec2::Rule::tcp(443, first));
        }
        let group = ec2::SecurityGroup::new(&vpc.id).description(description).ingress(rules);
        let group = stack.add(name, group);
        first.get_or_insert_with(|| group.id.clone());
    }

    for number in 0..7 {
        let name = format!("bucket-{number}");
        if !draw.has(&name, 12) {
            continue;
        }
        let mut bucket = s3::Bucket::new()
            .force_destroy(true)
            .versioning(draw.version(&format!("{name}-versions"), 15).is_multiple_of(2))
            .tags([("version", draw.version(&format!("{name}-tags"), 20).to_string())]);
        if number % 2 == 0 {
            // A name of the program's own is replaced with its next version; the engine names the others.
            bucket = bucket.name(format!("kills-{seed:x}-{number}-{}", draw.version(&name, 15)));
        }
        stack.add(name, bucket).protected(false);
    }

    let length = 20 + draw.version("password", 15) % 10;
    let password = stack.add("password", local::RandomPassword::new(length).special(false));
    let ids: Vec<_> = subnets.iter().take(2).map(|subnet| &subnet.id).collect();
    let group = rds::SubnetGroup::new(ids).name(format!("kills-{seed:x}-{network}"));
    let group = stack.add("database", group);
    let gigabytes = 20 + draw.version("storage", 20);
    let mut database = rds::Instance::postgres("16", "db.t4g.micro", gigabytes)
        .subnet_group(&group.name)
        .password(&password.value)
        .db_name(format!("orders{}", draw.version("database", 8)))
        .deletion_protection(false)
        .final_snapshot(false);
    if let Some(first) = &first {
        database = database.security_group_ids([first]);
    }
    let database = stack.add("database", database).protected(false);
    stack.output("endpoint", &database.endpoint);
    Ok(())
}
