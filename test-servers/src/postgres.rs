//! PostgreSQL, of the operating system's package: a server of one's own in a folder of its own.

use std::{
    ffi::OsString,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Error,
    cache::{on_path, tail},
    process::{Process, Start, Stdout, free_port},
};

/// Longest time from the start of the process to its first connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where Debian and others keep what is not on PATH.
const FOLDERS: [&str; 3] = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"];
/// Users that the server may run as where the tests run as root, which it refuses.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// A PostgreSQL server of one's own, with one empty database `stackkit` that the user `stackkit` owns; no password.
///
/// Dropping it ends the server, and so does the death of the process. It keeps nothing safe from a power failure, which
/// makes it fast.
///
/// ```no_run
/// let postgres = test_servers::Postgres::start()?;
/// println!("{}", postgres.url());
/// # Ok::<_, test_servers::Error>(())
/// ```
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    psql: PathBuf,
    // Last: data and log lie here, so it goes after the server.
    _scratch: TempDir,
}

/// Makes sure that the server's programs are there.
pub(crate) fn install() -> Result<(), Error> {
    find("initdb")?;
    find("postgres").map(drop)
}

impl Postgres {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`Error::Install`] where PostgreSQL is not installed, [`Error::Start`] where it does not start.
    pub fn start() -> Result<Self, Error> {
        Self::begin(&[])
    }

    /// As [`start`](Self::start), with every statement in the log: see [`statements`](Self::statements).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with_log() -> Result<Self, Error> {
        Self::begin(&["log_statement=all"])
    }

    fn begin(settings: &[&str]) -> Result<Self, Error> {
        let (initdb, postgres) = (find("initdb")?, find("postgres")?);
        let scratch = tempfile::Builder::new()
            .prefix("stackkit-postgres-")
            .tempdir()
            .map_err(Error::file(std::env::temp_dir(), "create a temporary folder in"))?;
        let user = server_user()?;
        if let Some(user) = user {
            run(Command::new("chown").arg(user).arg(scratch.path()))?;
        }
        let data = scratch.path().join("data");
        let (program, mut arguments) = as_user(user, &initdb);
        arguments.extend(["--pgdata".into(), data.clone().into()]);
        arguments.extend(
            ["--username=stackkit", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"].map(Into::into),
        );
        run(Command::new(program).args(arguments).current_dir("/"))?;
        let port = free_port("postgres", Ipv4Addr::LOCALHOST)?;
        let (program, mut arguments) = as_user(user, &postgres);
        arguments.extend(["-D".into(), data.into()]);
        let port_setting = format!("port={port}");
        let usual = [
            "listen_addresses=127.0.0.1",
            &port_setting,
            "unix_socket_directories=",
            "fsync=off",
            "max_connections=200",
        ];
        for setting in usual.iter().chain(settings) {
            arguments.extend(["-c".into(), (*setting).into()]);
        }
        let process = Process::start(Start {
            name: "postgres",
            program: &program,
            arguments,
            log: scratch.path().join("postgres.log"),
            stdout: Stdout::Log,
            scratch: Some(scratch.path()),
        })?;
        let mut server = Self { process, port, psql: find("psql")?, _scratch: scratch };
        server.wait_until_ready()?;
        server.psql("postgres", "CREATE DATABASE stackkit")?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.process.log().contains("database system is ready to accept connections") {
                return Ok(());
            }
            self.process.check(self.port)?;
            if Instant::now() > deadline {
                return Err(self.process.failed(&format!("it was not ready within {} s", PATIENCE.as_secs())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// One server for all tests of a process, started by the first that asks for it. It ends with the process.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start). A failure is remembered too: every later call tells the same.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<Postgres, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// The URL of the database.
    pub fn url(&self) -> String {
        format!("postgres://stackkit@127.0.0.1:{}/stackkit", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What `psql` needs to connect.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &self.port.to_string()),
            ("PGUSER", "stackkit"),
            ("PGDATABASE", "stackkit"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    /// Runs statements in the database and returns what they print, without headings.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where one fails.
    pub fn run(&self, sql: &str) -> Result<String, Error> {
        self.psql("stackkit", sql)
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String, Error> {
        let failed = |detail: String| Error::Ask {
            server: format!("postgres on port {}", self.port),
            request: sql.to_owned(),
            detail,
        };
        let output = Command::new(&self.psql)
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--command", sql])
            .envs(self.env())
            .env("PGDATABASE", database)
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The statements that clients sent so far, oldest first; only those of a server that was started
    /// [with its log](Self::start_with_log).
    pub fn statements(&self) -> Vec<String> {
        let log = self.process.log();
        log.lines()
            .filter_map(|line| {
                let (_, rest) = line.split_once("LOG:  ")?;
                let of = |mark: &str| rest.split_once(mark).map(|(_, sql)| sql.trim().to_owned());
                match rest.starts_with("statement: ") {
                    true => of("statement: "),
                    false if rest.starts_with("execute ") => of(": "),
                    false => None,
                }
            })
            .collect()
    }

    /// Blocks until the server ends by itself, which it does only when something outside kills it.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] where the operating system cannot tell.
    pub fn wait(mut self) -> Result<std::process::ExitStatus, Error> {
        self.process.wait()
    }
}

/// A program of PostgreSQL: on PATH, or where packages put it, the newest version first.
fn find(program: &str) -> Result<PathBuf, Error> {
    if let Some(found) = on_path(program) {
        return Ok(found);
    }
    let mut found: Vec<(u32, PathBuf)> = FOLDERS
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name.trim_start_matches("postgresql@").parse().ok()?;
            let path = entry.path().join("bin").join(program);
            path.is_file().then_some((version, path))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path).ok_or_else(|| Error::Install {
        what: "PostgreSQL".to_owned(),
        detail: format!("there is no `{program}`, neither on PATH nor in {}", FOLDERS.join(", ")),
        command: "apt-get install postgresql".to_owned(),
    })
}

/// The user to run the server as: it refuses to run as root.
fn server_user() -> Result<Option<&'static str>, Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let there = |user: &&&str| Command::new("id").arg("-u").arg(user).output().is_ok_and(|id| id.status.success());
    USERS.iter().find(there).copied().map(Some).ok_or_else(|| {
        Error::start(
            "postgres",
            format!("it does not run as root, and there is none of the users {}", USERS.join(", ")),
        )
    })
}

/// The command that runs a program as a user.
fn as_user(user: Option<&str>, program: &Path) -> (PathBuf, Vec<OsString>) {
    let Some(user) = user else { return (program.to_owned(), Vec::new()) };
    let arguments = [format!("--reuid={user}"), "--regid".to_owned(), group(user), "--clear-groups".to_owned()];
    let arguments = arguments.into_iter().map(Into::into).chain([program.to_owned().into()]).collect();
    // It becomes the program, so that the process id stays the same.
    (on_path("setpriv").unwrap_or_else(|| "setpriv".into()), arguments)
}

fn group(user: &str) -> String {
    let id = Command::new("id").arg("-g").arg(user).output();
    id.map_or_else(|_| user.to_owned(), |id| String::from_utf8_lossy(&id.stdout).trim().to_owned())
}

fn run(command: &mut Command) -> Result<(), Error> {
    let failed = |detail: String| Error::start("postgres", detail);
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| failed(format!("cannot run `{name}`: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!("`{name}` failed:\n{}", tail(&String::from_utf8_lossy(&output.stderr)))))
}
