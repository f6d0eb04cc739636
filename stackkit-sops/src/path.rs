//! Which part of a file is meant: `database.password`, `users[0].name`, or a pointer such as `/database/password`.

use crate::problem::{Problem, shown};
use crate::tree::{Entries, Node};

/// The names of a path, from the outermost.
fn names(field: &str) -> Vec<String> {
    if let Some(pointer) = field.strip_prefix('/') {
        return pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
    }
    let mut names = Vec::new();
    for part in field.split('.') {
        match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, indices)) => {
                if !name.is_empty() {
                    names.push(name.to_owned());
                }
                names.extend(indices.split("][").map(str::to_owned));
            }
            None => names.push(part.to_owned()),
        }
    }
    names
}

/// The part that a path names.
pub(crate) fn find<'a>(entries: &'a Entries, field: &str) -> Result<&'a Node, Problem> {
    let names = names(field);
    let mut at = Level::Map(entries);
    let mut passed = String::new();
    let mut found = None;
    for name in &names {
        let place = if passed.is_empty() { String::new() } else { format!(" in `{}`", shown(&passed)) };
        let missing = |has: String| {
            let hint = if field.starts_with('/') || !field.contains(['.', '[']) {
                ""
            } else {
                "; a name that holds `.` or `[` is given as a pointer, such as `/a.b/c`"
            };
            Problem::not_found(format!("has no `{}`{place}{has}{hint}", shown(name)))
        };
        let node = match at {
            Level::Map(entries) => {
                entries.iter().find(|(other, _)| other == name).map(|(_, node)| node).ok_or_else(|| {
                    missing(if entries.is_empty() { String::new() } else { format!("; it has {}", listed(entries)) })
                })?
            }
            Level::List(items) => {
                let index = name.parse::<usize>().ok().filter(|_| name.bytes().all(|digit| digit.is_ascii_digit()));
                index
                    .and_then(|index| items.get(index))
                    .ok_or_else(|| missing(format!("; it is a list of {}, counted from 0", items.len())))?
            }
            Level::Leaf => return Err(missing("; that is a value, and has no parts".to_owned())),
        };
        at = match node {
            Node::Map(entries) => Level::Map(entries),
            Node::List(items) => Level::List(items),
            Node::Leaf(_) => Level::Leaf,
        };
        if !passed.is_empty() {
            passed.push('.');
        }
        passed.push_str(name);
        found = Some(node);
    }
    found.ok_or_else(|| Problem::not_found("has no part of an empty name"))
}

enum Level<'a> {
    Map(&'a Entries),
    List(&'a [Node]),
    Leaf,
}

/// Some of the names that there are.
fn listed(entries: &Entries) -> String {
    const MOST: usize = 12;
    let mut names: Vec<String> = entries.iter().take(MOST).map(|(name, _)| format!("`{}`", shown(name))).collect();
    if entries.len() > MOST {
        names.push("…".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Kind;

    fn text(text: &str) -> Node {
        Node::leaf(Kind::Text, text)
    }

    #[test]
    fn parts_are_found_by_dots_indices_and_pointers() {
        let user =
            Node::Map(vec![("name".into(), text("ann")), ("keys".into(), Node::List(vec![text("k0"), text("k1")]))]);
        let tree = vec![
            ("db".to_owned(), Node::Map(vec![("a.b".into(), text("dotted")), ("password".into(), text("x"))])),
            ("users".to_owned(), Node::List(vec![user])),
        ];
        let get = |field: &str| match find(&tree, field) {
            Ok(Node::Leaf(leaf)) => leaf.text().unwrap().to_owned(),
            Ok(_) => "a branch".to_owned(),
            Err(problem) => problem.text,
        };
        for (field, wanted) in [
            ("db.password", "x"),
            ("/db/a.b", "dotted"),
            ("users[0].name", "ann"),
            ("users.0.keys[1]", "k1"),
            ("/users/0/keys/0", "k0"),
            ("db", "a branch"),
        ] {
            assert_eq!(get(field), wanted, "{field}");
        }
        for (field, said) in [
            ("dbs", "has no `dbs`; it has `db`, `users`"),
            ("db.pass", "has no `pass` in `db`; it has `a.b`, `password`; a name that holds `.`"),
            ("users[1].name", "has no `1` in `users`; it is a list of 1, counted from 0"),
            ("users[+0]", "has no `+0` in `users`"),
            ("/db/password/x", "has no `x` in `db.password`; that is a value, and has no parts"),
            ("", "has no ``; it has"),
        ] {
            assert!(get(field).starts_with(said), "{field}: {}", get(field));
        }
    }
}
