//! How a program declares reads, and the handles that it gets back.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use crate::component::{Scope, provider_in};
use crate::input::IntoInput;
use crate::lookup::{Asks, Lookup};
use crate::program::ProgramError;
use crate::provider::Provider;
use crate::read::{DeclaredRead, OtherStack, Outside, Reference, Subject};
use crate::resource::{Fields as _, Managed, Resource, Values};
use crate::stack::{ProviderHandle, Shared, lock};
use crate::urn::Urn;

impl Scope {
    /// Reads something that exists and that this stack does not manage, by the provider's id. What comes back has the
    /// same outputs as what [`Scope::add`] returns. It is never created, changed or deleted, and nothing of it is
    /// recorded.
    ///
    /// It is read before planning where the id is known by then, else as soon as it is.
    ///
    /// ```
    /// # use stackkit::prelude::*;
    /// # #[stackkit::program]
    /// # async fn program(stack: &mut Stack) -> Result<()> {
    /// let banner = stack.existing::<local::File>("banner", "/etc/issue");
    /// stack.add("motd", local::File::new("motd", text!("{}Welcome\n", banner.content)));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn existing<R: Managed>(&mut self, name: impl Into<String>, id: impl IntoInput<String>) -> Existing<R> {
        let subject = Subject::Existing { schema: R::SCHEMA, id: id.into_value() };
        let index = self.read(R::SCHEMA.type_name, &name.into(), subject, Location::caller());
        Existing { outputs: R::outputs(index), index, shared: Arc::clone(&self.shared) }
    }

    /// Asks a provider something; the answer's fields are outputs. What it is asked with may depend on other resources.
    /// Where the answer decides what is declared at all, await [`Scope::lookup`] instead.
    #[track_caller]
    pub fn data<L: Lookup>(&mut self, name: impl Into<String>, question: L) -> Answered<L> {
        let subject = Subject::Question { query: Arc::new(Asks::<L>(PhantomData)), args: question.into_values() };
        let index = self.read(L::SCHEMA.type_name, &name.into(), subject, Location::caller());
        Answered { outputs: L::outputs(index), index, shared: Arc::clone(&self.shared) }
    }

    /// Asks a provider something and waits for the answer: plain values, by which a program decides what to declare.
    /// Everything that it is asked with must be known, and so must the provider's settings.
    ///
    /// ```no_run
    /// # use stackkit::prelude::*;
    /// # use stackkit::local::Environment;
    /// # #[stackkit::program]
    /// # async fn program(stack: &mut Stack) -> Result<()> {
    /// let user = stack.lookup(Environment::new("USER")).await?;
    /// stack.add("greeting", local::File::new("greeting", format!("Hello {}\n", user.value)));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn lookup<L: Lookup>(&self, question: L) -> LookUp<L> {
        LookUp {
            outside: self.outside.clone(),
            shared: Arc::clone(&self.shared),
            component: self.component,
            args: question.into_values(),
            instance: None,
            at: Location::caller(),
            lookup: PhantomData,
        }
    }

    /// Another stack, whose outputs this one uses: a stack of the same folder and backend, unless [`Reference::dir`] and
    /// [`Reference::backend`] say otherwise. It is opened with the keys at hand and read once; nothing of it is locked.
    #[track_caller]
    pub fn reference(&mut self, stack: impl Into<String>) -> Reference {
        let stack = stack.into();
        let subject = Subject::Stack { other: OtherStack::new(stack.clone()), wanted: Vec::new() };
        let index = self.read("stackkit:stack:Reference", &stack, subject, Location::caller());
        Reference::new(index, Arc::clone(&self.shared))
    }

    /// Declares a read and gives the index by which references name it.
    fn read(&mut self, type_name: &str, name: &str, subject: Subject, at: &'static Location<'static>) -> u32 {
        let urn = Urn::new(type_name, &self.path_of(name));
        lock(&self.shared).declare_read(name, DeclaredRead::new(urn, subject, self.component, at))
    }
}

/// Something that exists already. Its fields are outputs, reached as `handle.field`.
pub struct Existing<R: Resource> {
    outputs: R::Outputs,
    index: u32,
    shared: Shared,
}

impl<R: Resource> Deref for Existing<R> {
    type Target = R::Outputs;
    fn deref(&self) -> &R::Outputs {
        &self.outputs
    }
}

impl<R: Resource> std::fmt::Debug for Existing<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Existing<{}>", R::SCHEMA.type_name)
    }
}

impl<R: Managed> Existing<R> {
    /// Which provider instance reads it.
    #[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
    pub fn provider(self, provider: &ProviderHandle<R::Provider>) -> Self {
        choose(&self.shared, self.index, provider);
        self
    }
}

/// The answer to a question. Its fields are outputs, reached as `handle.field`.
pub struct Answered<L: Resource> {
    outputs: L::Outputs,
    index: u32,
    shared: Shared,
}

impl<L: Resource> Deref for Answered<L> {
    type Target = L::Outputs;
    fn deref(&self) -> &L::Outputs {
        &self.outputs
    }
}

impl<L: Resource> std::fmt::Debug for Answered<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answered<{}>", L::SCHEMA.type_name)
    }
}

impl<L: Lookup> Answered<L> {
    /// Which provider instance answers it.
    #[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
    pub fn provider(self, provider: &ProviderHandle<L::Provider>) -> Self {
        choose(&self.shared, self.index, provider);
        self
    }
}

fn choose<P: Provider>(shared: &Shared, index: u32, provider: &ProviderHandle<P>) {
    if let Some(read) = lock(shared).read_mut(index) {
        read.provider = Some(provider.name().to_owned());
    }
}

/// A question that is asked when it is awaited.
#[must_use = "a question is asked when it is awaited"]
pub struct LookUp<L> {
    outside: Option<Arc<Outside>>,
    shared: Shared,
    component: Option<u32>,
    args: Values,
    instance: Option<String>,
    at: &'static Location<'static>,
    lookup: PhantomData<fn() -> L>,
}

impl<L> std::fmt::Debug for LookUp<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LookUp").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<L: Lookup> LookUp<L> {
    /// Which provider instance answers it.
    pub fn provider(mut self, provider: &ProviderHandle<L::Provider>) -> Self {
        self.instance = Some(provider.name().to_owned());
        self
    }
}

impl<L: Lookup> IntoFuture for LookUp<L> {
    type Output = Result<L::State, ProgramError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let LookUp { outside, shared, component, args, instance, at, .. } = self;
            let (instance, settings) = {
                let declared = lock(&shared);
                let provider = L::SCHEMA.provider();
                let instance = instance.or_else(|| provider_in(&declared, component, provider));
                let instance = instance.unwrap_or_else(|| provider.to_owned());
                let settings = declared.settings_of(&instance);
                (instance, settings)
            };
            let found = match outside {
                Some(outside) => outside.look_up(Arc::new(Asks::<L>(PhantomData)), args, &instance, settings).await,
                None => Err("nobody is there to answer: the program is run without an engine".to_owned()),
            };
            let values = found.map_err(|message| {
                let what = format!("the look-up `{}`: {message}", L::SCHEMA.type_name);
                ProgramError::located(what, at)
            })?;
            L::State::from_values(&values).map_err(|error| {
                ProgramError::located(format!("the look-up `{}` gave field {error}", L::SCHEMA.type_name), at)
            })
        })
    }
}
