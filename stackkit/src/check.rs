//! Checks: conditions on the inputs of a resource before its call, on its state after it, and on outputs of the stack.
//! Each is judged as soon as what it asks for is known: in the plan, or at its step.

use std::any::Any;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::plan::{Action, Known, Plan, PlanInput};
use crate::property::{DecodeError, Property};
use crate::resource::{Fields, Resource};
use crate::stack::{Declarations, Handle, IntoOutput, Stack};
use crate::value::Value;

/// What the closure of a check may return: whether it holds, or a `Result` whose error says why not.
pub trait Condition {
    /// Why it does not hold; empty where nothing more is to be said.
    ///
    /// # Errors
    /// When it does not hold.
    fn holds(self) -> Result<(), String>;
}

impl Condition for bool {
    fn holds(self) -> Result<(), String> {
        if self { Ok(()) } else { Err(String::new()) }
    }
}

impl<E: fmt::Display> Condition for Result<(), E> {
    fn holds(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// When a condition on a resource is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before its call, on its inputs.
    Before,
    /// After it, on inputs and outputs.
    After,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Holds,
    Unknown,
    Broken(String),
}

type Judge = dyn Fn(&[Value]) -> Found + Send + Sync;

/// One check.
#[derive(Clone)]
pub(crate) struct Check {
    message: String,
    at: &'static Location<'static>,
    moment: Moment,
    judge: Arc<Judge>,
}

/// One check of an output of the stack.
#[derive(Clone)]
pub(crate) struct OutputCheck {
    value: Value,
    check: Check,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.message)
    }
}

impl fmt::Debug for OutputCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.check.fmt(f)
    }
}

fn judge<T, C: Condition>(read: Result<T, DecodeError>, condition: &impl Fn(&T) -> C) -> Found {
    match read {
        Ok(value) => match condition(&value).holds() {
            Ok(()) => Found::Holds,
            Err(why) => Found::Broken(why),
        },
        Err(error) if error.unknown => Found::Unknown,
        Err(error) => Found::Broken(format!("it cannot be read: {error}")),
    }
}

impl Check {
    /// What is wrong; `None` where it holds or is not known yet.
    fn found(&self, values: &[Value]) -> Option<String> {
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.judge)(values)));
        match judged {
            Ok(Found::Holds | Found::Unknown) => None,
            Ok(Found::Broken(why)) if why.is_empty() => Some(self.message.clone()),
            Ok(Found::Broken(why)) => Some(format!("{}: {why}", self.message)),
            Err(payload) => Some(format!("{}: the check panicked{}", self.message, panic_text(&*payload))),
        }
    }
}

/// What a panic said, after a colon; empty where it said nothing.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.map(|text| format!(": {text}")).unwrap_or_default()
}

impl<R: Resource> Handle<R> {
    /// A condition on its inputs, judged in the plan where they are known, else before the call: while it does not hold,
    /// the resource is not touched. The message says what must be so.
    ///
    /// ```no_run
    /// # use stackkit::prelude::*;
    /// # fn program(stack: &mut Stack) {
    /// stack
    ///     .add("admin", local::RandomPassword::new(32))
    ///     .precondition("the password must be long", |password| password.length >= 16);
    /// # }
    /// ```
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
    pub fn precondition<C: Condition>(
        self,
        message: impl Into<String>,
        condition: impl Fn(&R::Args) -> C + Send + Sync + 'static,
    ) -> Self {
        let judge = move |values: &[Value]| judge(R::Args::from_values(values), &condition);
        self.add_check(message.into(), Moment::Before, Location::caller(), Arc::new(judge))
    }

    /// A condition on what the resource is after its call: when it does not hold, the resource is recorded as it is, and
    /// the step fails, so that nothing which depends on it goes on. Of a resource that the run does not change it is
    /// judged in the plan.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
    pub fn postcondition<C: Condition>(
        self,
        message: impl Into<String>,
        condition: impl Fn(&R::State) -> C + Send + Sync + 'static,
    ) -> Self {
        let judge = move |values: &[Value]| judge(R::State::from_values(values), &condition);
        self.add_check(message.into(), Moment::After, Location::caller(), Arc::new(judge))
    }

    fn add_check(self, message: String, moment: Moment, at: &'static Location<'static>, judge: Arc<Judge>) -> Self {
        let index = self.index();
        self.note(|declared| {
            declared.checks.entry(index).or_default().push(Check { message, at, moment, judge });
        });
        self
    }
}

impl Stack {
    /// A condition on a value of the stack, such as one of its outputs: judged in the plan where it is known, else at
    /// the end of the run, which then fails.
    ///
    /// ```no_run
    /// # use stackkit::prelude::*;
    /// # fn program(stack: &mut Stack) {
    /// let password = stack.add("admin", local::RandomPassword::new(32));
    /// stack.check("the password must be long", &password.length, |length| *length >= 16);
    /// # }
    /// ```
    #[track_caller]
    pub fn check<T: Property, C: Condition>(
        &mut self,
        message: impl Into<String>,
        value: impl IntoOutput<T>,
        condition: impl Fn(&T) -> C + Send + Sync + 'static,
    ) {
        let judge = move |values: &[Value]| {
            let value = values.first().unwrap_or(&Value::Null);
            if value.is_known() { judge(T::from_value(value), &condition) } else { Found::Unknown }
        };
        let check =
            Check { message: message.into(), at: Location::caller(), moment: Moment::After, judge: Arc::new(judge) };
        let value = value.into_tree();
        self.note(|declared| declared.output_checks.push(OutputCheck { value, check }));
    }
}

/// Adds every check that does not hold in the plan to its diagnostics.
pub(crate) fn judge_plan(input: &PlanInput<'_>, plan: &mut Plan) {
    let declared = input.declared;
    let mut found = Vec::new();
    for (index, checks) in &declared.checks {
        let (Some(resource), Some(values)) = (
            declared.resources.get(*index as usize),
            plan.known.get(*index as usize).filter(|known| !known.is_empty()),
        ) else {
            continue;
        };
        // Declared nodes stand in the order of their declarations.
        let node = plan.nodes.get(*index as usize);
        let untouched = node.is_some_and(|node| match node.action {
            Action::Same | Action::Record => true,
            Action::Import { .. } => node.changes.is_empty(),
            _ => false,
        });
        // What the program leaves to the cloud or the engine is unset in what a provider is given.
        let unset = |(given, known): (&Value, &Value)| {
            if given.is_null() && !known.is_known() { Value::Null } else { known.clone() }
        };
        let args: Vec<Value> = resource.values.iter().zip(values).map(unset).collect();
        for check in checks.iter().filter(|check| check.moment == Moment::Before || untouched) {
            let values = if check.moment == Moment::Before { &args } else { values };
            if let Some(message) = check.found(values) {
                found.push(broken(check, message).on(&resource.urn));
            }
        }
    }
    let lookup = Known { values: &plan.known, declared };
    for output in &declared.output_checks {
        let Ok(value) = output.value.resolve(&lookup) else { continue };
        found.extend(output.check.found(&[value]).map(|message| broken(&output.check, message)));
    }
    plan.diagnostics.extend(found);
}

fn broken(check: &Check, message: String) -> Diagnostic {
    Diagnostic::refused(format!("a check does not hold: {message}")).at(check.at)
}

/// What does not hold of a resource at this moment, as one text.
pub(crate) fn judge_step(declared: &Declarations, index: u32, moment: Moment, values: &[Value]) -> Option<String> {
    let checks = declared.checks.get(&index)?.iter().filter(|check| check.moment == moment);
    let found: Vec<String> = checks
        .filter_map(|check| Some(format!("a check does not hold: {} [{}]", check.found(values)?, check.at)))
        .collect();
    (!found.is_empty()).then(|| found.join("; "))
}

/// The checks of outputs that do not hold at the end of a run, each with its place; those on what was not reached are
/// left out.
pub(crate) fn judge_outputs(
    declared: &Declarations,
    reached: impl Fn(u32) -> bool,
    lookup: &Known<'_>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for output in &declared.output_checks {
        let mut all = true;
        output.value.references(&mut |resource| all &= reached(resource));
        if let (true, Ok(value)) = (all, output.value.resolve(lookup))
            && let Some(message) = output.check.found(&[value])
        {
            found.push((format!("a check does not hold: {message}"), output.check.at.to_string()));
        }
    }
    found
}
