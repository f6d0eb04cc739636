//! Many recorded resources as a whole program: in the order in which they refer to each other, with one variable each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::catalog::TypeEntry;
use crate::declaration::{Around, Ask, Declaration, Known, Names, declaration, ident, keyword, module, variable};
use crate::state::model::{Instance, ResourceRecord, State};
use crate::value::Value;

/// One resource of the program.
pub(crate) struct Part<'a> {
    pub(crate) entry: &'a TypeEntry,
    /// Where its provider is in Rust.
    pub(crate) provider: &'static str,
    pub(crate) record: &'a ResourceRecord,
    /// The instances that it is known to come after.
    pub(crate) after: Vec<Instance>,
    /// Calls on its handle.
    pub(crate) options: Vec<String>,
}

/// The program.
pub(crate) struct Printed {
    pub(crate) text: String,
    /// For each part, in the order given: its statement, and the instances that it comes after in the program.
    pub(crate) parts: Vec<(Declaration, BTreeSet<Instance>)>,
    /// The config values that it asks for.
    pub(crate) asks: Vec<Ask>,
}

/// Writes a program called `name` that declares all of it. `state` holds the records of the parts, too.
pub(crate) fn print(
    name: &str,
    parts: &[Part<'_>],
    state: &State,
    known: &Known<'_>,
    config: &BTreeMap<String, Value>,
) -> Printed {
    let mut names = named(parts);
    names.config = Some(config);
    // Where each part leads to is known once it is written; in which order they stand, only then.
    let mut drafts = names.clone();
    let place: HashMap<Instance, usize> =
        parts.iter().enumerate().map(|(index, part)| (part.record.instance, index)).collect();
    let needs: Vec<BTreeSet<usize>> = parts
        .iter()
        .enumerate()
        .map(|(own, part)| {
            let refers_to = write(part, state, known, &mut drafts, &[], false).refers_to;
            let all = refers_to.iter().chain(&part.after).filter_map(|instance| place.get(instance).copied());
            all.filter(|other| *other != own).collect()
        })
        .collect();
    let order = sorted(&needs);
    let position: HashMap<Instance, usize> = order
        .iter()
        .enumerate()
        .filter_map(|(position, index)| Some((parts.get(*index)?.record.instance, position)))
        .collect();
    drafts.later = position.keys().copied().collect();
    names.later.clone_from(&drafts.later);
    let mut comes_after: HashMap<Instance, BTreeSet<Instance>> = HashMap::new();
    let mut written: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut used: HashSet<Instance> = HashSet::new();
    for index in &order {
        let Some(part) = parts.get(*index) else { continue };
        let refers_to = write(part, state, known, &mut drafts, &[], false).refers_to;
        let mut all: BTreeSet<Instance> = refers_to.into_iter().collect();
        let mut after = Vec::new();
        let mut implied = reach(&all, &comes_after);
        // What the references imply need not be said; later ones imply earlier ones.
        let mut rest: Vec<Instance> =
            part.after.iter().copied().filter(|instance| !drafts.later.contains(instance)).collect();
        rest.sort_by_key(|instance| std::cmp::Reverse(position.get(instance).copied()));
        for instance in rest {
            let Some(record) = state.resources.get(&instance).filter(|_| !implied.contains(&instance)) else {
                continue;
            };
            after.push(format!("depends_on(&{})", names.variable(instance, record.urn.name())));
            all.insert(instance);
            implied.extend(reach(&BTreeSet::from([instance]), &comes_after));
        }
        let options = part.options.iter().cloned().chain(after.into_iter().rev()).collect();
        used.extend(all.iter().copied());
        comes_after.insert(part.record.instance, all);
        written.insert(*index, options);
        drafts.later.remove(&part.record.instance);
    }
    let (mut body, mut asks, mut done) = (String::new(), Vec::new(), BTreeMap::new());
    let mut scopes = BTreeSet::new();
    for index in &order {
        let (Some(part), Some(options)) = (parts.get(*index), written.get(index)) else { continue };
        body.push_str(&components(part.record, &names, &mut scopes));
        let unbound = !used.contains(&part.record.instance);
        let mut statement = write(part, state, known, &mut names, options, unbound);
        body.push_str(&statement.text);
        asks.append(&mut statement.asks);
        let after = comes_after.remove(&part.record.instance).unwrap_or_default();
        names.later.remove(&part.record.instance);
        done.insert(*index, (statement, after));
    }
    let text = whole(name, parts, &body, &asks);
    Printed { text, parts: done.into_values().collect(), asks }
}

fn write(
    part: &Part<'_>,
    state: &State,
    known: &Known<'_>,
    names: &mut Names<'_>,
    options: &[String],
    unbound: bool,
) -> Declaration {
    let around = Around { after: &part.after, unbound, options };
    declaration(part.entry.schema, part.record, state, known, names, around)
}

/// All that these come after, themselves included.
fn reach(from: &BTreeSet<Instance>, comes_after: &HashMap<Instance, BTreeSet<Instance>>) -> HashSet<Instance> {
    let mut open: Vec<Instance> = from.iter().copied().collect();
    let mut found = HashSet::new();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(comes_after.get(&next).into_iter().flatten());
        }
    }
    found
}

/// The order given, but that everything comes after what it needs; where things need each other, one of them does not.
fn sorted(needs: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(needs.len());
    let mut begun = vec![false; needs.len()];
    for first in 0..needs.len() {
        // A loop, for chains of any length: each thing that is begun, with what it still needs.
        let mut open = vec![(first, None)];
        while let Some((index, rest)) = open.pop() {
            let mut rest = match (rest, begun.get_mut(index)) {
                (Some(rest), _) => rest,
                (None, Some(begun)) if !*begun => {
                    *begun = true;
                    needs.get(index).into_iter().flatten()
                }
                _ => continue,
            };
            match rest.next() {
                Some(need) => {
                    open.push((index, Some(rest)));
                    open.push((*need, None));
                }
                None => order.push(index),
            }
        }
    }
    order
}

/// A variable for each resource and component: the name itself, else with the type or a number behind it.
fn named<'a>(parts: &[Part<'_>]) -> Names<'a> {
    let mut names = Names { keys: Some(HashSet::new()), ..Names::default() };
    let mut taken: HashSet<String> = HashSet::from(["config".to_owned()]);
    let mut give = |candidates: &[String]| {
        let last = candidates.last().cloned().unwrap_or_default();
        let numbered = (2_u64..).map(|number| format!("{last}_{number}"));
        let free = candidates.iter().cloned().chain(numbered).find(|name| !taken.contains(name)).unwrap_or(last);
        taken.insert(free.clone());
        free
    };
    for part in parts {
        let mut path = part.record.urn.path();
        while let Some((above, _)) = path.rsplit_once('/') {
            path = above;
            let plain = variable(path.rsplit('/').next().unwrap_or(path));
            names.scopes.entry(path.to_owned()).or_insert_with(|| give(&[plain]));
        }
    }
    for part in parts {
        let urn = &part.record.urn;
        let plain = variable(urn.name());
        let short = ident(urn.type_name().rsplit(':').next().unwrap_or_default());
        let with_type = keyword(format!("{}_{short}", plain.trim_start_matches("r#")));
        names.variables.insert(part.record.instance, give(&[plain, with_type]));
    }
    names
}

/// The components that a resource is in and that are not there yet.
fn components(record: &ResourceRecord, names: &Names<'_>, there: &mut BTreeSet<String>) -> String {
    let mut text = String::new();
    let Some((path, _)) = record.urn.path().rsplit_once('/') else { return text };
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for path in ends.filter_map(|end| path.get(..end)) {
        if there.insert(path.to_owned()) {
            let above = path.rsplit_once('/');
            let scope = above.map_or("stack".to_owned(), |(above, _)| names.scope(above));
            let name = above.map_or(path, |(_, name)| name);
            text.push_str(&format!("    let mut {} = {scope}.component({name:?});\n", names.scope(path)));
        }
    }
    text
}

/// What stands around the statements: imports, the configuration, and the function.
fn whole(name: &str, parts: &[Part<'_>], body: &str, asks: &[Ask]) -> String {
    let mut uses: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut providers = BTreeSet::new();
    for part in parts {
        let (root, _) = part.entry.path.split_once("::").unwrap_or((part.entry.path, ""));
        if root == "stackkit" {
            continue;
        }
        let items = uses.entry(root).or_default();
        let provider = part.provider.rsplit("::").next().unwrap_or(part.provider);
        providers.insert(provider);
        items.insert(provider.to_owned());
        items.extend(module_path(part.entry));
        let asked = asks.iter().filter_map(|ask| ask.type_name.strip_prefix("Secret<")?.strip_suffix('>'));
        if root == part.provider.split("::").next().unwrap_or_default() {
            // Types of values that are the provider's own, such as bytes.
            items.extend(asked.filter(|name| *name != "String" && is_plain(name)).map(str::to_owned));
        }
    }
    let mut text = "use stackkit::prelude::*;\n".to_owned();
    for (root, items) in &uses {
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        text.push_str(&match items.as_slice() {
            [one] => format!("use {root}::{one};\n"),
            all => format!("use {root}::{{{}}};\n", all.join(", ")),
        });
    }
    if !asks.is_empty() {
        text.push_str("\n/// What differs between the stacks of this program.\n");
        text.push_str("#[derive(Debug, Clone, Properties)]\nstruct Config {\n");
        for ask in asks {
            text.push_str(&format!("    {}: {},\n", ask.key, ask.type_name));
        }
        text.push_str("}\n");
    }
    let linked = match providers.is_empty() {
        true => String::new(),
        false => format!("(providers({}))", providers.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let function = keyword(variable(name).trim_start_matches("r#").to_owned());
    text.push_str(&format!("\n#[stackkit::main{linked}]\nasync fn {function}(stack: &mut Stack) -> Result<()> {{\n"));
    if !asks.is_empty() {
        text.push_str("    let config: Config = stack.config()?;\n\n");
    }
    text.push_str(body);
    text.push_str("\n    Ok(())\n}\n");
    text
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// How the module that the declaration names is brought in: `ec2`, or `core::v1 as core`.
fn module_path(entry: &TypeEntry) -> Option<String> {
    let module = module(entry.schema);
    let first = module.split("::").next()?;
    let mut segments = entry.path.split("::").skip_while(|segment| *segment != first).skip(1);
    // The version of an API is a module of its own, which nobody writes each time.
    let version = segments
        .next()
        .filter(|next| next.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())));
    entry.path.split("::").any(|segment| segment == first).then(|| match version {
        Some(version) => format!("{first}::{version} as {first}"),
        None => first.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_after_what_it_needs_but_in_circles() {
        let order =
            |needs: &[&[usize]]| sorted(&needs.iter().map(|needs| needs.iter().copied().collect()).collect::<Vec<_>>());
        assert_eq!(order(&[&[2], &[], &[1]]), [1, 2, 0]);
        assert_eq!(order(&[&[1], &[0], &[]]), [1, 0, 2]);
        assert_eq!(order(&[]), [0; 0]);
        let chain: Vec<BTreeSet<usize>> =
            (0..100_000_usize).map(|n| (n < 99_999).then_some(n + 1).into_iter().collect()).collect();
        assert!(sorted(&chain).into_iter().eq((0..100_000).rev()));
    }
}
