//! Import: adopting something that exists into the state, and the declaration that it wants.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{self, Counts, Outcome};
use crate::catalog::TypeEntry;
use crate::component::is_name;
use crate::declaration::{self, Around, Known, Names};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::engine::session::{Missing, Session};
use crate::engine::{Deployment, Run, RunError};
use crate::event::Verb;
use crate::plan::{self, PlanInput, PlanOptions, plan};
use crate::refresh::Wanted;
use crate::stack::{Declarations, Declared};
use crate::state::model::{Change, Instance, Record, RecordedOptions, ResourceRecord, StackRecord, Status};
use crate::ui::nearest;
use crate::urn::Urn;

/// What is to be adopted, and under which name.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions<'a> {
    /// Name of its type, such as `aws:ec2:Vpc`.
    pub type_name: &'a str,
    /// Its name in the program.
    pub name: &'a str,
    /// The provider's id.
    pub id: &'a str,
    /// The provider instance, such as `aws/frankfurt`; the one that the program declares for it, else the provider's
    /// default one, where unset.
    pub provider: Option<&'a str>,
}

/// Something that is adopted, or about to be.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// Its URN in the stack.
    pub urn: Urn,
    /// The provider's id.
    pub id: String,
    /// A `let` statement of Rust that declares it as it was found. Secrets are left to be filled in.
    pub declaration: String,
    /// What the cloud may have chosen, as methods that would fix it; the declaration leaves it out.
    pub left_out: Vec<String>,
    /// Whether the program declares it already.
    pub declared: bool,
    /// Fields that the next `up` changes, because the program declares them otherwise.
    pub changes: Vec<&'static str>,
}

impl Deployment {
    /// Adopts something that exists into the state, and says how to declare it. Nothing in the cloud is changed. Until
    /// the program declares it, it is protected, so that an `up` in between does not delete it.
    ///
    /// # Errors
    /// When its type is not linked, it is not there, another resource of the stack owns it, the name is taken, or the
    /// program declares it in a way that would need a replacement. Nothing is recorded then.
    pub async fn import(
        &self,
        options: ImportOptions<'_>,
        confirm: &(dyn Fn(&Adoption) -> bool + Send + Sync),
    ) -> Result<Adoption, RunError> {
        let mut session = self.source.open(&self.options.stack, Missing::Make).await?;
        self.tell_of_key(&session);
        let entry = self.linked(options.type_name)?.clone();
        let declared = self.declarations(&mut session).await?;
        session.lock("import").await?;
        let of = vec![Urn::new(options.type_name, options.name).to_string(), options.id.to_owned()];
        self.tell_begin(&mut session, "import", of, BTreeMap::new());
        let result = self.take(&mut session, &declared, &entry, options, confirm).await;
        self.tell_how_it_ended(&mut session, &result.as_ref().map(|_| ())).await;
        result
    }

    async fn take(
        &self,
        session: &mut Session,
        declared: &Declarations,
        entry: &TypeEntry,
        options: ImportOptions<'_>,
        confirm: &(dyn Fn(&Adoption) -> bool + Send + Sync),
    ) -> Result<Adoption, RunError> {
        let mut run = Run::new(self, session, declared)?;
        run.owner_check()?;
        run.rescue_check()?;
        run.read_ahead(declared).await?;
        run.resolve_open(declared, true).await?;
        let (record, adoption) = run.adopt(declared, entry, options).await?;
        if !confirm(&adoption) {
            return Err(RunError::Declined);
        }
        let instance = record.instance;
        let changes = run.changes_of(declared, vec![record]);
        let store = &mut run.session.store;
        let done = audit::Event::step(&adoption.urn, Some(instance), Verb::Import, Outcome::Done, &[], None);
        store.tell(run.info.clock.now(), &done);
        store.commit(&changes).await?;
        self.tell_end(run.session, Outcome::Done, Counts::default()).await;
        run.session.store.fold().await?;
        Ok(adoption)
    }

    fn linked(&self, type_name: &str) -> Result<&TypeEntry, RunError> {
        self.catalog.get(type_name).ok_or_else(|| {
            let problem = Diagnostic::invalid(crate::catalog::Catalog::not_linked(type_name));
            let known = self.catalog.types().map(|entry| entry.schema.type_name);
            RunError::one(match nearest(type_name, known) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            })
        })
    }
}

impl Run<'_> {
    async fn adopt(
        &mut self,
        declared: &Declarations,
        entry: &TypeEntry,
        options: ImportOptions<'_>,
    ) -> Result<(ResourceRecord, Adoption), RunError> {
        let ImportOptions { type_name, name, id, provider } = options;
        let wanted = self.wanted(declared, entry, Urn::new(type_name, name), id, provider).map_err(RunError::one)?;
        let urn = wanted.urn.clone();
        let (mut reality, state) = self.reality(declared);
        let found = reality.adoptables(&[wanted], state).await.pop();
        let found = found.unwrap_or_else(|| Err(Diagnostic::refused("nothing was read").on(&urn)));
        let mut record = found.map_err(RunError::one)?;
        record.instance = self.deployment.ids.instance();
        let declaration = declared_as(declared, &urn);
        let mut changes = Vec::new();
        if let Some((index, _)) = declaration {
            let imports = BTreeMap::from([(index, record.clone())]);
            let mut planned = self.planned_adoptions(declared, &imports);
            if !planned.problems.is_empty() {
                return Err(RunError::Diagnostics(Diagnostics(planned.problems)));
            }
            (changes, record.dependencies) = planned.adoptions.remove(&index).unwrap_or_default();
        }
        settle(&mut record, entry, declaration.map(|(_, declared)| declared));
        let state = &self.session.state;
        let catalog = &self.deployment.catalog;
        let known = Known::of(state, &|type_name| catalog.get(type_name).map(|entry| entry.schema));
        let (mut names, around) = (Names::default(), Around::default());
        let written = declaration::declaration(entry.schema, &record, state, &known, &mut names, around);
        match declaration {
            Some((_, resource)) => record.options = plan::recorded_options(declared, resource, None),
            None => {
                record.dependencies = written.refers_to.into_iter().collect();
                record.options = RecordedOptions { protect: true, ..RecordedOptions::default() };
            }
        }
        let adoption = Adoption {
            urn,
            id: id.to_owned(),
            declaration: written.text,
            left_out: written.left_out,
            declared: declaration.is_some(),
            changes,
        };
        Ok((record, adoption))
    }

    /// What is to be read, for something that gets this URN.
    ///
    /// # Errors
    /// When nothing can have that name, or something else has it.
    pub(super) fn wanted<'e>(
        &self,
        declared: &Declarations,
        entry: &'e TypeEntry,
        urn: Urn,
        id: &str,
        provider: Option<&str>,
    ) -> Result<Wanted<'e>, Diagnostic> {
        let refuse = |message: String| Diagnostic::refused(message).on(&urn);
        let name = urn.path();
        if !name.split('/').all(is_name) {
            return Err(refuse(format!("`{}` cannot be the name of a resource", name.escape_debug()))
                .help("use letters, digits, `-`, `_` and `.`, with `/` after the name of a component"));
        }
        let taken = self.session.state.resources.values().find(|record| record.urn == urn);
        if let Some(record) = taken {
            let message = format!("the stack has a resource of this name already, with the id `{}`", record.id);
            return Err(refuse(message).help("choose another name, or run `state rm` on it first"));
        }
        let instance = provider.unwrap_or_else(|| match declared_as(declared, &urn) {
            Some((_, declared)) => declared.provider_instance(),
            None => entry.schema.provider(),
        });
        let provider = instance.to_owned();
        Ok(Wanted { urn, entry, provider, id: id.to_owned(), prior: None })
    }

    /// What the plan makes of the program's own declarations of things that are adopted.
    pub(super) fn planned_adoptions(
        &self,
        declared: &Declarations,
        imports: &BTreeMap<u32, ResourceRecord>,
    ) -> PlannedAdoptions {
        let (state, catalog) = (&self.session.state, &*self.deployment.catalog);
        let options = PlanOptions::default();
        let plan = plan(&PlanInput { declared, state, catalog, imports, options: &options });
        let urns: BTreeSet<&Urn> = imports.values().map(|record| &record.urn).collect();
        let of_imports = |problem: &&Diagnostic| problem.urn.as_ref().is_some_and(|urn| urns.contains(urn));
        let mut problems: Vec<Diagnostic> = plan.diagnostics.iter().filter(of_imports).cloned().collect();
        for problem in &mut problems {
            problem.message = self.scrubber.scrub(&problem.message);
        }
        let node = |index: u32| plan.nodes.get(index as usize);
        let instance = |index: &u32| match imports.get(index) {
            Some(record) => Some(record.instance),
            None => node(*index)?.prior,
        };
        let adoptions = imports.keys().map(|index| {
            let changes = node(*index).map(|node| node.changes.iter().map(|change| change.field).collect());
            let needed = plan.dependencies().get(*index as usize).into_iter().flatten();
            (*index, (changes.unwrap_or_default(), needed.filter_map(instance).collect()))
        });
        let adoptions = adoptions.collect();
        PlannedAdoptions { problems, adoptions }
    }

    /// What is to be written for adopted records: the stack's own record where it has none, and their providers.
    pub(super) fn changes_of(&self, declared: &Declarations, records: Vec<ResourceRecord>) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.session.state.stack.is_none() {
            let program = self.deployment.program.map_or("", |program| program.name()).to_owned();
            changes.push(Change::Put(Record::Stack(StackRecord { program, guard: declared.guard.clone() })));
        }
        let instances: BTreeSet<&str> = records.iter().map(|record| record.provider.as_str()).collect();
        let providers = instances.into_iter().filter_map(|instance| self.connections.record(instance));
        changes.extend(providers.map(|provider| Change::Put(Record::Provider(provider))));
        changes.extend(records.into_iter().map(|record| Change::Put(Record::Resource(Box::new(record)))));
        changes
    }
}

/// What the plan makes of declarations of things that are adopted.
pub(super) struct PlannedAdoptions {
    pub(super) problems: Vec<Diagnostic>,
    /// The fields that it changes and the instances that it refers to, by the index of the declaration.
    pub(super) adoptions: BTreeMap<u32, (Vec<&'static str>, BTreeSet<Instance>)>,
}

/// The program's declaration of a resource, and its index.
pub(super) fn declared_as<'d>(declared: &'d Declarations, urn: &Urn) -> Option<(u32, &'d Declared)> {
    let index = declared.index(urn)?;
    Some((index, declared.resources.get(index as usize)?))
}

/// Whether the program says a value for the field of that index.
pub(super) fn says(declared: Option<&Declared>, index: usize) -> bool {
    declared.and_then(|declared| declared.values.get(index)).is_some_and(|given| !given.is_null())
}

/// Makes a whole record of what was read: its inputs are those that a declaration of it says.
pub(super) fn settle(record: &mut ResourceRecord, entry: &TypeEntry, declared: Option<&Declared>) {
    record.status = Status::Live;
    let seen = std::mem::take(&mut record.seen);
    for (index, field) in entry.schema.inputs() {
        // What an API never tells is known when the program says it; what the program leaves out is as it is by default.
        if field.write_only {
            record.inputs.extend(field.default.map(|default| (field.name.to_owned(), default())));
            continue;
        }
        let Some(value) = seen.get(field.name) else { continue };
        if says(declared, index) || field.default.is_some() || declaration::is_said(field, value) {
            record.inputs.insert(field.name.to_owned(), value.clone());
        } else if field.computed {
            record.seen.insert(field.name.to_owned(), value.clone());
        }
    }
}
