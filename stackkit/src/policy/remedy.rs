//! Remediations: policies that change inputs before anything is planned, to a fixed point.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::judge::diagnostics;
use super::{Objection, Policy, Rule, run};
use crate::diagnostic::Diagnostic;
use crate::input::{Input, IntoInput};
use crate::output::Output;
use crate::plan::{Action, PlanNode};
use crate::property::Property;
use crate::resource::Resource;
use crate::schema::{Role, Schema};
use crate::scrub::Scrubber;
use crate::stack::{Declarations, Declared};
use crate::urn::Urn;
use crate::value::{Expr, Lookup, Value};

/// How often all remediations run before they count as never coming to an end.
const ROUNDS: usize = 8;

/// A declared resource of any type, whose inputs a remediation may change.
pub struct AnyRemedy<'a> {
    declared: &'a Declarations,
    this: &'a Declared,
    own: u32,
    set: RefCell<Vec<(usize, Value)>>,
    wrong: RefCell<Vec<String>>,
}

impl fmt::Debug for AnyRemedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyRemedy({})", self.this.urn)
    }
}

impl AnyRemedy<'_> {
    /// Its URN.
    pub fn urn(&self) -> &Urn {
        &self.this.urn
    }

    /// Its type, described.
    pub fn schema(&self) -> &'static Schema {
        self.this.schema
    }

    /// Whether its type has an input of that name.
    pub fn has(&self, input: &str) -> bool {
        self.schema().inputs().any(|(_, field)| field.name == input)
    }

    /// An input by name, as far as the program gives it; null where it is unset or its type has none.
    ///
    /// # Errors
    /// When it is not known before planning. Passed on with `?`, it leaves the resource as it is.
    pub fn get(&self, input: &str) -> Result<Value, Objection> {
        let Some(index) = self.schema().index(input) else { return Ok(Value::Null) };
        let value = self.attr(self.own, u16::try_from(index).unwrap_or(u16::MAX));
        if value.is_known() { Ok(value) } else { Err(Objection::pending()) }
    }

    /// Sets an input by name.
    pub fn set(&self, input: &str, value: Value) {
        match self.schema().index(input) {
            Some(index) => self.put(index, value),
            None => self.wrong.borrow_mut().push(format!("sets `{input}`, which its type does not have")),
        }
    }

    fn put(&self, index: usize, value: Value) {
        let mut set = self.set.borrow_mut();
        set.retain(|(other, _)| *other != index);
        set.push((index, value));
    }

    fn given(&self, index: usize) -> Value {
        let set = self.set.borrow();
        let found = set.iter().find(|(other, _)| *other == index).map(|(_, value)| value.clone());
        found.or_else(|| self.this.values.get(index).cloned()).unwrap_or_default()
    }
}

/// What the program gives is known, with the defaults of types; references are followed one step.
impl Lookup for AnyRemedy<'_> {
    fn attr(&self, resource: u32, field: u16) -> Value {
        let index = usize::from(field);
        let found = if resource == self.own { Some(self.this) } else { self.declared.resources.get(resource as usize) };
        let Some((declared, schema)) = found.and_then(|found| Some((found, found.schema.fields.get(index)?))) else {
            return Value::Unknown { secret: false };
        };
        let unknown = Value::Unknown { secret: schema.ty.secret };
        let given = match resource == self.own {
            true => self.given(index),
            false => declared.values.get(index).cloned().unwrap_or_default(),
        };
        match given {
            _ if schema.role == Role::Output => unknown,
            Value::Null => match schema.default {
                Some(default) => default(),
                None if schema.computed || schema.name_mark => unknown,
                None => Value::Null,
            },
            given if given.is_known() => given,
            given if resource == self.own => {
                // References of one's own inputs lead to what others are given.
                given.resolve(&Others(self)).unwrap_or(unknown)
            }
            _ => unknown,
        }
    }
}

struct Others<'a>(&'a AnyRemedy<'a>);

impl Lookup for Others<'_> {
    fn attr(&self, resource: u32, field: u16) -> Value {
        if resource == self.0.own { Value::Unknown { secret: false } } else { self.0.attr(resource, field) }
    }
}

/// A declared resource whose inputs a remediation may change. It dereferences to its fields:
///
/// ```
/// use stackkit::local;
/// use stackkit::policy::{Policies, Remedy};
///
/// let policies = Policies::new().remedy("short-certificates", |certificate: &Remedy<local::SelfSignedCert>| {
///     if certificate.get(&certificate.valid_days)? > 397 {
///         certificate.set(&certificate.valid_days, 397);
///     }
///     Ok(())
/// });
/// ```
pub struct Remedy<'a, R: Resource> {
    any: &'a AnyRemedy<'a>,
    fields: R::Outputs,
}

impl<R: Resource> fmt::Debug for Remedy<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remedy({})", self.any.this.urn)
    }
}

impl<R: Resource> Deref for Remedy<'_, R> {
    type Target = R::Outputs;
    fn deref(&self) -> &R::Outputs {
        &self.fields
    }
}

impl<'a, R: Resource> Remedy<'a, R> {
    pub(super) fn new(any: &'a AnyRemedy<'a>) -> Self {
        Self { any, fields: R::outputs(any.own) }
    }

    /// The value of an input, as far as the program gives it.
    ///
    /// # Errors
    /// When it is not known before planning. Passed on with `?`, it leaves the resource as it is.
    pub fn get<T: Property>(&self, input: &Output<T>) -> Result<T, Objection> {
        let value = input.tree().resolve(self.any).map_err(|error| Objection::new(error.to_string()))?;
        if !value.is_known() {
            return Err(Objection::pending());
        }
        T::from_value(&value).map_err(|error| {
            if value.is_null() { Objection::pending() } else { Objection::new(format!("it cannot be read: {error}")) }
        })
    }

    /// Sets an input. What fits here is what fits in the program: a secret does not fit a plain input.
    pub fn set<T: Property>(&self, input: &Output<T>, value: impl IntoInput<T>) {
        match input.tree() {
            Value::Expr(Expr::Attr { resource, field }) if *resource == self.any.own => {
                self.any.put(usize::from(*field), Input::<T>::new(value).0);
            }
            _ => self.any.wrong.borrow_mut().push("sets what is no field of the resource itself".into()),
        }
    }

    /// The resource by field names.
    pub fn resource(&self) -> &'a AnyRemedy<'a> {
        self.any
    }
}

/// Runs all remediations until nothing changes any more.
pub(crate) fn remedy(declared: &mut Declarations) {
    let remedies: Vec<Policy> =
        declared.policies.iter().filter(|policy| matches!(policy.rule, Rule::Remedy { .. })).cloned().collect();
    if remedies.is_empty() {
        return;
    }
    let scrubber = Scrubber::default();
    for resource in &declared.resources {
        scrubber.learn_all(&resource.values);
    }
    let mut last = None;
    for _ in 0..ROUNDS {
        last = None;
        for policy in &remedies {
            for index in 0..declared.resources.len() {
                match one(declared, policy, index, &scrubber) {
                    Ok(None) => {}
                    Ok(changed) => last = changed,
                    Err(problems) => declared.diagnostics.extend(problems),
                }
            }
        }
        if last.is_none() || !declared.diagnostics.is_empty() {
            return;
        }
    }
    if let Some(problem) = last {
        declared.diagnostics.push(problem);
    }
}

/// Runs one remediation on one resource. What comes back says which policy still changed what, for the case that this
/// never ends.
fn one(
    declared: &mut Declarations,
    policy: &Policy,
    index: usize,
    scrubber: &Scrubber,
) -> Result<Option<Diagnostic>, Vec<Diagnostic>> {
    let Rule::Remedy { of, change } = &policy.rule else { return Ok(None) };
    let Some(this) = declared.resources.get(index) else { return Ok(None) };
    if of.is_some_and(|of| of != this.schema.type_name) {
        return Ok(None);
    }
    let (schema, urn, at) = (this.schema, this.urn.clone(), this.at);
    let own = u32::try_from(index).unwrap_or(u32::MAX);
    let any = AnyRemedy { declared, this, own, set: RefCell::default(), wrong: RefCell::default() };
    let verdict = run(policy, || change(&any)).map_err(|panicked| vec![panicked.on(&urn)])?;
    let (set, wrong) = (any.set.into_inner(), any.wrong.into_inner());
    let problem = |message: String| {
        Diagnostic::invalid(format!("the policy `{}` {message}", policy.name))
            .on(&urn)
            .at(policy.at)
            .policy(&policy.name)
    };
    if !wrong.is_empty() {
        return Err(wrong.into_iter().map(problem).collect());
    }
    match verdict {
        Ok(()) => {}
        Err(objection) if objection.is_pending() => return Ok(None),
        Err(objection) => return Err(diagnostics(policy, objection).map(|found| found.on(&urn).at(at)).collect()),
    }
    let mut changed = None;
    for (index, value) in set {
        let Some(field) = schema.fields.get(index) else { continue };
        if field.role == Role::Output {
            return Err(vec![problem(format!("sets `{}`, which only the provider gives", field.name))]);
        }
        let value = if field.ty.secret { (field.ty.hide)(value) } else { value };
        if value.is_known()
            && !value.is_null()
            && let Err(error) = (field.ty.check)(&value)
        {
            return Err(vec![problem(format!("sets `{}` to what does not fit: {error}", field.name))]);
        }
        let mut plain = false;
        plain_texts(&value, &mut |text| plain |= scrubber.scrub(text) != text);
        if plain {
            return Err(vec![problem(format!("would make a secret plain in `{}`", field.name))]);
        }
        let Some(slot) = declared.resources.get_mut(index_of(own)).and_then(|this| this.values.get_mut(index)) else {
            continue;
        };
        if same(slot, &value) {
            continue;
        }
        *slot = value;
        let reasons = declared.remedied.entry(own).or_default();
        let reason = (field.name, policy.name.clone());
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
        let endless = format!("still changes `{}` after {ROUNDS} rounds of all remediations", field.name);
        changed = Some(problem(endless).help("a remediation must leave alone what is right already"));
    }
    Ok(changed)
}

fn index_of(own: u32) -> usize {
    own as usize
}

/// Tells in the plan's reasons which policy changed what.
pub(crate) fn explain(declared: &Declarations, node: &mut PlanNode) {
    let reasons = node.declared.and_then(|index| declared.remedied.get(&index)).into_iter().flatten();
    if matches!(node.action, Action::Same | Action::Record) {
        return;
    }
    for (field, policy) in reasons {
        if node.changes.iter().any(|change| change.field == *field) {
            node.reasons.push(format!("the policy `{policy}` sets `{field}`"));
        }
    }
}

/// Texts outside of secrets.
fn plain_texts(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::Text(text) => visit(text),
        Value::List(items) => items.iter().for_each(|item| plain_texts(item, visit)),
        Value::Map(map) => map.values().for_each(|item| plain_texts(item, visit)),
        _ => {}
    }
}

/// Equal as the program writes it: the same data, and the same references.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Expr(a), Value::Expr(b)) => match (a, b) {
            (Expr::Attr { resource: a, field: c }, Expr::Attr { resource: b, field: d }) => a == b && c == d,
            (Expr::Computed(a), Expr::Computed(b)) => Arc::ptr_eq(a, b),
            _ => false,
        },
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((ka, a), (kb, b))| ka == kb && same(a, b))
        }
        (Value::Secret(a), Value::Secret(b)) => same(a.reveal(), b.reveal()),
        (a, b) => a == b,
    }
}
