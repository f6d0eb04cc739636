//! What other tools call the types of this provider, by their documentation: Terraform's `hashicorp/aws`, Pulumi's `aws`.

use stackkit::Value;
use stackkit::foreign::{Adopt, Becomes, ForeignResource};

/// What a recorded resource is here. Also types whose features are off are named, so that it is told which one to turn on.
pub(crate) fn foreign(resource: &ForeignResource) -> Option<Becomes> {
    let plain = |type_name: &'static str| Becomes::Resource(Becomes::resource(type_name, &resource.id));
    let left = |why: &str| Becomes::Left(why.into());
    Some(match resource.type_name.as_str() {
        "aws_vpc" | "aws:ec2/vpc:Vpc" => plain("aws:ec2:Vpc"),
        "aws_subnet" | "aws:ec2/subnet:Subnet" => plain("aws:ec2:Subnet"),
        "aws_internet_gateway" | "aws:ec2/internetGateway:InternetGateway" => plain("aws:ec2:InternetGateway"),
        "aws_route_table" | "aws:ec2/routeTable:RouteTable" => plain("aws:ec2:RouteTable"),
        "aws_security_group" | "aws:ec2/securityGroup:SecurityGroup" => plain("aws:ec2:SecurityGroup"),
        "aws_s3_bucket" | "aws:s3/bucket:Bucket" | "aws:s3/bucketV2:BucketV2" => bucket(resource).into(),
        "aws_db_subnet_group" | "aws:rds/subnetGroup:SubnetGroup" => {
            Becomes::resource("aws:rds:SubnetGroup", resource.text("name").unwrap_or(&resource.id)).into()
        }
        "aws_db_instance" | "aws:rds/instance:Instance" => instance(resource).into(),

        "aws_internet_gateway_attachment" | "aws:ec2/internetGatewayAttachment:InternetGatewayAttachment" => {
            Becomes::Part("aws:ec2:InternetGateway")
        }
        "aws_route"
        | "aws_route_table_association"
        | "aws:ec2/route:Route"
        | "aws:ec2/routeTableAssociation:RouteTableAssociation" => Becomes::Part("aws:ec2:RouteTable"),
        "aws_security_group_rule"
        | "aws_vpc_security_group_ingress_rule"
        | "aws_vpc_security_group_egress_rule"
        | "aws:ec2/securityGroupRule:SecurityGroupRule"
        | "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
        | "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule" => Becomes::Part("aws:ec2:SecurityGroup"),
        "aws_s3_bucket_versioning"
        | "aws_s3_bucket_server_side_encryption_configuration"
        | "aws_s3_bucket_public_access_block"
        | "aws_s3_bucket_ownership_controls"
        | "aws:s3/bucketVersioning:BucketVersioning"
        | "aws:s3/bucketVersioningV2:BucketVersioningV2"
        | "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
        | "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2"
        | "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
        | "aws:s3/bucketOwnershipControls:BucketOwnershipControls" => Becomes::Part("aws:s3:Bucket"),

        "aws_default_vpc"
        | "aws_default_subnet"
        | "aws_default_route_table"
        | "aws_default_security_group"
        | "aws_default_network_acl"
        | "aws:ec2/defaultVpc:DefaultVpc"
        | "aws:ec2/defaultSubnet:DefaultSubnet"
        | "aws:ec2/defaultRouteTable:DefaultRouteTable"
        | "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
        | "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl" => {
            left("AWS made it and nobody can delete it by itself: it is not managed here")
        }
        "aws_main_route_table_association" | "aws:ec2/mainRouteTableAssociation:MainRouteTableAssociation" => {
            left("which table is a network's main one is not managed here: it stays as it is")
        }
        _ => return None,
    })
}

fn bucket(resource: &ForeignResource) -> Adopt {
    let name = resource.text("bucket").unwrap_or(&resource.id);
    Becomes::resource("aws:s3:Bucket", name).known("force_destroy", resource.get("force_destroy").cloned())
}

/// Since version 5 of those providers the id of an instance is not its identifier.
fn instance(resource: &ForeignResource) -> Adopt {
    let identifier = resource.text("identifier").unwrap_or(&resource.id);
    let skipped = resource.get("skip_final_snapshot").map(|value| !matches!(value, Value::Bool(true)));
    Becomes::resource("aws:rds:Instance", identifier)
        .known("password", resource.get("password").cloned())
        .known("final_snapshot", skipped.map(Value::Bool))
}
