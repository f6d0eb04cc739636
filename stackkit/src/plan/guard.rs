//! What refuses a plan: protection, guards against deletions, and types that are not linked.

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::plan::{Action, Plan, PlanInput, PlanNode, names, protected};
use crate::state::model::Status;
use crate::urn::Urn;

/// Adds everything that refuses the plan to its diagnostics.
pub(super) fn guard(input: &PlanInput<'_>, plan: &mut Plan) {
    let mut found = Vec::new();
    for target in &input.options.replace {
        if !plan.nodes.iter().any(|node| node.declared.is_some() && names(target, &node.urn)) {
            found.push(
                Diagnostic::invalid(format!("`{target}` is to be replaced, and the program does not declare it"))
                    .help("name a resource by its URN, path or name"),
            );
        }
    }
    for node in &plan.nodes {
        let Some(record) = node.prior.and_then(|prior| input.state.resources.get(&prior)) else { continue };
        // What is deleted together with its owner is forgotten by the state, and gone all the same.
        let goes = match node.action {
            Action::Delete => true,
            Action::Forget => record.status != Status::PendingReplacement && !record.options.retain_on_delete,
            _ => false,
        };
        if node.declared.is_none() && goes && record.options.protect && record.status != Status::PendingDelete {
            found.push(refused_by_protection(&node.urn, "deleted", &node.reasons));
        }
        if node.action == (Action::Replace { delete_first: true })
            && let Some(declared) = node.declared.and_then(|index| input.declared.resources.get(index as usize))
            && protected(declared)
            && !found.iter().chain(&plan.diagnostics).any(|d| d.urn.as_ref() == Some(&node.urn))
        {
            found.push(refused_by_protection(&node.urn, "replaced", &node.reasons).at(declared.at));
        }
        if matches!(node.action, Action::Delete | Action::Update | Action::Replace { .. })
            && input.catalog.get(record.urn.type_name()).is_none()
        {
            found.push(Diagnostic::invalid(Catalog::not_linked(record.urn.type_name())).on(&record.urn));
        }
    }
    let destructive: Vec<&PlanNode> =
        plan.nodes.iter().filter(|node| matches!(node.action, Action::Delete | Action::Replace { .. })).collect();
    if input.options.no_destroy {
        found.extend(destructive.iter().map(|node| {
            Diagnostic::refused(format!("`--no-destroy` refuses to {} it", node.action.name())).on(&node.urn)
        }));
    }
    if let Some(limit) = input.options.max_deletes
        && destructive.len() > limit
    {
        found.push(Diagnostic::refused(format!(
            "the plan deletes or replaces {} resources, and the limit is {limit}",
            destructive.len()
        )));
    }
    if input.options.expect_no_changes && plan.has_changes() {
        let changed = plan.nodes.iter().filter(|node| !matches!(node.action, Action::Same | Action::Record)).count();
        found.push(Diagnostic::refused(format!("no changes were expected, and the plan has {changed}")));
    }
    plan.diagnostics.extend(found);
}

pub(super) fn refused_by_protection(urn: &Urn, what: &str, reasons: &[String]) -> Diagnostic {
    let why = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
    Diagnostic::refused(format!("it is protected and would be {what}{why}")).on(urn).help(
        "if that is meant, take the protection off with `.unprotected()` on its declaration and run `up`, then try again",
    )
}
