//! `json!`: a JSON document with outputs in it. The parts decide whether the result is secret.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Expr, LitStr};

use crate::errors::Errors;
use crate::text::part;

/// What `json!({ … })` becomes: the document's text around its parts, one piece more than there are parts.
pub fn expand(tokens: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut template = Template { pieces: vec![String::new()], parts: Vec::new() };
    template.value(tokens.into_iter().collect(), &mut errors);
    if !errors.is_empty() {
        let errors = errors.into_tokens();
        // A document, so that the error stays alone.
        return quote! {{ #errors ::stackkit::__private::json(&["null"], ()) }};
    }
    let Template { pieces, parts } = template;
    let parts = parts.into_iter().rev().fold(quote! { () }, |rest, part| quote! { (#part, #rest) });
    quote! { ::stackkit::__private::json(&[#(#pieces),*], #parts) }
}

struct Template {
    pieces: Vec<String>,
    parts: Vec<TokenStream>,
}

impl Template {
    fn push(&mut self, text: &str) {
        if let Some(last) = self.pieces.last_mut() {
            last.push_str(text);
        }
    }

    fn value(&mut self, tokens: Vec<TokenTree>, errors: &mut Errors) {
        match tokens.as_slice() {
            [TokenTree::Group(group)] if group.delimiter() == Delimiter::Brace => self.object(group, errors),
            [TokenTree::Group(group)] if group.delimiter() == Delimiter::Bracket => self.array(group, errors),
            [TokenTree::Ident(ident)] if ident == "null" => self.push("null"),
            _ => {
                let tokens: TokenStream = tokens.into_iter().collect();
                match syn::parse2::<Expr>(tokens.clone()) {
                    Ok(expr) => {
                        self.parts.push(part(expr.span(), &expr));
                        self.pieces.push(String::new());
                    }
                    Err(error) => errors.on(tokens, error),
                }
            }
        }
    }

    fn array(&mut self, group: &Group, errors: &mut Errors) {
        self.push("[");
        for (at, item) in split(group.stream()).into_iter().enumerate() {
            if at > 0 {
                self.push(",");
            }
            self.value(item, errors);
        }
        self.push("]");
    }

    fn object(&mut self, group: &Group, errors: &mut Errors) {
        self.push("{");
        let mut keys: Vec<String> = Vec::new();
        for member in split(group.stream()) {
            let mut tokens = member.into_iter();
            let key = tokens.next().and_then(|token| syn::parse2::<LitStr>(token.into()).ok());
            let colon = tokens.next().is_some_and(|token| matches!(&token, TokenTree::Punct(p) if p.as_char() == ':'));
            let value: Vec<TokenTree> = tokens.collect();
            let (Some(key), true, false) = (key, colon, value.is_empty()) else {
                errors.at(group.span(), "a member of an object is `\"key\": value`");
                continue;
            };
            if keys.contains(&key.value()) {
                errors.on(&key, format!("`{}` stands in this object twice", key.value()));
            }
            if !keys.is_empty() {
                self.push(",");
            }
            self.push(&quoted(&key.value()));
            self.push(":");
            keys.push(key.value());
            self.value(value, errors);
        }
        self.push("}");
    }
}

/// The items between commas; one after the last is allowed.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut items = vec![Vec::new()];
    // Commas between angle brackets, as in `f::<A, B>()`, cannot be told from a comparison: such an expression goes
    // into a variable first.
    for token in tokens {
        match (&token, items.last_mut()) {
            (TokenTree::Punct(comma), _) if comma.as_char() == ',' => items.push(Vec::new()),
            (_, Some(item)) => item.push(token),
            _ => {}
        }
    }
    if items.last().is_some_and(Vec::is_empty) {
        items.pop();
    }
    items
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() && u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
