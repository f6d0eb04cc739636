//! `policy list`: what the program is held to.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

use crate::cli::args::PolicyCommand;
use crate::cli::error::Failure;
use crate::cli::{App, note, print};
use crate::engine::Deployment;
use crate::event::Event;
use crate::ui::Paint;

impl App {
    pub(super) async fn policy_command(&self, command: &PolicyCommand) -> Result<(), Failure> {
        let PolicyCommand::List { config } = command;
        self.require_program("policy list")?;
        self.stack_to_make()?;
        let mut options = self.options(Arc::new(|_: &Event| {}))?;
        options.config.clone_from(config);
        let policies = Deployment::new(self.program, options).declare().await?.policies;
        if self.json {
            let all: Vec<_> = policies
                .iter()
                .map(|policy| {
                    json!({
                        "name": policy.name(),
                        "level": policy.level(),
                        "subject": policy.subject(),
                        "description": policy.description(),
                        "at": policy.at().to_string(),
                    })
                })
                .collect();
            print(&format!("{}\n", serde_json::Value::Array(all)));
            return Ok(());
        }
        if policies.is_empty() {
            note("The program declares no policies");
        }
        let paint = Paint::stdout();
        let names = policies.iter().map(|policy| policy.name().chars().count()).max().unwrap_or_default();
        let mut out = String::new();
        for policy in &policies {
            let name = paint.bold(format!("{:names$}", crate::ui::clean(policy.name())));
            let _ = writeln!(out, "{name}  {:11}  {}", policy.level(), policy.subject());
            if !policy.description().is_empty() {
                let _ = writeln!(out, "{:names$}  {}", "", paint.dim(crate::ui::clean(policy.description())));
            }
        }
        print(&out);
        Ok(())
    }
}
