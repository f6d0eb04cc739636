//! dotenv as SOPS writes it: lines of `NAME=value`, in which `\n` is a line break, and comments.

use crate::tree::{Entries, Kind, Node, unique};

pub(super) fn parse(text: &str) -> Result<Entries, String> {
    let mut entries = Vec::new();
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) =
            line.split_once('=').ok_or_else(|| format!("line {} is neither a comment nor NAME=value", at + 1))?;
        entries.push((name.to_owned(), Node::leaf(Kind::Text, value.replace("\\n", "\n"))));
    }
    unique(entries)
}
