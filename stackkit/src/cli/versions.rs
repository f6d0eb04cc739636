//! `state history`, `diff`, `rollback`, `export`, `import` and `move`.

use std::fs;
use std::path::Path;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::error::Failure;
use crate::cli::{App, note, print, prompt};
use crate::engine::{Deployment, StateDiff};
use crate::state::place;
use crate::ui::{clean, count};
use crate::urn::Urn;

impl App {
    pub(super) async fn history(&self, deployment: &Deployment) -> Result<(), Failure> {
        let versions = deployment.history().await?;
        let time = |at: Option<u64>| {
            let at =
                at.and_then(|at| i64::try_from(at).ok()).and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
            at.and_then(|at| at.format(&Rfc3339).ok())
        };
        if self.json {
            let list: Vec<_> = versions
                .iter()
                .map(|version| {
                    json!({ "id": version.id, "position": version.position.0, "at": time(version.at), "size": version.size })
                })
                .collect();
            print(&format!("{}\n", serde_json::Value::Array(list)));
            return Ok(());
        }
        for version in &versions {
            let at = time(version.at).unwrap_or_else(|| "-".into());
            let size = version.size.map_or_else(|| "-".into(), |size| format!("{size} bytes"));
            print(&format!("{:<24} position {:<8} {at:<22} {size}\n", version.id, version.position.0));
        }
        if versions.is_empty() {
            note("The backend has kept no versions; a folder leaves that to version control");
        }
        Ok(())
    }

    pub(super) async fn diff(&self, deployment: &Deployment, id: &str) -> Result<(), Failure> {
        let diff = deployment.diff_version(id).await?;
        if self.json {
            print(&format!("{}\n", to_json(&diff)));
        } else if diff.is_empty() {
            note("The same resources are recorded, with the same values");
        } else {
            print(&render(&diff));
        }
        Ok(())
    }

    pub(super) async fn rollback(&self, deployment: &Deployment, id: &str, yes: bool) -> Result<(), Failure> {
        self.require_consent(yes, "change the state")?;
        let question = "Make the recorded state this? Nothing real is touched.";
        let diff = deployment.rollback(id, &|diff| yes || self.agree(diff, question)).await?;
        self.tell(&diff, "The state is what it was; `refresh` sees what is real");
        Ok(())
    }

    pub(super) async fn export(&self, deployment: &Deployment, file: Option<&Path>) -> Result<(), Failure> {
        let text = deployment.export().await?;
        let Some(file) = file else {
            print(&text);
            return Ok(());
        };
        let failed = |error| Failure::failed(format!("cannot write `{}`: {error}", file.display()));
        crate::state::local::write_private(file, text.as_bytes()).map_err(failed)?;
        note(&format!("Wrote {}; its secrets open with the stack\'s keys alone", file.display()));
        Ok(())
    }

    pub(super) async fn import_state(&self, deployment: &Deployment, file: &Path, yes: bool) -> Result<(), Failure> {
        self.require_consent(yes, "change the state")?;
        let failed = |error| Failure::failed(format!("cannot read `{}`: {error}", file.display()));
        let text = fs::read_to_string(file).map_err(failed)?;
        let question = "Make the recorded state this? Nothing real is touched.";
        let diff = deployment.import_state(&text, &|diff| yes || self.agree(diff, question)).await?;
        self.tell(&diff, "The state is what was exported; `refresh` sees what is real");
        Ok(())
    }

    pub(super) async fn move_state(&self, deployment: &Deployment, url: &str, yes: bool) -> Result<(), Failure> {
        self.require_consent(yes, "move the state")?;
        let shown = place::redacted(url);
        let question = format!("Move the state of `{}` to {}?", self.stack, clean(&shown));
        if !yes && !prompt::confirm(&question, &self.signals) {
            return Err(Failure::declined(self.signals.cancelled()));
        }
        let (place, named) = deployment.move_state(url).await?;
        note(&format!("The state is now in {place}"));
        if named {
            note(&format!("{} names it", self.file_name()));
        } else {
            note("Its URL has a password in it and is in no file: give it in STACKKIT_BACKEND");
        }
        if self.backend.is_some() {
            note("This command was told a backend by --backend or STACKKIT_BACKEND: leave that out from now on");
        }
        Ok(())
    }

    fn agree(&self, diff: &StateDiff, question: &str) -> bool {
        note(render(diff).trim_end());
        prompt::confirm(question, &self.signals)
    }

    fn tell(&self, diff: &StateDiff, done: &str) {
        if self.json {
            print(&format!("{}\n", to_json(diff)));
        }
        note(done);
    }
}

fn to_json(diff: &StateDiff) -> serde_json::Value {
    let list = |urns: &[Urn]| -> Vec<String> { urns.iter().map(ToString::to_string).collect() };
    json!({ "added": list(&diff.added), "removed": list(&diff.removed), "changed": list(&diff.changed) })
}

fn render(diff: &StateDiff) -> String {
    let mut out = String::new();
    for (sign, urns) in [("+", &diff.added), ("-", &diff.removed), ("~", &diff.changed)] {
        for urn in urns {
            out.push_str(&format!("{sign} {}\n", clean(urn.as_str())));
        }
    }
    let all = diff.added.len() + diff.removed.len() + diff.changed.len();
    out.push_str(&format!("{} differ\n", count(all, "resource")));
    out
}
