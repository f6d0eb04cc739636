//! What a resource type must not say: each rule is one error on the token that breaks it.

use proc_macro2::{Span, TokenStream};
use syn::LitStr;

use super::attr::Kind;
use super::model::{Field, Model};
use crate::errors::Errors;
use crate::types;

/// Checks the model; what only the compiler can tell comes back as assertions. A field that cannot be expanded is taken
/// out, so that its error stays alone.
pub fn check(model: &mut Model, errors: &mut Errors) -> TokenStream {
    if let Some(name) = &model.options.type_name {
        check_type_name(name, errors);
    }
    let mut assertions = TokenStream::new();
    let mut named: Option<&Field> = None;
    for field in &model.fields {
        check_options(field, errors);
        if field.options.not_secret.is_none() {
            let root = &model.options.root;
            assertions.extend(types::check_secret(
                &field.key,
                &field.ident,
                &field.ty,
                model.options.kind.attribute(),
                root,
                errors,
            ));
        }
        if model.options.kind == Kind::Resource && field.options.write_only.is_none() {
            assertions.extend(types::check_lasting(&field.ident, &field.ty, &model.options.root));
        }
        if let Some(span) = field.options.name {
            match named {
                None => named = Some(field),
                Some(first) => errors
                    .at(span, format!("a resource has one physical name: `{}` is marked `name` already", first.key)),
            }
        }
    }
    if model.options.kind == Kind::Lookup && model.outputs().next().is_none() {
        errors.on(&model.ident, "a look-up has at least one output: mark what it finds with `#[lookup(output)]`");
    }
    model.fields.retain(|field| !has_taken_name(field, errors));
    assertions
}

fn has_taken_name(field: &Field, errors: &mut Errors) -> bool {
    let message = match field.key.as_str() {
        "args" if field.is_output() => "an output cannot be named `args`: the inputs in the state have that name",
        "new" if !field.is_output() && !field.is_required() => {
            "an optional input cannot be named `new`: the constructor has that name"
        }
        _ => return false,
    };
    errors.on(&field.ident, message);
    true
}

fn check_type_name(literal: &LitStr, errors: &mut Errors) {
    let name = literal.value();
    let segments: Vec<&str> = name.split(':').collect();
    if segments.len() < 2 || segments.iter().any(|segment| segment.is_empty()) {
        errors
            .on(literal, format!("`{name}` is not a type name: expected `provider:…:Type`, such as `acme:dns:Record`"));
        return;
    }
    let provider = segments[0];
    if !provider.starts_with(|c: char| c.is_ascii_lowercase())
        || !provider.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        errors.on(
            literal,
            format!("`{provider}` is not a provider's name: lower-case letters, digits and `-`, a letter first"),
        );
    }
    for segment in &segments[1..] {
        if !segment.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) {
            errors.on(
                literal,
                format!("`{segment}` cannot stand in a type name: letters, digits, `-`, `_`, `.` and `/` can"),
            );
        }
    }
}

fn check_options(field: &Field, errors: &mut Errors) {
    let options = &field.options;
    let key = &field.key;
    if options.output.is_some() {
        let inputs_only = [
            ("replace", options.replace),
            ("name", options.name),
            ("computed", options.computed),
            ("write_only", options.write_only),
        ];
        for (option, span) in inputs_only {
            if let Some(span) = span {
                errors.at(span, format!("`{option}` is for inputs, and `{key}` is an output"));
            }
        }
        if let Some(default) = &options.default {
            errors.on(default, format!("`default` is for inputs, and `{key}` is an output"));
        }
        return;
    }
    if let Some(span) = options.volatile {
        errors.at(span, format!("`volatile` is for outputs: mark `{key}` as `output` too, or leave it out"));
    }
    let is_option = types::option_of(&field.ty).is_some();
    if let Some(default) = &options.default
        && is_option
    {
        errors.on(
            default,
            format!(
                "with a default `{key}` always has a value: declare it as `{}`; it stays optional in programs",
                types::pretty(field.bare_type()),
            ),
        );
    }
    if let Some(span) = options.name {
        if !types::is_named(field.bare_type(), "String") {
            errors.at(span, format!("a physical name is text: declare `{key}` as `Option<String>` or `String`"));
        }
        conflict(
            "name",
            span,
            &[("default", options.default.is_some()), ("computed", options.computed.is_some())],
            errors,
        );
    }
    if let Some(span) = options.computed {
        if !is_option && options.default.is_none() && options.name.is_none() {
            errors.at(
                span,
                format!(
                    "what the cloud may choose must be optional: declare `{key}` as `Option<{}>`",
                    types::pretty(&field.ty),
                ),
            );
        }
        let others = [("default", options.default.is_some()), ("write_only", options.write_only.is_some())];
        conflict("computed", span, &others, errors);
    }
}

fn conflict(option: &str, span: Span, others: &[(&str, bool)], errors: &mut Errors) {
    for (other, given) in others {
        if *given {
            errors.at(
                span,
                format!("`{option}` and `{other}` contradict each other: both say what an unset value means"),
            );
        }
    }
}
