//! What refuses a plan: protection, guards against deletions, and types that are not linked.

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::event::Operation;
use crate::plan::{Action, Glob, Plan, PlanInput, PlanNode, protected};
use crate::state::model::Status;
use crate::urn::Urn;

/// Adds everything that refuses the plan to its diagnostics.
pub(super) fn guard(input: &PlanInput<'_>, plan: &mut Plan) {
    let mut found = Vec::new();
    for glob in input.options.replace.iter().map(|target| Glob::new(target)) {
        let declared = || plan.nodes.iter().filter(|node| node.declared.is_some());
        let mut matching = declared().filter(|node| glob.matches(&node.urn)).peekable();
        if matching.peek().is_none() {
            found.push(glob.matches_nothing("--replace", declared().map(|node| &node.urn)));
        } else if matching.all(|node| node.left_out) {
            found.push(
                Diagnostic::invalid(format!("what `--replace {}` matches is not selected", glob.text()))
                    .help("select it with `--target` too, or do not exclude it"),
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
        // The type of what is declared was looked up before; it may have been recorded under an older one.
        if node.declared.is_none()
            && node.action == Action::Delete
            && input.catalog.get(record.urn.type_name()).is_none()
        {
            found.push(Diagnostic::invalid(Catalog::not_linked(record.urn.type_name())).on(&record.urn));
        }
    }
    let destructive: Vec<&PlanNode> =
        plan.nodes.iter().filter(|node| matches!(node.action, Action::Delete | Action::Replace { .. })).collect();
    // A command that does not run the program keeps to what the program said when it was run last.
    let guard = match input.options.operation {
        Some(Operation::Destroy) => input.state.stack.as_ref().map(|stack| &stack.guard),
        _ => Some(&input.declared.guard),
    };
    let of_program = guard.is_some_and(|guard| guard.no_destroy);
    if input.options.no_destroy || of_program {
        found.extend(destructive.iter().map(|node| {
            let verb = node.action.name();
            if input.options.no_destroy {
                Diagnostic::refused(format!("`--no-destroy` refuses to {verb} it")).on(&node.urn)
            } else {
                Diagnostic::refused(format!("the program's guard refuses to {verb} it")).on(&node.urn).help(
                    "if that is meant, take `no_destroy` out of `stack.guard(…)`; before a `destroy`, run `up` once",
                )
            }
        }));
    }
    let limits = [
        (input.options.max_deletes, "`--max-deletes`", "raise the limit if that is meant"),
        (
            guard.and_then(|guard| guard.max_deletes),
            "the program's guard",
            "if that is meant, raise it in `stack.guard(…)`; before a `destroy`, run `up` once",
        ),
    ];
    for (limit, whose, help) in limits {
        if let Some(limit) = limit.filter(|limit| destructive.len() > *limit) {
            let number = destructive.len();
            let what = if number == 1 { "1 resource".to_owned() } else { format!("{number} resources") };
            let message = format!("the plan deletes or replaces {what}, and {whose} allows {limit}");
            found.push(Diagnostic::refused(message).help(help));
        }
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
