//! Kills programs at random instants of `up`, of an `up` that changes and replaces things, and of `destroy`; runs the
//! same command again; and counts what the server holds against what the state holds.
//!
//! ```sh
//! cargo run -p kills -- moto --kills 500         # AWS as moto plays it; Terraform beside it where it is installed
//! cargo run -p kills -- kubernetes --kills 200   # a genuine control plane
//! cargo run -p kills -- local --kills 200        # files on this machine
//! ```
//!
//! It prints what it found as a table and ends with 1 if that is anything. What it does follows from the seed that it
//! prints, but for the order in which a busy machine lets things happen.
//!
//! | module | what it holds |
//! |---|---|
//! | `build` | building a program and finding its binary |
//! | `world` | [`world::World`], what a server holds beside what a state holds |
//! | `local`, `moto`, `kubernetes` | the worlds |
//! | `round` | one kill, the same command again, and the count |
//! | `terraform` | the same for Terraform |
//! | `tally` | the counts and their table |

mod build;
mod kubernetes;
mod local;
mod moto;
mod round;
mod tally;
mod terraform;
mod world;

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use acceptance::Random;
use clap::{Parser, ValueEnum};

use crate::round::Lane;
use crate::tally::Tally;
use crate::world::World;

/// Kills a program at random instants and counts what the server holds against what the state holds.
#[derive(Debug, Parser)]
struct Args {
    /// Where the program's resources live.
    target: Target,
    /// How many kills must land while the program runs; with 0 Terraform alone is killed.
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// How many programs run side by side, each in a world of its own: most of a round is waiting.
    #[arg(long, default_value_t = 6)]
    lanes: u32,
    /// What programs, changes and instants follow from; random unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many kills Terraform gets on moto; a tenth of ours unless given, and none where it is not installed.
    #[arg(long)]
    terraform: Option<u32>,
    /// Keeps the folders of rounds with findings, and says where they are.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// AWS as moto plays it.
    Moto,
    /// A genuine control plane, with kwok for its node.
    Kubernetes,
    /// Files on this machine.
    Local,
}

impl Target {
    fn package(self) -> &'static str {
        match self {
            Self::Moto => "kills-aws",
            Self::Kubernetes => "kills-kubernetes",
            Self::Local => "kills-local",
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match kill(&args) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(findings) => {
            eprintln!("{findings} findings");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("kills: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it all and says how many findings there were of our own.
fn kill(args: &Args) -> Result<usize, String> {
    let seed = args.seed.or_else(|| getrandom::u64().ok().map(|seed| seed >> 32)).unwrap_or_default();
    println!("seed {seed}");
    let mut columns = Vec::new();
    if args.kills > 0 {
        columns.push(kill_ours(args, seed)?);
    }
    let findings = columns.iter().map(Tally::findings).sum();
    let kills = args.terraform.unwrap_or(args.kills.div_ceil(10));
    if args.target == Target::Moto && kills > 0 {
        match terraform::Terraform::find() {
            Ok(terraform) => {
                columns.push(run("Terraform", kills, args.lanes.clamp(1, 3).min(kills), |number, tally| {
                    terraform.run(Random::new(seed).part(u64::from(number)), tally)
                }))
            }
            Err(why) => println!("without Terraform: {why}"),
        }
    }
    println!("\n{}", tally::table(&columns));
    Ok(findings)
}

fn kill_ours(args: &Args, seed: u64) -> Result<Tally, String> {
    let program = build::build(args.target.package())?;
    let cluster = match args.target {
        Target::Kubernetes => Some(test_servers::Kubernetes::start().map_err(|error| error.to_string())?),
        _ => None,
    };
    let lanes = args.lanes.clamp(1, args.kills);
    Ok(run("StackKit", args.kills, lanes, |number, tally| {
        let world: Box<dyn World> = match (args.target, &cluster) {
            (Target::Moto, _) => Box::new(moto::Moto::start()?),
            (_, Some(cluster)) => Box::new(kubernetes::Cluster::new(cluster)),
            _ => Box::new(local::Folder),
        };
        let random = Random::new(seed).part(u64::from(number));
        Lane { program: &program, world, random, tally, keep: args.keep }.run()
    }))
}

/// Runs lanes side by side until there were enough kills.
fn run(
    name: &'static str,
    kills: u32,
    lanes: u32,
    lane: impl Fn(u32, &Mutex<Tally>) -> Result<(), String> + Sync,
) -> Tally {
    println!("{name}: {kills} kills in {lanes} lanes");
    let started = Instant::now();
    let tally = Mutex::new(Tally::new(name, kills, started));
    let (lane, shared) = (&lane, &tally);
    let ends: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..lanes).map(|number| scope.spawn(move || lane(number, shared))).collect();
        running.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err("a lane panicked".into()))).collect()
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.took = started.elapsed();
    let broken: Vec<String> = ends.into_iter().filter_map(Result::err).collect();
    // What the other lanes counted holds; a lane that broke off is a finding of its own.
    broken.iter().for_each(|why| println!("a lane broke off: {why}"));
    tally.broken = broken.len();
    tally
}
