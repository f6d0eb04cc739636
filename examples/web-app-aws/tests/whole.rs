//! The whole life of the stack as its users live it, against moto in AWS's place: what changes, in which order, what is
//! left; secrets nowhere in plain text; and kills at random instants.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use acceptance::{Canary, Ran, Sandbox};
use serde_json::Value;
use test_servers::{Fault, FaultMode, Moto};

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-web-app-aws");

fn server() -> Moto {
    Moto::start().unwrap_or_else(|error| panic!("{error}"))
}

fn sandbox(moto: &Moto) -> Sandbox {
    Sandbox::new(PROGRAM).with_env(moto.env())
}

/// One request to moto, signed as far as moto looks: by the service's name alone.
fn ask(moto: &Moto, service: &str, request: &str, body: &str) -> String {
    let address = moto.endpoint().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).expect("moto answers");
    let credential = format!("Credential=test/20200101/eu-central-1/{service}/aws4_request");
    write!(
        stream,
        "{request} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nAuthorization: AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len()
    )
    .expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

/// Everything of ours that can be in moto: ids by kind.
fn inventory(moto: &Moto) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for (service, action, tag) in [
        ("ec2", "Action=DescribeVpcs&Version=2016-11-15", "vpcId"),
        ("ec2", "Action=DescribeSubnets&Version=2016-11-15", "subnetId"),
        ("ec2", "Action=DescribeSecurityGroups&Version=2016-11-15", "groupId"),
        ("ec2", "Action=DescribeRouteTables&Version=2016-11-15", "routeTableId"),
        ("ec2", "Action=DescribeInternetGateways&Version=2016-11-15", "internetGatewayId"),
        ("rds", "Action=DescribeDBInstances&Version=2014-10-31", "DBInstanceIdentifier"),
        ("rds", "Action=DescribeDBSubnetGroups&Version=2014-10-31", "DBSubnetGroupName"),
        ("rds", "Action=DescribeDBSnapshots&Version=2014-10-31", "DBSnapshotIdentifier"),
        ("s3", "", "Name"),
    ] {
        let request = if action.is_empty() { "GET /" } else { "POST /" };
        let answer = ask(moto, service, request, action);
        assert!(answer.contains(" 200 "), "{service} {action}: {answer}");
        let ids = answer
            .split(&format!("<{tag}>"))
            .skip(1)
            .filter_map(|rest| rest.split('<').next())
            .map(str::to_owned)
            .collect();
        all.insert(format!("{service} {tag}"), ids);
    }
    all
}

/// What is there now and was not before.
fn added(before: &BTreeMap<String, BTreeSet<String>>, now: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let none = BTreeSet::new();
    let mut added = Vec::new();
    for (model, ids) in now {
        added.extend(ids.difference(before.get(model).unwrap_or(&none)).map(|id| format!("{model} {id}")));
    }
    added
}

fn outputs(sandbox: &Sandbox) -> Value {
    let ran = sandbox.run(&["outputs", "--json"]).expect(0);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

fn counts(ran: &Ran) -> [u64; 4] {
    ["create", "update", "replace", "delete"].map(|name| ran.count(name))
}

#[test]
fn a_whole_life() {
    let moto = server();
    let sandbox = sandbox(&moto);
    let before = inventory(&moto);

    let up = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    assert!(up.count("create") >= 12, "{}", up.summary());
    let again = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    assert_eq!(counts(&again), [0; 4], "{}", again.stdout);

    // A tag: in place, and nothing but that.
    sandbox.run(&["config", "set", "environment", "staging"]).expect(0);
    let tagged = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    let [create, update, replace, delete] = counts(&tagged);
    assert_eq!((create, replace, delete), (0, 0, 0), "{}", tagged.stdout);
    assert!(update >= 8, "every resource that has tags: {update}");

    // The block of a subnet: replaced, the new one before the old one goes, and what refers to it in between.
    moto.clear_calls().expect("cleared");
    sandbox.run(&["config", "set", "public_cidr_b", "10.0.3.0/24"]).expect(0);
    let moved = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    let [create, _, replace, delete] = counts(&moved);
    assert_eq!((create, replace, delete), (0, 1, 0), "{}", moved.stdout);
    let calls = moto.calls().expect("a log");
    let at =
        |name: &str| calls.iter().position(|call| call == name).unwrap_or_else(|| panic!("no {name} in {calls:?}"));
    assert!(at("ec2:CreateSubnet") < at("ec2:AssociateRouteTable"), "{calls:?}");
    assert!(at("ec2:AssociateRouteTable") < at("ec2:DeleteSubnet"), "{calls:?}");

    // The bucket is deleted behind the stack's back.
    let bucket = outputs(&sandbox)["uploads"].as_str().expect("the bucket").to_owned();
    let answer = ask(&moto, "s3", &format!("DELETE /{bucket}"), "");
    assert!(answer.contains(" 204 "), "{answer}");
    let mended = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    assert_eq!(counts(&mended), [1, 0, 0, 0], "{}", mended.stdout);

    // Protection, and then without it.
    let whole = inventory(&moto);
    let refused = sandbox.run(&["destroy", "--yes"]).expect(3);
    for name in ["aws:rds:Instance::orders", "aws:s3:Bucket::uploads"] {
        assert!(refused.stderr.contains(name), "{}", refused.stderr);
    }
    assert_eq!(inventory(&moto), whole, "nothing was touched");
    sandbox.run(&["config", "set", "protected", "false"]).expect(0);
    sandbox.run(&["up", "--yes"]).expect(0);
    let snapshot = outputs(&sandbox)["final_snapshot"].as_str().expect("its name").to_owned();
    sandbox.run(&["destroy", "--yes"]).expect(0);

    let left = added(&before, &inventory(&moto));
    assert!(left.iter().any(|thing| thing.contains(&snapshot)), "the snapshot `{snapshot}` is there: {left:?}");
    let others: Vec<_> = left.iter().filter(|thing| !thing.contains(&snapshot)).collect();
    assert!(others.is_empty(), "nothing else is left: {others:?}");
}

#[test]
fn secrets_are_nowhere_in_plain_text() {
    let moto = server();
    let sandbox = sandbox(&moto);
    let password = Canary::new();
    // As a user sets it, from standard input: never as an argument.
    sandbox.run_with_input(&["config", "set", "db_password", "--secret", "-"], password.reveal()).expect(0);
    sandbox.run(&["preview", "--json"]).expect(0);
    // Calls that are refused and tried again show why.
    let throttled = Fault::on("rds:CreateDBInstance", FaultMode::Throttle).times(6);
    moto.inject(&[throttled]).expect("injected");
    let ran = sandbox.run(&["up", "--yes", "--json", "-v"]).expect(0);
    assert!(ran.stdout.contains("Rate exceeded"), "{}", ran.stdout);
    sandbox.run(&["up", "--yes", "-v"]).expect(0);
    for command in [&["outputs"][..], &["state", "list"], &["config", "list"], &["refresh", "--yes"], &["graph"]] {
        sandbox.run(command).expect(0);
    }
    sandbox.run(&["config", "set", "protected", "false"]).expect(0);
    sandbox.run(&["up", "--yes"]).expect(0);
    assert_eq!(sandbox.traces(&password, &[]), Vec::<String>::new());
    sandbox.run(&["destroy", "--yes", "--json"]).expect(0);
    assert_eq!(sandbox.traces(&password, &[]), Vec::<String>::new());
}

#[test]
fn killed_at_twenty_instants_of_up_and_of_destroy() {
    let moto = server();
    let sandbox = sandbox(&moto);
    sandbox.run(&["config", "set", "protected", "false"]).expect(0);
    let before = inventory(&moto);
    let up = sandbox.run(&["up", "--yes"]).expect(0);
    let kinds = |inventory: &BTreeMap<String, BTreeSet<String>>| -> BTreeMap<String, usize> {
        let mut kinds: BTreeMap<_, _> = inventory.iter().map(|(model, ids)| (model.clone(), ids.len())).collect();
        // Every destroyed database leaves its final snapshot.
        kinds.retain(|model, count| *count > 0 && !model.contains("Snapshot"));
        kinds
    };
    let expected = kinds(&inventory(&moto));
    let destroy = sandbox.run(&["destroy", "--yes"]).expect(0);
    let empty = kinds(&inventory(&moto));
    assert_eq!(empty, kinds(&before));

    let reset = || {
        sandbox.run(&["destroy", "--yes"]).expect(0);
    };
    sandbox.kill_at_random(&["up", "--yes"], &up, 20, reset, |round| {
        assert_eq!(kinds(&inventory(&moto)), expected, "{round}");
        let again = sandbox.run(&["up", "--yes", "--json"]).expect(0);
        assert_eq!(counts(&again), [0; 4], "{round}: {}", again.stdout);
    });
    let reset = || {
        sandbox.run(&["up", "--yes"]).expect(0);
    };
    sandbox.kill_at_random(&["destroy", "--yes"], &destroy, 20, reset, |round| {
        assert_eq!(kinds(&inventory(&moto)), empty, "{round}");
    });
}

#[test]
fn what_is_wrong_with_an_account_is_found_before_anything_is_touched() {
    let moto = server();
    let sandbox = sandbox(&moto);
    // Without credentials of any kind.
    let none = Sandbox::new(PROGRAM).with_env([
        ("AWS_ENDPOINT_URL", moto.endpoint()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ]);
    let ran = none.run(&["up", "--yes"]).expect(1);
    assert!(ran.stderr.contains("credentials"), "{}", ran.stderr);
    // At an endpoint where nobody answers.
    let nowhere = Sandbox::new(PROGRAM).with_env(moto.env()).with_env([("AWS_ENDPOINT_URL", "http://127.0.0.1:9")]);
    let ran = nowhere.run(&["up", "--yes"]).expect(1);
    assert!(ran.stderr.contains("127.0.0.1:9"), "{}", ran.stderr);
    assert!(added(&inventory(&moto), &inventory(&moto)).is_empty());

    // In another account than the one where the resources are.
    sandbox.run(&["up", "--yes"]).expect(0);
    let whole = inventory(&moto);
    let snapshot = sandbox.stack().join(".stackkit/dev.state.json");
    let state = std::fs::read(&snapshot).expect("the state");
    let ran = sandbox.run_with_env(&["up", "--yes"], &[("AWS_REGION", "us-west-2")]).expect(3);
    assert!(ran.stderr.contains("eu-central-1") && ran.stderr.contains("us-west-2"), "{}", ran.stderr);
    assert_eq!(std::fs::read(&snapshot).expect("the state"), state, "the state is as before");
    assert_eq!(inventory(&moto), whole);
    sandbox.run(&["up", "--yes", "--expect-no-changes"]).expect(0);
}
