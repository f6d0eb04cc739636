//! What stands above a step: policies and preconditions that could not be judged in the plan, and afterwards that what
//! came back is what was planned.

use std::collections::BTreeMap;

use crate::apply::{Executor, Running};
use crate::check::{self, Moment};
use crate::event::Event;
use crate::plan;
use crate::policy::{self, Judged, Scene};
use crate::resource::Values;
use crate::schema::Role;
use crate::state::model::ResourceRecord;
use crate::value::Value;

/// Values are shown up to this many characters.
const SHOWN: usize = 120;

impl Executor<'_> {
    fn scene(&self) -> Scene<'_> {
        Scene {
            declared: self.job.declared,
            values: &self.values,
            nodes: &self.job.plan.nodes,
            state: &*self.job.state,
            catalog: self.job.catalog,
        }
    }

    /// Why a call with these inputs is not made, if it is not: a policy that could not judge it before, or a
    /// precondition.
    pub(super) fn refusal(&mut self, node: usize, index: u32, args: &[Value]) -> Option<String> {
        let mut refusals = Vec::new();
        if self.job.plan.unjudged.contains_key(&node) {
            let judged = policy::judge_step(self.scene(), self.job.plan, node, self.as_planned(index, args));
            refusals.extend(self.advise(judged));
        }
        refusals.extend(check::judge_step(self.job.declared, index, Moment::Before, args));
        (!refusals.is_empty()).then(|| refusals.join("; "))
    }

    /// Why an instance of which the plan said that it may be replaced is not: a policy for deletions.
    pub(super) fn refused_deletion(&mut self, node: usize) -> Option<String> {
        if !self.job.plan.unjudged.contains_key(&node) {
            return None;
        }
        let judged = policy::judge_deletion(self.scene(), self.job.plan, node);
        let refusals = self.advise(judged);
        (!refusals.is_empty()).then(|| refusals.join("; "))
    }

    fn advise(&mut self, judged: Judged) -> Vec<String> {
        for advice in judged.advice {
            let message = self.job.scrubber.scrub(&advice.message);
            self.emit(Event::Advice { policy: advice.policy.unwrap_or_default(), urn: advice.urn, message });
        }
        let text = |found: crate::Diagnostic| {
            let place = found.at.map(|at| format!(" [{at}]")).unwrap_or_default();
            let help = found.help.map(|help| format!(" ({help})")).unwrap_or_default();
            let field = found.field.map(|field| format!("`{field}`: ")).unwrap_or_default();
            format!("{field}{}{help}{place}", found.message)
        };
        judged.refused.into_iter().map(text).collect()
    }

    /// The fields of a resource as planned, with the inputs as they are known by now.
    fn as_planned(&self, index: u32, args: &[Value]) -> Values {
        let planned = self.job.plan.known.get(index as usize);
        let schema = self.job.declared.resources.get(index as usize).map(|declared| declared.schema);
        let (Some(planned), Some(schema)) = (planned, schema) else { return Values::new() };
        let field = |(at, field): (usize, &crate::schema::Field)| {
            let known = args.get(at).filter(|_| field.role == Role::Input);
            let known = known.filter(|value| !(value.is_null() && field.computed));
            known.or_else(|| planned.get(at)).cloned().unwrap_or_default()
        };
        schema.fields.iter().enumerate().map(field).collect()
    }

    /// What is wrong with the outcome of a call that succeeded: something that was planned came back otherwise, or a
    /// postcondition does not hold. `prior` is the record before an update.
    ///
    /// What came back otherwise is recorded as seen. Where it can change in place, it counts as drift too, so that the
    /// next run tries again; a provider that then says the same again has its own way of writing it, and is believed.
    pub(super) fn problems(
        &mut self,
        running: &Running,
        record: &mut ResourceRecord,
        prior: Option<&ResourceRecord>,
        returned: &[Value],
    ) -> Option<String> {
        let index = self.job.plan.nodes.get(running.node)?.declared?;
        let mut problems = Vec::new();
        let planned = self.job.plan.known.get(index as usize);
        for (at, field) in running.call.schema.inputs() {
            // What is unset or computed is for the cloud to choose, or to write in its own way, and what it never returns
            // cannot be compared. What was not known in the plan may have become anything.
            let compared = !field.write_only && !field.computed;
            let given = running.args.get(at).filter(|value| !value.is_null() && compared);
            let known = planned.and_then(|planned| planned.get(at)).is_some_and(Value::is_known);
            let (Some(given), Some(now), true) = (given, returned.get(at), known) else { continue };
            let same = |a: &Value, b: &Value| (field.ty.canonical)(a.clone()) == (field.ty.canonical)(b.clone());
            if same(given, now) {
                continue;
            }
            let said = |given: &Value, now: &Value| {
                format!(
                    "the provider returned {} = {} where {} was planned",
                    field.name,
                    shown(now, given),
                    shown(given, now)
                )
            };
            let told_before = prior.is_some_and(|prior| {
                let of = |values: &BTreeMap<String, Value>, value| {
                    values.get(field.name).is_some_and(|was| same(was, value))
                };
                of(&prior.inputs, given) && of(&prior.seen, now)
            });
            if told_before {
                let message = format!("{} again: it counts as the same from now on", said(given, now));
                let message = self.job.scrubber.scrub(&message);
                self.emit(Event::Warning { urn: Some(record.urn.clone()), message });
                continue;
            }
            if !field.replace {
                record.drifted.insert(field.name.to_owned());
            }
            problems.push(said(given, now));
        }
        if !problems.is_empty() {
            problems.push("it is recorded as it is, and the next `up` goes on from there".into());
        }
        let mut values = plan::state_values(running.call.schema, record);
        plan::fill_in(running.call.schema, &mut values, &running.args);
        problems.extend(check::judge_step(self.job.declared, index, Moment::After, &values));
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// The end of a step whose call succeeded and is recorded.
    pub(super) fn ends(&mut self, running: Running, problems: Option<String>) {
        match problems {
            None => self.settled(running.step, running.node, Some(running.verb), Some(running.started)),
            Some(problems) => {
                let elapsed = running.started.elapsed();
                self.fail(running.step, running.call.urn.clone(), running.verb, elapsed, &problems);
            }
        }
    }

    /// Judges the conditions on values of the stack, at the end of a run.
    pub(super) fn check_outputs(&mut self) {
        if self.job.declared.output_checks.is_empty() {
            return;
        }
        let reached = |resource: u32| self.reached.get(resource as usize) == Some(&true);
        let found = check::judge_outputs(self.job.declared, reached, &self.lookup());
        for (message, at) in found {
            self.summary.failed += 1;
            let message = self.job.scrubber.scrub(&message);
            self.emit(Event::CheckFailed { message, at });
        }
    }
}

/// A value on one line; neither of the two is shown where either holds a secret.
fn shown(value: &Value, other: &Value) -> String {
    if value.has_secret() || other.has_secret() {
        return "[secret]".into();
    }
    let text = format!("{value:?}");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
