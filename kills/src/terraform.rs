//! The same for Terraform, where its binary and the AWS provider are on the machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use acceptance::{Course, Random, Sandbox};
use serde_json::Value;

use crate::moto::Moto;
use crate::tally::{Operation, Outcome, Tally};
use crate::world::{Difference, Thing};

const CONFIGURATION: &str = include_str!("terraform.tf");

/// Where an unpacked provider mirror may be, beside `TERRAFORM_MIRROR`.
const MIRROR: &str = "/opt/tf-plugins";

/// Types of the AWS provider beside ours; what they leave out is part of another.
const TYPES: [(&str, &str); 6] = [
    ("aws_vpc", "aws:ec2:Vpc"),
    ("aws_internet_gateway", "aws:ec2:InternetGateway"),
    ("aws_subnet", "aws:ec2:Subnet"),
    ("aws_route_table", "aws:ec2:RouteTable"),
    ("aws_security_group", "aws:ec2:SecurityGroup"),
    ("aws_s3_bucket", "aws:s3:Bucket"),
];

/// Terraform on this machine.
pub(crate) struct Terraform {
    program: PathBuf,
    mirror: PathBuf,
}

impl Terraform {
    /// Finds it, or says what is missing.
    pub(crate) fn find() -> Result<Self, String> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let program =
            std::env::split_paths(&folders).map(|folder| folder.join("terraform")).find(|path| path.is_file());
        let program = program.ok_or("there is no `terraform` on PATH")?;
        let mirror = std::env::var_os("TERRAFORM_MIRROR").map_or_else(|| MIRROR.into(), PathBuf::from);
        if !mirror.join("registry.terraform.io/hashicorp/aws").is_dir() {
            return Err(format!("there is no mirror of its AWS provider in {}", mirror.display()));
        }
        Ok(Self { program, mirror })
    }

    /// Kills it until there were enough kills.
    pub(crate) fn run(&self, mut random: Random, tally: &Mutex<Tally>) -> Result<(), String> {
        let mut moto = Moto::start()?;
        let [up, change, destroy] = [&["apply", "0"], &["apply", "1"], &["destroy", "1"]].map(arguments);
        let mut courses = Vec::new();
        let measured = self.sandbox(&moto)?;
        for command in [&up, &change, &destroy] {
            courses.push(whole(&measured, command)?);
        }
        let commands = [
            (Operation::Up, Vec::new(), &up),
            (Operation::Change, vec![&up], &change),
            (Operation::Destroy, vec![&up, &change], &destroy),
        ];
        loop {
            for ((operation, before, command), course) in commands.iter().zip(&mut courses) {
                if lock(tally).is_enough() {
                    return Ok(());
                }
                moto.reset()?;
                let sandbox = self.sandbox(&moto)?;
                for command in before {
                    whole(&sandbox, command)?;
                }
                let args: Vec<&str> = command.iter().map(String::as_str).collect();
                let cut = sandbox.kill_at(&args, course.at(random.fraction()));
                if !cut.killed() {
                    lock(tally).missed();
                    *course = cut.course;
                    continue;
                }
                let again = sandbox.run(&args);
                let hand = (again.code != Some(0)).then(|| again.told());
                let outcome = Outcome { hand, difference: difference(&moto, &sandbox)?, ..Outcome::default() };
                lock(tally).count(*operation, &outcome);
            }
        }
    }

    /// A folder with the configuration, made ready.
    fn sandbox(&self, moto: &Moto) -> Result<Sandbox, String> {
        let sandbox = Sandbox::new(&self.program).with_env(moto.sdk_env());
        let settings = sandbox.root().join("terraformrc");
        let sandbox = sandbox.with_env([
            ("TF_CLI_CONFIG_FILE", settings.display().to_string()),
            ("CHECKPOINT_DISABLE", "1".to_owned()),
            ("TF_IN_AUTOMATION", "1".to_owned()),
        ]);
        let mirror = self.mirror.display();
        let text = format!(
            "disable_checkpoint = true\nprovider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n    \
             include = [\"registry.terraform.io/hashicorp/aws\"]\n  }}\n}}\n"
        );
        let write = |path: &Path, text: &str| std::fs::write(path, text).map_err(|error| error.to_string());
        write(&settings, &text)?;
        write(&sandbox.stack().join("main.tf"), CONFIGURATION)?;
        whole(&sandbox, &["init".into(), "-input=false".into()])?;
        Ok(sandbox)
    }
}

fn arguments([command, step]: &[&str; 2]) -> Vec<String> {
    let step = format!("step={step}");
    [command, "-auto-approve", "-input=false", "-no-color", "-var", &step].map(str::to_owned).into()
}

/// A whole run, which must end well.
fn whole(sandbox: &Sandbox, command: &[String]) -> Result<Course, String> {
    let args: Vec<&str> = command.iter().map(String::as_str).collect();
    let ran = sandbox.run(&args);
    if ran.code == Some(0) { Ok(ran.course) } else { Err(format!("it fails without being killed: {}", ran.told())) }
}

/// What moto holds beside what Terraform's state holds.
fn difference(moto: &Moto, sandbox: &Sandbox) -> Result<Difference, String> {
    // A kill can leave no state, or half of one: then it knows nothing.
    let text = std::fs::read_to_string(sandbox.stack().join("terraform.tfstate")).unwrap_or_default();
    let state: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut known = BTreeSet::new();
    for resource in state["resources"].as_array().into_iter().flatten() {
        let Some((_, kind)) = TYPES.iter().find(|(name, _)| resource["type"] == *name) else { continue };
        let instances = resource["instances"].as_array().into_iter().flatten();
        known.extend(instances.filter_map(|one| Some(Thing::new(kind, one["attributes"]["id"].as_str()?))));
    }
    let there = moto.beyond()?;
    let names = |things: Vec<&Thing>| things.into_iter().map(Thing::to_string).collect();
    Ok(Difference {
        orphans: names(there.difference(&known).collect()),
        duplicates: Vec::new(),
        lost: names(known.difference(&there).collect()),
    })
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
