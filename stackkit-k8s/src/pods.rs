//! Why a pod does not run, and why what makes pods, claims and the like does not get ready: read from the pods, the
//! events and the storage class behind it.

use std::time::Duration;

use serde_json::Value as Wire;

use crate::Kubernetes;
use crate::body::{at, count_at, items_at, text_at};
use crate::client::escape;
use crate::error::Error;
use crate::kind::Kind;
use crate::object::{Target, list};
use crate::wait::{Verdict, condition};

/// A restart or two may be a race with something that starts at the same time.
const CRASHES: i64 = 3;

const fn kind(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
) -> Kind {
    Kind { group, version, kind, plural, namespaced, labels: 2, inputs: &[], uid: 4, outputs: &[], dynamic: false }
}
static POD: Kind = kind("", "v1", "Pod", "pods", true);
static EVENT: Kind = kind("", "v1", "Event", "events", true);
static REPLICA_SET: Kind = kind("apps", "v1", "ReplicaSet", "replicasets", true);
static STORAGE_CLASS: Kind = kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", false);

/// What one look at a pod says. How long a trouble may last is up to the caller; zero means that it never passes.
pub(crate) fn pod(live: &Wire) -> Verdict {
    let finite = text_at(live, "spec.restartPolicy").is_some_and(|policy| policy != "Always");
    match text_at(live, "status.phase") {
        Some("Succeeded") if finite => return Verdict::Ready,
        Some("Failed") => {
            let reason = text_at(live, "status.reason").unwrap_or("Failed");
            let message =
                text_at(live, "status.message").map(str::to_owned).or_else(|| last_exit(live)).unwrap_or_default();
            return Verdict::Failed(format!("{reason} {message}").trim().to_owned());
        }
        _ => {}
    }
    if let Some(("True", ..)) = condition(live, "Ready") {
        return Verdict::Ready;
    }
    if let Some(trouble) = trouble(live) {
        return trouble;
    }
    Verdict::Waiting(match text_at(live, "status.phase") {
        Some("Running") => "its containers run, but are not ready".into(),
        _ => "waiting until its containers run".into(),
    })
}

/// What keeps the containers of a pod from running.
fn trouble(live: &Wire) -> Option<Verdict> {
    let statuses =
        items_at(live, "status.initContainerStatuses").iter().chain(items_at(live, "status.containerStatuses"));
    for status in statuses {
        let name = text_at(status, "name").unwrap_or("?");
        let Some(reason) = text_at(status, "state.waiting.reason") else { continue };
        let message = text_at(status, "state.waiting.message").unwrap_or_default();
        let why = format!("container `{name}`: {reason} {message}").trim_end().to_owned();
        match reason {
            "ErrImageNeverPull"
            | "InvalidImageName"
            | "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError" => return Some(Verdict::Failed(why)),
            "ErrImagePull" | "ImagePullBackOff" => return Some(Verdict::Trouble(why, Duration::MAX)),
            "CrashLoopBackOff" if count_at(status, "restartCount") >= CRASHES => {
                let exit = exit(status).map(|exit| format!("; {exit}")).unwrap_or_default();
                return Some(Verdict::Failed(format!("{why}{exit}")));
            }
            _ => {}
        }
    }
    match condition(live, "PodScheduled") {
        Some(("False", "Unschedulable", message)) => {
            Some(Verdict::Trouble(format!("no node to run on: {message}"), Duration::MAX))
        }
        Some(("False", "SchedulingGated", _)) => Some(Verdict::Waiting("its scheduling gates are not lifted".into())),
        _ => None,
    }
}

fn last_exit(live: &Wire) -> Option<String> {
    items_at(live, "status.containerStatuses").iter().find_map(exit)
}

fn exit(status: &Wire) -> Option<String> {
    let ended = at(status, "lastState.terminated").or_else(|| at(status, "state.terminated"))?;
    let reason = text_at(ended, "reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
    Some(format!("it ended with code {}{reason}", count_at(ended, "exitCode")))
}

/// Looks at the pods that a workload makes, and says what is wrong with them instead of that something is missing.
pub(crate) async fn of(k8s: &Kubernetes, target: Target<'_>, live: &Wire, missing: Verdict) -> Result<Verdict, Error> {
    if !matches!(
        target.kind.kind,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job"
    ) {
        return Ok(missing);
    }
    let Some(uid) = text_at(live, "metadata.uid") else { return Ok(missing) };
    let Some(selector) = selector(live) else { return Ok(missing) };
    let query = format!("labelSelector={}", escape(&selector));
    let mut owner = uid.to_owned();
    if target.kind.kind == "Deployment" {
        let revision = revision(live);
        let Ok(sets) = list(k8s, &REPLICA_SET, target.namespace, &query).await else { return Ok(missing) };
        let newest =
            sets.iter().find(|set| owned_by(set, uid) && revision.is_some() && self::revision(set) == revision);
        match newest.and_then(|set| text_at(set, "metadata.uid")) {
            Some(newest) => owner = newest.to_owned(),
            None => return Ok(missing),
        }
    }
    // A role that may not list pods still gets the plain waiting.
    let Ok(pods) = list(k8s, &POD, target.namespace, &query).await else { return Ok(missing) };
    let update = text_at(live, "status.updateRevision");
    let mut worst = None;
    let mut failed = 0;
    for live in pods.iter().filter(|pod| owned_by(pod, &owner)) {
        let labels = at(live, "metadata.labels");
        let of_revision = labels.and_then(|labels| labels.get("controller-revision-hash")).and_then(Wire::as_str);
        if target.kind.kind == "StatefulSet" && update.is_some() && of_revision != update {
            continue;
        }
        let name = text_at(live, "metadata.name").unwrap_or("?");
        match pod(live) {
            // A Job counts its own failures, and a set replaces what failed, for ever.
            Verdict::Failed(_) if target.kind.kind == "Job" && text_at(live, "status.phase") == Some("Failed") => {}
            Verdict::Failed(why) if text_at(live, "status.phase") == Some("Failed") => {
                failed += 1;
                if failed > 3 {
                    return Ok(Verdict::Failed(format!("its pods fail one after the other; pod {name}: {why}")));
                }
            }
            Verdict::Failed(why) => return Ok(Verdict::Failed(format!("pod {name}: {why}"))),
            Verdict::Trouble(why, _) => worst = Some(Verdict::Trouble(format!("pod {name}: {why}"), k8s.patience)),
            _ => {}
        }
    }
    if let Some(worst) = worst {
        return Ok(worst);
    }
    if pods.is_empty()
        && matches!(target.kind.kind, "StatefulSet" | "DaemonSet" | "Job")
        && let Some(why) = last_warning(k8s, target, uid).await
    {
        return Ok(Verdict::Trouble(format!("its pods cannot be made: {why}"), Duration::from_secs(10)));
    }
    Ok(missing)
}

fn revision(live: &Wire) -> Option<&str> {
    at(live, "metadata.annotations")?.get("deployment.kubernetes.io/revision")?.as_str()
}

fn owned_by(live: &Wire, uid: &str) -> bool {
    items_at(live, "metadata.ownerReferences").iter().any(|owner| text_at(owner, "uid") == Some(uid))
}

/// The labels of a workload's selector, as a query has them.
fn selector(live: &Wire) -> Option<String> {
    let labels = at(live, "spec.selector.matchLabels").or_else(|| at(live, "spec.selector"))?.as_object()?;
    let pairs: Vec<_> = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

/// The last warning that the cluster recorded about an object.
pub(crate) async fn last_warning(k8s: &Kubernetes, target: Target<'_>, uid: &str) -> Option<String> {
    let query = format!("fieldSelector={}", escape(&format!("involvedObject.uid={uid},type=Warning")));
    let events = list(k8s, &EVENT, target.namespace.or(Some("default")), &query).await.ok()?;
    let last = events.iter().max_by_key(|event| text_at(event, "lastTimestamp").unwrap_or_default().to_owned())?;
    Some(format!("{}: {}", text_at(last, "reason")?, text_at(last, "message")?))
}

/// A claim whose class binds late is ready while nobody uses it.
pub(crate) async fn claim(
    k8s: &Kubernetes,
    target: Target<'_>,
    live: &Wire,
    missing: Verdict,
) -> Result<Verdict, Error> {
    let late = |class: &Wire| text_at(class, "volumeBindingMode") == Some("WaitForFirstConsumer");
    let class = match text_at(live, "spec.storageClassName") {
        Some("") => return Ok(missing),
        Some(name) => {
            let path = STORAGE_CLASS.path(None, name);
            k8s.api.get(&format!("read StorageClass {name} of {target}"), path).await.ok().flatten()
        }
        None => list(k8s, &STORAGE_CLASS, None, "").await.ok().and_then(|classes| {
            classes.into_iter().find(|class| {
                at(class, "metadata.annotations")
                    .and_then(|all| all.get("storageclass.kubernetes.io/is-default-class"))
                    .and_then(Wire::as_str)
                    == Some("true")
            })
        }),
    };
    Ok(if class.as_ref().is_some_and(late) { Verdict::Ready } else { missing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn waiting(reason: &str, restarts: i64) -> Verdict {
        pod(&json!({"status": {"phase": "Pending", "containerStatuses": [{"name": "web", "restartCount": restarts,
            "state": {"waiting": {"reason": reason, "message": "m"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}}))
    }

    #[test]
    fn what_never_passes_ends_waiting_at_once() {
        assert_eq!(
            waiting("CreateContainerConfigError", 0),
            Verdict::Failed("container `web`: CreateContainerConfigError m".into())
        );
        assert!(matches!(waiting("ImagePullBackOff", 0), Verdict::Trouble(..)));
        assert!(matches!(waiting("CrashLoopBackOff", 1), Verdict::Waiting(_)));
        let Verdict::Failed(why) = waiting("CrashLoopBackOff", 3) else { panic!("it crashed often enough") };
        assert!(why.contains("code 137 (OOMKilled)"), "{why}");
        assert!(matches!(waiting("ContainerCreating", 0), Verdict::Waiting(_)));
    }

    #[test]
    fn a_failed_pod_is_not_a_ready_one() {
        assert_eq!(
            pod(&json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "no disk"}})),
            Verdict::Failed("Evicted no disk".into())
        );
        assert_eq!(pod(&json!({"spec": {"restartPolicy": "Never"}, "status": {"phase": "Succeeded"}})), Verdict::Ready);
    }
}
