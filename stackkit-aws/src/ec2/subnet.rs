//! `Subnet`: a part of a network, in one zone.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{AttributeBooleanValue, Filter, ResourceType, Subnet as Wire, SubnetState as Life};
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Cidr, Context, Id, resource};

use super::{FILTER_VALUES, STILL_IN_USE, Vpc, claimant, declared, filter, once, ours, retag, tagged};
use crate::batch;
use crate::connect::Aws;
use crate::error::Error;
use crate::tags;
use crate::wait::{Pace, Rule, Seen, retry, until};

/// A subnet: a block of a network's addresses in one availability zone.
///
/// It is private unless a route table sends its traffic to an internet gateway.
///
/// Actions: `ec2:CreateSubnet`, `ec2:ModifySubnetAttribute`, `ec2:DescribeSubnets`, `ec2:DeleteSubnet`,
/// `ec2:CreateTags`, `ec2:DeleteTags`.
#[resource("aws:ec2:Subnet", settle = 30)]
#[derive(PartialEq)]
pub struct Subnet {
    /// The network.
    #[resource(replace)]
    pub vpc_id: Id<Vpc>,
    /// The IPv4 block: a part of the network's, between /16 and /28, which no other subnet overlaps. AWS keeps five of
    /// its addresses for itself.
    #[resource(replace)]
    pub cidr: Cidr,
    /// The zone, such as `eu-central-1a`. Unset: AWS chooses one.
    #[resource(replace, computed)]
    pub availability_zone: Option<String>,
    /// Whether instances get a public address when they are launched.
    #[resource(default = false)]
    pub map_public_ip_on_launch: bool,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The id, such as `subnet-0a1b2c3d`.
    #[resource(output)]
    pub id: Id<Subnet>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
}

impl Managed for Subnet {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &SubnetArgs) -> Result<Created<Self>, Error> {
        let made = retry(cx, Rule::NEW, || async {
            Ok(aws
                .ec2()
                .create_subnet()
                .vpc_id(args.vpc_id.as_str())
                .cidr_block(args.cidr.to_string())
                .set_availability_zone(args.availability_zone.clone())
                .tag_specifications(tagged(cx, ResourceType::Subnet, &args.tags))
                .customize()
                .config_override(once())
                .send()
                .await?)
        })
        .await?;
        let id = made.subnet().and_then(Wire::subnet_id);
        let id = id.ok_or_else(|| Error::missing("ec2:CreateSubnet", "subnetId"))?;
        cx.created(id).await?;
        let finish = async {
            if args.map_public_ip_on_launch {
                set_public(aws, cx, id, true).await?;
            }
            settled(aws, cx, id, args).await
        };
        Ok(Created::new(id, finish.await.map_err(Error::half_made)?))
    }

    async fn read(aws: &Aws, _: &Context, id: &str, _: Option<&SubnetState>) -> Result<Option<SubnetState>, Error> {
        let found = describe(aws, vec![filter("subnet-id", [id])]).await?.pop();
        found.map(|wire| state(&wire)).transpose()
    }

    async fn claimed_by(aws: &Aws, cx: &Context, id: &str, _: &SubnetState) -> Result<Option<String>, Error> {
        let found = describe(aws, vec![filter("subnet-id", [id])]).await?.pop();
        Ok(found.and_then(|wire| claimant(cx, wire.tags())))
    }

    async fn read_many(
        aws: &Aws,
        _: &Context,
        items: &[(String, Option<SubnetState>)],
    ) -> Vec<Result<Option<SubnetState>, Error>> {
        batch::read_states(
            items,
            FILTER_VALUES,
            |ids| describe(aws, vec![filter("subnet-id", ids)]),
            Wire::subnet_id,
            state,
        )
        .await
    }

    async fn update(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: &SubnetState,
        args: &SubnetArgs,
    ) -> Result<SubnetState, Error> {
        if prior.map_public_ip_on_launch != args.map_public_ip_on_launch {
            set_public(aws, cx, id, args.map_public_ip_on_launch).await?;
        }
        retag(aws, cx, id, &prior.tags, &args.tags).await?;
        settled(aws, cx, id, args).await
    }

    async fn delete(aws: &Aws, cx: &Context, id: &str, _: &SubnetState) -> Result<(), Error> {
        retry(cx, STILL_IN_USE, || async { Ok(aws.ec2().delete_subnet().subnet_id(id).send().await?) }).await?;
        Ok(())
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let Some(wire) = describe(aws, ours(cx, &intent.token)).await?.pop() else { return Ok(Found::Nothing) };
        let state = state(&wire)?;
        Ok(Found::Ours(Created::new(state.id.to_string(), state)))
    }

    fn validate(args: &SubnetArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        problems.extend(super::block_problem("cidr", &args.cidr));
        problems
    }
}

async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Wire>, Error> {
    let pages = aws.ec2().describe_subnets().set_filters(Some(filters)).into_paginator().items().send();
    Ok(pages.collect::<Result<Vec<_>, _>>().await?)
}

async fn set_public(aws: &Aws, cx: &Context, id: &str, on: bool) -> Result<(), Error> {
    let value = AttributeBooleanValue::builder().value(on).build();
    retry(cx, Rule::NEW, || async {
        let call = aws.ec2().modify_subnet_attribute().subnet_id(id);
        Ok(call.map_public_ip_on_launch(value.clone()).send().await?)
    })
    .await?;
    Ok(())
}

/// Waits until EC2 shows it available and with what was asked for.
async fn settled(aws: &Aws, cx: &Context, id: &str, args: &SubnetArgs) -> Result<SubnetState, Error> {
    until(cx, "the subnet", Pace::QUICK, || async {
        let Some(wire) = describe(aws, vec![filter("subnet-id", [id])]).await?.pop() else {
            return Ok(Seen::Waiting("not visible".into()));
        };
        if wire.state() != Some(&Life::Available) {
            return Ok(Seen::Waiting(wire.state().map_or("pending", Life::as_str).to_owned()));
        }
        let mut state = state(&wire)?;
        if state.map_public_ip_on_launch != args.map_public_ip_on_launch {
            return Ok(Seen::Waiting("changing".into()));
        }
        state.args.tags.clone_from(&args.tags);
        Ok(Seen::Ready(state))
    })
    .await
}

fn state(wire: &Wire) -> Result<SubnetState, Error> {
    let missing = |member| Error::missing("ec2:DescribeSubnets", member);
    Ok(SubnetState {
        args: SubnetArgs {
            vpc_id: Id::new(wire.vpc_id().ok_or_else(|| missing("vpcId"))?),
            cidr: super::block("ec2:DescribeSubnets", wire.cidr_block().ok_or_else(|| missing("cidrBlock"))?)?,
            availability_zone: wire.availability_zone().map(str::to_owned),
            map_public_ip_on_launch: wire.map_public_ip_on_launch().unwrap_or(false),
            tags: declared(wire.tags()),
        },
        id: Id::new(wire.subnet_id().ok_or_else(|| missing("subnetId"))?),
        arn: wire.subnet_arn().unwrap_or_default().to_owned(),
    })
}
