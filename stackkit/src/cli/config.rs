//! `config …`: reads and changes the `[config]` table of `stackkit.<stack>.toml`.

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value as Json};

use crate::cli::args::ConfigCommand;
use crate::cli::error::Failure;
use crate::cli::{App, note, print, prompt};
use crate::config::file::{ConfigFile, Entry, scalar};
use crate::seal::{Header, Sealer, config_path, create_in};
use crate::ui::{Secrets, clean, nearest, to_json, to_text};
use crate::value::Value;

impl App {
    pub(super) async fn config_command(&self, command: &ConfigCommand) -> Result<(), Failure> {
        match command {
            ConfigCommand::Set { key, value, secret } => self.config_set(key, value.as_deref(), *secret).await,
            ConfigCommand::Get { key, show_secrets } => self.config_get(key, *show_secrets).await,
            ConfigCommand::List { show_secrets } => self.config_list(*show_secrets).await,
            ConfigCommand::Rm { key } => {
                self.require_stack()?;
                let mut file = ConfigFile::read(&self.dir, &self.stack)?;
                if !file.remove(key)? {
                    return Err(self.no_such_value(&file, key));
                }
                file.write()?;
                note(&format!("Removed `{}` from {}", clean(key), self.file_name()));
                Ok(())
            }
        }
    }

    async fn config_set(&self, key: &str, given: Option<&str>, secret: bool) -> Result<(), Failure> {
        let mut file = ConfigFile::read(&self.dir, &self.stack)?;
        if !secret && file.has_secret(key)? {
            return Err(Failure::refused(format!("`{}` is secret, and would stand there in plain text", clean(key)))
                .help(format!("give --secret, or run `config rm {key}` first")));
        }
        let value = read_value(key, given, secret)?;
        if secret {
            let sealer = match self.sealer().await? {
                Some(sealer) => sealer,
                None => {
                    let sealer = self.first_key().await?;
                    // The header stands in the same file.
                    file = ConfigFile::read(&self.dir, &self.stack)?;
                    sealer
                }
            };
            file.set_secret(key, &value, &sealer)?;
        } else {
            file.set(key, &value)?;
        }
        let mut write = || file.write().map_err(Failure::from);
        let is_new = if secret {
            let deployment = self.deployment()?;
            deployment.audited("config set --secret", vec![key.to_owned()], async { write() }, |_| Vec::new()).await?
        } else {
            write()?
        };
        if is_new {
            note(&format!("Made {} for the new stack `{}`", file.path().display(), self.stack));
        }
        let how = if secret { ", sealed" } else { "" };
        note(&format!("Set `{}` in {}{how}", clean(key), self.file_name()));
        Ok(())
    }

    /// Makes the key of a stack that has none yet.
    async fn first_key(&self) -> Result<Sealer, Failure> {
        let path = config_path(&self.dir, &self.stack);
        let is_new = !path.exists();
        let created = create_in(&self.dir, &self.keys()?).await?;
        if !created.header.write_first(&path)? {
            return Err(Failure::refused(format!("the stack `{}` was made by another run meanwhile", self.stack))
                .help("run it again"));
        }
        if is_new {
            note(&format!("Made {} for the new stack `{}`", path.display(), self.stack));
        }
        if let Some(path) = &created.new_key_file {
            note(&format!(
                "Made the key file {}: the secrets of your stacks open with it alone, so keep a copy in a safe place",
                path.display()
            ));
        }
        Ok(created.sealer)
    }

    async fn config_get(&self, key: &str, show_secrets: bool) -> Result<(), Failure> {
        self.require_stack()?;
        let file = ConfigFile::read(&self.dir, &self.stack)?;
        let sealer = if file.has_secret(key)? {
            if !show_secrets {
                return Err(Failure::failed(format!("the config value `{}` is secret", clean(key)))
                    .help("give --show-secrets to print it in plain text"));
            }
            self.deployment()?.record("config get --show-secrets", vec![key.to_owned()]).await;
            self.sealer_for_secrets().await?
        } else {
            None
        };
        let Some(value) = file.get(key, sealer.as_ref())? else { return Err(self.no_such_value(&file, key)) };
        let secrets = Secrets::shown_if(show_secrets);
        let text = if self.json { to_json(&value, secrets).to_string() } else { to_text(&value, secrets) };
        print(&format!("{text}\n"));
        Ok(())
    }

    async fn config_list(&self, show_secrets: bool) -> Result<(), Failure> {
        self.require_stack()?;
        let file = ConfigFile::read(&self.dir, &self.stack)?;
        let entries = file.entries()?;
        let any_secret = entries.iter().any(|(_, entry)| matches!(entry, Entry::Sealed(_)));
        let sealer = if show_secrets && any_secret {
            self.deployment()?.record("config list --show-secrets", Vec::new()).await;
            self.sealer_for_secrets().await?
        } else {
            None
        };
        let secrets = Secrets::shown_if(show_secrets);
        let mut values = Vec::with_capacity(entries.len());
        for (key, entry) in entries {
            let value = match (entry, &sealer) {
                (Entry::Plain(value), _) => value,
                (Entry::Sealed(_), Some(sealer)) => file.get(&key, Some(sealer))?.unwrap_or_default(),
                (Entry::Sealed(_), None) => Value::text("").into_secret(),
            };
            values.push((key, value));
        }
        if self.json {
            let object: Map<String, Json> =
                values.iter().map(|(key, value)| (key.clone(), to_json(value, secrets))).collect();
            print(&format!("{}\n", Json::Object(object)));
            return Ok(());
        }
        let width = values.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default().min(40);
        for (key, value) in &values {
            print(&format!("{:<width$}  {}\n", clean(key), clean(&to_text(value, secrets))));
        }
        if values.is_empty() {
            note(&format!("{} sets no config values", self.file_name()));
        }
        Ok(())
    }

    async fn sealer_for_secrets(&self) -> Result<Option<Sealer>, Failure> {
        let sealer = self.sealer().await?;
        if sealer.is_none() && Header::read(&config_path(&self.dir, &self.stack))?.is_none() {
            return Err(Failure::failed(format!(
                "{} has secrets, but no [seal] header to open them with",
                self.file_name()
            ))
            .help("restore the header from version control"));
        }
        Ok(sealer)
    }

    fn no_such_value(&self, file: &ConfigFile, key: &str) -> Failure {
        let failure = Failure::failed(format!("{} sets no config value `{}`", self.file_name(), clean(key)));
        let known = file.entries().unwrap_or_default();
        match nearest(key, known.iter().map(|(key, _)| key.as_str())) {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure.help("`config list` shows what is set"),
        }
    }
}

fn read_value(key: &str, given: Option<&str>, secret: bool) -> Result<Value, Failure> {
    let unreadable = |error: std::io::Error| Failure::failed(format!("the value cannot be read: {error}"));
    // A secret is text, whatever it looks like; the program's own type decides what it is read as.
    let value = |text: &str| if secret { Value::text(text).into_secret() } else { scalar(text) };
    match given {
        Some("-") => Ok(value(&prompt::stdin().map_err(unreadable)?)),
        Some(text) => Ok(value(text)),
        None if !prompt::can_ask() => Err(Failure::usage(format!("no value for `{}` is given", clean(key))).help(
            format!("give it as the last argument, or `-` to read it from standard input: `config set {key} -`"),
        )),
        None if secret => {
            let text = prompt::secret(&format!("Value of `{}` (not shown): ", clean(key))).map_err(unreadable)?;
            Ok(value(text.expose_secret()))
        }
        None => Ok(value(&prompt::line(&format!("Value of `{}`: ", clean(key))).map_err(unreadable)?)),
    }
}
