//! Hooks: closures of the program that run before and after a resource is created, updated or deleted.
//!
//! A hook runs during `up` (and during `destroy --run-program`), never in a preview, and it runs at least once:
//!
//! - A hook *before* a call runs before anything is recorded or asked of the cloud. When it fails, the step fails and the
//!   call is not made; the next run tries again, hook included.
//! - A hook *after* a create or update runs once the result is recorded. When it fails, or the run is killed before its
//!   end, the step counts as failed and what depends on it does not start; the resource stays recorded, and the next `up`
//!   runs the hook again, without touching the cloud where nothing else changed.
//! - A hook *after* a delete has nothing left to be recorded with: it runs at most once.
//!
//! So write hooks that may run twice. A replacement creates and deletes: the hooks of a create run for the new instance,
//! those of a delete for the old one. What left the program has no hooks any more, and neither has anything when
//! `destroy` does not run the program.

//!
//! ```
//! use stackkit::prelude::*;
//!
//! #[stackkit::program]
//! async fn site(stack: &mut Stack) -> Result<()> {
//!     stack
//!         .add("page", local::File::new("index.html", "hello"))
//!         .before_delete(|page| async move {
//!             page.progress(format!("keeping a copy of {}", page.path));
//!             std::fs::copy(page.dir().join(&page.path), page.dir().join("index.html.old"))?;
//!             Ok(())
//!         });
//!     Ok(())
//! }
//! ```

use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use crate::component::Component;
use crate::context::{BoxFuture, Context};
use crate::event::Verb;
use crate::program::ProgramError;
use crate::property::DecodeError;
use crate::resource::{Fields, Managed, Values};
use crate::schema::Schema;
use crate::stack::Handle;
use crate::state::model::HookDue;
use crate::urn::Urn;
use crate::value::Value;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookPoint {
    /// Before a create.
    BeforeCreate,
    /// After a create.
    AfterCreate,
    /// Before an update in place.
    BeforeUpdate,
    /// After an update in place.
    AfterUpdate,
    /// Before a delete.
    BeforeDelete,
    /// After a delete.
    AfterDelete,
}

impl HookPoint {
    /// The name of the method that sets it, such as `before_create`.
    pub fn name(self) -> &'static str {
        match self {
            HookPoint::BeforeCreate => "before_create",
            HookPoint::AfterCreate => "after_create",
            HookPoint::BeforeUpdate => "before_update",
            HookPoint::AfterUpdate => "after_update",
            HookPoint::BeforeDelete => "before_delete",
            HookPoint::AfterDelete => "after_delete",
        }
    }

    /// What it stands before or after.
    pub fn verb(self) -> Verb {
        match self {
            HookPoint::BeforeCreate | HookPoint::AfterCreate => Verb::Create,
            HookPoint::BeforeUpdate | HookPoint::AfterUpdate => Verb::Update,
            HookPoint::BeforeDelete | HookPoint::AfterDelete => Verb::Delete,
        }
    }

    /// Whether it stands before the call.
    pub fn is_before(self) -> bool {
        matches!(self, HookPoint::BeforeCreate | HookPoint::BeforeUpdate | HookPoint::BeforeDelete)
    }

    /// For sentences, such as `before its creation`.
    pub(crate) fn phrase(self) -> &'static str {
        match self {
            HookPoint::BeforeCreate => "before its creation",
            HookPoint::AfterCreate => "after its creation",
            HookPoint::BeforeUpdate => "before its update",
            HookPoint::AfterUpdate => "after its update",
            HookPoint::BeforeDelete => "before its deletion",
            HookPoint::AfterDelete => "after its deletion",
        }
    }
}

/// What a hook gets: the fields of the resource, as `hook.field`, and where it is.
///
/// Before a create or update these are the resolved inputs (`R::Args`); otherwise the whole state (`R::State`). Hooks of
/// an update also have what was there before, as [`Hook::prior`].
pub struct Hook<T, P = ()> {
    value: T,
    before: P,
    id: Option<String>,
    cx: Context,
}

impl<T, P> Deref for Hook<T, P> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: std::fmt::Debug, P> std::fmt::Debug for Hook<T, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("urn", self.cx.urn()).field("value", &self.value).finish_non_exhaustive()
    }
}

impl<T, P> Hook<T, Option<P>> {
    /// What was there before the update; none where that is not known any more, because an earlier run was cut short.
    pub fn prior(&self) -> Option<&P> {
        self.before.as_ref()
    }
}

impl<T, P> Hook<T, P> {
    /// The provider's id; none before a create.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The resource's URN.
    pub fn urn(&self) -> &Urn {
        self.cx.urn()
    }

    /// The name given in the program.
    pub fn name(&self) -> &str {
        self.cx.name()
    }

    /// Name of the stack.
    pub fn stack(&self) -> &str {
        self.cx.stack()
    }

    /// The folder that relative paths of the program refer to.
    pub fn dir(&self) -> &std::path::Path {
        self.cx.dir()
    }

    /// Shows a line of progress.
    pub fn progress(&self, message: impl Into<String>) {
        self.cx.progress(message);
    }
}

/// The fields of a resource of any type, as the hook of a component gets them.
#[derive(Debug, Clone)]
pub struct AnyFields {
    schema: &'static Schema,
    values: Values,
}

impl AnyFields {
    /// The description of its type.
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// A field by its name; none where it is unset, or the type has none such. Secrets keep their mark.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.values.get(self.schema.index(field)?).filter(|value| !value.is_null())
    }
}

/// A hook, erased.
#[derive(Clone)]
pub(crate) struct Hooked {
    pub(crate) point: HookPoint,
    at: &'static Location<'static>,
    #[allow(clippy::type_complexity, reason = "the one place where this shape is named")]
    run: Arc<dyn Fn(Occasion) -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.point.name(), self.at)
    }
}

/// What is known when a hook runs.
#[derive(Clone)]
pub(crate) struct Occasion {
    pub(crate) schema: &'static Schema,
    pub(crate) cx: Context,
    pub(crate) id: Option<String>,
    /// Resolved inputs before a create or update, the whole state otherwise.
    pub(crate) values: Values,
    /// The whole state before an update.
    pub(crate) prior: Option<Values>,
}

impl Hooked {
    fn new<F, Fut>(point: HookPoint, at: &'static Location<'static>, run: F) -> Self
    where
        F: Fn(Occasion) -> Result<Fut, DecodeError> + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        let run = Arc::new(run);
        Self {
            point,
            at,
            run: Arc::new(move |occasion| {
                let run = Arc::clone(&run);
                Box::pin(async move {
                    match run(occasion) {
                        Ok(hook) => hook.await.map_err(|error| error.to_string()),
                        Err(error) => Err(format!("field {error}")),
                    }
                })
            }),
        }
    }

    /// Runs it to its end. A panic is an error, and every error says where the hook stands.
    pub(crate) async fn run(&self, occasion: Occasion) -> Result<(), String> {
        let mut future = pin!((self.run)(occasion));
        let result =
            std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(poll) => poll,
                Err(panic) => Poll::Ready(Err(format!("it panicked: {}", crate::transform::panic_text(&*panic)))),
            })
            .await;
        result.map_err(|error| self.failed(&error))
    }

    /// Says that it failed, and where it stands.
    pub(crate) fn failed(&self, error: &str) -> String {
        format!("the hook {} failed: {error} (the hook at {})", self.point.phrase(), self.at)
    }
}

fn args<R: Managed>(occasion: Occasion) -> Result<Hook<R::Args>, DecodeError> {
    let value = R::Args::from_values(&occasion.values)?;
    Ok(Hook { value, before: (), id: occasion.id, cx: occasion.cx })
}

fn state<R: Managed>(occasion: Occasion) -> Result<Hook<R::State>, DecodeError> {
    let value = R::State::from_values(&occasion.values)?;
    Ok(Hook { value, before: (), id: occasion.id, cx: occasion.cx })
}

fn prior<R: Managed>(occasion: &Occasion) -> Option<R::State> {
    occasion.prior.as_deref().and_then(|prior| R::State::from_values(prior).ok())
}

fn any(occasion: Occasion) -> Hook<AnyFields> {
    let value = AnyFields { schema: occasion.schema, values: occasion.values };
    Hook { value, before: (), id: occasion.id, cx: occasion.cx }
}

/// The point at which hooks that are due run.
pub(crate) fn point_of(due: HookDue) -> HookPoint {
    match due {
        HookDue::Create => HookPoint::AfterCreate,
        HookDue::Update => HookPoint::AfterUpdate,
    }
}

/// The hooks that an earlier run left, as far as the program still has them.
pub(crate) fn left(hooks: &[Hooked], due: Option<HookDue>) -> Option<HookDue> {
    due.filter(|due| hooks.iter().any(|hook| hook.point == point_of(*due)))
}

/// The hooks that are due once a step has done its work: those that an earlier run left of a creation, else its own.
pub(crate) fn due(hooks: &[Hooked], own: HookDue, earlier: Option<HookDue>) -> Option<HookDue> {
    left(hooks, earlier.filter(|due| *due == HookDue::Create)).or_else(|| left(hooks, Some(own)))
}

/// The hooks of a resource. See [the module](crate::hook) for when they run, and what happens when one fails.
impl<R: Managed> Handle<R> {
    fn hook<F, Fut>(self, point: HookPoint, at: &'static Location<'static>, run: F) -> Self
    where
        F: Fn(Occasion) -> Result<Fut, DecodeError> + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        self.with(|o| o.hooks.push(Hooked::new(point, at, run)))
    }

    /// Runs before it is created, with the resolved inputs. When the hook fails, nothing is created.
    #[track_caller]
    pub fn before_create<F, Fut>(self, hook: F) -> Self
    where
        F: Fn(Hook<R::Args>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        self.hook(HookPoint::BeforeCreate, Location::caller(), move |occasion| Ok(hook(args::<R>(occasion)?)))
    }

    /// Runs after it was created and recorded, with its whole state. What depends on it waits for the hook.
    #[track_caller]
    pub fn after_create<F, Fut>(self, hook: F) -> Self
    where
        F: Fn(Hook<R::State>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        self.hook(HookPoint::AfterCreate, Location::caller(), move |occasion| Ok(hook(state::<R>(occasion)?)))
    }

    /// Runs before it is updated in place, with the resolved inputs and what is there.
    #[track_caller]
    pub fn before_update<F, Fut>(self, hook: F) -> Self
    where
        F: Fn(Hook<R::Args, Option<R::State>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        self.hook(HookPoint::BeforeUpdate, Location::caller(), move |occasion| {
            let before = prior::<R>(&occasion);
            let Hook { value, id, cx, .. } = args::<R>(occasion)?;
            Ok(hook(Hook { value, before, id, cx }))
        })
    }

    /// Runs after it was updated in place and recorded, with its whole state and what was there before.
    #[track_caller]
    pub fn after_update<F, Fut>(self, hook: F) -> Self
    where
        F: Fn(Hook<R::State, Option<R::State>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        self.hook(HookPoint::AfterUpdate, Location::caller(), move |occasion| {
            let before = prior::<R>(&occasion);
            let Hook { value, id, cx, .. } = state::<R>(occasion)?;
            Ok(hook(Hook { value, before, id, cx }))
        })
    }

    /// Runs before it is deleted, with its whole state. When the hook fails, it is not deleted.
    #[track_caller]
    pub fn before_delete<F, Fut>(self, hook: F) -> Self
    where
        F: Fn(Hook<R::State>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        self.hook(HookPoint::BeforeDelete, Location::caller(), move |occasion| Ok(hook(state::<R>(occasion)?)))
    }

    /// Runs after it was deleted, with what its state was.
    #[track_caller]
    pub fn after_delete<F, Fut>(self, hook: F) -> Self
    where
        F: Fn(Hook<R::State>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        self.hook(HookPoint::AfterDelete, Location::caller(), move |occasion| Ok(hook(state::<R>(occasion)?)))
    }
}

/// Hooks for every resource in a component, of whatever type. They run before those that the resource has itself.
impl Component {
    /// Runs at a point of every resource in it. See [the module](crate::hook) for what happens when it fails.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
    pub fn on_each<F, Fut>(self, point: HookPoint, hook: F) -> Self
    where
        F: Fn(Hook<AnyFields>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProgramError>> + Send + 'static,
    {
        let hooked = Hooked::new(point, Location::caller(), move |occasion| Ok(hook(any(occasion))));
        self.with(|o| o.hooks.push(hooked))
    }
}
