//! Amazon VPC and EC2: networks, subnets, gateways, route tables and security groups.

mod gateway;
mod reference;
mod route_table;
mod rule;
mod security_group;
mod subnet;
mod vpc;
mod zones;

pub use gateway::{InternetGateway, InternetGatewayArgs, InternetGatewayOutputs, InternetGatewayState};
pub use reference::{Peer, Target};
pub use route_table::{Route, RouteInput, RouteTable, RouteTableArgs, RouteTableOutputs, RouteTableState};
pub use rule::{Rule, RuleInput};
pub use security_group::{SecurityGroup, SecurityGroupArgs, SecurityGroupOutputs, SecurityGroupState};
pub use subnet::{Subnet, SubnetArgs, SubnetOutputs, SubnetState};
pub use vpc::{Vpc, VpcArgs, VpcOutputs, VpcState};
pub use zones::{AvailabilityZones, AvailabilityZonesArgs, AvailabilityZonesOutputs, AvailabilityZonesState};

use aws_sdk_ec2::config::Builder;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use stackkit::error::ErrorKind;
use stackkit::resource::Problem;
use stackkit::{Cidr, Context};

use crate::connect::Aws;
use crate::error::Error;
use crate::tags::{self, Tags};
use crate::wait::{Rule as Retry, retry};

/// How many values a filter may have.
const FILTER_VALUES: usize = 200;

/// What a subnet, a gateway or a network meets while what was in it goes away.
const STILL_IN_USE: Retry = Retry::passing(&["DependencyViolation"], 20 * 60);

/// A call that makes something and has no token is attempted once: a lost answer must not make a second one.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

/// A filter with many values. EC2's reads by id fail as a whole when one id is gone; by filter, what is gone is absent.
fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}

/// The filters that find what an interrupted create made, by the token in its tags.
fn ours(cx: &Context, token: &str) -> Vec<Filter> {
    vec![filter("tag:stackkit:token", [token]), filter("tag:stackkit:lineage", [cx.lineage()])]
}

/// The tags of a new resource, as a create call takes them.
fn tagged(cx: &Context, kind: ResourceType, asked: &Tags) -> TagSpecification {
    let tags = tags::of_new(cx, asked);
    TagSpecification::builder().resource_type(kind).set_tags(Some(wire(&tags))).build()
}

fn wire(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// The tags that the program would have to declare for what EC2 shows.
fn declared(seen: &[Tag]) -> Tags {
    tags::declared(pairs(seen))
}

/// The lineage of another stack in what EC2 shows.
fn claimant(cx: &Context, seen: &[Tag]) -> Option<String> {
    tags::claimant(cx, pairs(seen))
}

fn pairs(seen: &[Tag]) -> impl Iterator<Item = (String, String)> {
    seen.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
}

/// Brings the tags of one resource from the recorded to the asked ones.
async fn retag(aws: &Aws, cx: &Context, id: &str, recorded: &Tags, asked: &Tags) -> Result<(), Error> {
    let Some(change) = tags::change(recorded, asked) else { return Ok(()) };
    if !change.set.is_empty() {
        retry(cx, Retry::NEW, || async {
            Ok(aws.ec2().create_tags().resources(id).set_tags(Some(wire(&change.set))).send().await?)
        })
        .await?;
    }
    if !change.remove.is_empty() {
        let keys = change.remove.iter().map(|key| Tag::builder().key(key).build()).collect();
        aws.ec2().delete_tags().resources(id).set_tags(Some(keys)).send().await?;
    }
    Ok(())
}

/// A block of addresses as EC2 shows it.
fn block(operation: &str, text: &str) -> Result<Cidr, Error> {
    text.parse().map_err(|_| Error::new(ErrorKind::UnknownOutcome, format!("{operation}: `{text}` is no CIDR block")))
}

/// What EC2 would refuse about the block of a network or subnet.
fn block_problem(field: &'static str, block: &Cidr) -> Option<Problem> {
    let fits = block.address().is_ipv4() && (16..=28).contains(&block.prefix());
    (!fits).then(|| Problem::new(field, format!("`{block}` does not do: an IPv4 block between /16 and /28 is wanted")))
}
