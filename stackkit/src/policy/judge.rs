//! Judging: the whole plan before anything is touched, and single steps once what they wait for is known.

use super::{Level, Objection, PlanView, Policy, ResourceView, Rule, Verdict, run};
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::plan::{Action, Plan, PlanInput, PlanNode};
use crate::resource::Values;
use crate::stack::Declarations;
use crate::state::model::{State, Status};

/// What views read from: the plan's values while it is made, those of the run at apply.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) declared: &'a Declarations,
    pub(crate) values: &'a [Values],
    pub(crate) nodes: &'a [PlanNode],
    pub(crate) state: &'a State,
    pub(crate) catalog: &'a Catalog,
}

/// What policies found.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// What refuses.
    pub(crate) refused: Vec<Diagnostic>,
    /// What is only said.
    pub(crate) advice: Vec<Diagnostic>,
}

impl Judged {
    fn take(&mut self, policy: &Policy, found: Result<Verdict, Diagnostic>, node: Option<(&PlanNode, &Declarations)>) {
        let about = |mut diagnostic: Diagnostic, place: bool| {
            if let Some((node, declared)) = node
                && diagnostic.urn.is_none()
            {
                diagnostic.urn = Some(node.urn.clone());
                let at = node.declared.and_then(|index| declared.resources.get(index as usize)).map(|found| found.at);
                if let (Some(at), true) = (at, place) {
                    diagnostic.at = Some(at.to_string());
                }
            }
            diagnostic
        };
        let objection = match found {
            Ok(Ok(())) => return,
            Ok(Err(objection)) => objection,
            Err(panicked) => return self.refused.push(about(panicked, false)),
        };
        for diagnostic in diagnostics(policy, objection) {
            let diagnostic = about(diagnostic, true);
            if policy.mandatory() { self.refused.push(diagnostic) } else { self.advice.push(diagnostic) }
        }
    }
}

/// An objection's findings, with the policy's name.
pub(super) fn diagnostics(policy: &Policy, objection: Objection) -> impl Iterator<Item = Diagnostic> {
    let verb = if policy.mandatory() { "refuses it" } else { "advises" };
    objection.findings.into_iter().map(move |finding| {
        let mut found = Diagnostic::refused(format!("the policy `{}` {verb}: {}", policy.name, finding.message))
            .policy(&policy.name)
            .at(policy.at);
        found.urn = finding.urn;
        found.field = finding.field;
        let description = || Some(policy.description.clone()).filter(|text| !text.is_empty());
        found.help = finding.help.or_else(description);
        found
    })
}

/// Judges a plan: violations of mandatory policies are among its diagnostics afterwards, the others its advice; what
/// could not be judged yet is noted for the steps.
pub(crate) fn judge(input: &PlanInput<'_>, plan: &mut Plan) {
    let policies = &input.declared.policies;
    if policies.is_empty() {
        return;
    }
    let mut judged = Judged::default();
    let mut unjudged: Vec<(usize, usize)> = Vec::new();
    let scene = Scene {
        declared: input.declared,
        values: &plan.known,
        nodes: &plan.nodes,
        state: input.state,
        catalog: input.catalog,
    };
    for (number, policy) in policies.iter().enumerate() {
        match &policy.rule {
            Rule::Remedy { .. } => {}
            Rule::Plan { judge, .. } => {
                let view = PlanView::new(scene, &plan.outputs);
                judged.take(policy, run(policy, || judge(&view)), None);
            }
            Rule::Each { of, judge, .. } => {
                for (index, node) in plan.nodes.iter().enumerate() {
                    // What the selection left out is no part of the plan.
                    if node.left_out || of.is_some_and(|of| of != node.urn.type_name()) {
                        continue;
                    }
                    let view = if policy.deletions {
                        if !goes(node, input.state) {
                            continue;
                        }
                        if !node.certain {
                            unjudged.push((index, number));
                            continue;
                        }
                        ResourceView::departed(scene, node)
                    } else {
                        ResourceView::declared(scene, node, None)
                    };
                    let Some(view) = view else { continue };
                    let found = run(policy, || judge(&view));
                    let pending = matches!(&found, Ok(Err(objection)) if objection.pending) || view.asked_unknown();
                    if pending && !policy.deletions {
                        unjudged.push((index, number));
                    }
                    judged.take(policy, found, Some((node, input.declared)));
                }
            }
        }
    }
    for (node, policy) in unjudged {
        plan.unjudged.entry(node).or_default().push(policy);
    }
    plan.diagnostics.extend(judged.refused);
    plan.advice.extend(judged.advice);
}

/// Whether the instance that is there goes with this run, and nobody has agreed to that before.
fn goes(node: &PlanNode, state: &State) -> bool {
    let Some(record) = node.prior.and_then(|prior| state.resources.get(&prior)) else { return false };
    let here = !matches!(record.status, Status::PendingDelete | Status::PendingReplacement);
    here && match node.action {
        Action::Delete | Action::Replace { .. } => true,
        // What goes with its owner is forgotten by the state, and gone all the same.
        Action::Forget => !record.options.retain_on_delete,
        _ => false,
    }
}

/// Judges a step whose inputs are known by now, by the policies that could not judge it in the plan. `values` are those
/// of its resource.
pub(crate) fn judge_step(scene: Scene<'_>, plan: &Plan, node: usize, values: Values) -> Judged {
    let mut judged = Judged::default();
    let (Some(waiting), Some(planned)) = (plan.unjudged.get(&node), plan.nodes.get(node)) else { return judged };
    let Some(view) = ResourceView::declared(scene, planned, Some(values)) else { return judged };
    for policy in waiting.iter().filter_map(|number| scene.declared.policies.get(*number)) {
        let Rule::Each { judge, level, .. } = &policy.rule else { continue };
        if policy.deletions {
            continue;
        }
        let found = run(policy, || judge(&view));
        if *level == Level::Mandatory && matches!(&found, Ok(Err(objection)) if objection.is_pending()) {
            let message = format!(
                "the policy `{}` asks for what is known only once it is there: the next run judges it",
                policy.name
            );
            judged.advice.push(Diagnostic::refused(message).on(&planned.urn).at(policy.at).policy(&policy.name));
        }
        judged.take(policy, found, Some((planned, scene.declared)));
    }
    // What the plan has advised already is not said again.
    judged.advice.retain(|advice| !plan.advice.contains(advice));
    judged
}

/// Judges the deletion of an instance that the plan said may be replaced, now that it is known that it will.
pub(crate) fn judge_deletion(scene: Scene<'_>, plan: &Plan, node: usize) -> Judged {
    let mut judged = Judged::default();
    let (Some(waiting), Some(planned)) = (plan.unjudged.get(&node), plan.nodes.get(node)) else { return judged };
    let Some(view) = ResourceView::departed(scene, planned) else { return judged };
    for policy in waiting.iter().filter_map(|number| scene.declared.policies.get(*number)) {
        if let (Rule::Each { judge, .. }, true) = (&policy.rule, policy.deletions) {
            judged.take(policy, run(policy, || judge(&view)), Some((planned, scene.declared)));
        }
    }
    judged
}
