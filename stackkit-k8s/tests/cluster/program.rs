//! Whole programs, through the engine.

use std::path::Path;
use std::sync::{Arc, Mutex};

use stackkit::engine::{DeployOptions, Deployment, RunError};
use stackkit::event::{Event, Summary};
use stackkit::plan::{Action, PlanOptions};
use stackkit::prelude::*;
use stackkit::seal::KeyOptions;
use stackkit_k8s::{Kubernetes, SettingsInput};
use stackkit_k8s::{apps::v1 as apps, core::v1 as core, meta::v1 as meta};

/// What the tests vary.
#[derive(Debug, Clone, Properties)]
struct Config {
    /// The kubeconfig of the test's cluster.
    kubeconfig: String,
    /// A label that the selector has.
    #[property(default = "web")]
    app: String,
    /// Whether the deployment says how many pods there are.
    #[property(default = 1)]
    replicas: i32,
    /// A value of the settings.
    #[property(default = "red")]
    colour: String,
    /// Who sets the number of pods.
    #[property(default = false)]
    scaled_by_others: bool,
}

#[stackkit::program(providers(Kubernetes, local::Local))]
async fn shop(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    stack.provider::<Kubernetes>("default", settings(&config));
    let namespace = stack.add("shop", core::Namespace::new());
    let settings = core::ConfigMap::new().namespace(&namespace.name).data([("colour", &config.colour)]);
    let settings = stack.add("settings", settings);
    let password = stack.add("password", local::RandomPassword::new(24));
    let login = core::Secret::new().namespace(&namespace.name).string_data([("password", &password.value)]);
    let login = stack.add("login", login);
    let container = core::Container::new("web").image("web:1").env_from([
        core::EnvFromSource::new().config_map_ref(core::ConfigMapEnvSource::new().name(&settings.name)),
        core::EnvFromSource::new().secret_ref(core::SecretEnvSource::new().name(&login.name)),
    ]);
    let labels = [("app", &config.app)];
    let pods = core::PodTemplateSpec::new()
        .metadata(meta::ObjectMeta::new().labels(labels))
        .spec(core::PodSpec::new([container]));
    let spec = apps::DeploymentSpec::new(meta::LabelSelector::new().match_labels(labels), pods);
    let web = apps::Deployment::new(spec.replicas(config.replicas)).namespace(&namespace.name);
    let web = stack.add("web", web);
    let web = if config.scaled_by_others { web.ignore_changes(["spec.replicas"]) } else { web };
    let ports = core::ServiceSpec::new().selector(labels).ports([core::ServicePort::new(80).target_port(8080)]);
    let service = stack.add("front", core::Service::new(ports).namespace(&namespace.name));
    stack.output("namespace", &namespace.name);
    stack.output("deployment", &web.name);
    stack.output("address", &service.cluster_ip);
    Ok(())
}

fn settings(config: &Config) -> SettingsInput {
    stackkit_k8s::Settings::new().kubeconfig(&config.kubeconfig).patience(2_u32)
}

struct Run {
    dir: tempfile::TempDir,
    server: &'static test_servers::Kubernetes,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Run {
    fn new() -> Self {
        let server = test_servers::Kubernetes::shared().unwrap_or_else(|error| panic!("{error}"));
        Self { dir: tempfile::tempdir().expect("a folder"), server, events: Arc::default() }
    }

    fn deployment(&self, config: &[(&str, &str)]) -> Deployment {
        let kubeconfig = self.server.kubeconfig().display().to_string();
        let mut all = vec![("kubeconfig".to_owned(), kubeconfig)];
        all.extend(config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let events = Arc::clone(&self.events);
        let options = DeployOptions {
            dir: self.dir.path().into(),
            keys: KeyOptions { default_key_file: Some(self.dir.path().join("key")), ..KeyOptions::default() },
            config: all,
            listener: Arc::new(move |event: &Event| events.lock().unwrap().push(event.clone())),
            ..DeployOptions::default()
        };
        Deployment::new(Some(shop()), options)
    }

    async fn up(&self, config: &[(&str, &str)]) -> Result<Summary, RunError> {
        self.events.lock().unwrap().clear();
        self.deployment(config).up(&PlanOptions::default(), &|_| true).await
    }

    async fn up_ok(&self, config: &[(&str, &str)]) -> Summary {
        match self.up(config).await {
            Ok(summary) => summary,
            Err(error) => panic!("{error}: {:#?}", self.failures()),
        }
    }

    fn failures(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let failed = events.iter().filter_map(|event| match event {
            Event::StepFailed { error, .. } => Some(error.clone()),
            _ => None,
        });
        failed.collect()
    }

    async fn action(&self, config: &[(&str, &str)], name: &str) -> Action {
        let plan = self.deployment(config).preview(&PlanOptions::default()).await.expect("it plans");
        let node = plan.nodes.iter().find(|node| node.urn.name() == name).expect("it is declared");
        node.action.clone()
    }

    async fn output(&self, name: &str) -> String {
        let state = self.deployment(&[]).state().await.expect("there is one");
        let output = state.outputs.get(name).expect("the program has it");
        output.as_text().expect("it is text").to_owned()
    }
}

fn contains(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir).expect("it is a folder").flatten().any(|entry| {
        if entry.path().is_dir() {
            contains(&entry.path(), needle)
        } else {
            let bytes = std::fs::read(entry.path()).expect("it is a file");
            bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
        }
    })
}

fn counts(summary: &Summary) -> (usize, usize, usize, usize, usize) {
    (summary.create, summary.update, summary.replace, summary.delete, summary.same)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_lives_changes_and_ends() {
    let run = Run::new();
    let summary = run.up_ok(&[]).await;
    assert_eq!(counts(&summary), (6, 0, 0, 0, 0));
    let namespace = run.output("namespace").await;
    let kubectl = |arguments: &[&str]| {
        let arguments = [&["-n", namespace.as_str()], arguments].concat();
        run.server.kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"))
    };
    assert!(namespace.contains("shop"), "{namespace}");
    let login = kubectl(&["get", "secret", "-o", "jsonpath={.items[0].data.password}"]);
    assert_eq!(login.len(), 32, "24 characters in base64");
    use base64::Engine as _;
    let password = base64::engine::general_purpose::STANDARD.decode(&login).expect("base64");
    let password = String::from_utf8(password).expect("text");
    assert!(!contains(run.dir.path(), &password) && !contains(run.dir.path(), &login), "no secret on the disk");

    assert_eq!(counts(&run.up_ok(&[]).await), (0, 0, 0, 0, 6), "nothing changed, so nothing changes");

    let summary = run.up_ok(&[("replicas", "2"), ("colour", "blue")]).await;
    assert_eq!(counts(&summary), (0, 2, 0, 0, 4));
    assert_eq!(
        kubectl(&["get", "configmap", "-l", "stackkit.dev/lineage", "-o", "jsonpath={.items[0].data.colour}"]),
        "blue"
    );

    let config = [("replicas", "2"), ("colour", "blue")];
    assert_eq!(
        run.action(&[("app", "other"), config[0], config[1]], "web").await,
        Action::Replace { delete_first: false }
    );
    assert_eq!(run.action(&[("app", "other"), config[0], config[1]], "front").await, Action::Update);
    let summary = run.up_ok(&[("app", "other"), config[0], config[1]]).await;
    assert_eq!(counts(&summary), (0, 1, 1, 0, 4));
    let selector = kubectl(&["get", "deployments", "-o", "jsonpath={.items[*].spec.selector.matchLabels.app}"]);
    assert_eq!(selector, "other", "and the old one is gone");

    let summary = run.deployment(&[]).destroy(&PlanOptions::default(), &|_| true).await.expect("it goes");
    assert_eq!(summary.delete, 6);
    assert!(run.server.kubectl(&["get", "namespace", &namespace]).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_found_and_what_is_scaled_by_others_is_left_alone() {
    let run = Run::new();
    run.up_ok(&[]).await;
    let (namespace, web) = (run.output("namespace").await, run.output("deployment").await);
    let kubectl = |arguments: &[&str]| {
        let arguments = [&["-n", namespace.as_str()], arguments].concat();
        run.server.kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"))
    };
    kubectl(&["scale", "deployment", &web, "--replicas=3"]);
    assert_eq!(run.action(&[], "web").await, Action::Update, "somebody scaled it");
    assert_eq!(run.action(&[("scaled_by_others", "true")], "web").await, Action::Same);
    assert!(matches!(run.up(&[]).await, Err(RunError::Failed(_))));
    let failures = run.failures();
    assert!(
        failures[0].contains("`spec.replicas` is owned by kubectl") && failures[0].contains("take_over"),
        "{failures:?}"
    );

    kubectl(&["delete", "service", "-l", "stackkit.dev/lineage"]);
    assert_eq!(run.action(&[("scaled_by_others", "true")], "front").await, Action::Create, "somebody deleted it");
    let summary = run.up_ok(&[("scaled_by_others", "true")]).await;
    assert_eq!(counts(&summary), (1, 1, 0, 0, 4), "the update that failed is finished");
    assert_eq!(kubectl(&["get", "deployment", &web, "-o", "jsonpath={.spec.replicas}"]), "3");
    assert_eq!(counts(&run.up_ok(&[("scaled_by_others", "true")]).await), (0, 0, 0, 0, 6));
    run.deployment(&[]).destroy(&PlanOptions::default(), &|_| true).await.expect("it goes");
}
