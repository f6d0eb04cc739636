//! The arguments of the command line. [`Args`] is public so that a program can flatten it into its own command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum, ValueHint};

use crate::access::Role;

/// The command line of a StackKit program.
#[derive(Debug, Clone, Parser)]
#[command(
    version,
    about = "Plans and applies the infrastructure that this program declares",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit status: 0 done, 1 failed, 2 changes (with --detailed-exit-code),\n3 refused before anything was touched, 64 wrong usage, 130 cancelled."
)]
#[non_exhaustive]
pub struct Args {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Options of every command")]
#[non_exhaustive]
pub struct Global {
    /// Name of the stack [default: the selected one, else dev]
    #[arg(short, long, global = true, env = "STACKKIT_STACK", value_name = "NAME", hide_env_values = true)]
    pub stack: Option<String>,
    /// Where the state is kept, such as file://DIR or s3://BUCKET [default: what the stack's file or the program says, else file://.stackkit]
    #[arg(long, global = true, env = "STACKKIT_BACKEND", value_name = "URL", hide_env_values = true)]
    pub backend: Option<String>,
    /// The folder of stackkit.STACK.toml [default: the current one]
    #[arg(short = 'C', long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// JSON on standard output, and nothing else there: one event a line, or one document
    #[arg(long, global = true)]
    pub json: bool,
    /// Why, for the audit log
    #[arg(short, long, global = true, value_name = "TEXT")]
    pub message: Option<String>,
    /// When to use colours: auto, always or never [default: auto]
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub color: Color,
    /// Says more, also what is unchanged or cut
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Says only what is wrong, and results
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set, and wherever CLICOLOR_FORCE is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Shows what `up` would do; changes nothing and takes no lock
    Preview(Preview),
    /// Makes everything as the program declares it
    Up(Up),
    /// Deletes everything in the stack's state, or what is selected of it, without running the program
    Destroy(Destroy),
    /// Reads everything anew, so that the state follows reality, and shows the drift
    Refresh(Refresh),
    /// Adopts something that exists already, or all that another tool manages, and prints the Rust that declares it
    Import(Import),
    /// Shows the outputs of the stack
    Outputs(Outputs),
    /// Looks into the state, and mends it
    #[command(subcommand)]
    State(StateCommand),
    /// Reads and changes the configuration in stackkit.STACK.toml
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Lists and changes who can open the stack's secrets, and the key that they are sealed with
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Lists, selects, makes and removes stacks
    #[command(subcommand)]
    Stack(StackCommand),
    /// Draws the resources and what they depend on
    Graph(Graph),
    /// Shows the policies that the program is held to
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Shows who did what to the stack, when and why, and whether that is as it was written
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Prints what makes the stores of state and keys let somebody do what a role does, and no more
    Access(Access),
    /// Prints the completions for a shell
    Completions(Completions),
}

/// Which resources a command is about.
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Selecting {
    /// Only these resources: a URN, type, path or name, with * for any text; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub target: Vec<String>,
    /// All but these resources, in the same way; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}

/// What comes along with a selection.
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Dependents {
    /// Also what depends on the targets
    #[arg(long, requires = "target")]
    pub target_dependents: bool,
    /// Nor what depends on what is excluded
    #[arg(long, requires = "exclude")]
    pub exclude_dependents: bool,
}

/// What refuses a plan.
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Guarding {
    /// Refuses (exit status 3) to delete or replace anything
    #[arg(long, env = "STACKKIT_NO_DESTROY", value_parser = clap::builder::FalseyValueParser::new(), hide_env_values = true)]
    pub no_destroy: bool,
    /// Refuses (exit status 3) to delete or replace more than this many resources
    #[arg(long, env = "STACKKIT_MAX_DELETES", value_name = "N", value_parser = at_most, hide_env_values = true)]
    pub max_deletes: Option<usize>,
}

/// What limits a plan, for `preview` and `up`.
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Planning {
    /// Whether everything is read anew before planning
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub refresh: bool,
    /// Which resources the plan is about.
    #[command(flatten)]
    pub selecting: Selecting,
    /// What comes along with them.
    #[command(flatten)]
    pub dependents: Dependents,
    /// Replaces these resources even if nothing changed; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub replace: Vec<String>,
    /// Refuses (exit status 3) if anything would change
    #[arg(long)]
    pub expect_no_changes: bool,
    /// Exits with 2 if there are, or were, changes
    #[arg(long)]
    pub detailed_exit_code: bool,
    /// What refuses the plan.
    #[command(flatten)]
    pub guarding: Guarding,
    /// Sets a config value for this run alone; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub config: Vec<(String, String)>,
}

/// How steps are run.
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Applying {
    /// Does not ask before anything is changed
    #[arg(short, long)]
    pub yes: bool,
    /// How many resources are worked on at once [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: Option<u16>,
    /// Stops everything at the first failure; otherwise what does not depend on it goes on
    #[arg(long)]
    pub fail_fast: bool,
    /// Draws the run: what was done when, and what it waited for, as a page to open in a browser
    #[arg(long, value_name = "FILE.html", value_hint = ValueHint::FilePath)]
    pub timeline: Option<PathBuf>,
}

/// `preview`
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Preview {
    /// Limits of the plan.
    #[command(flatten)]
    pub planning: Planning,
    /// Seals the plan into a file, which `up --plan FILE` applies
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save_plan: Option<PathBuf>,
}

/// `up`
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Up {
    /// How steps are run.
    #[command(flatten)]
    pub applying: Applying,
    /// Limits of the plan.
    #[command(flatten)]
    pub planning: Planning,
    /// Applies a saved plan without asking, or refuses (exit status 3)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plan: Option<PathBuf>,
}

/// `destroy`
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Destroy {
    /// How steps are run.
    #[command(flatten)]
    pub applying: Applying,
    /// Runs the program, for its hooks before and after deletions
    #[arg(long)]
    pub run_program: bool,
    /// Sets a config value for this run of the program alone; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, requires = "run_program")]
    pub config: Vec<(String, String)>,
    /// Which resources are deleted.
    #[command(flatten)]
    pub selecting: Selecting,
    /// What comes along with them.
    #[command(flatten)]
    pub dependents: Dependents,
    /// What refuses it.
    #[command(flatten)]
    pub guarding: Guarding,
}

/// `refresh`
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Refresh {
    /// Does not ask before the state is changed
    #[arg(short, long)]
    pub yes: bool,
    /// Sets a config value for this run alone; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub config: Vec<(String, String)>,
    /// Which resources are read.
    #[command(flatten)]
    pub selecting: Selecting,
}

/// `import`
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Import {
    /// Its type, such as aws:ec2:Vpc
    #[arg(value_name = "TYPE", required_unless_present = "from")]
    pub type_name: Option<String>,
    /// The name that it gets in the program
    #[arg(required_unless_present = "from")]
    pub name: Option<String>,
    /// The id by which its provider knows it
    #[arg(allow_hyphen_values = true, required_unless_present = "from")]
    pub id: Option<String>,
    /// The provider instance that it is in, such as aws/frankfurt
    #[arg(long, value_name = "INSTANCE", conflicts_with = "from")]
    pub provider: Option<String>,
    /// Adopts instead all that Terraform, OpenTofu or Pulumi has recorded in this file; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["type_name", "name", "id"])]
    pub from: Option<PathBuf>,
    /// What wrote the file: terraform, opentofu or pulumi [default: told by its content]
    #[arg(long, value_name = "TOOL", hide_possible_values = true)]
    pub from_format: Option<FromFormat>,
    /// Shows what would be adopted and what is left, and changes nothing
    #[arg(long, conflicts_with = "yes")]
    pub preview: bool,
    /// Does not ask before it is adopted
    #[arg(short, long)]
    pub yes: bool,
    /// Sets a config value for this run alone; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub config: Vec<(String, String)>,
}

/// Which tool wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FromFormat {
    /// Terraform: a state of version 4.
    Terraform,
    /// OpenTofu: a state of version 4, encrypted or not.
    Opentofu,
    /// Pulumi: what `pulumi stack export` writes.
    Pulumi,
}

/// `outputs`
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Outputs {
    /// Prints the value of this output alone
    pub name: Option<String>,
    /// Prints secrets in plain text
    #[arg(long)]
    pub show_secrets: bool,
    /// How the state is read.
    #[command(flatten)]
    pub reading: Reading,
}

/// How a state is read.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
#[non_exhaustive]
pub struct Reading {
    /// Reads without a key: secrets stay sealed, and that nobody edited the state is not checked
    #[arg(long)]
    pub unverified: bool,
}

/// `state …`
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum StateCommand {
    /// Lists the resources in the state
    List {
        /// How the state is read.
        #[command(flatten)]
        reading: Reading,
    },
    /// Shows everything that is recorded of a resource; secrets stay hidden
    Show {
        /// Its URN, or its name if only one resource has it
        #[arg(value_name = "URN|NAME")]
        resource: String,
        /// How the state is read.
        #[command(flatten)]
        reading: Reading,
    },
    /// Drops a resource from the state, without touching the real one
    Rm {
        /// Its URN, or its name if only one resource has it
        #[arg(value_name = "URN|NAME")]
        resource: String,
        /// Does not ask before the state is changed
        #[arg(short, long)]
        yes: bool,
    },
    /// Renames a resource in the state, without touching the real one
    Mv {
        /// Its URN, or its name if only one resource has it
        #[arg(value_name = "URN|NAME")]
        resource: String,
        /// The URN, path or name that the program declares it by from now on
        #[arg(value_name = "NEW")]
        to: String,
        /// Does not ask before the state is changed
        #[arg(short, long)]
        yes: bool,
    },
    /// Merges back what an earlier run could not write to the state, and tidies its journal
    Repair,
    /// Goes on from the state as it is, though this machine has seen a newer one
    Accept {
        /// Does not ask before it is accepted
        #[arg(short, long)]
        yes: bool,
    },
    /// Lists the versions that the backend has kept
    History,
    /// Shows what is recorded otherwise than in a kept version
    Diff {
        /// The id of the version, as `state history` lists it
        id: String,
    },
    /// Makes the recorded state what it was in a kept version, without touching anything real
    Rollback {
        /// The id of the version, as `state history` lists it
        id: String,
        /// Does not ask before the state is changed
        #[arg(short, long)]
        yes: bool,
    },
    /// Writes the recorded state, sealed, to a file
    Export {
        /// The file; standard output where it is left out
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Makes the recorded state what was exported from this stack
    Import {
        /// The file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Does not ask before the state is changed
        #[arg(short, long)]
        yes: bool,
    },
    /// Takes the state to another backend, and lets the stack's file name it
    Move {
        /// URL of the other backend, such as s3://BUCKET/PREFIX
        url: String,
        /// Does not ask before it is moved
        #[arg(short, long)]
        yes: bool,
    },
    /// Ends the lock of a run that is dead
    Unlock {
        /// The id that the message of the locked stack names
        id: String,
    },
}

/// `config …`
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum ConfigCommand {
    /// Sets a value
    Set {
        /// Its key; dots lead into tables
        key: String,
        /// The value, `-` to read it from standard input; asked for where it is left out
        #[arg(allow_hyphen_values = true)]
        value: Option<String>,
        /// Seals it, so that the file may be shared
        #[arg(long)]
        secret: bool,
    },
    /// Prints a value
    Get {
        /// Its key
        key: String,
        /// Prints a secret in plain text
        #[arg(long)]
        show_secrets: bool,
    },
    /// Lists all values; secrets stay hidden
    List {
        /// Prints secrets in plain text
        #[arg(long)]
        show_secrets: bool,
    },
    /// Removes a value
    Rm {
        /// Its key
        key: String,
    },
}

/// `secrets …`
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum SecretsCommand {
    /// Lists the keys that open the stack
    List,
    /// Lets one more key open the stack
    Add {
        /// key-file, key-file:PATH, passphrase, age:RECIPIENT, age:FILE, aws-kms:ARN, aws-kms:alias/NAME or
        /// vault:MOUNT/KEY
        #[arg(value_name = "KEY")]
        key: String,
        /// What people call it, such as the name of its holder
        #[arg(long, value_name = "NAME")]
        label: Option<String>,
    },
    /// Takes a key out; what its holder has seen stays seen until `secrets rotate`
    Remove {
        /// Its id, or its label, as `secrets list` shows them
        #[arg(value_name = "ID|LABEL")]
        key: String,
    },
    /// Makes a new data key and seals every secret with it anew
    Rotate {
        /// Leaves this key out, which then opens nothing new; may be repeated
        #[arg(long, value_name = "ID|LABEL")]
        without: Vec<String>,
    },
    /// Seals the state as a whole, names, ids and plain values too, or its secrets alone
    Whole {
        /// on or off
        #[arg(value_name = "on|off", value_parser = switch, action = clap::ArgAction::Set)]
        whole: bool,
    },
    /// Lets these keys open the stack instead of the present ones, which stay until a new one has opened it
    ChangeProvider {
        /// As for `secrets add`
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
}

/// `stack …`
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum StackCommand {
    /// Lists the stacks of the folder
    List,
    /// Makes a stack with an empty configuration
    New {
        /// Its name
        name: String,
    },
    /// Makes a stack the default for later commands in this folder
    Select {
        /// Its name
        name: String,
    },
    /// Removes a stack that has no resources any more, with its state and configuration
    Rm {
        /// Its name
        name: String,
        /// Does not ask before it is removed
        #[arg(short, long)]
        yes: bool,
    },
}

/// `policy …`
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum PolicyCommand {
    /// Lists the policies with their levels
    List {
        /// Sets a config value for this run alone; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        config: Vec<(String, String)>,
    },
}

/// `audit …`
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum AuditCommand {
    /// Shows what was done, oldest first; takes no key unless the state is sealed as a whole
    Show {
        /// Only so many lines of the end
        #[arg(short = 'n', long, value_name = "N")]
        last: Option<u64>,
        /// Only what is no older: 7d, 12h, 30m, a day or a time such as 2026-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
    /// Finds lines that were edited, dropped, doubled, moved or cut off; takes the stack's key
    Verify,
    /// Writes all lines to a file, one JSON object a line
    Export {
        /// The file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// `access`
#[derive(Debug, Clone, Default, ClapArgs)]
#[non_exhaustive]
pub struct Access {
    /// The role; all of them where it is left out
    pub role: Option<Role>,
}

/// `graph`
#[derive(Debug, Clone, ClapArgs)]
#[non_exhaustive]
pub struct Graph {
    /// The form
    #[arg(long, value_name = "FORMAT", default_value = "dot")]
    pub format: GraphFormat,
    /// Draws what the state has recorded, without running the program
    #[arg(long)]
    pub state: bool,
    /// Writes it to a file instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Sets a config value for this run alone; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub config: Vec<(String, String)>,
}

/// The form of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Text for Graphviz.
    Dot,
    /// Text for Mermaid, which many Markdown renderers draw.
    Mermaid,
    /// A picture.
    Svg,
    /// A page of its own, to pan, zoom and look up what depends on what.
    Html,
}

/// `completions`
#[derive(Debug, Clone, ClapArgs)]
#[non_exhaustive]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".into()),
    }
}

/// A most; nothing is no limit, as where the variable is not set.
fn at_most(text: &str) -> Result<usize, String> {
    if text.is_empty() {
        return Ok(usize::MAX);
    }
    text.parse().map_err(|_| "write it as a number, such as 5".into())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("program").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_the_vocabulary_names_is_understood() {
        for line in [
            "preview --refresh=false --replace a --expect-no-changes --detailed-exit-code --no-destroy --config a=b",
            "up -y --parallel 4 --fail-fast --refresh --max-deletes 3 --config a=b=c --config c= --timeline run.html",
            "-s prod -C infra --backend file://x up --yes",
            "up --yes -s prod --json --color never -v",
            "preview --save-plan p --replace a",
            "up --plan p --no-destroy",
            "policy list --json",
            "audit show -n 20 --since 7d --json",
            "audit verify",
            "audit export audit.jsonl",
            "up -y -m because",
            "destroy -y --timeline run.html",
            "destroy --run-program -y",
            "refresh -y",
            "import aws:ec2:Vpc main vpc-1 -y --json --provider aws/frankfurt",
            "import --from terraform.tfstate --from-format opentofu --preview",
            "import --from - -y --json --config a=b",
            "outputs url --show-secrets --json",
            "state list --json",
            "state list --unverified",
            "outputs url --unverified",
            "state show web",
            "state rm web -y",
            "state unlock 0190",
            "state accept --yes",
            "state repair",
            "state history --json",
            "state diff 12",
            "state rollback 12 --yes",
            "state export backup.json",
            "state import backup.json -y",
            "state move s3://bucket/prefix --yes",
            "config set a.b -5",
            "config set token - --secret",
            "config set token --secret",
            "config get a",
            "config list --show-secrets",
            "config rm a",
            "secrets list --json",
            "secrets add age:age1xyz --label Ada",
            "secrets remove Ada",
            "secrets rotate --without Ada --without 0190",
            "secrets whole on",
            "secrets change-provider aws-kms:alias/infra key-file",
            "stack list",
            "stack select prod",
            "stack rm prod --yes",
            "access viewer --json",
            "access",
            "graph --format html -o graph.html",
            "completions bash",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn refresh_is_on_unless_turned_off() {
        let refresh = |line: &str| match parse(line).expect("it parses").command {
            Command::Up(up) => up.planning.refresh,
            other => panic!("{other:?}"),
        };
        assert!(refresh("up"));
        assert!(refresh("up --refresh"));
        assert!(refresh("up --refresh=true"));
        assert!(!refresh("up --refresh=false"));
    }

    #[test]
    fn what_is_not_understood_is_wrong_usage() {
        let lines = ["", "nosuch", "secrets whole", "secrets whole yes", "up --nosuch", "up --parallel 0"]
            .into_iter()
            .chain(["up --config novalue", "graph --format gif", "up -q -v"])
            .chain(["import aws:ec2:Vpc main", "import --from a b c d", "import"])
            .chain(["import --from a --preview -y", "import --from a --from-format helm"]);
        for line in lines {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_fits_eighty_columns() {
        fn check(command: &mut clap::Command) {
            let help = command.clone().term_width(80).render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            command.get_subcommands_mut().for_each(check);
        }
        check(&mut Args::command());
    }
}
