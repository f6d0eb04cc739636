//! JSON lines: one object a line for every event, for programs. The schema is documented in `docs/json-events.md`.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};

use crate::diagnostic::{Diagnostic, DiagnosticKind};
use crate::event::{Event, Listener, Operation, Summary};
use crate::plan::{Action, FieldChange, Plan, PlanNode, PlannedOutput};
use crate::ui::value::{Secrets, to_json};
use crate::urn::Urn;
use crate::value::Value;

/// Writes every event as one line of JSON. Secrets never come out.
pub struct JsonLines<W> {
    out: Mutex<W>,
    clock: fn() -> u64,
    operation: Mutex<Operation>,
    holds_summary: bool,
}

impl<W> std::fmt::Debug for JsonLines<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonLines").finish_non_exhaustive()
    }
}

fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<W: Write + Send> JsonLines<W> {
    /// Onto a stream. What cannot be written, because nobody reads any more, is dropped.
    pub fn new(out: W) -> Self {
        Self { out: Mutex::new(out), clock: now, operation: Mutex::new(Operation::Preview), holds_summary: false }
    }

    /// Leaves the summary to [`JsonLines::summary`], for a caller that has more to write before it.
    #[must_use]
    pub fn hold_summary(mut self) -> Self {
        self.holds_summary = true;
        self
    }

    /// With another clock: milliseconds since 1970.
    #[must_use]
    pub fn clock(mut self, clock: fn() -> u64) -> Self {
        self.clock = clock;
        self
    }

    /// Writes one object, with the time in it.
    pub fn write(&self, object: Json) {
        let mut object = object;
        // What it is comes first: people read these lines too.
        let kind = object.get_mut("type").map(Json::take).unwrap_or_default();
        if let Json::Object(map) = &mut object {
            map.remove("type");
            map.insert("time_ms".into(), (self.clock)().into());
        }
        let rest = object.to_string();
        let line = format!("{{\"type\":{kind},{}\n", rest.trim_start_matches('{'));
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes a diagnostic.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        let kind = match diagnostic.kind {
            DiagnosticKind::Invalid => "invalid",
            DiagnosticKind::Refused => "refused",
        };
        let mut object = json!({ "type": "error", "kind": kind, "message": diagnostic.message });
        if let Json::Object(map) = &mut object {
            if let Some(urn) = &diagnostic.urn {
                name_resource(map, urn);
            }
            let texts = [
                ("field", &diagnostic.field),
                ("help", &diagnostic.help),
                ("at", &diagnostic.at),
                ("policy", &diagnostic.policy),
            ];
            for (name, text) in texts {
                if let Some(text) = text {
                    map.insert(name.into(), text.as_str().into());
                }
            }
        }
        self.write(object);
    }

    /// Writes an error that is no diagnostic.
    pub fn error(&self, kind: &str, message: &str, help: Option<&str>) {
        let mut object = json!({ "type": "error", "kind": kind, "message": message });
        if let (Json::Object(map), Some(help)) = (&mut object, help) {
            map.insert("help".into(), help.into());
        }
        self.write(object);
    }

    /// Writes an output of the stack.
    pub fn output(&self, name: &str, value: &Value) {
        self.write(json!({
            "type": "output",
            "name": name,
            "value": to_json(value, Secrets::Hidden),
            "secret": value.has_secret(),
        }));
    }

    /// Writes the last line.
    pub fn summary(&self, operation: Operation, summary: &Summary, exit_code: u8) {
        let mut object = operation_summary(operation, summary);
        if let Json::Object(map) = &mut object {
            map.insert("exit_code".into(), exit_code.into());
        }
        self.write(object);
    }
}

/// The fields of the last line.
pub fn operation_summary(operation: Operation, summary: &Summary) -> Json {
    json!({
        "type": "summary",
        "operation": operation.name(),
        "create": summary.create,
        "update": summary.update,
        "replace": summary.replace,
        "delete": summary.delete,
        "import": summary.import,
        "forget": summary.forget,
        "same": summary.same,
        "left_out": summary.left_out,
        "failed": summary.failed,
        "skipped": summary.skipped,
        "cancelled": summary.cancelled,
        "duration_ms": millis(summary.duration),
    })
}

fn name_resource(map: &mut Map<String, Json>, urn: &Urn) {
    map.insert("urn".into(), urn.as_str().into());
    map.insert("resource_type".into(), urn.type_name().into());
    map.insert("name".into(), urn.name().into());
    if let Some((component, _)) = urn.path().rsplit_once('/') {
        map.insert("component".into(), component.into());
    }
}

/// One object for every resource and output that a plan changes, and one that sums it up.
pub fn plan_events(plan: &Plan, operation: Operation) -> Vec<Json> {
    let mut out: Vec<Json> =
        plan.nodes.iter().filter(|node| node.action != Action::Same).map(planned_resource).collect();
    out.extend(plan.reads.iter().map(|read| {
        let mut object = json!({ "type": "read_planned" });
        if let Json::Object(map) = &mut object {
            name_resource(map, &read.urn);
        }
        object
    }));
    out.extend(plan.outputs.iter().filter(|output| output.changes()).map(planned_output));
    if let Some(selected) = &plan.selected {
        let urns = |urns: &[Urn]| Json::Array(urns.iter().map(|urn| urn.as_str().into()).collect());
        out.push(json!({
            "type": "selected",
            "asked": selected.asked,
            "needed": urns(&selected.needed),
            "dependents": urns(&selected.dependents),
            "kept": urns(&selected.kept),
            "left_out": selected.left_out,
        }));
    }
    let mut total = operation_summary(operation, &plan.summary());
    if let Json::Object(map) = &mut total {
        map.insert("type".into(), "planned".into());
        for unknown in ["failed", "skipped", "cancelled", "duration_ms"] {
            map.remove(unknown);
        }
    }
    out.push(total);
    out
}

fn planned_resource(node: &PlanNode) -> Json {
    let mut object = json!({
        "type": "resource_planned",
        "action": node.action.name(),
        "certain": node.certain,
        "reasons": node.reasons,
        "changes": node.changes.iter().map(change).collect::<Vec<_>>(),
    });
    if let Json::Object(map) = &mut object {
        name_resource(map, &node.urn);
        match &node.action {
            Action::Replace { delete_first } => {
                map.insert("delete_first".into(), (*delete_first).into());
            }
            Action::Import { id } => {
                map.insert("id".into(), id.as_str().into());
            }
            _ => {}
        }
    }
    object
}

fn change(change: &FieldChange) -> Json {
    // A value that was plain and becomes secret, or the other way round, is hidden on both sides.
    let secret = change.before.has_secret() || change.after.has_secret();
    json!({
        "field": change.field,
        "before": value_or_mark(&change.before, secret),
        "after": value_or_mark(&change.after, secret),
        "secret": secret,
        "after_known": change.after.is_known(),
        "certain": change.certain,
        "forces_replacement": change.forces_replacement,
        "drifted": change.drifted,
    })
}

fn value_or_mark(value: &Value, secret: bool) -> Json {
    let deep = matches!(value, Value::Map(_) | Value::List(_));
    if secret && !deep && !value.is_null() && value.is_known() {
        return to_json(&value.clone().into_secret(), Secrets::Hidden);
    }
    if secret && deep && !value.has_secret() {
        // Nobody can tell which part of it is the secret on the other side.
        return to_json(&value.clone().into_secret(), Secrets::Hidden);
    }
    to_json(value, Secrets::Hidden)
}

fn planned_output(output: &PlannedOutput) -> Json {
    let null = Value::Null;
    let (before, after) = (output.before.as_ref().unwrap_or(&null), output.after.as_ref().unwrap_or(&null));
    let secret = before.has_secret() || after.has_secret();
    json!({
        "type": "output_planned",
        "name": output.name,
        "before": value_or_mark(before, secret),
        "after": value_or_mark(after, secret),
        "secret": secret,
        "after_known": after.is_known(),
    })
}

impl<W: Write + Send> Listener for JsonLines<W> {
    fn event(&self, event: &Event) {
        let about = |urn: &Urn, mut object: Json| {
            if let Json::Object(map) = &mut object {
                name_resource(map, urn);
            }
            object
        };
        let object = match event {
            Event::Started { operation, stack } => {
                *self.operation.lock().unwrap_or_else(PoisonError::into_inner) = *operation;
                json!({ "type": "started", "operation": operation.name(), "stack": stack })
            }
            Event::Warning { urn: None, message } => json!({ "type": "warning", "message": message }),
            Event::Warning { urn: Some(urn), message } => about(urn, json!({ "type": "warning", "message": message })),
            Event::Advice { policy, urn, message } => {
                let object = json!({ "type": "warning", "policy": policy, "message": message });
                match urn {
                    Some(urn) => about(urn, object),
                    None => object,
                }
            }
            Event::CheckFailed { message, at } => json!({ "type": "check_failed", "message": message, "at": at }),
            Event::Recovered { urn, message } => about(urn, json!({ "type": "recovered", "message": message })),
            Event::Refreshing { count } => json!({ "type": "refreshing", "count": count }),
            Event::Reading { count } => json!({ "type": "reading", "count": count }),
            Event::Drifted { urn, fields, gone } => {
                about(urn, json!({ "type": "drifted", "fields": fields, "gone": gone }))
            }
            Event::Planned { plan } => {
                let operation = *self.operation.lock().unwrap_or_else(PoisonError::into_inner);
                plan_events(plan, operation).into_iter().for_each(|object| self.write(object));
                return;
            }
            Event::StepStarted { urn, verb } => about(urn, json!({ "type": "step_started", "verb": verb.name() })),
            Event::HookStarted { urn, point } => about(urn, json!({ "type": "hook_started", "hook": point.name() })),
            Event::HookDone { urn, point, elapsed } => {
                about(urn, json!({ "type": "hook_done", "hook": point.name(), "elapsed_ms": millis(*elapsed) }))
            }
            Event::HookFailed { urn, point, elapsed, error } => about(
                urn,
                json!({ "type": "hook_failed", "hook": point.name(), "elapsed_ms": millis(*elapsed), "error": error }),
            ),
            Event::Progress { urn, message } => about(urn, json!({ "type": "progress", "message": message })),
            Event::Retrying { urn, attempt, delay, error } => about(
                urn,
                json!({ "type": "retrying", "attempt": attempt, "delay_ms": millis(*delay), "error": error }),
            ),
            Event::StepDone { urn, verb, elapsed } => {
                about(urn, json!({ "type": "step_done", "verb": verb.name(), "elapsed_ms": millis(*elapsed) }))
            }
            Event::StepFailed { urn, verb, elapsed, error } => about(
                urn,
                json!({ "type": "step_failed", "verb": verb.name(), "elapsed_ms": millis(*elapsed), "error": error }),
            ),
            Event::StepSkipped { urn, verb, because } => {
                about(urn, json!({ "type": "step_skipped", "verb": verb.name(), "because": because }))
            }
            Event::Cancelling { running } => json!({ "type": "cancelling", "running": running }),
            Event::Finished { .. } if self.holds_summary => return,
            Event::Finished { summary } => {
                operation_summary(*self.operation.lock().unwrap_or_else(PoisonError::into_inner), summary)
            }
        };
        self.write(object);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Verb;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);
    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("the test's own lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(events: &[Event]) -> Vec<String> {
        let buffer = Buffer::default();
        let json = JsonLines::new(buffer.clone()).clock(|| 7);
        events.iter().for_each(|event| json.event(event));
        let bytes = buffer.0.lock().expect("the test's own lock").clone();
        String::from_utf8(bytes).expect("JSON is UTF-8").lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_event_is_one_object_with_type_and_time() {
        let urn = Urn::new("local:File", "motd");
        let found = lines(&[
            Event::Started { operation: Operation::Up, stack: "dev".into() },
            Event::StepStarted { urn: urn.clone(), verb: Verb::Create },
            Event::Retrying { urn: urn.clone(), attempt: 1, delay: Duration::from_secs(2), error: "a\nb".into() },
            Event::StepDone { urn, verb: Verb::Create, elapsed: Duration::from_millis(12) },
            Event::Finished {
                summary: Summary { create: 1, duration: Duration::from_millis(20), ..Summary::default() },
            },
        ]);
        assert_eq!(
            found,
            [
                r#"{"type":"started","operation":"up","stack":"dev","time_ms":7}"#,
                r#"{"type":"step_started","name":"motd","resource_type":"local:File","time_ms":7,"urn":"local:File::motd","verb":"create"}"#,
                r#"{"type":"retrying","attempt":1,"delay_ms":2000,"error":"a\nb","name":"motd","resource_type":"local:File","time_ms":7,"urn":"local:File::motd"}"#,
                r#"{"type":"step_done","elapsed_ms":12,"name":"motd","resource_type":"local:File","time_ms":7,"urn":"local:File::motd","verb":"create"}"#,
                r#"{"type":"summary","cancelled":false,"create":1,"delete":0,"duration_ms":20,"failed":0,"forget":0,"import":0,"left_out":0,"operation":"up","replace":0,"same":0,"skipped":0,"time_ms":7,"update":0}"#,
            ]
        );
    }

    #[test]
    fn planned_changes_carry_no_secret() {
        let secret = |text: &str| Value::text(text).into_secret();
        let mut field = FieldChange {
            field: "password",
            before: secret("canary-old"),
            after: secret("canary-new"),
            forces_replacement: false,
            drifted: false,
            certain: true,
        };
        assert_eq!(
            change(&field).to_string(),
            r#"{"after":"[secret]","after_known":true,"before":"[secret]","certain":true,"drifted":false,"field":"password","forces_replacement":false,"secret":true}"#
        );
        field.before = Value::text("canary-plain");
        assert_eq!(change(&field)["before"], "[secret]");
        field.before = Value::List(vec![Value::text("canary-plain")]);
        field.after = Value::List(vec![secret("canary-new")]);
        assert!(!change(&field).to_string().contains("canary"), "{}", change(&field));
        field.before = Value::Null;
        field.after = Value::Unknown { secret: true };
        assert_eq!((&change(&field)["before"], &change(&field)["after"]), (&Json::Null, &Json::Null));
    }
}
