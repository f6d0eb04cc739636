//! How long calls are thought to take, so that of what is ready the longest path goes first: what an embedding program
//! or a test says, or what earlier runs took. It is kept in a cache of the user, never in the state.

mod learned;

use std::time::Duration;

pub use learned::Learned;

use crate::event::Verb;
use crate::plan::{Action, Plan, Step};
use crate::urn::Urn;

/// What a call counts of which nobody knows how long it takes.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Says how long calls are thought to take. It decides in which order steps start that are ready at the same time, and
/// nothing else.
pub trait Durations: Send + Sync {
    /// How long this call on this resource is thought to take; `None` where nobody knows. The verb is one of
    /// [`Verb::Create`] (also of a successor), [`Verb::Update`], [`Verb::Import`] and [`Verb::Delete`].
    fn expected(&self, urn: &Urn, verb: Verb) -> Option<Duration>;
}

impl<F: Fn(&Urn, Verb) -> Option<Duration> + Send + Sync> Durations for F {
    fn expected(&self, urn: &Urn, verb: Verb) -> Option<Duration> {
        self(urn, verb)
    }
}

/// Nothing is known: every call counts the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unknown;

impl Durations for Unknown {
    fn expected(&self, _: &Urn, _: Verb) -> Option<Duration> {
        None
    }
}

/// How long a step is thought to take: nothing for what only touches the state.
pub(crate) fn of_step(plan: &Plan, step: &Step, durations: &dyn Durations) -> Duration {
    let (Step::Ensure(node) | Step::Delete(node, _)) = step;
    let Some(node) = plan.nodes.get(*node).filter(|node| node.action.calls()) else { return Duration::ZERO };
    let verb = match (step, &node.action) {
        (Step::Delete(..), _) => Verb::Delete,
        (_, Action::Update) => Verb::Update,
        (_, Action::Import { .. }) => Verb::Import,
        _ => Verb::Create,
    };
    durations.expected(&node.urn, verb).unwrap_or(UNKNOWN)
}
