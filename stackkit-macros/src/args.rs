//! The arguments of an attribute: flags, `name = value` and `name(…)`, read one by one so that one wrong argument does
//! not hide the others.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Path, Token};

use crate::errors::Errors;

/// One argument.
pub struct Arg {
    /// Its name; may be a keyword such as `crate`.
    pub name: Ident,
    /// What stands after `=`.
    value: Option<Expr>,
    /// What stands in parentheses.
    list: Option<TokenStream>,
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let mut arg = Self { name, value: None, list: None };
        if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            arg.value = Some(input.parse()?);
        } else if input.peek(syn::token::Paren) {
            let content;
            syn::parenthesized!(content in input);
            arg.list = Some(content.parse()?);
        }
        Ok(arg)
    }
}

impl Arg {
    /// The span of a flag: an argument without a value.
    pub fn flag(&self, errors: &mut Errors) -> Option<Span> {
        match (&self.value, &self.list) {
            (None, None) => {}
            _ => errors.on(&self.name, format!("`{}` takes no value", self.name)),
        }
        Some(self.name.span())
    }

    /// The expression after `=`.
    pub fn expr(&self, errors: &mut Errors) -> Option<Expr> {
        if self.value.is_none() {
            errors.on(&self.name, format!("`{0}` needs a value: `{0} = …`", self.name));
        }
        self.value.clone()
    }

    /// The text after `=`.
    pub fn text(&self, errors: &mut Errors) -> Option<LitStr> {
        match self.expr(errors)? {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
            other => {
                errors.on(other, format!("expected text: `{} = \"…\"`", self.name));
                None
            }
        }
    }

    /// The whole number after `=`.
    pub fn number<N: std::str::FromStr>(&self, errors: &mut Errors) -> Option<N>
    where
        N::Err: std::fmt::Display,
    {
        match self.expr(errors)? {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => errors.absorb(number.base10_parse()),
            other => {
                errors.on(other, format!("expected a whole number: `{} = 2`", self.name));
                None
            }
        }
    }

    /// The path in the text after `=`.
    pub fn path(&self, errors: &mut Errors) -> Option<Path> {
        let text = self.text(errors)?;
        errors.absorb(text.parse_with(Path::parse_mod_style))
    }

    /// The seconds of the duration in the text after `=`, such as `"90s"`, `"40m"` or `"2h"`.
    pub fn seconds(&self, errors: &mut Errors) -> Option<u64> {
        let text = self.text(errors)?;
        let duration = text.value();
        let unit = |unit: &str| {
            Some(match unit {
                "s" => 1,
                "m" => 60,
                "h" => 60 * 60,
                _ => return None,
            })
        };
        let digits = duration.trim_end_matches(|c: char| !c.is_ascii_digit());
        let seconds = unit(&duration[digits.len()..])
            .and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit))
            .filter(|seconds| *seconds > 0);
        if seconds.is_none() {
            errors.on(
                text,
                format!(
                    "`{duration}` is not a duration: expected a whole number above 0 and a unit, such as \"90s\", \"40m\" or \"2h\""
                ),
            );
        }
        seconds
    }

    /// The items in parentheses.
    pub fn list<T: Parse>(&self, errors: &mut Errors) -> Vec<T> {
        let Some(list) = &self.list else {
            errors.on(&self.name, format!("`{0}` needs a list: `{0}(…)`", self.name));
            return Vec::new();
        };
        let parser = Punctuated::<T, Token![,]>::parse_terminated;
        errors.absorb(syn::parse::Parser::parse2(parser, list.clone())).into_iter().flatten().collect()
    }

    /// Says that there is no such argument, and which there are.
    pub fn unknown(&self, known: &[&str], errors: &mut Errors) {
        let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        errors.on(&self.name, format!("unknown option `{}`: expected one of {known}", self.name));
    }
}

/// The arguments of an attribute, with an error for each that stands twice.
pub fn parse_args(input: ParseStream<'_>, errors: &mut Errors) -> Vec<Arg> {
    let mut args: Vec<Arg> = Vec::new();
    while !input.is_empty() {
        match input.parse::<Arg>() {
            Ok(arg) => {
                if args.iter().any(|earlier| earlier.name == arg.name) {
                    errors.on(&arg.name, format!("`{}` stands here twice", arg.name));
                } else {
                    args.push(arg);
                }
            }
            Err(error) => {
                errors.absorb::<()>(Err(error));
                skip_to_comma(input);
            }
        }
        if !input.is_empty() && errors.absorb(input.parse::<Token![,]>()).is_none() {
            skip_to_comma(input);
            let _ = input.parse::<Token![,]>();
        }
    }
    args
}

/// [`parse_args`] over tokens.
pub fn parse_arg_tokens(tokens: TokenStream, errors: &mut Errors) -> Vec<Arg> {
    let parser = |input: ParseStream<'_>| Ok(parse_args(input, errors));
    syn::parse::Parser::parse2(parser, tokens).unwrap_or_default()
}

/// All arguments of the attributes of one name, such as `#[resource(…)]` on a field.
pub fn attribute_args(attrs: &[syn::Attribute], name: &str, errors: &mut Errors) -> Vec<Arg> {
    let mut args = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(name)) {
        match &attr.meta {
            syn::Meta::List(list) => args.extend(parse_arg_tokens(list.tokens.clone(), errors)),
            other => errors.on(other, format!("expected `#[{name}(…)]`")),
        }
    }
    args
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        let _ = input.parse::<proc_macro2::TokenTree>();
    }
}

/// The documentation comments among attributes, as attributes and as text.
pub fn docs(attrs: &[syn::Attribute]) -> (TokenStream, String) {
    let mut tokens = TokenStream::new();
    let mut lines = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        attr.to_tokens(&mut tokens);
        if let syn::Meta::NameValue(pair) = &attr.meta
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value
        {
            let text = text.value();
            lines.push(text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned());
        }
    }
    (tokens, lines.join("\n").trim().to_owned())
}

/// The documentation of a constructor: what it makes, and its arguments with their own documentation.
pub fn constructor_docs<'a>(what: &str, arguments: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut docs = what.to_owned();
    for (at, (name, text)) in arguments.enumerate() {
        let summary = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        docs.push_str(if at == 0 { "\n\n" } else { "\n" });
        docs.push_str(&if summary.is_empty() { format!("- `{name}`") } else { format!("- `{name}`: {summary}") });
    }
    docs
}
