//! `SecurityGroup`: a firewall around network interfaces, its rules within.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, IpPermission, ResourceType, SecurityGroup as Wire};
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, Id, Set, resource};

use super::rule::{Difference, Rule};
use super::{FILTER_VALUES, Vpc, claimant, declared, filter, once, ours, retag, tagged};
use crate::batch;
use crate::connect::Aws;
use crate::error::Error;
use crate::tags;
use crate::wait::{Pace, Rule as Retry, Seen, retry, until};

/// What a group meets while interfaces and other groups' rules still refer to it.
const STILL_REFERRED_TO: Retry = Retry::passing(&["DependencyViolation", "InvalidGroup.InUse"], 15 * 60);

/// A security group with all its rules: what is not declared is taken away.
///
/// Rules are sets; a change touches only the rules that differ. Outgoing traffic is allowed unless `egress` says
/// otherwise, as AWS has it: `.egress(Vec::<ec2::Rule>::new())` allows none.
///
/// Actions: `ec2:CreateSecurityGroup`, `ec2:DescribeSecurityGroups`, `ec2:AuthorizeSecurityGroupIngress`,
/// `ec2:AuthorizeSecurityGroupEgress`, `ec2:RevokeSecurityGroupIngress`, `ec2:RevokeSecurityGroupEgress`,
/// `ec2:UpdateSecurityGroupRuleDescriptionsIngress`, `ec2:UpdateSecurityGroupRuleDescriptionsEgress`,
/// `ec2:DeleteSecurityGroup`, `ec2:CreateTags`, `ec2:DeleteTags`.
#[resource("aws:ec2:SecurityGroup", settle = 30)]
#[derive(PartialEq)]
pub struct SecurityGroup {
    /// The network.
    #[resource(replace)]
    pub vpc_id: Id<Vpc>,
    /// The name, unique in the network. Unset: made up from stack and name.
    #[resource(name, replace)]
    pub name: String,
    /// What it is for, at most 255 characters.
    #[resource(replace, default = "Managed by StackKit")]
    pub description: String,
    /// What may come in; nothing unless set.
    #[resource(default = Vec::<Rule>::new())]
    pub ingress: Set<Rule>,
    /// What may go out; everything to IPv4 addresses unless set.
    #[resource(default = [Rule::all("0.0.0.0/0")])]
    pub egress: Set<Rule>,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The id, such as `sg-0a1b2c3d`.
    #[resource(output)]
    pub id: Id<SecurityGroup>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
}

impl Managed for SecurityGroup {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &SecurityGroupArgs) -> Result<Created<Self>, Error> {
        let made = retry(cx, Retry::NEW, || async {
            Ok(aws
                .ec2()
                .create_security_group()
                .vpc_id(args.vpc_id.as_str())
                .group_name(&args.name)
                .description(&args.description)
                .tag_specifications(tagged(cx, ResourceType::SecurityGroup, &args.tags))
                .customize()
                .config_override(once())
                .send()
                .await?)
        })
        .await?;
        let id = made.group_id().ok_or_else(|| Error::missing("ec2:CreateSecurityGroup", "groupId"))?;
        cx.created(id).await?;
        let finish = async {
            // AWS puts rules of its own into a new group, so what is there is looked at, not assumed.
            let new = until(cx, "the security group", Pace::QUICK, || async {
                Ok(match describe(aws, vec![filter("group-id", [id])]).await?.pop() {
                    Some(wire) => Seen::Ready(state(aws, &wire)?),
                    None => Seen::Waiting("not visible".into()),
                })
            })
            .await?;
            set_rules(aws, cx, id, &new, args).await?;
            Ok(SecurityGroupState { args: args.clone(), ..new })
        };
        Ok(Created::new(id, finish.await.map_err(Error::half_made)?))
    }

    async fn read(
        aws: &Aws,
        _: &Context,
        id: &str,
        _: Option<&SecurityGroupState>,
    ) -> Result<Option<SecurityGroupState>, Error> {
        let found = describe(aws, vec![filter("group-id", [id])]).await?.pop();
        found.map(|wire| state(aws, &wire)).transpose()
    }

    async fn claimed_by(aws: &Aws, cx: &Context, id: &str, _: &SecurityGroupState) -> Result<Option<String>, Error> {
        let found = describe(aws, vec![filter("group-id", [id])]).await?.pop();
        Ok(found.and_then(|wire| claimant(cx, wire.tags())))
    }

    async fn read_many(
        aws: &Aws,
        _: &Context,
        items: &[(String, Option<SecurityGroupState>)],
    ) -> Vec<Result<Option<SecurityGroupState>, Error>> {
        batch::read_states(
            items,
            FILTER_VALUES,
            |ids| describe(aws, vec![filter("group-id", ids)]),
            Wire::group_id,
            |wire| state(aws, wire),
        )
        .await
    }

    async fn update(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: &SecurityGroupState,
        args: &SecurityGroupArgs,
    ) -> Result<SecurityGroupState, Error> {
        set_rules(aws, cx, id, prior, args).await?;
        retag(aws, cx, id, &prior.tags, &args.tags).await?;
        Ok(SecurityGroupState { args: args.clone(), ..prior.clone() })
    }

    async fn delete(aws: &Aws, cx: &Context, id: &str, _: &SecurityGroupState) -> Result<(), Error> {
        retry(cx, STILL_REFERRED_TO, || async { Ok(aws.ec2().delete_security_group().group_id(id).send().await?) })
            .await?;
        Ok(())
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let Some(wire) = describe(aws, ours(cx, &intent.token)).await?.pop() else { return Ok(Found::Nothing) };
        let state = state(aws, &wire)?;
        Ok(Found::Ours(Created::new(state.id.to_string(), state)))
    }

    async fn is_name_free(aws: &Aws, _: &Context, args: &SecurityGroupArgs) -> Result<Option<bool>, Error> {
        let named = vec![filter("vpc-id", [args.vpc_id.as_str()]), filter("group-name", [&args.name])];
        Ok(Some(describe(aws, named).await?.is_empty()))
    }

    fn validate(args: &SecurityGroupArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        for (field, rules) in [("ingress", &args.ingress), ("egress", &args.egress)] {
            problems.extend(rules.iter().filter_map(Rule::problem).map(|what| Problem::new(field, what)));
        }
        if args.name.starts_with("sg-") || args.name.chars().count() > 255 {
            problems.push(Problem::new("name", "must have at most 255 characters and not begin with `sg-`"));
        }
        problems
    }
}

async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Wire>, Error> {
    let pages = aws.ec2().describe_security_groups().set_filters(Some(filters)).into_paginator().items().send();
    Ok(pages.collect::<Result<Vec<_>, _>>().await?)
}

fn state(aws: &Aws, wire: &Wire) -> Result<SecurityGroupState, Error> {
    let missing = |member| Error::missing("ec2:DescribeSecurityGroups", member);
    let id = wire.group_id().ok_or_else(|| missing("groupId"))?;
    let rules = |permissions: &[IpPermission]| {
        permissions.iter().flat_map(|permission| Rule::all_of(permission, id)).collect::<Set<_>>()
    };
    let arn = wire.security_group_arn().map(str::to_owned);
    let owner = wire.owner_id().unwrap_or_default();
    Ok(SecurityGroupState {
        args: SecurityGroupArgs {
            vpc_id: Id::new(wire.vpc_id().unwrap_or_default()),
            name: wire.group_name().ok_or_else(|| missing("groupName"))?.to_owned(),
            description: wire.description().unwrap_or_default().to_owned(),
            ingress: rules(wire.ip_permissions()),
            egress: rules(wire.ip_permissions_egress()),
            tags: declared(wire.tags()),
        },
        id: Id::new(id),
        arn: arn.unwrap_or_else(|| aws.arn("ec2", aws.region(), owner, &format!("security-group/{id}"))),
    })
}

#[derive(Clone, Copy)]
enum Direction {
    In,
    Out,
}

/// Brings the rules from those of `now` to those of `asked`. New ones first, so that no traffic is cut in between.
async fn set_rules(
    aws: &Aws,
    cx: &Context,
    id: &str,
    now: &SecurityGroupArgs,
    asked: &SecurityGroupArgs,
) -> Result<(), Error> {
    for (direction, now, asked) in
        [(Direction::In, &now.ingress, &asked.ingress), (Direction::Out, &now.egress, &asked.egress)]
    {
        let difference = Difference::between(now.iter(), asked.iter());
        authorise(aws, cx, id, direction, &difference.add).await?;
        describe_rules(aws, cx, id, direction, &difference.describe).await?;
        revoke(aws, cx, id, direction, &difference.remove).await?;
    }
    Ok(())
}

fn permissions(rules: &[Rule], id: &str) -> Option<Vec<IpPermission>> {
    Some(rules.iter().map(|rule| rule.wire(id)).collect())
}

/// All in one call; when one of them is there already (an earlier attempt got that far), one by one.
async fn authorise(aws: &Aws, cx: &Context, id: &str, direction: Direction, rules: &[Rule]) -> Result<(), Error> {
    if rules.is_empty() {
        return Ok(());
    }
    match authorise_all(aws, cx, id, direction, rules).await {
        Err(error) if error.is("InvalidPermission.Duplicate") => {}
        other => return other,
    }
    for rule in rules {
        match authorise_all(aws, cx, id, direction, std::slice::from_ref(rule)).await {
            Err(error) if error.is("InvalidPermission.Duplicate") => {}
            other => other?,
        }
    }
    Ok(())
}

async fn authorise_all(aws: &Aws, cx: &Context, id: &str, direction: Direction, rules: &[Rule]) -> Result<(), Error> {
    retry(cx, Retry::NEW, || async {
        match direction {
            Direction::In => {
                let call = aws.ec2().authorize_security_group_ingress().group_id(id);
                call.set_ip_permissions(permissions(rules, id)).send().await?;
            }
            Direction::Out => {
                let call = aws.ec2().authorize_security_group_egress().group_id(id);
                call.set_ip_permissions(permissions(rules, id)).send().await?;
            }
        }
        Ok(())
    })
    .await
}

async fn describe_rules(aws: &Aws, cx: &Context, id: &str, direction: Direction, rules: &[Rule]) -> Result<(), Error> {
    if rules.is_empty() {
        return Ok(());
    }
    retry(cx, Retry::NEW, || async {
        match direction {
            Direction::In => {
                let call = aws.ec2().update_security_group_rule_descriptions_ingress().group_id(id);
                call.set_ip_permissions(permissions(rules, id)).send().await?;
            }
            Direction::Out => {
                let call = aws.ec2().update_security_group_rule_descriptions_egress().group_id(id);
                call.set_ip_permissions(permissions(rules, id)).send().await?;
            }
        }
        Ok(())
    })
    .await
}

/// One by one, so that a rule that is gone already does not keep the others.
async fn revoke(aws: &Aws, cx: &Context, id: &str, direction: Direction, rules: &[Rule]) -> Result<(), Error> {
    for rule in rules {
        let one = std::slice::from_ref(rule);
        let revoked: Result<(), Error> = retry(cx, Retry::NONE, || async {
            match direction {
                Direction::In => {
                    let call = aws.ec2().revoke_security_group_ingress().group_id(id);
                    call.set_ip_permissions(permissions(one, id)).send().await?;
                }
                Direction::Out => {
                    let call = aws.ec2().revoke_security_group_egress().group_id(id);
                    call.set_ip_permissions(permissions(one, id)).send().await?;
                }
            }
            Ok(())
        })
        .await;
        match revoked {
            Err(error) if error.is("InvalidPermission.NotFound") => {}
            other => other?,
        }
    }
    Ok(())
}
