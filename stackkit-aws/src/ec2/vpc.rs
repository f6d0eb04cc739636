//! `Vpc`: a private network.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ec2::types::{
    AttributeBooleanValue, Filter, ResourceType, Tenancy, Vpc as Wire, VpcAttributeName, VpcState as Life,
};
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Cidr, Context, Id, resource};

use super::{FILTER_VALUES, STILL_IN_USE, claimant, declared, filter, once, ours, retag, tagged};
use crate::batch;
use crate::connect::Aws;
use crate::error::Error;
use crate::tags;
use crate::wait::{Pace, Rule, Seen, retry, until};

/// A virtual private network of one region.
///
/// It comes with a main route table, a network ACL and a default security group, which stay as AWS makes them.
///
/// Actions: `ec2:CreateVpc`, `ec2:ModifyVpcAttribute`, `ec2:DescribeVpcs`, `ec2:DescribeVpcAttribute`,
/// `ec2:DeleteVpc`, `ec2:CreateTags`, `ec2:DeleteTags`.
#[resource("aws:ec2:Vpc", settle = 30)]
#[derive(PartialEq)]
pub struct Vpc {
    /// The IPv4 block, between /16 and /28.
    #[resource(replace)]
    pub cidr: Cidr,
    /// Whether Amazon's DNS server answers in the network.
    #[resource(default = true)]
    pub enable_dns_support: bool,
    /// Whether instances with public addresses get public DNS names. AWS's own default is off; private hosted zones and
    /// private endpoints need it on.
    #[resource(default = true)]
    pub enable_dns_hostnames: bool,
    /// `default`, or `dedicated` for hardware that no other account shares, which costs extra.
    #[resource(replace, default = "default")]
    pub instance_tenancy: String,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The id, such as `vpc-0a1b2c3d`.
    #[resource(output)]
    pub id: Id<Vpc>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
    /// The account that owns it.
    #[resource(output)]
    pub owner_id: String,
}

impl Managed for Vpc {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &VpcArgs) -> Result<Created<Self>, Error> {
        let made = retry(cx, Rule::NONE, || async {
            Ok(aws
                .ec2()
                .create_vpc()
                .cidr_block(args.cidr.to_string())
                .instance_tenancy(Tenancy::from(args.instance_tenancy.as_str()))
                .tag_specifications(tagged(cx, ResourceType::Vpc, &args.tags))
                .customize()
                .config_override(once())
                .send()
                .await?)
        })
        .await?;
        let id = made.vpc().and_then(Wire::vpc_id).ok_or_else(|| Error::missing("ec2:CreateVpc", "vpcId"))?;
        cx.created(id).await?;
        let finish = async {
            set_dns(aws, cx, id, (true, false), args).await?;
            settled(aws, cx, id, args).await
        };
        Ok(Created::new(id, finish.await.map_err(Error::half_made)?))
    }

    async fn read(aws: &Aws, _: &Context, id: &str, _: Option<&VpcState>) -> Result<Option<VpcState>, Error> {
        match describe(aws, vec![filter("vpc-id", [id])]).await?.pop() {
            Some(wire) => Ok(Some(state(aws, &wire).await?)),
            None => Ok(None),
        }
    }

    async fn claimed_by(aws: &Aws, cx: &Context, id: &str, _: &VpcState) -> Result<Option<String>, Error> {
        let found = describe(aws, vec![filter("vpc-id", [id])]).await?.pop();
        Ok(found.and_then(|wire| claimant(cx, wire.tags())))
    }

    async fn read_many(
        aws: &Aws,
        _: &Context,
        items: &[(String, Option<VpcState>)],
    ) -> Vec<Result<Option<VpcState>, Error>> {
        let found = batch::read(items, FILTER_VALUES, |ids| async {
            let wires = describe(aws, vec![filter("vpc-id", ids)]).await?;
            Ok(wires.into_iter().filter_map(|wire| Some((wire.vpc_id()?.to_owned(), wire))).collect::<HashMap<_, _>>())
        })
        .await;
        let mut states = Vec::with_capacity(items.len());
        for found in found {
            states.push(match found {
                Ok(Some(wire)) => state(aws, &wire).await.map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            });
        }
        states
    }

    async fn update(aws: &Aws, cx: &Context, id: &str, prior: &VpcState, args: &VpcArgs) -> Result<VpcState, Error> {
        set_dns(aws, cx, id, (prior.enable_dns_support, prior.enable_dns_hostnames), args).await?;
        retag(aws, cx, id, &prior.tags, &args.tags).await?;
        settled(aws, cx, id, args).await
    }

    async fn delete(aws: &Aws, cx: &Context, id: &str, _: &VpcState) -> Result<(), Error> {
        retry(cx, STILL_IN_USE, || async { Ok(aws.ec2().delete_vpc().vpc_id(id).send().await?) }).await?;
        Ok(())
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let Some(wire) = describe(aws, ours(cx, &intent.token)).await?.pop() else { return Ok(Found::Nothing) };
        let state = state(aws, &wire).await?;
        Ok(Found::Ours(Created::new(state.id.to_string(), state)))
    }

    fn validate(args: &VpcArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        if args.enable_dns_hostnames && !args.enable_dns_support {
            problems.push(Problem::new("enable_dns_hostnames", "needs `enable_dns_support`: turn both on or both off"));
        }
        if !matches!(args.instance_tenancy.as_str(), "default" | "dedicated") {
            problems.push(Problem::new("instance_tenancy", "must be `default` or `dedicated`"));
        }
        problems.extend(super::block_problem("cidr", &args.cidr));
        problems
    }
}

async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Wire>, Error> {
    let pages = aws.ec2().describe_vpcs().set_filters(Some(filters)).into_paginator().items().send();
    Ok(pages.collect::<Result<Vec<_>, _>>().await?)
}

/// Each attribute takes a call of its own. Host names need support: they are set after it and cleared before it.
async fn set_dns(aws: &Aws, cx: &Context, id: &str, now: (bool, bool), args: &VpcArgs) -> Result<(), Error> {
    let value = |on: bool| AttributeBooleanValue::builder().value(on).build();
    let support = || async {
        let call = aws.ec2().modify_vpc_attribute().vpc_id(id);
        Ok(call.enable_dns_support(value(args.enable_dns_support)).send().await?)
    };
    let hostnames = || async {
        let call = aws.ec2().modify_vpc_attribute().vpc_id(id);
        Ok(call.enable_dns_hostnames(value(args.enable_dns_hostnames)).send().await?)
    };
    if now.0 != args.enable_dns_support && args.enable_dns_support {
        retry(cx, Rule::NEW, support).await?;
    }
    if now.1 != args.enable_dns_hostnames {
        retry(cx, Rule::NEW, hostnames).await?;
    }
    if now.0 != args.enable_dns_support && !args.enable_dns_support {
        retry(cx, Rule::NEW, support).await?;
    }
    Ok(())
}

/// Waits until EC2 shows it available and with the attributes asked for; they do not show at once.
async fn settled(aws: &Aws, cx: &Context, id: &str, args: &VpcArgs) -> Result<VpcState, Error> {
    until(cx, "the network", Pace::QUICK, || async {
        let Some(wire) = describe(aws, vec![filter("vpc-id", [id])]).await?.pop() else {
            return Ok(Seen::Waiting("not visible".into()));
        };
        if wire.state() != Some(&Life::Available) {
            return Ok(Seen::Waiting(wire.state().map_or("pending", Life::as_str).to_owned()));
        }
        let state = state(aws, &wire).await?;
        let shown = (state.enable_dns_support, state.enable_dns_hostnames);
        if shown != (args.enable_dns_support, args.enable_dns_hostnames) {
            return Ok(Seen::Waiting("changing".into()));
        }
        Ok(Seen::Ready(VpcState { args: args.clone(), ..state }))
    })
    .await
}

async fn state(aws: &Aws, wire: &Wire) -> Result<VpcState, Error> {
    let id = wire.vpc_id().ok_or_else(|| Error::missing("ec2:DescribeVpcs", "vpcId"))?;
    let cidr = wire.cidr_block().ok_or_else(|| Error::missing("ec2:DescribeVpcs", "cidrBlock"))?;
    let owner = wire.owner_id().unwrap_or_default();
    Ok(VpcState {
        args: VpcArgs {
            cidr: super::block("ec2:DescribeVpcs", cidr)?,
            enable_dns_support: attribute(aws, id, VpcAttributeName::EnableDnsSupport).await?,
            enable_dns_hostnames: attribute(aws, id, VpcAttributeName::EnableDnsHostnames).await?,
            instance_tenancy: wire.instance_tenancy().map_or("default", Tenancy::as_str).to_owned(),
            tags: declared(wire.tags()),
        },
        id: Id::new(id),
        arn: aws.arn("ec2", aws.region(), owner, &format!("vpc/{id}")),
        owner_id: owner.to_owned(),
    })
}

async fn attribute(aws: &Aws, id: &str, name: VpcAttributeName) -> Result<bool, Error> {
    let answer = aws.ec2().describe_vpc_attribute().vpc_id(id).attribute(name).send().await?;
    let shown = answer.enable_dns_support().or(answer.enable_dns_hostnames());
    Ok(shown.and_then(AttributeBooleanValue::value).unwrap_or(false))
}
