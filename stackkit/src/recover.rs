//! Recovery: what became of the calls whose end nobody recorded, found out by asking the provider.

use std::sync::Arc;

use tokio::time::Instant;

use crate::apply::call::{PAUSE, unfinished};
use crate::apply::new_record;
use crate::audit;
use crate::catalog::{Catalog, TypeEntry};
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::event::{Event, Listener};
use crate::plan;
use crate::provider::Connection;
use crate::refresh::{Reality, apart, patiently, read_one};
use crate::resource::{FoundValues, IntentValues, Values};
use crate::schema::Schema;
use crate::state::model::{Change, IntentKind, IntentRecord, Key, Record, ResourceRecord, State, Status};
use crate::value::Value;

impl Reality<'_> {
    /// Resolves every open call. The changes are applied to `state` already; with them comes what the audit log is told.
    ///
    /// `wait` says whether absence may be waited for: a preview does not wait and takes what it sees. What is waited is
    /// time of this process, from now on: how long ago the call was made only a clock can tell, and clocks are put back
    /// and forth.
    ///
    /// # Errors
    /// The questions that only a person can answer, and what could not be asked, together.
    pub(crate) async fn recover(
        &mut self,
        state: &mut State,
        wait: bool,
    ) -> Result<(Vec<Change>, Vec<audit::Event>), Vec<Diagnostic>> {
        let intents: Vec<IntentRecord> = state.intents.values().cloned().collect();
        let (mut all, mut found, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let began = Instant::now();
        for intent in intents {
            match self.resolve(state, &intent, wait.then_some(began)).await {
                Ok((changes, message)) => {
                    for change in &changes {
                        state.apply(change.clone());
                    }
                    all.extend(changes);
                    found.push(audit::Event::Recovered {
                        urn: intent.urn.to_string(),
                        instance: intent.instance.to_string(),
                        found: message.clone(),
                    });
                    self.listener.event(&Event::Recovered { urn: intent.urn.clone(), message });
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok((all, found)) } else { Err(problems) }
    }

    async fn resolve(
        &mut self,
        state: &State,
        intent: &IntentRecord,
        began: Option<Instant>,
    ) -> Result<(Vec<Change>, String), Diagnostic> {
        let Some(entry) = self.catalog.get(intent.urn.type_name()).cloned() else {
            return Err(Diagnostic::invalid(Catalog::not_linked(intent.urn.type_name())).on(&intent.urn));
        };
        let connection = self.connection(&intent.provider, state).await?;
        let schema = entry.schema;
        let args = plan::sought_values(schema, &intent.inputs);
        self.scrubber.learn_all(&args);
        let mut cx = crate::refresh::read_context(&self.info, intent.urn.clone());
        cx.token = intent.token.as_str().into();
        let until = began.map(|began| began + self.info.settle(schema));
        let look = Look { connection, entry, cx, until, listener: self.listener };
        let closed = Change::Remove(Key::Intent(intent.instance));
        let failed = |scrubber: &crate::scrub::Scrubber, error: &Error| {
            let message = scrubber.scrub(error.message());
            let what = kind_name(intent.kind);
            Diagnostic::invalid(format!(
                "an earlier {what} did not finish, and looking what became of it failed: {message}"
            ))
            .on(&intent.urn)
        };
        match (intent.kind, &intent.id) {
            (IntentKind::Create, Some(id)) => match look.by_id(id, None).await {
                Ok(Some(values)) => {
                    let mut changes = vec![closed];
                    changes.extend(adopt(schema, state, intent, id.clone(), &values));
                    Ok((changes, "an earlier run made it and was cut short; it is adopted".into()))
                }
                Ok(None) => Ok((vec![closed], "what an earlier run made is gone again".into())),
                Err(error) => Err(failed(self.scrubber, &error)),
            },
            (IntentKind::Create, None) => match look.by_intent(intent, &args).await {
                Ok(FoundValues::Ours(id, values)) => {
                    let mut changes = vec![closed];
                    changes.extend(adopt(schema, state, intent, id, &values));
                    Ok((changes, "an earlier run made it and was cut short; it was found again and is adopted".into()))
                }
                Ok(FoundValues::Nothing) => Ok((vec![closed], "an earlier run was cut short before it made it".into())),
                Ok(FoundValues::CannotTell) if schema.pure => {
                    Ok((vec![closed], "an earlier run was cut short before it made it".into()))
                }
                Ok(FoundValues::CannotTell) => Err(question(intent)),
                Err(error) => Err(failed(self.scrubber, &error)),
            },
            (IntentKind::Update, id) => {
                let Some(record) = state.resources.get(&intent.instance) else {
                    return Ok((vec![closed], "it is not in the state any more".into()));
                };
                let prior = plan::state_values(schema, record);
                let id = id.as_deref().unwrap_or(&record.id);
                // A request that is still on its way must not undo what this run does next.
                let landed = |values: &Values| unfinished(schema, &args, &prior) && !unfinished(schema, &args, values);
                match look.until(id, &prior, |found| found.as_ref().is_some_and(landed)).await {
                    Ok(Some(values)) => {
                        let mut record = record.clone();
                        record.seen = plan::seen_inputs(schema, &values);
                        record.outputs = plan::named_outputs(schema, &values);
                        record.status = Status::Incomplete;
                        let put = Change::Put(Record::Resource(Box::new(record)));
                        Ok((vec![closed, put], "an earlier update was cut short; it is brought to an end".into()))
                    }
                    // The refresh, or the next call on it, finds that it is gone.
                    Ok(None) => Ok((vec![closed], "it went away during an earlier update".into())),
                    Err(error) => Err(failed(self.scrubber, &error)),
                }
            }
            (IntentKind::Delete, id) => {
                let Some(record) = state.resources.get(&intent.instance) else {
                    return Ok((vec![closed], "it is deleted".into()));
                };
                let prior = plan::state_values(schema, record);
                // What goes on to be deleted may go at any time. What is to stay must not go later on.
                let stays = record.status != Status::PendingDelete && self.declared.index(&record.urn).is_some();
                let id = id.as_deref().unwrap_or(&record.id);
                match look.until(id, &prior, |found| !stays || found.is_none()).await {
                    Ok(Some(_)) => Ok((vec![closed], "an earlier run was cut short before it deleted it".into())),
                    Ok(None) => {
                        let mut changes = vec![closed, Change::Remove(Key::Resource(record.instance))];
                        changes.extend(pruned(state, record, None));
                        Ok((changes, "an earlier run deleted it and was cut short".into()))
                    }
                    Err(error) => Err(failed(self.scrubber, &error)),
                }
            }
        }
    }
}

/// The look for one open call.
struct Look<'a> {
    connection: Arc<dyn Connection>,
    entry: TypeEntry,
    cx: Context,
    /// Until when what is seen proves nothing, for it may still change; nothing to wait for in a preview.
    until: Option<Instant>,
    listener: &'a dyn Listener,
}

impl Look<'_> {
    /// Waits a little where what is seen proves nothing yet, and says so the first time. Returns whether to look again.
    async fn again(&self, looks: &mut u32) -> bool {
        let left = self.until.unwrap_or_else(Instant::now).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        if *looks == 0 && left > PAUSE {
            let message =
                format!("waiting {} s: what an earlier run asked for may still happen", left.as_secs().max(1));
            self.listener.event(&Event::Progress { urn: self.cx.urn().clone(), message });
        }
        *looks += 1;
        tokio::time::sleep(PAUSE.min(left)).await;
        true
    }

    async fn once(&self, id: &str, prior: Option<&[Value]>) -> Result<Option<Values>, Error> {
        let (connection, cx) = (Arc::clone(&self.connection), self.cx.clone());
        read_one(connection, self.entry.ty, cx, id.to_owned(), prior.map(<[Value]>::to_vec)).await
    }

    async fn by_id(&self, id: &str, prior: Option<&[Value]>) -> Result<Option<Values>, Error> {
        let mut looks = 0;
        loop {
            match self.once(id, prior).await? {
                None if self.again(&mut looks).await => {}
                found => return Ok(found),
            }
        }
    }

    /// Looks until what is seen proves something, or nothing changes any more.
    async fn until(
        &self,
        id: &str,
        prior: &[Value],
        proves: impl Fn(&Option<Values>) -> bool,
    ) -> Result<Option<Values>, Error> {
        let mut looks = 0;
        loop {
            let found = self.once(id, Some(prior)).await?;
            if proves(&found) || !self.again(&mut looks).await {
                return Ok(found);
            }
        }
    }

    async fn by_intent(&self, intent: &IntentRecord, args: &Values) -> Result<FoundValues, Error> {
        let sought =
            IntentValues { args: args.clone(), token: intent.token.clone(), name_was_free: intent.name_was_free };
        let mut looks = 0;
        loop {
            let find = patiently(|| {
                let (connection, cx, ty) = (Arc::clone(&self.connection), self.cx.clone(), self.entry.ty);
                let sought = sought.clone();
                apart(async move { connection.find(ty, &cx, &sought).await })
            });
            match find.await? {
                FoundValues::Nothing if self.again(&mut looks).await => {}
                found => return Ok(found),
            }
        }
    }
}

/// The record of what an interrupted create made. It is incomplete until an update has brought it to its end.
fn adopt(schema: &Schema, state: &State, intent: &IntentRecord, id: String, values: &[Value]) -> Vec<Change> {
    let mut record = new_record(intent, id, Status::Incomplete);
    record.seen = plan::seen_inputs(schema, values);
    record.outputs = plan::named_outputs(schema, values);
    let mut changes = vec![Change::Put(Record::Resource(Box::new(record)))];
    let old = intent.replaces.and_then(|old| state.resources.get(&old));
    match old {
        Some(old) if old.status == Status::PendingReplacement => {
            changes.push(Change::Remove(Key::Resource(old.instance)));
            changes.extend(pruned(state, old, Some(intent)));
        }
        Some(old) => {
            let mut old = ResourceRecord { status: Status::PendingDelete, urn: intent.urn.clone(), ..old.clone() };
            old.options.retain_on_delete = intent.options.retain_on_delete;
            changes.push(Change::Put(Record::Resource(Box::new(old))));
        }
        None => {}
    }
    changes
}

/// Whoever referred to an instance that is gone, without it.
fn pruned(state: &State, gone: &ResourceRecord, successor: Option<&IntentRecord>) -> Vec<Change> {
    state
        .resources
        .values()
        .filter(|user| user.dependencies.contains(&gone.instance))
        .map(|user| {
            let mut user = user.clone();
            user.dependencies.remove(&gone.instance);
            user.dependencies.extend(successor.map(|intent| intent.instance));
            Change::Put(Record::Resource(Box::new(user)))
        })
        .collect()
}

fn question(intent: &IntentRecord) -> Diagnostic {
    Diagnostic::refused(
        "an earlier run was cut short while it made this, and nobody but you can tell whether it was made: its type \
         cannot be looked for",
    )
    .on(&intent.urn)
    .help(format!(
        "run `state rm '{}'`, which forgets this attempt alone, and then `up`, which makes it (again); if it was made and \
         must not be made twice, undo it by hand first",
        intent.urn
    ))
}

fn kind_name(kind: IntentKind) -> &'static str {
    match kind {
        IntentKind::Create => "create",
        IntentKind::Update => "update",
        IntentKind::Delete => "delete",
    }
}
