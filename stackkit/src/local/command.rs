//! `Command`: programs that make, change and delete something that has no type of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use stackkit_macros::resource;
use zeroize::Zeroizing;

use super::process::{self, Call};
use super::random_id::to_hex;
use super::{Local, disk};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Found, Intent, Managed, Problem};
use crate::secret::Secret;

/// Programs that are run when the resource is created, changed and deleted. Each is a list of the program and its
/// arguments; there is no shell unless `shell` says so.
///
/// The arguments of a process can be read by everyone on the machine, so no secret fits into them: secrets go into
/// `secret_environment` or `stdin`.
///
/// ```compile_fail,E0277
/// # use stackkit::prelude::*;
/// # fn declare(stack: &mut Stack) {
/// let password = stack.add("admin", local::RandomPassword::new(24));
/// stack.add("user", local::Command::new(list!["useradd", "--password", &password.value]));
/// # }
/// ```
///
/// A change of what the program is given runs `update`, or `create` again where there is no `update`; a change of
/// `triggers` deletes and creates. Programs get `STACKKIT_TOKEN`, the same again when an attempt is repeated, and for
/// `update` and `delete` the last output as `STACKKIT_STDOUT`. Variables of this process whose names begin with
/// `STACKKIT_` are not passed on.
///
/// If the process dies while `create` runs, nobody knows whether the program had its effect. With `creates` the answer
/// is whether that path is there; without it, the next `up` asks. While the program still runs, the next `up` says so
/// and starts nothing (unless `stdin` is given, which takes the place of the sign that it runs).
#[resource("local:Command", at_least_once, delete_before_replace)]
pub struct Command {
    /// What is run to make it.
    pub create: Vec<String>,
    /// What is run to change it; `create` unless given.
    pub update: Option<Vec<String>>,
    /// What is run to delete it; nothing unless given.
    pub delete: Option<Vec<String>>,
    /// Variables of the environment, beside those of this process.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub environment: BTreeMap<String, String>,
    /// Variables of the environment that hold secrets.
    #[resource(default = BTreeMap::<String, Secret<String>>::new())]
    pub secret_environment: BTreeMap<String, Secret<String>>,
    /// What the program reads from its standard input.
    pub stdin: Option<Secret<String>>,
    /// The folder in which it runs, taken from the stack's folder, which it also is unless given.
    pub working_dir: Option<String>,
    /// A path that is there once the program has done its work. While it is there `create` is not run; when it is gone
    /// the resource counts as gone.
    pub creates: Option<String>,
    /// Whether the first element of each list is a script for `sh -c`; the others are its `$1`, `$2` and so on.
    #[resource(default = false)]
    pub shell: bool,
    /// Any values; when one of them changes, it is deleted and created again.
    #[resource(replace, default = BTreeMap::<String, String>::new())]
    pub triggers: BTreeMap<String, String>,
    /// What the last run wrote to its standard output (the first MiB of it), without the line break at its end. Empty
    /// where secrets went in: then it is in `secret_stdout` alone.
    #[resource(output, volatile)]
    pub stdout: String,
    /// What the last run wrote to its standard output, as a secret.
    #[resource(output, volatile)]
    pub secret_stdout: Secret<String>,
}

impl CommandArgs {
    fn call<'a>(&'a self, cx: &'a Context, argv: &[String]) -> Call<'a> {
        let argv = match argv.split_first() {
            Some((script, arguments)) if self.shell => ["sh", "-c", script, "sh"]
                .into_iter()
                .chain(arguments.iter().map(String::as_str))
                .map(Into::into)
                .collect(),
            _ => argv.to_vec(),
        };
        let mut environment = vec![("STACKKIT_TOKEN", cx.token())];
        environment.extend(self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        Call {
            argv,
            dir: self.working_dir.as_ref().map_or_else(|| cx.dir().to_owned(), |dir| cx.dir().join(dir)),
            environment,
            secret_environment: self.secret_environment.iter().map(|(name, value)| (name.as_str(), value)).collect(),
            stdin: self.stdin.as_ref(),
            lock: None,
        }
    }

    fn state(&self, has_secrets: bool, output: &[u8]) -> CommandState {
        let text = Zeroizing::new(String::from_utf8_lossy(output).into_owned());
        let text = text.trim_end_matches(['\r', '\n']);
        let stdout = if has_secrets { String::new() } else { text.to_owned() };
        CommandState { args: self.clone(), stdout, secret_stdout: Secret::new(text.to_owned()) }
    }

    /// Whether what `creates` names is there; `None` where it names nothing.
    fn is_there(&self, cx: &Context) -> Result<Option<bool>, Error> {
        let Some(path) = &self.creates else { return Ok(None) };
        let found = disk::look(&disk::locate(cx, path)).map_err(|e| disk::failed("look at", path, &e))?;
        Ok(Some(found.is_some()))
    }

    fn gives_the_same_as(&self, other: &Self) -> bool {
        self.create == other.create
            && self.environment == other.environment
            && self.secret_environment == other.secret_environment
            && self.stdin == other.stdin
            && self.working_dir == other.working_dir
            && self.shell == other.shell
    }
}

impl CommandState {
    /// A call of a later program, which may want to know what the last one said.
    fn later<'a>(&'a self, args: &'a CommandArgs, cx: &'a Context, argv: &[String]) -> Call<'a> {
        let mut call = args.call(cx, argv);
        // The environment of a process has its limits; who writes much writes a file.
        if self.secret_stdout.reveal().len() < 64 * 1024 && !self.secret_stdout.reveal().contains('\0') {
            call.secret_environment.push(("STACKKIT_STDOUT", &self.secret_stdout));
        }
        call
    }
}

/// Where an attempt leaves the sign that its program runs. It lives no longer than the program, so a folder that is
/// cleared at the machine's start will do.
fn lock(cx: &Context, token: &str) -> PathBuf {
    let place = format!("{}\n{}\n{}\n{token}", cx.lineage(), cx.urn(), cx.dir().display());
    let digest = to_hex(&Sha256::digest(place));
    std::env::temp_dir().join(format!("stackkit-{}.lock", digest.get(..32).unwrap_or_default()))
}

impl Managed for Command {
    type Provider = Local;

    async fn create(_: &Local, cx: &Context, args: &CommandArgs) -> Result<Created<Self>, Error> {
        let mut call = args.call(cx, &args.create);
        call.lock = Some(lock(cx, cx.token()));
        if args.is_there(cx)? == Some(true) {
            return Ok(Created::new(cx.token(), args.state(call.has_secrets(), b"")));
        }
        let output = call.run().await?;
        if args.is_there(cx)? == Some(false) {
            let path = args.creates.as_deref().unwrap_or_default();
            return Err(Error::invalid(format!(
                "the program ended well, but `{path}` is not there: correct `creates`, or the program"
            )));
        }
        Ok(Created::new(cx.token(), args.state(call.has_secrets(), &output)))
    }

    async fn read(
        _: &Local,
        cx: &Context,
        _: &str,
        prior: Option<&CommandState>,
    ) -> Result<Option<CommandState>, Error> {
        let prior = prior.ok_or_else(|| {
            Error::invalid(
                "a command cannot be imported: declare it with `creates`, and it is not run where that is there",
            )
        })?;
        Ok((prior.is_there(cx)? != Some(false)).then(|| prior.clone()))
    }

    async fn update(
        _: &Local,
        cx: &Context,
        _: &str,
        prior: &CommandState,
        args: &CommandArgs,
    ) -> Result<CommandState, Error> {
        if prior.gives_the_same_as(args) {
            return Ok(CommandState { args: args.clone(), ..prior.clone() });
        }
        let has_secrets = args.call(cx, &args.create).has_secrets() || prior.args.call(cx, &[]).has_secrets();
        let output = prior.later(args, cx, args.update.as_ref().unwrap_or(&args.create)).run().await?;
        Ok(args.state(has_secrets, &output))
    }

    async fn delete(_: &Local, cx: &Context, _: &str, prior: &CommandState) -> Result<(), Error> {
        let Some(argv) = &prior.delete else { return Ok(()) };
        if prior.is_there(cx)? == Some(false) {
            return Ok(());
        }
        prior.later(&prior.args, cx, argv).run().await.map(drop)
    }

    async fn find(_: &Local, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let args = &intent.args;
        Ok(match args.is_there(cx)? {
            Some(true) => {
                Found::Ours(Created::new(intent.token.clone(), args.state(args.call(cx, &[]).has_secrets(), b"")))
            }
            _ if process::still_runs(&lock(cx, &intent.token))? => return Err(process::still_running()),
            Some(false) => Found::Nothing,
            None => Found::CannotTell,
        })
    }

    fn validate(args: &CommandArgs) -> Vec<Problem> {
        let mut problems = Vec::new();
        let lists =
            [("create", Some(&args.create)), ("update", args.update.as_ref()), ("delete", args.delete.as_ref())];
        for (field, list) in lists {
            if list.is_some_and(|list| list.first().is_none_or(String::is_empty)) {
                problems.push(Problem::new(field, "there is no program in it: the first element names it"));
            }
            if list.is_some_and(|list| list.iter().any(|element| element.contains('\0'))) {
                problems.push(Problem::new(field, "an element holds a NUL character"));
            }
        }
        for (field, names) in [
            ("environment", args.environment.keys().collect::<Vec<_>>()),
            ("secret_environment", args.secret_environment.keys().collect()),
        ] {
            for name in names.into_iter().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
                let name = name.escape_debug();
                problems.push(Problem::new(field, format!("`{name}` cannot be the name of a variable")));
            }
        }
        for name in args.environment.keys().filter(|name| args.secret_environment.contains_key(*name)) {
            problems.push(Problem::new("environment", format!("`{name}` is in `secret_environment` too: keep one")));
        }
        if let Some(path) = &args.creates {
            problems.extend(disk::path_problems("creates", path));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error::ErrorKind;
    use crate::local::testing::{args, context, intent};

    fn sh(script: &str) -> Command {
        Command::new([script]).shell(true)
    }

    async fn create(dir: &std::path::Path, draft: Command) -> Result<Created<Command>, Error> {
        Command::create(&Local::new(), &context(dir), &args(draft)).await
    }

    #[tokio::test]
    async fn a_program_gets_its_arguments_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let made = create(dir.path(), Command::new(["printf", "%s|", "a b", "$HOME", "*"])).await.unwrap();
        assert_eq!(made.state.stdout, "a b|$HOME|*|");
        assert_eq!(made.state.secret_stdout.reveal(), "a b|$HOME|*|");
        let made = create(dir.path(), Command::new(["echo $1 $STACKKIT_TOKEN", "x"]).shell(true)).await.unwrap();
        assert_eq!(made.state.stdout, "x token-1");
    }

    #[tokio::test]
    async fn what_is_made_of_secrets_is_secret() {
        let dir = tempfile::tempdir().unwrap();
        let draft = sh("echo $PASSWORD; cat").secret_environment([("PASSWORD", "hunter2")]).stdin("from stdin");
        let made = create(dir.path(), draft).await.unwrap();
        assert_eq!(made.state.stdout, "");
        assert_eq!(made.state.secret_stdout.reveal(), "hunter2\nfrom stdin");
        assert!(!format!("{made:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_failure_tells_its_last_lines_without_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let draft = sh("echo wrong: $PASSWORD >&2; exit 3").secret_environment([("PASSWORD", "hunter2")]);
        let error = create(dir.path(), draft).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.message(), "`sh` failed with exit status: 3:\nwrong: [secret]");
        let error = create(dir.path(), Command::new(["no-such-program-anywhere"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().starts_with("cannot run `no-such-program-anywhere`"), "{error}");
    }

    #[tokio::test]
    async fn the_guard_decides_whether_it_runs_and_whether_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        let wanted = args(sh("echo run >> log; touch done").creates("done").delete(["rm done"]));
        let found = Command::find(&local, &cx, &intent(&wanted, None)).await.unwrap();
        assert!(matches!(found, Found::Nothing), "{found:?}");
        let made = Command::create(&local, &cx, &wanted).await.unwrap();
        Command::create(&local, &cx, &wanted).await.unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("log")).unwrap(), "run\n");
        let found = Command::find(&local, &cx, &intent(&wanted, None)).await.unwrap();
        assert!(matches!(found, Found::Ours(_)), "{found:?}");
        assert!(Command::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().is_some());
        <Command as Managed>::delete(&local, &cx, &made.id, &made.state).await.unwrap();
        assert!(Command::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().is_none());
        <Command as Managed>::delete(&local, &cx, &made.id, &made.state).await.unwrap();

        let error = create(dir.path(), Command::new(["true"]).creates("never")).await.unwrap_err();
        assert!(error.message().contains("`never` is not there"), "{error}");
        let found = Command::find(&local, &cx, &intent(&args(sh("true")), None)).await.unwrap();
        assert!(matches!(found, Found::CannotTell), "{found:?}");
    }

    #[tokio::test]
    async fn a_program_that_outlives_its_run_is_not_started_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        let wanted = args(sh("cat gate; touch done").creates("done"));
        let path = lock(&cx, "token-1");
        // What a killed run leaves: a program that holds the locked file.
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        file.try_lock().unwrap();
        let (gate, open) = std::io::pipe().unwrap();
        let mut left = std::process::Command::new("cat").stdin(gate).stderr(file).spawn().unwrap();

        let error = Command::find(&local, &cx, &intent(&wanted, None)).await.unwrap_err();
        assert!(error.message().contains("is still running"), "{error}");
        let error = Command::create(&local, &cx, &wanted).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);

        drop(open);
        left.wait().unwrap();
        let found = Command::find(&local, &cx, &intent(&wanted, None)).await.unwrap();
        assert!(matches!(found, Found::Nothing), "{found:?}");
        assert!(!path.exists(), "the sign is cleared");
        let made = create(dir.path(), sh("true")).await.unwrap();
        assert_eq!(made.state.stdout, "");
        assert!(!path.exists(), "a call that ended leaves no sign");
    }

    #[tokio::test]
    async fn a_change_runs_update_and_only_where_it_matters() {
        let dir = tempfile::tempdir().unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        let draft = |size: &str| {
            sh("echo create $SIZE").update(["echo update $SIZE after $STACKKIT_STDOUT"]).environment([("SIZE", size)])
        };
        let made = Command::create(&local, &cx, &args(draft("1"))).await.unwrap();
        let changed =
            <Command as Managed>::update(&local, &cx, &made.id, &made.state, &args(draft("2"))).await.unwrap();
        assert_eq!(changed.stdout, "update 2 after create 1");
        let other_delete = args(draft("2").delete(["exit 1"]));
        let kept = <Command as Managed>::update(&local, &cx, &made.id, &changed, &other_delete).await.unwrap();
        assert_eq!((kept.stdout.as_str(), kept.delete.is_some()), ("update 2 after create 1", true));
        let error = <Command as Managed>::delete(&local, &cx, &made.id, &kept).await.unwrap_err();
        assert!(error.message().contains("exit status: 1"), "{error}");
    }

    #[tokio::test]
    async fn what_a_dropped_call_started_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, local) = (context(dir.path()), Local::new());
        let script = "mkfifo gate; (echo $$ > pid; cat gate) & wait";
        let wanted = args(sh(script));
        let pid = {
            let run = Command::create(&local, &cx, &wanted);
            tokio::pin!(run);
            loop {
                let wait = tokio::time::timeout(std::time::Duration::from_millis(20), &mut run).await;
                assert!(wait.is_err(), "it waits for the gate");
                if let Ok(pid) = fs::read_to_string(dir.path().join("pid"))
                    && let Ok(pid) = pid.trim().parse::<i32>()
                {
                    break rustix::process::Pid::from_raw(pid).unwrap();
                }
            }
        };
        // The group is gone once nobody in it can be sent a signal; zombies count until they are reaped.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while rustix::process::test_kill_process_group(pid).is_ok() {
            assert!(std::time::Instant::now() < deadline, "the group of {pid:?} still runs");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_program_left_running_does_not_hold_the_call_up() {
        let dir = tempfile::tempdir().unwrap();
        let draft = sh("mkfifo gate; (cat gate) & echo started");
        let made = tokio::time::timeout(std::time::Duration::from_secs(30), create(dir.path(), draft)).await;
        assert_eq!(made.expect("the call returns").unwrap().state.stdout, "started");
        fs::write(dir.path().join("gate"), "the end").unwrap();
    }

    #[test]
    fn wrong_inputs_are_named() {
        let none: [&str; 0] = [];
        let draft = Command::new(none).delete([""]).environment([("A=B", "x"), ("C", "x")]);
        let wrong = args(draft.secret_environment([("C", "y")]).creates("/"));
        let fields: Vec<_> = Command::validate(&wrong).iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["create", "delete", "environment", "environment", "creates"]);
    }
}
