//! The audit log as people, attackers and a second reader meet it: through the files beside a state.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stackkit::Urn;
use stackkit::audit::{Event, Line, Outcome};
use stackkit::engine::{DeployOptions, Deployment};
use stackkit::plan::PlanOptions;
use stackkit::prelude::{Result, Stack, local};
use stackkit::seal::{Header, KeyOptions, config_path};

const CANARY: &str = "canary-Qm4Tz8Xk1Vw7";

#[stackkit::program(name = "shop")]
async fn shop(stack: &mut Stack) -> Result<()> {
    let password = stack.add("password", local::RandomPassword::new(20));
    stack.add("file", local::SecretFile::new("place", &password.value));
    stack.add("token", local::SecretFile::new("there", CANARY));
    stack.output("password", &password.value);
    Ok(())
}

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn deployment(&self, message: Option<&str>) -> Deployment {
        let keys = KeyOptions { default_key_file: Some(self.dir().join("key")), ..KeyOptions::default() };
        let message = message.map(str::to_owned);
        Deployment::new(
            Some(shop()),
            DeployOptions { dir: self.dir().into(), keys, message, ..DeployOptions::default() },
        )
    }

    async fn up(&self) {
        self.deployment(None).up(&PlanOptions::default(), &|_| true).await.unwrap();
    }

    async fn lines(&self) -> Vec<Line> {
        let reading = self.deployment(None).audit_log(None).await.unwrap();
        assert_eq!(reading.unreadable, 0);
        reading.lines
    }

    async fn faults(&self) -> String {
        let report = self.deployment(None).verify_audit().await.unwrap();
        let faults = report.faults.iter().map(|fault| format!("{} {}", fault.name(), fault.line()));
        faults.collect::<Vec<_>>().join(", ")
    }

    fn file(&self) -> PathBuf {
        let header = Header::read(&config_path(self.dir(), "dev")).unwrap().unwrap();
        self.dir().join(".stackkit/dev.audit").join(format!("{}.jsonl", header.lineage))
    }

    fn read(&self) -> Output {
        Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_reader.py"))
            .args([&config_path(self.dir(), "dev"), &self.dir().join("key"), &self.dir().join(".stackkit")])
            .args(["dev", "audit"])
            .output()
            .expect("python3 runs")
    }
}

/// What lines say, in short.
fn short(lines: &[Line]) -> Vec<String> {
    let text = |line: &Line| match &line.event {
        Event::Begin { command, .. } => format!("begin {command}"),
        Event::Command { command, of, .. } => format!("{command} {}", of.join(" ")),
        Event::Plan { counts, .. } => format!("plan {}", counts.words()),
        Event::Step { urn, verb, outcome, .. } => format!("{verb} {urn} {}", outcome.name()),
        Event::End { outcome, .. } => format!("end {}", outcome.name()),
        other => format!("{other:?}"),
    };
    lines.iter().map(text).collect()
}

#[tokio::test]
async fn a_run_says_what_it_did_and_one_that_changes_nothing_says_nothing() {
    let world = World::new();
    let reason = format!("for {CANARY}, of course");
    world.deployment(Some(&reason)).up(&PlanOptions::default(), &|_| true).await.unwrap();
    let lines = world.lines().await;
    let mut said = short(&lines);
    said[2..5].sort();
    assert_eq!(
        said,
        [
            "begin up",
            "plan 3 create",
            "create local:RandomPassword::password done",
            "create local:SecretFile::file done",
            "create local:SecretFile::token done",
            "end done",
        ]
    );
    let Event::Begin { who, program, message, .. } = &lines[0].event else { panic!("{:?}", lines[0]) };
    assert!(who.user.contains('@') && program.as_deref() == Some("shop"), "{who:?}");
    // A secret that the state knows by now does not stand in what people say, the second time.
    assert_eq!(message.as_deref(), Some(&*reason));
    let (file, snapshot) = (world.file(), world.dir().join(".stackkit/dev.state.json"));
    let before = (fs::read(&file).unwrap(), fs::read(&snapshot).unwrap());
    world.deployment(Some(&reason)).up(&PlanOptions::default(), &|_| true).await.unwrap();
    assert_eq!((fs::read(&file).unwrap(), fs::read(&snapshot).unwrap()), before);
    world
        .deployment(Some(&reason))
        .rename(&Urn::new("local:SecretFile", "file"), &Urn::new("local:SecretFile", "f2"))
        .await
        .unwrap();
    let lines = world.lines().await;
    let Event::Command { message, .. } = &lines.last().unwrap().event else { panic!("{:?}", lines.last()) };
    assert_eq!(message.as_deref(), Some("for [secret], of course"));
    assert_eq!(world.faults().await, "");
}

#[tokio::test]
async fn every_line_edited_dropped_doubled_swapped_or_cut_off_is_found() {
    let world = World::new();
    world.up().await;
    let (file, whole) = (world.file(), fs::read_to_string(world.file()).unwrap());
    let lines: Vec<&str> = whole.lines().collect();
    let put =
        |lines: &[&str]| fs::write(&file, lines.iter().flat_map(|line| [*line, "\n"]).collect::<String>()).unwrap();
    for at in 0..lines.len() {
        let n = at + 1;
        let mut edited = lines.clone();
        let other = lines[at].replacen("2", "3", 1);
        assert_ne!(other, lines[at]);
        edited[at] = &other;
        put(&edited);
        assert_eq!(world.faults().await, format!("edited {n}"));
        let mut less = lines.clone();
        less.remove(at);
        put(&less);
        assert_eq!(world.faults().await, format!("{} {n}", if n == lines.len() { "cut" } else { "missing" }));
        let mut more = lines.clone();
        more.insert(at, lines[at]);
        put(&more);
        assert_eq!(world.faults().await, format!("doubled {n}"));
        if n < lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            put(&swapped);
            assert_eq!(world.faults().await, format!("moved {n}"));
        }
        put(&lines[..at]);
        assert_eq!(world.faults().await, format!("cut {n}"));
        // The second reader sees that something is wrong as well.
        assert!(!world.read().status.success());
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(world.faults().await, "cut 1");
    put(&lines);
    assert_eq!(world.faults().await, "");
}

#[tokio::test]
async fn a_state_that_is_put_back_is_seen_in_the_log() {
    let world = World::new();
    world.up().await;
    let snapshot = world.dir().join(".stackkit/dev.state.json");
    let before = fs::read(&snapshot).unwrap();
    let old = Urn::new("local:SecretFile", "file");
    let rename = async |to: &str| world.deployment(None).rename(&old, &Urn::new("local:SecretFile", to)).await.unwrap();
    rename("one").await;
    assert_eq!(world.faults().await, "");
    fs::write(&snapshot, before).unwrap();
    assert_eq!(world.faults().await, "ahead 7");
    rename("two").await;
    assert_eq!(world.faults().await, "forked 7");
    // Nothing of it is lost.
    let said = short(&world.lines().await);
    assert_eq!(said.iter().filter(|line| line.starts_with("state mv")).count(), 2);
}

#[tokio::test]
async fn two_people_in_turns_and_a_second_reader() {
    let world = World::new();
    for round in 0..3 {
        world.up().await;
        let somebody = world.deployment(Some("the other"));
        let (one, two) = (Urn::new("local:SecretFile", "file"), Urn::new("local:SecretFile", "file2"));
        somebody.rename(&one, &two).await.unwrap();
        somebody.rename(&two, &one).await.unwrap();
        somebody.record("outputs --show-secrets", vec![format!("round {round}")]).await;
    }
    assert_eq!(world.faults().await, "");
    let output = world.read();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Vec<BTreeMap<String, serde_json::Value>> = serde_json::from_slice(&output.stdout).unwrap();
    let lines = world.lines().await;
    assert_eq!(
        read.iter().map(|line| line["n"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=lines.len() as u64).collect::<Vec<_>>()
    );
    assert!(!lines.iter().any(|line| line.text.contains(CANARY)));
    let destroyed = world.deployment(None).destroy(&PlanOptions::default(), &|_| true).await;
    destroyed.unwrap();
    let said = short(&world.lines().await);
    assert!(said.contains(&"delete local:SecretFile::file done".to_owned()), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("end done"));
    assert_eq!(world.faults().await, "");
}

#[tokio::test]
async fn a_changed_data_key_leaves_the_log_as_it_is_and_verifiable() {
    let world = World::new();
    world.up().await;
    let before = fs::read_to_string(world.file()).unwrap();
    for _ in 0..2 {
        world.deployment(None).rotate_keys(&[]).await.unwrap();
        assert_eq!(world.faults().await, "");
    }
    world
        .deployment(None)
        .rename(&Urn::new("local:SecretFile", "file"), &Urn::new("local:SecretFile", "f2"))
        .await
        .unwrap();
    assert_eq!(world.faults().await, "");
    let output = world.read();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let after = fs::read_to_string(world.file()).unwrap();
    assert!(after.starts_with(&before), "lines of before were written anew");
    let keys: std::collections::BTreeSet<String> = world.lines().await.into_iter().map(|line| line.key).collect();
    assert_eq!(keys.len(), 3);
    // Old lines stay bound.
    fs::write(world.file(), after.replacen("\"event\":\"plan\"", "\"event\":\"plam\"", 1)).unwrap();
    assert_eq!(world.faults().await, "edited 2");
}

#[tokio::test]
async fn what_only_tells_something_leaves_a_saved_plan_good() {
    let world = World::new();
    world.up().await;
    fs::remove_file(world.dir().join("there")).unwrap();
    let plan = world.dir().join("plan");
    world.deployment(None).save_plan(&PlanOptions::default(), &plan).await.unwrap();
    for n in 0..40 {
        world.deployment(None).record("outputs --show-secrets", vec![format!("{n}")]).await;
    }
    // They do not stay in the journal for ever.
    let journal = fs::read_to_string(world.dir().join(".stackkit/dev.journal")).unwrap();
    assert!(journal.lines().count() < 34, "{}", journal.lines().count());
    world.deployment(None).up_saved(&plan, &PlanOptions::default()).await.unwrap();
    let again = world.deployment(None).up_saved(&plan, &PlanOptions::default()).await.unwrap_err();
    assert!(again.to_string().contains("the state moved"), "{again}");
    assert_eq!(world.faults().await, "");
}

#[tokio::test]
async fn the_log_moves_with_its_state_and_outlives_it() {
    let world = World::new();
    world.up().await;
    world.deployment(None).record("outputs --show-secrets", vec!["password".into()]).await;
    let count = world.lines().await.len();
    world.deployment(None).move_state("file://elsewhere").await.unwrap();
    assert_eq!(world.faults().await, "");
    let lines = world.lines().await;
    assert_eq!(lines.len(), count + 1);
    assert!(matches!(&lines[count].event, Event::Command { command, .. } if command == "state move"));
    world.deployment(None).destroy(&PlanOptions::default(), &|_| true).await.unwrap();
    world.deployment(None).delete_stack().await.unwrap();
    let said = short(&world.lines().await);
    assert_eq!(said.last().map(|line| line.trim()), Some("stack rm"));
}

#[tokio::test]
async fn changes_of_keys_are_told_and_a_slip_of_a_private_key_is_not() {
    let world = World::new();
    world.up().await;
    let deployment = world.deployment(None);
    deployment.add_keys(&format!("key-file:{}", world.dir().join("other").display()), Some("Ada")).await.unwrap();
    deployment.add_keys(&format!("passphrase:{CANARY}"), None).await.unwrap_err();
    deployment.remove_key("Ada").await.unwrap();
    let lines = world.lines().await;
    let told: Vec<_> = lines.iter().skip(6).collect();
    assert!(!told.iter().any(|line| line.text.contains(CANARY)), "{told:?}");
    let Event::End { of, outcome: Outcome::Done, .. } = &told[1].event else { panic!("{told:?}") };
    assert!(of[0].starts_with("+ key-file "), "{of:?}");
    assert!(matches!(&told[3].event, Event::End { outcome: Outcome::Failed, .. }), "{told:?}");
    assert_eq!(world.faults().await, "");
}

#[tokio::test]
async fn in_a_state_that_is_sealed_as_a_whole_lines_are_sealed_too() {
    let world = World::new();
    world.up().await;
    let plain = fs::read_to_string(world.file()).unwrap().lines().count();
    world.deployment(None).seal_whole(true).await.unwrap();
    let (file, f2) = (Urn::new("local:SecretFile", "file"), Urn::new("local:SecretFile", "f2"));
    world.deployment(None).rename(&file, &f2).await.unwrap();
    let text = fs::read_to_string(world.file()).unwrap();
    // The first line after those tells of the change itself, which begins in plain text.
    let sealed: Vec<&str> = text.lines().skip(plain + 1).collect();
    assert!(sealed.len() == 2 && sealed.iter().all(|line| line.contains("\"sealed\":\"sk1.")), "{sealed:?}");
    assert_eq!(world.faults().await, "");
    for _ in 0..2 {
        let reading = world.deployment(None).audit_log(None).await.unwrap();
        assert!(matches!(reading.lines[plain + 2].event, Event::Sealed { .. }));
        let opened = world.deployment(None).open_lines(reading).await.unwrap();
        let said = short(&opened.lines);
        assert_eq!(said[plain + 2], format!("state mv {file} {f2}"));
        // Keys of before a change of the data key open what they sealed.
        world.deployment(None).rotate_keys(&[]).await.unwrap();
        assert_eq!(world.faults().await, "");
    }
    let output = world.read();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
