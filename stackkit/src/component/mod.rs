//! Components: resources grouped under a parent, which share options. A `Scope` is what resources are declared in: the
//! stack itself, or a component of it.

mod inherit;
mod order;

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::hook::Hooked;
use crate::input::{Input, IntoInput};
use crate::provider::Provider;
use crate::read::Outside;
use crate::resource::Resource;
use crate::stack::{Handle, ProviderHandle, Shared, lock};
use crate::value::Value;

pub(crate) use inherit::{inherit, merged, provider_in, tags_field, take_default_tags};
pub(crate) use order::expand_dependencies;

/// Where resources are declared: the stack itself, or a component of it. Both dereference to it, so that a function
/// that takes a `&mut Scope` works alike on both.
///
/// ```
/// use stackkit::prelude::*;
///
/// /// A folder with a secret in it: a building block to be used wherever it is wanted.
/// fn vault(scope: &mut Scope, name: &str, length: u32) -> Output<String> {
///     let mut vault = scope.component(name);
///     let folder = vault.add("folder", local::Directory::new(format!("vaults/{name}")).mode("0700"));
///     let password = vault.add("password", local::RandomPassword::new(length));
///     let file = vault.add("file", local::SecretFile::new(text!("{}/password", folder.path), &password.value));
///     file.path.clone()
/// }
///
/// #[stackkit::program]
/// async fn vaults(stack: &mut Stack) -> Result<()> {
///     let path = vault(stack, "first", 24);
///     let mut more = stack.component("more").protect();
///     vault(&mut more, "second", 32);
///     stack.output("first", path);
///     Ok(())
/// }
/// ```
pub struct Scope {
    pub(crate) shared: Shared,
    stack: Arc<str>,
    /// Index of the component; none in the stack itself.
    pub(crate) component: Option<u32>,
    /// Its path; empty in the stack itself.
    path: Arc<str>,
    /// What answers look-ups while the program runs.
    pub(crate) outside: Option<Arc<Outside>>,
}

/// A component that a program declared.
#[derive(Debug)]
pub struct DeclaredComponent {
    /// Its path, such as `network/private`.
    pub path: Arc<str>,
    /// The component that it is in; none directly in the stack.
    pub parent: Option<u32>,
    /// Where in the program it was declared.
    pub at: &'static Location<'static>,
    pub(crate) options: ComponentOptions,
}

impl DeclaredComponent {
    /// The last segment of the path: the name given in the program.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// What is said on a component for all that is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ComponentOptions {
    /// Instances of providers, by the provider's name.
    pub(crate) providers: BTreeMap<&'static str, String>,
    pub(crate) protect: Option<bool>,
    /// A map, or something computed that will be one.
    pub(crate) tags: Value,
    pub(crate) retain_on_delete: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) ignore_changes: Vec<String>,
    pub(crate) depends_on: Vec<u32>,
    pub(crate) depends_on_named: Vec<String>,
    pub(crate) depends_on_components: Vec<u32>,
    pub(crate) aliases: Vec<String>,
    pub(crate) hooks: Vec<Hooked>,
}

/// Whether a text can be the name of a resource or component.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', ':']) && !name.chars().any(|c| c.is_control() || c.is_whitespace())
}

impl Scope {
    /// The stack itself.
    pub(crate) fn of_stack(stack: &str, outside: Option<Arc<Outside>>) -> Self {
        Self { shared: Shared::default(), stack: stack.into(), component: None, path: "".into(), outside }
    }

    /// The path of a name within this scope.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// Path of the component, such as `network/private`; empty in the stack itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The stack's name, such as `dev`.
    pub fn stack_name(&self) -> &str {
        &self.stack
    }

    /// Declares a component: a group of resources, nested as deep as wanted. What is added to it is shown and recorded
    /// under its path, and inherits its options, whether they are set before or afterwards.
    ///
    /// A duplicate or invalid name is recorded with its place, as by [`Scope::add`].
    #[track_caller]
    pub fn component(&mut self, name: impl Into<String>) -> Component {
        let (name, at) = (name.into(), Location::caller());
        let path: Arc<str> = self.path_of(&name).into();
        let mut declared = lock(&self.shared);
        if !is_name(&name) {
            declared.diagnostics.push(
                Diagnostic::invalid(format!("`{}` cannot be the name of a component", name.escape_debug()))
                    .help("use letters, digits, `-`, `_` and `.`, and `component(…)` of a component for a path")
                    .at(at),
            );
        }
        let index = declared.components.len() as u32;
        if let Some(first) = declared.component_paths.get(&path).copied() {
            let place = declared.components.get(first as usize).map(|c| c.at.to_string()).unwrap_or_default();
            declared.diagnostics.push(
                Diagnostic::invalid(format!("the component `{path}` is declared twice; the first is at {place}"))
                    .help("give one of them another name, or hand the first one on")
                    .at(at),
            );
        } else {
            declared.component_paths.insert(Arc::clone(&path), index);
        }
        declared.components.push(DeclaredComponent {
            path: Arc::clone(&path),
            parent: self.component,
            at,
            options: ComponentOptions::default(),
        });
        drop(declared);
        Component {
            scope: Scope {
                shared: Arc::clone(&self.shared),
                stack: Arc::clone(&self.stack),
                component: Some(index),
                path,
                outside: self.outside.clone(),
            },
            index,
        }
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").field("stack", &self.stack).field("path", &self.path).finish_non_exhaustive()
    }
}

/// A declared component: a [`Scope`] with options for all that is in it.
pub struct Component {
    scope: Scope,
    index: u32,
}

impl Deref for Component {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.scope
    }
}

impl DerefMut for Component {
    fn deref_mut(&mut self) -> &mut Scope {
        &mut self.scope
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Component({})", self.scope.path)
    }
}

#[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
impl Component {
    pub(crate) fn with(self, set: impl FnOnce(&mut ComponentOptions)) -> Self {
        if let Some(declared) = lock(&self.scope.shared).components.get_mut(self.index as usize) {
            set(&mut declared.options);
        }
        self
    }

    /// The name given in the program.
    pub fn name(&self) -> &str {
        self.scope.path.rsplit('/').next().unwrap_or_default()
    }

    /// Everything of that provider in it is managed by this instance, where it does not say otherwise. Instances of
    /// several providers may be set.
    pub fn provider<P: Provider>(self, provider: &ProviderHandle<P>) -> Self {
        let name = provider.name().to_owned();
        self.with(|o| {
            o.providers.insert(P::NAME, name);
        })
    }

    /// Refuses deletion and replacement of everything in it that does not say otherwise.
    pub fn protect(self) -> Self {
        self.with(|o| o.protect = Some(true))
    }

    /// Takes protection off everything in it that does not say otherwise, also off types that are protected by default
    /// because they hold data.
    pub fn unprotected(self) -> Self {
        self.with(|o| o.protect = Some(false))
    }

    /// [`Component::protect`] or [`Component::unprotected`], as a config value says.
    pub fn protected(self, protected: bool) -> Self {
        self.with(|o| o.protect = Some(protected))
    }

    /// Tags for everything in it that has a map of texts called `tags`. What a resource, or a component within this one,
    /// says itself wins, entry by entry.
    #[track_caller]
    pub fn tags(self, tags: impl IntoInput<BTreeMap<String, String>>) -> Self {
        let (tags, at) = (Input::<BTreeMap<String, String>>::new(tags).0, Location::caller());
        self.with(|o| o.tags = inherit::merged(&o.tags, &tags, at))
    }

    /// What leaves the program is forgotten, not deleted, for everything in it.
    pub fn retain_on_delete(self) -> Self {
        self.with(|o| o.retain_on_delete = true)
    }

    /// How long create, update and delete may each take, for everything in it that does not say otherwise.
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|o| o.timeout = Some(limit))
    }

    /// Ignores changes of these inputs on everything in it that has them; see [`Handle::ignore_changes`].
    pub fn ignore_changes<S: Into<String>>(self, paths: impl IntoIterator<Item = S>) -> Self {
        self.with(|o| o.ignore_changes.extend(paths.into_iter().map(Into::into)))
    }

    /// Everything in it comes after a resource, or after everything in another component.
    pub fn depends_on(self, other: &impl Dependency) -> Self {
        let other = other.depended_on();
        self.with(|o| match other {
            DependedOn::Resource(index) => o.depends_on.push(index),
            DependedOn::Component(index) => o.depends_on_components.push(index),
        })
    }

    /// [`Component::depends_on`] by name, for a resource that is declared later or elsewhere: a name, path or URN.
    pub fn depends_on_named(self, other: impl Into<String>) -> Self {
        self.with(|o| o.depends_on_named.push(other.into()))
    }

    /// What it was called before: everything in it is renamed, not replaced.
    ///
    /// A plain name is the old name beside the present one (`"net"`). With a slash it is the whole old path
    /// (`"platform/network"`, `"/network"`), and `"/"` says that all this stood directly in the stack.
    pub fn alias(self, old: impl Into<String>) -> Self {
        self.with(|o| o.aliases.push(old.into()))
    }
}

/// What a resource or component can be said to depend on: a resource's handle, or a component.
#[diagnostic::on_unimplemented(
    message = "nothing can depend on a `{Self}`",
    label = "expected the handle of a resource, or a component",
    note = "`stack.add(…)` returns a handle, `stack.component(…)` a component"
)]
pub trait Dependency {
    /// Which one it is.
    #[doc(hidden)]
    fn depended_on(&self) -> DependedOn;
}

/// A resource or component, by index in its stack.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum DependedOn {
    /// A resource.
    Resource(u32),
    /// A component.
    Component(u32),
}

impl<R: Resource> Dependency for Handle<R> {
    fn depended_on(&self) -> DependedOn {
        DependedOn::Resource(self.index())
    }
}

impl Dependency for Component {
    fn depended_on(&self) -> DependedOn {
        DependedOn::Component(self.index)
    }
}
