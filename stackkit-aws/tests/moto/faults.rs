//! What goes wrong on the way: throttling, answers that are lost, things that are not there yet.

use std::time::Duration;

use stackkit::{ErrorKind, Found, Intent, Managed, cidr};
use stackkit_aws::ec2::{InternetGateway, Subnet, Vpc};
use stackkit_aws::s3::Bucket;
use test_servers::{Fault, FaultMode, Moto};

use crate::support::{Outcome, args, aws, context};

fn count(moto: &Moto, call: &str) -> Result<usize, test_servers::Error> {
    Ok(moto.calls()?.iter().filter(|made| *made == call).count())
}

#[tokio::test]
async fn throttling_is_sat_out() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    moto.inject(&[
        Fault::on("ec2:CreateVpc", FaultMode::Throttle).times(2),
        Fault::on("ec2:ModifyVpcAttribute", FaultMode::Throttle).times(2),
        Fault::on("ec2:DescribeVpcs", FaultMode::Status503),
    ])?;
    let made = Vpc::create(&aws, &context::<Vpc>("t"), &args("", Vpc::new(cidr!("10.0.0.0/16")))).await?;
    assert!(made.state.enable_dns_hostnames);
    assert_eq!(count(&moto, "ec2:CreateVpc")?, 3);
    Ok(())
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_not_repeated_but_found() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    moto.inject(&[
        Fault::on("ec2:CreateVpc", FaultMode::DropAfter),
        Fault::on("s3:CreateBucket", FaultMode::DropAfter),
    ])?;
    let asked = args("", Vpc::new(cidr!("10.0.0.0/16")));
    let lost = Vpc::create(&aws, &context::<Vpc>("lost"), &asked).await.expect_err("no answer");
    assert_eq!(lost.kind(), ErrorKind::UnknownOutcome, "{lost}");
    assert_eq!(count(&moto, "ec2:CreateVpc")?, 1, "a second call would make a second network");
    let intent = Intent::<Vpc> { args: asked, token: "lost".into(), name_was_free: None };
    assert!(matches!(Vpc::find(&aws, &context::<Vpc>("lost"), &intent).await?, Found::Ours(_)));

    let asked = args("lost-bucket", Bucket::new());
    let lost = Bucket::create(&aws, &context::<Bucket>("lost"), &asked).await.expect_err("no answer");
    assert_eq!(lost.kind(), ErrorKind::UnknownOutcome, "{lost}");
    let intent = Intent::<Bucket> { args: asked, token: "lost".into(), name_was_free: Some(true) };
    assert!(matches!(Bucket::find(&aws, &context::<Bucket>("lost"), &intent).await?, Found::Ours(_)));
    Ok(())
}

#[tokio::test]
async fn a_call_that_can_be_repeated_is() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    let vpc = Vpc::create(&aws, &context::<Vpc>("v"), &args("", Vpc::new(cidr!("10.0.0.0/16")))).await?;
    moto.inject(&[
        Fault::on("ec2:AttachInternetGateway", FaultMode::DropAfter),
        Fault::on("ec2:ModifySubnetAttribute", FaultMode::DropAfter),
        Fault::on("s3:PutBucketVersioning", FaultMode::DropAfter),
        Fault::on("s3:GetBucketTagging", FaultMode::Status500),
    ])?;
    let gateway = args("", InternetGateway::new(vpc.id.as_str()));
    let made = InternetGateway::create(&aws, &context::<InternetGateway>("g"), &gateway).await?;
    assert_eq!(made.state.vpc_id.as_str(), vpc.id);
    let subnet = args("", Subnet::new(vpc.id.as_str(), cidr!("10.0.0.0/24")).map_public_ip_on_launch(true));
    Subnet::create(&aws, &context::<Subnet>("s"), &subnet).await?;
    let bucket = Bucket::create(&aws, &context::<Bucket>("b"), &args("repeated", Bucket::new())).await?;
    assert!(bucket.state.versioning);
    Ok(())
}

#[tokio::test]
async fn a_network_is_deleted_once_what_is_in_it_is_gone() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    let vpc = Vpc::create(&aws, &context::<Vpc>("v"), &args("", Vpc::new(cidr!("10.0.0.0/16")))).await?;
    let subnet = args("", Subnet::new(vpc.id.as_str(), cidr!("10.0.0.0/24")));
    let subnet = Subnet::create(&aws, &context::<Subnet>("s"), &subnet).await?;
    let (in_use, free) = (context::<Vpc>("v"), context::<Subnet>("s"));
    let network = Vpc::delete(&aws, &in_use, &vpc.id, &vpc.state);
    let part = async {
        // The network's deletion is refused at least twice before the subnet goes.
        while count(&moto, "ec2:DeleteVpc").is_ok_and(|calls| calls < 2) {
            tokio::task::yield_now().await;
        }
        Subnet::delete(&aws, &free, &subnet.id, &subnet.state).await
    };
    let (network, part) = tokio::join!(tokio::time::timeout(Duration::from_secs(30), network), part);
    part?;
    network??;
    assert!(count(&moto, "ec2:DeleteVpc")? >= 3);
    Ok(())
}

#[tokio::test]
async fn credentials_that_aws_does_not_accept_are_told_with_what_to_check() -> Outcome {
    let moto = Moto::start()?;
    moto.enforce_iam()?;
    let cx = context::<Vpc>("v");
    let refused = Vpc::read(&aws(&moto), &cx, "vpc-1", None).await.expect_err("nobody is known");
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    assert!(refused.to_string().starts_with("ec2:DescribeVpcs: "), "{refused}");
    assert!(refused.to_string().contains("AWS_PROFILE"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn what_fails_after_the_create_is_left_to_the_next_run() -> Outcome {
    let moto = Moto::start()?;
    let aws = aws(&moto);
    moto.inject(&[Fault::on("ec2:ModifyVpcAttribute", FaultMode::DropBefore).times(100)])?;
    let asked = args("", Vpc::new(cidr!("10.0.0.0/16")));
    let half = Vpc::create(&aws, &context::<Vpc>("half"), &asked).await.expect_err("the connection breaks");
    // Any kind that the engine repeats a create for would make a second network.
    assert_eq!(half.kind(), ErrorKind::Conflict, "{half}");
    assert!(half.to_string().contains("next `up`"), "{half}");
    Ok(())
}
