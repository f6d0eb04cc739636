//! Refresh: reading what is there, in batches, and finding what somebody else changed or deleted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::call::PAUSE;
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
use crate::stack::{Declarations, Declared};
use crate::state::model::{Change, Instance, Key, Record, RecordedOptions, ResourceRecord, State, Status};
use crate::urn::Urn;
use crate::value::{Lookup, Value};

/// How many resources of a type are read by one call of the provider.
const BATCH: usize = 200;

/// How often a read that fails in passing is tried.
const ATTEMPTS: u32 = 5;

/// How long one look may take: a provider that never answers must not hold the run for ever.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What a look at reality needs.
pub(crate) struct Reality<'a> {
    pub(crate) declared: &'a Declarations,
    pub(crate) catalog: &'a Catalog,
    pub(crate) connections: &'a mut Connections,
    pub(crate) listener: &'a dyn Listener,
    pub(crate) scrubber: &'a Scrubber,
    pub(crate) info: Arc<RunInfo>,
    pub(crate) parallel: usize,
    /// Once it is cancelled, nothing more is read.
    pub(crate) cancel: CancellationToken,
}

/// Something that is to be adopted.
pub(crate) struct Wanted<'a> {
    pub(crate) urn: Urn,
    pub(crate) entry: &'a TypeEntry,
    /// Name of the provider instance.
    pub(crate) provider: String,
    pub(crate) id: String,
    /// What is known of something that exists in states alone.
    pub(crate) prior: Option<Values>,
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
        if let Some(read) = self.declared.read(resource) {
            return read.field(field);
        }
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
        let settings = self.settings(instance, state)?.unwrap_or_default();
        self.scrubber.learn(&settings);
        self.connections.get(instance, &settings, state).await.map_err(|error| {
            let message = self.scrubber.scrub(&error.to_string());
            match error {
                crate::connections::ConnectError::Elsewhere { .. } => Diagnostic::refused(message),
                _ => Diagnostic::invalid(message),
            }
        })
    }

    /// The settings of a provider instance; none while they depend on something that is still to be made.
    fn settings(&self, instance: &str, state: &State) -> Result<Option<Value>, Diagnostic> {
        let recorded = || state.providers.get(instance).map(|record| record.settings.clone());
        let Some(provider) = self.declared.providers.iter().find(|provider| provider.name == instance) else {
            return Ok(Some(recorded().unwrap_or_default()));
        };
        let resolved = provider
            .settings
            .resolve(&Recorded::of(self.declared, state))
            .map_err(|error| Diagnostic::invalid(error.to_string()).at(provider.at))?;
        Ok(if resolved.is_known() { Some(resolved) } else { recorded() })
    }

    /// Connects to every provider instance that a plan will call, as far as its settings are known: missing credentials,
    /// an endpoint that does not answer and another account are found before anything is touched.
    ///
    /// # Errors
    /// Every instance that cannot be used.
    pub(crate) async fn check_connections(&mut self, plan: &plan::Plan, state: &State) -> Result<(), Vec<Diagnostic>> {
        let mut instances = std::collections::BTreeSet::new();
        for node in &plan.nodes {
            if matches!(node.action, plan::Action::Same | plan::Action::Record | plan::Action::Forget) {
                continue;
            }
            let declared = node.declared.and_then(|index| self.declared.resources.get(index as usize));
            instances.extend(declared.map(|declared| declared.provider_instance().to_owned()));
            let prior = node.prior.and_then(|prior| state.resources.get(&prior));
            instances.extend(prior.map(|record| record.provider.clone()));
        }
        let mut problems = Vec::new();
        for instance in instances {
            let checked = match self.settings(&instance, state) {
                Ok(None) => continue,
                Ok(Some(_)) => self.connection(&instance, state).await.map(drop),
                Err(problem) => Err(problem),
            };
            problems.extend(checked.err());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Reads every recorded resource that is in scope and returns what changed, which is applied to `state` already,
    /// and how many were not read because the run was cancelled.
    ///
    /// # Errors
    /// Everything that could not be read, together; nothing is changed then. What a cancelled run did not come to is no
    /// error.
    /// `waits` says whether what was made in part, and is not seen, is looked for until its type's settle time has passed:
    /// it may have been made a moment ago.
    pub(crate) async fn refresh(
        &mut self,
        state: &mut State,
        scope: Option<&plan::Scope>,
        retyped: &plan::Retyped,
        waits: bool,
    ) -> Result<(Vec<Change>, usize), Vec<Diagnostic>> {
        let mut groups: BTreeMap<(String, String), Vec<Instance>> = BTreeMap::new();
        for record in state.resources.values() {
            if record.status != Status::PendingReplacement && scope.is_none_or(|scope| scope.has(record.instance)) {
                let group = (record.provider.clone(), plan::type_of(record, retyped).to_owned());
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
            queue.extend(instances.chunks(BATCH).map(|chunk| (Arc::clone(&connection), entry, chunk.to_vec())));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut read: BTreeMap<Instance, Result<Option<Values>, Error>> = BTreeMap::new();
        let mut queue = queue.into_iter();
        loop {
            while tasks.len() < self.parallel.max(1) && !self.cancel.is_cancelled() {
                let Some((connection, entry, chunk)) = queue.next() else { break };
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
                let (info, ty, type_name) = (Arc::clone(&self.info), entry.ty, entry.schema.type_name);
                tasks.spawn(async move { read_batch(connection, ty, type_name, items, info).await });
            }
            match tasks.join_next().await {
                None => break,
                // What is as it was recorded needs no second look, and no room until all is read.
                Some(Ok(results)) => {
                    read.extend(
                        results
                            .into_iter()
                            .filter(|(instance, result)| !self.as_recorded(state, *instance, retyped, result)),
                    );
                }
                Some(Err(_)) => problems.push(Diagnostic::invalid("a provider panicked while it read")),
            }
        }
        if waits {
            self.look_again(state, &mut read, retyped).await?;
        }
        let unread = queue.map(|(_, _, chunk)| chunk.len()).sum();
        for (instance, result) in &read {
            let (Err(error), Some(record)) = (result, state.resources.get(instance)) else { continue };
            let message = self.scrubber.scrub(error.message());
            problems.push(Diagnostic::invalid(format!("it could not be read: {message}")).on(&record.urn));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let dependents = dependents(state);
        let mut changes = Vec::new();
        for (instance, result) in read {
            let Some(record) = state.resources.get(&instance) else { continue };
            let Some(entry) = self.catalog.get(plan::type_of(record, retyped)) else { continue };
            // Each comparison sees what the ones before it left: two things that one resource refers to may be gone.
            for change in self.compare(state, &dependents, record, entry, result.unwrap_or_default()) {
                state.apply(change.clone());
                changes.push(change);
            }
        }
        Ok((changes, unread))
    }

    /// Whether a read found exactly what is recorded.
    fn as_recorded(
        &self,
        state: &State,
        instance: Instance,
        retyped: &plan::Retyped,
        read: &Result<Option<Values>, Error>,
    ) -> bool {
        let (Some(record), Ok(Some(values))) = (state.resources.get(&instance), read) else { return false };
        let entry = self.catalog.get(plan::type_of(record, retyped));
        entry.is_some_and(|entry| plan::is_as_recorded(entry.schema, record, values))
    }

    /// Looks again for what was made in part and is not seen.
    async fn look_again(
        &mut self,
        state: &State,
        read: &mut BTreeMap<Instance, Result<Option<Values>, Error>>,
        retyped: &plan::Retyped,
    ) -> Result<(), Vec<Diagnostic>> {
        let began = Instant::now();
        for (instance, result) in read.iter_mut().filter(|(_, result)| matches!(result, Ok(None))) {
            let Some(record) = state.resources.get(instance).filter(|record| record.status == Status::Incomplete)
            else {
                continue;
            };
            let Some(entry) = self.catalog.get(plan::type_of(record, retyped)) else { continue };
            let connection = self.connection(&record.provider, state).await.map_err(|problem| vec![problem])?;
            let until = began + self.info.settle(entry.schema);
            while matches!(result, Ok(None)) && Instant::now() < until && !self.cancel.is_cancelled() {
                tokio::time::sleep(PAUSE).await;
                let cx = read_context(&self.info, record.urn.clone());
                let prior = plan::state_values(entry.schema, record);
                *result = read_one(Arc::clone(&connection), entry.ty, cx, record.id.clone(), Some(prior)).await;
            }
        }
        Ok(())
    }

    fn compare(
        &self,
        state: &State,
        dependents: &HashMap<Instance, Vec<Instance>>,
        record: &ResourceRecord,
        entry: &TypeEntry,
        values: Option<Values>,
    ) -> Vec<Change> {
        let Some(values) = values else {
            self.listener.event(&Event::Drifted { urn: record.urn.clone(), fields: Vec::new(), gone: true });
            let mut changes = vec![Change::Remove(Key::Resource(record.instance))];
            // Whoever refers to it refers to nothing now.
            let users = dependents.get(&record.instance).into_iter().flatten();
            changes.extend(users.filter_map(|user| state.resources.get(user)).map(|user| {
                let mut user = user.clone();
                user.dependencies.remove(&record.instance);
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
    pub(crate) async fn imports(
        &mut self,
        state: &State,
        scope: Option<&plan::Scope>,
    ) -> Result<BTreeMap<u32, ResourceRecord>, Vec<Diagnostic>> {
        let (mut found, mut problems) = (BTreeMap::new(), Vec::new());
        let mut claimed: HashMap<_, &Declared> = HashMap::new();
        for (index, declared) in self.declared.resources.iter().enumerate() {
            let Some(id) = &declared.options().import else { continue };
            if scope.is_some_and(|scope| !scope.selection.has_declared(index as u32)) {
                continue;
            }
            let known = state.resources.values().any(|record| {
                record.urn == declared.urn && record.status != Status::PendingReplacement
                    || declared.options().aliases.iter().any(|alias| plan::alias_urn(declared, alias) == record.urn)
            });
            if known {
                continue;
            }
            let refuse = |message: String| Diagnostic::refused(message).on(&declared.urn).at(declared.at);
            let Some(entry) = self.catalog.get(declared.schema.type_name) else { continue };
            if let Some(first) = claimed.insert((declared.provider_instance(), declared.urn.type_name(), id), declared)
            {
                problems.push(refuse(format!("`{id}` cannot be imported: {} imports it already", first.urn)));
                continue;
            }
            match self.adoptable(&declared.urn, entry, declared.provider_instance(), id, state).await {
                Ok(record) => {
                    found.insert(index as u32, record);
                }
                Err(problem) => problems.push(if problem.urn.is_some() { problem.at(declared.at) } else { problem }),
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    /// Reads something that is to be adopted. The record is not part of the state yet.
    ///
    /// # Errors
    /// When it belongs to another resource or another stack, is not there, or cannot be read.
    pub(crate) async fn adoptable(
        &mut self,
        urn: &Urn,
        entry: &TypeEntry,
        provider: &str,
        id: &str,
        state: &State,
    ) -> Result<ResourceRecord, Diagnostic> {
        let wanted = Wanted { urn: urn.clone(), entry, provider: provider.into(), id: id.into(), prior: None };
        let found = self.adoptables(&[wanted], state).await.pop();
        found.unwrap_or_else(|| Err(Diagnostic::refused("nothing was read").on(urn)))
    }

    /// [`Reality::adoptable`] for many at once: one result each, in their order.
    pub(crate) async fn adoptables(
        &mut self,
        wanted: &[Wanted<'_>],
        state: &State,
    ) -> Vec<Result<ResourceRecord, Diagnostic>> {
        let owners: HashMap<(&str, &str), &Urn> = state
            .resources
            .values()
            .map(|record| ((record.urn.type_name(), record.id.as_str()), &record.urn))
            .collect();
        let refuse = |wanted: &Wanted<'_>, message: String| Err(Diagnostic::refused(message).on(&wanted.urn));
        let mut results = Vec::with_capacity(wanted.len());
        let mut queue = Vec::new();
        for (at, item) in wanted.iter().enumerate() {
            let id = &item.id;
            results.push(match owners.get(&(item.urn.type_name(), id.as_str())) {
                Some(owner) => refuse(item, format!("`{id}` cannot be imported: it belongs to {owner} of this stack")),
                None => match self.connection(&item.provider, state).await {
                    Ok(connection) => {
                        queue.push((at, connection, item));
                        refuse(item, "the run was cancelled before it was read".into())
                    }
                    Err(problem) => Err(problem),
                },
            });
        }
        let (mut tasks, mut queue) = (JoinSet::new(), queue.into_iter());
        loop {
            while tasks.len() < self.parallel.max(1) && !self.cancel.is_cancelled() {
                let Some((at, connection, item)) = queue.next() else { break };
                let cx = read_context(&self.info, item.urn.clone());
                let (ty, id, prior) = (item.entry.ty, item.id.clone(), item.prior.clone());
                tasks.spawn(async move { (at, read_unclaimed(connection, ty, cx, id, prior).await) });
            }
            let Some(joined) = tasks.join_next().await else { break };
            let Ok((at, read)) = joined else { continue };
            let (Some(item), Some(result)) = (wanted.get(at), results.get_mut(at)) else { continue };
            let id = &item.id;
            *result = match read {
                Ok(Some((values, None))) => Ok(self.imported(&item.urn, item.entry, &item.provider, id, &values)),
                Ok(Some((_, Some(owner)))) => refuse(
                    item,
                    format!(
                        "`{id}` cannot be imported: its tags say that it belongs to the stack with the lineage `{owner}`"
                    ),
                ),
                Ok(None) => refuse(item, format!("there is nothing with the id `{id}` to import")),
                Err(error) => {
                    let message = self.scrubber.scrub(error.message());
                    refuse(item, format!("`{id}` could not be read: {message}"))
                }
            };
        }
        results
    }

    fn imported(&self, urn: &Urn, entry: &TypeEntry, provider: &str, id: &str, values: &[Value]) -> ResourceRecord {
        let schema = entry.schema;
        self.scrubber.learn_all(values);
        ResourceRecord {
            instance: Instance(0),
            urn: urn.clone(),
            id: id.to_owned(),
            provider: provider.to_owned(),
            status: Status::Incomplete,
            schema_version: schema.version,
            inputs: BTreeMap::new(),
            outputs: plan::named_outputs(schema, values),
            seen: plan::seen_inputs(schema, values),
            drifted: Default::default(),
            dependencies: Default::default(),
            options: RecordedOptions::default(),
        }
    }
}

/// The context of a read: it has no attempt of its own.
pub(crate) fn read_context(info: &Arc<RunInfo>, urn: Urn) -> Context {
    Context { shared: Arc::clone(info), ..Context::detached(urn, "") }
}

/// For each instance, those that are recorded to refer to it.
fn dependents(state: &State) -> HashMap<Instance, Vec<Instance>> {
    let mut dependents: HashMap<Instance, Vec<Instance>> = HashMap::new();
    for record in state.resources.values() {
        for used in &record.dependencies {
            dependents.entry(*used).or_default().push(record.instance);
        }
    }
    dependents
}

/// Reads one thing; `None` says that it is gone. The read is a task of its own, so that a provider that panics or
/// never answers is an error of this one thing.
pub(crate) async fn read_one(
    connection: Arc<dyn Connection>,
    ty: usize,
    cx: Context,
    id: String,
    prior: Option<Values>,
) -> Result<Option<Values>, Error> {
    let read = patiently(|| {
        let (connection, cx, id, prior) = (Arc::clone(&connection), cx.clone(), id.clone(), prior.clone());
        apart(async move { connection.read(ty, &cx, &id, prior.as_deref()).await })
    });
    match read.await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

/// [`read_one`] of something that is to be adopted, and the lineage of another stack that claims it.
async fn read_unclaimed(
    connection: Arc<dyn Connection>,
    ty: usize,
    cx: Context,
    id: String,
    prior: Option<Values>,
) -> Result<Option<(Values, Option<String>)>, Error> {
    let read = read_one(Arc::clone(&connection), ty, cx.clone(), id.clone(), prior).await?;
    let Some(values) = read else { return Ok(None) };
    let claimed = patiently(|| {
        let (connection, cx, id, values) = (Arc::clone(&connection), cx.clone(), id.clone(), values.clone());
        apart(async move { connection.claimed_by(ty, &cx, &id, &values).await })
    });
    let claimed = claimed.await?;
    Ok(Some((values, claimed)))
}

/// Repeats a look that fails in passing.
pub(crate) async fn patiently<T, F>(mut look: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<Result<T, Error>, Error>>,
{
    for attempt in 1..ATTEMPTS {
        match look().await? {
            Err(error) if matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Transient) => {
                let pause = error.retry_after().unwrap_or(Duration::from_millis(200 << attempt));
                tokio::time::sleep(pause).await;
            }
            answer => return answer,
        }
    }
    look().await?
}

/// Runs a look at reality as a task of its own, and for a while only.
pub(crate) async fn apart<T: Send + 'static>(look: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
    // Dropping the set ends the task, should this run be dropped.
    let mut tasks = JoinSet::new();
    tasks.spawn(tokio::time::timeout(PATIENCE, look));
    match tasks.join_next().await {
        Some(Ok(Ok(answer))) => Ok(answer),
        Some(Ok(Err(_))) => {
            let message = format!("the provider did not answer within {} s", PATIENCE.as_secs());
            Err(Error::new(ErrorKind::UnknownOutcome, message))
        }
        _ => Err(Error::new(ErrorKind::UnknownOutcome, "the provider panicked while it read")),
    }
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
        let answers = tokio::time::timeout(PATIENCE, connection.read_many(ty, &cx, &asked)).await.unwrap_or_default();
        // Nothing that was not answered for may pass for read.
        let silent = || Err(Error::new(ErrorKind::UnknownOutcome, "the provider did not answer for it"));
        let answers = answers.into_iter().chain(std::iter::repeat_with(silent));
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
