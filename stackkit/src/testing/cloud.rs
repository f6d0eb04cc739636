//! The mocked cloud: one for all providers, typed by their schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::connections::Connector;
use crate::context::BoxFuture;
use crate::error::{Error, ErrorKind};
use crate::event::Verb;
use crate::lookup::Lookup;
use crate::plan::names;
use crate::provider::{Connection, Linked};
use crate::resource::{Fields as _, Values};
use crate::schema::Schema;
use crate::testing::failure::{Failure, Moment};
use crate::testing::life::Life;
use crate::testing::mocked::Mocked;
use crate::testing::weather::{Dice, Weather};
use crate::testing::world::{Request, Thing};
use crate::urn::Urn;
use crate::value::Value;

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
    /// Whether it had its effect after the process that asked for it was dead.
    pub late: bool,
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
    pub(super) looks: Looks,
    pub(super) weather: Weather,
    pub(super) dice: Dice,
    /// Requests that are on their way, and those of dead processes with the time at which they land.
    pub(super) flying: BTreeMap<u64, Request>,
    pub(super) due: Vec<(Instant, Request)>,
    sent: u64,
    /// What is deleted and still seen, until when.
    pub(super) ghosts: Vec<(Instant, String, Thing)>,
    /// What every id and address that was ever given out belongs to.
    pub(super) given: BTreeMap<String, BTreeSet<String>>,
    /// References that led nowhere when they were asked for.
    pub(super) dangling: Vec<String>,
    takes: BTreeMap<String, Duration>,
    spans: Vec<(Urn, Instant, Option<Instant>)>,
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
    /// Of the process that this handle belongs to.
    pub(super) life: Life,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").field("things", &self.ids()).finish_non_exhaustive()
    }
}

impl Cloud {
    /// The cloud as it is now: whatever was due by now has landed.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.catch_up();
        inner
    }

    /// The same cloud as seen by one process.
    pub(super) fn for_process(&self, life: Life) -> Self {
        Self { inner: Arc::clone(&self.inner), life }
    }

    /// Changes the weather from now on. See [`Weather`] for the clock that it needs.
    pub fn set_weather(&self, weather: Weather) {
        let mut inner = self.lock();
        inner.dice = Dice::seeded(weather.seed);
        inner.weather = weather;
    }

    /// References to what was not there when a create or update asked for it, in weather that is strict.
    pub fn dangling(&self) -> Vec<String> {
        self.lock().dangling.clone()
    }

    /// From now on creates, updates and deletes of the resource of this name take so long.
    pub fn takes(&self, name: &str, pause: Duration) {
        self.lock().takes.insert(name.to_owned(), pause);
    }

    /// Things that are a stranger's: id and fields.
    pub fn strangers(&self) -> Vec<(String, Vec<Value>)> {
        let inner = self.lock();
        let strangers = inner.things.iter().filter(|(_, thing)| thing.stranger);
        strangers.map(|(id, thing)| (id.clone(), thing.values.clone())).collect()
    }

    /// What was on its way when its process died lands later, or never.
    pub(super) fn outlive(&self) {
        let mut inner = self.lock();
        let (late, now) = (inner.weather.late_effects, Instant::now());
        for request in std::mem::take(&mut inner.flying).into_values() {
            if !late.is_zero() && inner.dice.percent(60) {
                let after = inner.dice.within(late, request.schema.settle);
                inner.due.push((now + after, request));
            }
        }
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

    /// From now on every create, update and delete takes this long.
    pub fn slow_down(&self, pause: Duration) {
        self.lock().pause = pause;
    }

    /// The most calls that ever ran at once.
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    /// When creates, updates and deletes ran, counted from the first one: from the call to its effect.
    pub fn spans(&self) -> Vec<(Urn, Duration, Duration)> {
        let inner = self.lock();
        let Some(first) = inner.spans.first().map(|(_, began, _)| *began) else { return Vec::new() };
        let ended = inner.spans.iter().filter_map(|(urn, began, ended)| Some((urn.clone(), *began, (*ended)?)));
        ended.map(|(urn, began, ended)| (urn, began - first, ended - first)).collect()
    }

    /// How often it was looked at so far.
    pub fn looks(&self) -> Looks {
        self.lock().looks
    }

    /// Puts something there that no stack made and one may import, with the given inputs and made-up outputs.
    pub fn put(&self, schema: &'static Schema, id: &str, fields: &[(&str, Value)]) {
        self.place(schema, id, fields, false);
    }

    /// Puts something there that is a stranger's, and that no stack may touch. It is listed apart: see
    /// [`Cloud::strangers`].
    pub fn put_stranger(&self, schema: &'static Schema, id: &str, fields: &[(&str, Value)]) {
        self.place(schema, id, fields, true);
    }

    fn place(&self, schema: &'static Schema, id: &str, fields: &[(&str, Value)], stranger: bool) {
        let urn = Urn::new(schema.type_name, id);
        let mut args = vec![Value::Null; schema.fields.len()];
        for (name, value) in fields {
            if let Some(slot) = schema.index(name).and_then(|index| args.get_mut(index)) {
                *slot = value.clone();
            }
        }
        let values = super::mocked::made_up(schema, &urn, id, &args, 0);
        self.lock().things.insert(id.to_owned(), Thing::found(schema, urn, values, stranger));
    }

    /// Something that a program reads by [`Scope::existing`](crate::Scope::existing) is not there. What nobody has put
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

    /// Ids of everything there is that is not a stranger's.
    pub fn ids(&self) -> Vec<String> {
        self.lock().things.iter().filter(|(_, thing)| !thing.stranger).map(|(id, _)| id.clone()).collect()
    }

    /// Ids of what there is for a resource, by name, path or URN.
    pub fn ids_of(&self, target: &str) -> Vec<String> {
        let inner = self.lock();
        let of = inner.things.iter().filter(|(_, thing)| !thing.stranger && names(target, &thing.urn));
        of.map(|(id, _)| id.clone()).collect()
    }

    /// What there is, as resources of programs, sorted; a resource stands in it once for each thing made for it.
    pub fn urns(&self) -> Vec<Urn> {
        let inner = self.lock();
        let ours = inner.things.values().filter(|thing| !thing.stranger);
        let mut urns: Vec<Urn> = ours.map(|thing| thing.urn.clone()).collect();
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
        let gone: Vec<String> = inner
            .things
            .iter()
            .filter(|(id, thing)| *id == target || !thing.stranger && names(target, &thing.urn))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &gone {
            inner.things.remove(id);
            // Whoever still refers to it cannot know.
            inner.given.retain(|_, of| {
                of.remove(id);
                !of.is_empty()
            });
        }
        !gone.is_empty()
    }

    /// Changes a field of something behind the stack's back; whether it was there.
    pub fn tamper(&self, target: &str, schema: &'static Schema, field: &str, value: Value) -> bool {
        let mut inner = self.lock();
        let Some(index) = schema.index(field) else { return false };
        let mut found = false;
        for thing in inner.things.values_mut().filter(|thing| !thing.stranger && names(target, &thing.urn)) {
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
            let (pause, span) = {
                let mut inner = self.lock();
                inner.spans.push((urn.clone(), Instant::now(), None));
                let span = inner.spans.len() - 1;
                inner.running += 1;
                inner.peak = inner.peak.max(inner.running);
                (inner.takes.get(urn.name()).copied().unwrap_or(inner.pause), span)
            };
            let _running = Running(self, span);
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

    /// Sends a request: it has its effect when it [lands](Self::land), or later, should the process be dead by then.
    pub(super) async fn send(&self, request: Request, place: impl Fn() -> String) -> u64 {
        let (ticket, latency) = {
            let mut inner = self.lock();
            inner.sent += 1;
            let (ticket, longest) = (inner.sent, inner.weather.latency);
            inner.flying.insert(ticket, request);
            (ticket, inner.dice.within(longest, longest))
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.life.pass(place).await;
        ticket
    }

    /// A request has its effect: the thing that it was about, and when that is seen.
    pub(super) fn land(&self, ticket: u64) -> Result<(String, Values, Instant), Error> {
        let mut inner = self.lock();
        match inner.flying.remove(&ticket) {
            Some(request) => inner.effect(&request, Instant::now(), false),
            None => Err(Error::invalid("nothing was asked for")),
        }
    }

    /// A request loses its way: it lands later, or never.
    pub(super) fn lose(&self, ticket: u64) {
        let mut inner = self.lock();
        if let Some(request) = inner.flying.remove(&ticket) {
            let late = inner.weather.late_effects;
            if !late.is_zero() && inner.dice.percent(50) {
                let after = inner.dice.within(late, request.schema.settle);
                inner.due.push((Instant::now() + after, request));
            }
        }
    }

    /// Throws the dice for something that goes wrong.
    pub(super) fn unlucky(&self, chance: impl FnOnce(&Weather) -> u8) -> bool {
        let mut inner = self.lock();
        let chance = chance(&inner.weather);
        inner.dice.percent(chance)
    }

    /// Refuses now and then because of too many requests.
    pub(super) fn throttle(&self) -> Result<(), Error> {
        let throttled = self.unlucky(|weather| weather.throttled);
        if throttled { Err(Error::new(ErrorKind::Throttled, "too many requests")) } else { Ok(()) }
    }
}

/// A call that has not come to its effect yet.
struct Running<'a>(&'a Cloud, usize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.running -= 1;
        if let Some((.., ended)) = inner.spans.get_mut(self.1) {
            *ended = Some(Instant::now());
        }
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
}

impl Connector for Cloud {
    fn connect<'a>(&'a self, linked: &'a Linked, _: &'a Value) -> BoxFuture<'a, Result<Arc<dyn Connection>, Error>> {
        let schemas = linked.types().into_iter().map(|linked| linked.schema).collect();
        let connection = Mocked::new(self.clone(), schemas);
        Box::pin(std::future::ready(Ok(Arc::new(connection) as Arc<dyn Connection>)))
    }
}
