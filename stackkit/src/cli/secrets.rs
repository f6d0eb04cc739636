//! `secrets …`: who can open the stack, and the key that its secrets are sealed with.

use serde_json::{Value as Json, json};

use crate::cli::args::SecretsCommand;
use crate::cli::error::Failure;
use crate::cli::{App, note, print, prompt};
use crate::engine::{Changed, DeployOptions, Deployment, RunError};
use crate::event::Event;
use crate::seal::{Passphrase, SealError, WrappedKey};
use crate::ui::clean;

impl App {
    pub(super) async fn secrets_command(&self, command: &SecretsCommand) -> Result<(), Failure> {
        match command {
            SecretsCommand::List => {
                self.require_stack()?;
                let keys = self.keyless().keys()?;
                if self.json {
                    print(&format!("{}\n", Json::Array(keys.iter().map(to_json).collect())));
                } else {
                    print(&render(&keys));
                }
                Ok(())
            }
            SecretsCommand::Add { key, label } => {
                let deployment = self.with_new_passphrase(std::slice::from_ref(key))?;
                let changed = deployment.add_keys(key, label.as_deref()).await?;
                self.tell_keys(&changed);
                note("Commit the stack's file: from then on they open what it seals");
                Ok(())
            }
            SecretsCommand::Remove { key } => {
                let changed = self.deployment()?.remove_key(key).await?;
                self.tell_keys(&changed);
                note(
                    "Whoever held it may have kept the data key, and version control keeps the old header: run \
                     `secrets rotate` to shut them out of what is sealed from now on, and change the secrets they could see",
                );
                Ok(())
            }
            SecretsCommand::Rotate { without } => {
                let rotated = self.deployment()?.rotate_keys(without).await?;
                if self.json {
                    let keys: Vec<_> = rotated.keys.iter().map(to_json).collect();
                    let removed: Vec<_> = rotated.removed.iter().map(to_json).collect();
                    print(&format!(
                        "{}\n",
                        json!({ "data_key": rotated.data_key, "keys": keys, "removed": removed, "resumed": rotated.resumed })
                    ));
                }
                if rotated.resumed {
                    note("Went on with a change that had stopped half-way");
                }
                for key in &rotated.removed {
                    note(&format!("Left out {}", clean(&key.describe())));
                }
                note(&format!("Everything is sealed with the new data key {}", rotated.data_key));
                note("Commit the stack's file: with the old one, the state does not open any more");
                Ok(())
            }
            SecretsCommand::Whole { whole } => {
                let changed = self.deployment()?.seal_whole(*whole).await?;
                if self.json {
                    print(&format!("{}\n", json!({ "whole": whole, "changed": changed })));
                }
                let how = match whole {
                    true => "as a whole: names, ids and plain values too",
                    false => "value by value: names, ids and plain values are readable",
                };
                match changed {
                    true => {
                        note(&format!("The state of `{}` is sealed {how}", self.stack));
                        note("Commit the stack's file with it; older versions of the state stay as they were");
                    }
                    false => note(&format!("The state of `{}` was sealed {how}", self.stack)),
                }
                Ok(())
            }
            SecretsCommand::ChangeProvider { keys } => {
                let changed = self.with_new_passphrase(keys)?.change_keys(keys).await?;
                self.tell_keys(&changed);
                if let Some(why) = &changed.unproved {
                    note(&format!("No new key could be seen to open the stack from here: {}", clean(why)));
                    note("The old keys stay: run the same command where a new one can, and they go");
                }
                Ok(())
            }
        }
    }

    /// A deployment whose new passphrase is asked for, where one is wanted and nothing has said it.
    fn with_new_passphrase(&self, specs: &[String]) -> Result<Deployment, Failure> {
        self.require_stack()?;
        let options = self.options(std::sync::Arc::new(|_: &Event| {}))?;
        let mut keys = options.keys.clone();
        if specs.iter().any(|spec| spec == Passphrase::KIND) && keys.new_passphrase.is_none() {
            if !prompt::can_ask() {
                return Err(RunError::from(SealError::NoNewPassphrase).into());
            }
            let ask = |question: &str| {
                prompt::secret(question)
                    .map_err(|error| Failure::failed(format!("the passphrase cannot be read: {error}")))
            };
            let first = ask("New passphrase: ")?;
            let again = ask("Once more: ")?;
            if secrecy::ExposeSecret::expose_secret(&first) != secrecy::ExposeSecret::expose_secret(&again) {
                return Err(Failure::usage("the two passphrases are not the same; nothing was changed"));
            }
            keys.new_passphrase = Some(first);
        }
        Ok(Deployment::new(self.program, DeployOptions { keys, ..options }))
    }

    fn tell_keys(&self, changed: &Changed) {
        if self.json {
            let list = |keys: &[WrappedKey]| -> Vec<Json> { keys.iter().map(to_json).collect() };
            print(&format!(
                "{}\n",
                json!({ "added": list(&changed.added), "removed": list(&changed.removed), "proved": changed.unproved.is_none() })
            ));
        }
        if let Some(path) = &changed.made {
            note(&format!("Made the key file {}: keep a copy in a safe place", path.display()));
        }
        for key in &changed.added {
            note(&format!("{} opens the stack `{}` now", clean(&key.describe()), self.stack));
        }
        for key in &changed.removed {
            note(&format!("{} is no longer among the keys of the stack `{}`", clean(&key.describe()), self.stack));
        }
    }
}

fn to_json(key: &WrappedKey) -> Json {
    json!({ "kind": key.kind, "id": key.id, "label": key.label() })
}

fn render(keys: &[WrappedKey]) -> String {
    let width = |text: fn(&WrappedKey) -> &str| keys.iter().map(|key| clean(text(key)).chars().count()).max();
    let (kinds, ids) = (width(|key| &key.kind).unwrap_or_default(), width(|key| &key.id).unwrap_or_default());
    let line = |key: &WrappedKey| {
        let label = clean(key.label().unwrap_or_default());
        format!("{:<kinds$}  {:<ids$}  {label}", clean(&key.kind), clean(&key.id)).trim_end().to_owned() + "\n"
    };
    keys.iter().map(line).collect()
}
