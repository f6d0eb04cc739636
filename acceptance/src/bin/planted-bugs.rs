//! Plants one bug after the other in a copy of the workspace, and says which test notices it.
//!
//! ```text
//! cargo run -p acceptance --bin planted-bugs [-- PART-OF-A-NAME …]
//! ```
//!
//! The copy is built in the folder of `CARGO_TARGET_DIR`, so that dependencies are built once; without it, in a folder of
//! its own that is kept beside the temporary ones. A bug whose text is not there any more is an error, and so is one that
//! no test notices.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use acceptance::planted::{BUGS, Planted};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Failure> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    missing(&root)?;
    let folder = tempfile::tempdir()?;
    copy(&root, folder.path())?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| std::env::temp_dir().join("stackkit-planted-bugs"), PathBuf::from);
    println!("| planted bug | noticed by | how |\n|---|---|---|");
    let (mut tried, mut noticed) = (0, 0);
    for bug in BUGS.iter().filter(|bug| wanted.is_empty() || wanted.iter().any(|part| bug.name.contains(part.as_str())))
    {
        let path = folder.path().join(bug.file);
        let sound = std::fs::read_to_string(&path)?;
        std::fs::write(&path, sound.replace(bug.old, bug.new))?;
        let began = Instant::now();
        let verdict = match verdict(folder.path(), &target, &FEW)? {
            Verdict::Unnoticed => verdict(folder.path(), &target, &MANY)?,
            noticed => noticed,
        };
        std::fs::write(&path, sound)?;
        tried += 1;
        let seconds = began.elapsed().as_secs();
        match verdict {
            Verdict::Noticed { test, how } => {
                noticed += 1;
                println!("| {} | {test} | {how} ({seconds} s) |", bug.name);
            }
            Verdict::Unnoticed => println!("| {} | **nobody** | ({seconds} s) |", bug.name),
            Verdict::Unbuilt(message) => return Err(format!("`{}` does not build:\n{message}", bug.name).into()),
        }
    }
    println!("\n{noticed} of {tried} noticed");
    Ok(noticed == tried && tried > 0)
}

/// Every bug must have its place.
fn missing(root: &Path) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for Planted { name, file, old, .. } in BUGS {
        let count = std::fs::read_to_string(root.join(file))?.matches(old).count();
        if count != 1 {
            problems.push(format!("`{name}`: its text stands {count} times in {file}"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

/// Copies what Git knows or would add.
fn copy(root: &Path, to: &Path) -> Result<(), Failure> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    if !listed.status.success() {
        return Err("the files of the workspace cannot be listed with `git ls-files`".into());
    }
    for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), to.join(name));
        if from.is_file() {
            std::fs::create_dir_all(to.parent().ok_or("a file without a folder")?)?;
            std::fs::copy(from, to)?;
        }
    }
    Ok(())
}

enum Verdict {
    Noticed { test: String, how: String },
    Unnoticed,
    Unbuilt(String),
}

/// How many histories are tried, and how the simulation is built for that.
struct Trial {
    cases: &'static str,
    flags: &'static [&'static str],
}

/// What most bugs do not survive.
const FEW: Trial = Trial { cases: "1000", flags: &[] };
/// What is tried where those let one pass: some bugs take a rare chain of events.
const MANY: Trial = Trial { cases: "30000", flags: &["--release"] };

fn verdict(copy: &Path, target: &Path, trial: &Trial) -> Result<Verdict, Failure> {
    let built = Command::new("cargo")
        .args(["test", "-p", "stackkit", "--test", "simulation", "--no-run", "--message-format=json"])
        .args(trial.flags)
        .env("CARGO_TARGET_DIR", target)
        .current_dir(copy)
        .output()?;
    if !built.status.success() {
        return Ok(Verdict::Unbuilt(String::from_utf8_lossy(&built.stdout).into_owned()));
    }
    let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let messages = String::from_utf8(built.stdout)?;
    let program =
        messages.lines().filter_map(message).find_map(|line| Some(line.get("executable")?.as_str()?.to_owned()));
    let program = program.ok_or("the build made no test program")?;
    let output = tempfile::NamedTempFile::new()?;
    let append = || OpenOptions::new().append(true).open(output.path()).map(Stdio::from);
    let mut tests = Command::new(program)
        .arg("--nocapture")
        .env("RUST_BACKTRACE", "0")
        .env("STACKKIT_SHRINK", "0")
        .env("STACKKIT_CASES", trial.cases)
        .current_dir(copy.join("stackkit"))
        .stdout(append()?)
        .stderr(append()?)
        .spawn()?;
    // The first test that notices is enough.
    loop {
        let ended = tests.try_wait()?;
        let text = String::from_utf8_lossy(&std::fs::read(output.path())?).into_owned();
        let failed = |line: &str| Some(line.strip_suffix(" ... FAILED")?.rsplit("test ").next()?.to_owned());
        if let Some(test) = text.lines().find_map(failed) {
            tests.kill()?;
            tests.wait()?;
            // The line after the place of a panic is its message.
            let mut lines = text.lines().skip_while(|line| !line.contains("panicked at stackkit/tests"));
            let how: String = lines.nth(1).unwrap_or_default().replace('|', "/").chars().take(160).collect();
            return Ok(Verdict::Noticed { test, how });
        }
        match ended {
            Some(status) if status.success() => return Ok(Verdict::Unnoticed),
            Some(status) => return Err(format!("the tests ended with {status}:\n{text}").into()),
            None => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
