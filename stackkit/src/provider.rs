//! `Provider`: a connection to something that resources live in, and its erased form that the engine drives.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use crate::context::{BoxFuture, Context};
use crate::error::{Error, ErrorKind, ProviderError};
use crate::foreign::{Becomes, ForeignResource};
use crate::lookup::Query;
use crate::property::{Property, TypeInfo};
use crate::resource::{FoundValues, IntentValues, Ops, Problem, Values};
use crate::schema::Schema;
use crate::value::Value;

/// A provider: connected, it runs the calls of its types.
///
/// ```
/// use stackkit::provider::{Provider, NoSettings};
/// use stackkit::{types, Error};
///
/// pub struct Acme { base: String }
///
/// impl Provider for Acme {
///     const NAME: &'static str = "acme";
///     const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = types![];
///     type Settings = NoSettings;
///     type Error = Error;
///
///     async fn connect(_: NoSettings) -> Result<Self, Error> {
///         Ok(Acme { base: "http://127.0.0.1:8080".into() })
///     }
/// }
/// ```
pub trait Provider: Send + Sync + Sized + 'static {
    /// The first part of the names of its types.
    const NAME: &'static str;
    /// All its types, listed with [`crate::types!`]: also those that a program no longer mentions must be deletable.
    const TYPES: &'static [&'static dyn Ops<Self>];
    /// Typed settings, a struct with `#[derive(Properties)]`, or [`NoSettings`].
    ///
    /// A setting called `default_tags`, a map of texts, is for the engine: it stands under the tags of each resource that
    /// has a field `tags`, and the resource's own win over it. So plans, policies and mocks see them, and calls get them.
    type Settings: Property + Default;
    /// Its error type; [`Error`] will do.
    type Error: ProviderError;

    /// Connects with resolved settings. Nothing is read yet; a missing credential may be found here.
    fn connect(settings: Self::Settings) -> impl Future<Output = Result<Self, Self::Error>> + Send;

    /// Who and where this is: an account and region, a cluster's uid. Recorded, and compared before anything is read,
    /// so that wrong credentials never look like everything having vanished. `None` where there is only one.
    fn identity(&self) -> impl Future<Output = Result<Option<String>, Self::Error>> + Send {
        std::future::ready(Ok(None))
    }

    /// What a resource that another tool recorded is here: one of this provider's types, or a part of one. `None` where
    /// it is none of this provider's business.
    fn foreign(resource: &ForeignResource) -> Option<Becomes> {
        let _ = resource;
        None
    }
}

/// Settings of a provider that has none.
pub type NoSettings = ();

/// The types of a provider: `const TYPES: … = types![Vpc, Subnet];`.
#[macro_export]
macro_rules! types {
    ($($resource:ty),* $(,)?) => {
        &[$(&$crate::resource::Of::<$resource>(::std::marker::PhantomData)),*]
    };
}

/// A connected provider as the engine sees it. `ty` is an index into [`Linked::types`].
pub trait Connection: Send + Sync {
    /// See [`Provider::identity`].
    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, Error>>;
    /// See [`crate::Managed::create`].
    fn create<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<(String, Values), Error>>;
    /// See [`crate::Managed::read`].
    fn read<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        prior: Option<&'a [Value]>,
    ) -> BoxFuture<'a, Result<Option<Values>, Error>>;
    /// See [`crate::Managed::read_many`].
    fn read_many<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        items: &'a [(String, Values)],
    ) -> BoxFuture<'a, Vec<Result<Option<Values>, Error>>>;
    /// See [`crate::Managed::update`].
    fn update<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>>;
    /// See [`crate::Managed::delete`].
    fn delete<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
    ) -> BoxFuture<'a, Result<(), Error>>;
    /// See [`crate::Managed::find`].
    fn find<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        intent: &'a IntentValues,
    ) -> BoxFuture<'a, Result<FoundValues, Error>>;
    /// See [`crate::Managed::is_name_free`].
    fn is_name_free<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<bool>, Error>>;

    /// See [`crate::Managed::claimed_by`].
    fn claimed_by<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        state: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let _ = (ty, cx, id, state);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Reads something that no stack of ours manages.
    fn read_existing<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Values>, Error>> {
        self.read(ty, cx, id, None)
    }

    /// See [`crate::Lookup::look_up`].
    fn look_up<'a>(
        &'a self,
        query: &'a dyn Query,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>> {
        let _ = (cx, args);
        let message = format!("this connection answers no look-ups such as `{}`", query.schema().type_name);
        Box::pin(std::future::ready(Err(Error::invalid(message))))
    }
}

struct Connected<P>(P);

/// A provider that is connected already, as the engine sees it.
#[cfg(test)]
pub(crate) fn connected<P: Provider>(provider: P) -> Arc<dyn Connection> {
    Arc::new(Connected(provider))
}

impl<P: Provider> Connected<P> {
    fn ops(ty: usize) -> Result<&'static dyn Ops<P>, Error> {
        P::TYPES
            .get(ty)
            .copied()
            .ok_or_else(|| Error::new(ErrorKind::Invalid, format!("provider `{}` has no type number {ty}", P::NAME)))
    }
}

macro_rules! forward {
    ($self:ident, $ty:ident, $call:ident($($arg:ident),*)) => {
        match Self::ops($ty) {
            Ok(ops) => ops.$call(&$self.0, $($arg),*),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    };
}

impl<P: Provider> Connection for Connected<P> {
    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, Error>> {
        Box::pin(async move { self.0.identity().await.map_err(Error::erase) })
    }
    fn create<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<(String, Values), Error>> {
        forward!(self, ty, create(cx, args))
    }
    fn read<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        prior: Option<&'a [Value]>,
    ) -> BoxFuture<'a, Result<Option<Values>, Error>> {
        forward!(self, ty, read(cx, id, prior))
    }
    fn read_many<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        items: &'a [(String, Values)],
    ) -> BoxFuture<'a, Vec<Result<Option<Values>, Error>>> {
        match Self::ops(ty) {
            Ok(ops) => ops.read_many(&self.0, cx, items),
            Err(error) => {
                let message = error.message().to_owned();
                let fail = move || Err(Error::new(ErrorKind::Invalid, message.clone()));
                Box::pin(std::future::ready(items.iter().map(|_| fail()).collect()))
            }
        }
    }
    fn update<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>> {
        forward!(self, ty, update(cx, id, prior, args))
    }
    fn delete<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        prior: &'a [Value],
    ) -> BoxFuture<'a, Result<(), Error>> {
        forward!(self, ty, delete(cx, id, prior))
    }
    fn find<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        intent: &'a IntentValues,
    ) -> BoxFuture<'a, Result<FoundValues, Error>> {
        forward!(self, ty, find(cx, intent))
    }
    fn is_name_free<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<bool>, Error>> {
        forward!(self, ty, is_name_free(cx, args))
    }
    fn claimed_by<'a>(
        &'a self,
        ty: usize,
        cx: &'a Context,
        id: &'a str,
        state: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        forward!(self, ty, claimed_by(cx, id, state))
    }
    fn look_up<'a>(
        &'a self,
        query: &'a dyn Query,
        cx: &'a Context,
        args: &'a [Value],
    ) -> BoxFuture<'a, Result<Values, Error>> {
        query.ask(&self.0, cx, args)
    }
}

type Connect = fn(&Value) -> BoxFuture<'_, Result<Arc<dyn Connection>, Error>>;

/// A provider that is linked into the program, erased.
#[derive(Clone, Copy)]
pub struct Linked {
    /// [`Provider::NAME`].
    pub name: &'static str,
    /// The type of its settings.
    pub settings: TypeInfo,
    types: fn() -> Vec<LinkedType>,
    connect: Connect,
    foreign: fn(&ForeignResource) -> Option<Becomes>,
    path: fn() -> &'static str,
}

/// What the engine asks of a type without a connection.
pub trait TypeOps: Send + Sync {
    /// See [`crate::Managed::validate`].
    fn validate(&self, args: &[Value]) -> Vec<Problem>;
    /// See [`crate::Managed::upgrade`].
    ///
    /// # Errors
    /// When the fields cannot be brought over.
    fn upgrade(&self, from: u32, fields: &mut BTreeMap<String, Value>) -> Result<(), String>;
}

struct OfProvider<P: Provider>(&'static dyn Ops<P>);

impl<P: Provider> TypeOps for OfProvider<P> {
    fn validate(&self, args: &[Value]) -> Vec<Problem> {
        self.0.validate(args)
    }
    fn upgrade(&self, from: u32, fields: &mut BTreeMap<String, Value>) -> Result<(), String> {
        self.0.upgrade(from, fields)
    }
}

/// One type of a linked provider.
#[derive(Clone)]
pub struct LinkedType {
    /// The static description.
    pub schema: &'static Schema,
    /// What can be asked without a connection.
    pub ops: Arc<dyn TypeOps>,
    /// Where it is in Rust, such as `stackkit::local::file::File`. Modules in it may be private.
    pub path: &'static str,
}

impl Linked {
    /// The erased form of a provider.
    pub const fn of<P: Provider>() -> Self {
        Self {
            name: P::NAME,
            settings: TypeInfo::of::<P::Settings>(),
            types: linked_types::<P>,
            connect: |settings| {
                Box::pin(async move {
                    let settings = match settings {
                        Value::Null => P::Settings::default(),
                        given => P::Settings::from_value(given)
                            .map_err(|e| Error::invalid(format!("settings of provider `{}`: {e}", P::NAME)))?,
                    };
                    let provider = P::connect(settings).await.map_err(Error::erase)?;
                    Ok(Arc::new(Connected(provider)) as Arc<dyn Connection>)
                })
            },
            foreign: P::foreign,
            path: std::any::type_name::<P>,
        }
    }

    /// See [`Provider::foreign`].
    pub fn foreign(&self, resource: &ForeignResource) -> Option<Becomes> {
        (self.foreign)(resource)
    }

    /// Where the provider is in Rust, such as `stackkit::local::Local`. Modules in it may be private.
    pub(crate) fn path(&self) -> &'static str {
        (self.path)()
    }

    /// Its types, in the order of [`Provider::TYPES`].
    pub fn types(&self) -> Vec<LinkedType> {
        (self.types)()
    }

    /// Connects with resolved settings; null means the default ones.
    pub fn connect<'a>(&self, settings: &'a Value) -> BoxFuture<'a, Result<Arc<dyn Connection>, Error>> {
        (self.connect)(settings)
    }
}

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked").field("name", &self.name).finish_non_exhaustive()
    }
}

fn linked_types<P: Provider>() -> Vec<LinkedType> {
    let linked = |ops: &&'static dyn Ops<P>| LinkedType {
        schema: ops.schema(),
        ops: Arc::new(OfProvider(*ops)),
        path: ops.path(),
    };
    P::TYPES.iter().map(linked).collect()
}
