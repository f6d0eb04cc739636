//! `stack …`, and which stack a command is about.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

use crate::cli::args::StackCommand;
use crate::cli::error::Failure;
use crate::cli::{App, note, print, prompt};
use crate::seal::{Header, config_path};
use crate::ui::{clean, nearest};

/// The file, in the folder of local states, that remembers the selected stack. Git ignores it.
const SELECTED: &str = "selected";

/// The selected stack of a folder.
pub(super) fn selected(dir: &Path) -> Option<String> {
    let name = fs::read_to_string(dir.join(".stackkit").join(SELECTED)).ok()?;
    let name = name.trim();
    is_name(name).then(|| name.to_owned())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A stack's name is part of file names, so that only some characters fit.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    if is_name(name) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{}` cannot be the name of a stack", clean(name)))
        .help("use letters, digits, `-`, `_` and `.`, beginning with a letter or digit"))
}

/// The stacks of a folder: those that have a file there.
fn stacks(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let file = entry?.file_name();
        let name = file.to_str().and_then(|file| file.strip_prefix("stackkit.")?.strip_suffix(".toml"));
        names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

impl App {
    pub(super) fn file_name(&self) -> String {
        format!("stackkit.{}.toml", self.stack)
    }

    fn stacks(&self) -> Result<Vec<String>, Failure> {
        stacks(&self.dir).map_err(|error| Failure::failed(format!("cannot read `{}`: {error}", self.dir.display())))
    }

    /// That the stack is there.
    pub(super) fn require_stack(&self) -> Result<(), Failure> {
        if config_path(&self.dir, &self.stack).exists() {
            return Ok(());
        }
        let known = self.stacks()?;
        let way = if known.is_empty() || self.stack == "dev" {
            "`up` makes it".to_owned()
        } else {
            format!("`stack new {}` makes it", self.stack)
        };
        Err(unknown(&self.stack, &self.dir, &known, &way))
    }

    /// Whether the stack is to be made by this run. A first stack may have any name, and `dev` is what everybody
    /// starts with; beside others, a name that nobody has used before is more often a slip than a wish.
    pub(super) fn stack_to_make(&self) -> Result<bool, Failure> {
        if config_path(&self.dir, &self.stack).exists() {
            return Ok(false);
        }
        let known = self.stacks()?;
        if known.is_empty() || self.stack == "dev" {
            return Ok(true);
        }
        Err(unknown(&self.stack, &self.dir, &known, &format!("`stack new {}` makes it", self.stack)))
    }

    pub(super) async fn stack_command(&self, command: &StackCommand) -> Result<(), Failure> {
        match command {
            StackCommand::List => {
                let names = self.stacks()?;
                let (place, held) = match self.any_deployment()?.stacks().await {
                    Ok(found) => found,
                    Err(error) => {
                        note(&format!("What the backend holds is not listed: {}", clean(&error.to_string())));
                        Default::default()
                    }
                };
                let strays: Vec<_> = held.into_iter().filter(|name| !names.contains(name)).collect();
                if self.json {
                    let here = names.iter().map(|name| json!({ "name": name, "selected": *name == self.stack }));
                    let there = strays.iter().map(|name| json!({ "name": name, "selected": false, "file": false }));
                    print(&format!("{}\n", serde_json::Value::Array(here.chain(there).collect())));
                } else {
                    for name in &names {
                        print(&format!("{} {name}\n", if *name == self.stack { "*" } else { " " }));
                    }
                    for name in &strays {
                        note(&format!("  {} has a state in {place}, and no file in this folder", clean(name)));
                    }
                    if names.is_empty() {
                        note(&format!("There are no stacks in `{}`: `up` makes one", self.dir.display()));
                    }
                }
                Ok(())
            }
            StackCommand::New { name } => {
                check_name(name)?;
                let path = config_path(&self.dir, name);
                let made = fs::OpenOptions::new().write(true).create_new(true).open(&path);
                match made.and_then(|mut file| io::Write::write_all(&mut file, b"[config]\n")) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        return Err(Failure::failed(format!("there is a stack `{name}` already")));
                    }
                    Err(error) => return Err(Failure::failed(format!("cannot write `{}`: {error}", path.display()))),
                }
                note(&format!("Made {}; `stack select {name}` makes it the default", path.display()));
                Ok(())
            }
            StackCommand::Select { name } => {
                check_name(name)?;
                let known = self.stacks()?;
                if !known.contains(name) {
                    return Err(unknown(name, &self.dir, &known, &format!("`stack new {name}` makes it")));
                }
                let cannot = |error| Failure::failed(format!("the choice cannot be remembered: {error}"));
                let folder = self.dir.join(".stackkit");
                crate::state::local::prepare_folder(&folder).map_err(cannot)?;
                fs::write(folder.join(SELECTED), format!("{name}\n")).map_err(cannot)?;
                note(&format!("`{name}` is now the default stack here"));
                Ok(())
            }
            StackCommand::Rm { name, yes } => self.remove_stack(name, *yes).await,
        }
    }

    async fn remove_stack(&self, name: &str, yes: bool) -> Result<(), Failure> {
        check_name(name)?;
        self.require_consent(yes, "remove the stack")?;
        let app = App {
            stack: name.to_owned(),
            signals: self.signals.clone(),
            token: self.token.clone(),
            dir: self.dir.clone(),
            backend: self.backend.clone(),
            message: self.message.clone(),
            ..*self
        };
        app.require_stack()?;
        let path = config_path(&self.dir, name);
        let question = format!("Remove the stack `{name}`, its state and {}?", app.file_name());
        if !yes && !prompt::confirm(&question, &self.signals) {
            return Err(Failure::declined(self.signals.cancelled()));
        }
        // Without a header there is no state.
        if Header::read(&path)?.is_some() {
            app.deployment()?.delete_stack().await?;
        }
        fs::remove_file(&path)
            .map_err(|error| Failure::failed(format!("cannot remove `{}`: {error}", path.display())))?;
        if selected(&self.dir).as_deref() == Some(name) {
            let _ = fs::remove_file(self.dir.join(".stackkit").join(SELECTED));
        }
        note(&format!("Removed the stack `{name}`"));
        Ok(())
    }
}

fn unknown(name: &str, dir: &Path, known: &[String], way: &str) -> Failure {
    let failure = Failure::failed(format!("there is no stack `{name}` in `{}`", dir.display()));
    let near = nearest(name, known.iter().map(String::as_str));
    let there = match known {
        [] => "there are none there".to_owned(),
        known => format!("there {} {}", if known.len() == 1 { "is" } else { "are" }, known.join(", ")),
    };
    failure.help(match near {
        Some(near) => format!("did you mean `{near}`? {there}; {way}"),
        None => format!("{there}; {way}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_file_names() {
        for name in ["dev", "eu-1", "a.b_c", "9"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-x", ".hidden", "../up", "a/b", "a b", "ä", "x\u{1b}"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn stacks_are_the_files_of_the_folder() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for file in ["stackkit.prod.toml", "stackkit.dev.toml", "stackkit..toml", "Cargo.toml", "stackkit.toml"] {
            fs::write(dir.path().join(file), "").expect("it can be written");
        }
        assert_eq!(stacks(dir.path()).expect("readable"), ["dev", "prod"]);
        assert_eq!(selected(dir.path()), None);
        fs::create_dir(dir.path().join(".stackkit")).expect("it can be made");
        fs::write(dir.path().join(".stackkit/selected"), "prod\n").expect("it can be written");
        assert_eq!(selected(dir.path()).as_deref(), Some("prod"));
    }
}
