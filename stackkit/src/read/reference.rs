//! References to other stacks: their outputs, read once from their state.

use std::collections::BTreeMap;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::engine::RunError;
use crate::engine::session::{Missing, Source, States};
use crate::output::Output;
use crate::property::{Property, TypeInfo};
use crate::read::{DeclaredRead, Subject};
use crate::resource::Values;
use crate::secret::Secret;
use crate::stack::{Shared, lock};
use crate::ui::nearest;
use crate::value::Value;

/// Which stack is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OtherStack {
    name: String,
    dir: Option<PathBuf>,
    backend: Option<String>,
}

impl OtherStack {
    pub(crate) fn new(name: String) -> Self {
        Self { name, dir: None, backend: None }
    }
}

/// One output that is asked for.
pub(crate) struct Wanted {
    name: String,
    pub(crate) ty: TypeInfo,
    at: &'static Location<'static>,
}

/// Another stack, whose outputs are read. See [`Scope::reference`](crate::Scope::reference).
pub struct Reference {
    index: u32,
    shared: Shared,
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reference").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Reference {
    pub(crate) fn new(index: u32, shared: Shared) -> Self {
        Self { index, shared }
    }

    fn with(&self, change: impl FnOnce(&mut OtherStack, &mut Vec<Wanted>)) {
        if let Some(DeclaredRead { subject: Subject::Stack { other, wanted }, .. }) =
            lock(&self.shared).read_mut(self.index)
        {
            change(other, wanted);
        }
    }

    /// The folder where `stackkit.<stack>.toml` of that stack stands; a relative one is taken from this stack's folder.
    #[must_use]
    pub fn dir(self, dir: impl Into<PathBuf>) -> Self {
        self.with(|other, _| other.dir = Some(dir.into()));
        self
    }

    /// URL of the backend that has the state of that stack, where it is not this stack's own.
    #[must_use]
    pub fn backend(self, url: impl Into<String>) -> Self {
        self.with(|other, _| other.backend = Some(url.into()));
        self
    }

    /// An output of that stack. A secret one is asked for as `output::<Secret<String>>("password")`, or by
    /// [`Reference::secret`]; as plain text it is an error.
    #[track_caller]
    pub fn output<T: Property>(&self, name: impl Into<String>) -> Output<T> {
        let at = Location::caller();
        let mut field = 0;
        self.with(|_, wanted| {
            field = u16::try_from(wanted.len()).unwrap_or(u16::MAX);
            wanted.push(Wanted { name: name.into(), ty: TypeInfo::of::<T>(), at });
        });
        Output::of_field(self.index, field)
    }

    /// [`Reference::output`] of a secret: `network.secret::<String>("password")`.
    #[track_caller]
    pub fn secret<T: Property>(&self, name: impl Into<String>) -> Output<Secret<T>> {
        self.output::<Secret<T>>(name)
    }
}

/// Outputs that a test gives, by stack and name.
pub(crate) type Given = BTreeMap<String, BTreeMap<String, Value>>;

/// Where the states of other stacks are found.
pub(crate) struct Neighbours<'a> {
    pub(crate) stack: &'a str,
    pub(crate) dir: &'a Path,
    pub(crate) source: &'a Source,
    /// What a test gives instead.
    pub(crate) given: &'a Arc<Given>,
}

impl Neighbours<'_> {
    /// Reads everything that is asked of other stacks, each of them once.
    ///
    /// # Errors
    /// Every stack and output that is not there or does not fit, each with its place in the program.
    pub(crate) async fn read(&self, reads: &[DeclaredRead]) -> Result<(), Vec<Diagnostic>> {
        let mut loaded: BTreeMap<&OtherStack, Result<BTreeMap<String, Value>, Diagnostic>> = BTreeMap::new();
        let mut problems = Vec::new();
        for read in reads.iter().filter(|read| !read.is_found()) {
            let Subject::Stack { other, wanted } = &read.subject else { continue };
            if !loaded.contains_key(other) {
                let outputs = self.outputs(other).await;
                problems.extend(outputs.as_ref().err().cloned().map(|problem| problem.at(read.at)));
                loaded.insert(other, outputs);
            }
            let Some(Ok(outputs)) = loaded.get(other) else { continue };
            let (mut values, before) = (Values::with_capacity(wanted.len()), problems.len());
            for wanted in wanted {
                match wanted.find(other, outputs) {
                    Ok(value) => values.push(value),
                    Err(problem) => problems.push(problem.at(wanted.at)),
                }
            }
            if problems.len() == before {
                read.set(values);
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    async fn outputs(&self, other: &OtherStack) -> Result<BTreeMap<String, Value>, Diagnostic> {
        let name = &other.name;
        if let Some(outputs) = self.given.get(name) {
            return Ok(outputs.clone());
        }
        let Source::Files { dir, states, keys, seen, .. } = self.source else {
            return Err(Diagnostic::invalid(format!("the outputs of the stack `{name}` are not given to this test"))
                .help(format!("give them: `.reference(\"{name}\", \"OUTPUT\", VALUE)`")));
        };
        if other.dir.is_none() && other.backend.is_none() && name == self.stack {
            return Err(Diagnostic::invalid(format!("the stack `{name}` refers to itself"))
                .help("use the resource's own output instead"));
        }
        let source = Source::Files {
            dir: other.dir.as_ref().map_or_else(|| dir.clone(), |other| self.dir.join(other)),
            // Without a word about it, a stack of another folder has its state where its own file says, or there.
            states: States {
                asked: other.backend.clone().or_else(|| states.asked.clone().filter(|_| other.dir.is_none())),
                usual: states.usual.filter(|_| other.dir.is_none()),
                linked: states.linked.clone(),
            },
            keys: keys.clone(),
            overrides: Vec::new(),
            seen: seen.clone(),
        };
        match source.open(name, Missing::Refuse).await {
            Ok(session) => Ok(session.state.outputs),
            Err(RunError::NoStack { dir, .. }) => Err(Diagnostic::invalid(format!(
                "there is no stack `{name}` in {dir} to take outputs from"
            ))
            .help(format!("run its program's `up` first, as in `up -s {name}`; `.dir(…)` names another folder"))),
            Err(error) => Err(Diagnostic::invalid(format!("the stack `{name}` cannot be read: {error}"))),
        }
    }
}

impl Wanted {
    fn find(&self, other: &OtherStack, outputs: &BTreeMap<String, Value>) -> Result<Value, Diagnostic> {
        let (stack, name) = (&other.name, &self.name);
        let Some(value) = outputs.get(name) else {
            let problem = Diagnostic::invalid(format!("the stack `{stack}` has no output `{name}`"));
            let known: Vec<&str> = outputs.keys().map(String::as_str).collect();
            return Err(match nearest(name, known.iter().copied()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None if known.is_empty() => problem.help(format!("it has none; run `up -s {stack}` first")),
                None => problem.help(format!("it has {}", known.join(", "))),
            });
        };
        let type_name = (self.ty.name)();
        if value.has_secret() && !self.ty.secret {
            let problem = Diagnostic::invalid(format!("the output `{name}` of the stack `{stack}` is secret"));
            return Err(problem.help(format!("ask for it as `.secret::<{type_name}>(\"{name}\")`")));
        }
        let value = if self.ty.secret && !value.has_secret() { (self.ty.hide)(value.clone()) } else { value.clone() };
        match (self.ty.check)(&value) {
            Ok(()) => Ok(value),
            Err(error) => Err(Diagnostic::invalid(format!(
                "the output `{name}` of the stack `{stack}` does not fit `{type_name}`: {error}"
            ))
            .help("ask for it as the type that the other program gives it")),
        }
    }
}
