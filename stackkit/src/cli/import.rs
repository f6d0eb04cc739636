//! `import`: adopts something that exists, and prints how to declare it.

use serde_json::json;

use crate::cli::args::Import;
use crate::cli::error::Failure;
use crate::cli::{App, note, print, prompt};
use crate::engine::{Adoption, DeployOptions, Deployment, ImportOptions, RunError};
use crate::event::Event;
use crate::ui::clean;

impl App {
    pub(super) async fn import(&self, import: &Import) -> Result<(), Failure> {
        self.require_program("import")?;
        if let Some(file) = &import.from {
            return self.migrate(import, file).await;
        }
        if import.preview || import.from_format.is_some() {
            return Err(Failure::usage("--preview and --from-format are about a file of another tool")
                .help("name it with --from FILE"));
        }
        let (Some(type_name), Some(name), Some(id)) = (&import.type_name, &import.name, &import.id) else {
            return Err(Failure::usage("`import` needs a type, a name and an id, or --from FILE"));
        };
        self.require_consent(import.yes, "adopt it")?;
        self.stack_to_make()?;
        let options = self.import_options(import)?;
        let wanted = ImportOptions { type_name, name, id, provider: import.provider.as_deref() };
        let confirm = |found: &Adoption| {
            import.yes
                || tokio::task::block_in_place(|| {
                    note(&format!("Found this:\n\n{}", found.declaration));
                    let question =
                        format!("Adopt it into the stack `{}` as {}?", self.stack, clean(found.urn.as_str()));
                    prompt::confirm(&question, &self.signals)
                })
        };
        let adopted = match Deployment::new(self.program, options).import(wanted, &confirm).await {
            Ok(adopted) => adopted,
            Err(RunError::Declined) => return Err(Failure::declined(self.signals.cancelled())),
            Err(other) => return Err(other.into()),
        };
        if self.json {
            let object = json!({
                "type": "imported",
                "urn": adopted.urn.as_str(),
                "resource_type": adopted.urn.type_name(),
                "name": adopted.urn.name(),
                "id": adopted.id,
                "declaration": adopted.declaration,
                "left_out": adopted.left_out,
                "declared": adopted.declared,
                "changes": adopted.changes,
            });
            print(&format!("{object}\n"));
            return Ok(());
        }
        self.say(&format!("Adopted {} with the id `{}`", clean(adopted.urn.as_str()), clean(&adopted.id)));
        match (adopted.declared, adopted.changes.as_slice()) {
            (true, []) => self.say("The program declares it as it is"),
            (true, changed) => {
                let fields: Vec<_> = changed.iter().map(|field| format!("`{field}`")).collect();
                self.say(&format!("The program declares it otherwise: the next `up` changes {}", fields.join(", ")));
            }
            (false, _) => self.say("Declare it in the program; until then it is protected from deletion:\n"),
        }
        print(&adopted.declaration);
        if !adopted.left_out.is_empty() {
            self.say(&format!("\nLeft to the cloud, as it chose: {}", clean(&adopted.left_out.join(" "))));
        }
        Ok(())
    }

    /// What an import works on.
    pub(super) fn import_options(&self, import: &Import) -> Result<DeployOptions, Failure> {
        let mut options = self.options(std::sync::Arc::new(|event: &Event| {
            if let Event::Warning { message, .. } = event {
                note(&clean(message));
            }
        }))?;
        options.config.clone_from(&import.config);
        Ok(options)
    }
}
