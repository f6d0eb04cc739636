//! The command line of every program: arguments in, engine calls, screens and exit status out.

mod access;
mod args;
mod audit;
mod config;
mod deploy;
mod error;
mod graph;
mod import;
mod migrate;
mod policy;
mod prompt;
mod secrets;
mod show;
mod signal;
mod stack;
mod state;
mod trace;
mod versions;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use tokio_util::sync::CancellationToken;

pub use args::{
    Access, Applying, Args, AuditCommand, Color, Command, Completions, ConfigCommand, Dependents, Destroy, FromFormat,
    Global, Graph, GraphFormat, Guarding, Import, Outputs, Planning, PolicyCommand, Preview, Reading, Refresh,
    SecretsCommand, Selecting, StackCommand, StateCommand, Up,
};

use crate::cli::error::Failure;
use crate::cli::signal::Signals;
use crate::engine::{DeployOptions, Deployment};
use crate::event::{Event, Listener};
use crate::program::Program;
use crate::seal::{Header, KeyOptions, LinkedKeys, Sealer, config_path, unlock};
use crate::state::Seen;
use crate::state::place::LinkedBackend;
use crate::ui::{JsonLines, Paint, PlanStyle, Verbosity};

/// Exit status of wrong usage.
const USAGE: u8 = 64;

/// The whole of a program's `main`: parses the arguments, does what they say, and returns the exit status.
pub fn main(program: impl Into<Program>) -> ExitCode {
    let program = program.into();
    start(Some(program), Links::default())
}

/// Kinds of backends and keys that a command line without a program has linked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Links {
    /// Kinds of backends. Folders always are, and are not among them.
    pub backends: &'static [LinkedBackend],
    /// Kinds of keys. Key files and passphrases always are, and are not among them.
    pub keys: &'static [LinkedKeys],
}

/// The same without a program, for what needs only the files of a stack: state, outputs, configuration, keys, the audit
/// log. Commands that run a program are not in its help, and say that they need one.
pub fn main_without_program(links: Links) -> ExitCode {
    start(None, links)
}

/// The command line, as it is offered: without a program, without the commands that need one.
fn offered(has_program: bool) -> clap::Command {
    let command = Args::command();
    if has_program {
        return command;
    }
    let about = "Looks after the states, secrets and audit logs of stacks, without the programs that declare them";
    let hidden = |command: clap::Command, name: &&str| command.mut_subcommand(name, |sub| sub.hide(true));
    PROGRAM_COMMANDS.iter().fold(command.about(about), hidden)
}

/// Commands that run a program, or call the providers that one links.
const PROGRAM_COMMANDS: [&str; 6] = ["preview", "up", "destroy", "refresh", "import", "policy"];

fn start(program: Option<Program>, links: Links) -> ExitCode {
    early_color();
    let parsed = offered(program.is_some()).try_get_matches().and_then(|matches| Args::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => {
            // Help and version were asked for; everything else is wrong usage.
            let status = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let status = match runtime {
        Ok(runtime) => {
            let status = runtime.block_on(run_linked(program, links, args));
            // A question that nobody answered must not keep the process.
            runtime.shutdown_background();
            status
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: the runtime cannot be started: {error}");
            1
        }
    };
    ExitCode::from(status)
}

/// Does what parsed arguments say and returns the exit status. For programs with a command line of their own that
/// flatten [`Args`] into it; must be called within a multi-threaded tokio runtime.
pub async fn run(program: Option<Program>, args: Args) -> u8 {
    run_linked(program, Links::default(), args).await
}

async fn run_linked(program: Option<Program>, links: Links, args: Args) -> u8 {
    choose_color(args.global.color);
    let status = execute(program, links, args).await;
    crate::state::lease::settled().await;
    status
}

async fn execute(program: Option<Program>, links: Links, args: Args) -> u8 {
    let signals = Signals::listen(CancellationToken::new());
    let app = match App::new(program, links, &args.global, signals) {
        Ok(app) => app,
        Err(failure) => return failure.report(args.global.json),
    };
    let result = match &args.command {
        Command::Preview(options) => return app.preview(options).await,
        Command::Up(options) => return app.up(options).await,
        Command::Destroy(options) => return app.destroy(options).await,
        Command::Refresh(options) => return app.refresh(options).await,
        Command::Import(options) => app.import(options).await,
        Command::Outputs(options) => app.outputs(options).await,
        Command::State(command) => app.state_command(command).await,
        Command::Config(command) => app.config_command(command).await,
        Command::Secrets(command) => app.secrets_command(command).await,
        Command::Stack(command) => app.stack_command(command).await,
        Command::Graph(options) => app.graph(options).await,
        Command::Policy(command) => app.policy_command(command).await,
        Command::Audit(command) => app.audit_command(command).await,
        Command::Access(options) => app.access(options).await,
        Command::Completions(options) => completions(options, app.program.is_some()),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => failure.report(args.global.json),
    }
}

fn completions(options: &Completions, has_program: bool) -> Result<(), Failure> {
    let mut command = offered(has_program);
    let name = std::env::args_os()
        .next()
        .and_then(|path| Some(Path::new(&path).file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "stackkit".into());
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(())
}

fn choose_color(color: Color) {
    let choice = match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Help and usage errors are printed before the arguments are known, and in colours or not like everything else.
fn early_color() {
    let args: Vec<_> = std::env::args().skip(1).take_while(|arg| arg != "--").collect();
    let separate = args.windows(2).find(|pair| pair[0] == "--color").map(|pair| pair[1].as_str());
    match separate.or_else(|| args.iter().find_map(|arg| arg.strip_prefix("--color="))) {
        Some("never") => choose_color(Color::Never),
        Some("always") => choose_color(Color::Always),
        _ => {}
    }
}

/// Prints a result. That nobody reads it any more is no error.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What was given. A variable of the environment that is there and empty says nothing.
fn given(value: &Option<String>) -> Option<&String> {
    value.as_ref().filter(|text| !text.is_empty())
}

/// Prints a remark.
fn note(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// Everything that a command needs to know.
struct App {
    program: Option<Program>,
    links: Links,
    stack: String,
    dir: PathBuf,
    backend: Option<String>,
    message: Option<String>,
    json: bool,
    verbosity: Verbosity,
    signals: Signals,
    token: CancellationToken,
}

impl App {
    fn new(program: Option<Program>, links: Links, global: &Global, signals: Signals) -> Result<Self, Failure> {
        let dir = global.dir.clone().unwrap_or_else(|| PathBuf::from("."));
        if !dir.is_dir() {
            return Err(Failure::usage(format!("there is no folder `{}`", dir.display()))
                .help("-C names the folder of the stack's files"));
        }
        let stack = match given(&global.stack) {
            Some(name) => name.clone(),
            None => stack::selected(&dir).unwrap_or_else(|| "dev".into()),
        };
        stack::check_name(&stack)?;
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => verbosity_of(std::env::var("STACKKIT_LOG").unwrap_or_default().as_str()),
        };
        let token = signals.token();
        let (backend, message) = (given(&global.backend).cloned(), global.message.clone());
        Ok(Self { program, links, stack, dir, backend, message, json: global.json, verbosity, signals, token })
    }

    /// Where people read about progress: standard output if that is a terminal, else standard error.
    fn progress_stream(&self) -> (Box<dyn io::Write + Send>, Paint, bool) {
        if io::stdout().is_terminal() {
            (Box::new(io::stdout()), Paint::stdout(), true)
        } else {
            (Box::new(io::stderr()), Paint::stderr(), io::stderr().is_terminal())
        }
    }

    fn style(&self, paint: Paint) -> PlanStyle {
        PlanStyle { paint, columns: columns(), verbosity: self.verbosity }
    }

    /// What a run works on. Asks for the passphrase where one is needed and somebody can be asked.
    fn options(&self, listener: Arc<dyn Listener>) -> Result<DeployOptions, Failure> {
        Ok(DeployOptions {
            stack: self.stack.clone(),
            dir: self.dir.clone(),
            backend: self.backend.clone(),
            backends: self.links.backends.to_vec(),
            keys: self.keys()?,
            listener,
            cancel: self.token.clone(),
            message: self.message.clone(),
            seen: Seen::of_user(),
            ..DeployOptions::default()
        })
    }

    /// A deployment for what only reads or mends the state.
    fn deployment(&self) -> Result<Deployment, Failure> {
        self.require_stack()?;
        Ok(Deployment::new(self.program, self.options(warnings())?))
    }

    /// A deployment for what needs no key, so that none is asked for.
    fn keyless(&self) -> Deployment {
        let options = DeployOptions {
            stack: self.stack.clone(),
            dir: self.dir.clone(),
            backend: self.backend.clone(),
            backends: self.links.backends.to_vec(),
            keys: KeyOptions { linked: self.links.keys.to_vec(), ..KeyOptions::default() },
            ..DeployOptions::default()
        };
        Deployment::new(self.program, options)
    }

    /// A deployment for what is not about one stack.
    fn any_deployment(&self) -> Result<Deployment, Failure> {
        let listener: Arc<dyn Listener> = Arc::new(|_: &Event| {});
        let options = DeployOptions {
            dir: self.dir.clone(),
            backend: self.backend.clone(),
            backends: self.links.backends.to_vec(),
            listener,
            ..DeployOptions::default()
        };
        Ok(Deployment::new(self.program, options))
    }

    fn keys(&self) -> Result<KeyOptions, Failure> {
        let mut keys = KeyOptions::from_env();
        keys.linked.extend(self.program.map(|program| program.keys()).unwrap_or_default());
        keys.linked.extend(self.links.keys);
        // A header that cannot be read is reported by what opens the stack.
        let header = Header::read(&config_path(&self.dir, &self.stack)).ok().flatten();
        if header.is_some_and(|header| keys.lacks_passphrase_for(&header)) && prompt::can_ask() {
            let question = format!("Passphrase of the stack `{}`: ", self.stack);
            let text = prompt::secret(&question)
                .map_err(|error| Failure::failed(format!("the passphrase cannot be read: {error}")))?;
            return Ok(keys.passphrase(text));
        }
        Ok(keys)
    }

    /// The sealer of the stack; none where it has no key yet.
    async fn sealer(&self) -> Result<Option<Sealer>, Failure> {
        match Header::read(&config_path(&self.dir, &self.stack))? {
            Some(header) => Ok(Some(unlock(&header, &self.keys()?).await?)),
            None => Ok(None),
        }
    }

    /// That somebody can be asked, or has said yes already.
    fn require_consent(&self, yes: bool, what: &str) -> Result<(), Failure> {
        if yes || (prompt::can_ask() && !self.json) {
            return Ok(());
        }
        let why = if self.json { "with --json nobody is asked" } else { "there is no terminal to ask on" };
        Err(Failure::usage(format!("{why} whether to {what}")).help("give --yes to go ahead without being asked"))
    }

    fn json_lines(&self) -> JsonLines<io::Stdout> {
        JsonLines::new(io::stdout()).hold_summary()
    }
}

/// Tells of warnings alone.
fn warnings() -> Arc<dyn Listener> {
    Arc::new(|event: &Event| {
        if let Event::Warning { message, .. } = event {
            note(&format!("warning: {}", crate::ui::clean(message)));
        }
    })
}

fn verbosity_of(text: &str) -> Verbosity {
    match text.to_ascii_lowercase().as_str() {
        "quiet" | "off" | "error" => Verbosity::Quiet,
        "verbose" | "debug" | "trace" => Verbosity::Verbose,
        _ => Verbosity::Normal,
    }
}

/// How wide the screen is.
fn columns() -> usize {
    let of_terminal = || terminal_size::terminal_size().map(|(columns, _)| usize::from(columns.0));
    let given = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    of_terminal().or(given).unwrap_or(100).max(40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_sets_how_much_is_said() {
        assert_eq!(verbosity_of("debug"), Verbosity::Verbose);
        assert_eq!(verbosity_of("ERROR"), Verbosity::Quiet);
        assert_eq!(verbosity_of(""), Verbosity::Normal);
    }
}
