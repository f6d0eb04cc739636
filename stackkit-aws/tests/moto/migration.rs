//! What Terraform made in AWS, adopted at once. The things are made by AWS's own SDK, as Terraform's provider makes them;
//! the state that names them stands as the provider `hashicorp/aws` documents its attributes, for Terraform's plugins are
//! not to be had everywhere that tests run.
//!
//! `migrated.rs` is what was printed: it compiles, and a preview of it shows no change.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{IpPermission, IpRange, ResourceType, Tag, TagSpecification, UserIdGroupPair};
use stackkit::engine::{DeployOptions, Deployment, Migration};
use stackkit::foreign::ForeignState;
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;
use stackkit_aws::Aws;

use crate::migrated;
use crate::programs::{block_on, parent};
use crate::support::Outcome;

const PASSWORD: &str = "Fv2wQm8ZkT5cR1xNb7LsYd3H";

#[stackkit::program(name = "shop", providers(Aws))]
async fn empty(_: &mut Stack) -> Result<()> {
    Ok(())
}

#[test]
fn what_terraform_made_is_adopted_and_its_program_changes_nothing() {
    if let Some(moto) = parent("migration::what_terraform_made_is_adopted_and_its_program_changes_nothing") {
        let calls = moto.call_log().unwrap_or_default();
        let made = calls.iter().filter(|call| call.name == "ec2:CreateVpc").count();
        assert_eq!(made, 1, "adopting and applying made nothing");
        return;
    }
    block_on(adopt());
}

fn named(kind: ResourceType, name: &str) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).tags(Tag::builder().key("Name").value(name).build()).build()
}

/// Makes everything, and returns the ids by the names that the state has for them.
async fn made() -> Result<BTreeMap<&'static str, String>, Box<dyn std::error::Error>> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let ec2 = aws_sdk_ec2::Client::new(&config);
    let rds = aws_sdk_rds::Client::new(&config);
    let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    let missing = || std::io::Error::other("an answer without an id");
    let mut ids = BTreeMap::new();
    let vpc = ec2.create_vpc().cidr_block("10.0.0.0/16").tag_specifications(named(ResourceType::Vpc, "shop"));
    let vpc = vpc.send().await?.vpc.and_then(|vpc| vpc.vpc_id).ok_or_else(missing)?;
    for (name, block, zone) in [("a", "10.0.1.0/24", "eu-central-1a"), ("b", "10.0.2.0/24", "eu-central-1b")] {
        let subnet = ec2.create_subnet().vpc_id(&vpc).cidr_block(block).availability_zone(zone);
        ids.insert(name, subnet.send().await?.subnet.and_then(|subnet| subnet.subnet_id).ok_or_else(missing)?);
    }
    let gateway = ec2.create_internet_gateway().send().await?.internet_gateway;
    let gateway = gateway.and_then(|gateway| gateway.internet_gateway_id).ok_or_else(missing)?;
    ec2.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc).send().await?;
    let table = ec2.create_route_table().vpc_id(&vpc).send().await?.route_table;
    let table = table.and_then(|table| table.route_table_id).ok_or_else(missing)?;
    let route = ec2.create_route().route_table_id(&table).destination_cidr_block("0.0.0.0/0").gateway_id(&gateway);
    route.send().await?;
    ec2.associate_route_table().route_table_id(&table).subnet_id(&ids["a"]).send().await?;
    let mut groups = Vec::new();
    for name in ["web", "database"] {
        let group = ec2.create_security_group().vpc_id(&vpc).group_name(name).description("Managed by Terraform");
        groups.push(group.send().await?.group_id.ok_or_else(missing)?);
    }
    let [web, database] = groups.as_slice() else { return Err(missing().into()) };
    let tcp = |port: i32| IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port);
    let anywhere = tcp(443).ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build()).build();
    ec2.authorize_security_group_ingress().group_id(web).ip_permissions(anywhere).send().await?;
    let from_web = tcp(5432).user_id_group_pairs(UserIdGroupPair::builder().group_id(web).build()).build();
    ec2.authorize_security_group_ingress().group_id(database).ip_permissions(from_web).send().await?;
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuCentral1)
        .build();
    let owner = aws_sdk_s3::types::ObjectOwnership::BucketOwnerEnforced;
    let bucket = s3.create_bucket().bucket("shop-uploads").create_bucket_configuration(place).object_ownership(owner);
    bucket.send().await?;
    // As AWS has it for every new bucket, and moto does not.
    let by_default = aws_sdk_s3::types::ServerSideEncryptionByDefault::builder()
        .sse_algorithm(aws_sdk_s3::types::ServerSideEncryption::Aes256)
        .build()?;
    let rule = aws_sdk_s3::types::ServerSideEncryptionRule::builder();
    let rule = rule.apply_server_side_encryption_by_default(by_default).build();
    let encryption = aws_sdk_s3::types::ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
    let call = s3.put_bucket_encryption().bucket("shop-uploads");
    call.server_side_encryption_configuration(encryption).send().await?;
    rds.create_db_subnet_group()
        .db_subnet_group_name("shop")
        .db_subnet_group_description("Managed by Terraform")
        .subnet_ids(&ids["a"])
        .subnet_ids(&ids["b"])
        .send()
        .await?;
    rds.create_db_instance()
        .db_instance_identifier("orders")
        .engine("postgres")
        .engine_version("16.4")
        .db_instance_class("db.t4g.micro")
        .allocated_storage(20)
        .storage_type("gp3")
        .storage_encrypted(true)
        .master_username("app")
        .master_user_password(PASSWORD)
        .db_subnet_group_name("shop")
        .vpc_security_group_ids(database)
        .send()
        .await?;
    ids.extend([("web", web.clone()), ("database", database.clone()), ("vpc", vpc)]);
    ids.extend([("gateway", gateway), ("table", table)]);
    Ok(ids)
}

/// The state that names it all.
fn state(ids: &BTreeMap<&'static str, String>) -> String {
    let (mut text, aws) = (String::new(), r#"provider[\"registry.terraform.io/hashicorp/aws\"]"#);
    let mut resource = |module: &str, type_name: &str, name: &str, instances: &[String]| {
        let module = if module.is_empty() { String::new() } else { format!(r#""module": "{module}","#) };
        let comma = if text.is_empty() { "" } else { "," };
        let instances = instances.join(",");
        text.push_str(&format!(
            r#"{comma}{{{module} "mode": "managed", "type": "{type_name}", "name": "{name}", "provider": "{aws}",
                "instances": [{instances}]}}"#
        ));
    };
    let one = |attributes: &str, needs: &[&str]| {
        let needs: Vec<String> = needs.iter().map(|need| format!("{need:?}")).collect();
        [format!(r#"{{"attributes": {{{attributes}}}, "dependencies": [{}]}}"#, needs.join(", "))]
    };
    let id = |name: &str| format!(r#""id": "{}""#, ids[name]);
    let net = "module.network";
    let vpc = "module.network.aws_vpc.main";
    let subnets = ["a", "b"].iter().enumerate().map(|(index, name)| {
        format!(r#"{{"index_key": {index}, "attributes": {{{}}}, "dependencies": ["{vpc}"]}}"#, id(name))
    });
    let subnets: Vec<String> = subnets.collect();
    resource(net, "aws_vpc", "main", &one(&id("vpc"), &[]));
    resource(net, "aws_subnet", "private", &subnets);
    resource(net, "aws_internet_gateway", "main", &one(&id("gateway"), &[vpc]));
    resource(net, "aws_route_table", "public", &one(&id("table"), &[vpc]));
    resource(net, "aws_route", "internet", &one(r#""id": "r-1""#, &[vpc]));
    resource(net, "aws_route_table_association", "public", &one(r#""id": "rtbassoc-1""#, &[vpc]));
    resource(net, "aws_default_security_group", "default", &one(r#""id": "sg-0""#, &[vpc]));
    resource("", "aws_security_group", "web", &one(&id("web"), &[vpc]));
    resource("", "aws_security_group", "database", &one(&id("database"), &["aws_security_group.web", vpc]));
    resource("", "aws_vpc_security_group_ingress_rule", "web", &one(r#""id": "sgr-1""#, &[vpc]));
    resource("", "aws_s3_bucket", "uploads", &one(r#""id": "shop-uploads", "force_destroy": true"#, &[]));
    resource("", "aws_s3_bucket_versioning", "uploads", &one(r#""id": "shop-uploads""#, &["aws_s3_bucket.uploads"]));
    resource("", "aws_db_subnet_group", "database", &one(r#""id": "shop", "name": "shop""#, &[vpc]));
    let instance =
        format!(r#""id": "db-ABC", "identifier": "orders", "password": "{PASSWORD}", "skip_final_snapshot": true"#);
    resource("", "aws_db_instance", "orders", &one(&instance, &["aws_db_subnet_group.database"]));
    resource("", "aws_instance", "bastion", &one(r#""id": "i-1""#, &[]));
    format!(r#"{{"version": 4, "terraform_version": "1.11.4", "resources": [{text}]}}"#)
}

fn deployment(dir: &std::path::Path, stack: &str, program: Program) -> Deployment {
    let keys = KeyOptions { default_key_file: Some(dir.join("key")), ..KeyOptions::default() };
    let options = DeployOptions { stack: stack.into(), dir: dir.to_owned(), keys, ..DeployOptions::default() };
    Deployment::new(Some(program), options)
}

async fn adopt() -> Outcome {
    let dir = tempfile::tempdir()?;
    let ids = made().await?;
    let foreign = ForeignState::read(state(&ids).as_bytes(), None, None)?;
    let migration: Migration = deployment(dir.path(), "test", empty()).migrate(&foreign, &|_| true).await?;
    assert!(migration.failed.is_empty(), "{:?}", migration.failed);
    assert_eq!((migration.adopted.len(), migration.parts.len(), migration.left.len()), (10, 4, 2));

    let printed = migration.program.replace(
        "#[stackkit::main(providers(Aws))]\nasync fn",
        "#[stackkit::program(name = \"shop\", providers(Aws))]\npub async fn",
    );
    let printed = format!("//! What the test `migration` printed, as a program of that test.\n\n{printed}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/moto/migrated.rs");
    if std::env::var_os("STACKKIT_UPDATE").is_some() {
        std::fs::write(file, &printed)?;
    }
    assert_eq!(printed, std::fs::read_to_string(file)?);
    assert!(!printed.contains(PASSWORD));

    let plan = deployment(dir.path(), "test", migrated::shop()).preview(&PlanOptions::default()).await?;
    let changed: Vec<_> = plan.nodes.iter().filter(|node| !node.changes.is_empty()).collect();
    assert!(!plan.has_changes(), "{changed:?}");
    let up = deployment(dir.path(), "test", migrated::shop()).up(&PlanOptions::default(), &|_| true).await?;
    assert!(!up.has_changes());
    for entry in std::fs::read_dir(dir.path())?.chain(std::fs::read_dir(dir.path().join(".stackkit"))?) {
        let path = entry?.path();
        if path.is_file() {
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            assert!(!text.contains(PASSWORD), "{} holds the password in plain text", path.display());
        }
    }

    // What has the tags of a stack is that stack's: an update puts them on.
    let ec2 = aws_sdk_ec2::Client::new(&aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await);
    let tag = Tag::builder().key("stackkit:lineage").value("0190-another").build();
    ec2.create_tags().resources(&ids["vpc"]).tags(tag).send().await?;
    let other = deployment(dir.path(), "other", empty()).migrate(&foreign, &|_| true).await?;
    let refused: Vec<&str> = other.failed.iter().map(|left| left.address.as_str()).collect();
    assert_eq!(refused, ["module.network.aws_vpc.main"]);
    assert!(other.failed[0].why.contains("belongs to the stack with the lineage `0190-another`"), "{:?}", other.failed);
    Ok(())
}
