//! Transforms: closures that change what was declared, once the program has ended and before anything is planned.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::component::Scope;
use crate::diagnostic::Diagnostic;
use crate::plan::FieldChange;
use crate::property::Property;
use crate::provider::Provider;
use crate::resource::{Resource, Values};
use crate::schema::{Role, Schema};
use crate::stack::{Declarations, Declared, IntoOutput, ProviderHandle, lock};
use crate::urn::Urn;
use crate::value::{Expr, Value};

/// A closure over the declarations of one scope.
pub(crate) struct Transform {
    /// The component whose resources it sees; none for the whole stack.
    component: Option<u32>,
    /// The type that it sees; none for all.
    type_name: Option<&'static str>,
    at: &'static Location<'static>,
    run: Box<dyn Fn(&mut Declaration<'_>) + Send + Sync>,
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transform({})", self.at)
    }
}

/// What a transform did to a resource.
#[derive(Debug, Clone)]
pub(crate) struct Transformed {
    at: &'static Location<'static>,
    fields: BTreeSet<String>,
    options: BTreeSet<&'static str>,
}

impl Scope {
    /// Changes every resource of one type in this scope, whether it is declared before or afterwards: the closure runs
    /// when the program has ended. Transforms run in the order in which they are declared.
    ///
    /// The closure gets the draft, and beside it what else the declaration has; see [`Declaration`]. What it changed is
    /// shown with the plan. A panic in it is an error of the program.
    ///
    /// ```
    /// use stackkit::prelude::*;
    ///
    /// #[stackkit::program]
    /// async fn notes(stack: &mut Stack) -> Result<()> {
    ///     stack.transform::<local::File>(|file, at| if at.is_set("mode") { file } else { file.mode("0600") });
    ///     stack.add("motd", local::File::new("motd", "hello"));
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn transform<R: Resource>(&mut self, transform: impl Fn(R, &mut Declaration<'_>) -> R + Send + Sync + 'static) {
        self.push_transform(Some(R::SCHEMA.type_name), Location::caller(), move |declaration| {
            let draft = R::from_draft(declaration.declared.values.clone());
            let values = transform(draft, declaration).into_values();
            declaration.replace(values);
        });
    }

    /// Changes every resource in this scope, of whatever type, by the names of its fields; otherwise as
    /// [`Scope::transform`].
    ///
    /// ```
    /// # use stackkit::prelude::*;
    /// # #[stackkit::program]
    /// # async fn tagged(stack: &mut Stack) -> Result<()> {
    /// stack.transform_all(|resource| resource.tag("team", "shop"));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn transform_all(&mut self, transform: impl Fn(&mut Declaration<'_>) + Send + Sync + 'static) {
        self.push_transform(None, Location::caller(), transform);
    }

    fn push_transform(
        &mut self,
        type_name: Option<&'static str>,
        at: &'static Location<'static>,
        run: impl Fn(&mut Declaration<'_>) + Send + Sync + 'static,
    ) {
        let transform = Transform { component: self.component, type_name, at, run: Box::new(run) };
        lock(&self.shared).transforms.push(transform);
    }
}

/// A declared resource, as a transform sees and changes it.
pub struct Declaration<'a> {
    declared: &'a mut Declared,
    /// Path of its component.
    component: Arc<str>,
    schemas: &'a [&'static Schema],
    at: &'static Location<'static>,
    done: Transformed,
    problems: Vec<Diagnostic>,
}

impl std::fmt::Debug for Declaration<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Declaration({})", self.declared.urn)
    }
}

impl Declaration<'_> {
    /// The resource's URN.
    pub fn urn(&self) -> &Urn {
        &self.declared.urn
    }

    /// The name given in the program.
    pub fn name(&self) -> &str {
        self.declared.urn.name()
    }

    /// Path of the component that it is in, such as `network/private`; empty directly in the stack.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The description of its type.
    pub fn schema(&self) -> &'static Schema {
        self.declared.schema
    }

    /// Whether its type has an input of that name.
    pub fn has(&self, field: &str) -> bool {
        self.input(field).is_some()
    }

    /// Whether the input is set, by the program or an earlier transform.
    pub fn is_set(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// What the input is set to, references not resolved; none where it is unset.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.declared.values.get(self.input(field)?).filter(|value| !value.is_null())
    }

    /// Sets an input by its name. A field that the type does not have, a value that does not fit, and a secret in a
    /// field that is not secret are errors of the program.
    pub fn set<T: Property>(&mut self, field: &str, value: impl IntoOutput<T>) {
        self.set_value(field, value.into_tree());
    }

    /// [`Declaration::set`] with a value tree.
    pub fn set_value(&mut self, field: &str, value: Value) {
        let Some(index) = self.input(field) else {
            let type_name = self.declared.schema.type_name;
            return self
                .problem(Some(field), format!("a transform sets `{field}`, which is no input of `{type_name}`"));
        };
        let description = &self.declared.schema.fields[index];
        let value = if description.ty.secret && !value.is_null() { (description.ty.hide)(value) } else { value };
        if !description.ty.secret && may_be_secret(&value, self.schemas) {
            return self.problem(Some(field), "a transform would put a secret into it, and it is not secret".into());
        }
        if !value.is_null()
            && let Err(error) = (description.ty.check)(&value)
            && !error.unknown
        {
            return self.problem(Some(field), format!("a transform sets it to something that does not fit: {error}"));
        }
        if let Some(slot) = self.declared.values.get_mut(index)
            && !same(slot, &value)
        {
            *slot = value;
            self.done.fields.insert(field.to_owned());
        }
    }

    /// Sets a tag, where the type has a map of texts called `tags`; other types are left as they are.
    pub fn tag<T: Property>(&mut self, key: &str, value: impl IntoOutput<T>) {
        let Some(index) = crate::component::tags_field(self.declared.schema) else { return };
        let tag = Value::Map([(key.to_owned(), value.into_tree())].into());
        let present = self.declared.values.get(index).unwrap_or(&Value::Null);
        let both = crate::component::merged(present, &tag, self.at);
        self.set_value("tags", both);
    }

    /// See [`crate::Handle::protect`].
    pub fn protect(&mut self) {
        self.option("protect", |o| o.protect = Some(true));
    }

    /// See [`crate::Handle::unprotected`].
    pub fn unprotected(&mut self) {
        self.option("protect", |o| o.protect = Some(false));
    }

    /// See [`crate::Handle::retain_on_delete`].
    pub fn retain_on_delete(&mut self) {
        self.option("retain_on_delete", |o| o.retain_on_delete = true);
    }

    /// See [`crate::Handle::delete_before_replace`].
    pub fn delete_before_replace(&mut self, first: bool) {
        self.option("delete_before_replace", |o| o.delete_before_replace = Some(first));
    }

    /// See [`crate::Handle::ignore_changes`].
    pub fn ignore_changes<S: Into<String>>(&mut self, paths: impl IntoIterator<Item = S>) {
        self.option("ignore_changes", |o| o.ignore_changes.extend(paths.into_iter().map(Into::into)));
    }

    /// See [`crate::Handle::timeout`].
    pub fn timeout(&mut self, limit: Duration) {
        self.option("timeout", |o| {
            (o.create_timeout, o.update_timeout, o.delete_timeout) = (Some(limit), Some(limit), Some(limit));
        });
    }

    /// See [`crate::Handle::provider`]. A provider that does not manage the type is an error of the program.
    pub fn provider<P: Provider>(&mut self, provider: &ProviderHandle<P>) {
        let managed_by = self.declared.schema.provider();
        if managed_by != P::NAME {
            let message =
                format!("a transform gives it to the provider `{}`, and it is managed by `{managed_by}`", P::NAME);
            return self.problem(None, message);
        }
        let name = provider.name().to_owned();
        self.option("provider", |o| o.provider = Some(name));
    }

    /// Reports that something is wrong with the resource. The run stops before anything is planned.
    pub fn error(&mut self, message: impl Into<String>) {
        self.problem(None, message.into());
    }

    fn input(&self, field: &str) -> Option<usize> {
        let index = self.declared.schema.index(field)?;
        (self.declared.schema.fields[index].role == Role::Input).then_some(index)
    }

    fn option(&mut self, name: &'static str, set: impl FnOnce(&mut crate::options::Options)) {
        set(self.declared.options_mut());
        self.done.options.insert(name);
    }

    fn problem(&mut self, field: Option<&str>, message: String) {
        let mut problem = Diagnostic::invalid(message).on(&self.declared.urn).at(self.at);
        problem.field = field.map(str::to_owned);
        problem.help = Some(format!("the resource is declared at {}", self.declared.at));
        self.problems.push(problem);
    }

    /// Takes the values of a typed draft, whose types have seen to it that they fit.
    fn replace(&mut self, values: Values) {
        let schema = self.declared.schema;
        for ((field, before), after) in schema.fields.iter().zip(&self.declared.values).zip(&values) {
            if !same(before, after) {
                self.done.fields.insert(field.name.to_owned());
            }
        }
        self.declared.values = values;
    }
}

/// Runs all transforms, in the order in which they are declared, over the resources of their scopes.
pub(crate) fn transform(declared: &mut Declarations) {
    let transforms = std::mem::take(&mut declared.transforms);
    if transforms.is_empty() {
        return;
    }
    let schemas: Vec<&'static Schema> = declared.resources.iter().map(|resource| resource.schema).collect();
    let stack: Arc<str> = "".into();
    for (index, resource) in declared.resources.iter_mut().enumerate() {
        let components = Ancestors { components: &declared.components, next: resource.component };
        let within: Vec<u32> = components.collect();
        let component = within.first().and_then(|index| declared.components.get(*index as usize));
        let component = component.map_or(&stack, |component| &component.path);
        for transform in &transforms {
            let concerned = transform.component.is_none_or(|component| within.contains(&component))
                && transform.type_name.is_none_or(|name| name == resource.schema.type_name);
            if !concerned {
                continue;
            }
            let done = Transformed { at: transform.at, fields: BTreeSet::new(), options: BTreeSet::new() };
            let mut declaration = Declaration {
                declared: &mut *resource,
                component: Arc::clone(component),
                schemas: &schemas,
                at: transform.at,
                done,
                problems: Vec::new(),
            };
            let ran = catch_unwind(AssertUnwindSafe(|| (transform.run)(&mut declaration)));
            if let Err(panic) = ran {
                declaration.problem(None, format!("a transform panicked: {}", panic_text(&*panic)));
            }
            let Declaration { done, problems, .. } = declaration;
            declared.diagnostics.extend(problems);
            if !done.fields.is_empty() || !done.options.is_empty() {
                declared.transformed.entry(index as u32).or_default().push(done);
            }
        }
    }
}

/// What transforms have to do with the changes of a resource, for the plan: one sentence a transform.
pub(crate) fn reasons(declared: &Declarations, index: u32, changes: &[FieldChange]) -> Vec<String> {
    let transformed = declared.transformed.get(&index).map_or(&[][..], Vec::as_slice);
    let concerned = |done: &&Transformed| {
        !done.options.is_empty() || changes.iter().any(|change| done.fields.contains(change.field))
    };
    transformed
        .iter()
        .filter(concerned)
        .map(|done| {
            let names = done.fields.iter().map(String::as_str).chain(done.options.iter().copied());
            let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
            format!("the transform at {} set {}", done.at, names.join(", "))
        })
        .collect()
}

/// A component and those that it is in, from the inside out.
struct Ancestors<'a> {
    components: &'a [crate::component::DeclaredComponent],
    next: Option<u32>,
}

impl Iterator for Ancestors<'_> {
    type Item = u32;
    fn next(&mut self) -> Option<u32> {
        let this = self.next?;
        self.next = self.components.get(this as usize).and_then(|component| component.parent);
        Some(this)
    }
}

/// Whether two trees are the same, references by what they refer to.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Expr(Expr::Attr { resource: a, field: x }), Value::Expr(Expr::Attr { resource: b, field: y })) => {
            (a, x) == (b, y)
        }
        (Value::Expr(Expr::Computed(a)), Value::Expr(Expr::Computed(b))) => Arc::ptr_eq(a, b),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        (Value::Secret(a), Value::Secret(b)) => same(a.reveal(), b.reveal()),
        (a, b) => a == b,
    }
}

/// Whether a value is or will be secret, as far as marks and the types of what it refers to say.
fn may_be_secret(value: &Value, schemas: &[&'static Schema]) -> bool {
    match value {
        Value::Expr(Expr::Attr { resource, field }) => schemas
            .get(*resource as usize)
            .and_then(|schema| schema.fields.get(*field as usize))
            .is_some_and(|field| field.ty.secret),
        Value::List(items) => items.iter().any(|item| may_be_secret(item, schemas)),
        Value::Map(map) => map.values().any(|item| may_be_secret(item, schemas)),
        other => other.has_secret(),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
