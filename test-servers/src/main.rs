//! Installs the servers, or runs one of them in the foreground or around a command.

use std::{
    env,
    ffi::OsString,
    fmt::Display,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitCode},
    time::Instant,
};

use test_servers::{
    Azurite, Error, FakeGcs, Kubernetes, Localstack, Moto, OpenBao, Postgres, Server, Sops, cache_folder, install,
};

const USAGE: &str = "\
Real servers for StackKit's tests and for trying its examples.

  cargo run -p test-servers -- install [SERVER|all]            fill the cache (default: all)
  cargo run -p test-servers -- moto [--port N]                 run moto until Ctrl-C
  cargo run -p test-servers -- kubernetes                      run a Kubernetes control plane until Ctrl-C
  cargo run -p test-servers -- localstack                      run localstack (S3, KMS) until Ctrl-C
  cargo run -p test-servers -- azurite                         run azurite (Azure Blob Storage) until Ctrl-C
  cargo run -p test-servers -- fake-gcs                        run fake-gcs-server until Ctrl-C
  cargo run -p test-servers -- openbao                         run OpenBao until Ctrl-C
  cargo run -p test-servers -- postgres                        run PostgreSQL until Ctrl-C
  cargo run -p test-servers -- sops                            say where the command `sops` is
  cargo run -p test-servers -- moto -- COMMAND...              run COMMAND against a fresh moto, with its exit status
  cargo run -p test-servers -- kubernetes -- COMMAND...        the same with any other of them

The cache is ~/.cache/stackkit/servers, or the folder that STACKKIT_SERVERS_CACHE names.
";

/// What the command line asks for.
enum Task {
    Help,
    Install(Vec<Server>),
    Run { server: Server, port: u16, command: Vec<OsString> },
}

fn main() -> ExitCode {
    let task = match parse(env::args_os().skip(1).collect()) {
        Ok(task) => task,
        Err(mistake) => {
            eprintln!("test-servers: {mistake}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = match task {
        Task::Help => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Task::Install(servers) => install_all(&servers),
        Task::Run { server: Server::Kubernetes, command, .. } => run_kubernetes(&command),
        Task::Run { server: Server::Localstack, command, .. } => run_localstack(&command),
        Task::Run { server: Server::Azurite, command, .. } => run_azurite(&command),
        Task::Run { server: Server::FakeGcs, command, .. } => run_fake_gcs(&command),
        Task::Run { server: Server::OpenBao, command, .. } => run_openbao(&command),
        Task::Run { server: Server::Postgres, command, .. } => run_postgres(&command),
        Task::Run { server: Server::Sops, command, .. } => run_sops(&command),
        Task::Run { port, command, .. } => run_moto(port, &command),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("test-servers: {error}");
        ExitCode::FAILURE
    })
}

fn parse(arguments: Vec<OsString>) -> Result<Task, String> {
    let mut words = arguments.into_iter();
    let first = words.next().map(|word| word.to_string_lossy().into_owned());
    let server = match first.as_deref() {
        None | Some("help" | "-h" | "--help") => return Ok(Task::Help),
        Some("install") => {
            let which = words.next().map(|word| word.to_string_lossy().into_owned());
            if let Some(extra) = words.next() {
                return Err(format!("`install` takes one name, not also `{}`", extra.to_string_lossy()));
            }
            return match which.as_deref() {
                None | Some("all") => Ok(Task::Install(Server::ALL.to_vec())),
                Some(name) => server(name).map(|server| Task::Install(vec![server])),
            };
        }
        Some(name) => server(name)?,
    };
    let mut port = 0;
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--") => {
                let command: Vec<OsString> = words.collect();
                if command.is_empty() {
                    return Err("there is no command after `--`".to_owned());
                }
                return Ok(Task::Run { server, port, command });
            }
            Some("--port") if server == Server::Moto => {
                let value = words.next().unwrap_or_default();
                port = value.to_str().and_then(|value| value.parse().ok()).ok_or_else(|| {
                    format!("`--port` takes a number from 0 to 65535, not `{}`", value.to_string_lossy())
                })?;
            }
            _ => return Err(format!("`{}` is not known here", word.to_string_lossy())),
        }
    }
    Ok(Task::Run { server, port, command: Vec::new() })
}

fn server(name: &str) -> Result<Server, String> {
    Server::ALL
        .into_iter()
        .find(|server| server.name() == name)
        .ok_or_else(|| format!("`{name}` is neither a server nor a command"))
}

fn install_all(servers: &[Server]) -> Result<ExitCode, Error> {
    println!("cache: {}", cache_folder()?.display());
    for server in servers {
        let start = Instant::now();
        install(*server)?;
        println!("{}: ready after {:.1} s", server.name(), start.elapsed().as_secs_f64());
    }
    Ok(ExitCode::SUCCESS)
}

fn run_moto(port: u16, command: &[OsString]) -> Result<ExitCode, Error> {
    let start = Instant::now();
    let moto = Moto::start_on(port)?;
    if !command.is_empty() {
        return Ok(run(command, &moto.env()));
    }
    announce("moto", &[moto.pid()], start);
    export(&moto.env());
    let status = moto.wait()?;
    eprintln!("test-servers: moto ended: {status}");
    Ok(ExitCode::FAILURE)
}

fn run_kubernetes(command: &[OsString]) -> Result<ExitCode, Error> {
    let start = Instant::now();
    let kubernetes = Kubernetes::start()?;
    if !command.is_empty() {
        return Ok(run(command, &kubernetes.env()));
    }
    announce("kubernetes", &kubernetes.pids(), start);
    export(&kubernetes.env());
    eprintln!("test-servers: its kubectl is {}", kubernetes.kubectl_path().display());
    let status = kubernetes.wait()?;
    eprintln!("test-servers: kube-apiserver ended: {status}");
    Ok(ExitCode::FAILURE)
}

fn run_localstack(command: &[OsString]) -> Result<ExitCode, Error> {
    let start = Instant::now();
    let localstack = Localstack::start()?;
    if !command.is_empty() {
        return Ok(run(command, &localstack.env()));
    }
    announce("localstack", &[localstack.pid()], start);
    export(&localstack.env());
    let status = localstack.wait()?;
    eprintln!("test-servers: localstack ended: {status}");
    Ok(ExitCode::FAILURE)
}

fn run_azurite(command: &[OsString]) -> Result<ExitCode, Error> {
    let start = Instant::now();
    let azurite = Azurite::start()?;
    if !command.is_empty() {
        return Ok(run(command, &azurite.env()));
    }
    announce("azurite", &[azurite.pid()], start);
    export(&azurite.env());
    let status = azurite.wait()?;
    eprintln!("test-servers: azurite ended: {status}");
    Ok(ExitCode::FAILURE)
}

fn run_fake_gcs(command: &[OsString]) -> Result<ExitCode, Error> {
    let start = Instant::now();
    let server = FakeGcs::start()?;
    if !command.is_empty() {
        return Ok(run(command, &server.env()));
    }
    announce("fake-gcs-server", &[server.pid()], start);
    export(&server.env());
    let status = server.wait()?;
    eprintln!("test-servers: fake-gcs-server ended: {status}");
    Ok(ExitCode::FAILURE)
}

fn run_openbao(command: &[OsString]) -> Result<ExitCode, Error> {
    let start = Instant::now();
    let openbao = OpenBao::start()?;
    if !command.is_empty() {
        return Ok(run(command, &openbao.env()));
    }
    announce("openbao", &[openbao.pid()], start);
    export(&openbao.env());
    let status = openbao.wait()?;
    eprintln!("test-servers: openbao ended: {status}");
    Ok(ExitCode::FAILURE)
}

fn run_postgres(command: &[OsString]) -> Result<ExitCode, Error> {
    let start = Instant::now();
    let postgres = Postgres::start()?;
    let mut variables = postgres.env();
    variables.push(("STACKKIT_BACKEND", postgres.url()));
    if !command.is_empty() {
        return Ok(run(command, &variables));
    }
    announce("postgres", &[postgres.pid()], start);
    export(&variables);
    let status = postgres.wait()?;
    eprintln!("test-servers: postgres ended: {status}");
    Ok(ExitCode::FAILURE)
}

/// A command and no server: there is nothing to wait for.
fn run_sops(command: &[OsString]) -> Result<ExitCode, Error> {
    let variables = Sops::new()?.env();
    if !command.is_empty() {
        return Ok(run(command, &variables));
    }
    export(&variables);
    Ok(ExitCode::SUCCESS)
}

// Ctrl-C is not handled: it ends this process, and the servers' supervisors end them when its pipes close.
fn announce(server: &str, pids: &[u32], start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    eprintln!("test-servers: {server} runs (pid {}) after {seconds:.1} s; Ctrl-C ends it", pids.join(" "));
    eprintln!("test-servers: in another terminal:");
}

/// Prints what a shell needs to use the server.
fn export<V: Display>(variables: &[(&str, V)]) {
    for (name, value) in variables {
        println!("export {name}='{value}'");
    }
}

/// Runs a command with variables added to the environment, and passes its exit status on as a shell would.
fn run(command: &[OsString], variables: &[(&str, String)]) -> ExitCode {
    let Some((program, arguments)) = command.split_first() else {
        return ExitCode::SUCCESS;
    };
    let status =
        Command::new(program).args(arguments).envs(variables.iter().map(|(name, value)| (name, value))).status();
    match status {
        Ok(status) => {
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(error) => {
            eprintln!("test-servers: cannot run `{}`: {error}", program.to_string_lossy());
            ExitCode::from(127)
        }
    }
}
