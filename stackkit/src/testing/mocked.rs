//! A connection to the mocked cloud: what a provider would do, for any type, by its schema.

use tokio::time::Instant;

use crate::context::{BoxFuture, Context};
use crate::error::{Error, ErrorKind};
use crate::event::Verb;
use crate::lookup::Query;
use crate::property::Sampler;
use crate::provider::Connection;
use crate::resource::{FoundValues, IntentValues, Values};
use crate::schema::{Role, Schema};
use crate::testing::cloud::Cloud;
use crate::testing::failure::Moment;
use crate::testing::world::{Request, What};
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

    /// Waits until what was done can be seen, as a provider does before it says that it is done.
    async fn seen(&self, at: Instant) {
        if at > Instant::now() {
            tokio::time::sleep_until(at).await;
        }
    }

    /// A look takes time, and is throttled now and then.
    async fn look(&self) -> Result<(), Error> {
        let latency = {
            let mut inner = self.cloud.lock();
            let longest = inner.weather.latency / 4;
            inner.dice.within(longest, longest)
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.cloud.throttle()
    }

    fn schema(&self, ty: usize) -> Result<&'static Schema, Error> {
        self.schemas.get(ty).copied().ok_or_else(|| Error::invalid("no such type"))
    }
}

/// The path of a resource as part of an id or name.
pub(super) fn flat(urn: &Urn) -> String {
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

fn lost() -> Error {
    Error::new(ErrorKind::UnknownOutcome, "the connection broke before the reply came")
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
            let (cloud, urn) = (&self.cloud, cx.urn());
            cloud.life.pass(|| format!("before the create of {urn}")).await;
            cloud.trip(Verb::Create, urn, Moment::Before).await?;
            cloud.throttle()?;
            let what = What::Create { token: cx.token().to_owned(), args: args.to_vec() };
            let request = Request { schema: self.schema(ty)?, urn: urn.clone(), what };
            let ticket = cloud.send(request, || format!("while the create of {urn} was on its way")).await;
            if cloud.unlucky(|weather| weather.lost_replies / 2) {
                cloud.lose(ticket);
                return Err(lost());
            }
            let (id, values, seen) = cloud.land(ticket)?;
            if cloud.unlucky(|weather| weather.lost_replies.div_ceil(2)) {
                return Err(lost());
            }
            let breaks = cloud.unlucky(|weather| weather.partial_creates);
            if breaks || cloud.must_say_id(urn) {
                cloud.life.pass(|| format!("before the create of {urn} said its id")).await;
                cx.created(&id).await?;
                cloud.life.pass(|| format!("after the create of {urn} said its id")).await;
                cloud.trip(Verb::Create, urn, Moment::Said).await?;
                if breaks {
                    return Err(Error::invalid("it broke after it was made"));
                }
            }
            self.seen(seen).await;
            cloud.life.pass(|| format!("between the create of {urn} and its reply")).await;
            cloud.trip(Verb::Create, urn, Moment::After).await?;
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
        Box::pin(async move {
            self.look().await?;
            let mut inner = self.cloud.lock();
            inner.looks.single += 1;
            Ok(inner.shown(id).cloned())
        })
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
        Box::pin(async move {
            if self.look().await.is_err() {
                let throttled = || Err(Error::new(ErrorKind::Throttled, "too many requests"));
                return items.iter().map(|_| throttled()).collect();
            }
            let mut inner = self.cloud.lock();
            inner.looks.batches += 1;
            inner.looks.in_batches += items.len();
            items.iter().map(|(id, _)| Ok(inner.shown(id).cloned())).collect()
        })
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
            let (cloud, urn, schema) = (&self.cloud, cx.urn(), self.schema(ty)?);
            decodes(schema, prior)?;
            cloud.life.pass(|| format!("before the update of {urn}")).await;
            cloud.trip(Verb::Update, urn, Moment::Before).await?;
            cloud.throttle()?;
            let what = What::Update { id: id.to_owned(), prior: prior.to_vec(), args: args.to_vec() };
            let request = Request { schema, urn: urn.clone(), what };
            let ticket = cloud.send(request, || format!("while the update of {urn} was on its way")).await;
            let (_, values, seen) = cloud.land(ticket)?;
            if cloud.unlucky(|weather| weather.lost_replies) {
                return Err(lost());
            }
            self.seen(seen).await;
            cloud.life.pass(|| format!("between the update of {urn} and its reply")).await;
            cloud.trip(Verb::Update, urn, Moment::After).await?;
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
            let (cloud, urn, schema) = (&self.cloud, cx.urn(), self.schema(ty)?);
            decodes(schema, prior)?;
            cloud.life.pass(|| format!("before the delete of {urn}")).await;
            cloud.trip(Verb::Delete, urn, Moment::Before).await?;
            cloud.throttle()?;
            let request = Request { schema, urn: urn.clone(), what: What::Delete { id: id.to_owned() } };
            let ticket = cloud.send(request, || format!("while the delete of {urn} was on its way")).await;
            cloud.land(ticket)?;
            if cloud.unlucky(|weather| weather.lost_replies) {
                return Err(lost());
            }
            cloud.life.pass(|| format!("between the delete of {urn} and its reply")).await;
            cloud.trip(Verb::Delete, urn, Moment::After).await
        })
    }

    fn find<'a>(
        &'a self,
        ty: usize,
        _: &'a Context,
        intent: &'a IntentValues,
    ) -> BoxFuture<'a, Result<FoundValues, Error>> {
        Box::pin(async move {
            let schema = self.schema(ty)?;
            self.look().await?;
            let mut inner = self.cloud.lock();
            inner.looks.searches += 1;
            if schema.at_least_once && inner.weather.forgetful {
                return Ok(FoundValues::CannotTell);
            }
            let now = Instant::now();
            let mut ours = inner.things.iter().filter(|(_, thing)| {
                thing.token == intent.token && thing.type_name == schema.type_name && !thing.stranger
            });
            Ok(match ours.find_map(|(id, thing)| Some((id, thing.shown(now)?))) {
                Some((id, values)) => FoundValues::Ours(id.clone(), values.clone()),
                None => FoundValues::Nothing,
            })
        })
    }

    fn is_name_free<'a>(
        &'a self,
        ty: usize,
        _: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<bool>, Error>> {
        let free =
            self.schema(ty).map(|schema| schema.name_field().map(|_| !self.cloud.lock().name_taken(schema, args)));
        Box::pin(std::future::ready(free))
    }
}
