//! Objects are made, read, changed and deleted.

use std::collections::BTreeMap;

use stackkit::error::ProviderError;
use stackkit::resource::Fields;
use stackkit::{ErrorKind, Found, Intent, Managed, Provider, Resource, Secret, Value};
use stackkit_k8s::core::v1 as core;
use stackkit_k8s::{ByteString, Kubernetes, Settings};

use crate::{Cluster, args, cx};

fn config_map(value: &str) -> core::ConfigMap {
    core::ConfigMap::new().name("settings").data([("colour", value)])
}

#[tokio::test]
async fn a_config_map_lives_and_dies() {
    let cluster = Cluster::new("lives").await;
    let made = cluster.create("settings", config_map("red")).await.expect("it is new");
    assert_eq!(made.id, "lives/settings");
    assert_eq!(made.state.namespace(), Some("lives"));
    let live = cluster.json("configmap", "settings");
    assert_eq!(live["data"]["colour"], "red");
    assert_eq!(live["metadata"]["labels"]["stackkit.dev/token"], "token-settings");
    assert_eq!(live["metadata"]["annotations"]["stackkit.dev/urn"], "kubernetes:core:ConfigMap::settings");
    assert_eq!(live["metadata"]["uid"].as_str(), made.state.uid());
    assert!(live["metadata"]["annotations"].as_object().unwrap().len() == 1, "no copy of what was applied");

    let read = cluster.read(&made).await.expect("it is there");
    assert_eq!(read.to_values(), made.state.to_values(), "reading what was applied gives what was applied");

    let changed = cluster.update("settings", &made, config_map("blue").data([("size", "1")])).await.expect("in place");
    assert_eq!(changed.get::<String>("data.size").as_deref(), Some("1"));
    let live = cluster.json("configmap", "settings");
    assert_eq!(live["data"], serde_json::json!({"size": "1"}), "a field that left the program is gone");

    cluster.delete("settings", &made).await.expect("it goes");
    assert!(cluster.read(&made).await.is_none());
    cluster.delete("settings", &made).await.expect("what is gone counts as deleted");
}

#[tokio::test]
async fn a_create_is_repeated_but_never_lands_on_a_stranger() {
    let cluster = Cluster::new("repeats").await;
    let first = cluster.create("settings", config_map("red")).await.expect("it is new");
    let again = cluster.create("settings", config_map("red")).await.expect("the same attempt may be repeated");
    assert_eq!(first.state.uid(), again.state.uid());
    let error = cluster.create("others", config_map("blue")).await.expect_err("it is another resource's");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        error.to_string(),
        "ConfigMap repeats/settings exists already and is not this resource's: adopt it with \
         `.import(\"repeats/settings\")`, or choose another name"
    );
    assert_eq!(cluster.json("configmap", "settings")["data"]["colour"], "red", "and it is as it was");
}

#[tokio::test]
async fn what_an_interrupted_create_made_is_found_by_its_token() {
    let cluster = Cluster::new("finds").await;
    let intent = |token: &str, free| Intent::<core::ConfigMap> {
        args: args(config_map("red")),
        token: token.into(),
        name_was_free: free,
    };
    let find =
        async |intent| core::ConfigMap::find(&cluster.k8s, &cx::<core::ConfigMap>("settings"), &intent).await.unwrap();
    let is_free = async || {
        core::ConfigMap::is_name_free(&cluster.k8s, &cx::<core::ConfigMap>("x"), &args(config_map("red")))
            .await
            .unwrap()
    };
    assert_eq!(is_free().await, Some(true));
    assert!(matches!(find(intent("token-settings", Some(true))).await, Found::Nothing));
    cluster.kubectl(&["create", "configmap", "settings"]);
    assert!(matches!(find(intent("token-settings", Some(true))).await, Found::Nothing), "a stranger's");
    cluster.kubectl(&["delete", "configmap", "settings"]);
    let made = cluster.create("settings", config_map("red")).await.unwrap();
    let Found::Ours(found) = find(intent("token-settings", None)).await else { panic!("it has our token") };
    assert_eq!(found.state.to_values(), made.state.to_values());
    assert!(matches!(find(intent("token-of-before", None)).await, Found::Nothing), "another attempt's");
    assert_eq!(is_free().await, Some(false));
}

#[tokio::test]
async fn a_secret_goes_to_the_cluster_and_nowhere_else() {
    let cluster = Cluster::new("secrets").await;
    let draft = core::Secret::new()
        .name("login")
        .string_data([("password", Secret::new(String::from("hunter2 ä")))])
        .data([("key", ByteString::new([0, 159, 146, 150]))]);
    let made = cluster.create("login", draft).await.expect("it is new");
    let live = cluster.json("secret", "login");
    assert_eq!(live["data"]["password"], "aHVudGVyMiDDpA==");
    assert_eq!(live["data"]["key"], "AJ+Slg==");
    assert!(!format!("{:?}", made.state).contains("hunter2"), "{:?}", made.state);
    let read = cluster.read(&made).await.expect("it is there");
    assert_eq!(read.to_values(), made.state.to_values());
    let text = read.get::<BTreeMap<String, Secret<String>>>("stringData").expect("it is a map of secrets");
    assert_eq!(text["password"].reveal(), "hunter2 ä");

    cluster.kubectl(&["patch", "secret", "login", "-p", r#"{"stringData":{"password":"other"}}"#]);
    let drifted = cluster.read(&made).await.expect("it is there");
    assert_ne!(drifted.to_values(), made.state.to_values());
    assert!(!format!("{drifted:?}").contains("other"));
}

#[tokio::test]
async fn drift_is_seen_where_the_program_said_something_and_nowhere_else() {
    let cluster = Cluster::new("drifts").await;
    let spec = core::ServiceSpec::new()
        .selector([("app", "web")])
        .ports([core::ServicePort::new(80).name("http").target_port(8080), core::ServicePort::new(81).name("more")]);
    let draft = || core::Service::new(spec.clone()).name("web").labels([("app", "web")]);
    let made = cluster.create("web", draft()).await.expect("it is new");
    assert!(made.state.output::<String>("cluster_ip").is_some());
    let read = cluster.read(&made).await.expect("it is there");
    assert_eq!(read.to_values(), made.state.to_values(), "defaults and allocated fields are no drift");
    cluster.kubectl(&["label", "service", "web", "theirs=yes"]);
    assert_eq!(cluster.read(&made).await.unwrap().to_values(), made.state.to_values());
    cluster.kubectl(&[
        "patch",
        "service",
        "web",
        "--type=json",
        "-p",
        r#"[{"op":"replace","path":"/spec/ports/0/targetPort","value":9090},{"op":"remove","path":"/spec/ports/1"}]"#,
    ]);
    let drifted = cluster.read(&made).await.unwrap();
    assert_eq!(drifted.get::<i32>("spec.ports.0.targetPort"), Some(9090));
    assert_eq!(drifted.get::<i32>("spec.ports.1.port"), None);
}

#[tokio::test]
async fn a_field_of_another_manager_is_named_with_its_owner_and_taken_only_when_allowed() {
    let cluster = Cluster::new("owned").await;
    let made = cluster.create("settings", config_map("red")).await.expect("it is new");
    cluster.kubectl(&[
        "patch",
        "configmap",
        "settings",
        "--field-manager=kubectl-edit",
        "-p",
        r#"{"data":{"colour":"green"}}"#,
    ]);
    let error = cluster.update("settings", &made, config_map("blue")).await.expect_err("kubectl owns it");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        error.to_string(),
        "apply ConfigMap owned/settings: `data.colour` is owned by kubectl-edit; leave the field to its owner with \
         `.ignore_changes([\"data.colour\"])` or by removing it from the program, or take it over by naming its owner in \
         the provider's setting `take_over`"
    );
    assert_eq!(cluster.json("configmap", "settings")["data"]["colour"], "green");
    let settings = Settings {
        kubeconfig: Some(cluster.server.kubeconfig().display().to_string()),
        take_over: Some(vec!["kubectl-edit".into()]),
        ..Settings::default()
    };
    let allowed = Kubernetes::connect(settings).await.unwrap();
    core::ConfigMap::update(
        &allowed,
        &cx::<core::ConfigMap>("settings"),
        &made.id,
        &made.state,
        &args(config_map("blue")),
    )
    .await
    .expect("it may be taken over");
    assert_eq!(cluster.json("configmap", "settings")["data"]["colour"], "blue");
}

#[tokio::test]
async fn a_namesake_is_neither_read_changed_nor_deleted() {
    let cluster = Cluster::new("namesake").await;
    let made = cluster.create("settings", config_map("red")).await.expect("it is new");
    cluster.kubectl(&["delete", "configmap", "settings"]);
    cluster.kubectl(&["create", "configmap", "settings", "--from-literal=theirs=1"]);
    assert!(cluster.read(&made).await.is_none(), "ours is gone");
    let error = cluster.update("settings", &made, config_map("blue")).await.expect_err("ours is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    cluster.delete("settings", &made).await.expect("ours is gone");
    assert_eq!(cluster.json("configmap", "settings")["data"]["theirs"], "1");
}

#[tokio::test]
async fn many_are_read_with_one_list() {
    let cluster = Cluster::new("many").await;
    let mut items = Vec::new();
    for n in 0..5 {
        let draft = core::ConfigMap::new().name(format!("c{n}")).data([("n", n.to_string())]);
        let made = cluster.create(&format!("c{n}"), draft).await.unwrap();
        items.push((made.id, Some(made.state)));
    }
    cluster.kubectl(&["delete", "configmap", "c1"]);
    cluster.kubectl(&["label", "configmap", "c2", "stackkit.dev/lineage-"]);
    let read = core::ConfigMap::read_many(&cluster.k8s, &cx::<core::ConfigMap>("many"), &items).await;
    let there: Vec<_> = read.into_iter().map(|state| state.unwrap().map(|state| state.name().to_owned())).collect();
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(there, [named("c0"), None, named("c2"), named("c3"), named("c4")], "a lost label is no lost object");
    let asked: Vec<_> =
        cluster.server.requests().unwrap().into_iter().map(|request| (request.verb, request.uri)).collect();
    let lists =
        asked.iter().filter(|(_, uri)| uri.starts_with("/api/v1/namespaces/many/configmaps?limit=500&labelSelector"));
    assert_eq!(lists.count(), 1, "{asked:?}");
    assert!(!asked.contains(&("get".into(), "/api/v1/namespaces/many/configmaps/c3".into())), "{asked:?}");
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_field_and_reason() {
    let cluster = Cluster::new("refused").await;
    let error =
        cluster.create("x", core::ConfigMap::new().name("x").namespace("nowhere")).await.expect_err("no namespace");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("declare the namespace in the program"), "{error}");

    let spec = core::ServiceSpec::new().ports([core::ServicePort::new(99999)]);
    let error = cluster.create("x", core::Service::new(spec).name("x")).await.expect_err("no such port");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().starts_with("create Service refused/x: spec.ports[0].port: Invalid value: must be"),
        "{error}"
    );

    let secret = core::Secret::new().name("x").string_data([("bad key", "hunter2")]);
    let error = cluster.create("x", secret).await.expect_err("a key has no blanks");
    assert!(!error.to_string().contains("hunter2"), "{error}");

    let big = core::ConfigMap::new().name("big").data([("x", "x".repeat(1_600_000))]);
    let error = cluster.create("big", big).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn a_server_that_breaks_off_leaves_the_outcome_open() {
    use stackkit_k8s::batch::v1 as batch;
    let cluster = Cluster::new("breaks").await;
    // Validation of this version dereferences nothing for a success policy without completions.
    let pod = core::PodSpec::new([core::Container::new("a").image("a:1")]).restart_policy("Never");
    let rule = batch::SuccessPolicyRule::new().succeeded_indexes("0");
    let job = batch::JobSpec::new(core::PodTemplateSpec::new().spec(pod))
        .completion_mode("Indexed")
        .parallelism(1)
        .success_policy(batch::SuccessPolicy::new([rule]));
    let error = cluster.create("x", batch::Job::new(job).name("x")).await.expect_err("it breaks off");
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    assert!(
        error.to_string().starts_with("create Job breaks/x: no answer from the API server at https://127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn an_immutable_field_says_how_it_can_change() {
    let cluster = Cluster::new("immutable").await;
    let made = cluster.create("x", config_map("red").immutable(true)).await.unwrap();
    let error = cluster.update("x", &made, config_map("blue").immutable(true)).await.expect_err("it is immutable");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("run with `--replace`"), "{error}");
}

#[tokio::test]
async fn a_namespace_takes_what_is_in_it_along() {
    let cluster = Cluster::new("outer").await;
    let namespace = cluster.create("inner", core::Namespace::new().name("inner")).await.unwrap();
    let inside = cluster.create("settings", config_map("red").namespace("inner")).await.unwrap();
    cluster.delete("inner", &namespace).await.expect("it goes");
    assert!(cluster.read(&inside).await.is_none());
    cluster.delete("settings", &inside).await.expect("it went with its namespace");
}

#[tokio::test]
async fn an_object_that_was_there_before_is_adopted() {
    let cluster = Cluster::new("adopted").await;
    cluster.kubectl(&["create", "configmap", "settings", "--from-literal=colour=red"]);
    let found = core::ConfigMap::read(&cluster.k8s, &cx::<core::ConfigMap>("settings"), "adopted/settings", None).await;
    let found = found.unwrap().expect("it is there");
    let index = core::ConfigMap::SCHEMA.index("data").unwrap();
    assert_eq!(found.to_values()[index], config_map("red").into_values()[index]);
    let made = stackkit::Created::new("adopted/settings", found);
    cluster.update("settings", &made, config_map("red")).await.expect("equal values are shared, not fought over");
    let live = cluster.json("configmap", "settings");
    assert_eq!(live["metadata"]["labels"]["stackkit.dev/lineage"], "test");
}

#[tokio::test]
async fn what_admission_changed_is_no_drift() {
    let cluster = Cluster::new("admission").await;
    // The server spells a quantity as it likes to, and forces this label of a namespace to its name.
    let draft = core::Namespace::new().name("admitted").labels([("kubernetes.io/metadata.name", "other")]);
    let made = cluster.create("admitted", draft).await.expect("it is new");
    assert_eq!(cluster.read(&made).await.unwrap().to_values(), made.state.to_values());
    let hard = core::ResourceQuotaSpec::new().hard([("requests.cpu", "1000m"), ("requests.memory", "1024Mi")]);
    let quota = cluster.create("quota", core::ResourceQuota::new(hard).name("quota")).await.unwrap();
    assert_eq!(cluster.read(&quota).await.unwrap().to_values(), quota.state.to_values());
}

#[tokio::test]
async fn a_custom_resource_lives_and_dies_with_its_kind() {
    use stackkit::prelude::{list, map};
    use stackkit_k8s::Manifest;
    let cluster = Cluster::new("custom").await;
    let kind = |scope: &str| {
        format!(
            "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: widgets.acme.example}}, \
             spec: {{group: acme.example, scope: {scope}, names: {{plural: widgets, singular: widget, kind: Widget}}, versions: [\
             {{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, \
             x-kubernetes-preserve-unknown-fields: true}}}}}}]}}}}"
        )
    };
    let widget = |colour: &str| {
        let body =
            map! { "spec" => map! { "colour" => colour, "sizes" => list![1, 2], "deep" => map! { "yes" => true } } };
        Manifest::new("acme.example/v1", "Widget", body).name("w")
    };
    let error = cluster.create("w", widget("red")).await.expect_err("there is no such kind yet");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    cluster.server.apply(&kind("Namespaced")).unwrap();
    cluster.server.kubectl(&["wait", "--for=condition=Established", "crd/widgets.acme.example"]).unwrap();
    let mut made = cluster.create("w", widget("red")).await;
    // The new kind is served a moment after it is established.
    while made.as_ref().is_err_and(|error| error.kind() == ErrorKind::Transient) {
        made = cluster.create("w", widget("red")).await;
    }
    let made = made.expect("it is new");
    assert_eq!(made.id, "Widget.acme.example/custom/w");
    assert_eq!(
        cluster.json("widget", "w")["spec"],
        serde_json::json!({"colour": "red", "sizes": [1, 2], "deep": {"yes": true}})
    );
    assert_eq!(cluster.read(&made).await.unwrap().to_values(), made.state.to_values());
    cluster.kubectl(&["patch", "widget", "w", "--type=merge", "-p", r#"{"spec":{"theirs":1,"deep":{"yes":false}}}"#]);
    let drifted = cluster.read(&made).await.unwrap();
    assert_eq!(drifted.get::<bool>("*.spec.deep.yes"), Some(false));
    assert_eq!(drifted.get::<i32>("*.spec.theirs"), None);
    let found = Manifest::read(&cluster.k8s, &cx::<Manifest>("w"), &made.id, None).await.unwrap().expect("it is there");
    assert_eq!(found.get::<String>("apiVersion").as_deref(), Some("acme.example/v1"));
    cluster.kubectl(&["patch", "widget", "w", "--type=merge", "-p", r#"{"spec":{"deep":{"yes":true}}}"#]);
    let changed = cluster.update("w", &made, widget("blue")).await.expect("in place");
    assert_eq!(changed.get::<String>("*.spec.colour").as_deref(), Some("blue"));
    cluster.delete("w", &made).await.expect("it goes");
    let made = cluster.create("w2", widget("red").name("w2")).await.expect("it is new");
    cluster.server.kubectl(&["delete", "crd", "widgets.acme.example"]).unwrap();
    assert!(cluster.read(&made).await.is_none(), "it went with its kind");
    cluster.delete("w2", &made).await.expect("it went with its kind");
}

#[tokio::test]
async fn the_cluster_is_known_by_its_own_uid() {
    let cluster = Cluster::new("identity").await;
    let uid = cluster.json("namespace", "kube-system")["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(cluster.k8s.identity().await.unwrap(), Some(uid));
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_at_is_named() {
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n";
    let settings = Settings { kubeconfig_content: Some(Secret::new(kubeconfig.into())), ..Settings::default() };
    let k8s = Kubernetes::connect(settings).await.unwrap();
    let error = k8s.identity().await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().starts_with("the API server at http://127.0.0.1:1 cannot be reached: "), "{error}");
}

#[tokio::test]
async fn settings_that_lead_nowhere_say_so_and_no_more() {
    let settings = Settings { kubeconfig_content: Some(Secret::new("hunter2: [".into())), ..Settings::default() };
    let Err(error) = Kubernetes::connect(settings).await else { panic!("it is no kubeconfig") };
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let settings = Settings { kubeconfig: Some("/nowhere/config".into()), ..Settings::default() };
    let Err(error) = Kubernetes::connect(settings).await else { panic!("there is no such file") };
    assert!(error.to_string().contains("/nowhere/config"), "{error}");
}

#[test]
fn a_reference_leaves_the_rest_of_an_object_known() {
    let draft = core::Pod::new(core::PodSpec::new([core::Container::new("a")
        .image("a:1")
        .env([core::EnvVar::new("X").value(stackkit::output::Output::<String>::of_field(0, 0))])]));
    let values = draft.into_values();
    let index = core::Pod::SCHEMA.index("spec").unwrap();
    let Value::Map(spec) = &values[index] else { panic!("an object") };
    let text = format!("{spec:?}");
    assert!(text.contains("a:1") && text.contains("[reference]"), "{text}");
}
