//! A connection to the mocked cloud: what a provider would do, for any type, by its schema.

use crate::context::{BoxFuture, Context};
use crate::error::{Error, ErrorKind};
use crate::event::Verb;
use crate::lookup::Query;
use crate::property::Sampler;
use crate::provider::Connection;
use crate::resource::{FoundValues, IntentValues, Values};
use crate::schema::{Role, Schema};
use crate::testing::cloud::{Cloud, Inner, Thing};
use crate::testing::failure::Moment;
use crate::urn::Urn;
use crate::value::Value;

pub(super) struct Mocked {
    cloud: Cloud,
    schemas: Vec<&'static Schema>,
}

impl Mocked {
    pub(super) fn new(cloud: Cloud, schemas: Vec<&'static Schema>) -> Self {
        Self { cloud, schemas }
    }

    fn schema(&self, ty: usize) -> Result<&'static Schema, Error> {
        self.schemas.get(ty).copied().ok_or_else(|| Error::invalid("no such type"))
    }
}

/// The path of a resource as part of an id or name.
fn flat(urn: &Urn) -> String {
    urn.path().replace('/', "-")
}

/// The values of a thing: inputs as given, everything else made up, typed and stable.
pub(super) fn made_up(schema: &'static Schema, urn: &Urn, id: &str, args: &[Value], version: u64) -> Values {
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
            let mut seed = format!("{}-{}", flat(urn), field.name.replace('_', "-"));
            if version > 0 {
                seed.push_str(&format!("-{version}"));
            }
            (field.ty.sample)(&Sampler { seed })
        })
        .collect()
}

/// An answer, or something that nobody put there: inputs as asked, everything else made up.
fn imagined(schema: &'static Schema, seed: &str, args: &[Value]) -> Values {
    let given = schema.fields.iter().zip(args.iter().map(Some).chain(std::iter::repeat(None)));
    let fill = given.map(|(field, given)| match given {
        Some(value) if field.role == Role::Input => value.clone(),
        None if field.role == Role::Input && field.default.is_some() => Value::Null,
        _ if field.name == "id" => Value::text(seed),
        _ => (field.ty.sample)(&Sampler { seed: format!("{seed}-{}", field.name.replace('_', "-")) }),
    });
    fill.collect()
}

/// As strict as a typed provider: what does not decode is refused.
fn decodes(schema: &Schema, values: &[Value]) -> Result<(), Error> {
    for (field, value) in schema.fields.iter().zip(values) {
        if value.is_null() && field.default.is_some() {
            continue;
        }
        (field.ty.check)(value).map_err(|error| Error::invalid(format!("field `{}`: {error}", field.name)))?;
    }
    Ok(())
}

/// Names are unique within a type, as in most clouds.
fn name_taken(inner: &Inner, schema: &Schema, args: &[Value]) -> bool {
    let Some(index) = schema.name_field() else { return false };
    let name = args.get(index).filter(|name| !name.is_null());
    name.is_some()
        && inner.things.values().any(|thing| thing.type_name == schema.type_name && thing.values.get(index) == name)
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
            self.cloud.trip(Verb::Create, cx.urn(), Moment::Before).await?;
            let says_id = self.cloud.must_say_id(cx.urn());
            let (id, values) = {
                let mut inner = self.cloud.lock();
                if name_taken(&inner, schema, args) {
                    return Err(Error::new(ErrorKind::Conflict, "something of this name is there already"));
                }
                // No cloud gives an id out twice.
                let short = schema.type_name.rsplit(':').next().unwrap_or("thing").to_lowercase();
                let mut id = format!("{short}-{}", flat(cx.urn()));
                let first = inner.born.insert(cx.urn().clone()) && !inner.things.contains_key(&id);
                inner.made += u64::from(!first);
                let version = if first { 0 } else { inner.made };
                if version > 0 {
                    id.push_str(&format!("-{version}"));
                }
                let mut values = made_up(schema, cx.urn(), &id, args, version);
                inner.answered(schema, cx.urn(), &mut values);
                let thing = Thing {
                    type_name: schema.type_name,
                    urn: cx.urn().clone(),
                    token: cx.token().to_owned(),
                    values: values.clone(),
                    hidden: inner.lag,
                };
                inner.things.insert(id.clone(), thing);
                (id, values)
            };
            self.cloud.called(Verb::Create, cx.urn(), &id, Vec::new());
            if says_id {
                self.cloud.points.pass("before a create says its id").await;
                cx.created(&id).await?;
                self.cloud.points.pass("while a create waits").await;
                self.cloud.trip(Verb::Create, cx.urn(), Moment::Said).await?;
            }
            self.cloud.points.pass("between a create and its reply").await;
            self.cloud.trip(Verb::Create, cx.urn(), Moment::After).await?;
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
        let mut inner = self.cloud.lock();
        inner.looks.single += 1;
        let values = inner.things.get(id).map(|thing| thing.values.clone());
        Box::pin(std::future::ready(Ok(values)))
    }

    fn read_existing<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Values>, Error>> {
        Box::pin(async move {
            let schema = self.schema(ty)?;
            self.cloud.trip(Verb::Read, cx.urn(), Moment::Before).await?;
            let mut inner = self.cloud.lock();
            inner.looks.single += 1;
            if inner.absent.contains(id) {
                return Ok(None);
            }
            let there = inner.things.get(id).map(|thing| thing.values.clone());
            Ok(Some(there.unwrap_or_else(|| imagined(schema, id, &[]))))
        })
    }

    fn look_up<'a>(
        &'a self,
        query: &'a dyn Query,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>> {
        Box::pin(async move {
            let schema = query.schema();
            decodes(schema, &imagined(schema, "", args))?;
            self.cloud.trip(Verb::Read, cx.urn(), Moment::Before).await?;
            let rule = {
                let mut inner = self.cloud.lock();
                inner.looks.questions += 1;
                inner.answers.get(schema.type_name).cloned()
            };
            let short = schema.type_name.rsplit(':').next().unwrap_or("answer").to_lowercase();
            rule.map_or_else(|| Ok(imagined(schema, &short, args)), |rule| rule(args))
        })
    }

    fn read_many<'a>(
        &'a self,
        _: usize,
        _: &'a Context,
        items: &'a [(String, Values)],
    ) -> BoxFuture<'a, Vec<Result<Option<Values>, Error>>> {
        let mut inner = self.cloud.lock();
        inner.looks.batches += 1;
        inner.looks.in_batches += items.len();
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
            decodes(schema, prior)?;
            self.cloud.points.pass("before an update").await;
            self.cloud.trip(Verb::Update, cx.urn(), Moment::Before).await?;
            let values: Values = {
                let mut inner = self.cloud.lock();
                inner.made += 1;
                let version = inner.made;
                let fresh = made_up(schema, cx.urn(), id, args, version);
                let Some(thing) = inner.things.get(id) else {
                    return Err(Error::not_found(format!("there is no `{id}`")));
                };
                let mut values: Values = schema
                    .fields
                    .iter()
                    .enumerate()
                    .map(|(index, field)| match field.role {
                        Role::Output if !field.volatile => prior.get(index).cloned().unwrap_or_default(),
                        Role::Input if field.computed && args.get(index).is_some_and(Value::is_null) => {
                            thing.values.get(index).cloned().unwrap_or_default()
                        }
                        _ => fresh.get(index).cloned().unwrap_or_default(),
                    })
                    .collect();
                inner.answered(schema, cx.urn(), &mut values);
                if let Some(thing) = inner.things.get_mut(id) {
                    thing.values.clone_from(&values);
                    thing.urn = cx.urn().clone();
                }
                values
            };
            self.cloud.called(Verb::Update, cx.urn(), id, Vec::new());
            self.cloud.points.pass("between an update and its reply").await;
            self.cloud.trip(Verb::Update, cx.urn(), Moment::After).await?;
            Ok(values)
        })
    }

    fn delete<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            decodes(self.schema(ty)?, prior)?;
            self.cloud.points.pass("before a delete").await;
            self.cloud.trip(Verb::Delete, cx.urn(), Moment::Before).await?;
            let users = {
                let mut inner = self.cloud.lock();
                let users = inner.users(id);
                if inner.refuses_while_used && !users.is_empty() {
                    let users: Vec<_> = users.iter().map(ToString::to_string).collect();
                    let message = format!("`{id}` is still used by {}", users.join(", "));
                    return Err(Error::new(ErrorKind::Conflict, message));
                }
                if inner.things.remove(id).is_none() {
                    return Err(Error::not_found(format!("there is no `{id}`")));
                }
                users
            };
            self.cloud.called(Verb::Delete, cx.urn(), id, users);
            self.cloud.points.pass("between a delete and its reply").await;
            self.cloud.trip(Verb::Delete, cx.urn(), Moment::After).await
        })
    }

    fn find<'a>(
        &'a self,
        ty: usize,
        _: &'a Context,
        intent: &'a IntentValues,
    ) -> BoxFuture<'a, Result<FoundValues, Error>> {
        let type_name = self.schemas.get(ty).map(|schema| schema.type_name);
        let mut inner = self.cloud.lock();
        inner.looks.searches += 1;
        let ours = inner
            .things
            .iter_mut()
            .find(|(_, thing)| thing.token == intent.token && Some(thing.type_name) == type_name);
        let found = match ours {
            Some((_, thing)) if thing.hidden > 0 => {
                thing.hidden -= 1;
                FoundValues::Nothing
            }
            Some((id, thing)) => FoundValues::Ours(id.clone(), thing.values.clone()),
            None => FoundValues::Nothing,
        };
        Box::pin(std::future::ready(Ok(found)))
    }

    fn is_name_free<'a>(
        &'a self,
        ty: usize,
        _: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<bool>, Error>> {
        let free =
            self.schema(ty).map(|schema| schema.name_field().map(|_| !name_taken(&self.cloud.lock(), schema, args)));
        Box::pin(std::future::ready(free))
    }
}
