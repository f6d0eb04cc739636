//! The expansion of `#[derive(Properties)]`: a builder, one static table, and thin impls over it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::Ident;

use super::model::{EnumModel, Field, StructModel, Variant};
use crate::args::constructor_docs;
use crate::types::{here, private_at};

/// What a struct gains.
pub fn structure(model: &StructModel) -> TokenStream {
    let builder = builder(model);
    let StructModel { ident, root, fields, assertions, .. } = model;
    let private = quote! { #root::__private };
    let input = input_ident(ident);
    let name = ident.to_string();

    let mark = fields.iter().rev().fold(quote! { #private::Open }, |mark, Field { ty, .. }| {
        quote! { <<#ty as #private::Property>::Mark as #private::Mark>::Or<#mark> }
    });
    let table = fields.iter().map(|field| {
        let Field { ident, key, ty, docs, default, .. } = field;
        let private = private_at(root, ident.span());
        let optional = !field.is_required();
        let default = match default {
            Some(default) => {
                quote! { ::core::option::Option::Some(|| #private::IntoInput::<#ty>::into_value(#default)) }
            }
            None => quote! { ::core::option::Option::None },
        };
        quote_spanned! { here(ident.span()) => #private::PropertyField::of::<#ty>(#key, #docs, #optional, #default) }
    });
    let write = fields.iter().map(|Field { ident, .. }| quote! { #private::Property::to_value(&self.#ident) });
    let read = fields.iter().enumerate().map(|(index, Field { ident, .. })| {
        quote! { #ident: #private::member(&FIELDS[#index], value)? }
    });
    let wipe = fields.iter().map(|Field { ident, .. }| quote! { #private::Property::wipe(&mut self.#ident); });
    let len = fields.len();
    quote! {
        #builder

        const _: () = {
            static FIELDS: [#private::PropertyField; #len] = [#(#table),*];

            #[automatically_derived]
            impl #private::Property for #ident {
                type Mark = #mark;
                type Hidden = #private::Secret<Self>;
                fn to_value(&self) -> #private::Value {
                    #private::map_of(&FIELDS, ::std::vec::Vec::<#private::Value>::from([#(#write),*] as [#private::Value; #len]))
                }
                #[allow(clippy::needless_question_mark, reason = "a struct may have no fields")]
                fn from_value(value: &#private::Value) -> ::core::result::Result<Self, #private::DecodeError> {
                    let value = #private::as_map(value)?;
                    let _ = value;
                    ::core::result::Result::Ok(Self { #(#read),* })
                }
                fn canonical(value: #private::Value) -> #private::Value {
                    #private::canonical_map(&FIELDS, value)
                }
                fn type_name() -> ::std::string::String {
                    ::core::convert::From::from(#name)
                }
                fn sample(sampler: &#private::Sampler) -> #private::Value {
                    #private::sample_map(&FIELDS, sampler)
                }
                fn wipe(&mut self) {
                    #(#wipe)*
                }
                fn describe() -> ::core::option::Option<&'static [#private::PropertyField]> {
                    ::core::option::Option::Some(&FIELDS)
                }
            }

            #[automatically_derived]
            impl #private::Plain for #ident {}

            #[automatically_derived]
            impl<U> #private::IntoInput<U> for #input
            where
                #ident: #private::Flows<U>,
            {
                fn into_value(self) -> #private::Value {
                    <#ident as #private::Flows<U>>::flow(#private::Value::Map(self.__fields))
                }
            }

            #assertions
        };
    }
}

fn input_ident(ident: &Ident) -> Ident {
    format_ident!("{ident}Input")
}

/// The builder struct, the constructor on the struct itself, and the chain methods.
fn builder(model: &StructModel) -> TokenStream {
    let StructModel { ident, vis, root, fields, .. } = model;
    let private = quote! { #root::__private };
    let input = input_ident(ident);
    let required: Vec<&Field> = fields.iter().filter(|field| field.is_required()).collect();
    let parameters = required.iter().map(|Field { ident, ty, .. }| {
        let private = private_at(root, ident.span());
        quote_spanned! { here(ident.span()) => #ident: impl #private::IntoInput<#ty> }
    });
    let assignments = required.iter().map(|Field { ident, key, ty, .. }| {
        quote! { #private::put(&mut __fields, #key, #private::IntoInput::<#ty>::into_value(#ident)); }
    });
    let defaults = fields.iter().filter_map(|Field { key, ty, default, .. }| {
        let default = default.as_ref()?;
        Some(quote! { #private::put(&mut __fields, #key, #private::IntoInput::<#ty>::into_value(#default)); })
    });
    let assignments: Vec<_> = assignments.chain(defaults).collect();
    let mutable = (!assignments.is_empty()).then(|| quote! { mut });
    let setters = fields.iter().filter(|field| !field.is_required()).map(|field| {
        let Field { ident, key, doc_attrs, docs, .. } = field;
        let bare = field.bare_type();
        let private = private_at(root, ident.span());
        let fallback = docs.is_empty().then(|| {
            let text = format!("Sets `{key}`.");
            quote! { #[doc = #text] }
        });
        quote_spanned! { here(ident.span()) =>
            #doc_attrs #fallback
            pub fn #ident(mut self, #ident: impl #private::IntoInput<::core::option::Option<#bare>>) -> Self {
                #private::put(&mut self.__fields, #key, #private::IntoInput::<::core::option::Option<#bare>>::into_value(#ident));
                self
            }
        }
    });
    let default = required.is_empty().then(|| {
        quote! {
            impl ::core::default::Default for #input {
                fn default() -> Self {
                    #ident::new()
                }
            }
        }
    });
    let new = Ident::new("new", here(ident.span()));
    let new_docs = constructor_docs(
        &format!("A builder of a `{ident}`; it fits wherever a `{ident}` is wanted as an input."),
        required.iter().map(|field| (field.key.as_str(), field.docs.as_str())),
    );
    let input_docs = format!("A builder of a [`{ident}`]: literals and outputs both fit its fields.");
    quote! {
        #[doc = #input_docs]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #[must_use = "a builder does nothing until it is given to an input"]
        #vis struct #input {
            __fields: #private::Members,
        }

        #[allow(
            dead_code,
            clippy::new_ret_no_self,
            clippy::too_many_arguments,
            reason = "the fields decide the number of arguments, and not every property is built"
        )]
        impl #ident {
            #[doc = #new_docs]
            pub fn #new(#(#parameters),*) -> #input {
                let #mutable __fields = #private::Members::new();
                #(#assignments)*
                #input { __fields }
            }
        }

        #[allow(
            dead_code,
            clippy::should_implement_trait,
            clippy::wrong_self_convention,
            reason = "the fields decide the names, and a program need not use all"
        )]
        impl #input {
            #(#setters)*
        }

        #default
    }
}

/// What an enum gains.
pub fn enumeration(model: &EnumModel) -> TokenStream {
    let EnumModel { ident, root, variants } = model;
    let private = quote! { #root::__private };
    let name = ident.to_string();
    let texts = variants.iter().map(|variant| &variant.text);
    let len = variants.len();
    let write = variants.iter().enumerate().map(|(index, Variant { ident, .. })| {
        quote! { Self::#ident { .. } => TEXTS[#index] }
    });
    // A variant with data is an error already; without it here that error stays alone.
    let units: Vec<_> = variants.iter().enumerate().filter(|(_, variant)| variant.is_unit).collect();
    let Some((_, Variant { ident: first, .. })) = units.first() else { return TokenStream::new() };
    let read = units.iter().map(|(index, Variant { ident, .. })| quote! { #index => Self::#ident });
    quote! {
        const _: () = {
            static TEXTS: [&str; #len] = [#(#texts),*];

            #[automatically_derived]
            impl #private::Property for #ident {
                type Mark = #private::Open;
                type Hidden = #private::Secret<Self>;
                fn to_value(&self) -> #private::Value {
                    #private::Value::text(match self { #(#write),* })
                }
                fn from_value(value: &#private::Value) -> ::core::result::Result<Self, #private::DecodeError> {
                    ::core::result::Result::Ok(match #private::one_of(&TEXTS, value)? {
                        #(#read,)*
                        _ => Self::#first,
                    })
                }
                fn type_name() -> ::std::string::String {
                    ::core::convert::From::from(#name)
                }
                fn sample(_: &#private::Sampler) -> #private::Value {
                    #private::Value::text(TEXTS[0])
                }
            }

            #[automatically_derived]
            impl #private::Plain for #ident {}

            #[automatically_derived]
            impl #private::FromText for #ident {}
        };
    }
}
