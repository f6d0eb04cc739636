//! The program as a user runs it, against moto in AWS's place.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use test_servers::Moto;

type Outcome = Result<(), Box<dyn Error>>;

/// Takes every protection off.
const OPEN: [&str; 2] = ["--config", "protected=false"];

/// The program in a folder of its own, with the server's environment.
fn program(moto: &Moto, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-web-app-aws"));
    command.args(args).arg("--dir").arg(dir).envs(moto.env());
    command
        .env("XDG_CONFIG_HOME", dir)
        .env("XDG_STATE_HOME", dir)
        .env_remove("STACKKIT_PASSPHRASE")
        .env_remove("STACKKIT_STACK");
    command
}

fn run(moto: &Moto, dir: &Path, args: &[&str]) -> Result<Output, Box<dyn Error>> {
    Ok(program(moto, dir, args).output()?)
}

fn succeed(moto: &Moto, dir: &Path, args: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = run(moto, dir, args)?;
    let said = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("{args:?}: {}\n{said}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(said)
}

/// How many calls of a kind had their effect.
fn done(moto: &Moto, call: &str) -> Result<usize, test_servers::Error> {
    let succeeded = |status: Option<u16>| status.is_some_and(|status| (200..300).contains(&status));
    Ok(moto.call_log()?.iter().filter(|made| made.name == call && succeeded(made.status)).count())
}

#[test]
fn it_is_deployed_and_taken_down() -> Outcome {
    let (moto, dir) = (Moto::start()?, tempfile::tempdir()?);
    succeed(&moto, dir.path(), &["up", "--yes"])?;
    succeed(&moto, dir.path(), &["up", "--yes", "--expect-no-changes"])?;
    let outputs = succeed(&moto, dir.path(), &["outputs"])?;
    assert!(outputs.contains("rds.amazonaws.com"), "{outputs}");
    assert!(!outputs.contains("postgres://app"), "the URL holds the password: {outputs}");
    let shown = succeed(&moto, dir.path(), &["outputs", "url", "--show-secrets"])?;
    assert!(shown.contains("postgres://app:"), "{shown}");

    let refused = run(&moto, dir.path(), &["destroy", "--yes"])?;
    assert_eq!(refused.status.code(), Some(3), "bucket and database are protected");
    succeed(&moto, dir.path(), &["config", "set", "protected", "false"])?;
    succeed(&moto, dir.path(), &["up", "--yes"])?;
    succeed(&moto, dir.path(), &["destroy", "--yes"])?;
    assert_eq!((done(&moto, "ec2:CreateVpc")?, done(&moto, "ec2:DeleteVpc")?), (1, 1));
    assert_eq!((done(&moto, "ec2:CreateSubnet")?, done(&moto, "ec2:DeleteSubnet")?), (4, 4));
    Ok(())
}

#[test]
fn killed_at_any_time_it_makes_nothing_twice() -> Outcome {
    let (moto, dir) = (Moto::start()?, tempfile::tempdir()?);
    let up = ["up", "--yes", OPEN[0], OPEN[1]];
    // Each run is killed some calls after it began.
    for calls in [4, 9, 17, 30] {
        let before = moto.call_log()?.len();
        let mut child = program(&moto, dir.path(), &up).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let limit = Instant::now() + Duration::from_secs(180);
        while moto.call_log()?.len() < before + calls && child.try_wait()?.is_none() {
            assert!(Instant::now() < limit, "it hangs");
            std::thread::yield_now();
        }
        child.kill()?;
        child.wait()?;
    }
    succeed(&moto, dir.path(), &up)?;
    succeed(&moto, dir.path(), &["up", "--yes", "--expect-no-changes", OPEN[0], OPEN[1]])?;
    for (call, times) in [
        ("ec2:CreateVpc", 1),
        ("ec2:CreateInternetGateway", 1),
        ("ec2:CreateSubnet", 4),
        ("ec2:CreateRouteTable", 1),
        ("ec2:CreateSecurityGroup", 2),
        ("s3:CreateBucket", 1),
        ("rds:CreateDBSubnetGroup", 1),
        ("rds:CreateDBInstance", 1),
    ] {
        assert_eq!(done(&moto, call)?, times, "{call}");
    }
    succeed(&moto, dir.path(), &["destroy", "--yes"])?;
    assert_eq!(done(&moto, "ec2:DeleteVpc")?, 1);
    Ok(())
}
