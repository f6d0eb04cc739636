//! What the test `migration` printed, as a program of that test.

use stackkit::prelude::*;
use stackkit_aws::{Aws, ec2, rds, s3};

/// What differs between the stacks of this program.
#[derive(Debug, Clone, Properties)]
struct Config {
    orders_password: Secret<String>,
}

#[stackkit::program(name = "shop", providers(Aws))]
pub async fn shop(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;

    let mut network = stack.component("network");
    let main = network.add(
        "main",
        ec2::Vpc::new("10.0.0.0/16")
            .enable_dns_hostnames(false)
            .tags([("Name", "shop")]),
    );
    let private_0 = network.add("private-0", ec2::Subnet::new(&main.id, "10.0.1.0/24"));
    network.add("private-1", ec2::Subnet::new(&main.id, "10.0.2.0/24"));
    network.add("main", ec2::InternetGateway::new(&main.id));
    network.add(
        "public",
        ec2::RouteTable::new(&main.id)
            .routes([ec2::Route::new("0.0.0.0/0", "igw-9c2d88c6b509c9f37")])
            .subnet_ids([&private_0.id]),
    );
    let web = stack.add(
        "web",
        ec2::SecurityGroup::new(&main.id)
            .name("web")
            .description("Managed by Terraform")
            .ingress([
                ec2::Rule::new("tcp", "0.0.0.0/0")
                    .from_port(443)
                    .to_port(443),
            ]),
    );
    stack
        .add(
            "database",
            ec2::SecurityGroup::new(&main.id)
                .name("database")
                .description("Managed by Terraform")
                .ingress([
                    ec2::Rule::new("tcp", "sg-2df37ac811c8c1077")
                        .from_port(5432)
                        .to_port(5432),
                ]),
        )
        .depends_on(&web);
    stack.add(
        "uploads",
        s3::Bucket::new()
            .name("shop-uploads")
            .versioning(false)
            .encryption("none")
            .block_public_access(false)
            .ownership("ObjectWriter")
            .force_destroy(true),
    );
    let database_subnet_group = stack
        .add(
            "database",
            rds::SubnetGroup::new(["subnet-bb36ea491ad8ee30b", "subnet-3fef056bfaa6ea0fc"])
                .name("shop")
                .description("Managed by Terraform"),
        )
        .depends_on(&main);
    stack.add(
        "orders",
        rds::Instance::new("postgres", "16.4", "db.t4g.micro", 20)
            .identifier("orders")
            .password(/* secret */ config.orders_password)
            .deletion_protection(false)
            .final_snapshot(false)
            .backup_retention_days(1)
            .copy_tags_to_snapshot(false),
    );

    Ok(())
}
