//! `preview`, `up`, `destroy` and `refresh`: engine calls with a screen or JSON lines listening.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::args::{Applying, Dependents, Destroy, Guarding, Planning, Preview, Refresh, Selecting, Up};
use crate::cli::error::Failure;
use crate::cli::trace::Trace;
use crate::cli::{App, note, print, prompt};
use crate::diagnostic::DiagnosticKind;
use crate::engine::{DeployOptions, Deployment, RunError};
use crate::event::{Event, Listener, Operation, Summary};
use crate::plan::{Plan, PlanOptions};
use crate::state::place;
use crate::ui::{
    JsonLines, Paint, Screen, ScreenOptions, Secrets, Verbosity, clean, count, render_outputs, render_plan,
};
use crate::value::Value;

/// Passes events on to what shows them, and keeps what the command itself needs afterwards.
struct Watch {
    shows: Shows,
    trace: Trace,
    seen: Mutex<Seen>,
}

enum Shows {
    Screen(Screen),
    Json(JsonLines<io::Stdout>),
}

#[derive(Default)]
struct Seen {
    plan: Option<Arc<Plan>>,
    summary: Option<Summary>,
}

impl Listener for Watch {
    fn event(&self, event: &Event) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Planned { plan } => seen.plan = Some(Arc::clone(plan)),
            Event::Finished { summary } => seen.summary = Some(summary.clone()),
            _ => {}
        }
        drop(seen);
        self.trace.event(event);
        match &self.shows {
            Shows::Screen(screen) => screen.event(event),
            Shows::Json(json) => json.event(event),
        }
    }
}

impl Watch {
    fn plan(&self) -> Option<Arc<Plan>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).plan.clone()
    }

    fn summary(&self) -> Option<Summary> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).summary.clone()
    }

    fn pause(&self) {
        if let Shows::Screen(screen) = &self.shows {
            screen.pause();
        }
    }
}

impl Planning {
    fn options(&self) -> PlanOptions {
        PlanOptions {
            expect_no_changes: self.expect_no_changes,
            replace: self.replace.clone(),
            ..selected(&self.selecting, Some(&self.dependents), Some(&self.guarding))
        }
    }
}

fn selected(selecting: &Selecting, dependents: Option<&Dependents>, guarding: Option<&Guarding>) -> PlanOptions {
    PlanOptions {
        targets: selecting.target.clone(),
        excludes: selecting.exclude.clone(),
        target_dependents: dependents.is_some_and(|dependents| dependents.target_dependents),
        exclude_dependents: dependents.is_some_and(|dependents| dependents.exclude_dependents),
        no_destroy: guarding.is_some_and(|guarding| guarding.no_destroy),
        max_deletes: guarding.and_then(|guarding| guarding.max_deletes),
        ..PlanOptions::default()
    }
}

impl App {
    fn watch(&self) -> Arc<Watch> {
        self.watch_and(Trace::default())
    }

    /// A watch that keeps what the options ask for; or that cannot, and why.
    fn traced(&self, applying: &Applying) -> (Arc<Watch>, Result<(), Failure>) {
        match Trace::of(&self.dir, &self.stack, applying) {
            Ok(trace) => (self.watch_and(trace), Ok(())),
            Err(failure) => (self.watch(), Err(failure)),
        }
    }

    fn watch_and(&self, trace: Trace) -> Arc<Watch> {
        let shows = if self.json {
            Shows::Json(self.json_lines())
        } else {
            let (stream, paint, terminal) = self.progress_stream();
            let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            let size = terminal_size::terminal_size().map(|(_, rows)| usize::from(rows.0));
            let rows = if terminal && !dumb { size } else { None };
            Shows::Screen(Screen::new(stream, ScreenOptions { style: self.style(paint), rows, plan: true }))
        };
        Arc::new(Watch { shows, trace, seen: Mutex::default() })
    }

    fn deploy(
        &self,
        watch: &Arc<Watch>,
        planning: Option<&Planning>,
        applying: Option<&Applying>,
    ) -> Result<Deployment, Failure> {
        Ok(Deployment::new(self.program, self.deploy_options(watch, planning, applying)?))
    }

    fn deploy_options(
        &self,
        watch: &Arc<Watch>,
        planning: Option<&Planning>,
        applying: Option<&Applying>,
    ) -> Result<DeployOptions, Failure> {
        let mut options = self.options(Arc::clone(watch) as Arc<dyn Listener>)?;
        if let Some(planning) = planning {
            options.config.clone_from(&planning.config);
            options.refresh = planning.refresh;
        }
        if let Some(applying) = applying {
            options.fail_fast = applying.fail_fast;
            if let Some(parallel) = applying.parallel {
                options.parallel = usize::from(parallel);
            }
            if let Some(durations) = watch.trace.durations() {
                options.durations = durations;
            }
        }
        Ok(options)
    }

    pub(super) async fn preview(&self, preview: &Preview) -> u8 {
        let watch = self.watch();
        let result = async {
            self.require_program("preview")?;
            if self.stack_to_make()? && preview.save_plan.is_some() {
                self.say_that_it_is_new("its key");
            }
            let deployment = self.deploy(&watch, Some(&preview.planning), None)?;
            let options = preview.planning.options();
            Ok(match &preview.save_plan {
                None => deployment.preview(&options).await?,
                Some(file) => deployment.save_plan(&options, file).await?,
            })
        }
        .await;
        let plan = watch.plan();
        watch.pause();
        // What is refused is shown too: the reasons are easier to see in the tree.
        if let (Some(plan), false) = (&plan, self.json)
            && (self.verbosity > Verbosity::Quiet || result.is_ok())
            && plan.diagnostics.iter().all(|diagnostic| diagnostic.kind == DiagnosticKind::Refused)
        {
            print(&render_plan(plan, Operation::Preview, self.style(Paint::stdout())));
        }
        let changes = plan.as_ref().is_some_and(|plan| plan.has_changes());
        if let (Ok(_), Some(file)) = (&result, &preview.save_plan) {
            let file = file.display();
            self.say(&format!("Saved the plan in {file}; `up --plan {file}` applies it, as long as nothing changes"));
        }
        let summary = watch.summary().or_else(|| Some(plan?.summary())).unwrap_or_default();
        let result = result.map(|_: Arc<Plan>| ());
        self.end(&watch, Operation::Preview, result, &summary, preview.planning.detailed_exit_code && changes)
    }

    pub(super) async fn up(&self, up: &Up) -> u8 {
        let (watch, traced) = self.traced(&up.applying);
        let result = async {
            traced?;
            self.require_program("up")?;
            if let Some(file) = &up.plan {
                return self.up_saved(&watch, up, file).await;
            }
            self.require_consent(up.applying.yes, "make these changes")?;
            if self.stack_to_make()? {
                self.say_that_it_is_new("it");
            }
            let deployment = self.deploy(&watch, Some(&up.planning), Some(&up.applying))?;
            let confirm = |plan: &Plan| up.applying.yes || self.ask(&watch, &question(plan, "Make these changes"));
            let result = deployment.up(&up.planning.options(), &confirm).await;
            // After a failure, its reasons are what should stand at the end.
            if result.is_ok() {
                self.show_outputs(&watch, &deployment).await;
            }
            self.ended(result)
        }
        .await;
        let summary = watch.summary().unwrap_or_default();
        let outputs_changed = watch.plan().is_some_and(|plan| plan.has_changes());
        let changed = result.is_ok() && (summary.has_changes() || outputs_changed);
        self.end(&watch, Operation::Up, result, &summary, up.planning.detailed_exit_code && changed)
    }

    fn say_that_it_is_new(&self, what_for: &str) {
        let place = match self.backend.as_deref().and_then(place::lasting) {
            Some(url) => format!(", and names {} as where its state is", clean(&url)),
            None => String::new(),
        };
        self.say(&format!("The stack `{}` is new: {} is made for {what_for}{place}", self.stack, self.file_name()));
    }

    /// The plan is the approval, and has its options in it.
    async fn up_saved(&self, watch: &Arc<Watch>, up: &Up, file: &std::path::Path) -> Result<(), Failure> {
        let given = up.planning.options();
        if given.selection() != PlanOptions::default() || !up.planning.config.is_empty() || !up.planning.refresh {
            return Err(Failure::usage("a saved plan has its options in it: only guards can be added to them")
                .help("give --replace, --target, --config and --refresh to the `preview` that saves the plan"));
        }
        self.require_stack()?;
        let deployment = self.deploy(watch, None, Some(&up.applying))?;
        let result = deployment.up_saved(file, &given).await;
        if result.is_ok() {
            self.show_outputs(watch, &deployment).await;
        }
        self.ended(result)
    }

    pub(super) async fn destroy(&self, destroy: &Destroy) -> u8 {
        let (watch, traced) = self.traced(&destroy.applying);
        let result = async {
            traced?;
            self.require_program("destroy")?;
            self.require_consent(destroy.applying.yes, "delete everything")?;
            self.require_stack()?;
            let mut options = self.deploy_options(&watch, None, Some(&destroy.applying))?;
            options.run_program = destroy.run_program;
            options.config.clone_from(&destroy.config);
            let deployment = Deployment::new(self.program, options);
            let confirm = |plan: &Plan| {
                let left = plan.selected.as_ref().map(|selected| selected.left_out).unwrap_or_default();
                let what = if left == 0 { "all" } else { "these resources" };
                destroy.applying.yes
                    || self.ask(&watch, &question(plan, &format!("Delete {what} of the stack `{}`", self.stack)))
            };
            let options = selected(&destroy.selecting, Some(&destroy.dependents), Some(&destroy.guarding));
            self.ended(deployment.destroy(&options, &confirm).await)
        }
        .await;
        let summary = watch.summary().unwrap_or_default();
        self.end(&watch, Operation::Destroy, result, &summary, false)
    }

    pub(super) async fn refresh(&self, refresh: &Refresh) -> u8 {
        let watch = self.watch();
        let result = async {
            self.require_program("refresh")?;
            self.require_consent(refresh.yes, "record what was found")?;
            self.require_stack()?;
            let mut options = self.deploy_options(&watch, None, None)?;
            options.config.clone_from(&refresh.config);
            let deployment = Deployment::new(self.program, options);
            let confirm = |drifted: &[crate::Urn]| {
                let found = count(drifted.len(), "resource");
                refresh.yes || self.ask(&watch, &format!("Record what was found of {found} in the state?"))
            };
            self.ended(deployment.refresh(&selected(&refresh.selecting, None, None), &confirm).await)
        }
        .await;
        let summary = watch.summary().unwrap_or_default();
        self.end(&watch, Operation::Refresh, result, &summary, false)
    }

    /// Asks in the middle of a run. The engine waits for the answer, and so must not hold up the other workers.
    fn ask(&self, watch: &Watch, question: &str) -> bool {
        watch.pause();
        tokio::task::block_in_place(|| prompt::confirm(question, &self.signals))
    }

    fn ended(&self, result: Result<Summary, RunError>) -> Result<(), Failure> {
        match result {
            Ok(_) => Ok(()),
            Err(RunError::Declined) => Err(Failure::declined(self.signals.cancelled())),
            Err(other) => Err(other.into()),
        }
    }

    /// Tells what went wrong, writes the last line, and gives the exit status.
    fn end(
        &self,
        watch: &Watch,
        operation: Operation,
        result: Result<(), Failure>,
        summary: &Summary,
        changes_count: bool,
    ) -> u8 {
        let status = match &result {
            Ok(()) if changes_count => 2,
            Ok(()) => 0,
            Err(failure) => failure.status(),
        };
        watch.pause();
        watch.trace.end();
        match (&watch.shows, &result) {
            (Shows::Json(json), result) => {
                if let Err(failure) = result {
                    failure.write(json);
                }
                json.summary(operation, summary, status);
            }
            (Shows::Screen(screen), Err(failure)) => {
                screen.pause();
                failure.print();
            }
            (Shows::Screen(_), Ok(())) => {}
        }
        status
    }

    async fn show_outputs(&self, watch: &Watch, deployment: &Deployment) {
        let Some(plan) = watch.plan().filter(|plan| plan.outputs.iter().any(|output| output.after.is_some())) else {
            return;
        };
        let planned = plan.outputs.iter().filter_map(|output| Some((output.name.clone(), output.after.clone()?)));
        let mut outputs: BTreeMap<String, Value> = planned.collect();
        if !outputs.values().all(Value::is_known) {
            match deployment.state().await {
                Ok(state) => outputs = state.outputs,
                Err(error) => return note(&format!("the outputs cannot be read: {}", clean(&error.to_string()))),
            }
        }
        match &watch.shows {
            Shows::Json(json) => outputs.iter().for_each(|(name, value)| json.output(name, value)),
            Shows::Screen(screen) => {
                screen.pause();
                if outputs.is_empty() {
                    return;
                }
                if self.verbosity > Verbosity::Quiet {
                    screen.print(&format!("\n{}\n", self.progress_stream().1.bold("Outputs")));
                }
                print(&render_outputs(&outputs, self.style(Paint::stdout()), Secrets::Hidden));
            }
        }
    }

    pub(super) fn say(&self, text: &str) {
        if !self.json && self.verbosity > Verbosity::Quiet {
            note(text);
        }
    }

    pub(super) fn require_program(&self, command: &str) -> Result<(), Failure> {
        if self.program.is_some() {
            return Ok(());
        }
        Err(Failure::usage(format!("`{command}` needs a program, and this binary has none"))
            .help(format!("run it in your own project: `cargo run -- {command}`")))
    }
}

fn question(plan: &Plan, title: &str) -> String {
    let summary = plan.summary();
    let gone = summary.delete + summary.replace;
    let warning = if gone > 0 { format!(" ({} deleted or replaced)", count(gone, "resource")) } else { String::new() };
    format!("\n{title}?{warning}")
}
