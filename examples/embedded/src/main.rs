//! The engine as a library: a program of one's own that deploys, listens to what happens, uses the outputs and takes it
//! all down again, without the command line.
//!
//! ```sh
//! cargo run -p example-embedded                # in a temporary folder of its own
//! cargo run -p example-embedded -- FOLDER      # in a folder that keeps its state
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use stackkit::engine::{DeployOptions, Deployment, RunError};
use stackkit::event::{Event, Listener};
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;

/// What is deployed for each customer.
#[stackkit::program]
async fn workspace(stack: &mut Stack) -> Result<()> {
    let folder = stack.add("folder", local::Directory::new("workspace"));
    let id = stack.add("id", local::RandomId::new(4));
    let token = stack.add("token", local::RandomPassword::new(40).special(false));
    stack.add("token", local::SecretFile::new(text!("{}/token", folder.path), &token.value));
    stack.add("readme", local::File::new(text!("{}/README", folder.path), text!("Workspace {}\n", id.hex)));
    stack.output("id", &id.hex);
    stack.output("token", &token.value);
    Ok(())
}

/// Turns the engine's events into lines; a service would send them to its own log, or to a browser.
struct Lines;

impl Listener for Lines {
    fn event(&self, event: &Event) {
        match event {
            Event::Planned { plan } => println!("planned: {} resources", plan.nodes.len()),
            Event::StepStarted { urn, verb } => println!("  {} {urn} …", verb.name()),
            Event::StepDone { urn, verb, elapsed } => println!("  {} {urn} done after {elapsed:.1?}", verb.name()),
            Event::StepFailed { urn, verb, error, .. } => println!("  {} {urn} failed: {error}", verb.name()),
            Event::Warning { message, .. } => println!("  warning: {message}"),
            Event::Finished { summary } => {
                println!("finished: {} created, {} deleted, {} failed", summary.create, summary.delete, summary.failed);
            }
            _ => {}
        }
    }
}

async fn run(dir: PathBuf) -> Result<(), RunError> {
    let options = DeployOptions {
        stack: "customer-1".into(),
        backend: Some(format!("file://{}", dir.join("state").display())),
        dir,
        listener: Arc::new(Lines),
        ..DeployOptions::default()
    };
    let deployment = Deployment::new(Some(workspace()), options);
    let plan = PlanOptions::default();

    // The second argument is asked with the plan before anything is done: here the program decides by itself.
    let may_go = |plan: &stackkit::plan::Plan| !plan.nodes.is_empty();
    deployment.up(&plan, &may_go).await?;
    let again = deployment.up(&plan, &may_go).await?;
    println!("a second up changes {}", if again.has_changes() { "something" } else { "nothing" });

    // Outputs are values; a secret one shows itself as one.
    for (name, value) in &deployment.state().await?.outputs {
        println!("{name} = {value:?}");
    }
    deployment.destroy(&plan, &|_| true).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = given.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("embedded-{}", std::process::id())));
    let result = match std::fs::create_dir_all(&dir) {
        Ok(()) => run(dir.clone()).await,
        Err(error) => Err(RunError::Config(format!("cannot make {}: {error}", dir.display()))),
    };
    if given.is_none() {
        // Nothing is to stay of a try-out, not even its state.
        let _ = std::fs::remove_dir_all(&dir);
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
