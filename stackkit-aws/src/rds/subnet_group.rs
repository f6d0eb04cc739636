//! `SubnetGroup`: the subnets that a database may be in.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_rds::types::DbSubnetGroup as Wire;
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, Set, resource};

use super::{PAGE, name_problem, once, retag, unwire, wire};
use crate::connect::Aws;
use crate::error::Error;
use crate::tags::{self, Tags, is_ours};
use crate::wait::{Pace, Rule, Seen, retry, until};

/// Above this many, all groups of the account are listed instead of reading one by one.
const ONE_BY_ONE: usize = 3;

/// A group of subnets for databases: at least two of them, in different zones.
///
/// Actions: `rds:CreateDBSubnetGroup`, `rds:DescribeDBSubnetGroups`, `rds:ModifyDBSubnetGroup`,
/// `rds:DeleteDBSubnetGroup`, `rds:ListTagsForResource`, `rds:AddTagsToResource`, `rds:RemoveTagsFromResource`.
#[resource("aws:rds:SubnetGroup", settle = 30)]
#[derive(PartialEq)]
pub struct SubnetGroup {
    /// The subnets, such as `&subnet.id`.
    pub subnet_ids: Set<String>,
    /// The name, unique in account and region: lower-case letters, digits and hyphens. Unset: made up from stack and
    /// name.
    #[resource(name, replace)]
    pub name: String,
    /// What it is for.
    #[resource(default = "Managed by StackKit")]
    pub description: String,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
    /// The network that the subnets are in.
    #[resource(output)]
    pub vpc_id: String,
}

impl Managed for SubnetGroup {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &SubnetGroupArgs) -> Result<Created<Self>, Error> {
        let tags = wire(&tags::of_new(cx, &args.tags));
        retry(cx, Rule::passing(&["InvalidSubnet"], 60), || async {
            Ok(aws
                .rds()
                .create_db_subnet_group()
                .db_subnet_group_name(&args.name)
                .db_subnet_group_description(&args.description)
                .set_subnet_ids(Some(args.subnet_ids.to_vec()))
                .set_tags(Some(tags.clone()))
                .customize()
                .config_override(once())
                .send()
                .await?)
        })
        .await?;
        cx.created(&args.name).await?;
        Ok(Created::new(&args.name, settled(aws, cx, args).await.map_err(Error::half_made)?))
    }

    async fn read(
        aws: &Aws,
        _: &Context,
        id: &str,
        _: Option<&SubnetGroupState>,
    ) -> Result<Option<SubnetGroupState>, Error> {
        match describe(aws, id).await? {
            Some(found) => Ok(Some(state(aws, &found).await?)),
            None => Ok(None),
        }
    }

    async fn claimed_by(aws: &Aws, cx: &Context, _: &str, state: &SubnetGroupState) -> Result<Option<String>, Error> {
        Ok(tags::claimant(cx, seen_tags(aws, &state.arn).await?))
    }

    async fn read_many(
        aws: &Aws,
        cx: &Context,
        items: &[(String, Option<SubnetGroupState>)],
    ) -> Vec<Result<Option<SubnetGroupState>, Error>> {
        let mut results = Vec::with_capacity(items.len());
        if items.len() <= ONE_BY_ONE {
            for (id, prior) in items {
                results.push(Self::read(aws, cx, id, prior.as_ref()).await);
            }
            return results;
        }
        let all = match list(aws).await {
            Ok(all) => all,
            Err(error) => return items.iter().map(|_| Err(error.clone())).collect(),
        };
        for (id, _) in items {
            results.push(match all.get(id) {
                Some(found) => state(aws, found).await.map(Some),
                None => Ok(None),
            });
        }
        results
    }

    async fn update(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: &SubnetGroupState,
        args: &SubnetGroupArgs,
    ) -> Result<SubnetGroupState, Error> {
        if prior.subnet_ids != args.subnet_ids || prior.description != args.description {
            retry(cx, Rule::NONE, || async {
                Ok(aws
                    .rds()
                    .modify_db_subnet_group()
                    .db_subnet_group_name(id)
                    .db_subnet_group_description(&args.description)
                    .set_subnet_ids(Some(args.subnet_ids.to_vec()))
                    .send()
                    .await?)
            })
            .await?;
        }
        retag(aws, &prior.arn, &prior.tags, &args.tags).await?;
        settled(aws, cx, args).await
    }

    async fn delete(aws: &Aws, cx: &Context, id: &str, _: &SubnetGroupState) -> Result<(), Error> {
        // A database that was just deleted counts as being in it for a while.
        let in_use = Rule::passing(&["InvalidDBSubnetGroupStateFault", "InvalidDBSubnetGroupState"], 300);
        retry(cx, in_use, || async { Ok(aws.rds().delete_db_subnet_group().db_subnet_group_name(id).send().await?) })
            .await?;
        Ok(())
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let Some(found) = describe(aws, &intent.args.name).await? else { return Ok(Found::Nothing) };
        let arn = found.db_subnet_group_arn().unwrap_or_default();
        if !is_ours(cx, intent, &seen_tags(aws, arn).await?) {
            return Ok(Found::Nothing);
        }
        let state = state(aws, &found).await?;
        Ok(Found::Ours(Created::new(&intent.args.name, state)))
    }

    async fn is_name_free(aws: &Aws, _: &Context, args: &SubnetGroupArgs) -> Result<Option<bool>, Error> {
        Ok(Some(describe(aws, &args.name).await?.is_none()))
    }

    fn validate(args: &SubnetGroupArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        problems.extend(name_problem("name", &args.name, 255));
        if args.subnet_ids.is_empty() {
            problems.push(Problem::new("subnet_ids", "names no subnet: RDS wants at least two, in different zones"));
        }
        problems
    }
}

async fn describe(aws: &Aws, name: &str) -> Result<Option<Wire>, Error> {
    match aws.rds().describe_db_subnet_groups().db_subnet_group_name(name).send().await.map_err(Error::from) {
        Ok(answer) => Ok(answer.db_subnet_groups.unwrap_or_default().pop()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn list(aws: &Aws) -> Result<HashMap<String, Wire>, Error> {
    let pages = aws.rds().describe_db_subnet_groups().max_records(PAGE).into_paginator().items().send();
    let all: Vec<Wire> = pages.collect::<Result<_, _>>().await?;
    Ok(all.into_iter().filter_map(|group| Some((group.db_subnet_group_name()?.to_owned(), group))).collect())
}

async fn seen_tags(aws: &Aws, arn: &str) -> Result<Tags, Error> {
    let answer = aws.rds().list_tags_for_resource().resource_name(arn).send().await?;
    Ok(unwire(answer.tag_list()))
}

async fn settled(aws: &Aws, cx: &Context, args: &SubnetGroupArgs) -> Result<SubnetGroupState, Error> {
    until(cx, "the subnet group", Pace::QUICK, || async {
        let Some(found) = describe(aws, &args.name).await? else {
            return Ok(Seen::Waiting("not visible".into()));
        };
        let state = state(aws, &found).await?;
        if state.subnet_ids != args.subnet_ids {
            return Ok(Seen::Waiting("changing".into()));
        }
        Ok(Seen::Ready(SubnetGroupState { args: args.clone(), ..state }))
    })
    .await
}

async fn state(aws: &Aws, wire: &Wire) -> Result<SubnetGroupState, Error> {
    let missing = |member| Error::missing("rds:DescribeDBSubnetGroups", member);
    let arn = wire.db_subnet_group_arn().ok_or_else(|| missing("DBSubnetGroupArn"))?;
    let tags = seen_tags(aws, arn).await?;
    Ok(SubnetGroupState {
        args: SubnetGroupArgs {
            subnet_ids: wire.subnets().iter().filter_map(|it| it.subnet_identifier().map(str::to_owned)).collect(),
            name: wire.db_subnet_group_name().ok_or_else(|| missing("DBSubnetGroupName"))?.to_owned(),
            description: wire.db_subnet_group_description().unwrap_or_default().to_owned(),
            tags: tags::declared(tags),
        },
        arn: arn.to_owned(),
        vpc_id: wire.vpc_id().unwrap_or_default().to_owned(),
    })
}
