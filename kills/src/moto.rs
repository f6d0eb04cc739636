//! moto in AWS's place, asked by plain requests.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use crate::world::{Thing, World};

/// What is asked for: the type as StackKit names it, service, request, and the element that holds an id.
const QUERIES: [(&str, &str, &str, &str); 9] = [
    ("aws:ec2:Vpc", "ec2", "Action=DescribeVpcs&Version=2016-11-15", "vpcId"),
    ("aws:ec2:Subnet", "ec2", "Action=DescribeSubnets&Version=2016-11-15", "subnetId"),
    ("aws:ec2:SecurityGroup", "ec2", "Action=DescribeSecurityGroups&Version=2016-11-15", "groupId"),
    ("aws:ec2:RouteTable", "ec2", "Action=DescribeRouteTables&Version=2016-11-15", "routeTableId"),
    ("aws:ec2:InternetGateway", "ec2", "Action=DescribeInternetGateways&Version=2016-11-15", "internetGatewayId"),
    ("aws:rds:Instance", "rds", "Action=DescribeDBInstances&Version=2014-10-31", "DBInstanceIdentifier"),
    ("aws:rds:SubnetGroup", "rds", "Action=DescribeDBSubnetGroups&Version=2014-10-31", "DBSubnetGroupName"),
    ("aws:rds:Snapshot", "rds", "Action=DescribeDBSnapshots&Version=2014-10-31", "DBSnapshotIdentifier"),
    ("aws:s3:Bucket", "s3", "", "Name"),
];

/// What every network brings with it, and takes away with it.
const OF_NETWORKS: [(&str, &str, &str); 2] = [
    (
        "aws:ec2:SecurityGroup",
        "Action=DescribeSecurityGroups&Version=2016-11-15&Filter.1.Name=group-name&Filter.1.Value.1=default",
        "groupId",
    ),
    (
        "aws:ec2:RouteTable",
        "Action=DescribeRouteTables&Version=2016-11-15&Filter.1.Name=association.main&Filter.1.Value.1=true",
        "routeTableId",
    ),
];

/// A server of a lane's own, and what it held at the start.
pub(crate) struct Moto {
    server: test_servers::Moto,
    start: BTreeSet<Thing>,
}

impl Moto {
    pub(crate) fn start() -> Result<Self, String> {
        let server = test_servers::Moto::start().map_err(|error| error.to_string())?;
        let mut moto = Self { server, start: BTreeSet::new() };
        moto.start = moto.all()?;
        Ok(moto)
    }

    /// Environment under which SDKs use it.
    pub(crate) fn sdk_env(&self) -> Vec<(String, String)> {
        self.server.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Everything beyond the start.
    pub(crate) fn beyond(&self) -> Result<BTreeSet<Thing>, String> {
        Ok(self.all()?.difference(&self.start).cloned().collect())
    }

    /// Empties the account.
    pub(crate) fn reset(&mut self) -> Result<(), String> {
        self.server.reset().map_err(|error| error.to_string())?;
        self.start = self.all()?;
        Ok(())
    }

    fn all(&self) -> Result<BTreeSet<Thing>, String> {
        let mut found = BTreeSet::new();
        for (kind, service, body, element) in QUERIES {
            let answer = self.ask(service, body)?;
            // Snapshots with this beginning are a database's own backups, and go with it.
            let ids = elements(&answer, element).filter(|id| !id.starts_with("rds:"));
            found.extend(ids.map(|id| Thing::new(kind, id)));
        }
        for (kind, body, element) in OF_NETWORKS {
            for id in elements(&self.ask("ec2", body)?, element) {
                found.remove(&Thing::new(kind, id));
            }
        }
        Ok(found)
    }

    /// One request, signed as far as moto looks: by the service's name alone. Without a body it lists buckets.
    fn ask(&self, service: &str, body: &str) -> Result<String, String> {
        let address = self.server.endpoint().trim_start_matches("http://").to_owned();
        let request = if body.is_empty() { "GET /" } else { "POST /" };
        let length = body.len();
        let text = format!(
            "{request} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20200101/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}"
        );
        let mut answer = String::new();
        TcpStream::connect(&address)
            .and_then(|mut stream| {
                stream.write_all(text.as_bytes())?;
                stream.read_to_string(&mut answer)
            })
            .map_err(|error| format!("moto does not answer: {error}"))?;
        if answer.lines().next().is_some_and(|line| line.contains(" 200 ")) {
            Ok(answer)
        } else {
            Err(format!("moto refuses {service} {body}: {answer}"))
        }
    }
}

/// What stands in the elements of a name.
fn elements<'a>(answer: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("<{name}>");
    answer.match_indices(&open).map(|(at, _)| at + open.len()).collect::<Vec<_>>().into_iter().filter_map(|at| {
        let rest = answer.get(at..)?;
        rest.split('<').next()
    })
}

impl World for Moto {
    fn env(&self) -> Vec<(String, String)> {
        self.sdk_env()
    }

    fn things(&self, _: u64, _: &Path) -> Result<BTreeSet<Thing>, String> {
        self.beyond()
    }

    fn holds(&self, kind: &str) -> bool {
        kind.starts_with("aws:")
    }

    fn urn_of(&self, thing: &Thing) -> Option<String> {
        let filter = "Action=DescribeTags&Version=2016-11-15&Filter.1.Name=resource-id&Filter.1.Value.1=";
        let answer = self.ask("ec2", &format!("{filter}{}", thing.id)).ok()?;
        let (_, after) = answer.split_once("<key>stackkit:urn</key>")?;
        elements(after, "value").next().map(str::to_owned)
    }

    fn clear(&mut self, _: u64) -> Result<(), String> {
        self.reset()
    }
}
