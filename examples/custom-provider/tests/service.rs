//! The provider against the service: real requests, real state, everything in a temporary folder.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use example_custom_provider::{Acme, AcmeSettings, Record};
use stackkit::engine::{DeployOptions, Deployment};
use stackkit::event::Event;
use stackkit::plan::PlanOptions;
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;

#[derive(Debug, Clone, Properties)]
struct Config {
    endpoint: String,
    #[property(default = "right")]
    access: String,
    #[property(default = 300)]
    ttl: u32,
}

#[stackkit::program(providers(Acme))]
async fn two_records(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    stack.provider::<Acme>("default", AcmeSettings::new().endpoint(&config.endpoint).api_token(&config.access));
    let first = stack.add("first", Record::new("example.org", "192.0.2.1").ttl(config.ttl).transfer_key("copy me"));
    stack.add("second", Record::new("example.org", "192.0.2.2").name("second"));
    stack.output("first", &first.fqdn);
    Ok(())
}

/// The running service; it ends with the test.
struct Service {
    process: Child,
    endpoint: String,
}

impl Service {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acme-api"));
        let mut process =
            command.arg("127.0.0.1:0").env("ACME_TOKEN", "right").stdout(Stdio::piped()).spawn().expect("it starts");
        let mut endpoint = String::new();
        let stdout = process.stdout.take().expect("it has an output");
        BufReader::new(stdout).read_line(&mut endpoint).expect("it says where it is");
        Self { process, endpoint: endpoint.trim().to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A deployment, and every event of it as text.
struct Observed {
    deployment: Deployment,
    said: Arc<Mutex<Vec<String>>>,
}

impl std::ops::Deref for Observed {
    type Target = Deployment;
    fn deref(&self) -> &Deployment {
        &self.deployment
    }
}

fn deployment(dir: &Path, service: &Service, config: &[(&str, &str)]) -> Observed {
    let mut all = vec![("endpoint".to_owned(), service.endpoint.clone())];
    all.extend(config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let keys = KeyOptions { default_key_file: Some(dir.join("key")), ..KeyOptions::default() };
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&said);
    let listener = move |event: &Event| sink.lock().expect("no panic").push(format!("{event:?}"));
    let options = DeployOptions {
        dir: dir.to_owned(),
        keys,
        config: all,
        listener: Arc::new(listener),
        // The token is in the program alone.
        run_program: true,
        ..DeployOptions::default()
    };
    Observed { deployment: Deployment::new(Some(two_records()), options), said }
}

#[stackkit::test]
async fn records_come_change_come_back_and_go() {
    let (dir, service) = (tempfile::tempdir().expect("a folder"), Service::start());
    let up = async |config: &[(&str, &str)]| {
        deployment(dir.path(), &service, config).up(&PlanOptions::default(), &|_| true).await.expect("it works")
    };
    assert_eq!(up(&[]).await.create, 2);
    assert!(!up(&[]).await.has_changes(), "a second up changes nothing");
    assert_eq!(up(&[("ttl", "60")]).await.update, 1);

    // Somebody deletes a record: the next up makes it again.
    let state = deployment(dir.path(), &service, &[]).state().await.expect("there is a state");
    let id = &state.resources.values().find(|record| record.urn.name() == "second").expect("it is there").id;
    let host = service.endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("it listens");
    write!(stream, "DELETE /records/{id} HTTP/1.1\r\nAuthorization: Bearer right\r\n\r\n").expect("it is sent");
    stream.read_to_string(&mut String::new()).expect("it is answered");
    assert_eq!(up(&[("ttl", "60")]).await.create, 1);

    let summary = deployment(dir.path(), &service, &[("ttl", "60")])
        .destroy(&PlanOptions::default(), &|_| true)
        .await
        .expect("it works");
    assert_eq!(summary.delete, 2);
}

#[stackkit::test]
async fn a_wrong_token_is_denied_and_shown_to_nobody() {
    let (dir, service) = (tempfile::tempdir().expect("a folder"), Service::start());
    let wrong = deployment(dir.path(), &service, &[("access", "wrong-token")]);
    let error = wrong.up(&PlanOptions::default(), &|_| true).await.expect_err("it is refused");
    let said = format!("{error}\n{}", wrong.said.lock().expect("no panic").join("\n"));
    assert!(said.contains("the token is not known"), "{said}");
    assert!(!said.contains("wrong-token"), "{said}");
    assert!(wrong.state().await.expect("there is a state").resources.is_empty());
}
