//! `access`: what to tell the stores, so that somebody may do what a role does and no more.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::access::{Grant, Role};
use crate::cli::args::Access;
use crate::cli::error::Failure;
use crate::cli::{App, print};
use crate::ui::clean;

impl App {
    pub(super) async fn access(&self, options: &Access) -> Result<(), Failure> {
        self.stack_to_make()?;
        let deployment = self.keyless();
        let roles = options.role.map_or(Role::ALL.to_vec(), |role| vec![role]);
        let mut all = Vec::new();
        for role in roles {
            all.push((role, deployment.access(role).await?));
        }
        if self.json {
            let list: Vec<Json> = all.iter().flat_map(|(role, grants)| to_json(&self.stack, *role, grants)).collect();
            print(&format!("{}\n", Json::Array(list)));
        } else {
            print(&render(&self.stack, &all));
        }
        Ok(())
    }
}

fn to_json(stack: &str, role: Role, grants: &[Grant]) -> Vec<Json> {
    let grant = |grant: &Grant| {
        json!({
            "stack": stack,
            "role": role.name(),
            "title": grant.title,
            "language": grant.language,
            "text": grant.text,
            "notes": grant.notes,
        })
    };
    grants.iter().map(grant).collect()
}

/// One document, in Markdown, so that each text can be taken out of it as it is.
fn render(stack: &str, all: &[(Role, Vec<Grant>)]) -> String {
    let mut out = String::new();
    for (role, grants) in all {
        let what = match role {
            Role::Viewer => "reads the state, cannot write it, and sees no secret",
            Role::Deployer => "reads and writes the state, and opens its secrets",
            Role::Admin => "also removes the stack and changes its keys",
        };
        let _ = writeln!(out, "# A {role} of the stack `{}`: {what}\n", clean(stack));
        for grant in grants {
            let _ = writeln!(out, "## {}\n", clean(&grant.title));
            let text = grant.text.trim_end();
            if grant.language == "text" {
                let _ = writeln!(out, "{text}\n");
            } else {
                let _ = writeln!(out, "```{}\n{text}\n```\n", grant.language);
            }
            for note in &grant.notes {
                let _ = writeln!(out, "- {note}");
            }
            if !grant.notes.is_empty() {
                out.push('\n');
            }
        }
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_for_people_and_one_for_programs() {
        let grants = vec![
            Grant::new("Policy for s3://a\u{1b}", "json", "{}").note("One thing"),
            Grant::new("Key", "text", "words"),
        ];
        assert_eq!(
            render("dev", &[(Role::Viewer, grants.clone())]),
            "\
# A viewer of the stack `dev`: reads the state, cannot write it, and sees no secret

## Policy for s3://a\\u{1b}

```json
{}
```

- One thing

## Key

words
"
        );
        assert_eq!(to_json("dev", Role::Admin, &grants)[0]["role"], "admin");
    }
}
