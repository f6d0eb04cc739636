//! The local provider under the real engine: real files, a real state, and whole rounds from `up` to `destroy`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use stackkit::engine::{DeployOptions, Deployment, RunError};
use stackkit::event::{Event, Summary};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;

/// A folder with a stack in it, and everything that its runs said.
struct Place {
    dir: tempfile::TempDir,
    key: tempfile::TempDir,
    said: Arc<Mutex<String>>,
}

impl Place {
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder");
        Self { dir: folder(), key: folder(), said: Arc::default() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn deployment(&self, program: impl Into<Program>, config: &[(&str, &str)]) -> Deployment {
        let said = Arc::clone(&self.said);
        let listener = move |event: &Event| said.lock().expect("no panic").push_str(&format!("{event:?}\n"));
        Deployment::new(
            Some(program.into()),
            DeployOptions {
                dir: self.dir.path().to_owned(),
                keys: KeyOptions { default_key_file: Some(self.key.path().join("key")), ..KeyOptions::default() },
                config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
                listener: Arc::new(listener),
                ..DeployOptions::default()
            },
        )
    }

    async fn try_up(&self, program: impl Into<Program>, config: &[(&str, &str)]) -> Result<Summary, RunError> {
        let result = self.deployment(program, config).up(&PlanOptions::default(), &|_| true).await;
        if let Err(error) = &result {
            self.said.lock().expect("no panic").push_str(&error.to_string());
        }
        result
    }

    async fn up(&self, program: impl Into<Program>, config: &[(&str, &str)]) -> Summary {
        match self.try_up(program, config).await {
            Ok(summary) => summary,
            Err(error) => panic!("{error}\n{}", self.said.lock().expect("no panic")),
        }
    }

    async fn destroy(&self, program: impl Into<Program>) -> Summary {
        match self.deployment(program, &[]).destroy(&PlanOptions::default(), &|_| true).await {
            Ok(summary) => summary,
            Err(error) => panic!("{error}\n{}", self.said.lock().expect("no panic")),
        }
    }
}

/// Every file below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// create, update, replace, delete
fn counts(summary: &Summary) -> [usize; 4] {
    [summary.create, summary.update, summary.replace, summary.delete]
}

#[derive(Debug, Clone, Properties)]
struct Config {
    #[property(default = "site")]
    folder: String,
    #[property(default = "hello")]
    content: String,
    #[property(default = "1")]
    trigger: String,
}

#[stackkit::program]
async fn site(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let folder = stack.add("folder", local::Directory::new(&config.folder));
    let inner = stack.add("inner", local::Directory::new(text!("{}/inner", folder.path)));
    let id = stack.add("id", local::RandomId::new(8).keepers([("trigger", &config.trigger)]));
    let page = local::File::new(text!("{}/page", inner.path), text!("{} {}", config.content, id.hex));
    let page = stack.add("page", page);
    let marker = stack.add(
        "marker",
        local::Command::new(["printf made > \"$TARGET\"; echo done"])
            .shell(true)
            .delete(["rm \"$TARGET\""])
            .environment([("TARGET", text!("{}/marker", folder.path))])
            .creates(text!("{}/marker", folder.path))
            .triggers([("trigger", &config.trigger)]),
    );
    stack.output("page", &page.path);
    stack.output("marker", &marker.stdout);
    Ok(())
}

#[stackkit::test]
async fn a_whole_round_leaves_nothing_behind() {
    let place = Place::new();
    assert_eq!(counts(&place.up(site, &[]).await), [5, 0, 0, 0]);
    assert!(place.read("site/inner/page").starts_with("hello "));
    assert_eq!(place.read("site/marker"), "made");
    assert!(!place.up(site, &[]).await.has_changes());

    let state = fs::read(place.path(".stackkit/dev.state.json")).expect("a state");
    assert!(!place.up(site, &[]).await.has_changes());
    assert_eq!(fs::read(place.path(".stackkit/dev.state.json")).expect("a state"), state, "the bytes stay the same");

    assert_eq!(counts(&place.up(site, &[("content", "bye")]).await), [0, 1, 0, 0]);
    assert!(place.read("site/inner/page").starts_with("bye "));
    assert_eq!(counts(&place.destroy(site).await), [0, 0, 0, 5]);
    assert!(!place.path("site").exists());
}

#[stackkit::test]
async fn drift_is_put_right() {
    let place = Place::new();
    place.up(site, &[]).await;
    let page = place.read("site/inner/page");

    fs::write(place.path("site/inner/page"), "edited").expect("it can be edited");
    assert_eq!(counts(&place.up(site, &[]).await), [0, 1, 0, 0]);
    assert_eq!(place.read("site/inner/page"), page);

    fs::set_permissions(place.path("site/inner/page"), fs::Permissions::from_mode(0o666)).expect("ours");
    fs::set_permissions(place.path("site/inner"), fs::Permissions::from_mode(0o700)).expect("ours");
    assert_eq!(counts(&place.up(site, &[]).await), [0, 2, 0, 0]);
    assert_eq!(fs::metadata(place.path("site/inner/page")).expect("there").permissions().mode() & 0o777, 0o644);

    fs::remove_file(place.path("site/inner/page")).expect("ours");
    fs::remove_file(place.path("site/marker")).expect("ours");
    assert_eq!(counts(&place.up(site, &[]).await), [2, 0, 0, 0]);
    assert_eq!((place.read("site/inner/page"), place.read("site/marker")), (page, "made".into()));
}

#[stackkit::test]
async fn what_has_to_be_replaced_is_replaced_in_the_right_order() {
    let place = Place::new();
    place.up(site, &[]).await;
    let page = place.read("site/inner/page");

    // Another folder takes along what is in it; the command runs in the new one, and cleans up in the old one first.
    let summary = place.up(site, &[("folder", "elsewhere"), ("trigger", "2")]).await;
    assert_eq!(counts(&summary), [0, 0, 5, 0]);
    assert!(!place.path("site").exists());
    assert_ne!(place.read("elsewhere/inner/page"), page);
    assert_eq!(place.read("elsewhere/marker"), "made");
    place.destroy(site).await;
    assert!(!place.path("elsewhere").exists());
}

#[stackkit::test]
async fn what_belongs_to_somebody_else_stays_as_it_is() {
    let place = Place::new();
    fs::create_dir_all(place.path("site/inner")).expect("a folder");
    fs::write(place.path("site/inner/page"), "mine").expect("a file");
    place.try_up(site, &[]).await.expect_err("the folder is there already");
    assert!(place.said.lock().expect("no panic").contains("`site` exists already"));
    place.destroy(site).await;
    assert_eq!(place.read("site/inner/page"), "mine");
}

#[stackkit::test]
async fn a_file_of_a_stranger_in_our_folder_keeps_the_folder() {
    let place = Place::new();
    place.up(site, &[]).await;
    fs::write(place.path("site/theirs"), "theirs").expect("a file");
    let error = place.deployment(site, &[]).destroy(&PlanOptions::default(), &|_| true).await;
    error.expect_err("the folder is not empty");
    assert!(place.said.lock().expect("no panic").contains("is not empty (it holds `theirs`)"));
    fs::remove_file(place.path("site/theirs")).expect("a file");
    assert_eq!(counts(&place.destroy(site).await), [0, 0, 0, 1]);
    assert!(!place.path("site").exists());
}

#[derive(Debug, Clone, Properties)]
struct Adopt {
    #[property(default = "old")]
    content: String,
}

#[stackkit::program]
async fn adopting(stack: &mut Stack) -> Result<()> {
    let config: Adopt = stack.config()?;
    stack.add("file", local::File::new("old.txt", &config.content)).import("old.txt");
    stack.add("folder", local::Directory::new("old")).import("old");
    let password = stack.add("password", local::RandomPassword::new(12).special(false)).import("password.txt");
    stack.output("password", &password.value);
    Ok(())
}

#[stackkit::test]
async fn what_exists_is_adopted() {
    for content in ["old", "new"] {
        let place = Place::new();
        fs::write(place.path("old.txt"), "old").expect("a file");
        fs::set_permissions(place.path("old.txt"), fs::Permissions::from_mode(0o644)).expect("ours");
        fs::write(place.path("password.txt"), "Correct12345\n").expect("a file");
        fs::create_dir(place.path("old")).expect("a folder");
        fs::set_permissions(place.path("old"), fs::Permissions::from_mode(0o755)).expect("ours");
        let summary = place.up(adopting, &[("content", content)]).await;
        assert_eq!((summary.create, summary.replace, summary.failed), (0, 0, 0), "{summary:?}");
        assert_eq!(place.read("old.txt"), content);
        assert!(!place.up(adopting, &[("content", content)]).await.has_changes());
        place.destroy(adopting).await;
        assert!(!place.path("old.txt").exists() && !place.path("old").exists());
    }
}

#[derive(Debug, Clone, Properties)]
struct Canary {
    #[property(default = "none")]
    canary: String,
    #[property(default = false)]
    fail: bool,
}

#[stackkit::program]
async fn secrets(stack: &mut Stack) -> Result<()> {
    let config: Canary = stack.config()?;
    let canary = Secret::new(config.canary.clone());
    stack.add("file", local::SecretFile::new("the.secret", text!("key={}", canary)));
    let script = if config.fail { "cat >&2; echo $CANARY >&2; exit 1" } else { "cat; echo $CANARY" };
    let command = local::Command::new([script]).shell(true).secret_environment([("CANARY", &canary)]).stdin(&canary);
    let command = stack.add("command", command);
    let key = stack.add("key", local::TlsPrivateKey::new());
    stack.add("key", local::SecretFile::new("key.secret", &key.private_key_pem));
    stack.output("said", &command.secret_stdout);
    Ok(())
}

#[stackkit::test]
async fn a_secret_is_nowhere_but_in_secret_files() {
    for fail in ["false", "true"] {
        let place = Place::new();
        let canary = "c4n4ry-Zq8vT1xYb7Lm3Kd9Rw5Hf2".to_owned();
        let config = [("canary", canary.as_str()), ("fail", fail)];
        let result = place.try_up(secrets, &config).await;
        assert_eq!(result.is_err(), fail == "true");
        if result.is_ok() {
            let state = place.deployment(secrets, &config).state().await.expect("a state");
            assert_eq!(state.outputs["said"].reveal().as_text(), Some(&*format!("{canary}{canary}")), "it was run");
        }
        assert_eq!(place.read("the.secret"), format!("key={canary}"));
        let key = place.read("key.secret");
        place.deployment(secrets, &config).preview(&PlanOptions::default()).await.expect("a preview");

        let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
        let mut shapes: Vec<String> = vec![canary.clone(), canary.bytes().map(|byte| format!("{byte:02x}")).collect()];
        for skip in 0..3 {
            shapes.push(engine.encode(&canary[skip..canary.len() - (canary.len() - skip) % 3]));
        }
        shapes.push(key.lines().nth(1).expect("a line of the key").to_owned());
        let said = place.said.lock().expect("no panic").clone();
        let mut looked_at = 0;
        let texts =
            files(place.dir.path()).into_iter().filter(|path| path.extension().is_none_or(|ext| ext != "secret"));
        let texts = texts.map(|path| (path.display().to_string(), fs::read(&path).expect("readable")));
        for (name, bytes) in texts.chain([("events".to_owned(), said.into_bytes())]) {
            looked_at += 1;
            let text = String::from_utf8_lossy(&bytes);
            for shape in &shapes {
                assert!(!text.contains(shape.as_str()), "{name} holds {shape}");
            }
        }
        assert!(looked_at >= 3, "state, configuration and events were looked at");
    }
}
