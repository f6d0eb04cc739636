//! `text!`: text with outputs in it. The parts decide whether the result is secret.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr, Token};

use crate::errors::Errors;
use crate::types::here;

struct Call {
    format: LitStr,
    arguments: Punctuated<Expr, Token![,]>,
}

impl Parse for Call {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let format = input.parse().map_err(|error| {
            syn::Error::new(error.span(), "expected a literal first: `text!(\"{}:{}\", host, port)`")
        })?;
        let mut arguments = Punctuated::new();
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
            arguments = Punctuated::parse_terminated(input)?;
        }
        Ok(Self { format, arguments })
    }
}

/// A hole in the literal.
enum Hole {
    /// `{}`.
    Next,
    /// `{name}`.
    Named(String),
}

/// What `text!("…", …)` becomes.
pub fn expand(tokens: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let expansion = errors.absorb(syn::parse2::<Call>(tokens)).map(|call| expand_call(&call, &mut errors));
    if errors.is_empty() {
        return quote! { #expansion };
    }
    let errors = errors.into_tokens();
    // A text, so that the error stays alone.
    quote! {{ #errors ::stackkit::__private::text(&[""], ()) }}
}

fn expand_call(Call { format, arguments }: &Call, errors: &mut Errors) -> TokenStream {
    let (literals, holes) = match parse_format(&format.value()) {
        Ok(parsed) => parsed,
        Err(message) => {
            errors.on(format, message);
            return TokenStream::new();
        }
    };
    let mut rest = arguments.iter();
    let mut parts = Vec::new();
    let mut missing = 0;
    for hole in &holes {
        match hole {
            Hole::Next => match rest.next() {
                Some(expr) => parts.push(part(expr.span(), expr)),
                None => missing += 1,
            },
            Hole::Named(name) => match syn::parse_str::<Ident>(name) {
                Ok(mut ident) => {
                    ident.set_span(format.span());
                    parts.push(part(format.span(), &ident));
                }
                Err(_) => errors.on(
                    format,
                    format!(
                        "`{{{name}}}` is not a variable: pass what is not one as an argument, `text!(\"{{}}\", …)`"
                    ),
                ),
            },
        }
    }
    if missing > 0 {
        let wanted = arguments.len() + missing;
        errors.on(format, format!("{wanted} `{{}}` in the text, and {} given", count(arguments.len())));
    }
    for unused in rest {
        errors.on(unused, "no `{}` in the text is left for this argument");
    }
    let parts = parts.into_iter().rev().fold(quote! { () }, |rest, part| quote! { (#part, #rest) });
    quote! { ::stackkit::__private::text(&[#(#literals),*], #parts) }
}

/// A part, checked where it stands.
pub fn part(at: Span, expr: &impl ToTokens) -> TokenStream {
    quote_spanned! { here(at) => ::stackkit::__private::text_part(&(#expr)) }
}

fn count(n: usize) -> String {
    match n {
        0 => "no argument".to_owned(),
        1 => "1 argument".to_owned(),
        n => format!("{n} arguments"),
    }
}

/// The literals around the holes, one more than there are holes, and the holes.
fn parse_format(format: &str) -> Result<(Vec<String>, Vec<Hole>), String> {
    let mut literals = vec![String::new()];
    let mut holes = Vec::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => {
                chars.next();
                push(&mut literals, c);
            }
            '{' => {
                let mut name = String::new();
                loop {
                    match chars.next() {
                        Some('}') => break,
                        Some(c) => name.push(c),
                        None => return Err("`{` is never closed: a brace as such is written `{{`".to_owned()),
                    }
                }
                holes.push(hole(name.trim())?);
                literals.push(String::new());
            }
            '}' => return Err("`}` closes nothing: a brace as such is written `}}`".to_owned()),
            other => push(&mut literals, other),
        }
    }
    Ok((literals, holes))
}

fn push(literals: &mut [String], c: char) {
    if let Some(last) = literals.last_mut() {
        last.push(c);
    }
}

fn hole(name: &str) -> Result<Hole, String> {
    if name.is_empty() {
        return Ok(Hole::Next);
    }
    if name.contains(':') {
        return Err(format!(
            "`{{{name}}}`: `text!` knows no format options; use `.map(|value| format!(…))` on the output"
        ));
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{{{name}}}`: positions are not supported; use `{{}}` or `{{name}}`"));
    }
    Ok(Hole::Named(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_stand_around_holes() {
        let (literals, holes) = parse_format("a{}{{b}}{name}").unwrap();
        assert_eq!(literals, ["a", "{b}", ""]);
        assert!(matches!(&holes[..], [Hole::Next, Hole::Named(name)] if name == "name"));
    }

    #[test]
    fn what_a_text_cannot_say() {
        for wrong in ["{", "}", "{:?}", "{x:>5}", "{0}"] {
            assert!(parse_format(wrong).is_err(), "{wrong}");
        }
    }
}
