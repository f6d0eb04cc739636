//! Networks, subnets, gateways, route tables and security groups: made, read, changed, found again and deleted.

use stackkit::{Found, Intent, Lookup, Managed, Property, cidr};
use stackkit_aws::Aws;
use stackkit_aws::ec2::{
    AvailabilityZones, InternetGateway, Route, RouteTable, Rule, SecurityGroup, Subnet, Vpc, VpcState,
};
use test_servers::Moto;

use crate::support::{Outcome, args, aws, context, same, shared, tags};

async fn vpc(aws: &Aws, name: &str) -> Result<VpcState, stackkit_aws::Error> {
    let made = Vpc::create(aws, &context::<Vpc>(name), &args(name, Vpc::new(cidr!("10.0.0.0/16")))).await?;
    Ok(made.state)
}

fn intent<R: Managed>(name: &str, draft: R) -> Intent<R> {
    Intent { args: args(name, draft), token: name.to_owned(), name_was_free: None }
}

#[tokio::test]
async fn a_network_is_made_read_changed_and_deleted() -> Outcome {
    let aws = aws(shared());
    let cx = context::<Vpc>("vpc-life");
    let asked = args("", Vpc::new(cidr!("10.1.0.0/16")).tags([("team", "red")]));
    let made = Vpc::create(&aws, &cx, &asked).await?;
    assert!(made.id.starts_with("vpc-"));
    assert_eq!(made.state.args, asked);
    assert_eq!(made.state.arn, format!("arn:aws:ec2:eu-central-1:123456789012:vpc/{}", made.id));

    let read = Vpc::read(&aws, &cx, &made.id, Some(&made.state)).await?.ok_or("gone")?;
    assert_eq!(read, made.state, "the engine's tags do not show");
    let imported = Vpc::read(&aws, &cx, &made.id, None).await?.ok_or("gone")?;
    assert_eq!(imported.tags, tags(&[("team", "red")]));

    let asked = args("", Vpc::new(cidr!("10.1.0.0/16")).enable_dns_hostnames(false).tags([("cost", "1")]));
    let changed = Vpc::update(&aws, &cx, &made.id, &made.state, &asked).await?;
    assert_eq!(changed.args, asked);
    assert_eq!(Vpc::read(&aws, &cx, &made.id, Some(&changed)).await?.as_ref(), Some(&changed));

    Vpc::delete(&aws, &cx, &made.id, &changed).await?;
    assert_eq!(Vpc::read(&aws, &cx, &made.id, Some(&changed)).await?, None);
    let again = Vpc::delete(&aws, &cx, &made.id, &changed).await.expect_err("it is gone");
    assert!(again.is_not_found(), "{again}");
    Ok(())
}

#[tokio::test]
async fn the_zones_of_the_region_are_looked_up() -> Outcome {
    let asked = args("", AvailabilityZones::new());
    let found = AvailabilityZones::look_up(&aws(shared()), &context::<AvailabilityZones>("zones"), &asked).await?;
    assert_eq!(found.names, ["eu-central-1a", "eu-central-1b", "eu-central-1c"]);
    assert_eq!(found.zone_ids.len(), 3);
    Ok(())
}

#[tokio::test]
async fn many_networks_are_read_with_one_list() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    let mut items = Vec::new();
    for name in ["many-1", "many-2", "many-3"] {
        let state = vpc(&aws, name).await?;
        items.push((state.id.to_string(), Some(state)));
    }
    items.insert(1, ("vpc-00000000000000000".to_owned(), None));
    moto.clear_calls()?;
    let read = Vpc::read_many(&aws, &context::<Vpc>("many"), &items).await;
    let there: Vec<bool> =
        read.into_iter().map(|one| Ok(one?.is_some())).collect::<Result<_, stackkit_aws::Error>>()?;
    assert_eq!(there, [true, false, true, true], "one that is gone does not fail the others");
    let lists = moto.calls()?.into_iter().filter(|call| call == "ec2:DescribeVpcs").count();
    assert_eq!(lists, 1);
    Ok(())
}

#[tokio::test]
async fn what_an_interrupted_create_made_is_found_by_its_token() -> Outcome {
    let aws = aws(shared());
    let vpc_state = vpc(&aws, "find-vpc").await?;
    let Found::Ours(found) =
        Vpc::find(&aws, &context::<Vpc>("any"), &intent("find-vpc", Vpc::new(cidr!("10.0.0.0/16")))).await?
    else {
        return Err("not found".into());
    };
    assert_eq!((found.id.as_str(), &found.state), (vpc_state.id.as_str(), &vpc_state));
    let other = intent("never-made", Vpc::new(cidr!("10.0.0.0/16")));
    assert!(matches!(Vpc::find(&aws, &context::<Vpc>("any"), &other).await?, Found::Nothing));

    let subnet = || Subnet::new(vpc_state.id.as_str(), cidr!("10.0.1.0/24"));
    let made = Subnet::create(&aws, &context::<Subnet>("find-subnet"), &args("", subnet())).await?;
    let found = Subnet::find(&aws, &context::<Subnet>("any"), &intent("find-subnet", subnet())).await?;
    assert!(matches!(found, Found::Ours(found) if found.id == made.id));

    let gateway = || InternetGateway::new(vpc_state.id.as_str());
    let made = InternetGateway::create(&aws, &context::<InternetGateway>("find-igw"), &args("", gateway())).await?;
    let found = InternetGateway::find(&aws, &context::<InternetGateway>("any"), &intent("find-igw", gateway())).await?;
    assert!(matches!(found, Found::Ours(found) if found.id == made.id));

    let table = || RouteTable::new(vpc_state.id.as_str());
    let made = RouteTable::create(&aws, &context::<RouteTable>("find-rtb"), &args("", table())).await?;
    let found = RouteTable::find(&aws, &context::<RouteTable>("any"), &intent("find-rtb", table())).await?;
    assert!(matches!(found, Found::Ours(found) if found.id == made.id));

    let group = || SecurityGroup::new(vpc_state.id.as_str()).name("found");
    let (cx, asked) = (context::<SecurityGroup>("find-sg"), args("", group()));
    assert_eq!(SecurityGroup::is_name_free(&aws, &cx, &asked).await?, Some(true));
    let made = SecurityGroup::create(&aws, &cx, &asked).await?;
    assert_eq!(SecurityGroup::is_name_free(&aws, &cx, &asked).await?, Some(false));
    let found = SecurityGroup::find(&aws, &context::<SecurityGroup>("any"), &intent("find-sg", group())).await?;
    assert!(matches!(found, Found::Ours(found) if found.id == made.id));
    Ok(())
}

#[tokio::test]
async fn a_subnet_is_made_read_changed_and_deleted() -> Outcome {
    let aws = aws(shared());
    let vpc = vpc(&aws, "subnet-vpc").await?;
    let cx = context::<Subnet>("subnet-life");
    let draft = || Subnet::new(vpc.id.as_str(), cidr!("10.0.1.0/24"));
    let asked = args("", draft().map_public_ip_on_launch(true));
    let made = Subnet::create(&aws, &cx, &asked).await?;
    assert!(
        made.state.availability_zone.as_ref().is_some_and(|zone| zone.starts_with("eu-central-1")),
        "chosen by AWS"
    );
    assert!(made.state.map_public_ip_on_launch);
    assert_eq!(Subnet::read(&aws, &cx, &made.id, Some(&made.state)).await?.as_ref(), Some(&made.state));
    let asked = args("", draft().tags([("tier", "public")]));
    let changed = Subnet::update(&aws, &cx, &made.id, &made.state, &asked).await?;
    assert!(!changed.map_public_ip_on_launch);
    let read = Subnet::read_many(&aws, &cx, &[(made.id.clone(), Some(changed.clone()))]).await;
    assert_eq!(read.into_iter().collect::<Result<Vec<_>, _>>()?, [Some(changed.clone())]);
    Subnet::delete(&aws, &cx, &made.id, &changed).await?;
    assert_eq!(Subnet::read(&aws, &cx, &made.id, None).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_gateway_moves_from_network_to_network() -> Outcome {
    let aws = aws(shared());
    let (one, two) = (vpc(&aws, "igw-vpc-1").await?, vpc(&aws, "igw-vpc-2").await?);
    let cx = context::<InternetGateway>("igw");
    let made = InternetGateway::create(&aws, &cx, &args("", InternetGateway::new(one.id.as_str()))).await?;
    assert_eq!(made.state.vpc_id, one.id);
    let asked = args("", InternetGateway::new(two.id.as_str()));
    let moved = InternetGateway::update(&aws, &cx, &made.id, &made.state, &asked).await?;
    assert_eq!(moved.vpc_id, two.id);
    assert_eq!(InternetGateway::read(&aws, &cx, &made.id, Some(&moved)).await?, Some(moved.clone()));
    InternetGateway::delete(&aws, &cx, &made.id, &moved).await?;
    assert_eq!(InternetGateway::read(&aws, &cx, &made.id, None).await?, None);
    Vpc::delete(&aws, &cx, two.id.as_str(), &two).await?;
    Ok(())
}

#[tokio::test]
async fn a_route_table_follows_its_declaration() -> Outcome {
    let aws = aws(shared());
    let vpc = vpc(&aws, "rtb-vpc").await?;
    let mut subnets = Vec::new();
    for block in [cidr!("10.0.1.0/24"), cidr!("10.0.2.0/24")] {
        let name = format!("rtb-{block}");
        let made =
            Subnet::create(&aws, &context::<Subnet>(&name), &args("", Subnet::new(vpc.id.as_str(), block))).await?;
        subnets.push(made.id);
    }
    let gateway = InternetGateway::new(vpc.id.as_str());
    let gateway = InternetGateway::create(&aws, &context::<InternetGateway>("rtb-igw"), &args("", gateway)).await?.id;

    let cx = context::<RouteTable>("rtb");
    let draft = || RouteTable::new(vpc.id.as_str());
    let asked =
        args("", draft().routes([Route::new(cidr!("0.0.0.0/0"), gateway.as_str())]).subnet_ids([subnets[0].as_str()]));
    let made = RouteTable::create(&aws, &cx, &asked).await?;
    assert_eq!(made.state.args, asked);
    assert_eq!(RouteTable::read(&aws, &cx, &made.id, Some(&made.state)).await?.as_ref(), Some(&made.state));

    let routes =
        [Route::new(cidr!("172.16.0.0/12"), gateway.as_str()), Route::new(cidr!("192.168.0.0/16"), gateway.as_str())];
    let asked = args("", draft().routes(routes).subnet_ids([subnets[1].as_str()]).tags([("a", "b")]));
    let changed = RouteTable::update(&aws, &cx, &made.id, &made.state, &asked).await?;
    let read = RouteTable::read(&aws, &cx, &made.id, Some(&changed)).await?.ok_or("gone")?;
    assert!(same(&read.routes, &asked.routes), "{read:?}");
    assert_eq!(read, changed);

    // Another table takes the subnet over; associating it anew would have no effect.
    let other = context::<RouteTable>("rtb-other");
    let taking = args("", draft().subnet_ids([subnets[1].as_str()]));
    let taken = RouteTable::create(&aws, &other, &taking).await?;
    assert_eq!(taken.state.args, taking);
    let left = RouteTable::read(&aws, &cx, &made.id, Some(&changed)).await?.ok_or("gone")?;
    assert!(left.subnet_ids.iter().next().is_none(), "{left:?}");
    let changed = RouteTable::update(&aws, &cx, &made.id, &left, &asked).await?;
    assert!(same(&changed.subnet_ids, &asked.subnet_ids), "and back again: {changed:?}");
    RouteTable::delete(&aws, &other, &taken.id, &taken.state).await?;

    RouteTable::delete(&aws, &cx, &made.id, &changed).await?;
    assert_eq!(RouteTable::read(&aws, &cx, &made.id, None).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_security_groups_rules_are_changed_one_by_one() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    let vpc = vpc(&aws, "sg-vpc").await?;
    let peer = SecurityGroup::new(vpc.id.as_str());
    let peer = SecurityGroup::create(&aws, &context::<SecurityGroup>("peer"), &args("peer", peer)).await?.id;

    let cx = context::<SecurityGroup>("sg");
    let draft = || SecurityGroup::new(vpc.id.as_str()).description("web");
    let asked = args(
        "web",
        draft().ingress([
            Rule::tcp(443, cidr!("0.0.0.0/0")).description("web"),
            Rule::tcp(443, cidr!("::/0")),
            Rule::ports("udp", 5000, 5010, peer.as_str()).description("games"),
            Rule::all("self"),
            Rule::icmp("10.0.0.0/8"),
        ]),
    );
    let made = SecurityGroup::create(&aws, &cx, &asked).await?;
    assert_eq!(made.state.args, asked);
    let read = SecurityGroup::read(&aws, &cx, &made.id, Some(&made.state)).await?.ok_or("gone")?;
    assert_eq!(read, made.state, "AWS's own rule for outgoing traffic is the declared default");

    moto.clear_calls()?;
    let asked = args(
        "web",
        draft()
            .ingress([
                Rule::tcp(443, cidr!("0.0.0.0/0")).description("the web"),
                Rule::tcp(443, cidr!("::/0")),
                Rule::ports("udp", 5000, 5010, peer.as_str()).description("games"),
                Rule::all("self"),
                Rule::tcp(80, cidr!("0.0.0.0/0")),
            ])
            .egress(Vec::<Rule>::new()),
    );
    let changed = SecurityGroup::update(&aws, &cx, &made.id, &made.state, &asked).await?;
    assert_eq!(
        moto.calls()?,
        [
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress"
        ],
        "rules that stay are not touched"
    );
    let read = SecurityGroup::read(&aws, &cx, &made.id, Some(&changed)).await?.ok_or("gone")?;
    assert_eq!(read, changed);
    assert!(read.egress.is_empty());

    // The update was recorded nowhere and is done again: what is there already does not get in its way.
    SecurityGroup::update(&aws, &cx, &made.id, &made.state, &asked).await?;
    assert_eq!(SecurityGroup::read(&aws, &cx, &made.id, Some(&changed)).await?, Some(changed.clone()));

    SecurityGroup::delete(&aws, &cx, &made.id, &changed).await?;
    assert_eq!(SecurityGroup::read(&aws, &cx, &made.id, None).await?, None);
    Ok(())
}

#[tokio::test]
async fn what_ec2_would_refuse_is_found_before_it_is_asked() -> Outcome {
    let problems = Vpc::validate(&args("", Vpc::new(cidr!("10.0.0.0/8")).enable_dns_support(false)));
    let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["enable_dns_hostnames", "cidr"]);
    let twice = [Route::new(cidr!("0.0.0.0/0"), "igw-1"), Route::new(cidr!("0.0.0.0/0"), "subnet-1")];
    let problems = RouteTable::validate(&args("", RouteTable::new("vpc-1").routes(twice)));
    assert_eq!(problems.len(), 2, "{problems:?}");
    let group = SecurityGroup::new("vpc-1").ingress([Rule::new("tcp", "0.0.0.0/0")]);
    assert!(SecurityGroup::validate(&args("x", group))[0].message.contains("needs ports"));
    // The engine asks the type itself whether what the program wrote makes sense.
    assert!(stackkit::Cidr::from_value(&stackkit::Value::text("10.0.0.1/16")).is_err());
    Ok(())
}
