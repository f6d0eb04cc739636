//! The order of steps: new instances follow the program's references, old ones their recorded dependencies.

use std::collections::{BTreeMap, HashMap, HashSet};

use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::diagnostic::Diagnostic;
use crate::plan::{Action, PlanInput, PlanNode, Step, Why};
use crate::read::Behind;
use crate::stack::Declarations;
use crate::state::model::{Instance, Status};

/// For each declared resource, the indices of what it refers to or is said to depend on: sorted, without repeats.
pub(crate) fn dependencies(declared: &Declarations, diagnostics: &mut Vec<Diagnostic>) -> Vec<Vec<u32>> {
    let behind = Behind::of(declared);
    let settings: HashMap<&str, Vec<u32>> = declared
        .providers
        .iter()
        .map(|provider| {
            let mut references = Vec::new();
            behind.resources(&provider.settings, &mut |index| references.push(index));
            (provider.name.as_str(), references)
        })
        .collect();
    // Made only for the first dependency by name: most programs have none.
    let mut names: Option<HashMap<&str, Vec<u32>>> = None;
    let mut all = Vec::with_capacity(declared.resources.len());
    for (index, resource) in declared.resources.iter().enumerate() {
        let mut found = Vec::new();
        for value in &resource.values {
            behind.resources(value, &mut |to| found.push(to));
        }
        let options = resource.options();
        found.extend(&options.depends_on);
        if let Some(trigger) = &options.replace_trigger {
            behind.resources(trigger, &mut |to| found.push(to));
        }
        if let Some(more) = settings.get(resource.provider_instance()) {
            found.extend(more);
        }
        for name in &options.depends_on_named {
            let names = names.get_or_insert_with(|| by_name(declared));
            match names.get(name.as_str()).map(Vec::as_slice) {
                Some([only]) => found.push(*only),
                Some(several) => diagnostics.push(
                    Diagnostic::invalid(format!(
                        "it depends on `{name}`, which {} resources are called",
                        several.len()
                    ))
                    .on(&resource.urn)
                    .help("name its URN instead, such as `local:File::motd`")
                    .at(resource.at),
                ),
                None => diagnostics.push(
                    Diagnostic::invalid(format!("it depends on `{name}`, which the program does not declare"))
                        .on(&resource.urn)
                        .at(resource.at),
                ),
            }
        }
        found.sort_unstable();
        found.dedup();
        if found.contains(&(index as u32)) {
            diagnostics.push(Diagnostic::invalid("it depends on itself").on(&resource.urn).at(resource.at));
            found.retain(|to| *to != index as u32);
        }
        all.push(found);
    }
    all
}

fn by_name(declared: &Declarations) -> HashMap<&str, Vec<u32>> {
    let mut names: HashMap<&str, Vec<u32>> = HashMap::new();
    for (index, resource) in declared.resources.iter().enumerate() {
        let (name, path) = (resource.urn.name(), resource.urn.path());
        // What stands directly in the stack has its name for a path.
        for name in [resource.urn.as_str(), name].into_iter().chain((path != name).then_some(path)) {
            names.entry(name).or_default().push(index as u32);
        }
    }
    names
}

/// The declared resources in an order in which everything comes after what it depends on.
pub(crate) fn sequence(
    declared: &Declarations,
    dependencies: &[Vec<u32>],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<u32> {
    let count = declared.resources.len() as u32;
    let backwards = dependencies.iter().enumerate().all(|(index, all)| all.iter().all(|to| (*to as usize) < index));
    if backwards {
        return (0..count).collect();
    }
    let mut graph = DiGraph::<u32, ()>::new();
    let nodes: Vec<NodeIndex> = (0..count).map(|index| graph.add_node(index)).collect();
    for (index, all) in dependencies.iter().enumerate() {
        for to in all {
            graph.add_edge(nodes[*to as usize], nodes[index], ());
        }
    }
    if let Ok(order) = toposort(&graph, None) {
        return order.into_iter().map(|node| graph[node]).collect();
    }
    for group in kosaraju_scc(&graph).into_iter().filter(|group| group.len() > 1) {
        let mut members: Vec<u32> = group.into_iter().map(|node| graph[node]).collect();
        members.sort_unstable();
        let resources: Vec<_> = members.iter().filter_map(|index| declared.resources.get(*index as usize)).collect();
        let Some(first) = resources.first() else { continue };
        let names: Vec<_> = resources.iter().map(|resource| resource.urn.to_string()).collect();
        diagnostics.push(
            Diagnostic::invalid(format!("these resources depend on each other in a circle: {}", names.join(", ")))
                .on(&first.urn)
                .help("remove one of the dependencies by name")
                .at(first.at),
        );
    }
    (0..count).collect()
}

/// The steps of a plan and their order.
pub(crate) fn steps(
    input: &PlanInput<'_>,
    nodes: &[PlanNode],
    dependencies: &[Vec<u32>],
    owners: &BTreeMap<Instance, Instance>,
    diagnostics: &mut Vec<Diagnostic>,
) -> DiGraph<Step, Why> {
    let mut graph = DiGraph::new();
    if nodes.iter().all(|node| node.action == Action::Same) {
        return graph;
    }
    let ensure: Vec<Option<NodeIndex>> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| node.declared.map(|_| graph.add_node(Step::Ensure(index))))
        .collect();
    let mut delete: BTreeMap<Instance, (NodeIndex, usize)> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let goes = matches!(node.action, Action::Delete | Action::Forget | Action::Replace { .. });
        if let (true, Some(instance)) = (goes, node.prior) {
            delete.insert(instance, (graph.add_node(Step::Delete(index, instance)), index));
        }
    }
    refer(nodes, dependencies, &ensure, &mut graph);
    let node_of: HashMap<Instance, usize> =
        nodes.iter().enumerate().filter_map(|(index, node)| Some((node.prior?, index))).collect();

    for (instance, (step, index)) in &delete {
        let node = &nodes[*index];
        match (&node.action, ensure[*index]) {
            (Action::Replace { delete_first: true }, Some(successor)) => {
                graph.add_edge(*step, successor, Why::DeleteFirst);
                if !node.certain {
                    let own = [*index];
                    for root in if node.follows.is_empty() { &own[..] } else { &node.follows } {
                        wait_for_inputs_of(*root, *step, dependencies, &ensure, &mut graph);
                    }
                }
            }
            (_, Some(successor)) => {
                graph.add_edge(successor, *step, Why::CreateFirst);
            }
            _ => {}
        }
        if let Some((owner, _)) = owners.get(instance).and_then(|owner| delete.get(owner)) {
            graph.add_edge(*owner, *step, Why::StillUsed);
        }
    }
    let mut reach = Reach::new(dependencies);
    // Whoever is recorded to use an old instance goes, or changes, before it is deleted.
    for record in input.state.resources.values() {
        for used in &record.dependencies {
            let Some((step, index)) = delete.get(used) else { continue };
            if let Some((user, _)) = delete.get(&record.instance)
                && owners.get(&record.instance) != Some(used)
            {
                graph.add_edge(*user, *step, Why::StillUsed);
            }
            let Some(user) = node_of.get(&record.instance).copied() else { continue };
            let Some(user_step) = ensure[user] else { continue };
            let deleted_first = nodes[*index].action == (Action::Replace { delete_first: true });
            if user == *index || record.status == Status::PendingReplacement {
                continue;
            }
            if deleted_first && reach.reaches(user as u32, *index as u32) {
                // It needs the successor, which needs the old one gone.
                continue;
            }
            graph.add_edge(user_step, *step, Why::StillUsed);
        }
    }
    check_circles(nodes, &graph, diagnostics);
    graph
}

fn refer(nodes: &[PlanNode], dependencies: &[Vec<u32>], ensure: &[Option<NodeIndex>], graph: &mut DiGraph<Step, Why>) {
    for (index, node) in nodes.iter().enumerate() {
        let (Some(declared), Some(step)) = (node.declared, ensure[index]) else { continue };
        for dependency in dependencies.get(declared as usize).into_iter().flatten() {
            if let Some(before) = ensure.get(*dependency as usize).copied().flatten() {
                graph.add_edge(before, step, Why::Refers);
            }
        }
    }
}

/// A deletion that depends on what an input turns out to be waits for everything that the input refers to.
fn wait_for_inputs_of(
    root: usize,
    step: NodeIndex,
    dependencies: &[Vec<u32>],
    ensure: &[Option<NodeIndex>],
    graph: &mut DiGraph<Step, Why>,
) {
    for dependency in dependencies.get(root).into_iter().flatten() {
        if let Some(before) = ensure.get(*dependency as usize).copied().flatten() {
            graph.add_edge(before, step, Why::Refers);
        }
    }
}

/// Which resource needs which other one, directly or through others.
pub(crate) struct Reach<'a> {
    dependencies: &'a [Vec<u32>],
    /// Who needs a resource directly; made for the first question that a direct dependency does not answer.
    dependents: Option<Vec<Vec<u32>>>,
    /// Everything that needs a resource, for resources that were asked about.
    known: HashMap<u32, HashSet<u32>>,
}

impl<'a> Reach<'a> {
    pub(crate) fn new(dependencies: &'a [Vec<u32>]) -> Self {
        Self { dependencies, dependents: None, known: HashMap::new() }
    }

    pub(crate) fn reaches(&mut self, from: u32, to: u32) -> bool {
        let direct = self.dependencies.get(from as usize);
        if direct.is_some_and(|direct| direct.binary_search(&to).is_ok()) {
            return true;
        }
        let all = self.dependencies;
        let dependents = self.dependents.get_or_insert_with(|| {
            let mut dependents = vec![Vec::new(); all.len()];
            for (index, dependencies) in all.iter().enumerate() {
                for dependency in dependencies {
                    dependents[*dependency as usize].push(index as u32);
                }
            }
            dependents
        });
        let needing = self.known.entry(to).or_insert_with(|| {
            let mut seen = HashSet::new();
            let mut open = vec![to];
            while let Some(next) = open.pop() {
                open.extend(dependents.get(next as usize).into_iter().flatten().filter(|user| seen.insert(**user)));
            }
            seen
        });
        needing.contains(&from)
    }
}

fn check_circles(nodes: &[PlanNode], graph: &DiGraph<Step, Why>, diagnostics: &mut Vec<Diagnostic>) {
    if !diagnostics.is_empty() || toposort(graph, None).is_ok() {
        return;
    }
    for group in kosaraju_scc(graph).into_iter().filter(|group| group.len() > 1) {
        let mut urns: Vec<_> = group
            .into_iter()
            .filter_map(|step| match graph[step] {
                Step::Ensure(node) | Step::Delete(node, _) => nodes.get(node).map(|node| node.urn.clone()),
            })
            .collect();
        urns.sort();
        urns.dedup();
        let Some(first) = urns.first().cloned() else { continue };
        let names: Vec<_> = urns.iter().map(ToString::to_string).collect();
        diagnostics.push(
            Diagnostic::invalid(format!(
                "the order of this change goes in a circle: {} — a resource that is deleted before it is replaced now \
                 depends on one that depended on it",
                names.join(", ")
            ))
            .on(&first)
            .help("remove the old dependency in one `up`, and add the new one in the next"),
        );
    }
}
