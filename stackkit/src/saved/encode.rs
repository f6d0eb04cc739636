//! What a program declares and what a plan says, as values that can be sealed and compared: no reference and no unknown
//! is left in them, but marks in their place.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Action, Plan, PlanNode};
use crate::schema::{Field, Role};
use crate::stack::{Declarations, Declared};
use crate::value::{Expr, Value};

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A mark: no value of a user looks like it, because keys that begin with `$` get another one in front.
fn mark(name: &str, value: Value) -> Value {
    map([(name, value)])
}

/// A value with marks in place of references and unknowns. `name` tells what a reference leads to.
fn value(given: &Value, name: &dyn Fn(u32, u16) -> String) -> Value {
    match given {
        Value::Expr(Expr::Attr { resource, field }) => mark("$reference", Value::Text(name(*resource, *field))),
        Value::Expr(Expr::Computed(computed)) => {
            // What the closure does cannot be compared; what it does it with can.
            let mut of = BTreeSet::new();
            given.references(&mut |resource| {
                of.insert(name(resource, u16::MAX));
            });
            let of = of.into_iter().map(Value::Text).collect();
            mark(if computed.secret { "$computed secret" } else { "$computed" }, Value::List(of))
        }
        Value::Unknown { secret } => mark("$unknown", Value::Bool(*secret)),
        Value::List(items) => Value::List(items.iter().map(|item| value(item, name)).collect()),
        Value::Map(items) => {
            let key = |key: &String| if key.starts_with('$') { format!("${key}") } else { key.clone() };
            Value::Map(items.iter().map(|(k, item)| (key(k), value(item, name))).collect())
        }
        // Nothing keeps it, and the next run has another one.
        Value::Secret(secret) if secret.is_ephemeral() => given.digested(),
        Value::Secret(secret) => value(secret.reveal(), name).into_secret(),
        other => other.clone(),
    }
}

/// What the values are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To be kept: of what the state does not keep there is no more than a digest here.
    Kept,
    /// To be compared with what was kept.
    Compared,
}

impl Use {
    fn of(self, field: Option<&Field>, value: Value) -> Value {
        match self {
            Use::Kept if field.is_some_and(Field::is_unkept) => value.digested(),
            _ => value,
        }
    }
}

/// What a program declares: resources, providers and outputs by name.
pub(super) fn declared(all: &Declarations, purpose: Use) -> Value {
    let name = |resource: u32, field: u16| match all.resources.get(resource as usize) {
        Some(declared) => match declared.schema.fields.get(usize::from(field)) {
            Some(field) => format!("{} {}", declared.urn, field.name),
            None => declared.urn.to_string(),
        },
        None => "?".to_owned(),
    };
    let resources =
        all.resources.iter().map(|declared| (declared.urn.to_string(), resource(all, declared, purpose, &name)));
    let providers = all.providers.iter().map(|declared| (declared.name.clone(), value(&declared.settings, &name)));
    let outputs = all.outputs.iter().map(|output| (output.name.clone(), value(&output.value, &name)));
    map([
        ("resources", Value::Map(resources.collect())),
        ("providers", Value::Map(providers.collect())),
        ("outputs", Value::Map(outputs.collect())),
    ])
}

fn resource(all: &Declarations, declared: &Declared, purpose: Use, name: &dyn Fn(u32, u16) -> String) -> Value {
    let inputs = declared.schema.fields.iter().zip(&declared.values);
    let inputs: BTreeMap<String, Value> = inputs
        .filter(|(field, given)| field.role == Role::Input && !given.is_null())
        .map(|(field, given)| (field.name.to_owned(), purpose.of(Some(field), value(given, name))))
        .collect();
    let mut options = declared.options().clone();
    // Indices move when something else is declared before; names do not.
    let urn = |index: u32| all.resources.get(index as usize).map(|other| other.urn.to_string()).unwrap_or_default();
    options.depends_on_named.extend(std::mem::take(&mut options.depends_on).into_iter().map(urn));
    let with = options.deleted_with.take().map(urn).unwrap_or_default();
    let trigger = options.replace_trigger.take().map(|trigger| value(&trigger, name)).unwrap_or_default();
    map([
        ("inputs", Value::Map(inputs)),
        ("options", Value::Text(format!("{options:?}"))),
        ("deleted_with", Value::Text(with)),
        ("replace_trigger", trigger),
    ])
}

/// What a plan does: everything that does not stay as it is, and the outputs that change.
pub(super) fn plan(all: &Declarations, plan: &Plan, purpose: Use) -> Value {
    let nodes = plan.nodes.iter().filter(|node| node.action != Action::Same);
    let nodes = nodes.map(|node| (key(node), self::node(all, node, purpose)));
    let unknown = |_: u32, _: u16| String::new();
    let shown = |found: &Option<Value>| found.as_ref().map_or(Value::Null, |found| value(found, &unknown));
    let outputs =
        plan.outputs.iter().filter(|output| output.changes()).map(|output| {
            (output.name.clone(), map([("before", shown(&output.before)), ("after", shown(&output.after))]))
        });
    map([("resources", Value::Map(nodes.collect())), ("outputs", Value::Map(outputs.collect()))])
}

/// A resource and the instance that is there: a replaced one may have an old instance that is still to go.
fn key(node: &PlanNode) -> String {
    match node.prior {
        Some(prior) => format!("{} ({prior})", node.urn),
        None => node.urn.to_string(),
    }
}

fn node(all: &Declarations, node: &PlanNode, purpose: Use) -> Value {
    let schema = node.declared.and_then(|index| all.resources.get(index as usize)).map(|declared| declared.schema);
    let unknown = |_: u32, _: u16| String::new();
    let action = match &node.action {
        Action::Import { id } => format!("import of {id}"),
        Action::Replace { delete_first: true } => "replace, the old one deleted first".into(),
        other => other.name().to_owned(),
    };
    let changes = node.changes.iter().map(|change| {
        let field = schema.and_then(|schema| schema.fields.get(schema.index(change.field)?));
        let said = map([
            ("before", purpose.of(field, value(&change.before, &unknown))),
            ("after", purpose.of(field, value(&change.after, &unknown))),
            ("forces_replacement", Value::Bool(change.forces_replacement)),
            ("certain", Value::Bool(change.certain)),
        ]);
        (change.field.to_owned(), said)
    });
    map([
        ("action", Value::Text(action)),
        ("certain", Value::Bool(node.certain)),
        ("changes", Value::Map(changes.collect())),
    ])
}
