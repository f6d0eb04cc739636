//! The mocked cloud: one for all providers, typed by their schemas.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connections::Connector;
use crate::context::{BoxFuture, Context};
use crate::error::{Error, ErrorKind};
use crate::event::Verb;
use crate::plan::names;
use crate::property::Sampler;
use crate::provider::{Connection, Linked};
use crate::resource::{FoundValues, IntentValues, Values};
use crate::schema::{Role, Schema};
use crate::testing::crash::Points;
use crate::urn::Urn;
use crate::value::Value;

/// Something that exists in the mocked cloud.
#[derive(Debug, Clone)]
struct Thing {
    type_name: &'static str,
    urn: Urn,
    token: String,
    values: Values,
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
}

/// A rule by which calls fail.
#[derive(Debug, Clone)]
pub struct Failure {
    target: String,
    verb: Verb,
    kind: ErrorKind,
    message: String,
    times: u32,
    after_effect: bool,
}

impl Failure {
    /// Calls of this verb on this resource (its name, URN or type) fail, once.
    pub fn of(verb: Verb, target: &str) -> Self {
        Self {
            target: target.to_owned(),
            verb,
            kind: ErrorKind::Invalid,
            message: "a failure that the test asked for".to_owned(),
            times: 1,
            after_effect: false,
        }
    }

    /// The kind of error; invalid where nothing is said.
    #[must_use]
    pub fn kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The error's text.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        self.message = message.to_owned();
        self
    }

    /// How many calls fail before one succeeds.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// The call has its effect, and only its reply is lost.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.after_effect = true;
        self
    }
}

#[derive(Default)]
struct Inner {
    things: BTreeMap<String, Thing>,
    calls: Vec<CloudCall>,
    failures: Vec<Failure>,
    made: u64,
    identity: Option<String>,
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
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule by which calls fail.
    pub fn fail(&self, failure: Failure) {
        self.lock().failures.push(failure);
    }

    /// Who and where the cloud says that it is; another one than recorded is refused.
    pub fn set_identity(&self, identity: &str) {
        self.lock().identity = Some(identity.to_owned());
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

    fn failure(&self, verb: Verb, urn: &Urn, after_effect: bool) -> Option<Error> {
        let mut inner = self.lock();
        let rule = inner.failures.iter_mut().find(|rule| {
            rule.times > 0
                && rule.verb == verb
                && rule.after_effect == after_effect
                && (names(&rule.target, urn) || rule.target == urn.type_name())
        })?;
        rule.times -= 1;
        Some(Error::new(rule.kind, rule.message.clone()))
    }

    fn called(&self, verb: Verb, urn: &Urn, id: Option<&str>) {
        self.lock().calls.push(CloudCall { verb, urn: urn.clone(), id: id.map(str::to_owned) });
    }
}

impl Connector for Cloud {
    fn connect<'a>(&'a self, linked: &'a Linked, _: &'a Value) -> BoxFuture<'a, Result<Arc<dyn Connection>, Error>> {
        let schemas = linked.types().into_iter().map(|linked| linked.schema).collect();
        let connection = Mocked { cloud: self.clone(), schemas };
        Box::pin(std::future::ready(Ok(Arc::new(connection) as Arc<dyn Connection>)))
    }
}

struct Mocked {
    cloud: Cloud,
    schemas: Vec<&'static Schema>,
}

impl Mocked {
    fn schema(&self, ty: usize) -> Result<&'static Schema, Error> {
        self.schemas.get(ty).copied().ok_or_else(|| Error::invalid("no such type"))
    }
}

fn made_up(schema: &'static Schema, urn: &Urn, id: &str, args: &[Value], version: u64) -> Values {
    schema
        .fields
        .iter()
        .zip(args)
        .map(|(field, given)| {
            if field.role == Role::Input && !(given.is_null() && field.computed) {
                return given.clone();
            }
            if field.name == "id" {
                return Value::text(id);
            }
            let mut seed = format!("{}-{}", urn.name(), field.name.replace('_', "-"));
            if version > 0 {
                seed.push_str(&format!("-{version}"));
            }
            (field.ty.sample)(&Sampler { seed })
        })
        .collect()
}

impl Connection for Mocked {
    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, Error>> {
        let identity = self.cloud.lock().identity.clone();
        Box::pin(std::future::ready(Ok(identity)))
    }

    fn create<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<(String, Values), Error>> {
        Box::pin(async move {
            let schema = self.schema(ty)?;
            self.cloud.points.pass("before a create").await;
            if let Some(error) = self.cloud.failure(Verb::Create, cx.urn(), false) {
                return Err(error);
            }
            let (id, values) = {
                let mut inner = self.cloud.lock();
                let version = u64::from(inner.things.values().any(|thing| thing.urn == *cx.urn()));
                inner.made += u64::from(version > 0);
                let version = if version > 0 { inner.made } else { 0 };
                let short = schema.type_name.rsplit(':').next().unwrap_or("thing").to_lowercase();
                let mut id = format!("{short}-{}", cx.urn().name());
                if version > 0 {
                    id.push_str(&format!("-{version}"));
                }
                let values = made_up(schema, cx.urn(), &id, args, version);
                let thing = Thing {
                    type_name: schema.type_name,
                    urn: cx.urn().clone(),
                    token: cx.token().to_owned(),
                    values: values.clone(),
                };
                inner.things.insert(id.clone(), thing);
                (id, values)
            };
            self.cloud.called(Verb::Create, cx.urn(), Some(&id));
            self.cloud.points.pass("between a create and its reply").await;
            if let Some(error) = self.cloud.failure(Verb::Create, cx.urn(), true) {
                return Err(error);
            }
            Ok((id, values))
        })
    }

    fn read<'a>(
        &'a self,
        _: usize,
        _: &'a Context,
        id: &'a str,
        _: Option<&'a [Value]>,
    ) -> BoxFuture<'a, Result<Option<Values>, Error>> {
        let values = self.cloud.lock().things.get(id).map(|thing| thing.values.clone());
        Box::pin(std::future::ready(Ok(values)))
    }

    fn read_many<'a>(
        &'a self,
        _: usize,
        _: &'a Context,
        items: &'a [(String, Values)],
    ) -> BoxFuture<'a, Vec<Result<Option<Values>, Error>>> {
        let inner = self.cloud.lock();
        let all = items.iter().map(|(id, _)| Ok(inner.things.get(id).map(|thing| thing.values.clone()))).collect();
        Box::pin(std::future::ready(all))
    }

    fn update<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>> {
        Box::pin(async move {
            let schema = self.schema(ty)?;
            self.cloud.points.pass("before an update").await;
            if let Some(error) = self.cloud.failure(Verb::Update, cx.urn(), false) {
                return Err(error);
            }
            let values: Values = {
                let mut inner = self.cloud.lock();
                inner.made += 1;
                let version = inner.made;
                let fresh = made_up(schema, cx.urn(), id, args, version);
                let Some(thing) = inner.things.get_mut(id) else {
                    return Err(Error::not_found(format!("there is no `{id}`")));
                };
                let values: Values = schema
                    .fields
                    .iter()
                    .enumerate()
                    .map(|(index, field)| match field.role {
                        Role::Output if !field.volatile => prior.get(index).cloned().unwrap_or_default(),
                        _ => fresh.get(index).cloned().unwrap_or_default(),
                    })
                    .collect();
                thing.values.clone_from(&values);
                values
            };
            self.cloud.called(Verb::Update, cx.urn(), Some(id));
            self.cloud.points.pass("between an update and its reply").await;
            if let Some(error) = self.cloud.failure(Verb::Update, cx.urn(), true) {
                return Err(error);
            }
            Ok(values)
        })
    }

    fn delete<'a>(
        &'a self,
        _: usize,
        cx: &'a Context,
        id: &'a str,
        _: &'a [Value],
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.cloud.points.pass("before a delete").await;
            if let Some(error) = self.cloud.failure(Verb::Delete, cx.urn(), false) {
                return Err(error);
            }
            self.cloud.lock().things.remove(id);
            self.cloud.called(Verb::Delete, cx.urn(), Some(id));
            self.cloud.points.pass("between a delete and its reply").await;
            if let Some(error) = self.cloud.failure(Verb::Delete, cx.urn(), true) {
                return Err(error);
            }
            Ok(())
        })
    }

    fn find<'a>(
        &'a self,
        ty: usize,
        _: &'a Context,
        intent: &'a IntentValues,
    ) -> BoxFuture<'a, Result<FoundValues, Error>> {
        let type_name = self.schemas.get(ty).map(|schema| schema.type_name);
        let inner = self.cloud.lock();
        let found = inner
            .things
            .iter()
            .find(|(_, thing)| thing.token == intent.token && Some(thing.type_name) == type_name)
            .map_or(FoundValues::Nothing, |(id, thing)| FoundValues::Ours(id.clone(), thing.values.clone()));
        Box::pin(std::future::ready(Ok(found)))
    }

    fn is_name_free<'a>(
        &'a self,
        _: usize,
        _: &'a Context,
        _: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<bool>, Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
