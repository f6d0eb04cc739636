//! `Lookup`: a question that a provider answers, typed, and its erased form that the engine asks.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;

use crate::context::{BoxFuture, Context};
use crate::error::{Error, ErrorKind};
use crate::provider::Provider;
use crate::resource::{Fields as _, Resource, Values};
use crate::schema::Schema;
use crate::secret::Secret;
use crate::value::Value;

/// What a look-up of `L` comes to.
pub type Answer<L> = Result<<L as Resource>::State, <<L as Lookup>::Provider as Provider>::Error>;

/// How a provider answers a question: the newest image of a filter, the zones of a region. The struct has
/// [`#[lookup]`](macro@crate::lookup); nothing of it is recorded.
///
/// ```
/// use stackkit::prelude::*;
/// use stackkit::lookup::{Answer, Lookup};
/// use stackkit::{Context, Error, lookup};
/// # use stackkit::provider::{NoSettings, Provider};
/// # pub struct Acme;
/// # impl Provider for Acme {
/// #     const NAME: &'static str = "acme";
/// #     const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![];
/// #     type Settings = NoSettings;
/// #     type Error = Error;
/// #     async fn connect(_: NoSettings) -> Result<Self, Error> { Ok(Acme) }
/// # }
///
/// /// The zones that an account may use.
/// #[lookup("acme:dns:Zones")]
/// pub struct Zones {
///     /// Those whose names end like this.
///     pub suffix: Option<String>,
///     /// Their names, sorted.
///     #[lookup(output)]
///     pub names: Vec<String>,
/// }
///
/// impl Lookup for Zones {
///     type Provider = Acme;
///     async fn look_up(_: &Acme, _: &Context, args: &ZonesArgs) -> Answer<Self> {
///         let suffix = args.suffix.clone().unwrap_or_default();
///         let names = ["a.example", "b.test"].into_iter().filter(|name| name.ends_with(&suffix));
///         Ok(ZonesState { args: args.clone(), names: names.map(str::to_owned).collect() })
///     }
/// }
///
/// #[stackkit::program(providers(Acme))]
/// async fn site(stack: &mut Stack) -> Result<()> {
///     // Plain values, to decide what there is to be declared …
///     let zones = stack.lookup(Zones::new().suffix("example")).await?;
///     assert_eq!(zones.names.len(), 1);
///     // … or outputs, which may depend on other resources.
///     let all = stack.data("all", Zones::new());
///     stack.output("zones", &all.names);
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a look-up",
    label = "expected a type with `#[lookup(…)]` and `impl Lookup`"
)]
pub trait Lookup: Resource {
    /// The provider that answers.
    type Provider: Provider;

    /// Answers. Write it as `async fn`. What must be there and is not is an error of the kind
    /// [`NotFound`](ErrorKind::NotFound) whose message says what was looked for.
    fn look_up(provider: &Self::Provider, cx: &Context, args: &Self::Args)
    -> impl Future<Output = Answer<Self>> + Send;
}

/// A secret as it is, or the part of it that `field` names where it holds JSON: a key of it, or a pointer such as
/// `/db/password` (RFC 6901). Text is given as it is, everything else as JSON.
///
/// # Errors
/// What is wrong with it, to stand after the name of the source. Nothing of the secret is in it but names of its keys.
pub fn secret_of(text: Secret<String>, field: Option<&str>) -> Result<Secret<String>, String> {
    use serde_json::Value as Json;
    let Some(field) = field else { return Ok(text) };
    // The reader's own message may quote the text.
    let json: Json =
        serde_json::from_str(text.reveal()).map_err(|_| format!("is no JSON, so it has no field `{field}`"))?;
    let found = if field.starts_with('/') { json.pointer(field) } else { json.get(field) };
    match found {
        Some(Json::String(text)) => Ok(Secret::new(text.clone())),
        Some(Json::Null) => Err(format!("has nothing in its field `{field}`")),
        Some(other) => Ok(Secret::new(other.to_string())),
        None => {
            let keys = json.as_object().map(|object| object.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>());
            let has = keys.filter(|keys| !keys.is_empty()).map(|keys| format!("; it has {}", keys.join(", ")));
            Err(format!("has no field `{field}`{}", has.unwrap_or_default()))
        }
    }
}

/// [`Lookup`] of one type, erased.
pub trait Query: Send + Sync {
    /// The static description.
    fn schema(&self) -> &'static Schema;
    /// Asks a provider, which must be the look-up's own.
    fn ask<'a>(
        &'a self,
        provider: &'a (dyn Any + Send + Sync),
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>>;
}

/// The [`Query`] of a look-up.
pub(crate) struct Asks<L>(pub(crate) PhantomData<fn() -> L>);

impl<L: Lookup> Query for Asks<L> {
    fn schema(&self) -> &'static Schema {
        L::SCHEMA
    }
    fn ask<'a>(
        &'a self,
        provider: &'a (dyn Any + Send + Sync),
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>> {
        Box::pin(async move {
            let name = L::Provider::NAME;
            let provider = provider.downcast_ref::<L::Provider>().ok_or_else(|| {
                Error::invalid(format!("`{}` is answered by the provider `{name}` alone", L::SCHEMA.type_name))
            })?;
            let args =
                L::Args::from_values(args).map_err(|error| Error::new(ErrorKind::Invalid, format!("field {error}")))?;
            Ok(L::look_up(provider, cx, &args).await.map_err(Error::erase)?.to_values())
        })
    }
}
