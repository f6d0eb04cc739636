//! `Resource` and `Managed`: a typed resource, and the four calls by which a provider manages it.

use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;

use crate::context::{BoxFuture, Context};
use crate::error::{Error, ErrorKind};
use crate::property::{DecodeError, Property};
use crate::provider::Provider;
use crate::schema::Schema;
use crate::value::Value;

/// One value a field of the schema, in its order.
pub type Values = Vec<Value>;

/// A struct of fields that is read from and written to [`Values`]. Implemented by `#[resource]`.
pub trait Fields: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Reads the struct.
    ///
    /// # Errors
    /// When a field has another shape; the path begins with the field's name.
    fn from_values(values: &[Value]) -> Result<Self, DecodeError>;
    /// Writes the struct, one value a field of the schema.
    fn to_values(&self) -> Values;
}

/// A type with `#[resource]`. The struct itself is the draft that programs fill.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a resource", label = "expected a type with `#[resource(…)]`")]
pub trait Resource: Sized + Send + Sync + 'static {
    /// The resolved inputs, which a provider gets.
    type Args: Fields;
    /// Inputs and outputs, which a provider returns and a test asserts.
    type State: Fields + std::ops::Deref<Target = Self::Args>;
    /// One [`crate::Output`] a field, which programs refer to.
    type Outputs: Send + Sync + 'static;
    /// The static description.
    const SCHEMA: &'static Schema;
    /// The values that the draft was filled with.
    fn into_values(self) -> Values;
    /// A draft that is filled with these values, one a field of the schema.
    fn from_draft(values: Values) -> Self;
    /// References to the fields of a declared resource.
    fn outputs(resource: u32) -> Self::Outputs;
}

/// What a create returns: the provider's id of the new thing, and its state.
#[derive(Debug, Clone)]
pub struct Created<R: Resource> {
    /// The id by which the provider finds it again.
    pub id: String,
    /// Inputs and outputs.
    pub state: R::State,
}

impl<R: Resource> Created<R> {
    /// From id and state.
    pub fn new(id: impl Into<String>, state: R::State) -> Self {
        Self { id: id.into(), state }
    }
}

/// What is known of a create whose end nobody saw.
#[derive(Debug, Clone)]
pub struct Intent<R: Resource> {
    /// The inputs of the interrupted create.
    pub args: R::Args,
    /// Its token, also in the tags.
    pub token: String,
    /// Whether a look before the call found the physical name free. `None` where nobody looked.
    pub name_was_free: Option<bool>,
}

/// The answer to a search for what an interrupted create may have made.
#[derive(Debug, Clone)]
pub enum Found<R: Resource> {
    /// It is there and it is ours.
    Ours(Created<R>),
    /// It is not there.
    Nothing,
    /// The type cannot tell.
    CannotTell,
}

/// The result type of a provider's call for `R`.
pub type Outcome<R, T> = Result<T, <<R as Managed>::Provider as Provider>::Error>;

/// How a provider manages a resource type. Write the methods as `async fn`.
///
/// Calls know nothing of plans or state: the engine makes intents durable before and results durable after them, and
/// retries what is worth retrying.
///
/// What create and update return is held against the plan: an input that the plan knew, and that is neither computed nor
/// write-only, comes back equal in the canonical form of its type, or the step fails and the resource is recorded as it
/// is. A cloud that writes a value in its own way is answered for by the type ([`Property::canonical`]), by returning
/// what was given, or by marking the field `computed`.
///
/// Secret inputs that are write-only are not in the state. `prior` has what the program gives where an update leaves one as
/// it is, and a blank where it changes, or where no program is at hand: something of its type that is nobody's secret.
/// So it can be compared with, and is never to be sent.
pub trait Managed: Resource {
    /// The provider that the calls run on.
    type Provider: Provider;

    /// Makes it. Call [`Context::created`] as soon as the id is known, before any waiting.
    fn create(
        provider: &Self::Provider,
        cx: &Context,
        args: &Self::Args,
    ) -> impl Future<Output = Outcome<Self, Created<Self>>> + Send;

    /// Reads it; `None` when it is gone. `prior` is what the state has, if anything (an import has nothing).
    fn read(
        provider: &Self::Provider,
        cx: &Context,
        id: &str,
        prior: Option<&Self::State>,
    ) -> impl Future<Output = Outcome<Self, Option<Self::State>>> + Send;

    /// Changes it in place.
    fn update(
        provider: &Self::Provider,
        cx: &Context,
        id: &str,
        prior: &Self::State,
        args: &Self::Args,
    ) -> impl Future<Output = Outcome<Self, Self::State>> + Send;

    /// Deletes it. Something that is already gone counts as deleted.
    fn delete(
        provider: &Self::Provider,
        cx: &Context,
        id: &str,
        prior: &Self::State,
    ) -> impl Future<Output = Outcome<Self, ()>> + Send;

    /// Looks for what an interrupted create made: by token, by tag, or by a name that was found free before.
    fn find(
        provider: &Self::Provider,
        cx: &Context,
        intent: &Intent<Self>,
    ) -> impl Future<Output = Outcome<Self, Found<Self>>> + Send {
        let _ = (provider, cx, intent);
        std::future::ready(Ok(Found::CannotTell))
    }

    /// Whether the physical name that these inputs ask for is still free, asked before a create is attempted; `None`
    /// where the question has no meaning.
    fn is_name_free(
        provider: &Self::Provider,
        cx: &Context,
        args: &Self::Args,
    ) -> impl Future<Output = Outcome<Self, Option<bool>>> + Send {
        let _ = (provider, cx, args);
        std::future::ready(Ok(None))
    }

    /// Who else says that it is theirs, asked before something is adopted: the lineage of another stack that marked it.
    /// `None` where no other stack did, or the type bears no marks. `state` is what was just read.
    fn claimed_by(
        provider: &Self::Provider,
        cx: &Context,
        id: &str,
        state: &Self::State,
    ) -> impl Future<Output = Outcome<Self, Option<String>>> + Send {
        let _ = (provider, cx, id, state);
        std::future::ready(Ok(None))
    }

    /// Reads many at once, in the order given. The default reads one after the other; override it where the API has
    /// pages or batches.
    fn read_many(
        provider: &Self::Provider,
        cx: &Context,
        items: &[(String, Option<Self::State>)],
    ) -> impl Future<Output = Vec<Outcome<Self, Option<Self::State>>>> + Send {
        async move {
            let mut results = Vec::with_capacity(items.len());
            for (id, prior) in items {
                results.push(Self::read(provider, cx, id, prior.as_ref()).await);
            }
            results
        }
    }

    /// Checks inputs that are known, beyond what their types say. Each problem names its field.
    fn validate(args: &Self::Args) -> Vec<Problem> {
        let _ = args;
        Vec::new()
    }

    /// Brings recorded fields of an older version to the present one, before they are decoded.
    ///
    /// # Errors
    /// When they cannot be brought over; the message says what to do.
    fn upgrade(from: u32, fields: &mut BTreeMap<String, Value>) -> Result<(), String> {
        let _ = (from, fields);
        Ok(())
    }
}

/// Something wrong with a field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// From field and message.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// [`Found`], erased.
#[derive(Debug, Clone)]
pub enum FoundValues {
    /// It is there and it is ours: id and fields.
    Ours(String, Values),
    /// It is not there.
    Nothing,
    /// The type cannot tell.
    CannotTell,
}

/// [`Intent`], erased.
#[derive(Debug, Clone)]
pub struct IntentValues {
    /// The inputs.
    pub args: Values,
    /// The token.
    pub token: String,
    /// What a look before the call found.
    pub name_was_free: Option<bool>,
}

/// [`Managed`] for one type, erased once for the whole engine.
pub trait Ops<P: Provider>: Send + Sync {
    /// The static description.
    fn schema(&self) -> &'static Schema;
    /// Where the type is in Rust.
    fn path(&self) -> &'static str;
    /// See [`Managed::create`].
    fn create<'a>(
        &'a self,
        p: &'a P,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<(String, Values), Error>>;
    /// See [`Managed::read`].
    fn read<'a>(
        &'a self,
        p: &'a P,
        cx: &'a Context,
        id: &'a str,
        prior: Option<&'a [Value]>,
    ) -> BoxFuture<'a, Result<Option<Values>, Error>>;
    /// See [`Managed::claimed_by`].
    fn claimed_by<'a>(
        &'a self,
        p: &'a P,
        cx: &'a Context,
        id: &'a str,
        state: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<String>, Error>>;
    /// See [`Managed::read_many`].
    fn read_many<'a>(
        &'a self,
        p: &'a P,
        cx: &'a Context,
        items: &'a [(String, Values)],
    ) -> BoxFuture<'a, Vec<Result<Option<Values>, Error>>>;
    /// See [`Managed::update`].
    fn update<'a>(
        &'a self,
        p: &'a P,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>>;
    /// See [`Managed::delete`].
    fn delete<'a>(
        &'a self,
        p: &'a P,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
    ) -> BoxFuture<'a, Result<(), Error>>;
    /// See [`Managed::find`].
    fn find<'a>(
        &'a self,
        p: &'a P,
        cx: &'a Context,
        intent: &'a IntentValues,
    ) -> BoxFuture<'a, Result<FoundValues, Error>>;
    /// See [`Managed::is_name_free`].
    fn is_name_free<'a>(
        &'a self,
        p: &'a P,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<bool>, Error>>;
    /// See [`Managed::validate`].
    fn validate(&self, args: &[Value]) -> Vec<Problem>;
    /// See [`Managed::upgrade`].
    ///
    /// # Errors
    /// When the fields cannot be brought over.
    fn upgrade(&self, from: u32, fields: &mut BTreeMap<String, Value>) -> Result<(), String>;
}

/// The [`Ops`] of a managed type.
pub struct Of<R>(pub PhantomData<fn() -> R>);

fn decode<F: Fields>(cx: &Context, values: &[Value]) -> Result<F, Error> {
    F::from_values(values).map_err(|e| Error::new(ErrorKind::Invalid, format!("{}: field {e}", cx.urn())))
}

impl<R: Managed> Ops<R::Provider> for Of<R> {
    fn schema(&self) -> &'static Schema {
        R::SCHEMA
    }
    fn path(&self) -> &'static str {
        std::any::type_name::<R>()
    }
    fn create<'a>(
        &'a self,
        p: &'a R::Provider,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<(String, Values), Error>> {
        Box::pin(async move {
            let args = decode::<R::Args>(cx, args)?;
            let made = R::create(p, cx, &args).await.map_err(Error::erase)?;
            Ok((made.id, made.state.to_values()))
        })
    }
    fn read<'a>(
        &'a self,
        p: &'a R::Provider,
        cx: &'a Context,
        id: &'a str,
        prior: Option<&'a [Value]>,
    ) -> BoxFuture<'a, Result<Option<Values>, Error>> {
        Box::pin(async move {
            // A prior that cannot be decoded (a create that was cut short) is no prior: reading needs the id alone.
            let prior = prior.and_then(|values| R::State::from_values(values).ok());
            let state = R::read(p, cx, id, prior.as_ref()).await.map_err(Error::erase)?;
            Ok(state.map(|state| state.to_values()))
        })
    }
    fn claimed_by<'a>(
        &'a self,
        p: &'a R::Provider,
        cx: &'a Context,
        id: &'a str,
        state: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move {
            let state = decode::<R::State>(cx, state)?;
            R::claimed_by(p, cx, id, &state).await.map_err(Error::erase)
        })
    }
    fn read_many<'a>(
        &'a self,
        p: &'a R::Provider,
        cx: &'a Context,
        items: &'a [(String, Values)],
    ) -> BoxFuture<'a, Vec<Result<Option<Values>, Error>>> {
        Box::pin(async move {
            let items: Vec<_> =
                items.iter().map(|(id, values)| (id.clone(), R::State::from_values(values).ok())).collect();
            let results = R::read_many(p, cx, &items).await;
            results
                .into_iter()
                .map(|result| result.map(|state| state.map(|s| s.to_values())).map_err(Error::erase))
                .collect()
        })
    }
    fn update<'a>(
        &'a self,
        p: &'a R::Provider,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>> {
        Box::pin(async move {
            let prior = decode::<R::State>(cx, prior)?;
            let args = decode::<R::Args>(cx, args)?;
            let state = R::update(p, cx, id, &prior, &args).await.map_err(Error::erase)?;
            Ok(state.to_values())
        })
    }
    fn delete<'a>(
        &'a self,
        p: &'a R::Provider,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let prior = decode::<R::State>(cx, prior)?;
            match R::delete(p, cx, id, &prior).await.map_err(Error::erase) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                other => other,
            }
        })
    }
    fn find<'a>(
        &'a self,
        p: &'a R::Provider,
        cx: &'a Context,
        intent: &'a IntentValues,
    ) -> BoxFuture<'a, Result<FoundValues, Error>> {
        Box::pin(async move {
            let args = decode::<R::Args>(cx, &intent.args)?;
            let intent = Intent { args, token: intent.token.clone(), name_was_free: intent.name_was_free };
            Ok(match R::find(p, cx, &intent).await.map_err(Error::erase)? {
                Found::Ours(made) => FoundValues::Ours(made.id, made.state.to_values()),
                Found::Nothing => FoundValues::Nothing,
                Found::CannotTell => FoundValues::CannotTell,
            })
        })
    }
    fn is_name_free<'a>(
        &'a self,
        p: &'a R::Provider,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<bool>, Error>> {
        Box::pin(async move {
            let args = decode::<R::Args>(cx, args)?;
            R::is_name_free(p, cx, &args).await.map_err(Error::erase)
        })
    }
    fn validate(&self, args: &[Value]) -> Vec<Problem> {
        R::Args::from_values(args).map(|args| R::validate(&args)).unwrap_or_default()
    }
    fn upgrade(&self, from: u32, fields: &mut BTreeMap<String, Value>) -> Result<(), String> {
        R::upgrade(from, fields)
    }
}

/// Reads one field, its default where it is unset; what the generated [`Fields::from_values`] calls.
#[doc(hidden)]
pub fn field<T: Property>(schema: &'static Schema, values: &[Value], index: usize) -> Result<T, DecodeError> {
    let field = schema.fields.get(index);
    let value = values.get(index).unwrap_or(&Value::Null);
    match field.and_then(|field| field.default) {
        Some(default) if value.is_null() => T::from_value(&default()),
        _ => T::from_value(value),
    }
    .map_err(|e| e.inside(field.map_or("?", |field| field.name)))
}
