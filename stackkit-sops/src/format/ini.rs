//! INI as SOPS writes it: sections of `name = value`, comments, and values in quotes where they need them. What stands
//! before the first section belongs to one called `DEFAULT`.

use crate::tree::{Entries, Kind, Node, unique};

pub(super) fn parse(text: &str) -> Result<Entries, String> {
    let mut sections: Entries = Vec::new();
    let (mut name, mut entries) = ("DEFAULT".to_owned(), Vec::new());
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let wrong = |what: &str| format!("line {} {what}", at + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let next = rest.strip_suffix(']').ok_or_else(|| wrong("begins a section and does not end it"))?.trim();
            close(&mut sections, std::mem::replace(&mut name, next.to_owned()), std::mem::take(&mut entries))?;
            continue;
        }
        let (key, rest) = key(line).ok_or_else(|| wrong("is neither a comment, nor a section, nor name = value"))?;
        let mut value = rest.trim().to_owned();
        if let Some(first) = value.strip_prefix("\"\"\"") {
            let mut whole = first.to_owned();
            while !whole.ends_with("\"\"\"") {
                let (_, more) = lines.next().ok_or_else(|| wrong("begins a value that does not end"))?;
                whole.push('\n');
                whole.push_str(more);
            }
            whole.truncate(whole.len() - 3);
            value = whole;
        } else if let Some(inside) = quoted(&value, '`').or_else(|| quoted(&value, '"')) {
            value = inside.to_owned();
        }
        // In its own part SOPS writes line breaks once more as `\n`.
        let value = if name == "sops" { value.replace("\\n", "\n") } else { value };
        entries.push((key.to_owned(), Node::leaf(Kind::Text, value)));
    }
    close(&mut sections, name, entries)?;
    unique(sections)
}

/// Files without anything before the first section have no section `DEFAULT`.
fn close(sections: &mut Entries, name: String, entries: Entries) -> Result<(), String> {
    if name == "DEFAULT" && entries.is_empty() {
        return Ok(());
    }
    sections.push((name, Node::Map(unique(entries)?)));
    Ok(())
}

/// The name, which may stand in quotes, and what follows the sign after it.
fn key(line: &str) -> Option<(&str, &str)> {
    for quote in ["\"\"\"", "`", "\""] {
        if let Some((name, rest)) = line.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return Some((name, rest.trim_start().strip_prefix(['=', ':'])?));
        }
    }
    let (name, rest) = line.split_at_checked(line.find(['=', ':'])?)?;
    let name = name.trim();
    (!name.is_empty()).then_some((name, rest.get(1..)?))
}

fn quoted(value: &str, quote: char) -> Option<&str> {
    value.strip_prefix(quote)?.strip_suffix(quote)
}
