//! Refresh: reading what is there, in batches, and finding what somebody else changed or deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::catalog::{Catalog, TypeEntry};
use crate::connections::Connections;
use crate::context::{Context, RunInfo};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Listener};
use crate::plan;
use crate::provider::Connection;
use crate::resource::Values;
use crate::scrub::Scrubber;
use crate::stack::Declarations;
use crate::state::model::{Change, Instance, Key, Record, RecordedOptions, ResourceRecord, State, Status};
use crate::urn::Urn;
use crate::value::{Lookup, Value};

/// How many resources of a type are read by one call of the provider.
const BATCH: usize = 200;

/// How often a read that fails in passing is tried.
const ATTEMPTS: u32 = 5;

/// What a look at reality needs.
pub(crate) struct Reality<'a> {
    pub(crate) declared: &'a Declarations,
    pub(crate) catalog: &'a Catalog,
    pub(crate) connections: &'a mut Connections,
    pub(crate) listener: &'a dyn Listener,
    pub(crate) scrubber: &'a Scrubber,
    pub(crate) info: Arc<RunInfo>,
    pub(crate) parallel: usize,
}

/// References resolve to what the state has recorded.
pub(crate) struct Recorded<'a> {
    pub(crate) declared: &'a Declarations,
    pub(crate) by_urn: BTreeMap<&'a Urn, &'a ResourceRecord>,
}

impl<'a> Recorded<'a> {
    pub(crate) fn of(declared: &'a Declarations, state: &'a State) -> Self {
        let present = state.resources.values().filter(|record| record.status == Status::Live);
        Self { declared, by_urn: present.map(|record| (&record.urn, record)).collect() }
    }
}

impl Lookup for Recorded<'_> {
    fn attr(&self, resource: u32, field: u16) -> Value {
        let Some(declared) = self.declared.resources.get(resource as usize) else {
            return Value::Unknown { secret: false };
        };
        let Some(field) = declared.schema.fields.get(field as usize) else { return Value::Unknown { secret: false } };
        match self.by_urn.get(&declared.urn) {
            Some(record) => plan::field_value(field, record),
            None => Value::Unknown { secret: field.ty.secret },
        }
    }
}

impl Reality<'_> {
    /// The connection of a provider instance, with the settings that the program gives where they are known already,
    /// else with the recorded ones.
    pub(crate) async fn connection(
        &mut self,
        instance: &str,
        state: &State,
    ) -> Result<Arc<dyn Connection>, Diagnostic> {
        let declared = self.declared.providers.iter().find(|provider| provider.name == instance);
        let recorded = || state.providers.get(instance).map(|record| record.settings.clone());
        let settings = match declared {
            Some(provider) if provider.settings.has_references() => {
                let lookup = Recorded::of(self.declared, state);
                let resolved = provider
                    .settings
                    .resolve(&lookup)
                    .map_err(|error| Diagnostic::invalid(error.to_string()).at(provider.at))?;
                if resolved.is_known() { resolved } else { recorded().unwrap_or_default() }
            }
            Some(provider) => provider.settings.clone(),
            None => recorded().unwrap_or_default(),
        };
        self.scrubber.learn(&settings);
        self.connections.get(instance, &settings, state).await.map_err(|error| {
            let message = self.scrubber.scrub(&error.to_string());
            match error {
                crate::connections::ConnectError::Elsewhere { .. } => Diagnostic::refused(message),
                _ => Diagnostic::invalid(message),
            }
        })
    }

    /// Reads every recorded resource and returns what changed, which is applied to `state` already.
    ///
    /// # Errors
    /// Everything that could not be read, together; nothing is changed then.
    pub(crate) async fn refresh(&mut self, state: &mut State) -> Result<Vec<Change>, Vec<Diagnostic>> {
        let mut groups: BTreeMap<(String, String), Vec<Instance>> = BTreeMap::new();
        for record in state.resources.values() {
            if record.status != Status::PendingReplacement {
                let group = (record.provider.clone(), record.urn.type_name().to_owned());
                groups.entry(group).or_default().push(record.instance);
            }
        }
        self.listener.event(&Event::Refreshing { count: groups.values().map(Vec::len).sum() });
        let mut problems = Vec::new();
        let mut tasks = JoinSet::new();
        let mut queue = Vec::new();
        for ((provider, type_name), instances) in groups {
            let Some(entry) = self.catalog.get(&type_name) else {
                problems.push(Diagnostic::invalid(Catalog::not_linked(&type_name)));
                continue;
            };
            let connection = match self.connection(&provider, state).await {
                Ok(connection) => connection,
                Err(problem) => {
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                    continue;
                }
            };
            for chunk in instances.chunks(BATCH) {
                let items: Vec<(Instance, String, Values)> = chunk
                    .iter()
                    .filter_map(|instance| {
                        let record = state.resources.get(instance)?;
                        Some((*instance, record.id.clone(), plan::state_values(entry.schema, record)))
                    })
                    .collect();
                for (_, _, values) in &items {
                    self.scrubber.learn_all(values);
                }
                queue.push((Arc::clone(&connection), entry.ty, entry.schema.type_name, items));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut read: BTreeMap<Instance, Result<Option<Values>, Error>> = BTreeMap::new();
        let mut queue = queue.into_iter();
        loop {
            while tasks.len() < self.parallel.max(1) {
                let Some((connection, ty, type_name, items)) = queue.next() else { break };
                let info = Arc::clone(&self.info);
                tasks.spawn(async move { read_batch(connection, ty, type_name, items, info).await });
            }
            match tasks.join_next().await {
                None => break,
                Some(Ok(results)) => read.extend(results),
                Some(Err(error)) => {
                    problems.push(Diagnostic::invalid(format!("a provider panicked while it read: {error}")));
                }
            }
        }
        let mut changes = Vec::new();
        for (instance, result) in read {
            let Some(record) = state.resources.get(&instance) else { continue };
            let Some(entry) = self.catalog.get(record.urn.type_name()) else { continue };
            match result {
                Ok(values) => changes.extend(self.compare(state, instance, entry, values)),
                Err(error) => {
                    let message = self.scrubber.scrub(error.message());
                    problems.push(Diagnostic::invalid(format!("it could not be read: {message}")).on(&record.urn));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        for change in &changes {
            state.apply(change.clone());
        }
        Ok(changes)
    }

    fn compare(&self, state: &State, instance: Instance, entry: &TypeEntry, values: Option<Values>) -> Vec<Change> {
        let Some(record) = state.resources.get(&instance) else { return Vec::new() };
        let Some(values) = values else {
            self.listener.event(&Event::Drifted { urn: record.urn.clone(), fields: Vec::new(), gone: true });
            let mut changes = vec![Change::Remove(Key::Resource(instance))];
            // Whoever refers to it refers to nothing now.
            changes.extend(state.resources.values().filter(|user| user.dependencies.contains(&instance)).map(|user| {
                let mut user = user.clone();
                user.dependencies.remove(&instance);
                Change::Put(Record::Resource(Box::new(user)))
            }));
            return changes;
        };
        self.scrubber.learn_all(&values);
        let mut seen = record.clone();
        let drifted = plan::absorb(entry.schema, &mut seen, None, &values);
        if !drifted.is_empty() && record.status == Status::Live {
            let fields = drifted.into_iter().collect();
            self.listener.event(&Event::Drifted { urn: record.urn.clone(), fields, gone: false });
        }
        if seen == *record { Vec::new() } else { vec![Change::Put(Record::Resource(Box::new(seen)))] }
    }

    /// Reads what the program wants to adopt. The records are not part of the state yet.
    ///
    /// # Errors
    /// Everything that cannot be adopted, together.
    pub(crate) async fn imports(&mut self, state: &State) -> Result<BTreeMap<u32, ResourceRecord>, Vec<Diagnostic>> {
        let (mut found, mut problems) = (BTreeMap::new(), Vec::new());
        for (index, declared) in self.declared.resources.iter().enumerate() {
            let Some(id) = &declared.options().import else { continue };
            let known = state.resources.values().any(|record| {
                record.urn == declared.urn && record.status != Status::PendingReplacement
                    || declared.options().aliases.iter().any(|alias| plan::names(alias, &record.urn))
            });
            if known {
                continue;
            }
            let refuse = |message: String| Diagnostic::refused(message).on(&declared.urn).at(declared.at);
            if let Some(owner) = state
                .resources
                .values()
                .find(|record| record.urn.type_name() == declared.urn.type_name() && record.id == *id)
            {
                problems.push(refuse(format!("`{id}` cannot be imported: it belongs to {} of this stack", owner.urn)));
                continue;
            }
            let Some(entry) = self.catalog.get(declared.schema.type_name) else { continue };
            let connection = match self.connection(declared.provider_instance(), state).await {
                Ok(connection) => connection,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let cx = read_context(&self.info, declared.urn.clone());
            match connection.read(entry.ty, &cx, id, None).await {
                Ok(Some(values)) => {
                    let record = self.imported(declared, id, &values);
                    found.insert(index as u32, record);
                }
                Ok(None) => problems.push(refuse(format!("there is nothing with the id `{id}` to import"))),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    problems.push(refuse(format!("there is nothing with the id `{id}` to import")));
                }
                Err(error) => {
                    let message = self.scrubber.scrub(error.message());
                    problems.push(refuse(format!("`{id}` could not be read: {message}")));
                }
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    fn imported(&self, declared: &crate::stack::Declared, id: &str, values: &[Value]) -> ResourceRecord {
        let schema = declared.schema;
        self.scrubber.learn_all(values);
        let mut record = ResourceRecord {
            instance: Instance(0),
            urn: declared.urn.clone(),
            id: id.to_owned(),
            provider: declared.provider_instance().to_owned(),
            status: Status::Incomplete,
            schema_version: schema.version,
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            seen: plan::named_inputs(schema, values),
            drifted: Default::default(),
            dependencies: Default::default(),
            options: RecordedOptions::default(),
        };
        for (index, field) in schema.outputs() {
            if let Some(value) = values.get(index).filter(|value| !value.is_null()) {
                record.outputs.insert(field.name.to_owned(), value.clone());
            }
        }
        record
    }
}

/// The context of a read: it has no attempt of its own.
pub(crate) fn read_context(info: &Arc<RunInfo>, urn: Urn) -> Context {
    Context { shared: Arc::clone(info), ..Context::detached(urn, "") }
}

async fn read_batch(
    connection: Arc<dyn Connection>,
    ty: usize,
    type_name: &'static str,
    items: Vec<(Instance, String, Values)>,
    info: Arc<RunInfo>,
) -> Vec<(Instance, Result<Option<Values>, Error>)> {
    let cx = read_context(&info, Urn::new(type_name, "(refresh)"));
    let mut open: Vec<(Instance, (String, Values))> =
        items.into_iter().map(|(instance, id, values)| (instance, (id, values))).collect();
    let mut done = Vec::with_capacity(open.len());
    for attempt in 1..=ATTEMPTS {
        let asked: Vec<(String, Values)> = open.iter().map(|(_, item)| item.clone()).collect();
        let answers = connection.read_many(ty, &cx, &asked).await;
        let mut again = Vec::new();
        for ((instance, item), answer) in open.into_iter().zip(answers) {
            match answer {
                Err(error) if error.kind() == ErrorKind::NotFound => done.push((instance, Ok(None))),
                Err(error)
                    if attempt < ATTEMPTS
                        && matches!(
                            error.kind(),
                            ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::UnknownOutcome
                        ) =>
                {
                    again.push((instance, item));
                }
                answer => done.push((instance, answer)),
            }
        }
        if again.is_empty() {
            return done;
        }
        open = again;
        tokio::time::sleep(std::time::Duration::from_millis(200 << attempt)).await;
    }
    done
}
