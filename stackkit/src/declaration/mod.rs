//! A recorded resource as a user would declare it: the Rust that `import` prints.

mod layout;
mod program;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::declaration::layout::Expr;
use crate::plan;
use crate::property::PropertyField;
use crate::schema::{Field, Schema};
use crate::state::model::{Instance, ResourceRecord, State, Status};
use crate::value::Value;

pub(crate) use program::{Part, Printed, print};

/// A declaration, and what there is to be said about it.
pub(crate) struct Declaration {
    /// A `let` statement, indented as in a function.
    pub(crate) text: String,
    /// The instances whose outputs it refers to.
    pub(crate) refers_to: Vec<Instance>,
    /// What the cloud chose and the declaration leaves to it, as methods.
    pub(crate) left_out: Vec<String>,
    /// The config values that it asks for.
    pub(crate) asks: Vec<Ask>,
}

/// A config value that a declaration asks for.
pub(crate) struct Ask {
    /// Its key.
    pub(crate) key: String,
    /// Its type in Rust.
    pub(crate) type_name: String,
    /// Its value; null where that is not known.
    pub(crate) value: Value,
}

/// What things are called in the program that a declaration stands in. Where nothing is said of a thing, its own name
/// suggests one.
#[derive(Clone, Default)]
pub(crate) struct Names<'a> {
    /// Variables of resources.
    pub(crate) variables: HashMap<Instance, String>,
    /// Variables of components, by path.
    pub(crate) scopes: BTreeMap<String, String>,
    /// What must not be referred to, because it is declared later.
    pub(crate) later: HashSet<Instance>,
    /// Keys of config values that are given away, where they are told apart by resource.
    pub(crate) keys: Option<HashSet<String>>,
    /// Config values that there are.
    pub(crate) config: Option<&'a BTreeMap<String, Value>>,
}

/// What stands around the draft in a statement.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// Instances that the resource is known to come after: their names count as references.
    pub(crate) after: &'a [Instance],
    /// Whether no variable is needed.
    pub(crate) unbound: bool,
    /// Calls on the handle, such as `protect()`.
    pub(crate) options: &'a [String],
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
        || !empty && !field.computed && field.default.is_none_or(|default| canonical(&default()) != canonical(value))
}

/// Writes the declaration of a record. References to other resources of the stack stand where a value is the id or
/// another telling output of one of them.
pub(crate) fn declaration(
    schema: &'static Schema,
    record: &ResourceRecord,
    state: &State,
    known: &Known<'_>,
    names: &mut Names<'_>,
    around: Around<'_>,
) -> Declaration {
    let values = plan::state_values(schema, record);
    let (refers_to, asks, after) = (Vec::new(), Vec::new(), around.after);
    let mut writer =
        Writer { record, state, known, names, after, module: module(schema), refers_to, asks, in_map: false };
    let (mut required, mut optional, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (index, field) in schema.inputs() {
        let value = values.get(index).unwrap_or(&Value::Null);
        let name = ident(field.name);
        if is_said(field, value) {
            let expr = writer.field(field, value);
            if field.required { required.push(expr) } else { optional.push(Expr::call(name, vec![expr])) }
        } else if field.computed && !value.is_null() {
            // What the declaration leaves out is no reference of it.
            let (references, asks) = (writer.refers_to.len(), writer.asks.len());
            let expr = Expr::call(name, vec![writer.field(field, value)]);
            left_out.push(format!(".{}", expr.lay_out(0, 1, 0)));
            writer.refers_to.truncate(references);
            writer.asks.truncate(asks);
        }
    }
    let draft = Expr::call(format!("{}{}::new", writer.module, short(schema)), required).chain(optional);
    let name = record.urn.name();
    let add = Expr::call("add", vec![Expr::plain(format!("{name:?}")), draft]);
    let begun = match around.unbound {
        true => String::new(),
        false => format!("let {} = ", writer.names.variable(record.instance, record.urn.name())),
    };
    // What is in a component is added to it.
    let scope = record.urn.path().rsplit_once('/').map_or("stack".to_owned(), |(path, _)| writer.names.scope(path));
    let mut calls = vec![add];
    calls.extend(around.options.iter().map(|option| Expr::plain(option.clone())));
    let statement = Expr::plain(scope).chain(calls).lay_out(4, 4 + begun.chars().count(), 1);
    let Writer { refers_to, asks, .. } = writer;
    Declaration { text: format!("    {begun}{statement};\n"), refers_to, left_out, asks }
}

impl Names<'_> {
    fn variable(&self, instance: Instance, name: &str) -> String {
        self.variables.get(&instance).cloned().unwrap_or_else(|| variable(name))
    }

    fn scope(&self, path: &str) -> String {
        let suggested = || variable(path.rsplit('/').next().unwrap_or(path));
        self.scopes.get(path).cloned().unwrap_or_else(suggested)
    }

    /// The key of a config value of a resource's field.
    fn key(&mut self, variable: &str, field: &str, value: &Value) -> String {
        let field = ident(field);
        let Some(taken) = &mut self.keys else { return field };
        let plain = |name: &str| name.trim_start_matches("r#").to_owned();
        let wanted = format!("{}_{}", plain(variable), plain(&field));
        // A value that stands there already, as an earlier import left it, is used again.
        let fits = |key: &String| match self.config.and_then(|config| config.get(key)) {
            Some(there) => !value.is_null() && there.reveal() == value.reveal(),
            None => true,
        };
        let numbered = (2_u64..).map(|number| format!("{wanted}_{number}"));
        let mut keys = std::iter::once(wanted.clone()).chain(numbered);
        let key = keys.find(|key| !taken.contains(key) && fits(key)).unwrap_or(wanted);
        taken.insert(key.clone());
        key
    }
}

/// Values by which other resources of the stack are known: type and text of an output, and where it is.
pub(crate) struct Known<'a> {
    outputs: BTreeMap<(String, &'a str), Option<(Instance, &'static str)>>,
    /// Names of resources. Anything may be called so: they count only where it is known what is referred to.
    names: BTreeMap<(String, &'a str), Vec<(Instance, &'static str)>>,
    /// Typed ids, which also fit where text or a type of its own takes them: what an id says, nothing else says.
    ids: HashMap<&'a str, Option<(Instance, &'static str)>>,
}

impl<'a> Known<'a> {
    /// The outputs of everything that is recorded. `schema_of` gives the schema of a linked type.
    pub(crate) fn of(state: &'a State, schema_of: &dyn Fn(&str) -> Option<&'static Schema>) -> Self {
        let mut outputs = BTreeMap::new();
        let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut ids: HashMap<&str, Option<(Instance, &'static str)>> = HashMap::new();
        for record in state.resources.values().filter(|record| record.status == Status::Live) {
            let Some(schema) = schema_of(record.urn.type_name()) else { continue };
            if let Some(field) = schema.name_field().and_then(|index| schema.fields.get(index))
                && let Some(Value::Text(text)) = record.inputs.get(field.name)
            {
                let name = (field.ty.name)();
                let name = within(&name, "Option").unwrap_or(&name).to_owned();
                names.entry((name, text.as_str())).or_default().push((record.instance, field.name));
            }
            for (_, field) in schema.outputs() {
                let Some(Value::Text(text)) = record.outputs.get(field.name).map(Value::reveal) else { continue };
                if within(&(field.ty.name)(), "Id").is_some() {
                    let place = Some((record.instance, field.name));
                    ids.entry(text.as_str()).and_modify(|known| *known = None).or_insert(place);
                }
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
        Self { outputs, names, ids }
    }
}

struct Writer<'a, 'n> {
    record: &'a ResourceRecord,
    state: &'a State,
    known: &'a Known<'a>,
    names: &'a mut Names<'n>,
    after: &'a [Instance],
    module: String,
    refers_to: Vec<Instance>,
    asks: Vec<Ask>,
    /// Whether the value that is written is one of a map's.
    in_map: bool,
}

/// What is known of the type of a value.
#[derive(Clone, Copy)]
struct Shape<'a> {
    /// The type's name, without `Option`.
    name: &'a str,
    fields: Option<&'static [PropertyField]>,
    item_fields: Option<&'static [PropertyField]>,
}

impl Writer<'_, '_> {
    fn field(&mut self, field: &Field, value: &Value) -> Expr {
        let name = (field.ty.name)();
        let shown = within(&name, "Option").unwrap_or(&name);
        if field.ty.secret && !matches!(value, Value::Map(_)) {
            return self.secret(field.name, shown, value);
        }
        if value.is_null() {
            return self.ask("not readable", field.name, shown, value);
        }
        let shape = Shape { name: &name, fields: (field.ty.describe)(), item_fields: (field.ty.describe_items)() };
        self.value(field.name, shape, value)
    }

    fn value(&mut self, name: &str, shape: Shape<'_>, value: &Value) -> Expr {
        let shape = Shape { name: within(shape.name, "Option").unwrap_or(shape.name), ..shape };
        match value {
            Value::Secret(_) => self.secret(name, shape.name, value),
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
                    let around = std::mem::replace(&mut self.in_map, true);
                    let pairs = map.iter().map(|(key, item)| {
                        let item = self.value(key, shape, item);
                        Expr::call("", vec![Expr::plain(format!("{key:?}")), item])
                    });
                    let pairs = pairs.collect();
                    self.in_map = around;
                    Expr::list(pairs)
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

    /// A secret: another resource's, where one has the same, else a config value.
    fn secret(&mut self, name: &str, type_name: &str, value: &Value) -> Expr {
        if let Value::Text(text) = value.reveal()
            && let Some(reference) = self.reference(type_name, text)
        {
            return Expr::plain(reference);
        }
        self.ask("secret", name, type_name, value)
    }

    fn ask(&mut self, what: &str, name: &str, type_name: &str, value: &Value) -> Expr {
        let variable = self.names.variable(self.record.instance, self.record.urn.name());
        let key = self.names.key(&variable, name, value);
        self.asks.push(Ask { key: key.clone(), type_name: type_name.to_owned(), value: value.clone() });
        Expr::plain(format!("/* {what} */ config.{key}"))
    }

    fn reference(&mut self, type_name: &str, text: &str) -> Option<String> {
        let key = (type_name.to_owned(), text);
        let named = || {
            let mut all = self.known.names.get(&key)?.iter().filter(|(instance, _)| self.after.contains(instance));
            all.next().copied().filter(|_| all.next().is_none())
        };
        // Ids are told from other text by what they are; the values of a map have to be alike.
        let id = || {
            let fits = within(type_name, "Id").is_none() && !type_name.is_empty() && !self.in_map;
            self.known.ids.get(text).copied().flatten().filter(|_| fits)
        };
        let (instance, field) = self.known.outputs.get(&key).copied().flatten().or_else(named).or_else(id)?;
        let urn = &self.state.resources.get(&instance)?.urn;
        if instance == self.record.instance || self.names.later.contains(&instance) {
            return None;
        }
        if !self.refers_to.contains(&instance) {
            self.refers_to.push(instance);
        }
        Some(format!("&{}.{field}", self.names.variable(instance, urn.name())))
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
pub(crate) fn variable(name: &str) -> String {
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
        // The program has this name already; the others cannot be one.
        "stack" | "self" | "super" | "crate" => format!("the_{name}"),
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
            ["private-a", "9lives", "type", "Main.DB", "stack", "self"].map(of),
            ["private_a", "r9lives", "r#type", "main_db", "the_stack", "the_self"]
        );
        assert_eq!(["deviceName", "cidr_block", "loop"].map(ident), ["device_name", "cidr_block", "r#loop"]);
    }
}
