//! The integrity check: what must be true of the records after every run, however it ended.

use std::collections::BTreeMap;

use super::error::StateError;
use super::model::{Instance, IntentKind, State, Status};

/// Checks that the records fit together: one live instance a resource at most, every dependency and every provider
/// instance present, no dependency in a circle, every call in progress about something that is there.
///
/// # Errors
/// [`StateError::Integrity`] with everything that is wrong.
pub fn verify(state: &State) -> Result<(), StateError> {
    let mut wrong = Vec::new();
    let mut live = BTreeMap::new();
    for (instance, resource) in &state.resources {
        let name = format!("{} ({instance})", resource.urn);
        if resource.instance != *instance {
            wrong.push(format!("{name} is kept under the instance of another"));
        }
        if resource.status == Status::Live
            && let Some(other) = live.insert(&resource.urn, instance)
        {
            wrong.push(format!("{} has two live instances, {other} and {instance}", resource.urn));
        }
        if !state.providers.contains_key(&resource.provider) {
            wrong.push(format!("{name} was made with provider `{}`, which is not recorded", resource.provider));
        }
        for dependency in resource.dependencies.iter().filter(|dependency| !state.resources.contains_key(dependency)) {
            wrong.push(format!("{name} depends on instance {dependency}, which is not recorded"));
        }
    }
    for (instance, intent) in &state.intents {
        let name = format!("the call in progress for {} ({instance})", intent.urn);
        if intent.instance != *instance {
            wrong.push(format!("{name} is kept under the instance of another"));
        }
        if !state.providers.contains_key(&intent.provider) {
            wrong.push(format!("{name} uses provider `{}`, which is not recorded", intent.provider));
        }
        if intent.kind != IntentKind::Create && !state.resources.contains_key(instance) {
            wrong.push(format!("{name} is about an instance that is not recorded"));
        }
        for dependency in intent.dependencies.iter().filter(|dependency| !state.resources.contains_key(dependency)) {
            wrong.push(format!("{name} depends on instance {dependency}, which is not recorded"));
        }
    }
    if let Some(instance) = circle(state) {
        let urn = state.resources.get(&instance).map(|resource| resource.urn.to_string()).unwrap_or_default();
        wrong.push(format!("{urn} ({instance}) depends on itself through others"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(StateError::Integrity(wrong)) }
}

/// An instance on or behind a circle of dependencies, if there is one. A loop, not a recursion: chains may be long.
fn circle(state: &State) -> Option<Instance> {
    let mut missing: BTreeMap<Instance, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<Instance, Vec<Instance>> = BTreeMap::new();
    for (instance, resource) in &state.resources {
        let known = resource.dependencies.iter().filter(|dependency| state.resources.contains_key(dependency));
        let mut count = 0;
        for dependency in known {
            dependents.entry(*dependency).or_default().push(*instance);
            count += 1;
        }
        missing.insert(*instance, count);
    }
    let mut ready: Vec<Instance> =
        missing.iter().filter(|(_, count)| **count == 0).map(|(instance, _)| *instance).collect();
    while let Some(done) = ready.pop() {
        missing.remove(&done);
        for dependent in dependents.remove(&done).unwrap_or_default() {
            if let Some(count) = missing.get_mut(&dependent) {
                *count -= 1;
                if *count == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    missing.into_keys().next()
}
