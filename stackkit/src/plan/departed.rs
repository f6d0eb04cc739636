//! What left the program, and what goes along with what is deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::event::Operation;
use crate::plan::decide::Current;
use crate::plan::select::Selection;
use crate::plan::{Action, PlanInput, PlanNode};
use crate::state::model::{Instance, ResourceRecord, Status};

/// One node for each recorded instance that no declaration claims.
pub(super) fn departed_nodes(
    input: &PlanInput<'_>,
    claimed: &BTreeSet<Instance>,
    owned: &BTreeMap<Instance, Instance>,
    selection: Option<&Selection>,
) -> Vec<PlanNode> {
    let mut nodes = Vec::new();
    for record in input.state.resources.values() {
        if claimed.contains(&record.instance) {
            continue;
        }
        let mut node = PlanNode {
            urn: record.urn.clone(),
            declared: None,
            prior: Some(record.instance),
            action: Action::Delete,
            certain: true,
            reasons: Vec::new(),
            changes: Vec::new(),
            left_out: false,
            follows: Vec::new(),
        };
        if selection.is_some_and(|selection| !selection.has_departed(record.instance)) {
            node.action = Action::Same;
            node.left_out = true;
            nodes.push(node);
            continue;
        }
        node.reasons.push(match record.status {
            Status::PendingDelete => "it was replaced, and its deletion did not finish".into(),
            Status::PendingReplacement => "it is deleted already, and is no longer in the program".into(),
            _ if input.options.operation == Some(Operation::Destroy) && selection.is_some() => {
                "it is selected for its deletion".into()
            }
            _ if input.options.operation == Some(Operation::Destroy) => "the stack is destroyed".into(),
            _ => "it is no longer in the program".into(),
        });
        if record.status == Status::PendingReplacement {
            node.action = Action::Forget;
        } else if record.options.retain_on_delete {
            node.action = Action::Forget;
            node.reasons.push("it is to be retained".into());
        } else if owned.contains_key(&record.instance) {
            node.action = Action::Forget;
            node.reasons.push("it is deleted together with its owner".into());
        }
        node.reasons.extend(selection.and_then(|selection| selection.reason(&node)).map(str::to_owned));
        nodes.push(node);
    }
    nodes
}

/// The instance whose deletion takes a record along: the last of its owners that is deleted indeed, not one that stays
/// or is only forgotten.
fn last_owner(record: &ResourceRecord, current: &Current<'_>, claimed: &BTreeSet<Instance>) -> Option<Instance> {
    let mut last = None;
    let mut record = record;
    // The bound ends circles, which owners of different versions of a program can make.
    for _ in 0..64 {
        let owner = record.options.deleted_with.as_ref().and_then(|owner| current.live.get(owner));
        let Some(owner) = owner.filter(|owner| !claimed.contains(&owner.instance)) else { return last };
        if !owner.options.retain_on_delete {
            last = Some(owner.instance);
        }
        record = owner;
    }
    None
}

/// What goes with an owner, by instance. What stands on something else that must go before the owner cannot wait for
/// the owner, and is deleted like anything else.
pub(super) fn owned(
    input: &PlanInput<'_>,
    current: &Current<'_>,
    claimed: &BTreeSet<Instance>,
) -> BTreeMap<Instance, Instance> {
    let departed = input.state.resources.values().filter(|record| {
        !claimed.contains(&record.instance)
            && record.options.deleted_with.is_some()
            && !record.options.retain_on_delete
            && !matches!(record.status, Status::PendingReplacement | Status::PendingDelete)
    });
    let mut owned: BTreeMap<Instance, Instance> =
        departed.filter_map(|record| Some((record.instance, last_owner(record, current, claimed)?))).collect();
    if owned.is_empty() {
        return owned;
    }
    let roots: BTreeSet<Instance> = owned.values().copied().collect();
    owned.retain(|instance, _| !roots.contains(instance));
    let mut users: HashMap<Instance, Vec<Instance>> = HashMap::new();
    for record in input.state.resources.values() {
        for used in &record.dependencies {
            users.entry(*used).or_default().push(record.instance);
        }
    }
    for root in roots {
        let mut open = vec![root];
        let mut before: BTreeSet<Instance> = BTreeSet::new();
        while let Some(next) = open.pop() {
            for user in users.get(&next).into_iter().flatten() {
                if owned.get(user) == Some(&root) {
                    if next == root {
                        continue;
                    }
                    owned.remove(user);
                }
                if before.insert(*user) {
                    open.push(*user);
                }
            }
        }
    }
    owned
}
