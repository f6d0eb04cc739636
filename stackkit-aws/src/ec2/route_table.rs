//! `RouteTable`: where a network's traffic goes, and which subnets it serves.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ec2::types::{Filter, ResourceType, Route as WireRoute, RouteOrigin, RouteTable as Wire};
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Cidr, Context, Id, Properties, Set, resource};

use super::{STILL_IN_USE, Subnet, Target, Vpc, claimant, declared, filter, once, ours, retag, tagged};
use crate::batch;
use crate::connect::Aws;
use crate::error::Error;
use crate::tags;
use crate::wait::{Pace, Rule, Seen, retry, until};

/// How many tables, with all their routes and associations, a page may have.
const PAGE: usize = 100;

/// A route table with all its routes and the subnets that use it: what is not declared is taken away.
///
/// The local route, routes propagated by a virtual private gateway and those of gateway endpoints come by themselves
/// and are not declared here. A subnet uses one table; one that no table names uses the network's main table.
///
/// Actions: `ec2:CreateRouteTable`, `ec2:DescribeRouteTables`, `ec2:CreateRoute`, `ec2:ReplaceRoute`,
/// `ec2:DeleteRoute`, `ec2:AssociateRouteTable`, `ec2:ReplaceRouteTableAssociation`, `ec2:DisassociateRouteTable`,
/// `ec2:DeleteRouteTable`, `ec2:CreateTags`, `ec2:DeleteTags`.
#[resource("aws:ec2:RouteTable", settle = 30)]
#[derive(PartialEq)]
pub struct RouteTable {
    /// The network.
    #[resource(replace)]
    pub vpc_id: Id<Vpc>,
    /// The routes, one a destination.
    #[resource(default = Vec::<Route>::new())]
    pub routes: Set<Route>,
    /// The subnets that use it.
    #[resource(default = Vec::<Id<Subnet>>::new())]
    pub subnet_ids: Set<Id<Subnet>>,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The id, such as `rtb-0a1b2c3d`.
    #[resource(output)]
    pub id: Id<RouteTable>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
}

/// One route: `Route::new(cidr!("0.0.0.0/0"), &gateway.id)`.
#[derive(Debug, Clone, PartialEq, Properties)]
pub struct Route {
    /// The addresses that it is for.
    pub destination: Cidr,
    /// Where they are reached.
    pub target: Target,
}

impl Managed for RouteTable {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &RouteTableArgs) -> Result<Created<Self>, Error> {
        let made = retry(cx, Rule::NEW, || async {
            Ok(aws
                .ec2()
                .create_route_table()
                .vpc_id(args.vpc_id.as_str())
                .client_token(cx.token())
                .tag_specifications(tagged(cx, ResourceType::RouteTable, &args.tags))
                .customize()
                .config_override(once())
                .send()
                .await?)
        })
        .await?;
        let id = made.route_table().and_then(Wire::route_table_id);
        let id = id.ok_or_else(|| Error::missing("ec2:CreateRouteTable", "routeTableId"))?;
        cx.created(id).await?;
        let finish = async {
            let new = until(cx, "the route table", Pace::QUICK, || async { present(aws, id).await }).await?;
            converge(aws, cx, id, &new, args).await?;
            settled(aws, cx, id, args).await
        };
        Ok(Created::new(id, finish.await.map_err(Error::half_made)?))
    }

    async fn read(
        aws: &Aws,
        _: &Context,
        id: &str,
        _: Option<&RouteTableState>,
    ) -> Result<Option<RouteTableState>, Error> {
        let found = describe(aws, vec![filter("route-table-id", [id])]).await?.pop();
        found.map(|wire| state(aws, &wire)).transpose()
    }

    async fn claimed_by(aws: &Aws, cx: &Context, id: &str, _: &RouteTableState) -> Result<Option<String>, Error> {
        let found = describe(aws, vec![filter("route-table-id", [id])]).await?.pop();
        Ok(found.and_then(|wire| claimant(cx, wire.tags())))
    }

    async fn read_many(
        aws: &Aws,
        _: &Context,
        items: &[(String, Option<RouteTableState>)],
    ) -> Vec<Result<Option<RouteTableState>, Error>> {
        batch::read_states(
            items,
            PAGE,
            |ids| describe(aws, vec![filter("route-table-id", ids)]),
            Wire::route_table_id,
            |wire| state(aws, wire),
        )
        .await
    }

    async fn update(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: &RouteTableState,
        args: &RouteTableArgs,
    ) -> Result<RouteTableState, Error> {
        // Associations have ids of their own that no state keeps, so the table is looked at anew.
        let now = until(cx, "the route table", Pace::QUICK, || async { present(aws, id).await }).await?;
        converge(aws, cx, id, &now, args).await?;
        retag(aws, cx, id, &prior.tags, &args.tags).await?;
        settled(aws, cx, id, args).await
    }

    async fn delete(aws: &Aws, cx: &Context, id: &str, _: &RouteTableState) -> Result<(), Error> {
        let Some(now) = describe(aws, vec![filter("route-table-id", [id])]).await?.pop() else { return Ok(()) };
        for (_, association) in associations(&now) {
            disassociate(aws, cx, association).await?;
        }
        retry(cx, STILL_IN_USE, || async { Ok(aws.ec2().delete_route_table().route_table_id(id).send().await?) })
            .await?;
        Ok(())
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let Some(wire) = describe(aws, ours(cx, &intent.token)).await?.pop() else { return Ok(Found::Nothing) };
        let state = state(aws, &wire)?;
        Ok(Found::Ours(Created::new(state.id.to_string(), state)))
    }

    fn validate(args: &RouteTableArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        let mut seen = BTreeMap::new();
        for route in args.routes.iter() {
            let destination = route.destination.to_string();
            if !route.target.is_plausible() {
                let what = format!(
                    "the route to {destination} leads to `{}`: expected the id of a gateway (`igw-`, `nat-`, `tgw-`, \
                     `vgw-`, `eigw-`), peering (`pcx-`), endpoint (`vpce-`) or network interface (`eni-`)",
                    route.target
                );
                problems.push(Problem::new("routes", what));
            }
            if seen.insert(destination.clone(), ()).is_some() {
                problems
                    .push(Problem::new("routes", format!("two routes have the destination {destination}: keep one")));
            }
        }
        problems
    }
}

/// What the id of a target stands for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gateway,
    Nat,
    Transit,
    Peering,
    EgressOnly,
    Interface,
}

impl Kind {
    fn of(target: &str) -> Option<Self> {
        Some(match target.split_once('-')?.0 {
            "igw" | "vgw" | "vpce" => Self::Gateway,
            "nat" => Self::Nat,
            "tgw" => Self::Transit,
            "pcx" => Self::Peering,
            "eigw" => Self::EgressOnly,
            "eni" => Self::Interface,
            _ => return None,
        })
    }
}

/// Calls that set a route take the destination in one of two members and the target in one of six.
macro_rules! with_route {
    ($call:expr, $route:expr) => {{
        let destination = $route.destination.to_string();
        let target = $route.target.as_str();
        let call = match destination.contains(':') {
            true => $call.destination_ipv6_cidr_block(destination),
            false => $call.destination_cidr_block(destination),
        };
        match Kind::of(target) {
            Some(Kind::Nat) => call.nat_gateway_id(target),
            Some(Kind::Transit) => call.transit_gateway_id(target),
            Some(Kind::Peering) => call.vpc_peering_connection_id(target),
            Some(Kind::EgressOnly) => call.egress_only_internet_gateway_id(target),
            Some(Kind::Interface) => call.network_interface_id(target),
            Some(Kind::Gateway) | None => call.gateway_id(target),
        }
    }};
}

async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Wire>, Error> {
    let pages = aws.ec2().describe_route_tables().set_filters(Some(filters)).into_paginator().items().send();
    Ok(pages.collect::<Result<Vec<_>, _>>().await?)
}

async fn present(aws: &Aws, id: &str) -> Result<Seen<Wire>, Error> {
    let found = describe(aws, vec![filter("route-table-id", [id])]).await?.pop();
    Ok(found.map_or_else(|| Seen::Waiting("not visible".into()), Seen::Ready))
}

/// Subnets and the ids of their associations with this table.
fn associations(wire: &Wire) -> impl Iterator<Item = (&str, &str)> {
    wire.associations()
        .iter()
        .filter(|association| association.main() != Some(true))
        .filter_map(|association| Some((association.subnet_id()?, association.route_table_association_id()?)))
}

/// The routes that somebody declared, as programs write them.
fn routes(wire: &Wire) -> impl Iterator<Item = Route> {
    wire.routes().iter().filter(|route| route.origin() == Some(&RouteOrigin::CreateRoute)).filter_map(declared_route)
}

fn declared_route(route: &WireRoute) -> Option<Route> {
    let destination = route.destination_cidr_block().or(route.destination_ipv6_cidr_block())?;
    let target = route
        .nat_gateway_id()
        .or(route.transit_gateway_id())
        .or(route.vpc_peering_connection_id())
        .or(route.egress_only_internet_gateway_id())
        .or(route.gateway_id())
        .or(route.network_interface_id())?;
    Some(Route { destination: destination.parse().ok()?, target: Target::new(target) })
}

/// Sets what is missing or different, then takes away what is not asked for.
async fn converge(aws: &Aws, cx: &Context, id: &str, now: &Wire, args: &RouteTableArgs) -> Result<(), Error> {
    let present: HashMap<String, Target> =
        routes(now).map(|route| (route.destination.to_string(), route.target)).collect();
    for route in args.routes.iter() {
        match present.get(&route.destination.to_string()) {
            Some(target) if *target == route.target => {}
            Some(_) => replace_route(aws, cx, id, route).await?,
            None => create_route(aws, cx, id, route).await?,
        }
    }
    let served: HashMap<&str, &str> = associations(now).collect();
    let missing: Vec<&str> =
        args.subnet_ids.iter().map(|subnet| subnet.as_str()).filter(|subnet| !served.contains_key(subnet)).collect();
    let elsewhere = served_by_others(aws, args.vpc_id.as_str(), id, &missing).await?;
    for subnet in missing {
        match elsewhere.get(subnet) {
            Some(association) => take_over(aws, cx, id, subnet, association).await?,
            None => associate(aws, cx, id, subnet).await?,
        }
    }
    for (subnet, association) in &served {
        if !args.subnet_ids.iter().any(|asked| asked.as_str() == *subnet) {
            disassociate(aws, cx, association).await?;
        }
    }
    let asked: Vec<String> = args.routes.iter().map(|route| route.destination.to_string()).collect();
    for destination in present.keys().filter(|destination| !asked.contains(destination)) {
        delete_route(aws, cx, id, destination).await?;
    }
    Ok(())
}

async fn create_route(aws: &Aws, cx: &Context, id: &str, route: &Route) -> Result<(), Error> {
    let created = retry(cx, Rule::NEW, || async {
        Ok(with_route!(aws.ec2().create_route().route_table_id(id), route).send().await?)
    })
    .await;
    match created {
        Err(error) if error.is("RouteAlreadyExists") => replace_route(aws, cx, id, route).await,
        other => other.map(drop),
    }
}

async fn replace_route(aws: &Aws, cx: &Context, id: &str, route: &Route) -> Result<(), Error> {
    let replaced = retry(cx, Rule::NEW, || async {
        Ok(with_route!(aws.ec2().replace_route().route_table_id(id), route).send().await?)
    });
    replaced.await.map(drop)
}

async fn delete_route(aws: &Aws, cx: &Context, id: &str, destination: &str) -> Result<(), Error> {
    let deleted = retry(cx, Rule::NONE, || async {
        let call = aws.ec2().delete_route().route_table_id(id);
        let call = match destination.contains(':') {
            true => call.destination_ipv6_cidr_block(destination),
            false => call.destination_cidr_block(destination),
        };
        Ok(call.send().await?)
    })
    .await;
    match deleted {
        Err(error) if error.is("InvalidRoute.NotFound") => Ok(()),
        other => other.map(drop),
    }
}

async fn associate(aws: &Aws, cx: &Context, id: &str, subnet: &str) -> Result<(), Error> {
    let associated = retry(cx, Rule::NEW, || async {
        Ok(aws.ec2().associate_route_table().route_table_id(id).subnet_id(subnet).send().await?)
    })
    .await;
    match associated {
        Err(error) if error.is("Resource.AlreadyAssociated") => {
            let tables = describe(aws, vec![filter("association.subnet-id", [subnet])]).await?;
            let present = tables.iter().flat_map(associations).find(|(of, _)| *of == subnet);
            let Some((_, association)) = present else { return Err(error) };
            replace_association(aws, cx, id, association).await
        }
        other => other.map(drop),
    }
}

/// Those of the subnets that other tables of the network serve, and the ids of those associations. To associate them
/// anew is refused by EC2, and by others that speak its language accepted without effect.
async fn served_by_others(aws: &Aws, vpc: &str, id: &str, subnets: &[&str]) -> Result<HashMap<String, String>, Error> {
    if subnets.is_empty() {
        return Ok(HashMap::new());
    }
    let tables = describe(aws, vec![filter("vpc-id", [vpc])]).await?;
    let others = tables.iter().filter(|table| table.route_table_id() != Some(id)).flat_map(associations);
    let asked = others.filter(|(subnet, _)| subnets.contains(subnet));
    Ok(asked.map(|(subnet, association)| (subnet.to_owned(), association.to_owned())).collect())
}

/// A subnet that another table serves is moved in one step, so that it never falls back to the main table. Where that
/// table has let it go meanwhile, it is associated as a new one.
async fn take_over(aws: &Aws, cx: &Context, id: &str, subnet: &str, association: &str) -> Result<(), Error> {
    match replace_association(aws, cx, id, association).await {
        Err(error) if error.is_not_found() => associate(aws, cx, id, subnet).await,
        other => other,
    }
}

async fn replace_association(aws: &Aws, cx: &Context, id: &str, association: &str) -> Result<(), Error> {
    retry(cx, Rule::NONE, || async {
        let call = aws.ec2().replace_route_table_association().association_id(association);
        Ok(call.route_table_id(id).send().await?)
    })
    .await
    .map(drop)
}

async fn disassociate(aws: &Aws, cx: &Context, association: &str) -> Result<(), Error> {
    let gone = retry(cx, Rule::NONE, || async {
        Ok(aws.ec2().disassociate_route_table().association_id(association).send().await?)
    })
    .await;
    match gone {
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}

/// Waits until EC2 shows the routes and subnets asked for.
async fn settled(aws: &Aws, cx: &Context, id: &str, args: &RouteTableArgs) -> Result<RouteTableState, Error> {
    until(cx, "the route table", Pace::QUICK, || async {
        let Seen::Ready(wire) = present(aws, id).await? else { return Ok(Seen::Waiting("not visible".into())) };
        let state = state(aws, &wire)?;
        let shows_routes = args.routes.iter().all(|asked| state.routes.iter().any(|route| route == asked));
        let shows_subnets = args.subnet_ids.iter().all(|asked| state.subnet_ids.iter().any(|subnet| subnet == asked));
        if !shows_routes || !shows_subnets {
            return Ok(Seen::Waiting("changing".into()));
        }
        Ok(Seen::Ready(RouteTableState { args: args.clone(), ..state }))
    })
    .await
}

fn state(aws: &Aws, wire: &Wire) -> Result<RouteTableState, Error> {
    let missing = |member| Error::missing("ec2:DescribeRouteTables", member);
    let id = wire.route_table_id().ok_or_else(|| missing("routeTableId"))?;
    Ok(RouteTableState {
        args: RouteTableArgs {
            vpc_id: Id::new(wire.vpc_id().ok_or_else(|| missing("vpcId"))?),
            routes: routes(wire).collect(),
            subnet_ids: associations(wire).map(|(subnet, _)| Id::new(subnet)).collect(),
            tags: declared(wire.tags()),
        },
        id: Id::new(id),
        arn: aws.arn("ec2", aws.region(), wire.owner_id().unwrap_or_default(), &format!("route-table/{id}")),
    })
}
