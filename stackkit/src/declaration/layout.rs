//! Expressions laid out as rustfmt lays them out by its defaults, so that it leaves them alone.

/// How wide a line may be, and how wide the arguments of a call, a list and a chain may be within one.
const LINE: usize = 100;
const PART: usize = 60;
/// Elements up to this width share lines where a list has more than one.
const SHORT: usize = 10;

/// A piece of Rust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    /// A literal, a path or a reference.
    Plain(String),
    /// What stands between brackets after a head: `f(a, b)`, `[a, b]`, `(a, b)`, `list![a]`.
    Group { head: String, open: char, items: Vec<Expr> },
    /// Calls of methods on something: a group each, whose heads are their names.
    Chain { base: Box<Expr>, calls: Vec<Expr> },
}

impl Expr {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Expr::Plain(text.into())
    }

    pub(super) fn call(head: impl Into<String>, items: Vec<Expr>) -> Self {
        Expr::Group { head: head.into(), open: '(', items }
    }

    pub(super) fn list(items: Vec<Expr>) -> Self {
        Expr::Group { head: String::new(), open: '[', items }
    }

    /// This with methods called on it.
    pub(super) fn chain(self, calls: Vec<Expr>) -> Self {
        if calls.is_empty() { self } else { Expr::Chain { base: Box::new(self), calls } }
    }

    /// In one line, where rustfmt would have it so.
    fn flat(&self) -> Option<String> {
        match self {
            Expr::Plain(text) => Some(text.clone()),
            Expr::Group { head, open, items } => {
                let joined = items.iter().map(Expr::flat).collect::<Option<Vec<_>>>()?.join(", ");
                // A literal that is the only argument of a call takes what room there is.
                let alone = *open == '(' && matches!(items.as_slice(), [Expr::Plain(_)]);
                (alone || width(&joined) <= PART).then(|| format!("{head}{open}{joined}{}", close(*open)))
            }
            Expr::Chain { base, calls } => {
                let mut text = base.flat()?;
                for call in calls {
                    text.push('.');
                    text.push_str(&call.flat()?);
                }
                (calls.len() == 1 || width(&text) <= PART).then_some(text)
            }
        }
    }

    /// Lays it out at an indentation, in a line that is written up to a column, with so many characters to come after.
    pub(super) fn lay_out(&self, indent: usize, column: usize, after: usize) -> String {
        if let Some(flat) = self.flat()
            && column + width(&flat) + after <= LINE
        {
            return flat;
        }
        match self {
            Expr::Plain(text) => text.clone(),
            Expr::Group { head, open, items } => group(head, *open, items, indent, column),
            Expr::Chain { base, calls } => chain(base, calls, indent, column, after),
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn close(open: char) -> char {
    if open == '(' { ')' } else { ']' }
}

fn pad(indent: usize) -> String {
    " ".repeat(indent)
}

fn group(head: &str, open: char, items: &[Expr], indent: usize, column: usize) -> String {
    let close = close(open);
    if let [only @ (Expr::Group { .. } | Expr::Chain { .. })] = items
        && !matches!(only, Expr::Chain { .. })
        && open == '('
    {
        // A single argument opens where the call does.
        let inner = only.lay_out(indent, column + width(head) + 1, 1);
        return format!("{head}({inner})");
    }
    let inside = indent + 4;
    let mut out = format!("{head}{open}\n");
    let flat: Option<Vec<String>> = items.iter().map(Expr::flat).collect();
    if let Some(short) = flat.filter(|all| open == '[' && all.iter().all(|item| width(item) <= SHORT)) {
        let mut line = pad(inside);
        for (at, item) in short.iter().enumerate() {
            if at > 0 && width(&line) + 1 + width(item) + 1 > LINE {
                out.push_str(line.trim_end());
                out.push('\n');
                line = pad(inside);
            }
            line.push_str(item);
            line.push_str(", ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    } else {
        for item in items {
            out.push_str(&format!("{}{},\n", pad(inside), item.lay_out(inside, inside, 1)));
        }
    }
    format!("{out}{}{close}", pad(indent))
}

fn chain(base: &Expr, calls: &[Expr], indent: usize, column: usize, after: usize) -> String {
    let Some((last, first)) = calls.split_last() else { return base.lay_out(indent, column, after) };
    let inside = indent + 4;
    let on_its_own =
        |call: &Expr, after: usize| format!("\n{}.{}", pad(inside), call.lay_out(inside, inside + 1, after));
    let begun = std::iter::once(base.flat()).chain(first.iter().map(|call| Some(format!(".{}", call.flat()?))));
    if let Some(begun) = begun.collect::<Option<String>>() {
        let room = LINE.saturating_sub(column + after);
        let limit = if calls.len() == 1 { room } else { room.min(PART) };
        if let Some(budget) = limit.checked_sub(width(&begun)).filter(|budget| *budget > 0) {
            let over = format!(".{}", last.lay_out(indent, column + width(&begun) + 1, after));
            let lines = over.lines().count();
            let fits = over.lines().next().is_some_and(|line| width(line) <= budget);
            let alone = on_its_own(last, after).trim_start_matches('\n').lines().count();
            if fits && (lines >= 5 || alone >= lines) {
                return format!("{begun}{over}");
            }
        }
    }
    let mut out = base.lay_out(indent, column, 0);
    for call in first {
        out.push_str(&on_its_own(call, 0));
    }
    out.push_str(&on_its_own(last, after));
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn text(text: &str) -> Expr {
        Expr::plain(format!("{text:?}"))
    }

    fn added(draft: Expr) -> String {
        let statement = Expr::plain("stack").chain(vec![Expr::call("add", vec![text("main"), draft])]);
        format!("    let main = {};\n", statement.lay_out(4, 15, 1))
    }

    fn tags(count: usize) -> Expr {
        let pairs = (0..count).map(|n| Expr::call("", vec![text(&format!("label-{n}")), text(&format!("value-{n}"))]));
        Expr::call("tags", vec![Expr::list(pairs.collect())])
    }

    fn vpc(block: &str) -> Expr {
        Expr::call("ec2::Vpc::new", vec![text(block)])
    }

    /// rustfmt itself is the judge: every shape of declaration goes through it and comes back as it was.
    #[test]
    fn rustfmt_leaves_declarations_alone() {
        let size = |n: usize| Expr::call("size", vec![Expr::plain(n.to_string())]);
        let long = |n: usize| Expr::call("description", vec![text(&"x".repeat(n))]);
        let shapes = [
            vpc("10.0.0.0/16"),
            vpc(&"1".repeat(70)),
            vpc("10.0.0.0/16").chain(vec![size(1)]),
            vpc("10.0.0.0/16").chain(vec![size(1), size(2)]),
            vpc("10.0.0.0/16").chain(vec![size(1), size(2), long(20)]),
            vpc("10.0.0.0/16").chain(vec![tags(1)]),
            vpc("10.0.0.0/16").chain(vec![tags(2)]),
            vpc("10.0.0.0/16").chain(vec![tags(3)]),
            vpc("10.0.0.0/16").chain(vec![tags(5)]),
            vpc("10.0.0.0/16").chain(vec![size(1), tags(2), size(3)]),
            vpc("10.0.0.0/16").chain(vec![size(1), tags(5)]),
            vpc("10.0.0.0/16").chain(vec![tags(5), long(40)]),
            vpc("10.0.0.0/16").chain(vec![long(120), tags(1)]),
            vpc("10.0.0.0/16").chain(vec![Expr::call(
                "zones",
                vec![Expr::list((0..30).map(|n| text(&format!("zone-{n}"))).collect())],
            )]),
            Expr::call(
                "rds::Instance::new",
                vec![
                    text("postgres"),
                    text("16"),
                    text("db.t4g.micro"),
                    Expr::plain("20"),
                    Expr::plain("/* secret */ config.password"),
                ],
            ),
            Expr::call("rds::SubnetGroup::new", vec![Expr::list(vec![Expr::plain("&a.id"), Expr::plain("&b.id")])]),
            Expr::call(
                "ec2::Group::new",
                vec![Expr::list(
                    (0..3)
                        .map(|n| Expr::call("ec2::Rule::new", vec![Expr::plain(n.to_string()), text("10.0.0.0/8")]))
                        .collect(),
                )],
            ),
        ];
        let body: String = shapes.into_iter().map(added).collect();
        let source = format!("fn main() {{\n{body}}}\n");
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("rustfmt")
            .args(["--edition", "2024"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("rustfmt comes with the toolchain");
        child.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
        let formatted = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(source, formatted, "---- ours\n{source}\n---- rustfmt\n{formatted}");
    }
}
