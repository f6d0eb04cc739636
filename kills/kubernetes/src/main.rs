//! A namespace with settings, secrets, deployments, services and jobs, to be killed on a genuine control plane. Each step
//! changes, replaces, adds and deletes some of it.

use acceptance::Draw;
use stackkit::prelude::*;
use stackkit_k8s::Kubernetes;
use stackkit_k8s::{apps::v1 as apps, batch::v1 as batch, core::v1 as core, meta::v1 as meta};

/// What is declared.
#[derive(Debug, Clone, Properties)]
struct Config {
    /// What chooses it.
    #[property(default = 1)]
    seed: u64,
    /// How many changes have been made to it.
    #[property(default = 0)]
    step: u32,
}

#[stackkit::main(providers(Kubernetes))]
async fn kills_kubernetes(stack: &mut Stack) -> Result<()> {
    let Config { seed, step } = stack.config()?;
    let draw = Draw::new(seed, step);
    // Another name replaces the namespace, and all that is in it.
    let namespace = core::Namespace::new().name(format!("kills-{seed:x}-{}", draw.version("namespace", 5)));
    let namespace = stack.add("everything", namespace).protected(false);

    for number in 0..6 {
        let name = format!("settings-{number}");
        if !draw.has(&name, 12) {
            continue;
        }
        let mut map = core::ConfigMap::new()
            .namespace(&namespace.name)
            .data([("colour", draw.version(&format!("{name}-colour"), 25).to_string())]);
        if number % 2 == 0 {
            map = map.name(format!("{name}-{}", draw.version(&name, 15)));
        }
        stack.add(name, map);
    }

    for number in 0..4 {
        let name = format!("secret-{number}");
        if !draw.has(&name, 12) {
            continue;
        }
        let length = 20 + draw.version(&name, 20) % 10;
        let password = stack.add(&name, local::RandomPassword::new(length).special(false));
        let secret = core::Secret::new().namespace(&namespace.name).string_data([("password", &password.value)]);
        stack.add(name, secret);
    }

    for number in 0..4 {
        let name = format!("web-{number}");
        if !draw.has(&name, 12) {
            continue;
        }
        // A selector cannot change in place.
        let app = format!("{name}-{}", draw.version(&name, 12));
        let labels = [("app", app.as_str())];
        let container =
            core::Container::new("web").image(format!("web:{}", draw.version(&format!("{name}-image"), 15)));
        let pods = core::PodTemplateSpec::new()
            .metadata(meta::ObjectMeta::new().labels(labels))
            .spec(core::PodSpec::new([container]));
        let selector = meta::LabelSelector::new().match_labels(labels);
        let replicas = 1 + i32::try_from(draw.version(&format!("{name}-replicas"), 20) % 2)?;
        let deployment = apps::Deployment::new(apps::DeploymentSpec::new(selector, pods).replicas(replicas));
        stack.add(&name, deployment.namespace(&namespace.name));
        let port = 8080 + i32::try_from(draw.version(&format!("{name}-port"), 20))?;
        let ports = core::ServiceSpec::new().selector(labels).ports([core::ServicePort::new(80).target_port(port)]);
        stack.add(name, core::Service::new(ports).namespace(&namespace.name));
    }

    for number in 0..3 {
        let name = format!("job-{number}");
        if !draw.has(&name, 12) {
            continue;
        }
        // What a job runs cannot change in place.
        let container = core::Container::new("job").image(format!("job:{}", draw.version(&name, 20)));
        let pod = core::PodSpec::new([container]).restart_policy("Never");
        let job = batch::JobSpec::new(core::PodTemplateSpec::new().spec(pod)).backoff_limit(0);
        stack.add(name, batch::Job::new(job).namespace(&namespace.name));
    }
    Ok(())
}
