//! Dependencies on components and of components, as dependencies between resources.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::diagnostic::Diagnostic;
use crate::stack::{Declarations, Declared};

/// Replaces what depends on a component, or is said to depend on something as a component, by dependencies between
/// resources. Where both sides are components, only those that nothing else in the one needs, and those that need
/// nothing else in the other, are connected: the rest follows.
pub(crate) fn expand_dependencies(declared: &mut Declarations) {
    let mut wanted: BTreeSet<u32> = BTreeSet::new();
    for component in &declared.components {
        wanted.extend(&component.options.depends_on_components);
    }
    let by_component: Vec<(u32, u32)> = (0u32..)
        .zip(&declared.components)
        .flat_map(|(index, component)| component.options.depends_on_components.iter().map(move |on| (index, *on)))
        .collect();
    let by_resource: Vec<(usize, u32)> = declared
        .resources
        .iter()
        .enumerate()
        .flat_map(|(index, resource)| resource.options().depends_on_components.iter().map(move |on| (index, *on)))
        .collect();
    wanted.extend(by_component.iter().flat_map(|(from, on)| [*from, *on]));
    wanted.extend(by_resource.iter().map(|(_, on)| *on));
    if wanted.is_empty() {
        return;
    }
    let members = members(declared, &wanted);
    let ends: HashMap<u32, Ends> =
        members.iter().map(|(component, members)| (*component, Ends::of(declared, members))).collect();
    let mut edges: Vec<(usize, Vec<u32>)> = Vec::new();
    for (resource, on) in by_resource {
        if members.get(&on).is_some_and(|members| members.contains(&(resource as u32))) {
            let found = refuses_itself(declared, on).on(&declared.resources[resource].urn);
            declared.diagnostics.push(found.at(declared.resources[resource].at));
        } else if let Some(ends) = ends.get(&on) {
            edges.push((resource, ends.last.clone()));
        }
    }
    for (from, on) in by_component {
        if within(declared, from, on) || within(declared, on, from) {
            let found = refuses_itself(declared, on);
            let at = declared.components.get(from as usize).map(|component| component.at);
            declared.diagnostics.push(match at {
                Some(at) => found.at(at),
                None => found,
            });
        } else if let (Some(from), Some(on)) = (ends.get(&from), ends.get(&on)) {
            edges.extend(from.first.iter().map(|resource| (*resource as usize, on.last.clone())));
        }
    }
    for (resource, on) in edges {
        if let Some(resource) = declared.resources.get_mut(resource) {
            resource.options_mut().depends_on.extend(on);
        }
    }
}

fn refuses_itself(declared: &Declarations, on: u32) -> Diagnostic {
    let path = declared.components.get(on as usize).map_or("", |component| &*component.path);
    Diagnostic::invalid(format!("it depends on the component `{path}`, and one of the two is in the other"))
        .help("depend on single resources of it")
}

/// Whether the component is in the other one, or is it.
fn within(declared: &Declarations, component: u32, other: u32) -> bool {
    let mut next = Some(component);
    while let Some(index) = next {
        if index == other {
            return true;
        }
        next = declared.components.get(index as usize).and_then(|component| component.parent);
    }
    false
}

/// The resources of each of these components, those of components in them included.
fn members(declared: &Declarations, wanted: &BTreeSet<u32>) -> HashMap<u32, HashSet<u32>> {
    let mut members: HashMap<u32, HashSet<u32>> = HashMap::new();
    for (index, resource) in declared.resources.iter().enumerate() {
        let mut next = resource.component;
        while let Some(component) = next {
            if wanted.contains(&component) {
                members.entry(component).or_default().insert(index as u32);
            }
            next = declared.components.get(component as usize).and_then(|component| component.parent);
        }
    }
    members
}

/// Where the order of a component's resources begins and ends.
struct Ends {
    /// Those that need no other one of it.
    first: Vec<u32>,
    /// Those that no other one of it needs.
    last: Vec<u32>,
}

impl Ends {
    fn of(declared: &Declarations, members: &HashSet<u32>) -> Self {
        let mut needed: HashSet<u32> = HashSet::new();
        let mut first = Vec::new();
        for index in members {
            let Some(resource) = declared.resources.get(*index as usize) else { continue };
            let mut needs_none = true;
            needs(resource, &mut |other| {
                if other != *index && members.contains(&other) {
                    needed.insert(other);
                    needs_none = false;
                }
            });
            if needs_none {
                first.push(*index);
            }
        }
        let mut last: Vec<u32> = members.iter().copied().filter(|index| !needed.contains(index)).collect();
        first.sort_unstable();
        last.sort_unstable();
        Self { first, last }
    }
}

/// What a resource refers to, or is said to depend on by its handle. What is named, or needed by the settings of a
/// provider, is left out: that only adds an edge that follows from others.
fn needs(resource: &Declared, visit: &mut dyn FnMut(u32)) {
    for value in &resource.values {
        value.references(visit);
    }
    resource.options().depends_on.iter().for_each(|index| visit(*index));
    if let Some(trigger) = &resource.options().replace_trigger {
        trigger.references(visit);
    }
}
