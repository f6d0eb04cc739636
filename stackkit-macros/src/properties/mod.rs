//! `#[derive(Properties)]`: structs of fields and enums of texts as types of fields.

mod expand;
mod model;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::errors::Errors;

/// What the derive adds.
pub fn expand(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let expansion = errors
        .absorb(syn::parse2::<DeriveInput>(item))
        .and_then(|item| model::Model::new(item, &mut errors))
        .map(|model| match model {
            model::Model::Struct(model) => expand::structure(&model),
            model::Model::Enum(model) => expand::enumeration(&model),
        });
    let errors = errors.into_tokens();
    quote::quote! { #expansion #errors }
}
