//! The mocked cloud: one for all providers, typed by their schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::connections::Connector;
use crate::context::BoxFuture;
use crate::error::Error;
use crate::event::Verb;
use crate::lookup::Lookup;
use crate::plan::names;
use crate::provider::{Connection, Linked};
use crate::resource::{Fields as _, Values};
use crate::schema::Schema;
use crate::testing::crash::Points;
use crate::testing::failure::{Failure, Moment};
use crate::testing::mocked::Mocked;
use crate::urn::Urn;
use crate::value::Value;

/// Something that exists in the mocked cloud.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) type_name: &'static str,
    pub(super) urn: Urn,
    pub(super) token: String,
    pub(super) values: Values,
    /// How many looks go by before it is seen.
    pub(super) hidden: u32,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudCall {
    /// What was called.
    pub verb: Verb,
    /// For which resource.
    pub urn: Urn,
    /// The id, where there is one already.
    pub id: Option<String>,
    /// Of a delete: the resources whose things still named it.
    pub used_by: Vec<Urn>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) things: BTreeMap<String, Thing>,
    pub(super) calls: Vec<CloudCall>,
    failures: Vec<Failure>,
    returns: Vec<(String, &'static str, Value)>,
    pub(super) made: u64,
    /// What has ever been made.
    pub(super) born: BTreeSet<Urn>,
    pub(super) identity: Option<String>,
    pub(super) refuses_while_used: bool,
    pub(super) says_ids: bool,
    pub(super) lag: u32,
    pub(super) looks: Looks,
    pub(super) pause: Duration,
    pub(super) running: usize,
    pub(super) peak: usize,
    pub(super) absent: BTreeSet<String>,
    pub(super) answers: BTreeMap<&'static str, Rule>,
}

/// How a question is answered.
pub(super) type Rule = Arc<dyn Fn(&[Value]) -> Result<Values, Error> + Send + Sync>;

/// How often the cloud was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looks {
    /// Reads of one thing.
    pub single: usize,
    /// Reads of many things at once.
    pub batches: usize,
    /// Things read by those.
    pub in_batches: usize,
    /// Searches for what an interrupted create made.
    pub searches: usize,
    /// Questions that were answered.
    pub questions: usize,
}

/// A mocked cloud. Clones share it.
#[derive(Clone, Default)]
pub struct Cloud {
    inner: Arc<Mutex<Inner>>,
    pub(super) points: Points,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").field("things", &self.ids()).finish_non_exhaustive()
    }
}

impl Cloud {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule by which calls fail.
    pub fn fail(&self, failure: Failure) {
        self.lock().failures.push(failure);
    }

    /// Drops every rule by which calls fail.
    pub fn clear_failures(&self) {
        self.lock().failures.clear();
    }

    /// Who and where the cloud says that it is; another one than recorded is refused.
    pub fn set_identity(&self, identity: &str) {
        self.lock().identity = Some(identity.to_owned());
    }

    /// From now on nothing can be deleted while the id of it stands in something else.
    pub fn refuse_while_used(&self) {
        self.lock().refuses_while_used = true;
    }

    /// Whether creates say their ids by [`Context::created`](crate::Context::created) before they reply.
    pub fn say_ids(&self, say: bool) {
        self.lock().says_ids = say;
    }

    /// From now on what is made is seen by no search before the given number of looks has gone by.
    pub fn lag(&self, looks: u32) {
        self.lock().lag = looks;
    }

    /// From now on every create, update and delete takes this long.
    pub fn slow_down(&self, pause: Duration) {
        self.lock().pause = pause;
    }

    /// The most calls that ever ran at once.
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    /// How often it was looked at so far.
    pub fn looks(&self) -> Looks {
        self.lock().looks
    }

    /// Puts something there that no stack made, with the given inputs and made-up outputs.
    pub fn put(&self, schema: &'static Schema, id: &str, fields: &[(&str, Value)]) {
        let urn = Urn::new(schema.type_name, id);
        let mut args = vec![Value::Null; schema.fields.len()];
        for (name, value) in fields {
            if let Some(slot) = schema.index(name).and_then(|index| args.get_mut(index)) {
                *slot = value.clone();
            }
        }
        let values = super::mocked::made_up(schema, &urn, id, &args, 0);
        let thing = Thing { type_name: schema.type_name, urn, token: String::new(), values, hidden: 0 };
        self.lock().things.insert(id.to_owned(), thing);
    }

    /// Something that a program reads by [`Stack::existing`](crate::Stack::existing) is not there. What nobody has put
    /// there is made up otherwise.
    pub fn lack(&self, id: &str) {
        self.lock().absent.insert(id.to_owned());
    }

    /// Answers every question of a type by this rule. Without one, answers are made up from the types of its outputs.
    pub fn answer<L: Lookup>(&self, rule: impl Fn(&L::Args) -> Result<L::State, Error> + Send + Sync + 'static) {
        let rule = move |args: &[Value]| {
            let args = L::Args::from_values(args).map_err(|error| Error::invalid(format!("field {error}")))?;
            Ok(rule(&args)?.to_values())
        };
        self.lock().answers.insert(L::SCHEMA.type_name, Arc::new(rule));
    }

    /// A field of something that is there.
    pub fn value(&self, target: &str, schema: &'static Schema, field: &str) -> Option<Value> {
        let index = schema.index(field)?;
        let inner = self.lock();
        let (_, thing) = inner.things.iter().find(|(id, thing)| *id == target || names(target, &thing.urn))?;
        thing.values.get(index).cloned()
    }

    /// Ids of everything there is.
    pub fn ids(&self) -> Vec<String> {
        self.lock().things.keys().cloned().collect()
    }

    /// What there is, as resources of programs, sorted; a resource stands in it once for each thing made for it.
    pub fn urns(&self) -> Vec<Urn> {
        let mut urns: Vec<Urn> = self.lock().things.values().map(|thing| thing.urn.clone()).collect();
        urns.sort();
        urns
    }

    /// Creates, updates and deletes, in the order in which they had their effect.
    pub fn calls(&self) -> Vec<CloudCall> {
        self.lock().calls.clone()
    }

    /// Forgets the calls made so far.
    pub fn clear_calls(&self) {
        self.lock().calls.clear();
    }

    /// Deletes something behind the stack's back; whether it was there.
    pub fn remove(&self, target: &str) -> bool {
        let mut inner = self.lock();
        let before = inner.things.len();
        inner.things.retain(|id, thing| id != target && !names(target, &thing.urn));
        inner.things.len() < before
    }

    /// Changes a field of something behind the stack's back; whether it was there.
    pub fn tamper(&self, target: &str, schema: &'static Schema, field: &str, value: Value) -> bool {
        let mut inner = self.lock();
        let Some(index) = schema.index(field) else { return false };
        let mut found = false;
        for thing in inner.things.values_mut().filter(|thing| names(target, &thing.urn)) {
            if let Some(slot) = thing.values.get_mut(index) {
                *slot = value.clone();
                found = true;
            }
        }
        found
    }

    /// The next create or update of this resource (its name, URN or type) makes something else of a field than it was
    /// given, and says so.
    pub fn returns(&self, target: &str, field: &'static str, value: Value) {
        self.lock().returns.push((target.to_owned(), field, value));
    }

    /// Fails where a rule says so.
    pub(super) async fn trip(&self, verb: Verb, urn: &Urn, moment: Moment) -> Result<(), Error> {
        if moment == Moment::Before {
            let pause = {
                let mut inner = self.lock();
                inner.running += 1;
                inner.peak = inner.peak.max(inner.running);
                inner.pause
            };
            let _running = Running(self);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        let rule =
            self.lock().failures.iter_mut().find_map(|rule| rule.applies(verb, urn, moment).then(|| rule.clone()));
        match rule {
            Some(rule) => Err(rule.strike().await),
            None => Ok(()),
        }
    }

    /// Whether a rule waits for a create of this resource that says its id.
    pub(super) fn must_say_id(&self, urn: &Urn) -> bool {
        let inner = self.lock();
        inner.says_ids || inner.failures.iter().any(|rule| rule.clone().applies(Verb::Create, urn, Moment::Said))
    }

    pub(super) fn called(&self, verb: Verb, urn: &Urn, id: &str, used_by: Vec<Urn>) {
        self.lock().calls.push(CloudCall { verb, urn: urn.clone(), id: Some(id.to_owned()), used_by });
    }
}

/// A call that has not come to its effect yet.
struct Running<'a>(&'a Cloud);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl Inner {
    /// What becomes of values that a create or update was given.
    pub(super) fn answered(&mut self, schema: &Schema, urn: &Urn, values: &mut [Value]) {
        self.returns.retain(|(target, field, value)| {
            let slot = schema.index(field).and_then(|index| values.get_mut(index)).filter(|_| names(target, urn));
            slot.map(|slot| *slot = value.clone()).is_none()
        });
    }

    /// Who names a thing in any of its inputs.
    pub(super) fn users(&self, id: &str) -> Vec<Urn> {
        let names_it = |thing: &Thing| {
            let mut found = false;
            thing.values.iter().for_each(|value| value.texts(&mut |text| found |= text == id));
            found
        };
        let others = self.things.iter().filter(|(other, thing)| *other != id && names_it(thing));
        others.map(|(_, thing)| thing.urn.clone()).collect()
    }
}

impl Connector for Cloud {
    fn connect<'a>(&'a self, linked: &'a Linked, _: &'a Value) -> BoxFuture<'a, Result<Arc<dyn Connection>, Error>> {
        let schemas = linked.types().into_iter().map(|linked| linked.schema).collect();
        let connection = Mocked::new(self.clone(), schemas);
        Box::pin(std::future::ready(Ok(Arc::new(connection) as Arc<dyn Connection>)))
    }
}
