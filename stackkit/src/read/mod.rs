//! Reads: what a program takes from elsewhere and never manages – existing things, answers of providers, and outputs of
//! other stacks. Nothing of them is recorded.

mod ask;
mod declare;
mod outside;
mod reference;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock};

pub(crate) use ask::{Asked, ask};
pub use declare::{Answered, Existing, LookUp};
pub(crate) use outside::Outside;
pub use reference::Reference;
pub(crate) use reference::{Given, Neighbours, OtherStack, Wanted};

use crate::diagnostic::Diagnostic;
use crate::lookup::Query;
use crate::resource::Values;
use crate::schema::{Role, Schema};
use crate::stack::Declarations;
use crate::urn::Urn;
use crate::value::{EvalError, Lookup, Value};

/// References from here on name reads; those below name resources.
pub(crate) const FIRST: u32 = 1 << 31;

/// The index of the read that a reference names; none where it names a resource.
pub(crate) fn index_of(reference: u32) -> Option<usize> {
    reference.checked_sub(FIRST).map(|index| index as usize)
}

/// One declared read.
pub struct DeclaredRead {
    /// Type and name, as of a resource.
    pub urn: Urn,
    /// Where in the program it was declared.
    pub at: &'static Location<'static>,
    pub(crate) subject: Subject,
    /// The component that it is declared in.
    pub(crate) component: Option<u32>,
    /// The provider instance; the provider's default one where unset.
    pub(crate) provider: Option<String>,
    /// What was found, once it has been read: it stays the same for the whole run.
    found: OnceLock<Values>,
}

/// What is read.
pub(crate) enum Subject {
    /// Something that exists and that somebody else manages.
    Existing { schema: &'static Schema, id: Value },
    /// A question to a provider.
    Question { query: Arc<dyn Query>, args: Values },
    /// Outputs of another stack.
    Stack { other: OtherStack, wanted: Vec<Wanted> },
}

impl DeclaredRead {
    pub(crate) fn new(urn: Urn, subject: Subject, component: Option<u32>, at: &'static Location<'static>) -> Self {
        Self { urn, at, subject, component, provider: None, found: OnceLock::new() }
    }

    /// Name of the provider that is asked; none where a stack is.
    pub(crate) fn asks(&self) -> Option<&'static str> {
        self.schema().map(Schema::provider)
    }

    fn schema(&self) -> Option<&'static Schema> {
        match &self.subject {
            Subject::Existing { schema, .. } => Some(schema),
            Subject::Question { query, .. } => Some(query.schema()),
            Subject::Stack { .. } => None,
        }
    }

    /// Name of the provider instance that is asked; none where a stack is.
    pub(crate) fn provider_instance(&self) -> Option<&str> {
        let schema = self.schema()?;
        Some(self.provider.as_deref().unwrap_or_else(|| schema.provider()))
    }

    /// The values that it is asked with, references included.
    pub(crate) fn inputs(&self) -> &[Value] {
        match &self.subject {
            Subject::Existing { id, .. } => std::slice::from_ref(id),
            Subject::Question { args, .. } => args,
            Subject::Stack { .. } => &[],
        }
    }

    /// Whether it has been read.
    pub(crate) fn is_found(&self) -> bool {
        self.found.get().is_some()
    }

    /// Keeps what was read.
    pub(crate) fn set(&self, values: Values) {
        // A second answer would contradict what the first one has decided already.
        let _ = self.found.set(values);
    }

    /// What was read.
    pub(crate) fn values(&self) -> &[Value] {
        self.found.get().map_or(&[], Vec::as_slice)
    }

    /// A field as a reference sees it.
    pub(crate) fn field(&self, field: u16) -> Value {
        if let Some(values) = self.found.get() {
            return values.get(field as usize).cloned().unwrap_or_default();
        }
        let secret = match &self.subject {
            Subject::Stack { wanted, .. } => wanted.get(field as usize).is_some_and(|wanted| wanted.ty.secret),
            _ => {
                self.schema().and_then(|schema| schema.fields.get(field as usize)).is_some_and(|field| field.ty.secret)
            }
        };
        Value::Unknown { secret }
    }

    /// What it is asked with, resolved; `None` while any of it is unknown.
    pub(crate) fn resolved(&self, lookup: &dyn Lookup) -> Result<Option<Values>, EvalError> {
        let inputs = self.inputs().iter().map(|value| value.resolve(lookup)).collect::<Result<Values, _>>()?;
        Ok(inputs.iter().all(Value::is_known).then_some(inputs))
    }

    /// What is wrong with resolved inputs, by their types.
    pub(crate) fn problems(&self, inputs: &[Value]) -> Vec<Diagnostic> {
        let wrong = |message: String| Diagnostic::invalid(message).on(&self.urn).at(self.at);
        match &self.subject {
            Subject::Existing { .. } => match inputs {
                [Value::Text(id)] if !id.is_empty() => Vec::new(),
                _ => vec![wrong("it is to be read, and its id is empty".into())],
            },
            Subject::Question { query, .. } => {
                let fields = query.schema().fields.iter().zip(inputs);
                fields
                    .filter(|(field, value)| field.role == Role::Input && !(value.is_null() && field.default.is_some()))
                    .filter_map(|(field, value)| {
                        let error = (field.ty.check)(value).err()?;
                        let path = std::iter::once(field.name.to_owned()).chain(error.path).collect::<Vec<_>>();
                        Some(wrong(error.message).field(path.join(".")))
                    })
                    .collect()
            }
            Subject::Stack { .. } => Vec::new(),
        }
    }
}

impl fmt::Debug for DeclaredRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclaredRead").field("urn", &self.urn).field("found", &self.is_found()).finish_non_exhaustive()
    }
}

/// Finds the resources that stand behind a value: those that it names, and those that the reads in it need first.
pub(crate) struct Behind<'a> {
    declared: &'a Declarations,
    settings: HashMap<&'a str, &'a Value>,
}

impl<'a> Behind<'a> {
    pub(crate) fn of(declared: &'a Declarations) -> Self {
        let settings = declared.providers.iter().map(|provider| (provider.name.as_str(), &provider.settings));
        // Without reads nobody asks for them.
        let settings = if declared.reads.is_empty() { HashMap::new() } else { settings.collect() };
        Self { declared, settings }
    }

    /// Calls `visit` with the index of every such resource.
    pub(crate) fn resources(&self, value: &Value, visit: &mut dyn FnMut(u32)) {
        let mut open = Vec::new();
        value.references(&mut |to| if to >= FIRST { open.push(to) } else { visit(to) });
        self.follow(open, &mut |_| {}, visit);
    }

    /// The reads in a value that have not been made, and those that they need first.
    pub(crate) fn open_reads(&self, value: &Value, into: &mut Vec<u32>) {
        let mut open = Vec::new();
        value.references(&mut |to| {
            if to >= FIRST {
                open.push(to);
            }
        });
        let unread = |to: &u32| self.declared.read(*to).is_some_and(|read| !read.is_found());
        open.retain(unread);
        self.follow(
            open,
            &mut |to| {
                if unread(&to) {
                    into.push(to)
                }
            },
            &mut |_| {},
        );
    }

    /// The resources that a read needs first; whether it needs itself.
    pub(crate) fn needs(&self, read: u32) -> (Vec<u32>, bool) {
        let (mut resources, mut circular) = (Vec::new(), false);
        let mut open = Vec::new();
        self.step(read, &mut open, &mut |to| resources.push(to));
        self.follow(open, &mut |to| circular |= to == read, &mut |to| resources.push(to));
        resources.sort_unstable();
        resources.dedup();
        (resources, circular)
    }

    fn step(&self, read: u32, open: &mut Vec<u32>, visit: &mut dyn FnMut(u32)) {
        let Some(declared) = self.declared.read(read) else { return };
        let settings = declared.provider_instance().and_then(|instance| self.settings.get(instance)).copied();
        for value in declared.inputs().iter().chain(settings) {
            value.references(&mut |to| if to >= FIRST { open.push(to) } else { visit(to) });
        }
    }

    fn follow(&self, mut open: Vec<u32>, reads: &mut dyn FnMut(u32), resources: &mut dyn FnMut(u32)) {
        let mut seen = HashSet::new();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                reads(next);
                self.step(next, &mut open, resources);
            }
        }
    }
}
