//! A recorded resource as a user would declare it: the Rust that `import` prints.

mod layout;

use std::collections::BTreeMap;

use crate::declaration::layout::Expr;
use crate::plan;
use crate::property::PropertyField;
use crate::schema::{Field, Schema};
use crate::state::model::{Instance, ResourceRecord, State, Status};
use crate::value::Value;

/// Where a secret is to be filled in.
const SECRET: &str = "/* secret */ config.";

/// A declaration, and what there is to be said about it.
pub(crate) struct Declaration {
    /// A `let` statement, indented as in a function.
    pub(crate) text: String,
    /// The instances whose outputs it refers to.
    pub(crate) refers_to: Vec<Instance>,
    /// What the cloud chose and the declaration leaves to it, as methods.
    pub(crate) left_out: Vec<String>,
}

/// Whether a declaration of an adopted thing says this input: what is unset, empty, or as it is by default is left out,
/// and so is what the cloud may choose.
pub(crate) fn is_said(field: &Field, value: &Value) -> bool {
    let canonical = |value: &Value| (field.ty.canonical)(value.clone());
    let empty = match value {
        Value::Null => true,
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    };
    field.required
        || !empty
            && !field.computed
            && !field.write_only
            && field.default.is_none_or(|default| canonical(&default()) != canonical(value))
}

/// Writes the declaration of a record. References to other resources of the stack stand where a value is the id or
/// another telling output of one of them.
pub(crate) fn declaration(
    schema: &'static Schema,
    record: &ResourceRecord,
    state: &State,
    known: &Known<'_>,
) -> Declaration {
    let values = plan::state_values(schema, record);
    let mut writer = Writer { state, known, module: module(schema), refers_to: Vec::new() };
    let (mut required, mut optional, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (index, field) in schema.inputs() {
        let value = values.get(index).unwrap_or(&Value::Null);
        let name = ident(field.name);
        if is_said(field, value) {
            let expr = writer.field(field, value);
            if field.required { required.push(expr) } else { optional.push(Expr::call(name, vec![expr])) }
        } else if field.computed && !value.is_null() {
            let expr = Expr::call(name, vec![writer.field(field, value)]);
            left_out.push(format!(".{}", expr.lay_out(0, 1, 0)));
        }
    }
    let draft = Expr::call(format!("{}{}::new", writer.module, short(schema)), required).chain(optional);
    let name = record.urn.name();
    let add = Expr::call("add", vec![Expr::plain(format!("{name:?}")), draft]);
    let begun = format!("let {} = ", variable(record.urn.name()));
    // What is in a component is added to it, by the variable that its name suggests.
    let scope = record.urn.path().rsplit('/').nth(1).map_or("stack".to_owned(), variable);
    let statement = Expr::plain(scope).chain(vec![add]).lay_out(4, 4 + begun.chars().count(), 1);
    Declaration { text: format!("    {begun}{statement};\n"), refers_to: writer.refers_to, left_out }
}

/// Values by which other resources of the stack are known: type and text of an output, and where it is.
pub(crate) struct Known<'a> {
    outputs: BTreeMap<(String, &'a str), Option<(Instance, &'static str)>>,
}

impl<'a> Known<'a> {
    /// The outputs of everything that is recorded. `schema_of` gives the schema of a linked type.
    pub(crate) fn of(state: &'a State, schema_of: &dyn Fn(&str) -> Option<&'static Schema>) -> Self {
        let mut outputs = BTreeMap::new();
        for record in state.resources.values().filter(|record| record.status == Status::Live) {
            let Some(schema) = schema_of(record.urn.type_name()) else { continue };
            for (_, field) in schema.outputs() {
                let Some(Value::Text(text)) = record.outputs.get(field.name) else { continue };
                // Two things that say the same do not tell which of them is meant; an id tells more than its copies.
                let place = Some((record.instance, field.name));
                outputs
                    .entry(((field.ty.name)(), text.as_str()))
                    .and_modify(|known: &mut Option<(Instance, &str)>| {
                        if known.is_none_or(|(instance, _)| instance != record.instance) {
                            *known = None;
                        } else if field.name == "id" {
                            *known = place;
                        }
                    })
                    .or_insert(place);
            }
        }
        Self { outputs }
    }
}

struct Writer<'a> {
    state: &'a State,
    known: &'a Known<'a>,
    module: String,
    refers_to: Vec<Instance>,
}

/// What is known of the type of a value.
#[derive(Clone, Copy)]
struct Shape<'a> {
    /// The type's name, without `Option`.
    name: &'a str,
    fields: Option<&'static [PropertyField]>,
    item_fields: Option<&'static [PropertyField]>,
}

impl Writer<'_> {
    fn field(&mut self, field: &Field, value: &Value) -> Expr {
        if field.ty.secret && !matches!(value, Value::Map(_)) {
            return Expr::plain(format!("{SECRET}{}", ident(field.name)));
        }
        if value.is_null() {
            return Expr::plain(format!("/* not readable */ config.{}", ident(field.name)));
        }
        let name = (field.ty.name)();
        let shape = Shape { name: &name, fields: (field.ty.describe)(), item_fields: (field.ty.describe_items)() };
        self.value(field.name, shape, value)
    }

    fn value(&mut self, name: &str, shape: Shape<'_>, value: &Value) -> Expr {
        let shape = Shape { name: within(shape.name, "Option").unwrap_or(shape.name), ..shape };
        match value {
            Value::Secret(_) => Expr::plain(format!("{SECRET}{}", ident(name))),
            Value::Text(text) => match self.reference(shape.name, text) {
                Some(reference) => Expr::plain(reference),
                None => Expr::plain(format!("{text:?}")),
            },
            Value::Bool(value) => Expr::plain(value.to_string()),
            Value::Int(number) => Expr::plain(number.to_string()),
            Value::UInt(number) => Expr::plain(number.to_string()),
            Value::Float(number) => Expr::plain(format!("{number:?}")),
            Value::List(items) => {
                let element = ["Vec", "Set"].iter().find_map(|list| within(shape.name, list)).unwrap_or("");
                let shape = Shape { name: element, fields: shape.item_fields, item_fields: None };
                mixed(items.iter().map(|item| self.value(name, shape, item)).collect())
            }
            Value::Map(map) => match shape.fields {
                Some(fields) => self.built(shape.name, fields, map),
                None => {
                    let element = within(shape.name, "BTreeMap").and_then(|inner| inner.split_once(", "));
                    let element = element.map_or("", |(_, element)| element);
                    let shape = Shape { name: element, fields: shape.item_fields, item_fields: None };
                    let pairs = map.iter().map(|(key, item)| {
                        let item = self.value(key, shape, item);
                        Expr::call("", vec![Expr::plain(format!("{key:?}")), item])
                    });
                    Expr::list(pairs.collect())
                }
            },
            Value::Null | Value::Digest(_) | Value::Expr(_) | Value::Unknown { .. } => Expr::plain("None"),
        }
    }

    /// A struct by its builder.
    fn built(&mut self, name: &str, fields: &'static [PropertyField], map: &BTreeMap<String, Value>) -> Expr {
        let (mut required, mut optional) = (Vec::new(), Vec::new());
        for field in fields {
            let value = map.get(field.name).unwrap_or(&Value::Null);
            let default = field.default.map(|default| (field.canonical)(default()));
            if field.optional && (value.is_null() || default == Some((field.canonical)(value.clone()))) {
                continue;
            }
            let type_name = (field.type_name)();
            let shape = Shape { name: &type_name, fields: (field.describe)(), item_fields: (field.describe_items)() };
            let expr = self.value(field.name, shape, value);
            if field.optional {
                optional.push(Expr::call(ident(field.name), vec![expr]));
            } else {
                required.push(expr);
            }
        }
        Expr::call(format!("{}{name}::new", self.module), required).chain(optional)
    }

    fn reference(&mut self, type_name: &str, text: &str) -> Option<String> {
        let (instance, field) = (*self.known.outputs.get(&(type_name.to_owned(), text))?)?;
        let urn = &self.state.resources.get(&instance)?.urn;
        if !self.refers_to.contains(&instance) {
            self.refers_to.push(instance);
        }
        Some(format!("&{}.{field}", variable(urn.name())))
    }
}

/// A list; where references stand beside literals, one that takes both.
fn mixed(items: Vec<Expr>) -> Expr {
    let reference = |item: &Expr| matches!(item, Expr::Plain(text) if text.starts_with('&'));
    let references = items.iter().filter(|item| reference(item)).count();
    if references > 0 && references < items.len() {
        return Expr::Group { head: "list!".into(), open: '[', items };
    }
    Expr::list(items)
}

/// The `T` of `Outer<T>`.
fn within<'a>(name: &'a str, outer: &str) -> Option<&'a str> {
    name.strip_prefix(outer)?.strip_prefix('<')?.strip_suffix('>')
}

/// `ec2::` of `aws:ec2:Vpc`, `local::` of `local:File`.
fn module(schema: &Schema) -> String {
    let path: Vec<&str> = schema.type_name.split(':').collect();
    let middle = match path.as_slice() {
        [provider, _] => (*provider).to_owned(),
        [_, middle @ .., _] => middle.join("::"),
        _ => String::new(),
    };
    middle.replace('/', "::").replace(['-', '.'], "_") + "::"
}

fn short(schema: &Schema) -> &'static str {
    schema.type_name.rsplit(':').next().unwrap_or(schema.type_name)
}

/// A name as a method: `deviceName` is `device_name`.
fn ident(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    keyword(out)
}

/// The variable that a resource's handle is usually kept in.
fn variable(name: &str) -> String {
    let clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let clean = clean.trim_matches('_');
    match clean.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("r{clean}"),
        Some(_) => keyword(clean.to_owned()),
        None => "resource".into(),
    }
}

fn keyword(name: String) -> String {
    const KEYWORDS: [&str; 46] = [
        "as", "async", "await", "box", "break", "const", "continue", "do", "dyn", "else", "enum", "extern", "false",
        "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut",
        "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof",
        "unsafe", "use", "virtual", "where", "while", "yield", "stack",
    ];
    match name.as_str() {
        // The program has this name already.
        "stack" => "the_stack".into(),
        known if KEYWORDS.contains(&known) => format!("r#{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_variables_and_methods() {
        let of = |name: &str| variable(name);
        assert_eq!(
            ["private-a", "9lives", "type", "Main.DB", "stack"].map(of),
            ["private_a", "r9lives", "r#type", "main_db", "the_stack"]
        );
        assert_eq!(["deviceName", "cidr_block", "loop"].map(ident), ["device_name", "cidr_block", "r#loop"]);
    }
}
