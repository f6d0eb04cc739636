//! What a run works on: the stack's keys, its state, and its configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::apply::Durable;
use crate::audit;
use crate::catalog::{Catalog, TypeEntry};
use crate::context::BoxFuture;
use crate::diagnostic::Diagnostic;
use crate::engine::{RunError, repository};
use crate::plan::{Retyped, type_of};
use crate::read::Outside;
use crate::schema::Role;
use crate::seal::{self, Header, KeyOptions, Sealer, config_path};
use crate::state::backend::{Backend, Holder, Lease, Loaded, Position};
use crate::state::lease;
use crate::state::local::LocalBackend;
use crate::state::memory::MemoryBackend;
use crate::state::model::{Change, State};
use crate::state::place::{self, LinkedBackend, Place};
use crate::state::store::data_key_of;
use crate::state::{Seen, StateError, Store, unverified};
use crate::value::Value;

/// Where a stack's files, keys and state come from.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a deployment has one of them")]
pub(crate) enum Source {
    /// Files in a folder, keys from the environment.
    Files { dir: PathBuf, states: States, keys: KeyOptions, overrides: Vec<(String, String)>, seen: Option<Seen> },
    /// All of it given, as tests do.
    Given { backend: Arc<dyn Backend>, sealer: Arc<Sealer>, config: BTreeMap<String, Value> },
}

/// Where states may be kept, and where they are if nothing else is said.
#[derive(Clone)]
pub(crate) struct States {
    /// What this run was told.
    pub(crate) asked: Option<String>,
    /// What the program says.
    pub(crate) usual: Option<&'static str>,
    pub(crate) linked: Vec<LinkedBackend>,
}

impl States {
    /// The place of a stack's state; without a stack, where those are that say nothing of their own.
    pub(crate) async fn place(&self, dir: &Path, stack: Option<&str>) -> Result<Arc<dyn Place>, RunError> {
        let own = match (&self.asked, stack) {
            (None, Some(stack)) => {
                crate::config::file::backend(dir, stack).map_err(|error| RunError::Config(error.to_string()))?
            }
            _ => None,
        };
        let url = self.asked.as_deref().or(own.as_deref()).or(self.usual).unwrap_or("file://.stackkit");
        Ok(place::open(url, dir, &self.linked).await.map_err(StateError::from)?)
    }

    /// That a stack which has no state where this run was told to look has none where it would be without a word either:
    /// all of it would be made a second time. A place that cannot be read there says nothing.
    async fn refuse_a_second(&self, dir: &Path, stack: &str, here: &dyn Backend) -> Result<(), RunError> {
        let Some(asked) = &self.asked else { return Ok(()) };
        let unasked = Self { asked: None, ..self.clone() };
        let Ok(place) = unasked.place(dir, Some(stack)).await else { return Ok(()) };
        let Ok(there) = place.stack(stack) else { return Ok(()) };
        if there.describe() == here.describe() {
            return Ok(());
        }
        if there.load().await.map_or(true, |held| held.is_empty()) {
            return Ok(());
        }
        // The two may be one place by other options, where another run has begun since this one looked.
        if !here.load().await.map_err(StateError::from)?.is_empty() {
            return Ok(());
        }
        Err(RunError::one(
            Diagnostic::refused(format!(
                "there is no state of the stack `{stack}` in {}, and there is one in {}",
                here.describe(),
                there.describe()
            ))
            .help(format!(
                "leave out `--backend` and STACKKIT_BACKEND, or without them take the state there: \
                 `state move '{}'`",
                place::redacted(asked)
            )),
        ))
    }

    /// Lets the file of a stack that has no state yet, and names no backend, name the one that this run was told, so that
    /// later runs find it. Says whether they do: a URL with a password in it does not belong there.
    fn remember(&self, dir: &Path, stack: &str) -> Result<bool, RunError> {
        use crate::config::file::{ConfigError, backend, set_backend};
        let failed = |error: ConfigError| RunError::Config(error.to_string());
        let Some(asked) = self.asked.as_deref() else { return Ok(true) };
        if backend(dir, stack).map_err(failed)?.is_some() {
            return Ok(true);
        }
        match set_backend(dir, stack, asked) {
            // Another run, which was told the same, has named it in this very moment.
            Err(error) => backend(dir, stack).map_err(failed)?.map(|_| true).ok_or_else(|| failed(error)),
            Ok(named) => Ok(named),
        }
    }
}

/// Whether a stack that does not exist yet is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make it: `up` and what sets configuration.
    Make,
    /// Go on with an empty one that is written nowhere: `preview`.
    Imagine,
    /// Say that there is none.
    Refuse,
}

/// A stack, opened.
pub(crate) struct Session {
    pub(crate) store: Store,
    pub(crate) state: State,
    pub(crate) config: BTreeMap<String, Value>,
    /// The key file, if opening the stack made one.
    pub(crate) new_key_file: Option<PathBuf>,
    pub(crate) rescue: PathBuf,
    /// Where the state can be read by others than its team, as far as that can be told: said where a stack is made.
    pub(crate) shown: Option<String>,
    /// The backend that this run was told and that the stack is made in, if its file cannot name it.
    pub(crate) unnamed: Option<String>,
    /// Connections that the program opened already.
    pub(crate) outside: Option<Outside>,
}

impl Source {
    /// Opens the stack. A state that is behind what this machine has seen of it is refused.
    pub(crate) async fn open(&self, stack: &str, missing: Missing) -> Result<Session, RunError> {
        let mut session = self.open_unwatched(stack, missing).await?;
        let Source::Files { seen: Some(seen), .. } = self else { return Ok(session) };
        match session.store.watch(seen.clone()) {
            // Another run may have gone on, and told so, after this one had read the state.
            Err(StateError::RolledBack { .. }) => {
                session = self.open_unwatched(stack, missing).await?;
                session.store.watch(seen.clone())?;
            }
            watched => watched?,
        }
        Ok(session)
    }

    /// Opens the stack wherever its state stands.
    pub(crate) async fn open_unwatched(&self, stack: &str, missing: Missing) -> Result<Session, RunError> {
        match self {
            Source::Given { backend, sealer, config } => {
                let (store, state) = Store::open(Arc::clone(backend), Arc::clone(sealer)).await?;
                let rescue = std::env::temp_dir().join(format!("stackkit-{}.rescue", sealer.lineage()));
                let (config, new_key_file) = (config.clone(), None);
                Ok(Session { store, state, config, new_key_file, rescue, shown: None, unnamed: None, outside: None })
            }
            Source::Files { dir, states, keys, overrides, .. } => {
                let place = states.place(dir, Some(stack)).await?;
                let backend = place.stack(stack).map_err(StateError::from)?;
                let Unlocked { sealer, newer, new_key_file, made, made_up } =
                    unlock(dir, stack, &*backend, keys, missing).await?;
                let local = backend.rescue_path();
                let shown = match &local {
                    Some(path) if made && !sealer.is_whole() => repository::shown(path),
                    _ => None,
                };
                let rescue = local.unwrap_or_else(|| LocalBackend::new(dir.join(".stackkit"), stack).rescue_path());
                let backend = if made_up {
                    Arc::new(MemoryBackend::with(Loaded::default())) as Arc<dyn Backend>
                } else {
                    backend
                };
                let config = crate::config::file::load(dir, stack, &sealer, overrides)
                    .map_err(|error| RunError::Config(error.to_string()))?;
                let sealer = Arc::new(newer.unwrap_or(sealer));
                let (store, state) = Store::open(backend, sealer).await?;
                let mut unnamed = None;
                if store.position() == Position(0) && !made_up {
                    if !made {
                        states.refuse_a_second(dir, stack, &**store.backend()).await?;
                    }
                    if missing == Missing::Make {
                        unnamed = (!states.remember(dir, stack)?).then(|| store.backend().describe());
                    }
                }
                Ok(Session { store, state, config, new_key_file, rescue, shown, unnamed, outside: None })
            }
        }
    }
}

impl Source {
    /// What stands in the state in plain text, without a key.
    pub(crate) async fn look(&self, stack: &str) -> Result<State, RunError> {
        let (backend, lineage) = match self {
            Source::Given { backend, sealer, .. } => (Arc::clone(backend), sealer.lineage().to_owned()),
            Source::Files { dir, states, .. } => {
                let place = states.place(dir, Some(stack)).await?;
                let backend = place.stack(stack).map_err(StateError::from)?;
                let header = Header::read(&config_path(dir, stack))?
                    .ok_or_else(|| RunError::NoStack { stack: stack.to_owned(), dir: dir.display().to_string() })?;
                (backend, header.lineage)
            }
        };
        let loaded = backend.load().await.map_err(StateError::from)?;
        Ok(unverified::read(&loaded, &lineage, &backend.describe())?)
    }
}

/// The keys of a stack, opened or made.
struct Unlocked {
    sealer: Sealer,
    /// What the state is sealed with, if a change of the data key stopped after it was and before the rest.
    newer: Option<Sealer>,
    new_key_file: Option<PathBuf>,
    /// Whether they are new.
    made: bool,
    /// Whether all of it is made up.
    made_up: bool,
}

impl From<Sealer> for Unlocked {
    fn from(sealer: Sealer) -> Self {
        Self { sealer, newer: None, new_key_file: None, made: false, made_up: false }
    }
}

/// Opens the keys of a stack, or makes them where it is new.
async fn unlock(
    dir: &Path,
    stack: &str,
    backend: &dyn Backend,
    keys: &KeyOptions,
    missing: Missing,
) -> Result<Unlocked, RunError> {
    let path = config_path(dir, stack);
    if let Some(header) = Header::read(&path)? {
        let mut unlocked = Unlocked::from(seal::unlock(&header, keys).await?);
        if let Some(next) = &header.next {
            let there = backend.load().await.map_err(StateError::from)?;
            if data_key_of(&there).as_ref() == Some(&next.data_key) {
                let key = seal::open(next, &header.lineage, keys).await?;
                unlocked.newer = Some(header.sealer(&key));
            }
        }
        return Ok(unlocked);
    }
    let there = backend.load().await.map_err(StateError::from)?;
    if !there.is_empty() {
        return Err(RunError::one(
            Diagnostic::invalid(format!(
                "there is a state of the stack `{stack}` in {}, but {} has no [seal] header to open it with",
                backend.describe(),
                path.display()
            ))
            .help("restore that file from version control or a backup, or choose another name for the stack"),
        ));
    }
    match missing {
        Missing::Refuse => Err(RunError::NoStack { stack: stack.to_owned(), dir: dir.display().to_string() }),
        Missing::Imagine => Ok(Unlocked { made_up: true, ..Sealer::ephemeral()?.into() }),
        Missing::Make => {
            let created = seal::create_in(dir, keys).await?;
            if created.header.write_first(&path)? {
                return Ok(Unlocked { new_key_file: created.new_key_file, made: true, ..created.sealer.into() });
            }
            // Another run has made the stack in this very moment: its keys are the ones.
            let unlocked = Box::pin(unlock(dir, stack, backend, keys, missing)).await?;
            Ok(Unlocked { new_key_file: created.new_key_file, ..unlocked })
        }
    }
}

impl Session {
    /// Takes the lock for an operation, and reads again what changed meanwhile.
    pub(crate) async fn lock(&mut self, operation: &str) -> Result<(), RunError> {
        // What an earlier run of this process dropped may still be on its way back.
        lease::settled().await;
        if let Some(state) = self.store.lock(Holder::new(operation)?).await? {
            self.state = state;
        }
        Ok(())
    }

    /// That no rescue file is in the way of what changes all records.
    pub(crate) fn refuse_with_rescue(&self, why: &str) -> Result<(), RunError> {
        if !self.rescue.exists() {
            return Ok(());
        }
        Err(RunError::one(
            Diagnostic::refused("an earlier run has left what it could not write to the state")
                .help(format!("run `state repair` first: {why}")),
        ))
    }

    /// Brings records of older schema versions to the present one.
    pub(crate) fn upgrade(&mut self, catalog: &Catalog, retyped: &Retyped) -> Result<(), Vec<Diagnostic>> {
        let mut problems = Vec::new();
        for record in self.state.resources.values_mut() {
            let Some(entry) = catalog.get(type_of(record, retyped)) else { continue };
            let (from, to) = (record.schema_version, entry.schema.version);
            if from > to {
                problems.push(
                    Diagnostic::invalid(format!(
                        "it was recorded with version {from} of its type, and this program has {to}"
                    ))
                    .on(&record.urn)
                    .help("use a newer version of the provider's crate"),
                );
            } else if from < to {
                // A type's upgrade sees all fields together: once as they were given, once as they were seen.
                let mut given = record.inputs.clone();
                given.extend(record.outputs.clone());
                let mut seen = given.clone();
                seen.extend(record.seen.clone());
                let result = upgraded(entry, from, &mut given).and_then(|()| upgraded(entry, from, &mut seen));
                if let Err(message) = result {
                    problems.push(Diagnostic::invalid(message).on(&record.urn));
                    continue;
                }
                let role = |name: &str| entry.schema.index(name).map(|at| entry.schema.fields[at].role);
                seen.retain(|name, value| role(name) == Some(Role::Input) && given.get(name) != Some(value));
                let (mut inputs, mut outputs) = (given.clone(), given);
                inputs.retain(|name, _| role(name) == Some(Role::Input));
                outputs.retain(|name, _| role(name) == Some(Role::Output));
                record.drifted.retain(|name| seen.contains_key(name));
                (record.inputs, record.outputs, record.seen) = (inputs, outputs, seen);
                record.schema_version = to;
            }
        }
        for intent in self.state.intents.values_mut() {
            let Some(entry) = catalog.get(intent.urn.type_name()) else { continue };
            if intent.schema_version < entry.schema.version && !intent.inputs.is_empty() {
                match upgraded(entry, intent.schema_version, &mut intent.inputs) {
                    Ok(()) => intent.schema_version = entry.schema.version,
                    Err(message) => problems.push(Diagnostic::invalid(message).on(&intent.urn)),
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// A type's own upgrade; a panic in it is an error of this one resource.
fn upgraded(entry: &TypeEntry, from: u32, fields: &mut BTreeMap<String, Value>) -> Result<(), String> {
    let upgrade = std::panic::AssertUnwindSafe(|| entry.ops.upgrade(from, fields));
    std::panic::catch_unwind(upgrade).unwrap_or_else(|_| {
        Err(format!("bringing its record from version {from} of its type to {} panicked", entry.schema.version))
    })
}

impl Durable for Store {
    fn commit<'a>(&'a mut self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            Store::commit(self, changes).await.map_err(|error| error.to_string())?;
            if self.needs_fold() {
                self.fold().await.map_err(|error| error.to_string())?;
            }
            Ok(())
        })
    }

    fn tell(&mut self, at: u64, event: &audit::Event) {
        Store::tell(self, at, event);
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Store::lease(self)
    }
}
