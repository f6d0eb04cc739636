//! Runs StackKit beside Terraform and OpenTofu on the same resources, and writes `docs/benchmarks.md` from it.
//!
//! ```sh
//! cargo run --release -p stackkit-benches --bin compare -- --tools stackkit,terraform,tofu --sizes 100,1000,pairs1000,10000
//! ```

mod measure;
mod plot;
mod report;
mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;

use crate::measure::{MEASURE, Used, measure};
use crate::report::{Cell, Report};
use crate::tools::{Phase, Shape, Size, Tool};

/// A command that takes longer is run once.
const SLOW: f64 = 30.0;

/// Measures StackKit beside other tools, and writes docs/benchmarks.md, CSV, JSON and pictures
#[derive(Parser)]
struct Args {
    /// Which tools: stackkit, terraform, tofu; those that are not on this machine are left out, and said so
    #[arg(long, value_delimiter = ',', default_value = "stackkit,terraform,tofu")]
    tools: Vec<String>,
    /// Which sizes: a number of independent resources, or pairsN for 2 × N that refer to each other
    #[arg(long, value_delimiter = ',', default_value = "100,1000,pairs1000,10000")]
    sizes: Vec<String>,
    /// How often each command is run
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// After how many seconds a command is given up, and with it the rest of that tool at that size
    #[arg(long, default_value_t = 600)]
    limit: u64,
    /// Keeps what an earlier run left in the folder of other sizes
    #[arg(long)]
    add: bool,
    /// Where benchmarks.md and the folder benchmarks go
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
    /// The binary of example-scale; built where it is left out
    #[arg(long)]
    scale: Option<PathBuf>,
    /// Builds OpenTofu from its Go module if it is not in PATH
    #[arg(long)]
    build_tofu: bool,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(MEASURE) {
        return ended(measure::main(words));
    }
    ended(compare(&Args::parse()))
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), String> {
    let sizes: Vec<Size> = args
        .sizes
        .iter()
        .map(|text| Size::parse(text).ok_or_else(|| format!("`{text}` is no size: 1000 or pairs1000")))
        .collect::<Result<_, _>>()?;
    let tools = found(args)?;
    let limit = Duration::from_secs(args.limit.max(1));
    let mut report =
        Report { tools, sizes: sizes.clone(), cells: BTreeMap::new(), least: BTreeMap::new(), command: String::new() };
    if args.add {
        report.add_earlier(&args.docs)?;
    }
    report.command = command_line(args, &report.sizes);
    let one = Size { shape: Shape::Independent, count: 1 };
    let least = at_size(&report.tools, one, args.runs.max(3), limit, &[Phase::Create, Phase::Nothing]);
    for ((tool, phase), cell) in least {
        if let (Phase::Nothing, Ok(runs)) = (phase, cell) {
            report.least.insert(tool, runs);
        }
    }
    for size in sizes {
        let at = report.sizes.iter().position(|other| *other == size).unwrap_or_default();
        for ((tool, phase), cell) in at_size(&report.tools, size, args.runs, limit, &Phase::ALL) {
            report.cells.insert((tool, at, phase), cell);
        }
        report.write(&args.docs).map_err(|error| format!("{}: {error}", args.docs.display()))?;
    }
    println!("{} and the folder beside it are written", args.docs.join("benchmarks.md").display());
    Ok(())
}

/// The tools that were asked for, as far as they are here.
fn found(args: &Args) -> Result<Vec<Tool>, String> {
    let mut all = Vec::new();
    for name in &args.tools {
        match name.as_str() {
            "stackkit" => all.extend(Tool::stackkit(&scale(args)?)),
            "terraform" => match tools::in_path("terraform") {
                Some(program) => all.extend(Tool::terraform(&program)?),
                None => eprintln!("terraform is not in PATH, and left out"),
            },
            "tofu" => {
                let cache = target().join("tools");
                let program = match tools::in_path("tofu") {
                    Some(program) => Some(program),
                    None if args.build_tofu => Some(tools::build_tofu(&cache)?),
                    None => Some(cache.join(format!("tofu-{}", tools::TOFU))).filter(|path| path.is_file()),
                };
                match program {
                    Some(program) => all.extend(Tool::tofu(&program)?),
                    None => eprintln!("tofu is not in PATH, and left out; --build-tofu builds it"),
                }
            }
            other => return Err(format!("`{other}` is no tool: stackkit, terraform, tofu")),
        }
    }
    if all.is_empty() { Err("there is nothing to measure".into()) } else { Ok(all) }
}

/// All runs of all tools at a size, in turns: what slows the machine down for a while slows all of them down. A phase that
/// fails ends its tool's runs: what comes after it would measure something else.
fn at_size(
    tools: &[Tool],
    size: Size,
    runs: usize,
    limit: Duration,
    phases: &[Phase],
) -> BTreeMap<(usize, Phase), Cell> {
    let mut cells: BTreeMap<(usize, Phase), Cell> = BTreeMap::new();
    let mut ended = vec![false; tools.len()];
    for _ in 0..runs.max(1) {
        for (at, tool) in tools.iter().enumerate().filter(|(at, _)| !ended[*at]).collect::<Vec<_>>() {
            let (all, failed) = once(tool, size, limit, phases);
            for (phase, used) in all {
                eprintln!(
                    "{}, {}, {}: {:.3} s CPU, {:.3} s, {} KiB",
                    tool.title(),
                    size.title(),
                    phase.title(),
                    used.cpu_s(),
                    used.wall_s,
                    used.peak_kib
                );
                ended[at] |= used.wall_s > SLOW;
                if let Ok(runs) = cells.entry((at, phase)).or_insert_with(|| Ok(Vec::new())) {
                    runs.push(used);
                }
            }
            if let Some((phase, why)) = failed {
                eprintln!("{}, {}, {}: {why}", tool.title(), size.title(), phase.title());
                ended[at] = true;
                cells.entry((at, phase)).or_insert(Err(why));
            }
        }
    }
    cells
}

/// A phase that failed, and why.
type Failed = (Phase, String);

/// One life of a stack in a new folder: what each phase used, and the one that failed.
fn once(tool: &Tool, size: Size, limit: Duration, phases: &[Phase]) -> (Vec<(Phase, Used)>, Option<Failed>) {
    let mut all = Vec::new();
    let folder = match prepared(tool, size) {
        Ok(folder) => folder,
        Err(error) => return (all, Some((Phase::Create, error))),
    };
    for phase in phases.iter().copied() {
        match measure(&tool.command(folder.path(), size, phase), folder.path(), limit) {
            Ok(used) => all.push((phase, used)),
            Err(why) => return (all, Some((phase, why))),
        }
    }
    (all, None)
}

/// A new folder with the tool's configuration. Not in a file system of memory: what is written is part of what is measured.
fn prepared(tool: &Tool, size: Size) -> Result<tempfile::TempDir, String> {
    let base = target().join("compare");
    std::fs::create_dir_all(&base).map_err(|error| error.to_string())?;
    let folder = tempfile::tempdir_in(&base).map_err(|error| error.to_string())?;
    tool.prepare(folder.path(), size)?;
    Ok(folder)
}

fn scale(args: &Args) -> Result<PathBuf, String> {
    if let Some(path) = &args.scale {
        return std::path::absolute(path).map_err(|error| error.to_string());
    }
    let built = Command::new(env!("CARGO")).args(["build", "--release", "-p", "example-scale"]).status();
    match built {
        Ok(status) if status.success() => Ok(target().join("release/example-scale")),
        _ => Err("example-scale does not build".into()),
    }
}

/// The folder that cargo builds into: this program stands in `release` or `debug` there.
fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().and_then(Path::parent).map_or_else(|| PathBuf::from("target"), Path::to_owned)
}

/// The command that makes all of the report again, as somebody else would give it: without the paths of this machine.
fn command_line(args: &Args, sizes: &[Size]) -> String {
    let sizes: Vec<String> = sizes.iter().map(|size| size.name()).collect();
    format!(
        "cargo run --release -p stackkit-benches --bin compare -- --tools {} --sizes {} --runs {} --limit {}",
        args.tools.join(","),
        sizes.join(","),
        args.runs,
        args.limit
    ) + if args.build_tofu { " --build-tofu" } else { "" }
}
