//! Names: what other tools call a thing, as components and a name of ours.

use std::collections::HashSet;

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let clean: String = text.chars().map(fits).collect();
    match clean.trim_matches('-') {
        "" => "resource".into(),
        trimmed => trimmed.to_owned(),
    }
}

/// A name with the key of a `count` or `for_each` behind it.
pub(super) fn indexed(name: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => segment(&format!("{name}-{key}")),
        None => segment(name),
    }
}

/// One step of the address of a module: its name, and its key.
type Step<'a> = (&'a str, Option<&'a str>);

/// The steps of an address such as `module.net["a.b"].module.sub[0]`; `None` where it is no such address.
pub(super) fn modules(address: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    let mut rest = address;
    while !rest.is_empty() {
        rest = rest.strip_prefix("module.")?;
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end)?;
        rest = after;
        let mut key = None;
        if let Some(inner) = rest.strip_prefix("[\"") {
            let end = inner.find("\"]")?;
            key = inner.get(..end);
            rest = inner.get(end + 2..)?;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']')?;
            key = inner.get(..end);
            rest = inner.get(end + 1..)?;
        }
        steps.push((name, key));
        rest = match rest.strip_prefix('.') {
            Some(more) if !more.is_empty() => more,
            Some(_) => return None,
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(steps)
}

/// The name, or the name with the first number behind it that makes it one that is not taken.
pub(crate) fn free(wanted: &str, taken: &HashSet<String>) -> String {
    if !taken.contains(wanted) {
        return wanted.to_owned();
    }
    let numbered = (2_u64..).map(|number| format!("{wanted}-{number}"));
    numbered.into_iter().find(|name| !taken.contains(name)).unwrap_or_else(|| wanted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_modules_are_taken_apart() {
        assert_eq!(modules("").unwrap(), []);
        assert_eq!(modules("module.net").unwrap(), [("net", None)]);
        assert_eq!(
            modules(r#"module.net["a.b[0]"].module.sub[12]"#).unwrap(),
            [("net", Some("a.b[0]")), ("sub", Some("12"))]
        );
        for wrong in ["net", "module.net.", "module.net[", "module.net[\"a", "module.a]b[", "module.net[0]x"] {
            assert!(modules(wrong).is_none_or(|steps| wrong == "module.a]b[" && steps.is_empty()), "{wrong}");
        }
    }

    #[test]
    fn names_have_nothing_in_them_that_a_path_cannot_have() {
        assert_eq!(indexed("private", Some("0")), "private-0");
        assert_eq!(indexed("web", Some("eu/a: b")), "web-eu-a--b");
        assert_eq!(segment("größe"), "gr--e");
        assert_eq!(segment("::"), "resource");
        let taken = HashSet::from(["a".to_owned(), "a-2".to_owned()]);
        assert_eq!((free("a", &taken), free("b", &taken)), ("a-3".to_owned(), "b".to_owned()));
    }
}
