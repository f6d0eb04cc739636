//! `Stack`: what a program declares its resources on, and the handles that it gets back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::component::{DeclaredComponent, DependedOn, Dependency, Scope, is_name};
use crate::diagnostic::Diagnostic;
use crate::hook::Hooked;
use crate::input::{Input, IntoInput};
use crate::options::{Guard, Options};
use crate::output::Output;
use crate::program::ProgramError;
use crate::property::{Lasting, Property, PropertyField};
use crate::provider::Provider;
use crate::read::{self, DeclaredRead, Outside, Subject};
use crate::resource::{Managed, Resource, Values};
use crate::schema::Schema;
use crate::secret::Secret;
use crate::transform::{Transform, Transformed};
use crate::urn::Urn;
use crate::value::Value;

/// One declared resource.
#[derive(Debug)]
pub struct Declared {
    /// Its URN.
    pub urn: Urn,
    /// Its type.
    pub schema: &'static Schema,
    /// What the program filled in, references included.
    pub values: Values,
    /// The component that it is in; none directly in the stack.
    pub component: Option<u32>,
    /// What was said on the handle.
    options: Option<Box<Options>>,
    /// Where in the program it was declared.
    pub at: &'static Location<'static>,
}

impl Declared {
    /// Its options.
    pub fn options(&self) -> &Options {
        self.options.as_deref().unwrap_or(Options::NONE)
    }

    pub(crate) fn options_mut(&mut self) -> &mut Options {
        self.options.get_or_insert_with(Box::default)
    }

    /// Name of its provider instance.
    pub fn provider_instance(&self) -> &str {
        self.options().provider.as_deref().unwrap_or_else(|| self.schema.provider())
    }
}

/// A provider instance that the program declared.
#[derive(Debug)]
pub struct DeclaredProvider {
    /// Its name: the provider's own for the default instance, else `aws/frankfurt`.
    pub name: String,
    /// The provider's name.
    pub provider: &'static str,
    /// Its settings, references included.
    pub settings: Value,
    /// Whether some of its settings are kept nowhere but in the program.
    pub ephemeral: bool,
    /// Where in the program it was declared.
    pub at: &'static Location<'static>,
}

/// A declared output of the stack.
#[derive(Debug)]
pub struct DeclaredOutput {
    /// Its name.
    pub name: String,
    /// Its value, references included.
    pub value: Value,
    /// Where in the program it was declared.
    pub at: &'static Location<'static>,
}

/// Everything that a program declared.
#[derive(Debug, Default)]
pub struct Declarations {
    /// Resources; their index is what references name.
    pub resources: Vec<Declared>,
    /// What is read and never managed; references name them by indices of their own.
    pub reads: Vec<DeclaredRead>,
    /// Provider instances.
    pub providers: Vec<DeclaredProvider>,
    /// Outputs.
    pub outputs: Vec<DeclaredOutput>,
    /// Components, each after the one that it is in.
    pub components: Vec<DeclaredComponent>,
    /// What the program refuses to do to its own stack.
    pub guard: Guard,
    /// What was wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Policies, in the order in which they were added.
    pub policies: Vec<crate::policy::Policy>,
    /// Which inputs remediations changed, with the policy's name, by index of the resource.
    pub(crate) remedied: BTreeMap<u32, Vec<(&'static str, String)>>,
    /// Conditions on resources, by their index.
    pub(crate) checks: BTreeMap<u32, Vec<crate::check::Check>>,
    /// Conditions on values of the stack.
    pub(crate) output_checks: Vec<crate::check::OutputCheck>,
    pub(crate) by_urn: HashMap<Urn, u32>,
    output_names: HashSet<String>,
    pub(crate) component_paths: HashMap<Arc<str>, u32>,
    pub(crate) transforms: Vec<Transform>,
    /// What transforms did, by the resource's index.
    pub(crate) transformed: BTreeMap<u32, Vec<Transformed>>,
    /// Hooks of resources that are not declared here and are to be deleted, by all names that they have or had.
    pub(crate) departing: HashMap<Urn, Vec<Hooked>>,
}

impl Declarations {
    /// What a destroy needs of a program: no resource is declared, and everything has its hooks, by each of its names.
    /// Of provider instances there are those of whose settings the state has not all, as far as they are known without
    /// any resource.
    pub(crate) fn for_destroy(mut self) -> Self {
        let mut departing = HashMap::new();
        for resource in self.resources.iter().filter(|resource| !resource.options().hooks.is_empty()) {
            let old = resource.options().aliases.iter().filter_map(|alias| Urn::parse(alias));
            for urn in old.chain([resource.urn.clone()]) {
                departing.insert(urn, resource.options().hooks.clone());
            }
        }
        let behind = read::Behind::of(&self);
        let (mut kept, mut needed) = (Vec::new(), Vec::new());
        for provider in &self.providers {
            let mut fits = provider.ephemeral;
            behind.resources(&provider.settings, &mut |_| fits = false);
            if fits {
                behind.open_reads(&provider.settings, &mut needed);
            }
            kept.push(fits);
        }
        for (index, read) in self.reads.iter().enumerate() {
            if !needed.contains(&(read::FIRST + index as u32)) {
                // Nothing asks for it.
                read.set(Values::new());
            }
        }
        let mut kept = kept.into_iter();
        self.providers.retain(|_| kept.next().unwrap_or(false));
        Self { departing, providers: self.providers, reads: self.reads, ..Self::default() }
    }

    /// Index of the resource with that URN.
    pub fn index(&self, urn: &Urn) -> Option<u32> {
        self.by_urn.get(urn).copied().filter(|index| *index < read::FIRST)
    }

    /// The read that a reference names; none where it names a resource.
    pub(crate) fn read(&self, reference: u32) -> Option<&DeclaredRead> {
        self.reads.get(read::index_of(reference)?)
    }

    pub(crate) fn read_mut(&mut self, reference: u32) -> Option<&mut DeclaredRead> {
        self.reads.get_mut(read::index_of(reference)?)
    }

    /// Adds a read and gives the index by which references name it.
    pub(crate) fn declare_read(&mut self, name: &str, read: DeclaredRead) -> u32 {
        let index = read::FIRST + self.reads.len() as u32;
        // Referring to a stack in two places is two references to one stack, which is read once.
        if !matches!(read.subject, Subject::Stack { .. }) {
            self.check_name(name, &read.urn, read.at);
            self.check_unique(&read.urn, index, read.at);
        }
        self.reads.push(read);
        index
    }

    /// Settings that a provider instance has been given so far.
    pub(crate) fn settings_of(&self, instance: &str) -> Option<Value> {
        self.providers.iter().find(|provider| provider.name == instance).map(|provider| provider.settings.clone())
    }

    fn check_name(&mut self, name: &str, urn: &Urn, at: &'static Location<'static>) {
        if !is_name(name) {
            self.diagnostics.push(
                Diagnostic::invalid(format!("`{}` cannot be the name of a resource", name.escape_debug()))
                    .on(urn)
                    .help("use letters, digits, `-`, `_` and `.`")
                    .at(at),
            );
        }
    }

    fn check_unique(&mut self, urn: &Urn, index: u32, at: &'static Location<'static>) {
        let Some(first) = self.by_urn.get(urn).copied() else {
            self.by_urn.insert(urn.clone(), index);
            return;
        };
        let place = match self.read(first) {
            Some(read) => read.at.to_string(),
            None => self.resources.get(first as usize).map(|r| r.at.to_string()).unwrap_or_default(),
        };
        self.diagnostics.push(
            Diagnostic::invalid(format!("declared twice; the first is at {place}"))
                .on(urn)
                .help("give one of them another name")
                .at(at),
        );
    }
}

pub(crate) type Shared = Arc<Mutex<Declarations>>;

pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Declarations> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stack that a program declares its resources on. It does no I/O on any cloud.
pub struct Stack {
    name: String,
    dir: std::path::PathBuf,
    config: BTreeMap<String, Value>,
    scope: Scope,
}

impl Deref for Stack {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.scope
    }
}

impl DerefMut for Stack {
    fn deref_mut(&mut self) -> &mut Scope {
        &mut self.scope
    }
}

impl Stack {
    pub(crate) fn new(
        name: &str,
        dir: &std::path::Path,
        config: BTreeMap<String, Value>,
        outside: Option<Arc<Outside>>,
    ) -> Self {
        Self { name: name.into(), dir: dir.into(), config, scope: Scope::of_stack(name, outside) }
    }

    /// Writes down something that modules of their own declare.
    pub(crate) fn note(&mut self, write: impl FnOnce(&mut Declarations)) {
        write(&mut lock(&self.shared));
    }

    /// Takes what was declared, with everything that components and transforms make of it. Handles that are still around
    /// refer to nothing afterwards.
    pub(crate) fn finish(self) -> Declarations {
        let mut declared = std::mem::take(&mut *lock(&self.shared));
        crate::component::inherit(&mut declared);
        crate::transform::transform(&mut declared);
        crate::component::take_default_tags(&mut declared);
        crate::component::expand_dependencies(&mut declared);
        declared
    }

    /// The stack's name, such as `dev`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder of the stack's files; relative paths of local resources are taken from here.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }
}

impl Scope {
    /// Declares a resource. It does not fail: a duplicate or invalid declaration is recorded with its place and
    /// reported with all others when the program has ended.
    #[track_caller]
    pub fn add<R: Managed>(&mut self, name: impl Into<String>, resource: R) -> Handle<R> {
        let index = self.declare(R::SCHEMA, name.into(), resource.into_values());
        Handle { outputs: R::outputs(index), index, shared: Arc::clone(&self.shared) }
    }

    #[track_caller]
    fn declare(&mut self, schema: &'static Schema, name: String, values: Values) -> u32 {
        let at = Location::caller();
        let mut declared = lock(&self.shared);
        let urn = Urn::new(schema.type_name, &self.path_of(&name));
        let index = declared.resources.len() as u32;
        declared.check_name(&name, &urn, at);
        declared.check_unique(&urn, index, at);
        declared.resources.push(Declared { urn, schema, values, component: self.component, options: None, at });
        index
    }

    /// Declares a provider instance: settings for all resources of that provider (`name` is `"default"`), or a second
    /// one of a kind that resources choose with [`Handle::provider`], and components with
    /// [`Component::provider`](crate::Component::provider). Its name is the stack's, whatever scope it is declared in.
    #[track_caller]
    pub fn provider<P: Provider>(&mut self, name: &str, settings: impl IntoInput<P::Settings>) -> ProviderHandle<P> {
        let at = Location::caller();
        let full = if name == "default" { P::NAME.to_owned() } else { format!("{}/{name}", P::NAME) };
        let mut declared = lock(&self.shared);
        if declared.providers.iter().any(|p| p.name == full) {
            declared.diagnostics.push(
                Diagnostic::invalid(format!("the provider instance `{full}` is declared twice"))
                    .help("give one of them another name")
                    .at(at),
            );
        }
        let ephemeral = P::Settings::describe().is_some_and(|fields| fields.iter().any(|field| field.ephemeral));
        let settings = ephemeral_within(Input::<P::Settings>::new(settings).0, P::Settings::describe());
        declared.providers.push(DeclaredProvider { name: full.clone(), provider: P::NAME, settings, ephemeral, at });
        ProviderHandle { name: full, provider: std::marker::PhantomData }
    }

    /// Reports something wrong that only the program can see. The run stops before anything is planned.
    #[track_caller]
    pub fn error(&mut self, message: impl Into<String>) {
        lock(&self.shared).diagnostics.push(Diagnostic::invalid(message).at(Location::caller()));
    }
}

impl Stack {
    /// Declares an output of the stack. It stays secret if the value is.
    #[track_caller]
    pub fn output<T: Lasting>(&mut self, name: impl Into<String>, value: impl IntoOutput<T>) {
        let (name, at) = (name.into(), Location::caller());
        let mut declared = lock(&self.shared);
        if !declared.output_names.insert(name.clone()) {
            declared.diagnostics.push(Diagnostic::invalid(format!("the output `{name}` is declared twice")).at(at));
        }
        declared.outputs.push(DeclaredOutput { name, value: value.into_tree(), at });
    }

    /// The typed configuration of this stack, from the `[config]` table of `stackkit.<stack>.toml`.
    ///
    /// # Errors
    /// One error that names every key that is missing, unknown or of the wrong type, with the command that sets it.
    pub fn config<C: Property>(&self) -> Result<C, ProgramError> {
        crate::config::decode(&self.config, &self.name)
    }

    /// Refuses plans that delete or replace (so many) resources: see [`Guard`].
    pub fn guard(&mut self, guard: Guard) {
        lock(&self.shared).guard = guard;
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What can be an output of a stack: an output of a resource, or a plain value.
pub trait IntoOutput<T: Property> {
    /// The erased value.
    fn into_tree(self) -> Value;
}
impl<T: Property> IntoOutput<T> for Output<T> {
    fn into_tree(self) -> Value {
        Output::into_tree(self)
    }
}
impl<T: Property> IntoOutput<T> for &Output<T> {
    fn into_tree(self) -> Value {
        self.tree().clone()
    }
}
impl<T: crate::property::Plain> IntoOutput<T> for T {
    fn into_tree(self) -> Value {
        self.to_value()
    }
}
impl<T: Property> IntoOutput<Secret<T>> for Secret<T> {
    fn into_tree(self) -> Value {
        self.to_value()
    }
}
impl<T: Property> IntoOutput<Secret<T>> for &Secret<T> {
    fn into_tree(self) -> Value {
        self.to_value()
    }
}
impl IntoOutput<String> for &str {
    fn into_tree(self) -> Value {
        Value::text(self)
    }
}

/// A declared resource. Its fields are outputs, reached as `handle.field`; its methods set options.
pub struct Handle<R: Resource> {
    outputs: R::Outputs,
    index: u32,
    shared: Shared,
}

impl<R: Resource> Deref for Handle<R> {
    type Target = R::Outputs;
    fn deref(&self) -> &R::Outputs {
        &self.outputs
    }
}

impl<R: Resource> std::fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle<{}>", R::SCHEMA.type_name)
    }
}

impl<R: Resource> Handle<R> {
    #[must_use]
    pub(crate) fn with(self, set: impl FnOnce(&mut Options)) -> Self {
        if let Some(declared) = lock(&self.shared).resources.get_mut(self.index as usize) {
            set(declared.options_mut());
        }
        self
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Writes down something that modules of their own declare.
    pub(crate) fn note(&self, write: impl FnOnce(&mut Declarations)) {
        write(&mut lock(&self.shared));
    }

    /// The resource's URN.
    pub fn urn(&self) -> Option<Urn> {
        lock(&self.shared).resources.get(self.index as usize).map(|declared| declared.urn.clone())
    }

    /// Refuses deletion and replacement.
    #[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
    pub fn protect(self) -> Self {
        self.with(|o| o.protect = Some(true))
    }

    /// Takes protection off, also off a type that is protected by default because it holds data.
    pub fn unprotected(self) -> Self {
        self.with(|o| o.protect = Some(false))
    }

    /// [`Handle::protect`] or [`Handle::unprotected`], as a config value says.
    pub fn protected(self, protected: bool) -> Self {
        self.with(|o| o.protect = Some(protected))
    }

    /// What this resource was called before. It is renamed, not replaced. Several aliases cover several earlier versions
    /// of the program.
    ///
    /// A plain name is the old name beside the present one (`"web"`). With a slash it is the whole old path
    /// (`"platform/web"`, or `"/web"` for what stood directly in the stack); a URN names an old type, too.
    pub fn alias(self, old: impl Into<String>) -> Self {
        self.with(|o| o.aliases.push(old.into()))
    }

    /// Adopts something that exists already, by the provider's id.
    pub fn import(self, id: impl Into<String>) -> Self {
        self.with(|o| o.import = Some(id.into()))
    }

    /// Ignores changes of these inputs: `"tags"`, `"tags.owner"`, `"rules[0].port"`, `"rules[*].port"`,
    /// `"labels[\"app.kubernetes.io/name\"]"`. A path that leads nowhere is no error.
    pub fn ignore_changes<S: Into<String>>(self, paths: impl IntoIterator<Item = S>) -> Self {
        self.with(|o| o.ignore_changes.extend(paths.into_iter().map(Into::into)))
    }

    /// A change of these inputs, or of what lies under these paths, forces a replacement: `"size"`, `"tags.owner"`,
    /// `"rules[*].port"`.
    pub fn replace_on_changes<S: Into<String>>(self, fields: impl IntoIterator<Item = S>) -> Self {
        self.with(|o| o.replace_on_changes.extend(fields.into_iter().map(Into::into)))
    }

    /// This resource comes after another one, for a reason that no reference shows; or after everything in a component.
    pub fn depends_on(self, other: &impl Dependency) -> Self {
        let other = other.depended_on();
        self.with(|o| match other {
            DependedOn::Resource(index) => o.depends_on.push(index),
            DependedOn::Component(index) => o.depends_on_components.push(index),
        })
    }

    /// [`Handle::depends_on`] by name, for a resource that is declared later or elsewhere: a name, path or URN.
    pub fn depends_on_named(self, other: impl Into<String>) -> Self {
        self.with(|o| o.depends_on_named.push(other.into()))
    }

    /// When it leaves the program it is forgotten, not deleted.
    pub fn retain_on_delete(self) -> Self {
        self.with(|o| o.retain_on_delete = true)
    }

    /// Deleting the other resource deletes this one too, so no delete call is made when both go.
    pub fn deleted_with<O: Resource>(self, other: &Handle<O>) -> Self {
        let other = other.index();
        self.with(|o| o.deleted_with = Some(other))
    }

    /// Whether a replacement deletes the old instance first.
    pub fn delete_before_replace(self, first: bool) -> Self {
        self.with(|o| o.delete_before_replace = Some(first))
    }

    /// A value whose change forces a replacement: a plain value or an output, also a secret one. Several make one with
    /// [`join`](crate::join); a later call takes the place of an earlier one. The first value of a resource that exists
    /// already is recorded and triggers nothing.
    pub fn replace_trigger<T: Lasting>(self, value: impl IntoOutput<T>) -> Self {
        let value = value.into_tree();
        self.with(|o| o.replace_trigger = Some(value))
    }

    /// How long a create may take; the type's own limit, or else 30 minutes, where unset.
    pub fn create_timeout(self, limit: Duration) -> Self {
        self.with(|o| o.create_timeout = Some(limit))
    }

    /// How long an update in place may take; the type's own limit, or else 30 minutes, where unset.
    pub fn update_timeout(self, limit: Duration) -> Self {
        self.with(|o| o.update_timeout = Some(limit))
    }

    /// How long a delete may take, also when the resource has left the program; the type's own limit, or else 30
    /// minutes, where unset.
    pub fn delete_timeout(self, limit: Duration) -> Self {
        self.with(|o| o.delete_timeout = Some(limit))
    }

    /// How long create, update and delete may each take.
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|o| {
            o.create_timeout = Some(limit);
            o.update_timeout = Some(limit);
            o.delete_timeout = Some(limit);
        })
    }

    /// Which provider instance manages it.
    pub fn provider<P: Provider>(self, provider: &ProviderHandle<P>) -> Self
    where
        R: Managed<Provider = P>,
    {
        let name = provider.name.clone();
        self.with(|o| o.provider = Some(name))
    }
}

/// The same settings, in which what is declared as ephemeral is marked so, wherever it comes from.
fn ephemeral_within(value: Value, fields: Option<&'static [PropertyField]>) -> Value {
    let (Value::Map(mut members), Some(fields)) = (value.clone(), fields) else { return value };
    for field in fields.iter().filter(|field| field.ephemeral) {
        let Some(member) = members.remove(field.name) else { continue };
        let marked = match (field.describe)() {
            Some(fields) => ephemeral_within(member, Some(fields)),
            None => member.into_ephemeral(),
        };
        members.insert(field.name.to_owned(), marked);
    }
    Value::Map(members)
}

/// A declared provider instance.
pub struct ProviderHandle<P> {
    name: String,
    provider: std::marker::PhantomData<fn() -> P>,
}

impl<P> ProviderHandle<P> {
    /// Name of the instance.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl<P> std::fmt::Debug for ProviderHandle<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProviderHandle({})", self.name)
    }
}
