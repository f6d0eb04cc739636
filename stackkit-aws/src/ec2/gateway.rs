//! `InternetGateway`: a network's door to the internet.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, InternetGateway as Wire, ResourceType};
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, Id, resource};

use super::{FILTER_VALUES, STILL_IN_USE, Vpc, claimant, declared, filter, once, ours, retag, tagged};
use crate::batch;
use crate::connect::Aws;
use crate::error::Error;
use crate::tags;
use crate::wait::{Pace, Rule, Seen, retry, until};

/// An internet gateway, attached to a network. A network has one at most.
///
/// Actions: `ec2:CreateInternetGateway`, `ec2:AttachInternetGateway`, `ec2:DescribeInternetGateways`,
/// `ec2:DetachInternetGateway`, `ec2:DeleteInternetGateway`, `ec2:CreateTags`, `ec2:DeleteTags`.
#[resource("aws:ec2:InternetGateway", settle = 30)]
#[derive(PartialEq)]
pub struct InternetGateway {
    /// The network that it is attached to. A change moves it.
    pub vpc_id: Id<Vpc>,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The id, such as `igw-0a1b2c3d`.
    #[resource(output)]
    pub id: Id<InternetGateway>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
}

impl Managed for InternetGateway {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &InternetGatewayArgs) -> Result<Created<Self>, Error> {
        let made = retry(cx, Rule::NONE, || async {
            Ok(aws
                .ec2()
                .create_internet_gateway()
                .tag_specifications(tagged(cx, ResourceType::InternetGateway, &args.tags))
                .customize()
                .config_override(once())
                .send()
                .await?)
        })
        .await?;
        let id = made.internet_gateway().and_then(Wire::internet_gateway_id);
        let id = id.ok_or_else(|| Error::missing("ec2:CreateInternetGateway", "internetGatewayId"))?;
        cx.created(id).await?;
        let finish = async {
            attach(aws, cx, id, &args.vpc_id).await?;
            settled(aws, cx, id, args).await
        };
        Ok(Created::new(id, finish.await.map_err(Error::half_made)?))
    }

    async fn read(
        aws: &Aws,
        _: &Context,
        id: &str,
        _: Option<&InternetGatewayState>,
    ) -> Result<Option<InternetGatewayState>, Error> {
        let found = describe(aws, vec![filter("internet-gateway-id", [id])]).await?.pop();
        found.map(|wire| state(aws, &wire)).transpose()
    }

    async fn claimed_by(aws: &Aws, cx: &Context, id: &str, _: &InternetGatewayState) -> Result<Option<String>, Error> {
        let found = describe(aws, vec![filter("internet-gateway-id", [id])]).await?.pop();
        Ok(found.and_then(|wire| claimant(cx, wire.tags())))
    }

    async fn read_many(
        aws: &Aws,
        _: &Context,
        items: &[(String, Option<InternetGatewayState>)],
    ) -> Vec<Result<Option<InternetGatewayState>, Error>> {
        batch::read_states(
            items,
            FILTER_VALUES,
            |ids| describe(aws, vec![filter("internet-gateway-id", ids)]),
            Wire::internet_gateway_id,
            |wire| state(aws, wire),
        )
        .await
    }

    async fn update(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: &InternetGatewayState,
        args: &InternetGatewayArgs,
    ) -> Result<InternetGatewayState, Error> {
        if prior.vpc_id != args.vpc_id {
            detach(aws, cx, id).await?;
            attach(aws, cx, id, &args.vpc_id).await?;
        }
        retag(aws, cx, id, &prior.tags, &args.tags).await?;
        settled(aws, cx, id, args).await
    }

    async fn delete(aws: &Aws, cx: &Context, id: &str, _: &InternetGatewayState) -> Result<(), Error> {
        detach(aws, cx, id).await?;
        retry(cx, STILL_IN_USE, || async {
            Ok(aws.ec2().delete_internet_gateway().internet_gateway_id(id).send().await?)
        })
        .await?;
        Ok(())
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let Some(wire) = describe(aws, ours(cx, &intent.token)).await?.pop() else { return Ok(Found::Nothing) };
        let state = state(aws, &wire)?;
        Ok(Found::Ours(Created::new(state.id.to_string(), state)))
    }

    fn validate(args: &InternetGatewayArgs) -> Vec<Problem> {
        tags::problems(&args.tags)
    }
}

async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Wire>, Error> {
    let pages = aws.ec2().describe_internet_gateways().set_filters(Some(filters)).into_paginator().items().send();
    Ok(pages.collect::<Result<Vec<_>, _>>().await?)
}

async fn attach(aws: &Aws, cx: &Context, id: &str, vpc: &Id<Vpc>) -> Result<(), Error> {
    let attached = retry(cx, Rule::NEW, || async {
        Ok(aws.ec2().attach_internet_gateway().internet_gateway_id(id).vpc_id(vpc.as_str()).send().await?)
    })
    .await;
    match attached {
        // A repeated call after a lost answer; whether it is this network is seen when the state is read.
        Err(error)
            if error.is("Resource.AlreadyAssociated") && vpc_of(aws, id).await?.as_deref() == Some(vpc.as_str()) =>
        {
            Ok(())
        }
        other => other.map(drop),
    }
}

/// Takes it off whatever network it is on, while public addresses in there go away.
async fn detach(aws: &Aws, cx: &Context, id: &str) -> Result<(), Error> {
    let Some(vpc) = vpc_of(aws, id).await? else { return Ok(()) };
    let detached = retry(cx, STILL_IN_USE, || async {
        Ok(aws.ec2().detach_internet_gateway().internet_gateway_id(id).vpc_id(&vpc).send().await?)
    })
    .await;
    match detached {
        Err(error) if error.is("Gateway.NotAttached") => Ok(()),
        other => other.map(drop),
    }
}

async fn vpc_of(aws: &Aws, id: &str) -> Result<Option<String>, Error> {
    let found = describe(aws, vec![filter("internet-gateway-id", [id])]).await?.pop();
    Ok(found.and_then(|wire| wire.attachments().first()?.vpc_id().map(str::to_owned)))
}

async fn settled(aws: &Aws, cx: &Context, id: &str, args: &InternetGatewayArgs) -> Result<InternetGatewayState, Error> {
    until(cx, "the gateway", Pace::QUICK, || async {
        let Some(wire) = describe(aws, vec![filter("internet-gateway-id", [id])]).await?.pop() else {
            return Ok(Seen::Waiting("not visible".into()));
        };
        let state = state(aws, &wire)?;
        if state.vpc_id != args.vpc_id {
            return Ok(Seen::Waiting("attaching".into()));
        }
        Ok(Seen::Ready(InternetGatewayState { args: args.clone(), ..state }))
    })
    .await
}

/// A gateway that is attached to nothing shows an empty id, so that the difference is seen and mended.
fn state(aws: &Aws, wire: &Wire) -> Result<InternetGatewayState, Error> {
    let id = wire
        .internet_gateway_id()
        .ok_or_else(|| Error::missing("ec2:DescribeInternetGateways", "internetGatewayId"))?;
    let vpc = wire.attachments().first().and_then(|attachment| attachment.vpc_id()).unwrap_or_default();
    Ok(InternetGatewayState {
        args: InternetGatewayArgs { vpc_id: Id::new(vpc), tags: declared(wire.tags()) },
        id: Id::new(id),
        arn: aws.arn("ec2", aws.region(), wire.owner_id().unwrap_or_default(), &format!("internet-gateway/{id}")),
    })
}
