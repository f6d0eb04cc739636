//! moto starts, answers, keeps its log, goes wrong on demand, and is gone afterwards.

use std::{
    error::Error,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use test_servers::{Fault, FaultMode, Moto};

type Outcome = Result<(), Box<dyn Error>>;

/// Sends a request as an SDK would, but for the signature that moto does not look at. An empty answer is a dropped connection.
fn send_as(key: &str, moto: &Moto, service: &str, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let address = moto.endpoint().trim_start_matches("http://");
    let kind = if body.starts_with("Action=") { "application/x-www-form-urlencoded" } else { "application/xml" };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => drop(other?),
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// As [`send_as`], with the key that the fixture's environment has.
fn send(moto: &Moto, service: &str, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    send_as("test", moto, service, method, path, body)
}

fn create_vpc(moto: &Moto) -> std::io::Result<String> {
    send(moto, "ec2", "POST", "/", "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.9.0.0%2F16")
}

/// How many VPCs there are besides the default one.
fn vpcs(moto: &Moto) -> Result<usize, Box<dyn Error>> {
    let answer = send(moto, "ec2", "POST", "/", "Action=DescribeVpcs&Version=2016-11-15")?;
    Ok(answer.matches("<vpcId>").count() - answer.matches("<isDefault>true</isDefault>").count())
}

/// Whether a process exists, a zombie being none.
fn alive(pid: u32) -> bool {
    let status = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output();
    status.is_ok_and(|status| {
        let state = String::from_utf8_lossy(&status.stdout).trim().to_owned();
        !state.is_empty() && !state.starts_with('Z')
    })
}

#[test]
fn calls_are_answered_and_logged() -> Outcome {
    let moto = Moto::start()?;
    assert!(create_vpc(&moto)?.contains("<vpcId>vpc-"));
    assert_eq!(vpcs(&moto)?, 1);
    assert!(send(&moto, "s3", "GET", "/", "")?.contains("<ListAllMyBucketsResult"));
    assert!(send(&moto, "s3", "GET", "/no-such-bucket?versioning", "")?.contains("<Code>NoSuchBucket</Code>"));
    assert!(send(&moto, "eks", "GET", "/clusters/none", "")?.contains("ResourceNotFoundException"));
    assert_eq!(
        moto.calls()?,
        ["ec2:CreateVpc", "ec2:DescribeVpcs", "s3:ListBuckets", "s3:GetBucketVersioning", "eks:DescribeCluster"]
    );

    moto.clear_calls()?;
    assert_eq!(moto.calls()?, [""; 0]);
    moto.reset()?;
    assert_eq!(vpcs(&moto)?, 0, "a reset empties the account");
    Ok(())
}

#[test]
fn faults_hit_the_calls_they_are_meant_for() -> Outcome {
    let moto = Moto::start()?;
    moto.inject(&[
        Fault::on("ec2:CreateVpc", FaultMode::Throttle).skip(1),
        Fault::on("ec2:CreateVpc", FaultMode::DropBefore).skip(1),
        Fault::on("ec2:CreateVpc", FaultMode::DropAfter).skip(1),
        Fault::on("iam:.*", FaultMode::Status500),
        Fault::on("iam:.*", FaultMode::Status503),
    ])?;
    assert!(create_vpc(&moto)?.contains("<vpcId>"), "each fault lets one call pass");
    // Every call that one fault takes is not seen by the faults after it, so these come in the order of the list.
    let throttled = create_vpc(&moto)?;
    assert!(throttled.contains("503") && throttled.contains("<Code>RequestLimitExceeded</Code>"), "{throttled}");
    assert_eq!(create_vpc(&moto)?, "", "dropped before");
    assert_eq!(vpcs(&moto)?, 1, "and nothing was done");
    assert_eq!(create_vpc(&moto)?, "", "dropped after");
    assert_eq!(vpcs(&moto)?, 2, "and the work was done");
    let broken = send(&moto, "iam", "POST", "/", "Action=ListUsers&Version=2010-05-08")?;
    assert!(broken.contains(" 500 ") && broken.contains("InternalFailure"), "{broken}");
    let away = send(&moto, "iam", "POST", "/", "Action=ListUsers&Version=2010-05-08")?;
    assert!(away.contains(" 503 ") && away.contains("ServiceUnavailable"), "{away}");

    let log = moto.call_log()?;
    let faults: Vec<_> = log.iter().filter_map(|call| call.fault.as_deref()).collect();
    assert_eq!(faults, ["throttle", "drop_before", "drop_after", "500", "503"]);

    let held = Duration::from_millis(300);
    moto.inject(&[Fault::on("ec2:CreateVpc", FaultMode::Delay(held)), Fault::on("ec2:.*", FaultMode::Throttle)])?;
    let start = Instant::now();
    assert!(create_vpc(&moto)?.contains("<vpcId>"));
    assert!(start.elapsed() >= held);
    moto.clear_faults()?;
    assert!(create_vpc(&moto)?.contains("<vpcId>"), "no fault is left");

    let refused = moto.inject(&[Fault::on("ec2:(", FaultMode::Throttle)]);
    assert!(refused.is_err_and(|error| error.to_string().contains("400")), "a broken pattern is refused");
    Ok(())
}

#[test]
fn permissions_count_once_they_are_enforced() -> Outcome {
    let moto = Moto::start()?;
    let policy =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeVpcs","Resource":"*"}]}"#;
    let (user, role) = (moto.user("reader", &[policy])?, moto.role("job", &[policy])?);
    assert!(user.token.is_none() && role.env().iter().any(|(name, _)| *name == "AWS_SESSION_TOKEN"));
    let read = "Action=DescribeVpcs&Version=2016-11-15";
    let write = "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.9.0.0%2F16";
    let key = user.id.as_str();

    moto.enforce_iam()?;
    assert!(send_as(key, &moto, "ec2", "POST", "/", read)?.contains("<vpcSet>"));
    let denied = send_as(key, &moto, "ec2", "POST", "/", write)?;
    assert!(denied.contains(" 403 ") && denied.contains("<Code>UnauthorizedOperation</Code>"), "{denied}");
    assert!(denied.contains("user/reader is not authorized to perform: ec2:CreateVpc"), "{denied}");
    let nobody = send_as("AKIANOBODY", &moto, "ec2", "POST", "/", read)?;
    assert!(nobody.contains(" 401 ") && nobody.contains("<Code>AuthFailure</Code>"), "{nobody}");
    // A role's key counts with its token alone.
    assert!(send_as(&role.id, &moto, "ec2", "POST", "/", read)?.contains("<Code>AuthFailure</Code>"));

    moto.ignore_iam()?;
    assert!(send_as(key, &moto, "ec2", "POST", "/", write)?.contains("<vpcId>"));
    Ok(())
}

#[test]
fn policies_are_judged_by_resource_and_condition() -> Outcome {
    let moto = Moto::start()?;
    let here =
        "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    for (path, body) in [("/acme", here), ("/acme/a/one", "1"), ("/acme/b/two", "2"), ("/other", here)] {
        let made = send(&moto, "s3", "PUT", path, body)?;
        assert!(made.contains(" 200 "), "{made}");
    }
    let reader = moto.user(
        "reader",
        &[
            r#"{"Version":"2012-10-17","Statement":[
                {"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::acme",
                 "Condition":{"StringLike":{"s3:prefix":["a/*"]}}},
                {"Effect":"Allow","Action":["s3:Get*"],"Resource":"arn:aws:s3:::acme/?/*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::acme/b/*"}}"#,
        ],
    )?;
    let odd = moto.user(
        "odd",
        &[r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*",
             "Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}"#],
    )?;
    moto.enforce_iam()?;
    let get = |who: &test_servers::Credentials, path: &str| send_as(&who.id, &moto, "s3", "GET", path, "");
    for (path, allowed) in [
        ("/acme?list-type=2&prefix=a/", true),
        ("/acme?list-type=2&prefix=a/o", true),
        ("/acme?list-type=2&prefix=b/", false),
        // The condition is on what the request says, and this one says nothing.
        ("/acme?list-type=2", false),
        ("/other?list-type=2&prefix=a/", false),
        ("/acme/a/one", true),
        ("/acme/b/two", false),
        ("/other/a/one", false),
    ] {
        let answer = get(&reader, path)?;
        let denied = answer.contains(" 403 ") && answer.contains("<Code>AccessDenied</Code>");
        assert_eq!((answer.contains(" 200 "), denied), (allowed, !allowed), "{path}: {answer}");
    }
    assert!(get(&reader, "/acme/b/two")?.contains("with an explicit deny"));
    let unjudged = get(&odd, "/acme/a/one")?;
    assert!(unjudged.contains(" 501 ") && unjudged.contains("IpAddress"), "{unjudged}");
    Ok(())
}

#[test]
fn concurrent_calls_all_succeed() -> Outcome {
    let moto = Moto::start()?;
    let answers: Vec<std::io::Result<String>> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let moto = &moto;
                scope.spawn(move || {
                    (0..10)
                        .map(|role| {
                            let body = format!(
                                "Action=CreateRole&Version=2010-05-08&RoleName=r{caller}-{role}&AssumeRolePolicyDocument=%7B%7D"
                            );
                            send(moto, "iam", "POST", "/", &body)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap_or_default()).collect()
    });
    assert_eq!(answers.len(), 80);
    for answer in answers {
        let answer = answer?;
        assert!(answer.contains("<CreateRoleResult>"), "{answer}");
    }
    Ok(())
}

#[test]
fn nothing_is_left_after_drop() -> Outcome {
    let moto = Moto::start()?;
    let (address, pid) = (moto.endpoint().trim_start_matches("http://").to_owned(), moto.pid());
    assert!(alive(pid) && TcpStream::connect(&address).is_ok());
    drop(moto);
    assert!(!alive(pid));
    let refused = TcpStream::connect(&address);
    assert!(refused.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused));
    Ok(())
}

#[test]
fn nothing_is_left_after_a_panic() -> Outcome {
    let (sender, receiver) = std::sync::mpsc::channel();
    let outcome = std::thread::spawn(move || {
        let moto = Moto::start().map_err(|error| error.to_string());
        if let Ok(moto) = &moto {
            let _ = sender.send(moto.pid());
        }
        panic!("on purpose");
    })
    .join();
    assert!(outcome.is_err());
    assert!(!alive(receiver.recv()?));
    Ok(())
}

#[test]
fn a_port_in_use_is_named() -> Outcome {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let error = Moto::start_on(port).err().ok_or("two servers on one port")?;
    assert!(error.to_string().contains(&format!("port {port} on 127.0.0.1 is taken")), "{error}");
    Ok(())
}

/// The command line's `moto` is what is killed here: it dies without any chance to clean up.
#[test]
fn nothing_is_left_after_sigkill() -> Outcome {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_test-servers"))
        .arg("moto")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    let mut stdout = owner.stdout.take().ok_or("no stdout")?;
    let mut buffer = [0; 1024];
    while !said.contains("AWS_SHARED_CREDENTIALS_FILE") {
        let read = stdout.read(&mut buffer)?;
        assert_ne!(read, 0, "it ended early: {said}");
        said.push_str(std::str::from_utf8(&buffer[..read])?);
    }
    let address =
        said.split_once("http://").and_then(|(_, rest)| rest.split(['\'', '\n']).next()).ok_or("no endpoint")?;
    assert!(TcpStream::connect(address).is_ok());
    owner.kill()?;
    owner.wait()?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "moto outlived its owner");
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn a_command_runs_with_the_environment_and_its_exit_status_comes_back() -> Outcome {
    let run = Command::new(env!("CARGO_BIN_EXE_test-servers"))
        .args(["moto", "--", "sh", "-c", "echo at $AWS_ENDPOINT_URL; exit 7"])
        .output()?;
    assert_eq!(run.status.code(), Some(7), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(String::from_utf8_lossy(&run.stdout).starts_with("at http://127.0.0.1:"));
    Ok(())
}

#[test]
fn an_installation_that_cannot_be_done_names_the_command() -> Outcome {
    let empty = tempfile::tempdir()?;
    let run = Command::new(env!("CARGO_BIN_EXE_test-servers"))
        .args(["install", "moto"])
        .env("STACKKIT_SERVERS_CACHE", empty.path().join("cache"))
        .env("PATH", empty.path())
        .output()?;
    assert!(!run.status.success());
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("python3") && said.contains("cargo run -p test-servers -- install moto"), "{said}");
    assert!(Path::new(empty.path()).join("cache").is_dir());
    Ok(())
}
