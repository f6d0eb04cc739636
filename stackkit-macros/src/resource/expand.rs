//! The expansion: structs, one static table, and thin impls. Logic lives in `stackkit`, where it compiles once.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, LitStr};

use super::attr::Kind;
use super::model::{Field, Model};
use crate::args::constructor_docs;
use crate::types::{here, private_at};

/// Everything that is made of the struct.
pub fn expand(model: &Model) -> TokenStream {
    let draft = draft(model);
    let structs = structs(model);
    let impls = impls(model);
    quote! { #draft #structs #impls }
}

/// The struct that programs fill, its constructor and its chain methods.
fn draft(model: &Model) -> TokenStream {
    let Model { ident, vis, doc_attrs, attrs, gate, .. } = model;
    let root = &model.options.root;
    let private = quote! { #root::__private };
    let len = model.fields.len();

    let required: Vec<_> = model.inputs().filter(|(_, field)| field.is_required()).collect();
    let parameters = required.iter().map(|(_, field)| {
        let ident = &field.ident;
        let private = private_at(root, ident.span());
        let ty = field.given_type(&private);
        quote_spanned! { here(ident.span()) => #ident: impl #private::IntoInput<#ty> }
    });
    let assignments = required.iter().map(|(index, field)| {
        let (ident, ty) = (&field.ident, field.given_type(&private));
        quote! { __values[#index] = #private::IntoInput::<#ty>::into_value(#ident); }
    });
    let mutable = (!required.is_empty()).then(|| quote! { mut });
    let new = Ident::new("new", here(ident.span()));
    let new_docs = constructor_docs(
        match model.options.kind {
            Kind::Resource => "A draft of this resource, to be given to `stack.add`.",
            Kind::Lookup => "A question, to be given to `stack.lookup` or `stack.data`.",
        },
        required.iter().map(|(_, f)| (f.key.as_str(), f.docs.as_str())),
    );

    let setters = model.inputs().filter(|(_, field)| !field.is_required()).map(|(index, field)| {
        let Field { ident, doc_attrs, .. } = field;
        let private = private_at(root, ident.span());
        let bare = field.given_type(&private);
        let fallback = field.docs.is_empty().then(|| {
            let text = format!("Sets `{}`.", field.key);
            quote! { #[doc = #text] }
        });
        quote_spanned! { here(ident.span()) =>
            #doc_attrs #fallback
            pub fn #ident(mut self, #ident: impl #private::IntoInput<::core::option::Option<#bare>>) -> Self {
                self.__values[#index] = #private::IntoInput::<::core::option::Option<#bare>>::into_value(#ident);
                self
            }
        }
    });
    let default = required.is_empty().then(|| {
        quote! {
            #gate
            impl ::core::default::Default for #ident {
                fn default() -> Self {
                    Self::new()
                }
            }
        }
    });
    let must_use = match model.options.kind {
        Kind::Resource => "a resource does nothing until it is added to a stack",
        Kind::Lookup => "a question has no answer until it is given to a stack",
    };
    quote! {
        #doc_attrs
        #attrs
        #[must_use = #must_use]
        #vis struct #ident {
            __values: #private::Values,
        }

        #gate
        #[allow(
            dead_code,
            clippy::too_many_arguments,
            clippy::should_implement_trait,
            clippy::wrong_self_convention,
            reason = "the fields decide the names and the number of arguments, and a program need not use all"
        )]
        impl #ident {
            #[doc = #new_docs]
            pub fn #new(#(#parameters),*) -> Self {
                let #mutable __values = #private::blank(#len);
                #(#assignments)*
                Self { __values }
            }
            #(#setters)*
        }

        #default
    }
}

/// `…Args`, `…State` and `…Outputs`.
fn structs(model: &Model) -> TokenStream {
    let Model { ident, vis, attrs, derives, .. } = model;
    let root = &model.options.root;
    let args = format_ident!("{ident}Args");
    let state = format_ident!("{ident}State");
    let outputs = format_ident!("{ident}Outputs");

    let plain = |field: &Field| {
        let Field { ident, ty, doc_attrs, .. } = field;
        quote! { #doc_attrs pub #ident: #ty }
    };
    let arg_fields = model.inputs().map(|(_, field)| plain(field));
    let state_fields = model.outputs().map(|(_, field)| plain(field));
    let output_fields = model.fields.iter().map(|field| {
        let Field { ident, doc_attrs, .. } = field;
        let private = private_at(root, ident.span());
        let ty = field.output_type(&private);
        quote! { #doc_attrs pub #ident: #private::Output<#ty> }
    });
    let args_docs = format!("The inputs of a [`{ident}`], resolved: what a provider gets.");
    let (state_docs, outputs_docs) = match model.options.kind {
        Kind::Resource => (
            format!("The inputs and outputs of a [`{ident}`]: what a provider returns and a test asserts."),
            format!("References to the fields of a declared [`{ident}`]."),
        ),
        Kind::Lookup => (
            format!("The answer to a [`{ident}`], with the inputs that were asked with."),
            format!("References to the fields of the answer to a [`{ident}`]."),
        ),
    };
    quote! {
        #[doc = #args_docs]
        #attrs
        #[derive(::core::clone::Clone, ::core::fmt::Debug, #(#derives),*)]
        #[allow(dead_code, reason = "a provider need not read every field")]
        #vis struct #args {
            #(#arg_fields),*
        }

        #[doc = #state_docs]
        #attrs
        #[derive(::core::clone::Clone, ::core::fmt::Debug, #(#derives),*)]
        #[allow(dead_code, reason = "a provider need not read every field")]
        #vis struct #state {
            /// The inputs.
            pub args: #args,
            #(#state_fields),*
        }

        #[doc = #outputs_docs]
        #attrs
        #[derive(::core::clone::Clone)]
        #[allow(dead_code, missing_docs, reason = "a program need not refer to every field; the inputs carry the lint")]
        #vis struct #outputs {
            #(#output_fields),*
        }
    }
}

/// The schema and the impls of `Resource` and `Fields`.
fn impls(model: &Model) -> TokenStream {
    let Model { ident, gate, options, docs, .. } = model;
    let root = &options.root;
    let private = quote! { #root::__private };
    let args = format_ident!("{ident}Args");
    let state = format_ident!("{ident}State");
    let outputs = format_ident!("{ident}Outputs");
    let len = model.fields.len();

    let type_name = options.type_name.as_ref().map_or_else(|| "unnamed:Type".to_owned(), LitStr::value);
    let super::attr::TypeOptions { stateful, at_least_once, pure, delete_before_replace, version, settle, .. } =
        options;
    let timeout = |seconds: Option<u64>| match seconds {
        Some(seconds) => quote! { ::core::option::Option::Some(#private::Duration::from_secs(#seconds)) },
        None => quote! { ::core::option::Option::None },
    };
    let create_timeout = timeout(options.create_timeout);
    let update_timeout = timeout(options.update_timeout);
    let delete_timeout = timeout(options.delete_timeout);
    let fields = model.fields.iter().map(|field| schema_field(field, &private));

    let read = |(index, field): (usize, &Field)| {
        let name = &field.ident;
        let private = private_at(root, name.span());
        quote! { #name: #private::field(&SCHEMA, values, #index)? }
    };
    let read_args = model.inputs().map(read);
    let read_state = model.outputs().map(read);
    let write_args = model.fields.iter().map(|field| {
        let name = &field.ident;
        if field.is_output() {
            quote! { #private::Value::Null }
        } else {
            quote! { #private::Property::to_value(&self.#name) }
        }
    });
    let write_state = model.outputs().map(|(index, field)| {
        let name = &field.ident;
        quote! { values[#index] = #private::Property::to_value(&self.#name); }
    });
    let mutable = model.outputs().next().map(|_| quote! { mut });
    let references = model.fields.iter().enumerate().map(|(index, field)| {
        let name = &field.ident;
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        quote! { #name: #private::Output::of_field(resource, #index) }
    });
    quote! {
        #gate
        const _: () = {
            static SCHEMA: #private::Schema = #private::Schema {
                type_name: #type_name,
                docs: #docs,
                version: #version,
                stateful: #stateful,
                at_least_once: #at_least_once,
                pure: #pure,
                delete_before_replace: #delete_before_replace,
                settle: #private::Duration::from_secs(#settle),
                create_timeout: #create_timeout,
                update_timeout: #update_timeout,
                delete_timeout: #delete_timeout,
                fields: &[#(#fields),*],
            };

            #[automatically_derived]
            impl #private::Resource for #ident {
                type Args = #args;
                type State = #state;
                type Outputs = #outputs;
                const SCHEMA: &'static #private::Schema = &SCHEMA;
                fn into_values(self) -> #private::Values {
                    self.__values
                }
                fn from_draft(__values: #private::Values) -> Self {
                    Self { __values }
                }
                fn outputs(resource: u32) -> #outputs {
                    #outputs { #(#references),* }
                }
            }

            #[automatically_derived]
            impl ::core::clone::Clone for #ident {
                fn clone(&self) -> Self {
                    Self { __values: ::core::clone::Clone::clone(&self.__values) }
                }
            }

            #[automatically_derived]
            impl ::core::fmt::Debug for #ident {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    #private::debug_draft(&SCHEMA, &self.__values, f)
                }
            }

            #[automatically_derived]
            impl ::core::ops::Deref for #state {
                type Target = #args;
                fn deref(&self) -> &#args {
                    &self.args
                }
            }

            #[automatically_derived]
            impl ::core::ops::DerefMut for #state {
                fn deref_mut(&mut self) -> &mut #args {
                    &mut self.args
                }
            }

            #[automatically_derived]
            #[allow(unused_variables, reason = "a type may have no inputs")]
            impl #private::Fields for #args {
                fn from_values(values: &[#private::Value]) -> ::core::result::Result<Self, #private::DecodeError> {
                    ::core::result::Result::Ok(Self { #(#read_args),* })
                }
                fn to_values(&self) -> #private::Values {
                    ::std::vec::Vec::<#private::Value>::from([#(#write_args),*] as [#private::Value; #len])
                }
            }

            #[automatically_derived]
            impl #private::Fields for #state {
                fn from_values(values: &[#private::Value]) -> ::core::result::Result<Self, #private::DecodeError> {
                    ::core::result::Result::Ok(Self { args: #private::Fields::from_values(values)?, #(#read_state),* })
                }
                fn to_values(&self) -> #private::Values {
                    let #mutable values = #private::Fields::to_values(&self.args);
                    #(#write_state)*
                    values
                }
            }
        };
    }
}

/// One line of the schema.
fn schema_field(field: &Field, private: &TokenStream) -> TokenStream {
    let Field { ident, key, ty, docs, options, replace, .. } = field;
    let role = if field.is_output() { quote!(Output) } else { quote!(Input) };
    let required = field.is_required();
    let name_mark = options.name.is_some();
    let computed = options.computed.is_some();
    let write_only = options.write_only.is_some();
    let volatile = options.volatile.is_some();
    let default = match field.default() {
        Some(default) => {
            quote! { ::core::option::Option::Some(|| #private::IntoInput::<#ty>::into_value(#default)) }
        }
        None => quote! { ::core::option::Option::None },
    };
    let type_info = quote_spanned! { here(ident.span()) => #private::TypeInfo::of::<#ty>() };
    quote! {
        #private::Field {
            name: #key,
            docs: #docs,
            role: #private::Role::#role,
            required: #required,
            replace: #replace,
            name_mark: #name_mark,
            computed: #computed,
            write_only: #write_only,
            volatile: #volatile,
            default: #default,
            ty: #type_info,
        }
    }
}
