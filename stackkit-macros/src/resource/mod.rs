//! `#[resource]` and `#[lookup]`: attributes, then the model made of them, then its checks, then the expansion.

mod attr;
mod check;
mod expand;
mod model;

pub use attr::Kind;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Fields, Item};

use crate::errors::Errors;

/// What `#[resource(args)]` or `#[lookup(args)]` makes of `item`.
pub fn expand(args: TokenStream, item: TokenStream, kind: Kind) -> TokenStream {
    let mut errors = Errors::default();
    let options = attr::TypeOptions::parse(args, kind, &mut errors);
    let (name, noun) = (kind.attribute(), kind.noun());
    let expansion = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Struct(item)) if matches!(item.fields, Fields::Named(_)) && item.generics.params.is_empty() => {
            let mut model = model::Model::new(item, options, &mut errors);
            let assertions = check::check(&mut model, &mut errors);
            let expansion = expand::expand(&model);
            quote! { #expansion #assertions }
        }
        Ok(Item::Struct(mut item)) => {
            if item.generics.params.is_empty() {
                errors.on(
                    &item.ident,
                    format!("{noun} is a struct with named fields: `struct Record {{ zone: String }}`"),
                );
            } else {
                errors.on(&item.generics, format!("{noun} cannot be generic: its schema is one static table"));
            }
            item.fields.iter_mut().for_each(|field| field.attrs.retain(|attr| !attr.path().is_ident(name)));
            quote! { #item }
        }
        Ok(other) => {
            let message = format!("`#[{name}]` goes on a struct with named fields");
            errors.at(proc_macro2::Span::call_site(), message);
            quote! { #other }
        }
        Err(error) => {
            errors.absorb::<()>(Err(error));
            item
        }
    };
    let errors = errors.into_tokens();
    quote! { #expansion #errors }
}
