//! A small shop on Kubernetes: a namespace with its settings, a generated password, two pods and their service.
//!
//! ```sh
//! cargo run -p example-kubernetes -- preview
//! cargo run -p example-kubernetes -- up
//! cargo run -p example-kubernetes -- config set replicas 3
//! cargo run -p example-kubernetes -- up
//! cargo run -p example-kubernetes -- destroy
//! ```
//!
//! It connects as `kubectl` does: `KUBECONFIG`, else `~/.kube/config`. Without a cluster at hand,
//! `cargo run -p test-servers -- kubernetes` starts one that runs nothing but looks as if it did.

use stackkit::prelude::*;
use stackkit_k8s::Kubernetes;
use stackkit_k8s::{apps::v1 as apps, core::v1 as core, meta::v1 as meta};

/// What differs between stacks: the `[config]` table of `stackkit.<stack>.toml`.
#[derive(Debug, Clone, Properties)]
pub struct Config {
    /// How many pods serve the shop.
    #[property(default = 2)]
    pub replicas: i32,
    /// What they run.
    #[property(default = "registry.k8s.io/e2e-test-images/agnhost:2.53")]
    pub image: String,
}

/// The port that the shop listens on.
const PORT: i32 = 8080;

#[stackkit::main(providers(Kubernetes))]
async fn shop(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let labels = [("app", "shop")];

    let namespace = stack.add("shop", core::Namespace::new());

    let settings = stack.add(
        "settings",
        core::ConfigMap::new().namespace(&namespace.name).data([("CURRENCY", "EUR"), ("LANGUAGE", "en")]),
    );

    let password = stack.add("database-password", local::RandomPassword::new(24));
    let login = stack.add(
        "login",
        core::Secret::new().namespace(&namespace.name).string_data([("DATABASE_PASSWORD", &password.value)]),
    );

    let container = core::Container::new("shop")
        .image(&config.image)
        .args(["netexec", "--http-port=8080"])
        .ports([core::ContainerPort::new(PORT).name("http")])
        .env_from([
            core::EnvFromSource::new().config_map_ref(core::ConfigMapEnvSource::new().name(&settings.name)),
            core::EnvFromSource::new().secret_ref(core::SecretEnvSource::new().name(&login.name)),
        ])
        .resources(core::ResourceRequirements::new().requests([("cpu", "100m"), ("memory", "64Mi")]))
        .readiness_probe(core::Probe::new().http_get(core::HTTPGetAction::new("http").path("/healthz")));

    let pods = core::PodTemplateSpec::new()
        .metadata(meta::ObjectMeta::new().labels(labels))
        .spec(core::PodSpec::new([container]));
    let selector = meta::LabelSelector::new().match_labels(labels);
    let deployment = stack.add(
        "web",
        apps::Deployment::new(apps::DeploymentSpec::new(selector, pods).replicas(config.replicas))
            .namespace(&namespace.name),
    );

    let service = stack.add(
        "front",
        core::Service::new(
            core::ServiceSpec::new().selector(labels).ports([core::ServicePort::new(80).target_port("http")]),
        )
        .namespace(&namespace.name),
    );

    stack.output("namespace", &namespace.name);
    stack.output("deployment", &deployment.name);
    stack.output("url", text!("http://{}.{}.svc", service.name, service.namespace));
    Ok(())
}

#[cfg(test)]
mod tests {
    use stackkit::testing::Test;

    use super::*;

    #[stackkit::test]
    async fn the_pods_run_what_the_configuration_says() {
        let run = Test::of(shop).config("replicas", "5").config("image", "shop:1").up().await.expect_ok();
        let web = run.get::<apps::Deployment>("web");
        assert_eq!(web.get::<i32>("spec.replicas"), Some(5));
        assert_eq!(web.get::<String>("spec.template.spec.containers.0.image").as_deref(), Some("shop:1"));
        assert_eq!(web.namespace(), Some(run.get::<core::Namespace>("shop").name()));
    }

    #[stackkit::test]
    async fn a_crash_at_any_step_is_made_good() {
        Test::of(shop).up().await.expect_ok().simulate_crashes().await.assert_converges();
    }
}
