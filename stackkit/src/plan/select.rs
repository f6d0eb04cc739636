//! Selection: which resources a plan is about, by globs, what comes along with them, and what that leaves dangling.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;
use wildmatch::WildMatch;

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::event::Operation;
use crate::nearest::nearest;
use crate::plan::decide::Current;
use crate::plan::values::lacks_outputs;
use crate::plan::{Action, PlanInput, PlanNode, PlanOptions, order};
use crate::stack::Declarations;
use crate::state::model::{Instance, ResourceRecord, State, Status};
use crate::urn::Urn;

/// How many names a message lists before it only counts.
const NAMES: usize = 8;

/// A pattern for resources: `*` stands for any text, `?` for one character. It is held against the URN, the type, the
/// path and the name of a resource, and against the path of every component that the resource is in.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    text: String,
    wild: WildMatch,
}

impl Glob {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), wild: WildMatch::new(text) }
    }

    pub(crate) fn matches(&self, urn: &Urn) -> bool {
        let is = |text: &str| self.text == text || self.wild.matches(text);
        let path = urn.path();
        is(urn.as_str())
            || is(urn.type_name())
            || is(urn.name())
            || is(path)
            || path.match_indices('/').any(|(at, _)| is(&path[..at]))
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn all(texts: &[String]) -> Vec<Self> {
        texts.iter().map(|text| Self::new(text)).collect()
    }

    /// What is wrong where it matches none of these.
    pub(crate) fn matches_nothing<'a>(&self, option: &str, urns: impl Iterator<Item = &'a Urn> + Clone) -> Diagnostic {
        let found = Diagnostic::invalid(format!("`{option} {}` matches no resource", self.text));
        let known = urns.flat_map(|urn| [urn.name(), urn.path(), urn.type_name(), urn.as_str()]);
        found.help(match nearest(&self.text, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name URNs, types, paths or names; `*` stands for any text".into(),
        })
    }
}

/// Why a resource is in a plan or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Asked for: by a target, or because no target says otherwise.
    Asked,
    /// It does not exist or is not finished, and something selected needs it.
    Needed,
    /// It depends on what is asked for.
    Dependent,
    /// Nobody asked for it.
    Left,
    /// It matches an exclude, or depends on what does where dependents are excluded too.
    Excluded,
    /// It would be deleted, and something that is left out stands on it.
    Kept,
}

impl Standing {
    fn is_in(self) -> bool {
        matches!(self, Standing::Asked | Standing::Needed | Standing::Dependent)
    }
}

/// What a selection came to, for the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selected {
    /// How many resources were asked for.
    pub asked: usize,
    /// Those that come along because something selected needs them and they do not exist, or are not finished, yet.
    pub needed: Vec<Urn>,
    /// Those that come along because they depend on what was asked for.
    pub dependents: Vec<Urn>,
    /// Those that are not deleted because something that is left out stands on them.
    pub kept: Vec<Urn>,
    /// How many resources are left as they are.
    pub left_out: usize,
}

/// The choice among the declared resources, and the recorded instances that no declaration claims.
pub(crate) struct Selection {
    declared: Vec<Standing>,
    departed: BTreeMap<Instance, Standing>,
    by_target: bool,
}

impl Selection {
    /// What the options select; none where they select everything.
    pub(super) fn of(
        input: &PlanInput<'_>,
        current: &Current<'_>,
        dependencies: &[Vec<u32>],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let options = input.options;
        if options.targets.is_empty() && options.excludes.is_empty() {
            return None;
        }
        let things = Things::of(input.declared, input.state, current);
        let mut standing = things.asked(options, diagnostics);
        if options.exclude_dependents {
            things.spread(&mut standing, dependencies, Standing::Excluded, |was| was != Standing::Excluded);
        }
        if options.target_dependents && !options.targets.is_empty() {
            things.spread(&mut standing, dependencies, Standing::Dependent, |was| was == Standing::Left);
        }
        // A refresh makes and deletes nothing.
        if options.operation != Some(Operation::Refresh) {
            while {
                things.bring(&mut standing, input, current, dependencies, diagnostics);
                things.open_circles(&mut standing, dependencies, diagnostics)
            } {}
            things.keep(&mut standing, !options.targets.is_empty());
        }
        let count = input.declared.resources.len();
        let departed = things.departed.iter().zip(standing.split_off(count));
        let departed = departed.map(|(record, standing)| (record.instance, standing)).collect();
        Some(Self { declared: standing, departed, by_target: !options.targets.is_empty() })
    }

    /// Whether the plan is about a declared resource.
    pub(crate) fn has_declared(&self, index: u32) -> bool {
        self.declared.get(index as usize).is_none_or(|standing| standing.is_in())
    }

    /// Whether the plan is about a recorded instance that no declaration claims.
    pub(super) fn has_departed(&self, instance: Instance) -> bool {
        self.departed.get(&instance).is_none_or(|standing| standing.is_in())
    }

    /// Why a resource is in the plan, where that is not plain.
    pub(super) fn reason(&self, node: &PlanNode) -> Option<&'static str> {
        match self.standing(node)? {
            Standing::Needed => {
                Some("something selected needs it, and it is not there, not finished, or depends on that as it is now")
            }
            Standing::Dependent => Some("it depends on what is selected"),
            _ => None,
        }
    }

    fn standing(&self, node: &PlanNode) -> Option<Standing> {
        match node.declared {
            Some(index) => self.declared.get(index as usize).copied(),
            None => node.prior.and_then(|instance| self.departed.get(&instance)).copied(),
        }
    }

    /// What the selection came to.
    pub(super) fn summed_up(&self, nodes: &[PlanNode]) -> Selected {
        let mut all = Selected::default();
        for node in nodes {
            all.left_out += usize::from(node.left_out);
            match self.standing(node) {
                Some(Standing::Asked) => all.asked += 1,
                Some(Standing::Needed) => all.needed.push(node.urn.clone()),
                Some(Standing::Dependent) => all.dependents.push(node.urn.clone()),
                Some(Standing::Kept) => all.kept.push(node.urn.clone()),
                _ => {}
            }
        }
        // What left the program has no order of its own.
        all.dependents.sort();
        all.kept.sort();
        all
    }

    /// Everything that the plan would take away from under something that is left out.
    pub(super) fn dangling(&self, input: &PlanInput<'_>, nodes: &[PlanNode]) -> Vec<Diagnostic> {
        let node_of: HashMap<Instance, usize> =
            nodes.iter().enumerate().filter_map(|(index, node)| Some((node.prior?, index))).collect();
        let live = live(input.state);
        let mut users: BTreeMap<usize, Vec<&Urn>> = BTreeMap::new();
        for record in input.state.resources.values() {
            let Some(user) = node_of.get(&record.instance).and_then(|user| nodes.get(*user)) else { continue };
            if !user.left_out {
                continue;
            }
            for used in stands_on(record, &live).filter_map(|used| node_of.get(&used)) {
                let goes = |node: &PlanNode| {
                    matches!(node.action, Action::Delete | Action::Replace { .. })
                        || node.action == Action::Forget && !is_gone_already(input.state, node)
                };
                if nodes.get(*used).is_some_and(goes) {
                    users.entry(*used).or_default().push(&record.urn);
                }
            }
        }
        let refused = |(used, mut users): (usize, Vec<&Urn>)| {
            let node = nodes.get(used)?;
            users.sort();
            users.dedup();
            let what = match (&node.action, node.certain) {
                (Action::Replace { .. }, true) => "would be replaced",
                (Action::Replace { .. }, false) => "may be replaced",
                (Action::Forget, _) => "would be forgotten",
                _ => "would be deleted",
            };
            let verb = if users.len() == 1 { "stands" } else { "stand" };
            let left = if users.len() == 1 { "is" } else { "are" };
            let help = if self.by_target {
                "select that too, or everything that depends on what is selected, with `--target-dependents`"
            } else {
                "select that too, or exclude this one as well"
            };
            let message = format!("it {what}, and {}, which {left} left out, {verb} on it", listed(&users));
            Some(Diagnostic::refused(message).on(&node.urn).help(help))
        };
        let mut all: Vec<Diagnostic> = users.into_iter().filter_map(refused).collect();
        all.sort_by(|a, b| a.urn.cmp(&b.urn));
        all
    }
}

fn is_gone_already(state: &State, node: &PlanNode) -> bool {
    let record = node.prior.and_then(|prior| state.resources.get(&prior));
    record.is_some_and(|record| record.status == Status::PendingReplacement)
}

/// The live instance of each resource.
fn live(state: &State) -> HashMap<&Urn, Instance> {
    let live = state.resources.values().filter(|record| record.status != Status::PendingDelete);
    live.map(|record| (&record.urn, record.instance)).collect()
}

/// The instances without which a recorded one cannot be: what it refers to, and the one whose deletion takes it along.
fn stands_on<'a>(record: &'a ResourceRecord, live: &HashMap<&Urn, Instance>) -> impl Iterator<Item = Instance> + 'a {
    let owner = record.options.deleted_with.as_ref().and_then(|owner| live.get(owner)).copied();
    record.dependencies.iter().copied().chain(owner.filter(|owner| *owner != record.instance))
}

fn listed(urns: &[&Urn]) -> String {
    let mut names: Vec<String> = urns.iter().take(NAMES).map(ToString::to_string).collect();
    if urns.len() > NAMES {
        names.push(format!("{} more", urns.len() - NAMES));
    }
    match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Everything that can be selected: the declared resources in their order, then the departed instances.
struct Things<'a> {
    declared: &'a Declarations,
    departed: Vec<&'a ResourceRecord>,
    /// What each thing is recorded as: an instance that a declaration claims is the declared thing.
    records: Vec<Option<&'a ResourceRecord>>,
    thing_of: HashMap<Instance, usize>,
    live: HashMap<&'a Urn, Instance>,
}

impl<'a> Things<'a> {
    fn of(declared: &'a Declarations, state: &'a State, current: &Current<'a>) -> Self {
        let count = declared.resources.len();
        let mut records: Vec<_> = (0..count as u32).map(|index| current.of_declared(index)).collect();
        let mut thing_of: HashMap<Instance, usize> =
            records.iter().enumerate().filter_map(|(thing, record)| Some((record.as_ref()?.instance, thing))).collect();
        let departed: Vec<_> =
            state.resources.values().filter(|record| !thing_of.contains_key(&record.instance)).collect();
        for (at, record) in departed.iter().enumerate() {
            thing_of.insert(record.instance, count + at);
            records.push(Some(record));
        }
        Self { declared, departed, records, thing_of, live: live(state) }
    }

    fn urn(&self, thing: usize) -> Option<&'a Urn> {
        let declared = self.declared.resources.get(thing).map(|declared| &declared.urn);
        declared.or_else(|| self.records.get(thing).copied().flatten().map(|record| &record.urn))
    }

    fn urns(&self) -> impl Iterator<Item = &'a Urn> + Clone {
        self.declared.resources.iter().map(|declared| &declared.urn).chain(self.departed.iter().map(|gone| &gone.urn))
    }

    fn matches(&self, glob: &Glob, thing: usize) -> bool {
        let recorded = self.records.get(thing).copied().flatten().map(|record| &record.urn);
        self.urn(thing).into_iter().chain(recorded).any(|urn| glob.matches(urn))
    }

    /// What the globs ask for, before anything comes along.
    fn asked(&self, options: &PlanOptions, diagnostics: &mut Vec<Diagnostic>) -> Vec<Standing> {
        let by_target = !options.targets.is_empty();
        let mut standing = vec![if by_target { Standing::Left } else { Standing::Asked }; self.records.len()];
        for (option, globs, becomes) in
            [("--target", &options.targets, Standing::Asked), ("--exclude", &options.excludes, Standing::Excluded)]
        {
            for glob in Glob::all(globs) {
                let mut any = false;
                for (thing, standing) in standing.iter_mut().enumerate() {
                    if self.matches(&glob, thing) {
                        any = true;
                        *standing = becomes;
                    }
                }
                if !any {
                    diagnostics.push(glob.matches_nothing(option, self.urns()));
                }
            }
        }
        standing
    }

    /// Gives what depends on the selected (or excluded) things the same fate, through others too.
    fn spread(
        &self,
        standing: &mut [Standing],
        dependencies: &[Vec<u32>],
        becomes: Standing,
        takes: impl Fn(Standing) -> bool,
    ) {
        let from = if becomes == Standing::Excluded { Standing::Excluded } else { Standing::Asked };
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); standing.len()];
        for (user, all) in dependencies.iter().enumerate() {
            for used in all {
                if let Some(users) = users.get_mut(*used as usize) {
                    users.push(user);
                }
            }
        }
        for (user, record) in self.records.iter().enumerate() {
            for used in record.iter().flat_map(|record| stands_on(record, &self.live)) {
                if let Some(users) = self.thing_of.get(&used).and_then(|used| users.get_mut(*used)) {
                    users.push(user);
                }
            }
        }
        let mut open: VecDeque<usize> = (0..standing.len()).filter(|thing| standing[*thing] == from).collect();
        while let Some(thing) = open.pop_front() {
            for user in users.get(thing).into_iter().flatten().copied() {
                if takes(standing[user]) {
                    standing[user] = becomes;
                    open.push_back(user);
                }
            }
        }
    }

    /// Brings what selected resources need and what does not exist yet, or was left unfinished. What is excluded does not
    /// come, and is good enough unfinished.
    fn bring(
        &self,
        standing: &mut [Standing],
        input: &PlanInput<'_>,
        current: &Current<'_>,
        dependencies: &[Vec<u32>],
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let count = self.declared.resources.len();
        let mut open: Vec<usize> = (0..count).filter(|thing| standing[*thing].is_in()).collect();
        let mut lacking: BTreeMap<usize, Vec<&Urn>> = BTreeMap::new();
        while let Some(thing) = open.pop() {
            for used in dependencies.get(thing).into_iter().flatten().map(|used| *used as usize) {
                let record = current.of_declared(used as u32);
                if standing[used].is_in() || record.is_some_and(|record| record.status == Status::Live) {
                    continue;
                }
                if standing[used] != Standing::Excluded {
                    standing[used] = Standing::Needed;
                    open.push(used);
                } else if is_new(input.catalog, record) {
                    lacking.entry(used).or_default().extend(self.urn(thing));
                }
            }
        }
        for (used, mut users) in lacking {
            let (Some(urn), Some(declared)) = (self.urn(used), self.declared.resources.get(used)) else { continue };
            users.sort();
            let verb = if users.len() == 1 { "needs" } else { "need" };
            diagnostics.push(
                Diagnostic::refused(format!("it is excluded and not there yet, and {} {verb} it", listed(&users)))
                    .on(urn)
                    .help("exclude what needs it too, all of it with `--exclude-dependents`, or do not exclude it")
                    .at(declared.at),
            );
        }
    }

    /// Brings what is left out and depends, by what is recorded of it, on what is selected and is to depend on it: left as it
    /// is, the two would depend on each other. Says whether there was any.
    fn open_circles(
        &self,
        standing: &mut [Standing],
        dependencies: &[Vec<u32>],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> bool {
        let mut edges: Vec<(u32, u32)> = Vec::new();
        for (thing, standing) in standing.iter().enumerate() {
            if standing.is_in() {
                edges.extend(dependencies.get(thing).into_iter().flatten().map(|used| (thing as u32, *used)));
            } else if let Some(record) = self.records.get(thing).copied().flatten() {
                let used = record.dependencies.iter().filter_map(|used| self.thing_of.get(used));
                edges.extend(used.map(|used| (thing as u32, *used as u32)));
            }
        }
        let graph = DiGraph::<(), ()>::from_edges(edges);
        let (mut brought, mut refused) = (false, Vec::new());
        for circle in kosaraju_scc(&graph).into_iter().filter(|circle| circle.len() > 1) {
            let circle: BTreeSet<usize> = circle.into_iter().map(|thing| thing.index()).collect();
            // Each circle leads from something selected to something that is not.
            let selected = circle.iter().filter(|thing| standing[**thing].is_in());
            let used = selected.flat_map(|thing| dependencies.get(*thing).into_iter().flatten());
            let used: BTreeSet<usize> = used.map(|used| *used as usize).filter(|used| circle.contains(used)).collect();
            for thing in used {
                let Some(declared) = self.declared.resources.get(thing) else { continue };
                match standing[thing] {
                    Standing::Left => {
                        standing[thing] = Standing::Needed;
                        brought = true;
                    }
                    Standing::Excluded => refused.push(
                        Diagnostic::refused(
                            "it is excluded, and as it is now it depends on something selected that is to depend on it",
                        )
                        .on(&declared.urn)
                        .help("do not exclude it, or exclude what needs it too, with `--exclude-dependents`")
                        .at(declared.at),
                    ),
                    _ => {}
                }
            }
        }
        // What is brought may open the circles of what is excluded, too.
        if !brought {
            diagnostics.extend(refused);
        }
        brought
    }

    /// Leaves alone what would be deleted although something that is left out stands on it: the rest of what was not
    /// asked for by name, and what an earlier run could not delete yet.
    fn keep(&self, standing: &mut [Standing], by_target: bool) {
        let count = self.declared.resources.len();
        let mut open: Vec<usize> = (0..standing.len()).filter(|thing| !standing[*thing].is_in()).collect();
        while let Some(thing) = open.pop() {
            let record = self.records.get(thing).copied().flatten();
            for used in record.into_iter().flat_map(|record| stands_on(record, &self.live)) {
                let Some(used) = self.thing_of.get(&used).copied().filter(|used| *used >= count) else { continue };
                let pending = self.records[used].is_some_and(|record| record.status == Status::PendingDelete);
                let asked = by_target && standing[used] == Standing::Asked;
                if standing[used].is_in() && (pending || !asked) {
                    standing[used] = Standing::Kept;
                    open.push(used);
                }
            }
        }
    }
}

/// Whether nothing can stand on a resource yet: it is not there, or its create was cut short before all was known.
fn is_new(catalog: &Catalog, record: Option<&ResourceRecord>) -> bool {
    record.is_none_or(|record| {
        let schema = catalog.get(record.urn.type_name()).map(|entry| entry.schema);
        record.status == Status::PendingReplacement
            || record.status == Status::Incomplete && schema.is_none_or(|schema| lacks_outputs(schema, record))
    })
}

/// What a run looks at: the instances to read, and which declarations to adopt for. None where that is everything.
pub(crate) struct Scope {
    pub(crate) selection: Selection,
    pub(crate) claimed: HashMap<Instance, u32>,
}

impl Scope {
    /// What the options select of a program and a state. What is wrong with the selection is for the plan to say.
    pub(crate) fn of(declared: &Declarations, state: &State, catalog: &Catalog, options: &PlanOptions) -> Option<Self> {
        Self::and_diagnostics(declared, state, catalog, options).0
    }

    /// What is wrong with a selection for which no plan is made.
    pub(crate) fn check(
        declared: &Declarations,
        state: &State,
        catalog: &Catalog,
        options: &PlanOptions,
    ) -> Vec<Diagnostic> {
        Self::and_diagnostics(declared, state, catalog, options).1
    }

    fn and_diagnostics(
        declared: &Declarations,
        state: &State,
        catalog: &Catalog,
        options: &PlanOptions,
    ) -> (Option<Self>, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        if options.targets.is_empty() && options.excludes.is_empty() {
            return (None, diagnostics);
        }
        let input = PlanInput { declared, state, catalog, imports: &BTreeMap::new(), options };
        let mut unheard = Vec::new();
        let dependencies = order::dependencies(declared, &mut unheard);
        let current = Current::of(declared, state, &mut unheard);
        let selection = Selection::of(&input, &current, &dependencies, &mut diagnostics);
        let claimed = (0..declared.resources.len() as u32)
            .filter_map(|index| Some((current.of_declared(index)?.instance, index)))
            .collect();
        (selection.map(|selection| Self { selection, claimed }), diagnostics)
    }

    /// Whether a recorded instance is to be read.
    pub(crate) fn has(&self, instance: Instance) -> bool {
        match self.claimed.get(&instance) {
            Some(index) => self.selection.has_declared(*index),
            None => self.selection.has_departed(instance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_held_against_every_name_of_a_resource() {
        let urn = Urn::new("aws:ec2:Vpc", "network/eu/main");
        for (glob, expected) in [
            ("aws:ec2:Vpc::network/eu/main", true),
            ("aws:ec2:Vpc", true),
            ("aws:ec2:*", true),
            ("*:Vpc", true),
            ("main", true),
            ("ma?n", true),
            ("network/eu/main", true),
            ("network/*/main", true),
            ("network/eu", true),
            ("network", true),
            ("net*", true),
            ("eu", false),
            ("Main", false),
            ("mai", false),
            ("ma?", false),
            ("aws:ec2", false),
            ("", false),
        ] {
            assert_eq!(Glob::new(glob).matches(&urn), expected, "{glob}");
        }
        assert!(Glob::new("a[0]*").matches(&Urn::new("t:T", "a[0]b")), "brackets mean themselves");
    }
}
