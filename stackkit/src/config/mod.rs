//! Decoding of a stack's typed configuration, with every problem of it in one error.

pub(crate) mod file;

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::program::ProgramError;
use crate::property::Property;
use crate::value::Value;

/// Decodes the table of config values into a struct with `#[derive(Properties)]`.
pub(crate) fn decode<C: Property>(table: &BTreeMap<String, Value>, stack: &str) -> Result<C, ProgramError> {
    let file = format!("stackkit.{stack}.toml");
    let mut problems = Vec::new();
    let mut given = table.clone();
    if let Some(fields) = C::describe() {
        for field in fields {
            match given.get(field.name) {
                None if !field.optional => problems.push(
                    Diagnostic::invalid(format!("the config value is not set ({})", (field.type_name)()))
                        .field(field.name)
                        .help(format!(
                            "run `config set {} VALUE{}`, or write it into the [config] table of {file}",
                            field.name,
                            if field.secret { " --secret" } else { "" }
                        )),
                ),
                Some(value) if value.has_secret() && !field.secret => problems.push(
                    Diagnostic::invalid("the config value is secret, but the program declares it plain")
                        .field(field.name)
                        .help("declare it as `Secret<…>`, or set it without --secret"),
                ),
                _ => {}
            }
        }
        for key in table.keys().filter(|key| !fields.iter().any(|field| field.name == key.as_str())) {
            let known: Vec<_> = fields.iter().map(|field| field.name).collect();
            problems.push(
                Diagnostic::invalid("the program knows no config value of this name")
                    .field(key.as_str())
                    .help(format!("it knows {}; run `config rm {key}`", known.join(", "))),
            );
        }
        // A value given as text stands for a number or a truth value where the field wants one, and the other way
        // round: on a command line and in a shell everything is text.
        for field in fields {
            if let Some(value) = given.get_mut(field.name) {
                coerce(value, &(field.type_name)());
            }
        }
    }
    if !problems.is_empty() {
        return Err(ProgramError::from_diagnostics(problems));
    }
    C::from_value(&Value::Map(given)).map_err(|error| {
        let field = error.path.join(".");
        let problem = Diagnostic::invalid(format!("the config value does not fit: {}", error.message))
            .help(format!("set it with `config set {field} VALUE`, or in the [config] table of {file}"));
        ProgramError::from_diagnostics(vec![problem.field(field)])
    })
}

fn coerce(value: &mut Value, wanted: &str) {
    let mut wanted = wanted;
    for wrapper in ["Option<", "Secret<"] {
        wanted = wanted.strip_prefix(wrapper).and_then(|inner| inner.strip_suffix('>')).unwrap_or(wanted);
    }
    if let Value::Secret(secret) = value {
        let mut plain = secret.reveal().clone();
        coerce(&mut plain, wanted);
        *value = plain.into_secret();
        return;
    }
    match (&*value, wanted) {
        (Value::Int(n), "String") => *value = Value::text(n.to_string()),
        (Value::Float(n), "String") => *value = Value::text(n.to_string()),
        (Value::Bool(b), "String") => *value = Value::text(b.to_string()),
        (Value::Text(text), "bool") => {
            if let Ok(b) = text.parse() {
                *value = Value::Bool(b);
            }
        }
        (Value::Text(text), "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64") => {
            if let Ok(n) = text.parse() {
                *value = Value::Int(n);
            }
        }
        (Value::Text(text), "f32" | "f64") => {
            if let Ok(n) = text.parse() {
                *value = Value::Float(n);
            }
        }
        _ => {}
    }
}
