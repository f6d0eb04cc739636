//! Files on this machine.

use std::collections::BTreeSet;
use std::path::Path;

use crate::world::{Thing, World};

/// The folder that a program fills, in its sandbox.
pub(crate) struct Folder;

impl World for Folder {
    fn env(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn things(&self, _: u64, stack: &Path) -> Result<BTreeSet<Thing>, String> {
        let mut found = BTreeSet::new();
        let mut open = vec![stack.join("deployed")];
        while let Some(path) = open.pop() {
            let relative = path.strip_prefix(stack).unwrap_or(&path).display().to_string();
            if path.is_dir() {
                found.insert(Thing::new("local:Directory", relative));
                let inside = std::fs::read_dir(&path).map_err(|error| error.to_string())?;
                open.extend(inside.flatten().map(|entry| entry.path()));
            } else if path.exists() {
                let secret = path.file_name().is_some_and(|name| name == "secret");
                found.insert(Thing::new(if secret { "local:SecretFile" } else { "local:File" }, relative));
            }
        }
        Ok(found)
    }

    fn holds(&self, kind: &str) -> bool {
        matches!(kind, "local:Directory" | "local:File" | "local:SecretFile")
    }

    fn clear(&mut self, _: u64) -> Result<(), String> {
        Ok(())
    }
}
