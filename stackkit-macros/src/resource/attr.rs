//! The options of `#[resource(…)]` and `#[lookup(…)]`, on the struct and on its fields, as they were written.

use proc_macro2::{Span, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::{Expr, LitStr, Path, Token, parse_quote};

use crate::args::{attribute_args, parse_args};
use crate::errors::Errors;

/// What kind of type the attribute makes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that is managed.
    Resource,
    /// A question that is answered.
    Lookup,
}

impl Kind {
    /// The attribute's name.
    pub fn attribute(self) -> &'static str {
        match self {
            Kind::Resource => "resource",
            Kind::Lookup => "lookup",
        }
    }

    /// What the type is, in messages.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Resource => "a resource",
            Kind::Lookup => "a look-up",
        }
    }

    fn type_options(self) -> &'static [&'static str] {
        match self {
            Kind::Resource => TYPE_OPTIONS,
            Kind::Lookup => &["crate"],
        }
    }

    fn field_options(self) -> &'static [&'static str] {
        match self {
            Kind::Resource => FIELD_OPTIONS,
            Kind::Lookup => &["output", "default", "not_secret"],
        }
    }
}

/// The options of the type.
pub struct TypeOptions {
    pub kind: Kind,
    /// `"acme:dns:Record"`.
    pub type_name: Option<LitStr>,
    pub stateful: bool,
    pub at_least_once: bool,
    pub pure: bool,
    pub immutable: bool,
    pub delete_before_replace: bool,
    pub version: u32,
    /// Seconds.
    pub settle: u64,
    /// Seconds that a create, an update and a delete may take.
    pub create_timeout: Option<u64>,
    pub update_timeout: Option<u64>,
    pub delete_timeout: Option<u64>,
    /// Where `stackkit` is.
    pub root: Path,
}

const TYPE_OPTIONS: &[&str] = &[
    "stateful",
    "at_least_once",
    "pure",
    "immutable",
    "delete_before_replace",
    "version",
    "settle",
    "create_timeout",
    "update_timeout",
    "delete_timeout",
    "crate",
];

impl TypeOptions {
    /// Reads `"acme:dns:Record", stateful, version = 2`.
    pub fn parse(tokens: TokenStream, kind: Kind, errors: &mut Errors) -> Self {
        let mut options = Self {
            kind,
            type_name: None,
            stateful: false,
            at_least_once: false,
            pure: false,
            immutable: false,
            delete_before_replace: false,
            version: 1,
            settle: 0,
            create_timeout: None,
            update_timeout: None,
            delete_timeout: None,
            root: parse_quote!(::stackkit),
        };
        let parser = |input: ParseStream<'_>| {
            options.type_name = input.parse().ok();
            if options.type_name.is_none() {
                errors.at(
                    Span::call_site(),
                    format!(
                        "the type needs a name, `provider:…:Type`, first of all: `#[{}(\"acme:dns:Record\")]`",
                        kind.attribute()
                    ),
                );
            } else if !input.is_empty() {
                errors.absorb(input.parse::<Token![,]>());
            }
            Ok(parse_args(input, errors))
        };
        let args = Parser::parse2(parser, tokens).unwrap_or_default();
        for arg in args {
            let name = arg.name.to_string();
            if !kind.type_options().contains(&name.as_str()) {
                arg.unknown(kind.type_options(), errors);
                continue;
            }
            match name.as_str() {
                "stateful" => options.stateful = arg.flag(errors).is_some(),
                "at_least_once" => options.at_least_once = arg.flag(errors).is_some(),
                "pure" => options.pure = arg.flag(errors).is_some(),
                "immutable" => options.immutable = arg.flag(errors).is_some(),
                "delete_before_replace" => options.delete_before_replace = arg.flag(errors).is_some(),
                "version" => options.version = arg.number(errors).unwrap_or(options.version),
                "settle" => options.settle = arg.number(errors).unwrap_or(options.settle),
                "create_timeout" => options.create_timeout = arg.seconds(errors),
                "update_timeout" => options.update_timeout = arg.seconds(errors),
                "delete_timeout" => options.delete_timeout = arg.seconds(errors),
                "crate" => options.root = arg.path(errors).unwrap_or(options.root),
                _ => {}
            }
        }
        options
    }
}

/// The options of a field. A flag is the span at which it stands.
#[derive(Default)]
pub struct FieldOptions {
    pub output: Option<Span>,
    pub volatile: Option<Span>,
    pub replace: Option<Span>,
    pub name: Option<Span>,
    pub computed: Option<Span>,
    pub write_only: Option<Span>,
    pub not_secret: Option<Span>,
    pub default: Option<Expr>,
}

const FIELD_OPTIONS: &[&str] =
    &["output", "volatile", "replace", "name", "default", "computed", "write_only", "not_secret"];

impl FieldOptions {
    /// Reads `#[resource(replace, default = 300)]`; other attributes than documentation are refused.
    pub fn parse(attrs: &[syn::Attribute], kind: Kind, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for arg in attribute_args(attrs, kind.attribute(), errors) {
            let name = arg.name.to_string();
            if !kind.field_options().contains(&name.as_str()) {
                arg.unknown(kind.field_options(), errors);
                continue;
            }
            match name.as_str() {
                "output" => options.output = arg.flag(errors),
                "volatile" => options.volatile = arg.flag(errors),
                "replace" => options.replace = arg.flag(errors),
                "name" => options.name = arg.flag(errors),
                "computed" => options.computed = arg.flag(errors),
                "write_only" => options.write_only = arg.flag(errors),
                "not_secret" => options.not_secret = arg.flag(errors),
                "default" => options.default = arg.expr(errors),
                _ => {}
            }
        }
        for attr in attrs {
            if ![kind.attribute(), "doc", "allow", "expect"].iter().any(|known| attr.path().is_ident(known)) {
                let (name, noun) = (kind.attribute(), kind.noun());
                errors.on(attr, format!("only documentation and `#[{name}(…)]` may stand on a field of {noun}"));
            }
        }
        options
    }
}
