//! `graph`: draws what the program declares, or what the state has recorded.

use std::sync::Arc;

use crate::cli::args::{Graph as GraphArgs, GraphFormat};
use crate::cli::error::Failure;
use crate::cli::{App, note, print};
use crate::engine::Deployment;
use crate::event::Event;
use crate::graph::Graph;

impl App {
    pub(super) async fn graph(&self, options: &GraphArgs) -> Result<(), Failure> {
        let graph = if options.state || self.program.is_none() {
            Graph::of_state(&self.deployment()?.state().await?, &self.stack)
        } else {
            self.stack_to_make()?;
            let mut deploy = self.options(Arc::new(|_: &Event| {}))?;
            deploy.config.clone_from(&options.config);
            let declared = Deployment::new(self.program, deploy).declare().await?;
            Graph::of_declarations(&declared, &self.stack)
        };
        let text = match options.format {
            GraphFormat::Dot => graph.to_dot(),
            GraphFormat::Mermaid => graph.to_mermaid(),
            GraphFormat::Svg => graph.to_svg(),
            GraphFormat::Html => graph.to_html(),
        };
        match &options.output {
            None => print(&text),
            Some(path) => {
                std::fs::write(path, text)
                    .map_err(|error| Failure::failed(format!("cannot write `{}`: {error}", path.display())))?;
                note(&format!("Wrote {}", path.display()));
            }
        }
        Ok(())
    }
}
