//! Local states in a Git repository: what is committed opens elsewhere as it is, or is refused with the way out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use stackkit::engine::{DeployOptions, Deployment, RunError};
use stackkit::event::Event;
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;
use stackkit::state::backend::Holder;
use stackkit::state::model::{Change, OutputRecord, Record};
use stackkit::state::{LocalBackend, Store};
use stackkit::{Urn, Value};

#[stackkit::program]
async fn shop(stack: &mut Stack) -> Result<()> {
    let password = stack.add("password", local::RandomPassword::new(32));
    stack.add("id", local::RandomId::new(8));
    stack.output("password", &password.value);
    Ok(())
}

/// A folder that is committed, beside a key that is not.
struct Repository {
    folder: tempfile::TempDir,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("work")).expect("a folder");
        Self { folder, warnings: Arc::default() }
    }

    fn at(&self, dir: &Path, keys: KeyOptions) -> Deployment {
        let warnings = Arc::clone(&self.warnings);
        let listener = Arc::new(move |event: &Event| {
            if let Event::Warning { message, .. } = event {
                warnings.lock().expect("a list").push(message.clone());
            }
        });
        let options = DeployOptions { dir: dir.to_owned(), keys, listener, ..DeployOptions::default() };
        Deployment::new(Some(shop()), options)
    }

    fn keys(&self) -> KeyOptions {
        KeyOptions::default().key_file(self.folder.path().join("key"))
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn deployment(&self) -> Deployment {
        self.at(&self.work(), self.keys())
    }

    /// What Git would take along: everything but what the folder's `.gitignore` names.
    fn cloned(&self, name: &str) -> PathBuf {
        let (from, to) = (self.work(), self.folder.path().join(name));
        fs::create_dir_all(to.join(".stackkit")).expect("a folder");
        fs::copy(from.join("stackkit.dev.toml"), to.join("stackkit.dev.toml")).expect("copied");
        let ignored = fs::read_to_string(from.join(".stackkit/.gitignore")).expect("what is ignored");
        let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_start_matches('*')).collect();
        let mut folders = vec![PathBuf::from(".stackkit")];
        while let Some(folder) = folders.pop() {
            fs::create_dir_all(to.join(&folder)).expect("a folder");
            for file in fs::read_dir(from.join(&folder)).expect("a folder").flatten() {
                let name = file.file_name().into_string().expect("a name");
                if ignored.iter().any(|end| name.ends_with(end)) {
                    continue;
                }
                if file.path().is_dir() {
                    folders.push(folder.join(name));
                } else {
                    fs::copy(file.path(), to.join(&folder).join(name)).expect("copied");
                }
            }
        }
        to
    }

    /// A run that dies before it folds: it has written an entry.
    async fn cut_short(&self) {
        let header = stackkit::seal::Header::read(&stackkit::seal::config_path(&self.work(), "dev"));
        let header = header.expect("a header").expect("it is there");
        let sealer = stackkit::seal::unlock(&header, &self.keys()).await.expect("it opens");
        let backend = Arc::new(LocalBackend::new(self.work().join(".stackkit"), "dev"));
        let (mut store, _) = Store::open(backend, Arc::new(sealer)).await.expect("it opens");
        store.lock(Holder::new("up").expect("a holder")).await.expect("the lock");
        let output = OutputRecord { name: "more".into(), value: Value::Int(1) };
        store.commit(&[Change::Put(Record::Output(output))]).await.expect("a commit");
    }
}

async fn up(deployment: &Deployment) -> Result<usize, RunError> {
    let summary = deployment.up(&PlanOptions::default(), &|_| true).await?;
    Ok(summary.create + summary.update + summary.replace + summary.delete)
}

#[tokio::test]
async fn what_is_committed_opens_elsewhere_and_stays_the_same_bytes() {
    let repository = Repository::new();
    assert_eq!(up(&repository.deployment()).await.expect("a run"), 2);
    let files = |dir: &Path| -> Vec<Vec<u8>> {
        ["stackkit.dev.toml", ".stackkit/dev.state.json", ".stackkit/.gitignore"]
            .map(|name| fs::read(dir.join(name)).expect("a file"))
            .into()
    };
    let before = files(&repository.work());
    for _ in 0..3 {
        assert_eq!(up(&repository.deployment()).await.expect("a run"), 0);
    }
    assert_eq!(files(&repository.work()), before, "nothing changed, so the same bytes");
    let clone = repository.cloned("clone");
    assert!(!clone.join(".stackkit/dev.journal").exists() && !clone.join(".stackkit/dev.lock").exists());
    assert_eq!(up(&repository.at(&clone, repository.keys())).await.expect("a run"), 0);
    assert_eq!(files(&clone), before);
}

#[tokio::test]
async fn a_copy_without_the_journal_that_it_needs_is_refused() {
    let repository = Repository::new();
    up(&repository.deployment()).await.expect("a run");
    repository.cut_short().await;
    assert!(repository.work().join(".stackkit/dev.unfolded").exists());
    let clone = repository.cloned("clone");
    let error = up(&repository.at(&clone, repository.keys())).await.expect_err("the journal is elsewhere").to_string();
    for part in ["dev.journal", "dev.unfolded", "run `state repair` where"] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
    // Where the journal is, all is well, and a repair makes the state fit to be committed.
    assert!(repository.deployment().state().await.expect("a state").outputs.contains_key("more"));
    let repaired = repository.deployment().repair().await.expect("a repair");
    assert_eq!((repaired.folded, repaired.dropped, repaired.merged), (1, 0, None));
    assert!(!repository.work().join(".stackkit/dev.unfolded").exists());
    let clone = repository.cloned("again");
    let state = repository.at(&clone, repository.keys()).state().await.expect("a state");
    assert!(state.outputs.contains_key("more"));
}

#[tokio::test]
async fn a_first_run_that_was_cut_short_is_no_empty_state_elsewhere() {
    let repository = Repository::new();
    up(&repository.deployment()).await.expect("a run");
    let urn = Urn::parse("local:RandomId::id").expect("a URN");
    repository.deployment().remove(&urn).await.expect("removed");
    repository.cut_short().await;
    fs::remove_file(repository.work().join(".stackkit/dev.state.json")).expect("removed");
    let clone = repository.cloned("clone");
    assert!(up(&repository.at(&clone, repository.keys())).await.is_err(), "everything would be made twice");
}

#[tokio::test]
async fn a_new_stack_in_a_repository_of_a_public_service_is_told_so_once() {
    for (url, whole, told) in [
        ("git@github.com:acme/infra.git", false, 1),
        ("git@github.com:acme/infra.git", true, 0),
        ("git@git.acme.example:infra.git", false, 0),
    ] {
        let repository = Repository::new();
        fs::create_dir(repository.folder.path().join(".git")).expect("a folder");
        let config = format!("[remote \"origin\"]\n\turl = {url}\n");
        fs::write(repository.folder.path().join(".git/config"), config).expect("written");
        let keys = KeyOptions { whole, ..repository.keys() };
        for _ in 0..2 {
            up(&repository.at(&repository.work(), keys.clone())).await.expect("a run");
        }
        let warnings = repository.warnings.lock().expect("a list").clone();
        let about = warnings.iter().filter(|message| message.contains("secrets whole on")).count();
        assert_eq!(about, told, "{url}: {warnings:?}");
    }
}

#[tokio::test]
async fn a_weak_passphrase_is_refused_where_it_is_made_and_opens_what_there_is() {
    let repository = Repository::new();
    let with = |text: &str| KeyOptions::default().passphrase(text.into());
    for weak in ["hunter2", "Password1234!", "aaaaaaaaaaaaaaaa"] {
        let error = up(&repository.at(&repository.work(), with(weak))).await.expect_err("it is weak").to_string();
        assert!(error.contains("too easy to guess") && !error.contains(weak), "{error}");
        assert!(!repository.work().join("stackkit.dev.toml").exists(), "a stack was made");
    }
    up(&repository.deployment()).await.expect("a run");
    let keys = KeyOptions { new_passphrase: Some("hunter2".into()), ..repository.keys() };
    let error = repository.at(&repository.work(), keys).add_keys("passphrase", None).await.expect_err("it is weak");
    assert!(error.to_string().contains("too easy to guess"), "{error}");
    // One that is there opens, however weak it is.
    let header = stackkit::seal::Header::read(&repository.work().join("stackkit.dev.toml"));
    let header = header.expect("a header").expect("it is there");
    let key = header.open(&repository.keys()).await.expect("it opens");
    let cheap = stackkit::seal::Cost { memory: 64, passes: 1, lanes: 1 };
    let weak = stackkit::seal::NamedKey::new(stackkit::seal::Passphrase::new("hunter2".into()).cost(cheap));
    let wrapped = stackkit::seal::wrap(&key, &header.lineage, &weak).await.expect("wrapped");
    let header = stackkit::seal::Header { keys: vec![wrapped], ..header }.with_mac(&key);
    header.write(&repository.work().join("stackkit.dev.toml")).expect("written");
    assert_eq!(up(&repository.at(&repository.work(), with("hunter2"))).await.expect("a run"), 0);
}
