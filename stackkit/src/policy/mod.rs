//! Policies: what a program, or whoever hands it a pack of them, demands of every plan. Typed closures over what is
//! planned; what is not known yet is judged again when it is.

mod judge;
mod remedy;
mod view;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

pub(crate) use judge::{Judged, Scene, judge, judge_deletion, judge_step};
pub use remedy::{AnyRemedy, Remedy};
pub(crate) use remedy::{explain, remedy};
pub use view::{PlanView, PolicyView, ResourceView};

use crate::diagnostic::Diagnostic;
use crate::resource::Resource;
use crate::stack::Stack;
use crate::urn::Urn;

/// What a violation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A warning; the run goes on.
    Advisory,
    /// The plan is refused before anything is touched; a step whose inputs become known only during the run is stopped
    /// before its call.
    Mandatory,
}

/// What a policy says of what it is shown: nothing against it, or an [`Objection`].
pub type Verdict = Result<(), Objection>;

/// Why a policy does not let something pass: one violation or several, or that it asks for what is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    findings: Vec<Finding>,
    pending: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Finding {
    urn: Option<Urn>,
    field: Option<String>,
    message: String,
    help: Option<String>,
}

impl Objection {
    /// A violation. Texts are scrubbed of secrets before anybody sees them.
    pub fn new(message: impl Into<String>) -> Self {
        Self { findings: vec![Finding { message: message.into(), ..Finding::default() }], pending: false }
    }

    fn pending() -> Self {
        Self { findings: Vec::new(), pending: true }
    }

    /// Names the input that it is about.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        if let Some(last) = self.findings.last_mut() {
            last.field = Some(field.into());
        }
        self
    }

    /// Says the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(last) = self.findings.last_mut() {
            last.help = Some(help.into());
        }
        self
    }

    /// Names the resource that it is about, where the policy judges more than one.
    #[must_use]
    pub fn on(mut self, urn: &Urn) -> Self {
        for finding in &mut self.findings {
            finding.urn.get_or_insert_with(|| urn.clone());
        }
        self
    }

    /// Whether it only says that something is not known yet.
    pub fn is_pending(&self) -> bool {
        self.findings.is_empty()
    }
}

impl From<&str> for Objection {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Objection {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

/// Passes when the condition holds, else objects with the message.
///
/// # Errors
/// The objection, when it does not hold.
pub fn ensure(holds: bool, message: impl Into<String>) -> Verdict {
    if holds { Ok(()) } else { Err(Objection::new(message)) }
}

/// Passes when all of them do; otherwise every violation of all of them together.
///
/// # Errors
/// The violations; or that some are not known yet, where there are none.
pub fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let mut found = Objection { findings: Vec::new(), pending: false };
    for objection in verdicts.into_iter().filter_map(Result::err) {
        found.findings.extend(objection.findings);
        found.pending |= objection.pending;
    }
    if found.findings.is_empty() && !found.pending { Ok(()) } else { Err(found) }
}

type JudgeEach = dyn Fn(&ResourceView<'_>) -> Verdict + Send + Sync;
type JudgePlan = dyn Fn(&PlanView<'_>) -> Verdict + Send + Sync;
type Change = dyn Fn(&AnyRemedy<'_>) -> Verdict + Send + Sync;

#[derive(Clone)]
enum Rule {
    Each { level: Level, of: Option<&'static str>, judge: Arc<JudgeEach> },
    Plan { level: Level, judge: Arc<JudgePlan> },
    Remedy { of: Option<&'static str>, change: Arc<Change> },
}

/// One policy.
#[derive(Clone)]
pub struct Policy {
    name: String,
    description: String,
    deletions: bool,
    rule: Rule,
    at: &'static Location<'static>,
}

impl Policy {
    #[track_caller]
    fn new(name: impl Into<String>, rule: Rule) -> Self {
        Self { name: name.into(), description: String::new(), deletions: false, rule, at: Location::caller() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, as [`Policies::describe`] says.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// `advisory`, `mandatory` or `remediating`.
    pub fn level(&self) -> &'static str {
        match self.rule {
            Rule::Each { level: Level::Advisory, .. } | Rule::Plan { level: Level::Advisory, .. } => "advisory",
            Rule::Each { .. } | Rule::Plan { .. } => "mandatory",
            Rule::Remedy { .. } => "remediating",
        }
    }

    /// What it judges: the name of a type, `every resource` or `the plan`; with `deletions of` before it where it judges
    /// what goes.
    pub fn subject(&self) -> String {
        let of = match self.rule {
            Rule::Each { of: Some(of), .. } | Rule::Remedy { of: Some(of), .. } => of,
            Rule::Each { .. } | Rule::Remedy { .. } => "every resource",
            Rule::Plan { .. } => "the plan",
        };
        if self.deletions { format!("deletions of {of}") } else { of.to_owned() }
    }

    /// Where it was declared.
    pub fn at(&self) -> &'static Location<'static> {
        self.at
    }

    fn mandatory(&self) -> bool {
        self.level() != "advisory"
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({}, {}, {})", self.name, self.level(), self.subject())
    }
}

/// A pack of policies: a value, so that a crate can hand it to any program, which adds it with [`Stack::policies`].
///
/// ```
/// use stackkit::local;
/// use stackkit::policy::{Level, Policies, PolicyView, ensure};
///
/// pub fn our_rules() -> Policies {
///     Policies::new()
///         .policy("long-passwords", Level::Mandatory, |password: &PolicyView<local::RandomPassword>| {
///             ensure(password.get(&password.length)? >= 16, "passwords have at least 16 characters")
///         })
///         .describe("Passwords that the program makes cannot be guessed")
/// }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Policies(Vec<Policy>);

impl Policies {
    /// An empty pack.
    pub fn new() -> Self {
        Self::default()
    }

    /// A policy for every resource of one type, which the type of the closure's parameter names.
    #[track_caller]
    pub fn policy<R: Resource>(
        mut self,
        name: impl Into<String>,
        level: Level,
        judge: impl Fn(&PolicyView<'_, R>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.0.push(typed(name.into(), level, judge));
        self
    }

    /// A policy for every resource, whatever its type.
    #[track_caller]
    pub fn policy_for_each(
        mut self,
        name: impl Into<String>,
        level: Level,
        judge: impl Fn(&ResourceView<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.0.push(Policy::new(name, Rule::Each { level, of: None, judge: Arc::new(judge) }));
        self
    }

    /// A policy for the plan as a whole. It judges what the plan knows, once.
    #[track_caller]
    pub fn policy_for_plan(
        mut self,
        name: impl Into<String>,
        level: Level,
        judge: impl Fn(&PlanView<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.0.push(Policy::new(name, Rule::Plan { level, judge: Arc::new(judge) }));
        self
    }

    /// A remediation: it changes inputs of every resource of one type before anything is planned.
    ///
    /// Remediations run when the program has ended, in the order in which they were added, again and again until
    /// nothing changes any more. They see what the program gives; one that asks for what is not known yet leaves that
    /// resource as it is. The plan names them where they changed something.
    #[track_caller]
    pub fn remedy<R: Resource>(
        mut self,
        name: impl Into<String>,
        change: impl Fn(&Remedy<'_, R>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.0.push(typed_remedy(name.into(), change));
        self
    }

    /// [`Policies::remedy`] for every resource, whatever its type.
    #[track_caller]
    pub fn remedy_for_each(
        mut self,
        name: impl Into<String>,
        change: impl Fn(&AnyRemedy<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.0.push(Policy::new(name, Rule::Remedy { of: None, change: Arc::new(change) }));
        self
    }

    /// Says what the policy that was added last is for; `policy list` shows it.
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.description = description.into();
        }
        self
    }

    /// The policy that was added last judges what a run deletes or replaces, by its recorded values, instead of what
    /// the program declares. For a policy over the whole plan, which sees both, it means nothing. `destroy` does not run
    /// the program and asks no policy: what must outlive it is protected.
    pub fn deletions(mut self) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.deletions = true;
        }
        self
    }

    /// Adds the policies of another pack.
    pub fn and(mut self, other: Policies) -> Self {
        self.0.extend(other.0);
        self
    }
}

#[track_caller]
fn typed<R: Resource>(
    name: String,
    level: Level,
    judge: impl Fn(&PolicyView<'_, R>) -> Verdict + Send + Sync + 'static,
) -> Policy {
    let judge = move |view: &ResourceView<'_>| judge(&PolicyView::new(view));
    Policy::new(name, Rule::Each { level, of: Some(R::SCHEMA.type_name), judge: Arc::new(judge) })
}

#[track_caller]
fn typed_remedy<R: Resource>(
    name: String,
    change: impl Fn(&Remedy<'_, R>) -> Verdict + Send + Sync + 'static,
) -> Policy {
    let change = move |any: &AnyRemedy<'_>| change(&Remedy::new(any));
    Policy::new(name, Rule::Remedy { of: Some(R::SCHEMA.type_name), change: Arc::new(change) })
}

/// A policy that was just declared on a stack; its methods say more of it.
pub struct PolicyHandle<'a> {
    stack: &'a mut Stack,
    index: Option<usize>,
}

impl fmt::Debug for PolicyHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyHandle")
    }
}

impl PolicyHandle<'_> {
    fn with(self, change: impl FnOnce(&mut Policy)) -> Self {
        let index = self.index;
        self.stack.note(|declared| {
            if let Some(policy) = index.and_then(|index| declared.policies.get_mut(index)) {
                change(policy);
            }
        });
        self
    }

    /// Says what it is for; `policy list` shows it.
    #[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
    pub fn describe(self, description: impl Into<String>) -> Self {
        self.with(|policy| policy.description = description.into())
    }

    /// See [`Policies::deletions`].
    #[allow(clippy::return_self_not_must_use, reason = "the declaration stands already")]
    pub fn deletions(self) -> Self {
        self.with(|policy| policy.deletions = true)
    }
}

impl Stack {
    /// Adds a pack of policies.
    pub fn policies(&mut self, policies: Policies) {
        for policy in policies.0 {
            self.add_policy(policy);
        }
    }

    /// Declares a policy for every resource of one type, which the type of the closure's parameter names.
    ///
    /// ```no_run
    /// # use stackkit::prelude::*;
    /// use stackkit::policy::{Level, PolicyView, ensure};
    ///
    /// # fn program(stack: &mut Stack) {
    /// stack.policy("long-passwords", Level::Mandatory, |password: &PolicyView<local::RandomPassword>| {
    ///     ensure(password.get(&password.length)? >= 16, "passwords have at least 16 characters")
    /// });
    /// # }
    /// ```
    #[track_caller]
    pub fn policy<R: Resource>(
        &mut self,
        name: impl Into<String>,
        level: Level,
        judge: impl Fn(&PolicyView<'_, R>) -> Verdict + Send + Sync + 'static,
    ) -> PolicyHandle<'_> {
        self.add_policy(typed(name.into(), level, judge))
    }

    /// Declares a policy for every resource; see [`Policies::policy_for_each`].
    #[track_caller]
    pub fn policy_for_each(
        &mut self,
        name: impl Into<String>,
        level: Level,
        judge: impl Fn(&ResourceView<'_>) -> Verdict + Send + Sync + 'static,
    ) -> PolicyHandle<'_> {
        self.add_policy(Policy::new(name, Rule::Each { level, of: None, judge: Arc::new(judge) }))
    }

    /// Declares a policy for the plan as a whole; see [`Policies::policy_for_plan`].
    #[track_caller]
    pub fn policy_for_plan(
        &mut self,
        name: impl Into<String>,
        level: Level,
        judge: impl Fn(&PlanView<'_>) -> Verdict + Send + Sync + 'static,
    ) -> PolicyHandle<'_> {
        self.add_policy(Policy::new(name, Rule::Plan { level, judge: Arc::new(judge) }))
    }

    /// Declares a remediation for one type; see [`Policies::remedy`].
    #[track_caller]
    pub fn remedy<R: Resource>(
        &mut self,
        name: impl Into<String>,
        change: impl Fn(&Remedy<'_, R>) -> Verdict + Send + Sync + 'static,
    ) -> PolicyHandle<'_> {
        self.add_policy(typed_remedy(name.into(), change))
    }

    /// Declares a remediation for every resource; see [`Policies::remedy_for_each`].
    #[track_caller]
    pub fn remedy_for_each(
        &mut self,
        name: impl Into<String>,
        change: impl Fn(&AnyRemedy<'_>) -> Verdict + Send + Sync + 'static,
    ) -> PolicyHandle<'_> {
        self.add_policy(Policy::new(name, Rule::Remedy { of: None, change: Arc::new(change) }))
    }

    fn add_policy(&mut self, policy: Policy) -> PolicyHandle<'_> {
        let mut index = None;
        self.note(|declared| {
            if let Some(first) = declared.policies.iter().find(|first| first.name == policy.name) {
                declared.diagnostics.push(
                    Diagnostic::invalid(format!(
                        "the policy `{}` is declared twice; the first is at {}",
                        policy.name, first.at
                    ))
                    .help("give one of them another name")
                    .at(policy.at),
                );
            } else {
                index = Some(declared.policies.len());
                declared.policies.push(policy);
            }
        });
        PolicyHandle { stack: self, index }
    }
}

/// Runs a closure of a policy; a panic in it is an error that names the policy.
fn run(policy: &Policy, judge: impl FnOnce() -> Verdict) -> Result<Verdict, Diagnostic> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(judge)).map_err(|payload| {
        let why = crate::check::panic_text(&*payload);
        Diagnostic::invalid(format!("the policy `{}` panicked{why}", policy.name)).at(policy.at).policy(&policy.name)
    })
}
