//! When an object is ready, when it is gone, and when waiting for either makes no more sense.

use std::time::Duration;

use serde_json::Value as Wire;
use stackkit::Context;
use tokio::time::Instant;

use crate::body::{at, count_at, items_at, text_at};
use crate::error::Error;
use crate::object::Target;
use crate::pods;
use crate::{ANNOTATION_WAIT, Kubernetes};

/// What one look at a live object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is ready.
    Ready,
    /// It is on its way; this is what is missing.
    Waiting(String),
    /// Something is wrong that may still pass, within this time.
    Trouble(String, Duration),
    /// It will not get ready by itself.
    Failed(String),
}

/// How often an object is looked at: soon at first, then once a second.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_secs(1);
/// How long a controller may fail to make pods, for a quota or a missing account may come right.
const CONTROLLER_PATIENCE: Duration = Duration::from_secs(10);

/// Ends waiting a little before the engine gives the call up, so that it is said what was missing.
fn deadline(cx: &Context) -> Instant {
    Instant::now() + cx.timeout().saturating_sub(Duration::from_secs(2).min(cx.timeout() / 10))
}

/// Waits until an object that was just applied is ready, and returns it as it is then.
///
/// # Errors
/// When it fails, is deleted, or is not ready in time.
pub(crate) async fn until_ready(
    k8s: &Kubernetes,
    cx: &Context,
    target: Target<'_>,
    applied: Wire,
) -> Result<Wire, Error> {
    let told = at(&applied, "metadata.annotations").and_then(|all| all.get(ANNOTATION_WAIT)).and_then(Wire::as_str);
    if !k8s.wait || told == Some("false") || (built_in(target) && !waits(target.kind.kind)) {
        return Ok(applied);
    }
    let uid = text_at(&applied, "metadata.uid").unwrap_or_default().to_owned();
    let not_ready = |reason: String| Error::NotReady { object: target.to_string(), reason };
    let end = deadline(cx);
    let mut pause = FIRST_LOOK;
    let mut said = String::new();
    let mut trouble: Option<(String, Instant)> = None;
    loop {
        // The answer to an apply still has the old status, so it is never judged.
        let Some(live) = k8s.api.get(&format!("read {target}"), target.path()).await? else {
            return gone_while_waiting(cx, target, applied);
        };
        if text_at(&live, "metadata.uid") != Some(&uid) {
            return gone_while_waiting(cx, target, applied);
        }
        if at(&live, "metadata.deletionTimestamp").is_some() {
            return Err(not_ready("it is being deleted by somebody else".into()));
        }
        let mut verdict = if built_in(target) { verdict(target.kind.kind, &live) } else { custom(&live) };
        if target.kind.kind == "PersistentVolumeClaim" && matches!(verdict, Verdict::Waiting(_)) {
            verdict = pods::claim(k8s, target, &live, verdict).await?;
        }
        // Pods cost two more requests, so they are looked at once the first, quick looks are over.
        if built_in(target) && matches!(verdict, Verdict::Waiting(_)) && pause >= Duration::from_millis(500) {
            verdict = pods::of(k8s, target, &live, verdict).await?;
        }
        let missing = match verdict {
            Verdict::Ready => return Ok(live),
            Verdict::Failed(reason) => return Err(not_ready(reason)),
            Verdict::Trouble(reason, patience) => {
                // The same trouble counts on under changing words: pods of one set fail in turns.
                let since = trouble.as_ref().map_or_else(Instant::now, |(_, since)| *since);
                if since.elapsed() >= patience.min(k8s.patience) {
                    return Err(not_ready(reason));
                }
                trouble = Some((reason.clone(), since));
                reason
            }
            Verdict::Waiting(missing) => {
                trouble = None;
                missing
            }
        };
        if missing != said {
            cx.progress(missing.clone());
            said = missing;
        }
        if Instant::now() + pause >= end {
            let warning = pods::last_warning(k8s, target, &uid).await;
            let warning = warning.map(|text| format!("; the last warning about it: {text}")).unwrap_or_default();
            return Err(not_ready(format!("{said} after {} s{warning}", cx.timeout().as_secs())));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LAST_LOOK);
    }
}

/// A Job that removes itself when it is done may be gone before it was seen to be done.
fn gone_while_waiting(cx: &Context, target: Target<'_>, applied: Wire) -> Result<Wire, Error> {
    if target.kind.kind == "Job" && at(&applied, "spec.ttlSecondsAfterFinished").is_some() {
        cx.progress("it removed itself after it had finished");
        return Ok(applied);
    }
    Err(Error::NotReady { object: target.to_string(), reason: "somebody else deleted it meanwhile".into() })
}

/// Waits until an object is gone, or another has its name.
///
/// # Errors
/// When it is still there in the end; what it waits for is said.
pub(crate) async fn until_gone(k8s: &Kubernetes, cx: &Context, target: Target<'_>, uid: &str) -> Result<(), Error> {
    let end = deadline(cx);
    let mut pause = FIRST_LOOK;
    let mut said = String::new();
    loop {
        let live = k8s.api.get(&format!("read {target}"), target.path()).await?;
        let Some(live) = live.filter(|live| text_at(live, "metadata.uid") == Some(uid)) else { return Ok(()) };
        let reason = holds(&live);
        if Instant::now() + pause >= end {
            return Err(Error::Stuck { object: target.to_string(), reason });
        }
        if reason != said && pause >= LAST_LOOK {
            cx.progress(format!("waiting for its deletion: {reason}"));
            said = reason;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LAST_LOOK);
    }
}

/// What keeps an object from going away.
fn holds(live: &Wire) -> String {
    let conditions: Vec<_> = items_at(live, "status.conditions")
        .iter()
        .filter(|condition| {
            text_at(condition, "status") == Some("True")
                && text_at(condition, "type").is_some_and(|kind| kind.starts_with("Namespace"))
        })
        .filter_map(|condition| text_at(condition, "message"))
        .collect();
    if !conditions.is_empty() {
        return conditions.join("; ");
    }
    let finalizers: Vec<_> = items_at(live, "metadata.finalizers")
        .iter()
        .chain(items_at(live, "spec.finalizers"))
        .filter_map(Wire::as_str)
        .collect();
    match finalizers.as_slice() {
        [] => "its containers end".into(),
        ["foregroundDeletion"] => "what it owns goes first".into(),
        ["kubernetes"] => "what is in it goes first".into(),
        names => format!("the finalizers {} are not done: their controllers have to take them off", names.join(", ")),
    }
}

/// Whether a kind is one of the cluster's own; there are others of the same names.
fn built_in(target: Target<'_>) -> bool {
    let group = target.kind.group;
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// What custom resources have in common: a condition `Ready`, if they have any, and `Stalled` when they gave up.
fn custom(live: &Wire) -> Verdict {
    let generation = count_at(live, "metadata.generation");
    let old = |seen: Option<&Wire>| seen.and_then(Wire::as_i64).is_some_and(|seen| seen < generation);
    if old(at(live, "status.observedGeneration")) {
        return Verdict::Waiting("waiting for its controller".into());
    }
    if let Some(("True", reason, message)) = condition(live, "Stalled") {
        return Verdict::Failed(format!("{reason}: {message}"));
    }
    let ready = items_at(live, "status.conditions").iter().find(|c| text_at(c, "type") == Some("Ready"));
    match ready {
        None => Verdict::Ready,
        Some(ready) if old(ready.get("observedGeneration")) => Verdict::Waiting("waiting for its controller".into()),
        Some(ready) if text_at(ready, "status") == Some("True") => Verdict::Ready,
        Some(ready) => {
            let message = text_at(ready, "message").filter(|text| !text.is_empty()).or(text_at(ready, "reason"));
            Verdict::Waiting(format!("waiting until it is ready: {}", message.unwrap_or("no reason given")))
        }
    }
}

/// Whether there is anything to wait for.
fn waits(kind: &str) -> bool {
    matches!(
        kind,
        "Deployment"
            | "StatefulSet"
            | "DaemonSet"
            | "ReplicaSet"
            | "ReplicationController"
            | "Pod"
            | "Job"
            | "Service"
            | "PersistentVolumeClaim"
            | "PersistentVolume"
            | "Namespace"
            | "CustomResourceDefinition"
            | "APIService"
    )
}

/// What one look says, by the rules of the kind.
pub(crate) fn verdict(kind: &str, live: &Wire) -> Verdict {
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" => {
            if count_at(live, "status.observedGeneration") < count_at(live, "metadata.generation") {
                return Verdict::Waiting("waiting for its controller".into());
            }
            match kind {
                "Deployment" => deployment(live),
                "StatefulSet" => stateful_set(live),
                "DaemonSet" => daemon_set(live),
                _ => replica_set(live),
            }
        }
        "Pod" => pods::pod(live),
        "Job" => job(live),
        "Service" => service(live),
        "PersistentVolumeClaim" => match text_at(live, "status.phase") {
            Some("Bound") => Verdict::Ready,
            Some("Lost") => Verdict::Failed("its volume is lost".into()),
            _ => Verdict::Waiting("waiting for a volume".into()),
        },
        "PersistentVolume" => match text_at(live, "status.phase") {
            Some("Available" | "Bound") => Verdict::Ready,
            Some("Failed") => {
                Verdict::Failed(text_at(live, "status.message").unwrap_or("its reclamation failed").into())
            }
            Some("Released") => {
                Verdict::Failed("its claim is gone; it can be bound again once `claimRef` is cleared".into())
            }
            _ => Verdict::Waiting("waiting until it is available".into()),
        },
        "Namespace" => match text_at(live, "status.phase") {
            Some("Active") => Verdict::Ready,
            _ => Verdict::Waiting("waiting until it is active".into()),
        },
        "CustomResourceDefinition" => match (condition(live, "NamesAccepted"), condition(live, "Established")) {
            (Some(("False", reason, message)), _) if reason != "Installing" => Verdict::Failed(message.into()),
            (_, Some(("True", ..))) => Verdict::Ready,
            _ => Verdict::Waiting("waiting until it is established".into()),
        },
        "APIService" => match condition(live, "Available") {
            Some(("True", ..)) => Verdict::Ready,
            Some((_, _, message)) => Verdict::Waiting(format!("waiting until it is available: {message}")),
            None => Verdict::Waiting("waiting until it is available".into()),
        },
        _ => Verdict::Ready,
    }
}

/// Status, reason and message of a condition.
pub(crate) fn condition<'a>(live: &'a Wire, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let found = items_at(live, "status.conditions").iter().find(|c| text_at(c, "type") == Some(kind))?;
    let text = |name| text_at(found, name).unwrap_or_default();
    Some((text("status"), text("reason"), text("message")))
}

fn cannot_make_pods(live: &Wire) -> Option<Verdict> {
    match condition(live, "ReplicaFailure") {
        Some(("True", _, message)) => {
            Some(Verdict::Trouble(format!("its pods cannot be made: {message}"), CONTROLLER_PATIENCE))
        }
        _ => None,
    }
}

fn deployment(live: &Wire) -> Verdict {
    if at(live, "spec.paused").and_then(Wire::as_bool) == Some(true) {
        return Verdict::Ready;
    }
    let progress = condition(live, "Progressing");
    if let Some(("False", "ProgressDeadlineExceeded", message)) = progress {
        return Verdict::Failed(message.into());
    }
    if let Some(trouble) = cannot_make_pods(live) {
        return trouble;
    }
    let wanted = count_at(live, "spec.replicas");
    let [all, updated, available] =
        ["replicas", "updatedReplicas", "availableReplicas"].map(|name| count_at(live, &format!("status.{name}")));
    if all == wanted && updated == wanted && available == wanted {
        if wanted == 0 || matches!(progress, Some((_, "NewReplicaSetAvailable", _)) | None) {
            return Verdict::Ready;
        }
        return Verdict::Waiting("waiting for its controller".into());
    }
    Verdict::Waiting(if updated < wanted || available < wanted {
        format!("{} of {wanted} new pods are available", available.min(updated))
    } else {
        format!("{} old pods are still there", all - updated)
    })
}

fn stateful_set(live: &Wire) -> Verdict {
    let wanted = count_at(live, "spec.replicas");
    let count = |name: &str| count_at(live, &format!("status.{name}"));
    let ready = count("readyReplicas");
    let waiting = || Verdict::Waiting(format!("{ready} of {wanted} pods are ready"));
    if ready != wanted || count("replicas") != wanted {
        return waiting();
    }
    if text_at(live, "spec.updateStrategy.type") == Some("OnDelete") {
        return Verdict::Ready;
    }
    let partition = count_at(live, "spec.updateStrategy.rollingUpdate.partition");
    let updated = count("updatedReplicas");
    if partition > 0 {
        let needed = (wanted - partition).max(0);
        return if updated >= needed {
            Verdict::Ready
        } else {
            Verdict::Waiting(format!("{updated} of {needed} pods are updated"))
        };
    }
    if text_at(live, "status.currentRevision") != text_at(live, "status.updateRevision") {
        return Verdict::Waiting(format!("{updated} of {wanted} pods are updated"));
    }
    if count("availableReplicas") == wanted { Verdict::Ready } else { waiting() }
}

fn daemon_set(live: &Wire) -> Verdict {
    let count = |name: &str| count_at(live, &format!("status.{name}"));
    let desired = count("desiredNumberScheduled");
    let available = count("numberAvailable");
    let updated = count("updatedNumberScheduled");
    let on_delete = text_at(live, "spec.updateStrategy.type") == Some("OnDelete");
    if available == desired && (on_delete || updated == desired) {
        return Verdict::Ready;
    }
    Verdict::Waiting(format!(
        "{} of {desired} pods are available",
        if on_delete { available } else { available.min(updated) }
    ))
}

fn replica_set(live: &Wire) -> Verdict {
    if let Some(trouble) = cannot_make_pods(live) {
        return trouble;
    }
    let wanted = count_at(live, "spec.replicas");
    let available = count_at(live, "status.availableReplicas");
    if available == wanted && count_at(live, "status.replicas") == wanted {
        return Verdict::Ready;
    }
    Verdict::Waiting(format!("{available} of {wanted} pods are available"))
}

fn job(live: &Wire) -> Verdict {
    for kind in ["Failed", "FailureTarget"] {
        if let Some(("True", reason, message)) = condition(live, kind) {
            return Verdict::Failed(format!("{reason}: {message}"));
        }
    }
    if let Some(("True", ..)) = condition(live, "Complete") {
        return Verdict::Ready;
    }
    if at(live, "spec.suspend").and_then(Wire::as_bool) == Some(true) {
        return Verdict::Ready;
    }
    let failed = count_at(live, "status.failed");
    let failed = if failed == 0 { String::new() } else { format!(", {failed} pods have failed so far") };
    Verdict::Waiting(format!("waiting until it completes{failed}"))
}

/// Only its addresses: whether something answers behind a Service is the business of what runs there, which may well be
/// declared after it.
fn service(live: &Wire) -> Verdict {
    match text_at(live, "spec.type") {
        Some("LoadBalancer") if items_at(live, "status.loadBalancer.ingress").is_empty() => {
            Verdict::Waiting("waiting for the address of its load balancer".into())
        }
        Some("ExternalName") => Verdict::Ready,
        _ if text_at(live, "spec.clusterIP").is_some_and(|ip| !ip.is_empty()) => Verdict::Ready,
        _ => Verdict::Waiting("waiting for its address".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment_with(status: Wire) -> Verdict {
        verdict("Deployment", &json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}))
    }

    #[test]
    fn a_deployment_is_ready_when_the_new_pods_alone_are_there() {
        let progressing = |status: &str, reason: &str| {
            json!([{"type": "Progressing", "status": status, "reason": reason, "message": "m"},
            {"type": "Available", "status": "True"}])
        };
        let full = |generation: i64, all: i64, updated: i64, available: i64, conditions: Wire| {
            json!({"observedGeneration": generation, "replicas": all, "updatedReplicas": updated,
                "availableReplicas": available, "conditions": conditions})
        };
        let done = || progressing("True", "NewReplicaSetAvailable");
        assert_eq!(deployment_with(full(2, 2, 2, 2, done())), Verdict::Ready);
        assert!(matches!(deployment_with(full(1, 2, 2, 2, done())), Verdict::Waiting(_)), "an old status");
        assert!(matches!(deployment_with(full(2, 3, 2, 2, done())), Verdict::Waiting(_)), "an old pod");
        assert!(matches!(deployment_with(full(2, 2, 1, 2, done())), Verdict::Waiting(_)), "not updated");
        let failed = full(2, 2, 1, 2, progressing("False", "ProgressDeadlineExceeded"));
        assert_eq!(deployment_with(failed), Verdict::Failed("m".into()));
        let quota = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]);
        assert!(matches!(deployment_with(full(2, 0, 0, 0, quota)), Verdict::Trouble(..)));
    }

    #[test]
    fn what_keeps_an_object_is_said() {
        for (live, reason) in [
            (
                json!({"metadata": {"finalizers": ["acme.example/lock"]}}),
                "the finalizers acme.example/lock are not done: their controllers have to take them off",
            ),
            (json!({"metadata": {"finalizers": ["foregroundDeletion"]}}), "what it owns goes first"),
            (
                json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"conditions": [
                {"type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: widgets.acme.example has 1"},
                {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "fine"}]}}),
                "Some resources are remaining: widgets.acme.example has 1",
            ),
        ] {
            assert_eq!(holds(&live), reason);
        }
    }

    #[test]
    fn a_custom_resource_is_ready_when_it_says_so_of_this_generation() {
        let with = |status: Wire| custom(&json!({"metadata": {"generation": 2}, "status": status}));
        assert_eq!(with(json!({})), Verdict::Ready, "a kind without conditions");
        assert_eq!(with(json!({"conditions": [{"type": "Ready", "status": "True"}]})), Verdict::Ready);
        assert!(matches!(
            with(json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]})),
            Verdict::Waiting(_)
        ));
        assert!(matches!(
            with(json!({"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]})),
            Verdict::Waiting(_)
        ));
        assert!(matches!(
            with(json!({"conditions": [{"type": "Ready", "status": "False", "message": "m"}]})),
            Verdict::Waiting(_)
        ));
        assert!(matches!(with(json!({"conditions": [{"type": "Stalled", "status": "True"}]})), Verdict::Failed(_)));
    }

    #[test]
    fn a_job_that_gives_up_has_failed() {
        let job = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True", "reason": "R", "message": "m"}]}});
        assert_eq!(verdict("Job", &job("Complete")), Verdict::Ready);
        assert_eq!(verdict("Job", &job("FailureTarget")), Verdict::Failed("R: m".into()));
        assert!(matches!(verdict("Job", &json!({"status": {"failed": 1}})), Verdict::Waiting(_)));
    }

    #[test]
    fn a_load_balancer_waits_for_its_own_address() {
        let service = |ingress: Wire| json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}, "status": {"loadBalancer": {"ingress": ingress}}});
        assert!(matches!(verdict("Service", &service(json!([]))), Verdict::Waiting(_)));
        assert_eq!(verdict("Service", &service(json!([{"ip": "203.0.113.1"}]))), Verdict::Ready);
    }

    #[test]
    fn a_stateful_set_waits_for_one_revision() {
        let set = |current: &str| {
            json!({"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": {"observedGeneration": 1,
            "replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "currentRevision": current, "updateRevision": "b"}})
        };
        assert!(matches!(verdict("StatefulSet", &set("a")), Verdict::Waiting(_)));
        assert_eq!(verdict("StatefulSet", &set("b")), Verdict::Ready);
    }
}
