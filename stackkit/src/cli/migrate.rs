//! `import --from`: adopts what Terraform, OpenTofu or Pulumi manages, and prints the program that declares it.

use std::io::Read as _;
use std::path::Path;

use secrecy::SecretString;
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use crate::cli::args::{FromFormat, Import};
use crate::cli::error::Failure;
use crate::cli::{App, note, print, prompt};
use crate::engine::{Deployment, Migration, RunError};
use crate::foreign::{ForeignError, ForeignState, Format, Left, Tool};
use crate::ui::{clean, count};

impl App {
    pub(super) async fn migrate(&self, import: &Import, file: &Path) -> Result<(), Failure> {
        if !import.preview {
            self.require_consent(import.yes, "adopt it")?;
        }
        let foreign = read(import, file)?;
        let deployment = Deployment::new(self.program, self.import_options(import)?);
        if import.preview {
            let migration = deployment.preview_migration(&foreign).await?;
            self.show_migration(&migration, true);
            return Ok(());
        }
        self.stack_to_make()?;
        let confirm = |migration: &Migration| {
            import.yes
                || tokio::task::block_in_place(|| {
                    note(&overview(migration));
                    let found = count(migration.adopted.len(), "resource");
                    prompt::confirm(&format!("Adopt {found} into the stack `{}`?", self.stack), &self.signals)
                })
        };
        let migration = match deployment.migrate(&foreign, &confirm).await {
            Ok(migration) => migration,
            Err(RunError::Declined) => return Err(Failure::declined(self.signals.cancelled())),
            Err(other) => return Err(other.into()),
        };
        self.show_migration(&migration, false);
        if migration.failed.is_empty() {
            return Ok(());
        }
        let failed = count(migration.failed.len(), "resource");
        Err(Failure::failed(format!("{failed} could not be adopted"))
            .help("mend that and run the same command again: what is adopted already stays"))
    }

    fn show_migration(&self, migration: &Migration, preview: bool) {
        if self.json {
            print(&format!("{}\n", document(migration, preview)));
            return;
        }
        self.say(&overview(migration));
        let adopted = count(migration.adopted.len(), "resource");
        match (migration.adopted.is_empty(), preview) {
            (true, _) => self.say("There is nothing to adopt"),
            (false, true) => self.say(&format!("{adopted} would be adopted; nothing was changed")),
            (false, false) => self.say(&format!("Adopted {adopted}; nothing in the cloud was changed")),
        }
        let keys = |keys: &[String]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        if !migration.sealed.is_empty() {
            let what = if preview { "Secrets for" } else { "Sealed into" };
            self.say(&format!("{what} {}: {}", self.file_name(), keys(&migration.sealed)));
        }
        if !migration.unset.is_empty() {
            self.say(&format!(
                "Not known, to be set before the next `up` with `config set --secret`: {}",
                keys(&migration.unset)
            ));
        }
        if !migration.program.is_empty() {
            self.say(match preview {
                true => "The program that declares it:\n",
                false => "Declare it in the program; until then it is protected from deletion:\n",
            });
            print(&migration.program);
        }
    }
}

/// Reads the file of the other tool; asks for its passphrase where one is needed and somebody can be asked.
fn read(import: &Import, file: &Path) -> Result<ForeignState, Failure> {
    let mut content = Zeroizing::new(Vec::new());
    let (name, read) = if file == Path::new("-") {
        ("standard input".to_owned(), std::io::stdin().lock().read_to_end(&mut content).map(drop))
    } else {
        let read = std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut content).map(drop));
        (format!("`{}`", file.display()), read)
    };
    read.map_err(|error| Failure::failed(format!("cannot read {name}: {error}")))?;
    let format = import.from_format.map(|format| match format {
        FromFormat::Terraform | FromFormat::Opentofu => Format::Terraform,
        FromFormat::Pulumi => Format::Pulumi,
    });
    let own = passphrase("STACKKIT_FROM_PASSPHRASE", "STACKKIT_FROM_PASSPHRASE_FILE")?;
    let failed = |error: ForeignError| Failure::told(&format!("cannot import from {name}: {error}"));
    let tool = match ForeignState::read(&content, format, own.as_ref()) {
        Err(ForeignError::PassphraseMissing(tool)) => tool,
        other => return other.map_err(failed),
    };
    let given = match tool {
        Tool::Pulumi => passphrase("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")?,
        Tool::Terraform => None,
    };
    let given = match given {
        None if prompt::can_ask() => {
            let question = format!("Passphrase that {name} is encrypted with: ");
            let text = prompt::secret(&question);
            Some(text.map_err(|error| Failure::failed(format!("the passphrase cannot be read: {error}")))?)
        }
        other => other,
    };
    ForeignState::read(&content, format, given.as_ref()).map_err(failed)
}

/// A passphrase that stands in a variable, or in the file that another one names. An empty one is one, too.
fn passphrase(variable: &str, file: &str) -> Result<Option<SecretString>, Failure> {
    if let Ok(text) = std::env::var(variable) {
        return Ok(Some(SecretString::from(text)));
    }
    let Some(path) = std::env::var_os(file).filter(|path| !path.is_empty()) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map(Zeroizing::new);
    let text = text.map_err(|error| Failure::failed(format!("cannot read the file that {file} names: {error}")))?;
    Ok(Some(SecretString::from(text.trim_end_matches(['\r', '\n']))))
}

/// What is adopted, and what is not, for people.
fn overview(migration: &Migration) -> String {
    let mut text = format!("From {}:\n", clean(&migration.origin));
    let widest = migration.adopted.iter().map(|item| item.urn.as_str().chars().count()).max().unwrap_or(0).min(48);
    for item in &migration.adopted {
        let declared = match (item.declared, item.changes.as_slice()) {
            (false, _) => String::new(),
            (true, []) => ", declared as it is".to_owned(),
            (true, fields) => {
                let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
                format!(", declared otherwise: the next `up` changes {}", fields.join(", "))
            }
        };
        let (urn, address) = (clean(item.urn.as_str()), clean(&item.address));
        text.push_str(&format!("  {urn:<widest$}  {address}{declared}\n"));
    }
    for (title, all) in [
        ("Recorded already:", &migration.there),
        ("Read with what they are part of:", &migration.parts),
        ("Left:", &migration.left),
        ("Could not be adopted:", &migration.failed),
    ] {
        if !all.is_empty() {
            text.push_str(&format!("\n{title}\n"));
        }
        for item in all {
            text.push_str(&format!("  {}: {}\n", clean(&item.address), clean(&item.why)));
        }
    }
    text
}

/// The same for programs.
fn document(migration: &Migration, preview: bool) -> Json {
    let all = |items: &[Left]| -> Vec<Json> {
        let one = |item: &Left| json!({"address": item.address, "type": item.type_name, "why": item.why});
        items.iter().map(one).collect()
    };
    let adopted: Vec<Json> = migration
        .adopted
        .iter()
        .map(|item| {
            json!({
                "address": item.address,
                "urn": item.urn.as_str(),
                "resource_type": item.urn.type_name(),
                "name": item.urn.name(),
                "id": item.id,
                "declared": item.declared,
                "changes": item.changes,
                "left_out": item.left_out,
            })
        })
        .collect();
    json!({
        "type": "migrated",
        "preview": preview,
        "origin": migration.origin,
        "adopted": adopted,
        "there": all(&migration.there),
        "parts": all(&migration.parts),
        "left": all(&migration.left),
        "failed": all(&migration.failed),
        "sealed": migration.sealed,
        "unset": migration.unset,
        "program": migration.program,
    })
}
