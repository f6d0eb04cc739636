//! Objects are waited for until they are ready, and no longer than it makes sense.

use stackkit::ErrorKind;
use stackkit::error::ProviderError;
use stackkit_k8s::apps::v1 as apps;
use stackkit_k8s::batch::v1 as batch;
use stackkit_k8s::core::v1 as core;
use stackkit_k8s::meta::v1 as meta;

use crate::Cluster;

fn template(fate: Option<&str>, image: &str) -> core::PodTemplateSpec {
    let mut metadata = meta::ObjectMeta::new().labels([("app", "web")]);
    if let Some(fate) = fate {
        metadata = metadata.annotations([("kwok.test/pod", fate)]);
    }
    core::PodTemplateSpec::new().metadata(metadata).spec(core::PodSpec::new([core::Container::new("web").image(image)]))
}

fn deployment(replicas: i32, template: core::PodTemplateSpec) -> apps::Deployment {
    let selector = meta::LabelSelector::new().match_labels([("app", "web")]);
    apps::Deployment::new(apps::DeploymentSpec::new(selector, template).replicas(replicas)).name("web")
}

#[tokio::test]
async fn a_deployment_is_there_when_its_pods_are() {
    let cluster = Cluster::new("rollout").await;
    let made = cluster.create("web", deployment(2, template(None, "web:1"))).await.expect("it gets ready");
    assert_eq!(cluster.json("deployment", "web")["status"]["availableReplicas"], 2);
    assert_eq!(cluster.read(&made).await.unwrap().get::<i32>("spec.replicas"), Some(2));
    let state = cluster.update("web", &made, deployment(3, template(None, "web:2"))).await.expect("it rolls out");
    let live = cluster.json("deployment", "web");
    assert_eq!((&live["status"]["updatedReplicas"], &live["status"]["replicas"]), (&3.into(), &3.into()));
    assert_eq!(state.get::<i32>("spec.replicas"), Some(3));
    cluster.delete("web", &made).await.expect("it goes");
    assert_eq!(cluster.kubectl(&["get", "pods,replicasets", "-o", "name"]), "", "what it owned went first");
}

#[tokio::test]
async fn pods_that_fail_say_why() {
    let cluster = Cluster::new("failing").await;
    for (fate, why) in [
        ("config-error", "container `web`: CreateContainerConfigError"),
        ("image-pull", "container `web`: ImagePullBackOff"),
        ("crash-loop", "container `web`: CrashLoopBackOff"),
        ("oom", "it ended with code 137 (OOMKilled)"),
    ] {
        let name = format!("web-{fate}");
        let draft = deployment(1, template(Some(fate), "web:1")).name(name.as_str());
        let error = cluster.create(&name, draft).await.expect_err("its pods fail");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.starts_with(&format!("Deployment failing/{name} is not ready: pod {name}-")), "{text}");
        assert!(text.contains(why), "{text}");
        cluster.kubectl(&["delete", "deployment", &name]);
    }
}

#[tokio::test]
async fn a_quota_a_missing_account_and_a_full_cluster_end_waiting() {
    let cluster = Cluster::new("quota").await;
    let hard = core::ResourceQuotaSpec::new().hard([("pods", "0")]);
    cluster.create("none", core::ResourceQuota::new(hard).name("none")).await.unwrap();
    let error = cluster.create("web", deployment(1, template(None, "web:1"))).await.expect_err("no pod may be made");
    assert!(error.to_string().contains("exceeded quota"), "{error}");
    cluster.kubectl(&["delete", "quota", "none"]);

    let spec = core::PodSpec::new([core::Container::new("web").image("web:1")]).service_account_name("nobody");
    let template = template(None, "web:1").spec(spec);
    let error = cluster.create("b", deployment(1, template).name("b")).await.expect_err("there is no such account");
    assert!(error.to_string().contains("serviceaccount \"nobody\" not found"), "{error}");

    let huge = core::Container::new("web").image("web:1");
    let huge = huge.resources(core::ResourceRequirements::new().requests([("cpu", "9000")]));
    let error =
        cluster.create("c", core::Pod::new(core::PodSpec::new([huge])).name("c")).await.expect_err("no node fits");
    assert!(error.to_string().contains("no node to run on: 0/1 nodes are available"), "{error}");
}

#[tokio::test]
async fn a_job_is_done_or_has_failed() {
    let cluster = Cluster::new("jobs").await;
    let job = |name: &str, fate: Option<&str>| {
        let pod = core::PodSpec::new([core::Container::new("web").image("web:1")]).restart_policy("Never");
        batch::Job::new(batch::JobSpec::new(template(fate, "web:1").spec(pod)).backoff_limit(0)).name(name)
    };
    let made = cluster.create("good", job("good", None)).await.expect("it completes");
    cluster.delete("good", &made).await.expect("it goes");
    assert_eq!(cluster.kubectl(&["get", "pods", "-o", "name"]), "", "and its pods with it");
    let error = cluster.create("bad", job("bad", Some("job-fail"))).await.expect_err("it fails");
    assert!(error.to_string().contains("BackoffLimitExceeded"), "{error}");
}

#[tokio::test]
async fn stateful_and_daemon_sets_are_waited_for() {
    let cluster = Cluster::new("sets").await;
    let selector = || meta::LabelSelector::new().match_labels([("app", "web")]);
    let stateful = |replicas: i32, image: &str| {
        let spec = apps::StatefulSetSpec::new(selector(), template(None, image)).replicas(replicas).service_name("web");
        apps::StatefulSet::new(spec).name("stateful")
    };
    let made = cluster.create("stateful", stateful(2, "web:1")).await.expect("it gets ready");
    cluster.update("stateful", &made, stateful(2, "web:2")).await.expect("it rolls out");
    let live = cluster.json("statefulset", "stateful");
    assert_eq!(live["status"]["currentRevision"], live["status"]["updateRevision"]);
    let daemon = apps::DaemonSet::new(apps::DaemonSetSpec::new(selector(), template(None, "web:1"))).name("daemon");
    cluster.create("daemon", daemon).await.expect("it gets ready");
    assert_eq!(cluster.json("daemonset", "daemon")["status"]["numberAvailable"], 1);
}

#[tokio::test]
async fn a_load_balancer_has_its_address_and_a_late_claim_does_not_block() {
    let cluster = Cluster::new("addresses").await;
    let spec = core::ServiceSpec::new().type_("LoadBalancer").ports([core::ServicePort::new(80)]);
    let made = cluster.create("lb", core::Service::new(spec).name("lb")).await.expect("it gets an address");
    assert_eq!(made.state.output::<String>("load_balancer").as_deref(), Some("203.0.113.10"));

    cluster
        .server
        .apply(
            "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: late}, provisioner: example.com/none, \
             volumeBindingMode: WaitForFirstConsumer}",
        )
        .unwrap();
    let size = core::VolumeResourceRequirements::new().requests([("storage", "1Gi")]);
    let claim = core::PersistentVolumeClaimSpec::new()
        .access_modes(["ReadWriteOnce"])
        .storage_class_name("late")
        .resources(size);
    let made = cluster
        .create("claim", core::PersistentVolumeClaim::new(claim).name("claim"))
        .await
        .expect("it waits for a pod");
    assert_eq!(made.state.output::<String>("volume"), None);
    cluster.delete("claim", &made).await.expect("it goes");
}

#[tokio::test]
async fn what_is_not_to_be_waited_for_is_not() {
    let cluster = Cluster::new("hasty").await;
    let draft = deployment(1, template(Some("never-ready"), "web:1")).annotations([("stackkit.dev/wait", "false")]);
    cluster.create("web", draft).await.expect("it is made, and that is all");
}

#[tokio::test]
async fn what_never_gets_ready_says_what_is_missing() {
    let cluster = Cluster::new("never").await;
    let spec = apps::DeploymentSpec::new(
        meta::LabelSelector::new().match_labels([("app", "web")]),
        template(Some("never-ready"), "web:1"),
    );
    let draft = apps::Deployment::new(spec.replicas(1).progress_deadline_seconds(3)).name("slow");
    let error = cluster.create("slow", draft).await.expect_err("it has a deadline of its own");
    assert!(error.to_string().contains("has timed out progressing"), "{error}");
}
