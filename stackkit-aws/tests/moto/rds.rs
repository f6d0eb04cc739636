//! Databases: safe unless the program says otherwise.

use stackkit::{ErrorKind, Found, Intent, Managed, cidr};
use stackkit_aws::Aws;
use stackkit_aws::ec2::{SecurityGroup, Subnet, Vpc};
use stackkit_aws::rds::{Instance, InstanceArgs, SubnetGroup};
use test_servers::{Fault, FaultMode, Moto};

use crate::support::{Outcome, args, aws, config, context, shared, tags};

const PASSWORD: &str = "correct-horse-battery";

fn postgres(name: &str) -> Instance {
    sized("db.t4g.micro", name)
}

fn sized(class: &str, name: &str) -> Instance {
    Instance::postgres("16", class, 20).identifier(name).password(PASSWORD)
}

async fn subnets(aws: &Aws, name: &str) -> Result<[String; 2], stackkit_aws::Error> {
    let vpc = Vpc::create(aws, &context::<Vpc>(name), &args("", Vpc::new(cidr!("10.0.0.0/16")))).await?.id;
    let mut made = Vec::new();
    for (block, zone) in [(cidr!("10.0.1.0/24"), "eu-central-1a"), (cidr!("10.0.2.0/24"), "eu-central-1b")] {
        let asked = args("", Subnet::new(vpc.as_str(), block).availability_zone(zone));
        made.push(Subnet::create(aws, &context::<Subnet>(&format!("{name}-{zone}")), &asked).await?.id);
    }
    Ok([made.remove(0), made.remove(0)])
}

fn client(moto: &Moto) -> aws_sdk_rds::Client {
    aws_sdk_rds::Client::new(&config(moto.endpoint(), "eu-central-1"))
}

#[tokio::test]
async fn a_subnet_group_is_made_read_tagged_and_deleted() -> Outcome {
    let aws = aws(shared());
    let subnets = subnets(&aws, "group-life").await?;
    let cx = context::<SubnetGroup>("group-life");
    let draft = || SubnetGroup::new(subnets.iter().map(String::as_str).collect::<Vec<_>>()).name("group-life");
    let asked = args("", draft().tags([("team", "red")]));
    assert_eq!(SubnetGroup::is_name_free(&aws, &cx, &asked).await?, Some(true));
    let made = SubnetGroup::create(&aws, &cx, &asked).await?;
    assert_eq!((made.id.as_str(), &made.state.args), ("group-life", &asked));
    assert!(made.state.vpc_id.starts_with("vpc-"));
    assert_eq!(SubnetGroup::read(&aws, &cx, &made.id, Some(&made.state)).await?.as_ref(), Some(&made.state));
    let ours = Intent { args: asked.clone(), token: "group-life".into(), name_was_free: None };
    assert!(matches!(SubnetGroup::find(&aws, &cx, &ours).await?, Found::Ours(_)));
    let other = Intent { args: asked, token: "another".into(), name_was_free: Some(true) };
    assert!(matches!(SubnetGroup::find(&aws, &cx, &other).await?, Found::Nothing), "its tags say that it is another's");

    let asked = args("", draft().tags([("team", "blue")]));
    let changed = SubnetGroup::update(&aws, &cx, &made.id, &made.state, &asked).await?;
    let mut items = vec![(made.id.clone(), Some(changed.clone()))];
    items.extend((0..4).map(|n| (format!("none-{n}"), None)));
    let read = SubnetGroup::read_many(&aws, &cx, &items).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(read, [Some(changed.clone()), None, None, None, None]);
    SubnetGroup::delete(&aws, &cx, &made.id, &changed).await?;
    assert_eq!(SubnetGroup::read(&aws, &cx, &made.id, None).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_database_is_made_safe_changed_and_deleted_with_a_last_snapshot() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    let subnets = subnets(&aws, "db-life").await?;
    let group = SubnetGroup::new(subnets.iter().map(String::as_str).collect::<Vec<_>>());
    let group = SubnetGroup::create(&aws, &context::<SubnetGroup>("g"), &args("db-group", group)).await?.id;
    let vpc = Vpc::create(&aws, &context::<Vpc>("v"), &args("", Vpc::new(cidr!("10.0.0.0/16")))).await?.id;
    let firewall = SecurityGroup::new(vpc.as_str());
    let firewall = SecurityGroup::create(&aws, &context::<SecurityGroup>("f"), &args("fire", firewall)).await?.id;

    let cx = context::<Instance>("db-life");
    let draft = |class| sized(class, "orders").subnet_group(group.as_str()).security_group_ids([firewall.as_str()]);
    let asked: InstanceArgs = args("", draft("db.t4g.micro"));
    let made = Instance::create(&aws, &cx, &asked).await?;
    let state = &made.state;
    assert!(state.storage_encrypted && state.deletion_protection && state.final_snapshot && !state.publicly_accessible);
    assert_eq!((state.backup_retention_days, state.port), (7, Some(5432)));
    assert_eq!(state.endpoint, format!("{}:5432", state.address));
    assert_eq!((state.subnet_group.as_deref(), state.username.as_str()), (Some(group.as_str()), "app"));
    assert_eq!(state.security_group_ids.as_ref().map(|ids| ids.to_vec()), Some(vec![firewall.clone()]));
    assert!(state.final_snapshot_identifier.starts_with("orders-final-"));
    assert_eq!(state.password, asked.password, "the API never says it");
    assert_eq!(state.tags, tags(&[]));
    assert!(!format!("{state:?}").contains(PASSWORD));

    let items = [("orders".to_owned(), Some(state.clone())), ("none".to_owned(), None)];
    let read = Instance::read_many(&aws, &cx, &items).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(read, [Some(state.clone()), None]);

    let refused = Instance::delete(&aws, &cx, "orders", state).await.expect_err("protected");
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert!(refused.to_string().contains("`deletion_protection(false)`"), "{refused}");

    let asked: InstanceArgs =
        args("", draft("db.t4g.small").deletion_protection(false).backup_retention_days(14).tags([("a", "b")]));
    let changed = Instance::update(&aws, &cx, "orders", state, &asked).await?;
    assert!(!changed.deletion_protection);
    assert_eq!((changed.backup_retention_days, changed.instance_class.as_str()), (14, "db.t4g.small"));
    assert_eq!(Instance::read(&aws, &cx, "orders", Some(&changed)).await?.as_ref(), Some(&changed));

    Instance::delete(&aws, &cx, "orders", &changed).await?;
    assert_eq!(Instance::read(&aws, &cx, "orders", None).await?, None);
    let left = client(&moto).describe_db_snapshots().send().await?;
    let left: Vec<_> = left.db_snapshots().iter().filter_map(|it| it.db_snapshot_identifier()).collect();
    assert_eq!(left, [changed.final_snapshot_identifier.as_str()]);
    let again = Instance::delete(&aws, &cx, "orders", &changed).await.expect_err("it is gone");
    assert!(again.is_not_found(), "{again}");
    Ok(())
}

#[tokio::test]
async fn without_a_last_snapshot_nothing_is_left() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    let cx = context::<Instance>("plain");
    let asked = args("", postgres("plain").deletion_protection(false).final_snapshot(false));
    let made = Instance::create(&aws, &cx, &asked).await?;
    Instance::delete(&aws, &cx, "plain", &made.state).await?;
    assert!(client(&moto).describe_db_snapshots().send().await?.db_snapshots().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_database_whose_answer_is_lost_is_found_by_name_and_tag() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    let cx = context::<Instance>("lost");
    let asked: InstanceArgs = args("", postgres("lost"));
    assert_eq!(Instance::is_name_free(&aws, &cx, &asked).await?, Some(true));
    moto.inject(&[Fault::on("rds:CreateDBInstance", FaultMode::DropAfter)])?;
    let lost = Instance::create(&aws, &cx, &asked).await.expect_err("no answer");
    assert_eq!(lost.kind(), ErrorKind::UnknownOutcome, "{lost}");
    assert!(!lost.to_string().contains(PASSWORD));
    let intent =
        |token: &str, name_was_free| Intent::<Instance> { args: asked.clone(), token: token.to_owned(), name_was_free };
    let Found::Ours(found) = Instance::find(&aws, &cx, &intent("lost", Some(true))).await? else {
        return Err("not found".into());
    };
    assert_eq!(found.state.password, asked.password);
    assert!(matches!(Instance::find(&aws, &cx, &intent("other", Some(true))).await?, Found::Nothing));
    let taken = Instance::create(&aws, &cx, &asked).await.expect_err("it is there");
    assert_eq!(taken.kind(), ErrorKind::Conflict, "{taken}");
    Ok(())
}

#[tokio::test]
async fn what_rds_would_refuse_is_found_before_it_is_asked() -> Outcome {
    let draft = Instance::mysql("8.0", "t4g.micro", 20)
        .identifier("Orders_1")
        .password("short")
        .backup_retention_days(36)
        .max_allocated_storage(10)
        .storage_encrypted(false)
        .kms_key_id("arn:aws:kms:eu-central-1:1:key/1");
    let fields: Vec<_> = Instance::validate(&args("", draft)).into_iter().map(|problem| problem.field).collect();
    let expected =
        ["identifier", "backup_retention_days", "max_allocated_storage", "instance_class", "password", "kms_key_id"];
    assert_eq!(fields, expected);
    let none = SubnetGroup::new(Vec::<&str>::new());
    assert_eq!(SubnetGroup::validate(&args("ok", none)).len(), 1);
    Ok(())
}
