//! The plan: a pure, deterministic function of declarations, state and options. No I/O happens here.

mod decide;
mod departed;
mod diff;
mod guard;
mod order;
mod paths;
mod reads;
mod select;
mod values;

use petgraph::graph::DiGraph;

pub use decide::plan;
pub(crate) use decide::{
    Retyped, SAME_NAME_HELP, alias_urn, delete_first, fixed_name, names, protected, recorded_options, retyped,
    same_name, type_of,
};
pub use diff::FieldChange;
pub(crate) use diff::{desired_inputs, diff, trigger};
pub(crate) use order::dependencies;
pub use reads::PlannedRead;
pub(crate) use reads::ReadyRead;
pub use select::Selected;
pub(crate) use select::{Glob, Scope};
pub(crate) use values::{
    Known, absorb, field_value, fill_in, is_as_recorded, lacks_outputs, named_outputs, record_values, recorded_inputs,
    seen_inputs, sought_values, state_values, told_values,
};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::event::{Operation, Summary};
use crate::stack::Declarations;
use crate::state::model::{Instance, ResourceRecord, State};
use crate::urn::Urn;
use crate::value::Value;

/// Everything that a plan is made from.
pub struct PlanInput<'a> {
    /// What the program declares; empty for a destroy.
    pub declared: &'a Declarations,
    /// The state, refreshed as far as the user wished.
    pub state: &'a State,
    /// The linked types.
    pub catalog: &'a Catalog,
    /// What was read of things to be adopted, by index of the declaration.
    pub imports: &'a std::collections::BTreeMap<u32, ResourceRecord>,
    /// Limits and selections.
    pub options: &'a PlanOptions,
}

/// Limits and selections of a plan. A saved plan carries them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanOptions {
    /// What the plan is for.
    #[serde(skip)]
    pub operation: Option<Operation>,
    /// Refuse a plan that deletes or replaces anything.
    pub no_destroy: bool,
    /// Refuse a plan that deletes or replaces more than this.
    pub max_deletes: Option<usize>,
    /// Refuse a plan that changes anything.
    pub expect_no_changes: bool,
    /// What to replace even if nothing changed: URNs, types, paths or names, in which `*` stands for any text and `?`
    /// for one character. The path of a component stands for all that is in it.
    pub replace: Vec<String>,
    /// What the plan is about, in the same way; everything where this is empty. What it needs and what does not exist,
    /// or is not finished, comes along. Everything else keeps what is recorded of it: it is neither read nor compared
    /// nor checked.
    pub targets: Vec<String>,
    /// What the plan is not about, in the same way, also where a target matches it.
    pub excludes: Vec<String>,
    /// Whether everything that depends on the targets comes along.
    pub target_dependents: bool,
    /// Whether everything that depends on what is excluded is excluded too.
    pub exclude_dependents: bool,
}

impl PlanOptions {
    /// These options with the guards of others in addition.
    #[must_use]
    pub(crate) fn guarded(mut self, by: &PlanOptions) -> Self {
        self.no_destroy |= by.no_destroy;
        self.expect_no_changes |= by.expect_no_changes;
        self.max_deletes = self.max_deletes.into_iter().chain(by.max_deletes).min();
        self
    }

    /// These options without their guards: what is planned, not what is refused.
    #[must_use]
    pub(crate) fn selection(&self) -> Self {
        Self { no_destroy: false, expect_no_changes: false, max_deletes: None, operation: None, ..self.clone() }
    }
}

/// What will be done to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Same,
    /// Nothing in the cloud; dependencies or options in the state change.
    Record,
    /// Make it.
    Create,
    /// Adopt what has this id, and update it where it differs.
    Import {
        /// The id.
        id: String,
    },
    /// Change it in place.
    Update,
    /// Make a successor and delete the old one.
    Replace {
        /// Whether the old one is deleted first.
        delete_first: bool,
    },
    /// Delete it.
    Delete,
    /// Drop it from the state without a call.
    Forget,
}

impl Action {
    /// Whether it takes a call of the provider.
    pub(crate) fn calls(&self) -> bool {
        !matches!(self, Action::Same | Action::Record | Action::Forget)
    }

    /// The verb on screen and in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Same => "same",
            Action::Record => "record",
            Action::Create => "create",
            Action::Import { .. } => "import",
            Action::Update => "update",
            Action::Replace { .. } => "replace",
            Action::Delete => "delete",
            Action::Forget => "forget",
        }
    }
}

/// What the plan says of one resource, or of one old instance.
#[derive(Debug, Clone)]
pub struct PlanNode {
    /// The resource.
    pub urn: Urn,
    /// Index of its declaration; none when it left the program.
    pub declared: Option<u32>,
    /// The instance that is there now.
    pub prior: Option<Instance>,
    /// What will be done.
    pub action: Action,
    /// Whether it will certainly be done. Where an input is known only after apply, the action is the most that may
    /// happen: "may replace" can turn out to be an update or nothing.
    pub certain: bool,
    /// Why, in whole sentences for people.
    pub reasons: Vec<String>,
    /// What changes, field by field.
    pub changes: Vec<FieldChange>,
    /// Whether the selection left it out: nothing was asked about it, and nothing is done.
    pub left_out: bool,
    /// The nodes from whose replacement this one's deletion follows, when that is not certain: it is decided there.
    pub(crate) follows: Vec<usize>,
}

/// One step of the apply graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Bring the declared resource to what the program says. Index into [`Plan::nodes`].
    Ensure(usize),
    /// Delete (or forget) the old instance of that node.
    Delete(usize, Instance),
}

/// Why one step comes after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It refers to it.
    Refers,
    /// What still uses the old instance goes or changes first.
    StillUsed,
    /// The successor is made first.
    CreateFirst,
    /// The old one is deleted first.
    DeleteFirst,
}

/// A planned output of the stack.
#[derive(Debug, Clone)]
pub struct PlannedOutput {
    /// Its name.
    pub name: String,
    /// Its value now.
    pub before: Option<Value>,
    /// Its value afterwards; none when it goes away.
    pub after: Option<Value>,
}

/// What a run will do, in what order, and why.
#[derive(Debug, Clone)]
pub struct Plan {
    /// One node a resource: declared ones in their order, then what left the program.
    pub nodes: Vec<PlanNode>,
    /// The steps and their order.
    pub steps: DiGraph<Step, Why>,
    /// What is read during the apply, because it needs something that is made or changed there.
    pub reads: Vec<PlannedRead>,
    /// The stack's outputs.
    pub outputs: Vec<PlannedOutput>,
    /// What the targets and excludes came to; none where there were none.
    pub selected: Option<Selected>,
    /// Everything wrong or refused; a plan with any cannot be applied.
    pub diagnostics: Vec<Diagnostic>,
    /// What advisory policies have to say.
    pub advice: Vec<Diagnostic>,
    /// Policies, by number, that judge a node once more of it is known, by index of the node.
    pub(crate) unjudged: std::collections::BTreeMap<usize, Vec<usize>>,
    /// What could be read before planning again; empty in a plan that is shown.
    pub(crate) ready: Vec<ReadyRead>,
    /// Values of the declared resources as far as they are known, one vector a resource.
    pub(crate) known: Vec<Vec<Value>>,
    /// Edges between declared resources.
    pub(crate) dependencies: Vec<Vec<u32>>,
}

impl Plan {
    /// How many resources it creates, updates and so on.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for node in &self.nodes {
            if node.left_out {
                summary.left_out += 1;
            } else {
                summary.count(&node.action);
            }
        }
        summary
    }

    /// Whether applying it would change anything in the cloud or in the outputs.
    pub fn has_changes(&self) -> bool {
        self.summary().has_changes() || self.outputs.iter().any(PlannedOutput::changes)
    }

    /// Whether it leaves anything out, so that what is recorded is not all of what the program says.
    pub(crate) fn is_partial(&self) -> bool {
        self.selected.as_ref().is_some_and(|selected| selected.left_out > 0)
    }

    /// Edges between declared resources: for each, the indices of what it refers to.
    pub fn dependencies(&self) -> &[Vec<u32>] {
        &self.dependencies
    }
}

impl PlannedOutput {
    /// Whether it will be another one.
    pub fn changes(&self) -> bool {
        self.before != self.after
    }
}
