//! A backend that the first run of a stack was told: later runs find it without a word, and no run makes everything a
//! second time because it looks elsewhere.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use stackkit::context::BoxFuture;
use stackkit::engine::{DeployOptions, Deployment, RunError};
use stackkit::event::{Event, Summary};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;
use stackkit::state::backend::{Backend, BackendError};
use stackkit::state::place::{BackendKind, BackendUrl, LinkedBackend, Place};
use stackkit::state::{LocalBackend, Seen};

#[stackkit::program]
async fn token(stack: &mut Stack) -> Result<()> {
    stack.add("token", local::RandomPassword::new(32));
    Ok(())
}

/// A folder that is reached by a user and a password.
#[derive(Debug)]
struct Vaulted(std::path::PathBuf);

impl BackendKind for Vaulted {
    const SCHEMES: &'static [&'static str] = &["vaulted"];

    async fn open(url: BackendUrl) -> Result<Arc<dyn Place>, BackendError> {
        url.allow(&["create"])?;
        Ok(Arc::new(Vaulted(url.dir().join("vaulted"))))
    }
}

impl Place for Vaulted {
    fn describe(&self) -> String {
        "the vault".to_owned()
    }

    fn stack(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        Ok(Arc::new(LocalBackend::new(&self.0, name)))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, BackendError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// A stack in a folder of its own, and what runs of it warned of.
struct World {
    folder: tempfile::TempDir,
    warned: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), warned: Arc::default() }
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    fn deployment(&self, backend: Option<&str>) -> Deployment {
        let warned = Arc::clone(&self.warned);
        let options = DeployOptions {
            dir: self.dir().to_owned(),
            backend: backend.map(str::to_owned),
            backends: vec![LinkedBackend::of::<Vaulted>()],
            keys: KeyOptions { key_file: Some(self.dir().join("key")), ..KeyOptions::default() },
            seen: Some(Seen::new(self.dir().join("seen"))),
            listener: Arc::new(move |event: &Event| {
                if let Event::Warning { message, .. } = event {
                    warned.lock().expect("no panic").push(message.clone());
                }
            }),
            ..DeployOptions::default()
        };
        Deployment::new(Some(token()), options)
    }

    async fn up(&self, backend: Option<&str>) -> Result<Summary, RunError> {
        self.deployment(backend).up(&PlanOptions::default(), &|_| true).await
    }

    fn file(&self) -> String {
        fs::read_to_string(self.dir().join("stackkit.dev.toml")).unwrap_or_default()
    }
}

#[tokio::test]
async fn the_file_of_a_new_stack_names_it() {
    let world = World::new();
    assert_eq!(world.up(Some("vaulted://shelf?create=true")).await.unwrap().create, 1);
    assert!(world.file().contains("[state]\nbackend = \"vaulted://shelf\"\n"), "{}", world.file());
    let again = world.up(None).await.unwrap();
    assert_eq!((again.create, again.same), (0, 1));
    assert!(!world.dir().join(".stackkit").exists());
}

#[tokio::test]
async fn a_stack_that_has_its_configuration_already_is_new_all_the_same() {
    let world = World::new();
    world.up(Some("file://one")).await.unwrap();
    // What `config set` leaves where nothing was deployed yet.
    fs::remove_dir_all(world.dir().join("one")).unwrap();
    fs::remove_dir_all(world.dir().join("seen")).unwrap();
    fs::write(world.dir().join("stackkit.dev.toml"), world.file().replace("[state]\nbackend = \"file://one\"\n", ""))
        .unwrap();
    assert!(!world.file().contains("backend"));
    world.up(Some("file://two")).await.unwrap();
    assert!(world.file().contains("backend = \"file://two\""), "{}", world.file());
}

#[tokio::test]
async fn a_stack_that_names_one_keeps_it() {
    let world = World::new();
    world.up(Some("file://one")).await.unwrap();
    world.deployment(None).move_state("vaulted://shelf?create=true").await.unwrap();
    assert!(world.file().contains("backend = \"vaulted://shelf\"\n"), "{}", world.file());
    world.up(Some("vaulted://shelf")).await.unwrap();
    assert!(world.file().contains("backend = \"vaulted://shelf\"\n"), "{}", world.file());
}

#[tokio::test]
async fn preview_writes_nothing() {
    let world = World::new();
    world.deployment(Some("file://one")).preview(&PlanOptions::default()).await.unwrap();
    assert_eq!(world.file(), "");
}

#[tokio::test]
async fn one_with_a_password_is_told_and_in_no_file() {
    let world = World::new();
    world.up(Some("vaulted://ada:hunter2hunter2@shelf")).await.unwrap();
    assert!(!world.file().contains("vaulted") && !world.file().contains("hunter2"), "{}", world.file());
    let warned = world.warned.lock().expect("no panic").join("\n");
    assert!(warned.contains("give it in STACKKIT_BACKEND with every command"), "{warned}");
    assert!(!warned.contains("hunter2"), "{warned}");
    // Without it, what this machine has seen of the state is missed, and nothing is made.
    let error = world.up(None).await.unwrap_err().to_string();
    assert!(error.contains("say with `--backend` where it is"), "{error}");
}

#[tokio::test]
async fn another_one_without_a_state_is_refused_while_there_is_one() {
    let world = World::new();
    world.up(None).await.unwrap();
    // A colleague's machine has seen nothing yet.
    fs::remove_dir_all(world.dir().join("seen")).unwrap();
    for operation in ["up", "preview"] {
        let deployment = world.deployment(Some("vaulted://ada:hunter2hunter2@shelf"));
        let error = match operation {
            "up" => deployment.up(&PlanOptions::default(), &|_| true).await.map(drop),
            _ => deployment.preview(&PlanOptions::default()).await.map(drop),
        }
        .unwrap_err();
        assert_eq!(error.exit_code(), 3, "{error}");
        let error = format!("{error:?}");
        assert!(error.contains("no state of the stack `dev` in file://") && error.contains("/.stackkit"), "{error}");
        assert!(error.contains("state move 'vaulted://ada:***@shelf'") && !error.contains("hunter2"), "{error}");
    }
    assert!(!world.dir().join("vaulted/dev.journal").exists());
    assert_eq!(world.up(None).await.unwrap().same, 1);
}
