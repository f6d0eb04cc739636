//! The plan on the screen: a tree of what will change, with reasons and what is before and after, field by field.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::event::{Operation, Summary};
use crate::plan::{Action, FieldChange, Plan, PlanNode, PlannedOutput, Selected};
use crate::ui::Verbosity;
use crate::ui::paint::{Paint, symbol};
use crate::ui::text::{clean, count, pad, shorten, width, wrap};
use crate::ui::value::{self, Line, SECRET, Sign, UNKNOWN, What};
use crate::value::Value;

/// How many lines a resource that is new gets, and how many a changed text.
const FIELDS_OF_NEW: usize = 12;
const LINES_OF_TEXT: usize = 24;
/// How many resources are drawn unless everything is asked for. What is deleted or replaced is never left out.
const RESOURCES: usize = 200;
/// How many of the resources that come along with a selection are named.
const SELECTED: usize = 10;

/// How a plan is to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct PlanStyle {
    /// Colours or none.
    pub paint: Paint,
    /// How many columns there are.
    pub columns: usize,
    /// Whether everything is shown or only what people usually want.
    pub verbosity: Verbosity,
}

impl Default for PlanStyle {
    fn default() -> Self {
        Self { paint: Paint::PLAIN, columns: 80, verbosity: Verbosity::Normal }
    }
}

/// The tree of what changes, then the outputs, then one line that sums it up.
pub fn render_plan(plan: &Plan, operation: Operation, style: PlanStyle) -> String {
    let mut out = String::new();
    let mut shown: Vec<&PlanNode> = plan.nodes.iter().filter(|node| is_shown(node, style.verbosity)).collect();
    // What left the program has no order of its own that anybody would know.
    let declared = shown.iter().take_while(|node| node.declared.is_some()).count();
    shown[declared..].sort_by(|a, b| a.urn.cmp(&b.urn));
    let mut drawn = 0;
    let before = shown.len();
    if style.verbosity < Verbosity::Verbose {
        shown.retain(|node| {
            drawn += 1;
            drawn <= RESOURCES || matches!(node.action, Action::Delete | Action::Replace { .. })
        });
    }
    let hidden = before - shown.len();
    let word_width = shown.iter().map(|node| width(word(node))).max().unwrap_or_default();
    let mut tree = Group::default();
    for node in &shown {
        tree.insert(&node.urn.path().split('/').collect::<Vec<_>>(), node);
    }
    let mut writer = Writer { out: &mut out, style, word_width, operation };
    writer.group(&tree, 0);
    if !plan.reads.is_empty() && !shown.is_empty() {
        for read in &plan.reads {
            let name = format!("{} {}", clean(read.urn.type_name()), clean(read.urn.path()));
            let sign = style.paint.cyan("↓   read");
            writer.line(1, format!("{sign}  {name}  {}", style.paint.dim("when what it needs is there")));
        }
    }
    if hidden > 0 {
        let more = format!("… and {} (-v shows all)", count(hidden, "more resource"));
        writer.line(1, style.paint.dim(more));
    }
    let outputs: Vec<&PlannedOutput> = plan.outputs.iter().filter(|output| output.changes()).collect();
    if !outputs.is_empty() {
        if !shown.is_empty() {
            writer.out.push('\n');
        }
        writer.outputs(&outputs);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    if let Some(selected) = &plan.selected {
        let paint = style.paint;
        for line in selected_lines(selected).iter().flat_map(|line| wrap(line, style.columns.saturating_sub(2))) {
            let _ = writeln!(out, "{}", paint.dim(line));
        }
    }
    out.push_str(&planned_line(plan, operation, style.paint));
    out.push('\n');
    out
}

/// What the targets and excludes came to, in whole sentences.
fn selected_lines(selected: &Selected) -> Vec<String> {
    let mut lines = vec![format!("Selected {}, left out {}", count(selected.asked, "resource"), selected.left_out)];
    for (urns, why) in [
        (&selected.needed, "Needed by them and not there, or not finished, yet"),
        (&selected.dependents, "Depending on them"),
        (&selected.kept, "Kept, because something that is left out stands on them"),
    ] {
        if urns.is_empty() {
            continue;
        }
        let mut names: Vec<_> = urns.iter().take(SELECTED).map(|urn| clean(urn.as_str()).into_owned()).collect();
        if urns.len() > SELECTED {
            names.push(format!("and {}", count(urns.len() - SELECTED, "more resource")));
        }
        lines.push(format!("{why}: {}", names.join(", ")));
    }
    lines
}

/// `3 to create, 1 to update, 12 unchanged`.
pub fn planned_line(plan: &Plan, operation: Operation, paint: Paint) -> String {
    let summary = plan.summary();
    let may = |wanted: fn(&Action) -> bool| plan.nodes.iter().filter(|n| !n.certain && wanted(&n.action)).count();
    let may_update = may(|action| matches!(action, Action::Update));
    let may_replace = may(|action| matches!(action, Action::Replace { .. }));
    let mut parts = Vec::new();
    let mut part = |number: usize, words: &str, action: &Action| {
        if number > 0 {
            parts.push(paint.action(action, format!("{number} {words}")));
        }
    };
    part(summary.create, "to create", &Action::Create);
    part(summary.import, "to import", &Action::Import { id: String::new() });
    part(summary.update - may_update, "to update", &Action::Update);
    part(may_update, "may be updated", &Action::Update);
    part(summary.replace - may_replace, "to replace", &Action::Replace { delete_first: false });
    part(may_replace, "may be replaced", &Action::Replace { delete_first: false });
    part(summary.delete, "to delete", &Action::Delete);
    part(summary.forget, "to forget", &Action::Forget);
    if parts.is_empty() {
        let outputs = plan.outputs.iter().filter(|output| output.changes()).count();
        let what = match (outputs, operation, summary.same + summary.left_out) {
            (0, Operation::Destroy, 0) => "Nothing to destroy".to_owned(),
            (0, _, 0) => "Nothing to do: the program declares no resources".to_owned(),
            (0, ..) => "No changes".to_owned(),
            (number, ..) => format!("Only {} changed", if number == 1 { "an output" } else { "outputs" }),
        };
        let left_out = match summary.left_out {
            0 => String::new(),
            number => paint.dim(format!(", {number} left out")),
        };
        if summary.same == 0 {
            return format!("{}{left_out}", paint.bold(what));
        }
        return format!("{}: {} as declared{left_out}", paint.bold(what), verb_be(summary.same));
    }
    if summary.same > 0 {
        parts.push(paint.dim(format!("{} unchanged", summary.same)));
    }
    if summary.left_out > 0 {
        parts.push(paint.dim(format!("{} left out", summary.left_out)));
    }
    parts.join(", ")
}

fn verb_be(number: usize) -> String {
    format!("{} {}", count(number, "resource"), if number == 1 { "is" } else { "are" })
}

/// `3 created, 1 updated, 12 unchanged, 1 failed`.
pub fn done_line(summary: &Summary, operation: Operation, paint: Paint) -> String {
    let mut parts = Vec::new();
    let mut part = |number: usize, words: &str, paint: &dyn Fn(String) -> String| {
        if number > 0 {
            parts.push(paint(format!("{number} {words}")));
        }
    };
    part(summary.create, "created", &|text| paint.green(text));
    part(summary.import, "imported", &|text| paint.cyan(text));
    part(summary.update, "updated", &|text| paint.yellow(text));
    part(summary.replace, "replaced", &|text| paint.magenta(text));
    part(summary.delete, "deleted", &|text| paint.red(text));
    part(summary.forget, "forgotten", &|text| paint.dim(text));
    part(summary.failed, "failed", &|text| paint.bold(paint.red(text)));
    part(summary.skipped, "skipped", &|text| paint.yellow(text));
    part(summary.same, "unchanged", &|text| paint.dim(text));
    part(summary.left_out, "left out", &|text| paint.dim(text));
    if parts.is_empty() {
        parts.push(match operation {
            Operation::Destroy => "nothing to destroy".into(),
            _ => "nothing to do".into(),
        });
    }
    parts.join(", ")
}

fn is_shown(node: &PlanNode, verbosity: Verbosity) -> bool {
    match node.action {
        Action::Same => false,
        // That something is renamed is worth a line; that an option is, is not.
        Action::Record => verbosity == Verbosity::Verbose || !node.reasons.is_empty(),
        _ => true,
    }
}

fn word(node: &PlanNode) -> &'static str {
    match (&node.action, node.certain) {
        (Action::Update, false) => "may update",
        (Action::Replace { .. }, false) => "may replace",
        (action, _) => action.name(),
    }
}

/// Resources under the components that they belong to, each in the order in which it was declared.
#[derive(Default)]
struct Group<'a> {
    nodes: Vec<&'a PlanNode>,
    groups: Vec<(&'a str, Group<'a>)>,
}

impl<'a> Group<'a> {
    fn insert(&mut self, path: &[&'a str], node: &'a PlanNode) {
        let [first, rest @ ..] = path else { return self.nodes.push(node) };
        if rest.is_empty() {
            return self.nodes.push(node);
        }
        let at = self.groups.iter().position(|(name, _)| name == first).unwrap_or_else(|| {
            self.groups.push((first, Group::default()));
            self.groups.len() - 1
        });
        self.groups[at].1.insert(rest, node);
    }
}

struct Writer<'a> {
    out: &'a mut String,
    style: PlanStyle,
    word_width: usize,
    operation: Operation,
}

impl Writer<'_> {
    fn line(&mut self, indent: usize, text: impl AsRef<str>) {
        let text = text.as_ref().trim_end();
        if text.is_empty() {
            self.out.push('\n');
        } else {
            let _ = writeln!(self.out, "{:indent$}{text}", "");
        }
    }

    fn group(&mut self, group: &Group<'_>, indent: usize) {
        for node in &group.nodes {
            self.node(node, indent);
        }
        for (name, inner) in &group.groups {
            let name = self.style.paint.bold(format!("{}/", clean(name)));
            self.line(indent + 1, name);
            self.group(inner, indent + 2);
        }
    }

    fn node(&mut self, node: &PlanNode, indent: usize) {
        let paint = self.style.paint;
        let sign = paint.action(&node.action, pad(symbol(&node.action), 3));
        let verb = paint.action(&node.action, pad(word(node), self.word_width));
        let id = match &node.action {
            Action::Import { id } => format!("  {}", paint.dim(format!("from {}", clean(id)))),
            _ => String::new(),
        };
        let name = paint.bold(clean(node.urn.name()));
        self.line(indent + 1, format!("{sign} {verb}  {} {name}{id}", clean(node.urn.type_name())));
        let indent = indent + 7;
        // Of a destroy everybody knows why.
        let destroyed =
            self.operation == Operation::Destroy && node.reasons.len() == 1 && node.action == Action::Delete;
        for reason in node.reasons.iter().filter(|reason| !destroyed && says_more(reason, node)) {
            for line in wrap(&clean(reason), self.style.columns.saturating_sub(indent + 2)) {
                self.line(indent, paint.dim(line));
            }
        }
        self.fields(node, indent);
    }

    fn fields(&mut self, node: &PlanNode, indent: usize) {
        let made = node.changes.iter().all(|change| change.before.is_null());
        let mut lines: Vec<(Line, &FieldChange)> = Vec::new();
        for change in &node.changes {
            let mut found = Vec::new();
            value::compare(change.field, &change.before, &change.after, &mut found);
            if found.is_empty() {
                // Equal on the screen, as a text of other JSON spacing is, but a change all the same.
                let what = if change.after.has_secret() || change.before.has_secret() {
                    What::SecretChanged
                } else {
                    What::Changed(value::show(&change.before), value::show(&change.after))
                };
                found.push(Line { path: change.field.to_owned(), what });
            }
            lines.extend(found.into_iter().map(|line| (line, change)));
        }
        let limit = match self.style.verbosity {
            Verbosity::Verbose => usize::MAX,
            _ if made => FIELDS_OF_NEW,
            _ => usize::MAX,
        };
        let hidden = lines.len().saturating_sub(limit);
        // A single line more costs no more room than saying that it is left out.
        let limit = if hidden <= 1 { lines.len() } else { limit };
        let name_width = lines.iter().take(limit).map(|(line, _)| width(&line.path)).filter(|w| *w <= 28).max();
        let name_width = name_width.unwrap_or_default();
        let mut last = String::new();
        for (line, change) in lines.iter().take(limit) {
            let name = if line.path == last { String::new() } else { line.path.clone() };
            last.clone_from(&line.path);
            let first = name.is_empty();
            self.field(line, change, &pad(&name, name_width), indent, !first);
        }
        if lines.len() > limit {
            let rest = count(lines.len() - limit, "more field");
            self.line(indent, self.style.paint.dim(format!("… {rest} (-v shows all)")));
        }
    }

    fn field(&mut self, line: &Line, change: &FieldChange, name: &str, indent: usize, marked: bool) {
        let paint = self.style.paint;
        let mut notes = Vec::new();
        if marked && change.drifted {
            notes.push("changed from outside");
        }
        if marked && change.forces_replacement {
            notes.push(if change.certain { "forces replacement" } else { "may force replacement" });
        }
        let note = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
        let columns = self.style.columns.max(40).saturating_sub(indent + width(name) + 2 + width(&note));
        let columns = columns.max(16);
        let note = paint.yellow(note);
        let arrow = paint.dim("→");
        let body = match &line.what {
            What::Set(text) => self.value(&shorten(text, columns)),
            What::Changed(before, after) => {
                let (before, after) = value::shorten_pair(before, after, columns - 3);
                format!("{} {arrow} {}", paint.red(before), self.after(&after))
            }
            What::SecretChanged if change.certain => format!("{SECRET} {}", paint.yellow("changed")),
            What::SecretRotated => format!("{SECRET} {}", paint.yellow("rotated")),
            What::SecretChanged => SECRET.to_owned(),
            What::Added(item) => paint.green(format!("+ {}", shorten(item, columns - 2))),
            What::Removed(item) => paint.red(format!("- {}", shorten(item, columns - 2))),
            What::Text(lines) => {
                let changed = lines.iter().filter(|(sign, _)| matches!(sign, Sign::New | Sign::Gone)).count();
                self.line(
                    indent,
                    format!("{name}  {}{note}", paint.dim(format!("{} changed", count(changed, "line")))),
                );
                return self.text(lines, indent + 2);
            }
        };
        self.line(indent, format!("{name}  {body}{note}"));
    }

    fn value(&self, text: &str) -> String {
        if text.starts_with(UNKNOWN) { self.style.paint.cyan(text) } else { text.to_owned() }
    }

    fn after(&self, text: &str) -> String {
        if text.starts_with(UNKNOWN) { self.style.paint.cyan(text) } else { self.style.paint.green(text) }
    }

    fn text(&mut self, lines: &[(Sign, String)], indent: usize) {
        let paint = self.style.paint;
        let limit = if self.style.verbosity == Verbosity::Verbose { usize::MAX } else { LINES_OF_TEXT };
        let columns = self.style.columns.saturating_sub(indent + 2).max(16);
        for (sign, line) in lines.iter().take(limit) {
            let line = shorten(line, columns);
            self.line(
                indent,
                match sign {
                    Sign::Same => paint.dim(format!("  {line}")),
                    Sign::Gone => paint.red(format!("- {line}")),
                    Sign::New => paint.green(format!("+ {line}")),
                    Sign::Gap => paint.dim("  ⋮"),
                },
            );
        }
        if lines.len() > limit {
            let rest = count(lines.len() - limit, "more line");
            self.line(indent, paint.dim(format!("… {rest} (-v shows all)")));
        }
    }

    fn outputs(&mut self, outputs: &[&PlannedOutput]) {
        let paint = self.style.paint;
        self.line(1, paint.bold("Outputs"));
        let name_width = outputs.iter().map(|output| width(&clean(&output.name))).max().unwrap_or_default().min(28);
        for output in outputs {
            let before = output.before.as_ref().unwrap_or(&Value::Null);
            let after = output.after.as_ref().unwrap_or(&Value::Null);
            let action = match (&output.before, &output.after) {
                (None, _) => Action::Create,
                (_, None) => Action::Delete,
                _ => Action::Update,
            };
            let secret = before.has_secret() || after.has_secret();
            let columns = self.style.columns.saturating_sub(name_width + 10).max(20);
            let (before, after) = if secret {
                (SECRET.to_owned(), if after.is_known() { SECRET.to_owned() } else { UNKNOWN.to_owned() })
            } else {
                (value::show(before), value::show(after))
            };
            let body = match action {
                Action::Create => self.value(&shorten(&after, columns)),
                Action::Delete => paint.dim(shorten(&before, columns)),
                _ if secret && before == after => format!("{SECRET} {}", paint.yellow("changed")),
                _ => {
                    let (before, after) = value::shorten_pair(&before, &after, columns - 3);
                    format!("{} {} {}", paint.red(before), paint.dim("→"), self.after(&after))
                }
            };
            let sign = paint.action(&action, pad(symbol(&action), 3));
            self.line(1, format!("{sign} {}  {body}", pad(&clean(&output.name), name_width)));
        }
    }
}

/// Whether a reason says something that the lines of the fields do not.
fn says_more(reason: &str, node: &PlanNode) -> bool {
    if matches!(node.action, Action::Replace { .. }) {
        return true;
    }
    let field = reason.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(field, _)| field);
    field.is_none_or(|field| !node.changes.iter().any(|change| change.field == field))
}

/// The outputs of a stack, one a line, for people.
pub fn render_outputs(outputs: &BTreeMap<String, Value>, style: PlanStyle, secrets: value::Secrets) -> String {
    let name_width = outputs.keys().map(|name| width(&clean(name))).max().unwrap_or_default();
    let mut out = String::new();
    for (name, value) in outputs {
        let text = value::to_text(value, secrets);
        let name = style.paint.bold(pad(&clean(name), name_width));
        // Of several lines, the first stands beside the name and the others below it.
        let mut lines = crate::ui::text::clean_lines(&text);
        let _ = writeln!(out, "{name}  {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(out, "{:1$}  {line}", "", name_width);
        }
    }
    out
}

#[cfg(test)]
mod tests;
