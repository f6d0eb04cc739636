//! Migration: adopting what another tool has recorded, all at once, and the program that declares it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use zeroize::Zeroizing;

use crate::audit::{self, Outcome};
use crate::catalog::{Catalog, TypeEntry};
use crate::config::file::ConfigFile;
use crate::declaration::{Known, Part, Printed, print};
use crate::diagnostic::Diagnostic;
use crate::engine::import::{declared_as, says, settle};
use crate::engine::session::{Missing, Session, Source};
use crate::engine::{Deployment, Run, RunError};
use crate::event::Verb;
use crate::foreign::{Adopt, Becomes, ForeignResource, ForeignState, Left, free};
use crate::plan;
use crate::refresh::Wanted;
use crate::resource::Values;
use crate::seal::{self, Header, config_path};
use crate::stack::Declarations;
use crate::state::model::{Change, Instance, Record, RecordedOptions, ResourceRecord, State};
use crate::urn::Urn;
use crate::value::Value;

/// What becomes of another tool's state.
#[derive(Debug, Clone, Default)]
pub struct Migration {
    /// Tool and version that recorded it.
    pub origin: String,
    /// What is adopted.
    pub adopted: Vec<Migrated>,
    /// What is part of something that is adopted.
    pub parts: Vec<Left>,
    /// What an earlier import adopted.
    pub there: Vec<Left>,
    /// What has a type here and cannot be adopted as it is. The next import tries it again.
    pub failed: Vec<Left>,
    /// What has no type here, or is nothing to adopt.
    pub left: Vec<Left>,
    /// A program that declares what is adopted and not declared yet; empty where there is nothing of that kind.
    pub program: String,
    /// Keys of the config values that the program asks for and that are sealed into the stack's file.
    pub sealed: Vec<String>,
    /// Keys of the config values that the program asks for and nobody knows.
    pub unset: Vec<String>,
}

/// Something that another tool managed, and that is adopted or about to be.
#[derive(Debug, Clone)]
pub struct Migrated {
    /// As that tool names it.
    pub address: String,
    /// Its URN in the stack.
    pub urn: Urn,
    /// The provider's id.
    pub id: String,
    /// Whether the program declares it already.
    pub declared: bool,
    /// Fields that the next `up` changes, because the program declares them otherwise.
    pub changes: Vec<&'static str>,
    /// What the cloud may have chosen, as methods that would fix it; the program leaves it out.
    pub left_out: Vec<String>,
}

/// A resource on its way into the stack.
struct Candidate<'a> {
    foreign: &'a ForeignResource,
    /// Its position in the other tool's state.
    at: usize,
    adopt: Adopt,
    entry: &'a TypeEntry,
}

/// A migration, and what is to be written for it.
struct Prepared {
    migration: Migration,
    records: Vec<ResourceRecord>,
    config: Vec<(String, Value)>,
}

impl Deployment {
    /// Says what [`Deployment::migrate`] would do. Takes no lock and writes nothing.
    ///
    /// # Errors
    /// As [`Deployment::migrate`].
    pub async fn preview_migration(&self, foreign: &ForeignState) -> Result<Migration, RunError> {
        let mut session = self.source.open(&self.options.stack, Missing::Imagine).await?;
        let declared = self.declarations(&mut session).await?;
        let mut run = Run::new(self, &mut session, &declared)?;
        run.owner_check()?;
        run.read_ahead(&declared).await?;
        Ok(run.prepare_migration(&declared, foreign).await?.migration)
    }

    /// Adopts what another tool has recorded: each resource is read from its provider by its id, and recorded as if
    /// this program had made it. Nothing in the cloud is changed. Until the program declares a resource, it is protected.
    ///
    /// All of it is recorded by one write. What cannot be adopted is told and left; a later migration goes on with it.
    ///
    /// # Errors
    /// When the stack cannot be used, or the program is wrong. Nothing is recorded then.
    pub async fn migrate(
        &self,
        foreign: &ForeignState,
        confirm: &(dyn Fn(&Migration) -> bool + Send + Sync),
    ) -> Result<Migration, RunError> {
        let mut session = self.source.open(&self.options.stack, Missing::Make).await?;
        self.tell_of_key(&session);
        let declared = self.declarations(&mut session).await?;
        session.lock("import").await?;
        let mut run = Run::new(self, &mut session, &declared)?;
        run.owner_check()?;
        run.rescue_check()?;
        run.read_ahead(&declared).await?;
        run.resolve_open(&declared, true).await?;
        let Prepared { migration, records, config } = run.prepare_migration(&declared, foreign).await?;
        if self.options.cancel.is_cancelled() || (!records.is_empty() && !confirm(&migration)) {
            return Err(RunError::Declined);
        }
        if records.is_empty() {
            return Ok(migration);
        }
        let adopted: Vec<_> = records.iter().map(|record| (record.urn.clone(), record.instance)).collect();
        let changes = run.changes_of(&declared, records);
        // First the secrets: a program that asks for what is not there could not even be previewed.
        self.keep_config(&session, &config).await?;
        self.tell_command(&mut session, "import", vec!["--from".to_owned()]);
        for (urn, instance) in &adopted {
            let done = audit::Event::step(urn, Some(*instance), Verb::Import, Outcome::Done, &[], None);
            session.store.tell(self.clock.now(), &done);
        }
        session.store.commit(&changes).await?;
        session.store.fold().await?;
        Ok(migration)
    }

    /// Seals config values into the stack's file.
    async fn keep_config(&self, session: &Session, values: &[(String, Value)]) -> Result<(), RunError> {
        let Source::Files { dir, keys, .. } = &self.source else { return Ok(()) };
        let stack = &self.options.stack;
        let missing: Vec<_> = values.iter().filter(|(key, _)| !session.config.contains_key(key)).collect();
        let Some(header) = Header::read(&config_path(dir, stack))?.filter(|_| !missing.is_empty()) else {
            return Ok(());
        };
        let sealer = seal::unlock(&header, keys).await?;
        let failed = |error: crate::config::file::ConfigError| RunError::Config(error.to_string());
        let mut file = ConfigFile::read(dir, stack).map_err(failed)?;
        for (key, value) in missing {
            file.set_secret(key, value.reveal(), &sealer).map_err(failed)?;
        }
        file.write().map_err(failed)?;
        Ok(())
    }
}

impl Run<'_> {
    async fn prepare_migration(
        &mut self,
        declared: &Declarations,
        foreign: &ForeignState,
    ) -> Result<Prepared, RunError> {
        let catalog = std::sync::Arc::clone(&self.deployment.catalog);
        let mut migration =
            Migration { origin: foreign.origin.clone(), left: foreign.left.clone(), ..Migration::default() };
        for resource in &foreign.resources {
            self.scrubber.learn_all(resource.attributes.values());
        }
        let candidates = self.candidates(&catalog, foreign, &mut migration);
        // What an earlier migration adopted is known by its id, and referred to like anything else.
        let mut instances: HashMap<usize, Instance> = HashMap::new();
        let (mut wanted, mut asked, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
        for candidate in candidates {
            let Candidate { foreign, at, adopt, entry } = &candidate;
            let type_name = entry.schema.type_name;
            let mut recorded = self.session.state.resources.values();
            if let Some(record) = recorded.find(|record| record.urn.type_name() == type_name && record.id == adopt.id) {
                instances.insert(*at, record.instance);
                migration.there.push(left(foreign, format!("it is {} here", record.urn)));
                continue;
            }
            let path = free(&format!("{type_name}::{}", foreign.path.join("/")), &taken);
            let urn = Urn::parse(&path).unwrap_or_else(|| Urn::new(type_name, "resource"));
            match self.placed(declared, &candidate, urn) {
                Ok(item) => {
                    taken.insert(path);
                    wanted.push(item);
                    asked.push(candidate);
                }
                Err(problem) => migration.failed.push(left(foreign, told(&problem))),
            }
        }
        let (mut reality, state) = self.reality(declared);
        let found = reality.adoptables(&wanted, state).await;
        let mut adopted: Vec<(Candidate<'_>, ResourceRecord)> = Vec::new();
        for (candidate, result) in asked.into_iter().zip(found) {
            match result.map_err(|problem| told(&problem)).and_then(|record| not_exposed(candidate.foreign, record)) {
                Ok(mut record) => {
                    record.instance = self.deployment.ids.instance();
                    instances.insert(candidate.at, record.instance);
                    adopted.push((candidate, record));
                }
                Err(why) => migration.failed.push(left(candidate.foreign, why)),
            }
        }
        let imports: BTreeMap<u32, ResourceRecord> = adopted
            .iter()
            .filter_map(|(_, record)| Some((declared_as(declared, &record.urn)?.0, record.clone())))
            .collect();
        let mut planned = self.planned_adoptions(declared, &imports);
        adopted.retain(|(candidate, record)| {
            let problem = planned.problems.iter().find(|problem| problem.urn.as_ref() == Some(&record.urn));
            if let Some(problem) = problem {
                migration.failed.push(left(candidate.foreign, told(problem)));
                instances.remove(&candidate.at);
            }
            problem.is_none()
        });
        for (candidate, record) in &mut adopted {
            let declaration = declared_as(declared, &record.urn);
            settle(record, candidate.entry, declaration.map(|(_, declared)| declared));
            tell(record, candidate, |index| {
                declaration.is_none() || says(declaration.map(|(_, declared)| declared), index)
            });
            record.options = RecordedOptions { protect: true, ..RecordedOptions::default() };
            if let Some((index, resource)) = declaration {
                let (changes, dependencies) = planned.adoptions.remove(&index).unwrap_or_default();
                record.dependencies = dependencies;
                record.options = plan::recorded_options(declared, resource, None);
                migration.adopted.push(Migrated { declared: true, changes, ..migrated(candidate, record) });
            }
        }
        let printed = self.printed(declared, &catalog, &adopted, &instances);
        let new = adopted.iter_mut().filter(|(_, record)| declared_as(declared, &record.urn).is_none());
        for ((candidate, record), (statement, after)) in new.zip(printed.parts) {
            record.dependencies = after;
            migration.adopted.push(Migrated { left_out: statement.left_out, ..migrated(candidate, record) });
        }
        migration.program = printed.text;
        let mut config = Vec::new();
        for ask in printed.asks {
            if ask.value.is_null() {
                migration.unset.push(ask.key);
            } else {
                migration.sealed.push(ask.key.clone());
                config.push((ask.key, ask.value));
            }
        }
        let records = adopted.into_iter().map(|(candidate, record)| kept(record, candidate.entry)).collect();
        Ok(Prepared { migration, records, config })
    }

    /// What each recorded resource is here, as its provider says; what is nothing here is told.
    fn candidates<'a>(
        &self,
        catalog: &'a Catalog,
        foreign: &'a ForeignState,
        migration: &mut Migration,
    ) -> Vec<Candidate<'a>> {
        let (mut candidates, mut claimed) = (Vec::new(), HashMap::new());
        for (at, resource) in foreign.resources.iter().enumerate() {
            let adopt = match catalog.providers.iter().find_map(|linked| linked.foreign(resource)) {
                None => {
                    migration.left.push(left(resource, "no linked provider has a type for it"));
                    continue;
                }
                Some(Becomes::Left(why)) => {
                    migration.left.push(left(resource, why));
                    continue;
                }
                Some(Becomes::Part(of)) => {
                    migration.parts.push(left(resource, format!("it is part of {of}")));
                    continue;
                }
                Some(Becomes::Resource(adopt)) => adopt,
            };
            let Some(entry) = catalog.get(&adopt.type_name) else {
                migration.left.push(left(resource, Catalog::not_linked(&adopt.type_name)));
                continue;
            };
            let key = (adopt.type_name.to_string(), resource.instance.as_deref(), adopt.id.clone());
            if adopt.id.is_empty() {
                migration.failed.push(left(resource, "no id is recorded of it"));
            } else if let Some(first) = claimed.insert(key, resource.address.as_str()) {
                migration.failed.push(left(resource, format!("it is the same thing as {first}")));
            } else {
                candidates.push(Candidate { foreign: resource, at, adopt, entry });
            }
        }
        candidates
    }

    /// What is to be read for a candidate.
    fn placed<'e>(
        &self,
        declared: &Declarations,
        candidate: &Candidate<'e>,
        urn: Urn,
    ) -> Result<Wanted<'e>, Diagnostic> {
        let Candidate { foreign, adopt, entry, .. } = candidate;
        let provider = entry.schema.provider();
        let instance = foreign.instance.as_ref().map(|name| format!("{provider}/{name}"));
        if let Some(instance) = &instance {
            let known = declared.providers.iter().any(|provider| provider.name == *instance)
                || self.session.state.providers.contains_key(instance);
            if !known {
                let name = foreign.instance.as_deref().unwrap_or_default();
                let message = format!("it is managed by a provider configuration `{name}` of its own");
                let help = format!("declare it with `stack.provider(\"{name}\", …)` in the program, and import again");
                return Err(Diagnostic::refused(message).help(help).on(&urn));
            }
        }
        let open = adopt.fields.iter().find(|(name, value)| {
            let field = entry.schema.index(name).and_then(|index| entry.schema.fields.get(index));
            value.has_secret() && field.is_none_or(|field| !field.ty.secret)
        });
        if let Some((field, _)) = open {
            return Err(Diagnostic::refused(exposed(field, foreign)).on(&urn));
        }
        let wanted = self.wanted(declared, entry, urn, &adopt.id, instance.as_deref())?;
        let prior = (entry.schema.pure && !adopt.fields.is_empty()).then(|| prior(entry, adopt));
        Ok(Wanted { prior, ..wanted })
    }

    /// The program that declares what is adopted and not declared yet.
    fn printed(
        &self,
        declared: &Declarations,
        catalog: &Catalog,
        adopted: &[(Candidate<'_>, ResourceRecord)],
        instances: &HashMap<usize, Instance>,
    ) -> Printed {
        let new = adopted.iter().filter(|(_, record)| declared_as(declared, &record.urn).is_none());
        let mut state = State { resources: self.session.state.resources.clone(), ..State::default() };
        for (_, record) in adopted {
            state.apply(Change::Put(Record::Resource(Box::new(record.clone()))));
        }
        let parts: Vec<Part<'_>> = new
            .map(|(candidate, record)| {
                let mut options = Vec::new();
                if let Some((_, name)) = record.provider.split_once('/') {
                    options.push(format!("provider(&{})", crate::declaration::variable(name)));
                }
                if candidate.foreign.protect {
                    options.push("protect()".into());
                }
                let provider = catalog.providers.get(candidate.entry.provider).map_or("", |linked| linked.path());
                let after: BTreeSet<Instance> =
                    candidate.foreign.after.iter().filter_map(|at| instances.get(at).copied()).collect();
                Part { entry: candidate.entry, provider, record, after: after.into_iter().collect(), options }
            })
            .collect();
        if parts.is_empty() {
            return Printed { text: String::new(), parts: Vec::new(), asks: Vec::new() };
        }
        let known = Known::of(&state, &|type_name| catalog.get(type_name).map(|entry| entry.schema));
        let name = self.deployment.program.map_or("program", |program| program.name());
        print(name, &parts, &state, &known, &self.session.config)
    }
}

fn left(resource: &ForeignResource, why: impl Into<String>) -> Left {
    Left { address: resource.address.clone(), type_name: resource.type_name.clone(), why: why.into() }
}

/// A problem in one line, without the resource, which stands beside it.
fn told(problem: &Diagnostic) -> String {
    match &problem.help {
        Some(help) => format!("{}: {help}", problem.message),
        None => problem.message.clone(),
    }
}

fn migrated(candidate: &Candidate<'_>, record: &ResourceRecord) -> Migrated {
    Migrated {
        address: candidate.foreign.address.clone(),
        urn: record.urn.clone(),
        id: record.id.clone(),
        declared: false,
        changes: Vec::new(),
        left_out: Vec::new(),
    }
}

/// What is known of a thing that exists in states alone, one value a field.
fn prior(entry: &TypeEntry, adopt: &Adopt) -> Values {
    let fields = entry.schema.fields.iter();
    fields
        .map(|field| match adopt.fields.get(field.name) {
            Some(value) if field.ty.secret => value.clone().into_secret(),
            Some(value) => value.reveal().clone(),
            None => field.default.map(|default| default()).unwrap_or_default(),
        })
        .collect()
}

/// Records what the other tool knows and no read tells, where the program says it.
fn tell(record: &mut ResourceRecord, candidate: &Candidate<'_>, says: impl Fn(usize) -> bool) {
    for (index, field) in candidate.entry.schema.inputs().filter(|(_, field)| field.write_only) {
        let Some(value) = candidate.adopt.fields.get(field.name).filter(|_| says(index)) else { continue };
        let value = if field.is_unkept() { value.clone().into_secret() } else { value.reveal().clone() };
        record.inputs.insert(field.name.to_owned(), value);
    }
}

/// The record as it is kept. The program is printed before, and the values that it asks for are told: digests are none.
fn kept(mut record: ResourceRecord, entry: &TypeEntry) -> ResourceRecord {
    for (_, field) in entry.schema.inputs().filter(|(_, field)| field.is_unkept()) {
        if let Some(value) = record.inputs.get_mut(field.name) {
            *value = (field.ty.canonical)(value.clone()).digested();
        }
    }
    record
}

/// The record, unless it would hold in plain text what the other tool keeps as a secret.
fn not_exposed(foreign: &ForeignResource, record: ResourceRecord) -> Result<ResourceRecord, String> {
    let mut hidden: Vec<Zeroizing<String>> = Vec::new();
    for value in foreign.attributes.values() {
        value.secrets(&mut |secret| {
            secret.reveal().texts(&mut |text| hidden.push(Zeroizing::new(text.to_owned())));
        });
    }
    hidden.retain(|text| !text.is_empty());
    let fields = [&record.inputs, &record.outputs, &record.seen].into_iter().flatten();
    for (field, value) in fields {
        if holds(value, &hidden) {
            return Err(exposed(field, foreign));
        }
    }
    Ok(record)
}

fn exposed(field: &str, foreign: &ForeignResource) -> String {
    format!(
        "`{field}` holds what {} keeps as a secret, and would be recorded in plain text: import it by itself, with \
         `import TYPE NAME ID`, should that be right",
        foreign.tool
    )
}

/// Whether one of the texts stands in the value, outside of its secrets.
fn holds(value: &Value, texts: &[Zeroizing<String>]) -> bool {
    match value {
        Value::Text(text) => texts.iter().any(|hidden| **hidden == *text),
        Value::List(items) => items.iter().any(|item| holds(item, texts)),
        Value::Map(map) => map.values().any(|item| holds(item, texts)),
        _ => false,
    }
}
