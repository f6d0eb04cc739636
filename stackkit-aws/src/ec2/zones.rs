//! `AvailabilityZones`: the zones of the region.

use aws_sdk_ec2::types::AvailabilityZone as Wire;
use stackkit::lookup::{Answer, Lookup};
use stackkit::{Context, lookup};

use super::filter;
use crate::connect::Aws;

/// The availability zones of the region that can be used now, without local and wavelength zones.
///
/// Actions: `ec2:DescribeAvailabilityZones`.
#[lookup("aws:ec2:AvailabilityZones")]
pub struct AvailabilityZones {
    /// Names, such as `eu-central-1a`, sorted.
    #[lookup(output)]
    pub names: Vec<String>,
    /// Ids, which mean the same zone in every account, such as `euc1-az2`; in the order of the names.
    #[lookup(output)]
    pub zone_ids: Vec<String>,
}

impl Lookup for AvailabilityZones {
    type Provider = Aws;

    async fn look_up(aws: &Aws, _: &Context, args: &AvailabilityZonesArgs) -> Answer<Self> {
        let filters = vec![filter("state", ["available"]), filter("zone-type", ["availability-zone"])];
        let found = aws.ec2().describe_availability_zones().set_filters(Some(filters)).send().await?;
        let name = |zone: &Wire| Some((zone.zone_name()?.to_owned(), zone.zone_id().unwrap_or_default().to_owned()));
        let mut zones: Vec<_> = found.availability_zones().iter().filter_map(name).collect();
        zones.sort();
        let (names, zone_ids) = zones.into_iter().unzip();
        Ok(AvailabilityZonesState { args: args.clone(), names, zone_ids })
    }
}
